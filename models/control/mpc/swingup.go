package mpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

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
	Steps    int     `json:"steps" help:"steps of an episode" resume:"free"`
	Velocity float64 `json:"velocity" help:"weight of the velocity in the cost of the pendulums that stay down"`

	Horizon    int  `json:"horizon" help:"steps that a plan looks ahead"`
	Samples    int  `json:"samples" help:"samples per iteration"`
	Elites     int  `json:"elites" help:"elite samples"`
	Iterations int  `json:"iterations" help:"iterations of a plan"`
	Float64    bool `json:"float64" help:"plan in float64, not float32"`
	Figures    bool `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
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
	// Reach and DearReach are how high (cos theta) a first plan rises that has 20 times the samples and 4 times the
	// iterations, with either cost.
	Reach, DearReach float64
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

// starts are hanging at rest.
func (c SwingUpConfig) starts() [][]float64 {
	starts := make([][]float64, c.Episodes)
	for i := range starts {
		starts[i] = []float64{-1, 0, 0}
	}
	return starts
}

// dear is the cost of the pendulum that stays down: with the default velocity that of the golden file, the mean square
// of (cos - 1, sin, dth) and 1e-4 times that of u, up to a factor.
func (c SwingUpConfig) dear() string {
	return fmt.Sprintf("weight_dth=%g,weight_u=0.00032", c.Velocity)
}

// Swing lets pendulums swing up from hanging at rest.
func (c SwingUpConfig) Swing(ctx context.Context, progress func(step int)) (s SwingUp, err error) {
	if err := c.Validate(); err != nil {
		return s, err
	}
	if s.Up, err = Simulate(ctx, c.control(""), c.starts(), progress); err != nil {
		return s, err
	}
	return s, c.stay(ctx, &s)
}

// stay lets a pendulum hang, and looks for a plan that does not.
func (c SwingUpConfig) stay(ctx context.Context, s *SwingUp) (err error) {
	hanging := c.starts()[:1]
	if s.Down, err = Simulate(ctx, c.control(c.dear()), hanging, nil); err != nil {
		return err
	}
	for _, v := range []struct {
		cost string
		into *float64
	}{{"", &s.Reach}, {c.dear(), &s.DearReach}} {
		thorough := c.control(v.cost)
		thorough.Steps, thorough.Samples, thorough.Elites, thorough.Iterations = 1, 20*c.Samples, 20*c.Elites, 4*c.Iterations
		if thorough.Samples > 1_000_000 || thorough.Iterations > 100 {
			thorough.Samples, thorough.Elites, thorough.Iterations = c.Samples, c.Elites, c.Iterations
		}
		one, err := Simulate(ctx, thorough, hanging, nil)
		if err != nil {
			return err
		}
		*v.into = math.Inf(-1)
		for i := uprightAt; i < len(one[0].Planned.X); i += len(hanging[0]) {
			*v.into = max(*v.into, one[0].Planned.X[i])
		}
	}
	return nil
}

const (
	swingFigure = "swing-up.png"
	downFigure  = "staying-down.png"
)

var swingFigures = []string{swingFigure, downFigure, movieFigure, reportFile}

// RunSwingUp is the program: it writes trajectory.csv of the first pendulum, result.json and the figures.
func RunSwingUp(ctx context.Context, c SwingUpConfig, o run.Options, w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	o.Steps, o.Config = c.Steps, &c
	outcome, up, err := follow(ctx, SwingUpKind, c.control(""), c.starts(), swingFigures, o)
	if err != nil {
		return err
	}
	s, first := SwingUp{Up: up}, up[0]
	if err := writeTrajectory(filepath.Join(o.Out, TrajectoryFile), env.Pendulum{}, first); err != nil {
		return err
	}
	if outcome.Interrupted {
		return errors.Join(outcome.Err(), run.WriteResult(o.Out, run.Result{Program: SwingUpKind, Config: &c, Seed: c.Seed,
			Seconds: outcome.Seconds, Status: run.StatusInterrupted, Metrics: map[string]float64{"steps": float64(outcome.Step)}}))
	}
	if err := c.stay(ctx, &s); err != nil {
		return err
	}
	worst := -1
	for _, e := range s.Up {
		worst = max(worst, e.Arrival())
	}
	count := Count(s.Up)
	metrics := map[string]float64{"episodes": float64(c.Episodes), uprightName: float64(count),
		"swung_up_with_velocity": float64(Count(s.Down)), "cost": first.Total(), "reach": s.Reach, "reach_with_velocity": s.DearReach}
	if worst >= 0 {
		metrics["latest_arrival"] = float64(worst)
	}
	r := run.Result{Program: SwingUpKind, Config: &c, Seed: c.Seed, Seconds: outcome.Seconds,
		Status: run.StatusDone, Metrics: metrics}
	fmt.Fprintf(w, "pendulum  %d of %d upright throughout the last %d of %d steps%s\n", count, c.Episodes, lastSteps, c.Steps,
		latest(", ", metrics))
	fmt.Fprintf(w, "          with velocity weighed %g: %d of 1\n", c.Velocity, Count(s.Down))
	if err := run.Finish(o.Out, r, func() error { return c.show(ctx, o.Out, s, metrics) }); err != nil || !c.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// latest says from when on the last pendulum to arrive stands, or that none does.
func latest(before string, m map[string]float64) string {
	if at, ok := m["latest_arrival"]; ok {
		return fmt.Sprintf("%sthe last to arrive from step %.0f on", before, at)
	}
	return before + "and none stands at the end"
}

// show draws the figures and the report, if there are to be any.
func (c SwingUpConfig) show(ctx context.Context, dir string, s SwingUp, metrics map[string]float64) error {
	if !c.Figures {
		return nil
	}
	if err := c.draw(ctx, dir, s); err != nil {
		return err
	}
	return c.report(dir, s, metrics)
}

// heights are cos theta and the torque of episodes over time.
func heights(title string, episodes []*Episode) viz.Plot {
	lines := func(what, y string, limits [2]float64, of func(e *Episode) (v []float64)) viz.Plot {
		f := viz.Lines{Axes: viz.Axes{Title: title + ": " + what, X: "t, s", Y: y, YRange: limits}}
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
		lines("height of the tip", "cos theta", [2]float64{-1.05, 1.05}, func(e *Episode) (v []float64) {
			for _, x := range e.X {
				v = append(v, x[uprightAt])
			}
			return v
		}),
		lines("torque", "u, N m", [2]float64{-2.1, 2.1}, func(e *Episode) (v []float64) {
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
	return movie(filepath.Join(dir, movieFigure), env.Pendulum{}, s.Up[0], s.Down[0])
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
				"last %d steps%s. They differ in their noise alone.%s", m[uprightName], c.Episodes, lastSteps, latest("; ", m), shown),
				Figures: []viz.Figure{figure(movieFigure, "The first, in real time; and beside it the one whose velocity is dear."), figure(swingFigure, "Heights and torques.")}},
			{Heading: "Where velocity is dear", Text: c.aboutDown(s), Figures: []viz.Figure{figure(downFigure, "Height and torque.")}},
			{Heading: "Configuration", Code: string(config), Text: "The same configuration and seed give the same controls, bit for " +
				"bit:\n\ngodcem pendulum --config config.yaml --out out/again"},
		},
	})
}

// aboutDown says what the other cost has done, whichever it was.
func (c SwingUpConfig) aboutDown(s SwingUp) string {
	n := Count(s.Down)
	text := fmt.Sprintf("With velocity weighed %g in place of 0.01, and the torque 0.00032, %d of %d pendulums stand in the end.", c.Velocity,
		n, len(s.Down))
	reach := fmt.Sprintf(" The best first plan of a search with 20 times the samples and 4 times the iterations rises to cos theta = %.2f, "+
		"and to %.2f with the cost above", s.DearReach, s.Reach)
	if n == 0 && s.DearReach < s.Reach {
		return text + " A plan of a second that begins to swing costs more than one that stays down." + reach +
			": that it stays down is the cost's doing, not the search's."
	}
	return text + reach + "."
}
