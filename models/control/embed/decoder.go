package embed

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Decoder is a net that gives each latent z (D) the controls of a plan (H,U) within the bounds of an Env:
// u = lower + (upper - lower) sigmoid(net(z)).
type Decoder struct {
	c   DecoderConfig
	net *nn.MLP
}

// DecoderConfig configures [NewDecoder].
type DecoderConfig struct {
	Env     env.Env
	Latent  int          // dimensions D of z
	Hidden  []int        // sizes of the hidden layers, each with an ELU behind it
	Horizon int          // steps H of a plan
	Dtype   tensor.Dtype // tensor.Float32 (the zero value means this) or tensor.Float64
	Seed    uint64       // of the start values
}

// NewDecoder adds a decoder's parameters to the graph.
func NewDecoder(g *G.ExprGraph, c DecoderConfig) (*Decoder, error) {
	if c.Env == nil {
		return nil, fmt.Errorf("embed: NewDecoder: Env is nil")
	}
	if c.Latent < 1 || c.Horizon < 1 {
		return nil, fmt.Errorf("embed: NewDecoder: Latent = %d and Horizon = %d, want at least 1", c.Latent, c.Horizon)
	}
	if c.Dtype.Type == nil {
		c.Dtype = tensor.Float32
	}
	sizes := append([]int{c.Latent}, c.Hidden...)
	net, err := nn.NewMLP(g, nn.MLPConfig{Name: "decoder", Sizes: append(sizes, c.Horizon*c.Env.ControlDim()),
		Activation: nn.ELU, Output: nn.Sigmoid, Dtype: c.Dtype, Seed: c.Seed, Init: startWide, Bias: nn.Zeros})
	if err != nil {
		return nil, err
	}
	return &Decoder{c, net}, nil
}

// startWide is normal with variance 4/(in+out), twice Glorot's. A decoder that starts narrower has plans close to no
// force at all over the whole square, and nothing to search for.
func startWide(dst []float64, in, out int, seed, draw uint64) {
	nn.GlorotNormal(dst, in, out, seed, draw)
	for i := range dst {
		dst[i] *= math.Sqrt2
	}
}

// Params are the parameters.
func (d *Decoder) Params() nn.Params { return d.net.Params() }

// Share returns the decoder in another graph, with the same memory for its parameters.
func (d *Decoder) Share(g *G.ExprGraph) (*Decoder, error) {
	net, err := d.net.Share(g)
	if err != nil {
		return nil, err
	}
	return &Decoder{d.c, net}, nil
}

// Decode adds the plans (rows,H,U) of latents z (rows,D) to the graph.
func (d *Decoder) Decode(z *G.Node) (*G.Node, error) {
	share, err := d.net.Forward(z) // of the way from the lower bound to the upper
	if err != nil {
		return nil, err
	}
	rows, width := z.Shape()[0], d.c.Env.ControlDim()
	lower, upper := d.c.Env.Bounds()
	span, from := make([]float64, d.c.Horizon*width), make([]float64, d.c.Horizon*width)
	for i := range span {
		span[i], from[i] = upper[i%width]-lower[i%width], lower[i%width]
	}
	u, err := d.scale(share, span, from)
	if err != nil {
		return nil, err
	}
	return G.Reshape(u, tensor.Shape{rows, d.c.Horizon, width})
}

// scale is x span + from, by columns. Bounds that are alike for all of them are two scalars.
func (d *Decoder) scale(x *G.Node, span, from []float64) (*G.Node, error) {
	alike := true
	for i := range span {
		alike = alike && span[i] == span[0] && from[i] == from[0]
	}
	if alike {
		x, err := G.Mul(x, constant(d.c.Dtype, span[0]))
		if err != nil {
			return nil, err
		}
		return G.Add(x, constant(d.c.Dtype, from[0]))
	}
	g, rows := x.Graph(), x.Shape()[0]
	full := func(what string, v []float64) *G.Node {
		all := make([]float64, 0, rows*len(v))
		for range rows {
			all = append(all, v...)
		}
		// Gorgonia takes inputs of one name and shape for one node: here they have the same values, too.
		return G.NodeFromAny(g, dense(d.c.Dtype, all, rows, len(v)), G.WithName("decoder/"+what))
	}
	x, err := G.HadamardProd(x, full("span", span))
	if err != nil {
		return nil, err
	}
	return G.Add(x, full("from", from))
}

// Costs adds the costs (B,N) of the plans of candidates z (B,N,D) from the states x0 (B,S).
func (d *Decoder) Costs(x0, z *G.Node) (*G.Node, error) {
	s := z.Shape()
	if len(s) != 3 || s[2] != d.c.Latent {
		return nil, fmt.Errorf("embed: candidates of shape %v, want (B,N,%d)", s, d.c.Latent)
	}
	rows := s[0] * s[1]
	flat, err := G.Reshape(z, tensor.Shape{rows, s[2]})
	if err != nil {
		return nil, err
	}
	u, err := d.Decode(flat)
	if err != nil {
		return nil, err
	}
	return costs(d.c.Env, x0, u, s[0], s[1])
}

// costs are those (B,N) of plans u (B*N,H,U), N of them from each of the states x0 (B,S).
func costs(e env.Env, x0, u *G.Node, b, n int) (*G.Node, error) {
	x, err := dcem.Expand(x0, n)
	if err != nil {
		return nil, err
	}
	if x, err = G.Reshape(x, tensor.Shape{b * n, e.StateDim()}); err != nil {
		return nil, err
	}
	_, cost, err := env.Rollout(e, x, u, nil, env.Options{})
	if err != nil {
		return nil, err
	}
	return G.Reshape(cost, tensor.Shape{b, n})
}

func constant(dt tensor.Dtype, v float64) *G.Node {
	if dt == tensor.Float32 {
		return G.NewConstant(float32(v))
	}
	return G.NewConstant(v)
}

// dense is a tensor of that element type.
func dense(dt tensor.Dtype, v []float64, shape ...int) *tensor.Dense {
	if dt == tensor.Float32 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(train.Convert[float32](v)))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(train.Convert[float64](v)))
}
