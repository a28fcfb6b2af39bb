package autodiff

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// evaluate runs g node by node, each op on copies of its inputs' values, so that nothing can be written over: what
// the TapeMachine ought to give. The inputs' values are those bound to them.
func evaluate(g *G.ExprGraph) (map[*G.Node]G.Value, error) {
	values := make(map[*G.Node]G.Value)
	for _, n := range g.AllNodes() {
		if isStatement(n) {
			continue
		}
		in, err := inputsOf(g, n)
		if err != nil {
			return nil, err
		}
		if len(in) == 0 {
			if n.Value() == nil {
				return nil, fmt.Errorf("%s has no value", describe(n))
			}
			values[n] = n.Value()
			continue
		}
		args := make([]G.Value, len(in))
		for i, m := range in {
			if args[i], err = G.CloneValue(values[m]); err != nil {
				return nil, err
			}
		}
		if values[n], err = n.Op().Do(args...); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(n), err)
		}
	}
	return values, nil
}

// numbers returns the elements of v.
func numbers(t testing.TB, v G.Value) []float64 {
	t.Helper()
	if v == nil {
		t.Fatal("no value")
	}
	if v.Dtype() == tensor.Float32 {
		e, err := elements[float32](v)
		if err != nil {
			t.Fatal(err)
		}
		return check.Copy[float64](e)
	}
	e, err := elements[float64](v)
	if err != nil {
		t.Fatal(err)
	}
	return append([]float64{}, e...)
}

// let binds values to an input.
func let(t testing.TB, n *G.Node, x ...float64) {
	t.Helper()
	v := zeroValue(n)
	switch v := v.(type) {
	case *G.F64:
		*v = G.F64(x[0])
	case *G.F32:
		*v = G.F32(x[0])
	case *tensor.Dense:
		switch d := v.Data().(type) {
		case []float64:
			copy(d, x)
		case []float32:
			copy(d, check.Copy[float32](x))
		}
	}
	if err := G.Let(n, v); err != nil {
		t.Fatal(err)
	}
}

// runTape returns the values of nodes after a run of g on the TapeMachine.
func runTape(t testing.TB, g *G.ExprGraph, nodes ...*G.Node) [][]float64 {
	t.Helper()
	reads := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &reads[i])
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := make([][]float64, len(nodes))
	for i, v := range reads {
		got[i] = numbers(t, v)
	}
	return got
}

// agree runs g on the TapeMachine and compares nodes with what evaluate gives, whose values it returns.
func agree(t testing.TB, g *G.ExprGraph, nodes ...*G.Node) [][]float64 {
	t.Helper()
	want, err := evaluate(g)
	if err != nil {
		t.Fatal(err)
	}
	values := make([][]float64, len(nodes))
	for i, n := range nodes {
		values[i] = numbers(t, want[n]) // before the TapeMachine may write over an input
	}
	for i, got := range runTape(t, g, nodes...) {
		check.Close(t, fmt.Sprintf("%s on the TapeMachine", describe(nodes[i])), got, values[i], 1e-12)
	}
	return values
}

func vector(g *G.ExprGraph, name string, n int) *G.Node {
	return G.NewVector(g, tensor.Float64, G.WithShape(n), G.WithName(name))
}

func matrix(g *G.ExprGraph, name string, r, c int) *G.Node {
	return G.NewMatrix(g, tensor.Float64, G.WithShape(r, c), G.WithName(name))
}

func scalar(g *G.ExprGraph, name string) *G.Node {
	return G.NewScalar(g, tensor.Float64, G.WithName(name))
}

// total is the scalar sum of w*n with an input w, so that the gradient of n is not trivial. w's values are 0.5, 1.5,
// 2.5, ...
func total(t testing.TB, n *G.Node, name string) *G.Node {
	t.Helper()
	w := G.NewTensor(n.Graph(), n.Dtype(), n.Dims(), G.WithShape(n.Shape()...), G.WithName(name))
	ramp(t, w, 0.5, 1)
	return G.Must(G.Sum(G.Must(G.HadamardProd(w, n))))
}

// ramp binds first, first+step, ... to n.
func ramp(t testing.TB, n *G.Node, first, step float64) []float64 {
	t.Helper()
	x := make([]float64, size(n))
	for i := range x {
		x[i] = first + step*float64(i)
	}
	let(t, n, x...)
	return x
}

func mustGradients(t testing.TB, out *G.Node, wrt ...*G.Node) G.Nodes {
	t.Helper()
	grads, err := Gradients(out, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	return grads
}

func sin(x float64) float64    { return math.Sin(x) }
func cos(x float64) float64    { return math.Cos(x) }
func tanh(x float64) float64   { return math.Tanh(x) }
func square(x float64) float64 { return x * x }
