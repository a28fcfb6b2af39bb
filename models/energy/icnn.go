package energy

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ICNN is an energy that is convex in y for every x and any parameters (Amos, Xu, Kolter, ICML 2017),
// doc/equations.md (9):
//
//	u_0 = x,  u_{l+1} = a(u_l U_l + c_l)
//	z_1 = a(y V_0 + u_0 Q_0 + b_0),  z_{l+1} = a(z_l softplus(W_l) + y V_l + u_l Q_l + b_l),  E = z_L softplus(W_L) + y V_L + u_L Q_L + b_L
//
// with a convex, nondecreasing activation a: softplus or ReLU. Its minimum over y is global, so that any solver finds
// the same.
type ICNN struct {
	config Config
	layers []icnnLayer
}

// icnnLayer is one step of the recursions.
type icnnLayer struct {
	w *nn.Linear // z -> z, used as softplus(w); nil in the first layer
	v *nn.Linear // y -> z
	q *nn.Linear // u -> z, with the bias
	u *nn.Linear // u -> u; nil in the last layer
}

// NewICNN adds the net's parameters to the graph.
func NewICNN(g *G.ExprGraph, c Config) (*ICNN, error) {
	c, err := c.withDefaults("NewICNN")
	if err != nil {
		return nil, err
	}
	if c.Activation != nn.Softplus && c.Activation != nn.ReLU {
		return nil, fmt.Errorf("energy: NewICNN: Activation = %v, want softplus or relu: convexity needs a convex, nondecreasing one", c.Activation)
	}
	m := &ICNN{config: c}
	linear := func(kind string, l, in, out int, init nn.Init, bias bool) *nn.Linear {
		if err != nil {
			return nil
		}
		var layer *nn.Linear
		layer, err = nn.NewLinear(g, nn.LinearConfig{Name: fmt.Sprintf("%s/%s%d", c.Name, kind, l), In: in, Out: out,
			Dtype: c.Dtype, Seed: c.Seed, Init: init, Bias: c.Bias, NoBias: !bias})
		return layer
	}
	sizes := c.sizes(c.InputDim, 1)
	for l := range len(sizes) - 1 {
		in, out := sizes[l], sizes[l+1]
		step := icnnLayer{v: linear("v", l, c.OutputDim, out, c.Init, false), q: linear("q", l, in, out, c.Init, true)}
		if l > 0 {
			step.w = linear("w", l, in, out, positiveInit, false)
		}
		if l < len(sizes)-2 {
			step.u = linear("u", l, in, out, c.Init, true)
		}
		m.layers = append(m.layers, step)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// positiveInit draws free parameters whose softplus is uniform on (0, 2/in): positive weights that average their
// inputs, so that the scale of z neither grows nor shrinks with depth.
func positiveInit(dst []float64, in, out int, seed, draw uint64) {
	nn.TorchLinear(dst, in, out, seed, draw)
	root := math.Sqrt(float64(in))
	for i, v := range dst {
		weight := (1 + v*root + 1e-3) / float64(in)
		dst[i] = math.Log(math.Expm1(weight))
	}
}

// Params implements [Model].
func (m *ICNN) Params() nn.Params {
	var p nn.Params
	for _, l := range m.layers {
		for _, part := range l.parts() {
			p = append(p, part.Params()...)
		}
	}
	return p
}

// parts are the linear maps that the layer has.
func (l icnnLayer) parts() []*nn.Linear {
	return slices.DeleteFunc([]*nn.Linear{l.w, l.v, l.q, l.u}, func(p *nn.Linear) bool { return p == nil })
}

// Share implements [Model].
func (m *ICNN) Share(g *G.ExprGraph) (Model, error) {
	s := &ICNN{config: m.config}
	for _, l := range m.layers {
		for _, part := range []**nn.Linear{&l.w, &l.v, &l.q, &l.u} {
			if *part == nil {
				continue
			}
			var err error
			if *part, err = (*part).Share(g); err != nil {
				return nil, err
			}
		}
		s.layers = append(s.layers, l)
	}
	return s, nil
}

// Energy implements [Model].
func (m *ICNN) Energy(x, y *G.Node) (*G.Node, error) {
	b, n, err := m.config.check("ICNN", x, y)
	if err != nil {
		return nil, err
	}
	rows, err := autodiff.Reshape(y, b*n, m.config.OutputDim)
	if err != nil {
		return nil, err
	}
	var z *G.Node
	u := x
	for i, l := range m.layers {
		if z, err = l.forward(z, rows, u, n); err != nil {
			return nil, fmt.Errorf("energy: ICNN layer %d: %w", i, err)
		}
		if l.u == nil {
			break
		}
		if z, err = m.config.Activation.Apply(z); err != nil {
			return nil, err
		}
		if u, err = l.u.Forward(u); err != nil {
			return nil, err
		}
		if u, err = m.config.Activation.Apply(u); err != nil {
			return nil, err
		}
	}
	return autodiff.Reshape(z, b, n)
}

// forward adds z softplus(w) + y v + u q + b: rows are (B*N, .), u is (B, .).
func (l icnnLayer) forward(z, y, u *G.Node, n int) (*G.Node, error) {
	sum, err := l.v.Forward(y)
	if err != nil {
		return nil, err
	}
	given, err := l.q.Forward(u)
	if err != nil {
		return nil, err
	}
	if given, err = dcem.Expand(given, n); err != nil {
		return nil, err
	}
	if given, err = autodiff.Reshape(given, tensor.Shape(sum.Shape())...); err != nil {
		return nil, err
	}
	if sum, err = G.Add(sum, given); err != nil {
		return nil, err
	}
	if l.w == nil {
		return sum, nil
	}
	positive, err := nn.Softplus.Apply(l.w.W)
	if err != nil {
		return nil, err
	}
	convex, err := nn.MatMul(z, positive)
	if err != nil {
		return nil, err
	}
	return G.Add(convex, sum)
}
