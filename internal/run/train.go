package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Task is what a program trains: a state and the update that moves it on. Everything that a later update depends on
// (parameters, the optimiser's moments, schedules, random counters, replay buffers) goes through Save and Load, so that
// the state after step s is the same bits whether the run was cut before or not. Random numbers should be a function of
// seed and step (package kernels), not of a generator with a hidden state.
type Task interface {
	// Kind names the program in its checkpoints, such as "regression".
	Kind() string

	// Columns names the numbers that Step and Validate report beside the loss, as columns of metrics.csv.
	Columns() []string

	// Step makes update number step (the first is 1). An update whose loss or gradient is not finite leaves the
	// parameters alone and says so in StepMetrics.Skipped; that is no error. A Step that takes long may give up when
	// ctx is done: it then returns ctx.Err() and leaves the state as it was before the step. Any other error ends the
	// run, and the newest checkpoint stays the last one.
	Step(ctx context.Context, step int) (StepMetrics, error)

	// Save puts the state after the last finished step into c. It must not change the state.
	Save(c *Checkpoint) error

	// Load takes the state from c. The names that start with "run/" are Train's own.
	Load(c *Checkpoint) error
}

// StepMetrics is what an update reports.
type StepMetrics struct {
	Loss     float64
	GradNorm float64 // before clipping; NaN where the task has none
	Skipped  bool    // the loss or the gradient was not finite, the parameters stayed
	Values   map[string]float64
}

// Validator is a Task that can judge its state. Validate returns a score, the lower the better, and numbers for
// metrics.csv. It must not change the state, should always judge on the same data and noise, and runs to its end even
// when the run is being interrupted.
type Validator interface {
	Task
	Validate(step int) (score float64, values map[string]float64, err error)
}

// ContextValidator is a Validator that judges for long and may give up when ctx is done: it then returns ctx.Err(). The
// update before it then counts as not made, and is made again when the run is resumed.
type ContextValidator interface {
	Validator
	ValidateContext(ctx context.Context, step int) (score float64, values map[string]float64, err error)
}

// Ender is a Task that may end before the last of its updates. Ended says whether the state after step is its last; it
// is asked before every update, after the validation and the checkpoint of the one before.
type Ender interface {
	Task
	Ended(step int) (bool, error)
}

// Options of Train.
type Options struct {
	Steps           int    // updates in all, those of earlier parts of the run included; not below Resume's checkpoint
	CheckpointEvery int    // updates between checkpoints; 0: 100
	ValidateEvery   int    // updates between validations, which also happen after the last step; 0: never. Needs a Validator.
	LogEvery        int    // updates between rows of metrics.csv; validations and the last step have a row anyhow; 0: 1
	Out             string // folder of the files; "": none are written
	Resume          bool   // continue from Out's checkpoint; a folder without one starts at step 0
	Config          any    // the config struct: goes into every checkpoint and into config.yaml; may be nil
	Progress        ProgressOptions

	// Draw, if not nil, shows the state after step updates while the run goes on: a few figures that are cheap, each
	// written as a whole (package viz does). It must not change the state, as Validate must not. It is called after
	// validations and checkpoints, first after 2 s, then at most every 10 s and for at most 3 % of the run's time, and
	// once more at the end of a run that it has been called for. Its error ends its calls, not the run.
	Draw func(step int) error
}

// Outcome is how a run of Train ended.
type Outcome struct {
	Step        int     // updates done
	Resumed     int     // the step at which this process began, 0 for a fresh start
	Interrupted bool    // the context was cancelled before the last step; the state was saved
	Skipped     int     // updates skipped because something was not finite, over all parts of the run
	BestStep    int     // the step with the lowest finite validation score, 0 if there is none
	BestScore   float64 // its score; NaN if there is none
	Last        StepMetrics
	Seconds     float64 // wall-clock time, over all parts of the run
}

// Err returns ErrInterrupted for an interrupted run, else nil.
func (o Outcome) Err() error {
	if o.Interrupted {
		return ErrInterrupted
	}
	return nil
}

// loopState is what Train itself keeps in a checkpoint.
type loopState struct {
	Skipped   int     `json:"skipped"`
	BestStep  int     `json:"best_step"`
	BestScore float64 `json:"best_score"`
}

