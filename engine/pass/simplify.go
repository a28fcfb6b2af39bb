package pass

import (
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// simplify applies the identities of arithmetic that hold for every operand, NaN, infinities and zeros of both signs
// included. So x*1 is x, but x*0, x-x and x/x stay, and x+0 is x only where x cannot be -0. (The sign and the payload
// of a NaN are nobody's.) pow with an exponent of 2, 3 or -1 becomes arithmetic, which is at least as accurate.
//
// Two rules change more than that: sums of sums become one sum, which may round differently, and a sum over axes of
// one element is that element, also where it is -0.
func simplify(g *ir.Graph) (*ir.Graph, Work) { return rewrite(g, simple) }

func simple(r *rewriter, _ ir.ID, n *ir.Node) ir.ID {
	switch n.Op.Class() {
	case ir.Reduction:
		return r.reduction(n)
	case ir.Elementwise:
	default:
		return -1
	}
	x := ir.ID(-1)
	if len(n.In) > 0 {
		x = n.In[0]
	}
	switch n.Op {
	case ir.Where:
		return r.where(n)
	case ir.Cast:
		return r.cast(n)
	case ir.Normal, ir.Uniform:
		return -1
	}
	if len(n.In) == 1 {
		return r.unary(n, x)
	}
	return r.binary(n, x, n.In[1])
}

// operand returns the operand of x if x is a unary node of the kind, else -1.
func (r *rewriter) operand(x ir.ID, op ir.Op) ir.ID {
	if n := r.node(x); n.Op == op {
		return n.In[0]
	}
	return -1
}

func (r *rewriter) unary(n *ir.Node, x ir.ID) ir.ID {
	inner := r.node(x)
	switch n.Op {
	case ir.Neg:
		if inner.Op == ir.Neg {
			return inner.In[0]
		}
	case ir.Abs:
		if y := r.operand(x, ir.Neg); y >= 0 {
			return r.like(x, ir.Abs, y)
		}
		if r.notNegative(x, factsDepth) {
			return x
		}
	case ir.Square:
		for _, op := range []ir.Op{ir.Neg, ir.Abs} {
			if y := r.operand(x, op); y >= 0 {
				return r.like(x, ir.Square, y)
			}
		}
	case ir.Floor, ir.Ceil:
		if inner.Op == ir.Floor || inner.Op == ir.Ceil {
			return x
		}
	case ir.Sign:
		if inner.Op == ir.Sign {
			return x
		}
	case ir.Not:
		return r.not(n, x)
	}
	return -1
}

func (r *rewriter) not(n *ir.Node, x ir.ID) ir.ID {
	inner := r.node(x)
	switch inner.Op {
	case ir.Not:
		if y := inner.In[0]; n.Type == ir.Bool && r.node(y).Type == ir.Bool {
			return y
		}
	case ir.Eq:
		if n.Type == inner.Type {
			return r.like(x, ir.Ne, inner.In...)
		}
	case ir.Ne:
		if n.Type == inner.Type {
			return r.like(x, ir.Eq, inner.In...)
		}
	}
	return -1
}

func (r *rewriter) binary(n *ir.Node, x, y ir.ID) ir.ID {
	if !n.Type.Float() || n.Type != r.node(x).Type {
		return r.logic(n, x, y)
	}
	switch n.Op {
	case ir.Add:
		return r.sum(x, y)
	case ir.Sub:
		return r.difference(x, y)
	case ir.Mul:
		return r.product(x, y)
	case ir.Div:
		return r.quotient(x, y)
	case ir.Pow:
		return r.power(n, x, y)
	case ir.Max, ir.Min:
		limit := math.Inf(-1)
		if n.Op == ir.Min {
			limit = math.Inf(1)
		}
		if x == y || r.is(y, limit) {
			return x
		}
		if r.is(x, limit) {
			return y
		}
	}
	return -1
}

func (r *rewriter) logic(n *ir.Node, x, y ir.ID) ir.ID {
	if n.Op != ir.And && n.Op != ir.Or || n.Type != ir.Bool || r.node(x).Type != ir.Bool {
		return -1
	}
	if x == y {
		return x
	}
	for range 2 {
		if v, ok := r.value(y); ok {
			if (v != 0) == (n.Op == ir.And) {
				return x // x and true, x or false
			}
			return y
		}
		x, y = y, x
	}
	return -1
}

func (r *rewriter) sum(x, y ir.ID) ir.ID {
	if z := r.operand(y, ir.Neg); z >= 0 {
		return r.like(x, ir.Sub, x, z)
	}
	if z := r.operand(x, ir.Neg); z >= 0 {
		return r.like(x, ir.Sub, y, z)
	}
	for range 2 {
		if v, ok := r.value(y); ok && v == 0 && (math.Signbit(v) || r.notMinusZero(x, factsDepth)) {
			return x
		}
		x, y = y, x
	}
	return -1
}

func (r *rewriter) difference(x, y ir.ID) ir.ID {
	if z := r.operand(y, ir.Neg); z >= 0 {
		return r.like(x, ir.Add, x, z)
	}
	if v, ok := r.value(y); ok && v == 0 && (!math.Signbit(v) || r.notMinusZero(x, factsDepth)) {
		return x
	}
	if r.is(x, math.Copysign(0, -1)) {
		return r.like(y, ir.Neg, y)
	}
	return -1
}

func (r *rewriter) product(x, y ir.ID) ir.ID {
	if x == y {
		return r.like(x, ir.Square, x)
	}
	a, b := r.operand(x, ir.Neg), r.operand(y, ir.Neg)
	if a >= 0 && b >= 0 {
		return r.like(x, ir.Mul, a, b)
	}
	for range 2 {
		if v, ok := r.value(y); ok {
			switch {
			case v == 1:
				return x
			case v == -1:
				return r.like(x, ir.Neg, x)
			case r.node(x).Op == ir.Neg:
				n := r.node(y)
				z := r.node(x).In[0]
				return r.like(x, ir.Mul, z, r.full(n.Type, n.Shape, -v))
			}
		}
		x, y = y, x
	}
	return -1
}

func (r *rewriter) quotient(x, y ir.ID) ir.ID {
	a, b := r.operand(x, ir.Neg), r.operand(y, ir.Neg)
	if a >= 0 && b >= 0 {
		return r.like(x, ir.Div, a, b)
	}
	if r.is(x, 1) {
		return r.like(y, ir.Recip, y)
	}
	v, ok := r.value(y)
	if !ok {
		return -1
	}
	n := r.node(y)
	switch {
	case v == 1:
		return x
	case v == -1:
		return r.like(x, ir.Neg, x)
	case a >= 0 && v == v:
		return r.like(x, ir.Div, a, r.full(n.Type, n.Shape, -v))
	case exactReciprocal(n.Type, v):
		return r.like(x, ir.Mul, x, r.full(n.Type, n.Shape, 1/v))
	}
	return -1
}

// exactReciprocal reports whether v is a power of two whose reciprocal is a normal number of type t, so that x/v and
// x*(1/v) round the same number.
func exactReciprocal(t ir.DType, v float64) bool {
	frac, exp := math.Frexp(v)
	limit := 126
	if t == ir.F64 {
		limit = 1022
	}
	return math.Abs(frac) == 0.5 && exp-1 >= -limit && exp-1 <= limit
}

func (r *rewriter) power(n *ir.Node, x, y ir.ID) ir.ID {
	v, ok := r.value(y)
	switch {
	case !ok:
	case v == 1:
		return x
	case v == 2:
		return r.like(x, ir.Square, x)
	case v == 3:
		return r.like(x, ir.Cube, x)
	case v == -1:
		return r.like(x, ir.Recip, x)
	case v == 0:
		return r.full(n.Type, n.Shape, 1) // of NaN too
	case v == 0.5 && r.notNegative(x, factsDepth): // pow(-0, 0.5) is 0, pow(-Inf, 0.5) is Inf
		return r.like(x, ir.Sqrt, x)
	}
	return -1
}

func (r *rewriter) where(n *ir.Node) ir.ID {
	c, x, y := n.In[0], n.In[1], n.In[2]
	if x == y {
		return x
	}
	if v, ok := r.value(c); ok {
		if v != 0 { // NaN too
			return x
		}
		return y
	}
	inner := r.node(c)
	switch inner.Op {
	case ir.Not:
		return r.add(ir.Where, n.Type, n.Shape, nil, inner.In[0], y, x)
	case ir.Cast:
		if z := inner.In[0]; r.node(z).Type == ir.Bool {
			return r.add(ir.Where, n.Type, n.Shape, nil, z, x, y)
		}
	}
	return -1
}

// cast drops conversions that change nothing, alone or one after the other.
func (r *rewriter) cast(n *ir.Node) ir.ID {
	x := n.In[0]
	inner := r.node(x)
	if inner.Type == n.Type {
		return x
	}
	switch inner.Op {
	case ir.Cast:
		y := inner.In[0]
		from := r.node(y).Type
		switch {
		case !holds(inner.Type, from):
		case from == n.Type:
			return y
		case n.Type.Float() || n.Type == ir.Bool || !inner.Type.Float() || holds(n.Type, from):
			// left out: from float to an integer that cannot hold it, where each machine has its own answer
			return r.add(ir.Cast, n.Type, n.Shape, nil, y)
		}
	case ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne, ir.And, ir.Or, ir.Not:
		if inner.Type == ir.Bool && n.Type.Float() && r.node(inner.In[0]).Type == n.Type {
			return r.add(inner.Op, n.Type, n.Shape, nil, inner.In...) // 0 and 1 at once
		}
	}
	return -1
}

// holds reports whether every value of type small is one of type large.
func holds(large, small ir.DType) bool {
	switch small {
	case ir.Bool:
		return true
	case ir.Uint8:
		return large != ir.Bool
	case ir.Int32:
		return large == ir.Int64 || large == ir.Int || large == ir.F64
	case ir.Int, ir.Int64:
		return large == ir.Int || large == ir.Int64
	case ir.F32:
		return large == ir.F64
	}
	return false
}

func (r *rewriter) reduction(n *ir.Node) ir.ID {
	x, axes := n.In[0], n.Attr.(ir.Axes)
	inner := r.node(x)
	ones := true
	for _, a := range axes {
		ones = ones && inner.Shape[a] == 1
	}
	if ones {
		return r.reshape(x, n.Shape)
	}
	switch inner.Op {
	case n.Op: // the maximum of maxima, the sum of sums
		if !r.single(x) {
			return -1 // the inner one is needed too: a reduction of it is cheaper than another of all
		}
		all := slices.Clone(inner.Attr.(ir.Axes))
		y := inner.In[0]
		outer := 0 // dimension of x
		for d := range r.node(y).Shape {
			if slices.Contains(inner.Attr.(ir.Axes), d) {
				continue
			}
			if slices.Contains(axes, outer) {
				all = append(all, d)
			}
			outer++
		}
		slices.Sort(all)
		return r.add(n.Op, n.Type, n.Shape, all, y)
	case ir.Reshape:
		if y := inner.In[0]; len(n.Shape) == 0 && len(r.node(y).Shape) > 0 {
			return r.reduceAll(n, y)
		}
	case ir.Broadcast:
		return r.reduceBroadcast(n, inner)
	}
	return -1
}

// reduceAll reduces all of y.
func (r *rewriter) reduceAll(n *ir.Node, y ir.ID) ir.ID {
	axes := make(ir.Axes, len(r.node(y).Shape))
	for i := range axes {
		axes[i] = i
	}
	return r.add(n.Op, n.Type, n.Shape, axes, y)
}

// reduceBroadcast reduces before values are repeated: each result once, and an extreme of repetitions is what is
// repeated. (A sum of them is not: n*x has one rounding, a sum has more.)
func (r *rewriter) reduceBroadcast(n, inner *ir.Node) ir.ID {
	y, axes := inner.In[0], n.Attr.(ir.Axes)
	s := r.node(y).Shape
	if inner.Count() == 0 {
		return -1
	}
	extreme := n.Op == ir.ReduceMax || n.Op == ir.ReduceMin
	if len(s) == 0 {
		if !extreme {
			return -1
		}
		return r.broadcast(y, n.Shape)
	}
	var left ir.Axes // of y that hold more than one element
	var shape, kept []int
	for d := range s {
		reduced := slices.Contains(axes, d)
		if reduced && s[d] < inner.Shape[d] && !extreme {
			return -1
		}
		if reduced && s[d] > 1 {
			left = append(left, d)
		} else {
			shape = append(shape, s[d])
		}
		if !reduced {
			kept = append(kept, s[d])
		}
	}
	if len(left) > 0 {
		y = r.add(n.Op, n.Type, shape, left, y)
	}
	return r.broadcast(r.reshape(y, kept), n.Shape)
}
