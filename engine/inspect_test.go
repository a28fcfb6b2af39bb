package engine_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// hosted is a model with an op that Gorgonia alone can run.
func hosted(t *testing.T) *model {
	t.Helper()
	m := mlp(t, false)
	how := ""
	n, err := graphop.Apply(fragile{&how}, tensor.Float64, tensor.Shape{8, 2}, m.out)
	if err != nil {
		t.Fatal(err)
	}
	m.out = G.Must(G.Tanh(n))
	return m
}

func TestTrace(t *testing.T) {
	m := hosted(t)
	var b bytes.Buffer
	vm, err := engine.NewVM(m.g, engine.Trace(&b))
	if err != nil {
		t.Fatal(err)
	}
	const runs = 3
	for range runs {
		run(t, vm)
	}
	e := vm.Explain()
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name string
		Ph   string
		Cat  string
		Ts   float64
		Dur  float64
		Args map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &events); err != nil {
		t.Fatalf("the trace is no JSON: %v\n%s", err, b.String())
	}
	count := map[string]int{}
	end := 0.0 // of the step before
	for _, v := range events {
		if v.Ph != "X" {
			continue
		}
		count[v.Name]++
		if !(v.Ts >= 0 && v.Dur >= 0) {
			t.Errorf("%s begins at %v and takes %v", v.Name, v.Ts, v.Dur)
		}
		if v.Cat == "run" {
			continue
		}
		if !(v.Ts >= end-0.002) { // rounded to ns twice
			t.Errorf("%s begins at %v, before %v where the step before ended", v.Name, v.Ts, end)
		}
		end = v.Ts + v.Dur
	}
	if e.Traced != runs || count["RunAll"] != runs {
		t.Errorf("%d runs in the explanation, %d in the trace, want %d", e.Traced, count["RunAll"], runs)
	}
	for _, s := range e.Steps {
		if count[s.Name] != runs || s.Measured == nil || s.Measured.Count != runs ||
			!(s.Measured.Least >= 0 && s.Measured.Least <= s.Measured.Mean()*(1+1e-9)) { // rounded in sums
			t.Errorf("step %s has %d events, measured %+v, want %d", s.Name, count[s.Name], s.Measured, runs)
		}
	}
	if len(e.Steps) == 0 {
		t.Error("no steps")
	}
}

// broken fails after some bytes.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestTraceThatCannotBeWritten(t *testing.T) {
	vm, err := engine.NewVM(mlp(t, false).g, engine.Trace(&broken{100}))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		run(t, vm)
	}
	hasParts(t, "Close", vm.Close(), "Trace", "disk full")
}

