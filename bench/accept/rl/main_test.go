package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
)

// TestRecord: what is measured again takes the place of its seed, and what other programs came to stays.
func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rl.json")
	if r, err := readReport(path); err != nil || len(r) != 0 {
		t.Fatal(r, err)
	}
	r := report{}
	r.section("ppo").take(&outcome{Env: "pendulum", Metrics: map[string]float64{"return_mean": -200}}, record.Machine{})
	s := r.section("embed")
	for _, seed := range []uint64{1, 0, 1} {
		s.take(&outcome{Seed: seed, Seconds: float64(len(s.Outcomes))}, record.Machine{Commit: "abc"})
	}
	s.Claims = judgeEmbed(s.Outcomes[:0])[:1]
	if err := record.Write(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	e := got["embed"].Outcomes
	if len(e) != 2 || e[0].Seed != 0 || e[1].Seconds != 2 || e[1].Commit != "abc" || len(got["ppo"].Outcomes) != 1 {
		t.Errorf("%+v", e)
	}
	if err := os.WriteFile(path, []byte(`{"ppo": {"abacus": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readReport(path); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("error %v", err)
	}
}

// found are outcomes of so many seeds with the same metrics.
func found(n int, m map[string]float64) (all []*outcome) {
	for seed := range n {
		all = append(all, &outcome{Env: "cartpole", Seed: uint64(seed), Seconds: 600, Metrics: m})
	}
	return all
}

// TestClaims: they hold on their bounds, not beyond them, and not before all seeds are measured.
func TestClaims(t *testing.T) {
	holds := func(claims []record.Claim) (all bool) {
		all = true
		for _, c := range claims {
			all = all && c.OK
		}
		return all
	}
	with := func(m map[string]float64, name string, v float64) map[string]float64 {
		other := map[string]float64{}
		for k, old := range m {
			other[k] = old
		}
		other[name] = v
		return other
	}
	for name, c := range map[string]struct {
		judge func([]*outcome) []record.Claim
		good  map[string]float64
		bad   map[string]float64
	}{
		"ppo": {judgePPO, map[string]float64{"return_mean": -300}, map[string]float64{"return_mean": -301}},
		"embed": {judgeEmbed, map[string]float64{"score": 0.85, "prediction_error": 0.5, "still_error": 1},
			map[string]float64{"score": 0.79, "prediction_error": 0.51}},
		"finetune": {judgeFineTune, map[string]float64{"start_score": 0.4, "gain": 0.125, "start_steps": 4,
			"tuned_steps": 6, "net_steps": 20}, map[string]float64{"start_score": 0.39, "gain": 0.09, "net_steps": 19}},
	} {
		if claims := c.judge(found(3, c.good)); !holds(claims) {
			t.Errorf("%s: %+v", name, claims)
		}
		if holds(c.judge(found(2, c.good))) {
			t.Errorf("%s: two seeds are enough", name)
		}
		for metric, v := range c.bad {
			if holds(c.judge(found(3, with(c.good, metric, v)))) {
				t.Errorf("%s: %s = %v is enough", name, metric, v)
			}
		}
	}
	slow := found(3, map[string]float64{"score": 1, "prediction_error": 0, "still_error": 1})
	if slow[1].Seconds = 3601; holds(judgeEmbed(slow)) {
		t.Error("a seed may take more than an hour")
	}
}

func TestCurves(t *testing.T) {
	curve := [][2]float64{{100, 5}, {200, 40}, {300, 60}, {400, 50}}
	for mean, want := range map[float64]float64{4: 100, 50: 300, 61: 400} {
		if got := stepsTo(curve, mean); got != want {
			t.Errorf("%v is reached after %v steps, want %v", mean, got, want)
		}
	}
	dir := t.TempDir()
	m, err := run.CreateMetrics(filepath.Join(dir, run.MetricsFile), []string{"env_steps", "judged_mean"})
	if err != nil {
		t.Fatal(err)
	}
	for step, row := range []map[string]float64{{"env_steps": 50}, {"env_steps": 100, "judged_mean": 7}} {
		if err := m.Row(step+1, row); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	o := &outcome{Curves: map[string][][2]float64{}}
	if err := o.add("a", dir); err != nil || len(o.Curves["a"]) != 1 || o.Curves["a"][0] != [2]float64{100, 7} {
		t.Errorf("%v, %v", err, o.Curves)
	}
	if at, err := stepsAt(dir, 1); err != nil || at != 50 {
		t.Errorf("%v, %v", at, err)
	}
	if _, err := stepsAt(dir, 3); err == nil {
		t.Error("an update that is not there")
	}
	if err := draw(dir, "embed", []*outcome{o}); err != nil {
		t.Error(err)
	}
	for list, want := range map[string]bool{"0,2": true, "3": false, "x": false, "": false} {
		if _, err := parseSeeds(list); (err == nil) != want {
			t.Errorf("-seeds %s: %v", list, err)
		}
	}
	if w, err := choose("embed"); err != nil || len(w) != 1 {
		t.Errorf("%v, %v", w, err)
	}
	if _, err := choose("abacus"); err == nil {
		t.Error("a program that is none")
	}
}
