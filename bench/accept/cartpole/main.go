// Command cartpole checks what the program of that name claims: that the best decoder of a training through DCEM
// plans as well as the cross-entropy method over all the controls with ten times the samples, on initial states that
// the training has not seen. It runs the program in its default setting, both methods, for three seeds, prints a
// table and writes bench/results/cartpole.json. It exits with 1 if the claim does not hold.
//
//	go run ./bench/accept/cartpole
//
// On two cores it takes some fifteen minutes. After an interruption -resume goes on.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
)

const seeds = 3

// outcome is what a seed has come to: mean costs of plans from the same initial states.
type outcome struct {
	Seed    uint64  `json:"seed"`
	DCEM    float64 `json:"dcem"`
	Fresh   float64 `json:"dcem_other_noise"`
	GD      float64 `json:"gd"`
	Expert  float64 `json:"expert"`
	Strong  float64 `json:"expert_strong"`
	Best    float64 `json:"dcem_best_update"`
	Upright float64 `json:"dcem_closed_loop_upright"`
	Seconds float64 `json:"seconds"` // of both trainings
	OK      bool    `json:"ok"`      // dcem <= expert
}

type report struct {
	Claim    string            `json:"claim"`
	OK       bool              `json:"ok"`
	Samples  int               `json:"dcem_samples"`
	Experts  [2]embed.Expert   `json:"experts"`
	Updates  int               `json:"updates"`
	Outcomes []outcome         `json:"outcomes"`
	Versions map[string]string `json:"versions"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Commit   string            `json:"commit"`
	Time     string            `json:"time"`
	Seconds  float64           `json:"seconds"`
	Command  string            `json:"command"`
}

func main() {
	out := flag.String("out", "out/accept/cartpole", "folder for the runs")
	path := flag.String("json", "bench/results/cartpole.json", "file for the results")
	resume := flag.Bool("resume", false, "go on with the runs in -out")
	quiet := flag.Bool("quiet", false, "show no progress")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	began := time.Now()
	c := embed.Default()
	r := &report{
		Claim: "the mean cost of plans by DCEM over the latent space is at or below that of CEM over all controls, " +
			"for every seed",
		Samples: c.Samples, Experts: [2]embed.Expert{embed.Ordinary, embed.Strong}, Updates: c.Updates, OK: true,
		Versions: run.Versions(), CPU: record.Processor(), Cores: runtime.NumCPU(), Commit: record.Commit(),
		Time: began.UTC().Format(time.RFC3339), Command: strings.Join(append([]string{"cartpole"}, os.Args[1:]...), " "),
	}
	if embed.Ordinary.Samples < 10*c.Samples {
		fatal(fmt.Errorf("the expert has %d samples and DCEM %d, want ten times as many", embed.Ordinary.Samples,
			c.Samples))
	}
	for seed := range uint64(seeds) {
		o, err := measure(ctx, seed, filepath.Join(*out, fmt.Sprint(seed)), *resume, *quiet)
		if err != nil {
			fatal(fmt.Errorf("seed %d: %w", seed, err))
		}
		r.Outcomes = append(r.Outcomes, o)
		r.OK = r.OK && o.OK
	}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	if err := record.Write(*path, r); err != nil {
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

// measure runs the program for one seed. A metric that is missing, because it was no number, does not hold.
func measure(ctx context.Context, seed uint64, dir string, resume, quiet bool) (outcome, error) {
	c := embed.Default()
	c.Seed, c.Method, c.Figures = seed, embed.Both, false
	w := io.Writer(os.Stdout)
	if quiet {
		w = io.Discard
	}
	o := run.Options{Out: dir, Resume: resume, Config: &c, Progress: run.ProgressOptions{Silent: quiet}}
	if err := embed.Run(ctx, c, o, w); err != nil {
		return outcome{}, err
	}
	result, err := run.ReadResult(dir)
	if err != nil {
		return outcome{}, err
	}
	m := result.Metrics
	cost, known := m["dcem_cost"]
	expert, too := m["dcem_expert_cost"]
	return outcome{
		Seed: seed, DCEM: cost, Fresh: m["dcem_cost_fresh"], GD: m["gd_cost"],
		Expert: expert, Strong: m["dcem_expert_strong_cost"],
		Best: m["dcem_best_update"], Upright: m["dcem_episode_upright"], Seconds: float64(int(result.Seconds + 0.5)),
		OK: known && too && cost <= expert,
	}, nil
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nmean cost of a plan by seed\n%4s %12s %12s %12s %12s %12s\n", "seed",
		"latent DCEM", "other noise", "expert", "strong", "latent GD")
	for _, o := range r.Outcomes {
		verdict := "ok"
		if !o.OK {
			verdict = "DOES NOT HOLD"
		}
		fmt.Fprintf(w, "%4d %12.3f %12.3f %12.3f %12.3f %12.3f  %s\n", o.Seed, o.DCEM, o.Fresh, o.Expert,
			o.Strong, o.GD, verdict)
	}
}
