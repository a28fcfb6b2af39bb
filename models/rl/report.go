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

// curves are the figures that the metrics so far are enough for.
func (s *study) curves() ([]figure, error) {
	table, err := run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile))
	if err != nil {
		return nil, err
	}
	steps := table.Column("env_steps")
	against := func(name, label string, times float64) viz.Series {
		y := viz.Series{Name: label}
		for i, v := range table.Column(name) {
			if !math.IsNaN(v) {
				y.X, y.Y = append(y.X, steps[i]), append(y.Y, times*v)
			}
		}
		return y
	}
	x := "steps of the environment"
	if s.s.Repeat > 1 {
		x = fmt.Sprintf("actions, of %d steps of the environment each", s.s.Repeat)
	}
	returns := viz.Lines{Axes: viz.Axes{Title: s.s.Env + ": returns", X: x, Y: "return"},
		Series: []viz.Series{against("return", "while it collects (mean)", 1)}}
	for _, q := range [][2]string{{"judged_q1", "evaluated: first quartile"}, {"judged_median", "evaluated: median"},
		{"judged_q3", "evaluated: third quartile"}} {
		if y := against(q[0], q[1], 1); len(y.Y) > 0 { // none before the first evaluation
			returns.Series = append(returns.Series, y)
		}
	}
	var learn viz.Plot
	if s.program.Kind == AgentKind {
		learn = viz.Lines{Axes: viz.Axes{Title: "The model's loss, by its terms", X: x, Y: "mean over a step"}, LogY: true,
			Series: []viz.Series{against("model_obs", "observations", 1), against("model_reward", "reward", 1),
				against("model_kl", "divergence", 1)}}
		if y := against("decoder", "decoder", -1); len(y.Y) > 0 {
			learn = viz.SideBySide("", learn, viz.Lines{Axes: viz.Axes{Title: "The decoder's plans", X: x,
				Y: "reward of a step, by the model"}, Series: []viz.Series{y}})
		}
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
			{"Entropy of the actions around the policy's mean", "nats", [][2]string{{"entropy", "entropy"}}},
		} {
			p := viz.Lines{Axes: viz.Axes{Title: of.title, X: x, Y: of.y}}
			for _, name := range of.names {
				if y := against(name[0], name[1], 1); len(y.Y) > 0 {
					p.Series = append(p.Series, y)
				}
			}
			if len(p.Series) > 0 {
				grid.Plots = append(grid.Plots, p)
			}
		}
		learn = grid
	}
	return []figure{{curveFigure, returns}, {learnFigure, learn}}, nil
}

// live draws what there is while the run goes on.
func (s *study) live(int) error {
	plots, err := s.curves()
	if err != nil {
		return err
	}
	return s.save(context.Background(), plots)
}

func (s *study) save(ctx context.Context, plots []figure) error {
	for _, f := range plots {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	return nil
}

// draw writes the pictures and the report.
func (s *study) draw(ctx context.Context, task trainee) error {
	plots, err := s.curves()
	if err != nil {
		return err
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
	if err := s.save(ctx, plots); err != nil {
		return err
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
