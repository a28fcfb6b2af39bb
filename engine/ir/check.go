package ir

import (
	"fmt"
	"slices"
)

// Verify checks the whole graph: every node (see Check), operands before users, outputs and updates.
func (g *Graph) Verify() error {
	for i := range g.Nodes {
		if err := g.Check(ID(i)); err != nil {
			return err
		}
	}
	for _, id := range g.Outputs {
		if id < 0 || int(id) >= len(g.Nodes) {
			return fmt.Errorf("ir: output %%%d of a graph of %d nodes", id, len(g.Nodes))
		}
	}
	for i, u := range g.Updates {
		if len(u.Params) != len(u.Grads) {
			return fmt.Errorf("ir: update %d has %d parameters and %d gradients", i, len(u.Params), len(u.Grads))
		}
		for _, ids := range [][]ID{u.Params, u.Grads, {max(u.Loss, 0)}} {
			for _, id := range ids {
				if id < 0 || int(id) >= len(g.Nodes) {
					return fmt.Errorf("ir: update %d of node %%%d in a graph of %d nodes", i, id, len(g.Nodes))
				}
			}
		}
		for j, p := range u.Params {
			n, d := &g.Nodes[p], &g.Nodes[u.Grads[j]]
			if a, ok := n.Attr.(InputAttr); !ok || !a.Resident {
				return fmt.Errorf("ir: update %d of %s, want a resident input", i, g.Label(p))
			}
			if n.Type != d.Type || !slices.Equal(n.Shape, d.Shape) {
				return fmt.Errorf("ir: update %d of %s, %v %v, with a gradient %v %v", i, g.Label(p), n.Type, n.Shape, d.Type, d.Shape)
			}
		}
	}
	return nil
}

// Check checks one node against its operands.
func (g *Graph) Check(id ID) error {
	n := &g.Nodes[id]
	info := n.Op.Info()
	fail := func(format string, args ...any) error {
		return fmt.Errorf("ir: %s: %s", g.Label(id), fmt.Sprintf(format, args...))
	}
	if n.Op == Invalid || n.Op >= numOps {
		return fail("not a kind of node")
	}
	if n.Type == NoType || n.Type > Bool {
		return fail("element type %v", n.Type)
	}
	for _, d := range n.Shape {
		if d < 0 {
			return fail("shape %v", n.Shape)
		}
	}
	if info.Arity >= 0 && len(n.In) != info.Arity {
		return fail("%d operands, want %d", len(n.In), info.Arity)
	}
	for _, in := range n.In {
		if in < 0 || in >= id {
			return fail("operand %%%d, want a node before it", in)
		}
	}
	in := func(i int) *Node { return &g.Nodes[n.In[i]] }
	sameType := func(nodes ...int) error {
		for _, i := range nodes {
			if in(i).Type != n.Type {
				return fail("operand %d is %v, want %v", i, in(i).Type, n.Type)
			}
		}
		return nil
	}
	switch info.Class {
	case Leaf:
		return g.checkLeaf(n, fail)
	case Elementwise:
		if n.Op == Normal || n.Op == Uniform {
			if _, ok := n.Attr.(Rand); !ok || in(0).Type != Int64 || len(in(0).Shape) != 0 || !n.Type.Float() {
				return fail("want a Rand, an i64 scalar and a float type")
			}
			return nil
		}
		for i := range n.In {
			if !slices.Equal(in(i).Shape, n.Shape) {
				return fail("operand %d has shape %v, want %v", i, in(i).Shape, n.Shape)
			}
		}
		switch n.Op {
		case Cast:
			return nil
		case Where:
			return sameType(1, 2)
		case Lt, Le, Gt, Ge, Eq, Ne, And, Or, Not:
			if len(n.In) == 2 && in(0).Type != in(1).Type {
				return fail("operands of types %v and %v", in(0).Type, in(1).Type)
			}
			if n.Type != Bool && n.Type != in(0).Type {
				return fail("type %v, want bool or the operands' %v", n.Type, in(0).Type)
			}
			return nil
		}
		if !n.Type.Float() {
			return fail("arithmetic in %v, want f32 or f64", n.Type)
		}
		for i := range n.In {
			if err := sameType(i); err != nil {
				return err
			}
		}
		return nil
	case Movement:
		for i := range n.In {
			if err := sameType(i); err != nil {
				return err
			}
		}
		return g.checkMovement(n, fail)
	case Reduction:
		axes, ok := n.Attr.(Axes)
		s := in(0).Shape
		if !ok || len(axes) == 0 || !ascending(axes) || axes[0] < 0 || axes[len(axes)-1] >= len(s) {
			return fail("axes %v of shape %v", n.Attr, s)
		}
		var want []int
		for i, d := range s {
			if !slices.Contains(axes, i) {
				want = append(want, d)
			}
		}
		if !slices.Equal(want, n.Shape) {
			return fail("shape %v, want %v", n.Shape, want)
		}
		if !n.Type.Float() {
			return fail("arithmetic in %v, want f32 or f64", n.Type)
		}
		return sameType(0)
	case Product:
		t, ok := n.Attr.(Trans)
		a, b := in(0).Shape, in(1).Shape
		d := len(n.Shape)
		if !ok || d < 2 || len(a) != d || len(b) != d || !slices.Equal(a[:d-2], n.Shape[:d-2]) || !slices.Equal(b[:d-2], n.Shape[:d-2]) {
			return fail("shapes %v and %v to %v", a, b, n.Shape)
		}
		m, k := a[d-2], a[d-1]
		if t.A {
			m, k = k, m
		}
		k2, c := b[d-2], b[d-1]
		if t.B {
			k2, c = c, k2
		}
		if k != k2 || n.Shape[d-2] != m || n.Shape[d-1] != c {
			return fail("shapes %v and %v to %v, %+v", a, b, n.Shape, t)
		}
		if !n.Type.Float() {
			return fail("arithmetic in %v, want f32 or f64", n.Type)
		}
		return sameType(0, 1)
	}
	if _, ok := n.Attr.(Kernel); !ok {
		return fail("Attr is a %T, want a Kernel", n.Attr)
	}
	return nil
}

