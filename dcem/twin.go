package dcem

import (
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// A twinned kernel is a gradient kernel whose own derivative comes from differentiating a plain twin of the forward op:
// its inputs are the forward op's inputs and then the incoming gradient.
type twinned interface {
	graphop.Differ
	// twin builds the forward op again from ops that can be differentiated to any order; which is the input that this
	// gradient belongs to.
	twin(in G.Nodes) (out *G.Node, which int, err error)
}

// diffTwin differentiates a gradient kernel. The fused gradient kernels are fast but say nothing about their own
// derivative; their twins do: the forward op is built again from plain nodes, differentiated once to give this
// gradient as a plain expression, and that is differentiated again. So every op has derivatives of any order, and
// only the first is hand-written.
func diffTwin(k twinned, want []bool, inputs G.Nodes, grad *G.Node) (G.Nodes, error) {
	// The inputs may depend on one another (mu on x, say). What is wanted are partial derivatives, so each goes in by a
	// wire of its own.
	wires := make(G.Nodes, len(inputs))
	for i, n := range inputs {
		var err error
		if wires[i], err = typed(n.Dtype(), wireOp[float32]{input: i}, wireOp[float64]{input: i}, n.Shape(), n); err != nil {
			return nil, err
		}
	}
	last := len(wires) - 1
	out, which, err := k.twin(wires[:last])
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	first, err := autodiff.VJP(G.Nodes{out}, G.Nodes{wires[last]}, wires[which])
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	var wrt G.Nodes
	for i, w := range wires {
		if want[i] {
			wrt = append(wrt, w)
		}
	}
	second, err := autodiff.VJP(first, G.Nodes{grad}, wrt...)
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	grads := make(G.Nodes, len(inputs))
	for i := range grads {
		if want[i] {
			grads[i], second = second[0], second[1:]
		}
	}
	return grads, nil
}

// wireOp is the identity, one node per input of a twin.
type wireOp[T kernels.Float] struct {
	identityOp[T]
	input int
}

func (k wireOp[T]) String() string         { return fmt.Sprintf("dcem.Wire{%d}", k.input) }
func (k wireOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{graphop.By(k, graphop.Gradient)} }

// twin builds an expression and keeps the first error.
type twin struct{ err error }

func (t *twin) contract(s size, scale float64, out kernels.Pattern, in []kernels.Pattern, operands ...*G.Node) *G.Node {
	return t.keep(func() (*G.Node, error) { return contract(s, scale, out, in, operands...) })
}

func (t *twin) add(a, b *G.Node) *G.Node {
	return t.keep(func() (*G.Node, error) { return G.Add(a, b) })
}

func (t *twin) sub(a, b *G.Node) *G.Node {
	return t.keep(func() (*G.Node, error) { return G.Sub(a, b) })
}

func (t *twin) keep(f func() (*G.Node, error)) *G.Node {
	if t.err != nil {
		return nil
	}
	var n *G.Node
	n, t.err = f()
	return n
}
