package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

var sumLengths = append([]int{2, 100, 255, 256, 257, 511, sumBlock, sumBlock + 1, 3*sumBlock - 1, 5*sumBlock + 77}, oddLengths...)

func TestSum(t *testing.T) { both(t, testSum[float32], testSum[float64]) }

// testSum compares with plain Go's bits, and with a sum in more digits.
func testSum[T Float](t *testing.T) {
	set := current
	defer func() { current = set }()
	r := rand.New(rand.NewPCG(1, 2))
	eps := 0x1p-52
	if of[T](true, false).(bool) {
		eps = 0x1p-23
	}
	for _, n := range sumLengths {
		x := make([]T, n)
		var exact, size, lost float64
		for i := range x {
			x[i] = T(r.NormFloat64())
			s := exact + float64(x[i]) // TwoSum
			d := s - exact
			lost += (exact - (s - d)) + (float64(x[i]) - d)
			exact = s
			size += math.Abs(float64(x[i]))
		}
		exact += lost
		got, wide := Sum(x), SumWide(x)
		// 64 elements in turn at most (float64: 128), six levels of lanes and some of blocks.
		if d := math.Abs(float64(got) - exact); !(d <= 30*eps*size) {
			t.Errorf("Sum of %d: %v, want %v", n, got, exact)
		}
		if d := math.Abs(wide - exact); !(d <= 30*0x1p-52*size) {
			t.Errorf("SumWide of %d: %v, want %v", n, wide, exact)
		}
		d := make([]float64, n)
		for i, v := range x {
			d[i] = float64(v)
		}
		if w := Sum(d); w != wide {
			t.Errorf("SumWide of %d: %v, Sum of the same in float64 %v", n, wide, w)
		}
		current = isaGo
		if w := Sum(x); w != got {
			t.Errorf("Sum of %d: %v, with plain Go %v", n, got, w)
		}
		if w := SumWide(x); w != wide {
			t.Errorf("SumWide of %d: %v, with plain Go %v", n, wide, w)
		}
		current = set
		for i := 0; i < n; i += 1 + n/33 {
			old := x[i]
			x[i] = T(nan)
			if s, w := Sum(x), SumWide(x); s == s || w == w {
				t.Fatalf("Sum of %d with NaN in element %d: %v, wide %v", n, i, s, w)
			}
			x[i] = T(inf)
			if s, w := Sum(x), SumWide(x); s != T(inf) || w != inf {
				t.Fatalf("Sum of %d with Inf in element %d: %v, wide %v", n, i, s, w)
			}
			x[i] = old
		}
		for i := range x {
			x[i] = T(negative)
		}
		if s := Sum(x); !same(s, 0) {
			t.Errorf("Sum of %d of -0: %v", n, s)
		}
	}
}

func TestExtremes(t *testing.T) { both(t, testExtremes[float32], testExtremes[float64]) }

func testExtremes[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	verify := func(x []T) {
		t.Helper()
		high, low := T(-inf), T(inf)
		for _, v := range x {
			high, low = max(high, v), min(low, v)
		}
		if h, l := MaxOf(x), MinOf(x); !same(h, high) || !same(l, low) {
			t.Fatalf("of %d: %v and %v, want %v and %v", len(x), h, l, high, low)
		}
	}
	for _, n := range sumLengths {
		x := make([]T, n)
		for i := range x {
			x[i] = T(r.NormFloat64())
		}
		verify(x)
		for i := 0; i < n; i += 1 + n/33 {
			old := x[i]
			for _, v := range []float64{5000, -5000, inf, -inf, nan} {
				x[i] = T(v)
				verify(x)
			}
			x[i] = old
		}
		for _, zeros := range []float64{0, negative} {
			for i := range x {
				x[i] = T(zeros)
			}
			verify(x)
			if n > 0 {
				x[r.IntN(n)] = T(-zeros)
				verify(x)
			}
		}
	}
}

