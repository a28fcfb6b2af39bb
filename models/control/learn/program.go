package learn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	valuesFigure = "values.png"
	errorFigure  = "error.png"
	lossFigure   = "loss.png"
	biasFigure   = "bias.png"
	reportFile   = "report.html"
)

var allFigures = []string{valuesFigure, errorFigure, lossFigure, biasFigure, reportFile}

// Run is the program: it learns, writes result.json and draws the figures. o says where; its steps and intervals come
// from c. The summary goes to w. A run that ctx interrupts saves its state and returns run.ErrInterrupted.
func Run(ctx context.Context, kind string, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(kind); err != nil {
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
	task, err := NewTask(kind, c)
	if err != nil {
		return err
	}
	defer task.Close()
	o.Steps, o.CheckpointEvery, o.Config = c.Updates, c.CheckpointEvery, &c
	outcome, err := run.Train(ctx, task, o)
	if err != nil {
		return err
	}
	s := &study{kind: kind, c: c, dir: o.Out, outcome: outcome, answer: task.Answer(outcome.Step)}
	if err := outcome.Err(); err != nil {
		return errors.Join(run.WriteResult(o.Out, s.result()), err)
	}
	s.summary(w)
	if err := run.Finish(o.Out, s.result(), func() error { return s.draw(ctx) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// study is what a finished run has to show.
type study struct {
	kind    string
	c       Config
	dir     string
	outcome run.Outcome
	answer  []float64
	// softness is what share of a hard expert's controls the learner's are, with the true values and with what it has
	// learnt.
	softness [2]float64
}

// result is what result.json says.
func (s *study) result() run.Result {
	r := run.Result{Program: s.kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds, Status: run.StatusDone,
		Metrics: map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped),
			"error": slices.Max(Errors(s.kind, s.answer))}}
	for i, name := range Learnt(s.kind) {
		r.Metrics[name] = s.answer[i]
	}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
	}
	return r
}

func (s *study) summary(w io.Writer) {
	truth, off := Truth(s.kind), Errors(s.kind, s.answer)
	for i, name := range Learnt(s.kind) {
		label := s.kind
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(w, "%-14s  %-10s from %-6.4g to %-8.6g the expert's %-6.4g", label, name, s.c.Start[i], s.answer[i], truth[i])
		switch {
		case s.kind == Cost && i == 0:
			fmt.Fprintln(w, " the scale: no controller sees it")
		case s.kind == Cost:
			fmt.Fprintf(w, " %.2g off, over the first\n", off[i])
		default:
			fmt.Fprintf(w, " %.2g off\n", off[i])
		}
	}
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
	truth := Truth(s.kind)
	values := viz.Lines{Axes: viz.Axes{Title: "What is learnt, over what the expert knows", X: "update", Y: "learnt / true"},
		Levels: []viz.Mark{{At: 1, Label: "the expert's"}}}
	if s.kind == Cost {
		values.Title = "Weights of the cost over that of the cosine, over the expert's"
	}
	x, first := table.Series(Learnt(s.kind)[0])
	for i, name := range Learnt(s.kind) {
		_, y := table.Series(name)
		for j := range y {
			if y[j] /= truth[i]; s.kind == Cost {
				y[j] /= first[j] / truth[0]
			}
		}
		if s.kind == Cost && i == 0 {
			continue // 1 throughout
		}
		values.Series = append(values.Series, viz.Series{Name: name, X: x, Y: y})
	}
	steps, off := table.Series("error")
	_, loss := table.Series("loss")
	for _, f := range []struct {
		name string
		plot viz.Plot
	}{
		{valuesFigure, values},
		{errorFigure, viz.Lines{Axes: viz.Axes{Title: "Largest relative error", X: "update", Y: "error"}, LogY: true,
			Series: []viz.Series{{Name: "error", X: steps, Y: off}}}},
		{lossFigure, viz.Lines{Axes: viz.Axes{Title: "Mean squared distance from the expert's controls", X: "update",
			Y: "loss, (N m)^2"}, LogY: true, Smooth: 20, Series: []viz.Series{{Name: "loss", X: steps, Y: loss}}}},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	if s.c.Expert == Hard {
		if err := s.drawBias(); err != nil {
			return err
		}
	}
	return s.report()
}

// shown is how many plans the figure of the bias has.
const shown = 3

// drawBias draws the plans of a hard expert, and of the learner with the true values and with those it has learnt; and
// finds what share of the expert's controls the learner's are.
func (s *study) drawBias() error {
	learnt := map[string]float64{}
	for i, name := range Learnt(s.kind) {
		learnt[name] = s.answer[i]
	}
	expert, err := s.c.plans(nil, true, expertRun)
	if err != nil {
		return err
	}
	truth, err := s.c.plans(nil, false, expertRun)
	if err != nil {
		return err
	}
	imitation, err := s.c.plans(learnt, false, expertRun)
	if err != nil {
		return err
	}
	s.softness[0], s.softness[1] = share(truth, expert), share(imitation, expert)
	var plots []viz.Plot
	h := s.c.Horizon * system.ControlDim()
	for i := range min(shown, s.c.Plans) {
		f := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Plan %d", i), X: "t, s", Y: system.Controls()[0]}}
		for _, plan := range []struct {
			name string
			u    []float64
		}{{"hard expert", expert}, {"learner, true values", truth}, {"learner, learnt values", imitation}} {
			series := viz.Series{Name: plan.name, Y: plan.u[i*h : (i+1)*h]}
			for t := range series.Y {
				series.X = append(series.X, float64(t)*system.Dt())
			}
			f.Series = append(f.Series, series)
		}
		plots = append(plots, f)
	}
	return viz.Save(filepath.Join(s.dir, biasFigure), viz.SideBySide("", plots...))
}

// share is the factor by which v is shortest from u.
func share(u, v []float64) float64 {
	uv, vv := 0.0, 0.0
	for i := range u {
		uv, vv = uv+u[i]*v[i], vv+v[i]*v[i]
	}
	return uv / vv
}

func (s *study) report() error {
	config, err := os.ReadFile(filepath.Join(s.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(s.dir, name), Caption: caption}
	}
	t := &viz.Table{Header: []string{"", "start", "learnt", "the expert's", "relative error"}}
	off, truth := Errors(s.kind, s.answer), Truth(s.kind)
	for i, name := range Learnt(s.kind) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprintf("%.4g", s.c.Start[i]), fmt.Sprintf("%.8g", s.answer[i]),
			fmt.Sprintf("%.4g", truth[i]), fmt.Sprintf("%.2g", off[i])})
	}
	what, title := "the mass and the length of its pendulum", "Dynamics, learnt through the controller"
	if s.kind == Cost {
		what, title = "the weights of its cost", "A cost, learnt through the controller"
	}
	r := viz.Report{
		Title: title,
		Intro: fmt.Sprintf("An expert plans for a pendulum from %d initial states. A learner sees the controls of its plans and "+
			"nothing else, and looks for %s: it plans with what it believes, by DCEM, compares its controls with the expert's, and "+
			"follows the gradient of their squared distance back through the whole search.", s.c.Plans, what),
		Sections: []viz.Section{
			{Heading: "What is learnt", Text: s.about(), Table: t, Figures: []viz.Figure{
				figure(valuesFigure, "Learnt values."), figure(errorFigure, "The largest of the relative errors."),
				figure(lossFigure, "The loss of each update.")}},
			s.bias(figure),
			{Heading: "Configuration", Code: string(config), Text: "The same configuration and seed give the same run, bit for bit:" +
				"\n\ngodcem " + s.kind + " --config config.yaml --out out/again"},
		},
	}
	r.Sections = slices.DeleteFunc(r.Sections, func(s viz.Section) bool { return s.Heading == "" })
	return viz.WriteReport(filepath.Join(s.dir, reportFile), r)
}

