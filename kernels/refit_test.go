package kernels

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// weights returns b rows of n weights in (0,1) that sum to about k, with one entry in five exactly 0.
func weights[T Float](seed uint64, k, b, n int) []T {
	r := rand.New(rand.NewPCG(seed, 4))
	w := make([]T, b*n)
	for p := range b {
		row, sum := w[p*n:(p+1)*n], 0.0
		for i := range row {
			if i%5 != 4 {
				row[i] = T(0.01 + r.Float64())
			}
			sum += float64(row[i])
		}
		for i := range row {
			row[i] = T(float64(row[i]) * float64(k) / sum)
		}
	}
	return w
}

type momentsCase struct {
	Batch, N, D, K       int
	X, Weight, Mu, Sigma check.Nested
	GradMu               check.Nested `json:"grad_mu"`
	GradSigma            check.Nested `json:"grad_sigma"`
	GradX                check.Nested `json:"grad_x"`
	GradWeight           check.Nested `json:"grad_weight"`
}

func TestGoldenMoments(t *testing.T) {
	check.Golden(t, "moments.json", func(t *testing.T, c momentsCase) {
		goldenMoments[float64](t, c, 1e-12, 1e-12) // asked of float64
		// float32: inputs rounded by 2^-24 of themselves, once more each output; gradients pass through mu rounded to
		// float32.
		goldenMoments[float32](t, c, 2e-7, 5e-7)
	})
}

func goldenMoments[T Float](t *testing.T, c momentsCase, tol, gradTol float64) {
	b, n, d, k := c.Batch, c.N, c.D, c.K
	x, w := check.Copy[T]([]float64(c.X)), check.Copy[T]([]float64(c.Weight))
	gMu, gSigma := check.Copy[T]([]float64(c.GradMu)), check.Copy[T]([]float64(c.GradSigma))
	mu, okMu := check.Guarded[T](t, "mu", b*d)
	sigma, okSigma := check.Guarded[T](t, "sigma", b*d)
	RefitForward(mu, sigma, x, w, nil, nil, 0, k, b, n, d)
	okMu()
	okSigma()

	// sigma depends on x and w directly and through mu, whose total gradient then goes through mu's own backward.
	dxSigma, dwSigma, dmu := make([]T, b*n*d), make([]T, b*n), make([]T, b*d)
	RefitSigmaBackward(check.Poison(dxSigma), check.Poison(dwSigma), check.Poison(dmu), nil, gSigma, x, w, mu, 0, k, b, n, d)
	for i := range dmu {
		dmu[i] += gMu[i]
	}
	dx, dw := make([]T, b*n*d), make([]T, b*n)
	RefitMuBackward(check.Poison(dx), check.Poison(dw), nil, dmu, x, w, k, b, n, d)
	for i := range dx {
		dx[i] += dxSigma[i]
	}
	for i := range dw {
		dw[i] += dwSigma[i]
	}
	name := fmt.Sprintf("%T ", mu[0])
	check.Close(t, name+"mu", check.Copy[float64](mu), c.Mu, tol)
	check.Close(t, name+"sigma", check.Copy[float64](sigma), c.Sigma, tol)
	check.Close(t, name+"grad_x", check.Copy[float64](dx), c.GradX, gradTol)
	check.Close(t, name+"grad_weight", check.Copy[float64](dw), c.GradWeight, gradTol)
}

func TestRefitMatchesReference(t *testing.T) {
	for _, s := range []struct{ b, n, d, k int }{
		{1, 1, 1, 1}, {1, 2, 1, 2}, {2, 7, 1, 3}, {3, 5, 2, 5}, {2, 101, 3, 10}, {1, 17, 33, 4}, {2, 64, 130, 64},
	} {
		testRefitMatchesReference[float32](t, s.b, s.n, s.d, s.k, 1e-7) // rounded once; sigma about the rounded mu
		testRefitMatchesReference[float64](t, s.b, s.n, s.d, s.k, 1e-14)
	}
}

