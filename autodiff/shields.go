package autodiff

import (
	"reflect"

	G "gorgonia.org/gorgonia"
)

// Shields keep values right that the TapeMachine would overwrite. gorgonia.Reshape hands out its input's memory under
// a second name; the TapeMachine counts the uses of either name alone, and lets an op write over the memory after the
// last use of one while the other is still needed. (So tanh, Reshape, Add is enough for a wrong gradient from
// gorgonia.Grad.) A gradient therefore uses no node of such a family itself but a copy of it, by an op that has the
// whole family for inputs: nodes run in the order of their making, so nothing made before the copy can write over any
// of them, and nothing made after it reads them.
type shields map[*G.Node]G.Nodes

func newShields(g *G.ExprGraph) shields {
	s := make(shields)
	for _, n := range g.AllNodes() {
		if n.Op() == nil || reflect.TypeOf(n.Op()).String() != "gorgonia.reshapeOp" {
			continue
		}
		in, err := inputsOf(g, n)
		if err != nil || len(in) != 1 || in[0].IsScalar() {
			continue
		}
		if len(s[in[0]]) == 0 {
			s[in[0]] = G.Nodes{in[0]}
		}
		family := append(s[in[0]], n)
		for _, m := range family {
			s[m] = family
		}
	}
	return s
}

// shield returns what to take for the value of n.
func (s shields) shield(b *builder, n *G.Node) *G.Node {
	family := s[n]
	if b.err != nil || len(family) == 0 || !isFloat(n) {
		return n
	}
	in := G.Nodes{n}
	for _, m := range family {
		if m != n {
			in = append(in, m)
		}
	}
	return b.apply(newReshape(n.Shape(), in...), in...)
}
