package vec

// The limits between the ways of computing a product. None depends on the number of threads, so neither do the sums.
const (
	fewDots   = 4       // columns of C, or rows: they are dot products if both operands run along k
	fewCols   = 8       // of C, with A transposed: C is computed transposed
	longTerms = 400     // of k in one sum: a product with twice as many, in the small C of
	longSize  = 1 << 16 // elements, is a sum of products: some
	someParts = 8       // of them, and
	longParts = 32      // at most, of
	deepTerms = 1024    // terms if there are so many

	worthwhile  = 1 << 18 // multiplications that are worth another thread
	elementCost = 8       // of multiplications: to read or write an element
)

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
	parts, each    int // of runLong: the number of partial sums and of their terms
	begun, groups  int // of GemmParts: the parts that are added to, and the groups of columns
	packed         []T // strips of B
	partial, sum   []T // of runLong
	onto           []T // what the sum is added to; nil: nothing
	scratch        [2][]T

	serial bool // on the calling goroutine alone
	// What is to be brought nearer meanwhile, of a packed product: as many rows of A behind the m, and rows of n
	// elements beside those of C.
	more int
	soon [2][]T
}

// run takes the way that suits the shape.
func (g *gemmJob[T]) run() {
	switch {
	case g.ks == 1 && g.n <= fewDots:
		g.ci, g.cj = g.ldc, 1
		g.runDots()
	case g.transB && g.m <= fewDots && g.m < g.n:
		g.swap()
		g.ci, g.cj = 1, g.ldc
		g.runDots()
	case g.ks != 1 && g.n <= fewCols && g.n < g.m:
		g.runSwapped()
	default:
		g.runDirect()
	}
}

// runDirect computes C where it is.
func (g *gemmJob[T]) runDirect() {
	switch {
	case g.k >= 2*longTerms && g.m*g.n <= longSize:
		g.runLong()
	case g.readsB():
		g.runStrips()
	default:
		g.runBlocks()
	}
}

// spread runs a job as Parallel does, unless the caller wants one goroutine.
func (g *gemmJob[T]) spread(n, grain int, job Job) {
	if g.serial {
		job.Run(0, n)
		return
	}
	Parallel(n, grain, job)
}

// parallel runs a job of n equal items.
func (g *gemmJob[T]) parallel(n int, job Job) {
	g.spread(n, worthwhile/(g.cost()/n+1)+1, job)
}

// cost of the product, in multiplications.
func (g *gemmJob[T]) cost() int {
	return g.m*g.n*g.k + elementCost*(g.m*g.k+g.n*g.k+g.m*g.n)
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

// runSwapped computes C transposed: few rows, of which B', the stored A, is read where it is.
func (g *gemmJob[T]) runSwapped() {
	g.swap()
	if g.m == 1 && g.ldc == 1 {
		g.runDirect()
		return
	}
	c, ldc, alpha, beta := g.c, g.ldc, g.alpha, g.beta
	g.c, g.ldc, g.alpha, g.beta = aligned(&g.scratch[0], g.m*g.n), g.n, 1, 0
	g.runDirect()
	for i := range g.m {
		blend(c[i:], ldc, alpha, g.c[i*g.n:][:g.n], beta)
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

// runDots multiplies the rows of A by n vectors, the columns of op(B), which are brought to rows unless they are.
func (g *gemmJob[T]) runDots() {
	switch {
	case g.n == 1 && (g.transB || g.ldb == 1):
		g.ldb = g.k
	case !g.transB:
		v := aligned(&g.scratch[0], g.n*g.k)
		for j := range g.n {
			for l := range g.k {
				v[j*g.k+l] = g.b[l*g.ldb+j]
			}
		}
		g.b, g.ldb = v, g.k
	}
	g.parallel(g.m, (*dotJob[T])(g))
}

type dotJob[T Float] gemmJob[T]

func (g *dotJob[T]) Run(lo, hi int) {
	const rows = 256
	if g.ci == 1 && g.alpha == 1 && g.beta == 0 {
		for j := 0; j < g.n; j += g.kern.dots {
			n := min(g.kern.dots, g.n-j)
			g.kern.dot(hi-lo, g.k, &g.a[lo*g.rs], g.rs, n, &g.b[j*g.ldb], g.ldb, &g.c[lo+j*g.cj], g.cj)
		}
		return
	}
	buf := buffers[T]().get()
	sums := aligned(&buf.b, rows*g.kern.dots)
	for i := lo; i < hi; i += rows {
		m := min(rows, hi-i)
		for j := 0; j < g.n; j += g.kern.dots {
			n := min(g.kern.dots, g.n-j)
			g.kern.dot(m, g.k, &g.a[i*g.rs], g.rs, n, &g.b[j*g.ldb], g.ldb, &sums[0], rows)
			for v := range n {
				blend(g.c[i*g.ci+(j+v)*g.cj:], g.ci, g.alpha, sums[v*rows:][:m], g.beta)
			}
		}
	}
	buffers[T]().put(buf)
}

// runLong splits k into parts, the same for any number of threads, and adds what they give.
func (g *gemmJob[T]) runLong() {
	g.parts, g.each = blocks(g.k, max(longTerms, min(deepTerms, g.k/someParts), (g.k+longParts-1)/longParts))
	g.parts = (g.k + g.each - 1) / g.each
	size := g.m * g.n
	g.partial = aligned(&g.scratch[1], (g.parts+1)*size)
	g.parallel(g.parts, (*longJob[T])(g))
	direct := g.alpha == 1 && (g.beta == 0 || g.beta == 1) && (g.ldc == g.n || g.m == 1)
	g.sum = g.c
	if !direct || g.beta == 1 {
		g.sum = g.partial[g.parts*size:]
	}
	g.onto = nil
	if direct && g.beta == 1 {
		g.onto = g.c
	}
	g.spread(size, 1<<14, (*sumJob[T])(g))
	for i := 0; i < g.m && !direct; i++ {
		blend(g.c[i*g.ldc:], 1, g.alpha, g.sum[i*g.n:][:g.n], g.beta)
	}
}

type longJob[T Float] gemmJob[T]

func (p *longJob[T]) Run(lo, hi int) {
	part := gemmJobs[T]().get()
	for i := lo; i < hi; i++ {
		scratch := part.scratch
		*part = gemmJob[T](*p)
		part.scratch = scratch
		l := i * p.each
		part.a = p.a[l*p.ks:]
		if p.transB {
			part.b = p.b[l:]
		} else {
			part.b = p.b[l*p.ldb:]
		}
		part.k = min(p.each, p.k-l)
		part.c, part.ldc = p.partial[i*p.m*p.n:], p.n
		part.alpha, part.beta, part.nb = 1, 0, p.n
		(*stripJob[T])(part).Run(0, part.strips())
	}
	part.release()
}

type sumJob[T Float] gemmJob[T]

func (g *sumJob[T]) Run(lo, hi int) {
	size := g.m * g.n
	g.kern.sum(hi-lo, g.parts, &g.partial[lo], size, &g.sum[lo])
	if g.onto != nil {
		Add(g.onto[lo:hi], g.onto[lo:hi], g.sum[lo:hi])
	}
}
