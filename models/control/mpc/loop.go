package mpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
)

// loop is closed loops under way, of one plant each, all by one controller.
type loop interface {
	step(ctx context.Context) error // every plant by one step
	episodes() []*Episode
	save(c *run.Checkpoint) error
	load(c *run.Checkpoint) error
	close() error
}

func newLoop(c Config, starts [][]float64) (loop, error) {
	if c.Float64 {
		return newLoopOf[float64](c, starts)
	}
	return newLoopOf[float32](c, starts)
}

type loopOf[T kernels.Float] struct {
	believed, plant env.Env
	planner         *dcem.Controller[T]
	held            int // steps that each control is held for
	x, u            []T // states and controls of all
	all             []*Episode
}

func newLoopOf[T kernels.Float](c Config, starts [][]float64) (*loopOf[T], error) {
	believed, plant, err := c.systems()
	if err != nil {
		return nil, err
	}
	s := plant.StateDim()
	l := &loopOf[T]{believed: believed, plant: plant, held: max(1, c.Repeat), x: make([]T, len(starts)*s),
		u: make([]T, len(starts)*plant.ControlDim())}
	for i, x := range starts {
		if len(x) != s {
			return nil, fmt.Errorf("mpc: start %d has %d numbers, want %d", i, len(x), s)
		}
		l.all = append(l.all, &Episode{X: [][]float64{slices.Clone(x)}})
	}
	g := G.NewGraph()
	l.planner, err = dcem.NewController[T](g, c.model(g, believed, dtypeOf[T]()), c.plan(believed, len(starts)),
		dcem.ControllerOptions{TimeLimit: time.Duration(c.Milliseconds * float64(time.Millisecond)), CarryElites: c.CarryElites})
	return l, err
}

func (l *loopOf[T]) close() error { return l.planner.Close() }

func (l *loopOf[T]) episodes() []*Episode { return l.all }

func (l *loopOf[T]) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := len(l.all[0].U)
	if t%l.held == 0 {
		s := l.plant.StateDim()
		for i, e := range l.all {
			for j, v := range e.X[t] {
				l.x[i*s+j] = T(v)
			}
		}
		began := time.Now()
		first, err := l.planner.Act(ctx, l.x)
		if err != nil {
			return fmt.Errorf("mpc: step %d: %w", t, err)
		}
		took, b := time.Since(began), len(l.all)
		copy(l.u, first)
		for i, e := range l.all {
			r := l.planner.Last()
			e.Plan, e.Status = append(e.Plan, took), append(e.Status, r.Diagnoses[i].Status)
			if t == 0 {
				e.Planned.U, e.Planned.X = part(r.Controls, b, i), part(r.States, b, i)
			}
		}
	}
	for i, e := range l.all {
		e.step(l.believed, l.plant, part(l.u, len(l.all), i))
	}
	return nil
}

// Names in a checkpoint.
const (
	savedMu, savedPrevious, savedElites = "planner/mu", "planner/previous", "planner/elites"
	savedHeld                           = "held"
	savedState                          = "planner"
)

// savedEpisode is an episode as a checkpoint keeps it.
type savedEpisode struct {
	Statuses []dcem.Status `json:"statuses"`
}

func (l *loopOf[T]) save(c *run.Checkpoint) error {
	state := l.planner.State()
	run.PutArray(c, savedMu, state.Mu)
	run.PutArray(c, savedPrevious, state.Previous)
	run.PutArray(c, savedElites, state.Elites)
	run.PutArray(c, savedHeld, slices.Clone(l.u))
	err := c.Put(savedState, state.Run)
	for i, e := range l.all {
		name := func(what string) string { return fmt.Sprintf("episode%d/%s", i, what) }
		run.PutArray(c, name("x"), slices.Concat(e.X...))
		run.PutArray(c, name("u"), slices.Concat(e.U...))
		run.PutArray(c, name("cost"), slices.Clone(e.Cost))
		run.PutArray(c, name("first_plan_u"), e.Planned.U)
		run.PutArray(c, name("first_plan_x"), e.Planned.X)
		err = errors.Join(err, c.Put(name("statuses"), savedEpisode{e.Status}))
	}
	return err
}

