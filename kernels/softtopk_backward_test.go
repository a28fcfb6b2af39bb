package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// dot is sum a b.
func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// randomRow returns scores that are not near a kink of the piecewise relaxations (csparsemax: 0 and 1, csoftmax: the
// cap) at scale, and g, v.
func randomRow(rng *rand.Rand, r Relaxation, scale float64) (x, g, v []float64, k int) {
	for {
		n := 2 + rng.IntN(12)
		k = 1 + rng.IntN(n-1)
		x, g, v = make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], g[i], v[i] = rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()
		}
		o := runRow(x, nil, nil, r, scale, k)
		far := true
		for _, u := range x {
			z := scale*u - o.p + o.delta
			far = far && (r == LML || math.Abs(z) > 0.1 && math.Abs(z-1) > 0.1)
		}
		if far {
			return x, g, v, k
		}
	}
}

// Both backward passes against four-point differences (step 1e-3: error about 1e-11 at scale 2) and the reference loop.
func TestSoftTopKGradients(t *testing.T) {
	for _, r := range relaxations {
		t.Run(r.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(21, 22))
			for range 200 {
				scale := -2 + 4*rng.Float64()
				x, g, v, k := randomRow(rng, r, scale)
				o := runRow(x, g, v, r, scale, k)
				check.Close(t, "dx", o.dx, check.Gradient(func(x []float64) float64 {
					return dot(runRow(x, nil, nil, r, scale, k).y, g)
				}, x, 1e-3), 1e-9)
				check.Close(t, "dx2", o.dx2, check.Gradient(func(x []float64) float64 {
					return dot(runRow(x, g, nil, r, scale, k).dx, v)
				}, x, 1e-3), 1e-9)

				z := make([]float64, len(x))
				shiftTile(z, x, scale, o.p, o.delta)
				dx, dx2 := make([]float64, len(x)), make([]float64, len(x))
				softReference(dx, dx2, z, g, v, r, scale)
				check.Close(t, "dx, reference", o.dx, dx, 1e-14) // sums in another order
				check.Close(t, "dx2, reference", o.dx2, dx2, 1e-14)

				// Float32: the same numbers, results rounded (half an ulp: 6e-8 of them). LML's dx is made in float32 of
				// products scale h (g - g0), up to 3 here: half an ulp of that is 1.2e-7, and there are a few. Its dx2 is made in
				// float64, of a threshold that is off by half an ulp or two of the odds, 1.2e-7, times up to 2.
				tol := 1e-7
				if r == LML {
					tol = 3e-7
				}
				x32, g32, v32 := check.Copy[float32](x), check.Copy[float32](g), check.Copy[float32](v)
				o32 := runRow(x32, g32, v32, r, scale, k)
				exact := runRow(check.Copy[float64](x32), check.Copy[float64](g32), check.Copy[float64](v32), r, scale, k)
				check.Close(t, "dx in float32", check.Copy[float64](o32.dx), exact.dx, tol)
				check.Close(t, "dx2 in float32", check.Copy[float64](o32.dx2), exact.dx2, tol)
			}
		})
	}
}

// The Jacobian is symmetric, its rows sum to 0 and a constant g gives 0; the second derivative is symmetric in g and v.
func TestSoftTopKGradientIdentities(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	for _, r := range relaxations {
		for range 100 {
			x, g, v, k := randomRow(rng, r, 1)
			gv, vg := runRow(x, g, v, r, 1, k), runRow(x, v, g, r, 1, k)
			ones := make([]float64, len(x))
			each(ones, func(int) float64 { return 1 })
			zero := make([]float64, len(x))
			// 1e-14: a dozen terms of order 1.
			check.Close(t, "symmetry", []float64{dot(gv.dx, v)}, []float64{dot(vg.dx, g)}, 1e-14)
			check.Close(t, "sum dx", []float64{dot(gv.dx, ones), dot(gv.dx2, ones)}, []float64{0, 0}, 1e-14)
			check.Close(t, "constant g", runRow(x, ones, v, r, 1, k).dx, zero, 1e-15)
			check.Close(t, "g and v swapped", gv.dx2, vg.dx2, 1e-15)
		}
	}
}

