package energy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// builders are the models under test.
var builders = map[string]func(g *G.ExprGraph, c energy.Config) (energy.Model, error){
	"MLP":         func(g *G.ExprGraph, c energy.Config) (energy.Model, error) { return energy.NewMLP(g, c) },
	"FeedForward": func(g *G.ExprGraph, c energy.Config) (energy.Model, error) { return energy.NewFeedForward(g, c) },
	"ICNN":        func(g *G.ExprGraph, c energy.Config) (energy.Model, error) { return energy.NewICNN(g, c) },
	"SPEN": func(g *G.ExprGraph, c energy.Config) (energy.Model, error) {
		return energy.NewSPEN(g, energy.SPENConfig{Config: c})
	},
}

// evaluate returns E at x (b, dx), y (b, n, dy), flat.
func evaluate(t *testing.T, name string, c energy.Config, x []float64, b int, y []float64, n int) []float64 {
	t.Helper()
	g := G.NewGraph()
	c.Dtype = tensor.Float64
	m, err := builders[name](g, c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Energy(variable(g, "x", x, b, c.InputDim), variable(g, "y", y, b, n, c.OutputDim))
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if want := (tensor.Shape{b, n}); !e.Shape().Eq(want) {
		t.Fatalf("%s: energies have shape %v, want %v", name, e.Shape(), want)
	}
	return floats(t, e)
}

func variable(g *G.ExprGraph, name string, v []float64, shape ...int) *G.Node {
	return G.NewTensor(g, tensor.Float64, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(tensor.Float64, v, shape...)))
}

func uniform(r *rand.Rand, n int, scale float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = (2*r.Float64() - 1) * scale
	}
	return v
}

// violation is the most by which an energy lies above a chord between two points, over random inputs, chords and
// weights.
func violation(t *testing.T, name string, activation nn.Activation, seed uint64) float64 {
	t.Helper()
	const b, n, dx, dy = 3, 200, 2, 2
	r := rand.New(rand.NewPCG(seed, 5))
	c := energy.Config{InputDim: dx, OutputDim: dy, Hidden: []int{16, 12}, Activation: activation, Seed: seed, Init: nn.GlorotNormal}
	x := uniform(r, b*dx, 2)
	from, to, mid := uniform(r, b*n*dy, 5), uniform(r, b*n*dy, 5), make([]float64, b*n*dy)
	part := uniform(r, b*n, 1)
	for i := range part {
		part[i] = (part[i] + 1) / 2
		for d := range dy {
			mid[i*dy+d] = part[i]*from[i*dy+d] + (1-part[i])*to[i*dy+d]
		}
	}
	ef, et, em := evaluate(t, name, c, x, b, from, n), evaluate(t, name, c, x, b, to, n), evaluate(t, name, c, x, b, mid, n)
	worst := 0.0
	for i := range em {
		worst = max(worst, em[i]-(part[i]*ef[i]+(1-part[i])*et[i]))
	}
	return worst
}

func TestICNNIsConvexInY(t *testing.T) {
	for seed := range uint64(10) {
		for _, a := range []nn.Activation{nn.Softplus, nn.ReLU} {
			// Rounding alone: energies of order 10, a hundred operations.
			if v := violation(t, "ICNN", a, seed); !(v <= 1e-12) {
				t.Errorf("seed %d, %v: the energy lies %v above a chord", seed, a, v)
			}
		}
	}
	// The check must be able to fail: a plain net is not convex.
	found := 0.0
	for seed := range uint64(10) {
		found = max(found, violation(t, "MLP", nn.Softplus, seed))
	}
	if !(found > 1e-3) {
		t.Errorf("the plain net seems convex too (largest violation %v): the test cannot tell", found)
	}
}

// Convexity must not come from E being a constant in y plus a function of x: with y^2/2 added, so that there is a
// minimum before any training, the minimiser must depend on x.
func TestICNNMinimumDependsOnX(t *testing.T) {
	const n = 81
	grid := make([]float64, 2*n)
	for i := range grid {
		grid[i] = -4 + 0.1*float64(i%n)
	}
	moved := false
	for seed := range uint64(5) {
		e := evaluate(t, "ICNN", energy.Config{InputDim: 1, OutputDim: 1, Hidden: []int{16, 16}, Seed: seed, Init: nn.GlorotNormal}, []float64{-3, 3}, 2, grid, n)
		at := [2]int{}
		for i, v := range e {
			e[i] = v + grid[i]*grid[i]/2
			if p := i / n; e[i] < e[p*n+at[p]] {
				at[p] = i % n
			}
		}
		moved = moved || at[0] != at[1]
	}
	if !moved {
		t.Error("for none of the seeds does the minimiser depend on x")
	}
}

