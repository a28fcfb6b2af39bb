package kernels

import (
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

func TestRefitGradients(t *testing.T) {
	const b, n, d, k = 2, 6, 3, 2
	x, w, g := normals[float64](1, b*n*d), weights[float64](2, k, b, n), normals[float64](3, b*d)
	mu := normals[float64](4, b*d) // any mu: it is a variable of its own
	for i := range w {
		w[i] += 0.05 // no kink: a problem's weights stay above 0
	}
	dx, dw, dmu := make([]float64, b*n*d), make([]float64, b*n), make([]float64, b*d)
	out := make([]float64, b*d)
	muOf := func([]float64) float64 {
		RefitForward(out, nil, x, w, nil, nil, 0, k, b, n, d)
		return inner(g, out)
	}
	RefitMuBackward(check.Poison(dx), check.Poison(dw), nil, g, x, w, k, b, n, d)
	check.Close(t, "mu: dx", dx, check.Gradient(muOf, x, 1e-3), 1e-11) // linear: rounding over the step
	check.Close(t, "mu: dw", dw, check.Gradient(muOf, w, 1e-3), 1e-11)
	const sigmaMin = 1.1 // between the sigmas: some dimensions are at the floor
	sigmaOf := func([]float64) float64 {
		SigmaForward(out, x, w, mu, nil, sigmaMin, k, b, n, d)
		return inner(g, out)
	}
	sigmaOf(nil)
	floor := 0
	for _, s := range out {
		if s == sigmaMin {
			floor++
		}
	}
	if floor == 0 || floor == b*d {
		t.Errorf("%d of %d sigmas at the floor, want some and not all", floor, b*d)
	}
	RefitSigmaBackward(check.Poison(dx), check.Poison(dw), check.Poison(dmu), nil, g, x, w, mu, sigmaMin, k, b, n, d)
	check.Close(t, "sigma: dx", dx, check.Gradient(sigmaOf, x, 1e-3), 1e-10) // the differences' error at this step
	check.Close(t, "sigma: dw", dw, check.Gradient(sigmaOf, w, 1e-3), 1e-10)
	check.Close(t, "sigma: dmu", dmu, check.Gradient(sigmaOf, mu, 1e-3), 1e-10)
}

// Samples of weight 0 change nothing, even where they hold NaN or infinities.
func TestRefitSkipsWeightZero(t *testing.T) {
	const b, n, d, k = 2, 11, 2, 3
	x, w, g := normals[float64](1, b*n*d), weights[float64](2, k, b, n), normals[float64](3, b*d)
	all := func() (mu, sigma, dx, dw, dmu, dx2, dw2 []float64) {
		mu, sigma, dmu = make([]float64, b*d), make([]float64, b*d), make([]float64, b*d)
		dx, dw, dx2, dw2 = make([]float64, b*n*d), make([]float64, b*n), make([]float64, b*n*d), make([]float64, b*n)
		RefitForward(mu, sigma, x, w, nil, nil, 0, k, b, n, d)
		RefitMuBackward(check.Poison(dx), check.Poison(dw), nil, g, x, w, k, b, n, d)
		RefitSigmaBackward(check.Poison(dx2), check.Poison(dw2), check.Poison(dmu), nil, g, x, w, mu, 0, k, b, n, d)
		return
	}
	mu0, sigma0, dx0, dw0, dmu0, dx20, dw20 := all()
	for i, wi := range w {
		if wi == 0 {
			if dw0[i] == 0 || dw20[i] == 0 {
				t.Errorf("sample %d of weight 0 has dw %v and %v, want the formula's", i, dw0[i], dw20[i])
			}
			x[i*d], x[i*d+1] = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[i%3], math.Inf(-1)
			dw0[i], dw20[i] = 0, 0 // what entries that are not finite add
		}
	}
	mu, sigma, dx, dw, dmu, dx2, dw2 := all()
	sameBits(t, "mu", mu, mu0)
	sameBits(t, "sigma", sigma, sigma0)
	sameBits(t, "mu: dx", dx, dx0)
	sameBits(t, "mu: dw", dw, dw0)
	sameBits(t, "sigma: dx", dx2, dx20)
	sameBits(t, "sigma: dw", dw2, dw20)
	sameBits(t, "sigma: dmu", dmu, dmu0)

	// With a weight they show, in their dimension and problem only; an infinity stays one.
	x[0], w[0] = math.Inf(1), 0.5
	RefitForward(mu, sigma, x, w, nil, nil, 0, k, b, n, d)
	if !math.IsInf(mu[0], 1) || !math.IsNaN(sigma[0]) {
		t.Errorf("an infinite sample gives mu %v, sigma %v, want +Inf, NaN", mu[0], sigma[0])
	}
	sameBits(t, "other problem", mu[d:], mu0[d:])
}

func TestRefitSigmaAtZeroAndFloor(t *testing.T) {
	const n, d, k = 3, 3, 2
	// Dimension 0 has variance 0, dimension 1 sigma 0.5 exactly, dimension 2 sigma 1.
	x := []float64{7, 1, 0, 7, 2, 2, 7, 9, 9}
	w := []float64{1, 1, 0}
	g := []float64{math.Inf(1), math.NaN(), 3}
	mu, sigma := make([]float64, d), make([]float64, d)
	RefitForward(mu, sigma, x, w, nil, nil, 0.5, k, 1, n, d)
	sameBits(t, "mu", mu, []float64{7, 1.5, 1})
	sameBits(t, "sigma", sigma, []float64{0.5, 0.5, 1})
	dx, dw, dmu := make([]float64, n*d), make([]float64, n), make([]float64, d)
	RefitSigmaBackward(check.Poison(dx), check.Poison(dw), check.Poison(dmu), nil, g, x, w, mu, 0.5, k, 1, n, d)
	check.Close(t, "dx", dx, []float64{0, 0, -1.5, 0, 0, 1.5, 0, 0, 0}, 0)
	check.Close(t, "dw", dw, []float64{0.75, 0.75, 48}, 0) // g (x-mu)^2/(2 k sigma)
	check.Close(t, "dmu", dmu, []float64{0, 0, 0}, 0)
	// Without a floor: still 0 where the variance is 0.
	g[1] = 1
	RefitSigmaBackward(check.Poison(dx), check.Poison(dw), check.Poison(dmu), nil, g, x, w, mu, 0, k, 1, n, d)
	if dx[0] != 0 || dx[3] != 0 || dmu[0] != 0 || dx[1] != -0.5 {
		t.Errorf("sigmaMin 0: dx %v, dmu %v, want 0 in dimension 0 and dx[1] = -0.5", dx, dmu)
	}
}
