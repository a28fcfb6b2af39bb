package kernels

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/vec"
)

// Refitted moments. Samples x (b,n,d) with weights w (b,n), which sum to about k per problem, give
//
//	mu = sum_n w x / k,  sigma = max(sqrt(sum_n w (x - mu)^2 / k), sigmaMin)  (b,d)
//
// sigma takes mu as it was rounded to the element type: so RefitForward and SigmaForward on RefitForward's mu have the
// same bits, and two ops in a graph agree with one fused kernel. Three rules keep a lost problem harmless:
//   - a sample of weight 0 has no part in it, whatever it holds (0*Inf would be NaN);
//   - a problem whose weights are all 0 (its soft top-k had no solution) keeps the previous moments;
//   - the gradient of the square root is 0 at variance 0, and that of the floor is 0 on and below it.

// refitReference is the definition, for one problem.
func refitReference(mu, sigma, x, w []float64, sigmaMin, k float64) {
	d := len(mu)
	for j := range d {
		mu[j] = 0
		for i := range w {
			mu[j] += w[i] * x[i*d+j] / k
		}
		variance := 0.0
		for i := range w {
			variance += w[i] * (x[i*d+j] - mu[j]) * (x[i*d+j] - mu[j]) / k
		}
		sigma[j] = math.Max(math.Sqrt(variance), sigmaMin)
	}
}

// RefitForward writes the moments of b problems with n samples of d dimensions each, of which about k count.
// x: (b,n,d); w: (b,n), not negative; mu, sigma, prevMu, prevSigma: (b,d); sigmaMin >= 0; 1 <= k <= n. mu or sigma may
// be nil: then it is not wanted. A problem whose weights are all 0 gets prevMu and prevSigma as they are; where that is
// nil it gets what the formulas give, 0 and sigmaMin. mu may be prevMu, and sigma prevSigma. The sums are compensated,
// so what is lost is lost in the products and in rounding mu, however large |mu| beside sigma; in float64
// (x-mu)^2 must not overflow. A sample that is not finite and has a weight makes its dimension not finite.
func RefitForward[T Float](mu, sigma, x, w, prevMu, prevSigma []T, sigmaMin float64, k, b, n, d int) {
	checkRefit("RefitForward", x, w, sigmaMin, k, b, n, d)
	needOptional("RefitForward", "mu", mu, b, d)
	needOptional("RefitForward", "sigma", sigma, b, d)
	needOptional("RefitForward", "prevMu", prevMu, b, d)
	needOptional("RefitForward", "prevSigma", prevSigma, b, d)
	refit(refitJob[T]{mu: mu, sigma: sigma, x: x, w: w, prevMu: prevMu, prevSigma: prevSigma}, sigmaMin, k, b, n, d)
}

// SigmaForward writes sigma for the mu that it is given; shapes and rules as in RefitForward.
func SigmaForward[T Float](sigma, x, w, mu, prevSigma []T, sigmaMin float64, k, b, n, d int) {
	checkRefit("SigmaForward", x, w, sigmaMin, k, b, n, d)
	needLen("SigmaForward", "sigma", len(sigma), b*d, "b*d")
	needLen("SigmaForward", "mu", len(mu), b*d, "b*d")
	needOptional("SigmaForward", "prevSigma", prevSigma, b, d)
	refit(refitJob[T]{op: refitSigma, mu: mu, sigma: sigma, x: x, w: w, prevSigma: prevSigma}, sigmaMin, k, b, n, d)
}

func checkRefit[T Float](kernel string, x, w []T, sigmaMin float64, k, b, n, d int) {
	needSize(kernel, "b", b)
	needSize(kernel, "d", d)
	if k < 1 || k > n {
		panic(fmt.Sprintf("kernels: %s: k = %d, want 1 <= k <= n = %d", kernel, k, n))
	}
	if !(sigmaMin >= 0 && sigmaMin <= math.MaxFloat64) {
		panic(fmt.Sprintf("kernels: %s: sigmaMin = %v, want a finite number >= 0", kernel, sigmaMin))
	}
	needLen(kernel, "x", len(x), b*n*d, "b*n*d")
	needLen(kernel, "w", len(w), b*n, "b*n")
}

func needOptional[T Float](kernel, name string, s []T, b, d int) {
	if s != nil && len(s) != b*d {
		panic(fmt.Sprintf("kernels: %s: len(%s) = %d, want nil or b*d = %d", kernel, name, len(s), b*d))
	}
}

type refitOp uint8

const (
	refitForward refitOp = iota
	refitSigma           // forward, for a given mu
	refitMuBackward
	refitSigmaBackward
)

type refitJob[T Float] struct {
	op                                    refitOp
	mu, sigma, x, w, prevMu, prevSigma, g []T
	dx, dw, dmu, dprev                    []T
	sigmaMin, k                           float64
	n, d                                  int
}

var refitJobs poolPair

func refit[T Float](args refitJob[T], sigmaMin float64, k, b, n, d int) {
	pool := poolOf[T](&refitJobs)
	j, _ := pool.Get().(*refitJob[T])
	if j == nil {
		j = new(refitJob[T])
	}
	*j = args
	j.sigmaMin, j.k, j.n, j.d = sigmaMin, float64(k), n, d
	vec.Parallel(b, 1+8192/max(1, n*d), j)
	*j = refitJob[T]{}
	pool.Put(j)
}

