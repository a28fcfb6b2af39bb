package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

type sampleCase struct{ b, n, d int }

// Odd sizes, ones, and both sides of the tile's width.
var sampleCases = []sampleCase{
	{1, 1, 1}, {1, 5, 1}, {3, 1, 1}, {2, 300, 1}, {3, 7, 5}, {2, 50, 3}, {1, 9, 64}, {2, 3, 65},
	{1, 4, 127}, {2, 3, 128}, {2, 3, 130}, {1, 2, 300}, {40, 20, 6}, {1, 3000, 3},
}

type sampleInputs[T Float] struct{ mu, sigma, eps, g, lower, upper []T }

// newSampleInputs makes a case's inputs; the bounds cut off a good part of the samples, and some are infinite.
func newSampleInputs[T Float](c sampleCase, seed uint64) sampleInputs[T] {
	in := sampleInputs[T]{
		mu: make([]T, c.b*c.d), sigma: make([]T, c.b*c.d), eps: make([]T, c.b*c.n*c.d), g: make([]T, c.b*c.n*c.d),
		lower: make([]T, c.d), upper: make([]T, c.d),
	}
	Normal(in.mu, seed, 1, 0, 0)
	Uniform(in.sigma, seed, 2, 0, 0)
	Normal(in.eps, seed, 3, 0, 0)
	Normal(in.g, seed, 4, 0, 0)
	for j := range c.d {
		in.lower[j], in.upper[j] = T(-0.5-0.1*float64(j%4)), T(0.25+0.1*float64(j%5))
		if j%7 == 3 {
			in.lower[j] = T(math.Inf(-1))
		}
		if j%7 == 5 {
			in.upper[j] = T(math.Inf(1))
		}
	}
	return in
}

// bounds lists the combinations of bounds that there are.
func (in sampleInputs[T]) bounds() map[string][2][]T {
	return map[string][2][]T{
		"none": {}, "lower": {in.lower, nil}, "upper": {nil, in.upper}, "both": {in.lower, in.upper},
	}
}

func TestSample(t *testing.T) { forBothTypes(t, testSample[float32], testSample[float64]) }

func testSample[T Float](t *testing.T) {
	for _, c := range sampleCases {
		in := newSampleInputs[T](c, 17)
		for name, bound := range in.bounds() {
			t.Run(fmt.Sprintf("%d,%d,%d,%s", c.b, c.n, c.d, name), func(t *testing.T) {
				lower, upper := bound[0], bound[1]
				f64 := check.Copy[float64, T]
				nilOr := func(s []T) []float64 {
					if s == nil {
						return nil
					}
					return f64(s)
				}
				want := sampleReference(f64(in.mu), f64(in.sigma), f64(in.eps), nilOr(lower), nilOr(upper), c.b, c.n, c.d)
				// One rounded product and one rounded sum of numbers below 5.
				tol := 4 * sampleEpsilon[T]()
				x, verify := check.Guarded[T](t, "x", c.b*c.n*c.d)
				SampleForward(x, in.mu, in.sigma, in.eps, lower, upper, c.b, c.n, c.d)
				verify()
				check.Close(t, "x", f64(x), want, tol)

				wantMu, wantSigma, wantEps := sampleBackwardReference(f64(in.g), f64(in.mu), f64(in.sigma), f64(in.eps),
					nilOr(lower), nilOr(upper), c.b, c.n, c.d)
				dmu, verifyMu := check.Guarded[T](t, "dmu", c.b*c.d)
				dsigma, verifySigma := check.Guarded[T](t, "dsigma", c.b*c.d)
				deps, verifyEps := check.Guarded[T](t, "deps", c.b*c.n*c.d)
				SampleBackward(dmu, dsigma, deps, in.g, in.mu, in.sigma, in.eps, lower, upper, c.b, c.n, c.d)
				verifyMu()
				verifySigma()
				verifyEps()
				// The sums are float64 ones in another order: sqrt(n) roundings.
				tol += math.Sqrt(float64(c.n)) * 0x1p-52
				check.Close(t, "dmu", f64(dmu), wantMu, tol)
				check.Close(t, "dsigma", f64(dsigma), wantSigma, tol)
				check.Close(t, "deps", f64(deps), wantEps, tol)
			})
		}
	}
}

func sampleEpsilon[T Float]() float64 {
	if drawLanes[T]() == 4 {
		return 0x1p-23
	}
	return 0x1p-52
}

