package rl

import (
	"fmt"

	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// builder writes formulas down as nodes and keeps the first error. Once there is one, all it returns is nil.
type builder struct {
	dt  tensor.Dtype
	err error
}

func build(x *G.Node) *builder { return &builder{dt: x.Dtype()} }

func (b *builder) keep(n *G.Node, err error) *G.Node {
	if b.err = err; err != nil {
		return nil
	}
	return n
}

func (b *builder) unary(f func(*G.Node) (*G.Node, error), x *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(f(x))
}

func (b *builder) binary(f func(x, y *G.Node) (*G.Node, error), x, y *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(f(x, y))
}

// Of equal shapes.
func (b *builder) add(x, y *G.Node) *G.Node { return b.binary(G.Add, x, y) }
func (b *builder) sub(x, y *G.Node) *G.Node { return b.binary(G.Sub, x, y) }
func (b *builder) mul(x, y *G.Node) *G.Node { return b.binary(G.HadamardProd, x, y) }
func (b *builder) div(x, y *G.Node) *G.Node { return b.binary(G.HadamardDiv, x, y) }

func (b *builder) square(x *G.Node) *G.Node { return b.unary(G.Square, x) }
func (b *builder) exp(x *G.Node) *G.Node    { return b.unary(G.Exp, x) }
func (b *builder) log(x *G.Node) *G.Node    { return b.unary(G.Log, x) }

func (b *builder) activate(a nn.Activation, x *G.Node) *G.Node { return b.unary(a.Apply, x) }

// Of an array and a number.
func (b *builder) times(x *G.Node, v float64) *G.Node { return b.binary(G.Mul, x, b.constant(v)) }
func (b *builder) plus(x *G.Node, v float64) *G.Node  { return b.binary(G.Add, x, b.constant(v)) }

// minus is v - x.
func (b *builder) minus(v float64, x *G.Node) *G.Node { return b.plus(b.times(x, -1), v) }

func (b *builder) constant(v float64) *G.Node {
	if b.dt == tensor.Float32 {
		return G.NewConstant(float32(v))
	}
	return G.NewConstant(v)
}

// sum is over the axes, all of them if none is given.
func (b *builder) sum(x *G.Node, axes ...int) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(G.Sum(x, axes...))
}

// mean is over all elements.
func (b *builder) mean(x *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.times(b.sum(x), 1/float64(x.Shape().TotalSize()))
}

// columns are n columns of x from one on, rows its rows.
func (b *builder) columns(x *G.Node, from, n int) *G.Node { return b.part(x, 1, from, n) }
func (b *builder) rows(x *G.Node, from, n int) *G.Node    { return b.part(x, 0, from, n) }

func (b *builder) part(x *G.Node, axis, from, n int) *G.Node {
	if b.err != nil {
		return nil
	}
	s := x.Shape()
	if from == 0 && n == s[axis] {
		return x
	}
	k := part{axis, from, n, s[0], s[1]}
	return b.keep(apply(k, b.dt, k.shape(), x))
}

// beside puts matrices of as many rows beside each other, below matrices of as many columns below each other.
func (b *builder) beside(x ...*G.Node) *G.Node { return b.join(1, x) }
func (b *builder) below(x ...*G.Node) *G.Node  { return b.join(0, x) }

func (b *builder) join(axis int, x []*G.Node) *G.Node {
	if b.err != nil || len(x) == 1 {
		return x[0]
	}
	sizes := make([]int, len(x))
	for i, n := range x {
		sizes[i] = n.Shape()[axis]
		if n.Dims() != 2 || n.Shape()[1-axis] != x[0].Shape()[1-axis] {
			b.err = fmt.Errorf("rl: join of shapes %v and %v along axis %d", x[0].Shape(), n.Shape(), axis)
			return nil
		}
	}
	k := newJoin(axis, x[0].Shape()[1-axis], sizes)
	return b.keep(apply(k, b.dt, k.shape(), x...))
}

// repeat is the vector v (n) in each of that many rows.
func (b *builder) repeat(v *G.Node, rows int) *G.Node {
	if b.err != nil {
		return nil
	}
	k := repeat{rows, v.Shape()[0]}
	return b.keep(apply(k, b.dt, []int{k.rows, k.n}, v))
}

// lesser and greater choose by element; the gradient goes to the chosen one, to x if they are equal.
func (b *builder) lesser(x, y *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(apply(lesser{}, b.dt, x.Shape(), x, y))
}

func (b *builder) greater(x, y *G.Node) *G.Node {
	return b.times(b.lesser(b.times(x, -1), b.times(y, -1)), -1)
}

// limit is x within bounds; the gradient is 0 outside.
func (b *builder) limit(x *G.Node, lower, upper float64) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(env.ClampNode(x, lower, upper))
}

func (b *builder) reshape(x *G.Node, shape ...int) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(G.Reshape(x, tensor.Shape(shape)))
}
