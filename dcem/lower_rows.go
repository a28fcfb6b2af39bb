package dcem

import (
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
)

var _ = []graphop.Lowerer{
	keptOp[float32]{}, powerOp[float32]{}, selectOp[float32]{}, maskOp[float32]{}, lessOp[float32]{}, leastOp[float32]{},
	smoothOp[float32]{}, smoothGradOp[float32]{}, stopOp[float32]{}, cgFiguresOp[float32]{},
}

// finiteAs is 1 where x is finite, as Bool.
func finiteAs(b *ir.Builder, x ir.ID) ir.ID {
	return b.Binary(ir.Lt, b.Unary(ir.Abs, x), b.Scalar(b.Type(x), math.Inf(1)))
}

// perRow repeats a number of each row, (B), over (B, ...).
func perRow(b *ir.Builder, x ir.ID, shape []int) ir.ID {
	column := slices.Repeat([]int{1}, len(shape))
	column[0] = shape[0]
	return b.BroadcastTo(b.Reshape(x, column), shape)
}

// anyWeight is 1 for the rows of w, (B, N), that are not all 0, else 0: (B).
func anyWeight(b *ir.Builder, dt ir.DType, w ir.ID) ir.ID {
	return b.Reduce(ir.ReduceMax, b.Compare(ir.Ne, dt, w, b.Scalar(dt, 0)), 1)
}

// Lower implements graphop.Lowerer.
func (k keptOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Where(perRow(b, anyWeight(b, dt, in[0]), shape), b.Scalar(dt, 0), in[1])
}

// Lower implements graphop.Lowerer: in float64, as Run.
func (k powerOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	v := b.Cast(ir.F64, in[0])
	x := b.BinaryS(ir.Mul, b.BinaryS(ir.Pow, v, k.p), k.c)
	for _, m := range in[1:] {
		x = b.Binary(ir.Mul, x, b.Cast(ir.F64, m))
	}
	// The root of what is above 0 is above 0, and NaN compares as false.
	above := b.Binary(ir.Gt, b.Unary(ir.Sqrt, v), b.Scalar(ir.F64, max(k.cut, 0)))
	return b.Cast(dt, b.Where(above, x, b.Scalar(ir.F64, 0)))
}

// Lower implements graphop.Lowerer.
func (k selectOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Where(perRow(b, in[0], shape), in[1], in[2])
}

// Lower implements graphop.Lowerer.
func (k maskOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	c, x, y := perRow(b, in[0], shape), in[1], b.Scalar(dt, 0)
	if !k.keep {
		x, y = y, x
	}
	return b.Where(c, x, y)
}

// Lower implements graphop.Lowerer.
func (k lessOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	x, y := in[0], in[1]
	missed := b.Compare(ir.Le, dt, y, x)
	return b.Where(finiteAs(b, x), b.Binary(ir.Sub, b.Full(dt, b.Shape(x), 1), missed), b.Scalar(dt, 0))
}

// Lower implements graphop.Lowerer.
func (k leastOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Reduce(ir.ReduceMin, b.Where(finiteAs(b, in[0]), in[0], b.Scalar(dt, math.Inf(1))), 1)
}

// smoothed is a*prev + (1-a)*new in float64.
func (k smoothOp[T]) smoothed(b *ir.Builder, prev, refit ir.ID) ir.ID {
	p, r := b.Cast(ir.F64, prev), b.Cast(ir.F64, refit)
	return b.Binary(ir.Add, b.BinaryS(ir.Mul, p, k.a), b.BinaryS(ir.Mul, r, 1-k.a))
}

// Lower implements graphop.Lowerer.
func (k smoothOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	if k.a == 0 {
		return in[1]
	}
	return b.Cast(dt, b.BinaryS(ir.Max, k.smoothed(b, in[0], in[1]), k.floor))
}

