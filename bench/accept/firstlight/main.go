// Command firstlight checks what the first programs claim: that regression through DCEM and through gradient descent
// learns, that only DCEM's energy has its minimum at the data, and that bumps converges. It runs them in their default
// settings, prints a table and writes bench/results/first-light.json. It exits with 1 if a claim does not hold.
//
//	go run ./bench/accept/firstlight
//
// On two cores it takes some ten minutes. After an interruption -resume goes on.
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
	"github.com/godcem/godcem/models/energy/bumps"
	"github.com/godcem/godcem/models/energy/regression"
)

// claim is one line of the table.
type claim struct {
	Name   string    `json:"name"`
	Seed   *uint64   `json:"seed,omitempty"` // nil: over several seeds
	Value  float64   `json:"value"`
	Bound  string    `json:"bound"` // such as "<= 1"
	OK     bool      `json:"ok"`
	Values []float64 `json:"values,omitempty"` // by seed, where Seed is nil
}

// training is how long a run of both methods took.
type training struct {
	Name    string  `json:"name"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"` // by the clock, without figures
	CPU     float64 `json:"cpu_seconds"`
}

type report struct {
	Claims    []claim           `json:"claims"`
	Trainings []training        `json:"trainings"`
	Versions  map[string]string `json:"versions"`
	CPU       string            `json:"cpu"`
	Cores     int               `json:"cores"`
	Commit    string            `json:"commit"`
	Time      string            `json:"time"`
	Seconds   float64           `json:"seconds"`
	Command   string            `json:"command"`
}

func main() {
	out := flag.String("out", "out/accept/first-light", "folder for the runs")
	path := flag.String("json", "bench/results/first-light.json", "file for the results")
	resume := flag.Bool("resume", false, "go on with the runs in -out")
	quiet := flag.Bool("quiet", false, "show no progress")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	began := time.Now()
	r := &report{Versions: run.Versions(), CPU: record.Processor(), Cores: runtime.NumCPU(), Commit: record.Commit(),
		Time: began.UTC().Format(time.RFC3339), Command: strings.Join(append([]string{"firstlight"}, os.Args[1:]...), " ")}
	if err := r.check(ctx, *out, *resume, *quiet); err != nil {
		fatal(err)
	}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	if err := record.Write(*path, r); err != nil {
		fatal(err)
	}
	if !r.print(os.Stdout) {
		os.Exit(run.ExitError)
	}
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "firstlight: %v\n", err)
	os.Exit(run.ExitCode(err))
}

// check runs the programs and judges their metrics.
func (r *report) check(ctx context.Context, out string, resume, quiet bool) error {
	for seed := range uint64(3) {
		c := regression.Default()
		c.Seed, c.Method, c.Figures = seed, regression.Both, false
		m, err := r.train("regression", seed, quiet, out, func(w io.Writer, dir string, p run.ProgressOptions) error {
			return regression.Run(ctx, c, run.Options{Out: dir, Resume: resume, Progress: p}, w)
		})
		if err != nil {
			return err
		}
		r.atMost("regression, dcem: mean squared error", seed, m, "dcem_mse", 1)
		r.atLeast("regression, dcem: share of x with the least energy at the data", seed, m, "dcem_minimum_share", 0.7)
		r.atMost("regression, gd: mean squared error", seed, m, "gd_mse", 0.5)
		r.atMost("regression, gd: share of x with the least energy at the data", seed, m, "gd_minimum_share", 0.3)
	}
	good := claim{Name: "bumps: seeds of 5 with a loss below 0.05 after 50 updates", Bound: ">= 4"}
	for seed := range uint64(5) {
		c := bumps.Default()
		c.Seed, c.Figures = seed, false
		m, err := r.train("bumps", seed, quiet, out, func(w io.Writer, dir string, p run.ProgressOptions) error {
			return bumps.Run(ctx, c, run.Options{Out: dir, Resume: resume, Config: &c, Progress: p}, w)
		})
		if err != nil {
			return err
		}
		loss, ok := m["loss"]
		if good.Values = append(good.Values, loss); ok && loss < 0.05 && m["updates"] == 50 {
			good.Value++
		}
	}
	good.OK = good.Value >= 4
	r.add(good)
	return nil
}

// program is a program of the repository that writes to a folder.
type program func(w io.Writer, dir string, p run.ProgressOptions) error

// train runs a program in a folder of its own and returns its metrics.
func (r *report) train(name string, seed uint64, quiet bool, out string, program program) (map[string]float64, error) {
	dir := filepath.Join(out, fmt.Sprintf("%s-%d", name, seed))
	if !quiet {
		fmt.Printf("%s, seed %d, in %s\n", name, seed, dir)
	}
	w := io.Writer(os.Stdout)
	if quiet {
		w = io.Discard
	}
	began, cpu := time.Now(), record.CPUSeconds()
	if err := program(w, dir, run.ProgressOptions{Silent: quiet, Label: name}); err != nil {
		return nil, fmt.Errorf("%s, seed %d: %w", name, seed, err)
	}
	r.Trainings = append(r.Trainings, training{name, seed, round(time.Since(began).Seconds()), round(record.CPUSeconds() - cpu)})
	result, err := run.ReadResult(dir)
	return result.Metrics, err
}

func (r *report) add(c claim) { r.Claims = append(r.Claims, c) }

func round(seconds float64) float64 { return float64(int(seconds*10+0.5)) / 10 }

// A metric that is missing, because it was no number, does not hold.
func (r *report) atMost(name string, seed uint64, m map[string]float64, metric string, bound float64) {
	v, ok := m[metric]
	r.add(claim{Name: name, Seed: &seed, Value: v, Bound: fmt.Sprintf("<= %g", bound), OK: ok && v <= bound})
}

func (r *report) atLeast(name string, seed uint64, m map[string]float64, metric string, bound float64) {
	v, ok := m[metric]
	r.add(claim{Name: name, Seed: &seed, Value: v, Bound: fmt.Sprintf(">= %g", bound), OK: ok && v >= bound})
}

// print writes the table and says whether all claims hold.
func (r *report) print(w io.Writer) bool {
	all := true
	fmt.Fprintf(w, "\n%-62s %4s %8s %8s\n", "claim", "seed", "value", "bound")
	for _, c := range r.Claims {
		seed, verdict := "", "ok"
		if c.Seed != nil {
			seed = fmt.Sprint(*c.Seed)
		}
		if !c.OK {
			verdict, all = "DOES NOT HOLD", false
		}
		fmt.Fprintf(w, "%-62s %4s %8.3g %8s  %s\n", c.Name, seed, c.Value, c.Bound, verdict)
	}
	for _, t := range r.Trainings {
		if t.Name == "regression" {
			fmt.Fprintf(w, "regression, both methods, seed %d: %.0f s, %.0f s of CPU\n", t.Seed, t.Seconds, t.CPU)
		}
	}
	return all
}
