package autodiff

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Reshape gives n another shape of the same size. Unlike gorgonia.Reshape, whose result lives in its input's memory
// although the TapeMachine knows nothing of that and lets the next op write over both, the result has memory of its
// own.
func Reshape(n *G.Node, shape ...int) (*G.Node, error) {
	if err := inGraph("n", n); err != nil {
		return nil, err
	}
	if !isFloat(n) {
		return nil, fmt.Errorf("autodiff: Reshape: %s is of type %v, want float32 or float64", describe(n), n.Type())
	}
	to := tensor.Shape(shape).Clone()
	for i, d := range to {
		if d < 1 {
			return nil, fmt.Errorf("autodiff: Reshape: dimension %d is %d, want at least 1", i, d)
		}
	}
	if to.TotalSize() != n.Shape().TotalSize() {
		return nil, fmt.Errorf("autodiff: Reshape: %s has %d elements (shape %v), want the %d of shape %v",
			describe(n), n.Shape().TotalSize(), n.Shape(), to.TotalSize(), to)
	}
	b := builder{g: n.Graph()}
	r := b.apply(newReshape(to, n), n)
	return r, b.err
}

// Expand repeats n along its axes of size 1, and along new axes before its first, up to shape, as NumPy's
// broadcast_to does: (3) and (1, 3) expand to (2, 3), and so do (2, 1), (1, 1) and a scalar. It takes the place of
// the Reshape, SizeOf and Repeats of gorgonia.Broadcast, in a fraction of their time and with memory of its own.
func Expand(n *G.Node, shape ...int) (*G.Node, error) {
	if err := inGraph("n", n); err != nil {
		return nil, err
	}
	if !isFloat(n) {
		return nil, fmt.Errorf("autodiff: Expand: %s is of type %v, want float32 or float64", describe(n), n.Type())
	}
	from, to := n.Shape(), tensor.Shape(shape).Clone()
	keep := slices.Repeat(tensor.Shape{1}, max(len(to), len(from)))
	copy(keep[len(keep)-len(from):], from)
	fits := len(keep) == len(to)
	for a := range to {
		fits = fits && to[a] > 0 && (keep[a] == to[a] || keep[a] == 1)
	}
	if !fits {
		return nil, fmt.Errorf("autodiff: Expand: %s has shape %v, which does not expand to %v", describe(n), from, to)
	}
	b := builder{g: n.Graph()}
	e := b.expand(n, keep, to)
	return e, b.err
}

// shaped is what the ops of this file have in common: types and shapes fixed when the node is made.
type shaped struct {
	in    []hm.Type
	from  tensor.Shape // of the first input
	to    tensor.Shape // of the result
	dtype tensor.Dtype
}

func newShaped(to tensor.Shape, in ...*G.Node) shaped {
	s := shaped{from: in[0].Shape(), to: to.Clone(), dtype: in[0].Dtype()}
	for _, n := range in {
		s.in = append(s.in, n.Type())
	}
	return s
}

func (s *shaped) Arity() int { return len(s.in) }

func (s *shaped) Type() hm.Type {
	var out hm.Type = s.dtype
	if len(s.to) > 0 {
		out = G.TensorType{Dims: len(s.to), Of: s.dtype}
	}
	return hm.NewFnType(append(append([]hm.Type{}, s.in...), out)...)
}

func (s *shaped) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	if from, ok := in[0].(tensor.Shape); ok && !sameShape(from, s.from) {
		return nil, fmt.Errorf("input of shape %v, want %v", from, s.from)
	}
	return s.to.Clone(), nil
}

func (s *shaped) ReturnsPtr() bool     { return false }
func (s *shaped) CallsExtern() bool    { return false }
func (s *shaped) OverwritesInput() int { return -1 }

// diffWRT: the first input has a derivative.
func (s *shaped) DiffWRT(inputs int) []bool {
	d := make([]bool, inputs)
	d[0] = true
	return d
}

// result returns the memory for a result: prealloc if it fits.
func (s *shaped) result(prealloc G.Value) *tensor.Dense {
	if t, ok := prealloc.(*tensor.Dense); ok && t.Dtype() == s.dtype && sameShape(t.Shape(), s.to) && !t.RequiresIterator() && len(s.to) > 0 {
		return t
	}
	shape := s.to
	if len(shape) == 0 {
		shape = tensor.Shape{1}
	}
	return tensor.New(tensor.Of(s.dtype), tensor.WithShape(shape.Clone()...)) // the tensor keeps the slice and may write to it
}

// value returns t as the value of a node: a scalar node wants a scalar.
func (s *shaped) value(t *tensor.Dense) G.Value {
	if len(s.to) > 0 {
		return t
	}
	if s.dtype == tensor.Float32 {
		return G.NewF32(t.Data().([]float32)[0])
	}
	return G.NewF64(t.Data().([]float64)[0])
}

func hashOf(op interface{ WriteHash(hash.Hash) }) uint32 {
	h := fnv.New32a()
	op.WriteHash(h)
	return h.Sum32()
}
