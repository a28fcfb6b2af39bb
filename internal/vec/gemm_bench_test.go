package vec

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// The products of an energy net 2-128-128-128-1 over many points, forward and backward, and some others.
var benchProducts = []struct {
	name           string
	transA, transB bool
	m, n, k        int
}{
	{"first layer, 100", false, false, 100, 128, 2},
	{"first layer, 1000", false, false, 1000, 128, 2},
	{"first layer, 10000", false, false, 10000, 128, 2},
	{"layer, 1", false, false, 1, 128, 128},
	{"layer, 10", false, false, 10, 128, 128},
	{"layer, 20", false, false, 20, 128, 128},
	{"layer, 40", false, false, 40, 128, 128},
	{"layer, 100", false, false, 100, 128, 128},
	{"layer, 1000", false, false, 1000, 128, 128},
	{"300x128x128", false, false, 300, 128, 128},
	{"300x256x256", false, false, 300, 256, 256},
	{"300x512x512", false, false, 300, 512, 512},
	{"300x1024x256", false, false, 300, 1024, 256},
	{"300x200x200", false, false, 300, 200, 200},
	{"layer, 10000", false, false, 10000, 128, 128},
	{"last layer, 100", false, false, 100, 1, 128},
	{"last layer, 10000", false, false, 10000, 1, 128},
	{"layer backward, 100", false, true, 100, 128, 128},
	{"layer backward, 10000", false, true, 10000, 128, 128},
	{"first layer backward, 10000", false, true, 10000, 2, 128},
	{"last layer backward, 10000", false, true, 10000, 128, 1},
	{"weights, 100", true, false, 128, 128, 100},
	{"weights, 250", true, false, 128, 128, 250},
	{"weights, 1000", true, false, 128, 128, 1000},
	{"weights, 10000", true, false, 128, 128, 10000},
	{"first weights, 10000", true, false, 2, 128, 10000},
	{"last weights, 10000", true, false, 128, 1, 10000},
	{"1000x256x20", false, false, 1000, 20, 256},
	{"1000x256x256", false, false, 1000, 256, 256},
	{"1024 cubed", false, false, 1024, 1024, 1024},
	{"1024 cubed, both transposed", true, true, 1024, 1024, 1024},
}

func BenchmarkGemm(b *testing.B) {
	b.Run("float32", benchGemm[float32])
	b.Run("float64", benchGemm[float64])
}

func benchGemm[T Float](b *testing.B) {
	for _, p := range benchProducts {
		lda, ldb := p.k, p.n
		if p.transA {
			lda = p.m
		}
		if p.transB {
			ldb = p.k
		}
		x, y, c := make([]T, p.m*p.k), make([]T, p.k*p.n), make([]T, p.m*p.n)
		for i := range x {
			x[i] = T(i%7) - 3.1
		}
		for i := range y {
			y[i] = T(i%11) - 5.1
		}
		flops := 2 * p.m * p.n * p.k
		for set := best; set > isaGo || set == best; set-- {
			b.Run(fmt.Sprintf("%s/%s", p.name, isaNames[set]), func(b *testing.B) {
				defer func(old isa) { current = old }(current)
				current = set
				benchBest(b, flops, func() { Gemm(p.transA, p.transB, p.m, p.n, p.k, 1, x, lda, y, ldb, 0, c, p.n) })
			})
		}
		b.Run(fmt.Sprintf("%s/gonum", p.name), func(b *testing.B) {
			trans := map[bool]blas.Transpose{false: blas.NoTrans, true: blas.Trans}
			tA, tB := trans[p.transA], trans[p.transB]
			benchBest(b, flops, func() {
				switch x := any(x).(type) {
				case []float32:
					y, c := any(y).([]float32), any(c).([]float32)
					gonum.Implementation{}.Sgemm(tA, tB, p.m, p.n, p.k, 1, x, lda, y, ldb, 0, c, p.n)
				case []float64:
					y, c := any(y).([]float64), any(c).([]float64)
					gonum.Implementation{}.Dgemm(tA, tB, p.m, p.n, p.k, 1, x, lda, y, ldb, 0, c, p.n)
				}
			})
		})
	}
}

// now is a clock for short times.
var now = func() time.Duration { return time.Since(started) }

var started = time.Now()

// benchBest reports the rate of the fastest call too: what the machine does while nobody else is at work on it.
func benchBest(b *testing.B, flops int, f func()) {
	var all []time.Duration
	for b.Loop() {
		t := now()
		f()
		all = append(all, now()-t)
	}
	slices.Sort(all)
	fastest := all[0]
	if os.Getenv("CPUTIME") != "" {
		fastest = all[len(all)/2]
	}
	b.ReportMetric(float64(flops)/float64(fastest.Nanoseconds()), "GFLOP/s-best")
	b.ReportMetric(float64(fastest.Nanoseconds()), "ns-best")
}

// BenchmarkGemmLimit has the micro-kernel on all threads at once without anything to wait for, one column of A and one row
// of B again and again, and on a panel and a strip in the first-level cache: what no product can exceed, and what one may
// hope for.
func BenchmarkGemmLimit(b *testing.B) {
	const k = 256
	for set := best; set > isaGo; set-- {
		kern := &gemmSets32[set].main
		for _, c := range []struct {
			name   string
			rs, ks int
			bs     int
		}{{"registers", 0, 0, 0}, {"near cache", k, 1, kern.cols}} {
			b.Run(c.name+"/"+isaNames[set], func(b *testing.B) {
				j := &limitJob{kern: kern, k: k, rs: c.rs, ks: c.ks, bs: c.bs}
				benchBest(b, Threads()*limitRuns*2*kern.rows*kern.cols*k, func() { Parallel(Threads(), 1, j) })
			})
		}
	}
}

const limitRuns = 1000

type limitJob struct {
	kern          *strip[float32]
	k, rs, ks, bs int
}

func (j *limitJob) Run(lo, hi int) {
	s := j.kern
	var buf [3][]float32
	for i, n := range []int{s.rows * j.k, s.cols * j.k, s.rows * s.cols} {
		buf[i] = make([]float32, n+16)
	}
	a, b, c := aligned(&buf[0], s.rows*j.k), aligned(&buf[1], s.cols*j.k), aligned(&buf[2], s.rows*s.cols)
	for range (hi - lo) * limitRuns {
		s.run(s.rows, s.rows, j.k, &a[0], j.rs, j.ks, 0, &a[0], 0, &b[0], j.bs, &c[0], s.cols, s.cols, 1, 0)
	}
}
