package vec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// Row blocks of one product, on the calling goroutine: Gemm's bits, serial, and packed for any blocks.
func TestGemmRowBlocks(t *testing.T) { both(t, testRowBlocks[float32], testRowBlocks[float64]) }

func testRowBlocks[T Float](t *testing.T) {
	withThreads(t, 3)
	var packed Packed[T] // used again for every shape
	for _, s := range [][3]int{{300, 128, 128}, {65, 37, 300}, {130, 1, 128}, {70, 4, 70}, {70, 5, 1}, {200, 130, 2}, {20, 3, 2}, {0, 5, 5}, {9, 0, 5}, {9, 5, 0}} {
		for how := range 8 {
			p := product{how&1 != 0, how&2 != 0, s[0], s[1], s[2], 0.5, float64(how >> 2), how % 3}
			a, b, c := inputs[T](p, 7)
			want, serial, rows := c.clone(), c.clone(), c.clone()
			p.gemm(a, b, want)
			GemmSerial(p.transA, p.transB, p.m, p.n, p.k, 0.5, a.s, a.stride, b.s, b.stride, T(p.beta), serial.s, serial.stride)
			if !sameBits(serial.buf, want.buf) {
				t.Errorf("%v: GemmSerial has other bits", p)
			}
			if p.transA {
				continue
			}
			packed.Pack(p.transB, p.k, p.n, b.s, b.stride)
			for i, m := 0, 0; i < p.m; i += m {
				m = min(1+(i*7+3)%100, p.m-i)
				first := func(x matrix[T]) []T { return x.s[min(i*x.stride, len(x.s)):] }
				GemmPacked(m, 0.5, first(a), a.stride, &packed, T(p.beta), first(rows), rows.stride)
			}
			if !sameBits(rows.buf, want.buf) {
				t.Errorf("%v: row blocks by packed B have other bits", p)
			}
		}
	}
}

func TestGemmPackedAllocates(t *testing.T) {
	withThreads(t, 2)
	x, c := make([]float32, 128*128), make([]float32, 128*128)
	var p Packed[float32]
	check.NoAllocs(t, "packed product", func() {
		for _, transB := range []bool{false, true} {
			p.Pack(transB, 128, 128, x, 128)
			GemmPacked(128, 1, x, 128, &p, 0, c, 128)
			GemmSerial(transB, transB, 128, 3, 128, 1, x, 128, x, 128, 0, c, 3)
		}
		p.Pack(false, 128, 2, x, 2)
		GemmPacked(100, 1, x, 128, &p, 0, c, 2)
	})
}

func TestGemmPackedPanics(t *testing.T) {
	x := make([]float64, 100)
	var p, none Packed[float64]
	p.Pack(false, 5, 7, x, 7)
	for text, f := range map[string]func(){
		"nothing is packed":                   func() { GemmPacked(1, 1, x, 5, &none, 0, x, 7) },
		"m = -1":                              func() { GemmPacked(-1, 1, x, 5, &p, 0, x, 7) },
		"lda = 4, want at least":              func() { GemmPacked(2, 1, x, 4, &p, 0, x, 7) },
		"ldc = 6, want at least":              func() { GemmPacked(2, 1, x, 5, &p, 0, x, 6) },
		"len(a) = 9":                          func() { GemmPacked(2, 1, x[:9], 5, &p, 0, x, 7) },
		"len(c) = 13":                         func() { GemmPacked(2, 1, x, 5, &p, 0, x[:13], 7) },
		"len(b) = 34":                         func() { none.Pack(true, 5, 7, x[:34], 5) },
		"ldb = 4, want at least the row leng": func() { none.Pack(true, 5, 7, x, 4) },
		"k = -1":                              func() { none.Pack(true, -1, 7, x, 4) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "vec: Gemm") || !strings.Contains(got, text) {
					t.Errorf("panic %q, want %q", got, text)
				}
			}()
			f()
		}()
	}
}

// BenchmarkRowBlocks compares the ways to multiply row blocks of a large product, and the skinny ones with the
// memory's pace: a copy of as much as they read and write.
func BenchmarkRowBlocks(b *testing.B) {
	b.Run("float32", benchRowBlocks[float32])
	b.Run("float64", benchRowBlocks[float64])
}

func benchRowBlocks[T Float](b *testing.B) {
	const rows = 10000
	a, c := make([]T, rows*128), make([]T, rows*128)
	w := make([]T, 128*128)
	for i := range a {
		a[i] = T(i%7) - 3
	}
	for i := range w {
		w[i] = T(i%11) - 5
	}
	var packed Packed[T]
	for _, m := range []int{64, 128, 192, 256, 512} {
		for _, transB := range []bool{false, true} {
			name := fmt.Sprintf("%dx128x128 transB %t", m, transB)
			flops := 2 * m * 128 * 128
			benchISAs(b, name+"/serial", flops, func() { GemmSerial(false, transB, m, 128, 128, 1, a, 128, w, 128, 0, c, 128) })
			benchISAs(b, name+"/packed", flops, func() { GemmPacked(m, 1, a, 128, &packed, 0, c, 128) }, func() { packed.Pack(transB, 128, 128, w, 128) })
		}
	}
	benchISAs(b, "pack", 128*128, func() { packed.Pack(false, 128, 128, w, 128) })
	benchISAs(b, "pack transB", 128*128, func() { packed.Pack(true, 128, 128, w, 128) })
	for _, m := range []int{256, rows} {
		flops := 2 * m * 128
		benchISAs(b, fmt.Sprintf("%dx128 copied", m), flops, func() { copy(c[:m*128], a) })
		benchISAs(b, fmt.Sprintf("%dx128 filled", m), flops, func() { Fill(c[:m*128], 1) })
		benchISAs(b, fmt.Sprintf("%dx128 summed", m), flops, func() { Sum(a[:m*128]) })
		for _, s := range []struct {
			transA, transB bool
			m, n, k        int
		}{
			{false, false, m, 128, 1}, {false, false, m, 128, 2}, {false, false, m, 1, 128}, {false, false, m, 2, 128}, {false, true, m, 2, 128},
			{false, true, m, 128, 1}, {true, false, 128, 128, m}, {true, false, 2, 128, m}, {true, false, 128, 1, m}, {true, false, 1, 128, m},
		} {
			lda, ldb := s.k, s.n
			if s.transA {
				lda = s.m
			}
			if s.transB {
				ldb = s.k
			}
			x, y := a, w
			if s.k > 128 { // both are long
				y = c
			}
			z := make([]T, s.m*s.n)
			benchISAs(b, fmt.Sprintf("A%t B%t %dx%dx%d", s.transA, s.transB, s.m, s.n, s.k), 2*s.m*s.n*s.k,
				func() { GemmSerial(s.transA, s.transB, s.m, s.n, s.k, 1, x, lda, y, ldb, 0, z, s.n) })
		}
	}
}

func benchISAs(b *testing.B, name string, flops int, f func(), before ...func()) {
	for set := best; set > isaGo || set == best; set-- {
		b.Run(name+"/"+isaNames[set], func(b *testing.B) {
			defer func(old isa) { current = old }(current)
			current = set
			for _, f := range before {
				f()
			}
			benchBest(b, flops, f)
		})
	}
}
