package vec

import (
	"fmt"
	"unsafe"
)

// Packed is op(B), (k,n), as products read it: many products with one B, of row blocks of one A, pack it once. The
// zero value is ready for Pack, which uses its memory again.
type Packed[T Float] struct {
	kern *gemmKernels[T]
	k, n int
	buf  []T
	data []T // strips, or rows of k if dots are to run along them
}

// Reserve makes room for one op(B), (k,n), so that Pack need not. What p holds is lost.
func (p *Packed[T]) Reserve(k, n int) {
	p.kern, p.data = nil, nil
	size := n * k
	if n > fewDots {
		size = k * (&gemmJob[T]{kern: gemmKernelsOf[T](), nb: n}).padded()
	}
	aligned(&p.buf, size)
}

// Bytes is the size of p's memory.
func (p *Packed[T]) Bytes() int {
	var t T
	return cap(p.buf) * int(unsafe.Sizeof(t))
}

// Pack copies op(B), (k,n): B is stored (k,n), or (n,k) with transB, its rows ldb elements apart. It panics as Gemm
// does, and allocates only if p has never had room for so much. Products that read p must not be under way.
func (p *Packed[T]) Pack(transB bool, k, n int, b []T, ldb int) {
	checkGemm(false, transB, 1, n, k, k, k, len(b), ldb, n, n, false)
	p.kern, p.k, p.n, p.data = gemmKernelsOf[T](), k, n, nil
	if k == 0 || n == 0 {
		return
	}
	g := gemmJobs[T]().get()
	g.kern, g.n, g.k, g.ks, g.b, g.ldb, g.transB, g.nb, g.kb = p.kern, n, k, 1, b, ldb, transB, n, k
	if n <= fewDots {
		p.data = aligned(&p.buf, n*k)
		for j := range n {
			if row := p.data[j*k:][:k]; transB {
				copy(row, b[j*ldb:])
			} else {
				Gather(row, b[j:], ldb)
			}
		}
	} else {
		p.data = aligned(&p.buf, k*g.padded())
		g.packed = p.data
		Parallel(g.strips(), 1<<16/(k*p.kern.main.cols)+1, (*packJob[T])(g))
	}
	g.release()
}

// GemmPacked is C = alpha*A*op(B) + beta*C for A, (m,k), and packed B, on the calling goroutine alone; the rest is as
// in Gemm. The bits of a row of C depend on that row of A and on B alone, on neither m nor the other rows. They are
// Gemm's for k < 800, but for m <= 4 with transB. Many goroutines may multiply by the same B at once.
func GemmPacked[T Float](m int, alpha T, a []T, lda int, b *Packed[T], beta T, c []T, ldc int) {
	GemmPackedNext(m, 0, [2][]T{}, alpha, a, lda, b, beta, c, ldc)
}

// GemmPackedNext is GemmPacked, which meanwhile brings nearer what the caller needs next: so many rows of A behind the m
// and, of soon, arrays (m,n) that are not nil.
func GemmPackedNext[T Float](m, next int, soon [2][]T, alpha T, a []T, lda int, b *Packed[T], beta T, c []T, ldc int) {
	if b.kern == nil {
		panic("vec: GemmPacked: nothing is packed")
	}
	if m < 0 {
		panic(fmt.Sprintf("vec: GemmPacked: m = %d, want at least 0", m))
	}
	if alpha != 0 {
		checkMatrix("a", m, b.k, "lda", lda, len(a))
	}
	checkMatrix("c", m, b.n, "ldc", ldc, len(c))
	if m == 0 || b.n == 0 {
		return
	}
	if b.k == 0 || alpha == 0 {
		scaleRows(m, b.n, beta, c, ldc)
		return
	}
	// On the stack: what threads share they wait for.
	g := gemmJob[T]{
		kern: b.kern, m: m, n: b.n, k: b.k, alpha: alpha, beta: beta, a: a, rs: lda, ks: 1, c: c, ldc: ldc,
		nb: b.n, kb: b.k, serial: true, more: next, soon: soon,
	}
	if b.n <= fewDots {
		g.b, g.ldb, g.transB, g.ci, g.cj = b.data, b.k, true, ldc, 1
		(*dotJob[T])(&g).Run(0, m)
		return
	}
	g.packed = b.data
	(*rowJob[T])(&g).Run(0, (m+g.kern.main.rows-1)/g.kern.main.rows)
}
