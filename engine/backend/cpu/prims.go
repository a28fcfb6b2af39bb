package cpu

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/vec"
)

// forms are the ways of computing a kind on slices; those that it has not are nil. Each may write over any of its
// operands.
type forms[T vec.Float] struct {
	unary  func(dst, a []T)
	binary func(dst, a, b []T)
	right  func(dst, a []T, s T) // of a and a number
	left   func(dst, a []T, s T) // of a number and a
}

var (
	forms32 = makeForms[float32]()
	forms64 = makeForms[float64]()
)

// formsOf is the table for T by kind.
func formsOf[T vec.Float]() []forms[T] {
	var t any = forms64
	if typeOf[T]() == ir.F32 {
		t = forms32
	}
	return t.([]forms[T])
}

func makeForms[T vec.Float]() []forms[T] {
	table := make([]forms[T], 256)
	for op, f := range map[ir.Op]forms[T]{
		ir.Neg:      {unary: vec.Neg[T]},
		ir.Abs:      {unary: vec.Abs[T]},
		ir.Sign:     {unary: sign[T]},
		ir.Floor:    {unary: vec.Floor[T]},
		ir.Ceil:     {unary: vec.Ceil[T]},
		ir.Square:   {unary: vec.Square[T]},
		ir.Cube:     {unary: cube[T]},
		ir.Recip:    {unary: recip[T]},
		ir.Sqrt:     {unary: vec.Sqrt[T]},
		ir.InvSqrt:  {unary: invSqrt[T]},
		ir.Exp:      {unary: vec.Exp[T]},
		ir.Expm1:    {unary: vec.Expm1[T]},
		ir.Log:      {unary: vec.Log[T]},
		ir.Log1p:    {unary: vec.Log1p[T]},
		ir.Log2:     {unary: vec.Log2[T]},
		ir.Tanh:     {unary: vec.Tanh[T]},
		ir.Sigmoid:  {unary: vec.Sigmoid[T]},
		ir.Softplus: {unary: vec.Softplus[T]},
		ir.Sin:      {unary: vec.Sin[T]},
		ir.Cos:      {unary: vec.Cos[T]},
		ir.Not:      {unary: not[T]},
		ir.Add:      {binary: vec.Add[T], right: vec.AddS[T], left: vec.AddS[T]},
		ir.Sub:      {binary: vec.Sub[T], right: vec.SubS[T], left: vec.RSubS[T]},
		ir.Mul:      {binary: vec.Mul[T], right: vec.MulS[T], left: vec.MulS[T]},
		ir.Div:      {binary: vec.Div[T], right: vec.DivS[T], left: vec.RDivS[T]},
		ir.Pow:      {binary: vec.Pow[T], right: vec.PowS[T]},
		ir.Max:      {binary: vec.Max[T], right: vec.MaxS[T], left: vec.MaxS[T]},
		ir.Min:      {binary: vec.Min[T], right: vec.MinS[T], left: vec.MinS[T]},
		ir.Atan2:    {binary: vec.Atan2[T]},
		ir.Lt:       {binary: vec.Lt[T], right: vec.LtS[T], left: vec.GtS[T]},
		ir.Le:       {binary: vec.Le[T], right: vec.LeS[T], left: vec.GeS[T]},
		ir.Gt:       {binary: vec.Gt[T], right: vec.GtS[T], left: vec.LtS[T]},
		ir.Ge:       {binary: vec.Ge[T], right: vec.GeS[T], left: vec.LeS[T]},
		ir.Eq:       {binary: vec.Eq[T], right: vec.EqS[T], left: vec.EqS[T]},
		ir.Ne:       {binary: vec.Ne[T], right: vec.NeS[T], left: vec.NeS[T]},
		ir.And:      {binary: and[T]},
		ir.Or:       {binary: or[T]},
	} {
		table[op] = f
	}
	return table
}

func recip[T vec.Float](dst, a []T) { vec.RDivS(dst, a, 1) }

func invSqrt[T vec.Float](dst, a []T) {
	vec.Sqrt(dst, a)
	vec.RDivS(dst, dst, 1)
}

func not[T vec.Float](dst, a []T) { vec.EqS(dst, a, 0) }

func sign[T vec.Float](dst, a []T) {
	for i, x := range a {
		switch {
		case x > 0:
			x = 1
		case x < 0:
			x = -1
		}
		dst[i] = x // ±0 and NaN as they are
	}
}

func cube[T vec.Float](dst, a []T) { vec.PowS(dst, a, 3) }

func and[T vec.Float](dst, a, b []T) {
	for i, x := range a {
		dst[i] = number[T](x != 0 && b[i] != 0)
	}
}

func or[T vec.Float](dst, a, b []T) {
	for i, x := range a {
		dst[i] = number[T](x != 0 || b[i] != 0)
	}
}

func number[T vec.Float](ok bool) T {
	if ok {
		return 1
	}
	return 0
}

// castTo rounds values to another type; nil: every T is one already. Integers are taken towards zero and keep the low
// bits that their type has.
func castTo[T vec.Float](t ir.DType) func(dst, a []T) {
	switch t {
	case ir.F32:
		if typeOf[T]() == ir.F64 {
			return eachOf(func(x T) T { return T(float32(x)) })
		}
	case ir.Int64:
		return eachOf(func(x T) T { return T(int64(x)) })
	case ir.Int:
		return eachOf(func(x T) T { return T(int(int64(x))) })
	case ir.Int32:
		return eachOf(func(x T) T { return T(int32(int64(x))) })
	case ir.Uint8:
		return eachOf(func(x T) T { return T(uint8(int64(x))) })
	case ir.Bool:
		return func(dst, a []T) { vec.NeS(dst, a, 0) }
	}
	return nil
}

func eachOf[T vec.Float](f func(x T) T) func(dst, a []T) {
	return func(dst, a []T) {
		for i, x := range a {
			dst[i] = f(x)
		}
	}
}