func (l *loopOf[T]) load(c *run.Checkpoint) error {
	var state dcem.ControllerState[T]
	for _, v := range []struct {
		name string
		into *[]T
	}{{savedMu, &state.Mu}, {savedPrevious, &state.Previous}, {savedElites, &state.Elites}} {
		data, _, err := run.ArrayOf[T](c, v.name)
		if err != nil {
			return err
		}
		*v.into = data
	}
	if err := c.Get(savedState, &state.Run); err != nil {
		return err
	}
	if err := run.GetArray(c, savedHeld, l.u); err != nil {
		return err
	}
	var all []*Episode
	for i := range l.all {
		e, err := l.loadEpisode(c, i)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	if err := l.planner.Restore(state); err != nil {
		return err
	}
	l.all = all
	return nil
}

func (l *loopOf[T]) loadEpisode(c *run.Checkpoint, i int) (*Episode, error) {
	e := &Episode{}
	var x, u []float64
	name := func(what string) string { return fmt.Sprintf("episode%d/%s", i, what) }
	for _, v := range []struct {
		name string
		into *[]float64
	}{{"x", &x}, {"u", &u}, {"cost", &e.Cost}, {"first_plan_u", &e.Planned.U}, {"first_plan_x", &e.Planned.X}} {
		data, _, err := run.ArrayOf[float64](c, name(v.name))
		if err != nil {
			return nil, err
		}
		*v.into = slices.Clone(data)
	}
	var s savedEpisode
	if err := c.Get(name("statuses"), &s); err != nil {
		return nil, err
	}
	e.Status = s.Statuses
	e.X = slices.Collect(slices.Chunk(x, l.plant.StateDim()))
	e.U = slices.Collect(slices.Chunk(u, l.plant.ControlDim()))
	if len(e.U) != c.Step || len(e.X) != c.Step+1 || len(e.Cost) != c.Step {
		return nil, fmt.Errorf("episode %d has %d states, %d controls and %d costs, want those of %d steps", i, len(e.X), len(e.U),
			len(e.Cost), c.Step)
	}
	return e, nil
}

// Task is closed loops as a run's steps: what [run.Train] can interrupt and resume. Use NewTask.
type Task struct {
	kind  string
	plant env.Env
	loop  loop
}

var _ run.Task = (*Task)(nil)

// NewTask begins one closed loop for each start, for a valid configuration. Call Close when done.
func NewTask(kind string, c Config, starts [][]float64) (*Task, error) {
	_, plant, err := c.systems()
	if err != nil {
		return nil, err
	}
	l, err := newLoop(c, starts)
	return &Task{kind, plant, l}, err
}

// Episodes are the closed loops as far as they are.
func (t *Task) Episodes() []*Episode { return t.loop.episodes() }

// Close closes the controller.
func (t *Task) Close() error { return t.loop.close() }

// Kind implements run.Task.
func (t *Task) Kind() string { return t.kind }

// Columns implements run.Task: the state from which and the control with which the first plant made its step. The loss
// is the mean cost of the step over the plants.
func (t *Task) Columns() []string { return slices.Concat(t.plant.States(), t.plant.Controls()) }

// Step implements run.Task.
func (t *Task) Step(ctx context.Context, _ int) (run.StepMetrics, error) {
	if err := t.loop.step(ctx); err != nil {
		return run.StepMetrics{}, err
	}
	all := t.Episodes()
	at := len(all[0].U) - 1
	m := run.StepMetrics{GradNorm: math.NaN(), Values: map[string]float64{}}
	for i, v := range slices.Concat(all[0].X[at], all[0].U[at]) {
		m.Values[t.Columns()[i]] = v
	}
	for _, e := range all {
		m.Loss += e.Cost[at] / float64(len(all))
	}
	return m, nil
}

// Save implements run.Task.
func (t *Task) Save(c *run.Checkpoint) error { return t.loop.save(c) }

// Load implements run.Task.
func (t *Task) Load(c *run.Checkpoint) error { return t.loop.load(c) }
