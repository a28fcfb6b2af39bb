package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// normals returns n standard normals rounded to T.
func normals[T Float](seed uint64, n int) []T {
	r := rand.New(rand.NewPCG(seed, 3))
	s := make([]T, n)
	for i := range s {
		s[i] = T(r.NormFloat64())
	}
	return s
}

// inner returns <a, b> in float64.
func inner(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// panicsWith fails t unless f panics with a text that holds want.
func panicsWith(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, ok := recover().(string); !ok || !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	f()
}

// threadsAgree fails t unless f writes the same bits with 1, 2 and 8 threads.
func threadsAgree[T Float](t *testing.T, f func() []T) {
	t.Helper()
	defer vec.SetThreads(vec.SetThreads(1))
	want := f()
	for _, n := range []int{2, 8} {
		vec.SetThreads(n)
		sameBits(t, "threads", f(), want)
	}
}

func sameBits[T Float](t *testing.T, name string, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(float64(got[i])) != math.Float64bits(float64(want[i])) {
			t.Errorf("%s: element %d is %v, want the bits of %v", name, i, got[i], want[i])
			return
		}
	}
}

// allocatesNothing fails t if f allocates in the steady state.
func allocatesNothing(t *testing.T, f func()) {
	t.Helper()
	defer vec.SetThreads(vec.SetThreads(2))
	check.NoAllocs(t, t.Name(), f)
}

func TestNormaliseMatchesReference(t *testing.T) {
	t.Run("float32", testNormaliseMatchesReference[float32])
	t.Run("float64", testNormaliseMatchesReference[float64])
}

func testNormaliseMatchesReference[T Float](t *testing.T) {
	// float64: a few ulp of values of order 1, and n of them in the reference's plain sums. float32 is rounded once.
	tol := 1e-14
	if _, ok := any(T(0)).(float32); ok {
		tol = 1e-7
	}
	for _, n := range []int{2, 3, 7, 64, 101} {
		for _, b := range []int{1, 3} {
			f, g := normals[T](uint64(n), b*n), normals[T](uint64(n)+1, b*n)
			want, wantDf := make([]float64, b*n), make([]float64, b*n)
			f64, g64 := check.Copy[float64](f), check.Copy[float64](g)
			for i := range b {
				normaliseReference(want[i*n:(i+1)*n], f64[i*n:(i+1)*n])
				normaliseBackwardReference(wantDf[i*n:(i+1)*n], f64[i*n:(i+1)*n], g64[i*n:(i+1)*n])
			}
			out, verify := check.Guarded[T](t, "out", b*n)
			excluded := []int32{9, 9, 9}[:b]
			NormaliseForward(out, excluded, f, false, b, n)
			verify()
			check.Close(t, "out", check.Copy[float64](out), want, tol)
			for _, e := range excluded {
				if e != 0 {
					t.Errorf("excluded %v, want none", excluded)
				}
			}
			df, verify := check.Guarded[T](t, "df", b*n)
			NormaliseBackward(df, f, g, false, b, n)
			verify()
			check.Close(t, "df", check.Copy[float64](df), wantDf, tol)
		}
	}
}

