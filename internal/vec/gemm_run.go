package vec

import (
	"sync"
	"unsafe"
)

// The sizes of the blocks and the limits between the ways. They do not depend on the number of threads, so neither do
// the sums.
const (
	depth    = 256 // of k in one block: a strip of B stays in the first-level cache
	rowBlock = 256 // of m: a block of A, rowBlock x depth, stays in the second-level cache

	fewDots  = 4   // columns of C, or rows: they are dot products if both operands run along k
	fewCols  = 8   // of C, with A transposed: C is computed transposed
	fewRows  = 6   // of C: B is read where it is
	longRows = 512 // of C at most, and
	long     = 2   // blocks of k at least: each thread packs its own columns of B, block by block

	worthwhile = 1 << 19 // multiplications that are worth another thread
)

// packLimit is the number of elements of B packed at a time, at least depth; tests lower it.
var packLimit = 1 << 20

// gemmJob is one product while it runs.
type gemmJob[T Float] struct {
	kern        *gemmKernels[T]
	m, n, k     int
	alpha, beta T
	a           []T
	rs, ks      int // opA(i, l) = a[i*rs+l*ks]
	b           []T
	ldb         int
	transB      bool
	c           []T
	ldc         int

	j0, l0, nb, kb int // of runBlocks: the columns j0.. < j0+nb and terms l0.. < l0+kb are packed
	ci, cj         int // of runDots: the strides of C along the rows and the vectors
	direct         bool
	packed         []T
	scratch        []T // what packed, or a transposed C, was cut from
}

// run takes the way that suits the shape.
func (g *gemmJob[T]) run() {
	few := g.m <= fewRows && !g.transB
	switch {
	case g.ks == 1 && g.n <= fewDots:
		g.ci, g.cj = g.ldc, 1
		g.gatherVectors()
		g.runDots()
	case g.transB && g.m <= fewDots && g.m < g.n:
		g.swap()
		g.ci, g.cj = 1, g.ldc
		g.gatherVectors()
		g.runDots()
	case g.ks != 1 && g.n <= fewCols && g.n < g.m:
		g.runSwapped()
	case few || g.m <= longRows && g.k > long*depth:
		g.direct = few
		g.runStrips()
	default:
		g.runBlocks()
	}
}

// parallel runs a job of n equal items.
func (g *gemmJob[T]) parallel(n int, job Job) {
	each := g.m * g.n * g.k / n
	Parallel(n, worthwhile/(each+1)+1, job)
}

// swap makes C' = op(B)' op(A)' of the product; the caller sees to C.
func (g *gemmJob[T]) swap() {
	a, lda, transA := g.a, g.ks, true
	if g.ks == 1 {
		lda, transA = g.rs, false
	}
	g.m, g.n, g.a, g.rs, g.ks = g.n, g.m, g.b, 1, g.ldb
	if g.transB {
		g.rs, g.ks = g.ldb, 1
	}
	g.b, g.ldb, g.transB = a, lda, !transA
}

// gatherVectors brings the n columns of op(B) to rows, unless they are.
func (g *gemmJob[T]) gatherVectors() {
	if g.transB || g.n == 1 && g.ldb == 1 {
		if g.n == 1 {
			g.ldb = g.k
		}
		return
	}
	v := aligned(&g.scratch, g.n*g.k)
	for j := range g.n {
		for l := range g.k {
			v[j*g.k+l] = g.b[l*g.ldb+j]
		}
	}
	g.b, g.ldb = v, g.k
}

// runDots multiplies the rows of A by n vectors, b[j*ldb:].
func (g *gemmJob[T]) runDots() { g.parallel(g.m, (*dotJob[T])(g)) }

type dotJob[T Float] gemmJob[T]

