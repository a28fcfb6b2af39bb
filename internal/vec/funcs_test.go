package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// function is a case of the elementary functions.
type function struct {
	name   string
	single func(dst, src []float32)
	double func(dst, src []float64)
	ref    func(x float64) float64 // to an ulp or two of float64
	ulp    float64                 // asserted
	// The largest domain of finite results, what f(+0) and f(-0) are, and other special values.
	low, high   float64
	zero, minus float64
	special     [][2]float64
}

var (
	inf      = math.Inf(1)
	nan      = math.NaN()
	negative = math.Copysign(0, -1)
)

// The bounds are a little above what is seen, see doc/functions.md.
var functions = []function{
	{"Exp", Exp[float32], Exp[float64], math.Exp, 1.1, -746, 709.7, 1, 1, [][2]float64{{-inf, 0}, {inf, inf}, {1e4, inf}, {-1e4, 0}}},
	{"Expm1", Expm1[float32], Expm1[float64], math.Expm1, 2, -746, 709.7, 0, negative, [][2]float64{{-inf, -1}, {inf, inf}, {1e4, inf}, {-1e4, -1}}},
	{"Log", Log[float32], Log[float64], logOf, 1.1, 0x1p-1074, math.MaxFloat64, -inf, -inf,
		[][2]float64{{1, 0}, {inf, inf}, {-inf, nan}, {-1, nan}, {-0x1p-149, nan}, {-math.MaxFloat32, nan}}},
	{"Log1p", Log1p[float32], Log1p[float64], math.Log1p, 2, math.Nextafter(-1, 0), math.MaxFloat64, 0, negative,
		[][2]float64{{-1, -inf}, {inf, inf}, {-inf, nan}, {-2, nan}, {-1 - 0x1p-23, nan}, {-math.MaxFloat32, nan}}},
	{"Tanh", Tanh[float32], Tanh[float64], math.Tanh, 2, -300, 300, 0, negative, [][2]float64{{-inf, -1}, {inf, 1}, {1e4, 1}, {-1e4, -1}}},
	{"Sigmoid", Sigmoid[float32], Sigmoid[float64], sigmoid, 2, -746, 750, 0.5, 0.5, [][2]float64{{-inf, 0}, {inf, 1}, {1e4, 1}, {-1e4, 0}}},
	{"Softplus", Softplus[float32], Softplus[float64], softplus, 2, -746, 750, math.Ln2, math.Ln2, [][2]float64{{-inf, 0}, {inf, inf}, {1e4, 1e4}, {-1e4, 0}}},
	{"ELU", ELU[float32], ELU[float64], elu, 2, -746, math.MaxFloat64, 0, negative, [][2]float64{{-inf, -1}, {inf, inf}, {1e4, 1e4}, {-1e4, -1}}},
	{"ELUSlope", ELUSlope[float32], ELUSlope[float64], eluSlope, 1.1, -746, math.MaxFloat64, 1, 1, [][2]float64{{-inf, 0}, {inf, 1}, {1e4, 1}, {-1e4, 0}}},
	{"Expc", Expc[float32], Expc[float64], expc, 2, -709.7, 746, 0, negative, [][2]float64{{-inf, -inf}, {inf, 1}, {1e4, 1}, {-1e4, -inf}}},
	{"Log2", Log2[float32], Log2[float64], log2, 2, 0x1p-1074, math.MaxFloat64, -inf, -inf,
		[][2]float64{{1, 0}, {8, 3}, {0x1p-126, -126}, {0x1p-149, -149}, {0x1p127, 127}, {inf, inf}, {-inf, nan}, {-1, nan}, {-0x1p-149, nan}}},
	{"Sin", Sin[float32], Sin[float64], sin, 2, -1.1e8, 1.1e8, 0, negative, [][2]float64{{-inf, nan}, {inf, nan}}},
	{"Cos", Cos[float32], Cos[float64], cos, 2, -1.1e8, 1.1e8, 1, 1, [][2]float64{{-inf, nan}, {inf, nan}}},
}

// apply calls the function of the slices' element type.
func (f function) apply(dst, src any) {
	switch d := dst.(type) {
	case []float32:
		f.single(d, src.([]float32))
	case []float64:
		f.double(d, src.([]float64))
	}
}

func TestFuncSpecialValues(t *testing.T) {
	both(t, testSpecialValues[float32], testSpecialValues[float64])
}

