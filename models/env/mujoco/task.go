//go:build (linux || darwin) && (amd64 || arm64)

package mujoco

import (
	"fmt"
	"image/draw"
	"math"
	"slices"

	"github.com/godcem/godcem/models/env"
)

// New makes the task of that name, one of Names.
func New(name string, o Options) (env.Task, error) {
	s, err := specByName(name)
	if err != nil {
		return nil, err
	}
	f, err := Find(o)
	if err != nil {
		return nil, err
	}
	l, err := open(f, o.AnyVersion)
	if err != nil {
		return nil, err
	}
	m, err := l.acquire(s, f.Models)
	if err != nil {
		return nil, err
	}
	t := &task{spec: s, model: m, sim: newSim(m), status: env.Ended,
		last: make([]float64, len(s.observed)), clamped: make([]float64, len(s.actuators))}
	return t, nil
}

// Version is that of the library which New would use, such as "4.0.0".
func Version(o Options) (string, error) {
	f, err := Find(o)
	if err != nil {
		return "", err
	}
	l, err := open(f, o.AnyVersion)
	if err != nil {
		return "", err
	}
	return versions(l.version), nil
}

// task is an env.Task of a spec.
type task struct {
	spec    *spec
	model   *model
	sim     *sim
	begun   bool
	t       int
	status  env.Status
	fault   error
	last    []float64 // observation
	clamped []float64 // action
}

func (t *task) Name() string           { return t.spec.name }
func (t *task) ObsDim() int            { return len(t.spec.observed) }
func (t *task) ActDim() int            { return len(t.spec.actuators) }
func (t *task) Observations() []string { return slices.Clone(t.spec.observed) }
func (t *task) Actions() []string      { return slices.Clone(t.spec.actuators) }
func (t *task) Steps() int             { return t.spec.steps }
func (t *task) Dt() float64            { return float64(t.spec.substeps) * t.spec.timestep }
func (t *task) Fault() error           { return t.fault }

func (t *task) Bounds() (lower, upper []float64) {
	n := len(t.spec.actuators)
	return slices.Repeat([]float64{-1}, n), slices.Repeat([]float64{1}, n)
}

func (t *task) Reset(seed uint64, obs []float64) error {
	switch {
	case t.sim == nil:
		return fmt.Errorf("mujoco: %s: %w", t.spec.name, env.ErrClosed)
	case len(obs) != t.ObsDim():
		return fmt.Errorf("mujoco: %s: %d elements for the observation, want %d", t.spec.name, len(obs), t.ObsDim())
	}
	r := newRandomState(seed)
	t.begun, t.t, t.status, t.fault = true, 0, env.Running, nil
	err := t.sim.begin(func(qpos []float64) {
		for _, j := range t.spec.ranges {
			qpos[j.joint] = r.uniform(j.low*radian, j.high*radian)
		}
	}, t.spec.settle)
	if err != nil {
		t.begun, t.status = false, env.Ended
		return fmt.Errorf("mujoco: %s: the episode of seed %d does not begin: %w", t.spec.name, seed, err)
	}
	t.spec.observe(&t.sim.pose, t.last)
	copy(obs, t.last)
	return nil
}

// radian is a degree, as MuJoCo rounds it.
const radian float64 = math.Pi / 180

func (t *task) Step(action, obs []float64) (float64, env.Status, error) {
	if err := env.CheckStep(t, action, obs); err != nil {
		return 0, t.status, err
	}
	switch {
	case t.sim == nil:
		return 0, t.status, fmt.Errorf("mujoco: %s: %w", t.spec.name, env.ErrClosed)
	case t.status.Over():
		return 0, t.status, fmt.Errorf("mujoco: %s: %w", t.spec.name, env.ErrEnded)
	}
	for i, v := range action {
		t.clamped[i] = env.Clamp(v, -1, 1) // as MuJoCo does
	}
	t.t++
	if err := t.sim.step(t.clamped); err != nil {
		t.status = env.Failed
		t.fault = fmt.Errorf("mujoco: %s: step %d: %w", t.spec.name, t.t, err)
		copy(obs, t.last)
		return 0, env.Failed, nil
	}
	if t.t == t.spec.steps {
		t.status = env.TimeLimit
	}
	t.spec.observe(&t.sim.pose, t.last)
	copy(obs, t.last)
	return t.spec.reward(&t.sim.pose), t.status, nil
}

func (t *task) Draw(img draw.Image) {
	if t.sim == nil || !t.begun || t.status == env.Failed {
		drawBodies(img, nil, nil)
		return
	}
	if !t.spec.posed {
		t.sim.readBodies()
	}
	drawBodies(img, t.spec, &t.sim.pose)
}

func (t *task) Close() error {
	if t.sim == nil {
		return nil
	}
	t.sim.close()
	t.sim = nil
	t.model.release()
	return nil
}
