package learn

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tiny is a configuration of a second.
func tiny(kind string) Config {
	c := Default(kind)
	c.Plans, c.Horizon, c.Samples, c.Elites, c.Iterations, c.Updates, c.CheckpointEvery = 4, 8, 40, 8, 3, 12, 5
	return c
}

// With common noise the learner finds what the expert knows.
func TestLearns(t *testing.T) {
	c := tiny(Dynamics)
	c.Updates, c.Plans, c.Horizon, c.Samples, c.Elites, c.Temperature = 150, 8, 10, 80, 16, 2
	task, err := NewTask(Dynamics, c)
	noError(t, err)
	defer task.Close()
	var loss float64
	for step := 1; step <= c.Updates; step++ {
		m, err := task.Step(context.Background(), step)
		noError(t, err)
		loss = m.Loss
	}
	if e := slices.Max(Errors(Dynamics, task.Answer(c.Updates))); !(e < 0.02) || !(loss < 1e-4) {
		t.Errorf("relative error %v, loss %v", e, loss)
	}
	c = tiny(Cost)
	c.Updates = 60
	task, err = NewTask(Cost, c)
	noError(t, err)
	defer task.Close()
	before := slices.Max(Errors(Cost, task.Answer(0)))
	for step := 1; step <= c.Updates; step++ {
		_, err := task.Step(context.Background(), step)
		noError(t, err)
	}
	if after := slices.Max(Errors(Cost, task.Answer(c.Updates))); !(after < before/2) { // 4 at first
		t.Errorf("relative error of the weights %v, from %v", after, before)
	}
}

// The loss is 0 where the learner knows what the expert knows, and its gradient is right elsewhere.
func TestProblem(t *testing.T) {
	for _, kind := range []string{Dynamics, Cost} {
		c := tiny(kind)
		c.Start = Truth(kind)
		p, err := newProblem(kind, c, nil)
		noError(t, err)
		grads, err := autodiff.Gradients(p.loss, p.params.Nodes()...)
		noError(t, err)
		vm, err := train.NewVM(c.Machine, p.loss.Graph(), append(grads, p.loss)...)
		noError(t, err)
		defer vm.Close()
		evaluate := func() float64 {
			noError(t, G.Let(p.run, int64(7)))
			noError(t, vm.RunAll())
			vm.Reset()
			return p.loss.Value().Data().(float64)
		}
		if loss := evaluate(); !(loss <= 1e-20) { // exp(log(v)) is v to a unit in the last place
			t.Errorf("%s: loss %v at the truth", kind, loss)
		}
		for i, q := range p.params {
			value := q.Node.Value().Data().([]float64)
			at := value[0] + 0.05
			const h = 1e-6
			value[0] = at + h
			up := evaluate()
			value[0] = at - h
			down := evaluate()
			value[0] = at
			evaluate()
			got, want := grads[i].Value().Data().([]float64)[0], (up-down)/(2*h)
			if !(math.Abs(got-want) <= 1e-5*(math.Abs(want)+1e-3)) { // of central differences
				t.Errorf("%s: gradient of %s is %v, finite differences say %v", kind, q.Name, got, want)
			}
			value[0] = at - 0.05
		}
	}
}

// Coordinates say the values again, in Go and in the graph.
func TestCoordinates(t *testing.T) {
	for _, kind := range []string{Dynamics, Cost} {
		config := tiny(kind)
		config.Noise = Independent
		want := []float64{1.4, 0.75, 0.02}[:len(Learnt(kind))]
		c := config.coordinates(kind, want)
		g := G.NewGraph()
		var nodes G.Nodes
		for i, v := range c {
			nodes = append(nodes, input(g, Learnt(kind)[i], []float64{v}, 1))
		}
		found, err := config.valuesOf(kind, nodes)
		noError(t, err)
		var outputs G.Nodes
		for _, name := range Learnt(kind) {
			outputs = append(outputs, found[name])
		}
		vm, err := train.NewVM(train.Engine, g, outputs...)
		noError(t, err)
		defer vm.Close()
		noError(t, vm.RunAll())
		for i, v := range config.fromCoordinates(kind, c) {
			if got := outputs[i].Value().Data().([]float64)[0]; !(math.Abs(v-want[i]) < 1e-15) || !(math.Abs(got-want[i]) < 1e-15) {
				t.Errorf("%s: %v, in the graph %v, want %v", Learnt(kind)[i], v, got, want[i])
			}
		}
	}
}

