package vec

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// Every part against the loop of GemmParts' comment in float64, on shapes on both sides of its limits: few rows and
// many, one strip and several, a remainder, one block of terms and several, rows short and long, parts without
// terms.
func TestGemmParts(t *testing.T) { both(t, testGemmParts[float32], testGemmParts[float64]) }

func testGemmParts[T Float](t *testing.T) {
	for i, s := range [][3]int{
		{1, 1, 1}, {2, 128, 100}, {20, 96, 70}, {28, 33, 65}, {29, 40, 300}, {7, 70, 3}, {40, 130, 290}, {33, 160, 500},
		{64, 257, 120}, {130, 5, 140}, {31, 8, 0}, {0, 4, 4}, {4, 0, 4},
	} {
		m, n, k := s[0], s[1], s[2]
		for _, parts := range []int{1, 2, 3, 8} {
			p := product{true, false, m, n, k, 1, 1, i % 3}
			a, b, _ := inputs[T](p, uint64(i))
			_, _, c := inputs[T](product{m: parts * m, n: n, k: k}, 3) // NaN, within a band
			begun := i % (parts + 1)
			for j := range begun * m * n {
				c.s[j] = T(j%5) - 2
			}
			var want, tol []float64
			each := (k + parts - 1) / parts
			for part := range parts {
				lo, hi := min(part*each, k), min((part+1)*each, k)
				q := product{true, false, m, n, hi - lo, 1, 0, 0}
				of := func(x matrix[T]) matrix[T] { x.s = x.s[min(lo*x.stride, len(x.s)):]; return x }
				old := matrix[T]{stride: n, s: c.s[part*m*n:]}
				if part < begun {
					q.beta = 1
				}
				w, d := reference(q, of(a), of(b), old)
				want, tol = append(want, w...), append(tol, d...)
			}
			a0, b0 := a.clone(), b.clone()
			var first []T
			for _, threads := range []int{1, 2, 7} {
				got := c.clone()
				withThreads(t, threads)
				GemmParts(parts, begun, m, n, k, a.s, a.stride, b.s, b.stride, got.s)
				if !got.untouched() || !sameBits(a.buf, a0.buf) || !sameBits(b.buf, b0.buf) {
					t.Fatalf("%v in %d parts: written outside C", p, parts)
				}
				for j, w := range want {
					if d := math.Abs(float64(got.s[j]) - w); !(d <= tol[j]) {
						t.Fatalf("%v in %d parts, %d begun, %s: element %d is %v, want %v +- %.2g",
							p, parts, begun, ISA(), j, got.s[j], w, tol[j])
					}
				}
				if first == nil {
					first = got.s
				} else if !sameBits(got.s, first) {
					t.Fatalf("%v in %d parts, %s: other bits with %d threads", p, parts, ISA(), threads)
				}
			}
			checkSumParts(t, parts, m*n, first)
		}
	}
}

// checkSumParts compares the sum of the parts, apart and in place, with that in their order.
func checkSumParts[T Float](t *testing.T, parts, n int, src []T) {
	want := append([]T(nil), src[:n]...)
	for p := 1; p < parts; p++ {
		for i := range want {
			want[i] += src[p*n+i]
		}
	}
	dst, verify := check.Guarded[T](t, "sum of parts", n)
	SumParts(parts, n, src, dst)
	verify()
	place := append([]T(nil), src...)
	SumParts(parts, n, place, place)
	if !sameBits(dst, want) || !sameBits(place[:n], want) || !sameBits(place[n:], src[n:]) {
		t.Fatalf("the sum of %d parts of %d, %s: wrong", parts, n, ISA())
	}
}

// AVX2 and AVX-512 give the same bits.
func TestGemmPartsISA(t *testing.T) {
	if best < isaAVX512 {
		t.Skip("this machine or build has not both AVX2 and AVX-512")
	}
	defer func(old isa) { current = old }(current)
	for _, s := range [][3]int{{20, 256, 400}, {130, 200, 500}, {256, 256, 100}, {1, 128, 100}} {
		p := product{true, false, s[0], s[1], s[2], 1, 0, 0}
		a, b, _ := inputs[float32](p, 5)
		var c [2][]float32
		for i, set := range []isa{isaAVX2, isaAVX512} {
			current = set
			c[i] = make([]float32, 2*s[0]*s[1])
			GemmParts(2, 0, s[0], s[1], s[2], a.s, a.stride, b.s, b.stride, c[i])
		}
		if !sameBits(c[0], c[1]) {
			t.Errorf("%v: AVX2 and AVX-512 have different bits", s)
		}
	}
}

func TestGemmPartsAllocates(t *testing.T) {
	withThreads(t, 2)
	x, c := make([]float32, 500*160), make([]float32, 2*160*160)
	GemmParts(2, 0, 160, 160, 500, x, 160, x, 160, c) // threads that wake late make their buffers then
	check.NoAllocs(t, "products in parts", func() {
		GemmParts(1, 0, 160, 160, 500, x, 160, x, 160, c)
		GemmParts(1, 0, 3, 160, 100, x, 3, x, 160, c)
		SumParts(2, 160*160, c, c)
	})
}

func TestGemmPartsPanics(t *testing.T) {
	x := make([]float64, 60)
	for text, f := range map[string]func(){
		"parts = 0":                 func() { GemmParts(0, 0, 2, 3, 4, x, 2, x, 3, x) },
		"begun = -1":                func() { GemmParts(1, -1, 2, 3, 4, x, 2, x, 3, x) },
		"lda = 1, want at least":    func() { GemmParts(1, 0, 2, 3, 4, x, 1, x, 3, x) },
		"ldb = 2, want at least":    func() { GemmParts(1, 0, 2, 3, 4, x, 2, x, 2, x) },
		"len(b) = 11":               func() { GemmParts(1, 0, 2, 3, 4, x, 2, x[:11], 3, x) },
		"len(c) = 17, want at leas": func() { GemmParts(3, 0, 2, 3, 4, x, 2, x, 3, x[:17]) },
		"len(src) = 5":              func() { SumParts(2, 3, x[:5], x) },
		"len(dst) = 2":              func() { SumParts(2, 3, x, x[:2]) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "vec: ") || !strings.Contains(got, text) {
					t.Errorf("panic %q, want %q", got, text)
				}
			}()
			f()
		}()
	}
}
