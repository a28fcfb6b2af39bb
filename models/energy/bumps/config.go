package bumps

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	"gorgonia.org/tensor"
)

// Config is the configuration of the program. [Default] is the method's usual demonstration.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all noise: the same seed gives the same run, bit for bit"`
	Updates int    `json:"updates" help:"updates of the objective's parameters" resume:"free"`

	Params []float64 `json:"params" help:"a,p,q of each of the three bumps at the start: its depth and its centre"`
	Target []float64 `json:"target" help:"x,y where the minimum is to go"`

	Samples     int       `json:"samples" help:"samples per iteration of a solve"`
	Elites      int       `json:"elites" help:"elite samples: the sum of the weights"`
	Iterations  int       `json:"iterations" help:"iterations of a solve"`
	Temperature float64   `json:"temperature" help:"tau of the soft choice of elites: the smaller, the closer to vanilla CEM"`
	Relaxation  string    `json:"relaxation" help:"soft choice of elites: lml, csoftmax or csparsemax"`
	Mu          []float64 `json:"mu" help:"x,y where each solve starts"`
	Sigma       float64   `json:"sigma" help:"standard deviation with which each solve starts"`
	Lower       []float64 `json:"lower" help:"lower bounds of the samples, x,y or one for both; empty: none"`
	Upper       []float64 `json:"upper" help:"upper bounds of the samples, x,y or one for both; empty: none"`

	Rate     float64 `json:"rate" help:"learning rate of RMSProp"`
	Decay    float64 `json:"decay" help:"RMSProp's decay of the mean square (alpha in PyTorch)"`
	Momentum float64 `json:"momentum" help:"RMSProp's momentum"`

	Machine string `json:"vm" help:"what runs the graph: engine (compiled) or tape (Gorgonia's TapeMachine)"`

	CEMSigma        float64 `json:"cem_sigma" help:"standard deviation with which vanilla CEM starts its search"`
	ValidateEvery   int     `json:"validate_every" help:"updates between validations: mean losses of 20 solves on fixed noise"`
	CheckpointEvery int     `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool    `json:"figures" help:"draw the figures and write the report at the end" resume:"free"`
}

// Default returns the configuration that the program has without flags.
func Default() Config {
	return Config{
		Updates: 50, Params: Initial(), Target: []float64{0, 1.25},
		Samples: 100, Elites: 10, Iterations: 10, Temperature: 1, Relaxation: kernels.LML.String(),
		Mu: []float64{-1, 1}, Sigma: 0.3,
		Rate: 1e-2, Decay: 0.99, Momentum: 0.1, Machine: train.Engine,
		CEMSigma: 1, ValidateEvery: 5, CheckpointEvery: 10, Figures: true,
	}
}

// Limits that keep a typing error from filling the memory or the day: a solve is compiled into a graph that grows
// with its iterations, and every checkpoint holds the parameters after every update.
const (
	maxUpdates    = 100_000
	maxSamples    = 100_000
	maxIterations = 100
)

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	if err := cmp.Or(
		run.Within("updates", c.Updates, 1, maxUpdates),
		run.Within("samples", c.Samples, 2, maxSamples),
		run.Within("iterations", c.Iterations, 1, maxIterations),
		run.Within("validate_every", c.ValidateEvery, 1, maxUpdates),
		run.Within("checkpoint_every", c.CheckpointEvery, 1, maxUpdates),
	); err != nil {
		return err
	}
	if !slices.Contains(train.Machines, c.Machine) {
		return fmt.Errorf("vm is %q, want engine or tape", c.Machine)
	}
	if c.Elites < 1 || c.Elites > c.Samples {
		return fmt.Errorf("elites is %d, want 1 to samples = %d", c.Elites, c.Samples)
	}
	for _, v := range []struct {
		name   string
		values []float64
		n      int
	}{{"params", c.Params, NumParams}, {"target", c.Target, 2}, {"mu", c.Mu, 2}} {
		if len(v.values) != v.n {
			return fmt.Errorf("%s has %d numbers, want %d", v.name, len(v.values), v.n)
		}
		for i, x := range v.values {
			if !(math.Abs(x) <= 1e6) {
				return fmt.Errorf("%s[%d] is %v, want a number from -1e6 to 1e6", v.name, i, x)
			}
		}
	}
	for _, v := range []struct {
		name  string
		value float64
		ok    bool
		want  string
	}{
		{"temperature", c.Temperature, c.Temperature >= 1e-6 && c.Temperature <= 1e6, "1e-6 to 1e6"},
		{"sigma", c.Sigma, c.Sigma > 0 && c.Sigma <= 1e6, "above 0, up to 1e6"},
		{"cem_sigma", c.CEMSigma, c.CEMSigma > 0 && c.CEMSigma <= 1e6, "above 0, up to 1e6"},
		{"rate", c.Rate, c.Rate > 0 && c.Rate <= 1e3, "above 0, up to 1e3"},
		{"decay", c.Decay, c.Decay > 0 && c.Decay < 1, "between 0 and 1"},
		{"momentum", c.Momentum, c.Momentum >= 0 && c.Momentum < 1, "at least 0, below 1"},
	} {
		if !v.ok {
			return fmt.Errorf("%s is %v, want %s", v.name, v.value, v.want)
		}
	}
	if _, err := kernels.ParseRelaxation(c.Relaxation); err != nil {
		return fmt.Errorf("relaxation is %q, want lml, csoftmax or csparsemax", c.Relaxation)
	}
	return c.validateBounds()
}

func (c Config) validateBounds() error {
	for _, v := range []struct {
		name   string
		values []float64
	}{{"lower", c.Lower}, {"upper", c.Upper}} {
		if n := len(v.values); n > 2 {
			return fmt.Errorf("%s has %d numbers, want x,y or one for both", v.name, n)
		}
	}
	if len(c.Lower) == 0 || len(c.Upper) == 0 {
		return nil
	}
	for i, axis := range []string{"x", "y"} {
		lo, hi := c.Lower[i%len(c.Lower)], c.Upper[i%len(c.Upper)]
		if !(lo < hi) {
			return fmt.Errorf("lower is %v and upper is %v in %s, want lower below upper", lo, hi, axis)
		}
	}
	return nil
}

// solve is the method's configuration for the given number of problems.
func (c Config) solve(batch int) dcem.Config {
	r, err := kernels.ParseRelaxation(strings.ToLower(c.Relaxation))
	if err != nil {
		panic("bumps: Config was not validated: " + err.Error())
	}
	return dcem.Config{
		Batch: batch, Dim: 2, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
		Temperature: c.Temperature, Relaxation: r, Mu: c.Mu, Sigma: []float64{c.Sigma}, Lower: c.Lower, Upper: c.Upper,
		Seed: c.Seed, Dtype: tensor.Float64,
	}
}

// optimizer is the update rule.
func (c Config) optimizer() kernels.Optimizer {
	return kernels.Optimizer{Method: kernels.RMSProp, Rate: c.Rate, Decay: c.Decay, Momentum: c.Momentum}
}
