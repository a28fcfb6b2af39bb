package engine_test

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// sliced is a loss over some rows of what a parameter gives.
func sliced(t testing.TB, grad bool) (m *model, rows *G.Node) {
	t.Helper()
	m = &model{g: G.NewGraph()}
	m.x = input(m.g, "x", normals(1, 6, 3))
	w := input(m.g, "w", normals(2, 3, 2))
	m.w = G.Nodes{w}
	m.out = G.Must(G.Mul(m.x, w))
	rows = G.Must(G.Slice(G.Must(G.Tanh(m.out)), G.S(0, 2)))
	m.loss = G.Must(G.Sum(G.Must(G.Square(rows))))
	if grad {
		if _, err := G.Grad(m.loss, w); err != nil {
			t.Fatal(err)
		}
	}
	return m, rows
}

// A slice whose bounds are changed by UnsafeLet is the new one from then on, as on the TapeMachine.
func TestChangedSlice(t *testing.T) {
	ours, ourRows := sliced(t, false)
	theirs, theirRows := sliced(t, false)
	vm := newVM(t, ours.g)
	tape := G.NewTapeMachine(theirs.g, G.TraceExec())
	defer tape.Close()
	var last []float64
	for _, from := range []int{0, 2, 4, 4, 1, 0} {
		for _, rows := range []*G.Node{ourRows, theirRows} {
			if err := G.UnsafeLet(rows, G.S(from, from+2)); err != nil {
				t.Fatal(err)
			}
		}
		run(t, vm)
		run(t, tape)
		tape.Reset()
		same(t, fmt.Sprintf("rows from %d", from), ourRows.Value(), theirRows.Value(), tol)
		same(t, fmt.Sprintf("loss of rows from %d", from), ours.loss.Value(), theirs.loss.Value(), tol)
		if now := floats(t, ourRows.Value()); from == 2 && now[0] == last[0] {
			t.Error("another slice has the same elements")
		} else {
			last = now
		}
	}
}

// Compiling again keeps parameters, moments, step, rate and the run number.
func TestRecompilingKeepsTheState(t *testing.T) {
	train := func(change bool) (*engine.State, []float64) {
		m, rows := sliced(t, false)
		vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, m.loss, m.w...))
		if err := vm.SetRate(0.05); err != nil {
			t.Fatal(err)
		}
		for step := range 6 {
			if change && step == 3 {
				// There and back is no change; a run in between would be one.
				if err := G.UnsafeLet(rows, G.S(2, 4)); err != nil {
					t.Fatal(err)
				}
				before, err := vm.State()
				if err != nil {
					t.Fatal(err)
				}
				hasParts(t, "a slice beyond the end", func() error {
					if err := G.UnsafeLet(rows, G.S(5, 9)); err != nil {
						t.Fatal(err)
					}
					return vm.RunAll()
				}(), "engine")
				after, err := vm.State()
				if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("a failed compilation changed the state (%v)", err)
				}
				if err := G.UnsafeLet(rows, G.S(0, 2)); err != nil {
					t.Fatal(err)
				}
			}
			run(t, vm)
		}
		s, err := vm.State()
		if err != nil {
			t.Fatal(err)
		}
		l, err := vm.Losses()
		if err != nil {
			t.Fatal(err)
		}
		return s, l
	}
	plain, plainLosses := train(false)
	changed, changedLosses := train(true)
	if fmt.Sprint(plain, plainLosses) != fmt.Sprint(changed, changedLosses) || plain.Steps != 6 {
		t.Errorf("state %v and losses %v after recompiling, want %v and %v", changed, changedLosses, plain, plainLosses)
	}
	// With another slice in the middle the moments go on from where they were.
	m, rows := sliced(t, false)
	vm := newVM(t, m.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, m.loss, m.w...))
	run(t, vm)
	before, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := G.UnsafeLet(rows, G.S(3, 5)); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	got, err := vm.State()
	if err != nil {
		t.Fatal(err)
	}
	other, otherRows := sliced(t, false)
	if err := G.UnsafeLet(otherRows, G.S(3, 5)); err != nil {
		t.Fatal(err)
	}
	fresh := newVM(t, other.g, engine.WithUpdate(kernels.Optimizer{Rate: 0.1}, other.loss, other.w...))
	if err := fresh.Restore(before); err != nil {
		t.Fatal(err)
	}
	run(t, fresh)
	want, err := fresh.State()
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("state %v after the slice changed, want %v (%v)", got, want, err)
	}
}

// Batch norm in training and in evaluation mode, changed between runs, is the TapeMachine's.
func TestBatchNormModes(t *testing.T) {
	type norm struct {
		*model
		op *G.BatchNormOp
	}
	build := func() norm {
		m := &model{g: G.NewGraph()}
		m.x = input(m.g, "x", normals(1, 4, 2, 3, 3))
		scale, bias := input(m.g, "scale", normals(2, 1, 2, 3, 3)), input(m.g, "bias", normals(3, 1, 2, 3, 3))
		out, _, _, op, err := G.BatchNorm(m.x, scale, bias, 0.9, 1e-5)
		if err != nil {
			t.Skipf("BatchNorm cannot be built: %v", err)
		}
		m.out = G.Must(G.Tanh(out))
		return norm{m, op}
	}
	ours, theirs := build(), build()
	vm := newVM(t, ours.g)
	tape := G.NewTapeMachine(theirs.g)
	defer tape.Close()
	for i, training := range []bool{true, true, false, false, true, false} {
		for _, n := range []norm{ours, theirs} {
			if err := n.op.SetTraining(training); err != nil {
				t.Fatal(err)
			}
			if err := G.Let(n.x, normals(uint64(40+i), 4, 2, 3, 3)); err != nil {
				t.Fatal(err)
			}
		}
		run(t, vm)
		run(t, tape)
		tape.Reset()
		same(t, fmt.Sprintf("run %d, training %v", i, training), ours.out.Value(), theirs.out.Value(), tol)
	}
}

