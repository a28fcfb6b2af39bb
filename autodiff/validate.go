package autodiff

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
)

// validate checks the arguments of VJP and returns the seeds as nodes of the graph (constants may come without one).
func validate(outs, seeds, wrt G.Nodes) (G.Nodes, error) {
	if len(outs) == 0 {
		return nil, errors.New("autodiff: no outs")
	}
	if len(seeds) != len(outs) {
		return nil, fmt.Errorf("autodiff: %d seeds for %d outs", len(seeds), len(outs))
	}
	if len(wrt) == 0 {
		return nil, errors.New("autodiff: nothing to differentiate with respect to")
	}
	for i, n := range append(slices.Clone(outs), wrt...) {
		name := fmt.Sprintf("outs[%d]", i)
		if i >= len(outs) {
			name = fmt.Sprintf("wrt[%d]", i-len(outs))
		}
		if err := inGraph(name, n); err != nil {
			return nil, err
		}
		if n.Graph() != outs[0].Graph() {
			return nil, fmt.Errorf("autodiff: %s %s and outs[0] %s are in different graphs", name, describe(n), describe(outs[0]))
		}
		if !isFloat(n) {
			return nil, fmt.Errorf("autodiff: %s %s is of type %v, want float32 or float64", name, describe(n), n.Type())
		}
	}
	checked := make(G.Nodes, len(seeds))
	for i, seed := range seeds {
		if seed == nil {
			return nil, fmt.Errorf("autodiff: seeds[%d] is nil", i)
		}
		if !isFloat(seed) || seed.Dtype() != outs[i].Dtype() || !sameShape(seed.Shape(), outs[i].Shape()) {
			return nil, fmt.Errorf("autodiff: seeds[%d] is of type %v and shape %v, want those of outs[%d]: %v and %v",
				i, seed.Type(), seed.Shape(), i, outs[i].Type(), outs[i].Shape())
		}
		var err error
		if checked[i], err = adopt(outs[0].Graph(), seed); err != nil {
			return nil, fmt.Errorf("autodiff: seeds[%d]: %w", i, err)
		}
	}
	return checked, nil
}

func inGraph(name string, n *G.Node) error {
	switch {
	case n == nil:
		return fmt.Errorf("autodiff: %s is nil", name)
	case n.Graph() == nil || n.ID() < 0:
		return fmt.Errorf("autodiff: %s %s is in no graph", name, describe(n))
	}
	return nil
}

// adopt returns constant n as a node of g; gorgonia.NewConstant makes nodes that are in no graph yet.
func adopt(g *G.ExprGraph, n *G.Node) (*G.Node, error) {
	if n.Graph() == g && n.ID() >= 0 {
		return n, nil
	}
	if n.Graph() != nil || n.Value() == nil {
		return nil, fmt.Errorf("%s is in a different graph", describe(n))
	}
	in := g.AddNode(n)
	// Gorgonia takes constants of the same name for one and the same, whatever they hold.
	if in.Dtype() != n.Dtype() || !sameShape(in.Shape(), n.Shape()) || !G.ValueEq(in.Value(), n.Value()) {
		return nil, fmt.Errorf("the graph holds another constant named %q (%v): give one of them a name of its own", n.Name(), in.Type())
	}
	return in, nil
}