func (g *dotJob[T]) Run(lo, hi int) {
	direct := g.ci == 1 && g.alpha == 1 && g.beta == 0
	const rows = 256
	var sums *buffer[T]
	var out []T
	ldd := g.cj
	if !direct {
		sums = buffers[T]().get()
		out = aligned(&sums.s, rows*g.kern.dots)
		ldd = rows
	}
	for i := lo; i < hi; i += rows {
		m := min(rows, hi-i)
		for j := 0; j < g.n; j += g.kern.dots {
			n := min(g.kern.dots, g.n-j)
			if direct {
				out = g.c[i+j*g.cj:]
			}
			g.kern.dot(m, g.k, &g.a[i*g.rs], g.rs, n, &g.b[j*g.ldb], g.ldb, &out[0], ldd)
			for jj := 0; jj < n && !direct; jj++ {
				blend(g.c[i*g.ci+(j+jj)*g.cj:], g.ci, g.alpha, out[jj*ldd:jj*ldd+m], g.beta)
			}
		}
	}
	if !direct {
		buffers[T]().put(sums)
	}
}

// blend is c[i*stride] = alpha*s[i] + beta*c[i*stride].
func blend[T Float](c []T, stride int, alpha T, s []T, beta T) {
	if beta == 0 {
		for i, v := range s {
			c[i*stride] = alpha * v
		}
		return
	}
	for i, v := range s {
		c[i*stride] = alpha*v + beta*c[i*stride]
	}
}

// runSwapped computes C transposed: few rows, of which B', the stored A, is read where it is.
func (g *gemmJob[T]) runSwapped() {
	g.swap()
	g.direct = true
	if g.m == 1 && g.ldc == 1 {
		g.runStrips()
		return
	}
	c, ldc, alpha, beta := g.c, g.ldc, g.alpha, g.beta
	g.c, g.ldc, g.alpha, g.beta = aligned(&g.scratch, g.m*g.n), g.n, 1, 0
	g.runStrips()
	for i := range g.m {
		blend(c[i:], ldc, alpha, g.c[i*g.n:(i+1)*g.n], beta)
	}
}

// runStrips shares out C by columns; no step waits for another thread.
func (g *gemmJob[T]) runStrips() {
	g.nb = g.n
	n := g.strips()
	each := g.m * g.n * g.k / n
	// One range per thread, so that A is read once by each.
	Parallel(n, max(worthwhile/(each+1)+1, (n+Threads()-1)/Threads()), (*stripJob[T])(g))
}

type stripJob[T Float] gemmJob[T]

func (p *stripJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	buf, bufA := buffers[T]().get(), buffers[T]().get()
	_, kb := blocks(g.k, depth)
	beta := g.beta
	for l := 0; l < g.k; l += kb {
		k := min(kb, g.k-l)
		a := g.panels(bufA, 0, g.m, l, k, hi-lo)
		for s := lo; s < hi; s++ {
			kern, col, cols := g.stripAt(s)
			b, bs := g.b, g.ldb
			if g.direct && cols == kern.cols {
				b = b[l*g.ldb+col:]
				if w := &g.kern.wide; g.m <= w.rows && s+w.cols/cols <= hi && g.n-col >= w.cols {
					kern, cols = w, w.cols
					s += w.cols/g.kern.main.cols - 1
				}
			} else {
				b, bs = aligned(&buf.s, k*kern.cols), kern.cols
				g.packStrip(kern, l, k, col, cols, b)
			}
			a.multiply(kern, g.m, k, &b[0], bs, &g.c[col], g.ldc, cols, g.alpha, beta)
		}
		beta = 1
	}
	buffers[T]().put(buf)
	buffers[T]().put(bufA)
}

