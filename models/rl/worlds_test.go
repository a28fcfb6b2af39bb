package rl

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
)

// faulty is an environment that goes wrong in its third step, in one of several ways.
type faulty struct {
	env.Task
	how  string
	t    int
	stay bool // t is not set back: every step fails
	late int  // so many steps later
}

func (f *faulty) Reset(seed uint64, obs []float64) error {
	if !f.stay {
		f.t = -f.late
	}
	return f.Task.Reset(seed, obs)
}

func (f *faulty) Step(action, obs []float64) (float64, env.Status, error) {
	reward, status, err := f.Task.Step(action, obs)
	if f.t++; f.t < 3 {
		return reward, status, err
	}
	switch f.how {
	case "reward":
		reward = math.NaN()
	case "observation":
		obs[1] = math.Inf(-1)
	case "failed":
		return 0, env.Failed, nil
	case "error":
		return 0, status, env.ErrClosed
	}
	return reward, status, err
}

func (f *faulty) Fault() error { return errors.New("it blew up") }

func faultyMaker(how string) Maker {
	return func() (env.Task, error) {
		t, err := env.TaskByName("pendulum")
		return &faulty{Task: t, how: how}, err
	}
}

// noise acts at random, as a function of the step.
func noise(n int) Batch {
	return BatchFunc(func(_ context.Context, step int, _ []float64, action []float32) error {
		kernels.Normal(action[:n], 5, 5, uint64(step), 0)
		return nil
	})
}

// TestFaults: what was collected before a fault stands, the failed step has no weight, and the others are as they
// would have been.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	collect := func(maker Maker) (*Rollout, error) {
		v, err := NewWorlds(maker, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		return Collect(ctx, v, noise(3), 7, 1)
	}
	sound, err := collect(Named("pendulum"))
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{"reward": "reward is NaN", "observation": "observation 1 is -Inf",
		"failed": "blew up"} {
		r, err := collect(faultyMaker(how))
		if err != nil {
			t.Fatal(err)
		}
		if r.Faults != 6 || r.FirstFault == nil || !strings.Contains(r.FirstFault.Error(), text) {
			t.Errorf("%s: %d faults, the first %v, want 6 and one with %q", how, r.Faults, r.FirstFault, text)
		}
		for i := range 3 {
			at := i * 7
			if !slices.Equal(r.Reward[at:at+2], sound.Reward[at:at+2]) ||
				!slices.Equal(r.Obs[at*3:(at+3)*3], sound.Obs[at*3:(at+3)*3]) {
				t.Errorf("%s: environment %d: the steps before the fault differ", how, i)
			}
			if r.Status[at+2] != env.Failed || r.Status[at+5] != env.Failed || r.Status[at+3] != env.Running ||
				r.Reward[at+2] != 0 {
				t.Errorf("%s: environment %d: statuses %v, rewards %v", how, i, r.Status[at:at+7], r.Reward[at:at+7])
			}
		}
		value, next := make([]float64, 21), make([]float64, 21)
		for i := range value {
			value[i], next[i] = 1, 2
		}
		advantage, target := make([]float64, 21), make([]float64, 21)
		if err := r.advantages(advantage, target, value, next, 1, 0.5, 0.5); err != nil {
			t.Fatal(err)
		}
		if advantage[2] != 0 || target[2] != 1 || advantage[1] != r.Reward[1]+0.5*2-1 {
			t.Errorf("%s: advantages %v, targets %v", how, advantage[:4], target[:4])
		}
		standardise(advantage, r.Status)
		if advantage[2] != 0 || advantage[5] != 0 || notFinite(advantage) >= 0 {
			t.Errorf("%s: standardised %v, want 0 at the faults", how, advantage[:7])
		}
	}
	if _, err := collect(faultyMaker("error")); !errors.Is(err, env.ErrClosed) {
		t.Errorf("error %v, want the environment's", err)
	}
}

// TestNaNAction: an action that is no number ends the episode, not the run.
func TestNaNAction(t *testing.T) {
	v, err := NewWorlds(Named("pendulum"), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r, err := Collect(context.Background(), v, BatchFunc(func(_ context.Context, step int, _ []float64,
		a []float32) error {
		a[0], a[1] = float32(math.NaN()), 0.5
		return nil
	}), 2, 1)
	if err != nil || r.Faults != 2 || r.Status[0] != env.Failed || r.Status[2] != env.Running {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestThreads: the same bits for any number of threads, other ones for another seed.
func TestThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first []float64
	for _, threads := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(threads)
		v, err := NewWorlds(Named("cartpole"), 7)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		r, err := Collect(context.Background(), v, noise(7), 230, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Returns) != 7 || r.Faults != 0 {
			t.Fatalf("%d episodes, want one from each environment; %d faults", len(r.Returns), r.Faults)
		}
		if first == nil {
			first = r.Next
		} else if !slices.Equal(first, r.Next) {
			t.Errorf("%d threads: other observations than with one", threads)
		}
		if r, err = Collect(context.Background(), v, noise(7), 230, 4); err != nil || slices.Equal(first, r.Next) {
			t.Errorf("%v; another seed gives the same observations", err)
		}
	}
}

// TestBounds: -1 and 1 are the bounds, what is beyond them is taken for them.
func TestBounds(t *testing.T) {
	task, err := env.TaskByName("pendulum")
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(task)
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[float64]float64{-1: -2, 0.5: 1, 1: 2, 7: 2, -3: -2} {
		if err := w.Reset(1, make([]float64, 3)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Step([]float64{a}, make([]float64, 3)); err != nil || w.action[0] != want {
			t.Errorf("action %v is the torque %v, %v, want %v", a, w.action[0], err, want)
		}
	}
}
