package frontend

import (
	"reflect"

	"github.com/godcem/godcem/engine/ir"
)

// unaries are Gorgonia's names of the unary ops.
var unaries = map[string]ir.Op{
	"abs": ir.Abs, "sign": ir.Sign, "ceil": ir.Ceil, "floor": ir.Floor, "sin": ir.Sin, "cos": ir.Cos, "exp": ir.Exp,
	"ln": ir.Log, "log2": ir.Log2, "neg": ir.Neg, "square": ir.Square, "sqrt": ir.Sqrt, "inv": ir.Recip,
	"invSqrt": ir.InvSqrt, "cube": ir.Cube, "tanh": ir.Tanh, "sigmoid": ir.Sigmoid, "log1p": ir.Log1p,
	"expm1": ir.Expm1, "softplus": ir.Softplus,
}

func lowerUnary(c *call) ir.ID {
	op, ok := unaries[c.op.String()]
	if !ok {
		return c.b.Fail("%w: %v", errHost, c.op)
	}
	return c.b.Unary(op, c.fit(0, c.shape))
}

// binaries are by Gorgonia's numbers of the binary ops.
var binaries = [...]ir.Op{
	ir.Add, ir.Sub, ir.Mul, ir.Div, ir.Pow,
	ir.Lt, ir.Gt, ir.Le, ir.Ge, ir.Eq, ir.Ne,
}

func lowerBinary(c *call) ir.ID {
	which := attrs{c.a.field("ʘBinaryOperator", reflect.Interface).Elem()}.byte("ʘBinaryOperatorType")
	if which >= len(binaries) {
		return c.b.Fail("%w: %v", errHost, c.op)
	}
	return c.binary(binaries[which])
}

func (c *call) binary(op ir.Op) ir.ID {
	x, y := c.fit(0, c.shape), c.fit(1, c.shape)
	switch op {
	case ir.Lt, ir.Gt, ir.Le, ir.Ge, ir.Eq, ir.Ne:
		return c.b.Compare(op, c.t, x, y)
	}
	return c.b.Binary(op, x, y)
}
