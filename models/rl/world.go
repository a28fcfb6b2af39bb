package rl

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/env"
)

// A Maker makes environments that are alike and independent.
type Maker func() (env.Task, error)

// Named is the Maker of the environment of that name in package env.
func Named(name string) Maker { return func() (env.Task, error) { return env.TaskByName(name) } }

// A System is an environment in plain Go whose true dynamics can be planned with.
type System struct {
	Env     env.Env
	Episode env.EpisodeOptions // Steps, Reward and Start are used
	Hold    int                // steps that an action is held for; 0: 1
}

// SwingUp is a cartpole that begins hanging, within a tenth of a radian, at rest near the middle of its rail: 50
// actions of 0.1 s, forces of at most 20 N. Each of their two steps is rewarded with (1 + cos theta)/2 exp(-(x/2)^2),
// in [0, 1], for the state that it leads to: 1 where the pole stands upright in the middle, so that a return is at
// most 100.
func SwingUp() System {
	return System{Env: env.Cartpole{Force: 20}, Hold: 2, Episode: env.EpisodeOptions{Name: "cartpole", Steps: 100,
		Reward: func(_, _, next []float64) float64 { return (1 + next[2]) / 2 * math.Exp(-next[0]*next[0]/4) },
		Start: func(rng func() float64, x []float64) {
			x[0], x[1], x[4] = 0.2*rng()-0.1, 0, 0
			x[3], x[2] = math.Sincos(math.Pi + 0.2*rng() - 0.1)
		},
	}}
}

func (s System) hold() int { return max(1, s.Hold) }

// Make is a Maker.
func (s System) Make() (env.Task, error) {
	t, err := env.NewEpisodes(s.Env, s.Episode)
	if err != nil {
		return nil, err
	}
	return env.Repeat(t, s.hold())
}

// Expert plans by the cross-entropy method with the true dynamics: what a model and a planner can come to. It acts in
// worlds made by Make, whose observations are states. c is of FullCEM.
func (s System) Expert(w *Worlds, c PlannerConfig, seed uint64) (Batch, error) {
	c.Kind = FullCEM
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if s.Episode.Reward == nil {
		return nil, errors.New("rl: Expert: the system's episodes have no Reward")
	}
	n, a, size := w.Size(), w.ActDim(), w.ObsDim()
	lower, upper := s.Env.Bounds()
	now := make([]float64, n*size)
	objective := dcem.PerCandidate(func(problem int, plan []float64) float64 {
		x, next, u := make([]float64, size), make([]float64, size), make([]float64, a)
		copy(x, now[problem*size:])
		cost := 0.0
		for ; len(plan) > 0; plan = plan[a:] {
			for j := range u {
				u[j] = lower[j] + (upper[j]-lower[j])*(plan[j]+1)/2
			}
			for range s.hold() {
				s.Env.StepGo(next, x, u, nil)
				cost -= s.Episode.Reward(x, u, next)
				x, next = next, x
			}
		}
		return cost
	})
	solver, err := dcem.NewSolver(objective, dcem.Config{Batch: n, Dim: c.Horizon * a, Samples: c.Samples,
		Elites:     c.Elites,
		Iterations: c.Iterations, Hard: true, Sigma: []float64{c.Sigma}, Lower: []float64{-1}, Upper: []float64{1},
		Seed: seed},
		dcem.SolverOptions[float64]{})
	if err != nil {
		return nil, err
	}
	return BatchFunc(func(ctx context.Context, step int, obs []float64, action []float32) error {
		copy(now, obs)
		solver.SetRun(uint64(step))
		found, err := solver.Solve(ctx)
		if err != nil {
			return err
		}
		for i := range n {
			for j := range a {
				action[i*a+j] = float32(found.Mean[i*c.Horizon*a+j])
			}
		}
		return nil
	}), nil
}

// world is an environment whose actions are numbers in [-1, 1].
type world struct {
	env.Task
	lower, upper, action []float64
}

func newWorld(t env.Task) (*world, error) {
	w := &world{Task: t, action: make([]float64, t.ActDim())}
	w.lower, w.upper = t.Bounds()
	for i := range w.lower {
		if !(w.lower[i] < w.upper[i]) || notFinite(w.lower) >= 0 || notFinite(w.upper) >= 0 {
			return nil, fmt.Errorf("rl: %s: bounds %v to %v of the actions, want finite ones", t.Name(), w.lower, w.upper)
		}
	}
	return w, nil
}

// Step takes an action in [-1, 1]: what is outside is taken for the bound.
func (w *world) Step(action, obs []float64) (reward float64, status env.Status, err error) {
	for i, a := range action {
		w.action[i] = env.Clamp(w.lower[i]+(w.upper[i]-w.lower[i])*(a+1)/2, w.lower[i], w.upper[i])
	}
	return w.Task.Step(w.action, obs)
}
