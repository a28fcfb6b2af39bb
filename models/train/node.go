package train

import (
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Input adds an input node of that shape to a graph; its memory is values, which the caller may go on to change.
func Input[T kernels.Float](g *G.ExprGraph, name string, values []T, shape ...int) *G.Node {
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values))
	return G.NewTensor(g, t.Dtype(), len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))
}

// Convert copies a slice to another element type.
func Convert[D, S kernels.Float](s []S) []D {
	d := make([]D, len(s))
	for i, v := range s {
		d[i] = D(v)
	}
	return d
}
