// Package energy has energy models: functions E(x, y) whose minimiser over y is the prediction for x. Trained through
// an unrolled solver, an energy learns to have its minimum where the data is.
//
//	model, err := energy.NewMLP(g, energy.Config{InputDim: 1, OutputDim: 1, Hidden: []int{128, 128, 128}})
//	solve, err := dcem.Unroll(g, energy.Objective(model, x), dcem.Config{Batch: 100, Dim: 1, Sigma: []float64{7}})
//	// solve.Answer is the prediction; differentiate a loss on it with respect to model.Params().Nodes()
package energy

import (
	"fmt"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Model is an energy E(x, y), batched over problems and candidates.
type Model interface {
	// Energy adds the energies, shape (B, N), of candidates y, shape (B, N, dy), for the problems' inputs x, shape (B,
	// dx).
	Energy(x, y *G.Node) (*G.Node, error)
	// Params are the parameters, in a fixed order.
	Params() nn.Params
	// Share is the model in another graph with the same memory for its parameters, to predict with while it trains.
	Share(g *G.ExprGraph) (Model, error)
}

// Objective is the energy at fixed inputs x, shape (B, dx), as a function of y alone: what a solver minimises.
func Objective(m Model, x *G.Node) dcem.Objective {
	return func(y *G.Node) (*G.Node, error) { return m.Energy(x, y) }
}

// Config configures the models of this package.
type Config struct {
	InputDim  int // dx; required
	OutputDim int // dy; required

	Name       string        // stands before the parameters' names; "" means "energy"
	Hidden     []int         // hidden sizes; nil means 128, 128, 128
	Activation nn.Activation // between layers; the zero value, nn.Identity, means nn.Softplus
	Dtype      tensor.Dtype  // tensor.Float32 (the zero value means this) or tensor.Float64
	Seed       uint64        // of the start values
	Init, Bias nn.Init       // start values of weights and biases; nil means PyTorch's for linear layers
}

func (c Config) withDefaults(fn string) (Config, error) {
	if c.InputDim < 1 || c.OutputDim < 1 {
		return c, fmt.Errorf("energy: %s: InputDim = %d, OutputDim = %d, want at least 1", fn, c.InputDim, c.OutputDim)
	}
	if c.Name == "" {
		c.Name = "energy"
	}
	if c.Hidden == nil {
		c.Hidden = []int{128, 128, 128}
	}
	if c.Activation == nn.Identity {
		c.Activation = nn.Softplus
	}
	return c, nil
}

// sizes are the layers' widths from in to out.
func (c Config) sizes(in, out int) []int {
	return append(append([]int{in}, c.Hidden...), out)
}

func (c Config) mlp(name string, in, out int) nn.MLPConfig {
	return nn.MLPConfig{Name: name, Sizes: c.sizes(in, out), Activation: c.Activation, Dtype: c.Dtype, Seed: c.Seed, Init: c.Init, Bias: c.Bias}
}

// check verifies the shapes of x and y and returns B and N.
func (c Config) check(fn string, x, y *G.Node) (b, n int, err error) {
	if x == nil || y == nil {
		return 0, 0, fmt.Errorf("energy: %s: x and y must not be nil", fn)
	}
	xs, ys := x.Shape(), y.Shape()
	if len(xs) != 2 || xs[1] != c.InputDim {
		return 0, 0, fmt.Errorf("energy: %s: x has shape %v, want (B, %d)", fn, xs, c.InputDim)
	}
	if len(ys) != 3 || ys[0] != xs[0] || ys[2] != c.OutputDim {
		return 0, 0, fmt.Errorf("energy: %s: y has shape %v, want (%d, N, %d)", fn, ys, xs[0], c.OutputDim)
	}
	return ys[0], ys[1], nil
}
