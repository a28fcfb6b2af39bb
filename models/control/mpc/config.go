// Package mpc is closed-loop control of the environments by model predictive control: a plan by the cross-entropy
// method at every step, of which the first control is carried out.
package mpc

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
)

// Kind is the program's name.
const Kind = "mpc"

// Config is the configuration of the program.
type Config struct {
	Seed    uint64    `json:"seed" help:"seed of all that is random: the same seed gives the same controls, bit for bit"`
	Env     string    `json:"env" help:"what is controlled: cartpole, pendulum or doubleintegrator"`
	Model   string    `json:"model" help:"parameters of what the planner believes in, as in mass=1.2,weight_dth=1; empty: the defaults"`
	Plant   string    `json:"plant" help:"parameters of what is controlled, where they differ from the model's"`
	Start   []float64 `json:"start" help:"initial state; empty: at rest (the pendulum and the pole hanging), or random where there is no such state"`
	Steps   int       `json:"steps" help:"steps of the episode" resume:"free"`
	Float64 bool      `json:"float64" help:"plan in float64, not float32"`

	Horizon     int     `json:"horizon" help:"steps that a plan looks ahead"`
	Samples     int     `json:"samples" help:"samples per iteration"`
	Elites      int     `json:"elites" help:"elite samples"`
	Iterations  int     `json:"iterations" help:"iterations of a plan"`
	Sigma       float64 `json:"sigma" help:"standard deviation with which each plan starts, over the greatest control"`
	SigmaMin    float64 `json:"sigma_min" help:"least standard deviation, over the greatest control"`
	Temperature float64 `json:"temperature" help:"tau of a soft choice of elites; 0: hard, vanilla CEM"`

	Repeat       int     `json:"repeat" help:"steps that each control is held for"`
	Knots        int     `json:"knots" help:"knots of a spline that is searched in place of the controls; 0: none"`
	Spline       string  `json:"spline" help:"what the knots make: zero (held), linear or cubic"`
	Colour       float64 `json:"colour" help:"exponent of the noise's spectrum over time; 0: white"`
	Shrink       float64 `json:"shrink" help:"share of the samples that each iteration has of the one before, down to twice the elites; 1: all"`
	KeepElites   int     `json:"keep_elites" help:"elites that are candidates again in the next iteration"`
	CarryElites  bool    `json:"carry_elites" help:"those of a plan's last iteration are candidates of the next plan too"`
	Smoothing    float64 `json:"smoothing" help:"share of the old mean and sigma that is kept in each iteration"`
	SampleMean   bool    `json:"sample_mean" help:"make the mean a candidate"`
	Null         bool    `json:"null" help:"make doing nothing a candidate"`
	Best         bool    `json:"best" help:"carry out the best candidate, not the mean of the elites"`
	RatePenalty  float64 `json:"rate_penalty" help:"weight of the squared change of the control from step to step"`
	Milliseconds float64 `json:"milliseconds" help:"time that a plan may take; 0: all iterations are done. With a limit, runs differ from machine to machine"`

	Ensemble int     `json:"ensemble" help:"models, with other parameters of the dynamics each, that a plan must be good for; 0: the one"`
	Spread   float64 `json:"spread" help:"standard deviation of the logarithm of those parameters"`
	Risk     string  `json:"risk" help:"what counts of an ensemble's costs: mean, worst or cvar"`
	Level    float64 `json:"level" help:"share of the ensemble, the worst, over which cvar is the mean"`

	Figures bool `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Default returns the configuration that the program has without flags: the pendulum's swing-up.
func Default() Config {
	return Config{
		Env: "pendulum", Steps: 200, Horizon: 20, Samples: 200, Elites: 20, Iterations: 5, Sigma: 1, Repeat: 1,
		Spline: dcem.SplineCubic.String(), Shrink: 1, Spread: 0.1, Risk: risks[0], Level: 0.2, Figures: true,
	}
}

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	e, err := env.ByName(c.Env)
	if err != nil {
		return fmt.Errorf("env is %q, want one of %s", c.Env, strings.Join(env.Names(), ", "))
	}
	for _, p := range []struct{ name, text string }{{"model", c.Model}, {"plant", c.Plant}} {
		if _, err := changed(e, p.name, p.text); err != nil {
			return err
		}
	}
	if n := len(c.Start); n != 0 && n != e.StateDim() {
		return fmt.Errorf("start has %d numbers, want the %d of %s: %s", n, e.StateDim(), c.Env, strings.Join(e.States(), ", "))
	}
	for i, v := range c.Start {
		if !(math.Abs(v) <= 1e6) {
			return fmt.Errorf("start[%d] is %v, want a number from -1e6 to 1e6", i, v)
		}
	}
	if err := cmp.Or(
		run.Within("steps", c.Steps, 1, 100_000),
		run.Within("horizon", c.Horizon, 1, 500),
		run.Within("samples", c.Samples, 2, 1_000_000),
		run.Within("elites", c.Elites, 1, c.Samples),
		run.Within("iterations", c.Iterations, 1, 100),
		run.Within("repeat", c.Repeat, 1, c.Horizon),
		run.Within("keep_elites", c.KeepElites, 0, c.Elites),
		run.Within("ensemble", c.Ensemble, 0, 1000),
	); err != nil {
		return err
	}
	if c.Knots != 0 && (c.Knots < 2 || c.Knots > c.Horizon || c.Repeat > 1) {
		return fmt.Errorf("knots is %d, want 0, or 2 to horizon = %d with repeat 1", c.Knots, c.Horizon)
	}
	if err := cmp.Or(
		run.Within("sigma", c.Sigma, 1e-6, 1e3),
		run.Within("sigma_min", c.SigmaMin, 0, 1e3),
		run.Within("temperature", c.Temperature, 0, 1e6),
		run.Within("colour", c.Colour, 0, 10),
		run.Within("smoothing", c.Smoothing, 0, 0.999),
		run.Within("rate_penalty", c.RatePenalty, 0, 1e9),
		run.Within("milliseconds", c.Milliseconds, 0, 1e6),
		run.Within("shrink", c.Shrink, 0.01, 1),
		run.Within("spread", c.Spread, 0, 2),
		run.Within("level", c.Level, 1e-3, 1),
	); err != nil {
		return err
	}
	if err := cmp.Or(run.OneOf("spline", c.Spline, splines), run.OneOf("risk", c.Risk, risks)); err != nil {
		return err
	}
	if c.CarryElites && c.KeepElites == 0 {
		return fmt.Errorf("carry_elites is set and keep_elites is 0, want at least 1")
	}
	if n := float64(c.Samples) * float64(max(1, c.Ensemble)) * float64(c.Horizon); n > 1e9 {
		return fmt.Errorf("samples times ensemble times horizon is %g, want at most 1e9", n)
	}
	if t := c.Temperature; t > 0 && t < 1e-6 {
		return fmt.Errorf("temperature is %v, want 0 or at least 1e-6", t)
	}
	return nil
}

// The names of splines and risks, in the order of their values.
var (
	splines = []string{dcem.SplineZero.String(), dcem.SplineLinear.String(), dcem.SplineCubic.String()}
	risks   = []string{"mean", "worst", "cvar"}
)

// changed is e with the parameters in text, name=value,...
func changed(e env.Env, field, text string) (env.Env, error) {
	if text == "" {
		return e, nil
	}
	values := map[string]float64{}
	for _, part := range strings.Split(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if !ok || err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s has %q, want name=number", field, part)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%s has %s twice", field, name)
		}
		known := slices.IndexFunc(e.Params(), func(p env.Param) bool { return p.Name == name })
		if known < 0 {
			var names []string
			for _, p := range e.Params() {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("%s names %q, want one of %s's %s", field, name, e.Name(), strings.Join(names, ", "))
		}
		values[name] = v
	}
	return env.With(e, values)
}

// systems are what the planner believes in and what is controlled.
func (c Config) systems() (model, plant env.Env, err error) {
	e, err := env.ByName(c.Env)
	if err != nil {
		return nil, nil, err
	}
	if model, err = changed(e, "model", c.Model); err != nil {
		return nil, nil, err
	}
	plant, err = changed(model, "plant", c.Plant)
	return model, plant, err
}

// plan is the search of batch problems, each with start values of its own.
func (c Config) plan(e env.Env, batch int) dcem.PlanConfig {
	lower, upper := e.Bounds()
	sigma, floor := make([]float64, len(lower)), 0.0
	for i := range sigma {
		greatest := max(math.Abs(lower[i]), math.Abs(upper[i]))
		sigma[i] = c.Sigma * greatest
		floor = max(floor, c.SigmaMin*greatest)
	}
	p := dcem.PlanConfig{
		Config: dcem.Config{
			Batch: batch, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations, Sigma: sigma, SigmaMin: floor,
			Hard: c.Temperature == 0, Temperature: c.Temperature, Lower: lower, Upper: upper, Seed: c.Seed,
		},
		Horizon: c.Horizon, Repeat: c.Repeat, KeepElites: c.KeepElites, SampleMean: c.SampleMean, Null: c.Null,
		MuSmoothing: c.Smoothing, SigmaSmoothing: c.Smoothing,
	}
	if c.Knots > 0 {
		p.Repeat, p.Knots, p.Spline = 0, c.Knots, dcem.Spline(slices.Index(splines, c.Spline))
	}
	if c.Best {
		p.Answer = dcem.AnswerBest
	}
	if c.Shrink < 1 {
		for n := float64(c.Samples); len(p.Populations) < c.Iterations; n *= c.Shrink {
			p.Populations = append(p.Populations, max(int(n), min(2*c.Elites, c.Samples)))
		}
	}
	if c.Ensemble > 1 {
		p.Particles, p.Risk, p.Level = c.Ensemble, dcem.Risk(slices.Index(risks, c.Risk)), c.Level
	}
	if c.Colour > 0 {
		p.Colour = []float64{c.Colour}
	}
	if c.RatePenalty > 0 {
		p.RatePenalty = []float64{c.RatePenalty}
	}
	return p
}
