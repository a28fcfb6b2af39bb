package nn

import (
	"fmt"
	"sync"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/vec"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MatMul adds the matrix product a b to the graph: (m, k), (k, n) -> (m, n).
//
// It is Gorgonia's Mul at about twice the speed for a few hundred rows (BenchmarkMatMul), with the same bits for any
// number of threads. Gonum multiplies by dot products where b comes transposed, and those run twice as fast as the
// sums of rows that it uses otherwise, so that transposing b first pays. Operands are only read, so that machines
// that share them may run at the same time.
func MatMul(a, b *G.Node) (*G.Node, error) {
	for i, n := range []*G.Node{a, b} {
		if err := checkTensor("MatMul", string("ab"[i]), n); err != nil {
			return nil, err
		}
	}
	if a.Dims() != 2 || b.Dims() != 2 || a.Shape()[1] != b.Shape()[0] {
		return nil, fmt.Errorf("nn: MatMul: shapes %v and %v, want (m, k) and (k, n)", a.Shape(), b.Shape())
	}
	if a.Dtype() != b.Dtype() {
		return nil, fmt.Errorf("nn: MatMul: types %v and %v, want one type", a.Dtype(), b.Dtype())
	}
	m, k, n := a.Shape()[0], a.Shape()[1], b.Shape()[1]
	return graphop.Apply(matMul{m: m, n: n, k: k}, a.Dtype(), tensor.Shape{m, n}, a, b)
}

// matMul is c = a b, a^T b or a b^T, (m, n) by an inner dimension k. The three are one another's gradients.
type matMul struct {
	transA, transB bool // not both
	m, n, k        int
}

// String implements graphop.Kernel.
func (o matMul) String() string {
	return fmt.Sprintf("nn.MatMul{transA=%v, transB=%v, m=%d, n=%d, k=%d}", o.transA, o.transB, o.m, o.n, o.k)
}

// Rules implements graphop.Kernel, with g for the gradient:
//
//	a b:    da = g b^T,  db = a^T g
//	a b^T:  da = g b,    db = g^T a
//	a^T b:  da = b g^T,  db = a g
func (o matMul) Rules() []*graphop.Rule {
	switch {
	case o.transB:
		return []*graphop.Rule{
			graphop.By(matMul{m: o.m, n: o.k, k: o.n}, graphop.Gradient, 1),
			graphop.By(matMul{transA: true, m: o.n, n: o.k, k: o.m}, graphop.Gradient, 0),
		}
	case o.transA:
		return []*graphop.Rule{
			graphop.By(matMul{transB: true, m: o.k, n: o.m, k: o.n}, 1, graphop.Gradient),
			graphop.By(matMul{m: o.k, n: o.n, k: o.m}, 0, graphop.Gradient),
		}
	}
	return []*graphop.Rule{
		graphop.By(matMul{transB: true, m: o.m, n: o.k, k: o.n}, graphop.Gradient, 1),
		graphop.By(matMul{transA: true, m: o.k, n: o.n, k: o.m}, 0, graphop.Gradient),
	}
}

// Run implements graphop.Kernel.
func (o matMul) Run(out any, in []any) {
	switch out := out.(type) {
	case []float32:
		runMatMul(o, out, in[0].([]float32), in[1].([]float32))
	case []float64:
		runMatMul(o, out, in[0].([]float64), in[1].([]float64))
	}
}

// Blocks of the product that one call of gonum computes: rows small enough to share out, columns such that their part
// of the transposed b stays in the first-level cache. They do not depend on the number of threads, and are too small
// for gonum to start threads of its own.
const (
	blockRows = 32
	blockCols = 64
)

func runMatMul[T vec.Float](o matMul, c, a, b []T) {
	pool := matMulPool[T]()
	j := pool.Get().(*matMulJob[T])
	j.matMul, j.c = o, c
	if j.a = a; o.transA {
		j.a = transposed(&j.bufA, a, o.k, o.m)
	}
	// Dot products of a few numbers cost more than their calls, and for a few rows of c transposing b does not pay.
	j.dots = o.k >= 16 && (o.transB || o.m >= 16)
	switch j.b = b; {
	case j.dots && !o.transB:
		j.b = transposed(&j.bufB, b, o.k, o.n)
	case !j.dots && o.transB:
		j.b = transposed(&j.bufB, b, o.n, o.k)
	}
	const grain = 1 << 16 // multiplications worth a thread
	vec.Parallel((o.m+blockRows-1)/blockRows, grain/(blockRows*max(1, o.n*o.k))+1, j)
	j.a, j.b, j.c = nil, nil, nil
	pool.Put(j)
}

// matMulJob is one product, shared out by blocks of rows. a is (m, k); b is (n, k) for dot products, else (k, n).
type matMulJob[T vec.Float] struct {
	matMul
	dots       bool
	a, b, c    []T
	bufA, bufB []T
}

var (
	matMulJobs32 = sync.Pool{New: func() any { return new(matMulJob[float32]) }}
	matMulJobs64 = sync.Pool{New: func() any { return new(matMulJob[float64]) }}
)

func matMulPool[T vec.Float]() *sync.Pool {
	if isSingle[T]() {
		return &matMulJobs32
	}
	return &matMulJobs64
}

// Run implements vec.Job over blocks of rows.
func (j *matMulJob[T]) Run(lo, hi int) {
	for block := lo; block < hi; block++ {
		row := block * blockRows
		rows := min(blockRows, j.m-row)
		for col := 0; col < j.n; col += blockCols {
			cols := min(blockCols, j.n-col)
			c := j.c[row*j.n+col:]
			if j.dots {
				gemm(blas.Trans, rows, cols, j.k, j.a[row*j.k:], j.k, j.b[col*j.k:], j.k, c, j.n)
			} else {
				gemm(blas.NoTrans, rows, cols, j.k, j.a[row*j.k:], j.k, j.b[col:], j.n, c, j.n)
			}
		}
	}
}

// gemm is c = a b or a b^T, with the strides of their rows.
func gemm[T vec.Float](transB blas.Transpose, m, n, k int, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	switch a := any(a).(type) {
	case []float32:
		b, c := any(b).([]float32), any(c).([]float32)
		gonum.Implementation{}.Sgemm(blas.NoTrans, transB, m, n, k, 1, a, lda, b, ldb, 0, c, ldc)
	case []float64:
		b, c := any(b).([]float64), any(c).([]float64)
		gonum.Implementation{}.Dgemm(blas.NoTrans, transB, m, n, k, 1, a, lda, b, ldb, 0, c, ldc)
	}
}

// transposed returns the transpose of src, (rows, cols), in memory that buf keeps.
func transposed[T vec.Float](buf *[]T, src []T, rows, cols int) []T {
	if cap(*buf) < len(src) {
		*buf = make([]T, len(src))
	}
	dst := (*buf)[:len(src)]
	const tile = 16 // of both, within the first-level cache
	for i0 := 0; i0 < rows; i0 += tile {
		for j0 := 0; j0 < cols; j0 += tile {
			for i := i0; i < min(i0+tile, rows); i++ {
				row := src[i*cols : (i+1)*cols]
				for j := j0; j < min(j0+tile, cols); j++ {
					dst[j*rows+i] = row[j]
				}
			}
		}
	}
	return dst
}
