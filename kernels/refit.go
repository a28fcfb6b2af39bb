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

// RefitForward writes the moments of doc/equations.md (4) of b problems with n samples of d dimensions each, of which
// about k count. x: (b,n,d); w: (b,n), not negative; mu, sigma, prevMu, prevSigma: (b,d); sigmaMin >= 0; 1 <= k <= n.
// mu or sigma may be nil: then it is not wanted. A problem whose weights are all 0 gets prevMu and prevSigma as they
// are; where that is nil it gets what the formulas give, 0 and sigmaMin. mu may be prevMu, and sigma prevSigma. The
// sums are in float64, of float64 compensated, so what is lost is lost in the products and in rounding mu, however large |mu|
// beside sigma; in float64 (x-mu)^2 must not overflow. The bits are the same on every machine. A sample that is not finite and has a weight makes its dimension not finite.
// Threads share the problems, here and in the other refits: a single problem runs on one.
func RefitForward[T Float](mu, sigma, x, w, prevMu, prevSigma []T, sigmaMin float64, k, b, n, d int) {
	checkRefit("RefitForward", x, w, sigmaMin, k, b, n, d)
	needOptional("RefitForward", "mu", mu, b*d, "b*d")
	needOptional("RefitForward", "sigma", sigma, b*d, "b*d")
	needOptional("RefitForward", "prevMu", prevMu, b*d, "b*d")
	needOptional("RefitForward", "prevSigma", prevSigma, b*d, "b*d")
	refit(refitJob[T]{mu: mu, sigma: sigma, x: x, w: w, prevMu: prevMu, prevSigma: prevSigma}, sigmaMin, k, b, n, d)
}

// SigmaForward writes sigma of doc/equations.md (4) for the mu that it is given; shapes and rules as in RefitForward.
func SigmaForward[T Float](sigma, x, w, mu, prevSigma []T, sigmaMin float64, k, b, n, d int) {
	checkRefit("SigmaForward", x, w, sigmaMin, k, b, n, d)
	needLen("SigmaForward", "sigma", len(sigma), b*d, "b*d")
	needLen("SigmaForward", "mu", len(mu), b*d, "b*d")
	needOptional("SigmaForward", "prevSigma", prevSigma, b*d, "b*d")
	refit(refitJob[T]{op: refitSigma, mu: mu, sigma: sigma, x: x, w: w, prevSigma: prevSigma}, sigmaMin, k, b, n, d)
}

func checkRefit[T Float](kernel string, x, w []T, sigmaMin float64, k, b, n, d int) {
	needSize(kernel, "b", b)
	needSize(kernel, "d", d)
	needElites(kernel, k, n)
	if !(sigmaMin >= 0 && sigmaMin <= math.MaxFloat64) {
		panic(fmt.Sprintf("kernels: %s: sigmaMin = %v, want a finite number >= 0", kernel, sigmaMin))
	}
	needLen(kernel, "x", len(x), b*n*d, "b*n*d")
	needLen(kernel, "w", len(w), b*n, "b*n")
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
	args.sigmaMin, args.k, args.n, args.d = sigmaMin, float64(k), n, d
	runPooled[T](&refitJobs, args, b, 1+8192/max(1, n*d))
}

// refitScratch holds one problem's sums over the samples.
type refitScratch[T Float] struct {
	hi, lo  []float64 // (d), vec.MomentLanes at least
	c, byMu []float64 // (d)
	mu      []T       // (d)
}

var refitScratches poolPair

func (j *refitJob[T]) Run(lo, hi int) {
	s := fromPool[T, refitScratch[T]](&refitScratches)
	if cap(s.mu) < j.d || s.hi == nil {
		room := max(j.d, vec.MomentLanes)
		s.hi, s.lo, s.c, s.byMu, s.mu = make([]float64, room), make([]float64, room), make([]float64, j.d), make([]float64, j.d), make([]T, j.d)
	}
	s.c, s.byMu, s.mu = s.c[:j.d], s.byMu[:j.d], s.mu[:j.d]
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
	poolOf[T](&refitScratches).Put(s)
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
	for i, v := range s.c {
		v = math.Sqrt(v)
		if v < j.sigmaMin { // false for NaN, which stays
			v = j.sigmaMin
		}
		sigma[i] = T(v)
	}
}

// refitMean writes mu = sum w x / k.
func refitMean[T Float](mu []T, scratch *refitScratch[T], x, w []T, k float64) {
	vec.WeightedSums(scratch.hi, scratch.lo, x, w, len(mu))
	for j := range mu {
		mu[j] = T(compensated{scratch.hi[j], scratch.lo[j]}.total() / k)
	}
}

// refitVariance leaves sum w (x-mu)^2 / k in scratch.c.
func refitVariance[T Float](scratch *refitScratch[T], mu, x, w []T, k float64) {
	vec.WeightedSquares(scratch.hi, scratch.lo, x, w, mu)
	for j := range mu {
		scratch.c[j] = compensated{scratch.hi[j], scratch.lo[j]}.total() / k
	}
}
