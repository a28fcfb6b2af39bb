package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// product is a case of Gemm: sizes, and by how much the strides exceed the rows.
type product struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float64
	pad            int
}

func (p product) String() string {
	return fmt.Sprintf("A%t B%t %dx%dx%d alpha %v beta %v pad %d", p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.beta, p.pad)
}

// matrix is a matrix within a larger buffer: what is not the matrix's holds fill, before, between and behind its rows.
type matrix[T Float] struct {
	rows, cols, stride int
	buf, s             []T
	fill               T
}

func newMatrix[T Float](r *rand.Rand, rows, cols, pad int, fill T) matrix[T] {
	const band = 40
	x := matrix[T]{rows: rows, cols: cols, stride: max(cols+pad, 1), fill: fill}
	n := 0
	if rows > 0 && cols > 0 {
		n = (rows-1)*x.stride + cols
	}
	x.buf = make([]T, n+2*band)
	for i := range x.buf {
		x.buf[i] = fill
	}
	x.s = x.buf[band : band+n : band+n]
	for i := range rows {
		for j := range cols {
			x.s[i*x.stride+j] = T(r.NormFloat64())
		}
	}
	return x
}

// untouched reports whether all that is not the matrix's holds fill yet.
func (x matrix[T]) untouched() bool {
	for i, v := range x.buf {
		at := i - (len(x.buf)-len(x.s))/2
		if at >= 0 && at < len(x.s) && at%x.stride < x.cols {
			continue
		}
		if v != x.fill && (v == v || x.fill == x.fill) {
			return false
		}
	}
	return true
}

func (x matrix[T]) clone() matrix[T] {
	y := x
	y.buf = append([]T(nil), x.buf...)
	lo := (len(x.buf) - len(x.s)) / 2
	y.s = y.buf[lo : lo+len(x.s) : lo+len(x.s)]
	return y
}

// inputs makes A, B and C of a case. A and B lie in NaN, C in a number; with beta = 0 C is NaN itself.
func inputs[T Float](p product, seed uint64) (a, b, c matrix[T]) {
	r := rand.New(rand.NewPCG(seed, 1))
	nan := T(math.NaN())
	rows, cols := p.m, p.k
	if p.transA {
		rows, cols = cols, rows
	}
	a = newMatrix(r, rows, cols, p.pad, nan)
	rows, cols = p.k, p.n
	if p.transB {
		rows, cols = cols, rows
	}
	b = newMatrix(r, rows, cols, p.pad, nan)
	c = newMatrix(r, p.m, p.n, p.pad, T(-12345.678))
	if p.beta == 0 {
		for i := range c.rows {
			for j := range c.cols {
				c.s[i*c.stride+j] = nan
			}
		}
	}
	return a, b, c
}

// reference is Gemm's loop in float64, with the error that sums of k products in T may have.
func reference[T Float](p product, a, b, c matrix[T]) (want, tol []float64) {
	eps := 0x1p-24
	if _, ok := any(T(0)).(float64); ok {
		eps = 0x1p-53
	}
	want, tol = make([]float64, p.m*p.n), make([]float64, p.m*p.n)
	for i := range p.m {
		for l := range p.k {
			x := i*a.stride + l
			if p.transA {
				x = l*a.stride + i
			}
			for j := range p.n {
				y := l*b.stride + j
				if p.transB {
					y = j*b.stride + l
				}
				v := p.alpha * (float64(a.s[x]) * float64(b.s[y]))
				want[i*p.n+j] += v
				tol[i*p.n+j] += math.Abs(v)
			}
		}
		for j := range p.n {
			if p.beta != 0 {
				v := p.beta * float64(c.s[i*c.stride+j])
				want[i*p.n+j] += v
				tol[i*p.n+j] += math.Abs(v)
			}
			// Each of k products and sums is rounded, then alpha, beta and their sum; float64's own reference errs as much again.
			tol[i*p.n+j] *= 2 * float64(p.k+4) * eps
		}
	}
	return want, tol
}

