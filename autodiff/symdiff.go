package autodiff

import (
	"fmt"
	"reflect"
	"slices"

	G "gorgonia.org/gorgonia"
)

// Selective is implemented by ops that leave out what nobody asks for: the TapeMachine computes every node there is.
type Selective interface {
	G.SDOp

	// SymDiffFor is SymDiff with nil in place of the gradients of the inputs that are not wanted.
	SymDiffFor(want []bool, inputs G.Nodes, output, grad *G.Node) (G.Nodes, error)
}

// symDiff is the rule of ops that are none of Gorgonia's: their own.
func symDiff(b *builder, c call) G.Nodes {
	op, ok := c.op.(G.SDOp)
	if !ok {
		b.fail(fmt.Errorf("its op (%T) is not a gorgonia.SDOp", c.op))
		return nil
	}
	in := make(G.Nodes, len(c.in))
	for i := range in {
		in[i] = c.x(b, i)
	}
	out := c.y(b)
	if b.err != nil {
		return nil
	}
	var grads G.Nodes
	var err error
	if selective, ok := op.(Selective); ok {
		grads, err = selective.SymDiffFor(slices.Clone(c.want), in, out, c.grad)
	} else {
		grads, err = op.SymDiff(in, out, c.grad)
	}
	if err != nil {
		b.fail(fmt.Errorf("SymDiff of %v: %w", op, err))
	}
	return slices.Clone(grads)
}

// transplant is the rule of Gorgonia's ops: their own, but made in a graph apart, from which what is wanted is copied
// over. Done in place, they
//
//   - add the gradients of all inputs, wanted or not, and the TapeMachine computes every node there is;
//   - bring in constants named by their value, and Gorgonia identifies constants by name: in a graph with a float32 or an int constant 1 that
//     is what a float64 rule gets;
//   - rewrite as they go, and log(1+x) deletes the node 1+x from the graph whoever else uses it;
//   - use what Gorgonia gives back for a new node, which may be an old one with the same hash.
func transplant(b *builder, c call) G.Nodes {
	op, ok := c.op.(G.SDOp)
	if !ok {
		b.fail(fmt.Errorf("its op (%T) is not a gorgonia.SDOp", c.op))
		return nil
	}
	bed := G.NewGraph()
	t := &transplanter{b: b, bed: bed, done: make(map[*G.Node]*G.Node), stand: make(map[*G.Node]func() *G.Node)}
	in := make(G.Nodes, len(c.in))
	for i, n := range c.in {
		in[i] = t.standIn(n, fmt.Sprintf("in%d", i), func() *G.Node { return c.x(b, i) })
	}
	out := t.standIn(c.out, "out", func() *G.Node { return c.y(b) })
	grad := t.standIn(c.grad, "grad", func() *G.Node { return c.grad })
	grads, err := op.SymDiff(in, out, grad)
	if err != nil {
		b.fail(fmt.Errorf("SymDiff of %v: %w", op, err))
		return nil
	}
	for i, n := range grads {
		if grads[i] = nil; n != nil && i < len(c.want) && c.want[i] {
			grads[i] = t.copy(n)
		}
	}
	return grads
}

type transplanter struct {
	b     *builder
	bed   *G.ExprGraph
	done  map[*G.Node]*G.Node
	stand map[*G.Node]func() *G.Node // what the stand-ins stand for
}

// standIn returns an input of the bed with the type and shape of n.
func (t *transplanter) standIn(n *G.Node, name string, real func() *G.Node) *G.Node {
	s := G.NewTensor(t.bed, n.Dtype(), n.Dims(), G.WithShape(n.Shape()...), G.WithName(name))
	t.stand[s] = real
	return s
}

// copy returns n's counterpart in the builder's graph. (The expressions of a SymDiff are a few nodes deep.)
func (t *transplanter) copy(n *G.Node) *G.Node {
	if t.b.err != nil {
		return nil
	}
	if m := t.done[n]; m != nil {
		return m
	}
	t.done[n] = t.make(n)
	return t.done[n]
}

func (t *transplanter) make(n *G.Node) *G.Node {
	if real := t.stand[n]; real != nil {
		return real()
	}
	in, err := inputsOf(t.bed, n)
	if t.b.fail(err); err != nil {
		return nil
	}
	if len(in) > 0 {
		for i, m := range in {
			in[i] = t.copy(m)
		}
		if t.b.err != nil {
			return nil
		}
		return t.b.apply(n.Op(), in...)
	}
	switch v := n.Value().(type) {
	case *G.F64:
		return t.b.constant(float64(*v), n.Dtype(), nil)
	case *G.F32:
		return t.b.constant(float64(*v), n.Dtype(), nil)
	}
	t.b.fail(fmt.Errorf("SymDiff uses %s, which is none of its arguments", describe(n)))
	return nil
}

func gorgoniasOwn(op G.Op) bool {
	t := reflect.TypeOf(op)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "gorgonia.org/gorgonia"
}
