package embed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/internal/run"
)

// experts are what the experts make of the states that decoders are judged on.
type experts struct {
	known                           bool
	small, medium, ordinary, strong found
	loops                           loops // of the ordinary expert
}

// found are the mean costs of what an expert has found, on the states of validations and on the others.
type found struct{ means, bests [2]float64 }

// by are those of an answer.
func (f found) by(answer string) [2]float64 {
	if answer == Best {
		return f.bests
	}
	return f.means
}

// all are the experts' in the order of [Experts].
func (x *experts) all() []*found { return []*found{&x.small, &x.medium, &x.ordinary, &x.strong} }

// plan lets the experts plan, once.
func (x *experts) plan(ctx context.Context, c Config) (err error) {
	if x.known {
		return nil
	}
	for i, e := range Experts() {
		for j, states := range [][]float64{c.validationStates(), c.judgedStates()} {
			means, bests, err := e.Plan(ctx, c, states)
			if err != nil {
				return err
			}
			x.all()[i].means[j], x.all()[i].bests[j] = mean(means), mean(bests)
		}
	}
	plan, close, err := Ordinary.planner(c, c.Episodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, close()) }()
	if x.loops, err = closeLoops(ctx, c.system(), c.episodeStates(), c.Episode, plan); err != nil {
		return err
	}
	x.known = true
	return nil
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func (x *experts) summary(w io.Writer) {
	fmt.Fprintf(w, "experts   CEM over all controls: mean cost (the best plans tried)\n")
	for i, e := range Experts() {
		f := x.all()[i]
		fmt.Fprintf(w, "          %.3f (%.3f): %d samples, %d elites, %d iterations\n", f.means[1], f.bests[1], e.Samples,
			e.Elites, e.Iterations)
	}
	fmt.Fprintf(w, "          closed loops with %d samples x %d: cost %.3f a step, upright for %.0f%% of the last half\n",
		Ordinary.Samples, Ordinary.Iterations, x.loops.meanCost(), 100*x.loops.stood())
}

// study is what a finished training has to show: all of it about the state with the best validation, unless it says
// "last".
type study struct {
	c       Config
	dir     string
	outcome run.Outcome
	metrics map[string]float64
	table   *run.Table

	plan     *Plan     // from hanging at rest
	surface  []float64 // costs over the grid of the latents there; nil unless there are two
	loops    loops     // the first from there
	other    loops     // of DCEM, by the answer that c does not say: the same decoder, noise and starts
	turn     []float64 // where the cost falls most in that loop
	jacobian []float64 // d plan / d x0 there, (H,U,S)
	seconds  float64   // of judging
}

// hanging is the pole at rest below the cart in the middle of the rail.
var hanging = []float64{0, 0, -1, 0, 0}

// The grid of latents.
const gridSize = 101

func gridAxis() []float64 {
	v := make([]float64, gridSize)
	for i := range v {
		v[i] = -1 + 2*float64(i)/(gridSize-1)
	}
	return v
}

// judge puts the task in the best state and evaluates that.
func (s *study) judge(ctx context.Context, task Task, x *experts) (err error) {
	began := time.Now()
	s.metrics = map[string]float64{
		"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped),
		"halvings": float64(len(task.schedule().Halvings)), "lost_gradients": float64(task.lostGradients()),
		"best_update": float64(s.outcome.BestStep), "parameters": float64(task.Params().Size()),
		"expert_cost": x.ordinary.means[1], "expert_strong_cost": x.strong.means[1],
		"expert_best_cost": x.ordinary.bests[1], "expert_strong_best_cost": x.strong.bests[1],
		"expert_small_cost": x.small.means[1], "expert_small_best_cost": x.small.bests[1],
		"expert_medium_cost": x.medium.means[1], "expert_medium_best_cost": x.medium.bests[1],
		"expert_validation": x.ordinary.means[0], "expert_strong_validation": x.strong.means[0],
		"expert_episode_cost": x.loops.meanCost(), "expert_episode_upright": x.loops.stood(),
	}
	if s.table, err = run.ReadMetrics(filepath.Join(s.dir, run.MetricsFile)); err != nil {
		return err
	}
	many, err := task.Planner(s.c.States, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, many.Close()) }()
	if s.metrics["cost_last"], err = s.cost(many, s.c.judgedStates(), fixedNoise); err != nil {
		return err
	}
	if s.outcome.BestStep > 0 { // else no score was finite, and the last state must do
		if _, err := run.LoadBest(s.dir, task); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		name   string
		states []float64
		run    uint64
	}{
		{"validation", s.c.validationStates(), fixedNoise},
		{"cost", s.c.judgedStates(), fixedNoise},
		{"cost_fresh", s.c.judgedStates(), math.MaxInt64}, // other noise; gradient descent has none
	} {
		if s.metrics[v.name], err = s.cost(many, v.states, v.run); err != nil {
			return err
		}
	}
	if err := s.show(ctx, task); err != nil {
		return err
	}
	s.seconds = time.Since(began).Seconds()
	return nil
}

