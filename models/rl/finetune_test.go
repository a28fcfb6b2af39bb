package rl

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
)

// trained is an agent after a phase, whose checkpoints are nowhere.
func trained(t *testing.T) *Agent {
	t.Helper()
	a := smallAgent(t, shortPendulum, "", smallAgentConfig())
	if _, err := a.Step(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestKnown: the observations of environments that a model knows are its states, filtered for each by itself, from
// the beginning of each episode on.
func TestKnown(t *testing.T) {
	a := trained(t)
	if err := a.sync(); err != nil {
		t.Fatal(err)
	}
	const n = 3
	made := 0
	maker := func() (env.Task, error) { // the one fails in every third step, the next in every fourth, ...
		e, err := env.TaskByName("pendulum")
		made++
		return &faulty{Task: e, how: "observation", late: (made - 1) % n}, err
	}
	v, err := NewWorlds(maker, n)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.know("engine", a.model, a.scale); err != nil {
		t.Fatal(err)
	}
	plain, err := NewWorlds(maker, n)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := v.Reset(1); err != nil {
		t.Fatal(err)
	}
	if err := plain.Reset(1); err != nil {
		t.Fatal(err)
	}
	one, err := newFilter("engine", a.model, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer one.vm.Close()
	size := a.model.StateDim()
	if v.ObsDim() != size {
		t.Fatalf("%d numbers of an observation, want the state's %d", v.ObsDim(), size)
	}
	states := make([][]float32, n) // of each, filtered one by one
	follow := func(i int, action float32, obs []float64, fresh bool) []float32 {
		if one.forget(0, 1); !fresh {
			copy(one.x, states[i])
			one.a[0] = action
		}
		a.scale(one.o, obs)
		if err := one.step(); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(one.x)
	}
	for i := range n {
		states[i] = follow(i, 0, plain.Obs[i*3:i*3+3], true)
	}
	action := []float32{0.3, -3, 0.9}
	for step := range 8 {
		for i := range n {
			check.Close(t, "state", train.Convert[float32](v.Obs[i*size:(i+1)*size]), states[i], 1e-6) // sums over other tiles
		}
		before := slices.Clone(states)
		if err := v.Step(action); err != nil {
			t.Fatal(err)
		}
		if err := plain.Step(action); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			next := before[i]
			if plain.Status[i] != env.Failed {
				next = follow(i, max(-1, action[i]), plain.Next[i*3:i*3+3], false)
			}
			check.Close(t, "next", train.Convert[float32](v.Next[i*size:(i+1)*size]), next, 1e-6)
			if states[i] = next; plain.Status[i].Over() {
				states[i] = follow(i, 0, plain.Obs[i*3:i*3+3], true)
			}
		}
		if !slices.Equal(v.Status, plain.Status) || !slices.Equal(v.Reward, plain.Reward) ||
			step%3 == 2 != (v.Status[0] == env.Failed) {
			t.Fatalf("step %d: %v, want %v", step, v.Status, plain.Status)
		}
	}
}

// TestFineTune: PPO through the controller moves what is free and nothing else; its first ratios are 1; it resumes in
// the same bits.
func TestFineTune(t *testing.T) {
	a := trained(t)
	c := FineTuneConfig{Frozen: Frozen{Transition: true}, Hidden: []int{8}}
	c.Worlds, c.Length, c.Updates, c.Judge, c.Parts, c.Passes, c.Keep, c.Rate = 2, 10, 4, 2, 2, 1, true, 1e-12
	first, err := a.FineTune(c)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	m, err := first.Step(context.Background(), 1)
	// The scorer's batch is larger than an update's: sums in float32 in other orders, through two searches.
	if err != nil || m.Skipped || !(math.Abs(m.Values["kl"]) <= 1e-5) || m.Values["clipped"] != 0 {
		t.Errorf("%v, %+v: want ratios of 1", err, m)
	}
	c.Rate = 1e-3
	var ends [2][][]float32
	for i := range ends {
		p, err := a.FineTune(c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		before := map[string][]float32{}
		for _, q := range p.Params() {
			before[q.Name] = slices.Clone(nn.Values[float32](nn.Params{q})[0])
		}
		steps := []int{1, 2}
		if i == 1 { // by a checkpoint, into other parameters
			ck := run.NewCheckpoint(ppoKind, 1)
			if _, err := p.Step(context.Background(), 1); err != nil {
				t.Fatal(err)
			}
			if err := p.Save(ck); err != nil {
				t.Fatal(err)
			}
			other, err := trained(t).FineTune(c)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			for _, v := range nn.Values[float32](other.Params()) {
				clear(v)
			}
			if err := other.Load(ck); err != nil {
				t.Fatal(err)
			}
			p, steps = other, steps[1:]
		}
		for _, step := range steps {
			if m, err := p.Step(context.Background(), step); err != nil || m.Skipped {
				t.Fatal(m, err)
			}
		}
		if err := p.stepper.Sync(); err != nil {
			t.Fatal(err)
		}
		for _, q := range p.Params() {
			v := nn.Values[float32](nn.Params{q})[0]
			ends[i] = append(ends[i], slices.Clone(v))
			part, _, _ := strings.Cut(q.Name, "/")
			moved, free := !slices.Equal(v, before[q.Name]), part == "actions" || part == "reward" || part == "value"
			if moved != free && q.Name != "value/0/b" {
				t.Errorf("%s: moved: %v, free: %v", q.Name, moved, free)
			}
		}
	}
	for i := range ends[0] {
		if !slices.Equal(ends[0][i], ends[1][i]) {
			t.Errorf("parameter %d: the resumed run ends elsewhere", i)
		}
	}
	c.Learn, c.Samples, c.Elites, c.Iterations = true, 5, 2, 1
	wide, err := a.FineTune(c)
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	if got, want := wide.policy.Actor.Noise(), 5*a.c.Planner.Latent; got != want {
		t.Errorf("%d numbers of noise, want %d of a search of 5 samples", got, want)
	}
	for i, p := range []*PPO{first, wide} {
		std := nn.Values[float32](p.policy.logStd)[0][0]
		if m, err := p.Step(context.Background(), 1); err != nil || m.Skipped {
			t.Fatal(m, err)
		}
		if err := p.sync(); err != nil {
			t.Fatal(err)
		}
		if moved := nn.Values[float32](p.policy.logStd)[0][0] != std; moved != (i == 1) {
			t.Errorf("a standard deviation is learnt: %v, moved: %v", i == 1, moved)
		}
	}
	if r, err := first.Judge(context.Background(), 1); err != nil || len(r.Each) != 2 || notFinite(r.Each) >= 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestPredict: the error of saying that nothing changes, by hand; and an agent's, which is finite.
func TestPredict(t *testing.T) {
	a := trained(t)
	e := a.Replay().Episode(0)
	p, err := a.Predict([]*Episode{e}, 4)
	if err != nil {
		t.Fatal(err)
	}
	z := make([]float32, len(e.Obs))
	a.scale(z, train.Convert[float64](e.Obs))
	for k := range 4 {
		sum := 0.0
		for _, at := range []int{5, 10} { // of 15 steps
			for j := range 3 {
				d := float64(z[at*3+j]) - float64(z[(at+k+1)*3+j])
				sum += d * d / 6
			}
		}
		check.Close(t, "still", p.Still[k:k+1], []float64{sum}, 1e-14)
	}
	if notFinite(p.Model) >= 0 {
		t.Errorf("errors %v", p.Model)
	}
	if _, err := a.Predict([]*Episode{e}, 12); err == nil || !strings.Contains(err.Error(),
		"15 steps, want at least 17") {
		t.Errorf("error %v", err)
	}
	if _, err := a.Predict(nil, 12); err == nil {
		t.Error("a prediction of no episodes")
	}
}
