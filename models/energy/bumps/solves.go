package bumps

import (
	"context"
	"fmt"

	"github.com/godcem/godcem/dcem"
)

const (
	validationSolves = 20   // problems of a validation
	goodLoss         = 0.05 // a solve with a loss below it counts as at the target
)

// Solves runs solves from Go, without gradients, for any parameters.
type Solves struct {
	params []float64
	solver *dcem.Solver[float64]
	trace  Trace
}

// Trace is what one solve did, iteration by iteration.
type Trace struct {
	X         [][]float64 // samples, (N, 2) each
	Mu, Sigma [][]float64 // (2) each
	Answer    [2]float64
	Value     float64 // Z there
}

// Losses are those of a batch of solves.
type Losses struct {
	Mean, Worst float64
	Below       float64 // share of the solves with a loss below 0.05
	X, Y        float64 // mean answer
}

// NewSolves makes solves of the given kind.
func NewSolves(c dcem.Config) (*Solves, error) {
	s := &Solves{}
	var err error
	s.solver, err = dcem.NewSolver(dcem.CostFunc[float64](s.costs), c, dcem.SolverOptions[float64]{Callback: s.record})
	return s, err
}

func (s *Solves) costs(costs, x []float64) error {
	for i := range costs {
		costs[i] = Value(s.params, x[2*i], x[2*i+1])
	}
	return nil
}

func (s *Solves) record(it *dcem.Iteration[float64]) (stop bool, err error) {
	keep := func(to *[][]float64, v []float64) { *to = append(*to, append([]float64(nil), v...)) }
	keep(&s.trace.X, it.X)
	keep(&s.trace.Mu, it.Mu)
	keep(&s.trace.Sigma, it.Sigma)
	return false, nil
}

// solve runs one batch with the noise of the run number.
func (s *Solves) solve(params []float64, run uint64) (*dcem.Solution[float64], error) {
	s.params, s.trace = params, Trace{}
	s.solver.SetRun(run)
	return s.solver.Solve(context.Background())
}

// Trace returns the solve of one problem with the noise of the run number: the one that update number run sees, for
// the same configuration.
func (s *Solves) Trace(params []float64, run uint64) (Trace, error) {
	if b := s.solver.Config().Batch; b != 1 {
		return Trace{}, fmt.Errorf("bumps: Trace of %d problems, want 1", b)
	}
	sol, err := s.solve(params, run)
	if err != nil {
		return Trace{}, err
	}
	s.trace.Answer = [2]float64(sol.Mean)
	s.trace.Value = Value(params, sol.Mean[0], sol.Mean[1])
	return s.trace, nil
}

// Losses returns the losses mean (answer - target)^2 of all problems, with the noise of run number 0.
func (s *Solves) Losses(params, target []float64) (l Losses, err error) {
	sol, err := s.solve(params, 0)
	if err != nil {
		return l, err
	}
	n, below := float64(len(sol.Mean)/2), 0.
	for i := 0; i < len(sol.Mean); i += 2 {
		x, y := sol.Mean[i], sol.Mean[i+1]
		loss := ((x-target[0])*(x-target[0]) + (y-target[1])*(y-target[1])) / 2
		l.Mean += loss / n
		l.X += x / n
		l.Y += y / n
		l.Worst = max(l.Worst, loss)
		if loss < goodLoss {
			below++
		}
	}
	l.Below = below / n
	return l, nil
}
