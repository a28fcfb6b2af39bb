package frontend

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"gorgonia.org/tensor"
)

// lowerSize is the size of the operand along an axis: shapes are static.
func lowerSize(c *call) ir.ID {
	s, axis, size := c.b.Shape(c.in[0]), c.a.int("axis"), 1
	if len(s) > 0 {
		if axis < 0 || axis >= len(s) {
			return c.b.Fail("the size along axis %d of shape %v", axis, s)
		}
		size = s[axis]
	}
	var data any
	switch c.t {
	case ir.F32:
		data = []float32{float32(size)}
	case ir.F64:
		data = []float64{float64(size)}
	case ir.Int64:
		data = []int64{int64(size)}
	case ir.Int:
		data = []int{size}
	case ir.Int32:
		data = []int32{int32(size)}
	default:
		return c.b.Fail("%w", errHost)
	}
	return c.b.Const(c.t, c.shape, data)
}

// lowerRepeat repeats every element along an axis, as often as the shapes say. A scalar, and a vector along a second
// axis, get the dimensions that they lack.
func lowerRepeat(c *call) ir.ID {
	axis := c.a.int("along")
	x := c.in[0]
	s := slices.Clone(c.b.Shape(x))
	for len(s) < len(c.shape) {
		s = append(s, 1)
	}
	if axis < 0 || axis >= len(s) || len(s) > len(c.shape) || s[axis] == 0 || c.shape[axis]%s[axis] != 0 {
		return c.b.Fail("repeating shape %v along axis %d to shape %v", c.b.Shape(x), axis, c.shape)
	}
	x = c.b.Reshape(x, s)
	if s[axis] == 1 {
		return c.b.BroadcastTo(x, c.shape)
	}
	each := slices.Insert(slices.Clone(s), axis+1, 1)
	wide := slices.Clone(each)
	wide[axis+1] = c.shape[axis] / s[axis]
	return c.b.Reshape(c.b.BroadcastTo(c.b.Reshape(x, each), wide), c.shape)
}

// span is what a slice op takes of a shape: the start and step per dimension and how many of each, before dimensions
// of one element are dropped.
func (c *call) span(s []int) (start, step, count []int, ok bool) {
	along := c.a.int("along")
	start, step, count = make([]int, len(s)), slices.Repeat([]int{1}, len(s)), slices.Clone(s)
	sl, got := c.op.(interface{ IsSlice() tensor.Slice })
	if !got {
		c.b.Fail("%w", errHost)
		return nil, nil, nil, false
	}
	bounds := sl.IsSlice()
	if bounds == nil || bounds.End() <= bounds.Start() { // all of it
		return start, step, count, true
	}
	if along < 0 || along >= len(s) || bounds.Start() < 0 || bounds.Start() >= s[along] || bounds.Step() < 0 {
		c.b.Fail("slice %d:%d:%d along axis %d of shape %v", bounds.Start(), bounds.End(), bounds.Step(), along, s)
		return nil, nil, nil, false
	}
	start[along], step[along] = bounds.Start(), max(1, bounds.Step())
	// As many as tensor.Shape.S says: of the steps only those that are whole, but at least one element.
	count[along] = max(1, (min(bounds.End(), s[along])-start[along])/step[along])
	return start, step, count, true
}

func lowerSlice(c *call) ir.ID {
	if c.im.live[sliceOf(c.op).key()] {
		return c.liveSlice()
	}
	c.im.m.slices = append(c.im.m.slices, sliceOf(c.op))
	start, step, count, ok := c.span(c.b.Shape(c.in[0]))
	if !ok {
		return -1
	}
	return c.fitTo(c.b.Slice(c.in[0], start, step, count), c.shape)
}

// lowerSliceIncr is the derivative of a slice: the second operand in the place of the slice, 0 elsewhere. The first
// only says the shape.
func lowerSliceIncr(c *call) ir.ID {
	if c.im.live[sliceOf(c.op).key()] {
		return c.b.Fail("%w", errHost)
	}
	c.im.m.slices = append(c.im.m.slices, sliceOf(c.op))
	start, step, count, ok := c.span(c.shape)
	if !ok {
		return -1
	}
	return c.b.Pad(c.fit(1, count), start, step, c.shape)
}

// lowerAt is one element.
func lowerAt(c *call) ir.ID {
	at, s := c.a.ints("coordinates"), c.b.Shape(c.in[0])
	if len(at) != len(s) {
		return c.b.Fail("the element at %v of shape %v", at, s)
	}
	for i, x := range at {
		if x < 0 || x >= s[i] {
			return c.b.Fail("the element at %v of shape %v", at, s)
		}
	}
	one := slices.Repeat([]int{1}, len(s))
	return c.fitTo(c.b.Slice(c.in[0], at, one, one), c.shape)
}

// lowerDiag puts n elements on the diagonal of a matrix: one in n+1 of its n*n.
func lowerDiag(c *call) ir.ID {
	n := ir.Count(c.b.Shape(c.in[0]))
	return c.b.Reshape(c.b.Pad(c.fit(0, []int{n}), []int{0}, []int{n + 1}, []int{n * n}), c.shape)
}

// lowerUpsample repeats the last two dimensions.
func lowerUpsample(c *call) ir.ID {
	s, r := c.b.Shape(c.in[0]), c.a.int("stride")+1
	if len(s) != 4 {
		return c.b.Fail("shape %v, want 4 dimensions", s)
	}
	x := c.b.Reshape(c.in[0], []int{s[0], s[1], s[2], 1, s[3], 1})
	return c.b.Reshape(c.b.BroadcastTo(x, []int{s[0], s[1], s[2], r, s[3], r}), c.shape)
}

func lowerUpsampleDiff(c *call) ir.ID {
	s := c.shape
	r := attrs{c.a.v.FieldByName("upsampleOp")}.int("stride") + 1
	if len(s) != 4 || len(c.in) != 3 {
		return c.b.Fail("shape %v of %d operands, want 4 dimensions of 3", s, len(c.in))
	}
	return c.b.Reduce(ir.ReduceSum, c.fit(2, []int{s[0], s[1], s[2], r, s[3], r}), 3, 5)
}
