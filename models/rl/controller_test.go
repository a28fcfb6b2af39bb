package rl

import (
	"context"
	"slices"
	"testing"
)

// TestFreshNoise: each action has noise of its own, drawn from the seed, the iteration, the time and the environment;
// the scorer's rows have that of the actions that they are about.
func TestFreshNoise(t *testing.T) {
	a := trained(t)
	var c FineTuneConfig
	c.Worlds, c.Length, c.Updates, c.Judge, c.Parts, c.Passes, c.Rate = 2, 3, 4, 2, 2, 1, 1e-12
	p, err := a.FineTune(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const step = 2
	k := p.policy.Actor.Noise()
	var rows [][]float32 // of the actions, by environment and time
	var same [][]float32 // actions for one observation, at each time
	act := p.drawn(step)
	batch := BatchFunc(func(ctx context.Context, at int, obs []float64, action []float32) error {
		err := act.Act(ctx, at, obs, action)
		rows = append(rows, slices.Clone(p.actor.noise))
		return err
	})
	r, err := Collect(context.Background(), p.worlds, batch, c.Length, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.learn(context.Background(), r, step, 1e-12); err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for row := range c.Worlds * c.Length {
		got := p.scorer.noise[row*k : (row+1)*k]
		if i, at := row/c.Length, row%c.Length; !slices.Equal(got, rows[at][i*k:(i+1)*k]) {
			t.Errorf("environment %d, time %d: the scorer has other noise than the action had", i, at)
		}
		for _, other := range all {
			if slices.Equal(got, other) {
				t.Error("two actions have the same noise")
			}
		}
		all = append(all, got)
	}
	for _, run := range []uint64{0, 1, 0} {
		action := make([]float32, len(p.actor.noise)/k)
		if err := p.actor.act(1, run, action); err != nil {
			t.Fatal(err)
		}
		same = append(same, action)
	}
	if slices.Equal(same[0], same[1]) || !slices.Equal(same[0], same[2]) {
		t.Errorf("actions %v for one observation with the noise of runs 0, 1 and 0", same)
	}
}
