package bumps

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

func newTask(t *testing.T, c Config) *Task {
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

// The paper's setting: the loss falls below 0.05 in 50 updates for at least 4 of 5 seeds. The loss is the mean over
// 20 solves on fixed noise.
func TestConverges(t *testing.T) {
	good := 0
	for seed := range uint64(5) {
		c := Default()
		c.Seed = seed
		task := newTask(t, c)
		var last run.StepMetrics
		for step := 1; step <= c.Updates; step++ {
			var err error
			if last, err = task.Step(context.Background(), step); err != nil {
				t.Fatal(err)
			}
		}
		l, err := task.validation.Losses(task.params, c.Target)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d: loss %.4f (worst of 20: %.4f; of update 50: %.4f)", seed, l.Mean, l.Worst, last.Loss)
		if l.Mean < goodLoss {
			good++
		}
	}
	if good < 4 {
		t.Errorf("loss below %v for %d of 5 seeds, want at least 4", goodLoss, good)
	}
}

// lossOf compiles the graph of an update without moving the parameters. The function returns the loss of the solve with
// that run number, and its gradient.
func lossOf(t *testing.T, c Config) func(runNumber int) (float64, []float64) {
	t.Helper()
	p, err := newProblem(c, slices.Clone(c.Params))
	if err != nil {
		t.Fatal(err)
	}
	grads, err := autodiff.Gradients(p.loss, p.input)
	if err != nil {
		t.Fatal(err)
	}
	var loss, grad G.Value
	G.Read(p.loss, &loss)
	G.Read(grads[0], &grad)
	vm, err := train.NewVM(c.Machine, p.loss.Graph())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return func(runNumber int) (float64, []float64) {
		if err := G.Let(p.run, int64(runNumber)); err != nil {
			t.Fatal(err)
		}
		defer vm.Reset()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		return loss.Data().(float64), grad.Data().([]float64)
	}
}

// The graph's loss and gradient against the Solver, which has neither graph nor gradients.
func TestGradient(t *testing.T) {
	for _, c := range []Config{
		{Samples: 100, Elites: 10, Iterations: 10, Temperature: 1, Relaxation: "lml", Mu: []float64{-1, 1}},
		{Samples: 31, Elites: 1, Iterations: 3, Temperature: 2, Relaxation: "lml", Mu: []float64{0.3, 0.2}},
		{Samples: 50, Elites: 7, Iterations: 4, Temperature: 0.5, Relaxation: "CSoftmax", Mu: []float64{0, 1},
			Lower: []float64{-0.5}, Upper: []float64{1, 1.5}},
	} {
		d := Default()
		c.Seed, c.Sigma, c.Params, c.Target = 7, 0.3, Initial(), d.Target
		c.Machine = d.Machine
		solves, err := NewSolves(c.solve(1))
		if err != nil {
			t.Fatal(err)
		}
		loss := func(params []float64) float64 {
			trace, err := solves.Trace(params, 3)
			if err != nil {
				t.Fatal(err)
			}
			x, y := trace.Answer[0]-c.Target[0], trace.Answer[1]-c.Target[1]
			return (x*x + y*y) / 2
		}
		got, grad := lossOf(t, c)(3)
		// The same steps on costs that differ in their last bits; ten iterations stretch that.
		check.Close(t, "loss", []float64{got}, []float64{loss(c.Params)}, 1e-12)
		check.Close(t, "gradient", grad, check.Gradient(loss, Initial(), 1e-4), 1e-7)
	}
}

// One machine serves all updates: what it ran before leaves no trace.
func TestMachineIsReused(t *testing.T) {
	gradient := lossOf(t, Default())
	var first [2]float64
	for i, runNumber := range []int{5, 6, 1, 5} {
		loss, grad := gradient(runNumber)
		switch got := [2]float64{loss, grad[4]}; {
		case i == 0:
			first = got
		case i == 3 && got != first:
			t.Errorf("run number 5 gave %v, and later %v", first, got)
		case i < 3 && got == first:
			t.Errorf("run number %d gave the noise of run number 5", runNumber)
		}
	}
}

// A run that was cut at a random step, by Ctrl-C or by a failure between checkpoints, and resumed leaves the same
// bits as one that was left alone.
func TestResume(t *testing.T) {
	c := Default()
	c.Samples, c.Elites, c.Iterations, c.Updates, c.ValidateEvery, c.CheckpointEvery = 20, 5, 4, 30, 4, 7
	train := func(dir string, at int, interrupt, resume bool) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		onCut := cancel
		if !interrupt {
			onCut = nil
		}
		_, err := run.Train(ctx, runtest.Cut(newTask(t, c), at, onCut), run.Options{
			Steps: c.Updates, ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery,
			Out: dir, Resume: resume, Config: c, Progress: run.ProgressOptions{Silent: true},
		})
		return err
	}
	want := t.TempDir()
	if err := train(want, 0, false, false); err != nil {
		t.Fatal(err)
	}
	for _, interrupt := range []bool{true, false} {
		dir, at := t.TempDir(), 1+rand.IntN(c.Updates)
		if err := train(dir, at, interrupt, false); interrupt && err != nil || !interrupt && !errors.Is(err, runtest.ErrCut) {
			t.Fatalf("cut at step %d: %v", at, err)
		}
		if err := train(dir, 0, false, true); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{run.CheckpointFile, run.BestFile, run.MetricsFile} {
			if !bytes.Equal(runtest.Contents(t, dir, name), runtest.Contents(t, want, name)) {
				t.Errorf("cut at step %d (interrupt: %v): %s differs from that of the run left alone", at, interrupt, name)
			}
		}
	}
}