func (p product) gemm(a, b, c any) {
	switch a := a.(type) {
	case matrix[float32]:
		b, c := b.(matrix[float32]), c.(matrix[float32])
		Gemm(p.transA, p.transB, p.m, p.n, p.k, float32(p.alpha), a.s, a.stride, b.s, b.stride, float32(p.beta), c.s, c.stride)
	case matrix[float64]:
		b, c := b.(matrix[float64]), c.(matrix[float64])
		Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, a.s, a.stride, b.s, b.stride, p.beta, c.s, c.stride)
	}
}

// run checks one case with every instruction set that there is.
func run[T Float](t *testing.T, p product) {
	t.Helper()
	a, b, c := inputs[T](p, uint64(p.m*1000003+p.n*1009+p.k))
	want, tol := reference(p, a, b, c)
	defer func(old isa) { current = old }(current)
	for current = isaGo; current <= best; current++ {
		runOne(t, p, a.clone(), b.clone(), c.clone(), want, tol)
	}
}

func runOne[T Float](t *testing.T, p product, a, b, c matrix[T], want, tol []float64) {
	t.Helper()
	a0, b0 := a.clone(), b.clone()
	p.gemm(a, b, c)
	if !c.untouched() {
		t.Fatalf("%v, %s: written outside C", p, ISA())
	}
	if !sameBits(a.buf, a0.buf) || !sameBits(b.buf, b0.buf) {
		t.Fatalf("%v, %s: an input was written to", p, ISA())
	}
	for i := range p.m {
		for j := range p.n {
			got := float64(c.s[i*c.stride+j])
			if d := math.Abs(got - want[i*p.n+j]); !(d <= tol[i*p.n+j]) {
				t.Fatalf("%v, %s: element (%d, %d) is %v, want %v +- %.2g", p, ISA(), i, j, got, want[i*p.n+j], tol[i*p.n+j])
			}
		}
	}
}

// sameBits also holds NaN equal to itself, and -0 apart from 0.
func sameBits[T Float](a, b []T) bool {
	for i := range a {
		if math.Float64bits(float64(a[i])) != math.Float64bits(float64(b[i])) {
			return false
		}
	}
	return len(a) == len(b)
}

// both runs a test for the two element types and every instruction set.
func both(t *testing.T, single, double func(t *testing.T)) {
	t.Run("float32", func(t *testing.T) { eachISA(t, single) })
	t.Run("float64", func(t *testing.T) { eachISA(t, double) })
}

func TestGemmShapes(t *testing.T) {
	t.Run("float32", testShapes[float32])
	t.Run("float64", testShapes[float64])
}

// testShapes takes every combination of small sizes, and then sizes on both sides of every block's border.
func testShapes[T Float](t *testing.T) {
	transposes := func(f func(transA, transB bool)) {
		f(false, false)
		f(false, true)
		f(true, false)
		f(true, true)
	}
	small := []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 17}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(s []float64) float64 { return s[r.IntN(len(s))] }
	transposes(func(transA, transB bool) {
		for _, m := range small {
			for _, n := range small {
				for _, k := range small {
					run[T](t, product{transA, transB, m, n, k, pick([]float64{1, -1, 0.5}), pick([]float64{0, 0, 1, -2.5}), r.IntN(4)})
				}
			}
		}
	})
	// Around the panels (6, 14 rows), the strips (4 to 64 columns), the tiles (4, 8), fewDots, fewCols, directRows, depth,
	// rowBlock, longTerms, longParts; the shapes of the energy nets.
	shapes := [][3]int{
		{1, 128, 128}, {1, 130, 300}, {2, 64, 33}, {6, 64, 40}, {6, 65, 257}, {7, 63, 12}, {14, 32, 5}, {15, 33, 65}, {28, 31, 256},
		{29, 48, 255}, {13, 16, 257}, {4, 100, 31}, {5, 100, 32}, {100, 2, 128}, {100, 128, 2}, {100, 128, 128}, {100, 1, 128},
		{128, 1, 300}, {2, 128, 300}, {128, 128, 300}, {128, 1, 1030}, {2, 128, 1030}, {129, 65, 520}, {255, 20, 64},
		{257, 20, 17}, {300, 3, 70}, {300, 4, 15}, {300, 5, 16}, {300, 8, 9}, {300, 9, 9}, {64, 65, 511}, {64, 65, 513},
		{2, 128, 2100}, {128, 1, 2500}, {40, 50, 2100}, {5, 7, 4 * longTerms}, {9, 5, longParts*longTerms + 100}, {513, 40, 30}, {520, 33, 290}, {70, 1, 1}, {1, 70, 1}, {70, 71, 1}, {1, 1, 700},
	}
	for i, s := range shapes {
		transposes(func(transA, transB bool) {
			run[T](t, product{transA, transB, s[0], s[1], s[2], 1, 0, 0})
			run[T](t, product{transA, transB, s[0], s[1], s[2], 1, 0, 2})
			run[T](t, product{transA, transB, s[0], s[1], s[2], -0.75, 1.5, i%3 + 1})
		})
	}
}

