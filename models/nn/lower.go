package nn

import "github.com/godcem/godcem/engine/ir"

// Lower implements graphop.Lowerer.
func (o matMul) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Dot(in[0], in[1], ir.Trans{A: o.transA, B: o.transB})
}

// Lower implements graphop.Lowerer.
func (k rowOp) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	switch k.f {
	case addRow:
		return b.Binary(ir.Add, in[0], b.BroadcastTo(in[1], shape))
	case sumRows:
		return b.Reduce(ir.ReduceSum, in[0], 0)
	case spread:
		return b.BroadcastTo(in[0], shape)
	}
	return in[0]
}

// Lower implements graphop.Lowerer.
func (k activationOp) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	x := in[0]
	one := func() ir.ID { return b.Scalar(dt, 1) }
	var y ir.ID
	switch k.f {
	case Softplus:
		if k.order == 0 {
			y = b.Unary(ir.Softplus, x)
		} else {
			y = lowerSigmoid(b, x, k.order-1)
		}
	case Sigmoid:
		y = lowerSigmoid(b, x, k.order)
	case Tanh:
		y = lowerTanh(b, x, k.order)
	case ELU:
		zero := b.Scalar(dt, 0)
		right := b.Binary(ir.Gt, x, zero)
		switch k.order {
		case 0:
			y = b.Where(right, x, b.Unary(ir.Expm1, x))
		case 1: // from the value, which a net keeps for the next layer: nothing else has to be stored
			value := b.Where(right, x, b.Unary(ir.Expm1, x))
			y = b.Binary(ir.Add, b.Binary(ir.Min, value, zero), one())
		default: // on the left every derivative is exp(x)
			y = b.Where(right, zero, b.Unary(ir.Exp, x))
		}
	case ReLU: // NaN stays NaN
		zero := b.Scalar(dt, 0)
		if k.order == 0 {
			y = b.Where(b.Binary(ir.Lt, x, zero), zero, x)
			break
		}
		y = b.Where(b.Binary(ir.Ne, x, x), x, zero)
		if k.order == 1 {
			y = b.Where(b.Binary(ir.Gt, x, zero), one(), y)
		}
	default:
		return b.Fail("nn: %v", k)
	}
	for _, g := range in[1:] {
		y = b.Binary(ir.Mul, y, g)
	}
	return y
}

// lowerSigmoid is sigmoid above, in words that keep the relative accuracy of both tails: s(-x) = 1 - s(x) without the
// subtraction.
func lowerSigmoid(b *ir.Builder, x ir.ID, order int) ir.ID {
	s := b.Unary(ir.Sigmoid, x)
	if order == 0 {
		return s
	}
	d := b.Binary(ir.Mul, s, b.Unary(ir.Sigmoid, b.Unary(ir.Neg, x)))
	switch order {
	case 2:
		d = b.Unary(ir.Neg, b.Binary(ir.Mul, d, b.Unary(ir.Tanh, b.BinaryS(ir.Mul, x, 0.5))))
	case 3:
		d = b.Binary(ir.Mul, d, b.Binary(ir.Sub, b.Scalar(b.Type(x), 1), b.BinaryS(ir.Mul, d, 6)))
	}
	return d
}

// lowerTanh is tanh above, with t' = 4 s(2x) s(-2x).
func lowerTanh(b *ir.Builder, x ir.ID, order int) ir.ID {
	if order == 0 {
		return b.Unary(ir.Tanh, x)
	}
	twice := b.BinaryS(ir.Mul, x, 2)
	d := b.Binary(ir.Mul, b.Unary(ir.Sigmoid, twice), b.Unary(ir.Sigmoid, b.Unary(ir.Neg, twice)))
	d = b.BinaryS(ir.Mul, d, 4)
	switch order {
	case 2:
		d = b.BinaryS(ir.Mul, b.Binary(ir.Mul, d, b.Unary(ir.Tanh, x)), -2)
	case 3:
		d = b.Binary(ir.Mul, d, b.Binary(ir.Sub, b.Scalar(b.Type(x), 4), b.BinaryS(ir.Mul, d, 6)))
	}
	return d
}
