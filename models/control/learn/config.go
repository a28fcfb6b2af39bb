// Package learn learns what a controller is made of from what an expert does, by gradients through the controller: the
// pendulum's mass and length, or the weights of its cost.
package learn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	"gorgonia.org/tensor"
)

// What is learnt: the programs' names, in their checkpoints too.
const (
	Dynamics = "learn-dynamics"
	Cost     = "learn-cost"
)

// Where the noise of expert and learner comes from.
const (
	Common      = "common"      // the expert searches with the learner's noise
	Independent = "independent" // the expert's plans were made once, with noise of their own
)

// Experts.
const (
	Soft = "soft" // the learner's controller with the true parameters
	Hard = "hard" // the same with a hard choice of elites: vanilla CEM
)

// Config is the configuration of the programs.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`
	Updates int    `json:"updates" help:"updates of the parameters"`
	Plans   int    `json:"plans" help:"initial states from which the expert has planned"`
	Noise   string `json:"noise" help:"common: the expert's noise is the learner's; independent: it is not"`
	Expert  string `json:"expert" help:"soft: the learner's controller; hard: vanilla CEM"`

	Start []float64 `json:"start" help:"start values of what is learnt, in the order of the table that is printed"`

	Horizon     int     `json:"horizon" help:"steps of a plan"`
	Samples     int     `json:"samples" help:"samples per iteration"`
	Elites      int     `json:"elites" help:"elite samples"`
	Iterations  int     `json:"iterations" help:"iterations of a plan"`
	Temperature float64 `json:"temperature" help:"tau of the soft choice of elites; smaller: closer to CEM"`

	Rate            float64 `json:"rate" help:"learning rate of Adam at the start; it falls to a hundredth over the last third, unless values are averaged"`
	Clip            float64 `json:"clip" help:"norm to which the gradient of an update is clipped; 0: not at all"`
	Average         float64 `json:"average" help:"share of the updates, the last ones, over whose values the answer is averaged; 0: the last value"`
	Machine         string  `json:"vm" help:"what runs the graph: engine (compiled) or tape (Gorgonia's TapeMachine)"`
	CheckpointEvery int     `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool    `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Default returns the configuration that a program has without flags.
func Default(kind string) Config {
	c := Config{
		Updates: 1000, Plans: 10, Noise: Common, Expert: Soft, Start: []float64{1.4, 0.75}, Horizon: 20, Samples: 200, Elites: 20,
		Iterations: 5, Temperature: 0.5, Rate: 0.05, Machine: train.Engine, CheckpointEvery: 50, Figures: true,
	}
	if kind == Cost { // a flat valley leads to the answer; a softer choice of elites makes it less flat
		c.Start, c.Temperature = []float64{1, 0.4, 0.05}, 2
	} else { // with some noises a plan swings to the other side, with a thousand times the gradient
		c.Clip = 0.05
	}
	return c
}

// Learnt are the names of what a program learns, parameters of the pendulum.
func Learnt(kind string) []string {
	if kind == Dynamics {
		return []string{"mass", "length"}
	}
	return []string{"weight_cos", "weight_sin", "weight_dth"}
}

// system is what is controlled, Learnt's true values among its defaults.
var system env.Env = env.Pendulum{}

// Truth are the values that the expert knows.
func Truth(kind string) (v []float64) {
	for _, name := range Learnt(kind) {
		at := slices.IndexFunc(system.Params(), func(p env.Param) bool { return p.Name == name })
		v = append(v, system.Params()[at].Value)
	}
	return v
}

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate(kind string) error {
	if err := cmp.Or(
		run.Within("updates", c.Updates, 1, 1_000_000),
		run.Within("plans", c.Plans, 1, 10_000),
		run.Within("horizon", c.Horizon, 1, 200),
		run.Within("samples", c.Samples, 2, 100_000),
		run.Within("elites", c.Elites, 1, c.Samples),
		run.Within("iterations", c.Iterations, 1, 100),
		run.Within("checkpoint_every", c.CheckpointEvery, 1, 1_000_000),
	); err != nil {
		return err
	}
	if n := c.Samples * c.Plans; n > 1_000_000 {
		return fmt.Errorf("samples times plans is %d, want at most 1000000", n)
	}
	if err := cmp.Or(
		run.OneOf("noise", c.Noise, []string{Common, Independent}),
		run.OneOf("expert", c.Expert, []string{Soft, Hard}),
		run.OneOf("vm", c.Machine, train.Machines),
	); err != nil {
		return err
	}
	if names := Learnt(kind); len(c.Start) != len(names) {
		return fmt.Errorf("start has %d numbers, want %s", len(c.Start), strings.Join(names, ","))
	}
	for i, v := range c.Start {
		if !(v >= 1e-3 && v <= 1e3) {
			return fmt.Errorf("start[%d] is %v, want 0.001 to 1000", i, v)
		}
	}
	if err := cmp.Or(
		run.Within("temperature", c.Temperature, 1e-6, 1e6),
		run.Within("rate", c.Rate, 1e-9, 10),
		run.Within("average", c.Average, 0, 1),
		run.Within("clip", c.Clip, 0, 1e6),
	); err != nil {
		return err
	}
	return nil
}

// plan is the controller of learner and expert.
func (c Config) plan() dcem.PlanConfig {
	lower, upper := system.Bounds()
	return dcem.PlanConfig{
		Config: dcem.Config{Batch: c.Plans, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
			Temperature: c.Temperature, Sigma: upper, Lower: lower, Upper: upper, Seed: c.Seed, Dtype: tensor.Float64},
		Horizon: c.Horizon,
	}
}

// optimizer is Adam. With independent noise it has a short memory of the gradients' squares, which some noises make a
// thousand times what they are with others. With common noise gradients vanish at the truth, and the long memory makes
// steps as small.
func (c Config) optimizer() kernels.Optimizer {
	o := kernels.Optimizer{Rate: c.Rate, ClipNorm: c.Clip}
	if c.Noise == Independent {
		o.Beta2 = 0.95
	}
	return o
}

// rateAt is the learning rate of an update: over the last third it falls to a hundredth, geometrically. With averaging
// it stays: the average is what settles.
func (c Config) rateAt(step int) float64 {
	tail := float64(step)/float64(c.Updates) - 2.0/3
	if c.Average > 0 || tail <= 0 {
		return c.Rate
	}
	return c.Rate * math.Pow(100, -3*tail)
}