// More columns and more of k than are packed at a time, and the same bits as if they were not.
func TestGemmPacksPartly(t *testing.T) {
	defer func(old int) { packLimit = old }(packLimit)
	for _, limit := range []int{depth, 5000, 20000} {
		testPacksPartly[float32](t, limit)
		testPacksPartly[float64](t, limit)
	}
}

func testPacksPartly[T Float](t *testing.T, limit int) {
	for i, s := range [][3]int{{7, 37, 300}, {20, 100, 40}, {closeRows + 3, 45, 700}} {
		p := product{false, i == 1, s[0], s[1], s[2], 1, 0.5, 1}
		packLimit = limit
		run[T](t, p)
		a, b, c := inputs[T](p, 3)
		c2 := c.clone()
		p.gemm(a, b, c)
		packLimit = 1 << 20
		p.gemm(a, b, c2)
		if !sameBits(c.buf, c2.buf) {
			t.Errorf("%v: other bits with %d elements packed at a time", p, limit)
		}
	}
}

// Packed columns that are far away are multiplied by large blocks of rows: the same bits for any number of threads, and as
// if they were near.
func TestGemmFar(t *testing.T) {
	t.Run("float32", testFar[float32])
	t.Run("float64", testFar[float64])
}

func testFar[T Float](t *testing.T) {
	defer func(old int) { nearBytes = old }(nearBytes)
	for i, s := range [][3]int{{directRows + 3, 600, 300}, {700, 140, 30}, {closeRows + 300, 200, 520}} {
		p := product{false, i == 1, s[0], s[1], s[2], 1, 0.5, 1}
		nearBytes = 1 << 20
		a, b, want := inputs[T](p, 3)
		start := want.clone()
		p.gemm(a, b, want)
		nearBytes = 1
		run[T](t, p)
		for _, threads := range []int{1, 2, 3} {
			withThreads(t, threads)
			c := start.clone()
			p.gemm(a, b, c)
			if !sameBits(c.buf, want.buf) {
				t.Errorf("%v, %d threads: other bits than of near columns", p, threads)
			}
		}
	}
}

// Any alpha and beta, the special ones too.
func TestGemmAlphaBeta(t *testing.T) {
	t.Run("float32", testAlphaBeta[float32])
	t.Run("float64", testAlphaBeta[float64])
}

func testAlphaBeta[T Float](t *testing.T) {
	for _, s := range [][3]int{{20, 37, 9}, {3, 70, 300}, {30, 2, 40}, {40, 3, 40}, {20, 33, 600}} {
		for _, transA := range []bool{false, true} {
			for _, alpha := range []float64{0, 1, -1, 0.3} {
				for _, beta := range []float64{0, math.Copysign(0, -1), 1, -1, 0.7} {
					run[T](t, product{transA, false, s[0], s[1], s[2], alpha, beta, 2})
					run[T](t, product{transA, true, s[0], s[1], s[2], alpha, beta, 0})
				}
			}
		}
	}
	eachISA(t, testNaN[T])
}

