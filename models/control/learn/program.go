package learn

import (
	"context"
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
	reportFile   = "report.html"
)

var allFigures = []string{valuesFigure, errorFigure, lossFigure, reportFile}

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
	if err := s.write(); err != nil {
		return err
	}
	if err := outcome.Err(); err != nil {
		return err
	}
	s.summary(w)
	if !c.Figures {
		return nil
	}
	if err := s.draw(ctx); err != nil {
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
}

func (s *study) write() error {
	r := run.Result{Program: s.kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds, Status: run.StatusDone,
		Metrics: map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped),
			"error": slices.Max(Errors(s.kind, s.answer))}}
	for i, name := range Learnt(s.kind) {
		r.Metrics[name] = s.answer[i]
	}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
	}
	return run.WriteResult(s.dir, r)
}

func (s *study) summary(w io.Writer) {
	truth, errors := Truth(s.kind), Errors(s.kind, s.answer)
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
			fmt.Fprintf(w, " %.2g off, over the first\n", errors[i])
		default:
			fmt.Fprintf(w, " %.2g off\n", errors[i])
		}
	}
}

// draw writes the pictures and the report.
func (s *study) draw(ctx context.Context) error {
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
	steps, errors := table.Series("error")
	_, loss := table.Series("loss")
	for _, f := range []struct {
		name string
		plot viz.Plot
	}{
		{valuesFigure, values},
		{errorFigure, viz.Lines{Axes: viz.Axes{Title: "Largest relative error", X: "update", Y: "error"}, LogY: true,
			Series: []viz.Series{{Name: "error", X: steps, Y: errors}}}},
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
	t := &viz.Table{Header: []string{"", "start", "learnt", "the expert's", "relative error"}}
	errors, truth := Errors(s.kind, s.answer), Truth(s.kind)
	for i, name := range Learnt(s.kind) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprintf("%.4g", s.c.Start[i]), fmt.Sprintf("%.8g", s.answer[i]),
			fmt.Sprintf("%.4g", truth[i]), fmt.Sprintf("%.2g", errors[i])})
	}
	what, title := "the mass and the length of its pendulum", "Dynamics, learnt through the controller"
	if s.kind == Cost {
		what, title = "the weights of its cost", "A cost, learnt through the controller"
	}
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{
		Title: title,
		Intro: fmt.Sprintf("An expert plans for a pendulum from %d initial states. A learner sees the controls of its plans and "+
			"nothing else, and looks for %s: it plans with what it believes, by DCEM, compares its controls with the expert's, and "+
			"follows the gradient of their squared distance back through the whole search.", s.c.Plans, what),
		Sections: []viz.Section{
			{Heading: "What is learnt", Text: s.about(), Table: t, Figures: []viz.Figure{
				figure(valuesFigure, "Learnt values."), figure(errorFigure, "The largest of the relative errors."),
				figure(lossFigure, "The loss of each update.")}},
			{Heading: "Configuration", Code: string(config), Text: "The same configuration and seed give the same run, bit for bit:" +
				"\n\ngodcem " + s.kind + " --config config.yaml --out out/again"},
		},
	})
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
		text = append(text, "The expert is vanilla CEM, with a hard choice of elites, the learner's is soft: it lets worse "+
			"samples have a say, so that its controls are drawn towards the middle. The values that imitate the expert best make "+
			"up for that, and are not the true ones: the error is a bias, which no number of plans takes away and a lower "+
			"temperature does.")
	}
	if s.kind == Cost {
		text = append(text, "Costs are normalised in the search, so that their scale is lost: weights count over the first.")
	}
	return strings.Join(text, " ")
}