// cost is the mean cost of the plans from those states.
func (s *study) cost(p Planner, states []float64, run uint64) (float64, error) {
	plan, err := p.Plan(states, run)
	if err != nil {
		return 0, err
	}
	return meanCost(s.c.system(), states, plan.U)
}

// show makes what the figures show.
func (s *study) show(ctx context.Context, task Task) (err error) {
	one, err := task.Planner(1, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.Close()) }()
	if s.plan, err = one.Plan(hanging, fixedNoise); err != nil {
		return err
	}
	if s.c.Latent == 2 {
		var z []float64
		axis := gridAxis()
		for _, a := range axis {
			for _, b := range axis {
				z = append(z, a, b)
			}
		}
		if s.surface, err = task.Survey(z, hanging); err != nil {
			return err
		}
	}
	if s.loops, err = s.closed(ctx, task, s.c.Answer); err != nil {
		return err
	}
	if s.c.Method == DCEM {
		if err := s.compare(ctx, task); err != nil {
			return err
		}
	}
	s.turn = s.loops[0].turn(s.c.Horizon)
	if _, s.jacobian, err = task.Sensitivity(s.turn, fixedNoise); err != nil {
		return err
	}
	s.metrics["episode_cost"], s.metrics["episode_upright"] = s.loops.meanCost(), s.loops.stood()
	s.metrics["sensitivity"] = rms(s.jacobian)
	return nil
}

// closed are the closed loops of plans by an answer.
func (s *study) closed(ctx context.Context, task Task, answer string) (l loops, err error) {
	many, err := task.answering(answer, s.c.Episodes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, many.Close()) }()
	return closeLoops(ctx, s.c.system(), s.c.episodeStates(), s.c.Episode, planningOf(many))
}

// compare judges the other answer of the same searches.
func (s *study) compare(ctx context.Context, task Task) (err error) {
	other := s.c.otherAnswer()
	p, err := task.answering(other, s.c.States)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if s.metrics["other_cost"], err = s.cost(p, s.c.judgedStates(), fixedNoise); err != nil {
		return err
	}
	if s.other, err = s.closed(ctx, task, other); err != nil {
		return err
	}
	s.metrics["other_episode_cost"], s.metrics["other_episode_upright"] = s.other.meanCost(), s.other.stood()
	return nil
}

func rms(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum / float64(len(v)))
}

// result is what result.json holds; that of an interrupted run has what is known without judging.
func (s *study) result() run.Result {
	r := run.Result{
		Program: Kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds + s.seconds,
		Status: run.StatusDone, Metrics: s.metrics,
	}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
		r.Metrics = map[string]float64{"updates": float64(s.outcome.Step), "skipped": float64(s.outcome.Skipped)}
		if s.outcome.BestStep > 0 {
			r.Metrics["validation"], r.Metrics["best_update"] = s.outcome.BestScore, float64(s.outcome.BestStep)
		}
	}
	return r
}

func resultOfBoth(c Config) run.Result {
	return run.Result{Program: Kind, Config: &c, Seed: c.Seed, Status: run.StatusDone}
}

// summary is the run in two lines.
func (s *study) summary(w io.Writer) {
	m := s.metrics
	answer := ""
	if s.c.Method == DCEM {
		answer = ", each " + s.c.aboutAnswer()
	}
	fmt.Fprintf(w, "%-9s mean cost %.3f of plans from %d initial states%s; update %.0f of %.0f, %.0f s\n", s.c.Method,
		m["cost"], s.c.States, answer, m["best_update"], m["updates"], s.outcome.Seconds)
	fmt.Fprintf(w, "          closed loops from %d starts: cost %.3f a step, upright for %.0f%% of the last half of %d steps\n",
		s.c.Episodes, m["episode_cost"], 100*m["episode_upright"], s.c.Episode)
	if s.other != nil {
		fmt.Fprintf(w, "          if each plan is %s (--answer %s): mean cost %.3f; closed loops %.3f a step, upright %.0f%%\n",
			about(s.c.otherAnswer()), s.c.otherAnswer(), m["other_cost"], m["other_episode_cost"],
			100*m["other_episode_upright"])
	}
}