const loopKey = "run/loop"

// Columns of metrics.csv that every program has: these first, then the task's, then "validation" and "seconds".
var leading = []string{"loss", "grad_norm", "skipped"}

// Train runs the task's updates up to o.Steps. With o.Out it keeps metrics.csv and config.yaml there, saves
// checkpoint.gdc every CheckpointEvery updates, at each new best score, at the end and when ctx is cancelled, and
// best.gdc at each new best score. A fresh start removes these files of an earlier run first.
//
// A run that was interrupted, or killed at any moment, and is continued with Resume ends with the same checkpoint.gdc,
// best.gdc and metrics.csv (its seconds apart) as a run that was left alone, provided that the Task keeps its word.
func Train(ctx context.Context, task Task, o Options) (Outcome, error) {
	t := &trainer{task: task, o: o, release: func() {}}
	defer func() { t.release() }()
	if err := t.prepare(); err != nil {
		return Outcome{}, err
	}
	err := t.loop(ctx)
	if t.metrics != nil {
		if e := t.metrics.Close(); err == nil {
			err = e
		}
	}
	return t.outcome(), err
}

// LoadBest puts the task in the state with the best validation score of the run in dir, and returns its step.
func LoadBest(dir string, task Task) (step int, err error) {
	path := filepath.Join(dir, BestFile)
	c, err := Load(path, task.Kind())
	if err != nil {
		return 0, err
	}
	return c.Step, load(task, c, path)
}

func load(task Task, c *Checkpoint, path string) error {
	err := oneLine(task.Load(c))
	if err == nil || errors.Is(err, ErrMismatch) { // already names the path
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

type trainer struct {
	task      Task
	validator Validator
	o         Options
	config    json.RawMessage
	columns   []string // the task's own
	metrics   *Metrics
	release   func() // of the out folder
	drawings  *drawings
	progress  *Progress

	state       loopState
	step        int // updates done
	from        int // where this process began
	saved       int // step of the checkpoint on disk; -1: none
	last        StepMetrics
	interrupted bool
	undone      bool // the task's state is that after the step that does not count
	start       time.Time
	earlier     float64 // seconds of earlier parts
}

func (t *trainer) path(name string) string { return filepath.Join(t.o.Out, name) }

func (t *trainer) seconds() float64 { return t.earlier + time.Since(t.start).Seconds() }

func (t *trainer) outcome() Outcome {
	o := Outcome{Step: t.step, Resumed: t.from, Interrupted: t.interrupted, Skipped: t.state.Skipped, BestStep: t.state.BestStep,
		BestScore: t.state.BestScore, Last: t.last, Seconds: t.seconds()}
	if o.BestStep == 0 {
		o.BestScore = math.NaN()
	}
	return o
}

// prepare checks the options and opens or clears the out folder.
func (t *trainer) prepare() (err error) {
	t.start, t.saved = time.Now(), -1
	o := &t.o
	switch {
	case o.Steps < 0:
		return fmt.Errorf("train: steps is %d, want at least 0", o.Steps)
	case o.CheckpointEvery < 0 || o.ValidateEvery < 0 || o.LogEvery < 0:
		return fmt.Errorf("train: checkpoint-every, validate-every, log-every are %d, %d, %d, want at least 0",
			o.CheckpointEvery, o.ValidateEvery, o.LogEvery)
	case o.Resume && o.Out == "":
		return errors.New("train: resume needs an out folder")
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = 100
	}
	if o.LogEvery == 0 {
		o.LogEvery = 1
	}
	if o.ValidateEvery > 0 {
		var ok bool
		if t.validator, ok = t.task.(Validator); !ok {
			panic(fmt.Sprintf("run: Train: ValidateEvery = %d, but %T has no Validate", o.ValidateEvery, t.task))
		}
	}
	t.columns = t.task.Columns()
	columns := slices.Concat(leading, t.columns)
	if t.validator != nil {
		columns = append(columns, "validation")
	}
	columns = append(columns, "seconds")
	checkColumns(columns)
	if o.Config != nil {
		if t.config, err = EncodeConfig(o.Config); err != nil {
			return err
		}
	}
	if o.Out == "" {
		return nil
	}
	if err := PrepareOut(o.Out); err != nil {
		return err
	}
	release, err := Hold(o.Out)
	if err != nil {
		return err
	}
	t.release = release
	if o.Resume {
		found, err := t.resume(columns)
		if err != nil || found {
			return err
		}
	}
	// The checkpoint goes first: a start that is killed here must not be resumed from another run's.
	if err := Forget(t.o.Out, CheckpointFile, BestFile, ResultFile, MetricsFile); err != nil {
		return err
	}
	if err := t.saveConfig(); err != nil {
		return err
	}
	t.metrics, err = CreateMetrics(t.path(MetricsFile), columns)
	return err
}

// resume loads the checkpoint of the out folder, if there is one.
func (t *trainer) resume(columns []string) (found bool, err error) {
	path := t.path(CheckpointFile)
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return false, nil
	}
	c, err := Load(path, t.task.Kind())
	if err != nil {
		return true, err
	}
	if err := c.within(t.o.Steps); err != nil {
		return true, err
	}
	if t.o.Config != nil && c.Config != nil {
		if err := SameConfig(c, t.o.Config); err != nil {
			return true, err
		}
	}
	if err := c.Get(loopKey, &t.state); err != nil {
		return true, err
	}
	if err := load(t.task, c, path); err != nil {
		return true, err
	}
	t.step, t.from, t.saved = c.Step, c.Step, c.Step
	if err := errors.Join(Forget(t.o.Out, ResultFile), t.saveConfig()); err != nil { // the result is that of the part before
		return true, err
	}
	// A run killed between writing a new best state as checkpoint and as best has the old best on disk.
	if t.state.BestStep == t.step && t.step > 0 {
		if err := Save(t.path(BestFile), c); err != nil {
			return true, err
		}
	}
	var last []float64
	if t.metrics, last, err = ResumeMetrics(t.path(MetricsFile), columns, t.step); err != nil {
		return true, err
	}
	if last != nil && last[len(last)-1] > 0 {
		t.earlier = last[len(last)-1]
	}
	return true, nil
}

// CheckResume returns an error if the folder out holds a checkpoint that Train could not resume up to that many steps:
// a damaged one, one of another kind, or one beyond them. A folder without one is fine. Train checks this by itself;
// it is for programs that write something of their own first.
func CheckResume(out, kind string, steps int) error {
	path := filepath.Join(out, CheckpointFile)
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return nil
	}
	c, err := Load(path, kind)
	if err != nil {
		return err
	}
	return c.within(steps)
}

