package pass

import (
	"math"

	"github.com/godcem/godcem/engine/ir"
)

// Facts about the values of nodes, and constants of one value: a scalar Const, or a Broadcast of it, or a Const whose
// elements are all the same.

// uniform returns the scalar constant of which x is made.
func (r *rewriter) uniform(x ir.ID) (ir.ID, bool) {
	n := r.node(x)
	if n.Op == ir.Broadcast {
		x = n.In[0]
		n = r.node(x)
	}
	return x, n.Op == ir.Const && len(n.Shape) == 0
}

// value returns the number that every element of x, of a float type, is.
func (r *rewriter) value(x ir.ID) (float64, bool) {
	n := r.node(x)
	if n.Op == ir.Broadcast || n.Op == ir.Reshape {
		n = r.node(n.In[0])
	}
	if n.Op != ir.Const || n.Count() != 1 {
		return 0, false
	}
	switch d := n.Attr.(*ir.Tensor).Data.(type) {
	case []float32:
		return float64(d[0]), true
	case []float64:
		return d[0], true
	case []bool:
		if d[0] {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// is reports whether every element of x is v, the sign of zero included.
func (r *rewriter) is(x ir.ID, v float64) bool {
	w, ok := r.value(x)
	return ok && w == v && math.Signbit(w) == math.Signbit(v)
}

func (r *rewriter) isZero(x ir.ID) bool { return r.is(x, 0) }

// full appends an array whose elements are all v.
func (r *rewriter) full(t ir.DType, shape []int, v float64) ir.ID {
	return r.broadcast(r.add(ir.Const, t, nil, &ir.Tensor{Data: makeData(t, []float64{v})}), shape)
}

func (r *rewriter) zeros(t ir.DType, shape []int) ir.ID { return r.full(t, shape, 0) }

// factsDepth bounds how far notNegative and notMinusZero look through operands.
const factsDepth = 4

// notNegative reports whether no element of x is below 0 or -0; NaN is allowed.
func (r *rewriter) notNegative(x ir.ID, depth int) bool {
	n := r.node(x)
	switch n.Op {
	case ir.Square, ir.Abs, ir.Exp, ir.Sigmoid, ir.Softplus, ir.Uniform:
		return true
	case ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne, ir.And, ir.Or, ir.Not:
		return true
	case ir.Const, ir.Broadcast, ir.Reshape:
		if v, ok := r.value(x); ok {
			return !(v < 0) && !math.Signbit(v)
		}
	}
	if depth == 0 {
		return false
	}
	all := func() bool {
		for _, in := range n.In {
			if !r.notNegative(in, depth-1) {
				return false
			}
		}
		return true
	}
	switch n.Op {
	case ir.Broadcast, ir.Reshape, ir.Transpose, ir.Slice, ir.Pad, ir.Sqrt:
		return all()
	case ir.Add, ir.Mul, ir.Div, ir.Max, ir.Min:
		return all() // Mul: 0 * Inf is NaN, of either sign, which counts as none
	case ir.Where:
		return r.notNegative(n.In[1], depth-1) && r.notNegative(n.In[2], depth-1)
	}
	return false
}

// notMinusZero reports whether no element of x is -0, so that adding +0 changes nothing.
func (r *rewriter) notMinusZero(x ir.ID, depth int) bool {
	n := r.node(x)
	if n.Op == ir.Add && depth > 0 { // a sum is -0 only if both operands are
		return r.notMinusZero(n.In[0], depth-1) || r.notMinusZero(n.In[1], depth-1)
	}
	if v, ok := r.value(x); ok {
		return v != 0 || !math.Signbit(v)
	}
	return r.notNegative(x, depth)
}
