package nn

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Linear is a layer z = x w + b.
type Linear struct {
	W *G.Node // (in, out), parameter "<name>/w"
	B *G.Node // (out), parameter "<name>/b"; nil without bias

	params Params
}

// LinearConfig configures [NewLinear].
type LinearConfig struct {
	Name    string       // stands before the parameters' names
	In, Out int          // required
	Dtype   tensor.Dtype // tensor.Float32 (the zero value means this) or tensor.Float64
	Seed    uint64       // of random start values; two layers of one name and seed start alike
	Init    Init         // start of w; nil: TorchLinear
	Bias    Init         // start of b; nil: TorchLinear
	NoBias  bool
}

// NewLinear adds a layer's parameters to the graph.
func NewLinear(g *G.ExprGraph, c LinearConfig) (*Linear, error) {
	if g == nil {
		return nil, fmt.Errorf("nn: layer %s: the graph is nil", c.Name)
	}
	if c.In < 1 || c.Out < 1 {
		return nil, fmt.Errorf("nn: layer %s: in = %d, out = %d, want at least 1", c.Name, c.In, c.Out)
	}
	if c.Dtype.Type == nil {
		c.Dtype = tensor.Float32
	}
	if c.Dtype != tensor.Float32 && c.Dtype != tensor.Float64 {
		return nil, fmt.Errorf("nn: layer %s: Dtype = %v, want float32 or float64", c.Name, c.Dtype)
	}
	if c.Init == nil {
		c.Init = TorchLinear
	}
	if c.Bias == nil {
		c.Bias = TorchLinear
	}
	for _, part := range []string{"w", "b"} {
		if name := join(c.Name, part); len(g.ByName(name)) > 0 {
			return nil, fmt.Errorf("nn: the graph has a node %q already: give each layer a name of its own", name)
		}
	}
	p := Params{newParam(g, join(c.Name, "w"), c.Dtype, c.Init, c.In, c.Out, c.Seed, c.In, c.Out)}
	if !c.NoBias {
		p = append(p, newParam(g, join(c.Name, "b"), c.Dtype, c.Bias, c.In, c.Out, c.Seed, c.Out))
	}
	return linear(p), nil
}

func linear(p Params) *Linear {
	l := &Linear{W: p[0].Node, params: p}
	if len(p) > 1 {
		l.B = p[1].Node
	}
	return l
}

func join(name, part string) string {
	if name == "" {
		return part
	}
	return name + "/" + part
}

// Params returns the layer's parameters: w, then b.
func (l *Linear) Params() Params { return slices.Clone(l.params) }

// Forward adds x w + b to the graph: x has shape (rows, in), the result (rows, out).
func (l *Linear) Forward(x *G.Node) (*G.Node, error) {
	name := l.params[0].Name
	if err := checkTensor(name, "x", x); err != nil {
		return nil, err
	}
	if in := l.W.Shape()[0]; x.Dims() != 2 || x.Shape()[1] != in || x.Dtype() != l.W.Dtype() {
		return nil, fmt.Errorf("nn: %s: x has shape %v and type %v, want (rows, %d) and %v",
			name, x.Shape(), x.Dtype(), in, l.W.Dtype())
	}
	if x.Graph() != l.W.Graph() {
		return nil, fmt.Errorf("nn: %s: x is in another graph than the layer (see Share)", name)
	}
	z, err := MatMul(x, l.W)
	if err != nil {
		return nil, fmt.Errorf("nn: %s: %w", name, err)
	}
	if l.B == nil {
		return z, nil
	}
	return AddRow(z, l.B)
}

// Share returns the layer in another graph, with the same memory for its parameters (see [Params.Share]).
func (l *Linear) Share(g *G.ExprGraph) (*Linear, error) {
	p, err := l.params.Share(g)
	if err != nil {
		return nil, err
	}
	return linear(p), nil
}

// MLP is a multi-layer perceptron: linear layers with an activation after each but the last.
type MLP struct {
	Layers []*Linear

	config MLPConfig
}

// MLPConfig configures [NewMLP].
type MLPConfig struct {
	Name       string       // stands before the parameters' names: "energy" gives "energy/0/w", "energy/0/b", "energy/1/w", ...
	Sizes      []int        // inputs, hidden sizes, outputs: at least two
	Activation Activation   // between the layers
	Output     Activation   // after the last
	Dtype      tensor.Dtype // tensor.Float32 (the zero value means this) or tensor.Float64
	Seed       uint64       // of random start values; two nets of one name and seed start alike
	Init       Init         // start of the weights; nil: TorchLinear
	Bias       Init         // start of the biases; nil: TorchLinear
}

// NewMLP adds a net's parameters to the graph.
func NewMLP(g *G.ExprGraph, c MLPConfig) (*MLP, error) {
	if len(c.Sizes) < 2 {
		return nil, fmt.Errorf("nn: net %s: Sizes = %v, want at least inputs and outputs", c.Name, c.Sizes)
	}
	for _, a := range []Activation{c.Activation, c.Output} {
		if _, err := a.MarshalText(); err != nil {
			return nil, err
		}
	}
	c.Sizes = slices.Clone(c.Sizes)
	m := &MLP{config: c}
	for i := range len(c.Sizes) - 1 {
		l, err := NewLinear(g, LinearConfig{Name: join(c.Name, fmt.Sprint(i)), In: c.Sizes[i], Out: c.Sizes[i+1], Dtype: c.Dtype,
			Seed: c.Seed, Init: c.Init, Bias: c.Bias})
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, l)
	}
	return m, nil
}

// Params returns the net's parameters: w and b of each layer in turn.
func (m *MLP) Params() Params {
	var p Params
	for _, l := range m.Layers {
		p = append(p, l.params...)
	}
	return p
}

// Forward adds the net to the graph of x: (rows, inputs) -> (rows, outputs). It may be called any number of times.
func (m *MLP) Forward(x *G.Node) (*G.Node, error) {
	for i, l := range m.Layers {
		var err error
		if x, err = l.Forward(x); err != nil {
			return nil, err
		}
		a := m.config.Activation
		if i == len(m.Layers)-1 {
			a = m.config.Output
		}
		if x, err = a.Apply(x); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// Share returns the net in another graph, with the same memory for its parameters (see [Params.Share]): a net trained
// in one graph predicts in another, of another batch size.
func (m *MLP) Share(g *G.ExprGraph) (*MLP, error) {
	s := &MLP{config: m.config}
	for _, l := range m.Layers {
		shared, err := l.Share(g)
		if err != nil {
			return nil, err
		}
		s.Layers = append(s.Layers, shared)
	}
	return s, nil
}
