package cpu

import (
	"math"
	"unsafe"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/vec"
)

// An array is a buffer as loops with elements of type T see it. Both methods convert, elements of a block of rows:
// src[off+i*rs+j*cs] and dst[i*cols+j], which load fills and store reads.
type array[T vec.Float] interface {
	load(dst []T, off, rows, rs, cols, cs int)
	store(src []T, off, rows, rs, cols, cs int)
	reference
}

// longRow is the row length from which a call per row is cheaper than a plain loop.
const longRow = 12

// plain is an array of the loop's own type.
type plain[T vec.Float] struct{ mem []T }

func (a *plain[T]) load(dst []T, off, rows, rs, cols, cs int) {
	switch {
	case rows == 1 && cs >= 0:
		vec.Gather(dst[:cols], a.mem[off:], cs)
	case cols == 1 && rs >= 0:
		vec.Gather(dst[:rows], a.mem[off:], rs)
	case cols >= longRow && cs >= 0:
		for i := range rows {
			vec.Gather(dst[i*cols:][:cols], a.mem[off+i*rs:], cs)
		}
	default:
		k := 0
		for i := range rows {
			at := off + i*rs
			for range cols {
				dst[k] = a.mem[at]
				k++
				at += cs
			}
		}
	}
}

func (a *plain[T]) store(src []T, off, rows, rs, cols, cs int) {
	switch {
	case rows == 1 && cs > 0:
		vec.Scatter(a.mem[off:], cs, src[:cols])
	case cols == 1 && rs > 0:
		vec.Scatter(a.mem[off:], rs, src[:rows])
	case cols >= longRow && cs > 0:
		for i := range rows {
			vec.Scatter(a.mem[off+i*rs:], cs, src[i*cols:][:cols])
		}
	default:
		k := 0
		for i := range rows {
			at := off + i*rs
			for range cols {
				a.mem[at] = src[k]
				k++
				at += cs
			}
		}
	}
}

// converted is an array of another number type S. Integers take a number towards zero.
type converted[T vec.Float, S float32 | float64 | int64 | int] struct{ mem []S }

func (a *converted[T, S]) load(dst []T, off, rows, rs, cols, cs int) {
	if rs == cols*cs { // evenly spaced
		cols, rows = rows*cols, 1
	}
	if wide, ok := any(dst).([]float64); ok && cs == 1 {
		if narrow, ok := any(a.mem).([]float32); ok {
			for i := range rows {
				vec.Widen(wide[i*cols:][:cols], narrow[off+i*rs:][:cols])
			}
			return
		}
	}
	for i := range rows {
		at := off + i*rs
		d := dst[i*cols:][:cols]
		for j := range d {
			d[j] = T(a.mem[at])
			at += cs
		}
	}
}

func (a *converted[T, S]) store(src []T, off, rows, rs, cols, cs int) {
	if rs == cols*cs {
		cols, rows = rows*cols, 1
	}
	if wide, ok := any(src).([]float64); ok && cs == 1 {
		if narrow, ok := any(a.mem).([]float32); ok {
			for i := range rows {
				vec.Narrow(narrow[off+i*rs:][:cols], wide[i*cols:][:cols])
			}
			return
		}
	}
	for i := range rows {
		at := off + i*rs
		for _, v := range src[i*cols:][:cols] {
			a.mem[at] = S(v)
			at += cs
		}
	}
}

// low is an array of a short integer type, which keeps the low bits of a number's integer part as package ref does.
type low[T vec.Float, S int32 | uint8] struct{ mem []S }

func (a *low[T, S]) load(dst []T, off, rows, rs, cols, cs int) {
	for i := range rows {
		at := off + i*rs
		d := dst[i*cols:][:cols]
		for j := range d {
			d[j] = T(a.mem[at])
			at += cs
		}
	}
}

func (a *low[T, S]) store(src []T, off, rows, rs, cols, cs int) {
	for i := range rows {
		at := off + i*rs
		for _, v := range src[i*cols:][:cols] {
			a.mem[at] = S(int64(v))
			at += cs
		}
	}
}

// truths is an array of Bool, read as bytes: a byte of another buffer's remains is no bool.
type truths[T vec.Float] struct{ mem []byte }