// Against finite differences of <g, x>, with no sample closer to a bound than the step is long.
func TestSampleGradient(t *testing.T) {
	for _, c := range []sampleCase{{1, 1, 1}, {2, 3, 5}, {1, 40, 2}} {
		in := newSampleInputs[float64](c, 29)
		const h = 1e-3
		for name, bound := range in.bounds() {
			lower, upper := bound[0], bound[1]
			v := sampleReference(in.mu, in.sigma, in.eps, nil, nil, c.b, c.n, c.d)
			for e, v := range v {
				for _, edge := range []float64{in.lower[e%c.d], in.upper[e%c.d]} {
					if math.Abs(v-edge) < 20*h {
						in.eps[e] += 60 * h / in.sigma[e/(c.n*c.d)*c.d+e%c.d]
					}
				}
			}
			f := func([]float64) float64 {
				x, sum := make([]float64, len(in.eps)), 0.0
				SampleForward(x, in.mu, in.sigma, in.eps, lower, upper, c.b, c.n, c.d)
				for i, g := range in.g {
					sum += g * x[i]
				}
				return sum
			}
			dmu, dsigma, deps := make([]float64, c.b*c.d), make([]float64, c.b*c.d), make([]float64, c.b*c.n*c.d)
			SampleBackward(dmu, dsigma, deps, in.g, in.mu, in.sigma, in.eps, lower, upper, c.b, c.n, c.d)
			// x is piecewise linear, so only rounding (1e-16 / h times the sum) is left.
			const tol = 1e-11
			check.Close(t, name+" dmu", dmu, check.Gradient(f, in.mu, h), tol)
			check.Close(t, name+" dsigma", dsigma, check.Gradient(f, in.sigma, h), tol)
			check.Close(t, name+" deps", deps, check.Gradient(f, in.eps, h), tol)
		}
	}
}

// On a bound the gradient is 1, beside it 0 or 1; and a gradient that the clamp stops does not matter, even if it is
// NaN.
func TestSampleAtTheBounds(t *testing.T) {
	forBothTypes(t, testSampleAtTheBounds[float32], testSampleAtTheBounds[float64])
}

func testSampleAtTheBounds[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	mu, sigma := []T{1, 1}, []T{2, 2}
	lower, upper := []T{-1, -1}, []T{3, 3}
	eps := []T{-1, 1 /* on them */, -1.001, 1.001, -0.999, 0.999, 2, -3}
	g := []T{1, 2, nan, nan, 3, 4, inf, -inf}
	x := make([]T, 8)
	SampleForward(x, mu, sigma, eps, lower, upper, 1, 4, 2)
	if want := []T{-1, 3, -1, 3, 1 - T(0.999)*2, T(0.999)*2 + 1, 3, -1}; !slices.Equal(x, want) {
		t.Errorf("x = %v, want %v", x, want)
	}
	dmu, dsigma, deps := make([]T, 2), make([]T, 2), make([]T, 8)
	SampleBackward(dmu, dsigma, deps, g, mu, sigma, eps, lower, upper, 1, 4, 2)
	check.Close(t, "dmu", dmu, []T{4, 6}, 0)
	check.Close(t, "dsigma", dsigma, []T{-1 - 3*0.999, 2 + 4*0.999}, 2*sampleEpsilon[T]()) // rounded once, and 0.999 once more here
	check.Close(t, "deps", deps, []T{2, 4, 0, 0, 6, 8, 0, 0}, 0)

	// The signs of zeros are part of the bits: clamp(v) keeps v unless it is beyond a bound.
	zero, minus := T(0), T(math.Copysign(0, -1))
	SampleForward(x[:1], []T{minus}, []T{0}, []T{-1}, []T{zero}, []T{1}, 1, 1, 1)
	if x[0] != 0 || !math.Signbit(float64(x[0])) {
		t.Errorf("clamp(-0, +0, 1) = %v, want -0", x[0])
	}
}

// A NaN or an infinity stays visible, and stays where it is.
func TestSampleNonFinite(t *testing.T) {
	forBothTypes(t, testSampleNonFinite[float32], testSampleNonFinite[float64])
}

func testSampleNonFinite[T Float](t *testing.T) {
	nan, inf := T(math.NaN()), T(math.Inf(1))
	mu, sigma, eps := []T{nan, 0, 0, inf, 0}, []T{1, nan, 1, 1, inf}, []T{1, 1, nan, 1, 1, 1, 1, 1, 1, 1}
	lower, upper := []T{-2, -2, -2, -2, -2}, []T{2, 2, 2, 2, 2}
	x := make([]T, 10)
	SampleForward(x, mu, sigma, eps, lower, upper, 1, 2, 5)
	sampleEqual(t, "x", x, []T{nan, nan, nan, 2, 2, nan, nan, 1, 2, 2})
	SampleForward(x, mu, sigma, eps, nil, nil, 1, 2, 5)
	sampleEqual(t, "x without bounds", x, []T{nan, nan, nan, inf, inf, nan, nan, 1, inf, inf})

	g := []T{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	dmu, dsigma, deps := make([]T, 5), make([]T, 5), make([]T, 10)
	SampleBackward(dmu, dsigma, deps, g, mu, sigma, eps, lower, upper, 1, 2, 5)
	sampleEqual(t, "dmu", dmu, []T{2, 2, 2, 0, 0})
	sampleEqual(t, "dsigma", dsigma, []T{2, 2, nan, 0, 0})
	sampleEqual(t, "deps", deps, []T{1, nan, 1, 0, 0, 1, nan, 1, 0, 0})
}

// sampleEqual fails t unless got is want, with NaN for NaN.
func sampleEqual[T Float](t *testing.T, name string, got, want []T) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b T) bool { return a == b || a != a && b != b }) {
		t.Errorf("%s = %v, want %v", name, got, want)
	}
}