func testRefitMatchesReference[T Float](t *testing.T, b, n, d, k int, tol float64) {
	x, w, g := normals[T](1, b*n*d), weights[T](2, k, b, n), normals[T](3, b*d)
	mu, okMu := check.Guarded[T](t, "mu", b*d)
	sigma, okSigma := check.Guarded[T](t, "sigma", b*d)
	RefitForward(mu, sigma, x, w, nil, nil, 0, k, b, n, d)
	okMu()
	okSigma()
	dx, okDx := check.Guarded[T](t, "dx", b*n*d)
	dw, okDw := check.Guarded[T](t, "dw", b*n)
	dmu, okDmu := check.Guarded[T](t, "dmu", b*d)
	dprev, okDprev := check.Guarded[T](t, "dprev", b*d)

	x64, w64, g64 := check.Copy[float64](x), check.Copy[float64](w), check.Copy[float64](g)
	wantMu, wantSigma := make([]float64, b*d), make([]float64, b*d)
	wantDx, wantDw, wantDmu := make([]float64, b*n*d), make([]float64, b*n), make([]float64, b*d)
	parts := func(p int) (x, w, g, mu, sigma, dx, dw, dmu []float64) {
		bd, bn, bnd := [2]int{p * d, (p + 1) * d}, [2]int{p * n, (p + 1) * n}, [2]int{p * n * d, (p + 1) * n * d}
		return x64[bnd[0]:bnd[1]], w64[bn[0]:bn[1]], g64[bd[0]:bd[1]], wantMu[bd[0]:bd[1]], wantSigma[bd[0]:bd[1]],
			wantDx[bnd[0]:bnd[1]], wantDw[bn[0]:bn[1]], wantDmu[bd[0]:bd[1]]
	}
	name := fmt.Sprintf("%T b=%d n=%d d=%d k=%d: ", mu[0], b, n, d, k)
	for p := range b {
		x, w, g, mu, sigma, dx, dw, _ := parts(p)
		refitReference(mu, sigma, x, w, 0, float64(k))
		refitMuBackwardReference(dx, dw, g, x, w, float64(k))
	}
	check.Close(t, name+"mu", check.Copy[float64](mu), wantMu, tol)
	check.Close(t, name+"sigma", check.Copy[float64](sigma), wantSigma, tol)
	RefitMuBackward(dx, dw, dprev, g, x, w, k, b, n, d)
	okDx()
	okDw()
	okDprev()
	check.Close(t, name+"mu: dx", check.Copy[float64](dx), wantDx, tol)
	check.Close(t, name+"mu: dw", check.Copy[float64](dw), wantDw, tol)
	sameBits(t, name+"mu: dprev", dprev, make([]T, b*d))

	if n == 1 {
		return // variance 0: TestRefitSigmaAtZeroAndFloor
	}
	mu64 := check.Copy[float64](mu)
	for p := range b {
		x, w, g, _, _, dx, dw, dmu := parts(p)
		refitSigmaBackwardReference(dx, dw, dmu, g, x, w, mu64[p*d:(p+1)*d], float64(k))
	}
	RefitSigmaBackward(check.Poison(dx), check.Poison(dw), dmu, check.Poison(dprev), g, x, w, mu, 0, k, b, n, d)
	okDx()
	okDw()
	okDmu()
	okDprev()
	check.Close(t, name+"sigma: dx", check.Copy[float64](dx), wantDx, tol)
	check.Close(t, name+"sigma: dw", check.Copy[float64](dw), wantDw, tol)
	check.Close(t, name+"sigma: dmu", check.Copy[float64](dmu), wantDmu, tol)
	sameBits(t, name+"sigma: dprev", dprev, make([]T, b*d))
}

// |mu| = 1e8 sigma: the sums against exact ones, with weights whose sum is exactly k and with any.
func TestRefitFarFromZero(t *testing.T) {
	for _, d := range []int{1, 3} {
		const n, k = 1000, 100
		x, w := normals[float64](7, n*d), weights[float64](8, k, 1, n)
		elites := make([]float64, n)
		for i := range x {
			x[i] += 1e8
		}
		for i := range k {
			elites[(i*7)%n] = 1
		}
		mu, sigma := make([]float64, d), make([]float64, d)
		for name, w := range map[string][]float64{"elites": elites, "weights": w} {
			RefitForward(check.Poison(mu), check.Poison(sigma), x, w, nil, nil, 0, k, 1, n, d)
			for j := range d {
				exactMu, exactSigma := exactMoments(x, w, mu[j], k, d, j)
				// 2e-16 and 4e-16: a rounded product per sample, whose errors nearly cancel, and the final roundings.
				if !check.Within(mu[j]/exactMu, 1, 3e-16) || !check.Within(sigma[j]/exactSigma, 1, 5e-16) {
					t.Errorf("%s, d = %d: mu %v, sigma %v, exactly %v, %v", name, d, mu[j], sigma[j], exactMu, exactSigma)
				}
			}
		}
		// float32: the spread is 100 of its steps. mu is rounded to within half a step, which adds its square to the
		// variance.
		x32, w32 := make([]float32, n*d), check.Copy[float32](elites)
		for i := range x32 {
			x32[i] = float32(1e8 + 800*(x[i]-1e8))
		}
		mu32, sigma32 := make([]float32, d), make([]float32, d)
		RefitForward(check.Poison(mu32), check.Poison(sigma32), x32, w32, nil, nil, 0, k, 1, n, d)
		for j := range d {
			exactMu, exactSigma := exactMoments(check.Copy[float64](x32), elites, float64(mu32[j]), k, d, j)
			if !check.Within(float64(mu32[j])/exactMu, 1, 6e-8) || !check.Within(float64(sigma32[j])/exactSigma, 1, 6e-8) {
				t.Errorf("float32, d = %d: mu %v, sigma %v, exactly %v, %v", d, mu32[j], sigma32[j], exactMu, exactSigma)
			}
		}
	}
}

