// Package bumps is the method's smallest demonstration: an objective over the plane with a few local minima, whose
// minimum vanilla CEM finds, and whose parameters DCEM then changes until the minimum lies at a given place.
//
// Z(x, y) = 0.15 x cos y - sum_i a_i exp(-(x-p_i)^2 - (y-q_i)^2) is a tilted plane with three bumps, each with its
// depth a and its centre (p, q): 9 parameters. [Objective] builds it on a graph, [Value] computes it in Go, [Run] is
// the program `godcem bumps`.
package bumps

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// NumParams is the number of parameters: (a, p, q) for each of three bumps.
const NumParams = 9

const tilt = 0.15 // the factor of x cos y

// Initial returns the parameters that the program starts from: bumps of depth 1, 0.5 and 1 at (0, 0), (1, 1) and (-2,
// 2).
func Initial() []float64 { return []float64{1, 0, 0, 0.5, 1, 1, 1, -2, 2} }

// Value is Z(x, y) for the parameters (a, p, q) x 3.
func Value(params []float64, x, y float64) float64 {
	if len(params) != NumParams {
		panic(fmt.Sprintf("bumps: Value: %d parameters, want %d: (a, p, q) x 3", len(params), NumParams))
	}
	z := tilt * x * math.Cos(y)
	for i := 0; i < NumParams; i += 3 {
		a, dx, dy := params[i], x-params[i+1], y-params[i+2]
		z -= a * math.Exp(-dx*dx-dy*dy)
	}
	return z
}

// Objective returns Z as a function of candidates, shape (B, N, 2) to (B, N), for the parameters in the vector
// params, shape (9) and float32 or float64 as the candidates. Gradients flow into both. B*N must be at least 2.
//
// Matrices of zeros and ones pick and repeat what the formula needs, so that all three bumps of all candidates are a
// dozen nodes:
//
//	D = X S - 1 c'           (BN, 6)   x - p_i, then y - q_i
//	E = exp((D*D) R)         (BN, 3)   the bumps; R adds the squares, with a minus
//	Z = 0.15 x cos y - E a   (BN)
func Objective(params *G.Node) (dcem.Objective, error) {
	if params == nil || !params.Shape().Eq(tensor.Shape{NumParams}) {
		return nil, fmt.Errorf("bumps: Objective: params = %v, want a vector of %d: (a, p, q) x 3", params, NumParams)
	}
	dt := params.Dtype()
	if dt != tensor.Float32 && dt != tensor.Float64 {
		return nil, fmt.Errorf("bumps: Objective: params are of type %v, want float32 or float64", dt)
	}
	b := &builder{g: params.Graph(), dt: dt}
	pickA := make([]float64, 3*NumParams)
	pickC := make([]float64, 6*NumParams)
	for i := range 3 {
		pickA[i*NumParams+3*i] = 1
		pickC[i*NumParams+3*i+1] = 1
		pickC[(3+i)*NumParams+3*i+2] = 1
	}
	depths := b.mul(b.constant("pickA", pickA, 3, NumParams), params)
	centres := b.mul(b.constant("pickC", pickC, 6, NumParams), params)
	spread := b.constant("spread", []float64{1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1}, 2, 6)
	minusR := b.constant("minusR", []float64{-1, 0, 0, 0, -1, 0, 0, 0, -1, -1, 0, 0, 0, -1, 0, 0, 0, -1}, 6, 3)
	tilted := b.constant("tilt", []float64{tilt, 0}, 2)
	second := b.constant("second", []float64{0, 1}, 2)
	if b.err != nil {
		return nil, fmt.Errorf("bumps: Objective: %w", b.err)
	}
	return func(x *G.Node) (*G.Node, error) {
		s := x.Shape()
		if len(s) != 3 || s[2] != 2 || s[0]*s[1] < 2 || x.Dtype() != dt {
			// A matrix of one row counts as a vector in Gorgonia, for which Mul is another product.
			return nil, fmt.Errorf("candidates of shape %v and type %v, want (B, N, 2) with B*N at least 2, and %v",
				s, x.Dtype(), dt)
		}
		b := &builder{g: x.Graph(), dt: dt}
		flat := b.reshape(x, s[0]*s[1], 2)
		d := b.subRow(b.mul(flat, spread), centres)
		e := b.unary(G.Exp, b.mul(b.unary(G.Square, d), minusR))
		slope := b.binary(G.HadamardProd, b.mul(flat, tilted), b.unary(G.Cos, b.mul(flat, second)))
		z := b.reshape(b.binary(G.Sub, slope, b.mul(e, depths)), s[0], s[1])
		return z, b.err
	}, nil
}

// builder adds nodes to a graph and keeps the first error, after which it adds no more.
type builder struct {
	g   *G.ExprGraph
	dt  tensor.Dtype
	err error
}

func (b *builder) keep(f func() (*G.Node, error)) (n *G.Node) {
	if b.err == nil {
		n, b.err = f()
	}
	return n
}

func (b *builder) unary(f func(*G.Node) (*G.Node, error), x *G.Node) *G.Node {
	return b.keep(func() (*G.Node, error) { return f(x) })
}

func (b *builder) binary(f func(x, y *G.Node) (*G.Node, error), x, y *G.Node) *G.Node {
	return b.keep(func() (*G.Node, error) { return f(x, y) })
}

func (b *builder) mul(x, y *G.Node) *G.Node { return b.binary(G.Mul, x, y) }

// subRow subtracts the vector row from each row of x.
func (b *builder) subRow(x, row *G.Node) *G.Node {
	return b.keep(func() (*G.Node, error) { return G.BroadcastSub(x, row, nil, []byte{0}) })
}

func (b *builder) reshape(x *G.Node, shape ...int) *G.Node {
	return b.keep(func() (*G.Node, error) { return autodiff.Reshape(x, shape...) })
}

// constant adds numbers to the graph, as an input that keeps its value: Gorgonia tells constants apart by their
// printed, shortened values alone.
func (b *builder) constant(name string, v []float64, shape ...int) *G.Node {
	return b.keep(func() (*G.Node, error) {
		t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float64(nil), v...)))
		if b.dt == tensor.Float32 {
			f := make([]float32, len(v))
			for i, x := range v {
				f[i] = float32(x)
			}
			t = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(f))
		}
		return G.NodeFromAny(b.g, t, G.WithName("bumps."+name)), nil
	})
}
