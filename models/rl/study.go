package rl

import (
	"context"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	curveFigure   = "returns.png"
	learnFigure   = "learning.png"
	boxFigure     = "boxes.png"
	predictFigure = "prediction.png"
	episodeFigure = "episode.gif"
	reportFile    = "report.html"
)

var allFigures = []string{curveFigure, learnFigure, boxFigure, predictFigure, episodeFigure, reportFile}

// study is what a finished run has to show.
type study struct {
	program  Program
	s        Settings // resolved
	settings Settings // as given
	dir      string
	outcome  run.Outcome
	returns  Returns
	random   Returns
	expert   *Returns // with the true dynamics, where they can be planned with
	predict  *Prediction
}

// Draw number of the episodes that the best state of a run is judged on: others than those that chose it.
const finalDraw = 1 << 24

// judge evaluates the state that the task is in, beside random actions and, where there is one, the expert.
func (s *study) judge(ctx context.Context, task trainee) (err error) {
	seed := mix(s.s.Seed, finalDraw)
	if s.returns, err = task.returns(ctx, s.s.Judge, seed); err != nil {
		return err
	}
	w, err := NewWorlds(s.s.maker(s.program.Tasks), s.s.Judge)
	if err != nil {
		return err
	}
	defer w.Close()
	if s.random, err = Evaluate(ctx, w, random(seed, 0), seed); err != nil {
		return err
	}
	if s.s.Env == "cartpole" && s.s.Repeat == 1 {
		c := PlannerConfig{}
		if s.s.Preset == Quick { // returns about 81 where the whole of it returns 82, for a sixth of the time
			c = PlannerConfig{Samples: 300, Elites: 30, Iterations: 5}
		}
		expert, err := SwingUp().Expert(w, c, seed)
		if err != nil {
			return err
		}
		r, err := Evaluate(ctx, w, expert, seed)
		if err != nil {
			return err
		}
		s.expert = &r
	}
	a, ok := task.(*Agent)
	if !ok {
		return nil
	}
	fresh, err := Collect(ctx, w, random(seed, 1<<20), w.Steps(), seed)
	if err != nil {
		return err
	}
	const horizon = 12
	episodes := slices.DeleteFunc(fresh.episodes(a.model.c.Obs, a.model.c.Act, 0), func(e *Episode) bool {
		return e.Steps() < horizon+10
	})
	if len(episodes) > 0 {
		s.predict, err = a.Predict(episodes, horizon)
	}
	return err
}

// Score is where a mean return lies between those of random actions, 0, and of the expert, 1.
func Score(mean, random, expert float64) float64 { return (mean - random) / (expert - random) }

func (s *study) metrics() map[string]float64 {
	m := map[string]float64{"steps": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped)}
	if s.outcome.Interrupted {
		return m
	}
	m["best_step"] = float64(s.outcome.BestStep)
	for name, r := range s.all() {
		q := r.Quartiles()
		m[name+"_mean"], m[name+"_least"], m[name+"_q1"] = r.Mean(), q[0], q[1]
		m[name+"_median"], m[name+"_q3"], m[name+"_most"] = q[2], q[3], q[4]
		m[name+"_faults"] = float64(r.Faults)
	}
	if s.expert != nil {
		m["score"] = Score(s.returns.Mean(), s.random.Mean(), s.expert.Mean())
	}
	if s.predict != nil {
		last := len(s.predict.Model) - 1
		m["prediction_error"], m["still_error"] = s.predict.Model[last], s.predict.Still[last]
	}
	return m
}

func (s *study) all() map[string]Returns {
	all := map[string]Returns{"return": s.returns, "random": s.random}
	if s.expert != nil {
		all["expert"] = *s.expert
	}
	return all
}

func (s *study) write() error {
	r := run.Result{Program: "rl " + s.program.Name, Config: &s.settings, Seed: s.s.Seed, Seconds: s.outcome.Seconds,
		Status: run.StatusDone, Metrics: s.metrics()}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
	}
	return run.WriteResult(s.dir, r)
}

