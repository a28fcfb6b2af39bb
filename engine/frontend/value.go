package frontend

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Flat returns the elements of a value in row-major order: a []float32, []float64, []int64, []int, []int32, []uint8
// or []bool. It is the value's own memory where that is a contiguous tensor, else a copy.
func Flat(v G.Value) (any, error) {
	d, ok := v.(*tensor.Dense)
	if !ok {
		switch x := v.(type) {
		case nil:
			return nil, fmt.Errorf("no value")
		case *G.F64:
			return []float64{float64(*x)}, nil
		case *G.F32:
			return []float32{float32(*x)}, nil
		case *G.I64:
			return []int64{int64(*x)}, nil
		case *G.I:
			return []int{int(*x)}, nil
		case *G.I32:
			return []int32{int32(*x)}, nil
		case *G.U8:
			return []uint8{uint8(*x)}, nil
		case *G.B:
			return []bool{bool(*x)}, nil
		}
		return nil, fmt.Errorf("a %T, want a scalar or a dense tensor", v)
	}
	switch TypeOf(d.Dtype()) {
	case ir.F32:
		return flatten[float32](d)
	case ir.F64:
		return flatten[float64](d)
	case ir.Int64:
		return flatten[int64](d)
	case ir.Int:
		return flatten[int](d)
	case ir.Int32:
		return flatten[int32](d)
	case ir.Uint8:
		return flatten[uint8](d)
	case ir.Bool:
		return flatten[bool](d)
	}
	return nil, fmt.Errorf("elements of type %v, want %s", d.Dtype(), elementTypes)
}

const elementTypes = "float32, float64, int64, int, int32, uint8 or bool"

func flatten[T any](d *tensor.Dense) (any, error) {
	var data []T
	switch x := d.Data().(type) {
	case T: // of a scalar, Data is the element
		return []T{x}, nil
	case []T:
		data = x
	default:
		return nil, fmt.Errorf("a tensor of %v with data in a %T", d.Dtype(), x)
	}
	shape := []int(d.Shape())
	n := ir.Count(shape)
	if !d.RequiresIterator() && !d.DataOrder().IsColMajor() {
		if len(data) < n {
			return nil, fmt.Errorf("a tensor of shape %v with %d elements", shape, len(data))
		}
		return data[:n:n], nil
	}
	// A view, or column-major.
	strides := d.Strides()
	if len(strides) != len(shape) {
		return nil, fmt.Errorf("a view of shape %v with strides %v", shape, strides)
	}
	out := make([]T, 0, n)
	at := make([]int, len(shape))
	for len(out) < n {
		off := 0
		for i, x := range at {
			off += x * strides[i]
		}
		if off >= len(data) {
			return nil, fmt.Errorf("a view of shape %v with strides %v of %d elements", shape, strides, len(data))
		}
		out = append(out, data[off])
		for i := len(at) - 1; i >= 0; i-- {
			if at[i]++; at[i] < shape[i] {
				break
			}
			at[i] = 0
		}
	}
	return out, nil
}

// value makes a Gorgonia value of a copy of flat data: a scalar for shape (), else a tensor.
func value(shape []int, data any) (G.Value, error) {
	if len(shape) == 0 {
		switch d := data.(type) {
		case []float32:
			return G.NewF32(d[0]), nil
		case []float64:
			return G.NewF64(d[0]), nil
		case []int64:
			return G.NewI64(d[0]), nil
		case []int:
			return G.NewI(d[0]), nil
		case []int32:
			return G.NewI32(d[0]), nil
		case []uint8:
			return G.NewU8(d[0]), nil
		case []bool:
			return G.NewB(d[0]), nil
		}
	}
	data = clone(data)
	if data == nil {
		return nil, fmt.Errorf("elements of an unknown type")
	}
	return tensor.New(tensor.WithShape(slices.Clone(shape)...), tensor.WithBacking(data)), nil
}

// clone copies a slice of one of the element types; nil: it is none.
func clone(data any) any {
	switch d := data.(type) {
	case []float32:
		return slices.Clone(d)
	case []float64:
		return slices.Clone(d)
	case []int64:
		return slices.Clone(d)
	case []int:
		return slices.Clone(d)
	case []int32:
		return slices.Clone(d)
	case []uint8:
		return slices.Clone(d)
	case []bool:
		return slices.Clone(d)
	}
	return nil
}

// copyTo copies flat data into a slice of the same element type and length.
func copyTo(dst, src any) error {
	if dt, dn := ir.DataType(dst); dt != ir.NoType {
		if st, sn := ir.DataType(src); st != dt || sn != dn {
			return fmt.Errorf("the result is %d x %v, want %d x %v", sn, st, dn, dt)
		}
	}
	switch d := dst.(type) {
	case []float32:
		copy(d, src.([]float32))
	case []float64:
		copy(d, src.([]float64))
	case []int64:
		copy(d, src.([]int64))
	case []int:
		copy(d, src.([]int))
	case []int32:
		copy(d, src.([]int32))
	case []uint8:
		copy(d, src.([]uint8))
	case []bool:
		copy(d, src.([]bool))
	default:
		return fmt.Errorf("a result in a %T", dst)
	}
	return nil
}
