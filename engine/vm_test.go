package engine_test

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// sameNodes compares every node of two graphs that were built alike.
func sameNodes(t *testing.T, what string, got, want *G.ExprGraph) {
	t.Helper()
	a, b := got.AllNodes(), want.AllNodes()
	if len(a) != len(b) {
		t.Fatalf("%s: %d nodes, want %d", what, len(a), len(b))
	}
	compared := 0
	for i := range a {
		if b[i].Value() == nil {
			continue // a statement
		}
		same(t, fmt.Sprintf("%s: node %d, %v", what, i, b[i].Name()), a[i].Value(), b[i].Value(), tol)
		kind := func(v G.Value) string { return fmt.Sprintf("a %T of shape %v", v, v.Shape()) }
		if x := a[i].Value(); x != nil && kind(x) != kind(b[i].Value()) {
			t.Errorf("%s: node %d, %v, is %s, want %s", what, i, b[i].Name(), kind(x), kind(b[i].Value()))
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("%s: only %d values were compared", what, compared)
	}
}

// Every node, interior and gradient ones too, has the value that it has on the TapeMachine (made to copy values,
// which its ops otherwise overwrite), over several runs with inputs that change.
func TestValuesAreThoseOfTheTapeMachine(t *testing.T) {
	t.Run("here", func(t *testing.T) { sameAsTape(t) })
	t.Run("far", func(t *testing.T) { sameAsTape(t, engine.On(far())) })
}

func sameAsTape(t *testing.T, opts ...engine.Option) {
	ours, theirs := mlp(t, true), mlp(t, true)
	vm := newVM(t, ours.g, opts...)
	tape := G.NewTapeMachine(theirs.g, G.TraceExec())
	defer tape.Close()
	for step := range 3 {
		for _, m := range []*model{ours, theirs} {
			switch step {
			case 1: // another value object
				if err := G.Let(m.x, normals(11, 8, 3)); err != nil {
					t.Fatal(err)
				}
			case 2: // the same one, changed in place
				m.x.Value().Data().([]float64)[5] = 17
			}
		}
		run(t, vm)
		run(t, tape)
		sameNodes(t, fmt.Sprintf("run %d", step), ours.g, theirs.g)
		for i, w := range ours.w {
			a, err := w.Grad()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := theirs.w[i].Grad()
			same(t, "the gradient of "+w.Name(), a, b, tol)
		}
		vm.Reset()
		tape.Reset()
	}
}

func TestGraphsThatTheTapeMachineTakes(t *testing.T) {
	var read, set, again G.Value
	for name, build := range map[string]func(g *G.ExprGraph){
		"disconnected": func(g *G.ExprGraph) {
			a, b := input(g, "a", normals(1, 3)), input(g, "b", normals(2, 2, 2))
			G.Must(G.Exp(a))
			G.Must(G.Tanh(b))
			G.Must(G.Neg(G.Must(G.Log1p(G.Must(G.Square(a))))))
		},
		"a root that is a statement": func(g *G.ExprGraph) {
			a := input(g, "a", normals(1, 3))
			b := G.Must(G.Sigmoid(G.Must(G.Exp(a))))
			G.Must(G.Exp(b))
			G.Must(G.Square(a))
			G.Read(b, &read)
		},
		"scalars": func(g *G.ExprGraph) {
			a := G.NewScalar(g, tensor.Float64, G.WithName("a"), G.WithValue(2.0))
			b := G.NewScalar(g, tensor.Float64, G.WithName("b"), G.WithValue(3.0))
			c := G.Must(G.Add(G.Must(G.Mul(a, b)), a))
			v := input(g, "v", normals(1, 4))
			G.Must(G.Mul(v, G.Must(G.Tanh(c))))
		},
		"one element in a vector": func(g *G.ExprGraph) {
			a, b := input(g, "a", dense([]float64{2}, 1)), input(g, "b", dense([]float64{3}, 1))
			G.Must(G.Exp(G.Must(G.HadamardProd(a, G.Must(G.Add(a, b))))))
		},
		"scalars in vectors": func(g *G.ExprGraph) {
			a, b := input(g, "a", normals(1, 3)), input(g, "b", normals(2, 3))
			c, err := G.Tensordot([]int{0}, []int{0}, a, b)
			if err != nil {
				t.Fatal(err)
			}
			G.Must(G.Tanh(G.Must(G.Neg(c))))
		},
		"set": func(g *G.ExprGraph) {
			a, b := input(g, "a", normals(1, 3)), input(g, "b", normals(2, 3))
			c := G.Must(G.Add(a, G.Must(G.Exp(b))))
			G.Must(G.Square(c))
			G.Set(a, c)
			G.Read(c, &set)
		},
		"read of an input": func(g *G.ExprGraph) {
			a := input(g, "a", normals(1, 3))
			G.Must(G.Neg(G.Must(G.Exp(G.Must(G.Exp(G.Must(G.Tanh(a))))))))
			G.Read(a, &again)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := G.NewGraph(), G.NewGraph()
			build(ours)
			vm := newVM(t, ours)
			run(t, vm)
			got := []G.Value{read, set, again}
			read, set, again = nil, nil, nil
			build(theirs)
			tape := G.NewTapeMachine(theirs, G.TraceExec())
			defer tape.Close()
			run(t, tape)
			for i, want := range []G.Value{read, set, again} {
				if want != nil {
					same(t, "what was read", got[i], want, tol)
				}
			}
			read, set, again = nil, nil, nil
			sameNodes(t, name, ours, theirs)
		})
	}
}

