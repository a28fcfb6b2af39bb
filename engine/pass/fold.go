package pass

import (
	"math"

	"github.com/godcem/godcem/engine/ir"
)

// foldLimit is the largest constant that folding makes: beyond it a program would carry data rather than code.
const foldLimit = 1024

// fold computes what depends on constants alone. The results have the bits that the operation gives at run time, but
// for functions that are rounded as each backend can (exp, tanh, pow, ...): they are package math's, rounded once.
// Kernels and noise are never folded.
func fold(g *ir.Graph) (*ir.Graph, Work) { return rewrite(g, foldNode) }

func foldNode(r *rewriter, _ ir.ID, n *ir.Node) ir.ID {
	class := n.Op.Class()
	if class != ir.Elementwise && class != ir.Movement && class != ir.Reduction {
		return -1
	}
	if n.Op == ir.Normal || n.Op == ir.Uniform {
		return -1
	}
	if n.Count() > foldLimit && n.Op != ir.Reshape {
		return -1
	}
	if n.Op == ir.Broadcast {
		return -1 // a repeated value is the shorter form
	}
	constants, whole := true, false
	for _, x := range n.In {
		_, uniform := r.uniform(x)
		constants = constants && (uniform || r.node(x).Op == ir.Const)
		whole = whole || r.node(x).Op == ir.Const
	}
	if !constants || len(n.In) == 0 {
		return -1
	}
	if !whole && (class != ir.Reduction && len(n.Shape) > 0) {
		return -1 // all are repeated values: canonicalise computes on them before they are repeated
	}
	var data any
	switch class {
	case ir.Elementwise:
		data = r.foldElements(n)
	case ir.Movement:
		data = r.foldMovement(n)
	case ir.Reduction:
		data = r.foldReduction(n)
	}
	if data == nil {
		return -1
	}
	return r.add(ir.Const, n.Type, n.Shape, &ir.Tensor{Data: data})
}

// A constant reads the elements of a Const or of a repeated scalar as float64.
type constant struct {
	data   any
	repeat bool
}

func (r *rewriter) constant(x ir.ID) constant {
	n := r.node(x)
	if n.Op == ir.Broadcast {
		return constant{r.node(n.In[0]).Attr.(*ir.Tensor).Data, true}
	}
	return constant{n.Attr.(*ir.Tensor).Data, false}
}

func (c constant) at(i int) float64 {
	if c.repeat {
		i = 0
	}
	switch d := c.data.(type) {
	case []float32:
		return float64(d[i])
	case []float64:
		return d[i]
	case []int64:
		return float64(d[i])
	case []int:
		return float64(d[i])
	case []int32:
		return float64(d[i])
	case []uint8:
		return float64(d[i])
	case []bool:
		if d[i] {
			return 1
		}
	}
	return 0
}

// exactInt is the size up to which float64 holds every integer.
const exactInt = 1 << 53

func (r *rewriter) foldElements(n *ir.Node) any {
	var in [3]constant
	for i, x := range n.In {
		in[i] = r.constant(x)
	}
	from := r.node(n.In[0]).Type
	values := make([]float64, n.Count())
	for i := range values {
		var v [3]float64
		for j := range n.In {
			v[j] = in[j].at(i)
			if t := r.node(n.In[j]).Type; !t.Float() && math.Abs(v[j]) > exactInt {
				return nil
			}
		}
		if n.Op != ir.Cast {
			values[i] = element(n.Op, n.Type, v[0], v[1], v[2])
			continue
		}
		if from.Float() && !n.Type.Float() {
			v[0] = math.Trunc(v[0])
			if n.Type == ir.Bool {
				v[0] = in[0].at(i) // not 0: true
			} else if !fits(n.Type, v[0]) {
				return nil // each machine has its own answer
			}
		} else if !n.Type.Float() && n.Type != ir.Bool && !fits(n.Type, v[0]) {
			return nil
		}
		values[i] = v[0]
	}
	return makeData(n.Type, values)
}

// element computes one element of a node of type t, before it is rounded to t. Adding, multiplying, dividing and
// taking a root in float64 and rounding once to float32 gives what float32 arithmetic does: float64 has more than
// twice its bits and two to spare. What is rounded twice needs care.
func element(op ir.Op, t ir.DType, a, b, c float64) float64 {
	if t == ir.F32 {
		switch op {
		case ir.Cube:
			return float64(float32(a*a)) * a
		case ir.InvSqrt:
			return 1 / float64(float32(math.Sqrt(a)))
		}
	}
	return op.Info().F(a, b, c)
}

// fits reports whether v, an integer, is in the range of an integer type.
func fits(t ir.DType, v float64) bool {
	switch t {
	case ir.Int32:
		return v >= math.MinInt32 && v <= math.MaxInt32
	case ir.Uint8:
		return v >= 0 && v <= math.MaxUint8
	}
	return math.Abs(v) <= exactInt
}

// makeData makes a tensor's data of numbers that its type holds.
func makeData(t ir.DType, v []float64) any {
	switch t {
	case ir.F32:
		return convert[float32](v)
	case ir.F64:
		return v
	case ir.Int64:
		return convert[int64](v)
	case ir.Int:
		return convert[int](v)
	case ir.Int32:
		return convert[int32](v)
	case ir.Uint8:
		return convert[uint8](v)
	}
	d := make([]bool, len(v))
	for i, x := range v {
		d[i] = x != 0
	}
	return d
}

