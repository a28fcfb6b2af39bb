package autodiff

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A builder adds nodes to a graph. After an error it does nothing more and returns nil, so that a rule checks once,
// at its end.
//
// Gorgonia gives back an existing node where it takes a new one for equal, and it compares 32-bit hashes of the
// inputs (some op hashes also leave attributes out: a slice's bounds count modulo 256). The builder looks at what it
// gets, and at a wrong node tries again on a copy.
type builder struct {
	g   *G.ExprGraph
	err error
}

const attempts = 4 // each has its own hash, so that a second failure is already rarer than one in a billion

// node returns the node that f makes of in, having checked that it is the node asked for.
func (b *builder) node(f func(in G.Nodes) (*G.Node, error), in ...*G.Node) *G.Node {
	return b.named("", f, in...)
}

// named is node for an op that must come back with the name op, in which its attributes are; "" leaves that unchecked.
func (b *builder) named(op string, f func(in G.Nodes) (*G.Node, error), in ...*G.Node) *G.Node {
	for attempt := range attempts {
		if b.err != nil {
			return nil
		}
		n, err := f(in)
		if b.fail(err); err != nil {
			return nil
		}
		made, err := inputsOf(b.g, n)
		if b.fail(err); err != nil {
			return nil
		}
		if sameNodes(made, in) && (op == "" || n.Op().String() == op) {
			return n
		}
		in = append(G.Nodes{b.twin(in[0], attempt)}, in[1:]...)
	}
	b.fail(fmt.Errorf("gorgonia takes every new node of %v for another one with the same hash", in))
	return nil
}

// twin returns a copy of n whose hash is not like that of anything else's copy.
func (b *builder) twin(n *G.Node, attempt int) *G.Node {
	if b.err != nil {
		return nil
	}
	op := newReshape(n.Shape(), n)
	op.tag = n.ID()*attempts + int64(attempt) + 1
	m, err := G.ApplyOp(op, n)
	if b.fail(err); err != nil {
		return nil
	}
	made, err := inputsOf(b.g, m)
	if b.fail(err); err == nil && !sameNodes(made, G.Nodes{n}) {
		b.fail(fmt.Errorf("gorgonia takes a copy of %s for another node with the same hash", describe(n)))
	}
	return m
}

func sameNodes(a, b G.Nodes) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// apply adds op.
func (b *builder) apply(op G.Op, in ...*G.Node) *G.Node {
	return b.named(op.String(), func(in G.Nodes) (*G.Node, error) { return G.ApplyOp(op, in...) }, in...)
}

// fail notes an error.
func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// wanted returns f() if the call wants the gradient of input i.
func (b *builder) wanted(c call, i int, f func() *G.Node) *G.Node {
	if !c.want[i] || b.err != nil {
		return nil
	}
	return f()
}

func (b *builder) add(x, y *G.Node) *G.Node {
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.Add(in[0], in[1]) }, x, y)
}

func (b *builder) sub(x, y *G.Node) *G.Node {
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.Sub(in[0], in[1]) }, x, y)
}

// mul multiplies element by element.
func (b *builder) mul(x, y *G.Node) *G.Node {
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.HadamardProd(in[0], in[1]) }, x, y)
}

func (b *builder) div(x, y *G.Node) *G.Node {
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.HadamardDiv(in[0], in[1]) }, x, y)
}

// matmul is gorgonia.Mul for matrices and vectors.
func (b *builder) matmul(x, y *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	if x.IsVector() && y.IsMatrix() { // Mul takes them in the other order
		return b.node(func(in G.Nodes) (*G.Node, error) { return G.Mul(in[1], in[0]) }, y, x)
	}
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.Mul(in[0], in[1]) }, x, y)
}

// slice takes elements start to end of axis and drops the axis if that is one.
func (b *builder) slice(x *G.Node, axis, start, end int) *G.Node {
	if b.err != nil {
		return nil
	}
	like := G.NewTensor(G.NewGraph(), x.Dtype(), x.Dims(), G.WithShape(x.Shape()...), G.WithName("x"))
	s := make([]tensor.Slice, axis+1)
	s[axis] = G.S(start, end)
	n, err := G.Slice(like, s...) // one op per axis, of which the last does the work
	if b.fail(err); err != nil {
		return nil
	}
	return b.apply(n.Op(), x)
}