func ascending(s []int) bool {
	for i := 1; i < len(s); i++ {
		if s[i] <= s[i-1] {
			return false
		}
	}
	return true
}

func (g *Graph) checkLeaf(n *Node, fail func(string, ...any) error) error {
	if n.Op == Input {
		if _, ok := n.Attr.(InputAttr); !ok {
			return fail("Attr is a %T, want an InputAttr", n.Attr)
		}
		return nil
	}
	t, ok := n.Attr.(*Tensor)
	if !ok {
		return fail("Attr is a %T, want a *Tensor", n.Attr)
	}
	have, count := DataType(t.Data)
	if have != n.Type || count != n.Count() {
		return fail("data of %d x %v, want %d x %v", count, have, n.Count(), n.Type)
	}
	return nil
}

// DataType is the element type and length of a slice that a Tensor may hold; NoType for another.
func DataType(data any) (DType, int) {
	switch d := data.(type) {
	case []float32:
		return F32, len(d)
	case []float64:
		return F64, len(d)
	case []int64:
		return Int64, len(d)
	case []int:
		return Int, len(d)
	case []int32:
		return Int32, len(d)
	case []uint8:
		return Uint8, len(d)
	case []bool:
		return Bool, len(d)
	}
	return NoType, 0
}

func (g *Graph) checkMovement(n *Node, fail func(string, ...any) error) error {
	if n.Op == Concat {
		return g.checkConcat(n, fail)
	}
	s := g.Nodes[n.In[0]].Shape
	switch n.Op {
	case Reshape:
		if Count(s) != n.Count() {
			return fail("%v to %v", s, n.Shape)
		}
		return nil
	case Broadcast:
		if len(s) == 0 {
			return nil
		}
		if len(s) != len(n.Shape) {
			return fail("%v to %v", s, n.Shape)
		}
		for i, d := range s {
			if d != n.Shape[i] && d != 1 {
				return fail("%v to %v", s, n.Shape)
			}
		}
		return nil
	case Transpose:
		axes, ok := n.Attr.(Axes)
		if !ok || len(axes) != len(s) || len(n.Shape) != len(s) {
			return fail("axes %v of shape %v", n.Attr, s)
		}
		seen := make([]bool, len(s))
		for i, a := range axes {
			if a < 0 || a >= len(s) || seen[a] || n.Shape[i] != s[a] {
				return fail("axes %v of shape %v to %v", axes, s, n.Shape)
			}
			seen[a] = true
		}
		return nil
	}
	span, ok := n.Attr.(Span)
	if !ok || len(span.Start) != len(s) || len(span.Step) != len(s) || len(n.Shape) != len(s) {
		return fail("span %v of shape %v to %v", n.Attr, s, n.Shape)
	}
	small, large := n.Shape, s
	if n.Op == Pad {
		small, large = s, n.Shape
	}
	for i, d := range small {
		if span.Start[i] < 0 || span.Step[i] < 1 || d > 0 && span.Start[i]+(d-1)*span.Step[i] >= large[i] {
			return fail("span %v of shape %v to %v", span, s, n.Shape)
		}
	}
	return nil
}

func (g *Graph) checkConcat(n *Node, fail func(string, ...any) error) error {
	axes, ok := n.Attr.(Axes)
	if !ok || len(axes) != 1 || axes[0] < 0 || axes[0] >= len(n.Shape) || len(n.In) == 0 {
		return fail("axis %v of %d operands to %v", n.Attr, len(n.In), n.Shape)
	}
	total := 0
	for i, id := range n.In {
		s := g.Nodes[id].Shape
		if len(s) != len(n.Shape) {
			return fail("operand %d has shape %v, want %d dimensions", i, s, len(n.Shape))
		}
		for j, d := range s {
			if j != axes[0] && d != n.Shape[j] {
				return fail("operand %d has shape %v, want %v but for axis %d", i, s, n.Shape, axes[0])
			}
		}
		total += s[axes[0]]
	}
	if total != n.Shape[axes[0]] {
		return fail("%d along axis %d, want %d", total, axes[0], n.Shape[axes[0]])
	}
	return nil
}
