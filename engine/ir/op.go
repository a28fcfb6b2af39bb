package ir

import (
	"math"
	"strconv"
)

// An Op is the kind of a node. The table below is the one place that says what each kind is.
type Op uint8

// The kinds.
const (
	Invalid Op = iota

	// Leaves.
	Input // fed from the host before a run, or resident in the device; Attr: InputAttr
	Const // Attr: *Tensor

	// Elementwise: every operand has the node's shape.
	Neg
	Abs
	Sign
	Floor
	Ceil
	Square
	Cube
	Recip // 1/a
	Sqrt
	InvSqrt // 1/sqrt(a)
	Exp
	Expm1
	Log
	Log1p
	Log2
	Tanh
	Sigmoid
	Softplus
	Sin
	Cos
	Not // of a Bool
	Add
	Sub
	Mul
	Div
	Pow
	Max // NaN if either is
	Min
	Atan2
	Lt // comparisons: Bool, or 0 and 1 in the node's own type
	Le
	Gt
	Ge
	Eq
	Ne
	And
	Or
	Where   // (Bool or number, a, b): a where the first is not 0, else b
	Cast    // to the node's type; towards zero from float to integer
	Normal  // Philox: index -> N(0,1); operand: the run number, an Int64 scalar; Attr: Rand
	Uniform // Philox: index -> U(0,1)

	// Movement: no arithmetic.
	Broadcast // each dimension equal, or 1 in the operand; or the operand is a scalar
	Reshape   // the same elements in row-major order
	Transpose // Attr: Axes; dimension i of the node is dimension Axes[i] of the operand
	Slice     // Attr: Span; node[i] = operand[Start + Step*i]
	Pad       // Attr: Span; node[Start + Step*i] = operand[i], 0 elsewhere: the transposed map of Slice
	Concat    // Attr: Axes of one axis

	// Reductions over Attr: Axes (ascending, not empty), which the result's shape lacks. Sums are at least as accurate
	// as pairwise summation in the node's type.
	ReduceSum
	ReduceMax
	ReduceMin
	ReduceProd

	// Dot is the matrix product (..., m, k) (..., k, n) -> (..., m, n) with equal leading dimensions. Attr: Trans.
	Dot

	// Custom is a Kernel, which is its Attr.
	Custom

	numOps
)

// A Class groups the kinds by how they are compiled.
type Class uint8

// The classes.
const (
	Leaf Class = iota
	Elementwise
	Movement
	Reduction
	Product
	Foreign
)

// Info is a row of the table of kinds.
type Info struct {
	Name  string
	Class Class
	Arity int // -1: any number
	// Flops is the cost of an element, in additions; a transcendental function counts as what a polynomial of its
	// degree does. It orders choices; it is not a time.
	Flops int
	// F is the meaning of an elementwise kind in float64 (unused operands are 0), nil for Cast, Normal and Uniform.
	F func(a, b, c float64) float64
}

