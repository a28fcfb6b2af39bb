package rl

import (
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/env"
)

// TestAdvantages: by hand, gamma = 1/2, lambda = 1/2.
func TestAdvantages(t *testing.T) {
	for _, c := range []struct {
		name   string
		t      Trajectory
		want   []float64
		target []float64
	}{
		// delta = 1 + 0.5*2 - 1 = 1, 2 + 0.5*4 - 2 = 2, 3 + 0.5*8 - 4 = 3; A = 1 + (2 + 3/4)/4, 2 + 3/4, 3
		{"time limit", Trajectory{Reward: []float64{1, 2, 3}, Value: []float64{1, 2, 4}, Next: []float64{2, 4, 8},
			Last: []bool{false, false, true}, Terminal: make([]bool, 3)}, []float64{1.6875, 2.75, 3},
			[]float64{2.6875, 4.75, 7}},
		// delta = 1, 2, 3 - 4 = -1
		{"terminal", Trajectory{Reward: []float64{1, 2, 3}, Value: []float64{1, 2, 4}, Next: []float64{2, 4, 8},
			Last: []bool{false, false, true}, Terminal: []bool{false, false, true}},
			[]float64{1.4375, 1.75, -1}, []float64{2.4375, 3.75, 3}},
		// The second step ends an episode: the third is another's.
		{"two episodes", Trajectory{Reward: []float64{1, 2, 3}, Value: []float64{1, 2, 4}, Next: []float64{2, 6, 8},
			Last: []bool{false, true, true}, Terminal: []bool{false, false, false}},
			[]float64{1.75, 3, 3}, []float64{2.75, 5, 7}},
	} {
		a, target := make([]float64, 3), make([]float64, 3)
		if err := c.t.Advantages(a, target, 0.5, 0.5); err != nil {
			t.Fatal(err)
		}
		check.Close(t, c.name+": advantage", a, c.want, 0)
		check.Close(t, c.name+": target", target, c.target, 0)
	}
	var one Trajectory
	one.Reward = make([]float64, 2)
	if err := one.Advantages(nil, nil, 0.5, 0.5); err == nil || !strings.Contains(err.Error(),
		"Value has 0 values, want 2") {
		t.Errorf("error %v", err)
	}
	if err := (Trajectory{}).Advantages(nil, nil, 2, 0.5); err == nil || !strings.Contains(err.Error(), "discount = 2") {
		t.Errorf("error %v", err)
	}
}

// TestQuartiles: by hand; numpy.percentile gives the same.
func TestQuartiles(t *testing.T) {
	q := Returns{Each: []float64{4, 1, 3, 2}}.Quartiles()
	check.Close(t, "of four", q[:], []float64{1, 1.75, 2.5, 3.25, 4}, 0)
	q = Returns{Each: []float64{7}}.Quartiles()
	check.Close(t, "of one", q[:], []float64{7, 7, 7, 7, 7}, 0)
}

// TestMoments: batches of any sizes give the moments of all rows.
func TestMoments(t *testing.T) {
	m := newMoments(2)
	rows := []float64{1, 10, 2, 10, 4, 10, 5, 14}
	m.add(rows[:2])
	m.add(rows[2:6])
	m.add(rows[6:])
	check.Close(t, "mean", m.Mean, []float64{3, 11}, 1e-15)
	check.Close(t, "std", []float64{m.std(0), m.std(1)}, []float64{1.5811388300841898, 1.7320508075688772}, 1e-15)
	out := make([]float32, 4)
	m.standardise(out, []float64{3, 11, 1e9, -1e9})
	check.Close(t, "standardised", out, []float32{0, 0, 10, -10}, 0)
}

// TestRolloutAdvantages: after a time limit there is a value, after an end none; and nothing flows from one environment,
// or from one episode, into another. gamma = lambda = 1/2, rewards doubled.
func TestRolloutAdvantages(t *testing.T) {
	r := &Rollout{Worlds: 2, Length: 2, Reward: []float64{1, 1, 1, 1},
		Status: []env.Status{env.TimeLimit, env.Running, env.Running, env.Ended}}
	value, next := []float64{1, 1, 1, 1}, []float64{4, 4, 4, 4}
	advantage, target := make([]float64, 4), make([]float64, 4)
	if err := r.advantages(advantage, target, value, next, 2, 0.5, 0.5); err != nil {
		t.Fatal(err)
	}
	// 2 + 0.5*4 - 1 = 3 for each step by itself; the last is an end: 2 - 1 = 1, of which the one before has a quarter.
	check.Close(t, "advantage", advantage, []float64{3, 3, 3.25, 1}, 0)
	check.Close(t, "target", target, []float64{4, 4, 4.25, 2}, 0)
	r.Reward = []float64{1, 2, 3, 4}
	check.Close(t, "discounted", r.discounted(0.5), []float64{1, 2, 3, 5.5}, 0)
}