// Three problems with NaN and infinities in different places agree with the same problems without those samples.
func TestNormaliseExcludes(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	const b, n = 3, 6
	f := []float64{1, nan, 4, -2, inf, 7, -inf, 3, 8, -inf, nan, 5, 2, 4, 8, 16, 32, nan}
	g := []float64{1, nan, 2, -1, inf, 3, nan, 2, 3, -inf, nan, 7, 5, 4, 3, 2, 1, nan}
	v := []float64{2, inf, 1, 1, nan, -3, inf, 5, 1, nan, inf, 3, 1, -2, 3, -4, 5, nan}
	out, df, df2 := make([]float64, b*n), make([]float64, b*n), make([]float64, b*n)
	excluded := make([]int32, b)
	NormaliseForward(check.Poison(out), excluded, f, false, b, n)
	NormaliseBackward(check.Poison(df), f, g, false, b, n)
	NormaliseBackward2(check.Poison(df2), f, g, v, false, b, n)
	for p := range b {
		var cf, cg, cv []float64
		for i := p * n; i < (p+1)*n; i++ {
			if f[i]-f[i] == 0 {
				cf, cg, cv = append(cf, f[i]), append(cg, g[i]), append(cv, v[i])
			}
		}
		m := len(cf)
		want, wantDf, wantDf2 := make([]float64, m), make([]float64, m), make([]float64, m)
		NormaliseForward(want, nil, cf, false, 1, m)
		NormaliseBackward(wantDf, cf, cg, false, 1, m)
		NormaliseBackward2(wantDf2, cf, cg, cv, false, 1, m)
		if int(excluded[p]) != n-m {
			t.Errorf("problem %d: excluded %d, want %d", p, excluded[p], n-m)
		}
		at := 0
		for i := p * n; i < (p+1)*n; i++ {
			w, d, d2 := inf, 0.0, 0.0
			if f[i]-f[i] == 0 {
				w, d, d2 = want[at], wantDf[at], wantDf2[at]
				at++
			}
			if out[i] != w || df[i] != d || df2[i] != d2 {
				t.Errorf("f = %v: out %v, df %v, df2 %v, want %v, %v, %v", f[i], out[i], df[i], df2[i], w, d, d2)
			}
		}
	}
}

func TestNormalisePassThrough(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f, g := []float32{3, -inf, 1e38, nan, -5, inf}, []float32{1, nan, 2, inf, 3, 4}
	out, df, df2, excluded := make([]float32, 6), make([]float32, 6), make([]float32, 6), make([]int32, 2)
	NormaliseForward(check.Poison(out), excluded, f, true, 2, 3)
	NormaliseBackward(check.Poison(df), f, g, true, 2, 3)
	NormaliseBackward2(check.Poison(df2), f, g, g, true, 2, 3)
	sameBits(t, "out", out, []float32{3, inf, 1e38, inf, -5, inf})
	sameBits(t, "df", df, []float32{1, 0, 2, 0, 3, 0})
	sameBits(t, "df2", df2, make([]float32, 6))
	if excluded[0] != 1 || excluded[1] != 2 {
		t.Errorf("excluded %v, want [1 2]", excluded)
	}
}

func TestNormaliseDegenerate(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name             string
		f, g, out, wantD []float64
	}{
		{"none", []float64{}, []float64{}, []float64{}, []float64{}},
		{"one", []float64{7}, []float64{3}, []float64{0}, []float64{0}},
		{"one finite", []float64{inf, -0.1, -inf}, []float64{1, 2, 3}, []float64{inf, 0, inf}, []float64{0, 0, 0}},
		{"one finite, gradient not", []float64{inf, -0.1}, []float64{1, inf}, []float64{inf, 0}, []float64{0, 0}},
		{"no finite", []float64{math.NaN(), -inf}, []float64{1, 2}, []float64{inf, inf}, []float64{0, 0}},
		// Without the term of the standard deviation: (g - mean g)/1e-6.
		{"equal", []float64{0.1, 0.1, 0.1}, []float64{1, 2, 6}, []float64{0, 0, 0}, []float64{-2e6, -1e6, 3e6}},
		{"huge", []float64{1e308, 1e308, 1e308}, []float64{1, 2, 6}, []float64{0, 0, 0}, []float64{-2e6, -1e6, 3e6}},
		{"zero", []float64{0, 0}, []float64{1, 3}, []float64{0, 0}, []float64{-1e6, 1e6}},
	} {
		n := len(c.f)
		out, df, df2 := make([]float64, n), make([]float64, n), make([]float64, n)
		NormaliseForward(check.Poison(out), nil, c.f, false, 1, n)
		NormaliseBackward(check.Poison(df), c.f, c.g, false, 1, n)
		NormaliseBackward2(check.Poison(df2), c.f, c.g, c.g, false, 1, n)
		sameBits(t, c.name, out, c.out)
		if d, _ := check.MaxDiff(df, c.wantD); !(d <= 1e-15) {
			t.Errorf("%s: df = %v, want %v", c.name, df, c.wantD)
		}
		sameBits(t, c.name+": second order", df2, make([]float64, n))
	}
}