func TestConversions(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range oddLengths {
			single, double := make([]float32, n), make([]float64, n)
			for i := range n {
				single[i], double[i] = someNumbers[float32](r), someNumbers[float64](r)
			}
			wide, narrow := make([]float64, n+1), make([]float32, n+1)
			wide[n], narrow[n] = 77, 77
			Widen(wide[:n], single)
			Narrow(narrow[:n], double)
			for i := range n {
				if w, s := float64(single[i]), float32(double[i]); !same(wide[i], w) || !same(narrow[i], s) {
					t.Fatalf("element %d of %d: %v and %v, want %v and %v", i, n, wide[i], narrow[i], w, s)
				}
			}
			if wide[n] != 77 || narrow[n] != 77 {
				t.Fatalf("of %d: written beyond", n)
			}
		}
	})
}

func TestStrides(t *testing.T) { both(t, testStrides[float32], testStrides[float64]) }

func testStrides[T Float](t *testing.T) {
	src := make([]T, 3000)
	for i := range src {
		src[i] = T(i)
	}
	for _, n := range oddLengths {
		for _, stride := range []int{0, 1, 2, 3, 7, 200} {
			need := 0
			if n > 0 {
				need = (n-1)*stride + 1
			}
			if need > len(src) {
				continue
			}
			dst, verify := check.Guarded[T](t, "Gather", n)
			Gather(dst, src[:need], stride)
			verify()
			for i, v := range dst {
				if v != T(i*stride) {
					t.Fatalf("Gather of %d, %d apart: element %d is %v", n, stride, i, v)
				}
			}
			if stride == 0 {
				continue
			}
			out := make([]T, need)
			Scatter(out, stride, src[:n])
			for i, v := range out {
				if i%stride == 0 && v != T(i/stride) || i%stride != 0 && v != 0 {
					t.Fatalf("Scatter of %d, %d apart: element %d is %v", n, stride, i, v)
				}
			}
		}
	}
}

func TestReducePanics(t *testing.T) {
	x, y := make([]float32, 10), make([]float64, 10)
	for name, f := range map[string]func(){
		"Widen": func() { Widen(y, x[:9]) }, "Narrow": func() { Narrow(x[:9], y) },
		"Gather short": func() { Gather(x[:4], x[:9], 3) }, "Gather of none": func() { Gather(x[:4], nil, 0) },
		"Gather negative": func() { Gather(x, x, -1) }, "Gather far": func() { Gather(x, x, math.MaxInt) },
		"Scatter short": func() { Scatter(x[:9], 3, x[:4]) }, "Scatter on one": func() { Scatter(x, 0, x) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestReduceAllocates(t *testing.T) {
	x, y := make([]float32, 100), make([]float64, 100)
	check.NoAllocs(t, "reductions", func() {
		x[0] = Sum(x) + MaxOf(x) + MinOf(x)
		y[0] = SumWide(x) + SumWide(y)
		Widen(y, x)
		Narrow(x, y)
		Gather(x[:10], x[20:], 3)
		Scatter(x[20:], 3, x[:10])
	})
}

func BenchmarkReduce(b *testing.B) {
	b.Run("float32", benchReduce[float32])
	b.Run("float64", benchReduce[float64])
}

func benchReduce[T Float](b *testing.B) {
	const n = 512
	x, far := make([]T, n), make([]T, 128*n)
	for i := range x {
		x[i] = T(i % 7)
	}
	var sink float64
	benchTiles(b, "Sum", n, func() { sink += float64(Sum(x)) })
	benchTiles(b, "SumWide", n, func() { sink += SumWide(x) })
	benchTiles(b, "MaxOf", n, func() { sink += float64(MaxOf(x)) })
	benchTiles(b, "Gather2", n, func() { Gather(x, far, 2) })
	benchTiles(b, "Gather128", n, func() { Gather(x, far, 128) })
	benchTiles(b, "Scatter2", n, func() { Scatter(far, 2, x) })
	benchTiles(b, "Scatter128", n, func() { Scatter(far, 128, x) })
	single, double := make([]float32, n), make([]float64, n)
	benchTiles(b, "Widen", n, func() { Widen(double, single) })
	benchTiles(b, "Narrow", n, func() { Narrow(single, double) })
}
