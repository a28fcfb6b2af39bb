package env

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Builder writes the formulas of an Env down as nodes: it gives the elements of the state and the control and the
// parameters as Exprs, combines them elementwise, and keeps the first error.
type Builder struct {
	env    Env
	x, u   *G.Node
	params ParamNodes
	known  []Param
	batch  int
	dtype  tensor.Dtype
	err    error
}

// An Expr is a number for each problem of a batch: a node of shape (B), or a constant.
type Expr struct {
	node  *G.Node // nil: a constant
	value float64
}

// Build begins a Step or a Cost of e with its arguments: x (B,S), u (B,U), of one element type, float32 or float64.
func Build(e Env, x, u *G.Node, p ParamNodes) *Builder {
	b := &Builder{env: e, x: x, u: u, params: p, known: e.Params()}
	if b.err = checkMatrix(e, "x", x, e.StateDim()); b.err != nil {
		return b
	}
	if b.err = checkMatrix(e, "u", u, e.ControlDim()); b.err != nil {
		return b
	}
	b.batch, b.dtype = x.Shape()[0], x.Dtype()
	switch {
	case u.Shape()[0] != b.batch:
		b.err = fmt.Errorf("env: %s: x has shape %v and u %v, want one batch size", e.Name(), x.Shape(), u.Shape())
	case u.Dtype() != b.dtype:
		b.err = fmt.Errorf("env: %s: x holds %v and u %v, want one type", e.Name(), b.dtype, u.Dtype())
	default:
		b.err = p.check(e)
	}
	return b
}

func checkMatrix(e Env, name string, n *G.Node, columns int) error {
	if n == nil {
		return fmt.Errorf("env: %s: %s is nil, want a node (B,%d)", e.Name(), name, columns)
	}
	if s := n.Shape(); len(s) != 2 || s[0] < 1 || s[1] != columns {
		return fmt.Errorf("env: %s: %s has shape %v, want (B,%d)", e.Name(), name, s, columns)
	}
	if dt := n.Dtype(); dt != tensor.Float32 && dt != tensor.Float64 {
		return fmt.Errorf("env: %s: %s holds %v, want float32 or float64", e.Name(), name, dt)
	}
	return nil
}

// X is element i of the state, as U is of the control.
func (b *Builder) X(i int) Expr { return b.column(b.x, "state", i) }

// U is element i of the control as it was asked for.
func (b *Builder) U(i int) Expr { return b.column(b.u, "control", i) }

// Clamped is element i of the control within its bounds. The gradient is 0 outside, 1 on the bound itself.
func (b *Builder) Clamped(i int) Expr {
	lower, upper := b.env.Bounds()
	return b.Clamp(b.U(i), lower[i], upper[i])
}

func (b *Builder) column(n *G.Node, what string, i int) Expr {
	if b.err != nil {
		return Expr{}
	}
	width := n.Shape()[1]
	if i < 0 || i >= width {
		b.err = fmt.Errorf("env: %s: %s %d of %d", b.env.Name(), what, i, width)
		return Expr{}
	}
	return b.apply(take{i, 1, width}, n)
}

// P is the parameter of that name.
func (b *Builder) P(name string) Expr {
	if b.err != nil {
		return Expr{}
	}
	n := b.params[name]
	if n == nil {
		for _, p := range b.known {
			if p.Name == name {
				return Expr{value: p.Value}
			}
		}
		b.err = checkParam(b.env, name)
		return Expr{}
	}
	if v, ok := constantOf(n); ok {
		return Expr{value: v}
	}
	if n, b.err = expand(b.env, name, n, b.batch, b.dtype); b.err != nil {
		return Expr{}
	}
	return Expr{node: n}
}

