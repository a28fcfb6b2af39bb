package rl

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// draw writes the pictures and the report.
func (s *study) draw(ctx context.Context, task trainee) error {
	table, err := run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile))
	if err != nil {
		return err
	}
	steps := table.Column("env_steps")
	against := func(name, label string) viz.Series {
		y := viz.Series{Name: label}
		for i, v := range table.Column(name) {
			if !math.IsNaN(v) {
				y.X, y.Y = append(y.X, steps[i]), append(y.Y, v)
			}
		}
		return y
	}
	plots := []figure{{curveFigure, viz.Lines{Axes: viz.Axes{Title: s.s.Env + ": returns", X: "steps of the environment",
		Y: "return"},
		Series: []viz.Series{against("return", "while it collects (mean)"),
			against("judged_q1", "evaluated: first quartile"),
			against("judged_median", "evaluated: median"), against("judged_q3", "evaluated: third quartile")}}}}
	if s.program.Kind == AgentKind {
		losses := []viz.Series{against("model_obs", "observations"), against("model_reward", "reward"),
			against("model_kl", "divergence")}
		plots = append(plots, figure{learnFigure, viz.Lines{Axes: viz.Axes{Title: "The model's loss, by its terms",
			X: "steps of the environment",
			Y: "mean over a step"}, LogY: true, Series: losses}})
	} else {
		grid := viz.Grid{Columns: 2}
		for _, of := range []struct {
			title, y string
			names    [][2]string
		}{
			{"Divergence of an iteration", "nats", [][2]string{{"kl", "KL, of its last update"},
				{"divergence", "over all of its steps"}}},
			{"Shares", "share", [][2]string{{"clipped", "ratios that are clipped"}, {"share", "of the change that is kept"}}},
			{"Loss of the value", "standardised", [][2]string{{"value_loss", "loss"}}},
			{"Entropy of the actions' noise", "nats", [][2]string{{"entropy", "entropy"}}},
		} {
			p := viz.Lines{Axes: viz.Axes{Title: of.title, X: "steps of the environment", Y: of.y}}
			for _, name := range of.names {
				if line := against(name[0], name[1]); len(line.X) > 0 {
					p.Series = append(p.Series, line)
				}
			}
			if len(p.Series) > 0 {
				grid.Plots = append(grid.Plots, p)
			}
		}
		plots = append(plots, figure{learnFigure, grid})
	}
	plots = append(plots, figure{boxFigure, s.boxes()})
	if s.predict != nil {
		x := make([]float64, len(s.predict.Model))
		for i := range x {
			x[i] = float64(i + 1)
		}
		plots = append(plots, figure{predictFigure, viz.Lines{Axes: viz.Axes{Title: "Prediction without observations",
			X: "steps ahead",
			Y: "mean squared error (standardised)"}, Series: []viz.Series{{Name: "the model", X: x, Y: s.predict.Model},
			{Name: "nothing changes", X: x, Y: s.predict.Still}}}})
	}
	shown, err := s.play(ctx, task)
	if err != nil {
		return err
	}
	if a, ok := task.(*Agent); ok {
		p, err := shown.rollouts(a, 12)
		if err != nil {
			return err
		}
		if p != nil {
			plots = append(plots, figure{rolloutFigure, p})
		}
	}
	if len(shown.latent) > 0 {
		plots = append(plots, figure{latentFigure, shown.embedding()})
	}
	for _, f := range plots {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	if err := viz.SaveMovie(filepath.Join(s.dir, episodeFigure), shown.movie); err != nil {
		return err
	}
	return s.report(plots)
}

// figure is a picture of the report.
type figure struct {
	name string
	plot viz.Plot
}

// report writes the page with all that was drawn.
func (s *study) report(drawn []figure) error {
	has := func(name string) bool {
		return slices.ContainsFunc(drawn, func(f figure) bool { return f.name == name })
	}
	config, err := os.ReadFile(filepath.Join(s.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	picture := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(s.dir, name), Caption: caption}
	}
	t := &viz.Table{Header: []string{"", "mean", "least", "first quartile", "median", "third quartile", "most"}}
	for _, b := range s.spreads() {
		row := []string{b.name, fmt.Sprintf("%.4g", b.mean)}
		for _, q := range b.q {
			row = append(row, fmt.Sprintf("%.4g", q))
		}
		t.Rows = append(t.Rows, row)
	}
	text := map[string]string{
		"train": "A recurrent state-space model learns the environment from vectors of observations, and the " +
			"cross-entropy method plans over all actions of the horizon in it.",
		"embed": "A recurrent state-space model learns the environment, and with it a decoder is learnt that turns a few " +
			"latent numbers into the actions of a plan: DCEM searches these numbers, and the gradient of what the plan is " +
			"worth goes back through the search into the decoder.",
		"finetune": "The controller of embed, a search in a model, is the policy of PPO: the gradient of the " +
			"log-probability of its actions goes back through the search into the decoder and the model.",
		"ppo": "The baseline: PPO on a net from observations to actions.",
	}[s.program.Name]
	sections := []viz.Section{
		{Heading: "Returns", Text: fmt.Sprintf("Of the best state of the run, over %d episodes that did not choose it.",
			s.s.Judge),
			Figures: []viz.Figure{picture(curveFigure, "Evaluations have no noise on the actions."),
				picture(boxFigure, "The same episodes for the run, random actions and the expert.")},
			Table: t},
		{Heading: "Learning", Figures: []viz.Figure{picture(learnFigure,
			"Means over the updates of a phase, or of an iteration's last update.")}},
	}
	if has(predictFigure) {
		of := []viz.Figure{picture(predictFigure, "From what was observed so far, under the actions that followed. On "+
			"episodes with random actions that the model has not learnt from.")}
		if has(rolloutFigure) {
			of = append(of, picture(rolloutFigure,
				"The episode below: every 12 steps the model is shown the truth, and goes on alone."))
		}
		sections = append(sections, viz.Section{Heading: "Prediction", Figures: of})
	}
	if has(latentFigure) {
		sections = append(sections, viz.Section{Heading: "The action embedding",
			Text:    "Where the search finds its plans in the latent space, along the episode below.",
			Figures: []viz.Figure{picture(latentFigure, "Actions are numbers from -1 to 1, the least and the greatest.")}})
	}
	sections = append(sections, viz.Section{Heading: "An episode",
		Figures: []viz.Figure{picture(episodeFigure, "Without noise.")}},
		viz.Section{Heading: "Configuration", Code: string(config),
			Text: "The same configuration and seed give the same run, bit for " +
				"bit:\n\ngodcem rl " + s.program.Name + " --config config.yaml --out out/again"})
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{Title: s.s.Env + ": " + s.program.Name,
		Intro:    text,
		Sections: sections})
}