// within returns an error if the checkpoint's state is beyond that many steps: nothing takes it back.
func (c *Checkpoint) within(steps int) error {
	if c.Step > steps {
		return fmt.Errorf("%s: is at step %d, beyond the %d updates asked for", c.path, c.Step, steps)
	}
	return nil
}

func (t *trainer) saveConfig() error {
	if t.o.Config == nil {
		return nil
	}
	return SaveConfig(t.path(ConfigFile), t.o.Config)
}

func (t *trainer) loop(ctx context.Context) (err error) {
	progress := NewProgress(t.o.Steps, t.step, t.o.Progress)
	t.progress, t.drawings = progress, newDrawings(t.o.Draw, time.Now)
	switch {
	case t.from > 0:
		progress.Say("resumed from %s at step %d of %d", t.path(CheckpointFile), t.from, t.o.Steps)
	case t.o.Resume:
		progress.Say("no checkpoint in %s: starting at step 0", t.o.Out)
	}
	defer func() {
		progress.Finish()
		if err == nil && t.interrupted && t.o.Out != "" {
			if t.saved == t.step {
				progress.Say("interrupted at step %d of %d: saved in %s, resume continues", t.step, t.o.Steps, t.path(CheckpointFile))
			} else {
				progress.Say("interrupted at step %d of %d: resume continues from step %d", t.step, t.o.Steps, max(t.saved, 0))
			}
		}
	}()
	for t.step < t.o.Steps {
		if ctx.Err() != nil {
			t.interrupted = true
			break
		}
		if e, ok := t.task.(Ender); ok {
			ended, err := e.Ended(t.step)
			if err != nil {
				return fmt.Errorf("end after step %d: %w", t.step, oneLine(err))
			}
			if ended {
				progress.Say("ended at step %d of %d", t.step, t.o.Steps)
				t.show(true)
				return t.checkpoint(false) // its state may know more than after the update
			}
		}
		m, err := t.task.Step(ctx, t.step+1)
		if err != nil {
			if gaveUp(ctx, err) {
				t.interrupted = true
				break
			}
			return fmt.Errorf("step %d: %w", t.step+1, oneLine(err))
		}
		before, last := t.state, t.last
		t.step++
		if err := t.finishStep(ctx, m); err != nil {
			if gaveUp(ctx, err) {
				t.step, t.state, t.last = t.step-1, before, last
				t.interrupted, t.undone = true, true
				break
			}
			return err
		}
		progress.Step(t.step, m.Loss)
	}
	if t.saved != t.step && !t.undone {
		return t.checkpoint(false)
	}
	return nil
}

