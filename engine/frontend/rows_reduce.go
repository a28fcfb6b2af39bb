package frontend

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// reduce reduces the first operand over axes; over all of them if there are none.
func (c *call) reduce(op ir.Op, axes []int) ir.ID {
	s := c.b.Shape(c.in[0])
	for _, a := range axes {
		if a < 0 || a >= len(s) {
			return c.b.Fail("reducing axes %v of shape %v", axes, s)
		}
	}
	if len(axes) == 0 {
		for a := range s {
			axes = append(axes, a)
		}
	}
	return c.fitTo(c.b.Reduce(op, c.in[0], axes...), c.shape)
}

// kept reduces x over one axis and repeats the result along it.
func (c *call) kept(op ir.Op, x ir.ID, axis int) ir.ID {
	s := c.b.Shape(x)
	one := slices.Clone(s)
	one[axis] = 1
	return c.b.BroadcastTo(c.b.Reshape(c.b.Reduce(op, x, axis), one), s)
}

func lowerGlobalAverage(c *call) ir.ID {
	s := c.b.Shape(c.in[0])
	if len(s) != 4 {
		return c.b.Fail("shape %v, want 4 dimensions", s)
	}
	sum := c.b.Reduce(ir.ReduceSum, c.in[0], 2, 3)
	return c.b.Reshape(c.b.BinaryS(ir.Div, sum, float64(s[2]*s[3])), c.shape)
}

// softmaxAxis is the axis of a softmax op on a shape.
func (c *call) softmaxAxis(axis int, s []int) (int, bool) {
	if axis == -1 {
		axis = len(s) - 1
		if len(s) == 2 && s[1] == 1 && s[0] > 1 { // a column is a vector
			axis = 0
		}
	}
	if axis < 0 || axis >= len(s) {
		c.b.Fail("softmax over axis %d of shape %v", axis, s)
		return 0, false
	}
	return axis, true
}

func lowerSoftmax(c *call) ir.ID {
	axis, ok := c.softmaxAxis(c.a.int("axis"), c.shape)
	if !ok {
		return -1
	}
	x := c.fit(0, c.shape)
	z := c.b.Binary(ir.Sub, x, c.kept(ir.ReduceMax, x, axis))
	e := c.b.Unary(ir.Exp, z)
	sum := c.kept(ir.ReduceSum, e, axis)
	if c.a.bool("isLog") {
		return c.b.Binary(ir.Sub, z, c.b.Unary(ir.Log, sum))
	}
	return c.b.Binary(ir.Div, e, sum)
}

// lowerSoftmaxDiff has the operands x, y = softmax(x) and the gradient g of y.
func lowerSoftmaxDiff(c *call) ir.ID {
	a := attrs{c.a.v.FieldByName("softmaxOp").Elem()}
	axis, ok := c.softmaxAxis(a.int("axis"), c.shape)
	if !ok {
		return -1
	}
	y, g := c.fit(1, c.shape), c.fit(2, c.shape)
	if a.bool("isLog") { // g - exp(y) sum g
		return c.b.Binary(ir.Sub, g, c.b.Binary(ir.Mul, c.b.Unary(ir.Exp, y), c.kept(ir.ReduceSum, g, axis)))
	}
	// y (g - sum g y)
	dot := c.kept(ir.ReduceSum, c.b.Binary(ir.Mul, g, y), axis)
	return c.b.Binary(ir.Mul, y, c.b.Binary(ir.Sub, g, dot))
}
