package env

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/internal/vec"
)

// A Vec is n Tasks of one kind that step together, on several threads. What each does depends on its own seed and
// actions alone, so that the number of threads changes no bit. A Vec is not safe for concurrent use.
type Vec struct {
	tasks    []Task
	obs, act int
	threads  int
	errs     []error
	over     []bool
	job      func(i int) error // of the call under way
	closed   bool
}

// NewVec makes n Tasks by create, which is called for 0 to n-1 in this order. They step on at most that many of the
// engine's threads (0: all of them). Close closes them.
func NewVec(n, threads int, create func(i int) (Task, error)) (*Vec, error) {
	switch {
	case n < 1:
		return nil, fmt.Errorf("env: a Vec of %d tasks, want at least 1", n)
	case threads < 0:
		return nil, fmt.Errorf("env: a Vec on %d threads, want at least 1, or 0 for all", threads)
	case create == nil:
		return nil, errors.New("env: a Vec without a function that makes its tasks")
	}
	v := &Vec{threads: threads, errs: make([]error, n), over: make([]bool, n)}
	for i := range n {
		t, err := create(i)
		if err == nil && t == nil {
			err = errors.New("it is nil")
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("env: task %d of %d: %w", i, n, err), v.Close())
		}
		if v.tasks = append(v.tasks, t); t.ObsDim() != v.tasks[0].ObsDim() || t.ActDim() != v.tasks[0].ActDim() {
			return nil,
				errors.Join(fmt.Errorf("env: task %d observes %d and takes %d numbers, task 0 %d and %d: want one kind", i,
					t.ObsDim(), t.ActDim(), v.tasks[0].ObsDim(), v.tasks[0].ActDim()), v.Close())
		}
		v.over[i] = true
	}
	v.obs, v.act = v.tasks[0].ObsDim(), v.tasks[0].ActDim()
	return v, nil
}

// Len is the number of Tasks.
func (v *Vec) Len() int { return len(v.tasks) }

// Task is number i of them: to draw it, or to ask for its sizes, bounds and fault.
func (v *Vec) Task(i int) Task { return v.tasks[i] }

// Reset begins an episode of each Task: seeds (n), obs (n, ObsDim). An error leaves all without an episode.
func (v *Vec) Reset(seeds []uint64, obs []float64) error {
	if err := v.check(len(seeds), "seeds", len(obs)); err != nil {
		return err
	}
	err := v.each(func(i int) error { return v.tasks[i].Reset(seeds[i], obs[i*v.obs:(i+1)*v.obs]) })
	for i := range v.over {
		v.over[i] = err != nil
	}
	return err
}

// ResetOne begins an episode of Task i alone: obs (ObsDim).
func (v *Vec) ResetOne(i int, seed uint64, obs []float64) error {
	switch {
	case v.closed:
		return fmt.Errorf("env: Vec: %w", ErrClosed)
	case i < 0 || i >= len(v.tasks):
		return fmt.Errorf("env: Vec: task %d of %d", i, len(v.tasks))
	}
	err := v.tasks[i].Reset(seed, obs)
	v.over[i] = err != nil
	return err
}

// Step steps every Task whose episode is not over: actions (n, ActDim), obs (n, ObsDim), rewards (n), status (n). Of
// the others obs and status stay as they are and the reward is 0. An action of one of them that is not finite is an
// error, as it is for Task.Step, and then none has moved. A Task that has another error or panics is over; the others
// have moved.
func (v *Vec) Step(actions, obs, rewards []float64, status []Status) error {
	n := len(v.tasks)
	if err := v.check(len(rewards), "rewards", len(obs)); err != nil {
		return err
	}
	if len(actions) != n*v.act || len(status) != n {
		return fmt.Errorf("env: Vec: %d numbers of actions and %d status, want %d and %d", len(actions), len(status),
			n*v.act, n)
	}
	for i, t := range v.tasks {
		if !v.over[i] {
			if err := CheckStep(t, actions[i*v.act:(i+1)*v.act], obs[i*v.obs:(i+1)*v.obs]); err != nil {
				return fmt.Errorf("env: task %d: %w", i, err)
			}
		}
	}
	return v.each(func(i int) (err error) {
		if v.over[i] {
			rewards[i] = 0
			return nil
		}
		v.over[i] = true // also if it panics
		rewards[i], status[i], err = v.tasks[i].Step(actions[i*v.act:(i+1)*v.act], obs[i*v.obs:(i+1)*v.obs])
		v.over[i] = err != nil || status[i].Over()
		return err
	})
}

func (v *Vec) check(n int, what string, obs int) error {
	switch {
	case v.closed:
		return fmt.Errorf("env: Vec: %w", ErrClosed)
	case n != len(v.tasks):
		return fmt.Errorf("env: Vec: %d %s, want %d", n, what, len(v.tasks))
	case obs != len(v.tasks)*v.obs:
		return fmt.Errorf("env: Vec: %d numbers for observations, want %d", obs, len(v.tasks)*v.obs)
	}
	return nil
}

// each runs job for every Task, and is the error of the first that has one.
func (v *Vec) each(job func(i int) error) error {
	v.job = job
	switch n := len(v.tasks); v.threads {
	case 0:
		vec.Parallel(n, 1, v.all())
	case 1:
		v.all().Run(0, n)
	default:
		vec.Parallel(n, (n+v.threads-1)/v.threads, v.all())
	}
	v.job = nil
	for i, err := range v.errs {
		if err != nil {
			return fmt.Errorf("env: task %d: %w", i, err)
		}
	}
	return nil
}

// vecJob is a Vec's call under way as a vec.Job.
type vecJob Vec

func (v *Vec) all() *vecJob { return (*vecJob)(v) }

// Run implements vec.Job.
func (v *vecJob) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		v.errs[i] = guarded(i, v.job)
	}
}

// guarded is job(i), whose panic is an error.
func guarded(i int, job func(i int) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return job(i)
}

// Close closes the Tasks.
func (v *Vec) Close() error {
	if v.closed {
		return nil
	}
	v.closed = true
	var errs []error
	for _, t := range v.tasks {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
