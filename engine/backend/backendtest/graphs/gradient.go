package graphs

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// Gradient appends the gradients of a scalar with respect to nodes of its float type, by a reverse sweep: a means to
// build the graphs that training makes, without the packages above. It panics on a kind that it has no rule for.
func Gradient(b *ir.Builder, out ir.ID, wrt ...ir.ID) []ir.ID {
	grad := make([]ir.ID, out+1) // 0: none yet
	for i := range grad {
		grad[i] = -1
	}
	active := make([]bool, out+1)
	for _, id := range wrt {
		active[id] = true
	}
	for id := range out + 1 {
		for _, in := range b.G.Nodes[id].In {
			active[id] = active[id] || active[in]
		}
	}
	grad[out] = b.Scalar(b.Type(out), 1)
	for id := out; id >= 0; id-- {
		if grad[id] < 0 || !active[id] {
			continue
		}
		n := b.G.Nodes[id] // a copy: the sweep appends nodes
		for i, in := range n.In {
			if !active[in] || !b.Type(in).Float() {
				continue
			}
			d := operandGradient(b, n, id, i, grad[id])
			switch {
			case d < 0:
			case grad[in] < 0:
				grad[in] = d
			default:
				grad[in] = b.Binary(ir.Add, grad[in], d)
			}
		}
	}
	g := make([]ir.ID, len(wrt))
	for i, id := range wrt {
		if g[i] = grad[id]; g[i] < 0 {
			g[i] = b.Full(b.Type(id), b.Shape(id), 0)
		}
	}
	return g
}

// operandGradient is g, the gradient of node id, taken back to its operand i; -1 if nothing comes through.
func operandGradient(b *ir.Builder, n ir.Node, id ir.ID, i int, g ir.ID) ir.ID {
	mul := func(x, y ir.ID) ir.ID { return b.Binary(ir.Mul, x, y) }
	in := func(i int) ir.ID { return n.In[i] }
	switch n.Op {
	case ir.Neg:
		return b.Unary(ir.Neg, g)
	case ir.Square:
		return mul(g, b.BinaryS(ir.Mul, in(0), 2))
	case ir.Sqrt:
		return b.Binary(ir.Div, b.BinaryS(ir.Mul, g, 0.5), id)
	case ir.Exp:
		return mul(g, id)
	case ir.Log:
		return b.Binary(ir.Div, g, in(0))
	case ir.Tanh:
		return mul(g, b.Binary(ir.Sub, b.Full(n.Type, n.Shape, 1), b.Unary(ir.Square, id)))
	case ir.Sigmoid:
		return mul(g, mul(id, b.Binary(ir.Sub, b.Full(n.Type, n.Shape, 1), id)))
	case ir.Softplus:
		return mul(g, b.Unary(ir.Sigmoid, in(0)))
	case ir.Sin:
		return mul(g, b.Unary(ir.Cos, in(0)))
	case ir.Cos:
		return b.Unary(ir.Neg, mul(g, b.Unary(ir.Sin, in(0))))
	case ir.Add:
		return g
	case ir.Sub:
		if i == 1 {
			return b.Unary(ir.Neg, g)
		}
		return g
	case ir.Mul:
		return mul(g, in(1-i))
	case ir.Div:
		d := b.Binary(ir.Div, g, in(1))
		if i == 1 {
			d = b.Unary(ir.Neg, mul(d, id))
		}
		return d
	case ir.Max, ir.Min:
		op := ir.Ge
		if n.Op == ir.Min {
			op = ir.Le
		}
		return mul(g, b.Compare(op, n.Type, in(i), in(1-i)))
	case ir.Where:
		zero := b.Full(n.Type, n.Shape, 0)
		switch i {
		case 1:
			return b.Where(in(0), g, zero)
		case 2:
			return b.Where(in(0), zero, g)
		}
		return -1
	case ir.Reshape:
		return b.Reshape(g, b.Shape(in(0)))
	case ir.Transpose:
		axes := n.Attr.(ir.Axes)
		back := make([]int, len(axes))
		for d, a := range axes {
			back[a] = d
		}
		return b.Transpose(g, back...)
	case ir.Slice:
		s := n.Attr.(ir.Span)
		return b.Pad(g, s.Start, s.Step, b.Shape(in(0)))
	case ir.Pad:
		s := n.Attr.(ir.Span)
		return b.Slice(g, s.Start, s.Step, b.Shape(in(0)))
	case ir.Broadcast:
		shape := b.Shape(in(0))
		var axes []int
		for d := range n.Shape {
			if len(shape) == 0 || shape[d] != n.Shape[d] {
				axes = append(axes, d)
			}
		}
		return b.Reshape(b.Reduce(ir.ReduceSum, g, axes...), shape)
	case ir.ReduceSum:
		return b.BroadcastTo(b.Reshape(g, kept(b.Shape(in(0)), n.Attr.(ir.Axes))), b.Shape(in(0)))
	case ir.ReduceMax:
		shape := b.Shape(in(0))
		back := func(x ir.ID) ir.ID {
			return b.BroadcastTo(b.Reshape(x, kept(shape, n.Attr.(ir.Axes))), shape)
		}
		return mul(back(g), b.Compare(ir.Eq, n.Type, in(0), back(id)))
	case ir.Concat:
		axis := n.Attr.(ir.Axes)[0]
		start, step := make([]int, len(n.Shape)), slices.Repeat([]int{1}, len(n.Shape))
		for _, before := range n.In[:i] {
			start[axis] += b.Shape(before)[axis]
		}
		return b.Slice(g, start, step, b.Shape(in(i)))
	case ir.Dot:
		t := n.Attr.(ir.Trans)
		// C = A B: dA = dC B', dB = A' dC; a stored transpose transposes the gradient too.
		switch {
		case i == 0 && !t.A:
			return b.Dot(g, in(1), ir.Trans{B: !t.B})
		case i == 0:
			return b.Dot(in(1), g, ir.Trans{A: t.B, B: true})
		case !t.B:
			return b.Dot(in(0), g, ir.Trans{A: !t.A})
		default:
			return b.Dot(g, in(0), ir.Trans{A: true, B: t.A})
		}
	}
	panic(fmt.Sprintf("graphs: no gradient of %v", n.Op))
}

// kept is a shape with 1 for the axes.
func kept(shape []int, axes ir.Axes) []int {
	s := slices.Clone(shape)
	for _, a := range axes {
		s[a] = 1
	}
	return s
}