func (s *study) summary() string {
	var b strings.Builder
	line := func(name string, r Returns) {
		q := r.Quartiles()
		fmt.Fprintf(&b, "%-9s mean return %.4g of %d episodes; least %.4g, quartiles %.4g %.4g %.4g, most %.4g\n", name,
			r.Mean(),
			len(r.Each), q[0], q[1], q[2], q[3], q[4])
	}
	line("learnt", s.returns)
	line("random", s.random)
	if s.expert != nil {
		line("expert", *s.expert)
		fmt.Fprintf(&b, "score     %.3f: 0 is random, 1 plans by CEM with the true dynamics\n",
			Score(s.returns.Mean(), s.random.Mean(), s.expert.Mean()))
	}
	if s.predict != nil {
		last := len(s.predict.Model) - 1
		fmt.Fprintf(&b,
			"model     mean squared error %.3g of observations %d steps ahead, %.3g of saying that nothing changes\n",
			s.predict.Model[last], last+1, s.predict.Still[last])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// paperMedian is what the paper has come to (Amos and Yarats 2020: medians of 100 episodes, read from its figures).
func paperMedian(env, program string) []viz.Mark {
	at := map[string]float64{"cheetah-run train": 701, "cheetah-run embed": 652, "cheetah-run finetune": 685,
		"walker-walk train": 953, "walker-walk embed": 861, "walker-walk finetune": 892}[env+" "+program]
	if at == 0 {
		return nil
	}
	return []viz.Mark{{At: at, Label: "the paper's median"}}
}

// box is a box plot's outline: the quartiles as a box, lines to the least and the greatest.
func box(name string, at float64, q [5]float64) viz.Series {
	const w = 0.3
	s := viz.Series{Name: name}
	for _, p := range [][2]float64{{0, q[0]}, {0, q[1]}, {-w, q[1]}, {-w, q[2]}, {w, q[2]}, {-w, q[2]}, {-w, q[3]},
		{0, q[3]}, {0, q[4]},
		{0, q[3]}, {w, q[3]}, {w, q[1]}, {0, q[1]}} {
		s.X, s.Y = append(s.X, at+p[0]), append(s.Y, p[1])
	}
	return s
}

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
	plots := []struct {
		name string
		plot viz.Plot
	}{{curveFigure, viz.Lines{Axes: viz.Axes{Title: s.s.Env + ": returns", X: "steps of the environment", Y: "return"},
		Series: []viz.Series{against("return", "while it collects (mean)"),
			against("judged_q1", "evaluated: first quartile"),
			against("judged_median", "evaluated: median"), against("judged_q3", "evaluated: third quartile")}}}}
	if s.program.Kind == AgentKind {
		losses := []viz.Series{against("model_obs", "observations"), against("model_reward", "reward"),
			against("model_kl", "divergence")}
		plots = append(plots, struct {
			name string
			plot viz.Plot
		}{learnFigure, viz.Lines{Axes: viz.Axes{Title: "The model's loss, by its terms", X: "steps of the environment",
			Y: "mean over a step"}, LogY: true, Series: losses}})
	} else {
		plots = append(plots, struct {
			name string
			plot viz.Plot
		}{learnFigure, viz.SideBySide("",
			viz.Lines{Axes: viz.Axes{Title: "KL divergence of an iteration", X: "steps of the environment", Y: "estimated"},
				Series: []viz.Series{against("kl", "KL divergence")}},
			viz.Lines{Axes: viz.Axes{Title: "Ratios that were clipped", X: "steps of the environment", Y: "share"},
				Series: []viz.Series{against("clipped", "clipped")}})})
	}
	boxes := []viz.Series{box(s.program.Name, 1, s.returns.Quartiles()), box("random", 2, s.random.Quartiles())}
	if s.expert != nil {
		boxes = append(boxes, box("CEM, true dynamics", 3, s.expert.Quartiles()))
	}
	plots = append(plots, struct {
		name string
		plot viz.Plot
	}{boxFigure, viz.Lines{Axes: viz.Axes{Title: "Returns: least, quartiles, greatest", Y: "return",
		XRange: [2]float64{0.4, float64(len(boxes)) + 0.6}}, Series: boxes, Levels: paperMedian(s.s.Env, s.program.Name)}})
	if s.predict != nil {
		x := make([]float64, len(s.predict.Model))
		for i := range x {
			x[i] = float64(i + 1)
		}
		plots = append(plots, struct {
			name string
			plot viz.Plot
		}{predictFigure, viz.Lines{Axes: viz.Axes{Title: "Prediction without observations", X: "steps ahead",
			Y: "mean squared error (standardised)"}, Series: []viz.Series{{Name: "the model", X: x, Y: s.predict.Model},
			{Name: "nothing changes", X: x, Y: s.predict.Still}}}})
	}
	for _, f := range plots {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(s.dir, f.name), f.plot); err != nil {
			return err
		}
	}
	if err := s.movie(ctx, task); err != nil {
		return err
	}
	return s.report(s.predict != nil)
}

// movie draws an episode: the first of a seed of its own.
func (s *study) movie(ctx context.Context, task trainee) error {
	m := viz.Movie{}
	most := 100 // pictures
	err := task.watch(ctx, mix(s.s.Seed, finalDraw, 1), func(step, of int, w *Worlds) {
		if every := (of + most - 1) / most; step%every == 0 {
			img := image.NewRGBA(image.Rect(0, 0, 360, 240))
			w.Task(0).Draw(img)
			m.Frames = append(m.Frames, img)
		}
	})
	if err != nil {
		return err
	}
	return viz.SaveMovie(filepath.Join(s.dir, episodeFigure), m)
}

func (s *study) report(predicted bool) error {
	config, err := os.ReadFile(filepath.Join(s.dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(s.dir, name), Caption: caption}
	}
	t := &viz.Table{Header: []string{"", "mean", "least", "first quartile", "median", "third quartile", "most"}}
	for _, r := range []struct {
		name string
		of   *Returns
	}{{s.program.Name, &s.returns}, {"random actions", &s.random}, {"CEM with the true dynamics", s.expert}} {
		if r.of == nil {
			continue
		}
		row := []string{r.name, fmt.Sprintf("%.4g", r.of.Mean())}
		for _, q := range r.of.Quartiles() {
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
			Figures: []viz.Figure{figure(curveFigure, "Evaluations have no noise on the actions."),
				figure(boxFigure, "The same episodes for all.")},
			Table: t},
		{Heading: "Learning", Figures: []viz.Figure{figure(learnFigure,
			"Means over the updates of a phase, or of an iteration's last update.")}},
	}
	if predicted {
		sections = append(sections, viz.Section{Heading: "Prediction",
			Text: "On episodes with random actions that the model has not " +
				"learnt from.", Figures: []viz.Figure{figure(predictFigure,
				"From what was observed so far, under the actions that followed.")}})
	}
	sections = append(sections, viz.Section{Heading: "An episode",
		Figures: []viz.Figure{figure(episodeFigure, "Without noise.")}},
		viz.Section{Heading: "Configuration", Code: string(config),
			Text: "The same configuration and seed give the same run, bit for " +
				"bit:\n\ngodcem rl " + s.program.Name + " --config config.yaml --out out/again"})
	return viz.WriteReport(filepath.Join(s.dir, reportFile), viz.Report{Title: s.s.Env + ": " + s.program.Name,
		Intro:    text,
		Sections: sections})
}