// With every score hundreds away from the threshold all h underflow; the ratio sum h g / sum h must be that of the
// logarithms. With h near 1e-311 and g near 1e300 the gradient is an ordinary number again.
func TestLMLGradientUnderflow(t *testing.T) {
	for _, gap := range []float64{1250, 1432} {
		x := []float64{gap, gap - 1, 0, -1, -3}
		g := []float64{1e300, -2e300, 3e300, 5e300, -1e300}
		v := []float64{-1, 3, 2, 1, 5}
		o := runRow(x, g, v, LML, 1, 2)
		top, sum, cg, cv, u := math.Inf(-1), 0.0, 0.0, 0.0, 0.0
		logs, curve := make([]float64, len(x)), make([]float64, len(x))
		for i, s := range x {
			z := s - o.p + o.delta
			logs[i] = -math.Abs(z) - 2*math.Log1p(math.Exp(-math.Abs(z)))
			curve[i] = -math.Tanh(z / 2)
			top = math.Max(top, logs[i])
		}
		for i, l := range logs {
			w := math.Exp(l - top)
			sum, cg, cv = sum+w, cg+w*g[i], cv+w*v[i]
		}
		cg, cv = cg/sum, cv/sum
		for i, l := range logs {
			u += math.Exp(l-top) * curve[i] * (g[i] - cg) * (v[i] - cv)
		}
		for i, l := range logs {
			w := math.Exp(l - top)
			dx := w * (g[i] - cg) * math.Exp(top/2) * math.Exp(top/2)
			dx2 := (w*curve[i]*(g[i]-cg)*(v[i]-cv) - w*u/sum) * math.Exp(top/2) * math.Exp(top/2)
			// 1e-12: z near 700 is rounded to 1e-13, and h with it.
			if !(math.Abs(o.dx[i]-dx) <= 1e-12*math.Abs(dx)) || !(math.Abs(o.dx2[i]-dx2) <= 1e-12*math.Abs(dx2)) || dx == 0 || dx2 == 0 {
				t.Errorf("gap %v: dx[%d] = %g, %g, want %g, %g", gap, i, o.dx[i], o.dx2[i], dx, dx2)
			}
		}
	}
	g := []float64{1e300, -2e300, 3e300, 5e300}
	for _, gap := range []float64{3000, 1e10, 1e300} {
		o := runRow([]float64{gap, 0, gap, -gap}, g, g, LML, 1, 2)
		check.Close(t, "dx", o.dx, make([]float64, 4), 0)
	}
}

// Finite scores and gradients of any size give finite gradients: beyond the range they saturate.
func TestSoftTopKGradientSaturates(t *testing.T) {
	bothTypes(t, testSaturates(float32(math.MaxFloat32)), testSaturates(math.MaxFloat64))
}

func testSaturates[T Float](largest T) func(t *testing.T) {
	return func(t *testing.T) {
		for _, x := range [][]T{{1, 0, 0.5, 0.2}, {largest, -largest, 0, 1}, {3, 3, 3, 3}, {1e-30, 0, -1e-30, 2}} {
			for _, g := range [][]T{{largest, -largest, largest, -largest}, {largest, largest, largest, largest},
				{0, 1e-30, -largest, 5}, {largest * 1e-8, 0, 1, -largest * 1e-8}} {
				for _, scale := range []float64{1, -1e-3, 1e3, 1e200} {
					for _, r := range relaxations {
						o := runRow(x, g, g, r, scale, 2)
						for _, err := range []error{allFinite("y", o.y), allFinite("dx", o.dx), allFinite("dx2", o.dx2)} {
							if err != nil {
								t.Errorf("%v x %v g %v scale %g: %v", r, x, g, scale, err)
							}
						}
					}
				}
			}
		}
		// y = (1/2, 1/2), dx = scale/8 (g0-g1, g1-g0).
		o := runRow([]T{0, 0}, []T{largest, -largest}, nil, LML, 1, 1)
		check.Close(t, "half", o.dx, []T{largest / 4, -largest / 4}, 1e-7)
		o = runRow([]T{0, 0}, []T{largest, -largest}, nil, LML, -1e3, 1)
		check.Close(t, "saturated", o.dx, []T{-largest, largest}, 0)
	}
}

// Where the projection is a corner, all weights 0 or 1, the gradient is 0: scores exactly at the cap do not count.
func TestConstrainedSparsemaxCorner(t *testing.T) {
	for _, x := range [][]float64{{3, 3, -5, -6}, {9, 3, -5, -5}, {3, 3, 2, 2}} {
		o := runRow(x, []float64{1, 2, 3, 5}, []float64{1, 2, 3, 5}, ConstrainedSparsemax, 1, 2)
		check.Close(t, "y", o.y, []float64{1, 1, 0, 0}, 0)
		check.Close(t, "dx", o.dx, make([]float64, 4), 0)
		check.Close(t, "dx2", o.dx2, make([]float64, 4), 0)
	}
}

// A g that is not finite is not hidden where it counts and not read where h is 0.
func TestSoftTopKGradientNonFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x := []float64{1, 0.5, 0.7, math.Inf(-1)}
		for _, r := range relaxations {
			o := runRow(x, []float64{1, 2, 3, bad}, []float64{bad, 2, 3, bad}, r, 1, 2)
			if err := allFinite("dx", o.dx); err != nil || o.dx[3] != 0 {
				t.Errorf("%v, %v left out: dx = %v", r, bad, o.dx)
			}
			if r != ConstrainedSparsemax && !math.IsNaN(o.dx2[0]) {
				t.Errorf("%v, %v in v: dx2 = %v, want NaN", r, bad, o.dx2)
			}
			o = runRow(x, []float64{1, bad, 3, 4}, nil, r, 1, 2)
			if !math.IsNaN(o.dx[0]) || !math.IsNaN(o.dx[1]) || !math.IsNaN(o.dx[2]) || o.dx[3] != 0 {
				t.Errorf("%v, %v in g: dx = %v, want NaN", r, bad, o.dx)
			}
		}
		// The first two are capped, the last is 0: their g do not matter.
		o := runRow([]float64{9, 8, 0.5, 0.6, -5}, []float64{bad, bad, 1, 2, bad}, nil, ConstrainedSparsemax, 1, 3)
		check.Close(t, "dx", o.dx, []float64{0, 0, -0.5, 0.5, 0}, 1e-15)
	}
}
