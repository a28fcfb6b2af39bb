package energy

import (
	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// FeedForward is the energy E(x, y) = |f(x) - y|^2 of an ordinary net f, doc/equations.md (8). Its minimiser is f(x).
type FeedForward struct {
	config Config
	net    *nn.MLP
}

// NewFeedForward adds the net's parameters to the graph.
func NewFeedForward(g *G.ExprGraph, c Config) (*FeedForward, error) {
	c, err := c.withDefaults("NewFeedForward")
	if err != nil {
		return nil, err
	}
	net, err := nn.NewMLP(g, c.mlp(c.Name, c.InputDim, c.OutputDim))
	if err != nil {
		return nil, err
	}
	return &FeedForward{c, net}, nil
}

// Params implements [Model].
func (m *FeedForward) Params() nn.Params { return m.net.Params() }

// Share implements [Model].
func (m *FeedForward) Share(g *G.ExprGraph) (Model, error) {
	net, err := m.net.Share(g)
	if err != nil {
		return nil, err
	}
	return &FeedForward{m.config, net}, nil
}

// Predict adds f(x) to the graph: (B, dx) -> (B, dy).
func (m *FeedForward) Predict(x *G.Node) (*G.Node, error) { return m.net.Forward(x) }

// Energy implements [Model].
func (m *FeedForward) Energy(x, y *G.Node) (*G.Node, error) {
	b, n, err := m.config.check("FeedForward", x, y)
	if err != nil {
		return nil, err
	}
	f, err := m.net.Forward(x)
	if err != nil {
		return nil, err
	}
	centre, err := dcem.Expand(f, n)
	if err != nil {
		return nil, err
	}
	diff, err := G.Sub(y, centre)
	if err != nil {
		return nil, err
	}
	square, err := G.HadamardProd(diff, diff)
	if err != nil {
		return nil, err
	}
	e, err := G.Sum(square, 2)
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(e, b, n)
}