func unary(f func(a float64) float64) func(a, b, c float64) float64 {
	return func(a, _, _ float64) float64 { return f(a) }
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

var table = [numOps]Info{
	Invalid: {Name: "invalid"},
	Input:   {Name: "input"},
	Const:   {Name: "const"},

	Neg:      {"neg", Elementwise, 1, 1, unary(func(a float64) float64 { return -a })},
	Abs:      {"abs", Elementwise, 1, 1, unary(math.Abs)},
	Sign:     {"sign", Elementwise, 1, 2, unary(sign)},
	Floor:    {"floor", Elementwise, 1, 1, unary(math.Floor)},
	Ceil:     {"ceil", Elementwise, 1, 1, unary(math.Ceil)},
	Square:   {"square", Elementwise, 1, 1, unary(func(a float64) float64 { return a * a })},
	Cube:     {"cube", Elementwise, 1, 2, unary(func(a float64) float64 { return a * a * a })},
	Recip:    {"recip", Elementwise, 1, 4, unary(func(a float64) float64 { return 1 / a })},
	Sqrt:     {"sqrt", Elementwise, 1, 6, unary(math.Sqrt)},
	InvSqrt:  {"invsqrt", Elementwise, 1, 10, unary(func(a float64) float64 { return 1 / math.Sqrt(a) })},
	Exp:      {"exp", Elementwise, 1, 16, unary(math.Exp)},
	Expm1:    {"expm1", Elementwise, 1, 20, unary(math.Expm1)},
	Log:      {"log", Elementwise, 1, 18, unary(math.Log)},
	Log1p:    {"log1p", Elementwise, 1, 22, unary(math.Log1p)},
	Log2:     {"log2", Elementwise, 1, 20, unary(math.Log2)},
	Tanh:     {"tanh", Elementwise, 1, 24, unary(math.Tanh)},
	Sigmoid:  {"sigmoid", Elementwise, 1, 22, unary(sigmoid)},
	Softplus: {"softplus", Elementwise, 1, 40, unary(softplus)},
	Sin:      {"sin", Elementwise, 1, 24, unary(math.Sin)},
	Cos:      {"cos", Elementwise, 1, 24, unary(math.Cos)},
	Not:      {"not", Elementwise, 1, 1, unary(func(a float64) float64 { return truth(a == 0) })},
	Add:      {"add", Elementwise, 2, 1, func(a, b, _ float64) float64 { return a + b }},
	Sub:      {"sub", Elementwise, 2, 1, func(a, b, _ float64) float64 { return a - b }},
	Mul:      {"mul", Elementwise, 2, 1, func(a, b, _ float64) float64 { return a * b }},
	Div:      {"div", Elementwise, 2, 4, func(a, b, _ float64) float64 { return a / b }},
	Pow:      {"pow", Elementwise, 2, 60, func(a, b, _ float64) float64 { return math.Pow(a, b) }},
	Max:      {"max", Elementwise, 2, 1, func(a, b, _ float64) float64 { return max(a, b) }},
	Min:      {"min", Elementwise, 2, 1, func(a, b, _ float64) float64 { return min(a, b) }},
	Atan2:    {"atan2", Elementwise, 2, 40, func(a, b, _ float64) float64 { return atan2(a, b) }},
	Lt:       {"lt", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a < b) }},
	Le:       {"le", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a <= b) }},
	Gt:       {"gt", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a > b) }},
	Ge:       {"ge", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a >= b) }},
	Eq:       {"eq", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a == b) }},
	Ne:       {"ne", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a != b) }},
	And:      {"and", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a != 0 && b != 0) }},
	Or:       {"or", Elementwise, 2, 1, func(a, b, _ float64) float64 { return truth(a != 0 || b != 0) }},
	Where: {"where", Elementwise, 3, 1, func(a, b, c float64) float64 {
		if a != 0 {
			return b
		}
		return c
	}},
	Cast:    {Name: "cast", Class: Elementwise, Arity: 1, Flops: 1},
	Normal:  {Name: "normal", Class: Elementwise, Arity: 1, Flops: 60},
	Uniform: {Name: "uniform", Class: Elementwise, Arity: 1, Flops: 20},

	Broadcast: {Name: "broadcast", Class: Movement, Arity: 1},
	Reshape:   {Name: "reshape", Class: Movement, Arity: 1},
	Transpose: {Name: "transpose", Class: Movement, Arity: 1},
	Slice:     {Name: "slice", Class: Movement, Arity: 1},
	Pad:       {Name: "pad", Class: Movement, Arity: 1},
	Concat:    {Name: "concat", Class: Movement, Arity: -1},

	ReduceSum:  {"sum", Reduction, 1, 1, func(a, b, _ float64) float64 { return a + b }},
	ReduceMax:  {"maxof", Reduction, 1, 1, func(a, b, _ float64) float64 { return max(a, b) }},
	ReduceMin:  {"minof", Reduction, 1, 1, func(a, b, _ float64) float64 { return min(a, b) }},
	ReduceProd: {"prod", Reduction, 1, 1, func(a, b, _ float64) float64 { return a * b }},

	Dot:    {Name: "dot", Class: Product, Arity: 2},
	Custom: {Name: "custom", Class: Foreign, Arity: -1},
}

// Info returns the kind's row of the table.
func (o Op) Info() *Info {
	if o >= numOps {
		return &table[Invalid]
	}
	return &table[o]
}

// String returns the kind's name.
func (o Op) String() string {
	if o >= numOps {
		return "op" + strconv.Itoa(int(o))
	}
	return table[o].Name
}

// Class returns the kind's class.
func (o Op) Class() Class { return o.Info().Class }

// ParseOp is the inverse of String; ok is false for a name that no kind has.
func ParseOp(name string) (op Op, ok bool) {
	for i := range table {
		if Op(i) != Invalid && table[i].Name == name {
			return Op(i), true
		}
	}
	return Invalid, false
}

func sign(a float64) float64 {
	switch {
	case a > 0:
		return 1
	case a < 0:
		return -1
	}
	return a // ±0 and NaN
}

// atan2 is math.Atan2 with y's sign, which that loses where y < 0, x < 0 and y/x underflows.
func atan2(y, x float64) float64 { return math.Copysign(math.Atan2(math.Abs(y), x), y) }

func sigmoid(a float64) float64 {
	e := math.Exp(-math.Abs(a))
	if a < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

func softplus(a float64) float64 { return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }
