package kernels

import "math"

// RefitMuBackward writes the gradients of mu in doc/equations.md (4), of <g, mu>: dx = g w/k (b,n,d), dw = <g, x>/k
// (b,n), and dprev (b,d), which is g in the problems that kept the previous mu (all weights 0; there dx = dw = 0) and
// 0 in the others. Outputs that are nil are skipped; none may overlap an input. g: (b,d). At a sample of weight 0 dx
// is exactly 0, and an infinite or NaN entry of x adds nothing to dw.
func RefitMuBackward[T Float](dx, dw, dprev, g, x, w []T, k, b, n, d int) {
	checkRefit("RefitMuBackward", x, w, 0, k, b, n, d)
	needLen("RefitMuBackward", "g", len(g), b*d, "b*d")
	needOptional("RefitMuBackward", "dprev", dprev, b*d, "b*d")
	checkRefitGradients("RefitMuBackward", dx, dw, b, n, d)
	refit(refitJob[T]{op: refitMuBackward, dx: dx, dw: dw, dprev: dprev, g: g, x: x, w: w}, 0, k, b, n, d)
}

// RefitSigmaBackward writes the gradients of sigma in doc/equations.md (4), of <g, sigma(x, w, mu)>, sigma =
// max(sqrt(sum w (x-mu)^2/k), sigmaMin), with mu a variable of its own: with c = g/(k sigma), dx = c w (x-mu) (b,n,d),
// dw = sum_d c (x-mu)^2/2 (b,n), dmu = -sum_n c w (x-mu) (b,d); c = 0 where the variance is 0 or sigma at its floor.
// dprev (b,d) is g in the problems that kept the previous sigma (all weights 0; there the others are 0) and 0
// elsewhere. nil outputs, overlap and samples of weight 0 as in RefitMuBackward. g, mu: (b,d).
func RefitSigmaBackward[T Float](dx, dw, dmu, dprev, g, x, w, mu []T, sigmaMin float64, k, b, n, d int) {
	checkRefit("RefitSigmaBackward", x, w, sigmaMin, k, b, n, d)
	needLen("RefitSigmaBackward", "g", len(g), b*d, "b*d")
	needLen("RefitSigmaBackward", "mu", len(mu), b*d, "b*d")
	needOptional("RefitSigmaBackward", "dmu", dmu, b*d, "b*d")
	needOptional("RefitSigmaBackward", "dprev", dprev, b*d, "b*d")
	checkRefitGradients("RefitSigmaBackward", dx, dw, b, n, d)
	refit(refitJob[T]{op: refitSigmaBackward, dx: dx, dw: dw, dmu: dmu, dprev: dprev, g: g, x: x, w: w, mu: mu},
		sigmaMin, k, b, n, d)
}

func checkRefitGradients[T Float](kernel string, dx, dw []T, b, n, d int) {
	needOptional(kernel, "dx", dx, b*n*d, "b*n*d")
	needOptional(kernel, "dw", dw, b*n, "b*n")
}

// refitMuBackwardReference is the definition, for one problem with a weight that is not 0.
func refitMuBackwardReference(dx, dw, g, x, w []float64, k float64) {
	d := len(g)
	for i := range w {
		dw[i] = 0
		for j := range g {
			dx[i*d+j] = g[j] * w[i] / k
			dw[i] += g[j] * x[i*d+j] / k
		}
	}
}

// refitSigmaBackwardReference is the definition, for one problem with a weight that is not 0 and no sigma at the floor.
func refitSigmaBackwardReference(dx, dw, dmu, g, x, w, mu []float64, k float64) {
	d := len(g)
	clear(dw)
	for j := range g {
		dmu[j] = 0
		variance := 0.0
		for i := range w {
			variance += w[i] * (x[i*d+j] - mu[j]) * (x[i*d+j] - mu[j]) / k
		}
		for i := range w {
			t := x[i*d+j] - mu[j]
			dx[i*d+j] = g[j] * w[i] * t / (k * math.Sqrt(variance))
			dw[i] += g[j] * t * t / (2 * k * math.Sqrt(variance))
			dmu[j] -= dx[i*d+j]
		}
	}
}

