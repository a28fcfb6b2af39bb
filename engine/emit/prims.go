package emit

import (
	"fmt"
	"math"
	"strconv"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// operators are the binary kinds that CUDA C has; comparisons give truth.
var operators = map[ir.Op]string{ir.Add: "+", ir.Sub: "-", ir.Mul: "*", ir.Div: "/",
	ir.Lt: "<", ir.Le: "<=", ir.Gt: ">", ir.Ge: ">=", ir.Eq: "==", ir.Ne: "!="}

// primitive is the value of an instruction other than noise, an expression of type t; v names its operands.
func primitive(n *plan.Instr, t ir.DType, v func(x int32) string) string {
	c := ctype(t)
	switch n.Op {
	case ir.Const:
		return literal(n.Imm, t)
	case ir.Cast:
		return cast(n, t, v(n.A))
	case ir.Add, ir.Sub, ir.Mul, ir.Div:
		return fmt.Sprintf("%s %s %s", v(n.A), operators[n.Op], v(n.B))
	case ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne:
		return fmt.Sprintf("(%s)(%s %s %s)", c, v(n.A), operators[n.Op], v(n.B))
	case ir.And:
		return fmt.Sprintf("(%s)(%s != 0 && %s != 0)", c, v(n.A), v(n.B))
	case ir.Or:
		return fmt.Sprintf("(%s)(%s != 0 || %s != 0)", c, v(n.A), v(n.B))
	case ir.Max:
		return fmt.Sprintf("maximum(%s, %s)", v(n.A), v(n.B))
	case ir.Min:
		return fmt.Sprintf("minimum(%s, %s)", v(n.A), v(n.B))
	case ir.Where:
		return fmt.Sprintf("%s != 0 ? %s : %s", v(n.A), v(n.B), v(n.C))
	}
	if n.Op.Info().Arity == 2 {
		return fmt.Sprintf("op_%v(%s, %s)", n.Op, v(n.A), v(n.B))
	}
	return fmt.Sprintf("op_%v(%s)", n.Op, v(n.A))
}

// cast rounds x, of type t, to the instruction's type.
func cast(n *plan.Instr, t ir.DType, x string) string {
	c := ctype(t)
	if !n.Round {
		return x
	}
	switch n.Type {
	case ir.F32:
		if t == ir.F64 {
			return fmt.Sprintf("(double)(float)%s", x)
		}
	case ir.Int64, ir.Int:
		return fmt.Sprintf("(%s)to_long(%s)", c, x)
	case ir.Int32, ir.Uint8:
		return fmt.Sprintf("(%s)(%s)to_long(%s)", c, ctype(n.Type), x)
	case ir.Bool:
		return fmt.Sprintf("(%s)(%s != 0)", c, x)
	}
	return x
}

// stored converts a value x of type t to an element of type to.
func stored(to, t ir.DType, x string) string {
	switch {
	case to == t:
		return x
	case to == ir.Int64 || to == ir.Int:
		return fmt.Sprintf("to_long(%s)", x)
	case to == ir.Bool:
		return fmt.Sprintf("(unsigned char)(%s != 0)", x)
	case !to.Float():
		return fmt.Sprintf("(%s)to_long(%s)", ctype(to), x)
	}
	return fmt.Sprintf("(%s)%s", ctype(to), x)
}

// literal is a number as a constant of type t, exactly.
func literal(x float64, t ir.DType) string {
	bits, suffix := 64, ""
	if t == ir.F32 {
		bits, suffix, x = 32, "f", float64(float32(x))
	}
	if math.IsInf(x, 0) || x != x {
		if t == ir.F32 {
			return fmt.Sprintf("__uint_as_float(%#xu)", math.Float32bits(float32(x)))
		}
		return fmt.Sprintf("__longlong_as_double((long long)%#xull)", math.Float64bits(x))
	}
	s := strconv.FormatFloat(x, 'e', -1, bits) + suffix
	if math.Signbit(x) {
		return "(" + s + ")"
	}
	return s
}
