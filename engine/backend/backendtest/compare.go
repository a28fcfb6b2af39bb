package backendtest

import (
	"fmt"
	"math"
	"reflect"

	"github.com/godcem/godcem/engine/ir"
)

// compare returns an error that names the worst element of got if it is not want, as the case says. Integers and
// truth must be equal. coarse: there is float32 in what led to a float64.
func (c *Case) compare(got, want any, coarse bool) error {
	tg, ng := ir.DataType(got)
	tw, nw := ir.DataType(want)
	if tg != tw || ng != nw {
		return fmt.Errorf("%d x %v, want %d x %v", ng, tg, nw, tw)
	}
	switch w := want.(type) {
	case []float32:
		return compareFloats(c, got.([]float32), w, 0x1p-23, 0x1p-149)
	case []float64:
		eps := 0x1p-52
		if coarse {
			eps = 0x1p-23
		}
		return compareFloats(c, got.([]float64), w, eps, 0x1p-1074)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%v, want %v", brief(got), brief(want))
	}
	return nil
}

func compareFloats[T float32 | float64](c *Case, got, want []T, eps, least float64) error {
	scale := 1.0
	for _, w := range want {
		if a := math.Abs(float64(w)); a <= math.MaxFloat64 {
			scale = max(scale, a)
		}
	}
	worst, at := 0.0, -1
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		unit := eps * scale
		if c.Each {
			unit = max(eps*math.Abs(w), least)
		}
		d := math.Abs(g-w) / unit
		switch {
		case w != w || g != g || math.IsInf(w, 0) || math.IsInf(g, 0):
			if d = 0; g != w && (g == g || w == w) {
				d = math.Inf(1)
			}
		case c.Tol == 0 || c.Each && g == 0 && w == 0:
			if d = 0; math.Float64bits(g) != math.Float64bits(w) {
				d = max(math.Abs(g-w)/unit, 0.1) // signed zeros differ by something
			}
			if c.Tol > 0 && d > 0 {
				d = math.Inf(1)
			}
		}
		if !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= c.Tol) {
		return fmt.Errorf("element %d of %d is %v, want %v: %.3g units off, %v allowed (%s)",
			at, len(want), got[at], want[at], worst, c.Tol, c.why())
	}
	return nil
}

func (c *Case) why() string {
	if c.Tol == 0 {
		return "one operation at a time"
	}
	return c.Why
}

// brief prints the first elements of a slice.
func brief(data any) string {
	v := reflect.ValueOf(data)
	if v.Len() <= 16 {
		return fmt.Sprint(data)
	}
	return fmt.Sprintf("%v... (%d)", v.Slice(0, 16), v.Len())
}

// identical compares the bits of two results, NaN for NaN whatever their bits.
func identical(a, b any) error {
	c := Case{}
	return c.compare(a, b, false)
}

// poison returns a slice of values that no case computes: NaN and integers too large, or else numbers (for results
// that are NaN rightly). Bool has no such value: it is true or else false.
func poison(t ir.DType, n int, nan bool) any {
	x, k := 1234.5678, int64(0x12345678)
	if nan {
		x, k = math.NaN(), -0x5a5a5a5a
	}
	switch t {
	case ir.F32:
		return repeat(n, float32(x))
	case ir.F64:
		return repeat(n, x)
	case ir.Int64:
		return repeat(n, k)
	case ir.Int:
		return repeat(n, int(k))
	case ir.Int32:
		return repeat(n, int32(k))
	case ir.Uint8:
		return repeat(n, uint8(k))
	case ir.Bool:
		return repeat(n, nan)
	}
	panic(fmt.Sprintf("backendtest: element type %v", t))
}

func repeat[T any](n int, v T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// blank returns a slice to read into.
func blank(t ir.DType, n int) any {
	return reflect.MakeSlice(reflect.TypeOf(poison(t, 0, false)), n, n).Interface()
}

func copyAny(dst, src any) { reflect.Copy(reflect.ValueOf(dst), reflect.ValueOf(src)) }