// Lower implements graphop.Lowerer.
func (k smoothGradOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	above := b.Binary(ir.Gt, k.smoothed(b, in[0], in[1]), b.Scalar(ir.F64, k.floor))
	return b.Where(above, b.BinaryS(ir.Mul, in[2], k.share), b.Scalar(dt, 0))
}

// Lower implements graphop.Lowerer: the flag stays, and else is 1 where there are weights and no searched coordinate
// misses a tolerance.
func (k stopOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	flag, start := in[0], b.Cast(ir.F64, in[4])
	shape := []int{k.b, k.d}
	var missed ir.ID = -1
	miss := func(x ir.ID, limit ir.ID) { // unless x <= limit, so that NaN misses
		x = b.Binary(ir.Eq, b.Compare(ir.Le, ir.F64, x, limit), b.Scalar(ir.F64, 0))
		if missed >= 0 {
			x = b.Binary(ir.Or, missed, x)
		}
		missed = x
	}
	if k.mu > 0 {
		change := b.Unary(ir.Abs, b.Binary(ir.Sub, b.Cast(ir.F64, in[1]), b.Cast(ir.F64, in[2])))
		miss(b.Binary(ir.Div, change, start), b.Scalar(ir.F64, k.mu))
	}
	if k.sigma > 0 {
		limit := b.BinaryS(ir.Mul, start, k.sigma)
		miss(b.Cast(ir.F64, in[3]), b.BinaryS(ir.Max, limit, k.floor))
	}
	met := anyWeight(b, dt, in[5])
	if missed >= 0 {
		missed = b.Binary(ir.And, missed, b.Binary(ir.Gt, start, b.Scalar(ir.F64, 0)))
		if k.lower != nil && k.upper != nil {
			open := make([]bool, k.d)
			for i := range open {
				open[i] = k.lower[i] < k.upper[i]
			}
			missed = b.Binary(ir.And, missed, b.BroadcastTo(b.Const(ir.Bool, []int{k.d}, open), shape))
		}
		fails := b.Reduce(ir.ReduceMax, b.Where(missed, b.Scalar(dt, 1), b.Full(dt, shape, 0)), 1)
		met = b.Binary(ir.Mul, met, b.Binary(ir.Sub, b.Full(dt, []int{k.b}, 1), fails))
	}
	return b.Where(flag, flag, met)
}

// Lower implements graphop.Lowerer: in float64, as Run.
func (k cgFiguresOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	size := make([]ir.ID, len(in))
	for i, x := range in {
		size[i] = b.Unary(ir.Abs, b.Cast(ir.F64, x))
	}
	inf := b.Scalar(ir.F64, math.Inf(1))
	largest := func(x ir.ID) ir.ID { // of math.Max: an infinity is above NaN
		infinite := b.Reduce(ir.ReduceMax, b.Compare(ir.Eq, ir.F64, x, inf), 1)
		return b.Where(infinite, inf, b.Reduce(ir.ReduceMax, x, 1))
	}
	zero := b.Full(ir.F64, []int{k.b}, 0)
	relative := func(left, right ir.ID) ir.ID {
		off, most := largest(left), largest(right)
		off = b.Where(b.Binary(ir.Gt, most, zero), b.Binary(ir.Div, off, most), off)
		return b.Reshape(off, []int{k.b, 1})
	}
	off := largest(b.Concat(1, relative(size[0], size[1]), relative(size[5], size[4])))
	step := largest(b.Binary(ir.Div, size[2], b.BinaryS(ir.Max, size[3], 1)))
	flat := b.Binary(ir.And, b.Binary(ir.Eq, step, zero), b.Binary(ir.Gt, largest(size[4]), zero))
	step = b.Where(flat, inf, step)
	column := func(x ir.ID) ir.ID { return b.Reshape(b.Cast(dt, x), []int{k.b, 1}) }
	return b.Concat(1, b.Full(dt, []int{k.b, 1}, 1), column(step), column(off))
}
