package vec

import "unsafe"

// The sizes of the blocks. As in gemm_run.go, none depends on the number of threads.
const (
	depth    = 256 // of k in one block: a strip of B stays in the first-level cache
	rowBlock = 256 // of m: a block of A, rowBlock x depth, stays in the second-level cache

	tallDepth  = 64  // of k, if A is stored transposed, B is not, and their rows have at most
	tallStride = 256 // elements: both are read where they are; packing them would take longer than it saves
	tallBytes  = 512 // longer rows than so many bytes: half of tallDepth

	groupBytes = 28 << 10 // of A's rows at once, if they are read where they are and stay in the first-level cache
	leastAhead = 32       // terms from which on the next rows are prefetched

	panelGap = 16 // elements between rows of A that are copied: powers of 2 apart they would evict each other

	directRows  = 28  // of C: B is read where it is; packing it would take longer than it saves,
	closeRows   = 128 // also for more rows and not too long a k
	closeStride = 256 // of which so many elements are no hurdle
)

// packLimit is the number of elements of B packed at a time, at least depth; tests lower it.
var packLimit = 1 << 20

// nearBytes of packed B, and no more, stay in the second-level cache beside a block of A: larger ones are multiplied by
// large blocks of rows. Tests lower it.
var nearBytes = 1 << 20

// readsB reports whether B is better read where it is.
func (g *gemmJob[T]) readsB() bool {
	return !g.transB && (g.m <= directRows || g.m <= closeRows && g.ldb <= closeStride && g.k <= 2*depth) || g.tall()
}

// tall reports whether A and B are read along their short rows.
func (g *gemmJob[T]) tall() bool {
	return g.ks != 1 && !g.transB && g.ks <= tallStride && g.ldb <= tallStride
}

// depth is the number of terms in one block.
func (g *gemmJob[T]) depth() int {
	var t T
	switch {
	case !g.tall() || g.m <= directRows:
		return depth
	case max(g.ks, g.ldb)*int(unsafe.Sizeof(t)) > tallBytes:
		return tallDepth / 2
	}
	return tallDepth
}

// runStrips shares out C by columns; each thread packs its own strips of B, block by block, or none.
func (g *gemmJob[T]) runStrips() {
	g.nb = g.n
	n := g.strips()
	each := g.cost() / n
	// One range per thread, so that A is read once by each.
	g.spread(n, max(worthwhile/(each+1)+1, (n+Threads()-1)/Threads()), (*stripJob[T])(g))
}

type stripJob[T Float] gemmJob[T]

func (p *stripJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	buf := buffers[T]().get()
	_, kb := blocks(g.k, g.depth())
	w := g.kern.main.cols
	direct := g.readsB()
	beta := g.beta
	for l := 0; l < g.k; l += kb {
		k := min(kb, g.k-l)
		a := g.panels(buf, 0, g.m, l, k, hi-lo)
		var packed []T
		if !direct {
			packed = aligned(&buf.b, (hi-lo)*w*k)
			g.packStrips(l, k, lo, hi, packed)
		}
		for s := lo; s < hi; s++ {
			kern, col, cols := g.stripAt(s)
			var b []T
			bs := kern.cols
			switch wide := &g.kern.wide; {
			case !direct:
				b = packed[(s-lo)*w*k:]
			case cols < kern.cols:
				b = aligned(&buf.b, kern.cols*k)
				g.packStrips(l, k, s, s+1, b)
			case g.m <= wide.rows && (hi-s)*w >= wide.cols && g.n-col >= wide.cols:
				kern, cols = wide, wide.cols
				s += wide.cols/w - 1
				fallthrough
			default:
				b, bs = g.b[l*g.ldb+col:], g.ldb
			}
			if g.tall() && l+kb < g.k {
				a.next, a.ahead = g.nextBlock(l+kb, kb, s-lo, hi-lo)
			}
			a.multiply(kern, g.m, k, &b[0], bs, &g.c[col], g.ldc, cols, g.alpha, beta)
		}
		beta = 1
	}
	buffers[T]().put(buf)
}

// nextBlock returns what to prefetch with strip s of n: a part of A's block from l on, or of B's.
func (g *gemmJob[T]) nextBlock(l, k, s, n int) (next *T, ahead int) {
	m, ld := g.a, g.ks
	half := (n + 1) / 2
	if s >= half {
		m, ld, s = g.b, g.ldb, s-half
		half = n - half
	}
	count, _ := blocks(g.m, g.kern.main.rows)
	var t T
	ahead = (k*ld*int(unsafe.Sizeof(t)) + half*count*k - 1) / (half * count * k)
	return &m[min(l*ld+k*ld/half*s, len(m)-1)], ahead
}

