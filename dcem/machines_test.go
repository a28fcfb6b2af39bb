package dcem

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// solveGraph is a solve with bounds and a floor: the loss is a function of the answer, the inputs all that it depends on.
func solveGraph(t *testing.T, dt tensor.Dtype) (u *Unrolled, loss *G.Node, inputs G.Nodes) {
	t.Helper()
	g := G.NewGraph()
	c := Config{Batch: 2, Dim: 2, Samples: 9, Elites: 3, Iterations: 3, Dtype: dt, SigmaMin: 0.01,
		Lower: []float64{-0.6}, Upper: []float64{2}}
	theta := start(c)
	input := func(name string, rows int) *G.Node {
		n := rows * c.Dim
		x := G.NewMatrix(g, dt, G.WithShape(rows, c.Dim), G.WithName(name), G.WithValue(dense(dt, theta[:n], rows, c.Dim)))
		inputs, theta = append(inputs, x), theta[n:]
		return x
	}
	c.MuNode, c.SigmaNode = input("mu", c.Batch), input("sigma", c.Batch)
	// bowl in ops that the LispMachine differentiates too.
	a, b := input("a", 1), input("b", 1)
	objective := func(x *G.Node) (*G.Node, error) {
		spread := func(n *G.Node) *G.Node {
			flat := G.Must(autodiff.Expand(n, c.Batch*c.Samples, c.Dim))
			return G.Must(autodiff.Reshape(flat, c.Batch, c.Samples, c.Dim))
		}
		r := G.Must(G.Sub(G.Must(G.HadamardProd(x, spread(a))), spread(b)))
		return G.Sum(G.Must(G.Add(G.Must(G.HadamardProd(r, r)), G.Must(G.Sin(x)))), 2)
	}
	u, err := Unroll(g, objective, c)
	if err != nil {
		t.Fatal(err)
	}
	return u, G.Must(G.Sum(G.Must(G.Cube(u.Answer)))), inputs
}

// The last sigma leads to no loss that is a function of the answer alone, and the LispMachine takes no graph with
// such a root; it takes the subgraph of the loss.
func TestLispMachineOnAWholeSolve(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		tol := 1e-13 // the same kernels; only the order of a few sums differs
		if dt == tensor.Float32 {
			tol = 1e-5
		}
		run := func(vm G.VM) {
			t.Helper()
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
		}
		_, loss, inputs := solveGraph(t, dt)
		grads, err := autodiff.Gradients(loss, inputs...)
		if err != nil {
			t.Fatal(err)
		}
		run(G.NewTapeMachine(loss.Graph()))
		want := [][]float64{floats(t, loss.Value())}
		for _, n := range grads {
			want = append(want, floats(t, n.Value()))
		}

		_, loss, inputs = solveGraph(t, dt)
		run(G.NewLispMachine(loss.Graph().SubgraphRoots(loss)))
		check.Close(t, fmt.Sprint(dt, ": loss"), floats(t, loss.Value()), want[0], tol)
		for i, n := range inputs {
			d, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			check.Close(t, fmt.Sprint(dt, ": gradient of ", n), floats(t, d), want[i+1], tol)
		}
	}
}

// Nothing in the graphs of this package is what the TapeMachine computes wrongly without a word.
func TestGraphsPassTheCheck(t *testing.T) {
	for name, build := range map[string]func() *G.ExprGraph{
		"Unroll": func() *G.ExprGraph {
			u, loss, inputs := solveGraph(t, tensor.Float64)
			if _, err := u.Keep(); err != nil {
				t.Fatal(err)
			}
			if _, err := autodiff.Gradients(loss, inputs...); err != nil {
				t.Fatal(err)
			}
			return loss.Graph()
		},
		"Unroll, gorgonia.Grad": func() *G.ExprGraph {
			_, loss, inputs := solveGraph(t, tensor.Float32)
			if _, err := G.Grad(loss, inputs...); err != nil {
				t.Fatal(err)
			}
			return loss.Graph()
		},
		"the tests' solve": func() *G.ExprGraph {
			c := Config{Batch: 2, Dim: 3, Samples: 12, Elites: 4, Iterations: 3}
			return newSolve(t, c, start(c), "autodiff").loss.Graph()
		},
		"UnrollGD": func() *G.ExprGraph {
			c := gdCases()["both bounds"]
			c.Dtype = tensor.Float64
			return newDescent(t, c, gdStart(c), true, true).loss.Graph()
		},
	} {
		if err := autodiff.Check(build()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bothMachines runs a graph on the TapeMachine and then on the engine, whose values stay, and compares the two at the
// graph's roots.
func bothMachines(t *testing.T, g *G.ExprGraph) G.VM {
	t.Helper()
	vm, err := engine.NewVM(g)
	if err != nil {
		t.Fatal(err)
	}
	return &agreeing{t: t, tape: G.NewTapeMachine(g), engine: vm, roots: g.Roots()}
}

type agreeing struct {
	t      *testing.T
	tape   G.VM
	engine *engine.VM
	roots  G.Nodes
}

func (m *agreeing) RunAll() error {
	m.t.Helper()
	if err := m.tape.RunAll(); err != nil {
		return err
	}
	var want [][]float64
	for _, n := range m.roots {
		want = append(want, floats(m.t, n.Value()))
	}
	m.tape.Reset()
	if err := m.engine.RunAll(); err != nil {
		return err
	}
	for i, n := range m.roots {
		// Sums in another order and functions that differ by two units in the last place, through at most four
		// iterations; in float32 the solves' own sensitivity, some hundreds, comes on top.
		tol := 1e-11
		if n.Dtype() == tensor.Float32 {
			tol = 1e-3
		}
		got, scale := floats(m.t, n.Value()), 1.0
		for _, v := range want[i] {
			if !math.IsInf(v, 0) {
				scale = max(scale, math.Abs(v))
			}
		}
		for j, v := range want[i] {
			if same := got[j] == v || math.IsNaN(v) && math.IsNaN(got[j]); !same && !(math.Abs(got[j]-v) <= tol*scale) {
				m.t.Errorf("%v[%d]: %v on the engine, %v on the TapeMachine", n, j, got[j], v)
				break
			}
		}
	}
	return nil
}

func (m *agreeing) Reset() { m.engine.Reset() }

func (m *agreeing) Close() error { return errors.Join(m.tape.Close(), m.engine.Close()) }
