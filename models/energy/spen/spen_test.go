package spen

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

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tiny is a configuration whose update takes some milliseconds.
func tiny(method string) Config {
	c := Default()
	c.Method, c.Hidden, c.Interaction, c.Samples, c.Elites, c.Iterations, c.Descent = method, 6, 5, 12, 3, 3, 3
	c.Batch, c.Rows, c.ValidationRows, c.TestRows = 4, 30, 7, 20
	c.Updates, c.ValidateEvery, c.CheckpointEvery, c.Figures = 12, 4, 3, false
	return c
}

func TestDataKeepsTheRules(t *testing.T) {
	c := Default()
	train, validation, test := Data(c)
	for _, d := range []Dataset{train, validation, test} {
		if s := Score(d.Y, d.Y); s.Subset != 1 || s.Hamming != 0 || math.Abs(s.Lawful-1) > 1e-9 {
			t.Errorf("the labels of the data score %+v", s)
		}
	}
	if train.Rows() != c.Rows || validation.Rows() != c.ValidationRows || test.Rows() != c.TestRows {
		t.Errorf("%d, %d and %d rows", train.Rows(), validation.Rows(), test.Rows())
	}
	again, _, _ := Data(c)
	c.Seed++
	other, _, _ := Data(c)
	if !slices.Equal(train.Y, again.Y) || slices.Equal(train.Y, other.Y) {
		t.Error("the data is no function of the seed")
	}
	// Every label must occur, and none always: else there is nothing to predict.
	share := together(train.Y)
	for l := range Labels {
		if p := share[l*Labels+l]; !(p > 0.02 && p < 0.8) || share[l*Labels+l^1] != 0 {
			t.Errorf("label %d holds in %.3f of the rows, with its partner in %v", l, p, share[l*Labels+l^1])
		}
	}
}

func TestScore(t *testing.T) {
	y, p := make([]float32, 2*Labels), make([]float32, 2*Labels)
	for _, l := range []int{0, 2, 4, 6} {
		y[l], y[Labels+l] = 1, 1
		p[l], p[Labels+l] = 0.6, 0.9
	}
	p[Labels+6], p[Labels+1] = 0.5, 0.51 // the second row: one missing, and the partner of 0
	s := Score(p, y)
	if s.Subset != 0.5 || s.Hamming != 2.0/(2*Labels) || s.Lawful != 0.5 || s.Counts[4] != 1 {
		t.Errorf("%+v", s)
	}
}

// The nets that are compared have as many parameters, within a hundredth.
func TestEqualSize(t *testing.T) {
	size := map[string]int{}
	for _, method := range sides {
		c := Default()
		c.Method, c.Batch = method, 2
		p, err := c.newPredictor(c.Batch, nil)
		noError(t, err)
		size[method] = p.model.Params().Size()
	}
	if size[DCEM] != size[GD] || math.Abs(float64(size[FeedForward])/float64(size[DCEM])-1) > 0.01 {
		t.Errorf("parameters: %v", size)
	}
}

// A training that was interrupted and resumed ends with the same bits, on both machines.
func TestResume(t *testing.T) {
	for _, machine := range train.Machines {
		for _, method := range sides {
			c := tiny(method)
			c.Machine = machine
			final := func(stops ...int) string {
				dir := t.TempDir()
				for i, stop := range append(stops, c.Updates) {
					task, err := NewTask(c)
					noError(t, err)
					ctx, cancel := context.WithCancel(context.Background())
					_, err = run.Train(ctx, runtest.Cut(task, stop, cancel), run.Options{Steps: c.Updates, Out: dir, Resume: i > 0,
						CheckpointEvery: c.CheckpointEvery, ValidateEvery: c.ValidateEvery, Progress: run.ProgressOptions{Silent: true}})
					noError(t, err)
					cancel()
					noError(t, task.Close())
				}
				b, err := os.ReadFile(filepath.Join(dir, run.CheckpointFile))
				noError(t, err)
				return string(b)
			}
			if final() != final(5) || final() != final(1, 8) {
				t.Errorf("%s on %s: another state after an interruption", method, machine)
			}
		}
	}
}

// Training makes predictions better: of a net that begins with hardly any label right.
func TestTrainingHelps(t *testing.T) {
	for _, method := range sides {
		c := tiny(method)
		c.Hidden, c.Batch, c.Rows, c.ValidationRows, c.Updates, c.GDRate = 16, 20, 200, 100, 60, 0.2
		task, err := NewTask(c)
		noError(t, err)
		defer task.Close()
		_, before, err := task.Validate(0)
		noError(t, err)
		for step := 1; step <= c.Updates; step++ {
			m, err := task.Step(context.Background(), step)
			noError(t, err)
			if m.Skipped {
				t.Errorf("%s: update %d was skipped", method, step)
			}
		}
		_, after, err := task.Validate(c.Updates)
		noError(t, err)
		if !(after["hamming"] < 0.95*before["hamming"]) {
			t.Errorf("%s: %.3f of the labels wrong after training, %.3f before", method, after["hamming"], before["hamming"])
		}
	}
}

