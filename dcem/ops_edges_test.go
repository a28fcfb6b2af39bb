package dcem

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Detach passes the value on and no gradient back: the gradient of x^2 c, c being x held fixed, is 2 x c, not 3 x^2.
func TestDetach(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		g := G.NewGraph()
		v := []float64{-1.5, 0.25, 0, 2, 3, -4}
		x := G.NewMatrix(g, dt, G.WithShape(2, 3), G.WithName("x"), G.WithValue(dense(dt, v, 2, 3)))
		c, err := Detach(x)
		if err != nil {
			t.Fatal(err)
		}
		gradient := func(y *G.Node) *G.Node {
			t.Helper()
			grads, err := autodiff.Gradients(G.Must(G.Sum(y)), x)
			if err != nil {
				t.Fatal(err)
			}
			return grads[0]
		}
		alone, both := gradient(G.Must(G.Cube(c))), gradient(G.Must(G.HadamardProd(G.Must(G.HadamardProd(x, x)), c)))
		vm := G.NewTapeMachine(g)
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(v))
		for i, x := range v {
			want[i] = 2 * x * x
		}
		check.Close(t, fmt.Sprint(dt, ": value"), floats(t, c.Value()), v, 0)
		check.Close(t, fmt.Sprint(dt, ": gradient through Detach alone"), floats(t, alone.Value()), make([]float64, len(v)), 0)
		check.Close(t, fmt.Sprint(dt, ": gradient beside Detach"), floats(t, both.Value()), want, 0)
		vm.Close()
	}
}

// On a bound itself the gradient is 1; a hair beyond it is 0. The loss is sum cube(op(inputs)), and c is a sample.
func TestGradientOnTheBounds(t *testing.T) {
	const lower, upper = -0.5, 0.75
	hair := math.Ldexp(1, -23) // float32 holds the numbers this far from both bounds
	c := []float64{lower, lower - hair, lower + hair, 0.25, upper, upper - hair, upper + hair, 9}
	inside := []float64{1, 0, 1, 1, 1, 1, 0, 0}
	n := len(c)
	x, cube := slices.Clone(c), make([]float64, n) // clamped, and the gradient of its cube
	for i, v := range c {
		x[i] = min(max(v, lower), upper)
		cube[i] = 3 * x[i] * x[i] * inside[i]
	}
	clampCase := opCase{shapes: []tensor.Shape{mat(n, 1)}, build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
		return clamp(in[0], []float64{lower}, []float64{upper})
	}}
	shapes := []tensor.Shape{mat(1, 1), mat(1, 1), bnd(1, n, 1)}
	sampleCase := opCase{shapes: shapes, build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
		return Sample(in[0], in[1], in[2], SampleOptions{Lower: []float64{lower}, Upper: []float64{upper}})
	}}
	// With mu = 0 and sigma = 1 the samples are eps: gradients sum cube, sum cube*eps and cube itself.
	sum, sigma := 0.0, 0.0
	for i, v := range cube {
		sum += v
		sigma += v * c[i]
	}
	// The second derivative of sum cube(clamp(x)) along v is 6 x v inside.
	v := direction(n, 0)
	curved := make([]float64, n)
	for i := range curved {
		curved[i] = 6 * x[i] * v[i] * inside[i]
	}
	// The same of the samples along (vm, vs, ve): with e = vm + vs eps + ve, mu gets the sum of 6 x e inside, sigma that of
	// (6 x e eps + 3 x^2 ve) inside, and eps (6 x e + 3 x^2 vs) inside.
	vm, vs, ve := direction(1, 0)[0], direction(1, 1)[0], direction(n, 2)
	curvedSample := make([]float64, 2+n)
	for i := range n {
		e := 6 * x[i] * (vm + vs*c[i] + ve[i]) * inside[i]
		curvedSample[0] += e
		curvedSample[1] += e*c[i] + cube[i]*ve[i]
		curvedSample[2+i] = e + cube[i]*vs
	}
	candidates := append([]float64{0, 1}, c...)
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		tol := 1e-15 // a handful of operations
		if dt == tensor.Float32 {
			tol = 1e-6
		}
		compare := func(name string, of opCase, at []float64, q quantity, want []float64) {
			t.Helper()
			check.Close(t, fmt.Sprintf("%v: %s, quantity %d", dt, name, q), evaluate(t, of, dt, at, q), want, tol)
		}
		for _, q := range []quantity{gradTape, gradLisp, gradAuto} {
			compare("Clamp", clampCase, c, q, cube)
			compare("Sample", sampleCase, candidates, q, append([]float64{sum, sigma}, cube...))
		}
		compare("Clamp", clampCase, c, second, curved)
		compare("Sample", sampleCase, candidates, second, curvedSample)
	}
}
