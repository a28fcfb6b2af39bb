package frontend

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// Gorgonia's numbers of the products.
const (
	matMul = iota
	matVec
	vecDot
	outer
	batched
)

func lowerLinAlg(c *call) ir.ID {
	if len(c.in) != 2 {
		return c.b.Fail("%d operands, want 2", len(c.in))
	}
	x, y := c.in[0], c.in[1]
	sx, sy := c.b.Shape(x), c.b.Shape(y)
	t := ir.Trans{A: c.a.bool("transA"), B: c.a.bool("transB")}
	switch c.a.byte("āBinaryOperator") {
	case matMul, batched:
		return c.product(x, y, t)
	case matVec:
		return c.product(x, c.b.Reshape(y, []int{ir.Count(sy), 1}), ir.Trans{A: t.A})
	case vecDot:
		return c.fitTo(c.reduceTo(ir.ReduceSum, c.b.Binary(ir.Mul, x, c.fitTo(y, sx))), c.shape)
	case outer:
		m, n := ir.Count(sx), ir.Count(sy)
		rows := c.b.BroadcastTo(c.b.Reshape(x, []int{m, 1}), []int{m, n})
		cols := c.b.BroadcastTo(c.b.Reshape(y, []int{1, n}), []int{m, n})
		return c.fitTo(c.b.Binary(ir.Mul, rows, cols), c.shape)
	}
	return c.b.Fail("%w: %v", errHost, c.op)
}

// product is a matrix product, in the node's shape.
func (c *call) product(x, y ir.ID, t ir.Trans) ir.ID {
	sx, sy := c.b.Shape(x), c.b.Shape(y)
	if d := len(sx); d >= 2 && len(sy) == d {
		inner := func(s []int, last bool) int {
			if last {
				return s[d-1]
			}
			return s[d-2]
		}
		if a, b := inner(sx, !t.A), inner(sy, t.B); a != b {
			return c.b.Fail("the product of shapes %v and %v, transposed: %v and %v: inner dimensions %d and %d, want equal",
				sx, sy, t.A, t.B, a, b)
		}
	}
	return c.fitTo(c.b.Dot(x, y, t), c.shape)
}

// reduceTo reduces x over all its axes.
func (c *call) reduceTo(op ir.Op, x ir.ID) ir.ID {
	axes := make([]int, len(c.b.Shape(x)))
	for i := range axes {
		axes[i] = i
	}
	return c.b.Reduce(op, x, axes...)
}

// lowerTensordot contracts axes of x with axes of y: the free axes of x go before the contracted ones, and those of y
// after them, which makes it a matrix product.
func lowerTensordot(c *call) ir.ID {
	x, y := c.in[0], c.in[1]
	ax, ay := c.a.ints("aAxes"), c.a.ints("bAxes")
	free := func(s, axes []int) (f []int, m, k int) {
		m, k = 1, 1
		for i, d := range s {
			if slices.Contains(axes, i) {
				k *= d
			} else {
				f = append(f, i)
				m *= d
			}
		}
		return f, m, k
	}
	sx, sy := c.b.Shape(x), c.b.Shape(y)
	for i := range ax {
		if i >= len(ay) || ax[i] < 0 || ax[i] >= len(sx) || ay[i] < 0 || ay[i] >= len(sy) || sx[ax[i]] != sy[ay[i]] {
			return c.b.Fail("contracting axes %v of shape %v with axes %v of shape %v", ax, sx, ay, sy)
		}
	}
	fx, m, k := free(sx, ax)
	fy, n, _ := free(sy, ay)
	x = c.b.Reshape(c.b.Transpose(x, slices.Concat(fx, ax)...), []int{m, k})
	y = c.b.Reshape(c.b.Transpose(y, slices.Concat(ay, fy)...), []int{k, n})
	return c.fitTo(c.b.Dot(x, y, ir.Trans{}), c.shape)
}