// constantOf is the number that a constant scalar holds.
func constantOf(n *G.Node) (v float64, ok bool) {
	if n.Op() == nil || n.Op().Arity() != 0 || n.Value() == nil {
		return 0, false
	}
	switch v := n.Value().Data().(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// expand is a parameter's node as a (B).
func expand(e Env, name string, n *G.Node, batch int, dt tensor.Dtype) (*G.Node, error) {
	s := n.Shape()
	switch {
	case n.Dtype() != dt:
		return nil, fmt.Errorf("env: %s: parameter %q holds %v and the states %v", e.Name(), name, n.Dtype(), dt)
	case len(s) == 1 && s[0] == batch:
		return n, nil
	case len(s) == 0, len(s) == 1 && s[0] == 1:
		return graphop.Apply(spread{}, dt, tensor.Shape{batch}, n)
	}
	return nil, fmt.Errorf("env: %s: parameter %q has shape %v, want (), (1) or (%d)", e.Name(), name, s, batch)
}

func (b *Builder) apply(k graphop.Kernel, in ...*G.Node) Expr {
	if b.err != nil {
		return Expr{}
	}
	n, err := graphop.Apply(k, b.dtype, tensor.Shape{b.batch}, in...)
	if err != nil {
		b.err = fmt.Errorf("env: %s: %w", b.env.Name(), err)
	}
	return Expr{node: n}
}

// Const is a constant.
func (b *Builder) Const(v float64) Expr { return Expr{value: v} }

// Add is the sum of all, from the left.
func (b *Builder) Add(x, y Expr, more ...Expr) Expr {
	s := b.binary(x, y, G.Add, func(x, y float64) float64 { return x + y })
	for _, z := range more {
		s = b.Add(s, z)
	}
	return s
}

// Mul is the product of all, from the left.
func (b *Builder) Mul(x, y Expr, more ...Expr) Expr {
	s := b.binary(x, y, G.HadamardProd, func(x, y float64) float64 { return x * y })
	for _, z := range more {
		s = b.Mul(s, z)
	}
	return s
}

// Sub is x - y.
func (b *Builder) Sub(x, y Expr) Expr {
	return b.binary(x, y, G.Sub, func(x, y float64) float64 { return x - y })
}

// Div is x / y.
func (b *Builder) Div(x, y Expr) Expr {
	return b.binary(x, y, G.HadamardDiv, func(x, y float64) float64 { return x / y })
}

// Neg is -x.
func (b *Builder) Neg(x Expr) Expr { return b.unary(x, G.Neg, func(v float64) float64 { return -v }) }

// Square is x*x.
func (b *Builder) Square(x Expr) Expr {
	return b.unary(x, G.Square, func(v float64) float64 { return v * v })
}

// Sqrt is the square root.
func (b *Builder) Sqrt(x Expr) Expr { return b.unary(x, G.Sqrt, math.Sqrt) }

// Sin is the sine of x in radians.
func (b *Builder) Sin(x Expr) Expr { return b.unary(x, G.Sin, math.Sin) }

// Cos is the cosine of x in radians.
func (b *Builder) Cos(x Expr) Expr { return b.unary(x, G.Cos, math.Cos) }

// Exp is e to the x.
func (b *Builder) Exp(x Expr) Expr { return b.unary(x, G.Exp, math.Exp) }

// Clamp is x within [lower, upper]. The gradient is 0 outside, 1 on the bound itself.
func (b *Builder) Clamp(x Expr, lower, upper float64) Expr {
	if x.node == nil {
		return Expr{value: Clamp(x.value, lower, upper)}
	}
	return b.apply(clamp{lower, upper}, x.node)
}

// Clamp is v within [lower, upper], and NaN where v is.
func Clamp(v, lower, upper float64) float64 {
	if v < lower {
		v = lower
	}
	if v > upper {
		v = upper
	}
	return v
}

func (b *Builder) binary(x, y Expr, op func(x, y *G.Node) (*G.Node, error), fold func(x, y float64) float64) Expr {
	if b.err != nil {
		return Expr{}
	}
	if x.node == nil && y.node == nil {
		return Expr{value: fold(x.value, y.value)}
	}
	n, err := op(b.operand(x), b.operand(y))
	if err != nil {
		b.err = fmt.Errorf("env: %s: %w", b.env.Name(), err)
	}
	return Expr{node: n}
}

func (b *Builder) unary(x Expr, op func(x *G.Node) (*G.Node, error), fold func(x float64) float64) Expr {
	if b.err != nil {
		return Expr{}
	}
	if x.node == nil {
		return Expr{value: fold(x.value)}
	}
	n, err := op(x.node)
	if err != nil {
		b.err = fmt.Errorf("env: %s: %w", b.env.Name(), err)
	}
	return Expr{node: n}
}

func (b *Builder) operand(x Expr) *G.Node {
	if x.node == nil {
		return constant(b.dtype, x.value)
	}
	return x.node
}

// full is a node of shape (B).
func (b *Builder) full(x Expr) *G.Node {
	if b.err != nil || x.node != nil {
		return x.node
	}
	return b.apply(filled{x.value}, b.x).node
}

// State ends a Step: the next state (B,S) of its elements.
func (b *Builder) State(x ...Expr) (*G.Node, error) {
	if b.err == nil && len(x) != b.env.StateDim() {
		b.err = fmt.Errorf("env: %s: a state of %d elements, want %d", b.env.Name(), len(x), b.env.StateDim())
	}
	nodes := make(G.Nodes, len(x))
	for i, x := range x {
		nodes[i] = b.full(x)
	}
	if b.err != nil {
		return nil, b.err
	}
	n, err := graphop.Apply(join{len(x)}, b.dtype, tensor.Shape{b.batch, len(x)}, nodes...)
	if err != nil {
		return nil, fmt.Errorf("env: %s: %w", b.env.Name(), err)
	}
	return n, nil
}

// Value ends a Cost: x as a node (B).
func (b *Builder) Value(x Expr) (*G.Node, error) {
	n := b.full(x)
	if b.err != nil {
		return nil, b.err
	}
	return n, nil
}
