package mpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/env"
)

// SwingUpKind is the name of the program that swings pendulums up.
const SwingUpKind = "pendulum"

// SwingUpConfig is the configuration of that program.
type SwingUpConfig struct {
	Seed     uint64  `json:"seed" help:"seed of the noise: the same seed gives the same controls, bit for bit"`
	Episodes int     `json:"episodes" help:"pendulums, each with noise of its own"`
	Steps    int     `json:"steps" help:"steps of an episode"`
	Velocity float64 `json:"velocity" help:"weight of the velocity in the cost of the pendulums that stay down"`

	Horizon    int  `json:"horizon" help:"steps that a plan looks ahead"`
	Samples    int  `json:"samples" help:"samples per iteration"`
	Elites     int  `json:"elites" help:"elite samples"`
	Iterations int  `json:"iterations" help:"iterations of a plan"`
	Float64    bool `json:"float64" help:"plan in float64, not float32"`
	Figures    bool `json:"figures" help:"draw the figures and the report at the end"`
}

// DefaultSwingUp returns the configuration that the program has without flags.
func DefaultSwingUp() SwingUpConfig {
	return SwingUpConfig{Episodes: 10, Steps: 200, Velocity: 1, Horizon: 20, Samples: 200, Elites: 20, Iterations: 5, Figures: true}
}

// Validate returns an error that names the first field that is out of its range.
func (c SwingUpConfig) Validate() error {
	if c.Episodes < 1 || c.Episodes > 10_000 {
		return fmt.Errorf("episodes is %d, want 1 to 10000", c.Episodes)
	}
	if !(c.Velocity >= 0 && c.Velocity <= 1e6) {
		return fmt.Errorf("velocity is %v, want 0 to 1e6", c.Velocity)
	}
	return c.control("").Validate()
}

// control is the closed loop with other parameters of the cost.
func (c SwingUpConfig) control(model string) Config {
	d := Default()
	d.Seed, d.Steps, d.Float64, d.Model = c.Seed, c.Steps, c.Float64, model
	d.Horizon, d.Samples, d.Elites, d.Iterations = c.Horizon, c.Samples, c.Elites, c.Iterations
	return d
}

// What counts as swung up: upright in each of the last steps.
const (
	lastSteps   = 50
	uprightAt   = 0 // the place of cos theta in the state
	uprightName = "swung_up"
)

// A SwingUp is what came of it.
type SwingUp struct {
	Up, Down []*Episode // with the pendulum's cost, and with the one that weighs velocity fully
}

// Count is how many of the episodes stand upright throughout the last 50 steps.
func Count(episodes []*Episode) (n int) {
	for _, e := range episodes {
		if len(e.X) > lastSteps && e.upright(uprightAt, lastSteps) == 1 {
			n++
		}
	}
	return n
}

// Arrival is the first step from which on the pendulum stands upright to the end; -1: never.
func (e *Episode) Arrival() int {
	for t := len(e.X) - 1; t >= 0; t-- {
		if !(e.X[t][uprightAt] > 0.98) {
			if t == len(e.X)-1 {
				return -1
			}
			return t + 1
		}
	}
	return 0
}

// Swing lets pendulums swing up from hanging at rest.
func (c SwingUpConfig) Swing(ctx context.Context, progress func(step int)) (s SwingUp, err error) {
	if err := c.Validate(); err != nil {
		return s, err
	}
	starts := make([][]float64, c.Episodes)
	for i := range starts {
		starts[i] = []float64{-1, 0, 0}
	}
	if s.Up, err = Simulate(ctx, c.control(""), starts, progress); err != nil {
		return s, err
	}
	s.Down, err = Simulate(ctx, c.control(fmt.Sprintf("weight_dth=%g", c.Velocity)), starts[:1], nil)
	return s, err
}

const (
	swingFigure = "swing-up.png"
	downFigure  = "staying-down.png"
)

var swingFigures = []string{swingFigure, downFigure, movieFigure, reportFile}

