package embed

import (
	"context"
	"errors"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An Expert is the cross-entropy method over the controls themselves, every one of the plan.
type Expert struct {
	Name                        string
	Samples, Elites, Iterations int
}

// The experts that decoders are compared with. Each starts from no force and sigma = the greatest. Small has what a
// decoder's search has by default.
var (
	Small    = Expert{"small CEM", 100, 10, 10}
	Medium   = Expert{"medium CEM", 300, 30, 10}
	Ordinary = Expert{"CEM", 1000, 100, 10}
	Strong   = Expert{"strong CEM", 1000, 20, 30}
)

// Experts are all of them, from the weakest to the strongest.
func Experts() []Expert { return []Expert{Small, Medium, Ordinary, Strong} }

// Plan searches for plans of H steps from the initial states x0 (B,S), flat, and returns the costs (B) of what it ends
// with by either answer, simulated in float64: of the last means, and of the best plans of all that were tried.
func (x Expert) Plan(ctx context.Context, c Config, x0 []float64) (means, bests []float64, err error) {
	size := c.system().StateDim()
	solve, close, err := x.solver(c, len(x0)/size)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, close()) }()
	mean, best, err := solve(ctx, x0, fixedNoise)
	if err != nil {
		return nil, nil, err
	}
	if means, err = planCosts(c.system(), x0, mean); err != nil {
		return nil, nil, err
	}
	bests, err = planCosts(c.system(), x0, best)
	return means, bests, err
}

// A planning finds plans (B,H,U) from the states x0 (B,S), with the noise of a run number.
type planning func(ctx context.Context, x0 []float64, run uint64) (u []float64, err error)

// planner makes the expert plan from that many states at a time, with the answer that c says.
func (x Expert) planner(c Config, batch int) (planning, func() error, error) {
	solve, close, err := x.solver(c, batch)
	return func(ctx context.Context, x0 []float64, run uint64) ([]float64, error) {
		mean, best, err := solve(ctx, x0, run)
		if c.Answer == Best {
			return best, err
		}
		return mean, err
	}, close, err
}

// A solving is a planning that finds the plans of both answers.
type solving func(ctx context.Context, x0 []float64, run uint64) (mean, best []float64, err error)

func (x Expert) solver(c Config, batch int) (solving, func() error, error) {
	if c.Float64 {
		return expertSolver[float64](x, c, batch)
	}
	return expertSolver[float32](x, c, batch)
}

func expertSolver[T kernels.Float](x Expert, c Config, b int) (solving, func() error, error) {
	e, g := c.system(), G.NewGraph()
	width, from := c.Horizon*e.ControlDim(), make([]T, b*e.StateDim())
	states := train.Input(g, "x0", from, b, e.StateDim())
	u := train.Input(g, "u", make([]T, b*x.Samples*width), b, x.Samples, width)
	plans, err := G.Reshape(u, tensor.Shape{b * x.Samples, c.Horizon, e.ControlDim()})
	if err != nil {
		return nil, nil, err
	}
	cost, err := costs(e, states, plans, b, x.Samples)
	if err != nil {
		return nil, nil, err
	}
	vm, err := train.NewVM(c.Machine, g, cost)
	if err != nil {
		return nil, nil, err
	}
	lower, upper := e.Bounds()
	lowers, uppers, sigma := make([]float64, width), make([]float64, width), make([]float64, width)
	for i := range width {
		lowers[i], uppers[i] = lower[i%len(lower)], upper[i%len(upper)]
		sigma[i] = (uppers[i] - lowers[i]) / 2
	}
	s, err := func() (*dcem.Solver[T], error) {
		objective, err := dcem.NewGraphObjective[T](u, cost, vm)
		if err != nil {
			return nil, err
		}
		return dcem.NewSolver(objective, dcem.Config{
			Batch: b, Dim: width, Samples: x.Samples, Elites: x.Elites, Iterations: x.Iterations, Hard: true,
			Sigma: sigma, Lower: lowers, Upper: uppers, Seed: c.Seed,
		}, dcem.SolverOptions[T]{})
	}()
	if err != nil {
		return nil, nil, errors.Join(err, vm.Close())
	}
	return func(ctx context.Context, x0 []float64, run uint64) (mean, best []float64, err error) {
		copy(from, train.Convert[T](x0))
		s.SetRun(run)
		if err := s.Reset(nil, nil); err != nil {
			return nil, nil, err
		}
		found, err := s.Solve(ctx)
		if err != nil {
			return nil, nil, err
		}
		return train.Convert[float64](found.Mean), train.Convert[float64](found.Best), nil
	}, vm.Close, nil
}
