package engine_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestNewVMErrors(t *testing.T) {
	m, other := mlp(t, false), mlp(t, false)
	whole := G.NewMatrix(m.g, tensor.Int, G.WithShape(2, 2), G.WithName("whole"))
	single := G.NewMatrix(m.g, tensor.Float32, G.WithShape(2, 2), G.WithName("single"))
	sum := G.Must(G.Sum(single))
	one := input(m.g, "one", dense([]float64{1}, 1))
	idle := input(m.g, "idle", dense([]float64{1, 2}, 2))
	var into G.Value
	statement := G.Read(m.out, &into)
	adam := kernels.Optimizer{}
	for name, c := range map[string]struct {
		g    *G.ExprGraph
		opts []engine.Option
		want []string
	}{
		"nil graph":   {nil, nil, []string{"graph is nil"}},
		"empty graph": {G.NewGraph(), nil, []string{"no nodes"}},
		"nil option":  {m.g, []engine.Option{engine.Outputs(), nil}, []string{"option 1 is nil"}},
		"nil device":  {m.g, []engine.Option{engine.On(nil)}, []string{"On", "nil"}},
		"nil output":  {m.g, []engine.Option{engine.Outputs(m.out, nil)}, []string{"Outputs", "node 1 is nil"}},
		"foreign output": {m.g, []engine.Option{engine.Outputs(other.hidden)},
			[]string{"Outputs", "tanh", "(8, 5)", "not a node of the VM's graph"}},
		"statement as output": {m.g, []engine.Option{engine.Outputs(statement)}, []string{"Outputs", "statement"}},
		"seed twice":          {m.g, []engine.Option{engine.Seed(1), engine.Seed(2)}, []string{"Seed", "twice"}},
		"no budget":           {m.g, []engine.Option{engine.MemoryBudget(0)}, []string{"MemoryBudget", "0 bytes"}},
		"no writer":           {m.g, []engine.Option{engine.Trace(nil)}, []string{"Trace", "nil"}},
		"unknown pass":        {m.g, []engine.Option{engine.Disable("cse", "typo")}, []string{"Disable", `"typo"`, "cse"}},
		"foreign dual": {m.g, []engine.Option{engine.BindDualValues(other.w[0])},
			[]string{"BindDualValues", `"w1"`, "not a node"}},
		"nil dual": {m.g, []engine.Option{engine.BindDualValues(nil)}, []string{"BindDualValues", "nil"}},
		"bad rate": {m.g, []engine.Option{engine.WithUpdate(kernels.Optimizer{Rate: -1}, m.loss, m.w...)},
			[]string{"WithUpdate", "Rate = -1"}},
		"nil loss": {m.g, []engine.Option{engine.WithUpdate(adam, nil, m.w...)},
			[]string{"WithUpdate", "loss is nil"}},
		"foreign loss": {m.g, []engine.Option{engine.WithUpdate(adam, other.loss, m.w...)},
			[]string{"WithUpdate", "loss", "not a node"}},
		"loss of a shape": {m.g, []engine.Option{engine.WithUpdate(adam, m.out, m.w...)},
			[]string{"WithUpdate", "(8, 2)", "scalar", "Mean"}},
		"loss of one element": {m.g, []engine.Option{engine.WithUpdate(adam, one, m.w...)},
			[]string{"WithUpdate", `"one"`, "(1)", "shape ()", "Sum"}},
		"params of nothing": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, idle)},
			[]string{"WithUpdate", "the loss", "depends on no parameter", `"idle"`}},
		"no params": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss)},
			[]string{"WithUpdate", "no parameters"}},
		"nil param": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, m.w[0], nil)},
			[]string{"WithUpdate", "node 1 is nil"}},
		"param twice": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, m.w[0], m.w[0])},
			[]string{`"w1"`, "twice"}},
		"foreign param": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, other.w[1])},
			[]string{`"b1"`, "not a node"}},
		"interior param": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, m.hidden)},
			[]string{"tanh", "want an input"}},
		"integer param": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, whole)}, []string{`"whole"`, "float"}},
		"mixed params": {m.g, []engine.Option{engine.WithUpdate(adam, m.loss, m.w[0], single)},
			[]string{`"single"`, "float32", `"w1"`}},
		"update twice": {m.g,
			[]engine.Option{engine.WithUpdate(adam, m.loss, m.w...), engine.WithUpdate(adam, sum, single)},
			[]string{"WithUpdate", "twice"}},
	} {
		vm, err := engine.NewVM(c.g, c.opts...)
		hasParts(t, name, err, c.want...)
		if vm != nil {
			t.Errorf("%s: a VM beside the error", name)
		}
	}
	if _, err := engine.Open("gpu"); err == nil || !strings.Contains(err.Error(), `"gpu"`) ||
		!strings.Contains(err.Error(), "ref") {
		t.Errorf("Open of an unknown device: %v", err)
	}
	hasParts(t, "Dump", engine.Dump(io.Discard, m.g, "stage"), `"stage"`, "program")
}

