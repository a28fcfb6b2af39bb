package mismatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	costsFigure    = "costs.png"
	trainingFigure = "training.png"
	reportFile     = "report.html"
)

var allFigures = []string{costsFigure, trainingFigure, reportFile}

// Run is the program: it fits the net, tunes it through the controller, judges both, writes result.json and draws the
// figures. A run that ctx interrupts saves its state and returns run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if !o.Resume {
		if err := run.Forget(o.Out, append([]string{run.CheckpointFile, run.ConfigFile}, allFigures...)...); err != nil {
			return err
		}
	}
	task, err := NewTask(c)
	if err != nil {
		return err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.Config = c.Fit+c.Tune, c.CheckpointEvery, &c
	s := &study{c: c, dir: o.Out}
	if s.outcome, err = run.Train(ctx, task, o); err != nil {
		return err
	}
	if !s.outcome.Interrupted {
		if s.fitted, s.tuned, err = task.Judge(); err != nil {
			return err
		}
	}
	if err := s.outcome.Err(); err != nil {
		return errors.Join(run.WriteResult(o.Out, s.result()), err)
	}
	gain, se := Gain(s.fitted, s.tuned)
	fmt.Fprintf(w, "fitted    plans cost %.2f, negative log-likelihood %.3f\n", s.fitted.Mean(), s.fitted.NLL)
	fmt.Fprintf(w, "tuned     plans cost %.2f, negative log-likelihood %.3f: cheaper by %.2f, standard error %.2f\n", s.tuned.Mean(),
		s.tuned.NLL, gain, se)
	if err := run.Finish(o.Out, s.result(), func() error { return s.draw(ctx) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// study is what a finished run has to show.
type study struct {
	c             Config
	dir           string
	outcome       run.Outcome
	fitted, tuned Judgement
}

// result is what result.json says.
func (s *study) result() run.Result {
	r := run.Result{Program: Kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds, Status: run.StatusInterrupted,
		Metrics: map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped)}}
	if !s.outcome.Interrupted {
		r.Status = run.StatusDone
		r.Metrics["gain"], r.Metrics["gain_standard_error"] = Gain(s.fitted, s.tuned)
		for name, j := range map[string]Judgement{"fitted": s.fitted, "tuned": s.tuned} {
			r.Metrics[name+"_cost"], r.Metrics[name+"_nll"] = j.Mean(), j.NLL
			r.Metrics[name+"_mse_relevant"], r.Metrics[name+"_mse_irrelevant"] = j.Relevant, j.Irrelevant
		}
	}
	return r
}

// draw writes the pictures and the report, if there are to be any.
func (s *study) draw(ctx context.Context) error {
	if !s.c.Figures {
		return nil
	}
	table, err := run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile))
	if err != nil {
		return err
	}
	sorted := func(name string, j Judgement) viz.Series {
		y := slices.Sorted(slices.Values(j.Costs))
		x := make([]float64, len(y))
		for i := range x {
			x[i] = (float64(i) + 0.5) / float64(len(x))
		}
		return viz.Series{Name: name, X: y, Y: x}
	}
	nx, nll := table.Series("nll")
	cx, cost := table.Series("cost")
	for _, f := range []struct {
		name string
		plot viz.Plot
	}{
		{costsFigure, viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Costs of plans from %d states not seen before", s.c.States),
			X: "cost of the plan for the pendulum", Y: "share of the states with less"},
			Series: []viz.Series{sorted("fitted by likelihood", s.fitted), sorted("tuned through the controller", s.tuned)}}},
		{trainingFigure, viz.SideBySide("",
			viz.Lines{Axes: viz.Axes{Title: "First by likelihood", X: "update", Y: "negative log-likelihood"}, LogY: true,
				Series: []viz.Series{{Name: "negative log-likelihood", X: nx, Y: nll}}},
			viz.Lines{Axes: viz.Axes{Title: "Then through the controller", X: "update", Y: "mean cost of plans"}, Smooth: 20,
				Series: []viz.Series{{Name: "cost", X: cx, Y: cost}}})},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	return s.report()
}

func (s *study) report() error {
	config, err := os.ReadFile(filepath.Join(s.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(s.dir, name), Caption: caption}
	}
	t := &viz.Table{Header: []string{"", "fitted by likelihood", "tuned through the controller"}}
	for _, r := range []struct {
		name string
		of   func(j Judgement) float64
	}{
		{"mean cost of plans", Judgement.Mean},
		{"negative log-likelihood of a transition", func(j Judgement) float64 { return j.NLL }},
		{"mean squared error, the pendulum", func(j Judgement) float64 { return j.Relevant }},
		{"mean squared error, the rest", func(j Judgement) float64 { return j.Irrelevant }},
	} {
		t.Rows = append(t.Rows, []string{r.name, fmt.Sprintf("%.4g", r.of(s.fitted)), fmt.Sprintf("%.4g", r.of(s.tuned))})
	}
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{
		Title: "What fits best does not control best",
		Intro: fmt.Sprintf("A net of %d hidden units learns the dynamics of a pendulum from %d random transitions. Beside the "+
			"pendulum's three, the state has %d numbers that move far and matter to nobody; the likelihood does not know that, and "+
			"the small net spends itself on them. Then the same net, from the same states, is tuned through the controller: it plans by "+
			"DCEM, the pendulum carries the plan out, and the gradient of what that costs goes back through the plan into the net. No more "+
			"transitions are drawn for that, but it asks for more than they hold: the task's cost, and the true pendulum under the plans.",
			s.c.Hidden, s.c.Transitions, s.c.Irrelevant),
		Sections: []viz.Section{
			{Heading: "Cost of plans", Text: s.conclusion(),
				Figures: []viz.Figure{figure(costsFigure, "The further to the left the better.")}, Table: t},
			{Heading: "Training", Figures: []viz.Figure{figure(trainingFigure, "Both stages.")}},
			{Heading: "Configuration", Code: string(config), Text: "The same configuration and seed give the same run, bit for bit:\n\n" +
				"godcem mismatch --config config.yaml --out out/again"},
		},
	})
}

// conclusion says what came of it, whichever it was.
func (s *study) conclusion() string {
	gain, se := Gain(s.fitted, s.tuned)
	text := fmt.Sprintf("From %d states not seen before the plans of the tuned net cost %.2f less than those of the fitted one, with a "+
		"standard error of %.2f over the states", s.c.States, gain, se)
	switch {
	case gain < -2*se:
		text = fmt.Sprintf("From %d states not seen before the plans of the tuned net cost %.2f more than those of the fitted one, with a "+
			"standard error of %.2f over the states: tuning has done harm", s.c.States, -gain, se)
	case gain <= 2*se:
		text += ": no difference to speak of"
	}
	worse := "worse"
	if s.tuned.NLL <= s.fitted.NLL {
		worse = "better"
	}
	return text + fmt.Sprintf(". By likelihood of the transitions, unit variance and no constant, the tuned net is the %s of the two.", worse)
}
