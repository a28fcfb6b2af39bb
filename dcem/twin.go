package dcem

import (
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// diffTwin differentiates a gradient kernel. The fused gradient kernels are fast but say nothing about their own derivative; their twins do: the
// forward op is built again from plain nodes, differentiated once to give this gradient as a plain expression, and that is
// differentiated again. So every op has derivatives of any order, and only the first is hand-written.
func diffTwin(k twinned, inputs G.Nodes, grad *G.Node) (G.Nodes, error) {
	last := len(inputs) - 1
	out, which, err := k.twin(inputs[:last])
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	first, err := autodiff.VJP(G.Nodes{out}, G.Nodes{inputs[last]}, inputs[which])
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	second, err := autodiff.VJP(first, G.Nodes{grad}, inputs...)
	if err != nil {
		return nil, fmt.Errorf("dcem: derivative of %v: %w", k, err)
	}
	return second, nil
}

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