// testNaN sees that NaN comes through, from A and from beta.
func testNaN[T Float](t *testing.T) {
	nan := math.NaN()
	for _, s := range [][3]int{{20, 37, 9}, {3, 70, 300}, {30, 2, 40}, {40, 3, 40}} {
		for _, transA := range []bool{false, true} {
			p := product{transA, false, s[0], s[1], s[2], 1, 0, 0}
			a, b, c := inputs[T](p, 1)
			a.s[0] = T(nan)
			p.gemm(a, b, c)
			for i, v := range c.s {
				if (v != v) != (i < p.n) {
					t.Fatalf("%v with NaN in A(0, 0): element %d of C is %v", p, i, v)
				}
			}
			p.beta = nan
			a, b, c = inputs[T](p, 1)
			p.gemm(a, b, c)
			for i, v := range c.s {
				if v == v {
					t.Fatalf("%v: element %d of C is %v", p, i, v)
				}
			}
		}
	}
}

// alpha = 0 and k = 0 read neither A nor B.
func TestGemmReadsNothing(t *testing.T) {
	c := []float64{1, 2, 3, math.NaN()}
	Gemm(false, false, 1, 3, 5, 0, nil, 5, nil, 3, 2, c, 3)
	check.Close(t, "alpha = 0", c[:3], []float64{2, 4, 6}, 0)
	Gemm(false, false, 2, 2, 0, 1, nil, 0, nil, 2, 0, c, 2)
	check.Close(t, "k = 0", c, []float64{0, 0, 0, 0}, 0)
}

func TestGemmSameBits(t *testing.T) {
	t.Run("float32", testSameBits[float32])
	t.Run("float64", testSameBits[float64])
}

// testSameBits compares threads with one, and AVX-512 with AVX2.
func testSameBits[T Float](t *testing.T) {
	defer SetThreads(SetThreads(1))
	defer func(old isa) { current = old }(current)
	for _, s := range [][3]int{{500, 128, 128}, {64, 70, 3000}, {2, 128, 5000}, {5000, 1, 128}, {128, 1, 5000}, {3000, 2, 64}, {157, 300, 400},
		{4, 500, 600}, {500, 20, 256}, {1000, 128, 2}} {
		for i := range 4 {
			p := product{i&1 != 0, i&2 != 0, s[0], s[1], s[2], 0.5, 1, 1}
			a, b, c := inputs[T](p, 7)
			var vector matrix[T]
			for set := best; set >= isaGo; set-- {
				current = set
				SetThreads(1)
				want := c.clone()
				p.gemm(a, b, want)
				for _, threads := range []int{2, 3, 8} {
					SetThreads(threads)
					got := c.clone()
					p.gemm(a, b, got)
					if !sameBits(got.buf, want.buf) {
						t.Errorf("%v, %s: other bits with %d threads", p, ISA(), threads)
					}
				}
				if set == isaAVX512 {
					vector = want
				}
				if set == isaAVX2 && best == isaAVX512 && !sameBits(vector.buf, want.buf) {
					t.Errorf("%v: other bits with AVX2 than with AVX-512", p)
				}
			}
		}
	}
}

func TestGemmAllocates(t *testing.T) {
	for _, threads := range []int{1, 4} {
		withThreads(t, threads)
		eachISA(t, func(t *testing.T) {
			for _, s := range [][3]int{{100, 64, 128}, {64, 65, 300}, {2, 128, 600}, {300, 1, 128}, {128, 3, 600}, {3, 100, 20}} {
				for i := range 4 {
					p := product{i&1 != 0, i&2 != 0, s[0], s[1], s[2], 0.5, 1, 1}
					a, b, c := inputs[float32](p, 7)
					check.NoAllocs(t, p.String(), func() {
						Gemm(p.transA, p.transB, p.m, p.n, p.k, 0.5, a.s, a.stride, b.s, b.stride, 1, c.s, c.stride)
					})
				}
			}
		})
	}
}

