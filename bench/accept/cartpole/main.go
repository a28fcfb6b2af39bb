// Command cartpole checks what the program of that name claims: that the best decoder of a training through DCEM plans
// as well as the cross-entropy method over all the controls with ten times the samples, on initial states that the
// training has not seen. It runs the program in its default setting for three seeds, through DCEM and through unrolled
// gradient descent, prints a table and writes bench/results/cartpole.json. It exits with 1 if the claim does not hold.
//
//	go run ./bench/accept/cartpole
//
// On two cores it takes some 45 minutes; after an interruption -resume goes on. With -full it runs the full preset
// instead, of one seed and by DCEM alone, once as the preset learns, with the latents of its answers held fixed, and once
// with gradients through the search. The claim is that the plans of both cost at most 5 % more than those of the strong
// expert, whichever answer of its search is the better one. That takes half an hour or more, and goes to
// bench/results/cartpole-full.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
)

// outcome is what a seed has come to: mean costs of plans from the same initial states.
type outcome struct {
	Seed uint64 `json:"seed"`
	DCEM side   `json:"dcem"`
	// Through learns through the search as published, where the full preset holds the latents of its answers fixed.
	Through *side   `json:"dcem_through_the_search,omitempty"`
	GD      *side   `json:"gd,omitempty"`
	GDWide  *side   `json:"gd_16_latents,omitempty"` // descent does better in more dimensions
	Expert  float64 `json:"expert"`
	Strong  float64 `json:"expert_strong"`
	Loops   loops   `json:"expert_loops"`
	// The experts' best plans of all they tried, where those above are the means of their last samples.
	ExpertBest float64 `json:"expert_best"`
	StrongBest float64 `json:"expert_strong_best"`
	// Those of weaker ones: with the samples of the latent search, and with three times as many.
	Small      float64 `json:"expert_small"`
	SmallBest  float64 `json:"expert_small_best"`
	Medium     float64 `json:"expert_medium"`
	MediumBest float64 `json:"expert_medium_best"`
	OfStrong   float64 `json:"share_of_strong"` // dcem / the lower of expert_strong and expert_strong_best
	OK         bool    `json:"ok"`              // dcem <= expert, or at least 95 % of the strong expert's
}

// side is one training: its best state by validation.
type side struct {
	Cost       float64 `json:"cost"`
	Fresh      float64 `json:"cost_other_noise"`
	Validation float64 `json:"validation"` // the cost that chose the state, on other initial states
	Best       float64 `json:"best_update"`
	Updates    float64 `json:"updates"`
	Halvings   float64 `json:"halvings"` // of the rate
	Loops      loops   `json:"loops"`
	Other      *other  `json:"other_answer,omitempty"` // of DCEM, of the same decoder
	Seconds    float64 `json:"seconds"`                // of the training
}

// other is what the answer comes to that the configuration does not say: the best plan tried where that is the mean.
type other struct {
	Cost  float64 `json:"cost"`
	Loops loops   `json:"loops"`
}

// loops are closed loops.
type loops struct {
	Cost    float64 `json:"cost_of_a_step"`
	Upright float64 `json:"upright"` // share of the second half of the steps
}

