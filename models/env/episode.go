package env

import (
	"errors"
	"fmt"
	"image/draw"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Task is an environment as reinforcement learning takes it: episodes of steps, each with an observation and a
// reward, whatever computes them. [NewEpisodes] makes one of an Env; package mujoco has cheetah and walker; [Repeat]
// holds an action for several steps; a [Vec] runs many at once.
//
// A Task has one episode at a time and is not safe for concurrent use; different Tasks are.
type Task interface {
	Name() string
	ObsDim() int
	ActDim() int
	// Observations and Actions name the elements, for the columns of tables and the axes of figures.
	Observations() []string
	Actions() []string
	// Bounds are the least and the greatest action, each (ActDim). Steps clamp to them.
	Bounds() (lower, upper []float64)
	// Steps is how many steps an episode has, where it does not end before.
	Steps() int
	// Dt is the duration of a step, in seconds.
	Dt() float64
	// Reset begins the episode of that seed, and sets obs (ObsDim) to its first observation. The same seed and actions
	// give the same episode, to the bit.
	Reset(seed uint64, obs []float64) error
	// Step takes the action (ActDim) and sets obs (ObsDim) to the next observation. The reward is that of the step. An
	// error says that the call was wrong, and has changed nothing: an action that is not finite (ErrAction), a slice of
	// another length, a step before Reset or after the end (ErrEnded), a closed Task (ErrClosed). What goes wrong with
	// the simulation itself is the status Failed.
	Step(action, obs []float64) (reward float64, status Status, err error)
	// Fault is why the episode has the status Failed, and nil where it has not.
	Fault() error
	// Draw fills img with a picture of the present state.
	Draw(img draw.Image)
	// Close frees what the Task holds. Further calls of it do nothing.
	Close() error
}

// A Status is what a step has made of its episode.
type Status uint8

const (
	// Running: there is a next step.
	Running Status = iota
	// TimeLimit: the episode has had its Steps. Its last state is like any other: what comes after it has a value.
	TimeLimit
	// Ended: the last state is an end in itself, of value 0. The tasks of this module never end so.
	Ended
	// Failed: the simulation has no next state, for it blew up or its library refused; Fault says why. The observation
	// is the one before, the reward 0, and all that the episode gave before is good.
	Failed
)

// Over reports whether the episode has no further step.
func (s Status) Over() bool { return s != Running }

// String is the status as words.
func (s Status) String() string {
	if names := []string{"running", "time limit", "ended", "failed"}; int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// What a call of a Task can have wrong, beside lengths.
var (
	ErrAction = errors.New("the action is not finite")
	ErrEnded  = errors.New("no episode is running: call Reset")
	ErrClosed = errors.New("the task is closed")
)

// ErrNotFinite is wrapped by Fault where a state has become NaN or infinite.
var ErrNotFinite = errors.New("the state is not finite")

// CheckStep says what is wrong with the arguments of a Step. It is for those who write a Task.
func CheckStep(t Task, action, obs []float64) error {
	switch {
	case len(action) != t.ActDim():
		return fmt.Errorf("env: %s: an action of %d elements, want %d", t.Name(), len(action), t.ActDim())
	case len(obs) != t.ObsDim():
		return fmt.Errorf("env: %s: %d elements for the observation, want %d", t.Name(), len(obs), t.ObsDim())
	}
	for i, v := range action {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("env: %s: element %d of the action is %v: %w", t.Name(), i, v, ErrAction)
		}
	}
	return nil
}

// EpisodeOptions say what episodes of an Env are. The zero value has 200 steps, starts as Env.Reset says and rewards
// with the cost, negated.
type EpisodeOptions struct {
	Name  string // "": the Env's
	Steps int    // of an episode; 0: 200
	// Reward of the action u (U, within the bounds) in the state x (S), which leads to next (S). nil: -CostGo(x, u).
	Reward func(x, u, next []float64) float64
	// Dynamics takes the place of Env.StepGo: next (S) is the state after x (S) under u (U). nil: Env.StepGo.
	Dynamics func(next, x, u []float64)
	// Start sets x (S) to a random initial state; rng gives uniform numbers in [0,1). nil: Env.Reset.
	Start func(rng func() float64, x []float64)
}

// NewEpisodes makes a Task of e, whose observations are the states.
func NewEpisodes(e Env, o EpisodeOptions) (Task, error) {
	if e == nil {
		return nil, errors.New("env: episodes of nil, want an Env")
	}
	if o.Steps < 0 {
		return nil, fmt.Errorf("env: %s: episodes of %d steps, want at least 1, or 0 for 200", e.Name(), o.Steps)
	}
	if o.Steps == 0 {
		o.Steps = 200
	}
	if o.Name == "" {
		o.Name = e.Name()
	}
	if o.Reward == nil {
		o.Reward = func(x, u, _ []float64) float64 { return -e.CostGo(x, u, nil) }
	}
	if o.Dynamics == nil {
		o.Dynamics = func(next, x, u []float64) { e.StepGo(next, x, u, nil) }
	}
	if o.Start == nil {
		o.Start = e.Reset
	}
	t := &episodes{e: e, o: o, status: Ended,
		x: make([]float64, e.StateDim()), next: make([]float64, e.StateDim()), u: make([]float64, e.ControlDim())}
	t.lower, t.upper = e.Bounds()
	return t, nil
}

// episodes is a Task of an Env.
type episodes struct {
	e            Env
	o            EpisodeOptions
	lower, upper []float64
	x, next, u   []float64
	begun        bool
	acted        bool // u is an action of this episode
	closed       bool
	t            int
	status       Status
	fault        error
}

func (t *episodes) Name() string           { return t.o.Name }
func (t *episodes) ObsDim() int            { return len(t.x) }
func (t *episodes) ActDim() int            { return len(t.u) }
func (t *episodes) Observations() []string { return t.e.States() }
func (t *episodes) Actions() []string      { return t.e.Controls() }
func (t *episodes) Bounds() (lower, upper []float64) {
	return slices.Clone(t.lower), slices.Clone(t.upper)
}
func (t *episodes) Steps() int   { return t.o.Steps }
func (t *episodes) Dt() float64  { return t.e.Dt() }
func (t *episodes) Fault() error { return t.fault }

func (t *episodes) Reset(seed uint64, obs []float64) error {
	switch {
	case t.closed:
		return fmt.Errorf("env: %s: %w", t.Name(), ErrClosed)
	case len(obs) != len(t.x):
		return fmt.Errorf("env: %s: %d elements for the observation, want %d", t.Name(), len(obs), len(t.x))
	}
	rng := rand.New(rand.NewPCG(seed, 0x5e7))
	t.o.Start(rng.Float64, t.x)
	t.begun, t.acted, t.t, t.status, t.fault = true, false, 0, Running, nil
	if !finite(t.x) {
		t.status = Ended
		return fmt.Errorf("env: %s: the initial state of seed %d is %v: %w", t.Name(), seed, t.x, ErrNotFinite)
	}
	copy(obs, t.x)
	return nil
}

func (t *episodes) Step(action, obs []float64) (float64, Status, error) {
	if err := CheckStep(t, action, obs); err != nil {
		return 0, t.status, err
	}
	switch {
	case t.closed:
		return 0, t.status, fmt.Errorf("env: %s: %w", t.Name(), ErrClosed)
	case t.status.Over():
		return 0, t.status, fmt.Errorf("env: %s: %w", t.Name(), ErrEnded)
	}
	for i, v := range action {
		t.u[i] = Clamp(v, t.lower[i], t.upper[i])
	}
	t.acted = true
	t.o.Dynamics(t.next, t.x, t.u)
	reward := t.o.Reward(t.x, t.u, t.next)
	t.t++
	if !finite(t.next) || math.IsNaN(reward) || math.IsInf(reward, 0) {
		t.status = Failed
		t.fault = fmt.Errorf("env: %s: step %d leads to %v with reward %v: %w", t.Name(), t.t, t.next, reward, ErrNotFinite)
		copy(obs, t.x)
		return 0, Failed, nil
	}
	t.x, t.next = t.next, t.x
	if t.t == t.o.Steps {
		t.status = TimeLimit
	}
	copy(obs, t.x)
	return reward, t.status, nil
}

func (t *episodes) Draw(img draw.Image) {
	switch {
	case !t.begun:
		t.e.Draw(img, slices.Repeat([]float64{math.NaN()}, len(t.x)), nil)
	case t.acted:
		t.e.Draw(img, t.x, t.u)
	default:
		t.e.Draw(img, t.x, nil)
	}
}

func (t *episodes) Close() error {
	t.closed = true
	return nil
}

func finite(v []float64) bool {
	for _, v := range v {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// gymSpeed is the pendulum's greatest angular velocity in the gym, in rad/s.
const gymSpeed = 8

// taskSpec is what a Task is made of.
type taskSpec struct {
	name string
	e    Env
	o    EpisodeOptions
}

// tasks are what TaskByName knows.
var tasks = []taskSpec{
	{"cartpole", Cartpole{}, EpisodeOptions{}},
	{"pendulum", Pendulum{}, EpisodeOptions{
		Reward: func(x, u, _ []float64) float64 {
			theta := math.Atan2(x[1], x[0])
			return -(theta*theta + 0.1*(x[2]*x[2]) + 0.001*(u[0]*u[0]))
		},
		Dynamics: func(next, x, u []float64) {
			p, dt := pendulumDefaults, Pendulum{}.Dt()
			l := p[pendulumLength]
			spin := x[2] + dt*(1.5*p[pendulumGravity]/l*x[1]+3*u[0]/(p[pendulumMass]*(l*l)))
			spin = Clamp(spin, -gymSpeed, gymSpeed) // before the rod turns by it
			next[0], next[1] = Turn(x[0], x[1], dt*spin)
			next[2] = spin
		},
	}},
}

// TaskNames lists what TaskByName knows.
func TaskNames() []string {
	names := make([]string, len(tasks))
	for i, t := range tasks {
		names[i] = t.name
	}
	return names
}

// TaskByName makes the Task of that name in plain Go:
//
//   - cartpole: the swing-up of Cartpole, 200 steps (10 s), from any angle; reward cos theta - 0.1 x^2 - 1e-5 u^2;
//   - pendulum: Pendulum-v1 of the gym, 200 steps (10 s): |dtheta| at most 8 rad/s, from any angle with |dtheta| up to
//     1, reward -(theta^2 + 0.1 dtheta^2 + 0.001 u^2) with theta in [-pi, pi].
func TaskByName(name string) (Task, error) {
	for _, t := range tasks {
		if t.name == name {
			return NewEpisodes(t.e, t.o)
		}
	}
	return nil, fmt.Errorf("env: no task %q, want one of %s", name, strings.Join(TaskNames(), ", "))
}
