package mismatch

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tiny is a configuration of a second.
func tiny() Config {
	c := Default()
	c.Transitions, c.States, c.Fit, c.Tune, c.Batch, c.CheckpointEvery = 40, 10, 8, 6, 3, 3
	c.Horizon, c.Samples, c.Elites, c.Iterations = 4, 20, 4, 2
	return c
}

func TestTheRestActsOnNothing(t *testing.T) {
	c := Default()
	x := []float64{0.6, 0.8, 1, 5, -3, 2, 1}
	y := []float64{0.6, 0.8, 1, 0, 0, 0, 0}
	a, b := make([]float64, len(x)), make([]float64, len(x))
	c.step(a, x, 0.5)
	c.step(b, y, 0.5)
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("element %d of the next state depends on the rest: %v and %v", i, a[i], b[i])
		}
	}
	want := make([]float64, relevant)
	system.StepGo(want, x[:relevant], []float64{0.5}, nil)
	for i, v := range want {
		if a[i] != v {
			t.Errorf("element %d is %v, the pendulum's %v", i, a[i], v)
		}
	}
}

func TestGain(t *testing.T) {
	gain, se := Gain(Judgement{Costs: []float64{3, 5, 7, 9}}, Judgement{Costs: []float64{2, 2, 6, 6}})
	if gain != 2 || math.Abs(se-math.Sqrt(4.0/3/4)) > 1e-15 {
		t.Errorf("gain %v, standard error %v, want 2 and %v", gain, se, math.Sqrt(4.0/3/4))
	}
}

// The report says what came of it, not what was hoped for.
func TestConclusion(t *testing.T) {
	s := &study{c: tiny(), fitted: Judgement{NLL: 1, Costs: []float64{9, 10, 11, 10}}}
	for _, c := range []struct {
		costs []float64
		nll   float64
		want  []string
	}{
		{[]float64{5, 6.1, 7, 6}, 2, []string{"cost 3.98 less", "is the worse of"}},
		{[]float64{9, 10.5, 10.5, 10}, 0.5, []string{"no difference to speak of", "is the better of"}},
		{[]float64{12, 13.1, 14, 13}, 2, []string{"cost 3.02 more", "harm"}},
	} {
		s.tuned = Judgement{NLL: c.nll, Costs: c.costs}
		for _, want := range c.want {
			if got := s.conclusion(); !strings.Contains(got, want) {
				t.Errorf("%v: %q lacks %q", c.costs, got, want)
			}
		}
	}
}

// Both stages lower what they are about.
func TestStages(t *testing.T) {
	c := tiny()
	c.Transitions, c.Fit, c.Tune, c.Batch, c.TuneRate = 200, 150, 60, 8, 0.01
	c.Horizon, c.Samples, c.Elites = 8, 40, 8
	task, err := NewTask(c)
	noError(t, err)
	defer task.Close()
	if _, _, err := task.Judge(); err == nil || !strings.Contains(err.Error(), "no update through the controller") {
		t.Errorf("error %v of a judgement before the second stage", err)
	}
	var first, last float64
	for step := 1; step <= c.Fit+c.Tune; step++ {
		m, err := task.Step(context.Background(), step)
		noError(t, err)
		if m.Skipped {
			t.Errorf("update %d was skipped", step)
		}
		if step == 1 {
			first = m.Loss
		}
		if step == c.Fit {
			last = m.Loss
		}
	}
	if !(last < first/2) {
		t.Errorf("negative log-likelihood %v after fitting, %v before", last, first)
	}
	fitted, tuned, err := task.Judge()
	noError(t, err)
	if gain, _ := Gain(fitted, tuned); !(gain > 0) {
		t.Errorf("tuning raises the cost of plans by %v", -gain)
	}
	if !(math.Abs(fitted.NLL/last-1) < 0.2) { // the last loss is of before the last update
		t.Errorf("the fitted net has negative log-likelihood %v, the last loss was %v", fitted.NLL, last)
	}
}

// A run that was interrupted, in either stage, and resumed ends with the same bits.
func TestResume(t *testing.T) {
	c := tiny()
	final := func(stops ...int) string {
		dir := t.TempDir()
		for i, stop := range append(stops, 0) {
			task, err := NewTask(c)
			noError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			_, err = run.Train(ctx, runtest.Cut(task, stop, cancel), run.Options{Steps: c.Fit + c.Tune, Out: dir, Resume: i > 0,
				CheckpointEvery: c.CheckpointEvery, Progress: run.ProgressOptions{Silent: true}})
			noError(t, err)
			cancel()
			noError(t, task.Close())
		}
		b, err := os.ReadFile(filepath.Join(dir, run.CheckpointFile))
		noError(t, err)
		return string(b)
	}
	if whole := final(); whole != final(5) || whole != final(c.Fit) || whole != final(3, c.Fit+2) {
		t.Error("another state after an interruption")
	}
}

func TestRun(t *testing.T) {
	c := tiny()
	dir := t.TempDir()
	var out bytes.Buffer
	o := run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}
	noError(t, Run(context.Background(), c, o, &out))
	for _, name := range allFigures {
		info, err := os.Stat(filepath.Join(dir, name))
		noError(t, err)
		if info.Size() < 1000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	r, err := run.ReadResult(dir)
	noError(t, err)
	for _, name := range []string{"gain", "gain_standard_error", "fitted_cost", "tuned_cost", "fitted_nll", "tuned_nll",
		"fitted_mse_relevant", "tuned_mse_irrelevant"} {
		if v, ok := r.Metrics[name]; !ok || math.IsNaN(v) || v == 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if !strings.Contains(out.String(), "standard error") {
		t.Errorf("the summary is\n%s", &out)
	}
	o.Resume = true
	noError(t, Run(context.Background(), c, o, &out))
	again, err := run.ReadResult(dir)
	noError(t, err)
	if again.Metrics["gain"] != r.Metrics["gain"] {
		t.Errorf("resumed when finished, the gain is %v, was %v", again.Metrics["gain"], r.Metrics["gain"])
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	err = Run(ctx, c, run.Options{Out: t.TempDir(), Progress: run.ProgressOptions{Silent: true}}, &out)
	if !errors.Is(err, run.ErrInterrupted) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
}

func TestValidate(t *testing.T) {
	noError(t, Default().Validate())
	for want, change := range map[string]func(*Config){
		"transitions is 0":      func(c *Config) { c.Transitions = 0 },
		"irrelevant is -1":      func(c *Config) { c.Irrelevant = -1 },
		"hidden is 0":           func(c *Config) { c.Hidden = 0 },
		"states is 1":           func(c *Config) { c.States = 1 },
		"fit is 0":              func(c *Config) { c.Fit = 0 },
		"tune is 0":             func(c *Config) { c.Tune = 0 },
		"batch is 501":          func(c *Config) { c.Batch = 501 },
		"horizon is 0":          func(c *Config) { c.Horizon = 0 },
		"samples is 1":          func(c *Config) { c.Samples = 1 },
		"elites is 101":         func(c *Config) { c.Elites = 101 },
		"iterations is 0":       func(c *Config) { c.Iterations = 0 },
		"checkpoint_every is 0": func(c *Config) { c.CheckpointEvery = 0 },
		"fit_rate is NaN":       func(c *Config) { c.FitRate = math.NaN() },
		"tune_rate is 0":        func(c *Config) { c.TuneRate = 0 },
		"clip is -1":            func(c *Config) { c.Clip = -1 },
		"temperature is 0":      func(c *Config) { c.Temperature = 0 },
		`vm is "gpu"`:           func(c *Config) { c.Machine = "gpu" },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
