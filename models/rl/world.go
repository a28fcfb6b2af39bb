package rl

import (
	"fmt"

	"github.com/godcem/godcem/models/env"
)

// A Maker makes environments that are alike and independent.
type Maker func() (env.Task, error)

// Named is the Maker of the environment of that name in package env.
func Named(name string) Maker { return func() (env.Task, error) { return env.TaskByName(name) } }

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
