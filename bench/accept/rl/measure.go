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
		}
	}
	return o, nil
}

// Scores from which fine-tuning begins.
const least, most = 0.4, 0.6

// measureFineTune trains a controller up to a score between least and most, fine-tunes its decoder and reward, and
// trains a net by PPO.
func measureFineTune(ctx context.Context, seed uint64, c config) (*outcome, error) {
	s := settings("cartpole", seed, 20)
	from, first, err := half(ctx, s, filepath.Join(c.out, "start"), c.resume)
	if err != nil {
		return nil, err
	}
	t := s
	t.From, t.Every, t.Frozen.Transition = from, 2, true
	tuned, err := start(ctx, rl.FineTuneProgram, t, filepath.Join(c.out, "finetune"), c.resume)
	if err != nil {
		return nil, err
	}
	held, err := start(ctx, rl.FineTuneProgram, still(t), filepath.Join(c.out, "held"), c.resume)
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
	o.Seconds = math.Round(first.Seconds + tuned.Seconds + net.Seconds)
	const tuning, alone = "PPO through the controller", "PPO on a net"
	for name, dir := range map[string]string{"start": from, tuning: filepath.Join(c.out, "finetune"),
		alone: filepath.Join(c.out, "ppo")} {
		if err := o.add(name, dir); err != nil {
			return nil, err
		}
	}
	m := o.Metrics
	m["start_score"], m["held_score"] = first.Metrics["score"], held.Metrics["score"]
	m["net_score"] = net.Metrics["score"]
	m["gain"] = m["score"] - m["start_score"]
	curve := o.Curves[tuning]
	m["last_score"] = rl.Score(curve[len(curve)-1][1], m["random_mean"], m["expert_mean"])
	m["start_steps"] = lastStep(o.Curves["start"])
	if m["tuned_steps"], err = stepsAt(filepath.Join(c.out, "finetune"), m["best_step"]); err != nil {
		return nil, err
	}
	m["net_steps"] = stepsTo(o.Curves[alone], m["return_mean"])
	return o, nil
}

// netIterations of PPO on a net have 96,000 steps.
const netIterations = 120

// still is a fine-tuning that leaves the controller as it is, but for the search's noise, which it holds fixed: a
// step of a rate that changes no number of float32.
func still(s rl.Settings) rl.Settings {
	s.Figures, s.Steps, s.Every = false, 1, 1
	s.PPO.Rate, s.PPO.Worlds, s.PPO.Passes = 1e-12, 1, 1
	return s
}

// half trains embed, phase by phase, until its best state's score is between least and most, and says in which
// folder. A seed whose score jumps over that is left: the one after it is seed + 3, in a folder of its own.
func half(ctx context.Context, s rl.Settings, dir string, resume bool) (string, run.Result, error) {
	const tries = 5
	s.Figures, s.Every = false, 1000 // judged at its end
	for try := range tries {
		folder, resume := dir, resume
		if try > 0 {
			folder = fmt.Sprintf("%s-%d", dir, try)
		}
		s.Steps = 4
		if resume {
			if r, err := run.ReadResult(folder); err == nil && r.Status == run.StatusDone {
				s.Steps = int(r.Metrics["steps"])
			}
		}
		for ; s.Steps <= 200; s.Steps++ {
			r, err := start(ctx, rl.EmbedProgram, s, folder, resume)
			if err != nil {
				return "", r, err
			}
			score := r.Metrics["score"]
			if score >= least && score <= most {
				return folder, r, nil
			}
			if score > most {
				fmt.Printf("%s: a score of %.3f after %d phases, want one between %g and %g on the way\n", folder, score, s.Steps,
					least, most)
				break
			}
			resume = true
		}
		s.Seed += seeds
	}
	return "", run.Result{}, fmt.Errorf("%s: no score between %g and %g with %d seeds", dir, least, most, tries)
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
