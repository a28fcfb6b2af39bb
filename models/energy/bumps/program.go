package bumps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
)

// result is what a run found out.
type result struct {
	outcome    run.Outcome
	start, end Losses     // before the first update and after the last one
	least      [2]float64 // the least minimum of the first objective
	cem        Trace      // vanilla CEM's search for it
	minimum    [2]float64 // the minimum of the last objective at DCEM's answer
	lost       int64      // gradients of excluded samples that were not finite, over all parts of the run
}

// Run is the program: it lets vanilla CEM find the objective's minimum, trains, writes result.json and draws the
// figures. o says where; its steps and intervals come from c. The summary goes to w. A run that ctx interrupts saves
// its state and returns run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if !o.Resume {
		err := run.Forget(o.Out, run.CheckpointFile, run.ConfigFile, reportFile, movieFigure, surfaceFigure, cemFigure, lossFigure)
		if err != nil {
			return err
		}
	}
	task, err := NewTask(c)
	if err != nil {
		return err
	}
	defer task.Close()
	r := &result{}
	if err := r.before(c); err != nil {
		return err
	}
	o.Steps, o.CheckpointEvery, o.ValidateEvery = c.Updates, c.CheckpointEvery, c.ValidateEvery
	if c.Figures {
		l := &live{task: task, r: r, dir: o.Out}
		o.Draw = l.draw
	}
	if r.outcome, err = run.Train(ctx, task, o); err != nil {
		return err
	}
	if err := r.after(task); err != nil {
		return err
	}
	if err := r.outcome.Err(); err != nil {
		return errors.Join(run.WriteResult(o.Out, r.file(c)), err)
	}
	r.summary(w, c)
	if err := run.Finish(o.Out, r.file(c), func() error { return r.show(ctx, task, o) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// show draws the figures and the report, if there are to be any.
func (r *result) show(ctx context.Context, task *Task, o run.Options) error {
	if !task.c.Figures {
		return nil
	}
	if !o.Progress.Silent {
		fmt.Fprintln(os.Stderr, "drawing the figures ...")
	}
	p, err := newPictures(task, r, o.Out)
	if err != nil {
		return err
	}
	if err := p.draw(ctx); err != nil {
		return err
	}
	return p.report()
}

// before is the part that needs no training: vanilla CEM on the first objective, and the solves' losses there.
func (r *result) before(c Config) error {
	r.least[0], r.least[1] = Least(c.Params)
	search, err := NewSolves(c.cemConfig())
	if err != nil {
		return err
	}
	if r.cem, err = search.Trace(c.Params, 0); err != nil {
		return err
	}
	solves, err := NewSolves(c.solve(validationSolves))
	if err != nil {
		return err
	}
	r.start, err = solves.Losses(c.Params, c.Target)
	return err
}

func (r *result) after(t *Task) (err error) {
	if r.end, err = t.validation.Losses(t.params, t.c.Target); err != nil {
		return err
	}
	r.minimum[0], r.minimum[1] = Minimum(t.params, r.end.X, r.end.Y)
	r.lost = t.lostGradients()
	return nil
}

// file is what result.json says.
func (r *result) file(c Config) run.Result {
	status := run.StatusDone
	if r.outcome.Interrupted {
		status = run.StatusInterrupted
	}
	return run.Result{
		Program: Kind, Config: c, Seed: c.Seed, Seconds: r.outcome.Seconds, Status: status,
		Metrics: map[string]float64{
			"updates": float64(r.outcome.Step), "skipped": float64(r.outcome.Skipped), "lost_gradients": float64(r.lost),
			"loss": r.end.Mean, "loss_worst": r.end.Worst, "loss_start": r.start.Mean, "below_0.05": r.end.Below,
			"answer_x": r.end.X, "answer_y": r.end.Y, "minimum_x": r.minimum[0], "minimum_y": r.minimum[1],
			"cem_x": r.cem.Answer[0], "cem_y": r.cem.Answer[1], "cem_value": r.cem.Value,
			"cem_distance": distance(r.cem.Answer, r.least),
		},
	}
}

// summary is the run in a few lines.
func (r *result) summary(w io.Writer, c Config) {
	fmt.Fprintf(w, "cem       found (%.3f, %.3f) where Z = %.3f, %.2g from the least minimum\n",
		r.cem.Answer[0], r.cem.Answer[1], r.cem.Value, distance(r.cem.Answer, r.least))
	fmt.Fprintf(w, "dcem      loss %.3g -> %.3g in %d updates and %.2g s (mean of %d solves, worst %.3g); %s\n",
		r.start.Mean, r.end.Mean, r.outcome.Step, r.outcome.Seconds, validationSolves, r.end.Worst, r.verdict())
	fmt.Fprintf(w, "answer    (%.3f, %.3f), target (%g, %g)\n", r.end.X, r.end.Y, c.Target[0], c.Target[1])
}

// verdict says whether the loss is as low as it should be.
func (r *result) verdict() string {
	if r.end.Mean < goodLoss {
		return "below 0.05, as it should be"
	}
	return "not below 0.05, which with the default settings happens to about one seed in six: " +
		"try more updates, or another seed"
}
