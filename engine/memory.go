package engine

import (
	"fmt"
	"unsafe"

	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// bytesOf is the memory of a flat slice.
func bytesOf(s any) []byte {
	if t, _ := ir.DataType(s); t == ir.NoType {
		panic(fmt.Sprintf("engine: the memory of a %T", s))
	}
	return ir.Bytes(s)
}

func raw[T any](s []T) []byte {
	var e T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(e)))
}

// view makes a Gorgonia value of a node's shape whose elements are mem, a flat slice: a scalar is a pointer to the
// element, anything else a tensor over it.
func view(mem any, shape tensor.Shape) G.Value {
	if len(shape) > 0 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(mem))
	}
	switch s := mem.(type) {
	case []float32:
		return (*G.F32)(&s[0])
	case []float64:
		return (*G.F64)(&s[0])
	case []int64:
		return (*G.I64)(&s[0])
	case []int:
		return (*G.I)(&s[0])
	case []int32:
		return (*G.I32)(&s[0])
	case []uint8:
		return (*G.U8)(&s[0])
	case []bool:
		return (*G.B)(&s[0])
	}
	panic(fmt.Sprintf("engine: a scalar in a %T", mem))
}

// A layout is what an array must be.
type layout struct {
	typ   ir.DType
	shape tensor.Shape
	count int
}

func (l *layout) bytes() int { return l.count * l.typ.Size() }

// fits reports whether a value of shape s is one of the layout. One element is one element, whatever the number of
// dimensions of size 1 around it.
func (l *layout) fits(s tensor.Shape) bool {
	if l.count == 1 {
		for _, d := range s {
			if d != 1 {
				return false
			}
		}
		return true
	}
	return l.shape.Eq(s)
}

// describes reports whether v is of the layout.
func (l *layout) describes(v G.Value) bool {
	if b, t := scalarBytes(v); b != nil {
		return t == l.typ && l.count == 1
	}
	d, ok := v.(*tensor.Dense)
	return ok && d != nil && d.IsNativelyAccessible() && d.Dtype() == frontend.Dtype(l.typ) && l.fits(d.Shape())
}

// scalarBytes is the memory of a scalar value; nil: v is none.
func scalarBytes(v G.Value) ([]byte, ir.DType) {
	switch v := v.(type) {
	case *G.F64:
		return raw(unsafe.Slice(v, 1)), ir.F64
	case *G.F32:
		return raw(unsafe.Slice(v, 1)), ir.F32
	case *G.I64:
		return raw(unsafe.Slice(v, 1)), ir.Int64
	case *G.I:
		return raw(unsafe.Slice(v, 1)), ir.Int
	case *G.I32:
		return raw(unsafe.Slice(v, 1)), ir.Int32
	case *G.U8:
		return raw(unsafe.Slice(v, 1)), ir.Uint8
	case *G.B:
		return raw(unsafe.Slice(v, 1)), ir.Bool
	}
	return nil, ir.NoType
}

// load copies v's elements in row-major order to dst, which has the layout's size. ok is false if v is not of the
// layout. It does not allocate, but for a tensor whose strides say less than its iterator.
func (l *layout) load(dst []byte, v G.Value) (ok bool) {
	if b, t := scalarBytes(v); b != nil {
		return t == l.typ && l.count == 1 && copy(dst, b) == len(b)
	}
	d, isDense := dense(v)
	if !isDense || d.Dtype() != frontend.Dtype(l.typ) || !l.fits(d.Shape()) {
		return false
	}
	size := l.bytes()
	switch {
	case !d.IsNativelyAccessible():
		e, ours := d.Engine().(*remote)
		return ours && e.fetch(dst[:size], d) == nil
	case l.count == 1 || rowMajor(d):
		if len(d.Raw) < size {
			return false
		}
		vec.Copy(dst, d.Raw[:size])
		return true
	case len(d.Strides()) == len(d.Shape()):
		copyStrided(dst, d.Raw, l.typ.Size(), d.Shape(), d.Strides())
		return true
	}
	flat, err := graphop.Flat(d)
	return err == nil && copy(dst, bytesOf(flat)) == size
}

// store is the inverse of load: it writes the elements into the memory of v.
func (l *layout) store(v G.Value, src []byte) (ok bool) {
	if b, t := scalarBytes(v); b != nil {
		return t == l.typ && l.count == 1 && copy(b, src) == len(b)
	}
	d, isDense := v.(*tensor.Dense)
	if !isDense || d == nil || !d.IsNativelyAccessible() || d.Dtype() != frontend.Dtype(l.typ) || !l.fits(d.Shape()) {
		return false
	}
	size := l.bytes()
	switch {
	case l.count == 1 || rowMajor(d):
		return len(d.Raw) >= size && copy(d.Raw[:size], src) == size
	case len(d.Strides()) == len(d.Shape()):
		scatterStrided(d.Raw, src, l.typ.Size(), d.Shape(), d.Strides())
		return true
	}
	return false
}

// rowMajor reports whether the elements lie one after the other in row-major order.
func rowMajor(d *tensor.Dense) bool {
	shape, strides := d.Shape(), d.Strides()
	if len(strides) != len(shape) {
		return !d.RequiresIterator() && d.DataOrder().IsRowMajor()
	}
	next := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 && strides[i] != next {
			return false
		}
		next *= shape[i]
	}
	return true
}

// scatterStrided is the inverse of copyStrided; it returns how many bytes it has taken.
func scatterStrided(dst, src []byte, size int, shape, strides []int) int {
	n := 0
	for i := range shape[0] {
		at := dst[i*strides[0]*size:]
		if len(shape) == 1 {
			n += copy(at[:size], src[n:n+size])
		} else {
			n += scatterStrided(at, src[n:], size, shape[1:], strides[1:])
		}
	}
	return n
}

// elements views memory as elements of a type.
func elements[T any](b []byte) []T {
	var e T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(e)))
}