// bias is the section about a hard expert; without a heading where the expert is soft.
func (s *study) bias(figure func(name, caption string) viz.Figure) viz.Section {
	if s.c.Expert != Hard {
		return viz.Section{}
	}
	return viz.Section{Heading: "Why what is learnt is biased", Text: fmt.Sprintf("A soft choice lets worse samples have a say, and "+
		"they are spread about the middle: with the true values the learner's controls are %.3f of the expert's, by least squares. "+
		"With the learnt values they are %.3f of them. So far as that number stays, other values change not how strong controls "+
		"are but when plans turn over, and the learner moves that to where the expert's stronger controls have it: it finds the "+
		"values that imitate best, not the true ones. The smaller tau, the closer the soft choice is to the hard one.",
		s.softness[0], s.softness[1]),
		Figures: []viz.Figure{figure(biasFigure, "Plans from the same states, with the same noise.")}}
}

// about says what noise and expert do to the answer.
func (s *study) about() string {
	var text []string
	if s.c.Noise == Common {
		text = append(text, "The expert searches with the learner's noise, fresh in every update: with the right values the "+
			"two agree to the last bit, so that the loss goes to 0 and nothing blurs the answer.")
	} else {
		text = append(text, "The expert's plans were made once, with noise of their own: even with the right values the "+
			"controls differ by what is random in either search, and the answer is as good as that is small.")
	}
	if s.c.Expert == Hard {
		text = append(text, "The expert is vanilla CEM, with a hard choice of elites, and the learner's is soft: the error is a "+
			"bias, which neither more updates nor more plans take away.")
	}
	if s.kind == Cost {
		text = append(text, "Costs are normalised in the search, so that their scale is lost: weights count over the first.")
	}
	return strings.Join(text, " ")
}