// Costs far from zero beside their spread, and costs near the largest float64, agree with the plain formula on costs of
// order one.
func TestNormaliseOffsetAndScale(t *testing.T) {
	const n = 41
	base, g, v := make([]float64, n), normals[float64](5, n), normals[float64](6, n)
	for i := range base {
		base[i] = float64((i * 17) % 64) // integers, which stay exact under the offsets
		g[i], v[i] = 32*g[i], 32*v[i]    // gradients of order one
	}
	want, wantD, wantD2 := make([]float64, n), make([]float64, n), make([]float64, n)
	normaliseReference(want, base)
	normaliseBackwardReference(wantD, base, g)
	NormaliseBackward2(wantD2, base, g, v, false, 1, n)
	out, df, df2, f := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for _, offset := range []float64{1e6, -1e12, 0x1p46} {
		for i := range f {
			f[i] = base[i] + offset
		}
		NormaliseForward(check.Poison(out), nil, f, false, 1, n)
		NormaliseBackward(check.Poison(df), f, g, false, 1, n)
		NormaliseBackward2(check.Poison(df2), f, g, v, false, 1, n)
		check.Close(t, "offset", out, want, 2e-15) // the inputs are exact: what is lost is in float64 sums
		check.Close(t, "offset: df", df, wantD, 2e-15)
		check.Close(t, "offset: df2", df2, wantD2, 2e-15)
	}
	// The 1e-6 beside the standard deviation is nothing for huge costs, and 5e-8 of it for those of order one.
	for _, scale := range []float64{1e150, 1e300, 1.5e306} {
		for i := range f {
			f[i] = (base[i] - 32) * scale
		}
		NormaliseForward(check.Poison(out), nil, f, false, 1, n)
		check.Close(t, "scale", out, want, 1e-6)
		// Gradients of order one again when g grows with the costs; g and v near the largest float64 as well.
		gs := make([]float64, n)
		for i := range gs {
			gs[i] = g[i] * scale
		}
		NormaliseBackward(check.Poison(df), f, gs, false, 1, n)
		check.Close(t, "scale: df", df, wantD, 1e-6)
		vs := make([]float64, n)
		for i := range vs {
			vs[i] = v[i] * scale
		}
		NormaliseBackward2(check.Poison(df2), f, gs, vs, false, 1, n)
		check.Close(t, "scale: df2", df2, wantD2, 1e-6)
	}
	f32 := []float32{-3e38, 0, 3e38, math.MaxFloat32}
	out32 := make([]float32, 4)
	NormaliseForward(check.Poison(out32), nil, f32, false, 1, 4)
	var sum float64
	for _, o := range out32 {
		sum += float64(o) * float64(o)
	}
	if !check.Within(sum, 3, 1e-6) { // n-1, rounded in float32
		t.Errorf("float32 near its largest: sum of squares %v, want 3", sum)
	}
	// An outlier as the first entry must not cost the others their digits in the mean.
	spread := []float64{1e17, 1, 2, 3}
	NormaliseForward(out[:4], nil, spread, false, 1, 4)
	check.Close(t, "outlier", out[:4], []float64{1.5, -0.5, -0.5, -0.5}, 1e-15)
}

