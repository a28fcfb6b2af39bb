package vec

import (
	"fmt"
	"math/bits"
)

// Gemm computes C = alpha*op(A)*op(B) + beta*C for row-major matrices, where op(X) is X or its transpose:
//
//	for i := range m { for j := range n {
//		sum := 0.0
//		for l := range k { sum += opA(i, l) * opB(l, j) }
//		c[i*ldc+j] = alpha*sum + beta*c[i*ldc+j]
//	}}
//
//	opA(i, l) = a[i*lda+l], or a[l*lda+i] with transA: A is stored (m,k), or (k,m)
//	opB(l, j) = b[l*ldb+j], or b[j*ldb+l] with transB: B is stored (k,n), or (n,k)
//
// With beta = 0 whatever C holds is overwritten, NaN too. With alpha = 0 or k = 0 neither A nor B is read and C is
// multiplied by beta. m, n and k may be 0. The strides lda, ldb and ldc count elements and are at least as long as the
// stored rows; elements between the rows of C are left alone. C must not overlap A or B.
//
// The sums are in T, split in blocks of k alone: the result has the same bits for any number of threads, and for
// AVX-512 as for AVX2 (both with fused multiply-adds; plain Go rounds each product). A call allocates nothing in the
// steady state, may come from several goroutines and from within a Job.
func Gemm[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	multiply(false, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// GemmSerial is Gemm, to the bit, on the calling goroutine alone: for callers that are parallel themselves. Which sums
// are split, and so their bits, depends on m too for k >= 800, with transA, and with transB for m <= 4.
func GemmSerial[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	multiply(true, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

func multiply[T Float](serial, transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	checkGemm(transA, transB, m, n, k, len(a), lda, len(b), ldb, len(c), ldc, alpha == 0)
	if m == 0 || n == 0 {
		return
	}
	if k == 0 || alpha == 0 {
		scaleRows(m, n, beta, c, ldc)
		return
	}
	g := gemmJobs[T]().get()
	*g = gemmJob[T]{
		kern: gemmKernelsOf[T](), m: m, n: n, k: k, alpha: alpha, beta: beta,
		a: a, rs: lda, ks: 1, b: b, ldb: ldb, transB: transB, c: c, ldc: ldc, scratch: g.scratch, serial: serial,
	}
	if transA {
		g.rs, g.ks = 1, lda
	}
	g.run()
	g.release()
}

// checkGemm panics if a size is negative, a stride shorter than a row or a slice shorter than its matrix.
func checkGemm(transA, transB bool, m, n, k, lenA, lda, lenB, ldb, lenC, ldc int, onlyC bool) {
	for _, s := range [...]struct {
		name string
		v    int
	}{{"m", m}, {"n", n}, {"k", k}} {
		if s.v < 0 {
			panic(fmt.Sprintf("vec: Gemm: %s = %d, want at least 0", s.name, s.v))
		}
	}
	rows, cols := m, k
	if transA {
		rows, cols = k, m
	}
	if !onlyC {
		checkMatrix("a", rows, cols, "lda", lda, lenA)
		rows, cols = k, n
		if transB {
			rows, cols = n, k
		}
		checkMatrix("b", rows, cols, "ldb", ldb, lenB)
	}
	checkMatrix("c", m, n, "ldc", ldc, lenC)
}

func checkMatrix(name string, rows, cols int, strideName string, stride, length int) {
	if stride < cols {
		panic(fmt.Sprintf("vec: Gemm: %s = %d, want at least the row length %d", strideName, stride, cols))
	}
	if rows == 0 || cols == 0 {
		return
	}
	hi, need := bits.Mul(uint(rows-1), uint(stride))
	need += uint(cols)
	if hi != 0 || need > uint(length) {
		panic(fmt.Sprintf("vec: Gemm: len(%s) = %d, want at least (%d-1)*%s + %d for %d x %d with %s = %d",
			name, length, rows, strideName, cols, rows, cols, strideName, stride))
	}
}

// scaleRows is C = beta*C.
func scaleRows[T Float](m, n int, beta T, c []T, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= beta
		}
	}
}