func TestRead(t *testing.T) {
	m := mlp(t, false)
	var hidden, loss G.Value
	G.Read(m.hidden, &hidden)
	G.Read(m.loss, &loss)
	vm := newVM(t, m.g, engine.Outputs())
	run(t, vm)
	same(t, "hidden", hidden, m.hidden.Value(), 0)
	same(t, "loss", loss, m.loss.Value(), 0)
	// The same objects are written to, as on the TapeMachine, and are the reader's own.
	first, at := loss, hidden
	before := floats(t, hidden)
	m.hidden.Value().Data().([]float64)[0] = 1e9
	if got := floats(t, hidden); got[0] != before[0] {
		t.Errorf("writing to the node's value changed what was read: %v", got[0])
	}
	if err := G.Let(m.x, normals(12, 8, 3)); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	if loss != first || hidden != at {
		t.Error("a second run put another value object where it read into")
	}
	same(t, "hidden, second run", hidden, m.hidden.Value(), 0)
	if floats(t, hidden)[0] == before[0] {
		t.Error("a second run with another input read the same")
	}
	// Taken away, they are made anew; of another shape, they are an error.
	hidden = nil
	run(t, vm)
	same(t, "hidden, third run", hidden, m.hidden.Value(), 0)
	hidden = G.NewF64(1)
	hasParts(t, "a read into a scalar", vm.RunAll(), "tanh", "F64")
	hidden = nil
	run(t, vm)
}

// What solvers and callers do to values is undone by the next run, also where values are constants, inputs seen
// through an op, or one place that several nodes share.
func TestValuesBelongToTheCaller(t *testing.T) {
	g := G.NewGraph()
	a, b := input(g, "a", normals(1, 2, 3)), input(g, "b", normals(2, 2, 3))
	shaped := G.Must(G.Reshape(a, tensor.Shape{3, 2})) // the input's elements
	cost := G.Must(G.Sum(G.Must(G.Add(a, b))))         // constant gradients, one for both
	twice := G.Must(G.Add(G.Must(G.Exp(a)), G.Must(G.Exp(b))))
	if _, err := G.Grad(cost, a, b); err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, g)
	run(t, vm)
	want := make(map[*G.Node][]float64)
	for _, n := range g.AllNodes() {
		if n.Op() != nil {
			want[n] = floats(t, n.Value())
		}
	}
	for _, n := range []*G.Node{shaped, cost, twice, a.Deriv(), b.Deriv()} {
		switch v := n.Value().(type) {
		case *tensor.Dense:
			v.Zero()
		case *G.F64:
			*v = 0
		default:
			t.Fatalf("%v has a %T", n, v)
		}
	}
	if got := floats(t, a.Value()); got[0] == 0 {
		t.Error("writing to a reshaped input changed the input")
	}
	run(t, vm)
	for _, n := range g.AllNodes() {
		if n.Op() == nil {
			continue
		}
		got := floats(t, n.Value())
		for i := range got {
			if got[i] != want[n][i] {
				t.Errorf("%v: element %d is %v after its value was written to, want %v", n, i, got[i], want[n][i])
				break
			}
		}
	}
}

// Gradients that passes merge into one are the solver's to change one by one.
func TestGradientsDoNotShareMemory(t *testing.T) {
	g := G.NewGraph()
	a, b, c := input(g, "a", normals(1, 4)), input(g, "b", normals(2, 4)), input(g, "c", normals(3, 4))
	// d/da = exp(c), d/db = exp(-(-c)), which are one after the passes.
	left := G.Must(G.Sum(G.Must(G.HadamardProd(a, G.Must(G.Exp(c))))))
	right := G.Must(G.Sum(G.Must(G.HadamardProd(b, G.Must(G.Exp(G.Must(G.Neg(G.Must(G.Neg(c))))))))))
	if _, err := G.Grad(G.Must(G.Add(left, right)), a, b); err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, g)
	run(t, vm)
	if a.Deriv() == b.Deriv() {
		t.Fatal("Gorgonia gives both inputs one gradient node")
	}
	da, _ := a.Grad()
	want := floats(t, da)
	db, _ := b.Grad()
	same(t, "the two gradients", da, db, 0)
	db.(*tensor.Dense).Zero()
	if got := floats(t, da); got[0] != want[0] {
		t.Error("zeroing b's gradient zeroed a's")
	}
}