func convert[T float32 | int64 | int | int32 | uint8](v []float64) []T {
	d := make([]T, len(v))
	for i, x := range v {
		d[i] = T(x)
	}
	return d
}

// first is a tensor's data of its first element.
func first(data any) any {
	switch d := data.(type) {
	case []float32:
		return d[:1:1]
	case []float64:
		return d[:1:1]
	case []int64:
		return d[:1:1]
	case []int:
		return d[:1:1]
	case []int32:
		return d[:1:1]
	case []uint8:
		return d[:1:1]
	}
	return data.([]bool)[:1:1]
}

// foldMovement moves the elements of constants, of any type and bits.
func (r *rewriter) foldMovement(n *ir.Node) any {
	if n.Op == ir.Reshape {
		return r.constant(n.In[0]).data // the same elements; uniform operands are broadcast anew by canonicalise
	}
	from := make([]source, n.Count()) // operand and element, operand -1: zero
	switch n.Op {
	case ir.Concat:
		axis, at := n.Attr.(ir.Axes)[0], 0
		for i, x := range n.In {
			s := r.node(x).Shape
			start := make([]int, len(s))
			start[axis] = at
			scatter(from, n.Shape, s, start, nil, int32(i))
			at += s[axis]
		}
	case ir.Pad:
		for i := range from {
			from[i].operand = -1
		}
		a := n.Attr.(ir.Span)
		scatter(from, n.Shape, r.node(n.In[0]).Shape, a.Start, a.Step, 0)
	case ir.Slice, ir.Transpose:
		s := r.node(n.In[0]).Shape
		stride := strides(s)
		offset, step := 0, make([]int, len(n.Shape))
		for i := range n.Shape {
			if a, ok := n.Attr.(ir.Span); ok {
				offset += a.Start[i] * stride[i]
				step[i] = a.Step[i] * stride[i]
			} else {
				step[i] = stride[n.Attr.(ir.Axes)[i]]
			}
		}
		index := make([]int, len(n.Shape))
		for i := range from {
			from[i].element = offset
			for d := range index {
				from[i].element += index[d] * step[d]
			}
			next(index, n.Shape)
		}
	}
	in := make([]constant, len(n.In))
	for i, x := range n.In {
		in[i] = r.constant(x)
	}
	return gather(n.Type, from, in)
}

type source struct {
	operand int32
	element int
}

func strides(shape []int) []int {
	s, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// next advances an index in row-major order.
func next(index, shape []int) {
	for d := len(index) - 1; d >= 0; d-- {
		if index[d]++; index[d] < shape[d] {
			return
		}
		index[d] = 0
	}
}

// scatter notes where the elements of an operand of shape small stand in a node of shape large.
func scatter(from []source, large, small, start, step []int, operand int32) {
	stride := strides(large)
	index := make([]int, len(small))
	for e := range ir.Count(small) {
		at := 0
		for d, i := range index {
			if step != nil {
				i *= step[d]
			}
			at += (start[d] + i) * stride[d]
		}
		from[at] = source{operand, e}
		next(index, small)
	}
}

func gather(t ir.DType, from []source, in []constant) any {
	switch t {
	case ir.F32:
		return gatherOf[float32](from, in)
	case ir.F64:
		return gatherOf[float64](from, in)
	case ir.Int64:
		return gatherOf[int64](from, in)
	case ir.Int:
		return gatherOf[int](from, in)
	case ir.Int32:
		return gatherOf[int32](from, in)
	case ir.Uint8:
		return gatherOf[uint8](from, in)
	}
	return gatherOf[bool](from, in)
}

func gatherOf[T any](from []source, in []constant) any {
	out := make([]T, len(from))
	for i, f := range from {
		if f.operand >= 0 {
			c := in[f.operand]
			if c.repeat {
				f.element = 0
			}
			out[i] = c.data.([]T)[f.element]
		}
	}
	return out
}

// foldReduction computes extremes, and sums that are exact in any order because they are sums of small integers.
func (r *rewriter) foldReduction(n *ir.Node) any {
	x := r.node(n.In[0])
	if n.Op == ir.ReduceProd || x.Count() == 0 || x.Count() > foldLimit {
		return nil
	}
	c := r.constant(n.In[0])
	limit, total := float64(1<<24), 0.0
	if n.Type == ir.F64 {
		limit = exactInt
	}
	stride := make([]int, len(x.Shape)) // in the result
	at := 1
	for i, d := len(x.Shape)-1, 0; i >= 0; i-- {
		if reduced := n.Attr.(ir.Axes); d < len(reduced) && reduced[len(reduced)-1-d] == i {
			d++
			continue
		}
		stride[i] = at
		at *= x.Shape[i]
	}
	out, seen := make([]float64, n.Count()), make([]bool, n.Count())
	index := make([]int, len(x.Shape))
	for i := range x.Count() {
		to := 0
		for d, j := range index {
			to += j * stride[d]
		}
		v := c.at(i)
		total += math.Abs(v)
		if n.Op == ir.ReduceSum && (v != math.Trunc(v) || v == 0 && math.Signbit(v) || !(total <= limit)) {
			return nil
		}
		if !seen[to] {
			out[to], seen[to] = v, true
		} else {
			out[to] = n.Op.Info().F(out[to], v, 0)
		}
		next(index, x.Shape)
	}
	return makeData(n.Type, out)
}