func TestSampleThreads(t *testing.T) {
	forBothTypes(t, testSampleThreads[float32], testSampleThreads[float64])
}

func testSampleThreads[T Float](t *testing.T) {
	defer vec.SetThreads(vec.Threads())
	for _, c := range []sampleCase{{3, 4001, 3}, {50, 101, 7}, {2, 90, 300}} {
		in := newSampleInputs[T](c, 5)
		run := func(threads int) []T {
			vec.SetThreads(threads)
			x, dmu, dsigma := make([]T, c.b*c.n*c.d), make([]T, c.b*c.d), make([]T, c.b*c.d)
			deps := make([]T, c.b*c.n*c.d)
			SampleForward(x, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d)
			SampleBackward(dmu, dsigma, deps, in.g, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d)
			return slices.Concat(x, dmu, dsigma, deps)
		}
		want := run(1)
		for _, threads := range []int{2, 8} {
			if !slices.Equal(run(threads), want) {
				t.Errorf("%v: %d threads differ from one", c, threads)
			}
		}
	}
}

// Outputs may be nil or share memory as documented, and inputs are left alone.
func TestSampleOutputs(t *testing.T) {
	for _, c := range []sampleCase{{2, 7, 3}, {2, 3, 130}} {
		in := newSampleInputs[float32](c, 3)
		before := slices.Concat(in.mu, in.sigma, in.eps, in.g, in.lower, in.upper)
		x := make([]float32, c.b*c.n*c.d)
		dmu, dsigma, deps := make([]float32, c.b*c.d), make([]float32, c.b*c.d), make([]float32, c.b*c.n*c.d)
		forward := func(x, eps []float32) { SampleForward(x, in.mu, in.sigma, eps, in.lower, in.upper, c.b, c.n, c.d) }
		backward := func(dmu, dsigma, deps, g, eps []float32) {
			SampleBackward(dmu, dsigma, deps, g, in.mu, in.sigma, eps, in.lower, in.upper, c.b, c.n, c.d)
		}
		forward(x, in.eps)
		backward(dmu, dsigma, deps, in.g, in.eps)
		if !slices.Equal(before, slices.Concat(in.mu, in.sigma, in.eps, in.g, in.lower, in.upper)) {
			t.Errorf("%v: an input was changed", c)
		}
		same := func(what string, got, want []float32) {
			if !slices.Equal(got, want) {
				t.Errorf("%v: %s differs", c, what)
			}
		}
		eps, g := slices.Clone(in.eps), slices.Clone(in.g)
		forward(eps, eps)
		same("x in place of eps", eps, x)
		copy(eps, in.eps)
		m, s := make([]float32, c.b*c.d), make([]float32, c.b*c.d)
		backward(m, s, eps, in.g, eps)
		same("deps in place of eps", eps, deps)
		same("dsigma beside it", s, dsigma)
		backward(m, s, g, g, in.eps)
		same("deps in place of g", g, deps)
		same("dmu beside it", m, dmu)
		backward(check.Poison(m), nil, nil, in.g, in.eps)
		same("dmu alone", m, dmu)
		backward(nil, check.Poison(s), nil, in.g, in.eps)
		same("dsigma alone", s, dsigma)
		backward(nil, nil, check.Poison(g), in.g, in.eps)
		same("deps alone", g, deps)
	}
}

func TestSampleEmpty(t *testing.T) {
	for _, c := range []sampleCase{{0, 3, 2}, {2, 0, 3}, {2, 3, 0}} {
		in := newSampleInputs[float64](c, 1)
		SampleForward(nil, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d)
		dmu, dsigma := check.Poison(make([]float64, c.b*c.d)), check.Poison(make([]float64, c.b*c.d))
		SampleBackward(dmu, dsigma, nil, in.g, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d)
		for i := range dmu { // n = 0: sums of nothing
			if dmu[i] != 0 || dsigma[i] != 0 {
				t.Errorf("%v: dmu, dsigma = %v, %v, want 0", c, dmu[i], dsigma[i])
			}
		}
	}
}