// kept reports whether the problem kept its previous moments, and writes all of its outputs that this decides.
func (j *refitJob[T]) kept(b int, any bool) bool {
	if dprev := refitRow(j.dprev, b, j.d); dprev != nil {
		clear(dprev)
		if !any {
			copy(dprev, refitRow(j.g, b, j.d))
		}
	}
	if any {
		return false
	}
	clear(refitRow(j.dx, b, j.n*j.d))
	clear(refitRow(j.dw, b, j.n))
	clear(refitRow(j.dmu, b, j.d))
	return true
}

func (j *refitJob[T]) muBackward(s *refitScratch[T], b int) {
	x, w, any := j.problem(b)
	if j.kept(b, any) {
		return
	}
	dx, dw := refitRow(j.dx, b, j.n*j.d), refitRow(j.dw, b, j.n)
	c := s.c
	for i, g := range refitRow(j.g, b, j.d) {
		c[i] = float64(g) / j.k
	}
	for i, wi := range w {
		from, to := i*j.d, (i+1)*j.d
		if dx != nil {
			refitScale(dx[from:to], c, float64(wi))
		}
		if dw != nil {
			sum := 0.0
			for a, v := range x[from:to] {
				if wi != 0 || isFinite(v) {
					sum += float64(c[a] * float64(v))
				}
			}
			dw[i] = T(sum)
		}
	}
}

// refitScale writes dst = w c, exactly 0 for w = 0.
func refitScale[T Float](dst []T, c []float64, w float64) {
	if w == 0 {
		clear(dst)
		return
	}
	for i, v := range c[:len(dst)] {
		dst[i] = T(w * v)
	}
}

func (j *refitJob[T]) sigmaBackward(s *refitScratch[T], b int) {
	x, w, any := j.problem(b)
	if j.kept(b, any) {
		return
	}
	dx, dw, dmu := refitRow(j.dx, b, j.n*j.d), refitRow(j.dw, b, j.n), refitRow(j.dmu, b, j.d)
	mu := refitRow(j.mu, b, j.d)
	refitVariance(s, mu, x, w, j.k)
	c := s.c
	for i, g := range refitRow(j.g, b, j.d) {
		if sigma := math.Sqrt(c[i]); sigma <= j.sigmaMin { // sigmaMin >= 0: variance 0 is here too; NaN is not
			c[i] = 0
		} else {
			c[i] = float64(g) / (j.k * sigma)
		}
	}
	byMu := s.byMu
	clear(byMu)
	for i, wi := range w {
		xi, dst, sum := x[i*j.d:(i+1)*j.d], s.mu, 0.0 // s.mu: where nobody looks
		if dx != nil {
			dst = dx[i*j.d : (i+1)*j.d]
		}
		if wi != 0 {
			sum = refitSigmaRow(dst, byMu, c, xi, mu, float64(wi))
		} else {
			clear(dst)
			for a, v := range xi {
				if t := float64(v) - float64(mu[a]); isFinite(v) {
					sum += float64(c[a] * t * t)
				}
			}
		}
		if dw != nil {
			dw[i] = T(0.5 * sum)
		}
	}
	for i := range dmu {
		dmu[i] = T(byMu[i])
	}
}

// refitSigmaRow writes dx = c w t with t = x - mu, subtracts it from byMu and returns sum c t^2.
func refitSigmaRow[T Float](dx []T, byMu, c []float64, x, mu []T, w float64) (sum float64) {
	dx, byMu, c, mu = dx[:len(x)], byMu[:len(x)], c[:len(x)], mu[:len(x)]
	for i, v := range x {
		t := float64(v) - float64(mu[i])
		ct := float64(c[i] * t)
		u := float64(w * ct)
		dx[i] = T(u)
		byMu[i] -= u
		sum += float64(ct * t)
	}
	return sum
}
