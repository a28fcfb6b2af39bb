package embed

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Methods of the program.
const (
	DCEM = "dcem" // searches the latent space by DCEM
	GD   = "gd"   // by unrolled gradient descent
	Both = "both" // one after the other
)

var methods = []string{DCEM, GD, Both}

// Config is the configuration of the program.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`
	Preset  string `json:"preset" help:"quick: minutes; full: a quarter of an hour or more, for plans close to the strong expert's"`
	Method  string `json:"method" help:"search over the latent space: dcem, gd or both (one after the other)"`
	Updates int    `json:"updates" help:"updates of the decoder; 0: the preset's" resume:"free"`
	Batch   int    `json:"batch" help:"initial states of an update; 0: the preset's"`
	Along   int    `json:"along" help:"how many of these lie along closed loops of the controller's own; the others are random"`

	Horizon int    `json:"horizon" help:"steps of a plan"`
	Latent  int    `json:"latent" help:"dimensions of the latent space"`
	Hidden  []int  `json:"hidden" help:"sizes of the decoder's hidden layers"`
	Float64 bool   `json:"float64" help:"compute in float64, not float32"`
	Machine string `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`

	Iterations  int     `json:"iterations" help:"iterations of DCEM, or steps of gradient descent"`
	Samples     int     `json:"samples" help:"DCEM: samples per iteration"`
	Elites      int     `json:"elites" help:"DCEM: elite samples, the sum of the weights"`
	Temperature float64 `json:"temperature" help:"DCEM: tau of the soft choice of elites; smaller: closer to CEM"`
	Sigma       float64 `json:"sigma" help:"DCEM: standard deviation with which each search starts, at the middle"`
	Answer      string  `json:"answer" help:"DCEM: what a search ends with: mean of its last distribution, or best of all it has tried; empty: the preset's"`
	Learn       string  `json:"learn" help:"DCEM: whose cost updates learn from: mean, through the search, or best, as found; empty: the preset's"`
	Backprop    int     `json:"backprop" help:"DCEM: last iterations that gradients flow through; 0: all"`
	GDBackprop  int     `json:"gd_backprop" help:"gradient descent: last steps that gradients flow through; 0: all"`
	GDRate      float64 `json:"gd_rate" help:"gradient descent: rate of a step, which is that times the gradient where it is short"`
	GDStep      float64 `json:"gd_step" help:"gradient descent: longest step; times the iterations at most 1"`

	Rate     float64 `json:"rate" help:"learning rate of Adam at the start"`
	Clip     float64 `json:"clip" help:"norm to which the gradient is clipped; 0: not at all"`
	Patience int     `json:"patience" help:"validations in a row without a new best that halve the rate; 0: never, -1: the preset's"`
	Halvings int     `json:"halvings" help:"halvings of the rate after which the training ends before its last update; 0: never, -1: the preset's"`

	States          int  `json:"states" help:"fixed initial states of validations; the best is judged on as many others"`
	Episodes        int  `json:"episodes" help:"closed loops: from hanging at rest, and from random states"`
	Episode         int  `json:"episode" help:"steps of a closed loop"`
	ValidateEvery   int  `json:"validate_every" help:"updates between validations"`
	CheckpointEvery int  `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Presets of the program.
const (
	Quick = "quick" // minutes
	Full  = "full"  // a quarter of an hour or more
)

var presets = []string{Quick, Full}

// Answers of a search by DCEM.
const (
	Mean = "mean" // the mean of the last distribution, as published
	Best = "best" // the candidate of least cost of all that were tried, in whatever iteration
)

var answers = []string{Mean, Best}

// Default returns the configuration that the program has without flags: a training of minutes, which learns through the
// search, as published. (The full preset learns from the best plan tried, its latents held fixed, and plans with that.)
//
// Gradients flow through the last iterations of the search alone. Through all ten, in which sigma falls from 0.5 to
// 0.02, their norm had a median of 54 in 300 updates, and went up to 1e7 (--backprop 0 --temperature 0.3): clipped to
// 1, many updates are noise. With two of ten (--backprop 2) the median is 7, plans are better, and an update takes half
// the time. But what is cut off is what knows whether a landscape is easy to search: after some hundred updates the
// plans become worse again, though cheap ones are still in the square. Five of ten stay good for longer.
func Default() Config {
	return Config{
		Method: DCEM, Preset: Quick, Horizon: 20, Latent: 2, Hidden: []int{256, 256, 256}, Machine: train.Engine,
		Iterations: 10, Samples: 100, Elites: 10, Temperature: 0.1, Backprop: 5, Sigma: 0.5, GDBackprop: 1, GDRate: 0.003, GDStep: 0.1,
		Rate: 5e-4, Clip: 1, Patience: -1, Halvings: -1, States: 100, Episodes: 10, Episode: 100,
		ValidateEvery: 25, CheckpointEvery: 100, Figures: true,
	}
}

// Filled is c with the preset's values where none are given.
func (c Config) Filled() Config {
	updates, batch, patience, halvings, answer := 1500, 16, 10, 0, Mean
	if c.Preset == Full {
		updates, batch, patience, halvings, answer = 10_000, 32, 4, 6, Best
	}
	if c.Answer == "" {
		c.Answer = answer
	}
	if c.Learn == "" {
		c.Learn = answer
	}
	if c.Patience < 0 {
		c.Patience = patience
	}
	if c.Updates == 0 {
		c.Updates = updates
	}
	if c.Batch == 0 {
		c.Batch = batch
	}
	if c.Halvings < 0 {
		c.Halvings = halvings
	}
	return c
}

// Limits that keep a typing error from filling the memory or the day.
const (
	maxUpdates    = 10_000_000
	maxBatch      = 10_000
	maxCandidates = 10_000_000 // of an iteration, over all problems
	maxHorizon    = 200
	maxIterations = 100
	maxLatent     = 64
	maxLayers     = 16
	maxWidth      = 8192
)

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	if !slices.Contains(methods, c.Method) {
		return fmt.Errorf("method is %q, want one of %s", c.Method, strings.Join(methods, ", "))
	}
	if !slices.Contains(presets, c.Preset) {
		return fmt.Errorf("preset is %q, want one of %s", c.Preset, strings.Join(presets, ", "))
	}
	if !slices.Contains(train.Machines, c.Machine) {
		return fmt.Errorf("vm is %q, want one of %s", c.Machine, strings.Join(train.Machines, ", "))
	}
	for name, answer := range map[string]string{"answer": c.Answer, "learn": c.Learn} {
		if answer != "" && !slices.Contains(answers, answer) {
			return fmt.Errorf("%s is %q, want one of %s", name, answer, strings.Join(answers, ", "))
		}
	}
	for _, v := range []struct {
		name      string
		value     int
		low, high int
	}{
		{"updates", c.Updates, 0, maxUpdates},
		{"batch", c.Batch, 0, maxBatch},
		{"horizon", c.Horizon, 1, maxHorizon},
		{"latent", c.Latent, 1, maxLatent},
		{"iterations", c.Iterations, 1, maxIterations},
		{"samples", c.Samples, 2, maxCandidates},
		{"elites", c.Elites, 1, c.Samples},
		{"along", c.Along, 0, c.Filled().Batch},
		{"backprop", c.Backprop, 0, maxIterations},
		{"gd_backprop", c.GDBackprop, 0, maxIterations},
		{"patience", c.Patience, -1, maxUpdates},
		{"halvings", c.Halvings, -1, 1000},
		{"states", c.States, 1, maxBatch},
		{"episodes", c.Episodes, 1, 1000},
		{"episode", c.Episode, 2, 10_000},
		{"validate_every", c.ValidateEvery, 1, maxUpdates},
		{"checkpoint_every", c.CheckpointEvery, 1, maxUpdates},
	} {
		if v.value < v.low || v.value > v.high {
			return fmt.Errorf("%s is %d, want %d to %d", v.name, v.value, v.low, v.high)
		}
	}
	if most := max(c.Filled().Batch, c.States) * c.Samples; most > maxCandidates {
		return fmt.Errorf("samples times batch or states is %d, want at most %d", most, maxCandidates)
	}
	if len(c.Hidden) > maxLayers {
		return fmt.Errorf("hidden has %d sizes, want at most %d", len(c.Hidden), maxLayers)
	}
	for i, n := range c.Hidden {
		if n < 1 || n > maxWidth {
			return fmt.Errorf("hidden[%d] is %d, want 1 to %d", i, n, maxWidth)
		}
	}
	for _, v := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"temperature", c.Temperature, 1e-6, 1e6},
		{"sigma", c.Sigma, 1e-6, 1e6},
		{"gd_rate", c.GDRate, 1e-12, 1e6},
		{"gd_step", c.GDStep, 1e-12, 1},
		{"rate", c.Rate, 1e-12, 1e3},
		{"clip", c.Clip, 0, 1e6},
	} {
		if !(v.value >= v.low && v.value <= v.high) {
			return fmt.Errorf("%s is %v, want %g to %g", v.name, v.value, v.low, v.high)
		}
	}
	// Else descent would leave the square. (0.1 times 10 is 1, but 0.1 is a little more than that.)
	if reach := c.GDStep * float64(c.Iterations); c.Method != DCEM && reach > 1+1e-9 {
		return fmt.Errorf("gd_step times iterations is %g, want at most 1: steps of that length leave the square", reach)
	}
	return nil
}

// system is what is controlled.
func (c Config) system() env.Env { return env.Cartpole{} }

func (c Config) dtype() tensor.Dtype {
	if c.Float64 {
		return tensor.Float64
	}
	return tensor.Float32
}

// decoder adds the decoder to a graph.
func (c Config) decoder(g *G.ExprGraph) (*Decoder, error) {
	return NewDecoder(g, DecoderConfig{Env: c.system(), Latent: c.Latent, Hidden: c.Hidden, Horizon: c.Horizon,
		Dtype: c.dtype(), Seed: c.Seed})
}

// solve is DCEM over the latent space.
func (c Config) solve(batch int) dcem.Config {
	last := c.Backprop
	if last >= c.Iterations {
		last = 0 // all
	}
	return dcem.Config{
		Backprop: last, Batch: batch, Dim: c.Latent, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
		Temperature: c.Temperature, Sigma: []float64{c.Sigma}, Lower: []float64{-1}, Upper: []float64{1},
		Seed: c.Seed, Dtype: c.dtype(),
	}
}

func (c Config) optimizer() kernels.Optimizer {
	return kernels.Optimizer{Rate: c.Rate, ClipNorm: c.Clip}
}
