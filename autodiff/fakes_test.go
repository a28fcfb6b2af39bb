package autodiff

import (
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// opaque is an op without derivatives: not a gorgonia.SDOp.
type opaque struct{}

func (opaque) Arity() int { return 1 }
func (opaque) Type() hm.Type {
	return hm.NewFnType(hm.TypeVariable('a'), hm.TypeVariable('a'))
}
func (opaque) InferShape(in ...G.DimSizer) (tensor.Shape, error) { return in[0].(tensor.Shape), nil }
func (opaque) Do(in ...G.Value) (G.Value, error)                 { return in[0], nil }
func (opaque) ReturnsPtr() bool                                  { return false }
func (opaque) CallsExtern() bool                                 { return false }
func (opaque) OverwritesInput() int                              { return -1 }
func (o opaque) WriteHash(h hash.Hash)                           { fmt.Fprint(h, o) }
func (o opaque) Hashcode() uint32                                { return hashOf(o) }
func (opaque) String() string                                    { return "opaque" }

// broken is an SDOp that goes wrong in a way of its own.
type broken struct {
	opaque
	how string
}

func (o broken) WriteHash(h hash.Hash) { fmt.Fprint(h, o) }
func (o broken) Hashcode() uint32      { return hashOf(o) }
func (o broken) String() string        { return "broken " + o.how }
func (o broken) DiffWRT(n int) []bool {
	if o.how == "DiffWRT panics" {
		panic("no")
	}
	return slices.Repeat([]bool{true}, n)
}
func (o broken) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	switch o.how {
	case "panics":
		panic("no")
	case "fails":
		return nil, errors.New("no")
	case "too few":
		return nil, nil
	case "nil":
		return G.Nodes{nil}, nil
	}
	return G.Nodes{G.Must(G.Sum(grad))}, nil // another shape
}

// choosy is x*y as an op that adds only what is wanted.
type choosy struct{ asked *[]bool }

var _ Selective = choosy{}

func (choosy) Arity() int { return 2 }
func (choosy) Type() hm.Type {
	a := hm.TypeVariable('a')
	return hm.NewFnType(a, a, a)
}
func (choosy) InferShape(in ...G.DimSizer) (tensor.Shape, error) { return in[0].(tensor.Shape), nil }
func (choosy) Do(in ...G.Value) (G.Value, error) {
	return tensor.Mul(in[0].(tensor.Tensor), in[1].(tensor.Tensor))
}
func (choosy) ReturnsPtr() bool      { return false }
func (choosy) CallsExtern() bool     { return false }
func (choosy) OverwritesInput() int  { return -1 }
func (choosy) WriteHash(h hash.Hash) { fmt.Fprint(h, "choosy") }
func (c choosy) Hashcode() uint32    { return hashOf(c) }
func (choosy) String() string        { return "choosy" }
func (choosy) DiffWRT(int) []bool    { return []bool{true, true} }
func (c choosy) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	return c.SymDiffFor([]bool{true, true}, in, out, grad)
}
func (c choosy) SymDiffFor(want []bool, in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	*c.asked = want
	grads := make(G.Nodes, 2)
	for i := range grads {
		if want[i] {
			grads[i] = G.Must(G.HadamardProd(in[1-i], grad))
		}
	}
	return grads, nil
}
