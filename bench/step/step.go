// Package step has the training steps that benchmarks measure: the regression and the cartpole of the method's paper, of
// any size.
package step

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The setting of the method's paper.
const (
	Samples    = 100
	Elites     = 10
	Iterations = 10
	Sigma0     = 7 // of the regression
	NoiseSeed  = 1
)

// Models.
const (
	Regression = "regression"
	Cartpole   = "cartpole"
)

// A Case is one training step.
type Case struct {
	Model string // Regression (the zero value means this) or Cartpole
	Batch int
	Dtype tensor.Dtype

	// Sizes; 0 is that of the paper.
	Samples, Iterations int
	Horizon, Dim        int // of the cartpole's plans and of its latent space
}

// A Graph is the case's in Gorgonia's words.
type Graph struct {
	G         *G.ExprGraph
	Loss, Run *G.Node
	Params    nn.Params
	Data      nn.Params // the inputs: x and truth, or x0
}

// An Input is a named array.
type Input struct {
	Name   string
	Values []float64
	Shape  []int
}

// Size is the case with the paper's sizes in place of zeros.
func (c Case) Size() Case {
	or := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	if c.Model == "" {
		c.Model = Regression
	}
	or(&c.Samples, Samples)
	or(&c.Iterations, Iterations)
	if c.Model == Cartpole {
		or(&c.Horizon, Horizon)
		or(&c.Dim, Latent)
	} else {
		c.Horizon, c.Dim = 0, 1
	}
	return c
}

// Adam is the rule that moves the parameters.
func (c Case) Adam() kernels.Optimizer {
	if c.Model == Cartpole {
		return kernels.Optimizer{Rate: CartpoleRate, ClipNorm: 1}
	}
	return Adam
}

// Adam moves the regression's parameters.
var Adam = kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}

// Build makes the case's graph. With noise, T arrays, it takes that instead of drawing.
func (c Case) Build(noise [][]float64) (*Graph, error) {
	c = c.Size()
	s := &Graph{G: G.NewGraph()}
	for _, in := range c.Inputs() {
		s.Data = append(s.Data, Array(s.G, in.Name, c.Dtype, in.Values, in.Shape...))
	}
	config := dcem.Config{Batch: c.Batch, Dim: c.Dim, Samples: c.Samples, Elites: Elites, Iterations: c.Iterations,
		Dtype: c.Dtype, Seed: NoiseSeed}
	for t, v := range noise {
		config.Noise = append(config.Noise, Array(s.G, fmt.Sprintf("noise%d", t), c.Dtype, v, c.Batch, c.Samples, c.Dim).Node)
	}
	if c.Model == Cartpole {
		return s, c.cartpole(s, config)
	}
	return s, c.regression(s, config)
}

func (c Case) regression(s *Graph, config dcem.Config) error {
	m, err := energy.NewMLP(s.G, energy.Config{InputDim: 1, OutputDim: 1, Seed: 1, Dtype: c.Dtype})
	if err != nil {
		return err
	}
	s.Params = m.Params()
	config.Sigma = []float64{Sigma0}
	u, err := dcem.Unroll(s.G, energy.Objective(m, s.Data.Get("x").Node), config)
	if err != nil {
		return err
	}
	s.Run = u.Run
	off, err := G.Sub(u.Answer, s.Data.Get("truth").Node)
	if err != nil {
		return err
	}
	square, err := G.HadamardProd(off, off)
	if err != nil {
		return err
	}
	s.Loss, err = G.Mean(square)
	return err
}

// Inputs are the case's data, rounded to its type: x and x sin x, or initial states.
func (c Case) Inputs() []Input {
	c = c.Size()
	if c.Model == Cartpole {
		return []Input{{"x0", c.rounded(states(c.Batch)), []int{c.Batch, stateDim}}}
	}
	x, truth := make([]float64, c.Batch), make([]float64, c.Batch)
	for i := range x {
		v := 2 * math.Pi * (float64(i) + 0.5) / float64(c.Batch)
		x[i], truth[i] = v, v*math.Sin(v)
	}
	return []Input{{"x", c.rounded(x), []int{c.Batch, 1}}, {"truth", c.rounded(truth), []int{c.Batch, 1}}}
}

func (c Case) rounded(v []float64) []float64 {
	if c.Dtype == tensor.Float32 {
		for i := range v {
			v[i] = float64(float32(v[i]))
		}
	}
	return v
}

// Noise is what run 0 of the case draws: T arrays (B, N, D).
func (c Case) Noise() [][]float64 {
	c = c.Size()
	noise := make([][]float64, c.Iterations)
	for t := range noise {
		noise[t] = make([]float64, c.Batch*c.Samples*c.Dim)
		if c.Dtype == tensor.Float64 {
			kernels.Normal(noise[t], NoiseSeed, uint64(t), 0, 0)
			continue
		}
		single := make([]float32, len(noise[t]))
		kernels.Normal(single, NoiseSeed, uint64(t), 0, 0)
		copy(noise[t], Widen(single))
	}
	return noise
}

// Array adds a named input; without values it holds zeros.
func Array(g *G.ExprGraph, name string, dt tensor.Dtype, v []float64, shape ...int) nn.Param {
	if v == nil {
		v = make([]float64, tensor.Shape(shape).TotalSize())
	}
	var backing any = append([]float64(nil), v...)
	if dt == tensor.Float32 {
		single := make([]float32, len(v))
		for i := range v {
			single[i] = float32(v[i])
		}
		backing = single
	}
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
	return nn.Param{Name: name, Node: G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))}
}

// Widen is v in float64.
func Widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// Name says the model and the sizes that are not the paper's, without the batch.
func (c Case) Name() string {
	paper, s := Case{Model: c.Model}.Size(), c.Size()
	name := s.Model
	for _, v := range []struct {
		letter      string
		size, usual int
	}{{"N", s.Samples, paper.Samples}, {"T", s.Iterations, paper.Iterations}, {"H", s.Horizon, paper.Horizon}, {"D", s.Dim, paper.Dim}} {
		if v.size != v.usual {
			name += fmt.Sprintf(" %s=%d", v.letter, v.size)
		}
	}
	return name
}

// String is the case's name.
func (c Case) String() string { return fmt.Sprintf("%s B=%d %v", c.Name(), c.Batch, c.Dtype) }