// Neither way branches: masks are hard to predict.

func (a *truths[T]) load(dst []T, off, rows, rs, cols, cs int) {
	if rs == cols*cs {
		cols, rows = rows*cols, 1
	}
	for i := range rows {
		at := off + i*rs
		d := dst[i*cols:][:cols]
		for j := range d {
			x := uint32(a.mem[at])
			d[j] = T(int32((x | -x) >> 31))
			at += cs
		}
	}
}

func (a *truths[T]) store(src []T, off, rows, rs, cols, cs int) {
	if rs == cols*cs {
		cols, rows = rows*cols, 1
	}
	for i := range rows {
		at, s := off+i*rs, src[i*cols:][:cols]
		if cs != 1 {
			for _, v := range s {
				a.mem[at] = truth(v != 0)
				at += cs
			}
			continue
		}
		switch s := any(s).(type) {
		case []float32:
			truths32(a.mem[at:][:cols], s)
		case []float64:
			truths64(a.mem[at:][:cols], s)
		}
	}
}

func truth(ok bool) (b byte) {
	if ok {
		b = 1
	}
	return b
}

// truths32 writes 1 where src is not 0, which is where it has a bit other than the sign.
func truths32(dst []byte, src []float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		x := math.Float32bits(v) << 1
		dst[i] = byte((x | -x) >> 31)
	}
}

func truths64(dst []byte, src []float64) {
	dst = dst[:len(src)]
	for i, v := range src {
		x := math.Float64bits(v) << 1
		dst[i] = byte((x | -x) >> 63)
	}
}

func (a *plain[T]) bind(mem []byte)        { a.mem = view[T](mem, 0, len(a.mem)) }
func (a *converted[T, S]) bind(mem []byte) { a.mem = view[S](mem, 0, len(a.mem)) }
func (a *low[T, S]) bind(mem []byte)       { a.mem = view[S](mem, 0, len(a.mem)) }
func (a *truths[T]) bind(mem []byte)       { a.mem = mem[:len(a.mem)] }

// view is a part of the arena as a slice; n elements of type S start at mem[off].
func view[S any](mem []byte, off, n int) []S {
	if n == 0 {
		return []S{}
	}
	var s S
	size := int(unsafe.Sizeof(s))
	_ = mem[off : off+n*size]
	return unsafe.Slice((*S)(unsafe.Pointer(&mem[off])), n)
}

// slice is a buffer's content as a slice of its element type.
func slice(mem []byte, t ir.DType, off, n int) any {
	switch t {
	case ir.F32:
		return view[float32](mem, off, n)
	case ir.F64:
		return view[float64](mem, off, n)
	case ir.Int64:
		return view[int64](mem, off, n)
	case ir.Int:
		return view[int](mem, off, n)
	case ir.Int32:
		return view[int32](mem, off, n)
	case ir.Uint8:
		return view[uint8](mem, off, n)
	case ir.Bool:
		return view[bool](mem, off, n)
	}
	return nil
}

// arrayOf is a buffer as an array of T; own is not nil if T is its own type.
func arrayOf[T vec.Float](mem []byte, t ir.DType, off, n int) (a array[T], own *plain[T]) {
	if t == typeOf[T]() {
		own = &plain[T]{view[T](mem, off, n)}
		return own, own
	}
	switch t {
	case ir.F32:
		return &converted[T, float32]{view[float32](mem, off, n)}, nil
	case ir.F64:
		return &converted[T, float64]{view[float64](mem, off, n)}, nil
	case ir.Int64:
		return &converted[T, int64]{view[int64](mem, off, n)}, nil
	case ir.Int:
		return &converted[T, int]{view[int](mem, off, n)}, nil
	case ir.Int32:
		return &low[T, int32]{view[int32](mem, off, n)}, nil
	case ir.Uint8:
		return &low[T, uint8]{view[uint8](mem, off, n)}, nil
	}
	return &truths[T]{view[byte](mem, off, n)}, nil
}

// typeOf is T as the representation calls it.
func typeOf[T vec.Float]() ir.DType {
	if _, ok := any(T(0)).(float32); ok {
		return ir.F32
	}
	return ir.F64
}