// exactMoments returns dimension j's mu, and its sigma about the mu given, with sums in 400 bits.
func exactMoments(x, w []float64, mu float64, k, d, j int) (exactMu, sigma float64) {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(400).SetFloat64(v) }
	sum, squares := num(0), num(0)
	for i, wi := range w {
		sum.Add(sum, num(0).Mul(num(wi), num(x[i*d+j])))
		t := num(0).Sub(num(x[i*d+j]), num(mu))
		squares.Add(squares, num(0).Mul(num(wi), t.Mul(t, t)))
	}
	exactMu, _ = sum.Quo(sum, num(float64(k))).Float64()
	sigma, _ = squares.Sqrt(squares.Quo(squares, num(float64(k)))).Float64()
	return exactMu, sigma
}

// Two ops in a graph, mu and then sigma of that mu, give the fused kernel's bits.
func TestRefitSplitsBitForBit(t *testing.T) {
	t.Run("float32", testRefitSplits[float32])
	t.Run("float64", testRefitSplits[float64])
}

func testRefitSplits[T Float](t *testing.T) {
	for _, d := range []int{1, 2, 19} {
		const b, n, k = 5, 37, 6
		x, w := normals[T](1, b*n*d), weights[T](2, k, b, n)
		clear(w[2*n : 3*n])
		prevMu, prevSigma := normals[T](3, b*d), normals[T](4, b*d)
		mu, sigma, muAlone, sigmaAlone := make([]T, b*d), make([]T, b*d), make([]T, b*d), make([]T, b*d)
		RefitForward(check.Poison(mu), check.Poison(sigma), x, w, prevMu, prevSigma, 0.9, k, b, n, d)
		RefitForward(check.Poison(muAlone), nil, x, w, prevMu, nil, 0, k, b, n, d)
		sameBits(t, "mu", muAlone, mu)
		SigmaForward(check.Poison(sigmaAlone), x, w, muAlone, prevSigma, 0.9, k, b, n, d)
		sameBits(t, "SigmaForward", sigmaAlone, sigma)
		RefitForward(nil, check.Poison(sigmaAlone), x, w, nil, prevSigma, 0.9, k, b, n, d)
		sameBits(t, "RefitForward without mu", sigmaAlone, sigma)
		RefitForward[T](nil, nil, x, w, nil, nil, 0, k, b, n, d)
	}
}

