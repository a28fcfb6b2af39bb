package regression

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// tiny is a configuration whose update takes a fraction of a millisecond.
func tiny(method string) Config {
	c := Default()
	c.Method, c.Points, c.Hidden, c.Samples, c.Elites, c.Iterations = method, 12, []int{8, 8}, 24, 6, 4
	c.Updates, c.ValidateEvery, c.CheckpointEvery, c.Figures = 40, 5, 7, false
	return c
}

func open(t *testing.T, c Config) Task {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	task, err := NewTask(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}

// Every method learns with every model: the validation falls far below that of the start, and below what the best
// constant has.
func TestLearns(t *testing.T) {
	for _, v := range []struct {
		method, model string
		double        bool
	}{
		{DCEM, ModelMLP, false}, {DCEM, ModelMLP, true}, {CEMForward, ModelMLP, false},
		{GD, ModelMLP, false}, {GD, ModelMLP, true},
		{DCEM, ModelFeedForward, false}, {GD, ModelFeedForward, false}, {DCEM, ModelICNN, false}, {GD, ModelICNN, false},
	} {
		t.Run(fmt.Sprint(v.method, v.model, v.double), func(t *testing.T) {
			t.Parallel()
			c := tiny(v.method)
			c.Model, c.Float64, c.Rate, c.Hidden = v.model, v.double, 1e-2, []int{16, 16}
			task := open(t, c)
			start, _, err := task.Validate(0)
			if err != nil {
				t.Fatal(err)
			}
			best := start
			for step := 1; step <= 250; step++ {
				if _, err := task.Step(context.Background(), step); err != nil {
					t.Fatal(err)
				}
				if step%25 == 0 {
					score, _, err := task.Validate(step)
					if err != nil {
						t.Fatal(err)
					}
					best = min(best, score)
				}
			}
			t.Logf("%.2f -> %.2f", start, best)
			if !(best < 0.6*start && best < 0.75*variance(c.Points)) {
				t.Errorf("mean squared error from %v to %v, want less; the best constant has %v", start, best, variance(c.Points))
			}
		})
	}
}

// lossOf compiles the graph of an update without moving the parameters, whose memory is values. The function returns
// the loss at a point with the noise of a run number, and the gradients, which are valid until its next call.
func lossOf[T kernels.Float](t *testing.T, c Config) (values [][]T, f func(point, run int) (float64, [][]T)) {
	t.Helper()
	p, err := newProblem[T](c)
	if err != nil {
		t.Fatal(err)
	}
	params := p.model.Params()
	grads, err := autodiff.Gradients(p.loss, params.Nodes()...)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := train.NewVM(c.Machine, p.loss.Graph(), append(grads, p.loss)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	xs, truth := Points(c.Points)
	return nn.Values[T](params), func(point, run int) (float64, [][]T) {
		if err := p.at(xs[point], truth[point], run); err != nil {
			t.Fatal(err)
		}
		defer vm.Reset()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		var all []G.Value
		for _, n := range grads {
			all = append(all, n.Value())
		}
		g, err := nn.Slices[T](all)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := nn.Slice[T](p.loss.Value())
		if err != nil {
			t.Fatal(err)
		}
		return float64(loss[0]), g
	}
}

// The gradient of the loss through the whole search, against finite differences of the loss.
func TestGradient(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) {},
		func(c *Config) { c.Method = GD },
		func(c *Config) {
			c.Method, c.Start, c.GDRate, c.Lower, c.Upper = GD, 0.5, 0.3, []float64{-9}, []float64{9}
		},
		func(c *Config) { c.Relaxation, c.Temperature, c.Start = "csoftmax", 0.5, 1 },
		func(c *Config) { c.Model = ModelFeedForward },
		func(c *Config) { c.Model = ModelICNN },
	} {
		c := tiny(DCEM)
		c.Float64, c.Hidden, c.Iterations = true, []int{3, 2}, 3
		change(&c)
		values, gradient := lossOf[float64](t, c)
		var flat []float64
		for _, v := range values {
			flat = append(flat, v...)
		}
		_, grads := gradient(7, 3)
		var got []float64
		for _, g := range grads {
			got = append(got, g...)
		}
		want := check.Gradient(func(p []float64) float64 {
			for _, v := range values {
				p = p[copy(v, p):]
			}
			loss, _ := gradient(7, 3)
			return loss
		}, flat, 1e-4)
		// The four-point rule's own error at this step, for a loss of some units; nested solves steepen the fifth
		// derivative.
		check.Close(t, fmt.Sprint(c.Method, c.Model, c.Relaxation), got, want, 1e-6)
		if norm(want) == 0 {
			t.Error("the gradient is 0: nothing was compared")
		}
	}
}