// RunSwingUp is the program: it writes trajectory.csv of the first pendulum, result.json and the figures.
func RunSwingUp(ctx context.Context, c SwingUpConfig, o run.Options, w io.Writer) error {
	if o.Resume {
		return errors.New("pendulum has nothing to resume: its episodes are made anew in seconds")
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if err := run.Forget(o.Out, append([]string{run.ConfigFile, run.ResultFile, TrajectoryFile}, swingFigures...)...); err != nil {
		return err
	}
	if err := run.SaveConfig(filepath.Join(o.Out, run.ConfigFile), &c); err != nil {
		return err
	}
	began := time.Now()
	o.Progress.Steps = true
	p := run.NewProgress(c.Steps, 0, o.Progress)
	s, err := c.Swing(ctx, func(step int) { p.Step(step, math.NaN()) })
	p.Finish()
	if err != nil {
		return err
	}
	first := s.Up[0]
	if err := writeTrajectory(filepath.Join(o.Out, TrajectoryFile), env.Pendulum{}, first); err != nil {
		return err
	}
	arrivals, worst := 0, 0
	for _, e := range s.Up {
		if at := e.Arrival(); at >= 0 {
			arrivals, worst = arrivals+at, max(worst, at)
		}
	}
	up := Count(s.Up)
	metrics := map[string]float64{"episodes": float64(c.Episodes), uprightName: float64(up), "latest_arrival": float64(worst),
		"swung_up_with_velocity": float64(Count(s.Down)), "cost": first.Total()}
	r := run.Result{Program: SwingUpKind, Config: &c, Seed: c.Seed, Seconds: time.Since(began).Seconds(),
		Status: run.StatusDone, Metrics: metrics}
	if err := run.WriteResult(o.Out, r); err != nil {
		return err
	}
	fmt.Fprintf(w, "pendulum  %d of %d upright throughout the last %d of %d steps, the latest from step %d on\n", up, c.Episodes,
		lastSteps, c.Steps, worst)
	fmt.Fprintf(w, "          with velocity weighed %g: %d of 1\n", c.Velocity, Count(s.Down))
	if !c.Figures {
		return nil
	}
	if err := c.draw(ctx, o.Out, s); err != nil {
		return err
	}
	if err := c.report(o.Out, s, metrics); err != nil {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// heights are cos theta and the torque of episodes over time.
func heights(title string, episodes []*Episode) viz.Plot {
	lines := func(what, y string, of func(e *Episode) (v []float64)) viz.Plot {
		f := viz.Lines{Axes: viz.Axes{Title: title + ": " + what, X: "t, s", Y: y}}
		for i, e := range episodes[:min(6, len(episodes))] {
			v := of(e)
			t := make([]float64, len(v))
			for j := range t {
				t[j] = float64(j) * env.Pendulum{}.Dt()
			}
			f.Series = append(f.Series, viz.Series{Name: fmt.Sprintf("pendulum %d", i), X: t, Y: v})
		}
		return f
	}
	return viz.SideBySide("",
		lines("height of the tip", "cos theta", func(e *Episode) (v []float64) {
			for _, x := range e.X {
				v = append(v, x[uprightAt])
			}
			return v
		}),
		lines("torque", "u, N m", func(e *Episode) (v []float64) {
			for _, u := range e.U {
				v = append(v, u[0])
			}
			return v
		}))
}

func (c SwingUpConfig) draw(ctx context.Context, dir string, s SwingUp) error {
	if err := viz.Save(filepath.Join(dir, swingFigure), heights("Swinging up", s.Up)); err != nil {
		return err
	}
	if err := viz.Save(filepath.Join(dir, downFigure), heights("Velocity is dear", s.Down)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return movie(filepath.Join(dir, movieFigure), env.Pendulum{}, s.Up[0])
}

func (c SwingUpConfig) report(dir string, s SwingUp, m map[string]float64) error {
	config, err := os.ReadFile(filepath.Join(dir, run.ConfigFile))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	figure := func(name, caption string) viz.Figure {
		return viz.Figure{Path: filepath.Join(dir, name), Caption: caption}
	}
	shown := ""
	if len(s.Up) > 6 {
		shown = " The first six are shown."
	}
	return viz.WriteReport(filepath.Join(dir, reportFile), viz.Report{
		Title: "Pendulum: swinging up",
		Intro: "The torque is too weak to lift the rod: it must be swung to and fro first. At every step the cross-entropy " +
			"method plans a second ahead, the first torque is applied, and the next plan starts from what is left of this one. " +
			"The cost is (cos theta - 1)^2 + sin^2 theta + 0.01 dtheta^2 + 0.001 u^2.",
		Sections: []viz.Section{
			{Heading: "Swinging up", Text: fmt.Sprintf("%.0f of %d pendulums stand upright (cos theta above 0.98) throughout the "+
				"last %d steps; the latest from step %.0f on. They differ in their noise alone.%s", m[uprightName], c.Episodes,
				lastSteps, m["latest_arrival"], shown),
				Figures: []viz.Figure{figure(movieFigure, "The first, in real time."), figure(swingFigure, "Heights and torques.")}},
			{Heading: "Where velocity is dear", Text: fmt.Sprintf("With velocity weighed %g in place of 0.01, a plan of a second "+
				"that begins to swing costs more than one that hangs still: the pendulum stays down. No planner with that horizon "+
				"and that cost does better.", c.Velocity), Figures: []viz.Figure{figure(downFigure, "Height and torque.")}},
			{Heading: "Configuration", Code: string(config), Text: "The same configuration and seed give the same controls, bit for " +
				"bit:\n\ngodcem pendulum --config config.yaml --out out/again"},
		},
	})
}