// A bad value is an error that names the node, what it was given and what it wants; the VM runs with a good one.
func TestBadInputs(t *testing.T) {
	m := mlp(t, false)
	none := G.NewMatrix(m.g, tensor.Float64, G.WithShape(8, 2), G.WithName("none"))
	sum := G.Must(G.Add(m.out, none))
	vm := newVM(t, m.g)
	hasParts(t, "an input without value", vm.RunAll(), `"none"`, "float64", "(8, 2)", "Let")
	if err := G.Let(none, normals(1, 8, 2)); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	want := floats(t, sum.Value())
	good := m.x.Value()
	for name, c := range map[string]struct {
		value any
		want  []string
	}{
		"another type":   {1.5, []string{`"x"`, "F64", "(8, 3)"}},
		"another number": {2, []string{`"x"`, "int", "(8, 3)", "float64"}},
	} {
		if err := G.UnsafeLet(m.x, c.value); err != nil { // a plain number is not checked by Gorgonia
			t.Fatal(err)
		}
		hasParts(t, name, vm.RunAll(), c.want...)
	}
	if err := G.Let(m.x, good); err != nil {
		t.Fatal(err)
	}
	// A tensor can change its shape after Let.
	if err := good.(*tensor.Dense).Reshape(3, 8); err != nil {
		t.Fatal(err)
	}
	hasParts(t, "another shape", vm.RunAll(), `"x"`, "(3, 8)", "(8, 3)")
	if err := good.(*tensor.Dense).Reshape(8, 3); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	same(t, "after the errors", sum.Value(), dense(want, 8, 2), 0)
}

// Every input node is fed in a graph whose nodes all have values; with Outputs, what nothing needs need not be.
func TestUnusedInputs(t *testing.T) {
	m := mlp(t, false)
	G.NewMatrix(m.g, tensor.Float64, G.WithShape(2, 2), G.WithName("unused"))
	hasParts(t, "an unused input", newVM(t, m.g).RunAll(), `"unused"`, "no value")
	run(t, newVM(t, m.g, engine.Outputs(m.out)))
}

// fragile fails or panics on demand, in the kernel or before.
type fragile struct{ how *string }

func (k fragile) String() string         { return "fragile" }
func (k fragile) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k fragile) Run(out any, in []any) {
	copy(out.([]float64), in[0].([]float64))
	switch *k.how {
	case "panic":
		panic("a panic in an op")
	case "index":
		_ = in[len(*k.how)]
	}
}

func TestOpThatFails(t *testing.T) {
	how := ""
	g := G.NewGraph()
	x := input(g, "x", normals(1, 4))
	n, err := graphop.Apply(fragile{&how}, tensor.Float64, tensor.Shape{4}, G.Must(G.Exp(x)))
	if err != nil {
		t.Fatal(err)
	}
	y := G.Must(G.Tanh(n))
	vm := newVM(t, g)
	run(t, vm)
	want := floats(t, y.Value())
	for _, how = range []string{"panic", "index"} {
		hasParts(t, how, vm.RunAll(), "fragile")
		how = ""
		run(t, vm)
		same(t, "after "+how, y.Value(), dense(want, 4), 0)
	}
}

func TestCheckNumerics(t *testing.T) {
	m := mlp(t, false)
	scaled := G.Must(G.Mul(m.loss, G.Must(G.Log(G.Must(G.Sum(m.x))))))
	opt := kernels.Optimizer{Rate: 0.1}
	vm := newVM(t, m.g, engine.CheckNumerics(), engine.WithUpdate(opt, scaled, m.w...))
	x := m.x.Value().Data().([]float64)
	for i := range x {
		x[i] = math.Abs(x[i])
	}
	run(t, vm)
	if m.hidden.Value() != nil {
		t.Error("CheckNumerics bound a value that was not asked for")
	}
	before, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	for i := range x {
		x[i] = -x[i]
	}
	err = vm.RunAll()
	hasParts(t, "log of a negative sum", err, "NaN", "operand", "Σ", "1 element in [-")
	var n *engine.NumericsError
	if !errors.As(err, &n) || !strings.HasPrefix(n.Node.Name(), "ln") {
		t.Fatalf("the error is %v of node %v, want the logarithm's", err, n)
	}
	if len(n.Operands) != 1 || !n.Operands[0].Value.Finite() || n.Value.NaN != 1 {
		t.Errorf("the error holds %+v", n)
	}
	after, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := after.Params[0].F64[0], before.Params[0].F64[0]; a != b || after.Steps != before.Steps {
		t.Errorf("an update was done in spite of the NaN: %v to %v, step %d to %d", b, a, before.Steps, after.Steps)
	}
	x[4] = math.Inf(1)
	hasParts(t, "an input of Inf", vm.RunAll(), `"x"`, "Inf", "[1 1]", "input")
	for i := range x {
		x[i] = math.Abs(float64(i) / 10)
	}
	run(t, vm)
}
