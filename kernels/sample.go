package kernels

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/vec"
)

// Sampling, step 1 of the method: for each problem p, sample i and dimension j
//
//	x[p,i,j] = clamp(mu[p,j] + sigma[p,j] eps[p,i,j], lower[j], upper[j])
//
// clamp(v) being v < lower ? lower : v > upper ? upper : v, so a NaN stays NaN. The product is rounded before the sum
// (no fused multiply-add): the same bits everywhere. The gradient of clamp is 0 outside the bounds and 1 inside, on a
// bound, and at NaN.

// sampleReference is SampleForward as a plain loop in float64.
func sampleReference(mu, sigma, eps, lower, upper []float64, b, n, d int) []float64 {
	x := make([]float64, b*n*d)
	for e := range x {
		pj, j := e/(n*d)*d+e%d, e%d
		x[e] = float64(sigma[pj]*eps[e]) + mu[pj]
		if lower != nil && x[e] < lower[j] {
			x[e] = lower[j]
		}
		if upper != nil && x[e] > upper[j] {
			x[e] = upper[j]
		}
	}
	return x
}

// sampleBackwardReference is SampleBackward as a plain loop in float64.
func sampleBackwardReference(g, mu, sigma, eps, lower, upper []float64, b, n, d int) (dmu, dsigma, deps []float64) {
	dmu, dsigma, deps = make([]float64, b*d), make([]float64, b*d), make([]float64, b*n*d)
	for e := range deps {
		pj, j := e/(n*d)*d+e%d, e%d
		v := float64(sigma[pj]*eps[e]) + mu[pj]
		if lower != nil && v < lower[j] || upper != nil && v > upper[j] {
			continue
		}
		dmu[pj] += g[e]
		dsigma[pj] += float64(g[e] * eps[e])
		deps[e] = g[e] * sigma[pj]
	}
	return dmu, dsigma, deps
}

// SampleForward writes x = clamp(mu + sigma*eps, lower, upper), doc/equations.md (1). x and eps are (b,n,d), mu and
// sigma (b,d); lower and upper are nil (no bound) or (d) with lower <= upper, infinities allowed. A NaN in mu, sigma
// or eps gives NaN, which no bound hides. x may be the same slice as eps.
func SampleForward[T Float](x, mu, sigma, eps, lower, upper []T, b, n, d int) {
	const name = "SampleForward"
	checkSample(name, mu, sigma, eps, lower, upper, b, n, d)
	needLen(name, "x", len(x), b*n*d, "b*n*d")
	if len(x) == 0 {
		return
	}
	job := sampleJob[T]{x: x, mu: mu, sigma: sigma, eps: eps, lower: lower, upper: upper, n: n, d: d}
	runPooled[T](&sampleJobs, job, b*n, sampleGrain/d)
}

// SampleBackward writes the gradients of doc/equations.md (1), of <g, x> for x = SampleForward(mu, sigma, eps, lower,
// upper), with g (b,n,d):
//
//	dmu[p,j] = sum_i m g    dsigma[p,j] = sum_i m g eps    deps[p,i,j] = m g sigma
//
// where m[p,i,j] is 0 if mu + sigma*eps is outside [lower, upper] and else 1; where m is 0, g does not matter, NaN or
// not. dmu and dsigma are (b,d), deps (b,n,d); a nil one is skipped, and deps may be the same slice as g or eps. The
// sums are made in float64, in an order that depends only on n and d.
func SampleBackward[T Float](dmu, dsigma, deps, g, mu, sigma, eps, lower, upper []T, b, n, d int) {
	const name = "SampleBackward"
	checkSample(name, mu, sigma, eps, lower, upper, b, n, d)
	needLen(name, "g", len(g), b*n*d, "b*n*d")
	needOptional(name, "dmu", dmu, b*d, "b*d")
	needOptional(name, "dsigma", dsigma, b*d, "b*d")
	needOptional(name, "deps", deps, b*n*d, "b*n*d")
	if b*d == 0 {
		return
	}
	job := sampleJob[T]{
		backward: true, dmu: dmu, dsigma: dsigma, x: deps, g: g,
		mu: mu, sigma: sigma, eps: eps, lower: lower, upper: upper, n: n, d: d,
	}
	tiles := (d + sampleTile - 1) / sampleTile
	runPooled[T](&sampleJobs, job, b*tiles, sampleGrain/(1+n*min(d, sampleTile)))
}

const (
	sampleTile  = 128  // elements handled at a time, so that several short passes over them stay in the first-level cache
	sampleGrain = 4096 // elements worth a thread
)

