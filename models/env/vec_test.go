package env

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/vec"
)

// Tasks that step together do what each does alone, on any number of threads, and also where some begin anew on their
// own.
func TestVec(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(4))
	const n, steps = 7, 250 // beyond the end of an episode
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7}
	again := map[int]int{2: 50, 5: 120} // task: the step before which it begins again, with seed 99
	var alone [n][]float64
	for i := range alone {
		first, _ := played(t, taskOf(t, "cartpole"), seeds[i], 1000)
		alone[i] = first
		if at, ok := again[i]; ok {
			second, _ := played(t, taskOf(t, "cartpole"), 99, 1000)
			alone[i] = append(slices.Clone(first[:5+6*at]), second...)
		}
	}
	for _, threads := range []int{0, 1, 2, 3, 9} {
		v, err := NewVec(n, threads, func(int) (Task, error) { return TaskByName("cartpole") })
		if err != nil {
			t.Fatal(err)
		}
		obs, u, rewards, status := make([]float64, 5*n), make([]float64, n), make([]float64, n), make([]Status, n)
		if err := v.Reset(seeds, obs); err != nil {
			t.Fatal(err)
		}
		var got [n][]float64
		for i := range got {
			got[i] = slices.Clone(obs[5*i : 5*i+5])
		}
		_, upper := v.Task(0).Bounds()
		var since [n]int
		var seed [n]uint64
		copy(seed[:], seeds)
		for s := range steps {
			var over [n]bool
			for i := range n {
				if at, ok := again[i]; ok && at == s {
					if err := v.ResetOne(i, 99, obs[5*i:5*i+5]); err != nil {
						t.Fatal(err)
					}
					got[i] = append(got[i], obs[5*i:5*i+5]...)
					seed[i], since[i], status[i] = 99, 0, Running
				}
				over[i] = status[i].Over()
				u[i] = 1.3 * upper[0] * math.Sin(float64(3*since[i])+float64(seed[i]))
				if over[i] {
					u[i] = math.NaN() // nobody looks
				}
				since[i]++
			}
			before := slices.Clone(obs)
			if err := v.Step(u, obs, rewards, status); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if over[i] {
					if rewards[i] != 0 || status[i] != TimeLimit || !slices.Equal(before[5*i:5*i+5], obs[5*i:5*i+5]) {
						t.Fatalf("task %d moved after its end", i)
					}
					continue
				}
				got[i] = append(append(got[i], obs[5*i:5*i+5]...), rewards[i])
			}
		}
		for i := range got {
			want := alone[i]
			if at, ok := again[i]; ok { // what is left of the steps
				want = want[:5+6*at+5+6*min(200, steps-at)]
			}
			if !slices.Equal(got[i], want) {
				t.Errorf("%d threads: task %d does something else than alone", threads, i)
			}
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}

// counted counts what is open.
type counted struct {
	Task
	open *int
}

func (c counted) Close() error {
	*c.open--
	return c.Task.Close()
}

// Wrong calls are errors, and a Task's own are told with its number.
func TestVecErrors(t *testing.T) {
	open := 0
	create := func(fail int) func(i int) (Task, error) {
		return func(i int) (Task, error) {
			if i == fail {
				return nil, errors.New("out of order")
			}
			task, err := TaskByName("cartpole")
			open++
			return counted{task, &open}, err
		}
	}
	if _, err := NewVec(4, 0, create(2)); err == nil || !strings.Contains(err.Error(), "task 2 of 4: out of order") ||
		open != 0 {
		t.Errorf("%v, %d left open", err, open)
	}
	for _, c := range []struct {
		n, threads int
		create     func(i int) (Task, error)
		want       string
	}{
		{0, 0, create(-1), "0 tasks, want at least 1"},
		{1, -1, create(-1), "-1 threads"},
		{1, 1, nil, "without a function"},
		{1, 1, func(int) (Task, error) { return nil, nil }, "nil"},
		{2, 1, func(i int) (Task, error) { return TaskByName(TaskNames()[i]) }, "want one kind"},
	} {
		if _, err := NewVec(c.n, c.threads, c.create); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error about %q", err, c.want)
		}
	}

	v, err := NewVec(3, 2, create(-1))
	if err != nil {
		t.Fatal(err)
	}
	obs, u, rewards, status := make([]float64, 15), make([]float64, 3), make([]float64, 3), make([]Status, 3)
	seeds := []uint64{1, 2, 3}
	if err := v.Reset(seeds, obs); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(obs)
	for what, err := range map[string]error{
		"task 1":       v.Step([]float64{0, math.NaN(), 0}, obs, rewards, status),
		"2 numbers":    v.Step(u[1:], obs, rewards, status),
		"14 numbers":   v.Step(u, obs[1:], rewards, status),
		"2 rewards":    v.Step(u, obs, rewards[1:], status),
		"2 status":     v.Step(u, obs, rewards, status[1:]),
		"2 seeds":      v.Reset(seeds[1:], obs),
		"task 3 of 3":  v.ResetOne(3, 1, obs[:5]),
		"task -1 of 3": v.ResetOne(-1, 1, obs[:5]),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want an error about %q", err, what)
		}
	}
	if !slices.Equal(before, obs) {
		t.Error("wrong calls changed observations")
	}
	for range 2 {
		if err := v.Close(); err != nil || open != 0 {
			t.Errorf("%v, %d left open", err, open)
		}
	}
	for _, err := range []error{v.Step(u, obs, rewards, status), v.Reset(seeds, obs), v.ResetOne(0, 1, obs[:5])} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}

	// A Task that panics is one that fails.
	v, err = NewVec(3, 0, func(i int) (Task, error) {
		return NewEpisodes(Cartpole{}, EpisodeOptions{Dynamics: func(next, x, u []float64) {
			if i == 1 {
				panic(fmt.Sprint("no dynamics in ", i))
			}
			Cartpole{}.StepGo(next, x, u, nil)
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Reset(seeds, obs); err != nil {
		t.Fatal(err)
	}
	if err := v.Step(u, obs, rewards, status); err == nil || !strings.Contains(err.Error(),
		"task 1: panic: no dynamics in 1") {
		t.Errorf("a panic: %v", err)
	}
	if err := v.Step(u, obs, rewards, status); err != nil {
		t.Errorf("the others go on: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
