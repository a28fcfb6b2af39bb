package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

func measured(mean, faults, prediction float64) *outcome {
	return learnt(mean, faults, prediction, [3]float64{10, 10, 2}, [3]float64{1, 1, 0.2}, [3]float64{5, 10, 8})
}

func learnt(mean, faults, prediction float64, obs, reward, kl [3]float64) *outcome {
	losses := map[string][3]float64{"model_obs": obs, "model_reward": reward, "model_kl": kl}
	return &outcome{Env: "cheetah-run", New: map[string]returns{latent: {Episodes: 10, Mean: mean, Faults: int(faults)}},
		Runs: map[string]*trained{"train": {Losses: losses},
			"embed": {Metrics: map[string]float64{"prediction_error": prediction, "still_error": 1}}}}
}

// TestClaims: they hold on their bounds and not beyond them.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		o    *outcome
		want bool
	}{{measured(60, 0, 0.5), true}, {measured(59.9, 0, 0.5), false}, {measured(60, 1, 0.5), false},
		{measured(60, 0, 0.51), false},
		{learnt(60, 0, 0.5, [3]float64{10, 10, 2.1}, [3]float64{1, 1, 0.2}, [3]float64{5, 10, 8}), false},
		{learnt(60, 0, 0.5, [3]float64{10, 10, 2}, [3]float64{1, 1, 0.21}, [3]float64{5, 10, 8}), false},
		{learnt(60, 0, 0.5, [3]float64{10, 10, 2}, [3]float64{1, 1, 0.2}, [3]float64{5, 10, 8.1}), false}} {
		all := true
		for _, claim := range claims(c.o) {
			all = all && claim.OK
		}
		if all != c.want || len(claims(c.o)) != 6 {
			t.Errorf("%+v: %+v, want %v", c.o.New, claims(c.o), c.want)
		}
	}
	if got := claims(&outcome{Env: "walker-walk"}); got != nil {
		t.Errorf("the walker: %+v", got)
	}
}

// TestRecord: a task measured stands beside the others; the curves are read, and drawn.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"train", "embed"} {
		folder := filepath.Join(dir, program)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		m, err := run.CreateMetrics(filepath.Join(folder, run.MetricsFile), []string{"env_steps", "return", "judged_mean",
			"judged_q1", "judged_median", "judged_q3", "model_obs", "model_reward", "model_kl"})
		if err != nil {
			t.Fatal(err)
		}
		for step, row := range []map[string]float64{
			{"env_steps": 250, "return": 10, "model_obs": 3, "model_reward": 2, "model_kl": 4},
			{"env_steps": 500, "return": 20, "model_obs": 1, "model_reward": 1, "model_kl": 5, "judged_mean": 30, "judged_q1": 25, "judged_median": 31, "judged_q3": 35}} {
			if err := m.Row(step+1, row); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o := measured(70, 0, 0.4)
	o.Runs["train"] = &trained{}
	for name, r := range o.Runs {
		if err := r.read(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if r.EnvSteps != 500 || len(r.Collected) != 2 || len(r.Judged) != 1 || r.Judged[0] != [5]float64{500, 30, 25, 31, 35} ||
			r.Losses["model_obs"] != [3]float64{3, 3, 1} || r.Losses["model_kl"] != [3]float64{4, 5, 5} {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if err := viz.SaveMovie(filepath.Join(dir, "embed", "episode.gif"), viz.Movie{}); err == nil {
		t.Fatal("a movie without pictures is drawn")
	}
	if err := os.WriteFile(filepath.Join(dir, "embed", "episode.gif"), []byte("GIF89a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := draw(dir, dir, o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rl-cheetah.png", "rl-cheetah.gif"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "cheetah.json")
	all, err := readReport(path)
	if err != nil || len(all) != 0 {
		t.Fatal(all, err)
	}
	all["cheetah-run"], all["walker-walk"] = o, &outcome{Env: "walker-walk"}
	if err := record.Write(path, all); err != nil {
		t.Fatal(err)
	}
	if all, err = readReport(path); err != nil || len(all) != 2 || all["cheetah-run"].New[latent].Mean != 70 {
		t.Errorf("%v: %+v", err, all)
	}
	var text strings.Builder
	if o.print(&text); !strings.Contains(text.String(), "mean return 70 of 10 new episodes") {
		t.Error(text.String())
	}
	if err := os.WriteFile(path, []byte(`{"cheetah-run": {"abacus": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readReport(path); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("error %v", err)
	}
}

// TestClock: the time of the parts before is kept by a run that goes on, and dropped by one that begins.
func TestClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "cpu-seconds")
	if _, err := newClock(path, true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for resume, least := range map[bool]float64{true: 1000, false: 0} {
		if err := os.WriteFile(path, []byte("1000\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := newClock(path, resume)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := c.write(); err != nil || !(now >= least && now < least+1000) {
			t.Errorf("resume %v: %v seconds, %v", resume, now, err)
		}
	}
	if err := os.WriteFile(path, []byte("abacus"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newClock(path, true); err == nil {
		t.Error("a file that is no number is taken")
	}
}
