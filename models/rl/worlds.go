package rl

import (
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
)

// Worlds are n environments side by side, on goroutines. What one does depends on its number, its seeds and its
// actions alone, so that they give the same bits for any number of threads. Actions are numbers in [-1, 1], which
// stand for the least and the greatest action; what is outside is taken for the bound.
type Worlds struct {
	vec                   *env.Vec
	obsDim, actDim, steps int

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
	seeds   []uint64
	action  []float64

	known *known
}

// known makes observations of what a model knows: its states, filtered.
type known struct {
	filter    *filter
	scale     func(out []float32, obs []float64)
	obs, next []float64 // the environments'
	before    []float32
}

// NewWorlds makes n environments. Close them when done.
func NewWorlds(maker Maker, n int) (*Worlds, error) {
	if maker == nil {
		return nil, errors.New("rl: NewWorlds: maker is nil")
	}
	vec, err := env.NewVec(n, 0, func(int) (env.Task, error) {
		t, err := maker()
		if err != nil || t == nil {
			return nil, err
		}
		w, err := newWorld(t)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		return w, nil
	})
	if err != nil {
		return nil, err
	}
	t := vec.Task(0)
	o := t.ObsDim()
	return &Worlds{vec: vec, obsDim: o, actDim: t.ActDim(), steps: t.Steps(), Obs: make([]float64, n*o),
		Next:   make([]float64, n*o),
		Reward: make([]float64, n), Status: make([]env.Status, n), Failures: make([]error, n),
		episode: make([]int, n), seeds: make([]uint64, n), action: make([]float64, n*t.ActDim())}, nil
}

// Size is the number of environments.
func (v *Worlds) Size() int { return v.vec.Len() }

// ObsDim is the number of elements of an observation.
func (v *Worlds) ObsDim() int { return len(v.Obs) / v.Size() }

// ActDim is the number of elements of an action.
func (v *Worlds) ActDim() int { return v.actDim }

// Steps is the length of an episode that does not end before.
func (v *Worlds) Steps() int { return v.steps }

// Task is environment number i, to look at.
func (v *Worlds) Task(i int) env.Task { return v.vec.Task(i).(*world).Task }

// Close closes all of them.
func (v *Worlds) Close() error {
	err := v.vec.Close()
	if v.known != nil {
		err = errors.Join(err, v.known.filter.vm.Close())
	}
	return err
}

// know makes the model's states (n,StateDim) the observations, with the posterior's means; scale standardises those
// of the environment for the model. The parameters are shared: they must not be written while Reset or Step run.
func (v *Worlds) know(machine string, m *RSSM, scale func(out []float32, obs []float64)) error {
	if m.c.Obs != v.obsDim || m.c.Act != v.actDim {
		return fmt.Errorf("rl: a model of %d observations and %d actions for an environment of %d and %d", m.c.Obs, m.c.Act,
			v.obsDim, v.actDim)
	}
	f, err := newFilter(machine, m, v.Size())
	if err != nil {
		return err
	}
	n := v.Size() * m.StateDim()
	v.known = &known{filter: f, scale: scale, obs: v.Obs, next: v.Next, before: make([]float32, n)}
	v.Obs, v.Next = make([]float64, n), make([]float64, n)
	return nil
}

// observed are the memories of the environments' own observations.
func (v *Worlds) observed() (obs, next []float64) {
	if v.known != nil {
		return v.known.obs, v.known.next
	}
	return v.Obs, v.Next
}

// begin makes the states that the first observations of episodes lead to, for all environments or those whose episode
// is over.
func (k *known) begin(v *Worlds, all bool) error {
	f, n := k.filter, v.Size()
	copy(k.before, f.x)
	for i := range n {
		if all || v.Status[i].Over() {
			f.forget(i, n)
		}
	}
	k.scale(f.o, k.obs)
	if err := f.step(); err != nil {
		return err
	}
	size := len(f.x) / n
	for i := range n {
		if !all && !v.Status[i].Over() {
			copy(f.x[i*size:(i+1)*size], k.before[i*size:])
		}
	}
	copy(v.Obs, train.Convert[float64](f.x))
	return nil
}

