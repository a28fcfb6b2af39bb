package rl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/run"
)

// Names of the pictures in the out folder.
const (
	curveFigure   = "returns.png"
	learnFigure   = "learning.png"
	boxFigure     = "boxes.png"
	predictFigure = "prediction.png"
	rolloutFigure = "rollouts.png"
	latentFigure  = "embedding.png"
	episodeFigure = "episode.gif"
	reportFile    = "report.html"
)

var allFigures = []string{curveFigure, learnFigure, boxFigure, predictFigure, rolloutFigure, latentFigure,
	episodeFigure, reportFile}

// study is what a finished run has to show.
type study struct {
	program Program
	s       Settings // complete
	dir     string
	outcome run.Outcome
	returns Returns
	random  Returns
	expert  *Returns // with the true dynamics, where they can be planned with
	predict *Prediction
	others  []spread // of the runs beside it
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
	if s.returns.Planned() {
		m["promised"], m["kept"] = s.returns.Promised, s.returns.Kept
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

func (s *study) result() run.Result {
	r := run.Result{Program: "rl " + s.program.Name, Config: &s.s, Seed: s.s.Seed, Seconds: s.outcome.Seconds,
		Status: run.StatusDone, Metrics: s.metrics()}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
	}
	return r
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
	if s.returns.Planned() {
		fmt.Fprintf(&b, "plans     worth %.4g by the model, on average; %.4g came in their time\n", s.returns.Promised,
			s.returns.Kept)
	}
	if s.predict != nil {
		last := len(s.predict.Model) - 1
		fmt.Fprintf(&b,
			"model     mean squared error %.3g of observations %d steps ahead, %.3g of saying that nothing changes\n",
			s.predict.Model[last], last+1, s.predict.Still[last])
	}
	return strings.TrimSuffix(b.String(), "\n")
}