// gaveUp says whether an error is that of a task that ctx has stopped.
func gaveUp(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// finishStep does what follows an update: counting, validation, the row of metrics, checkpoints.
func (t *trainer) finishStep(ctx context.Context, m StepMetrics) error {
	end := t.step == t.o.Steps
	if m.Skipped || math.IsNaN(m.Loss) || math.IsInf(m.Loss, 0) {
		t.state.Skipped++
		m.Skipped = true
	}
	t.last = m
	row := map[string]float64{"loss": m.Loss, "skipped": 0}
	if m.Skipped {
		row["skipped"] = 1
	}
	if !math.IsNaN(m.GradNorm) {
		row["grad_norm"] = m.GradNorm
	}
	if err := t.merge(row, m.Values); err != nil {
		return err
	}
	validated, best := t.validator != nil && (end || t.step%t.o.ValidateEvery == 0), false
	if validated {
		score, values, err := t.validate(ctx)
		if err != nil {
			return fmt.Errorf("validation after step %d: %w", t.step, oneLine(err))
		}
		row["validation"] = score
		if err := t.merge(row, values); err != nil {
			return err
		}
		if best = isFinite(score) && (t.state.BestStep == 0 || score < t.state.BestScore); best {
			t.state.BestStep, t.state.BestScore = t.step, score
		}
	}
	if t.metrics != nil && (validated || end || t.step%t.o.LogEvery == 0) {
		row["seconds"] = math.Round(t.seconds()*1e3) / 1e3
		if err := t.metrics.Row(t.step, row); err != nil {
			return err
		}
		if time.Since(t.metrics.passed) >= followed {
			if err := t.metrics.pass(); err != nil {
				return err
			}
		}
	}
	save := best || end || t.step%t.o.CheckpointEvery == 0
	if save {
		if err := t.checkpoint(best); err != nil {
			return err
		}
	}
	if save || validated {
		t.show(end)
	}
	return nil
}

func (t *trainer) validate(ctx context.Context) (score float64, values map[string]float64, err error) {
	if v, ok := t.validator.(ContextValidator); ok {
		return v.ValidateContext(ctx, t.step)
	}
	return t.validator.Validate(t.step)
}

// merge adds the task's own numbers to a row.
func (t *trainer) merge(row, values map[string]float64) error {
	for name := range values {
		if !slices.Contains(t.columns, name) {
			return fmt.Errorf("step %d: value %q is not among the task's columns %v", t.step, name, t.columns)
		}
	}
	maps.Copy(row, values)
	return nil
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// checkpoint saves the state, as the best one too if it is. The order matters to a process that is killed in between:
// the rows of metrics.csv are on disk before the checkpoint that counts on them, and the checkpoint before best.gdc,
// which resume can make again from it.
func (t *trainer) checkpoint(best bool) error {
	if t.o.Out == "" {
		return nil
	}
	if err := t.metrics.Flush(); err != nil {
		return err
	}
	c := NewCheckpoint(t.task.Kind(), t.step)
	c.Config = t.config
	if err := c.Put(loopKey, t.state); err != nil {
		return err
	}
	if err := t.task.Save(c); err != nil {
		return fmt.Errorf("saving after step %d: %w", t.step, oneLine(err))
	}
	if err := Save(t.path(CheckpointFile), c); err != nil {
		return err
	}
	t.saved = t.step
	if best {
		return Save(t.path(BestFile), c)
	}
	return nil
}