func TestRefitKeepsLostProblems(t *testing.T) {
	const b, n, d, k = 3, 4, 2, 2
	nan, inf := math.NaN(), math.Inf(1)
	x, w, g := normals[float64](1, b*n*d), weights[float64](2, k, b, n), normals[float64](3, b*d)
	clear(w[n : 2*n])
	for i := n * d; i < 2*n*d; i++ {
		x[i] = []float64{nan, inf, -inf}[i%3]
	}
	mu, sigma := make([]float64, b*d), make([]float64, b*d)
	prevMu := []float64{1, 2, 3, math.Copysign(0, -1), 5, 6}
	prevSigma := []float64{1, 2, 0.25, 4, 5, 6} // 0.25 is below the floor: kept all the same
	RefitForward(check.Poison(mu), check.Poison(sigma), x, w, prevMu, prevSigma, 0.5, k, b, n, d)
	sameBits(t, "mu", mu[d:2*d], prevMu[d:2*d])
	sameBits(t, "sigma", sigma[d:2*d], prevSigma[d:2*d])
	inPlaceMu, inPlaceSigma := append([]float64(nil), prevMu...), append([]float64(nil), prevSigma...)
	RefitForward(inPlaceMu, inPlaceSigma, x, w, inPlaceMu, inPlaceSigma, 0.5, k, b, n, d)
	sameBits(t, "mu in place", inPlaceMu, mu)
	sameBits(t, "sigma in place", inPlaceSigma, sigma)
	RefitForward(check.Poison(mu), check.Poison(sigma), x, w, nil, nil, 0.5, k, b, n, d)
	sameBits(t, "mu without previous", mu[d:2*d], []float64{0, 0})
	sameBits(t, "sigma without previous", sigma[d:2*d], []float64{0.5, 0.5})

	dx, dw, dmu, dprev := make([]float64, b*n*d), make([]float64, b*n), make([]float64, b*d), make([]float64, b*d)
	zero := make([]float64, n*d)
	wantPrev := make([]float64, b*d)
	copy(wantPrev[d:2*d], g[d:2*d])
	RefitMuBackward(check.Poison(dx), check.Poison(dw), check.Poison(dprev), g, x, w, k, b, n, d)
	sameBits(t, "mu: dx", dx[n*d:2*n*d], zero)
	sameBits(t, "mu: dw", dw[n:2*n], zero[:n])
	sameBits(t, "mu: dprev", dprev, wantPrev)
	check.Poison(dprev)
	RefitSigmaBackward(check.Poison(dx), check.Poison(dw), check.Poison(dmu), dprev, g, x, w, prevMu, 0.5, k, b, n, d)
	sameBits(t, "sigma: dx", dx[n*d:2*n*d], zero)
	sameBits(t, "sigma: dw", dw[n:2*n], zero[:n])
	sameBits(t, "sigma: dmu", dmu[d:2*d], zero[:d])
	sameBits(t, "sigma: dprev", dprev, wantPrev)
}

func TestRefitNilOutputsThreadsAllocations(t *testing.T) {
	for _, d := range []int{1, 23} {
		const b, n, k = 67, 131, 9
		x, w, g := normals[float32](1, b*n*d), weights[float32](2, k, b, n), normals[float32](3, b*d)
		clear(w[:n])
		mu, sigma, prev := make([]float32, b*d), make([]float32, b*d), normals[float32](4, b*d)
		dx, dw, dmu, dprev := make([]float32, b*n*d), make([]float32, b*n), make([]float32, b*d), make([]float32, b*d)
		run := func() {
			RefitForward(mu, sigma, x, w, prev, prev, 0.1, k, b, n, d)
			SigmaForward(sigma, x, w, mu, prev, 0.1, k, b, n, d)
			RefitMuBackward(dx, dw, dprev, g, x, w, k, b, n, d)
			RefitSigmaBackward(dx, dw, dmu, dprev, g, x, w, mu, 0.1, k, b, n, d)
		}
		allocatesNothing(t, run)
		threadsAgree(t, func() (all []float32) {
			RefitMuBackward(dx, dw, dprev, g, x, w, k, b, n, d)
			all = append(append(append(all, dx...), dw...), dprev...)
			run()
			return append(append(append(append(append(append(all, mu...), sigma...), dx...), dw...), dmu...), dprev...)
		})
		// Each output alone has the bits that it has among the others.
		alone := make([]float32, b*n*d)
		check.Poison(alone)
		RefitSigmaBackward(alone, nil, nil, nil, g, x, w, mu, 0.1, k, b, n, d)
		sameBits(t, "sigma: dx alone", alone, dx)
		RefitSigmaBackward(nil, check.Poison(alone[:b*n]), nil, nil, g, x, w, mu, 0.1, k, b, n, d)
		sameBits(t, "sigma: dw alone", alone[:b*n], dw)
		RefitSigmaBackward(nil, nil, check.Poison(alone[:b*d]), nil, g, x, w, mu, 0.1, k, b, n, d)
		sameBits(t, "sigma: dmu alone", alone[:b*d], dmu)
		RefitSigmaBackward(nil, nil, nil, check.Poison(alone[:b*d]), g, x, w, mu, 0.1, k, b, n, d)
		sameBits(t, "sigma: dprev alone", alone[:b*d], dprev)
		RefitMuBackward(dx, dw, dprev, g, x, w, k, b, n, d)
		RefitMuBackward(check.Poison(alone), nil, nil, g, x, w, k, b, n, d)
		sameBits(t, "mu: dx alone", alone, dx)
		RefitMuBackward(nil, check.Poison(alone[:b*n]), nil, g, x, w, k, b, n, d)
		sameBits(t, "mu: dw alone", alone[:b*n], dw)
		RefitMuBackward(nil, nil, check.Poison(alone[:b*d]), g, x, w, k, b, n, d)
		sameBits(t, "mu: dprev alone", alone[:b*d], dprev)
	}
}