// runBlocks packs B, all of it if it is small enough, and multiplies by blocks of rows of A.
func (g *gemmJob[T]) runBlocks() {
	_, nb := blocks(g.n, packLimit/depth)
	_, kb := blocks(g.k, depth)
	for g.j0 = 0; g.j0 < g.n; g.j0 += nb {
		g.nb = min(nb, g.n-g.j0)
		padded := g.padded()
		per := max(1, packLimit/(kb*padded)) * kb
		beta := g.beta
		for g.l0 = 0; g.l0 < g.k; g.l0 += per {
			g.kb = min(per, g.k-g.l0)
			g.packed = aligned(&g.scratch, g.kb*padded)
			Parallel((g.kb+kb-1)/kb*g.strips(), 1<<16/(kb*g.kern.main.cols)+1, (*packJob[T])(g))
			g.parallel((g.m+g.kern.main.rows-1)/g.kern.main.rows, (*rowJob[T])(g))
			g.beta = 1
		}
		g.beta = beta
	}
}

// strips is the number of strips that nb columns make, and padded their width.
func (g *gemmJob[T]) strips() int { w := g.kern.main.cols; return (g.nb + w - 1) / w }

func (g *gemmJob[T]) padded() int {
	w, narrow := g.kern.main.cols, g.kern.narrow.cols
	if rest := g.nb % w; rest != 0 && rest <= narrow {
		return g.nb - rest + narrow
	}
	return g.strips() * w
}

// stripAt returns the kernel for a strip, its first column within the nb and their number.
func (g *gemmJob[T]) stripAt(s int) (k *strip[T], col, cols int) {
	k = &g.kern.main
	col = s * k.cols
	cols = min(k.cols, g.nb-col)
	if cols <= g.kern.narrow.cols {
		k = &g.kern.narrow
	}
	return k, col, cols
}

// packJob packs strips of blocks of k.
type packJob[T Float] gemmJob[T]

func (p *packJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	_, kb := blocks(g.k, depth)
	strips, padded := g.strips(), g.padded()
	for it := lo; it < hi; it++ {
		l := it / strips * kb
		k, col, cols := g.stripAt(it % strips)
		n := min(kb, g.kb-l)
		g.packStrip(k, g.l0+l, n, g.j0+col, cols, g.packed[l*padded+n*col:])
	}
}

// packStrip packs the columns j.. < j+n of the terms l.. < l+k of op(B).
func (g *gemmJob[T]) packStrip(s *strip[T], l, k, j, n int, dst []T) {
	if !g.transB {
		s.pack(k, n, &g.b[l*g.ldb+j], g.ldb, &dst[0])
		return
	}
	src := g.b[j*g.ldb+l:]
	w, t := s.cols, g.kern.tile
	n0, k0 := 0, 0
	if t > 0 && k >= t {
		n0, k0 = n/t*t, k/t*t
		for j := 0; j < n0; j += t {
			g.kern.packT(k0/t, &src[j*g.ldb], g.ldb, &dst[j], w)
		}
	}
	for j := range n {
		from := k0
		if j >= n0 {
			from = 0
		}
		row := src[j*g.ldb : j*g.ldb+k]
		for i := from; i < k; i++ {
			dst[i*w+j] = row[i]
		}
	}
	if n < w {
		for i := range k {
			clear(dst[i*w+n : i*w+w])
		}
	}
}

// rowJob multiplies panels of rows by what is packed.
type rowJob[T Float] gemmJob[T]

func (p *rowJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	buf := buffers[T]().get()
	lo *= g.kern.main.rows
	hi = min(g.m, hi*g.kern.main.rows)
	_, rows := blocks(hi-lo, rowBlock)
	_, kb := blocks(g.k, depth)
	strips, padded := g.strips(), g.padded()
	for i := lo; i < hi; i += rows {
		m := min(rows, hi-i)
		beta := g.beta
		for l := 0; l < g.kb; l += kb {
			k := min(kb, g.kb-l)
			a := g.panels(buf, i, m, g.l0+l, k, strips)
			for s := range strips {
				kern, col, cols := g.stripAt(s)
				a.multiply(kern, m, k, &g.packed[l*padded+k*col], kern.cols, &g.c[i*g.ldc+g.j0+col], g.ldc, cols, g.alpha, beta)
			}
			beta = 1
		}
	}
	buffers[T]().put(buf)
}