// follow makes the states that the actions and the observations which they led to give.
func (k *known) follow(v *Worlds) error {
	f, o := k.filter, v.obsDim
	for i, a := range v.action {
		f.a[i] = float32(env.Clamp(a, -1, 1))
	}
	k.scale(f.o, k.next)
	copy(k.before, f.x)
	if err := f.step(); err != nil {
		return err
	}
	size := len(f.x) / v.Size()
	for i, s := range v.Status {
		if s == env.Failed { // stands where it stood
			copy(f.x[i*size:(i+1)*size], k.before[i*size:])
			copy(k.next[i*o:(i+1)*o], k.obs[i*o:])
		}
	}
	copy(v.Next, train.Convert[float64](f.x))
	return nil
}

// Reset begins an episode everywhere: the first ones of that seed. Episode e of environment i has the seed that
// follows from (seed, i, e).
func (v *Worlds) Reset(seed uint64) error {
	v.seed = seed
	for i := range v.seeds {
		v.episode[i] = 0
		v.seeds[i] = mix(seed, uint64(i), 0)
	}
	obs, _ := v.observed()
	if err := v.vec.Reset(v.seeds, obs); err != nil {
		return err
	}
	if at := notFinite(obs); at >= 0 {
		return fmt.Errorf("rl: environment %d: reset: observation %d is %v", at/v.obsDim, at%v.obsDim, obs[at])
	}
	if v.known != nil {
		return v.known.begin(v, true)
	}
	return nil
}

// Step takes the actions (n,A). An error says that the environments cannot go on; the failure of an episode is none.
func (v *Worlds) Step(actions []float32) error {
	n, o, a := v.Size(), v.obsDim, v.actDim
	if len(actions) != n*a {
		return fmt.Errorf("rl: Step: %d numbers of actions, want %d", len(actions), n*a)
	}
	clear(v.Failures)
	for i, x := range actions {
		v.action[i] = float64(x)
		if math.IsNaN(v.action[i]) || math.IsInf(v.action[i], 0) {
			v.Failures[i/a] = fmt.Errorf("rl: environment %d: element %d of the action is %v", i/a, i%a, x)
			v.action[i] = 0
		}
	}
	obs, next := v.observed()
	if err := v.vec.Step(v.action, next, v.Reward, v.Status); err != nil {
		return err
	}
	over := false
	for i := range n {
		if fault := v.fault(i, next[i*o:(i+1)*o]); fault != nil {
			v.Failures[i] = fault
			v.Reward[i], v.Status[i] = 0, env.Failed
			copy(next[i*o:(i+1)*o], obs[i*o:])
		}
		over = over || v.Status[i].Over()
	}
	if v.known != nil {
		if err := v.known.follow(v); err != nil {
			return err
		}
	}
	copy(obs, next)
	for i, s := range v.Status {
		if s.Over() {
			if err := v.again(i, obs[i*o:(i+1)*o]); err != nil {
				return err
			}
		}
	}
	switch {
	case v.known == nil:
	case over:
		return v.known.begin(v, false)
	default:
		copy(v.Obs, v.Next)
	}
	return nil
}

// fault is why the last step of environment i, which has led to that observation, did not happen; nil if it did.
func (v *Worlds) fault(i int, next []float64) error {
	switch at := notFinite(next); {
	case v.Failures[i] != nil:
		return v.Failures[i]
	case v.Status[i] == env.Failed:
		if err := v.vec.Task(i).Fault(); err != nil {
			return err
		}
		return fmt.Errorf("rl: environment %d failed and does not say why", i)
	case math.IsNaN(v.Reward[i]) || math.IsInf(v.Reward[i], 0):
		return fmt.Errorf("rl: environment %d: the reward is %v", i, v.Reward[i])
	case at >= 0:
		return fmt.Errorf("rl: environment %d: observation %d is %v", i, at, next[at])
	}
	return nil
}

// again begins the next episode of environment i.
func (v *Worlds) again(i int, obs []float64) error {
	v.episode[i]++
	if err := v.vec.ResetOne(i, mix(v.seed, uint64(i), uint64(v.episode[i])), obs); err != nil {
		return err
	}
	if at := notFinite(obs); at >= 0 {
		return fmt.Errorf("rl: environment %d: reset: observation %d is %v", i, at, obs[at])
	}
	return nil
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
