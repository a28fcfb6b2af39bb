package rl

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
)

// TestChange: by hand, for ratios of 4, 1/4, 1 and one of a step that failed: 2 mean (1, 1/4, 0), and with clips at
// 0.8 and 1.2 gains of min(4, 1.2) - 1, min(-1/2, -1.6) + 2 and 0.
func TestChange(t *testing.T) {
	ok := env.Status(0)
	far, gain := PPOConfig{}.WithDefaults().change([]float64{math.Log(4), -2, 7, 0},
		[]float64{0, -2 + math.Log(4), 7, 99}, []float64{1, -2, 3, 0}, []env.Status{ok, ok, ok, env.Failed})
	check.Close(t, "divergence, gain", []float64{far, gain}, []float64{2 * 1.25 / 3, (0.2 + 0.4) / 3}, 1e-14)
	// Gaussians of sigma = 1 that are delta = 0.1 apart: KL = delta^2/2, by the trapezoidal rule over z in [-8, 8].
	sum, h := 0.0, 1e-3
	for z := -8.0; z <= 8; z += h {
		d, _ := PPOConfig{}.change([]float64{-(z - 0.1) * (z - 0.1) / 2}, []float64{-z * z / 2}, []float64{0},
			[]env.Status{ok})
		sum += h * d * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
	}
	check.Close(t, "divergence of near Gaussians", []float64{sum}, []float64{0.005}, 1e-5) // they differ by O(delta^4)
}

// TestTrust: where any change is within bounds nothing is different; where none is, policy and optimiser are as they
// were; between them the change is a share of the whole one, along it, and within its bound.
func TestTrust(t *testing.T) {
	type end struct {
		values [][]float32
		steps  uint64
		m      map[string]float64
	}
	iterate := func(trust float64) (start, stop end) {
		c := Config{Seed: 3}
		c.Rate, c.Keep, c.Trust = 0.01, true, trust
		task := smallPPO(t, Named("pendulum"), c)
		now := func() (e end) {
			if err := task.sync(); err != nil {
				t.Fatal(err)
			}
			state, err := task.stepper.State()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range nn.Values[float32](task.policy.Free()) {
				e.values = append(e.values, slices.Clone(v))
			}
			e.steps = state.Steps
			return e
		}
		start = now()
		m, err := task.Step(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		stop = now()
		stop.m = m.Values
		return start, stop
	}
	equal := func(a, b end) bool {
		return a.steps == b.steps && slices.EqualFunc(a.values, b.values, slices.Equal[[]float32])
	}
	start, whole := iterate(0)
	if whole.m["share"] != 1 || !math.IsNaN(whole.m["divergence"]) || whole.steps != 8 {
		t.Fatalf("without a bound: %v", whole.m)
	}
	_, wide := iterate(1e6)
	far := wide.m["divergence"]
	if !equal(wide, whole) || wide.m["share"] != 1 || !(far > 0) {
		t.Errorf("within a wide bound: %v, want the same as without one", wide.m)
	}
	if _, none := iterate(1e-12); !equal(none, start) || none.m["share"] != 0 || none.m["divergence"] != 0 {
		t.Errorf("within no bound: %v, want the start", none.m)
	}
	_, part := iterate(far / 2)
	share := part.m["share"]
	if halved := math.Log2(share); !(share > 0 && share < 1) || halved != math.Round(halved) ||
		!(part.m["divergence"] > 0 && part.m["divergence"] <= far/2) || part.steps != 8 {
		t.Fatalf("within half of the divergence: %v", part.m)
	}
	for i, v := range part.values {
		for j, got := range v {
			// Rounded once in float32, as the share's.
			want := start.values[i][j] + float32(share)*(whole.values[i][j]-start.values[i][j])
			if got != want {
				t.Fatalf("parameter %d, %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

// TestTrustGain: a change within any bound is kept where the surrogate gains by it, and taken back where it loses at
// every length.
func TestTrustGain(t *testing.T) {
	c := Config{Seed: 3}
	c.Rate, c.Keep = 0.01, true
	task := smallPPO(t, Named("pendulum"), c)
	remember := func() memory {
		m, err := task.remember()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	start := remember()
	if _, err := task.Step(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	stop := remember()
	own := nn.Values[float32](task.policy.Free())
	at := func(m memory) []float64 {
		for i, v := range m.values {
			copy(own[i], v)
		}
		logProb, _, _, err := task.scorer.score()
		if err != nil {
			t.Fatal(err)
		}
		return logProb
	}
	old, now := at(start), at(stop)
	status := make([]env.Status, len(old))
	task.c.Trust = 1e6
	for _, sign := range []float64{1, -1} { // actions are as good as the change has made them likelier, or as bad
		advantage := make([]float64, len(old))
		for i := range advantage {
			advantage[i] = sign * (now[i] - old[i])
		}
		share, _, err := task.shorten(start, old, advantage, status)
		if err != nil {
			t.Fatal(err)
		}
		want, left := stop, 1.0
		if sign < 0 {
			want, left = start, 0
		}
		if end := remember(); share != left || end.state.Steps != want.state.Steps ||
			!slices.EqualFunc(end.values, want.values, slices.Equal[[]float32]) {
			t.Errorf("gain of sign %v: %v of the change is left after %d updates, want %v after %d", sign, share,
				end.state.Steps, left, want.state.Steps)
		}
	}
}