// sampleJob is one call. The items are samples in the forward direction (x is written), and in the backward direction
// tiles of up to sampleTile dimensions of a problem (dmu, dsigma, x for deps are written).
type sampleJob[T Float] struct {
	backward                        bool
	x, mu, sigma, eps, lower, upper []T
	g, dmu, dsigma                  []T
	n, d                            int
}

var sampleJobs, sampleBuffers poolPair

// Run implements vec.Job.
func (j *sampleJob[T]) Run(lo, hi int) {
	buf := fromPool[T, sampleBuffer[T]](&sampleBuffers)
	defer poolOf[T](&sampleBuffers).Put(buf)
	if !j.backward {
		for lo < hi {
			p := lo / j.n
			end := min(hi, (p+1)*j.n)
			for from := 0; from < j.d; from += sampleTile {
				j.forwardStrips(j.strip(buf, p, from, end-lo), lo, end, from)
			}
			lo = end
		}
		return
	}
	tiles := (j.d + sampleTile - 1) / sampleTile
	for ; lo < hi; lo++ {
		p, from := lo/tiles, lo%tiles*sampleTile
		j.backwardStrips(buf, j.strip(buf, p, from, j.n), p, from)
	}
}

// sampleStrip holds a problem's parameters for a strip of consecutive elements: those of up to sampleTile dimensions
// of one sample, or of all dimensions of several samples where d is small, so that the loops over a strip are long
// even when d = 1.
type sampleStrip[T Float] struct {
	mu, sigma, lower, upper []T
	bounded                 bool
	width                   int // dimensions
	repeats                 int // samples
}

// sampleBuffer is the working memory of one Run.
type sampleBuffer[T Float] struct {
	params      [4][sampleTile]T
	g, product  [sampleTile]T
	dmu, dsigma [sampleTile]float64
}

// strip returns the parameters of problem p in the dimensions from from on, for at most that many samples at a time.
func (j *sampleJob[T]) strip(buf *sampleBuffer[T], p, from, samples int) sampleStrip[T] {
	to := min(from+sampleTile, j.d)
	s := sampleStrip[T]{
		bounded: j.lower != nil || j.upper != nil,
		width:   to - from,
		repeats: max(1, min(samples/4, sampleTile/j.d)), // a quarter: filling the buffers must stay cheaper than what it saves
	}
	s.mu = repeated(&buf.params[0], j.mu[p*j.d+from:p*j.d+to], s.repeats)
	s.sigma = repeated(&buf.params[1], j.sigma[p*j.d+from:p*j.d+to], s.repeats)
	if s.bounded {
		s.lower = repeatedBound(&buf.params[2], j.lower, from, to, s.repeats, math.Inf(-1))
		s.upper = repeatedBound(&buf.params[3], j.upper, from, to, s.repeats, math.Inf(1))
	}
	return s
}

// repeated returns the row that many times over, in buf unless that is once.
func repeated[T Float](buf *[sampleTile]T, row []T, times int) []T {
	if times == 1 {
		return row
	}
	out := buf[:times*len(row)]
	copy(out, row)
	for k := len(row); k < len(out); k *= 2 {
		copy(out[k:], out[:k])
	}
	return out
}

// repeatedBound is repeated for bound[from:to], or for none if bound is nil.
func repeatedBound[T Float](buf *[sampleTile]T, bound []T, from, to, times int, none float64) []T {
	if bound != nil {
		return repeated(buf, bound[from:to], times)
	}
	out := buf[:times*(to-from)]
	for i := range out {
		out[i] = T(none)
	}
	return out
}

// forwardStrips writes the samples [lo, hi) of x, counted over all problems, in the strip's dimensions.
func (j *sampleJob[T]) forwardStrips(s sampleStrip[T], lo, hi, from int) {
	for ; lo < hi; lo += s.repeats {
		at, k := lo*j.d+from, min(s.repeats, hi-lo)*s.width
		x, eps := j.x[at:at+k], j.eps[at:at+k]
		if s.bounded {
			vec.MulAddClamp(x, s.sigma[:k], eps, s.mu[:k], s.lower[:k], s.upper[:k])
		} else {
			vec.MulAdd(x, s.sigma[:k], eps, s.mu[:k])
		}
	}
}

