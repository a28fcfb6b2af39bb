package bumps

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// goldenCase is a solve of dcem_bumps.json. Clamped or not makes no difference to mu there: as a mean of clamped
// samples it lies within the bounds.
type goldenCase struct{ check.BumpsCase }

func (c goldenCase) config(dt tensor.Dtype) dcem.Config {
	config := dcem.Config{
		Batch: c.Batch, Dim: c.D, Samples: c.N, Elites: c.K, Iterations: c.Iters, RawCosts: !c.Normalize, Dtype: dt,
	}
	if c.Temp == nil {
		config.Hard = true
	} else {
		config.Temperature = 1 / *c.Temp
	}
	if c.LB != nil {
		config.Lower, config.Upper = []float64{*c.LB}, []float64{*c.UB}
	}
	return config
}

// goldenGraph is a case as a graph, with every value that is to be compared.
type goldenGraph struct {
	u               *dcem.Unrolled
	params          *G.Node
	loss            *G.Node
	lossValue       G.Value
	answer          G.Value
	f, i, mu, sigma []G.Value
}

func (c goldenCase) build(t *testing.T, dt tensor.Dtype) *goldenGraph {
	t.Helper()
	g := G.NewGraph()
	must := func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	k := &goldenGraph{params: input(g, dt, "params", c.Params, NumParams)}
	config := c.config(dt)
	config.MuNode = input(g, dt, "mu0", c.Mu0, c.Batch, c.D)
	config.SigmaNode = input(g, dt, "sigma0", c.Sigma0, c.Batch, c.D)
	for i, eps := range c.Eps {
		config.Noise = append(config.Noise, input(g, dt, fmt.Sprintf("eps%d", i), eps, c.Batch, c.N, c.D))
	}
	objective, err := Objective(k.params)
	if err != nil {
		t.Fatal(err)
	}
	if k.u, err = dcem.Unroll(g, objective, config); err != nil {
		t.Fatal(err)
	}
	target := make([]float64, 0, c.Batch*c.D)
	for range c.Batch {
		target = append(target, c.Target...)
	}
	k.loss = must(G.Mean(must(G.Square(must(G.Sub(k.u.Mu(), input(g, dt, "target", target, c.Batch, c.D)))))))
	G.Read(k.loss, &k.lossValue)
	G.Read(k.u.Answer, &k.answer)
	n := len(k.u.Iterates)
	k.f, k.i, k.mu, k.sigma = make([]G.Value, n), make([]G.Value, n), make([]G.Value, n), make([]G.Value, n)
	for t, it := range k.u.Iterates {
		G.Read(it.F, &k.f[t])
		G.Read(it.I, &k.i[t])
		G.Read(it.Mu, &k.mu[t])
		G.Read(it.Sigma, &k.sigma[t])
	}
	return k
}

func TestGoldenBumps(t *testing.T) {
	check.Golden(t, "dcem_bumps.json", func(t *testing.T, c goldenCase) {
		for _, machine := range train.Machines {
			t.Run(machine+" float64 autodiff", func(t *testing.T) { c.run(t, machine, tensor.Float64, false) })
			t.Run(machine+" float64 gorgonia.Grad", func(t *testing.T) { c.run(t, machine, tensor.Float64, true) })
			t.Run(machine+" float32 autodiff", func(t *testing.T) { c.run(t, machine, tensor.Float32, false) })
		}
	})
}

// run compares all values with the case's. The gradients are gorgonia.Grad's (stock) or those of package autodiff.
func (c goldenCase) run(t *testing.T, machine string, dt tensor.Dtype, stock bool) {
	solve := c.Solve(t, dt == tensor.Float32)
	solve.Slack = 2 // of the weights, whose float32 rows are no more correctly rounded on the tape than on the engine
	if machine == train.Engine {
		solve.Slack = 4
	}
	k := c.build(t, dt)
	wrt := G.Nodes{k.u.Mu0, k.u.Sigma0, k.params}
	if c.Temp == nil && stock {
		wrt = wrt[:2] // no gradient passes an exact top-k into the parameters, for which gorgonia.Grad has no zero but an error
	}
	grad := autodiff.Gradients
	if stock {
		grad = G.Grad
	}
	grads, err := grad(k.loss, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	gradValues := make([]G.Value, len(grads))
	for i, n := range grads {
		G.Read(n, &gradValues[i])
	}
	vm, err := train.NewVM(machine, k.params.Graph())
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i := range c.Iterates {
		solve.Iterate(t, numbers(t, k.f[i]), numbers(t, k.i[i]), numbers(t, k.mu[i]), numbers(t, k.sigma[i]))
	}
	solve.End(t)
	last := len(k.mu) - 1
	solve.Problems(t, "mu", numbers(t, k.mu[last]), c.Mu, 1)
	solve.Problems(t, "answer", numbers(t, k.answer), c.clamped(), 1)
	solve.Problems(t, "sigma", numbers(t, k.sigma[last]), c.Sigma, 1)
	solve.Whole(t, "loss", numbers(t, k.lossValue), []float64{c.Loss}, check.BumpsLoss)
	solve.Problems(t, "dloss/dmu0", numbers(t, gradValues[0]), c.GradMu0, check.BumpsGradient)
	solve.Problems(t, "dloss/dsigma0", numbers(t, gradValues[1]), c.GradSigma0, check.BumpsGradient)
	if len(gradValues) > 2 {
		solve.Whole(t, "dloss/dparams", numbers(t, gradValues[2]), c.GradParams, check.BumpsGradient)
	}
}

// clamped is the final mu within the bounds.
func (c goldenCase) clamped() []float64 {
	mu := append([]float64(nil), c.Mu...)
	for i := range mu {
		if c.LB != nil {
			mu[i] = min(max(mu[i], *c.LB), *c.UB)
		}
	}
	return mu
}
