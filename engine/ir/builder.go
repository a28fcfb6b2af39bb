package ir

import (
	"fmt"
	"slices"
)

// A Builder appends nodes to a graph. Its methods check operands and infer shapes; the first error sticks, and later
// calls return -1 and do nothing, so that a sequence of calls needs one check, of Err.
type Builder struct {
	G   *Graph
	Src int32 // of the nodes to come
	err error
}

// NewBuilder returns a builder of an empty graph.
func NewBuilder() *Builder { return &Builder{G: &Graph{}, Src: -1} }

// Err is the first error.
func (b *Builder) Err() error { return b.err }

// Fail makes err the builder's error unless it has one.
func (b *Builder) Fail(format string, args ...any) ID {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
	return -1
}

// Node returns a node that was added, until the next is; a zero node after an error.
func (b *Builder) Node(id ID) *Node {
	if id < 0 || int(id) >= len(b.G.Nodes) {
		b.Fail("ir: no node %d", id)
		return &Node{}
	}
	return &b.G.Nodes[id]
}

// Shape and Type are those of a node that was added.
func (b *Builder) Shape(id ID) []int { return b.Node(id).Shape }

// Type is the element type of a node that was added.
func (b *Builder) Type(id ID) DType { return b.Node(id).Type }

// Add appends a node and checks it.
func (b *Builder) Add(op Op, t DType, shape []int, attr any, in ...ID) ID {
	if b.err != nil {
		return -1
	}
	id := ID(len(b.G.Nodes))
	for _, i := range in {
		if i < 0 || i >= id {
			return b.Fail("ir: %v: operand %d, want a node below %d", op, i, id)
		}
	}
	b.G.Nodes = append(b.G.Nodes, Node{Op: op, Type: t, Shape: shape, In: in, Attr: attr, Src: b.Src})
	if err := b.G.Check(id); err != nil {
		b.G.Nodes = b.G.Nodes[:id]
		return b.Fail("%w", err)
	}
	return id
}

// Input appends an input.
func (b *Builder) Input(t DType, shape []int, attr InputAttr) ID { return b.Add(Input, t, shape, attr) }

// Const appends a constant array.
func (b *Builder) Const(t DType, shape []int, data any) ID {
	return b.Add(Const, t, shape, &Tensor{Data: data})
}

// Scalar appends a floating-point constant of shape ().
func (b *Builder) Scalar(t DType, v float64) ID {
	switch t {
	case F32:
		return b.Const(t, nil, []float32{float32(v)})
	case F64:
		return b.Const(t, nil, []float64{v})
	}
	return b.Fail("ir: Scalar of type %v, want f32 or f64", t)
}

// Full appends a constant of any shape whose elements are all v.
func (b *Builder) Full(t DType, shape []int, v float64) ID {
	return b.BroadcastTo(b.Scalar(t, v), shape)
}

// Unary appends an elementwise kind of one operand.
func (b *Builder) Unary(op Op, a ID) ID {
	n := b.Node(a)
	return b.Add(op, n.Type, n.Shape, nil, a)
}

// Binary appends an elementwise kind of two operands; a scalar operand is broadcast to the other's shape. Comparisons
// give Bool; Compare gives another type.
func (b *Builder) Binary(op Op, x, y ID) ID {
	switch op {
	case Lt, Le, Gt, Ge, Eq, Ne, And, Or:
		return b.Compare(op, Bool, x, y)
	}
	x, y = b.match(x, y)
	n := b.Node(x)
	return b.Add(op, n.Type, n.Shape, nil, x, y)
}

// Compare appends a comparison whose result, 0 or 1, has type t.
func (b *Builder) Compare(op Op, t DType, x, y ID) ID {
	x, y = b.match(x, y)
	return b.Add(op, t, b.Node(x).Shape, nil, x, y)
}

// match broadcasts the one of two operands that is a scalar.
func (b *Builder) match(x, y ID) (ID, ID) {
	if b.err != nil {
		return -1, -1
	}
	sx, sy := b.Shape(x), b.Shape(y)
	switch {
	case len(sx) == 0 && len(sy) > 0:
		x = b.BroadcastTo(x, sy)
	case len(sy) == 0 && len(sx) > 0:
		y = b.BroadcastTo(y, sx)
	}
	return x, y
}

// BinaryS appends op(x, v) for a constant v of x's type.
func (b *Builder) BinaryS(op Op, x ID, v float64) ID {
	return b.Binary(op, x, b.Scalar(b.Type(x), v))
}

// Where appends c != 0 ? x : y; scalars are broadcast to c's shape.
func (b *Builder) Where(c, x, y ID) ID {
	if b.err != nil {
		return -1
	}
	s := b.Shape(c)
	if len(s) > 0 {
		if len(b.Shape(x)) == 0 {
			x = b.BroadcastTo(x, s)
		}
		if len(b.Shape(y)) == 0 {
			y = b.BroadcastTo(y, s)
		}
	}
	return b.Add(Where, b.Type(x), s, nil, c, x, y)
}

