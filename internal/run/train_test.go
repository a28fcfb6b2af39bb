package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/atomicfile"
)

func options(dir string, steps int) Options {
	return Options{Steps: steps, CheckpointEvery: 4, ValidateEvery: 5, Out: dir, Config: walkConfig{Size: 9, Steps: steps},
		Progress: ProgressOptions{Silent: true}}
}

func train(t *testing.T, task Task, o Options) Outcome {
	t.Helper()
	out, err := Train(context.Background(), task, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTrain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	task := newWalk(walkConfig{Size: 9})
	out := train(t, task, options(dir, 23))
	if out.Step != 23 || out.Interrupted || out.Err() != nil || out.Skipped != 1 || out.Resumed != 0 ||
		!(out.Seconds >= 0) || !(out.Last.Loss > 0) {
		t.Errorf("got %+v", out)
	}
	table, err := ReadMetrics(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"step", "loss", "grad_norm", "skipped", "rate", "stale", "validation", "seconds"}
	if !slices.Equal(table.Columns, want) {
		t.Errorf("columns %v", table.Columns)
	}
	loss, skipped, norm := table.Column("loss"), table.Column("skipped"), table.Column("grad_norm")
	if len(loss) != 23 || !math.IsNaN(loss[16]) || skipped[16] != 1 || skipped[15] != 0 || !math.IsInf(norm[16], 1) ||
		loss[22] != out.Last.Loss {
		t.Errorf("loss %v, skipped %v, grad_norm %v", loss, skipped, norm)
	}
	steps, scores := table.Series("validation")
	if !slices.Equal(steps, []float64{5, 10, 15, 20, 23}) {
		t.Errorf("validated at %v", steps)
	}
	best := slices.Index(scores, slices.Min(scores))
	if out.BestStep != int(steps[best]) || out.BestScore != scores[best] {
		t.Errorf("best is step %d with %v, want %v with %v", out.BestStep, out.BestScore, steps[best], scores[best])
	}
	other := newWalk(walkConfig{Size: 9})
	if step, err := LoadBest(dir, other); err != nil || step != out.BestStep {
		t.Errorf("LoadBest: %d, %v", step, err)
	}
	if score, _, _ := other.Validate(out.BestStep); score != out.BestScore {
		t.Errorf("the best state scores %v, want %v", score, out.BestScore)
	}
	// Nothing changes without an out folder, and nothing is left to do for a resume at the end.
	again := newWalk(walkConfig{Size: 9})
	o := options("", 23)
	train(t, again, o)
	if !slices.Equal(again.w, task.w) {
		t.Error("without an out folder: other parameters")
	}
	o = options(dir, 23)
	o.Resume = true
	third := newWalk(walkConfig{Size: 9})
	out = train(t, third, o)
	if out.Resumed != 23 || out.Step != 23 || out.BestStep != int(steps[best]) || !slices.Equal(third.w, task.w) {
		t.Errorf("resumed at the end: %+v", out)
	}
}

// Cut at every step and resumed, each time by a new process as it were, and also extended later: the files are those of
// one run.
func TestResumeEverywhere(t *testing.T) {
	want := t.TempDir()
	train(t, newWalk(walkConfig{Size: 9}), options(want, 23))
	for cut := range 24 {
		dir := t.TempDir()
		task := newWalk(walkConfig{Size: 9})
		ctx, cancel := context.WithCancelCause(context.Background())
		task.before = func(step int) {
			if step == cut+1 {
				cancel(ErrInterrupted) // the step itself notices
			}
		}
		out, err := Train(ctx, task, options(dir, 23))
		if err != nil || out.Interrupted != (cut < 23) || out.Step != cut {
			t.Fatalf("cut at %d: %+v, %v", cut, out, err)
		}
		if out.Interrupted != errors.Is(out.Err(), ErrInterrupted) {
			t.Fatalf("cut at %d: %v", cut, out.Err())
		}
		o := options(dir, 23)
		o.Resume = true
		if out = train(t, newWalk(walkConfig{Size: 9}), o); out.Resumed != cut || out.Step != 23 || out.Skipped != 1 {
			t.Errorf("cut at %d: %+v", cut, out)
		}
		compareRuns(t, dir, want)
		cancel(nil)
	}
	// 20 is a checkpoint, a validation and a logged step of the whole run too, so that its end leaves no trace.
	dir := t.TempDir()
	o := options(dir, 23)
	o.Steps = 20
	train(t, newWalk(walkConfig{Size: 9}), o)
	o.Steps = 23
	o.Resume = true
	train(t, newWalk(walkConfig{Size: 9}), o)
	compareRuns(t, dir, want)
}

// What a kill can leave behind beside a checkpoint: an old best.gdc, rows of later steps, half a row, unfinished files.
func TestResumeRepairs(t *testing.T) {
	want := t.TempDir()
	o := options(want, 23)
	out := train(t, newWalk(walkConfig{Size: 9}), o)
	for _, damage := range []string{"best", "no best", "rows", "temp"} {
		dir := t.TempDir()
		first := o
		first.Out, first.Steps, first.Config = dir, out.BestStep, walkConfig{Size: 9, Steps: 23}
		train(t, newWalk(walkConfig{Size: 9}), first)
		best, metrics := filepath.Join(dir, BestFile), filepath.Join(dir, MetricsFile)
		switch damage {
		case "best":
			old := NewCheckpoint("walk", 1)
			if err := Save(best, old); err != nil {
				t.Fatal(err)
			}
		case "no best":
			os.Remove(best)
		case "rows":
			f, err := os.OpenFile(metrics, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(f, "%d,7,7,0,,,,9\n%d,7,7", out.BestStep+1, out.BestStep+2)
			f.Close()
		case "temp":
			if err := os.WriteFile(filepath.Join(dir, atomicfile.TempPrefix+"123"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		second := o
		second.Out, second.Resume = dir, true
		train(t, newWalk(walkConfig{Size: 9}), second)
		compareRuns(t, dir, want)
	}
}

func TestTrainErrors(t *testing.T) {
	fail := func(name string, task Task, o Options, want string) {
		t.Helper()
		_, err := Train(context.Background(), task, o)
		says(t, name, err, want)
	}
	task := func() *walk { return newWalk(walkConfig{Size: 9}) }
	dir := t.TempDir()
	o := options(dir, 8)
	train(t, task(), o)
	o.Resume = true
	path := filepath.Join(dir, CheckpointFile)

	changed := o
	changed.Config = walkConfig{Size: 10, Steps: 8}
	fail("config", task(), changed, path+": does not fit this program: size is 10, was 9, and cannot change on resume")
	fail("size", newWalk(walkConfig{Size: 10}), o, path+`: does not fit this program: array "w" has shape [9], want [10]`)
	fail("kind", otherKind{task()}, o, path+`: checkpoint of another program: kind "walk", want "other"`)
	fail("columns", otherColumns{task()}, o, filepath.Join(dir, MetricsFile)+": header is")
	fewer := o
	fewer.Steps, fewer.Config = 7, walkConfig{Size: 9, Steps: 7}
	before, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	fail("fewer steps", task(), fewer, path+": is at step 8, beyond the 7 updates asked for")
	if after, err := os.ReadFile(filepath.Join(dir, ConfigFile)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a refused resume wrote the configuration: %q, %v", after, err)
	}
	says(t, "CheckResume", CheckResume(dir, "walk", 7), path+": is at step 8, beyond the 7 updates asked for")
	says(t, "CheckResume of another kind", CheckResume(dir, "other", 8), path, "another program")
	for _, fine := range []error{CheckResume(dir, "walk", 8), CheckResume(t.TempDir(), "walk", 0)} {
		if fine != nil {
			t.Errorf("CheckResume: %v", fine)
		}
	}
	fail("negative", task(), Options{Steps: -1}, "steps is -1")
	fail("nowhere", task(), Options{Steps: 1, Resume: true}, "resume needs an out folder")
	if err := os.WriteFile(path, []byte("PK\x03\x04"), 0o644); err != nil {
		t.Fatal(err)
	}
	fail("foreign", task(), o, path+": not a godcem checkpoint")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fail("out is a file", task(), options(file, 1), "out folder "+file+": there is a file of that name")
	mustPanic(t, "no validator", func() {
		Train(context.Background(), struct{ Task }{task()}, Options{Steps: 1, ValidateEvery: 1})
	})

	// A step that fails ends the run; the last checkpoint stays, and the run can be resumed.
	dir = t.TempDir()
	o = options(dir, 23)
	fail("step", &failing{walk: *task()}, o, "step 7: boom")
	c, err := Load(filepath.Join(dir, CheckpointFile), "walk")
	if err != nil || c.Step != 5 {
		t.Fatalf("checkpoint %+v, %v", c, err)
	}
	o.Resume = true
	train(t, task(), o)
	want := t.TempDir()
	train(t, task(), options(want, 23))
	compareRuns(t, dir, want)

	// A fresh start leaves nothing of the earlier run, not even when it is cut at once.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out, err := Train(ctx, task(), options(dir, 23))
	if err != nil || !out.Interrupted || out.Step != 0 || out.BestStep != 0 || !math.IsNaN(out.BestScore) {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, BestFile)); !os.IsNotExist(err) {
		t.Errorf("an old best.gdc is left: %v", err)
	}
	if c, err := Load(filepath.Join(dir, CheckpointFile), "walk"); err != nil || c.Step != 0 {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
	fail("value", badValue{task()}, options(t.TempDir(), 3), `step 1: value "speed" is not among the task's columns [rate stale]`)
}

type otherKind struct{ *walk }

func (otherKind) Kind() string { return "other" }

type otherColumns struct{ *walk }

func (otherColumns) Columns() []string { return []string{"speed"} }

type badValue struct{ *walk }

func (b badValue) Step(context.Context, int) (StepMetrics, error) {
	return StepMetrics{Values: map[string]float64{"speed": 1}}, nil
}

type failing struct{ walk }

func (f *failing) Step(ctx context.Context, step int) (StepMetrics, error) {
	if step == 7 {
		return StepMetrics{}, errors.New("boom")
	}
	return f.walk.Step(ctx, step)
}

func TestPrepareOut(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, want string }{
		{file, "there is a file of that name, want a folder"},
		{filepath.Join(file, "below"), "cannot be created: not a directory"},
		{"/proc/godcem", "cannot be created: no such file or directory"},
		{"/proc/self", "not writable"},
		{"", "no name given"},
	} {
		if strings.HasPrefix(c.dir, "/proc") {
			if _, err := os.Stat("/proc/self"); err != nil {
				continue // not Linux
			}
		}
		err := PrepareOut(c.dir)
		says(t, c.dir, err, strings.TrimSpace("out folder "+c.dir)+": ", c.want)
	}
	made := filepath.Join(dir, "a", "b")
	if err := PrepareOut(made); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(made); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(10, 4, ProgressOptions{Label: "walk", Writer: &b, Interval: time.Hour})
	p.Say("resumed")
	for step := 5; step <= 10; step++ {
		p.Step(step, math.NaN())
		p.Step(step, 2)
	}
	p.Finish()
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 || lines[0] != "resumed" || !strings.HasPrefix(lines[1], "walk 10/10  loss 2  ") ||
		!strings.HasSuffix(lines[1], "updates/s  0s left") {
		t.Errorf("got %q", b.String())
	}
	b.Reset()
	p = NewProgress(10, 0, ProgressOptions{Writer: &b, Interval: time.Nanosecond})
	p.Step(1, 1)
	p.Step(2, 1)
	if n := strings.Count(b.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %q", n, b.String())
	}
	b.Reset()
	p = NewProgress(10, 0, ProgressOptions{Writer: &b, Silent: true, Interval: time.Nanosecond})
	p.Step(1, 1)
	p.Say("x")
	p.Finish()
	if b.Len() > 0 {
		t.Errorf("silent, but %q", b.String())
	}
}

// ending ends after a step.
type ending struct {
	*walk
	at int
}

func (e ending) Ended(step int) (bool, error) {
	if e.at < 0 {
		return false, errors.New("cannot tell")
	}
	return step >= e.at, nil
}

// A task that ends by itself leaves a checkpoint there, from which a resumed run takes no step more.
func TestTrainEnds(t *testing.T) {
	dir := t.TempDir()
	o := options(dir, 23)
	out := train(t, ending{newWalk(walkConfig{Size: 9}), 10}, o)
	if out.Step != 10 || out.Interrupted {
		t.Errorf("got %+v, want an end at 10", out)
	}
	c, err := Load(filepath.Join(dir, CheckpointFile), "walk")
	if err != nil || c.Step != 10 {
		t.Fatalf("checkpoint of step %v, %v", c, err)
	}
	before, err := os.ReadFile(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	o.Resume = true
	if out := train(t, ending{newWalk(walkConfig{Size: 9}), 10}, o); out.Step != 10 || out.Resumed != 10 {
		t.Errorf("got %+v, want no step", out)
	}
	if after, err := os.ReadFile(filepath.Join(dir, MetricsFile)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("metrics changed, %v", err)
	}
	if _, err := Train(context.Background(), ending{newWalk(walkConfig{Size: 9}), -1}, options(t.TempDir(), 23)); err == nil ||
		!strings.Contains(err.Error(), "cannot tell") {
		t.Errorf("error %v, want that of Ended", err)
	}
}
