package rl

import (
	"context"
	"strings"
	"testing"
)

// TestCosts: how often the parts of a training happen, by hand, and a table that says what they come to.
func TestCosts(t *testing.T) {
	s := quickSettings()
	s.Env, s.Steps, s.Every, s.Judge, s.Repeat = "cheetah-run", 20, 10, 2, 4
	s.Agent.Updates, s.Agent.DecoderEvery, s.Agent.DecoderBatch, s.Agent.Collect = 6, 3, 8, 2
	s.PPO.Length = 5
	all, err := Costs(context.Background(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Episodes of 250 decisions, of two worlds at once; two evaluations of two episodes. PPO: 20 iterations of one pass
	// of 5 parts; 5 decisions each that are scored too, and two evaluations of two episodes, in batches of two.
	for i, want := range []struct {
		program string
		count   float64
		of      int
	}{{"train", 120, 4}, {"train", 20*250 + 2*250, 2}, {"embed", 120, 4}, {"embed", 5500, 2}, {"embed", 40, 8},
		{"finetune", 100, 2}, {"finetune", 2*20*5 + 2*250, 2}} {
		if c := all[i]; c.Program != want.program || c.Count != want.count || c.Of != want.of || !(c.Seconds > 0) {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	if len(all) != 7 {
		t.Errorf("%d parts, want 7", len(all))
	}
	for i, c := range all { // updates are known to take memory, decisions are not
		if update := strings.HasPrefix(c.Part, "update"); update != (c.Bytes > 0) {
			t.Errorf("part %d, %s: %d bytes", i, c.Part, c.Bytes)
		}
	}
	if gb := (Cost{Bytes: 3e9, Rows: 4, Of: 8}).GB(); gb != 6 {
		t.Errorf("%v GB, want 6", gb)
	}
	if h := (Cost{Seconds: 2, Count: 900, Rows: 4, Of: 8}).Hours(); h != 1 {
		t.Errorf("%v hours, want 1", h)
	}
	var w strings.Builder
	if err := PrintCosts(&w, all); err != nil || strings.Count(w.String(), "all of it") != 3 {
		t.Errorf("%v: %s", err, w.String())
	}
	s.Env = "abacus"
	if _, err := Costs(context.Background(), s, nil); err == nil {
		t.Error("the costs of an environment that is none")
	}
}
