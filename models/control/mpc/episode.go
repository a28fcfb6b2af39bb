package mpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
)

// An Episode is what happened in closed loop.
type Episode struct {
	X      [][]float64 // the plant's states x_0, x_1, ..., one more than steps
	U      [][]float64 // the controls u_0, u_1, ...
	Cost   []float64   // of each step, by the model's cost
	Status []dcem.Status
	// Plan is how long each plan took. With Repeat above 1 there is one for several steps.
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

// model is an environment as the controller takes it.
func model(e env.Env) dcem.Model {
	return dcem.Model{
		States: e.StateDim(), Controls: e.ControlDim(),
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return e.Step(x, u, nil) },
		Cost:     func(_ int, x, u *G.Node) (*G.Node, error) { return e.Cost(x, u, nil) },
	}
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
func Simulate(ctx context.Context, c Config, starts [][]float64, progress func(step int)) ([]*Episode, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Float64 {
		return simulate[float64](ctx, c, starts, progress)
	}
	return simulate[float32](ctx, c, starts, progress)
}

func simulate[T kernels.Float](ctx context.Context, c Config, starts [][]float64, progress func(step int)) (all []*Episode, err error) {
	believed, plant, err := c.systems()
	if err != nil {
		return nil, err
	}
	b, s, u := len(starts), plant.StateDim(), plant.ControlDim()
	for i, x := range starts {
		if len(x) != s {
			return nil, fmt.Errorf("mpc: start %d has %d numbers, want %d", i, len(x), s)
		}
		all = append(all, &Episode{X: [][]float64{slices.Clone(x)}})
	}
	planner, err := dcem.NewController[T](nil, model(believed), c.plan(believed, b), dcem.ControllerOptions{
		TimeLimit: time.Duration(c.Milliseconds * float64(time.Millisecond))})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, planner.Close()) }()
	x := make([]T, b*s)
	held := max(1, c.Repeat)
	controls := make([]T, b*u)
	for t := range c.Steps {
		for i, e := range all {
			for j, v := range e.X[t] {
				x[i*s+j] = T(v)
			}
		}
		if t%held == 0 {
			began := time.Now()
			first, err := planner.Act(ctx, x)
			if err != nil {
				if ctx.Err() != nil {
					return all, context.Cause(ctx)
				}
				return all, fmt.Errorf("mpc: step %d: %w", t, err)
			}
			took := time.Since(began)
			copy(controls, first)
			for i, e := range all {
				e.Plan = append(e.Plan, took)
				e.Status = append(e.Status, planner.Last().Diagnoses[i].Status)
				if t == 0 {
					e.Planned.U, e.Planned.X = part[T](planner.Last().Controls, b, i), part[T](planner.Last().States, b, i)
				}
			}
		}
		for i, e := range all {
			e.step(believed, plant, part[T](controls, b, i))
		}
		if progress != nil {
			progress(t + 1)
		}
	}
	return all, nil
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

// Finite reports whether every state and control is a number.
func (e *Episode) Finite() bool {
	for _, rows := range [][][]float64{e.X, e.U} {
		for _, row := range rows {
			for _, v := range row {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return false
				}
			}
		}
	}
	return true
}
