package vec

import (
	"fmt"
	"unsafe"
)

const (
	partDepth   = 128 // of k in one block of a part: a packed strip of B stays in the first-level cache
	leastStrips = 4   // of B, from which on A is packed too
	partItems   = 4   // as many items as this at least, of parts and groups of columns
)

// GemmParts multiplies A', (m,k), by B, (k,n), in parts of k, each of which has a C of its own:
//
//	each := (k + parts - 1) / parts
//	for p := range parts { for i := range m { for j := range n {
//		sum := 0.0
//		for l := p*each; l < min((p+1)*each, k); l++ { sum += a[l*lda+i] * b[l*ldb+j] }
//		if p >= begun { c[(p*m+i)*n+j] = 0 }
//		c[(p*m+i)*n+j] += sum
//	}}}
//
// A is stored (k,m), B (k,n), and C holds the parts one after the other. Calls with as many parts share the work
// among the same threads: rows that one has written, and the C that it adds to, are in its cache. Whatever C holds
// from part begun on is overwritten. It panics as Gemm does; bits and threads are as there.
func GemmParts[T Float](parts, begun, m, n, k int, a []T, lda int, b []T, ldb int, c []T) {
	if parts < 1 || begun < 0 {
		panic(fmt.Sprintf("vec: GemmParts: parts = %d and begun = %d, want at least 1 and 0", parts, begun))
	}
	checkGemm(true, false, m, n, k, len(a), lda, len(b), ldb, len(c), n, false)
	if len(c)/parts < m*n {
		panic(fmt.Sprintf("vec: GemmParts: len(c) = %d, want at least %d parts of %d x %d", len(c), parts, m, n))
	}
	if m == 0 || n == 0 {
		return
	}
	g := gemmJobs[T]().get()
	*g = gemmJob[T]{
		kern: gemmKernelsOf[T](), m: m, n: n, k: k, alpha: 1, a: a, rs: 1, ks: lda, b: b, ldb: ldb,
		c: c, ldc: n, scratch: g.scratch, nb: n, parts: parts, each: (k + parts - 1) / parts, begun: begun,
	}
	g.groups = min(g.strips(), max(1, partItems/parts))
	items := parts * g.groups
	Parallel(items, partWorth/(g.cost()/items+1)+1, (*partJob[T])(g))
	g.release()
}

// partWorth is as worthwhile: nobody waits for operands that another has in his cache.
const partWorth = 1 << 16

// partJob multiplies parts, each in groups of columns.
type partJob[T Float] gemmJob[T]

func (p *partJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	buf := buffers[T]().get()
	strips := g.strips()
	for item := lo; item < hi; item++ {
		part, group := item/g.groups, item%g.groups
		first := min(part*g.each, g.k)
		terms := min(g.each, g.k-first)
		c := g.c[part*g.m*g.n:][:g.m*g.n]
		s0, s1 := group*strips/g.groups, (group+1)*strips/g.groups
		beta := T(1)
		if part >= g.begun {
			beta = 0
		}
		if terms == 0 {
			if beta == 0 && group == 0 {
				clear(c)
			}
			continue
		}
		_, kb := blocks(terms, g.partDepth())
		for l := 0; l < terms; l += kb {
			k := min(kb, terms-l)
			g.partBlock(buf, first+l, k, min(kb, terms-l-k), s0, s1, beta, c)
			beta = 1
		}
	}
	buffers[T]().put(buf)
}

// partDepth is the number of terms in one block of a part.
func (g *gemmJob[T]) partDepth() int {
	if g.near() {
		return tallDepth
	}
	return partDepth
}

// near reports whether B is read where it is: for a few rows of C, or if rows of A and B are short.
func (g *gemmJob[T]) near() bool {
	var t T
	return g.m <= directRows || max(g.ks, g.ldb)*int(unsafe.Sizeof(t)) <= tallBytes
}

// partBlock adds the k terms from l on to the strips s0.. < s1 of a part's c; next terms follow, which are brought
// nearer.
func (g *gemmJob[T]) partBlock(buf *buffer[T], l, k, next, s0, s1 int, beta T, c []T) {
	a := panels[T]{a: &g.a[l*g.ks], rs: 1, ks: g.ks}
	near := g.near()
	if p := &g.kern.panels; !near && g.each > partDepth && s1-s0 >= leastStrips && p.pack != nil {
		count, mr := blocks(g.m, g.kern.main.rows)
		dst := aligned(&buf.a, count*k*p.cols)
		p.pack(k, g.m, mr, a.a, g.ks, &dst[0], k*p.cols)
		a = panels[T]{a: &dst[0], mr: mr, rs: 1, ks: p.cols, ps: k * p.cols}
	}
	for s := s0; s < s1; s++ {
		kern, col, cols := g.stripAt(s)
		b, bs := g.b[l*g.ldb+col:], g.ldb
		switch wide := &g.kern.wide; {
		case !near || cols < kern.cols:
			packed := aligned(&buf.b, kern.cols*k)
			kern.pack(k, cols, kern.cols, &b[0], bs, &packed[0], kern.cols*k)
			b, bs = packed, kern.cols
		case g.m <= wide.rows && s1-s >= wide.cols/g.kern.main.cols && g.n-col >= wide.cols:
			kern, cols = wide, wide.cols
			s += wide.cols/g.kern.main.cols - 1
		}
		a.next, a.ahead = a.a, 0
		if next > 0 {
			a.next, a.ahead = g.nextTerms(l+k, next, k, s-s0, s1-s0)
		}
		a.multiply(kern, g.m, k, &b[0], bs, &c[col], g.n, cols, 1, beta)
	}
}

// nextTerms returns what strip s of n, over k terms, prefetches of the next ones from l on, of A's rows and then of
// B's.
func (g *gemmJob[T]) nextTerms(l, next, k, s, n int) (at *T, ahead int) {
	count, _ := blocks(g.m, g.kern.main.rows)
	total := next * (g.ks + g.ldb)
	var t T
	ahead = (total*int(unsafe.Sizeof(t)) + n*count*k - 1) / (n * count * k)
	i := s * total / n
	if i >= next*g.ks {
		return &g.b[min(l*g.ldb+i-next*g.ks, len(g.b)-1)], ahead
	}
	return &g.a[min(l*g.ks+i, len(g.a)-1)], ahead
}

// SumParts adds count slices of n elements that follow each other, in their order: dst[i] = sum_c src[c*n+i]. dst
// may be the first of them.
func SumParts[T Float](count, n int, src, dst []T) {
	if count < 1 || n < 0 || len(src)/count < n || len(dst) < n {
		panic(fmt.Sprintf("vec: SumParts: len(src) = %d and len(dst) = %d, want %d and 1 slices of %d",
			len(src), len(dst), count, n))
	}
	if n == 0 {
		return
	}
	g := gemmJobs[T]().get()
	*g = gemmJob[T]{kern: gemmKernelsOf[T](), m: 1, n: n, parts: count, partial: src, sum: dst, scratch: g.scratch}
	Parallel(n, 1<<13, (*sumJob[T])(g))
	g.release()
}
