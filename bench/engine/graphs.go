package main

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A step is the graph of one training step of the regression of the method's paper: the squared error of what DCEM
// (N = 100, k = 10, T = 10) finds in a 2-128-128-128-1 softplus energy net, float32.
type step struct {
	g      *G.ExprGraph
	loss   *G.Node
	run    *G.Node
	params G.Nodes
	grads  G.Nodes // of the loss; nil until differentiate
	values [][]float32
}

// The ways to say the net.
const (
	ours  = "nn"       // package nn: a product and an activation are a node each
	stock = "gorgonia" // Gorgonia's own Mul, BroadcastAdd and Softplus
)

func newStep(net string, batch int) (*step, error) {
	s := &step{g: G.NewGraph()}
	x, truth := make([]float32, batch), make([]float32, batch)
	for i := range x {
		v := 2 * math.Pi * (float64(i) + 0.5) / float64(batch)
		x[i], truth[i] = float32(v), float32(v*math.Sin(v))
	}
	m, err := energy.NewMLP(s.g, energy.Config{InputDim: 1, OutputDim: 1, Seed: 1})
	if err != nil {
		return nil, err
	}
	params := m.Params()
	s.params, s.values = params.Nodes(), nn.Values[float32](params)
	xs := column(s.g, "x", x)
	objective := energy.Objective(m, xs)
	if net == stock {
		objective = func(y *G.Node) (*G.Node, error) { return stockEnergy(xs, y, s.params) }
	}
	u, err := dcem.Unroll(s.g, objective, dcem.Config{Batch: batch, Dim: 1, Sigma: []float64{7}, Dtype: tensor.Float32, Seed: 1})
	if err != nil {
		return nil, err
	}
	s.run = u.Run
	off, err := G.Sub(u.Answer, column(s.g, "truth", truth))
	if err != nil {
		return nil, err
	}
	square, err := G.HadamardProd(off, off)
	if err != nil {
		return nil, err
	}
	s.loss, err = G.Mean(square)
	return s, err
}

// differentiate adds the gradient.
func (s *step) differentiate() (err error) {
	s.grads, err = autodiff.Gradients(s.loss, s.params...)
	return err
}

func column(g *G.ExprGraph, name string, v []float32) *G.Node {
	return G.NewMatrix(g, tensor.Float32, G.WithShape(len(v), 1), G.WithName(name),
		G.WithValue(tensor.New(tensor.WithShape(len(v), 1), tensor.WithBacking(v))))
}

// stockEnergy is energy.MLP in Gorgonia's own ops.
func stockEnergy(x, y *G.Node, params G.Nodes) (*G.Node, error) {
	b, n := y.Shape()[0], y.Shape()[1]
	repeated, err := dcem.Expand(x, n)
	if err != nil {
		return nil, err
	}
	h, err := G.Concat(2, repeated, y)
	if err != nil {
		return nil, err
	}
	if h, err = autodiff.Reshape(h, b*n, 2); err != nil {
		return nil, err
	}
	for i := 0; i < len(params); i += 2 {
		if h, err = G.Mul(h, params[i]); err != nil {
			return nil, err
		}
		row, err := autodiff.Reshape(params[i+1], 1, params[i+1].Shape()[0])
		if err != nil {
			return nil, err
		}
		if h, err = G.BroadcastAdd(h, row, nil, []byte{0}); err != nil {
			return nil, err
		}
		if i+2 == len(params) {
			break
		}
		if h, err = G.Softplus(h); err != nil {
			return nil, err
		}
	}
	return autodiff.Reshape(h, b, n)
}

// newChain is a scalar function of a vector in the given number of nodes with its gradient: mul, add and tanh in turn.
func newChain(nodes int) (*G.ExprGraph, error) {
	g := G.NewGraph()
	vector := func(name string, v float64) *G.Node {
		data := []float64{v, v + 0.1, v + 0.2, v + 0.3}
		return G.NewVector(g, tensor.Float64, G.WithShape(4), G.WithName(name), G.WithValue(tensor.New(tensor.WithBacking(data))))
	}
	x, a, b := vector("x", 0.1), vector("a", 0.9), vector("b", 0.05)
	y := x
	var err error
	// A link of three nodes has about seven more in the gradient; the count is corrected by the caller's print of what
	// came out.
	for len(g.AllNodes()) < 3*nodes/10 {
		for _, f := range []func(*G.Node) (*G.Node, error){
			func(y *G.Node) (*G.Node, error) { return G.HadamardProd(y, a) },
			func(y *G.Node) (*G.Node, error) { return G.Add(y, b) },
			G.Tanh,
		} {
			if y, err = f(y); err != nil {
				return nil, err
			}
		}
	}
	loss, err := G.Sum(y)
	if err != nil {
		return nil, err
	}
	if _, err = autodiff.Gradients(loss, x, a, b); err != nil {
		return nil, fmt.Errorf("gradient of a chain of %d nodes: %w", nodes, err)
	}
	return g, nil
}