// A resumed run reports the lost gradients of all its parts. A bump so far away that its squared distance overflows
// loses every sample's.
func TestLostGradients(t *testing.T) {
	c := Default()
	c.Samples, c.Elites, c.Iterations, c.Updates, c.ValidateEvery, c.CheckpointEvery = 20, 5, 4, 9, 4, 2
	c.Params[1] = 1e200
	train := func(dir string, at int, resume bool) int64 {
		task, err := NewTask(c) // Validate refuses such parameters; training may come by them
		if err != nil {
			t.Fatal(err)
		}
		defer task.Close()
		_, err = run.Train(context.Background(), runtest.Cut(task, at, nil), run.Options{
			Steps: c.Updates, ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery,
			Out: dir, Resume: resume, Config: c, Progress: run.ProgressOptions{Silent: true},
		})
		if at > 0 && !errors.Is(err, runtest.ErrCut) || at == 0 && err != nil {
			t.Fatal(err)
		}
		r := &result{}
		if err := r.after(task); err != nil {
			t.Fatal(err)
		}
		return r.lost
	}
	want, dir := t.TempDir(), t.TempDir()
	whole := train(want, 0, false)
	if whole != int64(c.Updates*(c.Iterations-1)*c.Samples) { // the first iteration's samples depend on no parameter
		t.Fatalf("%d lost gradients, want all in %d updates", whole, c.Updates)
	}
	train(dir, 4, false) // after the checkpoint of update 2: the count of update 3 is not kept
	train(dir, 7, true)
	if got := train(dir, 0, true); got != whole {
		t.Errorf("%d lost gradients after two cuts, want %d", got, whole)
	}
	if !bytes.Equal(runtest.Contents(t, dir, run.CheckpointFile), runtest.Contents(t, want, run.CheckpointFile)) {
		t.Error("the checkpoint differs from that of the run left alone")
	}
}

// A checkpoint of the right kind whose contents do not fit is refused, not run into a panic later.
func TestLoadErrors(t *testing.T) {
	sound := func() *run.Checkpoint {
		task := newTask(t, Default())
		if _, err := task.Step(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		c := run.NewCheckpoint(Kind, 1)
		if err := task.Save(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := newTask(t, Default()).Load(sound()); err != nil {
		t.Fatal(err)
	}
	longer := sound()
	longer.Step = 2
	other := run.NewCheckpoint(Kind, 0)
	run.PutArray(other, "params", make([]float64, NumParams))
	run.PutArray(other, "history", make([]float64, NumParams), 1, NumParams)
	if err := other.Put("optimizer", map[string]any{"steps": 1, "v": [][]float64{{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := other.Put("lost_gradients", 0); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]*run.Checkpoint{
		`array "history"`: longer, `has no array "params"`: run.NewCheckpoint(Kind, 0), "v does not fit": other,
	} {
		if err := newTask(t, Default()).Load(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// An update whose loss is not finite leaves the parameters alone.
func TestSkips(t *testing.T) {
	task := newTask(t, Default())
	for i := range task.params {
		task.params[i] = 1e300 // squares overflow: every cost is excluded
	}
	task.params[0] = math.Inf(-1)
	if err := task.stepper.Restore(kernels.OptimizerState[float64]{}); err != nil { // tells the device
		t.Fatal(err)
	}
	before := append([]float64(nil), task.params...)
	m, err := task.Step(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Skipped {
		t.Errorf("not skipped: %+v", m)
	}
	for i, p := range task.params {
		if p != before[i] {
			t.Errorf("parameter %d went from %v to %v", i, before[i], p)
		}
	}
}