func TestExplain(t *testing.T) {
	engine.OnCPU(t)
	m := hosted(t)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{}, m.loss, m.w...), engine.Outputs(m.out))
	e := vm.Explain()
	if len(e.Steps) == 0 || len(e.Passes) == 0 || len(e.Stages) < 4 || e.Flops <= 0 || e.Bytes <= 0 ||
		e.Memory.Arena <= 0 || e.Memory.Params != 8*(15+5+10+2) {
		t.Errorf("explanation %+v", e)
	}
	last := e.Steps[len(e.Steps)-1]
	if last.Kind != "update" || !strings.Contains(last.Shape, "32 elements") {
		t.Errorf("the last step is %+v, want the update", last)
	}
	if len(e.Fallbacks) != 0 {
		t.Errorf("fallbacks %+v of a kernel that is compiled, want none", e.Fallbacks)
	}
	var back engine.Explanation
	b, err := e.JSON()
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || len(back.Steps) != len(e.Steps) {
		t.Errorf("JSON: %v", err)
	}
	for _, want := range []string{`"fallbacks": []`, `"name": "cpu"`, `"threads"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("JSON has no %s", want)
		}
	}
	for _, want := range []string{"device", "compile", "arena", "fragile", "update", "passes:", "cse", e.Steps[0].Name} {
		if !strings.Contains(e.String(), want) {
			t.Errorf("the table has no %q:\n%v", want, e)
		}
	}
}

// foreign is an op of another package that says nothing about itself: Gorgonia runs it, on the host.
type foreign struct{ G.Op }

func (foreign) String() string { return "foreign exp" }

// An op that runs on the host is named, with its cost if that was measured.
func TestHostFallbackIsNamed(t *testing.T) {
	g := G.NewGraph()
	x := input(g, "x", normals(1, 5))
	op := foreign{G.Must(G.Exp(x)).Op()}
	n := G.Must(G.ApplyOp(op, G.Must(G.Neg(x))))
	y := G.Must(G.Tanh(n))
	vm := newVM(t, g, engine.Trace(new(bytes.Buffer)))
	run(t, vm)
	for i, v := range floats(t, x.Value()) {
		if got, want := floats(t, y.Value())[i], math.Tanh(math.Exp(-v)); !(math.Abs(got-want) <= 1e-15) {
			t.Errorf("element %d is %v, want %v", i, got, want)
		}
	}
	e := vm.Explain()
	if len(e.Fallbacks) != 1 || !strings.Contains(e.Fallbacks[0].Op, "foreign exp") ||
		e.Fallbacks[0].Measured == nil || e.Fallbacks[0].Measured.Count != 1 {
		t.Fatalf("fallbacks %+v, want the foreign op, measured", e.Fallbacks)
	}
	if !strings.Contains(e.Fallbacks[0].Why, "engine.Lowerer") || !strings.Contains(e.String(), e.Fallbacks[0].Why) {
		t.Errorf("it is not said why: %+v", e.Fallbacks[0])
	}
	if !strings.Contains(e.String(), "on the host:") {
		t.Errorf("the table does not name it:\n%v", e)
	}
}

func TestDump(t *testing.T) {
	for stage, want := range map[string][]string{
		"graph":   {`"w1`, "tanh", "float64 (3, 5)"},
		"ir":      {"input f64[8,3]", "dot", "tanh", "outputs"},
		"passes":  {"# imported", "# after", "tanh"},
		"plan":    {"step", "arena", "dot"},
		"program": {"tanh"},
	} {
		var a, b bytes.Buffer
		for _, w := range []*bytes.Buffer{&a, &b} {
			if err := engine.Dump(w, mlp(t, false).g, stage); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range want {
			if !strings.Contains(a.String(), part) {
				t.Errorf("stage %s has no %q:\n%s", stage, part, a.String())
			}
		}
		if stage != "plan" && a.String() != b.String() { // plan has times
			t.Errorf("stage %s differs from run to run", stage)
		}
	}
	if len(engine.DumpStages) != 5 {
		t.Errorf("stages %v, want the five above", engine.DumpStages)
	}
}

func TestSwitches(t *testing.T) {
	names := engine.Switches()
	m := mlp(t, true)
	vm := newVM(t, m.g)
	run(t, vm)
	want := floats(t, m.out.Value())
	grad := floats(t, m.w[0].Deriv().Value())
	for _, name := range append(names, strings.Join(names, " ")) {
		off := newVM(t, m.g, engine.Disable(strings.Fields(name)...))
		run(t, off)
		same(t, "without "+name, m.out.Value(), dense(want, 8, 2), tol)
		same(t, "gradient without "+name, m.w[0].Deriv().Value(), dense(grad, 3, 5), tol)
	}
	if len(names) < 8 {
		t.Errorf("switches %v", names)
	}
}

func TestDevices(t *testing.T) {
	infos := engine.Devices()
	for _, i := range infos {
		d, err := engine.Open(i.Name)
		if err != nil {
			t.Errorf("Devices lists %q: %v", i.Name, err)
			continue
		}
		if d.Info() != i {
			t.Errorf("%q describes itself as %+v and %+v", i.Name, d.Info(), i)
		}
		m := mlp(t, false)
		vm := newVM(t, m.g, engine.On(d))
		run(t, vm)
		if got := vm.Explain().Device; got != i {
			t.Errorf("the VM is on %+v, want %+v", got, i)
		}
	}
	if len(infos) < 2 {
		t.Errorf("devices %v", infos)
	}
}

// TestExplainScratch: what the device needs beside the arena is told, in the table and in JSON.
func TestExplainScratch(t *testing.T) {
	engine.OnCPU(t) // whose products pack operands
	g := G.NewGraph()
	const rows, size = 300, 200
	x, w := input(g, "x", normals(1, rows, size)), input(g, "w", normals(2, size, size))
	y := G.Must(G.Tanh(G.Must(G.Mul(x, w))))
	e := newVM(t, g, engine.Outputs(y)).Explain()
	if least := 8 * size * size; e.Memory.Scratch < least || e.Memory.Scratch > 10*least {
		t.Errorf("scratch of %d bytes, want the packed operand's %d and some", e.Memory.Scratch, least)
	}
	if j, err := e.JSON(); err != nil || !bytes.Contains(j, []byte(`"scratch"`)) || !strings.Contains(e.String(), "scratch") {
		t.Errorf("no scratch in the explanation (%v)", err)
	}
}
