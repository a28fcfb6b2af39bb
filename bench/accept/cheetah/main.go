// Command cheetah runs the quick presets of a task of MuJoCo as they are: a model learnt from what the full
// cross-entropy method collects in it (rl train), and from there on the action embedding, with latent DCEM collecting
// (rl embed --begin). It claims that on the cheetah the state of embed judged best returns at least 60 on average over
// 10 new episodes; random actions return some 14.
//
// What is measured goes into bench/results/cheetah.json, the curves and an episode into doc/img. It exits with 1 if
// the claim does not hold. It needs MuJoCo (make mujoco, GODCEM_MUJOCO_DIR), and goes on where it was with -resume.
//
//	go run ./bench/accept/cheetah [-env cheetah-run] [-seed 0] [-resume]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/env/mujoco"
	"github.com/godcem/godcem/models/rl"
)

// episodes of an evaluation, and the seed of those that are new: no training or other evaluation uses it.
const (
	episodes = 10
	newSeed  = 20_000
)

func main() {
	out := flag.String("out", "out/accept/cheetah", "folder for the runs")
	path := flag.String("json", "bench/results/cheetah.json", "file for the results")
	figures := flag.String("figures", "doc/img", "folder for the curves and an episode; empty: none")
	name := flag.String("env", "cheetah-run", "cheetah-run or walker-walk")
	seed := flag.Uint64("seed", 0, "seed of the runs")
	resume := flag.Bool("resume", false, "go on with the runs in -out")
	flag.Parse()
	if flag.NArg() > 0 {
		fatal(fmt.Errorf("flags alone are taken, got %q", flag.Arg(0)))
	}
	all, err := readReport(*path)
	if err != nil {
		fatal(err)
	}
	ctx, stop := run.Interruptible(context.Background())
	defer stop()
	dir := filepath.Join(*out, *name)
	spent, err := newClock(filepath.Join(dir, "cpu-seconds"), *resume)
	if err != nil {
		fatal(err)
	}
	o, err := measure(ctx, *name, *seed, dir, *resume)
	if o != nil {
		o.CPUSeconds, err = spent.write()
	}
	if err != nil {
		_, _ = spent.write()
		fatal(err)
	}
	o.Machine = record.Here(strings.Join(append([]string{"cheetah"}, os.Args[1:]...), " "))
	o.Claims = claims(o)
	all[*name] = o
	if err := record.Write(*path, all); err != nil {
		fatal(err)
	}
	if *figures != "" {
		if err := draw(*figures, dir, o); err != nil {
			fatal(err)
		}
	}
	o.print(os.Stdout)
	if !record.Print(os.Stdout, o.Claims) {
		os.Exit(run.ExitError)
	}
}

// measure trains both programs and judges what they came to.
func measure(ctx context.Context, name string, seed uint64, dir string, resume bool) (*outcome, error) {
	s := rl.DefaultSettings()
	s.Env, s.Seed, s.Judge = name, seed, episodes
	o := &outcome{Env: name, Seed: seed, Runs: map[string]*trained{}, New: map[string]returns{}}
	for _, p := range []rl.Program{rl.TrainProgram, rl.EmbedProgram} {
		p.Tasks = task
		folder := filepath.Join(dir, p.Name)
		if p.Name == rl.EmbedProgram.Name {
			s.Begin = filepath.Join(dir, rl.TrainProgram.Name)
		}
		t, err := start(ctx, p, s, folder, resume)
		if err != nil {
			return nil, fmt.Errorf("rl %s: %w", p.Name, err)
		}
		o.Runs[p.Name] = t
	}
	for _, of := range []struct{ what, program, planner string }{
		{latent, rl.EmbedProgram.Name, ""}, {full, rl.EmbedProgram.Name, rl.FullCEM}, {before, rl.TrainProgram.Name, ""},
	} {
		r, err := rl.Evaluation(ctx, filepath.Join(dir, of.program), episodes, newSeed, of.planner, task)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", of.what, err)
		}
		q := r.Quartiles()
		o.New[of.what] = returns{len(r.Each), r.Mean(), q[0], q[1], q[2], q[3], q[4], r.Faults, r.Promised, r.Kept}
	}
	return o, nil
}

// start runs a program, goes on with it, or reads what it has come to.
func start(ctx context.Context, p rl.Program, s rl.Settings, dir string, resume bool) (*trained, error) {
	r, err := run.ReadResult(dir)
	if !resume || err != nil || r.Status != run.StatusDone {
		o := run.Options{Out: dir, Resume: resume, Progress: run.ProgressOptions{Label: p.Name}}
		if err := p.Run(ctx, s, o, os.Stdout); err != nil {
			return nil, err
		}
		if r, err = run.ReadResult(dir); err != nil {
			return nil, err
		}
	}
	t := &trained{Seconds: r.Seconds, Metrics: r.Metrics}
	return t, t.read(dir)
}

func task(name string) (env.Task, error) { return mujoco.New(name, mujoco.Options{}) }

// A clock adds up the processor time of all parts of a run in a file, which it writes every few seconds: what ends a
// program costs no more than these.
type clock struct {
	path    string
	earlier float64
}

func newClock(path string, resume bool) (*clock, error) {
	c := &clock{path: path}
	if raw, err := os.ReadFile(path); err == nil && resume {
		if _, err := fmt.Sscan(string(raw), &c.earlier); err != nil {
			return nil, fmt.Errorf("%s: want a number: %w", path, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if _, err := c.write(); err != nil {
		return nil, err
	}
	go func() {
		for range time.Tick(5 * time.Second) {
			_, _ = c.write() // the last one reports what goes wrong
		}
	}()
	return c, nil
}

func (c *clock) write() (float64, error) {
	now := c.earlier + record.CPUSeconds()
	return now, record.Write(c.path, now)
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "cheetah: %v\n", err)
	os.Exit(run.ExitCode(err))
}