type report struct {
	Claim    string            `json:"claim"`
	OK       bool              `json:"ok"`
	Finished bool              `json:"finished"` // the trainings came to their end
	Config   embed.Config      `json:"config"`
	Experts  []embed.Expert    `json:"experts"`
	Outcomes []outcome         `json:"outcomes"`
	Versions map[string]string `json:"versions"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Commit   string            `json:"commit"`
	Time     string            `json:"time"`
	Seconds  float64           `json:"seconds"` // of this call, without what was resumed
	Command  string            `json:"command"`
}

// A task is what is asked for on the command line.
type task struct {
	out, json           string
	resume, quiet, full bool
	now                 bool // judge what there is
}

func main() {
	var t task
	flag.StringVar(&t.out, "out", "", "folder for the runs; empty: out/accept/cartpole, or with -full out/accept/cartpole-full")
	flag.StringVar(&t.json, "json", "", "file for the results; empty: bench/results/cartpole.json, or cartpole-full.json")
	flag.BoolVar(&t.resume, "resume", false, "go on with the runs in -out")
	flag.BoolVar(&t.quiet, "quiet", false, "show no progress")
	flag.BoolVar(&t.full, "full", false, "the full preset")
	flag.BoolVar(&t.now, "now", false, "train no further: judge the runs in -out as they are, finished or not")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	name := "cartpole"
	if t.full {
		name += "-full"
	}
	if t.out == "" {
		t.out = filepath.Join("out", "accept", name)
	}
	if t.json == "" {
		t.json = filepath.Join("bench", "results", name+".json")
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	r, err := t.do(ctx)
	if err == nil {
		err = record.Write(t.json, r)
	}
	if err != nil {
		fatal(err)
	}
	r.print(os.Stdout)
	if !r.OK {
		os.Exit(run.ExitError)
	}
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "cartpole: %v\n", err)
	os.Exit(run.ExitCode(err))
}

// wide is gradient descent in 16 dimensions, and with twice the rate of Adam: in two it has little room to turn.
const wide = "gd16"

// through is the full preset with gradients through the search.
const through = "dcem-through"

// config is that of one training.
func (t task) config(seed uint64, method string) embed.Config {
	c := embed.Default()
	if t.full {
		c.Preset = embed.Full
	}
	c.Seed, c.Method, c.Figures = seed, method, false
	if method == wide {
		c.Method, c.Latent, c.Rate = embed.GD, 16, 1e-3
	}
	if method == through {
		c.Method, c.Learn = embed.DCEM, embed.Mean
	}
	return c.Filled()
}

func (t task) do(ctx context.Context) (*report, error) {
	began := time.Now()
	c := t.config(0, embed.DCEM)
	r := &report{
		Claim: "the mean cost of plans by DCEM over the latent space is at or below that of CEM over all controls with ten " +
			"times the samples, for every seed",
		Config: c, Experts: embed.Experts(), OK: true, Finished: true,
		Versions: run.Versions(), CPU: record.Processor(), Cores: runtime.NumCPU(), Commit: record.Commit(),
		Time: began.UTC().Format(time.RFC3339), Command: strings.Join(append([]string{"cartpole"}, os.Args[1:]...), " "),
	}
	seeds := uint64(3)
	if t.full {
		r.Claim, seeds = "the mean cost of plans by DCEM over the latent space is within 5 % of the strong expert's, on the noise "+
			"of the validation that chose the decoder and on other noise, whether the decoder learns through the search or "+
			"with the latents of its answers held fixed", 1
	}
	if embed.Ordinary.Samples < 10*c.Samples {
		return nil, fmt.Errorf("the expert has %d samples and DCEM %d, want ten times as many", embed.Ordinary.Samples, c.Samples)
	}
	for seed := range seeds {
		o, err := t.measure(ctx, seed)
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		r.Outcomes = append(r.Outcomes, o)
		r.OK = r.OK && o.OK
		r.Finished = r.Finished && o.DCEM.finished(c) && (o.GD == nil || o.GD.finished(c)) &&
			(o.Through == nil || o.Through.finished(c))
	}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	return r, nil
}

// measure trains for one seed. A metric that is missing, because it was no number, does not hold.
func (t task) measure(ctx context.Context, seed uint64) (o outcome, err error) {
	o.Seed = seed
	dcem, err := t.train(ctx, seed, embed.DCEM)
	if err != nil {
		return o, err
	}
	o.DCEM = sideOf(dcem)
	m := dcem.Metrics
	o.Expert, o.Strong = m["expert_cost"], m["expert_strong_cost"]
	o.ExpertBest, o.StrongBest = m["expert_best_cost"], m["expert_strong_best_cost"]
	o.Small, o.SmallBest = m["expert_small_cost"], m["expert_small_best_cost"]
	o.Medium, o.MediumBest = m["expert_medium_cost"], m["expert_medium_best_cost"]
	if o.OfStrong = m["cost"] / min(o.Strong, o.StrongBest); math.IsInf(o.OfStrong, 0) || math.IsNaN(o.OfStrong) {
		o.OfStrong = 0 // an expert's cost is missing
	}
	o.Loops = loops{m["expert_episode_cost"], m["expert_episode_upright"]}
	if t.full {
		other, err := t.train(ctx, seed, through)
		if err != nil {
			return o, err
		}
		s := sideOf(other)
		o.Through, o.OK = &s, nearStrong(m, m) && nearStrong(other.Metrics, m)
		return o, nil
	}
	o.OK = asGood(m)
	for _, v := range []struct {
		method string
		to     **side
	}{{embed.GD, &o.GD}, {wide, &o.GDWide}} {
		gd, err := t.train(ctx, seed, v.method)
		if err != nil {
			return o, err
		}
		s := sideOf(gd)
		*v.to = &s
	}
	return o, nil
}

// asGood says whether the decoder's plans cost at most the expert's.
func asGood(m map[string]float64) bool {
	cost, known := m["cost"]
	expert, too := m["expert_cost"]
	return known && too && cost <= expert
}

// nearStrong says whether plans cost at most 5 % more than the strong expert's by the better of its answers.
func nearStrong(m, experts map[string]float64) bool {
	strong, known := experts["expert_strong_cost"]
	best, too := experts["expert_strong_best_cost"]
	bar := 0.95 * min(strong, best) // 5 % of a cost that is not negative would be no bar
	return known && too && bar < 0 && below(m, bar)
}

// below says whether plans cost at most bar, with either noise.
func below(m map[string]float64, bar float64) bool {
	cost, known := m["cost"]
	fresh, too := m["cost_fresh"]
	return known && too && cost <= bar && fresh <= bar
}

// train runs the program for one seed and method, and returns its result.
func (t task) train(ctx context.Context, seed uint64, method string) (run.Result, error) {
	c, w, dir := t.config(seed, method), io.Writer(os.Stdout), filepath.Join(t.out, fmt.Sprint(seed), method)
	if t.quiet {
		w = io.Discard
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return run.Result{}, err
	}
	o := run.Options{Out: dir, Resume: t.resume, Config: &c,
		Progress: run.ProgressOptions{Silent: t.quiet, Label: fmt.Sprintf("seed %d, %s", seed, method)}}
	if t.now {
		o.Out = dir + "-now"
		e := embed.EvalConfig{From: dir}
		if err := embed.Eval(ctx, e, o, w); err != nil {
			return run.Result{}, err
		}
	} else if err := embed.Run(ctx, c, o, w); err != nil {
		return run.Result{}, err
	}
	r, err := run.ReadResult(o.Out)
	if err == nil && r.Status != run.StatusDone {
		err = errors.New("the training has not finished")
	}
	if t.now { // that was the time of judging
		r.Seconds = 0
		if trained, err := run.ReadResult(dir); err == nil {
			r.Seconds = trained.Seconds
		}
	}
	return r, err
}

func sideOf(r run.Result) side {
	m := r.Metrics
	s := side{Cost: m["cost"], Fresh: m["cost_fresh"], Validation: m["validation"], Best: m["best_update"],
		Updates: m["updates"], Halvings: m["halvings"], Loops: loops{m["episode_cost"], m["episode_upright"]},
		Seconds: float64(int(r.Seconds + 0.5))}
	if cost, ok := m["other_cost"]; ok {
		s.Other = &other{cost, loops{m["other_episode_cost"], m["other_episode_upright"]}}
	}
	return s
}

// finished says whether all updates were done, or as many as the rate allows.
func (s side) finished(c embed.Config) bool {
	return s.Updates >= float64(c.Updates) || c.Halvings > 0 && s.Halvings >= float64(c.Halvings)
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nmean cost of a plan by seed\n%4s %12s %12s %12s %12s %12s %12s %12s %12s\n", "seed",
		"latent DCEM", "other noise", "100 samples", "300", "1000", "strong", "latent GD", "GD, 16 dim.")
	for _, o := range r.Outcomes {
		verdict, gd, more := "ok", "-", "-"
		if !o.OK {
			verdict = "DOES NOT HOLD"
		}
		if o.GD != nil {
			gd, more = fmt.Sprintf("%.3f", o.GD.Cost), fmt.Sprintf("%.3f", o.GDWide.Cost)
		}
		fmt.Fprintf(w, "%4d %12.3f %12.3f %12.3f %12.3f %12.3f %12.3f %12s %12s  %s\n", o.Seed, o.DCEM.Cost, o.DCEM.Fresh,
			o.Small, o.Medium, o.Expert, o.Strong, gd, more, verdict)
		if o.Through != nil {
			fmt.Fprintf(w, "%4s %12.3f %12.3f  with gradients through the search\n", "", o.Through.Cost, o.Through.Fresh)
		}
	}
}