func TestDropoutModes(t *testing.T) {
	build := func() (*G.ExprGraph, *G.Node, *G.Node) {
		g := G.NewGraph()
		x := input(g, "x", normals(1, 40, 50))
		return g, x, G.Must(G.Dropout(x, 0.25))
	}
	zeros := func(n *G.Node) int {
		z := 0
		for _, v := range floats(t, n.Value()) {
			if v == 0 {
				z++
			}
		}
		return z
	}
	g, x, d := build()
	mode := d.Op().(G.TrainModeOp)
	if err := mode.SetTraining(false); err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, g) // training mode, as NewTapeMachine
	run(t, vm)
	first := floats(t, d.Value())
	if z := zeros(d); z < 400 || z > 600 {
		t.Errorf("training: %d of 2000 elements are 0, want about 500", z)
	}
	run(t, vm)
	if again := floats(t, d.Value()); fmt.Sprint(again) == fmt.Sprint(first) {
		t.Error("two runs drop the same elements")
	}
	if err := mode.SetTraining(false); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	same(t, "evaluation", d.Value(), x.Value(), tol)
	if err := mode.SetTraining(true); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	if z := zeros(d); z < 400 || z > 600 {
		t.Errorf("training again: %d of 2000 elements are 0, want about 500", z)
	}
	g, x, d = build()
	eval := newVM(t, g, engine.EvalMode())
	run(t, eval)
	same(t, "EvalMode", d.Value(), x.Value(), tol)
}

// Inputs of other element types, views and column-major tensors are fed as what they are.
func TestInputLayouts(t *testing.T) {
	base := normals(1, 4, 6)
	column := tensor.New(tensor.WithShape(3, 2), tensor.AsFortran([]float64{1, 2, 3, 4, 5, 6}))
	transposed := normals(2, 2, 3)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	cut := func(slices ...tensor.Slice) *tensor.Dense {
		t.Helper()
		v, err := base.Slice(slices...)
		if err != nil {
			t.Fatal(err)
		}
		return v.(*tensor.Dense)
	}
	for name, v := range map[string]*tensor.Dense{
		"column-major":      column,
		"transposed":        transposed,
		"rows":              cut(G.S(1, 4)),
		"columns":           cut(nil, G.S(1, 3)),
		"every other":       cut(G.S(0, 4, 2), G.S(1, 6, 2)),
		"a column":          cut(nil, G.S(2)),
		"a row":             cut(G.S(2)),
		"one element":       cut(G.S(2), G.S(3)),
		"one row, 2 of it":  cut(G.S(2, 3), G.S(3, 5)),
		"three dimensions":  normals(3, 2, 3, 4),
		"single precision":  dense([]float32{1, 2, 3, 4}, 2, 2),
		"a vector of one":   dense([]float64{3}, 1),
		"a matrix of one":   dense([]float64{3}, 1, 1),
		"a vector of three": dense([]float64{3, 4, 5}, 3),
	} {
		g := G.NewGraph()
		var x *G.Node
		if v.Dims() == 0 {
			x = G.NewScalar(g, v.Dtype(), G.WithName("x"), G.WithValue(v))
		} else {
			x = input(g, "x", v)
		}
		y := G.Must(G.Neg(x))
		want := floats(t, v)
		vm := newVM(t, g)
		run(t, vm)
		got := floats(t, y.Value())
		if len(got) != len(want) {
			t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if got[i] != -want[i] {
				t.Errorf("%s: element %d is %v, want %v", name, i, got[i], -want[i])
				break
			}
		}
		if !y.Value().Shape().Eq(x.Shape()) || y.Value().Dtype() != x.Dtype() {
			t.Errorf("%s: the value is %v of shape %v", name, y.Value().Dtype(), y.Value().Shape())
		}
	}
}

// Minibatches by UnsafeLet cost no allocation, whether or not the slice moves.
func TestMovingSlicesDoNotAllocate(t *testing.T) {
	g := G.NewGraph()
	x := input(g, "x", normals(1, 64, 3))
	s := G.Must(G.Slice(x, G.S(0, 8)))
	y := G.Must(G.Sum(G.Must(G.Square(s))))
	vm := newVM(t, g, engine.Outputs(y))
	bounds := []tensor.Slice{G.S(8, 16), G.S(56, 64), G.S(0, 8)}
	i := 0
	move := func() {
		i++
		if err := G.UnsafeLet(s, bounds[i%len(bounds)]); err != nil {
			t.Fatal(err)
		}
		run(t, vm)
	}
	for range 2 * len(bounds) {
		move()
		want := 0.
		for _, v := range floats(t, x.Value())[3*bounds[i%len(bounds)].Start() : 3*bounds[i%len(bounds)].End()] {
			want += v * v
		}
		same(t, "a minibatch", y.Value(), dense([]float64{want}), tol)
	}
	if n := testing.AllocsPerRun(10, move); n != 0 {
		t.Errorf("a moving minibatch allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() { run(t, vm) }); n != 0 {
		t.Errorf("a minibatch that stays allocates %v times", n)
	}
}
