package bumps

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// input adds an input of the given type with float64 values to the graph.
func input(g *G.ExprGraph, dt tensor.Dtype, name string, v []float64, shape ...int) *G.Node {
	var backing any = append([]float64(nil), v...)
	if dt == tensor.Float32 {
		backing = check.Copy[float32](v)
	}
	return G.NodeFromAny(g, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing)), G.WithName(name))
}

// numbers are the elements of a value of either type.
func numbers(t *testing.T, v G.Value) []float64 {
	t.Helper()
	if v == nil {
		t.Fatal("no value")
	}
	switch d := v.Data().(type) {
	case []float64:
		return append([]float64(nil), d...)
	case []float32:
		return check.Copy[float64](d)
	case float64:
		return []float64{d}
	case float32:
		return []float64{float64(d)}
	}
	t.Fatalf("a value of type %T", v.Data())
	return nil
}

// randomParams are parameters around the program's.
func randomParams(r *rand.Rand) []float64 {
	p := Initial()
	for i := range p {
		p[i] += 0.5 * r.NormFloat64()
	}
	return p
}

func TestValue(t *testing.T) {
	// By hand: at the middle of a bump that stands alone, Z is its depth below the tilted plane.
	p := []float64{2, 10, 0.5, 0, 0, 0, 0, 0, 0}
	check.Close(t, "Z", []float64{Value(p, 10, 0.5), Value(p, 0, 0), Value(p, 10, 1.5)},
		[]float64{1.5*math.Cos(0.5) - 2, 0, 1.5*math.Cos(1.5) - 2/math.E}, 1e-15)
}

// The graph's Z and its gradients against the formula and finite differences, for odd shapes.
func TestObjective(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		b, n int
		dt   tensor.Dtype
		tol  float64
	}{
		{1, 2, tensor.Float64, 1e-14}, {2, 1, tensor.Float64, 1e-14}, {1, 37, tensor.Float64, 1e-14}, {3, 5, tensor.Float64, 1e-14},
		{1, 2, tensor.Float32, 2e-6}, {3, 50, tensor.Float32, 2e-6}, // a few roundings of 6e-8 on squares up to 20
	} {
		params, x, weight := randomParams(r), make([]float64, c.b*c.n*2), make([]float64, c.b*c.n)
		for i := range x {
			x[i] = 2 * r.NormFloat64()
		}
		for i := range weight {
			weight[i] = r.NormFloat64()
		}
		want := make([]float64, c.b*c.n)
		values := func(params, x []float64) (sum float64) {
			for i := range want {
				want[i] = Value(params, x[2*i], x[2*i+1])
				sum += weight[i] * want[i]
			}
			return sum
		}
		dParams := check.Gradient(func(p []float64) float64 { return values(p, x) }, params, 1e-3)
		dX := check.Gradient(func(x []float64) float64 { return values(params, x) }, x, 1e-3)
		values(params, x)

		for _, stock := range []bool{false, true} {
			g := G.NewGraph()
			pNode, xNode := input(g, c.dt, "params", params, NumParams), input(g, c.dt, "x", x, c.b, c.n, 2)
			objective, err := Objective(pNode)
			if err != nil {
				t.Fatal(err)
			}
			z, err := objective(xNode)
			if err != nil {
				t.Fatal(err)
			}
			total := G.Must(G.Sum(G.Must(G.HadamardProd(z, input(g, c.dt, "weight", weight, c.b, c.n)))))
			grad := autodiff.Gradients
			if stock {
				grad = G.Grad
			}
			grads, err := grad(total, pNode, xNode)
			if err != nil {
				t.Fatal(err)
			}
			var zValue, pGrad, xGrad G.Value
			G.Read(z, &zValue)
			G.Read(grads[0], &pGrad)
			G.Read(grads[1], &xGrad)
			vm := G.NewTapeMachine(g)
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			if err := vm.Close(); err != nil {
				t.Fatal(err)
			}
			name := map[bool]string{true: "gorgonia.Grad: ", false: "autodiff: "}[stock]
			check.Close(t, name+"Z", numbers(t, zValue), want, c.tol)
			// Differences of four points with step 1e-3 are good to some 1e-11.
			check.Close(t, name+"dZ/dparams", numbers(t, pGrad), dParams, math.Max(10*c.tol, 1e-10))
			check.Close(t, name+"dZ/dx", numbers(t, xGrad), dX, math.Max(10*c.tol, 1e-10))
		}
	}
}

func TestObjectiveErrors(t *testing.T) {
	g := G.NewGraph()
	for want, params := range map[string]*G.Node{
		"params = <nil>":  nil,
		"want a vector":   input(g, tensor.Float64, "short", make([]float64, 8), 8),
		"want float32 or": G.NodeFromAny(g, tensor.New(tensor.WithShape(9), tensor.WithBacking(make([]int, 9))), G.WithName("ints")),
	} {
		if _, err := Objective(params); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	objective, err := Objective(input(g, tensor.Float64, "params", Initial(), NumParams))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*G.Node{
		input(g, tensor.Float64, "matrix", make([]float64, 8), 4, 2),
		input(g, tensor.Float64, "three", make([]float64, 12), 1, 4, 3),
		input(g, tensor.Float64, "alone", make([]float64, 2), 1, 1, 2),
		input(g, tensor.Float32, "single", make([]float64, 8), 1, 4, 2),
	} {
		if _, err := objective(x); err == nil || !strings.Contains(err.Error(), "want (B, N, 2)") {
			t.Errorf("%v: error %v, want one that names the shape", x, err)
		}
	}
}
