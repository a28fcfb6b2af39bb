package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/rl"
)

// start runs a program in a folder and reads what it came to.
func start(ctx context.Context, p rl.Program, s rl.Settings, dir string, resume bool) (run.Result, error) {
	o := run.Options{Out: dir, Resume: resume,
		Progress: run.ProgressOptions{Label: fmt.Sprintf("%s %d", p.Name, s.Seed)}}
	if err := p.Run(ctx, s, o, os.Stdout); err != nil {
		return run.Result{}, err
	}
	r, err := run.ReadResult(dir)
	if err != nil {
		return r, err
	}
	for _, name := range metrics(p.Name, s.Env) {
		if v, ok := r.Metrics[name]; !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			return r, fmt.Errorf("%s: %s is %v, want a finite number", filepath.Join(dir, run.ResultFile), name, v)
		}
	}
	return r, nil
}

// metrics are those of result.json that claims are about.
func metrics(program, env string) []string {
	names := []string{"return_mean", "best_step"}
	if env == "cartpole" {
		names = append(names, "score")
	}
	if program == "embed" {
		names = append(names, "prediction_error", "still_error")
	}
	return names
}

// settings are those without flags, but for the environment, the seed and the episodes of an evaluation.
func settings(env string, seed uint64, episodes int) rl.Settings {
	s := rl.DefaultSettings()
	s.Env, s.Seed, s.Judge = env, seed, episodes
	return s
}

func newOutcome(s rl.Settings, r run.Result) *outcome {
	return &outcome{Env: s.Env, Seed: s.Seed, Seconds: math.Round(r.Seconds), Metrics: r.Metrics,
		Curves: map[string][][2]float64{}}
}

// add reads the curve of the run in a folder.
func (o *outcome) add(name, dir string) error {
	table, err := run.ReadMetrics(filepath.Join(dir, run.MetricsFile))
	if err != nil {
		return err
	}
	steps := table.Column("env_steps")
	for i, v := range table.Column("judged_mean") {
		if !math.IsNaN(v) {
			o.Curves[name] = append(o.Curves[name], [2]float64{steps[i], v})
		}
	}
	if len(o.Curves[name]) == 0 {
		return fmt.Errorf("%s: no evaluation", filepath.Join(dir, run.MetricsFile))
	}
	return nil
}

func measurePPO(ctx context.Context, seed uint64, c config) (*outcome, error) {
	s := settings("pendulum", seed, 100)
	r, err := start(ctx, rl.PPOProgram, s, c.out, c.resume)
	if err != nil {
		return nil, err
	}
	o := newOutcome(s, r)
	return o, o.add("PPO on a net", c.out)
}

func measureEmbed(ctx context.Context, seed uint64, c config) (*outcome, error) {
	s := settings("cartpole", seed, 20)
	r, err := start(ctx, rl.EmbedProgram, s, c.out, c.resume)
	if err != nil {
		return nil, err
	}
	o := newOutcome(s, r)
	return o, o.add("model and latent DCEM", c.out)
}

// measureCost says how long the paper's preset would take.
func measureCost(ctx context.Context, _ uint64, _ config) (*outcome, error) {
	o := &outcome{Metrics: map[string]float64{}}
	for _, env := range []string{"cheetah-run", "walker-walk"} {
		s := rl.DefaultSettings()
		s.Env, s.Preset = env, rl.Paper
		all, err := rl.Costs(ctx, s, nil)
		if err != nil {
			return nil, err
		}
		fmt.Println(env)
		if err := rl.PrintCosts(os.Stdout, all); err != nil {
			return nil, err
		}
		for _, c := range all {
			of := fmt.Sprintf("%s, %s", env, c.Program)
			o.Metrics[of+": "+c.Part+", seconds"] = c.Seconds * float64(c.Of) / float64(c.Rows)
			o.Metrics[of+": hours"] += c.Hours()
			if c.Bytes > 0 {
				o.Metrics[of+": "+c.Part+", GB"] = c.GB()
			}
		}
	}
	return o, nil
}

// Scores from which fine-tuning begins.
const least, most = 0.4, 0.6

// searches are numbers of samples of the searches that embed's controller is cut to, in two iterations, a quarter of
// them elites, at least two.
var searches = []int{32, 24, 16, 12, 8, 6}