// transpose makes axis i of the result from axis axes[i] of x.
func (b *builder) transpose(x *G.Node, axes []int) *G.Node {
	if slices.IsSorted(axes) {
		return x
	}
	return b.node(func(in G.Nodes) (*G.Node, error) { return G.Transpose(in[0], axes...) }, x)
}

// untranspose returns the tensor of the given shape whose transpose with the axes has the elements of x.
func (b *builder) untranspose(x *G.Node, shape tensor.Shape, axes []int) *G.Node {
	if b.err != nil {
		return nil
	}
	permuted := make(tensor.Shape, len(axes))
	back := make([]int, len(axes))
	for i, a := range axes {
		permuted[i], back[a] = shape[a], i
	}
	return b.transpose(b.reshape(x, permuted), back)
}

// sum sums over the axes, all of them if none is named, and drops them. The tensor package gets sums over an axis
// wrong that is neither of the first two nor the last, so tensors of more than 3 dimensions are summed one axis at a
// time as (before, axis, after).
func (b *builder) sum(x *G.Node, axes ...int) *G.Node {
	gsum := func(x *G.Node, axes ...int) *G.Node {
		return b.node(func(in G.Nodes) (*G.Node, error) { return G.Sum(in[0], axes...) }, x)
	}
	if b.err != nil || x.IsScalar() {
		return x
	}
	shape := x.Shape()
	if len(shape) <= 3 || len(axes) == 0 || len(axes) == len(shape) {
		return gsum(x, axes...)
	}
	axes = slices.Sorted(slices.Values(axes))
	for i := len(axes) - 1; i >= 0 && b.err == nil; i-- {
		a := axes[i]
		x = gsum(b.reshape(x, tensor.Shape{shape[:a].TotalSize(), shape[a], shape[a+1:].TotalSize()}), 1)
		shape = slices.Delete(shape, a, a+1)
	}
	return b.reshape(x, shape)
}

// reshape gives x another shape of the same size, in memory of its own.
func (b *builder) reshape(x *G.Node, shape tensor.Shape) *G.Node {
	if b.err != nil || sameShape(x.Shape(), shape) {
		return x
	}
	return b.apply(newReshape(shape, x), x)
}

// copy returns the value of x in memory of its own.
func (b *builder) copy(x *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.apply(newReshape(x.Shape(), x), x)
}

// expand repeats x, whose elements are those of a tensor of shape keep, along the axes on which keep is 1 and to is
// not.
func (b *builder) expand(x *G.Node, keep, to tensor.Shape) *G.Node {
	if b.err != nil {
		return nil
	}
	if sameShape(keep, to) {
		return b.reshape(x, to)
	}
	return b.apply(newExpand(keep, to, x), x)
}

// fill returns a constant of the type and shape of like with every element equal to v.
func (b *builder) fill(v float64, like *G.Node) *G.Node {
	return b.constant(v, like.Dtype(), like.Shape())
}

// fill1 returns a scalar constant of the element type of like.
func (b *builder) fill1(v float64, like *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	return b.constant(v, like.Dtype(), tensor.ScalarShape())
}

func (b *builder) constant(v float64, dt tensor.Dtype, shape tensor.Shape) *G.Node {
	if b.err != nil {
		return nil
	}
	var value any
	switch {
	case dt == tensor.Float64 && len(shape) == 0:
		value = v
	case dt == tensor.Float32 && len(shape) == 0:
		value = float32(v)
	default:
		t := tensor.New(tensor.Of(dt), tensor.WithShape(shape...))
		if b.err = t.Memset(map[bool]any{true: v, false: float32(v)}[dt == tensor.Float64]); b.err != nil {
			return nil
		}
		value = t
	}
	// Gorgonia identifies constants by name, and would name this one after its value alone.
	var n *G.Node
	n, b.err = adopt(b.g, G.NewConstant(value, G.WithName(fmt.Sprintf("autodiff %v %v %v", v, dt, shape))))
	return n
}