func TestErrorsOfACostDoNotSeeItsScale(t *testing.T) {
	v := Truth(Cost)
	for i := range v {
		v[i] *= 3
	}
	if e := slices.Max(Errors(Cost, v)); !(e < 1e-15) {
		t.Errorf("error %v of three times the truth", e)
	}
	v[2] *= 1.5
	if e := Errors(Cost, v)[2]; !(math.Abs(e-0.5) < 1e-12) {
		t.Errorf("error %v, want 0.5", e)
	}
}

// A run that was interrupted and resumed ends with the same bits; averages count the same updates.
func TestResume(t *testing.T) {
	for _, kind := range []string{Dynamics, Cost} {
		c := tiny(kind)
		c.Noise, c.Average, c.Figures = Independent, 0.5, false
		ends := func(stop int) string {
			dir := t.TempDir()
			o := run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}
			if stop > 0 {
				ctx, cancel := context.WithCancel(context.Background())
				task, err := NewTask(kind, c)
				noError(t, err)
				so := o
				so.Steps, so.CheckpointEvery, so.Config = c.Updates, c.CheckpointEvery, &c
				_, err = run.Train(ctx, runtest.Cut(task, stop, cancel), so)
				noError(t, err)
				noError(t, task.Close())
				o.Resume = true
			}
			noError(t, Run(context.Background(), kind, c, o, &bytes.Buffer{}))
			b, err := os.ReadFile(filepath.Join(dir, run.CheckpointFile))
			noError(t, err)
			r, err := run.ReadResult(dir)
			noError(t, err)
			if !(r.Metrics["error"] >= 0) {
				t.Errorf("error %v", r.Metrics["error"])
			}
			return string(b)
		}
		if ends(0) != ends(8) {
			t.Errorf("%s: another state after an interruption", kind)
		}
	}
}

func TestRun(t *testing.T) {
	for _, kind := range []string{Dynamics, Cost} {
		c := tiny(kind)
		c.Expert = Hard
		dir := t.TempDir()
		var out bytes.Buffer
		noError(t, Run(context.Background(), kind, c, run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}, &out))
		for _, name := range allFigures {
			info, err := os.Stat(filepath.Join(dir, name))
			noError(t, err)
			if info.Size() < 1000 {
				t.Errorf("%s: %s has %d bytes", kind, name, info.Size())
			}
		}
		for _, name := range Learnt(kind) {
			if !strings.Contains(out.String(), name) {
				t.Errorf("the summary does not name %s:\n%s", name, &out)
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		err := Run(ctx, kind, c, run.Options{Out: t.TempDir(), Progress: run.ProgressOptions{Silent: true}}, &out)
		if !errors.Is(err, run.ErrInterrupted) {
			t.Errorf("error %v, want that it was interrupted", err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, kind := range []string{Dynamics, Cost} {
		noError(t, Default(kind).Validate(kind))
		for want, change := range map[string]func(*Config){
			"updates is 0":          func(c *Config) { c.Updates = 0 },
			"plans is 0":            func(c *Config) { c.Plans = 0 },
			"horizon is 0":          func(c *Config) { c.Horizon = 0 },
			"samples is 1":          func(c *Config) { c.Samples = 1 },
			"elites is 201":         func(c *Config) { c.Elites = 201 },
			"iterations is 0":       func(c *Config) { c.Iterations = 0 },
			"checkpoint_every is 0": func(c *Config) { c.CheckpointEvery = 0 },
			"samples times plans":   func(c *Config) { c.Samples, c.Plans = 100_000, 100 },
			`noise is "white"`:      func(c *Config) { c.Noise = "white" },
			`expert is "me"`:        func(c *Config) { c.Expert = "me" },
			`vm is "gpu"`:           func(c *Config) { c.Machine = "gpu" },
			"start has 1 numbers":   func(c *Config) { c.Start = []float64{1} },
			"start[1] is -1":        func(c *Config) { c.Start[1] = -1 },
			"clip is -1":            func(c *Config) { c.Clip = -1 },
			"temperature is NaN":    func(c *Config) { c.Temperature = math.NaN() },
			"rate is 0":             func(c *Config) { c.Rate = 0 },
			"average is 2":          func(c *Config) { c.Average = 2 },
		} {
			c := Default(kind)
			change(&c)
			if err := c.Validate(kind); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		}
	}
}
