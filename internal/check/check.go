// Package check is what godcem's tests share: comparisons that NaN cannot pass, finite differences, poisoned buffers
// and the golden files.
package check

import (
	"math"
	"testing"
)

// Float is an element type of godcem's arrays.
type Float interface{ float32 | float64 }

// Within reports whether |got - want| <= tol, with equal infinities and NaN for NaN counting as within. NaN against a
// number never is.
func Within(got, want, tol float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return got == want || math.IsNaN(got) && math.IsNaN(want)
	}
	return math.Abs(got-want) <= tol
}

// MaxDiff returns the largest |got[i]-want[i]| divided by max(1, max |want|), and its index. NaN anywhere gives +Inf,
// and so do slices of different lengths.
func MaxDiff[T Float](got, want []T) (diff float64, at int) {
	if len(got) != len(want) {
		return math.Inf(1), min(len(got), len(want))
	}
	scale := 1.0
	for _, w := range want {
		if a := math.Abs(float64(w)); a > scale && !math.IsInf(a, 0) {
			scale = a
		}
	}
	for i := range want {
		d := math.Abs(float64(got[i])-float64(want[i])) / scale
		if got[i] == want[i] {
			d = 0
		}
		if math.IsNaN(d) {
			return math.Inf(1), i
		}
		if d > diff {
			diff, at = d, i
		}
	}
	return diff, at
}

// Close fails t unless every |got[i]-want[i]| <= tol * max(1, max |want|) (the golden files' tolerance).
func Close[T Float](t testing.TB, name string, got, want []T, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	if len(want) == 0 {
		t.Errorf("%s: nothing to compare", name)
		return
	}
	if d, at := MaxDiff(got, want); !(d <= tol) || math.IsInf(d, 1) {
		t.Errorf("%s: element %d is %v, want %v (scaled difference %.3g > %.3g)", name, at, got[at], want[at], d, tol)
	}
}

// Poison fills s with NaN, so that an element nobody wrote shows.
func Poison[T Float](s []T) []T {
	nan := T(math.NaN())
	for i := range s {
		s[i] = nan
	}
	return s
}

const (
	band     = 16
	sentinel = -12345.678
)

// Guarded returns a poisoned slice of n elements with sentinel bands on both sides, and a function that fails t if a
// band was written to or an element left unwritten (still NaN).
func Guarded[T Float](t testing.TB, name string, n int) (s []T, verify func()) {
	_, s, verify = guarded[T](t, name, n)
	return s, verify
}

func guarded[T Float](t testing.TB, name string, n int) (buf, s []T, verify func()) {
	buf = make([]T, n+2*band)
	mark := T(sentinel)
	for i := range buf {
		buf[i] = mark
	}
	s = buf[band : band+n : band+n]
	Poison(s)
	return buf, s, func() {
		t.Helper()
		for i := range band {
			if buf[i] != mark || buf[band+n+i] != mark {
				t.Errorf("%s: written outside its %d elements", name, n)
				return
			}
		}
		for i, v := range s {
			if v != v {
				t.Errorf("%s: element %d is NaN or was never written", name, i)
				return
			}
		}
	}
}

// Gradient returns the gradient of f at x by four-point central differences with step h*max(1,|x_i|): error O(h^4) +
// O(eps/h), so h = 1e-3 gives about 1e-12 on smooth functions of order one. x is restored.
func Gradient(f func(x []float64) float64, x []float64, h float64) []float64 {
	g := make([]float64, len(x))
	for i, x0 := range x {
		s := h * math.Max(1, math.Abs(x0))
		at := func(k float64) float64 { x[i] = x0 + k*s; return f(x) }
		g[i] = (8*(at(1)-at(-1)) - (at(2) - at(-2))) / (12 * s)
		x[i] = x0
	}
	return g
}

// Copy converts a slice between element types.
func Copy[D, S Float](s []S) []D {
	d := make([]D, len(s))
	for i, v := range s {
		d[i] = D(v)
	}
	return d
}
