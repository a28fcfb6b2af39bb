package mpc

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/internal/atomicfile"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
)

// TrajectoryFile has a row for each step: the time in seconds, the state and the control from it.
const TrajectoryFile = "trajectory.csv"

// checkpointEvery is how many steps of a closed loop are between two checkpoints.
const checkpointEvery = 100

// Run is the program: it controls one plant in closed loop, writes trajectory.csv and result.json and draws the
// figures. An episode that ctx interrupts is saved, and written as far as it went; Run then returns
// run.ErrInterrupted.
func Run(ctx context.Context, c Config, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	_, plant, err := c.systems()
	if err != nil {
		return err
	}
	o.Steps, o.Config = c.Steps, &c
	outcome, episodes, err := follow(ctx, Kind, c, [][]float64{c.start(plant)}, allFigures, o)
	if err != nil {
		return err
	}
	s := &study{c: c, dir: o.Out, plant: plant, episode: episodes[0], outcome: outcome}
	s.measure()
	if err := writeTrajectory(filepath.Join(o.Out, TrajectoryFile), plant, s.episode); err != nil {
		return err
	}
	if err := outcome.Err(); err != nil {
		return errors.Join(run.WriteResult(o.Out, s.result()), err)
	}
	s.summary(w)
	if err := run.Finish(o.Out, s.result(), func() error { return s.show(ctx) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// show draws the figures and the report, if there are to be any.
func (s *study) show(ctx context.Context) error {
	if !s.c.Figures {
		return nil
	}
	if err := s.draw(ctx); err != nil {
		return err
	}
	return s.report()
}

// follow carries closed loops out as a run: with checkpoints, metrics.csv and resumption.
func follow(ctx context.Context, kind string, c Config, starts [][]float64, figures []string, o run.Options) (
	outcome run.Outcome, episodes []*Episode, err error) {
	if err := run.PrepareOut(o.Out); err != nil {
		return outcome, nil, err
	}
	if !o.Resume {
		if err := run.Forget(o.Out, append([]string{run.CheckpointFile, run.ConfigFile, TrajectoryFile}, figures...)...); err != nil {
			return outcome, nil, err
		}
	}
	task, err := NewTask(kind, c, starts)
	if err != nil {
		return outcome, nil, err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	o.CheckpointEvery, o.Progress.Steps = checkpointEvery, true
	outcome, err = run.Train(ctx, task, o)
	return outcome, task.Episodes(), err
}

// study is an episode and what is told of it.
type study struct {
	c       Config
	dir     string
	plant   env.Env
	episode *Episode
	outcome run.Outcome
	metrics map[string]float64
	turn    int           // step whose plan's sensitivity is shown
	moves   []sensitivity // of that plan
}

// measure sums the episode up.
func (s *study) measure() {
	e := s.episode
	steps := len(e.U)
	s.metrics = map[string]float64{"steps": float64(steps)}
	if steps == 0 {
		return
	}
	s.metrics["cost"] = e.Total()
	s.metrics["cost_per_step"] = e.Total() / float64(steps)
	if at := slices.Index(s.plant.States(), "cos"); at >= 0 {
		s.metrics["upright_last_50"] = e.upright(at, 50)
	}
	for _, status := range e.Status {
		s.metrics["plans_"+strings.ReplaceAll(status.String(), " ", "_")]++
	}
	// The first plan is the one that finds cold caches.
	if plans := sorted(e.Plan[min(1, max(0, len(e.Plan)-1)):]); len(plans) > 0 {
		s.metrics["plan_ms_median"], s.metrics["plan_ms_p95"] = quantile(plans, 0.5), quantile(plans, 0.95)
		s.metrics["plan_ms_worst"] = plans[len(plans)-1]
		s.metrics["period_ms"] = s.period()
		s.metrics["period_share"] = s.metrics["plan_ms_median"] / s.period()
	}
}

// period is the time between two plans, in ms.
func (s *study) period() float64 { return 1e3 * s.plant.Dt() * float64(max(1, s.c.Repeat)) }

// upright is the share of the last n steps with cos theta above 0.98.
func (e *Episode) upright(cos, n int) float64 {
	last := e.X[max(0, len(e.X)-n):]
	up := 0
	for _, x := range last {
		if x[cos] > 0.98 {
			up++
		}
	}
	return float64(up) / float64(len(last))
}

// sorted are durations in ms.
func sorted(d []time.Duration) (ms []float64) {
	for _, v := range d {
		ms = append(ms, float64(v)/1e6)
	}
	slices.Sort(ms)
	return ms
}

func quantile(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1)+0.5)] }

// result is what result.json says.
func (s *study) result() run.Result {
	r := run.Result{Program: Kind, Config: &s.c, Seed: s.c.Seed, Seconds: s.outcome.Seconds, Status: run.StatusDone,
		Metrics: s.metrics}
	if s.outcome.Interrupted {
		r.Status = run.StatusInterrupted
	}
	return r
}

func (s *study) summary(w io.Writer) {
	m := s.metrics
	fmt.Fprintf(w, "%-9s cost %.4g over %d steps", s.c.Env, m["cost"], len(s.episode.U))
	if up, ok := m["upright_last_50"]; ok {
		fmt.Fprintf(w, ", upright for %.0f%% of the last 50", 100*up)
	}
	fmt.Fprintln(w)
	if _, ok := m["plan_ms_median"]; ok {
		fmt.Fprintf(w, "planning  %.2f ms a plan (95%%: %.2f, worst %.2f): %.1f%% of the %.0f ms between two\n", m["plan_ms_median"],
			m["plan_ms_p95"], m["plan_ms_worst"], 100*m["period_share"], m["period_ms"])
	}
	if n := m["plans_too_few_finite_costs"]; n > 0 {
		fmt.Fprintf(w, "          %.0f plans had too few finite costs and are what was left of the one before\n", n)
	}
	if !s.episode.Finite() {
		fmt.Fprintln(w, "          the plant's state is no longer finite: its dynamics have blown up")
	}
}

// writeTrajectory writes a row for each control.
func writeTrajectory(path string, e env.Env, ep *Episode) error {
	return atomicfile.Write(path, func(file io.Writer) error {
		w := csv.NewWriter(file)
		w.Write(slices.Concat([]string{"t"}, e.States(), e.Controls())) // the first error stays with w
		for t, u := range ep.U {
			row := []string{strconv.FormatFloat(math.Round(1e9*float64(t)*e.Dt())/1e9, 'g', -1, 64)}
			for _, v := range slices.Concat(ep.X[t], u) {
				row = append(row, strconv.FormatFloat(v, 'g', -1, 64))
			}
			w.Write(row)
		}
		w.Flush()
		return w.Error()
	})
}

// readConfig is the configuration as the report shows it.
func readConfig(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, run.ConfigFile))
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return string(b), nil
}
