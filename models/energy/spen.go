package energy

import (
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// SPEN is the structured prediction energy network of Belanger and McCallum (ICML 2016), doc/equations.md (21), over
// relaxed labels y in [0,1]^L:
//
//	E(x, y) = -<f(x), y> + net(y)
//
// f is a net whose outputs speak for each label by itself; net, of one hidden layer, knows how labels go together. f
// is computed once per problem, not once per candidate.
type SPEN struct {
	config      Config
	local       *nn.MLP
	interaction *nn.MLP
}

// SPENConfig configures [NewSPEN].
type SPENConfig struct {
	Config // OutputDim is the number L of labels; Hidden are the hidden sizes of f
	// Interaction is the number of hidden units of the label net; 0 means 4 L.
	Interaction int
}

// NewSPEN adds the net's parameters to the graph.
func NewSPEN(g *G.ExprGraph, c SPENConfig) (*SPEN, error) {
	base, err := c.Config.withDefaults("NewSPEN")
	if err != nil {
		return nil, err
	}
	if c.Interaction < 0 {
		return nil, fmt.Errorf("energy: NewSPEN: Interaction = %d, want at least 0", c.Interaction)
	}
	if c.Interaction == 0 {
		c.Interaction = 4 * base.OutputDim
	}
	local, err := nn.NewMLP(g, base.mlp(base.Name+"/local", base.InputDim, base.OutputDim))
	if err != nil {
		return nil, err
	}
	inner := base
	inner.Hidden = []int{c.Interaction}
	interaction, err := nn.NewMLP(g, inner.mlp(base.Name+"/labels", base.OutputDim, 1))
	if err != nil {
		return nil, err
	}
	return &SPEN{base, local, interaction}, nil
}

// Params implements [Model].
func (m *SPEN) Params() nn.Params { return append(m.local.Params(), m.interaction.Params()...) }

// Share implements [Model].
func (m *SPEN) Share(g *G.ExprGraph) (Model, error) {
	local, err := m.local.Share(g)
	if err != nil {
		return nil, err
	}
	interaction, err := m.interaction.Share(g)
	if err != nil {
		return nil, err
	}
	return &SPEN{m.config, local, interaction}, nil
}

// Local adds f(x) to the graph, (B, dx) -> (B, L): the logits of labels that do not depend on each other.
func (m *SPEN) Local(x *G.Node) (*G.Node, error) { return m.local.Forward(x) }

// Objective is the energy at x with f computed once: what a solver of several iterations should minimise.
func (m *SPEN) Objective(x *G.Node) (dcem.Objective, error) {
	f, err := m.Local(x)
	if err != nil {
		return nil, err
	}
	return func(y *G.Node) (*G.Node, error) { return m.energy(f, x, y) }, nil
}

// Energy implements [Model].
func (m *SPEN) Energy(x, y *G.Node) (*G.Node, error) {
	if _, _, err := m.config.check("SPEN", x, y); err != nil {
		return nil, err
	}
	f, err := m.Local(x)
	if err != nil {
		return nil, err
	}
	return m.energy(f, x, y)
}

func (m *SPEN) energy(f, x, y *G.Node) (*G.Node, error) {
	b, n, err := m.config.check("SPEN", x, y)
	if err != nil {
		return nil, err
	}
	spread, err := dcem.Expand(f, n)
	if err != nil {
		return nil, err
	}
	product, err := G.HadamardProd(spread, y)
	if err != nil {
		return nil, err
	}
	forLabels, err := G.Sum(product, 2)
	if err != nil {
		return nil, err
	}
	if forLabels, err = autodiff.Reshape(forLabels, b, n); err != nil {
		return nil, err
	}
	rows, err := autodiff.Reshape(y, b*n, m.config.OutputDim)
	if err != nil {
		return nil, err
	}
	together, err := m.interaction.Forward(rows)
	if err != nil {
		return nil, err
	}
	if together, err = autodiff.Reshape(together, b, n); err != nil {
		return nil, err
	}
	return G.Sub(together, forLabels)
}
