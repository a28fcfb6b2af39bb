package mpc

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
)

// An Episode is what happened in closed loop.
type Episode struct {
	X      [][]float64 // the plant's states x_0, x_1, ..., one more than steps
	U      [][]float64 // the controls u_0, u_1, ...
	Cost   []float64   // of each step, by the model's cost
	Status []dcem.Status
	// Plan is how long each plan took, of those that this process has made. With Repeat above 1 there is one for several
	// steps.
	Plan []time.Duration
	// Planned is the first plan: its controls (H, U) and its states (H+1, S).
	Planned struct{ U, X []float64 }
}

// Total is the sum of the costs.
func (e *Episode) Total() (sum float64) {
	for _, c := range e.Cost {
		sum += c
	}
	return sum
}

// start is the initial state of a configuration.
func (c Config) start(e env.Env) []float64 {
	if len(c.Start) > 0 {
		return slices.Clone(c.Start)
	}
	x := make([]float64, e.StateDim())
	if cos := slices.Index(e.States(), "cos"); cos >= 0 {
		x[cos] = -1
		return x
	}
	r := rand.New(rand.NewPCG(c.Seed, 0x3bc))
	e.Reset(r.Float64, x)
	return x
}

// Simulate controls one plant for each start, all by one controller, from the configuration's seed: problem b has the
// noise of problem b, so that an episode is the same alone and beside others. It stops early, with what there is and
// the context's cause, when ctx is over.
func Simulate(ctx context.Context, c Config, starts [][]float64, progress func(step int)) (all []*Episode,
	err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l, err := newLoop(c, starts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for t := range c.Steps {
		if err := l.step(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return l.episodes(), err
		}
		if progress != nil {
			progress(t + 1)
		}
	}
	return l.episodes(), nil
}

// part is row i of b equal ones.
func part[T kernels.Float](v []T, b, i int) []float64 {
	n := len(v) / b
	row := make([]float64, n)
	for j := range row {
		row[j] = float64(v[i*n+j])
	}
	return row
}

// step carries a control out.
func (e *Episode) step(believed, plant env.Env, u []float64) {
	x := e.X[len(e.X)-1]
	e.Cost = append(e.Cost, believed.CostGo(x, u, env.Defaults(believed)))
	next := make([]float64, len(x))
	plant.StepGo(next, x, u, env.Defaults(plant))
	e.U, e.X = append(e.U, u), append(e.X, next)
}

// turn is the step after which the cost falls most within h steps: where a plan matters, and it is seen what it depends
// on. A pendulum that hangs at rest may swing to either side, and no torque there tells a thing.
func (e *Episode) turn(h int) (at int) {
	most := math.Inf(-1)
	for t := range e.Cost {
		if fall := e.Cost[t] - e.Cost[min(t+h, len(e.Cost)-1)]; fall > most && finite(e.X[t]) { // a NaN is no fall
			at, most = t, fall
		}
	}
	return at
}

func finite(row []float64) bool {
	for _, v := range row {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// Finite reports whether every state and control is a number.
func (e *Episode) Finite() bool {
	for _, rows := range [][][]float64{e.X, e.U} {
		for _, row := range rows {
			if !finite(row) {
				return false
			}
		}
	}
	return true
}