// backwardStrips writes the gradients of problem p in the strip's dimensions.
func (j *sampleJob[T]) backwardStrips(buf *sampleBuffer[T], s sampleStrip[T], p, from int) {
	dmu, dsigma := buf.dmu[:s.repeats*s.width], buf.dsigma[:s.repeats*s.width]
	clear(dmu)
	clear(dsigma)
	for i := 0; i < j.n; i += s.repeats {
		at, k := (p*j.n+i)*j.d+from, min(s.repeats, j.n-i)*s.width
		g, eps := j.g[at:at+k], j.eps[at:at+k]
		if s.bounded {
			sampleMask(buf.g[:k], g, s.mu, s.sigma, eps, s.lower, s.upper)
			g = buf.g[:k]
		}
		if j.dmu != nil {
			sampleAdd(dmu, g)
		}
		if j.dsigma != nil {
			sampleAddProduct(dsigma, g, eps)
		}
		if j.x == nil {
			continue
		}
		deps := j.x[at : at+k]
		if s.bounded { // once more, for 0 times an infinite sigma
			sampleMultiply(buf.product[:k], g, s.sigma)
			sampleMask(deps, buf.product[:k], s.mu, s.sigma, eps, s.lower, s.upper)
		} else {
			sampleMultiply(deps, g, s.sigma)
		}
	}
	if j.dmu != nil {
		sampleFold(j.dmu[p*j.d+from:][:s.width], dmu)
	}
	if j.dsigma != nil {
		sampleFold(j.dsigma[p*j.d+from:][:s.width], dsigma)
	}
}

// sampleMask is out[i] = 0 where vec.MulAddClamp would put a bound, and g[i] elsewhere. out may be eps.
func sampleMask[T Float](out, g, mu, sigma, eps, lower, upper []T) {
	switch out := any(out).(type) {
	case []float32:
		sampleMask32(out, any(g).([]float32), any(mu).([]float32), any(sigma).([]float32), any(eps).([]float32),
			any(lower).([]float32), any(upper).([]float32))
	case []float64:
		sampleMask64(out, any(g).([]float64), any(mu).([]float64), any(sigma).([]float64), any(eps).([]float64),
			any(lower).([]float64), any(upper).([]float64))
	}
}

// sampleMask32 chooses between bits because the compiler makes conditional moves of integers only, and a branch on a
// random sample is mispredicted often.
func sampleMask32(out, g, mu, sigma, eps, lower, upper []float32) {
	g, mu, sigma, eps, lower, upper = g[:len(out)], mu[:len(out)], sigma[:len(out)], eps[:len(out)], lower[:len(out)], upper[:len(out)]
	for i := range out {
		v := float32(sigma[i]*eps[i]) + mu[i]
		bits := math.Float32bits(g[i])
		if v < lower[i] {
			bits = 0
		}
		if v > upper[i] {
			bits = 0
		}
		out[i] = math.Float32frombits(bits)
	}
}

func sampleMask64(out, g, mu, sigma, eps, lower, upper []float64) {
	g, mu, sigma, eps, lower, upper = g[:len(out)], mu[:len(out)], sigma[:len(out)], eps[:len(out)], lower[:len(out)], upper[:len(out)]
	for i := range out {
		v := float64(sigma[i]*eps[i]) + mu[i]
		bits := math.Float64bits(g[i])
		if v < lower[i] {
			bits = 0
		}
		if v > upper[i] {
			bits = 0
		}
		out[i] = math.Float64frombits(bits)
	}
}

// sampleAdd is sum[i] += v[i].
func sampleAdd[T Float](sum []float64, v []T) {
	sum = sum[:len(v)]
	for i, v := range v {
		sum[i] += float64(v)
	}
}

// sampleAddProduct is sum[i] += a[i]*b[i].
func sampleAddProduct[T Float](sum []float64, a, b []T) {
	sum, b = sum[:len(a)], b[:len(a)]
	for i := range a {
		sum[i] += float64(float64(a[i]) * float64(b[i]))
	}
}

// sampleMultiply is out[i] = a[i]*b[i].
func sampleMultiply[T Float](out, a, b []T) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] * b[i]
	}
}

// sampleFold writes to out the sum of the rows of sum.
func sampleFold[T Float](out []T, sum []float64) {
	for c := range out {
		total := 0.0
		for k := c; k < len(sum); k += len(out) {
			total += sum[k]
		}
		out[c] = T(total)
	}
}

// checkSample panics unless the inputs have their lengths and the bounds are in order.
func checkSample[T Float](name string, mu, sigma, eps, lower, upper []T, b, n, d int) {
	needSize(name, "b", b)
	needSize(name, "n", n)
	needSize(name, "d", d)
	needLen(name, "mu", len(mu), b*d, "b*d")
	needLen(name, "sigma", len(sigma), b*d, "b*d")
	needLen(name, "eps", len(eps), b*n*d, "b*n*d")
	needOptional(name, "lower", lower, d, "d")
	needOptional(name, "upper", upper, d, "d")
	for i := range d {
		lo, hi := math.Inf(-1), math.Inf(1)
		if lower != nil {
			lo = float64(lower[i])
		}
		if upper != nil {
			hi = float64(upper[i])
		}
		if !(lo <= hi) {
			panic(fmt.Sprintf("kernels: %s: lower[%d], upper[%d] = %v, %v, want lower <= upper", name, i, i, lo, hi))
		}
	}
}