func TestNormaliseGradients(t *testing.T) {
	const b, n = 3, 7
	f, g, v := normals[float64](1, b*n), normals[float64](2, b*n), normals[float64](3, b*n)
	f[4], g[4], v[4] = math.Inf(1), math.NaN(), math.Inf(-1)
	zero := func(s []float64) []float64 { // of the excluded entry, so that a plain inner product is of the others
		s[4] = 0
		return s
	}
	forward := func(f []float64) []float64 {
		out := make([]float64, b*n)
		NormaliseForward(out, nil, f, false, b, n)
		return out
	}
	backward := func(f, g []float64) []float64 {
		df := make([]float64, b*n)
		NormaliseBackward(check.Poison(df), f, g, false, b, n)
		return df
	}
	df, df2 := backward(f, g), make([]float64, b*n)
	NormaliseBackward2(check.Poison(df2), f, g, v, false, b, n)
	backwardV := backward(f, v)
	if df[4] != 0 || df2[4] != 0 || backwardV[4] != 0 {
		t.Errorf("gradients %v, %v, %v at an excluded cost, want 0", df[4], df2[4], backwardV[4])
	}
	g0, v0 := zero(append([]float64(nil), g...)), zero(append([]float64(nil), v...))
	// 1e-10: the differences' own error at this step, for derivatives of order one.
	check.Close(t, "df", df, check.Gradient(func(f []float64) float64 { return inner(g0, zero(forward(f))) }, f, 1e-3), 1e-10)
	check.Close(t, "df2", df2, check.Gradient(func(f []float64) float64 { return inner(v0, backward(f, g)) }, f, 1e-3), 1e-10)
	// Linear and self-adjoint in g: what the second-order op relies on.
	check.Close(t, "gradient with respect to g", backwardV,
		zero(check.Gradient(func(g []float64) float64 { return inner(v0, backward(f, g)) }, g0, 1e-3)), 1e-10)
	if a, c := inner(v0, df), inner(g0, backwardV); !check.Within(a, c, 1e-14) {
		t.Errorf("<v, J g> = %v, <J v, g> = %v", a, c)
	}
	// Adding a constant to all costs of a problem changes nothing, so its gradients sum to 0.
	for p := range b {
		sum, sum2 := 0.0, 0.0
		for i := p * n; i < (p+1)*n; i++ {
			sum, sum2 = sum+df[i], sum2+df2[i]
		}
		if !check.Within(sum, 0, 1e-14) || !check.Within(sum2, 0, 1e-14) {
			t.Errorf("problem %d: gradients sum to %v and %v, want 0", p, sum, sum2)
		}
	}
	// float32 is the float64 result of the rounded inputs, rounded once.
	f32, g32, v32 := check.Copy[float32](f), check.Copy[float32](g), check.Copy[float32](v)
	df32, df232 := make([]float32, b*n), make([]float32, b*n)
	NormaliseBackward(check.Poison(df32), f32, g32, false, b, n)
	NormaliseBackward2(check.Poison(df232), f32, g32, v32, false, b, n)
	f, g, v = check.Copy[float64](f32), check.Copy[float64](g32), check.Copy[float64](v32)
	NormaliseBackward2(check.Poison(df2), f, g, v, false, b, n)
	check.Close(t, "df, float32", check.Copy[float64](df32), backward(f, g), 1e-7)
	check.Close(t, "df2, float32", check.Copy[float64](df232), df2, 1e-7)
}

