package embed

import (
	"context"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An Expert is the cross-entropy method over the controls themselves, every one of the plan.
type Expert struct {
	Name                        string
	Samples, Elites, Iterations int
}

// The experts that decoders are compared with. Each starts from no force and sigma = the greatest.
var (
	Ordinary = Expert{"CEM", 1000, 100, 10}
	Strong   = Expert{"strong CEM", 1000, 20, 30}
)

// Plan searches for plans of H steps from the initial states x0 (B,S), flat, and returns the costs (B) of the means
// that it ends with.
func (x Expert) Plan(ctx context.Context, c Config, x0 []float64) ([]float64, error) {
	if c.Float64 {
		return expertCosts[float64](ctx, x, c, x0)
	}
	return expertCosts[float32](ctx, x, c, x0)
}

func expertCosts[T kernels.Float](ctx context.Context, x Expert, c Config, x0 []float64) ([]float64, error) {
	e, g := c.system(), G.NewGraph()
	b, width := len(x0)/e.StateDim(), c.Horizon*e.ControlDim()
	states := input(g, "x0", convert[T](x0), b, e.StateDim())
	u := input(g, "u", make([]T, b*x.Samples*width), b, x.Samples, width)
	plans, err := G.Reshape(u, tensor.Shape{b * x.Samples, c.Horizon, e.ControlDim()})
	if err != nil {
		return nil, err
	}
	cost, err := costs(e, states, plans, b, x.Samples)
	if err != nil {
		return nil, err
	}
	vm, err := train.NewVM(c.Machine, g, cost)
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	objective, err := dcem.NewGraphObjective[T](u, cost, vm)
	if err != nil {
		return nil, err
	}
	lower, upper := e.Bounds()
	lowers, uppers, sigma := make([]float64, width), make([]float64, width), make([]float64, width)
	for i := range width {
		lowers[i], uppers[i] = lower[i%len(lower)], upper[i%len(upper)]
		sigma[i] = (uppers[i] - lowers[i]) / 2
	}
	s, err := dcem.NewSolver(objective, dcem.Config{
		Batch: b, Dim: width, Samples: x.Samples, Elites: x.Elites, Iterations: x.Iterations, Hard: true,
		Sigma: sigma, Lower: lowers, Upper: uppers, Seed: c.Seed,
	}, dcem.SolverOptions[T]{})
	if err != nil {
		return nil, err
	}
	found, err := s.Solve(ctx)
	if err != nil {
		return nil, err
	}
	// In float64, by the dynamics in plain Go.
	all := make([]float64, b)
	for i := range all {
		mean := convert[float64](found.Mean[i*width : (i+1)*width])
		if _, all[i], err = env.RolloutGo(e, x0[i*e.StateDim():(i+1)*e.StateDim()], mean, nil, env.Options{}); err != nil {
			return nil, err
		}
	}
	return all, nil
}
