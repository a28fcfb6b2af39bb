package rl

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/godcem/godcem/models/env"
)

// Worlds are n environments side by side, on goroutines. What one does depends on its number, its seeds and its actions
// alone, so that they give the same bits for any number of threads. Actions are numbers in [-1, 1], which stand for the
// least and the greatest action; what is outside is taken for the bound.
type Worlds struct {
	worlds []*world
	steps  int // of an episode

	// Obs (n,O) are the observations that the next actions answer to.
	Obs []float64
	// Of the last step: Next (n,O) are the observations that it led to, Reward (n) what it gave, Status what it made of
	// the episode. Where that is env.Failed the step did not happen: its reward is 0 and Next is where it stood. An
	// environment whose episode is over has begun another one: Obs is its first observation.
	Next   []float64
	Reward []float64
	Status []env.Status
	// Failures are why, where Status is env.Failed; nil elsewhere.
	Failures []error

	episode []int // number of the episode since Reset
	seed    uint64
	action  []float64
}

// NewWorlds makes n environments. Close them when done.
func NewWorlds(maker Maker, n int) (v *Worlds, err error) {
	if maker == nil || n < 1 {
		return nil, fmt.Errorf("rl: NewWorlds: n = %d and a maker that is nil = %v, want at least 1 and a maker", n, maker == nil)
	}
	v = &Worlds{}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Close())
			v = nil
		}
	}()
	for range n {
		t, err := maker()
		if err != nil {
			return v, err
		}
		w, err := newWorld(t)
		if err != nil {
			return v, errors.Join(err, t.Close())
		}
		v.worlds = append(v.worlds, w)
	}
	w := v.worlds[0]
	v.steps = w.Steps()
	v.Obs, v.Next = make([]float64, n*w.ObsDim()), make([]float64, n*w.ObsDim())
	v.Reward, v.action = make([]float64, n), make([]float64, n*w.ActDim())
	v.Status, v.Failures, v.episode = make([]env.Status, n), make([]error, n), make([]int, n)
	return v, nil
}

// Size is the number of environments.
func (v *Worlds) Size() int { return len(v.worlds) }

// ObsDim is the number of elements of an observation.
func (v *Worlds) ObsDim() int { return v.worlds[0].ObsDim() }

// ActDim is the number of elements of an action.
func (v *Worlds) ActDim() int { return v.worlds[0].ActDim() }

// Steps is the length of an episode that does not end before.
func (v *Worlds) Steps() int { return v.steps }

// Task is environment number i, to look at.
func (v *Worlds) Task(i int) env.Task { return v.worlds[i].Task }

// Close closes all of them.
func (v *Worlds) Close() error {
	var all []error
	for _, w := range v.worlds {
		all = append(all, w.Close())
	}
	return errors.Join(all...)
}

// Reset begins an episode everywhere: the first ones of that seed. Episode e of environment i has the seed that follows
// from (seed, i, e).
func (v *Worlds) Reset(seed uint64) error {
	v.seed = seed
	errs := make([]error, v.Size())
	v.parallel(func(i int) {
		v.episode[i] = -1
		errs[i] = v.begin(i)
	})
	return errors.Join(errs...)
}

// begin begins the next episode of environment i.
func (v *Worlds) begin(i int) error {
	v.episode[i]++
	o := v.ObsDim()
	obs := v.Obs[i*o : (i+1)*o]
	if err := v.worlds[i].Reset(mix(v.seed, uint64(i), uint64(v.episode[i])), obs); err != nil {
		return err
	}
	if at := notFinite(obs); at >= 0 {
		return fmt.Errorf("rl: %s: reset: observation %d is %v", v.worlds[i].Name(), at, obs[at])
	}
	return nil
}

// Step takes the actions (n,A). An error says that the environments cannot go on; the failure of an episode is none.
func (v *Worlds) Step(actions []float32) error {
	if len(actions) != len(v.action) {
		return fmt.Errorf("rl: Step: %d numbers of actions, want %d", len(actions), len(v.action))
	}
	for i, a := range actions {
		v.action[i] = float64(a)
	}
	errs := make([]error, v.Size())
	v.parallel(func(i int) { errs[i] = v.step(i) })
	return errors.Join(errs...)
}

func (v *Worlds) step(i int) error {
	o, a := v.ObsDim(), v.ActDim()
	obs, next := v.Obs[i*o:(i+1)*o], v.Next[i*o:(i+1)*o]
	reward, status, err := v.worlds[i].Step(v.action[i*a:(i+1)*a], next)
	var fault error
	switch at := notFinite(next); {
	case err != nil:
		if !errors.Is(err, env.ErrAction) {
			return err
		}
		fault = err // the policy's fault: the episode ends, the environment is sound
	case status == env.Failed:
		fault = v.worlds[i].Fault()
	case math.IsNaN(reward) || math.IsInf(reward, 0):
		fault = fmt.Errorf("rl: %s: the reward is %v", v.worlds[i].Name(), reward)
	case at >= 0:
		fault = fmt.Errorf("rl: %s: observation %d is %v", v.worlds[i].Name(), at, next[at])
	}
	if v.Failures[i] = fault; fault != nil {
		reward, status = 0, env.Failed
		copy(next, obs)
	}
	if v.Reward[i], v.Status[i] = reward, status; status.Over() {
		return v.begin(i)
	}
	copy(obs, next)
	return nil
}

// parallel calls f for every environment.
func (v *Worlds) parallel(f func(i int)) { parallel(v.Size(), f) }

// parallel calls f(0) to f(n-1), shared out over the processors.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var all sync.WaitGroup
	for w := range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := w * n / workers; i < (w+1)*n/workers; i++ {
				f(i)
			}
		}()
	}
	all.Wait()
}

// notFinite is the place of the first number that is NaN or infinite, -1 if all are finite.
func notFinite(v []float64) int {
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return i
		}
	}
	return -1
}

// mix makes one seed of several numbers (SplitMix64 of Steele, Lea and Flood, 2014, chained).
func mix(parts ...uint64) (h uint64) {
	for _, p := range parts {
		h += p + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
