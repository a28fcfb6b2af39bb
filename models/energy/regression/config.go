package regression

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	"gorgonia.org/tensor"
)

// Methods of the program.
const (
	DCEM       = "dcem"        // trained through DCEM, predicted with it
	CEMForward = "cem-forward" // trained through DCEM, predicted with vanilla CEM
	GD         = "gd"          // trained through unrolled gradient descent, predicted with it
	Both       = "both"        // DCEM and GD side by side
)

var methods = []string{DCEM, GD, CEMForward, Both}

// Models of the program.
const (
	ModelMLP         = "mlp"
	ModelFeedForward = "feedforward"
	ModelICNN        = "icnn"
)

var models = []string{ModelMLP, ModelFeedForward, ModelICNN}

// Config is the configuration of the program. [Default] is the experiment of the method's paper.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`
	Method  string `json:"method" help:"dcem, gd, cem-forward (trains as dcem, predicts with CEM) or both (dcem and gd)"`
	Updates int    `json:"updates" help:"updates of the parameters, each by one random point" resume:"free"`
	Points  int    `json:"points" help:"points to learn from: x evenly over [0, 2 pi], y = x sin x"`

	Model      string        `json:"model" help:"energy: mlp (a net of x and y), feedforward (|f(x)-y|^2), icnn (convex in y)"`
	Hidden     []int         `json:"hidden" help:"sizes of the net's hidden layers"`
	Activation nn.Activation `json:"activation" help:"between the layers: softplus, relu, elu, tanh, sigmoid or identity"`
	Float64    bool          `json:"float64" help:"compute in float64, not float32"`
	Machine    string        `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`

	Iterations  int       `json:"iterations" help:"iterations of DCEM, or steps of gradient descent"`
	Samples     int       `json:"samples" help:"DCEM: samples per iteration"`
	Elites      int       `json:"elites" help:"DCEM: elite samples, the sum of the weights"`
	Temperature float64   `json:"temperature" help:"DCEM: tau of the soft choice of elites; smaller: closer to CEM"`
	Relaxation  string    `json:"relaxation" help:"DCEM: soft choice of elites: lml, csoftmax or csparsemax"`
	Backprop    int       `json:"backprop" help:"DCEM: last iterations that gradients flow through; 0: all"`
	Sigma       float64   `json:"sigma" help:"DCEM: standard deviation with which each search for y starts"`
	Start       float64   `json:"start" help:"the y at which each search starts"`
	GDRate      float64   `json:"gd_rate" help:"gradient descent: length of a step, times the gradient"`
	Lower       []float64 `json:"lower" help:"lower bound of y; empty: none"`
	Upper       []float64 `json:"upper" help:"upper bound of y; empty: none"`

	Rate     float64 `json:"rate" help:"learning rate of Adam at the start"`
	Clip     float64 `json:"clip" help:"norm to which the gradient is clipped; 0: not at all"`
	Patience int     `json:"patience" help:"validations in a row without a new best that halve the rate; 0: never"`

	ValidateEvery   int  `json:"validate_every" help:"updates between validations, each on all points and fixed noise"`
	CheckpointEvery int  `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Default returns the configuration that the program has without flags.
func Default() Config {
	return Config{
		Method: DCEM, Updates: 5000, Points: 100,
		Model: ModelMLP, Hidden: []int{128, 128, 128}, Activation: nn.Softplus, Machine: train.Engine,
		Iterations: 10, Samples: 100, Elites: 10, Temperature: 1, Relaxation: kernels.LML.String(), Sigma: 7, GDRate: 0.1,
		Rate: 1e-3, Clip: 1, Patience: 20, ValidateEvery: 100, CheckpointEvery: 250, Figures: true,
	}
}

// Limits that keep a typing error from filling the memory or the day: a solve is compiled into a graph that grows
// with its iterations, and the predictions of all points are made at once.
const (
	maxUpdates    = 10_000_000
	maxPoints     = 10_000
	maxSamples    = 100_000
	maxCandidates = 10_000_000 // points * samples
	maxIterations = 100
	maxLayers     = 16
	maxWidth      = 8192
)

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	for _, v := range []struct {
		name, value string
		known       []string
	}{{"method", c.Method, methods}, {"model", c.Model, models}, {"vm", c.Machine, train.Machines}} {
		if !slices.Contains(v.known, v.value) {
			return fmt.Errorf("%s is %q, want %s", v.name, v.value, oneOf(v.known))
		}
	}
	if err := cmp.Or(
		run.Within("updates", c.Updates, 1, maxUpdates),
		run.Within("points", c.Points, 2, maxPoints),
		run.Within("iterations", c.Iterations, 1, maxIterations),
		run.Within("samples", c.Samples, 2, maxSamples),
		run.Within("patience", c.Patience, 0, maxUpdates),
		run.Within("validate_every", c.ValidateEvery, 1, maxUpdates),
		run.Within("checkpoint_every", c.CheckpointEvery, 1, maxUpdates),
	); err != nil {
		return err
	}
	switch {
	case c.Elites < 1 || c.Elites > c.Samples:
		return fmt.Errorf("elites is %d, want 1 to samples = %d", c.Elites, c.Samples)
	case c.Points*c.Samples > maxCandidates:
		return fmt.Errorf("points * samples is %d, want at most %d", c.Points*c.Samples, maxCandidates)
	case c.Backprop < 0 || c.Backprop > c.Iterations:
		return fmt.Errorf("backprop is %d, want 0 (all) to iterations = %d", c.Backprop, c.Iterations)
	case len(c.Hidden) < 1 || len(c.Hidden) > maxLayers:
		return fmt.Errorf("hidden has %d sizes, want 1 to %d", len(c.Hidden), maxLayers)
	}
	for i, n := range c.Hidden {
		if n < 1 || n > maxWidth {
			return fmt.Errorf("hidden[%d] is %d, want 1 to %d", i, n, maxWidth)
		}
	}
	if c.Model == ModelICNN && c.Activation != nn.Softplus && c.Activation != nn.ReLU {
		return fmt.Errorf("activation is %v, want softplus or relu: model icnn is convex with those alone", c.Activation)
	}
	for _, v := range []struct {
		name  string
		value float64
		ok    bool
		want  string
	}{
		{"temperature", c.Temperature, c.Temperature >= 1e-6 && c.Temperature <= 1e6, "1e-6 to 1e6"},
		{"sigma", c.Sigma, c.Sigma > 0 && c.Sigma <= 1e6, "above 0, up to 1e6"},
		{"start", c.Start, math.Abs(c.Start) <= 1e6, "-1e6 to 1e6"},
		{"gd_rate", c.GDRate, c.GDRate > 0 && c.GDRate <= 1e6, "above 0, up to 1e6"},
		{"rate", c.Rate, c.Rate > 0 && c.Rate <= 1e3, "above 0, up to 1e3"},
		{"clip", c.Clip, c.Clip >= 0 && c.Clip <= 1e6, "0 to 1e6"},
	} {
		if !v.ok {
			return fmt.Errorf("%s is %v, want %s", v.name, v.value, v.want)
		}
	}
	if _, err := kernels.ParseRelaxation(c.Relaxation); err != nil {
		return fmt.Errorf("relaxation is %q, want lml, csoftmax or csparsemax", c.Relaxation)
	}
	if len(c.Lower) > 1 || len(c.Upper) > 1 {
		return fmt.Errorf("lower has %d numbers and upper %d, want at most one each", len(c.Lower), len(c.Upper))
	}
	if len(c.Lower) == 1 && len(c.Upper) == 1 && !(c.Lower[0] < c.Upper[0]) {
		return fmt.Errorf("lower is %v and upper is %v, want lower below upper", c.Lower[0], c.Upper[0])
	}
	return nil
}

// oneOf is "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// trainsThroughGD says which of the two ways to train the method is.
func (c Config) trainsThroughGD() bool { return c.Method == GD }

// solve is the search for y of the given number of points.
func (c Config) solve(batch int) dcem.Config {
	r, err := kernels.ParseRelaxation(c.Relaxation)
	if err != nil {
		panic("regression: Config was not validated: " + err.Error())
	}
	return dcem.Config{
		Batch: batch, Dim: 1, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
		Temperature: c.Temperature, Relaxation: r, Mu: []float64{c.Start}, Sigma: []float64{c.Sigma},
		Lower: c.Lower, Upper: c.Upper, Seed: c.Seed, Dtype: c.dtype(),
	}
}

// descent is gradient descent on y for the given number of points.
func (c Config) descent(batch int) dcem.GDConfig {
	return dcem.GDConfig{
		Batch: batch, Dim: 1, Iterations: c.Iterations, Rate: c.GDRate, Y0: []float64{c.Start},
		Lower: c.Lower, Upper: c.Upper, Dtype: c.dtype(),
	}
}

func (c Config) dtype() tensor.Dtype {
	if c.Float64 {
		return tensor.Float64
	}
	return tensor.Float32
}

// energy is the energy model.
func (c Config) energy() energy.Config {
	return energy.Config{
		InputDim: 1, OutputDim: 1, Hidden: c.Hidden, Activation: c.Activation, Dtype: c.dtype(), Seed: c.Seed,
	}
}

// optimizer is the update rule at the given learning rate.
func (c Config) optimizer(rate float64) kernels.Optimizer {
	return kernels.Optimizer{Rate: rate, ClipNorm: c.Clip}
}