// runBlocks packs B, all of it if it is small enough, and multiplies by blocks of rows of A.
func (g *gemmJob[T]) runBlocks() {
	_, nb := blocks(g.n, packLimit/depth)
	_, kb := blocks(g.k, g.depth())
	for g.j0 = 0; g.j0 < g.n; g.j0 += nb {
		g.nb = min(nb, g.n-g.j0)
		padded := g.padded()
		per := max(1, packLimit/(kb*padded)) * kb
		beta := g.beta
		for g.l0 = 0; g.l0 < g.k; g.l0 += per {
			g.kb = min(per, g.k-g.l0)
			g.packed = aligned(&g.scratch[1], g.kb*padded)
			g.spread(g.strips(), 1<<16/(g.kb*g.kern.main.cols)+1, (*packJob[T])(g))
			n := (g.m + g.kern.main.rows - 1) / g.kern.main.rows
			if g.far() { // whole blocks of rows, as many for each thread
				count, _ := blocks(n, max(1, rowBlock/g.kern.main.rows))
				count = (count + Threads() - 1) / Threads() * Threads()
				g.spread(n, (n+count-1)/count, (*rowJob[T])(g))
			} else {
				g.parallel(n, (*rowJob[T])(g))
			}
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

// packJob packs strips of all blocks of k.
type packJob[T Float] gemmJob[T]

func (p *packJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	_, kb := blocks(g.k, g.depth())
	padded := g.padded()
	for l := 0; l < g.kb; l += kb {
		k := min(kb, g.kb-l)
		g.packStrips(g.l0+l, k, lo, hi, g.packed[l*padded+lo*g.kern.main.cols*k:])
	}
}

// packStrips packs k terms from l on of the strips lo.. < hi.
func (g *gemmJob[T]) packStrips(l, k, lo, hi int, dst []T) {
	main := &g.kern.main
	kern, col, cols := g.stripAt(hi - 1)
	if kern != main && hi-lo > 1 {
		g.packStrips(l, k, lo, hi-1, dst)
		lo, dst = hi-1, dst[(hi-1-lo)*main.cols*k:]
	}
	first := g.j0 + lo*main.cols
	n := g.j0 + col + cols - first
	if !g.transB {
		kern.pack(k, n, kern.cols, &g.b[l*g.ldb+first], g.ldb, &dst[0], kern.cols*k)
		return
	}
	for j := 0; j < n; j += kern.cols {
		g.packTransposed(l, k, first+j, min(kern.cols, n-j), kern.cols, dst[j*k:])
	}
}

// packTransposed packs n <= w columns of op(B), rows of B, from j on.
func (g *gemmJob[T]) packTransposed(l, k, j, n, w int, dst []T) {
	src := g.b[j*g.ldb+l:]
	tile := g.kern.tile
	n0, k0 := 0, 0
	if tile > 0 && k >= tile {
		n0, k0 = n/tile*tile, k/tile*tile
		for j := 0; j < n0; j += tile {
			g.kern.packT(k0/tile, &src[j*g.ldb], g.ldb, &dst[j], w)
		}
	}
	for j := range n {
		from := k0
		if j >= n0 {
			from = 0
		}
		row := src[j*g.ldb:][:k]
		for i := from; i < k; i++ {
			dst[i*w+j] = row[i]
		}
	}
	for i := 0; i < k && n < w; i++ {
		clear(dst[i*w+n:][:w-n])
	}
}

// rowJob multiplies panels of rows by what is packed.
type rowJob[T Float] gemmJob[T]

func (p *rowJob[T]) Run(lo, hi int) {
	g := (*gemmJob[T])(p)
	var buf *buffer[T]
	if g.repacks(g.strips()) {
		buf = buffers[T]().get()
		defer buffers[T]().put(buf)
	}
	lo *= g.kern.main.rows
	hi = min(g.m, hi*g.kern.main.rows)
	_, kb := blocks(g.k, g.depth())
	_, rows := blocks(hi-lo, g.rowsAtOnce(kb))
	rows = (rows + g.kern.main.rows - 1) / g.kern.main.rows * g.kern.main.rows // whole panels
	strips, padded := g.strips(), g.padded()
	for i := lo; i < hi; i += rows {
		m := min(rows, hi-i)
		beta := g.beta
		for l := 0; l < g.kb; l += kb {
			k := min(kb, g.kb-l)
			a := g.panels(buf, i, m, g.l0+l, k, strips)
			for s := range strips {
				kern, col, cols := g.stripAt(s)
				if a.mr == 0 && !g.far() {
					g.ahead(&a, i, m, min(rows, hi+g.more-i-m), s, strips)
				}
				a.multiply(kern, m, k, &g.packed[l*padded+k*col], kern.cols, &g.c[i*g.ldc+g.j0+col], g.ldc, cols, g.alpha, beta)
			}
			beta = 1
		}
	}
}

// rowsAtOnce is the number of rows of A that stay in a near cache with a strip of B, if they are read where they are.
func (g *gemmJob[T]) rowsAtOnce(k int) int {
	if g.ks != 1 || g.far() {
		return rowBlock
	}
	var t T
	panel := g.kern.main.rows
	return min(rowBlock, max(1, groupBytes/(panel*k*int(unsafe.Sizeof(t))))*panel)
}

// far reports whether what is packed of B is better brought near once for many rows: it does not stay in the
// second-level cache, and its strips are wide enough for A to come from there instead. How many rows are multiplied by
// what the caller has packed is his choice.
func (g *gemmJob[T]) far() bool {
	const wide = 128
	var t T
	size := int(unsafe.Sizeof(t))
	return !g.serial && g.kern.main.cols*size >= wide && g.kb*g.padded()*size > nearBytes
}

// ahead lets strip s of the strips over rows i.. < i+m prefetch its part of the next rows of A, and of what the caller
// reads or writes beside these rows of C soon.
func (g *gemmJob[T]) ahead(a *panels[T], i, m, next, s, strips int) {
	a.next, a.ahead = nil, 0
	if g.rs != g.k || g.k < leastAhead {
		return
	}
	var parts [1 + len(g.soon)][]T
	if next > 0 {
		parts[0] = g.a[(i+m)*g.rs:][:next*g.rs]
	}
	total := len(parts[0])
	for j, rows := range g.soon {
		if rows != nil {
			parts[1+j] = rows[i*g.n:][:m*g.n]
			total += m * g.n
		}
	}
	var t T
	steps := (m + g.kern.main.rows - 1) / g.kern.main.rows * g.k * strips
	a.ahead = (total*int(unsafe.Sizeof(t)) + steps - 1) / steps
	at := s * total / strips
	for _, p := range parts {
		if at < len(p) {
			a.next = &p[at]
			return
		}
		at -= len(p)
	}
}

// panels is a block of A as the micro-kernels read it; mr = 0 where it lies unpacked and any panel's height will do.
type panels[T Float] struct {
	a              *T
	mr, rs, ks, ps int
	next           *T
	ahead          int
}

// repacks reports whether panels may need a buffer for so many strips.
func (g *gemmJob[T]) repacks(strips int) bool {
	return g.ks != 1 && strips > 1 && g.kern.panels.pack != nil && !g.tall() || g.ks == 1 && strips >= 4 && (g.rs%512 == 0 || g.far())
}

// panels returns m rows from i on, k terms from l on, packed if so many strips and the strides make it worthwhile.
func (g *gemmJob[T]) panels(buf *buffer[T], i, m, l, k, strips int) panels[T] {
	a := g.a[i*g.rs+l*g.ks:]
	switch p := &g.kern.panels; {
	case !g.repacks(strips):
	case g.ks == 1: // rows that would evict each other
		ld := k + panelGap
		dst := aligned(&buf.a, m*ld)
		for r := range m {
			copy(dst[r*ld:], a[r*g.rs:][:k])
		}
		return panels[T]{a: &dst[0], rs: ld, ks: 1}
	case m > 1:
		count, mr := blocks(m, g.kern.main.rows)
		dst := aligned(&buf.a, count*k*p.cols)
		p.pack(k, m, mr, &a[0], g.ks, &dst[0], k*p.cols)
		return panels[T]{a: &dst[0], mr: mr, rs: 1, ks: p.cols, ps: k * p.cols}
	}
	return panels[T]{a: &a[0], rs: g.rs, ks: g.ks}
}

func (a panels[T]) multiply(s *strip[T], m, k int, b *T, bs int, c *T, ldc, n int, alpha, beta T) {
	if a.mr == 0 {
		_, a.mr = blocks(m, s.rows)
		a.ps = a.mr * a.rs
		if a.next == nil && a.ks == 1 && a.rs >= k && a.rs <= k+panelGap {
			// Rows end to end: each panel's steps bring the next.
			size := int(unsafe.Sizeof(alpha))
			a.ahead = (a.mr*a.rs*size + k - 1) / k
			a.next = (*T)(unsafe.Add(unsafe.Pointer(a.a), min(a.mr, m-1)*a.rs*size))
		}
	}
	if a.next == nil {
		a.next = a.a
	}
	s.run(m, a.mr, k, a.a, a.rs, a.ks, a.ps, a.next, a.ahead, b, bs, c, ldc, n, alpha, beta)
}

// blocks returns the number of parts, nearly equal and at most size, that n is split in, and the size of all but the
// last.
func blocks(n, size int) (count, each int) {
	count = (n + size - 1) / size
	return count, (n + count - 1) / count
}
