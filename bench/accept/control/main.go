// Command control checks what the programs about control and structured prediction claim, over seeds:
//
//	pendulum   10 of 10 swing up; where velocity is dear none does
//	dynamics   mass and length within 0.1 % with common noise, within 5 % with independent noise; a hard expert's bias, which a
//	           smaller temperature lessens
//	cost       weights up to scale within 5 %, common noise
//	mismatch   plans of the tuned net are cheaper by more than 2 standard errors, for 4 of 5 seeds
//	spen       the energy network through DCEM has more rows right than the feed-forward net, for 4 of 5 seeds
//	planning   a cartpole's plan (1000 samples, 20 steps, 10 iterations) takes less than the 50 ms between two
//
// It prints a table, writes bench/results/control.json and exits with 1 if a claim does not hold. With -only the record
// keeps what it has of the other claims: each says at which commit it was measured, and when.
//
//	go run ./bench/accept/control [-only dynamics,spen]
//
// On two cores it takes some 35 minutes.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/learn"
	"github.com/godcem/godcem/models/control/mismatch"
	"github.com/godcem/godcem/models/control/mpc"
	"github.com/godcem/godcem/models/energy/spen"
)

const seeds = 5

// A claim is what was found about one.
type claim struct {
	Name     string               `json:"name"`
	Claim    string               `json:"claim"`
	OK       bool                 `json:"ok"`
	Outcomes []map[string]float64 `json:"outcomes"` // by seed
	Seconds  float64              `json:"seconds"`
	Commit   string               `json:"commit"`
	Time     string               `json:"time"`
}