// measureFineTune cuts the search of embed's controller until its score is between least and most, fine-tunes its
// decoder and reward, and trains a net by PPO.
func measureFineTune(ctx context.Context, seed uint64, c config) (*outcome, error) {
	s := settings("cartpole", seed, 20)
	from, embed, err := embedded(ctx, s, c)
	if err != nil {
		return nil, err
	}
	t := s
	t.From, t.Every = from, 2
	t, before, cut, err := half(ctx, t, c)
	if err != nil {
		return nil, err
	}
	tuned, err := start(ctx, rl.FineTuneProgram, t, filepath.Join(c.out, "finetune"), c.resume)
	if err != nil {
		return nil, err
	}
	n := s
	n.Every, n.Steps = 1, netIterations
	net, err := start(ctx, rl.PPOProgram, n, filepath.Join(c.out, "ppo"), c.resume)
	if err != nil {
		return nil, err
	}
	o := newOutcome(s, tuned)
	o.Seconds = math.Round(embed.Seconds + before.Seconds + tuned.Seconds + net.Seconds)
	const learning, first = "model and latent DCEM", "before"
	const tuning, alone = "PPO through the controller", "PPO on a net"
	for name, dir := range map[string]string{learning: from, first: cut, tuning: filepath.Join(c.out, "finetune"),
		alone: filepath.Join(c.out, "ppo")} {
		if err := o.add(name, dir); err != nil {
			return nil, err
		}
	}
	m := o.Metrics
	m["embed_score"], m["start_score"], m["net_score"] = embed.Metrics["score"], before.Metrics["score"],
		net.Metrics["score"]
	m["samples"] = float64(t.Agent.Planner.Samples)
	m["gain"] = m["score"] - m["start_score"]
	if m["start_steps"], err = stepsAt(from, embed.Metrics["best_step"]); err != nil {
		return nil, err
	}
	if m["tuned_steps"], err = stepsAt(filepath.Join(c.out, "finetune"), m["best_step"]); err != nil {
		return nil, err
	}
	m["net_steps"] = stepsTo(o.Curves[alone], m["return_mean"])
	// After the steps of its controller, with the search that is cut before all of its own.
	curve := [][2]float64{{m["start_steps"], lastReturn(o.Curves[first])}}
	for _, at := range o.Curves[tuning] {
		curve = append(curve, [2]float64{m["start_steps"] + at[0], at[1]})
	}
	o.Curves[tuning] = curve
	delete(o.Curves, first)
	m["last_score"] = rl.Score(lastReturn(curve), m["random_mean"], m["expert_mean"])
	return o, nil
}

// netIterations of PPO on a net have 96,000 steps.
const netIterations = 120

// embedded is the run of embed that the experiment of this name makes: the one that it has left, or, where there is
// none that is done, one of its own.
func embedded(ctx context.Context, s rl.Settings, c config) (dir string, r run.Result, err error) {
	dir = filepath.Join(c.runs, "embed", fmt.Sprint(s.Seed))
	if r, err = run.ReadResult(dir); err == nil && r.Status == run.StatusDone {
		fmt.Printf("%s: the controller is that of this run\n", dir)
		return dir, r, nil
	}
	dir = filepath.Join(c.out, "embed")
	r, err = start(ctx, rl.EmbedProgram, s, dir, c.resume)
	return dir, r, err
}

// half cuts the search until the controller's score is between least and most: of such searches it takes that with
// the most samples. It says which, what it comes to before any change, and in which folder.
func half(ctx context.Context, s rl.Settings, c config) (rl.Settings, run.Result, string, error) {
	for _, n := range searches {
		s.Agent.Planner.Samples, s.Agent.Planner.Elites, s.Agent.Planner.Iterations = n, max(2, n/4), 2
		dir := filepath.Join(c.out, fmt.Sprintf("start-%d", n))
		r, err := start(ctx, rl.FineTuneProgram, still(s), dir, c.resume)
		if err != nil {
			return s, r, dir, err
		}
		if score := r.Metrics["score"]; score >= least && score <= most {
			return s, r, dir, nil
		}
	}
	return s, run.Result{}, "", fmt.Errorf("%s: no search of %v samples has a score between %g and %g", c.out, searches,
		least, most)
}

// still is a fine-tuning that leaves the controller as it is, a step of a rate that changes no number of float32: its
// score is of the same episodes, with the same noise of the search, as that afterwards.
func still(s rl.Settings) rl.Settings {
	s.Figures, s.Steps, s.Every = false, 1, 1
	s.PPO.Rate, s.PPO.Worlds, s.PPO.Passes = 1e-12, 1, 1
	return s
}

// stepsAt is how many steps of the environment the run in a folder had taken at an update.
func stepsAt(dir string, step float64) (float64, error) {
	path := filepath.Join(dir, run.MetricsFile)
	t, err := run.ReadMetrics(path)
	if err != nil {
		return 0, err
	}
	steps := t.Column("env_steps")
	for i, at := range t.Column("step") {
		if at == step {
			return steps[i], nil
		}
	}
	return 0, fmt.Errorf("%s: no row of update %v", path, step)
}

// stepsTo is after how many steps a curve is at a return for the first time; all of its steps where it never is.
func stepsTo(curve [][2]float64, mean float64) float64 {
	for _, at := range curve {
		if at[1] >= mean {
			return at[0]
		}
	}
	return lastStep(curve)
}

func lastStep(curve [][2]float64) float64 {
	return curve[len(curve)-1][0]
}

func lastReturn(curve [][2]float64) float64 {
	return curve[len(curve)-1][1]
}