// panels is a block of A as the micro-kernels read it; mr = 0 where it lies unpacked and any panel's height will do.
type panels[T Float] struct {
	a              *T
	mr, rs, ks, ps int
}

// panels returns m rows from i on, k terms from l on, packed if so many strips and the strides make it worthwhile.
func (g *gemmJob[T]) panels(buf *buffer[T], i, m, l, k, strips int) panels[T] {
	a := g.a[i*g.rs+l*g.ks:]
	switch {
	case g.ks != 1 && strips > 1 && g.kern.packPanels != nil && m > 1:
		count, mr := blocks(m, g.kern.main.rows)
		w := g.kern.panel
		dst := aligned(&buf.s, count*k*w)
		g.kern.packPanels(k, m, mr, &a[0], g.ks, &dst[0], k*w)
		return panels[T]{&dst[0], mr, 1, w, k * w}
	case g.ks == 1 && strips >= 4 && g.rs%512 == 0:
		ld := k + 16
		dst := aligned(&buf.s, m*ld)
		for r := range m {
			copy(dst[r*ld:], a[r*g.rs:r*g.rs+k])
		}
		return panels[T]{&dst[0], 0, ld, 1, 0}
	}
	return panels[T]{&a[0], 0, g.rs, g.ks, 0}
}

func (a panels[T]) multiply(s *strip[T], m, k int, b *T, bs int, c *T, ldc, n int, alpha, beta T) {
	if a.mr == 0 {
		_, a.mr = blocks(m, s.rows)
		a.ps = a.mr * a.rs
	}
	ahead := 0
	var t T
	size := int(unsafe.Sizeof(t))
	if a.ks == 1 && a.rs == k {
		ahead = (a.mr*size + 63) / 64 * 64
	}
	s.run(m, a.mr, k, a.a, a.rs, a.ks, a.ps, ahead, b, bs, c, ldc, n, alpha, beta)
}

// blocks returns the number of parts, nearly equal and at most size, that n is split in, and the size of all but the
// last.
func blocks(n, size int) (count, each int) {
	count = (n + size - 1) / size
	return count, (n + count - 1) / count
}

// aligned returns n elements that start on a cache line, of *buf if it is large enough.
func aligned[T Float](buf *[]T, n int) []T {
	const line = 64
	var t T
	size := int(unsafe.Sizeof(t))
	if len(*buf) < n+line/size {
		*buf = make([]T, n+line/size)
	}
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(*buf)))%line) / size
	return (*buf)[off : off+n]
}

// freeList keeps what is used again, as many as were ever used at once.
type freeList[X any] struct {
	mu   sync.Mutex
	free []*X
}

func (f *freeList[X]) get() *X {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.free)
	if n == 0 {
		return new(X)
	}
	x := f.free[n-1]
	f.free = f.free[:n-1]
	return x
}

func (f *freeList[X]) put(x *X) {
	f.mu.Lock()
	f.free = append(f.free, x)
	f.mu.Unlock()
}

type buffer[T Float] struct{ s []T }

var (
	gemmJobs32 freeList[gemmJob[float32]]
	gemmJobs64 freeList[gemmJob[float64]]
	buffers32  freeList[buffer[float32]]
	buffers64  freeList[buffer[float64]]
)

func gemmJobs[T Float]() *freeList[gemmJob[T]] {
	return of[T](&gemmJobs32, &gemmJobs64).(*freeList[gemmJob[T]])
}

func buffers[T Float]() *freeList[buffer[T]] {
	return of[T](&buffers32, &buffers64).(*freeList[buffer[T]])
}

// of picks what belongs to the element type.
func of[T Float](single, double any) any {
	if _, ok := any(T(0)).(float32); ok {
		return single
	}
	return double
}
