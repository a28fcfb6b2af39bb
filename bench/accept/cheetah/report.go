package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// What is judged on new episodes.
const (
	latent = "latent DCEM"
	full   = "full CEM in embed's model"
	before = "full CEM in train's model"
)

// outcome is what the runs of a task came to: the file of results has one for each task.
type outcome struct {
	record.Machine
	Env        string              `json:"env"`
	Seed       uint64              `json:"seed"`
	CPUSeconds float64             `json:"cpu_seconds"` // of all of it, evaluations and figures too
	Runs       map[string]*trained `json:"runs"`        // by program
	New        map[string]returns  `json:"new_episodes"`
	Claims     []record.Claim      `json:"claims"`
}

// trained is a run of a program.
type trained struct {
	Seconds  float64            `json:"seconds"` // of a clock on the wall, pauses of the process included
	EnvSteps float64            `json:"decisions"`
	Metrics  map[string]float64 `json:"metrics"` // of result.json
	// Judged has for each evaluation the decisions so far, the mean return, and its quartiles; Collected for each phase
	// the mean return of the episodes with noise.
	Judged    [][5]float64 `json:"judged"`
	Collected [][2]float64 `json:"collected"`
	// Losses are the model's terms of the first phase, the phase where they are greatest, and the last.
	Losses map[string][3]float64 `json:"losses"`
}

// returns are those of some episodes.
type returns struct {
	Episodes int     `json:"episodes"`
	Mean     float64 `json:"mean"`
	Least    float64 `json:"least"`
	Q1       float64 `json:"q1"`
	Median   float64 `json:"median"`
	Q3       float64 `json:"q3"`
	Most     float64 `json:"most"`
	Faults   int     `json:"faults"`
	// Promised is what a plan is worth by the model, on average, and Kept what came in its time.
	Promised float64 `json:"promised"`
	Kept     float64 `json:"kept"`
}

func readReport(path string) (map[string]*outcome, error) {
	all := map[string]*outcome{}
	return all, record.Read(path, &all)
}

// read takes the curves from the metrics of a run.
func (t *trained) read(dir string) error {
	table, err := run.ReadMetrics(filepath.Join(dir, run.MetricsFile))
	if err != nil {
		return err
	}
	steps, phases := table.Column("env_steps"), table.Column("return")
	q1, median, q3 := table.Column("judged_q1"), table.Column("judged_median"), table.Column("judged_q3")
	for i, mean := range table.Column("judged_mean") {
		if !math.IsNaN(mean) {
			t.Judged = append(t.Judged, [5]float64{steps[i], mean, q1[i], median[i], q3[i]})
		}
		if !math.IsNaN(phases[i]) {
			t.Collected = append(t.Collected, [2]float64{steps[i], phases[i]})
		}
	}
	if len(t.Judged) == 0 {
		return fmt.Errorf("%s: no evaluation", filepath.Join(dir, run.MetricsFile))
	}
	t.EnvSteps = steps[len(steps)-1]
	t.Losses = map[string][3]float64{}
	for _, name := range []string{"model_obs", "model_reward", "model_kl"} {
		v := table.Column(name)
		t.Losses[name] = [3]float64{v[0], slices.Max(v), v[len(v)-1]}
	}
	return nil
}

// claims are those of the cheetah; of the walker nothing is claimed.
func claims(o *outcome) []record.Claim {
	if o.Env != "cheetah-run" {
		return nil
	}
	m, r, losses := o.Runs["embed"].Metrics, o.New[latent], o.Runs["train"].Losses
	obs, reward, kl := losses["model_obs"], losses["model_reward"], losses["model_kl"]
	return []record.Claim{
		record.AtLeast("cheetah-run, model and latent DCEM: episodes judged", float64(r.Episodes-r.Faults), episodes),
		record.AtLeast("cheetah-run, model and latent DCEM: mean return of 10 new episodes", r.Mean, 60),
		record.AtMost("cheetah-run, model: error 12 steps ahead over that of no change",
			m["prediction_error"]/m["still_error"], 0.5),
		// While speeds and rewards grow tenfold.
		record.AtMost("cheetah-run, model: last loss of observations over the first phase's", obs[2]/obs[0], 0.2),
		record.AtMost("cheetah-run, model: last loss of rewards over the first phase's", reward[2]/reward[0], 0.2),
		// It rises first: with a posterior that says nothing it is 0.
		record.AtMost("cheetah-run, model: last divergence, without free nats, over its greatest", kl[2]/kl[1], 0.8),
	}
}

// print says what was measured.
func (o *outcome) print(w io.Writer) {
	for _, name := range []string{"train", "embed"} {
		t := o.Runs[name]
		fmt.Fprintf(w, "%-5s  %.0f phases, %.0f decisions, %.0f s; error 12 steps ahead %.3g, of no change %.3g\n", name,
			t.Metrics["steps"], t.EnvSteps, t.Seconds, t.Metrics["prediction_error"], t.Metrics["still_error"])
	}
	fmt.Fprintf(w, "%.0f s of processor time in all\n", o.CPUSeconds)
	for _, name := range []string{latent, full, before} {
		r := o.New[name]
		fmt.Fprintf(w, "%-26s mean return %.4g of %d new episodes; least %.4g, quartiles %.4g %.4g %.4g, most %.4g; "+
			"a plan is worth %.3g by the model, and %.3g came in its time\n", name, r.Mean, r.Episodes, r.Least, r.Q1, r.Median,
			r.Q3, r.Most, r.Promised, r.Kept)
	}
}

// draw draws the curves, and puts the episode that the run has drawn beside them.
func draw(dir, runs string, o *outcome) error {
	p := viz.Lines{Axes: viz.Axes{Title: o.Env + ": returns while it learns", X: "decisions", Y: "return of an episode"}}
	for _, of := range []struct{ program, planner string }{{"train", "full CEM"}, {"embed", "latent DCEM"}} {
		t := o.Runs[of.program]
		noisy, judged := viz.Series{Name: of.planner + ", while it collects"}, viz.Series{Name: of.planner + ", evaluated"}
		for _, at := range t.Collected {
			noisy.X, noisy.Y = append(noisy.X, at[0]), append(noisy.Y, at[1])
		}
		for _, at := range t.Judged {
			judged.X, judged.Y = append(judged.X, at[0]), append(judged.Y, at[1])
		}
		p.Series = append(p.Series, noisy, judged)
	}
	name := map[string]string{"cheetah-run": "cheetah", "walker-walk": "walker"}[o.Env]
	if err := viz.Save(filepath.Join(dir, "rl-"+name+".png"), p); err != nil {
		return err
	}
	movie, err := os.ReadFile(filepath.Join(runs, "embed", "episode.gif"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rl-"+name+".gif"), movie, 0o644)
}
