package dcem

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// pendulumModel is the pendulum of the golden file: the state (cos, sin, dtheta), the mean over the 16 states of (x -
// (1, 0, 0))^2 and 1e-4 times the mean of u^2.
func pendulumModel() Model {
	column := func(x *G.Node, i int) *G.Node {
		k := x.Shape()[1]
		b := blend{[]int{i}, []float64{1}}
		return G.Must(typed(x.Dtype(), blendOp[float32]{b, 1, k}, blendOp[float64]{b, 1, k}, tensor.Shape{x.Shape()[0], 1}, x))
	}
	sum := func(x, y *G.Node) *G.Node { return G.Must(G.Add(x, y)) }
	product := func(x, y *G.Node) *G.Node { return G.Must(G.HadamardProd(x, y)) }
	scaled := func(v float64, x *G.Node) *G.Node { return G.Must(G.Mul(number(x, v), x)) }
	distance := func(x *G.Node) *G.Node {
		d := sum(G.Must(G.Square(column(x, 1))), G.Must(G.Square(column(x, 2))))
		d = sum(d, G.Must(G.Square(G.Must(G.Sub(column(x, 0), number(x, 1))))))
		return scaled(1./48, G.Must(autodiff.Reshape(d, x.Shape()[0])))
	}
	return Model{
		States: 3, Controls: 1,
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) {
			const dt = 0.05
			cos, sin := column(x, 0), column(x, 1)
			push := G.Must(clamp(u, []float64{-2}, []float64{2}))
			spin := sum(column(x, 2), scaled(dt, sum(scaled(15, sin), scaled(3, push))))
			c, s := G.Must(G.Cos(scaled(dt, spin))), G.Must(G.Sin(scaled(dt, spin)))
			next := G.Nodes{G.Must(G.Sub(product(cos, c), product(sin, s))), sum(product(sin, c), product(cos, s)), spin}
			rows := x.Shape()[0]
			all, err := typed(x.Dtype(), joinOp[float32]{3, 1}, joinOp[float64]{3, 1}, tensor.Shape{rows, 3, 1}, next...)
			if err != nil {
				return nil, err
			}
			return autodiff.Reshape(all, rows, 3)
		},
		Cost: func(_ int, x, u *G.Node) (*G.Node, error) {
			effort := scaled(1e-4/15, G.Must(autodiff.Reshape(G.Must(G.Square(u)), x.Shape()[0])))
			return G.Add(distance(x), effort)
		},
		Terminal: func(x *G.Node) (*G.Node, error) { return distance(x), nil },
	}
}

type goldenPendulum struct {
	State, Controls, States, Cost check.Nested
	GradControls                  check.Nested `json:"grad_controls"`
}

// With sigma 0 a plan is the rollout of its start, and its gradient that of the rollout, whatever the costs weigh.
func TestGoldenPendulumPlan(t *testing.T) {
	check.Golden(t, "pendulum.json", func(t *testing.T, c goldenPendulum) {
		batch, horizon := len(c.Cost), 15
		onBackends(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			tol := 1e-10 // what the file asks for
			if dt == tensor.Float32 {
				tol = 5e-6 // 15 steps that add a few roundings of 6e-8 each
			}
			g := G.NewGraph()
			mu := inputOf(g, dt, "mu", c.Controls, batch, horizon)
			p, err := Plan(g, inputOf(g, dt, "x0", c.State, batch, 3), pendulumModel(), PlanConfig{
				Config: Config{Samples: 6, Elites: 2, Iterations: 2, MuNode: mu, Sigma: []float64{0}}, Horizon: horizon,
			})
			if err != nil {
				t.Fatal(err)
			}
			grads, err := autodiff.Gradients(G.Must(G.Sum(p.Cost)), mu)
			if err != nil {
				t.Fatal(err)
			}
			got := valuesOn(t, machine, append(G.Nodes{p.Controls, p.Cost, grads[0]}, p.States...)...)
			check.Close(t, "controls", got[0], c.Controls, tol)
			check.Close(t, "cost", got[1], c.Cost, tol)
			check.Close(t, "gradient", got[2], c.GradControls, tol)
			for s, x := range got[3:] {
				check.Close(t, "states", x, c.States[s*batch*3:][:batch*3], tol)
			}
		})
	})
}

// onBackends is onMachines on the engine's reference and the emulated GPU too.
func onBackends(t *testing.T, f func(t *testing.T, machine string, dt tensor.Dtype)) {
	onMachines(t, f)
	for _, machine := range []string{"ref", "emulator"} {
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			t.Run(machine+" "+dt.String(), func(t *testing.T) { f(t, machine, dt) })
		}
	}
}

// machineOn makes a machine of one of the names of onBackends.
func machineOn(t *testing.T, machine string, g *G.ExprGraph, outputs ...*G.Node) (G.VM, error) {
	t.Helper()
	if m, ok := machines[machine]; ok {
		return m(g, outputs...)
	}
	var d engine.Device
	if machine == "emulator" {
		d = emulator(t, emulated.Options{})
	} else {
		var err error
		if d, err = engine.Open(machine); err != nil {
			return nil, err
		}
	}
	return engine.NewVM(g, engine.Outputs(outputs...), engine.On(d))
}

// The noise of later problems is that part of the whole draw, bit for bit.
func TestLaterNoise(t *testing.T) {
	onBackends(t, func(t *testing.T, machine string, dt tensor.Dtype) {
		const first, b, n, d = 11, 2, 3, 7
		g, shape := G.NewGraph(), tensor.Shape{b, n, d}
		run := RunNode(g, "run")
		if err := G.Let(run, int64(5)); err != nil {
			t.Fatal(err)
		}
		for _, uniform := range []bool{false, true} {
			x, err := typed(dt, laterNoiseOp[float32]{noiseOp[float32]{3, 4, uniform, shape}, first},
				laterNoiseOp[float64]{noiseOp[float64]{3, 4, uniform, shape}, first}, shape, run)
			if err != nil {
				t.Fatal(err)
			}
			got := valuesOn(t, machine, x)[0]
			want := make([]float64, b*n*d)
			if dt == tensor.Float32 {
				v := make([]float32, b*n*d)
				noiseOp[float32]{3, 4, uniform, shape}.from(first*n*d, v, []any{[]int64{5}})
				want = check.Copy[float64](v)
			} else {
				noiseOp[float64]{3, 4, uniform, shape}.from(first*n*d, want, []any{[]int64{5}})
			}
			check.Close(t, fmt.Sprint("uniform: ", uniform), got, want, 0)
		}
	})
}