func TestFeedForwardMinimisesAtItsPrediction(t *testing.T) {
	const b, dx, dy = 4, 2, 3
	g := G.NewGraph()
	m, err := energy.NewFeedForward(g, energy.Config{InputDim: dx, OutputDim: dy, Hidden: []int{8}, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	x := variable(g, "x", uniform(rand.New(rand.NewPCG(1, 2)), b*dx, 1), b, dx)
	f, err := m.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	at, err := dcem.Expand(f, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Energy(x, at)
	if err != nil {
		t.Fatal(err)
	}
	u, err := dcem.Unroll(g, energy.Objective(m, x), dcem.Config{Batch: b, Dim: dy, Iterations: 20, Hard: true, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	want, err := dcem.Keep(f)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	check.Close(t, "energy at f(x)", floats(t, e), make([]float64, b), 0)
	check.Close(t, "CEM's minimum", floats(t, u.Answer), floats(t, want), 1e-3) // twenty iterations of CEM
}

// The gradients of a loss through both solvers, with respect to every parameter of every model, against finite
// differences.
func TestModelGradients(t *testing.T) {
	const b, dx, dy = 2, 2, 1
	for name, build := range builders {
		for _, method := range []string{"dcem", "gd"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				r := rand.New(rand.NewPCG(3, 4))
				xs := uniform(r, b*dx, 1)
				var run func(theta []float64, gradients bool) (loss float64, grad, start []float64)
				run = func(theta []float64, gradients bool) (loss float64, grad, start []float64) {
					g := G.NewGraph()
					m, err := build(g, energy.Config{InputDim: dx, OutputDim: dy, Hidden: []int{4, 3}, Dtype: tensor.Float64})
					if err != nil {
						t.Fatal(err)
					}
					values := nn.Values[float64](m.Params())
					rest := theta
					for _, v := range values {
						start = append(start, v...)
						rest = rest[copy(v, rest):]
					}
					objective := energy.Objective(m, variable(g, "x", xs, b, dx))
					var pred *G.Node
					if method == "dcem" {
						u, err := dcem.Unroll(g, objective, dcem.Config{Batch: b, Dim: dy, Samples: 8, Elites: 3, Iterations: 2, Dtype: tensor.Float64})
						if err != nil {
							t.Fatal(err)
						}
						pred = u.Answer
					} else {
						u, err := dcem.UnrollGD(g, objective, dcem.GDConfig{Batch: b, Dim: dy, Iterations: 3, Dtype: tensor.Float64})
						if err != nil {
							t.Fatal(err)
						}
						pred = u.Answer
					}
					shifted := G.Must(G.Add(pred, G.NewConstant(0.7)))
					out := G.Must(G.Sum(G.Must(G.HadamardProd(shifted, shifted))))
					var grads G.Nodes
					if gradients {
						if grads, err = autodiff.Gradients(out, m.Params().Nodes()...); err != nil {
							t.Fatal(err)
						}
					}
					if autodiff.Check(g) != nil {
						// Some of the two thousand graphs of this test have two nodes of one 32-bit hash, which the
						// TapeMachine takes for one. Another graph has other gates, and other hashes.
						return run(theta, gradients)
					}
					vm := G.NewTapeMachine(g)
					defer vm.Close()
					if err := vm.RunAll(); err != nil {
						t.Fatal(err)
					}
					for _, n := range grads {
						grad = append(grad, floats(t, n)...)
					}
					return floats(t, out)[0], grad, start
				}
				_, _, theta := run(nil, false)
				_, got, _ := run(theta, true)
				want := check.Gradient(func(x []float64) float64 { l, _, _ := run(x, false); return l }, theta, 2e-4)
				// Four-point differences at h = 2e-4: rounding of 1e-15 amplified some hundred times by the solver, over h.
				check.Close(t, "gradient", got, want, 1e-8)
			})
		}
	}
}

func TestErrors(t *testing.T) {
	g := G.NewGraph()
	m, err := energy.NewMLP(g, energy.Config{InputDim: 2, OutputDim: 1, Hidden: []int{3}, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	x, y := variable(g, "x", make([]float64, 4), 2, 2), variable(g, "y", make([]float64, 6), 2, 3, 1)
	fails := func(_ any, err error) error { return err }
	for _, c := range []struct {
		err  error
		want string
	}{
		{fails(m.Energy(y, y)), "energy: MLP: x has shape (2, 3, 1), want (B, 2)"},
		{fails(m.Energy(x, x)), "energy: MLP: y has shape (2, 2), want (2, N, 1)"},
		{fails(m.Energy(nil, y)), "energy: MLP: x and y must not be nil"},
		{fails(energy.NewMLP(g, energy.Config{OutputDim: 1})), "energy: NewMLP: InputDim = 0, OutputDim = 1, want at least 1"},
		{fails(energy.NewICNN(g, energy.Config{InputDim: 1, OutputDim: 1, Activation: nn.Tanh})), "Activation = tanh, want softplus or relu"},
		{fails(energy.NewMLP(nil, energy.Config{InputDim: 1, OutputDim: 1})), "the graph is nil"},
		{fails(energy.NewMLP(g, energy.Config{InputDim: 1, OutputDim: 1, Hidden: []int{-3}})), "want at least 1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %q, want %q", fmt.Sprint(c.err), c.want)
		}
	}
}

// A model that cannot be made is nil, not one whose parts are.
func TestNoModelBesideAnError(t *testing.T) {
	bad := energy.Config{InputDim: 2, OutputDim: 1, Hidden: []int{0}}
	mlp, err1 := energy.NewMLP(G.NewGraph(), bad)
	feedForward, err2 := energy.NewFeedForward(G.NewGraph(), bad)
	icnn, err3 := energy.NewICNN(G.NewGraph(), bad)
	if mlp != nil || feedForward != nil || icnn != nil || err1 == nil || err2 == nil || err3 == nil {
		t.Errorf("got %v, %v, %v beside %v, %v, %v", mlp, feedForward, icnn, err1, err2, err3)
	}
	for name, build := range builders {
		g := G.NewGraph()
		m, err := build(g, energy.Config{InputDim: 2, OutputDim: 1, Hidden: []int{3}})
		if err != nil {
			t.Fatal(err)
		}
		// Its own graph has nodes of the parameters' names.
		if s, err := m.Share(g); s != nil || err == nil {
			t.Errorf("%s: Share gave %v, %v, want nil and an error", name, s, err)
		}
	}
}