// refitScratch holds one problem's sums over the samples.
type refitScratch[T Float] struct {
	sum, rest []float64 // (d)
	mu        []T       // (d)
}

var refitScratches poolPair

func (j *refitJob[T]) Run(lo, hi int) {
	pool := poolOf[T](&refitScratches)
	s, _ := pool.Get().(*refitScratch[T])
	if s == nil {
		s = new(refitScratch[T])
	}
	if cap(s.sum) < j.d {
		s.sum, s.rest, s.mu = make([]float64, j.d), make([]float64, j.d), make([]T, j.d)
	}
	s.sum, s.rest, s.mu = s.sum[:j.d], s.rest[:j.d], s.mu[:j.d]
	for b := lo; b < hi; b++ {
		switch j.op {
		case refitForward, refitSigma:
			j.forward(s, b)
		case refitMuBackward:
			j.muBackward(s, b)
		case refitSigmaBackward:
			j.sigmaBackward(s, b)
		}
	}
	pool.Put(s)
}

// problem returns one problem's samples and weights, and whether any weight is not 0.
func (j *refitJob[T]) problem(b int) (x, w []T, any bool) {
	x, w = j.x[b*j.n*j.d:(b+1)*j.n*j.d], j.w[b*j.n:(b+1)*j.n]
	for _, v := range w {
		if v != 0 {
			return x, w, true
		}
	}
	return x, w, false
}

// refitRow returns problem b's part of a (b,d) array, nil for nil.
func refitRow[T Float](s []T, b, d int) []T {
	if s == nil {
		return nil
	}
	return s[b*d : (b+1)*d]
}

func (j *refitJob[T]) forward(s *refitScratch[T], b int) {
	x, w, any := j.problem(b)
	mu, sigma := refitRow(j.mu, b, j.d), refitRow(j.sigma, b, j.d)
	if mu == nil {
		mu = s.mu
	}
	if j.op == refitForward {
		if !any && j.prevMu != nil {
			copy(mu, refitRow(j.prevMu, b, j.d))
		} else {
			refitMean(mu, s, x, w, j.k)
		}
	}
	if sigma == nil {
		return
	}
	if !any && j.prevSigma != nil {
		copy(sigma, refitRow(j.prevSigma, b, j.d))
		return
	}
	refitVariance(s, mu, x, w, j.k)
	for i, v := range s.sum {
		v = math.Sqrt(v)
		if v < j.sigmaMin { // false for NaN, which stays
			v = j.sigmaMin
		}
		sigma[i] = T(v)
	}
}

// refitAdd adds v to the sum s + e, s being its rounded value and e what was lost (Knuth). Unlike Kahan's its steps
// wait for only one addition of the step before.
func refitAdd(s, e, v float64) (float64, float64) {
	t := s + v
	z := t - s
	return t, e + ((s - (t - z)) + (v - z))
}

// refitTotal returns s + e; where s is infinite, e is NaN and is left out.
func refitTotal(s, e float64) float64 {
	if e != e {
		return s
	}
	return s + e
}

// refitMean writes mu = sum w x / k. Samples are the outer loop: memory is read once, in order, and the
// dimensions' sums do not wait for each other.
func refitMean[T Float](mu []T, scratch *refitScratch[T], x, w []T, k float64) {
	if len(mu) == 1 {
		var s, e float64
		for i, wi := range w {
			if wi != 0 {
				s, e = refitAdd(s, e, float64(float64(wi)*float64(x[i])))
			}
		}
		mu[0] = T(refitTotal(s, e) / k)
		return
	}
	d := len(mu)
	sum, rest := scratch.sum[:d], scratch.rest[:d]
	clear(sum)
	clear(rest)
	for i, wi := range w {
		if wi == 0 {
			continue
		}
		wi, xi := float64(wi), x[i*d:][:d]
		for j, v := range xi {
			sum[j], rest[j] = refitAdd(sum[j], rest[j], float64(wi*float64(v)))
		}
	}
	for j := range mu {
		mu[j] = T(refitTotal(sum[j], rest[j]) / k)
	}
}

// refitVariance leaves sum w (x-mu)^2 / k in scratch.sum.
func refitVariance[T Float](scratch *refitScratch[T], mu, x, w []T, k float64) {
	d := len(mu)
	sum, rest := scratch.sum[:d], scratch.rest[:d]
	clear(sum)
	clear(rest)
	if d == 1 {
		var s, e float64
		m := float64(mu[0])
		for i, wi := range w {
			if wi != 0 {
				t := float64(x[i]) - m
				s, e = refitAdd(s, e, float64(float64(wi)*float64(t*t)))
			}
		}
		sum[0], rest[0] = s, e
	} else {
		for i, wi := range w {
			if wi == 0 {
				continue
			}
			wi, xi := float64(wi), x[i*d:][:d]
			for j, v := range xi {
				t := float64(v) - float64(mu[j])
				sum[j], rest[j] = refitAdd(sum[j], rest[j], float64(wi*float64(t*t)))
			}
		}
	}
	for j, s := range sum {
		sum[j] = refitTotal(s, rest[j]) / k
	}
}