// mortal is the interpreter, whose memory is gone after Close.
func mortal() engine.Device {
	ref, err := engine.Open("ref")
	if err != nil {
		panic(err)
	}
	return device{"mortal", func(p *plan.Program) (backend.Executable, error) {
		e, err := ref.Compile(p)
		return dying{e, p}, err
	}}
}

type dying struct {
	backend.Executable
	p *plan.Program
}

func (d dying) Close() error {
	for i := range d.p.Buffers {
		if m, ok := d.Memory(plan.BufID(i)).([]float64); ok {
			check.Poison(m)
		}
	}
	return d.Executable.Close()
}

func TestValuesAfterClose(t *testing.T) {
	m := mlp(t, true)
	vm, err := engine.NewVM(m.g, engine.On(mortal()))
	if err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	want := floats(t, m.out.Value())
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	got := floats(t, m.out.Value())
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("element %d is %v after Close, want %v", i, got[i], want[i])
		}
	}
	if err := vm.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	hasParts(t, "RunAll after Close", vm.RunAll(), "RunAll", "closed")
	_, err = vm.State()
	hasParts(t, "State after Close", err, "closed")
}

// Gorgonia's pool takes tensors from nodes; another VM on the graph binds values of its own.
func TestOthersRebindValues(t *testing.T) {
	m := mlp(t, true)
	vm := newVM(t, m.g)
	other := newVM(t, m.g)
	run(t, vm)
	want := floats(t, m.out.Value())
	m.g.UnbindAllNonInputs()
	for range 50 { // the pool gives our tensors to others
		tensor.New(tensor.WithShape(8, 2), tensor.Of(tensor.Float64)).Zero()
	}
	if m.out.Value() != nil {
		t.Fatal("UnbindAllNonInputs left a value")
	}
	run(t, vm)
	same(t, "after UnbindAllNonInputs", m.out.Value(), dense(want, 8, 2), 0)
	if err := G.Let(m.x, normals(31, 8, 3)); err != nil {
		t.Fatal(err)
	}
	run(t, other)
	theirs := floats(t, m.out.Value())
	run(t, vm)
	same(t, "the last VM that ran", m.out.Value(), dense(theirs, 8, 2), 0)
	if err := G.UnsafeLet(m.out, normals(4, 8, 2)); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	same(t, "after UnsafeLet of an interior node", m.out.Value(), dense(theirs, 8, 2), 0)
}

func TestWhichNodesHaveValues(t *testing.T) {
	m := mlp(t, true)
	first := newVM(t, m.g)
	run(t, first)
	vm := newVM(t, m.g, engine.Outputs(m.hidden), engine.BindDualValues(m.w[0]))
	if m.out.Value() != nil {
		t.Error("a node that is not kept has the value of another VM")
	}
	_, err := vm.Value(m.hidden)
	hasParts(t, "Value before a run", err, "tanh", "before the first RunAll")
	run(t, vm)
	for _, n := range []*G.Node{m.hidden, m.x, m.w[0].Deriv()} {
		if v, err := vm.Value(n); err != nil || v == nil || v != n.Value() {
			t.Errorf("Value(%v) = %v, %v; the node has %v", n, v, err, n.Value())
		}
	}
	if m.out.Value() != nil {
		t.Errorf("a node that is not named has the value %v", m.out.Value())
	}
	_, err = vm.Value(m.out)
	hasParts(t, "Value of a node that is not kept", err, m.out.Name()[:5], "(8, 2)", "engine.Outputs")
	roots := 0
	for _, n := range m.g.AllNodes() {
		if n.Op() != nil && m.g.To(n.ID()).Len() == 0 && n.Value() == nil {
			t.Errorf("the root %v has no value", n)
		} else if n.Op() != nil && m.g.To(n.ID()).Len() == 0 {
			roots++
		}
	}
	if roots == 0 {
		t.Error("no roots were looked at")
	}
	_, err = vm.Value(nil)
	hasParts(t, "Value of nil", err, "nil")
	_, err = vm.Value(mlp(t, false).x)
	hasParts(t, "Value of another graph's node", err, `"x"`, "not a node of the VM's graph")
}

func TestEveryRunAllRuns(t *testing.T) {
	m := mlp(t, false)
	vm := newVM(t, m.g)
	run(t, vm)
	m.x.Value().Data().([]float64)[0] = 3
	before := floats(t, m.out.Value())
	run(t, vm) // without Reset
	if after := floats(t, m.out.Value()); after[0] == before[0] {
		t.Error("RunAll without Reset did not see the changed input")
	}
}
