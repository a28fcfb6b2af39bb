package kernels

// Normal fills dst with standard normals, doc/equations.md (11): dst[i] is element first+i of the draw, an element
// being addressed as in Uniform.
//
// The numbers are part of the interface. normals32 and normals64 in internal/vec/noise_go.go are the specification: one
// sequence of integer operations and IEEE 754 +, -, *, / and sqrt, each rounded to nearest in the element's own type,
// with no fused multiply-add, so that Go, assembly and CUDA on any machine give the same bits. Both are the Box-Muller
// transform: u in (0, 1] from the first half of the bits and an angle a from the second give the neighbours
//
//	z0 = sqrt(-2 ln u) cos a
//	z1 = sqrt(-2 ln u) sin a
//
// The largest |z| is 6.764 in float32 and 8.572 in float64. Against the exact function of the same u and a the
// largest error seen is 4.1 ulp in float32 and 3.3 ulp in float64, that of the radius alone 0.98 and 0.94 ulp.
// Relative accuracy holds for the smallest |z| too: the radius near u = 1, and the sine and cosine near their zeros,
// since the angle is reduced in integers.
func Normal[T Float](dst []T, seed, draw, run uint64, first int) {
	fillDraw("Normal", dst, seed, draw, run, first, true)
}
