package engine_test

import (
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// linear is a linear regression with a scalar offset: m.w are the weights (3, 1) and the offset.
func linear(t testing.TB) *model {
	t.Helper()
	m := &model{g: G.NewGraph()}
	m.x, m.y = input(m.g, "x", normals(1, 12, 3)), input(m.g, "y", normals(2, 12, 1))
	w := input(m.g, "w", normals(3, 3, 1))
	b := G.NewScalar(m.g, tensor.Float64, G.WithName("b"), G.WithValue(0.5))
	m.w = G.Nodes{w, b}
	m.out = G.Must(G.Add(G.Must(G.Mul(m.x, w)), b))
	m.loss = G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(m.out, m.y))))))
	if _, err := G.Grad(m.loss, m.w...); err != nil {
		t.Fatal(err)
	}
	return m
}

// Gorgonia's solvers move the weights as they do on the TapeMachine, with and without BindDualValues.
func TestSolvers(t *testing.T) {
	for _, s := range []struct {
		name string
		new  func() G.Solver
	}{
		{"Adam", func() G.Solver { return G.NewAdamSolver(G.WithLearnRate(0.05)) }},
		{"Adam, clipped, with decay", func() G.Solver {
			return G.NewAdamSolver(G.WithLearnRate(0.05), G.WithClip(0.1), G.WithL2Reg(1e-3))
		}},
		{"RMSProp", func() G.Solver { return G.NewRMSPropSolver(G.WithLearnRate(0.05)) }},
		{"Momentum", func() G.Solver { return G.NewMomentum(G.WithLearnRate(0.05)) }},
		{"Vanilla", func() G.Solver { return G.NewVanillaSolver(G.WithLearnRate(0.05), G.WithClip(0.5)) }},
	} {
		for _, b := range []struct {
			name string
			ours func(m *model) []engine.Option
			tape func(m *model) []G.VMOpt
		}{
			{"deriv nodes", func(*model) []engine.Option { return nil }, func(*model) []G.VMOpt { return nil }},
			{"all duals", func(*model) []engine.Option { return []engine.Option{engine.BindDualValues()} },
				func(*model) []G.VMOpt { return []G.VMOpt{G.BindDualValues()} }},
			{"named duals", func(m *model) []engine.Option { return []engine.Option{engine.BindDualValues(m.w...)} },
				func(m *model) []G.VMOpt { return []G.VMOpt{G.BindDualValues(m.w...)} }},
			{"only outputs and named duals",
				func(m *model) []engine.Option {
					return []engine.Option{engine.Outputs(), engine.BindDualValues(m.w...)}
				},
				func(m *model) []G.VMOpt { return []G.VMOpt{G.BindDualValues(m.w...)} }},
		} {
			t.Run(s.name+"/"+b.name, func(t *testing.T) {
				ours, theirs := linear(t), linear(t)
				vm := newVM(t, ours.g, b.ours(ours)...)
				tape := G.NewTapeMachine(theirs.g, b.tape(theirs)...)
				defer tape.Close()
				train := func(vm G.VM, m *model) {
					solver := s.new()
					for range 20 {
						run(t, vm)
						if err := solver.Step(G.NodesToValueGrads(m.w)); err != nil {
							t.Fatal(err)
						}
						vm.Reset()
					}
				}
				start := floats(t, ours.w[0].Value())
				train(vm, ours)
				train(tape, theirs)
				for i, w := range ours.w {
					same(t, w.Name(), w.Value(), theirs.w[i].Value(), tol)
				}
				if got := floats(t, ours.w[0].Value()); got[0] == start[0] {
					t.Error("the weights did not move")
				}
			})
		}
	}
}

// Without a solver's Step in between, bound gradients add up over runs, as on the TapeMachine.
func TestBoundGradientsAddUp(t *testing.T) {
	ours, theirs := linear(t), linear(t)
	vm := newVM(t, ours.g, engine.BindDualValues())
	tape := G.NewTapeMachine(theirs.g, G.BindDualValues(theirs.w...))
	defer tape.Close()
	for step := range 3 {
		run(t, vm)
		run(t, tape)
		tape.Reset()
		for i, w := range ours.w {
			a, err := w.Grad()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := theirs.w[i].Grad()
			same(t, w.Name(), a, b, tol)
			single := floats(t, w.Deriv().Value())[0]
			if got := floats(t, a)[0] / single; !(got > float64(step)+0.99 && got < float64(step)+1.01) {
				t.Errorf("run %d: the gradient of %s is %v times that of one run", step, w.Name(), got)
			}
		}
	}
	// A new value of the input keeps the gradient.
	before, _ := ours.w[0].Grad()
	if err := G.Let(ours.w[0], normals(9, 3, 1)); err != nil {
		t.Fatal(err)
	}
	run(t, vm)
	if after, _ := ours.w[0].Grad(); after != before {
		t.Error("Let of a new value made another gradient")
	}
}

// A gradient that is a constant of the graph is bound too.
func TestBoundGradientThatIsConstant(t *testing.T) {
	g := G.NewGraph()
	x := G.NewScalar(g, tensor.Float64, G.WithName("x"), G.WithValue(2.0))
	y := G.NewScalar(g, tensor.Float64, G.WithName("y"), G.WithValue(2.5))
	z := G.Must(G.Add(x, y))
	grads, err := G.Grad(z, x, y)
	if err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, g, engine.BindDualValues(x, y))
	run(t, vm)
	for i, n := range []*G.Node{x, y} {
		d, err := n.Grad()
		if err != nil || floats(t, d)[0] != 1 || floats(t, grads[i].Value())[0] != 1 {
			t.Errorf("the gradient of %v is %v, %v; its node has %v; want 1", n, d, err, grads[i].Value())
		}
	}
}

// A weight in a transposed view is moved where it lies.
func TestSolverOnAView(t *testing.T) {
	m := linear(t)
	view := normals(3, 1, 3)
	if err := view.T(); err != nil {
		t.Fatal(err)
	}
	if err := G.Let(m.w[0], view); err != nil {
		t.Fatal(err)
	}
	vm := newVM(t, m.g, engine.BindDualValues())
	run(t, vm)
	d, err := m.w[0].Grad()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "gradient", d, m.w[0].Deriv().Value(), 0)
}
