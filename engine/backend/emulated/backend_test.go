package emulated_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda"
	"github.com/godcem/godcem/internal/simcuda/simtest"
)

// open returns the device. Where there is no C++ compiler it skips, and says how to get one.
func open(t *testing.T) backend.Device {
	t.Helper()
	d, err := emulated.New()
	simtest.Need(t, err)
	return d
}

// TestBackend runs the table of cases without their variants, of which each would be another set of kernels to
// compile: GODCEM_EMULATED=full runs those too.
func TestBackend(t *testing.T) {
	d := open(t)
	if os.Getenv("GODCEM_EMULATED") != "full" && !testing.Short() {
		t.Log("without the cases' variants: GODCEM_EMULATED=full runs them too")
		if err := flag.Set("test.short", "true"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("test.short", "false") }()
	}
	backendtest.Run(t, d)
}

// TestChecked runs some cases of each kind again in the checking mode, in a process of its own.
func TestChecked(t *testing.T) {
	if simcuda.Checking() {
		t.Skip("GODCEM_SIM_CHECK is set: the whole table runs with it")
	}
	open(t)
	cmd := exec.Command(os.Args[0], "-test.short", "-test.v", "-test.run",
		"^TestBackend$/^(model|custom|update|in-place|reduce/(large|17x33|of)|dot/(m7|3x5|batch)|noise/)")
	cmd.Env = append(os.Environ(), "GODCEM_SIM_CHECK=1", "GODCEM_SIM_SOURCE=1")
	out, err := cmd.CombinedOutput()
	if passed := strings.Count(string(out), "    --- PASS: "); err != nil || passed < 50 {
		t.Errorf("%d cases passed: %v\n%s", passed, err, out)
	} else {
		t.Logf("%d cases", passed)
	}
}

func TestMemoryOfTheDevice(t *testing.T) {
	d := open(t)
	b := ir.NewBuilder()
	x := b.Input(ir.F32, []int{3}, ir.InputAttr{Name: "x"})
	b.Output(b.Unary(ir.Exp, x))
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	g, _, err := pass.Run(b.G, pass.Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(g, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(p.Inputs[0].Buf, []float32{0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	r, out := e.(backend.Remote), p.Outputs[0].Buf
	at, got := r.Address(out), make([]byte, 12)
	if err := r.Fetch(got, at); err != nil || at == 0 || string(got) != strings.Repeat("\x00\x00\x80\x3f", 3) {
		t.Errorf("fetched %x from %#x, error %v, want three times 1", got, at, err)
	}
	for _, bad := range []uintptr{0, at - 1<<20, at + uintptr(p.Arena)} {
		if err := r.Fetch(got, bad); err == nil {
			t.Errorf("fetched from %#x, which is not the program's", bad)
		}
	}
	for _, bad := range []plan.BufID{-1, plan.BufID(len(p.Buffers))} {
		if a := r.Address(bad); a != 0 {
			t.Errorf("buffer %d lies at %#x", bad, a)
		}
	}
	in := p.Inputs[0].Buf
	if ok, err := r.Take(in, e, at); !ok || err != nil {
		t.Errorf("take: %v, %v", ok, err)
	}
	taken := make([]float32, 3)
	if err := e.Read(in, taken); err != nil || [3]float32(taken) != [3]float32{1, 1, 1} {
		t.Errorf("after taking the output the input is %v, error %v, want three times 1", taken, err)
	}
	if ok, err := r.Take(in, nil, at); ok || err != nil {
		t.Errorf("taken from no program: %v, %v", ok, err)
	}
	if ok, err := r.Take(-1, e, at); !ok || err == nil {
		t.Errorf("taken into buffer -1: %v, %v", ok, err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if e.Run(nil) == nil || e.Sync() == nil || e.Read(out, make([]float32, 3)) == nil || r.Fetch(got, at) == nil {
		t.Error("a closed executable still works")
	}
}
