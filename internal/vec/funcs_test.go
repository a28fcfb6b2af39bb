package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
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

// The bounds are a little above what is seen, see doc/measurements.md.
var functions = []function{
	{"Exp", Exp[float32], Exp[float64], math.Exp, 1, -746, 709.7, 1, 1, [][2]float64{{-inf, 0}, {inf, inf}, {1e4, inf}, {-1e4, 0}}},
	{"Expm1", Expm1[float32], Expm1[float64], math.Expm1, 1.5, -746, 709.7, 0, negative, [][2]float64{{-inf, -1}, {inf, inf}, {1e4, inf}, {-1e4, -1}}},
	{"Log", Log[float32], Log[float64], logOf, 1, 0x1p-1074, math.MaxFloat64, -inf, -inf,
		[][2]float64{{1, 0}, {inf, inf}, {-inf, nan}, {-1, nan}, {-0x1p-149, nan}, {-math.MaxFloat32, nan}}},
	{"Log1p", Log1p[float32], Log1p[float64], math.Log1p, 1.5, math.Nextafter(-1, 0), math.MaxFloat64, 0, negative,
		[][2]float64{{-1, -inf}, {inf, inf}, {-inf, nan}, {-2, nan}, {-1 - 0x1p-23, nan}, {-math.MaxFloat32, nan}}},
	{"Tanh", Tanh[float32], Tanh[float64], math.Tanh, 1.5, -300, 300, 0, negative, [][2]float64{{-inf, -1}, {inf, 1}, {1e4, 1}, {-1e4, -1}}},
	{"Sigmoid", Sigmoid[float32], Sigmoid[float64], sigmoid, 2, -746, 750, 0.5, 0.5, [][2]float64{{-inf, 0}, {inf, 1}, {1e4, 1}, {-1e4, 0}}},
	{"Softplus", Softplus[float32], Softplus[float64], softplus, 2, -746, 750, math.Ln2, math.Ln2, [][2]float64{{-inf, 0}, {inf, inf}, {1e4, 1e4}, {-1e4, 0}}},
	{"Log2", Log2[float32], Log2[float64], log2, 2, 0x1p-1074, math.MaxFloat64, -inf, -inf,
		[][2]float64{{1, 0}, {8, 3}, {0x1p-126, -126}, {0x1p-149, -149}, {0x1p127, 127}, {inf, inf}, {-inf, nan}, {-1, nan}, {-0x1p-149, nan}}},
	{"Sin", Sin[float32], Sin[float64], math.Sin, 2, -1.1e8, 1.1e8, 0, negative, [][2]float64{{-inf, nan}, {inf, nan}}},
	{"Cos", Cos[float32], Cos[float64], math.Cos, 2, -1.1e8, 1.1e8, 1, 1, [][2]float64{{-inf, nan}, {inf, nan}}},
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

// ulps32 is the error of got in units in the last place of float32 at want.
func ulps32(got float32, want float64) float64 {
	g := float64(got)
	if g == want || got != got && want != want || got == float32(want) && math.IsInf(g, 0) {
		return 0
	}
	_, e := math.Frexp(want)
	if d := math.Abs(g-want) / math.Ldexp(1, max(e-24, -149)); d < inf {
		return d
	}
	return inf
}

// errorsOf collects the worst error of each instruction set, and compares AVX2 with AVX-512.
type errorsOf[T Float] struct {
	name     string
	worst    [isaAVX512 + 1]float64
	at       [isaAVX512 + 1]T
	dst, one []T
}

// run applies f to src with every instruction set.
func (e *errorsOf[T]) run(t *testing.T, f function, src []T, ulps func(i int, got T) float64) {
	t.Helper()
	defer func(old isa) { current = old }(current)
	e.name = f.name
	e.dst, e.one = e.dst[:0], e.one[:0]
	for range src {
		e.dst, e.one = append(e.dst, T(nan)), append(e.one, T(nan))
	}
	for current = isaGo; current <= best; current++ {
		f.apply(e.dst, src)
		for i, got := range e.dst {
			if d := ulps(i, got); !(d <= e.worst[current]) {
				e.worst[current], e.at[current] = d, src[i]
			}
		}
		if current == isaAVX2 {
			copy(e.one, e.dst)
		}
		for i, v := range e.dst {
			if current == isaAVX512 && v != e.one[i] && (v == v || e.one[i] == e.one[i]) {
				t.Fatalf("%s(%v) = %v with AVX-512, %v with AVX2", f.name, src[i], v, e.one[i])
			}
		}
	}
}

func (e *errorsOf[T]) report(t *testing.T, limit float64) {
	t.Helper()
	for i := isaGo; i <= best; i++ {
		limit := limit
		if i == isaGo {
			limit = max(limit, 1.5) // package math's own
		}
		t.Logf("%s, %s: at most %.3f ulp, at %v", e.name, isaNames[i], e.worst[i], e.at[i])
		if !(e.worst[i] <= limit) {
			t.Errorf("%s, %s: %.3f ulp at %v, want at most %v", e.name, isaNames[i], e.worst[i], e.at[i], limit)
		}
	}
}

// chosen reports whether a function is to be tested: GODCEM_EXHAUSTIVE may name one, or all.
func chosen(name string) (test, exhaustive bool) {
	only := os.Getenv("GODCEM_EXHAUSTIVE")
	return only == "" || only == "all" || only == name, only != ""
}

// Errors over all of float32: every 4999th number, with GODCEM_EXHAUSTIVE every one.
func TestFuncErrors32(t *testing.T) {
	const n = 1 << 14
	for _, f := range functions {
		test, exhaustive := chosen(f.name)
		if !test {
			continue
		}
		step := uint64(4999) // a prime: it meets every lane and every low bit
		if exhaustive {
			step = 1
		}
		var e errorsOf[float32]
		src, want := make([]float32, n), make([]float64, n)
		for start := uint64(0); start < 1<<32; start += n * step {
			for i := range src {
				src[i] = math.Float32frombits(uint32(start + uint64(i)*step))
				want[i] = f.ref(float64(src[i]))
			}
			e.run(t, f, src, func(i int, got float32) float64 { return ulps32(got, want[i]) })
		}
		e.report(t, f.ulp)
	}
}

// Errors of float64, against 100 bits, where the function is neither constant nor infinite.
func TestFuncErrors64(t *testing.T) {
	for _, f := range functions {
		test, exhaustive := chosen(f.name)
		if !test {
			continue
		}
		r := rand.New(rand.NewPCG(1, 2))
		n := 500
		if exhaustive {
			n = 200000
		}
		between := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
		var src []float64
		for range n {
			src = append(src,
				math.Float64frombits(r.Uint64()),
				between(-2, 2), between(-50, 50), between(f.low/2, f.high/2)*2,
				math.Copysign(math.Exp(between(-40, 7)), between(-1, 1)),
				1+between(-1, 1)*math.Exp(between(-36, 0)),
				f.low+math.Exp(between(-36, 3)))
		}
		kept := src[:0]
		for _, x := range src {
			if x >= f.low && x <= f.high && x != 0 {
				kept = append(kept, x)
			}
		}
		var e errorsOf[float64]
		const block = 500
		for len(kept) > 0 {
			part := kept[:min(block, len(kept))]
			kept = kept[len(part):]
			e.run(t, f, part, func(i int, got float64) float64 { return 0 })
			for i := range part {
				want := bigFunctions[f.name](part[i])
				e.each(f, part[i:i+1], func(got float64) float64 { return ulps64(got, want) })
			}
		}
		e.report(t, f.ulp)
	}
}

// each applies f to one element with every instruction set.
func (e *errorsOf[T]) each(f function, src []T, ulps func(got T) float64) {
	defer func(old isa) { current = old }(current)
	var dst [1]T
	for current = isaGo; current <= best; current++ {
		f.apply(dst[:], src)
		if d := ulps(dst[0]); !(d <= e.worst[current]) {
			e.worst[current], e.at[current] = d, src[0]
		}
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
					t.Errorf("%s(%v) = %v, want %v", f.name, x, want[i], T(f.ref(x)))
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

// Pow and PowS against math.Pow, of all kinds of numbers.
func TestPow(t *testing.T) { both(t, testPow[float32], testPow[float64]) }

func testPow[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	kinds := []float64{0, negative, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, inf, -inf, nan, 1 << 24, 1<<24 + 2, -(1<<24 - 1), 1e30, -1e30, 1e-40, -1e-40}
	number := func() T {
		if r.IntN(2) == 0 {
			return T(kinds[r.IntN(len(kinds))])
		}
		return T(10 * r.NormFloat64())
	}
	ulp := of[T](0x1p-24, 0x1p-53).(float64)
	verify := func(a, b, got T, ulps float64) {
		t.Helper()
		want := math.Pow(float64(a), float64(b))
		if d := math.Abs(float64(got) - want); !same(got, T(want)) && !(d <= 2*ulps*ulp*math.Abs(want)) {
			t.Fatalf("Pow(%v, %v) = %v, want %v", a, b, got, want)
		}
	}
	for n := range 300 {
		a, b := make([]T, n), make([]T, n)
		for i := range n {
			a[i], b[i] = number(), number()
		}
		dst := make([]T, n)
		Pow(dst, a, b)
		for i, v := range dst {
			verify(a[i], b[i], v, 0.51)
		}
		in := append([]T(nil), b...)
		Pow(in, a, in)
		for i, v := range in {
			if !same(v, dst[i]) {
				t.Fatalf("Pow in place: element %d of %d is %v, want %v", i, n, v, dst[i])
			}
		}
		s := T(kinds[n%len(kinds)])
		copy(dst, a)
		PowS(dst, dst, s)
		for i, v := range dst {
			verify(a[i], s, v, 1.01)
		}
	}
	x := make([]T, 200)
	check.NoAllocs(t, "Pow", func() {
		Pow(x, x, x)
		PowS(x, x, 3)
		PowS(x, x, 1.5)
	})
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
	benchTiles(b, "Pow", n, func() { Pow(dst, src, src) })
	benchTiles(b, "PowS3", n, func() { PowS(dst, src, 3) })
}