// Products from many goroutines at once, with scratch memory of very different sizes.
func TestGemmConcurrent(t *testing.T) {
	withThreads(t, 4)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 6 {
				p := product{i&1 != 0, i&2 != 0, 1 + 37*i, 1 + 50*j, 1 + 90*((i+j)%7), 1, 1, 1}
				a, b, c := inputs[float32](p, 5)
				want, tol := reference(p, a, b, c)
				runOne(t, p, a, b, c, want, tol)
			}
		})
	}
	all.Wait()
}

func TestGemmPanics(t *testing.T) {
	x := make([]float32, 100)
	for _, c := range []struct {
		transA, transB   bool
		m, n, k          int
		lda, ldb, ldc    int
		lenA, lenB, lenC int
		text             string
	}{
		{false, false, -1, 2, 3, 3, 2, 2, 9, 9, 9, "m = -1, want at least 0"},
		{false, false, 1, -2, 3, 3, 2, 2, 9, 9, 9, "n = -2, want at least 0"},
		{false, false, 1, 2, -3, 3, 2, 2, 9, 9, 9, "k = -3, want at least 0"},
		{false, false, 2, 3, 4, 3, 3, 3, 99, 99, 99, "lda = 3, want at least the row length 4"},
		{true, false, 5, 3, 4, 4, 3, 3, 99, 99, 99, "lda = 4, want at least the row length 5"},
		{false, false, 2, 3, 4, 4, 2, 3, 99, 99, 99, "ldb = 2, want at least the row length 3"},
		{false, true, 2, 3, 4, 4, 3, 3, 99, 99, 99, "ldb = 3, want at least the row length 4"},
		{false, false, 2, 3, 4, 4, 3, 2, 99, 99, 99, "ldc = 2, want at least the row length 3"},
		{false, false, 2, 3, 4, 5, 3, 3, 8, 12, 6, "len(a) = 8, want at least (2-1)*lda + 4"},
		{true, false, 2, 3, 4, 2, 3, 3, 7, 12, 6, "len(a) = 7, want at least (4-1)*lda + 2"},
		{false, false, 2, 3, 4, 4, 3, 3, 8, 11, 6, "len(b) = 11, want at least (4-1)*ldb + 3"},
		{false, true, 2, 3, 4, 4, 5, 3, 8, 13, 6, "len(b) = 13, want at least (3-1)*ldb + 4"},
		{false, false, 2, 3, 4, 4, 3, 4, 8, 12, 6, "len(c) = 6, want at least (2-1)*ldc + 3"},
		{false, false, 3, 3, 4, math.MaxInt / 2, 3, 3, 99, 99, 99, "len(a) = 99"},
		{false, false, 5, 3, 4, math.MaxInt, 3, 3, 99, 99, 99, "len(a) = 99"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "vec: Gemm: ") || !strings.Contains(got, c.text) {
					t.Errorf("panic %q, want %q", got, c.text)
				}
			}()
			Gemm(c.transA, c.transB, c.m, c.n, c.k, 1, x[:c.lenA], c.lda, x[:c.lenB], c.ldb, 0, x[:c.lenC], c.ldc)
		}()
	}
}

func FuzzGemm(f *testing.F) {
	f.Add(uint16(3), uint16(5), uint16(7), uint8(0), uint8(0))
	f.Add(uint16(128), uint16(1), uint16(600), uint8(5), uint8(1))
	f.Fuzz(func(t *testing.T, m, n, k uint16, how, pad uint8) {
		p := product{how&1 != 0, how&2 != 0, int(m % 600), int(n % 300), int(k % 700), 1.5, float64(how >> 2 & 1), int(pad % 20)}
		if p.m*p.n*p.k > 1<<22 {
			p.m %= 30
		}
		run[float32](t, p)
		run[float64](t, p)
	})
}