func TestRefitPanicsAndEmpty(t *testing.T) {
	var none []float64
	RefitForward(none, none, none, none, none, none, 0, 1, 0, 3, 2)
	RefitForward([]float64{}, []float64{}, []float64{}, []float64{1, 1}, none, none, 0, 1, 2, 1, 0)
	s := make([]float64, 12)
	bd, bn := s[:4], s[:6]
	forward := func(mu, x, w []float64, sigmaMin float64, k int) func() {
		return func() { RefitForward(mu, nil, x, w, nil, nil, sigmaMin, k, 2, 3, 2) }
	}
	panicsWith(t, "RefitForward: k = 4, want 1 <= k <= n = 3", forward(bd, s, bn, 0, 4))
	panicsWith(t, "RefitForward: k = 0, want 1 <= k <= n = 3", forward(bd, s, bn, 0, 0))
	panicsWith(t, "RefitForward: sigmaMin = -1, want", forward(bd, s, bn, -1, 1))
	panicsWith(t, "RefitForward: sigmaMin = NaN, want", forward(bd, s, bn, math.NaN(), 1))
	panicsWith(t, "RefitForward: len(x) = 11, want b*n*d = 12", forward(bd, s[:11], bn, 0, 1))
	panicsWith(t, "RefitForward: len(w) = 5, want b*n = 6", forward(bd, s, s[:5], 0, 1))
	panicsWith(t, "RefitForward: len(mu) = 3, want nil or b*d = 4", forward(s[:3], s, bn, 0, 1))
	panicsWith(t, "SigmaForward: len(mu) = 0, want b*d = 4",
		func() { SigmaForward(bd, s, bn, nil, nil, 0, 1, 2, 3, 2) })
	panicsWith(t, "RefitMuBackward: len(dx) = 3, want nil or b*n*d = 12",
		func() { RefitMuBackward(s[:3], nil, nil, bd, s, bn, 1, 2, 3, 2) })
	panicsWith(t, "RefitMuBackward: len(g) = 0, want b*d = 4",
		func() { RefitMuBackward(s, nil, nil, nil, s, bn, 1, 2, 3, 2) })
	panicsWith(t, "RefitSigmaBackward: len(dw) = 5, want nil or b*n = 6",
		func() { RefitSigmaBackward(nil, s[:5], nil, nil, bd, s, bn, bd, 0, 1, 2, 3, 2) })
}

func BenchmarkRefit(b *testing.B) {
	for _, s := range []struct{ b, n, d, k int }{{100, 100, 1, 10}, {100, 100, 2, 10}, {4, 1000, 128, 100}} {
		x, w, g := normals[float32](1, s.b*s.n*s.d), weights[float32](2, s.k, s.b, s.n), normals[float32](3, s.b*s.d)
		mu, sigma, dmu := make([]float32, s.b*s.d), make([]float32, s.b*s.d), make([]float32, s.b*s.d)
		dx, dw := make([]float32, s.b*s.n*s.d), make([]float32, s.b*s.n)
		for _, c := range []struct {
			name string
			run  func()
		}{
			{"forward", func() { RefitForward(mu, sigma, x, w, nil, nil, 0, s.k, s.b, s.n, s.d) }},
			{"mu-backward", func() { RefitMuBackward(dx, dw, nil, g, x, w, s.k, s.b, s.n, s.d) }},
			{"sigma-backward", func() { RefitSigmaBackward(dx, dw, dmu, nil, g, x, w, mu, 0, s.k, s.b, s.n, s.d) }},
		} {
			b.Run(fmt.Sprintf("%s/b%d-n%d-d%d", c.name, s.b, s.n, s.d), func(b *testing.B) {
				b.SetBytes(int64(len(x)) * 4)
				for b.Loop() {
					c.run()
				}
			})
		}
	}
}