type report struct {
	OK       bool              `json:"ok"`
	Claims   []*claim          `json:"claims"`
	Versions map[string]string `json:"versions"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Commit   string            `json:"commit"`
	Time     string            `json:"time"`
	Command  string            `json:"command"`
}

// A checker measures one claim for a seed, in a folder of its own.
type checker struct {
	name, claim string
	seeds       int
	// measure gives the figures of a seed and whether it is as claimed; needed is how many of the seeds must be.
	measure func(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error)
	needed  int
}

var checkers = []checker{
	{"pendulum", "10 of 10 pendulums are upright throughout the last 50 of 200 steps, all controls within +-2; with velocity " +
		"weighed fully none is", 1, pendulum, 1},
	{"dynamics-common", "mass 1.4 and length 0.75 become the expert's within 0.1 %", seeds, dynamicsCommon, seeds},
	{"dynamics-independent", "the same within 5 % if the expert has noise of its own", seeds, dynamicsIndependent, seeds},
	{"dynamics-hard", "the bias by a hard expert, noise in common, is less at temperature 0.1 than at 0.5", 1, dynamicsHard, 1},
	{"cost", "the weights of the cost become the expert's up to scale, within 5 %", seeds, cost, seeds},
	{"mismatch", "plans of the net tuned through the controller are cheaper by more than 2 standard errors", seeds, tuned, 4},
	{"spen", "all labels right for more rows than by the feed-forward net", seeds, structured, 4},
	{"planning", "the median plan of the cartpole takes less than the 50 ms between two", 1, planning, 1},
}

func main() {
	out := flag.String("out", "out/accept/control", "folder for the runs")
	path := flag.String("json", "bench/results/control.json", "file for the results")
	only := flag.String("only", "", "names of the claims to check, comma-separated; empty: all")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	r := &report{OK: true, Versions: run.Versions(), CPU: record.Processor(), Cores: runtime.NumCPU(), Commit: record.Commit(),
		Time: time.Now().UTC().Format(time.RFC3339), Command: strings.TrimSuffix("control -only "+*only, " -only ")}
	var wanted []string
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(checkers, func(c checker) bool { return c.name == name }) {
			fatal(fmt.Errorf("-only names %q, which is no claim", name))
		}
	}
	claims := map[string]*claim{}
	if len(wanted) > 0 {
		if err := read(*path, claims); err != nil {
			fatal(err)
		}
	}
	for _, c := range checkers {
		if len(wanted) > 0 && !slices.Contains(wanted, c.name) {
			continue
		}
		found, err := c.check(ctx, *out)
		if err != nil {
			fatal(fmt.Errorf("%s: %w", c.name, err))
		}
		found.Commit, found.Time = r.Commit, r.Time
		claims[c.name] = found
		r.take(claims)
		if err := record.Write(*path, r); err != nil { // after each: what is measured is kept
			fatal(err)
		}
	}
	if !r.OK {
		os.Exit(run.ExitError)
	}
}

// take makes the report one of these claims, in the checkers' order.
func (r *report) take(claims map[string]*claim) {
	r.OK, r.Claims = true, nil
	for _, c := range checkers {
		if found := claims[c.name]; found != nil {
			r.Claims, r.OK = append(r.Claims, found), r.OK && found.OK
		}
	}
}

// read adds the claims of an earlier record, if there is one. Those that do not say where they are from are of its own
// commit and time.
func read(path string, claims map[string]*claim) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r report
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, c := range r.Claims {
		c.Commit, c.Time = cmp.Or(c.Commit, r.Commit), cmp.Or(c.Time, r.Time)
		claims[c.Name] = c
	}
	return nil
}

// check measures a claim for all its seeds.
func (c checker) check(ctx context.Context, out string) (*claim, error) {
	began := time.Now()
	found := &claim{Name: c.name, Claim: c.claim}
	held := 0
	for seed := range uint64(c.seeds) {
		figures, ok, err := c.measure(ctx, seed, filepath.Join(out, c.name, fmt.Sprint(seed)))
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		if ok {
			held++
		}
		found.Outcomes = append(found.Outcomes, figures)
		fmt.Printf("%-21s seed %d  %-5v %s\n", c.name, seed, ok, line(figures))
	}
	found.OK, found.Seconds = held >= c.needed, time.Since(began).Round(time.Millisecond).Seconds()
	fmt.Printf("%-21s %s: %d of %d, %v\n", c.name, map[bool]string{true: "holds", false: "DOES NOT HOLD"}[found.OK], held, c.seeds, c.claim)
	return found, nil
}

func line(figures map[string]float64) string {
	var names []string
	for name := range figures {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.4g", name, figures[name]))
	}
	return strings.Join(parts, "  ")
}

func options(dir string) run.Options {
	return run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}
}

// result runs a program and reads the figures of its result.
func result(dir string, program func(o run.Options) error, names ...string) (map[string]float64, error) {
	if err := program(options(dir)); err != nil {
		return nil, err
	}
	r, err := run.ReadResult(dir)
	if err != nil {
		return nil, err
	}
	figures := map[string]float64{}
	for _, name := range names {
		v, ok := r.Metrics[name]
		if !ok {
			return nil, fmt.Errorf("%s has no %s", dir, name)
		}
		figures[name] = v
	}
	return figures, nil
}

func pendulum(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := mpc.DefaultSwingUp()
	c.Seed, c.Figures = seed, false
	s, err := c.Swing(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	greatest, latest := 0.0, 0
	for _, e := range s.Up {
		latest = max(latest, e.Arrival())
		for _, u := range e.U {
			greatest = max(greatest, u[0], -u[0])
		}
	}
	f := map[string]float64{"upright": float64(mpc.Count(s.Up)), "upright_with_velocity": float64(mpc.Count(s.Down)),
		"greatest_control": greatest, "latest_arrival": float64(latest)}
	return f, f["upright"] == 10 && f["upright_with_velocity"] == 0 && greatest <= 2, nil
}

func learnt(ctx context.Context, kind string, c learn.Config, dir string) (map[string]float64, error) {
	c.Figures = false
	return result(dir, func(o run.Options) error { return learn.Run(ctx, kind, c, o, io.Discard) },
		append(learn.Learnt(kind), "error")...)
}

func dynamicsCommon(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := learn.Default(learn.Dynamics)
	c.Seed = seed
	f, err := learnt(ctx, learn.Dynamics, c, dir)
	return f, f["error"] <= 1e-3, err
}

func dynamicsIndependent(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := learn.Default(learn.Dynamics)
	c.Seed, c.Noise, c.Samples, c.Elites, c.Iterations, c.Average, c.Updates = seed, learn.Independent, 1000, 50, 20, 0.5, 200
	f, err := learnt(ctx, learn.Dynamics, c, dir)
	return f, f["error"] <= 0.05, err
}

func dynamicsHard(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := learn.Default(learn.Dynamics)
	c.Seed, c.Expert, c.Updates = seed, learn.Hard, 300
	f, err := learnt(ctx, learn.Dynamics, c, filepath.Join(dir, "0.5"))
	if err != nil {
		return nil, false, err
	}
	c.Temperature = 0.1
	sharp, err := learnt(ctx, learn.Dynamics, c, filepath.Join(dir, "0.1"))
	for name, v := range sharp {
		f[name+"_at_0.1"] = v
	}
	return f, sharp["error"] < f["error"], err
}

func cost(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := learn.Default(learn.Cost)
	c.Seed = seed
	f, err := learnt(ctx, learn.Cost, c, dir)
	return f, f["error"] <= 0.05, err
}

func tuned(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := mismatch.Default()
	c.Seed, c.Figures = seed, false
	f, err := result(dir, func(o run.Options) error { return mismatch.Run(ctx, c, o, io.Discard) },
		"gain", "gain_standard_error", "fitted_cost", "tuned_cost", "fitted_nll", "tuned_nll")
	return f, f["gain"] > 2*f["gain_standard_error"], err
}

func structured(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := spen.Default()
	c.Seed, c.Figures = seed, false
	f, err := result(dir, func(o run.Options) error { return spen.Run(ctx, c, o, io.Discard) },
		"dcem_subset", "gd_subset", "ff_subset", "dcem_lawful", "ff_lawful", "dcem_hamming", "ff_hamming")
	return f, f["dcem_subset"] > f["ff_subset"], err
}

func planning(ctx context.Context, seed uint64, dir string) (map[string]float64, bool, error) {
	c := mpc.Default()
	c.Seed, c.Figures, c.Env, c.Samples, c.Elites, c.Iterations, c.Horizon, c.Steps = seed, false, "cartpole", 1000, 100, 10, 20, 400
	f, err := result(dir, func(o run.Options) error { return mpc.Run(ctx, c, o, io.Discard) },
		"plan_ms_median", "plan_ms_p95", "plan_ms_worst", "period_share")
	return f, f["period_share"] < 1, err
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "control: %v\n", err)
	os.Exit(run.ExitError)
}