func testSpecialValues[T Float](t *testing.T) {
	for _, f := range functions {
		src := []T{0, T(negative), T(nan), T(math.Copysign(nan, -1))}
		want := []float64{f.zero, f.minus, nan, nan}
		for _, s := range f.special {
			src = append(src, T(s[0]))
			want = append(want, s[1])
		}
		// Every special value in every lane, among others.
		for shift := range 16 {
			in := make([]T, shift+len(src))
			for i := range in {
				in[i] = 0.5
			}
			copy(in[shift:], src)
			out := make([]T, len(in))
			f.apply(out, in)
			for i, w := range want {
				got := float64(out[shift+i])
				if w := float64(T(w)); !(got == w || got != got && w != w) || math.Signbit(got) != math.Signbit(w) && w == w {
					t.Errorf("%s(%v) = %v, want %v", f.name, src[i], got, w)
				}
			}
		}
	}
}

// An element's value depends on nothing but the element: not on the length, the place, the neighbours or the array.
func TestFuncTails(t *testing.T) { both(t, testTails[float32], testTails[float64]) }

func testTails[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const most = 70
	all := make([]T, most)
	for i := range all {
		all[i] = T(3 * r.NormFloat64())
	}
	for _, f := range functions {
		want := make([]T, most)
		for i := range all {
			f.apply(want[i:i+1], all[i:i+1])
		}
		for n := range most {
			for offset := range 3 {
				in, _ := check.Guarded[T](t, f.name, n+offset)
				in = in[offset:]
				copy(in, all)
				out, verify := check.Guarded[T](t, f.name, n)
				f.apply(out, in)
				if !sameBits(in, all[:n]) {
					t.Fatalf("%s of %d elements changed them", f.name, n)
				}
				if !strings.HasPrefix(f.name, "Log") {
					verify()
				}
				if !sameBits(out, want[:n]) {
					t.Fatalf("%s of %d elements from %d on: %v, want %v", f.name, n, offset, out, want[:n])
				}
				f.apply(in, in)
				if !sameBits(in, out) {
					t.Fatalf("%s of %d elements in place differs", f.name, n)
				}
			}
		}
	}
}

// What is beyond the kernels' domains, among what is within.
func TestFuncBeyond(t *testing.T) { both(t, testBeyond[float32], testBeyond[float64]) }

func testBeyond[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	limit := of[T](1e6, 1e8).(float64)
	kinds := []float64{limit, -limit, 2 * limit, -2 * limit, 1e30, nan, inf, -inf, 1, -1, 2, 3, 0.1, 100}
	for _, f := range functions {
		if f.name != "Sin" && f.name != "Cos" {
			continue
		}
		for n := range 70 {
			src, want := make([]T, n), make([]T, n)
			for i := range src {
				src[i] = T(kinds[r.IntN(min(len(kinds), 5+n))])
				f.apply(want[i:i+1], src[i:i+1])
				if x := float64(src[i]); math.Abs(x) > limit && !same(want[i], T(f.ref(x))) {
					t.Fatalf("%s(%v) = %v, want %v", f.name, x, want[i], T(f.ref(x)))
				}
			}
			f.apply(src, src)
			for i := range src {
				if !same(src[i], want[i]) {
					t.Fatalf("%s of %d: element %d is %v, want %v", f.name, n, i, src[i], want[i])
				}
			}
		}
	}
}

func TestFuncAllocates(t *testing.T) {
	src := make([]float32, 100)
	for _, f := range functions {
		check.NoAllocs(t, f.name, func() { f.single(src, src) })
	}
}

func TestFuncPanics(t *testing.T) {
	for _, f := range functions {
		func() {
			defer func() {
				want := "vec: " + f.name + ": len(dst) = 2, want len(src) = 3"
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			f.single(make([]float32, 2), make([]float32, 3))
		}()
	}
}

// BenchmarkFuncs reports on tiles of 512 elements, the calls included.
func BenchmarkFuncs(b *testing.B) {
	b.Run("float32", benchFuncs[float32])
	b.Run("float64", benchFuncs[float64])
}

func benchFuncs[T Float](b *testing.B) {
	const n = 512
	src, dst := make([]T, n), make([]T, n)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range src {
		src[i] = T(math.Abs(3 * r.NormFloat64()))
	}
	for _, f := range functions {
		var run func()
		switch dst := any(dst).(type) {
		case []float32:
			run = func() { f.single(dst, any(src).([]float32)) }
		case []float64:
			run = func() { f.double(dst, any(src).([]float64)) }
		}
		benchTiles(b, f.name, n, run)
	}
	benchTiles(b, "Sqrt", n, func() { Sqrt(dst, src) })
	benchTiles(b, "Atan2", n, func() { Atan2(dst, src, src[:n]) })
	benchTiles(b, "Pow", n, func() { Pow(dst, src, src) })
	benchTiles(b, "PowS3", n, func() { PowS(dst, src, 3) })
}
