// Command rl checks what the programs of reinforcement learning claim, over seeds, with their quick presets:
//
//	ppo         PPO on a net: a mean return of at least -300 over 100 episodes of the pendulum
//	prediction  the model's error over 12 steps without observations is at most half of that of "nothing changes"
//	embed       model and latent DCEM on the cartpole's swing-up: a score of at least 0.8 on average, where 0 is random
//	            and 1 plans by the cross-entropy method with the true dynamics
//
// prediction and embed are judged on the same runs. It prints a table, writes bench/results/rl.json after each seed and
// exits with 1 if a claim does not hold.
//
//	go run ./bench/accept/rl [-only ppo,embed]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/rl"
)

const seeds = 3

type outcome struct {
	Program string             `json:"program"`
	Env     string             `json:"env"`
	Seed    uint64             `json:"seed"`
	Seconds float64            `json:"seconds"`
	Metrics map[string]float64 `json:"metrics"` // of result.json
}

type report struct {
	record.Machine
	Outcomes []outcome      `json:"outcomes"`
	Claims   []record.Claim `json:"claims"`
}

func main() {
	out := flag.String("out", "out/accept/rl", "folder for the runs")
	path := flag.String("json", "bench/results/rl.json", "file for the results")
	only := flag.String("only", "", "programs to check, comma-separated: ppo, embed; empty: both")
	resume := flag.Bool("resume", false, "go on with the runs in -out")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	wanted := []string{"ppo", "embed"}
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		if name != "ppo" && name != "embed" {
			fatal(fmt.Errorf("-only names %q, want ppo or embed", name))
		}
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	r := &report{Machine: record.Here(strings.Join(append([]string{"rl"}, os.Args[1:]...), " "))}
	for _, c := range []struct {
		program rl.Program
		env     string
	}{{rl.PPOProgram, "pendulum"}, {rl.EmbedProgram, "cartpole"}} {
		if !slices.Contains(wanted, c.program.Name) {
			continue
		}
		var found []outcome
		for seed := range uint64(seeds) {
			o, err := measure(ctx, c.program, c.env, seed, *out, *resume)
			if err != nil {
				fatal(fmt.Errorf("%s, seed %d: %w", c.program.Name, seed, err))
			}
			found = append(found, o)
			r.Outcomes = append(r.Outcomes, o)
			if err := record.Write(*path, r); err != nil { // what is measured is kept
				fatal(err)
			}
		}
		r.Claims = append(r.Claims, judge(c.program, found)...)
	}
	if err := record.Write(*path, r); err != nil {
		fatal(err)
	}
	if !record.Print(os.Stdout, r.Claims) {
		os.Exit(run.ExitError)
	}
}

// judge makes the claims of a program.
func judge(p rl.Program, found []outcome) (claims []record.Claim) {
	if p.Name == "ppo" {
		for _, o := range found {
			claims = append(claims, record.AtLeast(fmt.Sprintf("ppo, pendulum, seed %d: mean return of 100 episodes", o.Seed),
				metric(o, "return_mean"), -300))
		}
		return claims
	}
	mean := 0.0
	for _, o := range found {
		claims = append(claims, record.AtMost(fmt.Sprintf("model, %s, seed %d: error 12 steps ahead over that of no change", o.Env, o.Seed),
			metric(o, "prediction_error")/metric(o, "still_error"), 0.5))
		mean += metric(o, "score") / float64(len(found))
	}
	return append(claims, record.AtLeast("embed, cartpole: mean score", mean, 0.8))
}

// metric is NaN, which keeps no bound, where there is none.
func metric(o outcome, name string) float64 {
	if v, ok := o.Metrics[name]; ok {
		return v
	}
	return math.NaN()
}

func measure(ctx context.Context, p rl.Program, env string, seed uint64, out string, resume bool) (outcome, error) {
	c := rl.DefaultSettings()
	c.Env, c.Seed, c.Judge = env, seed, 20
	if p.Name == "ppo" {
		c.Judge = 100
	}
	dir := filepath.Join(out, p.Name, fmt.Sprint(seed))
	o := run.Options{Out: dir, Resume: resume, Progress: run.ProgressOptions{Label: fmt.Sprintf("%s %d", p.Name, seed)}}
	if err := p.Run(ctx, c, o, io.Writer(os.Stdout)); err != nil {
		return outcome{}, err
	}
	r, err := run.ReadResult(dir)
	if err != nil {
		return outcome{}, err
	}
	return outcome{p.Name, env, seed, math.Round(r.Seconds), r.Metrics}, nil
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "rl: %v\n", err)
	os.Exit(run.ExitCode(err))
}
