package pass

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// dots brings matrix products into the shape that a kernel of them wants: transposes become its flags, a batch that
// shares its right operand becomes one product, and so does a sum of products over the batch (the gradient of what
// was shared). The last one sums in another order; the others change no bit.
func dots(g *ir.Graph) (*ir.Graph, Work) { return rewrite(g, dotNode) }

func dotNode(r *rewriter, _ ir.ID, n *ir.Node) ir.ID {
	switch n.Op {
	case ir.Dot:
		return r.dot(n)
	case ir.Transpose:
		x := n.In[0]
		if inner := r.node(x); inner.Op == ir.Dot && r.single(x) && swapsLast(n.Attr.(ir.Axes)) {
			t := inner.Attr.(ir.Trans) // (AB)' = B'A'
			return r.add(ir.Dot, n.Type, n.Shape, ir.Trans{A: !t.B, B: !t.A}, inner.In[1], inner.In[0])
		}
	case ir.ReduceSum:
		return r.sumOfDots(n)
	}
	return -1
}

// swapsLast reports whether a permutation exchanges the last two dimensions and nothing else.
func swapsLast(axes []int) bool {
	d := len(axes)
	if d < 2 || axes[d-1] != d-2 || axes[d-2] != d-1 {
		return false
	}
	for i, a := range axes[:d-2] {
		if a != i {
			return false
		}
	}
	return true
}

func (r *rewriter) dot(n *ir.Node) ir.ID {
	t, x, y := n.Attr.(ir.Trans), n.In[0], n.In[1]
	changed := false
	for i, operand := range []*ir.ID{&x, &y} {
		if m := r.node(*operand); m.Op == ir.Transpose && swapsLast(m.Attr.(ir.Axes)) {
			*operand = m.In[0]
			t.A = t.A != (i == 0)
			t.B = t.B != (i == 1)
			changed = true
		}
	}
	d := len(n.Shape)
	batch := ir.Count(n.Shape[:d-2])
	if d > 2 && batch == 1 {
		return r.reshape(r.dot2(n, t, r.matrix(x), r.matrix(y)), n.Shape)
	}
	if d > 2 && batch > 1 && !t.A {
		if w := r.shared(y); w >= 0 {
			s := r.node(x).Shape
			rows := r.reshape(x, []int{batch * s[d-2], s[d-1]})
			return r.reshape(r.dot2(n, t, rows, w), n.Shape)
		}
	}
	if !changed {
		return -1
	}
	return r.add(ir.Dot, n.Type, n.Shape, t, x, y)
}

// dot2 appends the product of two matrices.
func (r *rewriter) dot2(n *ir.Node, t ir.Trans, x, y ir.ID) ir.ID {
	shape := slices.Clone(r.node(x).Shape)
	if t.A {
		shape[0] = shape[1]
	}
	shape[1] = n.Shape[len(n.Shape)-1]
	return r.add(ir.Dot, n.Type, shape, t, x, y)
}

// matrix drops leading dimensions of 1.
func (r *rewriter) matrix(x ir.ID) ir.ID {
	s := r.node(x).Shape
	return r.reshape(x, s[len(s)-2:])
}

// shared returns the one matrix of which y is a batch of repetitions, else -1.
func (r *rewriter) shared(y ir.ID) ir.ID {
	n := r.node(y)
	d := len(n.Shape)
	if n.Op != ir.Broadcast {
		return -1
	}
	s := r.node(n.In[0]).Shape
	if len(s) != d || s[d-2] != n.Shape[d-2] || s[d-1] != n.Shape[d-1] || ir.Count(s[:d-2]) != 1 {
		return -1
	}
	return r.matrix(n.In[0])
}

// sumOfDots turns the sum over a whole batch of products whose operands are contracted over their rows into one
// product over all rows.
func (r *rewriter) sumOfDots(n *ir.Node) ir.ID {
	x := n.In[0]
	m := r.node(x)
	if m.Op != ir.Dot || !r.single(x) {
		return -1
	}
	d, t, axes := len(m.Shape), m.Attr.(ir.Trans), n.Attr.(ir.Axes)
	if d == 2 || len(axes) != d-2 || axes[d-3] != d-3 || !t.A || t.B {
		return -1
	}
	in := [2]ir.ID{m.In[0], m.In[1]}
	for i, y := range in {
		s := r.node(y).Shape
		in[i] = r.reshape(y, []int{ir.Count(s[:d-1]), s[d-1]})
	}
	return r.add(ir.Dot, n.Type, n.Shape, ir.Trans{A: true}, in[0], in[1])
}
