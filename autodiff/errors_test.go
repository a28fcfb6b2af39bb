package autodiff

import (
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestErrors(t *testing.T) {
	g, other := G.NewGraph(), G.NewGraph()
	x, m := vector(g, "x", 3), matrix(g, "m", 2, 3)
	s := scalar(g, "s")
	run := G.NewScalar(g, tensor.Int64, G.WithName("run"))
	col := matrix(g, "col", 3, 1)
	x32 := G.NewVector(g, tensor.Float32, G.WithShape(3), G.WithName("x32"))
	sum := G.Must(G.Sum(x))
	elsewhere := vector(other, "x", 3)
	loose := G.NewConstant(1.0)
	grad := func(out *G.Node, wrt ...*G.Node) func() (G.Nodes, error) {
		return func() (G.Nodes, error) { return Gradients(out, wrt...) }
	}
	products := func(outs, seeds G.Nodes, wrt ...*G.Node) func() (G.Nodes, error) {
		return func() (G.Nodes, error) { return VJP(outs, seeds, wrt...) }
	}
	apply := func(op G.Op) *G.Node { return G.Must(G.Sum(G.Must(G.ApplyOp(op, x)))) }
	for _, c := range []struct {
		name string
		f    func() (G.Nodes, error)
		want []string // in the message
	}{
		{"nil out", grad(nil, x), []string{"out is nil"}},
		{"out in no graph", grad(loose, x), []string{"out", "no graph"}},
		{"out not a scalar", grad(x, x), []string{`"x"`, "(3)", "want a scalar"}},
		{"integer out", grad(run, x), []string{`"run"`, "int64", "want float32 or float64"}},
		{"no wrt", grad(sum), []string{"nothing to differentiate"}},
		{"nil wrt", grad(sum, x, nil), []string{"wrt[1] is nil"}},
		{"wrt in no graph", grad(sum, loose), []string{"wrt[0]", "no graph"}},
		{"wrt in another graph", grad(sum, elsewhere), []string{"wrt[0]", "different graphs"}},
		{"integer wrt", grad(sum, run), []string{`"run"`, "int64", "want float32 or float64"}},
		{"no outs", products(nil, nil, x), []string{"no outs"}},
		{"nil among outs", products(G.Nodes{sum, nil}, G.Nodes{s, s}, x), []string{"outs[1] is nil"}},
		{"outs in two graphs", products(G.Nodes{x, elsewhere}, G.Nodes{x, x}, x), []string{"outs[1]", "different graphs"}},
		{"too few seeds", products(G.Nodes{sum, x}, G.Nodes{s}, x), []string{"1 seeds for 2 outs"}},
		{"nil seed", products(G.Nodes{x}, G.Nodes{nil}, x), []string{"seeds[0] is nil"}},
		{"seed of another shape", products(G.Nodes{x}, G.Nodes{m}, x), []string{"seeds[0]", "(2, 3)", "(3)"}},
		{"seed of a shape that Gorgonia takes for the same", products(G.Nodes{x}, G.Nodes{col}, x), []string{"seeds[0]", "(3, 1)", "(3)"}},
		{"seed of another type", products(G.Nodes{x}, G.Nodes{x32}, x), []string{"seeds[0]", "float32", "float64"}},
		{"seed in another graph", products(G.Nodes{x}, G.Nodes{elsewhere}, x), []string{"seeds[0]", "different graph"}},
		{"op that panics", grad(apply(broken{how: "panics"}), x), []string{"broken panics", "panic: no"}},
		{"op that fails", grad(apply(broken{how: "fails"}), x), []string{"broken fails", "SymDiff", "no"}},
		{"op that gives too little", grad(apply(broken{how: "too few"}), x), []string{"broken too few", "0 nodes for 1 inputs"}},
		{"op that gives nil", grad(apply(broken{how: "nil"}), x), []string{"broken nil", "input 0", "none was given"}},
		{"op that gives another shape", grad(apply(broken{how: "shape"}), x), []string{"broken shape", "shape ()", "want (3)"}},
		{"op that cannot tell", grad(apply(broken{how: "DiffWRT panics"}), x), []string{"broken DiffWRT panics", "panicked: no"}},
		{"no SDOp", grad(apply(opaque{}), x), []string{"opaque", "not a gorgonia.SDOp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			grads, err := c.f()
			if err == nil || grads != nil {
				t.Fatalf("%v, %v, want an error", grads, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if !strings.HasPrefix(err.Error(), "autodiff: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: want one line that begins with the package", err)
			}
		})
	}
	// None of it has spoiled the graph.
	ramp(t, x, 1, 1)
	if v := numbers(t, mustValue(t, mustGradients(t, G.Must(G.Sum(G.Must(G.Square(x)))), x)[0])); v[2] != 6 {
		t.Errorf("after the errors the gradient is %v", v)
	}
}

// mustValue evaluates only what n needs: the graph has inputs without values.
func mustValue(t *testing.T, n *G.Node) G.Value {
	t.Helper()
	sub := n.Graph().ExactSubgraphRoots(n)
	vm := G.NewTapeMachine(sub)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	return n.Value()
}

// A graph from which a node was removed answers by its index with other nodes' inputs.
func TestRemovedNode(t *testing.T) {
	g := G.NewGraph()
	x := vector(g, "x", 3)
	stray := G.Must(G.Exp(x))
	out := G.Must(G.Sum(G.Must(G.Sin(x))))
	g.RemoveNode(stray)
	if _, err := Gradients(out, x); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("%v, want an error that says that a node was removed", err)
	}
}

func TestConstantSeeds(t *testing.T) {
	g := G.NewGraph()
	x := vector(g, "x", 2)
	ramp(t, x, 1, 1)
	one := func(v ...float64) *G.Node {
		return G.NewConstant(tensor.New(tensor.WithShape(2), tensor.WithBacking(v)), G.WithName("c"))
	}
	y := G.Must(G.Square(x))
	if _, err := VJP(G.Nodes{y}, G.Nodes{one(1, 2)}, x); err != nil {
		t.Error(err)
	}
	// Gorgonia would take this for the one before.
	if _, err := VJP(G.Nodes{y}, G.Nodes{one(5, 7)}, x); err == nil || !strings.Contains(err.Error(), `another constant named "c"`) {
		t.Errorf("%v, want an error about the name", err)
	}
}

func TestReshapeAndExpandArguments(t *testing.T) {
	g := G.NewGraph()
	x := matrix(g, "x", 2, 3)
	run := G.NewScalar(g, tensor.Int64, G.WithName("run"))
	for _, c := range []struct {
		f     func(n *G.Node, shape ...int) (*G.Node, error)
		n     *G.Node
		shape []int
		want  string
	}{
		{Reshape, nil, sh(6), "is nil"}, {Reshape, x, sh(5), "6 elements (shape (2, 3)), want the 5 of shape (5)"},
		{Reshape, x, sh(), "want the 1 of shape ()"}, {Reshape, x, sh(-1, 6), "dimension 0 is -1"}, {Reshape, x, sh(0), "dimension 0 is 0"},
		{Reshape, run, sh(1), "int64"}, {Reshape, G.NewConstant(1.0), sh(1), "no graph"},
		{Expand, nil, sh(6), "is nil"}, {Expand, run, sh(2), "int64"}, {Expand, G.NewConstant(1.0), sh(2), "no graph"},
		{Expand, x, sh(2, 4), "shape (2, 3), which does not expand to (2, 4)"}, {Expand, x, sh(3), "does not expand to (3)"},
		{Expand, x, sh(2, 3, 1), "does not expand"}, {Expand, x, sh(0, 2, 3), "does not expand"}, {Expand, x, sh(), "does not expand to ()"},
	} {
		if n, err := c.f(c.n, c.shape...); n != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("to %v: %v, %v, want an error that says %q", c.shape, n, err, c.want)
		}
	}
}
