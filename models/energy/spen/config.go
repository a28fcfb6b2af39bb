package spen

import (
	"cmp"
	"fmt"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
)

// Methods of the program.
const (
	DCEM        = "dcem" // the energy network, its labels found by DCEM
	GD          = "gd"   // the same by unrolled gradient descent
	FeedForward = "ff"   // a net that predicts each label
	All         = "all"  // one after the other
)

var (
	methods = []string{DCEM, GD, FeedForward, All}
	sides   = methods[:3] // of All
)

// Config is the configuration of the program.
type Config struct {
	Seed    uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`
	Method  string `json:"method" help:"what is trained: dcem, gd, ff or all (one after the other)"`
	Updates int    `json:"updates" help:"updates of each net"`
	Batch   int    `json:"batch" help:"rows of an update"`

	Rows           int `json:"rows" help:"rows to train on"`
	ValidationRows int `json:"validation_rows" help:"rows of validations: the state that does best there is kept"`
	TestRows       int `json:"test_rows" help:"rows to judge the kept state on"`

	Hidden      int    `json:"hidden" help:"hidden units of the net for each label by itself"`
	Interaction int    `json:"interaction" help:"hidden units of the net for labels together; ff gets as many parameters"`
	Machine     string `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`

	Iterations  int     `json:"iterations" help:"iterations of DCEM"`
	Samples     int     `json:"samples" help:"DCEM: samples per iteration"`
	Elites      int     `json:"elites" help:"DCEM: elite samples, the sum of the weights"`
	Temperature float64 `json:"temperature" help:"DCEM: tau of the soft choice of elites; smaller: closer to CEM"`
	Sigma       float64 `json:"sigma" help:"DCEM: standard deviation with which each search starts, within [0, 1]"`
	Descent     int     `json:"descent" help:"gradient descent: steps"`
	GDRate      float64 `json:"gd_rate" help:"gradient descent: length of a step, times the gradient"`

	Rate            float64 `json:"rate" help:"learning rate of Adam at the start; it falls to a tenth by the end"`
	Clip            float64 `json:"clip" help:"norm to which the gradient is clipped; 0: not at all"`
	ValidateEvery   int     `json:"validate_every" help:"updates between validations"`
	CheckpointEvery int     `json:"checkpoint_every" help:"updates between checkpoints" resume:"free"`
	Figures         bool    `json:"figures" help:"draw the figures and the report at the end" resume:"free"`
}

// Default returns the configuration that the program has without flags: a training of minutes.
func Default() Config {
	return Config{
		Method: All, Updates: 1500, Batch: 50, Rows: 2000, ValidationRows: 500, TestRows: 2000,
		Hidden: 64, Interaction: 64, Machine: train.Engine,
		Iterations: 10, Samples: 100, Elites: 10, Temperature: 0.2, Sigma: 0.5, Descent: 20, GDRate: 0.02,
		Rate: 1e-2, Clip: 1, ValidateEvery: 50, CheckpointEvery: 100, Figures: true,
	}
}

// Limits that keep a typing error from filling the memory or the day.
const (
	maxUpdates    = 10_000_000
	maxRows       = 1_000_000
	maxWidth      = 8192
	maxIterations = 200
	maxCandidates = 10_000_000
)

// Validate returns an error that names the first field that is out of its range.
func (c Config) Validate() error {
	if err := run.OneOf("method", c.Method, methods); err != nil {
		return err
	}
	if err := run.OneOf("vm", c.Machine, train.Machines); err != nil {
		return err
	}
	if err := cmp.Or(
		run.Within("updates", c.Updates, 1, maxUpdates),
		run.Within("batch", c.Batch, 1, 10_000),
		run.Within("rows", c.Rows, 1, maxRows),
		run.Within("validation_rows", c.ValidationRows, 1, 10_000),
		run.Within("test_rows", c.TestRows, 1, maxRows),
		run.Within("hidden", c.Hidden, 1, maxWidth),
		run.Within("interaction", c.Interaction, 1, maxWidth),
		run.Within("iterations", c.Iterations, 1, maxIterations),
		run.Within("samples", c.Samples, 2, 100_000),
		run.Within("elites", c.Elites, 1, c.Samples),
		run.Within("descent", c.Descent, 1, maxIterations),
		run.Within("validate_every", c.ValidateEvery, 1, maxUpdates),
		run.Within("checkpoint_every", c.CheckpointEvery, 1, maxUpdates),
	); err != nil {
		return err
	}
	if n := c.Samples * max(c.Batch, c.ValidationRows); n > maxCandidates {
		return fmt.Errorf("samples times batch or validation_rows is %d, want at most %d", n, maxCandidates)
	}
	if err := cmp.Or(
		run.Within("temperature", c.Temperature, 1e-6, 1e6),
		run.Within("sigma", c.Sigma, 1e-6, 1e6),
		run.Within("gd_rate", c.GDRate, 1e-12, 1e6),
		run.Within("rate", c.Rate, 1e-12, 1e3),
		run.Within("clip", c.Clip, 0, 1e6),
	); err != nil {
		return err
	}
	return nil
}

// start is where every search begins: each label as likely as the next.
const start = float64(Holding) / Labels

func (c Config) solve(batch int) dcem.Config {
	return dcem.Config{Batch: batch, Dim: Labels, Samples: c.Samples, Elites: c.Elites, Iterations: c.Iterations,
		Temperature: c.Temperature, Mu: []float64{start}, Sigma: []float64{c.Sigma}, Lower: []float64{0}, Upper: []float64{1},
		Seed: c.Seed}
}

func (c Config) descent(batch int) dcem.GDConfig {
	return dcem.GDConfig{Batch: batch, Dim: Labels, Iterations: c.Descent, Rate: c.GDRate, Y0: []float64{start},
		Lower: []float64{0}, Upper: []float64{1}}
}

func (c Config) optimizer() kernels.Optimizer {
	return kernels.Optimizer{Rate: c.Rate, ClipNorm: c.Clip}
}

// rateAt is the learning rate of an update: a tenth of the first at the last, geometrically.
func (c Config) rateAt(step int) float64 {
	return c.Rate * tenth(float64(step-1)/float64(max(1, c.Updates-1)))
}
