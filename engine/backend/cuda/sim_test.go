//go:build gpu

package cuda

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
)

// simulator is what the simulated driver exports for tests.
type simulator struct {
	count  func(what string) uint64
	live   func(text unsafe.Pointer, size uintptr) uintptr
	leaked func(text unsafe.Pointer, size uintptr) uintptr
}

// simulated is the simulated driver. Where the driver is a real one the test is skipped.
func simulated(t *testing.T) *simulator {
	t.Helper()
	lib, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulator{}
	for name, f := range map[string]any{"simcudaCount": &s.count, "simcudaLive": &s.live, "simcudaLeaked": &s.leaked} {
		at, err := purego.Dlsym(lib, name)
		if err != nil {
			t.Skip("the driver is a real one: this needs the simulated one, " +
				"LD_LIBRARY_PATH=$(go run ./internal/simcuda/cmd/simcuda)")
		}
		purego.RegisterFunc(f, at)
	}
	return s
}

// alive says what there is of the driver's objects and memory.
func (s *simulator) alive() string { return text(s.live) }

func text(f func(unsafe.Pointer, uintptr) uintptr) string {
	b := make([]byte, 4096)
	f(unsafe.Pointer(&b[0]), uintptr(len(b)))
	end := 0
	for end < len(b) && b[end] != 0 {
		end++
	}
	return string(b[:end])
}

const childEnv = "GODCEM_TEST_CHILD"

// child reports whether the process is the one in which the test must do its work: a process of its own, because the
// driver reads these variables when it is initialised.
func child(t *testing.T, env ...string) bool {
	t.Helper()
	simulated(t)
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	c := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	c.Env = append(append(os.Environ(), env...), childEnv+"="+t.Name())
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("with %v: %v\n%s", env, err, out)
	}
	return false
}

// program plans a graph.
func program(t *testing.T, d backend.Device, build func(b *ir.Builder)) *plan.Program {
	t.Helper()
	b := ir.NewBuilder()
	build(b)
	if b.Err() != nil {
		t.Fatal(b.Err())
	}
	g, _, err := pass.Run(b.G, pass.Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	var o plan.Options
	if tuner, ok := d.(backend.Tuner); ok {
		tuner.Tune(&o)
	}
	p, err := plan.New(g, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	return p
}

// halves is a program of out = sum over rows of tanh(x)/2, rows by columns.
func halves(rows, columns int) func(b *ir.Builder) {
	return func(b *ir.Builder) {
		x := b.Input(ir.F32, []int{rows, columns}, ir.InputAttr{Name: "x"})
		y := b.BinaryS(ir.Mul, b.Unary(ir.Tanh, x), 0.5)
		b.Output(y)
		b.Output(b.Reduce(ir.ReduceSum, y, 0))
	}
}

func compile(t *testing.T, d backend.Device, p *plan.Program) *executable {
	t.Helper()
	e, err := d.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return e.(*executable)
}

// feed writes v to every element of the first input.
func feed(t *testing.T, e backend.Executable, p *plan.Program, v float32) {
	t.Helper()
	data := make([]float32, p.Buffers[p.Inputs[0].Buf].Count())
	for i := range data {
		data[i] = v
	}
	if err := e.Write(p.Inputs[0].Buf, data); err != nil {
		t.Fatal(err)
	}
}

// first is the first element of an output.
func first(e backend.Executable, p *plan.Program, output int) (float32, error) {
	b := p.Outputs[output].Buf
	data := make([]float32, p.Buffers[b].Count())
	err := e.Read(b, data)
	return data[0], err
}
