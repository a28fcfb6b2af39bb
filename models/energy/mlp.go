package energy

import (
	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// MLP is the energy net E(x, y) = net([x, y]), doc/equations.md (7): what the method's paper trains.
type MLP struct {
	config Config
	net    *nn.MLP
}

// NewMLP adds the net's parameters to the graph.
func NewMLP(g *G.ExprGraph, c Config) (*MLP, error) {
	c, err := c.withDefaults("NewMLP")
	if err != nil {
		return nil, err
	}
	net, err := nn.NewMLP(g, c.mlp(c.Name, c.InputDim+c.OutputDim, 1))
	if err != nil {
		return nil, err
	}
	return &MLP{c, net}, nil
}

// Params implements [Model].
func (m *MLP) Params() nn.Params { return m.net.Params() }

// Share implements [Model].
func (m *MLP) Share(g *G.ExprGraph) (Model, error) {
	net, err := m.net.Share(g)
	if err != nil {
		return nil, err
	}
	return &MLP{m.config, net}, nil
}

// Energy implements [Model].
func (m *MLP) Energy(x, y *G.Node) (*G.Node, error) {
	b, n, err := m.config.check("MLP", x, y)
	if err != nil {
		return nil, err
	}
	repeated, err := dcem.Expand(x, n)
	if err != nil {
		return nil, err
	}
	pairs, err := G.Concat(2, repeated, y)
	if err != nil {
		return nil, err
	}
	rows, err := autodiff.Reshape(pairs, b*n, m.config.InputDim+m.config.OutputDim)
	if err != nil {
		return nil, err
	}
	e, err := m.net.Forward(rows)
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(e, b, n)
}
