package graphop

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
	"gorgonia.org/tensor"
)

// A Lowerer is a kernel that the engine's representation has words for: Lower appends them to b and returns the node
// of the result, of the element type and shape given. Every other kernel goes into the representation as it is.
type Lowerer interface {
	Lower(b *ir.Builder, dt ir.DType, shape []int, in []ir.ID) ir.ID
}

// An Effector is a kernel that does more than computing its result: it is neither merged with its like nor run twice.
type Effector interface{ Effects() bool }

var _ ir.Lowerer = (*op)(nil)

// Lower implements ir.Lowerer.
func (o *op) Lower(b *ir.Builder, in []ir.ID) (ir.ID, error) {
	dt, err := typeOf(o.dtype)
	if err != nil {
		return -1, fmt.Errorf("%v: %w", o, err)
	}
	if l, ok := o.Kernel.(Lowerer); ok {
		id := l.Lower(b, dt, o.out, in)
		return id, b.Err()
	}
	return Custom(b, o.Kernel, dt, o.out, in), b.Err()
}

// Custom appends k as it is.
func Custom(b *ir.Builder, k Kernel, dt ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Custom(kernel{k}, dt, shape, in...)
}

func typeOf(dt tensor.Dtype) (ir.DType, error) {
	switch dt {
	case tensor.Float32:
		return ir.F32, nil
	case tensor.Float64:
		return ir.F64, nil
	case tensor.Int64:
		return ir.Int64, nil
	}
	return ir.NoType, fmt.Errorf("element type %v, want float32, float64 or int64", dt)
}

// kernel is a Kernel of this package as one of the engine's.
type kernel struct{ Kernel }

var (
	_ ir.Kernel   = kernel{}
	_ ir.Effector = kernel{}
	_ ir.Coster   = kernel{}
	_ ir.Stager   = kernel{}
)

// Run implements ir.Kernel.
func (k kernel) Run(out any, in []any) error {
	k.Kernel.Run(out, in)
	return nil
}

// Source implements ir.Sourcer: a Kernel with a method of that name exists as CUDA C.
func (k kernel) Source(out int, in []int) *ir.Source {
	if s, ok := k.Kernel.(ir.Sourcer); ok {
		return s.Source(out, in)
	}
	return nil
}

// Cost implements ir.Coster: a Kernel with a method of that name knows its cost.
func (k kernel) Cost() (flops, bytes int64) {
	if c, ok := k.Kernel.(ir.Coster); ok {
		return c.Cost()
	}
	return 0, 0
}

// Stages implements ir.Stager: a Kernel with a method of that name knows them.
func (k kernel) Stages() int {
	if s, ok := k.Kernel.(ir.Stager); ok {
		return s.Stages()
	}
	return 0
}

// Effects implements ir.Effector.
func (k kernel) Effects() bool { e, ok := k.Kernel.(Effector); return ok && e.Effects() }
