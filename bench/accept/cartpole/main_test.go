package main

import (
	"maps"
	"math"
	"testing"
)

// A claim holds on its bar, not beyond it, and not by a metric that is missing or no number.
func TestClaims(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name     string
		holds    func(m map[string]float64) bool
		good     map[string]float64
		beyond   map[string]float64 // each alone breaks it
		optional string             // decides nothing
	}{
		{"quick", asGood, map[string]float64{"cost": -8.25, "cost_fresh": 0, "expert_cost": -8.25},
			map[string]float64{"cost": math.Nextafter(-8.25, 0), "expert_cost": math.Nextafter(-8.25, -9)}, "cost_fresh"},
		{"full", func(m map[string]float64) bool { return nearStrong(m, m) },
			map[string]float64{"cost": -9.5, "cost_fresh": -9.5, "expert_strong_cost": -9, "expert_strong_best_cost": -10},
			map[string]float64{"cost": -9.49, "cost_fresh": -9.49, "expert_strong_cost": -10.01,
				"expert_strong_best_cost": -10.01}, ""},
	} {
		if !c.holds(c.good) {
			t.Errorf("%s: does not hold on its bar", c.name)
		}
		with := func(name string, v float64) map[string]float64 {
			m := maps.Clone(c.good)
			m[name] = v
			return m
		}
		for name := range c.good {
			if name == c.optional {
				continue
			}
			missing := maps.Clone(c.good)
			delete(missing, name)
			if c.holds(missing) {
				t.Errorf("%s: holds without %s", c.name, name)
			}
			if c.holds(with(name, nan)) {
				t.Errorf("%s: holds with %s = NaN", c.name, name)
			}
			if v, ok := c.beyond[name]; !ok || c.holds(with(name, v)) {
				t.Errorf("%s: holds with %s = %v", c.name, name, v)
			}
		}
	}
	// Experts that do not plan at all are no measure.
	if m := map[string]float64{"cost": 1, "cost_fresh": 1, "expert_strong_cost": 2, "expert_strong_best_cost": 2}; nearStrong(m, m) {
		t.Error("holds beside an expert whose plans cost more than nothing")
	}
}
