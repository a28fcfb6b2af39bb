package vec

// strip is a micro-kernel with the packing that feeds it: up to rows x cols of C in the registers.
type strip[T Float] struct {
	rows, cols int
	// run is C = alpha*A*B + beta*C for m rows, mr <= rows at a time, and n <= cols columns; A's element (i, l) is
	// a[i/mr*ps+i%mr*rs+l*ks], B's (l, j) is b[l*bs+j] and is read for all j < cols. Each step of each panel prefetches
	// *next, which then advances by ahead bytes.
	run func(m, mr, k int, a *T, rs, ks, ps int, next *T, ahead int, b *T, bs int, c *T, ldc, n int, alpha, beta T)
	// pack cuts k rows of m elements into panels of mr <= cols: dst[i/mr*ps+l*cols+i%mr] = src[l*ld+i], else 0.
	pack func(k, m, mr int, src *T, ld int, dst *T, ps int)
}

// gemmKernels is what an instruction set has for an element type.
type gemmKernels[T Float] struct {
	main   strip[T]
	narrow strip[T] // for n <= narrow.cols; cols = 0: none
	wide   strip[T] // for few rows, all its columns; cols = 0: none

	// panels.pack cuts A, which is stored transposed, into panels of at most panels.cols rows; nil: it is read where it is.
	panels strip[T]

	// packT transposes tile rows of tile*tiles elements: dst[l*width+j] = src[j*ld+l]; nil: none.
	packT func(tiles int, src *T, ld int, dst *T, width int)
	tile  int

	// dot multiplies m rows by n <= dots vectors: dst[j*ldd+i] = sum_l a[i*lda+l]*b[j*ldb+l].
	dot  func(m, k int, a *T, lda int, n int, b *T, ldb int, dst *T, ldd int)
	dots int

	// sum adds count slices of n elements: dst[i] = sum_c src[c*stride+i].
	sum func(n, count int, src *T, stride int, dst *T)
}

// gemmKernelsOf returns the kernels in use.
func gemmKernelsOf[T Float]() *gemmKernels[T] {
	return of[T](&gemmSets32[current], &gemmSets64[current]).(*gemmKernels[T])
}

// gemmGo is plain Go's set. Its products are rounded before they are added (also where the compiler could fuse them).
var (
	gemmGo32 = gemmKernels[float32]{
		main: strip[float32]{4, 4, stripGo32, packGo[float32]},
		dot:  dotGo32, dots: 1,
		sum: sumGo[float32],
	}
	gemmGo64 = gemmKernels[float64]{
		main: strip[float64]{4, 4, stripGo64, packGo[float64]},
		dot:  dotGo64, dots: 1,
		sum: sumGo[float64],
	}
)
