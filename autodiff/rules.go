package autodiff

import (
	"errors"
	"math"
	"reflect"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A rule returns the gradients of an op's inputs, at least those wanted.
type rule func(b *builder, c call) G.Nodes

// A call is what a rule works on. Shapes come from in and out; values from x and y.
type call struct {
	op      G.Op
	in      G.Nodes
	out     *G.Node
	grad    *G.Node
	want    []bool // which inputs need a gradient
	shields shields
}

// x returns a node with the value of input i, y one with the value of the output (see shields).
func (c call) x(b *builder, i int) *G.Node { return c.shields.shield(b, c.in[i]) }
func (c call) y(b *builder) *G.Node        { return c.shields.shield(b, c.out) }

// An override takes the place of what an op says of its own derivatives.
type override struct {
	follow func(inputs int) []bool // for DiffWRT; nil keeps that
	rule   rule                    // for SymDiff; nil keeps that
}

// overrides has our own rules for ops whose SymDiff or DiffWRT is wrong, missing or unsafe in Gorgonia v0.9.18; each
// says in what. It is keyed by the type of the op and, where many ops share one, a name (see ruleKey).
var overrides = map[string]override{
	// -g/(2y^3) where -g*y^3/2 is meant.
	"gorgonia.elemUnaryOp invSqrt": {rule: func(b *builder, c call) G.Nodes {
		y := c.y(b)
		return G.Nodes{b.mul(b.mul(b.fill1(-0.5, c.grad), b.mul(b.mul(y, y), y)), c.grad)}
	}},
	// g*log(2)/x where g/(x*log(2)) is meant.
	"gorgonia.elemUnaryOp log2": {rule: func(b *builder, c call) G.Nodes {
		return G.Nodes{b.div(b.mul(b.fill1(1/math.Ln2, c.grad), c.grad), c.x(b, 0))}
	}},
	// x*G and y*G where G*y and x*G are meant: the second derivative of a matrix times a vector was wrong, too.
	"gorgonia.linAlgBinOp outer": {rule: func(b *builder, c call) G.Nodes {
		return G.Nodes{
			b.wanted(c, 0, func() *G.Node { return b.matmul(c.grad, c.x(b, 1)) }),
			b.wanted(c, 1, func() *G.Node { return b.matmul(c.x(b, 0), c.grad) }),
		}
	}},
	// The right rule, but a product transposes its operand in place while it runs, and with it the other operand where
	// both are one node.
	"gorgonia.linAlgBinOp matmul": {rule: func(b *builder, c call) G.Nodes {
		if slices.Contains(c.in, c.grad) {
			c.grad = b.copy(c.grad)
		}
		return transplant(b, c)
	}},
	// gorgonia.Reshape hands out a second name for its input's memory, and the TapeMachine then lets ops write over
	// either while the other is needed (see shields). Its gradient is a Reshape, too, and fails at run time where it
	// should give a scalar.
	"gorgonia.reshapeOp": {rule: func(b *builder, c call) G.Nodes { return G.Nodes{b.reshape(c.grad, c.in[0].Shape())} }},
	// A Reshape, and then a Repeat for each axis.
	"gorgonia.sumOp": {rule: func(b *builder, c call) G.Nodes {
		x := c.in[0].Shape()
		return G.Nodes{b.expand(c.grad, keepDims(x, ints(c.op, "along")), x)}
	}},
	// A Sum over the repeated axis: it drops an axis that the input has, is not the gradient where the input is longer
	// than 1 there, and hits the wrong sums over inner axes of tensors of 4 dimensions or more (see builder.sum).
	"*gorgonia.repeatOp": {rule: diffRepeat},
	// By Reshape and Repeat, and 4 axes at most.
	"*gorgonia.maxOp": {rule: diffMax},
	// DiffWRT says that the slice's gradient has no influence and that the tensor that gives only the shape has: second
	// derivatives were wrong.
	"gorgonia.sliceIncrOp": {follow: func(int) []bool { return []bool{false, true} }},
	// By slices, whose hash has the bounds modulo 256: of three blocks 128 wide the last gets the gradient of the first.
	// And by Reshape.
	"gorgonia.concatOp": {rule: diffConcat},
	// By an op without derivatives.
	"*gorgonia.softmaxOp": {rule: diffSoftMax},
	// Fails at run time where one operand is contracted whole. And by Reshape.
	"gorgonia.tensordotOp": {rule: diffTensordot},
	// Wrong over any axis but the first, and there for some indices; by an op without derivatives.
	"*gorgonia.byIndicesOp": {rule: refuse(errNoByIndices)},
	// DiffWRT denies that there is a derivative, and silence would be a wrong zero.
	"gorgonia.atOp": {follow: func(int) []bool { return []bool{true} }, rule: refuse(errNoAt)},
}

var (
	errNoAt        = errors.New("gorgonia.At has no gradient (gorgonia.Slice down to one element has)")
	errNoByIndices = errors.New("gorgonia.ByIndices has a wrong gradient (gorgonia.Slice and Concat have a right one, " +
		"and so has the product with a matrix of zeros and ones)")
)

func refuse(err error) rule {
	return func(b *builder, _ call) G.Nodes {
		b.fail(err)
		return nil
	}
}

// ruleKey returns the key of op in the table.
func ruleKey(op G.Op) string {
	if op == nil {
		return ""
	}
	kind := reflect.TypeOf(op).String()
	switch kind {
	case "gorgonia.elemUnaryOp":
		return kind + " " + op.String()
	case "gorgonia.linAlgBinOp":
		switch reflect.ValueOf(op).FieldByName("āBinaryOperator").Uint() {
		case 0:
			return kind + " matmul"
		case 3:
			return kind + " outer"
		}
	}
	return kind
}

// ints reads a slice of ints from a private field of op.
func ints(op G.Op, field string) []int {
	v := reflect.Indirect(reflect.ValueOf(op)).FieldByName(field)
	s := make([]int, v.Len())
	for i := range s {
		s[i] = int(v.Index(i).Int())
	}
	return s
}

// number reads an int from a private field of op.
func number(op G.Op, field string) int {
	return int(reflect.Indirect(reflect.ValueOf(op)).FieldByName(field).Int())
}

// keepDims returns shape with 1 at the axes.
func keepDims(shape tensor.Shape, axes []int) tensor.Shape {
	keep := shape.Clone()
	for _, a := range axes {
		keep[a] = 1
	}
	return keep
}

// diffRepeat: element i of the input along the axis fills a run of rep elements of the output.
func diffRepeat(b *builder, c call) G.Nodes {
	along := number(c.op, "along")
	in, out := c.in[0].Shape(), c.out.Shape()
	for len(in) < len(out) { // a scalar or a vector grows axes of size 1
		in = append(in, 1)
	}
	runs := slices.Concat(in[:along+1], tensor.Shape{out[along] / in[along]}, in[along+1:])
	dx := b.sum(b.reshape(c.grad, runs), along+1)
	return append(G.Nodes{b.reshape(dx, c.in[0].Shape())}, make(G.Nodes, len(c.in)-1)...)
}

// diffMax gives every element that equals the maximum the whole gradient, as Gorgonia does.
func diffMax(b *builder, c call) G.Nodes {
	x := c.in[0].Shape()
	keep := keepDims(x, ints(c.op, "along"))
	mask := b.node(func(in G.Nodes) (*G.Node, error) { return G.Eq(in[0], in[1], true) }, c.x(b, 0), b.expand(c.y(b), keep, x))
	return G.Nodes{b.mul(mask, b.expand(c.grad, keep, x))}
}

func diffConcat(b *builder, c call) G.Nodes {
	axis := number(c.op, "axis")
	grads := make(G.Nodes, len(c.in))
	start := 0
	for i, in := range c.in {
		end := start + in.Shape()[axis]
		grads[i] = b.wanted(c, i, func() *G.Node { return b.reshape(b.slice(c.grad, axis, start, end), in.Shape()) })
		start = end
	}
	return grads
}

// diffSoftMax: y*(g - sum(g*y)) along the axis; for the logarithm: g - exp(y)*sum(g).
func diffSoftMax(b *builder, c call) G.Nodes {
	shape := c.in[0].Shape()
	axis := number(c.op, "axis")
	if axis < 0 {
		axis = len(shape) - 1
		if shape.IsColVec() {
			axis = 0
		}
	}
	keep := keepDims(shape, []int{axis})
	total := func(x *G.Node) *G.Node { return b.expand(b.sum(x, axis), keep, shape) }
	y := c.y(b)
	if reflect.ValueOf(c.op).Elem().FieldByName("isLog").Bool() {
		p := b.node(func(in G.Nodes) (*G.Node, error) { return G.Exp(in[0]) }, y)
		return G.Nodes{b.sub(c.grad, b.mul(p, total(c.grad)))}
	}
	return G.Nodes{b.mul(y, b.sub(c.grad, total(b.mul(c.grad, y))))}
}

// diffTensordot reads the operands as matrices: A (free, contracted), B (contracted, free), G (free of A, free of B).
// Then dA = G B^T and dB = A^T G.
func diffTensordot(b *builder, c call) G.Nodes {
	aAxes, bAxes := ints(c.op, "aAxes"), ints(c.op, "bAxes")
	aFree, m := others(c.in[0].Shape(), aAxes)
	bFree, n := others(c.in[1].Shape(), bAxes)
	k := c.in[0].Shape().TotalSize() / m
	grad := b.reshape(c.grad, tensor.Shape{m, n})
	return G.Nodes{
		b.wanted(c, 0, func() *G.Node {
			bt := b.reshape(b.transpose(c.x(b, 1), slices.Concat(bFree, bAxes)), tensor.Shape{n, k})
			return b.untranspose(b.matmul(grad, bt), c.in[0].Shape(), slices.Concat(aFree, aAxes))
		}),
		b.wanted(c, 1, func() *G.Node {
			at := b.reshape(b.transpose(c.x(b, 0), slices.Concat(aAxes, aFree)), tensor.Shape{k, m})
			return b.untranspose(b.matmul(at, grad), c.in[1].Shape(), slices.Concat(bAxes, bFree))
		}),
	}
}

// others returns the axes of shape that are not in axes, and the product of their lengths.
func others(shape tensor.Shape, axes []int) (rest []int, size int) {
	size = 1
	for a, d := range shape {
		if !slices.Contains(axes, a) {
			rest, size = append(rest, a), size*d
		}
	}
	return rest, size
}
