package rl

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An Actor is a function from observations to actions that is built of nodes: a net, or a controller with a search in
// it. Row i of the result depends on row i of the observations and of the noise alone.
type Actor interface {
	// Params are all of its parameters, Free those that are trained.
	Params() nn.Params
	Free() nn.Params
	// Share is the actor in another graph, with the same memory for its parameters.
	Share(g *G.ExprGraph) (Actor, error)
	// Noise is how many standard normals, drawn anew for each action, it is a function of beside the observation.
	Noise() int
	// Act adds the actions (B,A) for observations (B,O) and noise (B,Noise), nil for none, to the actor's graph.
	Act(obs, noise *G.Node) (*G.Node, error)
}

// A Policy draws actions from a Gaussian around an Actor's with a standard deviation for each dimension that does not
// depend on the observation.
type Policy struct {
	Actor  Actor
	logStd nn.Params // one, (A)
	fixed  bool
}

// NewPolicy adds the standard deviations to the actor's graph, std each at the start, of the element type of the
// actor's parameters; fixed ones stay as they are. The actor has n dimensions of actions.
func NewPolicy(g *G.ExprGraph, a Actor, n int, std float64, fixed bool) (*Policy, error) {
	p := a.Params()
	switch {
	case n < 1:
		return nil, fmt.Errorf("rl: NewPolicy: %d dimensions of actions, want at least 1", n)
	case !(std > 0) || math.IsInf(std, 1):
		return nil, fmt.Errorf("rl: NewPolicy: standard deviation %v, want a finite number above 0", std)
	case len(p) == 0:
		return nil, fmt.Errorf("rl: NewPolicy: the actor has no parameters")
	}
	const name = "policy/log_std"
	dt := p[0].Node.Dtype()
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Log(std)
	}
	var node *G.Node
	if dt == tensor.Float32 {
		node = train.Input(g, name, train.Convert[float32](values), n)
	} else {
		node = train.Input(g, name, values, n)
	}
	return &Policy{Actor: a, logStd: nn.Params{{Name: name, Node: node}}, fixed: fixed}, nil
}

// Params are all parameters: the actor's and the standard deviations' logarithms.
func (p *Policy) Params() nn.Params { return append(p.Actor.Params(), p.logStd...) }

// Free are the parameters that are trained.
func (p *Policy) Free() nn.Params {
	free := p.Actor.Free()
	if !p.fixed {
		free = append(free, p.logStd...)
	}
	return free
}

// Share is the policy in another graph, with the same memory for its parameters.
func (p *Policy) Share(g *G.ExprGraph) (*Policy, error) {
	a, err := p.Actor.Share(g)
	if err != nil {
		return nil, err
	}
	std, err := p.logStd.Share(g)
	if err != nil {
		return nil, err
	}
	return &Policy{Actor: a, logStd: std, fixed: p.fixed}, nil
}

// LogProb adds the logarithm of the density of actions (B,A) for observations (B,O), and the actor's noise
// (B,Noise), to the graph, (B), and the entropy of the Gaussian, a scalar.
func (p *Policy) LogProb(obs, noise, action *G.Node) (logProb, entropy *G.Node, err error) {
	mean, err := p.Actor.Act(obs, noise)
	if err != nil {
		return nil, nil, err
	}
	b, std := build(mean), p.logStd[0].Node
	logProb = b.logProb(action, mean, b.repeat(std, action.Shape()[0]))
	return logProb, b.entropy(std), b.err
}

// Net is an Actor that is a multi-layer perceptron with tanh between its layers.
type Net struct{ net *nn.MLP }

// NetConfig configures [NewNet].
type NetConfig struct {
	Name    string // stands before the parameters' names
	In, Out int
	Hidden  []int   // nil: 64, 64
	Scale   float64 // multiplies the start values of the last layer; 0: 1
	Dtype   tensor.Dtype
	Seed    uint64
}

// NewNet adds a net's parameters to the graph.
func NewNet(g *G.ExprGraph, c NetConfig) (*Net, error) {
	if c.Hidden == nil {
		c.Hidden = []int{64, 64}
	}
	sizes := append(append([]int{c.In}, c.Hidden...), c.Out)
	net, err := nn.NewMLP(g, nn.MLPConfig{Name: c.Name, Sizes: sizes, Activation: nn.Tanh, Dtype: c.Dtype, Seed: c.Seed})
	if err != nil {
		return nil, err
	}
	if c.Scale != 0 {
		for _, p := range net.Layers[len(net.Layers)-1].Params() {
			switch v := p.Node.Value().Data().(type) {
			case []float32:
				for i := range v {
					v[i] *= float32(c.Scale)
				}
			case []float64:
				for i := range v {
					v[i] *= c.Scale
				}
			}
		}
	}
	return &Net{net}, nil
}

// Params implements Actor.
func (n *Net) Params() nn.Params { return n.net.Params() }

// Free implements Actor.
func (n *Net) Free() nn.Params { return n.net.Params() }

// Share implements Actor.
func (n *Net) Share(g *G.ExprGraph) (Actor, error) { return n.share(g) }

func (n *Net) share(g *G.ExprGraph) (*Net, error) {
	net, err := n.net.Share(g)
	if err != nil {
		return nil, err
	}
	return &Net{net}, nil
}

// Noise implements Actor: none.
func (n *Net) Noise() int { return 0 }

// Act implements Actor.
func (n *Net) Act(obs, _ *G.Node) (*G.Node, error) { return n.net.Forward(obs) }

// value is the net as a function to one number: (B,O) -> (B).
func (n *Net) value(b *builder, obs *G.Node) *G.Node {
	v := b.unary(n.net.Forward, obs)
	return b.reshape(v, obs.Shape()[0])
}
