package env

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The ops' gradients have gradients, which implicit and unrolled solves need: that of |d cost/d(x, u, p)|^2 is what
// differences of the first gradient say.
func TestSecondGradients(t *testing.T) {
	const horizon, batch = 2, 2
	forEnvs(t, func(t *testing.T, e Env) {
		for _, machine := range train.Machines {
			c := randomProblems(e, 6, batch, horizon)
			for i := range c.u {
				c.u[i] *= 0.99
			}
			values := [][]float64{c.x, c.u, c.params}
			// build is the graph at these values; it gives sum |gradient|^2 and its gradients.
			build := func(second bool) (norm *G.Node, in G.Nodes, all G.Nodes) {
				g := G.NewGraph()
				x, u := input(g, "x", tensor.Float64, c.x, batch, e.StateDim()),
					input(g, "u", tensor.Float64, c.u, batch, horizon, e.ControlDim())
				p, params := paramNodes(g, e, tensor.Float64, c.params)
				_, cost, err := Rollout(e, x, u, p, Options{Final: 1})
				if err != nil {
					t.Fatal(err)
				}
				in = append(G.Nodes{x, u}, params...)
				for _, d := range must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), in...)) {
					s := must[*G.Node](t)(G.Sum(must[*G.Node](t)(G.Square(d))))
					if norm == nil {
						norm = s
					} else {
						norm = must[*G.Node](t)(G.Add(norm, s))
					}
				}
				all = G.Nodes{norm}
				if second {
					all = append(all, must[G.Nodes](t)(autodiff.Gradients(norm, in...))...)
				}
				runAll(t, machine, g, all...)
				return norm, in, all
			}
			_, _, all := build(true)
			var got []float64
			for _, n := range all[1:] {
				got = append(got, floats(t, n)...)
			}
			norm := func() float64 { n, _, _ := build(false); return floats(t, n)[0] }
			at := 0
			for _, v := range values {
				for i := range v {
					if at++; at%4 != 1 { // a part of them: each takes four graphs
						continue
					}
					step := 1e-4
					if a := math.Abs(v[i]); a > 0 && a < 1 { // Gradient's is relative from 1 on
						step *= a
					}
					want := check.Gradient(func(w []float64) float64 {
						keep := v[i]
						defer func() { v[i] = keep }()
						v[i] = w[0]
						return norm()
					}, v[i:i+1:i+1], step)
					scale := math.Max(1, math.Abs(slices.Max(got)))
					check.Close(t, fmt.Sprintf("%s: second gradient %d", machine, at-1), []float64{got[at-1] / scale},
						[]float64{want[0] / scale}, 1e-6)
				}
			}
		}
	})
}

// A clamp's gradient is 1 on the bound itself; NaN stays NaN.
func TestClamp(t *testing.T) {
	values := []float64{-3, -2, -1.5, 0, 2, math.Nextafter(2, 3), math.Inf(1), math.NaN()}
	forEach(t, func(t *testing.T, machine string, dt tensor.Dtype) {
		g := G.NewGraph()
		x := input(g, "x", dt, values, len(values), 1)
		b := Build(Pendulum{}, input(g, "state", dt, make([]float64, 3*len(values)), len(values), 3), x, nil)
		y := must[*G.Node](t)(b.Value(b.Clamped(0)))
		grad := must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(y)), x))[0]
		runAll(t, machine, g, y, grad)
		got, want := floats(t, y), []float64{-2, -2, -1.5, 0, 2, 2, 2}
		check.Close(t, "clamp", got[:7], want, 0)
		for i, v := range values[:7] {
			if Clamp(v, -2, 2) != want[i] {
				t.Errorf("Clamp(%v) is %v", v, Clamp(v, -2, 2))
			}
		}
		if !math.IsNaN(got[7]) || !math.IsNaN(Clamp(values[7], -2, 2)) {
			t.Errorf("clamp of NaN is %v", got[7])
		}
		wantGrad := []float64{0, 1, 1, 1, 1, 0, 0}
		if dt == tensor.Float32 {
			wantGrad[5] = 1 // there it is the bound
		}
		check.Close(t, "gradient", floats(t, grad)[:7], wantGrad, 0)
	})
}

// Formulas without any state or parameter are constants, and a state may be one.
func TestConstants(t *testing.T) {
	forEach(t, func(t *testing.T, machine string, dt tensor.Dtype) {
		g := G.NewGraph()
		x, u := input(g, "x", dt, []float64{1, 2, 3, 4, 5, 6}, 2, 3), input(g, "u", dt, []float64{1, 2}, 2, 1)
		b := Build(Pendulum{}, x, u, nil)
		two, half := b.Const(2), b.Const(0.5)
		folded := []Expr{b.Add(two, half, half), b.Mul(two, half, two), b.Sub(two, half), b.Div(two, half), b.Neg(two),
			b.Square(half),
			b.Sqrt(two), b.Sin(two), b.Cos(two), b.Exp(half), b.Clamp(two, 0, 1)}
		want := []float64{3, 2, 1.5, 4, -2, 0.25, math.Sqrt2, math.Sin(2), math.Cos(2), math.Exp(0.5), 1}
		var outputs G.Nodes
		for _, x := range folded {
			outputs = append(outputs, must[*G.Node](t)(b.Value(x)))
		}
		state := must[*G.Node](t)(b.State(two, b.X(1), half))
		runAll(t, machine, g, append(outputs, state)...)
		tol := 1e-15
		if dt == tensor.Float32 {
			tol = 0x1p-24
		}
		for i, n := range outputs {
			check.Close(t, fmt.Sprintf("formula %d", i), floats(t, n), []float64{want[i], want[i]}, tol)
		}
		check.Close(t, "state", floats(t, state), []float64{2, 2, 0.5, 2, 5, 0.5}, 0)
	})
}
