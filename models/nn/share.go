package nn

import G "gorgonia.org/gorgonia"

// Share returns the layer in another graph, with the same memory for its parameters (see [Params.Share]).
func (l *Linear) Share(g *G.ExprGraph) (*Linear, error) {
	p, err := l.params.Share(g)
	if err != nil {
		return nil, err
	}
	return linear(p), nil
}
