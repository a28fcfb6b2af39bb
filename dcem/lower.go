package dcem

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

// What is elementwise or a sum is said in the engine's words, so that it fuses with what is around it: noise above all,
// which is then never stored. Projections and moments go in as kernels.
var _ = []graphop.Lowerer{
	noiseOp[float32]{}, sampleOp[float32]{}, sampleGradOp[float32]{}, clampOp[float32]{}, clampGradOp[float32]{},
	contractOp[float32]{}, identityOp[float32]{},
}

// Lower implements graphop.Lowerer.
func (k noiseOp[T]) Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	op := ir.Normal
	if k.uniform {
		op = ir.Uniform
	}
	return b.Random(op, dt, shape, ir.Rand{Seed: k.seed, Draw: k.draw}, in[0])
}

// Lower implements graphop.Lowerer.
func (k identityOp[T]) Lower(_ *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID { return in[0] }

// affine is mu + sigma*eps before clamping.
func (k sampleOp[T]) affine(b *ir.Builder, mu, sigma, eps ir.ID) ir.ID {
	return b.Binary(ir.Add, b.Binary(ir.Mul, k.over(b, sigma, kernels.BD), eps), k.over(b, mu, kernels.BD))
}

// Lower implements graphop.Lowerer.
func (k sampleOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return k.lowerClamp(b, k.affine(b, in[0], in[1], in[2]))
}

// Lower implements graphop.Lowerer: the gradient passes where the sample was not clamped.
func (k sampleGradOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	mu, sigma, eps, g := in[0], in[1], in[2], in[3]
	if k.lower != nil || k.upper != nil {
		g = k.lowerMask(b, k.affine(b, mu, sigma, eps), g)
	}
	switch k.which {
	case 0:
		return b.Reduce(ir.ReduceSum, g, 1)
	case 1:
		return b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, g, eps), 1)
	}
	return b.Binary(ir.Mul, g, k.over(b, sigma, kernels.BD))
}

// Lower implements graphop.Lowerer.
func (k clampOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return k.lowerClamp(b, in[0])
}

// Lower implements graphop.Lowerer.
func (k clampGradOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return k.lowerMask(b, in[0], in[1])
}

// each calls f with the node of each bound, of x's shape.
func (k bounds[T]) each(b *ir.Builder, x ir.ID, f func(outside ir.Op, bound ir.ID)) {
	for _, side := range []struct {
		op     ir.Op
		bounds []T
	}{{ir.Lt, k.lower}, {ir.Gt, k.upper}} {
		if side.bounds != nil {
			c := b.Const(b.Type(x), []int{len(side.bounds)}, side.bounds)
			f(side.op, b.BroadcastTo(c, b.Shape(x)))
		}
	}
}

// lowerClamp is x within the bounds, NaN where x is.
func (k bounds[T]) lowerClamp(b *ir.Builder, x ir.ID) ir.ID {
	k.each(b, x, func(outside ir.Op, bound ir.ID) { x = b.Where(b.Binary(outside, x, bound), bound, x) })
	return x
}

// lowerMask is g, and 0 where x is outside the bounds.
func (k bounds[T]) lowerMask(b *ir.Builder, x, g ir.ID) ir.ID {
	zero := b.Scalar(b.Type(x), 0)
	k.each(b, x, func(outside ir.Op, bound ir.ID) { g = b.Where(b.Binary(outside, x, bound), zero, g) })
	return g
}

// over is an operand of that pattern repeated over (b, n, d).
func (s size) over(b *ir.Builder, x ir.ID, p kernels.Pattern) ir.ID {
	switch p {
	case kernels.BD:
		x = b.Reshape(x, []int{s.b, 1, s.d})
	case kernels.BN:
		x = b.Reshape(x, []int{s.b, s.n, 1})
	}
	return b.BroadcastTo(x, []int{s.b, s.n, s.d})
}

// Lower implements graphop.Lowerer.
func (k contractOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	x := k.over(b, in[0], k.in[0])
	for i, p := range k.in[1:] {
		x = b.Binary(ir.Mul, x, k.over(b, in[1+i], p))
	}
	switch k.out {
	case kernels.BD:
		x = b.Reduce(ir.ReduceSum, x, 1)
	case kernels.BN:
		x = b.Reduce(ir.ReduceSum, x, 2)
	}
	if k.scale != 1 {
		x = b.BinaryS(ir.Mul, x, k.scale)
	}
	return x
}

// Effects implements graphop.Effector: it counts.
func (k gateGradOp[T]) Effects() bool { return true }

// Effects implements graphop.Effector: it counts.
func (k costGateGradOp[T]) Effects() bool { return true }
