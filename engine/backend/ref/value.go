package ref

import (
	"math"

	"github.com/godcem/godcem/engine/ir"
)

// A value is a node's array in row-major order: f holds the elements of a float type, i those of an integer type and,
// as 0 and 1, of Bool.
type value struct {
	t ir.DType
	f []float64
	i []int64
}

func newValue(t ir.DType, n int) *value {
	if t.Float() {
		return &value{t: t, f: make([]float64, n)}
	}
	return &value{t: t, i: make([]int64, n)}
}

func (v *value) len() int { return len(v.f) + len(v.i) }

// at is element k as a number.
func (v *value) at(k int) float64 {
	if v.f != nil {
		return v.f[k]
	}
	return float64(v.i[k])
}

// copyFrom copies element k of w, a value of the same type, to element j.
func (v *value) copyFrom(j int, w *value, k int) {
	if v.f != nil {
		v.f[j] = w.f[k]
		return
	}
	v.i[j] = w.i[k]
}

// set stores a number, which goes towards zero into an integer; round is that of run.
func (v *value) set(k int, x float64, round bool) {
	switch {
	case v.t == ir.Bool:
		v.i[k] = 0
		if x != 0 {
			v.i[k] = 1
		}
	case v.f == nil:
		v.i[k] = wrap(v.t, int64(x))
	case round && v.t == ir.F32:
		v.f[k] = float64(float32(x))
	default:
		v.f[k] = x
	}
}

// wrap keeps the low bits of x that a type has.
func wrap(t ir.DType, x int64) int64 {
	switch t {
	case ir.Int:
		return int64(int(x))
	case ir.Int32:
		return int64(int32(x))
	case ir.Uint8:
		return int64(uint8(x))
	}
	return x
}

// fromSlice converts a flat slice of an element type.
func fromSlice(data any) *value {
	t, n := ir.DataType(data)
	v := newValue(t, n)
	switch d := data.(type) {
	case []float32:
		for k, x := range d {
			v.f[k] = float64(x)
		}
	case []float64:
		copy(v.f, d)
	case []int64:
		copy(v.i, d)
	case []int:
		for k, x := range d {
			v.i[k] = int64(x)
		}
	case []int32:
		for k, x := range d {
			v.i[k] = int64(x)
		}
	case []uint8:
		for k, x := range d {
			v.i[k] = int64(x)
		}
	case []bool:
		for k, x := range d {
			if x {
				v.i[k] = 1
			}
		}
	}
	return v
}

// store converts v to a flat slice of its element type and length.
func (v *value) store(data any) {
	switch d := data.(type) {
	case []float32:
		for k, x := range v.f {
			d[k] = float32(x)
		}
	case []float64:
		copy(d, v.f)
	case []int64:
		copy(d, v.i)
	case []int:
		for k, x := range v.i {
			d[k] = int(x)
		}
	case []int32:
		for k, x := range v.i {
			d[k] = int32(x)
		}
	case []uint8:
		for k, x := range v.i {
			d[k] = uint8(x)
		}
	case []bool:
		for k, x := range v.i {
			d[k] = x != 0
		}
	}
}

// slice is v as a new flat slice of its element type.
func (v *value) slice() any {
	s := ir.MakeSlice(v.t, v.len())
	v.store(s)
	return s
}

// A sum adds with compensation (Neumaier), so that its error is that of one rounding for all but the most
// ill-conditioned of sums.
type sum struct{ plain, hi, lo float64 }

func (s *sum) add(x float64) {
	s.plain += x
	t := s.hi + x
	if math.Abs(s.hi) >= math.Abs(x) {
		s.lo += (s.hi - t) + x
	} else {
		s.lo += (x - t) + s.hi
	}
	s.hi = t
}

// addProduct adds a*b as if it had not been rounded.
func (s *sum) addProduct(a, b float64) {
	p := float64(a * b)
	s.add(p)
	if e := math.FMA(a, b, -p); e == e && !math.IsInf(e, 0) {
		s.lo += e
	}
}

func (s *sum) value() float64 {
	if v := s.hi + s.lo; v-v == 0 {
		return v
	}
	return s.plain // infinities and NaN, whose compensation is not a number
}