func TestRun(t *testing.T) {
	c := tiny(All)
	c.Figures = true
	dir := t.TempDir()
	o := run.Options{Out: dir, Config: &c, Progress: run.ProgressOptions{Silent: true}}
	var out bytes.Buffer
	noError(t, Run(context.Background(), c, o, &out))
	for _, name := range allFigures {
		info, err := os.Stat(filepath.Join(dir, name))
		noError(t, err)
		if info.Size() < 1000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	all, err := run.ReadResult(dir)
	noError(t, err)
	for _, side := range sides {
		if !strings.Contains(out.String(), side) {
			t.Errorf("the summary does not name %s:\n%s", side, &out)
		}
		r, err := run.ReadResult(filepath.Join(dir, side))
		noError(t, err)
		for _, name := range []string{"subset", "hamming", "lawful", "train_subset", "validation_subset"} {
			if v, ok := r.Metrics[name]; !ok || all.Metrics[side+"_"+name] != v {
				t.Errorf("%s: %s is %v (there: %v), and %v in the result of all", side, name, v, ok, all.Metrics[side+"_"+name])
			}
		}
		sc := c
		sc.Method = side
		task, err := NewTask(sc)
		noError(t, err)
		noError(t, nn.LoadNPZ(filepath.Join(dir, side, ParamsFile), task.Params()))
		noError(t, task.Close())
	}
	// Resumed when finished it finds the same; a fresh start of one method leaves nothing of the others.
	o.Resume = true
	noError(t, Run(context.Background(), c, o, &out))
	again, err := run.ReadResult(dir)
	noError(t, err)
	if again.Metrics["dcem_subset"] != all.Metrics["dcem_subset"] || again.Metrics["gd_hamming"] != all.Metrics["gd_hamming"] {
		t.Error("a finished run that was resumed finds something else")
	}
	other := c
	other.Method = GD
	if err := Run(context.Background(), other, o, &out); err == nil || !strings.Contains(err.Error(), `method is "gd", was "all"`) {
		t.Errorf("resuming another method: error %v", err)
	}
	c.Method, c.Figures, o.Resume = FeedForward, false, false
	noError(t, Run(context.Background(), c, o, &out))
	for _, name := range []string{reportFile, searchFigure, DCEM, GD} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	dir := t.TempDir()
	c := tiny(All)
	err := Run(ctx, c, run.Options{Out: dir, Config: &c, Progress: run.ProgressOptions{Silent: true}}, &bytes.Buffer{})
	if !errors.Is(err, run.ErrInterrupted) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	r, err := run.ReadResult(filepath.Join(dir, DCEM))
	noError(t, err)
	if r.Status != run.StatusInterrupted {
		t.Errorf("status %q", r.Status)
	}
}

func TestValidate(t *testing.T) {
	noError(t, Default().Validate())
	for want, change := range map[string]func(*Config){
		`method is "cem"`:       func(c *Config) { c.Method = "cem" },
		`vm is "gpu"`:           func(c *Config) { c.Machine = "gpu" },
		"updates is 0":          func(c *Config) { c.Updates = 0 },
		"batch is 0":            func(c *Config) { c.Batch = 0 },
		"rows is 0":             func(c *Config) { c.Rows = 0 },
		"validation_rows is 0":  func(c *Config) { c.ValidationRows = 0 },
		"test_rows is 0":        func(c *Config) { c.TestRows = 0 },
		"hidden is 0":           func(c *Config) { c.Hidden = 0 },
		"interaction is 0":      func(c *Config) { c.Interaction = 0 },
		"iterations is 201":     func(c *Config) { c.Iterations = 201 },
		"samples is 1":          func(c *Config) { c.Samples = 1 },
		"elites is 101":         func(c *Config) { c.Elites = 101 },
		"descent is 0":          func(c *Config) { c.Descent = 0 },
		"samples times batch":   func(c *Config) { c.Samples = 100_000 },
		"temperature is NaN":    func(c *Config) { c.Temperature = math.NaN() },
		"sigma is 0":            func(c *Config) { c.Sigma = 0 },
		"gd_rate is +Inf":       func(c *Config) { c.GDRate = math.Inf(1) },
		"rate is -1":            func(c *Config) { c.Rate = -1 },
		"clip is -1":            func(c *Config) { c.Clip = -1 },
		"validate_every is 0":   func(c *Config) { c.ValidateEvery = 0 },
		"checkpoint_every is 0": func(c *Config) { c.CheckpointEvery = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
