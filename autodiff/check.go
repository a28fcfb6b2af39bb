package autodiff

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
)

// Check reports where Gorgonia's TapeMachine would compute wrong values for g without a word, nil where it finds
// nothing:
//
//   - two nodes with the same 32-bit hash, of which the TapeMachine takes one for the other (rename an input);
//   - memory written over while it is still needed under another name, which gorgonia.Reshape (take [Reshape]) and Concat of one node bring about;
//   - sums and maxima over an axis that is neither of the first two nor the last (reshape to 3 dimensions before).
//
// Meant for tests of models, and for a graph that has been put together and is about to be run for long. The time is
// linear in the graph's size.
func Check(g *G.ExprGraph) error {
	if g == nil {
		return errors.New("autodiff: Check: the graph is nil")
	}
	c := checker{g: g, lastUse: make(map[*G.Node]int64), memory: make(map[*G.Node]*memory)}
	byHash := make(map[uint32]*G.Node)
	for _, n := range g.AllNodes() {
		if isStatement(n) {
			continue
		}
		if other, ok := byHash[n.Hashcode()]; ok {
			c.report("%s and %s have the same hash %#x, and the TapeMachine takes one for the other", describe(other), describe(n), n.Hashcode())
		}
		byHash[n.Hashcode()] = n
	}
	for _, n := range g.AllNodes() {
		in, err := inputsOf(g, n)
		if err != nil {
			return err
		}
		for _, m := range in {
			c.lastUse[m] = max(c.lastUse[m], n.ID())
		}
	}
	for _, n := range g.AllNodes() {
		c.step(n)
	}
	return errors.Join(c.found...)
}

const manyFindings = 20 // more are not reported

// A checker follows the TapeMachine through g: it runs nodes in the order of their ids.
type checker struct {
	g       *G.ExprGraph
	lastUse map[*G.Node]int64
	memory  map[*G.Node]*memory
	found   []error
}

// memory is what one or more nodes have for their value.
type memory struct {
	names G.Nodes
	keep  bool // of an input or a constant: needed beyond the run
}

func (c *checker) report(format string, args ...any) {
	if len(c.found) < manyFindings {
		c.found = append(c.found, fmt.Errorf("autodiff: Check: "+format, args...))
	}
}

func (c *checker) step(n *G.Node) {
	in, err := inputsOf(c.g, n)
	if err != nil || isStatement(n) {
		return
	}
	if len(in) == 0 {
		c.memory[n] = &memory{names: G.Nodes{n}, keep: true}
		return
	}
	switch ruleKey(n.Op()) {
	case "gorgonia.reshapeOp":
		if !in[0].IsScalar() {
			c.share(n, in[0])
			return
		}
	case "gorgonia.concatOp":
		if len(in) == 1 {
			c.share(n, in[0])
			return
		}
	case "gorgonia.sumOp", "gorgonia.maxOp", "*gorgonia.maxOp":
		c.reduction(n, in[0])
	}
	if i := n.Op().OverwritesInput(); i >= 0 && writesOver(n.Op()) && !in[i].IsScalar() && c.lastUse[in[i]] == n.ID() && !c.memoryOf(in[i]).pinned(in[i]) {
		c.overwrite(n, in[i])
		return
	}
	c.memory[n] = &memory{names: G.Nodes{n}}
}

func (c *checker) memoryOf(n *G.Node) *memory {
	if c.memory[n] == nil {
		c.memory[n] = &memory{names: G.Nodes{n}}
	}
	return c.memory[n]
}

// pinned: inputs and constants, and the gradients of inputs that gorgonia.Grad has marked, are never chosen to be
// written over.
func (m *memory) pinned(n *G.Node) bool {
	if m.keep && n == m.names[0] {
		return true
	}
	return slices.ContainsFunc(n.DerivOf(), func(d *G.Node) bool { return d.Op() == nil })
}

func (c *checker) share(n, with *G.Node) {
	m := c.memoryOf(with)
	m.names = append(m.names, n)
	c.memory[n] = m
}

// overwrite: n writes its value over that of in.
func (c *checker) overwrite(n, in *G.Node) {
	m := c.memoryOf(in)
	for i, other := range m.names {
		switch {
		case other == in:
		case m.keep && i == 0:
			c.report("%s writes over the value of %s, whose memory is that of %s, too (gorgonia.Reshape)", describe(n), describe(other), describe(in))
		case c.lastUse[other] > n.ID():
			c.report("%s writes over the value of %s, which node %d still needs (%s has the same memory through gorgonia.Reshape)",
				describe(n), describe(other), c.lastUse[other], describe(in))
		}
	}
	c.memory[n] = &memory{names: G.Nodes{n}}
}

// reduction: the tensor package reduces one axis after the other, in ascending order.
func (c *checker) reduction(n, in *G.Node) {
	axes := slices.Sorted(slices.Values(ints(n.Op(), "along")))
	dims := in.Dims()
	if len(axes) == dims {
		return
	}
	for i, a := range axes {
		if a, last := a-i, dims-i-1; a >= 2 && a < last {
			c.report("%s: the tensor package gets reductions over axis %d of %d dimensions wrong", describe(n), a, last+1)
			return
		}
	}
}

// writesOver reports whether the TapeMachine lets op write its result over an input: not where it allocates
// beforehand, and only where the op can be handed memory.
func writesOver(op G.Op) bool {
	_, ok := op.(G.UsePreallocDoer)
	return ok && op.ReturnsPtr() && !op.CallsExtern()
}

// isStatement: Read and Let have no value.
func isStatement(n *G.Node) bool {
	switch ruleKey(n.Op()) {
	case "gorgonia.readOp", "gorgonia.letOp":
		return true
	}
	return false
}
