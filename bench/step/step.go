// Package step is the training step that benchmarks measure: the regression of the method's paper with any batch.
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
	Sigma0     = 7
	NoiseSeed  = 1
)

// Adam moves the parameters.
var Adam = kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}

// A Case is one training step of the regression.
type Case struct {
	Batch int
	Dtype tensor.Dtype
}

// A Graph is the case's in Gorgonia's words.
type Graph struct {
	G         *G.ExprGraph
	Loss, Run *G.Node
	Params    nn.Params
}

// Build makes the case's graph. With noise, T arrays, it takes that instead of drawing.
func (c Case) Build(noise [][]float64) (*Graph, error) {
	s := &Graph{G: G.NewGraph()}
	x, truth := c.Points()
	m, err := energy.NewMLP(s.G, energy.Config{InputDim: 1, OutputDim: 1, Seed: 1, Dtype: c.Dtype})
	if err != nil {
		return nil, err
	}
	s.Params = m.Params()
	config := dcem.Config{Batch: c.Batch, Dim: 1, Samples: Samples, Elites: Elites, Iterations: Iterations,
		Sigma: []float64{Sigma0}, Dtype: c.Dtype, Seed: NoiseSeed}
	for t, v := range noise {
		config.Noise = append(config.Noise, Array(s.G, fmt.Sprintf("noise%d", t), c.Dtype, v, c.Batch, Samples, 1).Node)
	}
	u, err := dcem.Unroll(s.G, energy.Objective(m, Array(s.G, "x", c.Dtype, x, c.Batch, 1).Node), config)
	if err != nil {
		return nil, err
	}
	s.Run = u.Run
	off, err := G.Sub(u.Answer, Array(s.G, "truth", c.Dtype, truth, c.Batch, 1).Node)
	if err != nil {
		return nil, err
	}
	square, err := G.HadamardProd(off, off)
	if err != nil {
		return nil, err
	}
	s.Loss, err = G.Mean(square)
	return s, err
}

// Points are x and x sin x, rounded to the case's type.
func (c Case) Points() (x, truth []float64) {
	x, truth = make([]float64, c.Batch), make([]float64, c.Batch)
	for i := range x {
		v := 2 * math.Pi * (float64(i) + 0.5) / float64(c.Batch)
		x[i], truth[i] = c.round(v), c.round(v*math.Sin(v))
	}
	return x, truth
}

func (c Case) round(v float64) float64 {
	if c.Dtype == tensor.Float32 {
		return float64(float32(v))
	}
	return v
}

// Noise is what run 0 of the case draws.
func (c Case) Noise() [][]float64 {
	noise := make([][]float64, Iterations)
	for t := range noise {
		noise[t] = make([]float64, c.Batch*Samples)
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

// String is the case's name.
func (c Case) String() string { return fmt.Sprintf("regression B=%d %v", c.Batch, c.Dtype) }
