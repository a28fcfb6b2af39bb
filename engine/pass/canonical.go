package pass

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// canonicalise gives equal things one form, so that later passes have fewer to know: operands in order, chains of
// movement merged, arithmetic on repeated values done before they are repeated.
func canonicalise(g *ir.Graph) (*ir.Graph, Work) { return rewrite(g, canonical) }

func canonical(r *rewriter, old ir.ID, n *ir.Node) ir.ID {
	switch n.Op {
	case ir.Const:
		if t := n.Attr.(*ir.Tensor); n.Count() > 1 && t.Uniform() {
			one := r.add(ir.Const, n.Type, nil, &ir.Tensor{Data: first(t.Data)})
			return r.broadcast(one, n.Shape)
		}
		return -1
	case ir.Reshape:
		return r.mergeReshape(n.In[0], n.Shape)
	case ir.Transpose:
		return r.mergeTranspose(n.In[0], n.Attr.(ir.Axes))
	case ir.Broadcast:
		return r.mergeBroadcast(n.In[0], n.Shape)
	case ir.Slice:
		return r.mergeSlice(n.In[0], n.Attr.(ir.Span), n.Shape)
	case ir.Pad:
		return r.mergePad(n.In[0], n.Attr.(ir.Span), n.Shape)
	case ir.Concat:
		if id := r.mergeConcat(n.Attr.(ir.Axes)[0], n.In, n.Shape); id >= 0 || r.sliced(old) {
			return id
		}
		return r.flattenConcat(n)
	}
	if n.Op.Class() != ir.Elementwise || n.Op == ir.Normal || n.Op == ir.Uniform {
		return -1 // the noise of an element depends on where it stands
	}
	if id := r.shrink(n); id >= 0 {
		return id
	}
	if commutes(n.Op) && r.rank(n.In[0]) > r.rank(n.In[1]) {
		return r.append(ir.Node{Op: n.Op, Type: n.Type, Shape: n.Shape, In: r.cut([]ir.ID{n.In[1], n.In[0]}), Src: n.Src})
	}
	return -1
}

// commutes reports whether the operands of a kind may be exchanged without changing a bit (but in a NaN).
func commutes(op ir.Op) bool {
	switch op {
	case ir.Add, ir.Mul, ir.Max, ir.Min, ir.Eq, ir.Ne, ir.And, ir.Or:
		return true
	}
	return false
}

// rank orders operands: by number, constants of one value last.
func (r *rewriter) rank(x ir.ID) int64 {
	if _, ok := r.uniform(x); ok {
		return int64(x) + 1<<32
	}
	return int64(x)
}

// shrink computes on the operands of broadcasts where that is on fewer elements: op(broadcast x, broadcast y) is
// broadcast(op(x, y)), where x and y have at least been broadcast to each other's shapes.
func (r *rewriter) shrink(n *ir.Node) ir.ID {
	for _, x := range n.In {
		if r.node(x).Op != ir.Broadcast {
			return -1
		}
	}
	scalars := true
	small := slices.Repeat([]int{1}, len(n.Shape))
	for _, x := range n.In {
		s := r.node(r.node(x).In[0]).Shape
		scalars = scalars && len(s) == 0
		for i, d := range s {
			small[i] = max(small[i], d)
		}
	}
	if ir.Count(small) >= n.Count() {
		return -1
	}
	if scalars {
		small = nil
	}
	node := ir.Node{Op: n.Op, Type: n.Type, Shape: small, Attr: n.Attr, Src: n.Src}
	in := make([]ir.ID, len(n.In))
	for i, x := range n.In {
		in[i] = r.broadcast(r.node(x).In[0], small)
	}
	node.In = r.cut(in)
	return r.broadcast(r.append(node), n.Shape)
}