func norm(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

// With backprop n the same forward bits, and another gradient.
func TestBackprop(t *testing.T) {
	type outcome struct{ loss, norm float64 }
	var all []outcome
	for _, backprop := range []int{0, 4, 1} {
		c := tiny(DCEM)
		c.Float64, c.Backprop = true, backprop
		_, gradient := lossOf[float64](t, c)
		loss, grads := gradient(9, 1)
		all = append(all, outcome{loss, norm(grads[0])})
	}
	if all[0] != all[1] || all[0].loss != all[2].loss || all[0].norm == all[2].norm {
		t.Errorf("loss and gradient norm with all, all 4 and the last iteration: %v", all)
	}
}

// One machine serves all updates: what it ran before leaves no trace.
func TestMachineIsReused(t *testing.T) {
	for _, machine := range train.Machines {
		for _, method := range []string{DCEM, GD} {
			c := tiny(method)
			c.Machine = machine
			_, gradient := lossOf[float32](t, c)
			var first [2]float64
			for i, v := range [][2]int{{3, 5}, {4, 5}, {3, 6}, {3, 5}} {
				loss, grads := gradient(v[0], v[1])
				got := [2]float64{loss, float64(grads[2][1])}
				noisy := method == DCEM || i != 2
				switch {
				case i == 0:
					first = got
				case i == 3 && got != first:
					t.Errorf("%s: point and run number %v gave %v, and later %v", method, v, first, got)
				case i < 3 && noisy && got == first:
					t.Errorf("%s: point and run number %v gave what another did", method, v)
				}
			}
		}
	}
}

// Both machines train alike, and predictions in between leave no trace.
func TestMachinesAgree(t *testing.T) {
	for _, method := range []string{DCEM, GD} {
		var outcomes [][]float64
		for _, machine := range train.Machines {
			for _, look := range []bool{false, true} {
				c := tiny(method)
				c.Float64, c.Machine = true, machine
				task := open(t, c).(*task[float64])
				for step := 1; step <= 5; step++ {
					if _, err := task.Step(context.Background(), step); err != nil {
						t.Fatal(err)
					}
					if _, _, err := task.Validate(step); look && err != nil {
						t.Fatal(err)
					}
				}
				if err := task.stepper.Sync(); err != nil {
					t.Fatal(err)
				}
				outcomes = append(outcomes, slices.Concat(task.values...))
			}
		}
		check.Close(t, method+": with predictions on the engine", outcomes[1], outcomes[0], 0)
		check.Close(t, method+": with predictions on the TapeMachine", outcomes[3], outcomes[2], 0)
		// The last digits differ from op to op; four iterations stretch that, and Adam divides by small gradients.
		check.Close(t, method+": engine and TapeMachine", outcomes[0], outcomes[2], 1e-8)
	}
}

// Validate judges and changes nothing; it says the same each time.
func TestValidateKeepsTheState(t *testing.T) {
	for _, method := range []string{DCEM, GD, CEMForward} {
		task := open(t, tiny(method))
		if _, err := task.Step(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		var saved [2][]byte
		var scores [2]float64
		for i := range saved {
			path := filepath.Join(t.TempDir(), "c.gdc")
			c := run.NewCheckpoint(Kind, 1)
			if err := errors.Join(task.Save(c), run.Save(path, c)); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			saved[i] = raw
			if scores[i], _, err = task.Validate(1); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(saved[0], saved[1]) || scores[0] != scores[1] {
			t.Errorf("%s: scores %v; same state: %v", method, scores, bytes.Equal(saved[0], saved[1]))
		}
	}
}

// An update after n halvings is that of a run whose rate is so much lower.
func TestRateIsUsed(t *testing.T) {
	c := tiny(GD)
	halved, lower := open(t, c).(*task[float32]), c
	halved.rates.Halvings = []int{1, 2}
	lower.Rate = c.Rate / 4
	want := open(t, lower).(*task[float32])
	for _, task := range []*task[float32]{halved, want} {
		m, err := task.Step(context.Background(), 1)
		if err != nil || m.Values["rate"] != c.Rate/4 {
			t.Fatalf("%+v, %v", m, err)
		}
		if err := task.stepper.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	fresh := open(t, c).(*task[float32])
	for i, v := range halved.values {
		check.Close(t, "parameters", v, want.values[i], 0)
		// The last one is the energy's offset, which changes no minimum.
		if d, _ := check.MaxDiff(v, fresh.values[i]); !(d > 0) && i < len(halved.values)-1 {
			t.Errorf("parameter %d did not move", i)
		}
	}
}

// A run that was cut at a random step, by Ctrl-C or by a failure between checkpoints, and resumed leaves the same
// bits as one that was left alone. The learning rate is halved on the way.
func TestResume(t *testing.T) {
	for _, method := range []string{DCEM, GD} {
		c := tiny(method)
		c.Patience, c.Rate, c.ValidateEvery = 1, 0.03, 2
		train := func(dir string, at int, interrupt, resume bool) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			task, onCut := open(t, c), cancel
			if !interrupt {
				onCut = nil
			}
			_, err := run.Train(ctx, runtest.Cut(task, at, onCut), run.Options{
				Steps: c.Updates, ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery,
				Out: dir, Resume: resume, Config: c, Progress: run.ProgressOptions{Silent: true},
			})
			if n := len(task.schedule().Halvings); err == nil && at == 0 && n < 2 {
				t.Errorf("%s: the rate was halved %d times, want some", method, n)
			}
			return err
		}
		want := t.TempDir()
		if err := train(want, 0, false, false); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			interrupt := i%2 == 0
			dir, at := t.TempDir(), 1+rand.IntN(c.Updates)
			if err := train(dir, at, interrupt, false); interrupt && err != nil || !interrupt && !errors.Is(err, runtest.ErrCut) {
				t.Fatalf("cut at step %d: %v", at, err)
			}
			if err := train(dir, 0, false, true); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{run.CheckpointFile, run.BestFile, run.MetricsFile} {
				if !bytes.Equal(runtest.Contents(t, dir, name), runtest.Contents(t, want, name)) {
					t.Errorf("%s cut at step %d (interrupt: %v): %s differs from that of the run left alone",
						method, at, interrupt, name)
				}
			}
		}
	}
}

// A run whose number of updates is raised goes on as if it had been so from the start, though its last validation
// came out of turn.
func TestLongerRun(t *testing.T) {
	train := func(dir string, updates int, resume bool) {
		c := tiny(DCEM)
		c.Updates, c.Patience, c.ValidateEvery = updates, 1, 2
		task := open(t, c)
		if _, err := run.Train(context.Background(), task, run.Options{
			Steps: updates, ValidateEvery: c.ValidateEvery, CheckpointEvery: 100,
			Out: dir, Resume: resume, Config: c, Progress: run.ProgressOptions{Silent: true},
		}); err != nil {
			t.Fatal(err)
		}
	}
	want, got := t.TempDir(), t.TempDir()
	train(want, 20, false)
	train(got, 11, false)
	train(got, 20, true)
	a, err := run.Load(filepath.Join(want, run.CheckpointFile), Kind)
	if err != nil {
		t.Fatal(err)
	}
	b, err := run.Load(filepath.Join(got, run.CheckpointFile), Kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range a.Arrays() {
		x, _, err := run.ArrayOf[float32](a, name)
		if err != nil {
			t.Fatal(err)
		}
		y, _, err := run.ArrayOf[float32](b, name)
		if err != nil {
			t.Fatal(err)
		}
		check.Close(t, name, y, x, 0)
	}
}

// A checkpoint of the right kind whose contents do not fit is refused, not run into a panic later.
func TestLoadErrors(t *testing.T) {
	saved := func(c Config, steps int) *run.Checkpoint {
		task := open(t, c)
		for step := 1; step <= steps; step++ {
			if _, err := task.Step(context.Background(), step); err != nil {
				t.Fatal(err)
			}
		}
		k := run.NewCheckpoint(Kind, steps)
		if err := task.Save(k); err != nil {
			t.Fatal(err)
		}
		return k
	}
	c := tiny(DCEM)
	for steps := range 2 { // before the first update there are no moments
		if err := open(t, c).Load(saved(c, steps)); err != nil {
			t.Fatal(err)
		}
	}
	wider, double, icnn := c, c, c
	wider.Hidden, double.Float64, icnn.Model = []int{8, 9}, true, ModelICNN
	momentless := run.NewCheckpoint(Kind, 1)
	for i, p := range open(t, c).Params() {
		run.PutArray(momentless, "params/"+p.Name, open(t, c).(*task[float32]).values[i], p.Node.Shape()...)
	}
	if err := momentless.Put("training", map[string]any{"method": DCEM, "model": ModelMLP, "adam_steps": 1}); err != nil {
		t.Fatal(err)
	}
	for want, k := range map[string]*run.Checkpoint{
		`has no state "training"`:          run.NewCheckpoint(Kind, 0),
		"is of method gd":                  saved(tiny(GD), 1),
		"and model icnn":                   saved(icnn, 1),
		"has shape [8 9], want [8 8]":      saved(wider, 1),
		"holds float64, want float32":      saved(double, 1),
		`has no array "adam/m/energy/0/w"`: momentless,
	} {
		before := open(t, c).(*task[float32])
		first := before.values[0][0]
		if err := before.Load(k); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if before.values[0][0] != first {
			t.Errorf("%s: a parameter changed", want)
		}
	}
}

// An update whose loss is not finite leaves the parameters alone.
func TestSkips(t *testing.T) {
	task := open(t, tiny(GD)).(*task[float32])
	task.values[0][0] = float32(math.NaN())
	if err := task.stepper.Restore(kernels.OptimizerState[float32]{}); err != nil { // tells the device
		t.Fatal(err)
	}
	before := append([]float32(nil), task.values[1]...)
	m, err := task.Step(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	state, err := task.stepper.State()
	if err != nil {
		t.Fatal(err)
	}
	if !m.Skipped || state.Steps != 0 {
		t.Errorf("not skipped: %+v", m)
	}
	if err := task.stepper.Sync(); err != nil {
		t.Fatal(err)
	}
	check.Close(t, "parameters", task.values[1], before, 0)
}