func TestNormaliseInPlaceThreadsAllocations(t *testing.T) {
	const b, n = 157, 211
	f, g, v := normals[float32](1, b*n), normals[float32](2, b*n), normals[float32](3, b*n)
	f[n+3] = float32(math.NaN())
	out, excluded := make([]float32, b*n), make([]int32, b)
	run := func() {
		NormaliseForward(out, excluded, f, false, b, n)
		NormaliseBackward(out, f, g, false, b, n)
		NormaliseBackward2(out, f, g, v, false, b, n)
	}
	threadsAgree(t, func() []float32 {
		all := make([]float32, 3*b*n)
		NormaliseForward(all[:b*n], excluded, f, false, b, n)
		NormaliseBackward(all[b*n:2*b*n], f, g, false, b, n)
		NormaliseBackward2(all[2*b*n:], f, g, v, false, b, n)
		return all
	})
	allocatesNothing(t, run)

	NormaliseForward(out, nil, f, false, b, n)
	alias := append([]float32(nil), f...)
	NormaliseForward(alias, nil, alias, false, b, n)
	sameBits(t, "out = f", alias, out)
	NormaliseBackward(out, f, g, false, b, n)
	alias = append(alias[:0], g...)
	NormaliseBackward(alias, f, alias, false, b, n)
	sameBits(t, "df = g", alias, out)
	NormaliseBackward2(out, f, g, v, false, b, n)
	alias = append(alias[:0], f...)
	NormaliseBackward2(alias, alias, g, v, false, b, n)
	sameBits(t, "df = f", alias, out)
}

func TestNormalisePanics(t *testing.T) {
	s := make([]float64, 6)
	panicsWith(t, "NormaliseForward: len(out) = 5, want b*n = 6", func() { NormaliseForward(s[:5], nil, s, false, 2, 3) })
	panicsWith(t, "NormaliseForward: len(f) = 6, want b*n = 8", func() { NormaliseForward(s, nil, s, false, 2, 4) })
	panicsWith(t, "len(excluded) = 1, want nil or b = 2", func() { NormaliseForward(s, make([]int32, 1), s, false, 2, 3) })
	panicsWith(t, "NormaliseForward: b = -2, want >= 0", func() { NormaliseForward(s, nil, s, false, -2, -3) })
	panicsWith(t, "NormaliseBackward: len(g) = 1, want", func() { NormaliseBackward(s, s, s[:1], false, 2, 3) })
	panicsWith(t, "NormaliseBackward2: len(v) = 1, want", func() { NormaliseBackward2(s, s, s, s[:1], false, 2, 3) })
}

// Rows whose costs are all finite go by loops without a look at each: the bits are those of the same row with an excluded
// cost behind it.
func TestNormalisePlainBits(t *testing.T) {
	bothTypes(t, testPlainBits[float32], testPlainBits[float64])
}

func testPlainBits[T Float](t *testing.T) {
	for _, n := range []int{1, 2, 7, 100} {
		for _, offset := range []T{0, 1e6} {
			f, g := normals[T](1, n+1), normals[T](2, n+1)
			for i := range f {
				f[i] += offset
			}
			f[n] = T(math.Inf(1))
			for name, run := range map[string]func(out []T, n int){
				"forward":  func(out []T, n int) { NormaliseForward(out, nil, f[:n], false, 1, n) },
				"backward": func(out []T, n int) { NormaliseBackward(out, f[:n], g[:n], false, 1, n) },
				"backward, a gradient that is not finite": func(out []T, n int) {
					h := slices.Clone(g)
					h[0] = T(math.NaN())
					NormaliseBackward(out, f[:n], h[:n], false, 1, n)
				},
			} {
				plain, with := make([]T, n), make([]T, n+1)
				run(plain, n)
				run(with, n+1)
				for i, v := range plain {
					if v != with[i] && (v == v || with[i] == with[i]) {
						t.Errorf("%s, n %d, offset %v: [%d] = %v, with an excluded cost %v", name, n, offset, i, v, with[i])
					}
				}
			}
		}
	}
}

func BenchmarkNormalise(b *testing.B) {
	const rows, n = 100, 100
	f, g, v := normals[float32](1, rows*n), normals[float32](2, rows*n), normals[float32](3, rows*n)
	out := make([]float32, rows*n)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"forward", func() { NormaliseForward(out, nil, f, false, rows, n) }},
		{"backward", func() { NormaliseBackward(out, f, g, false, rows, n) }},
		{"backward2", func() { NormaliseBackward2(out, f, g, v, false, rows, n) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(rows * n * 4)
			for b.Loop() {
				c.run()
			}
		})
	}
}
