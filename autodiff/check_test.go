package autodiff

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestCheck(t *testing.T) {
	if err := Check(nil); err == nil {
		t.Error("no error for a nil graph")
	}
	for _, c := range []struct {
		name  string
		build func(g *G.ExprGraph)
		want  string // in the message; "" for none
	}{
		{"through the view, then the source is read", func(g *G.ExprGraph) {
			h := G.Must(G.Exp(matrix(g, "x", 2, 3)))
			G.Must(G.Add(G.Must(G.Reshape(h, tensor.Shape{6})), vector(g, "b", 6)))
			G.Must(G.Square(h))
		}, "writes over the value of node 1"},
		{"the source first", func(g *G.ExprGraph) {
			h := G.Must(G.Exp(matrix(g, "x", 2, 3)))
			r := G.Must(G.Reshape(h, tensor.Shape{6}))
			G.Must(G.Square(h))
			G.Must(G.Add(r, vector(g, "b", 6)))
		}, ""},
		{"an input through the view", func(g *G.ExprGraph) {
			x := matrix(g, "x", 2, 3)
			G.Must(G.Add(G.Must(G.Reshape(x, tensor.Shape{6})), vector(g, "b", 6)))
		}, `writes over the value of node 0 "x"`},
		{"an input through the view, as second operand of a scalar", func(g *G.ExprGraph) {
			x := matrix(g, "x", 2, 3)
			G.Must(G.Mul(scalar(g, "s"), G.Must(G.Reshape(x, tensor.Shape{6}))))
		}, `writes over the value of node 0 "x"`},
		{"the view is the second operand", func(g *G.ExprGraph) {
			x := matrix(g, "x", 2, 3)
			G.Must(G.Add(vector(g, "b", 6), G.Must(G.Reshape(x, tensor.Shape{6}))))
		}, ""},
		{"our Reshape", func(g *G.ExprGraph) {
			r, err := Reshape(matrix(g, "x", 2, 3), 6)
			if err != nil {
				t.Fatal(err)
			}
			G.Must(G.Add(r, vector(g, "b", 6)))
		}, ""},
		{"one op's read keeps the view alive", func(g *G.ExprGraph) {
			r := G.Must(G.Reshape(matrix(g, "x", 2, 3), tensor.Shape{6}))
			G.Must(G.Add(r, vector(g, "b", 6)))
			var v G.Value
			G.Read(r, &v)
		}, ""},
		{"sum over an inner axis", func(g *G.ExprGraph) {
			G.Must(G.Sum(G.NewTensor(g, tensor.Float64, 4, G.WithShape(2, 2, 3, 2), G.WithName("x")), 2))
		}, "axis 2 of 4 dimensions"},
		{"sums over other axes", func(g *G.ExprGraph) {
			x := G.NewTensor(g, tensor.Float64, 4, G.WithShape(2, 2, 3, 2), G.WithName("x"))
			for _, axes := range [][]int{{0}, {1}, {3}, {0, 1}, {1, 2}, {1, 3}, {0, 2}, {0, 1, 2}, nil} {
				G.Must(G.Sum(x, axes...))
			}
		}, ""},
		{"sum over two axes of five", func(g *G.ExprGraph) {
			G.Must(G.Sum(G.NewTensor(g, tensor.Float64, 5, G.WithShape(2, 3, 2, 5, 2), G.WithName("x")), 0, 3))
		}, "axis 2 of 4 dimensions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := G.NewGraph()
			c.build(g)
			err := Check(g)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Random graphs with gorgonia.Reshape: where Check finds nothing the TapeMachine's values are right, and a gradient
// that was added adds nothing for Check to find.
func TestCheckRandomGraphs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	clean, dirty, caught := 0, 0, 0
	for i := range 300 {
		g, x, out := randomGraph(t, rng)
		cleanBefore := Check(g) == nil
		if cleanBefore && i%2 == 0 { // alone it runs right, too
			agree(t, g, out)
			g, x, out = randomGraph(t, rng)
			cleanBefore = Check(g) == nil
		}
		grads := mustGradients(t, out, x)
		h := mustGradients(t, G.Must(G.Sum(G.Must(G.Square(grads[0])))), x)
		err := Check(g)
		if cleanBefore && err != nil {
			t.Fatalf("graph %d: the gradients brought in: %v", i, err)
		}
		if !cleanBefore {
			dirty++ // and clean now, where the gradients' own reading keeps the values alive
		}
		if err != nil {
			caught++
			continue
		}
		clean++
		x0 := numbers(t, x.Value())
		agree(t, g, out, grads[0], h[0])
		check.Close(t, "x after the run", numbers(t, x.Value()), x0, 0)
		if t.Failed() {
			t.Fatalf("graph %d", i)
		}
	}
	if clean < 50 || dirty < 50 || caught < 10 {
		t.Errorf("%d graphs without findings, %d with any before and %d after: the generator does not test much", clean, dirty, caught)
	}
}

// randomGraph combines nodes of 6 elements in the shapes (6), (2,3) and (3,2).
func randomGraph(t *testing.T, rng *rand.Rand) (g *G.ExprGraph, x, out *G.Node) {
	g = G.NewGraph()
	x = matrix(g, "x", 2, 3)
	b := vector(g, "b", 6)
	ramp(t, x, 0.2, 0.1)
	ramp(t, b, 1, 0.1)
	shapes := []tensor.Shape{{6}, {2, 3}, {3, 2}}
	nodes := G.Nodes{x, b}
	for range 4 + rng.IntN(6) {
		n := nodes[rng.IntN(len(nodes))]
		switch k := rng.IntN(10); {
		case k < 4:
			n = G.Must(G.Reshape(n, shapes[rng.IntN(3)].Clone()))
		case k < 5:
			n = G.Must(G.Tanh(n))
		case k < 6:
			n = G.Must(G.Sin(n))
		default:
			m := nodes[rng.IntN(len(nodes))]
			if !sameShape(m.Shape(), n.Shape()) {
				m = G.Must(G.Reshape(m, n.Shape()))
			}
			n = G.Must([]func(a, b *G.Node) (*G.Node, error){G.Add, G.Sub, G.HadamardProd, G.HadamardProd}[k-6](n, m))
		}
		nodes = append(nodes, n)
	}
	out = G.Must(G.Sum(G.Must(G.Sin(nodes[len(nodes)-1]))))
	for _, n := range nodes[:len(nodes)-1] {
		if rng.IntN(4) == 0 {
			out = G.Must(G.Add(out, G.Must(G.Sum(G.Must(G.Cos(n))))))
		}
	}
	return g, x, out
}

// Check takes the TapeMachine to run nodes in the order of their ids.
func TestOrderOfExecution(t *testing.T) {
	d, err := newDescent(3)
	if err != nil {
		t.Fatal(err)
	}
	mustGradients(t, d.loss, d.inputs...)
	sorted, err := G.Sort(d.g)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sorted { // roots first
		if want := int64(len(sorted) - 1 - i); n.ID() != want {
			t.Fatalf("node %d has place %d from the end", n.ID(), want)
		}
	}
}
