package autodiff

import (
	"fmt"
	"hash"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// reshapeOp copies its first input into another shape. Further inputs are not looked at: they are kept from being
// overwritten before this op has run (see shields). The tag is 0 but where a node is wanted whose hash is its own.
type reshapeOp struct {
	shaped
	tag int64
}

func newReshape(to tensor.Shape, in ...*G.Node) *reshapeOp {
	return &reshapeOp{shaped: newShaped(to, in...)}
}

var (
	_ G.SDOp            = (*reshapeOp)(nil)
	_ G.ADOp            = (*reshapeOp)(nil)
	_ G.UsePreallocDoer = (*reshapeOp)(nil)
)

func (op *reshapeOp) String() string {
	return fmt.Sprintf("autodiff.Reshape{%v -> %v %v, %d, %d}", op.from, op.to, op.dtype, len(op.in), op.tag)
}
func (op *reshapeOp) WriteHash(h hash.Hash) { fmt.Fprint(h, op.String()) }
func (op *reshapeOp) Hashcode() uint32      { return hashOf(op) }

func (op *reshapeOp) Do(in ...G.Value) (G.Value, error) { return op.UsePreallocDo(nil, in...) }

// UsePreallocDo implements gorgonia.UsePreallocDoer.
func (op *reshapeOp) UsePreallocDo(prealloc G.Value, in ...G.Value) (G.Value, error) {
	out := op.result(prealloc)
	var err error
	if op.dtype == tensor.Float32 {
		err = copyAll[float32](out, in[0])
	} else {
		err = copyAll[float64](out, in[0])
	}
	return op.value(out), err
}

// SymDiff implements gorgonia.SDOp.
func (op *reshapeOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	b := builder{g: out.Graph()}
	grads := make(G.Nodes, len(in))
	grads[0] = b.reshape(grad, op.from)
	return grads, b.err
}

// DoDiff implements gorgonia.ADOp.
func (op *reshapeOp) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := out.Grad()
	if err != nil {
		return err
	}
	into, err := in[0].Grad()
	if err != nil {
		return err
	}
	if op.dtype == tensor.Float32 {
		return addAll[float32](into, grad)
	}
	return addAll[float64](into, grad)
}

func copyAll[T float32 | float64](out *tensor.Dense, v G.Value) error {
	src, err := elements[T](v)
	copy(out.Data().([]T), src)
	return err
}

// addAll adds the elements of v to those of into, in row-major order.
func addAll[T float32 | float64](into, v G.Value) error {
	src, err := elements[T](v)
	if err != nil {
		return err
	}
	return accumulate(into, func(dst []T) {
		for i, x := range src {
			dst[i] += x
		}
	})
}

// accumulate hands the elements of a gradient to add; scalars are pointers.
func accumulate[T float32 | float64](into G.Value, add func(dst []T)) error {
	dst, err := elements[T](into)
	if err != nil {
		return err
	}
	switch v := into.(type) {
	case *G.F32:
		add(dst)
		*v = G.F32(dst[0])
	case *G.F64:
		add(dst)
		*v = G.F64(dst[0])
	case *tensor.Dense:
		if v.RequiresIterator() || v.DataOrder().IsColMajor() || v.IsScalar() {
			return fmt.Errorf("autodiff: a gradient of shape %v that is no plain row-major tensor", v.Shape())
		}
		add(dst)
	}
	return nil
}

// elements returns the elements of v in row-major order: its own memory where that is in that order.
func elements[T float32 | float64](v G.Value) ([]T, error) {
	if v == nil {
		return nil, fmt.Errorf("autodiff: an input has no value")
	}
	switch data := v.Data().(type) {
	case T:
		return []T{data}, nil
	case []T:
		t, ok := v.(*tensor.Dense)
		if !ok || !t.RequiresIterator() && !t.DataOrder().IsColMajor() {
			return data, nil
		}
		flat := make([]T, 0, t.Shape().TotalSize())
		it := t.Iterator()
		for i, err := it.Start(); err == nil; i, err = it.Next() {
			flat = append(flat, data[i])
		}
		return flat, nil
	}
	return nil, fmt.Errorf("autodiff: a value of type %T and %v, want %T", v, v.Dtype(), *new(T))
}