// Cast appends a conversion; none if x is of type t already.
func (b *Builder) Cast(t DType, x ID) ID {
	if n := b.Node(x); n.Type != t {
		return b.Add(Cast, t, n.Shape, nil, x)
	}
	return x
}

// Random appends noise: op is Normal or Uniform, run the Int64 scalar of the run number.
func (b *Builder) Random(op Op, t DType, shape []int, r Rand, run ID) ID {
	return b.Add(op, t, shape, r, run)
}

// BroadcastTo appends what numpy's broadcasting makes of x: missing leading dimensions are added, those of 1 are
// repeated.
func (b *Builder) BroadcastTo(x ID, shape []int) ID {
	n := b.Node(x)
	if b.err != nil || slices.Equal(n.Shape, shape) {
		return x
	}
	if len(n.Shape) > len(shape) {
		return b.Fail("ir: broadcast of %v to %v", n.Shape, shape)
	}
	if d := len(shape) - len(n.Shape); d > 0 && len(n.Shape) > 0 {
		s := slices.Repeat([]int{1}, len(shape))
		copy(s[d:], n.Shape)
		x = b.Reshape(x, s)
	}
	if slices.Equal(b.Shape(x), shape) {
		return x
	}
	return b.Add(Broadcast, b.Type(x), shape, nil, x)
}

// Reshape appends a view of the same elements in row-major order; none if the shape is the same.
func (b *Builder) Reshape(x ID, shape []int) ID {
	n := b.Node(x)
	if slices.Equal(n.Shape, shape) {
		return x
	}
	return b.Add(Reshape, n.Type, shape, nil, x)
}

// Transpose appends a permutation: dimension i of the result is dimension axes[i] of x.
func (b *Builder) Transpose(x ID, axes ...int) ID {
	n := b.Node(x)
	if len(axes) != len(n.Shape) {
		return b.Fail("ir: transpose of %v by %v", n.Shape, axes)
	}
	s := make([]int, len(axes))
	for i, a := range axes {
		if a < 0 || a >= len(axes) {
			return b.Fail("ir: transpose of %v by %v", n.Shape, axes)
		}
		s[i] = n.Shape[a]
	}
	return b.Add(Transpose, n.Type, s, Axes(axes), x)
}

// Slice appends node[i] = x[start + step*i] of the given shape.
func (b *Builder) Slice(x ID, start, step, shape []int) ID {
	return b.Add(Slice, b.Type(x), shape, Span{start, step}, x)
}

// Pad appends node[start + step*i] = x[i], 0 elsewhere.
func (b *Builder) Pad(x ID, start, step, shape []int) ID {
	return b.Add(Pad, b.Type(x), shape, Span{start, step}, x)
}

// Concat appends the operands one after the other along an axis.
func (b *Builder) Concat(axis int, xs ...ID) ID {
	if len(xs) == 0 {
		return b.Fail("ir: concat of nothing")
	}
	s := slices.Clone(b.Shape(xs[0]))
	if axis < 0 || axis >= len(s) {
		return b.Fail("ir: concat of %v along axis %d", s, axis)
	}
	for _, x := range xs[1:] {
		if t := b.Shape(x); len(t) == len(s) {
			s[axis] += t[axis]
		}
	}
	return b.Add(Concat, b.Type(xs[0]), s, Axes{axis}, xs...)
}

// Reduce appends a reduction over axes, which may come in any order; none if there are none.
func (b *Builder) Reduce(op Op, x ID, axes ...int) ID {
	if len(axes) == 0 || b.err != nil {
		return x
	}
	axes = slices.Compact(slices.Sorted(slices.Values(axes)))
	n := b.Node(x)
	var s []int
	for i, d := range n.Shape {
		if !slices.Contains(axes, i) {
			s = append(s, d)
		}
	}
	return b.Add(op, n.Type, s, Axes(axes), x)
}

// Dot appends the matrix product of x and y, (..., m, k) and (..., k, n), each stored transposed if so said.
func (b *Builder) Dot(x, y ID, t Trans) ID {
	if b.err != nil {
		return -1
	}
	sx, sy := b.Shape(x), b.Shape(y)
	if len(sx) < 2 || len(sy) != len(sx) {
		return b.Fail("ir: dot of %v and %v", sx, sy)
	}
	s := slices.Clone(sx)
	d := len(s)
	if t.A {
		s[d-2] = sx[d-1]
	}
	s[d-1] = sy[d-1]
	if t.B {
		s[d-1] = sy[d-2]
	}
	return b.Add(Dot, b.Type(x), s, t, x, y)
}

// Custom appends a kernel.
func (b *Builder) Custom(k Kernel, t DType, shape []int, in ...ID) ID {
	return b.Add(Custom, t, shape, k, in...)
}

// Output makes a node wanted.
func (b *Builder) Output(ids ...ID) {
	for _, id := range ids {
		if b.Node(id); b.err == nil {
			b.G.Outputs = append(b.G.Outputs, id)
		}
	}
}