func TestSamplePanics(t *testing.T) {
	s := func(n int) []float32 { return make([]float32, n) }
	nan := []float32{0, float32(math.NaN()), 0}
	forward := func(x, mu, sigma, eps, lower, upper []float32) func() {
		return func() { SampleForward(x, mu, sigma, eps, lower, upper, 2, 4, 3) }
	}
	mustPanic(t, "kernels: SampleForward: len(x) = 23, want b*n*d = 24", forward(s(23), s(6), s(6), s(24), nil, nil))
	mustPanic(t, "kernels: SampleForward: len(mu) = 5, want b*d = 6", forward(s(24), s(5), s(6), s(24), nil, nil))
	mustPanic(t, "kernels: SampleForward: len(sigma) = 7, want b*d = 6", forward(s(24), s(6), s(7), s(24), nil, nil))
	mustPanic(t, "kernels: SampleForward: len(eps) = 0, want b*n*d = 24", forward(s(24), s(6), s(6), nil, nil, nil))
	mustPanic(t, "kernels: SampleForward: len(lower) = 2, want nil or d = 3", forward(s(24), s(6), s(6), s(24), s(2), nil))
	mustPanic(t, "kernels: SampleForward: len(upper) = 4, want nil or d = 3", forward(s(24), s(6), s(6), s(24), nil, s(4)))
	mustPanic(t, "kernels: SampleForward: lower[2], upper[2] = 1, 0, want lower <= upper",
		forward(s(24), s(6), s(6), s(24), []float32{0, 0, 1}, s(3)))
	mustPanic(t, "kernels: SampleForward: lower[1], upper[1] = NaN, +Inf, want", forward(s(24), s(6), s(6), s(24), nan, nil))
	mustPanic(t, "kernels: SampleForward: lower[1], upper[1] = -Inf, NaN, want", forward(s(24), s(6), s(6), s(24), nil, nan))
	mustPanic(t, "kernels: SampleForward: b = -1, want >= 0", func() { SampleForward[float32](nil, nil, nil, nil, nil, nil, -1, 1, 1) })

	backward := func(dmu, dsigma, deps, g []float32) func() {
		return func() { SampleBackward(dmu, dsigma, deps, g, s(6), s(6), s(24), nil, nil, 2, 4, 3) }
	}
	mustPanic(t, "kernels: SampleBackward: len(g) = 1, want b*n*d = 24", backward(nil, nil, nil, s(1)))
	mustPanic(t, "kernels: SampleBackward: len(dmu) = 1, want nil or b*d = 6", backward(s(1), nil, nil, s(24)))
	mustPanic(t, "kernels: SampleBackward: len(dsigma) = 1, want nil or b*d = 6", backward(nil, s(1), nil, s(24)))
	mustPanic(t, "kernels: SampleBackward: len(deps) = 1, want nil or b*n*d = 24", backward(nil, nil, s(1), s(24)))
}

func TestSampleAllocates(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(4))
	for _, c := range []sampleCase{{2, 3, 4}, {8, 500, 10}} {
		in, x, m := newSampleInputs[float32](c, 1), make([]float32, c.b*c.n*c.d), make([]float32, c.b*c.d)
		for name, f := range map[string]func(){
			"forward":  func() { SampleForward(x, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d) },
			"backward": func() { SampleBackward(m, m, x, in.g, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d) },
		} {
			check.NoAllocs(t, fmt.Sprint(name, " ", c), f)
		}
	}
}

func BenchmarkSample32(b *testing.B) { benchmarkSample[float32](b) }
func BenchmarkSample64(b *testing.B) { benchmarkSample[float64](b) }

func benchmarkSample[T Float](b *testing.B) {
	for _, c := range []sampleCase{{100, 100, 1}, {100, 100, 6}, {4, 1000, 100}} {
		in := newSampleInputs[T](c, 1)
		x, dmu, dsigma := make([]T, c.b*c.n*c.d), make([]T, c.b*c.d), make([]T, c.b*c.d)
		measure := func(name string, arrays int, f func()) {
			b.Run(fmt.Sprintf("%s/%d,%d,%d", name, c.b, c.n, c.d), func(b *testing.B) {
				b.SetBytes(int64(arrays * len(x) * 16 / drawLanes[T]()))
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/element")
			})
		}
		measure("forward", 2, func() { SampleForward(x, in.mu, in.sigma, in.eps, nil, nil, c.b, c.n, c.d) })
		measure("forward clamped", 2, func() { SampleForward(x, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d) })
		measure("backward clamped", 2, func() {
			SampleBackward(dmu, dsigma, nil, in.g, in.mu, in.sigma, in.eps, in.lower, in.upper, c.b, c.n, c.d)
		})
	}
}
