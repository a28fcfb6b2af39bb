package kernels

import "math"

// The LML relaxation, doc/equations.md (3) (Amos, Koltun and Kolter, "The limited multi-label projection layer",
// 2019): argmin -x'y - H_b(y) over 0 < y < 1, sum y = k, with H_b the binary entropy. Its solution is y = s(x + nu), s
// the logistic function, nu the root of sum s(x + nu) = k.
//
// The root is sought relative to the pair p = x_(k), q = x_(k+1) (k-th and k+1-st largest), with z = (x - p) + d and
// nu = d - p, as the balance of what the upper k entries lack and what the others have:
//
//	A(d) = sum_{others} s(z),   B(d) = sum_{upper k} s(-z),   F(d) = log A - log B = 0.
//
// Each term is v = Gu/(1+Gu), with G = e^(x-q), u = e^(d-(p-q)) for the others and G = e^(p-x), u = e^-d for the upper
// k: all G <= 1 with one equal to 1, so nothing overflows or cancels, and e^x is taken once per element, not once per
// step. As s(z) of the others never exceeds s(z) of the upper k,
//
//	1 <= dF/dd = sum h/A + sum h/B <= 2   and   |d2F/dd2| <= 1/2   everywhere:
//
// the root lies in [d-F, d-F/2], and Newton's step takes an error e to at most e^2/4. From |F| >= 3 a step of 3F/4
// halves |F| at least; below 1 Halley's correction to Newton's step (error under 0.7 e^3) saves an evaluation. No
// bracket is needed.
//
// The start is the root for two clusters of k and N-k equal values with the same sums of G: exact for ties and for wide
// gaps, and |F| <= log(1 + 2 sqrt N) there (v is concave in G).
const (
	// lmlStepLimit bounds the evaluations of F. By the bounds above 12 suffice for 2^62 entries. Ordinary rows take 2
	// (float32) or 3, the hardest known 4 (TestLMLSteps).
	lmlStepLimit = 16
	// After a step below these the error in d is under 1e-8 (float32) and 1e-16 (float64).
	lmlLastStep32 = 2e-3
	lmlLastStep64 = 4e-6
)

// lmlPhi is s(z) over a tile.
func lmlPhi(y, z []float64) {
	for i, v := range z {
		y[i] = -v
	}
	expTile(y, y[:len(z)])
	for i, e := range y[:len(z)] {
		y[i] = 1 / (1 + e)
	}
}

// lmlSlope is h = s(z)s(-z) times e^shift, taken from z and not from y, whose 1-y has few digits left near 1. With
// shift = min |z| the largest h does not underflow however far all z are from 0.
func lmlSlope(h, z []float64, shift float64) {
	h = h[:len(z)]
	for i, v := range z {
		h[i] = shift - math.Abs(v)
	}
	expTile(h, h)
	if shift > 0 { // all |z| are hundreds: 1 + e^-|z| is 1
		return
	}
	for i, e := range h {
		h[i] = e / ((1 + e) * (1 + e))
	}
}

// lmlCurve is the second derivative over the first, 1 - 2s(z), in a form that does not cancel near z = 0.
func lmlCurve(c, z []float64) {
	for i, v := range z {
		c[i] = -math.Tanh(v / 2)
	}
}

// lmlReference is the specification: bisection on d in z = (x - p) + d, p the k-th largest of x, all x finite,
// 1 <= k < len(x).
func lmlReference(y, x []float64, k int) (nu float64) {
	top := append([]float64(nil), x...)
	sortDown(top)
	p, q := top[k-1], top[k]
	lo, hi := -math.Log(float64(len(x))), (p-q)+math.Log(float64(len(x)))
	for range 2000 {
		d, sum := lo+(hi-lo)/2, 0.0
		for i, v := range x {
			y[i] = 1 / (1 + math.Exp(-((v - p) + d)))
			sum += y[i]
		}
		if nu = d - p; d == lo || d == hi {
			break
		}
		if sum < float64(k) {
			lo = d
		} else {
			hi = d
		}
	}
	return nu
}

func lmlSolveRow(a []float64, k int, single bool) (p, delta float64, ok bool) {
	last := lmlLastStep64
	if single {
		last = lmlLastStep32
	}
	p, delta, _, ok = lmlSolve(a, k, last, lmlStepLimit)
	return p, delta, ok
}

// lmlSolve returns the pivot p and the shift d of z = (a - p) + d with sum s(z) = k, for finite a, 1 <= k < len(a), and
// the number of evaluations of F; ok is false if they reached limit. a is overwritten.
func lmlSolve(a []float64, k int, lastStep float64, limit int) (p, d float64, steps int, ok bool) {
	selectTop(a, k)
	top, rest := a[:k], a[k:]
	p, q := top[0], rest[0]
	for _, v := range top {
		if v < p {
			p = v
		}
	}
	for _, v := range rest {
		if v > q {
			q = v
		}
	}
	for i, v := range top {
		top[i] = p - v
	}
	for i, v := range rest {
		rest[i] = v - q
	}
	expTile(a, a)

	half := float64(p/2) - float64(q/2) // p - q may overflow where its half does not
	narrow := math.Exp(-half)
	d = lmlStart(half, narrow, blockSum(top)/float64(k), blockSum(rest)/float64(len(rest)), float64(k), float64(len(rest)))
	if min(d, 2*half-d) > 40 {
		return p, d, 0, true // a gap so wide that 1 + Gu is 1: the start is the root
	}
	for steps = 1; steps <= limit; steps++ {
		u := math.Exp(-d)
		sa, sb := lmlSums(rest, narrow*narrow/u), lmlSums(top, u)
		f := math.Log1p((sa.v - sb.v) / sb.v)
		// First and second derivatives of log A and -log B.
		da, db := sa.h/sa.v, sb.h/sb.v
		f1 := da + db
		f2 := sa.c/sa.v - float64(da*da) - (sb.c/sb.v - float64(db*db))
		var step float64
		switch size := math.Abs(f); {
		case size < 1:
			step = f / (f1 - f*f2/(2*f1)) // Halley
		case size < 3:
			step = f / f1 // Newton
		default:
			step = 0.75 * f
		}
		d -= step
		if math.Abs(step) < lastStep {
			return p, d, steps, true
		}
	}
	return p, d, limit, false
}

// lmlStart is the root for k equal scores above m equal ones, at the distance that gives the mean G of either side;
// half is (p-q)/2, narrow e^-half. With w = e^d the balance is quadratic in w: w = r (sqrt(c^2+1) - c),
// r = e^half sqrt(k top/(m rest)), c = (m-k) sqrt(top rest)/(2 sqrt(m k) e^half).
func lmlStart(half, narrow, top, rest, k, m float64) (d float64) {
	c := float64((m - k) / (2 * math.Sqrt(m*k)) * math.Sqrt(top*rest) * narrow)
	if c > 0 {
		c = 1 / (math.Sqrt(float64(c*c)+1) + c)
	} else {
		c = math.Sqrt(float64(c*c)+1) - c
	}
	return half + math.Log(c*math.Sqrt(k*top/(m*rest)))
}

// lmlTerms holds sums over v = Gu/(1+Gu): of v, of h = v(1-v) and of h(1-2v).
type lmlTerms struct{ v, h, c float64 }

// lmlSums adds in blocks: short plain sums, whose total is compensated.
func lmlSums(g []float64, u float64) lmlTerms {
	var v compensated
	var h, c float64
	for len(g) > 0 {
		b := g[:min(len(g), 64)]
		g = g[len(b):]
		var v0, v1, h0, h1, c0, c1 float64
		for ; len(b) >= 2; b = b[2:] {
			e, f := float64(b[0]*u), float64(b[1]*u)
			s, t := e/(1+e), f/(1+f)
			sh, th := s-float64(s*s), t-float64(t*t)
			v0 += s
			v1 += t
			h0 += sh
			h1 += th
			c0 += float64(sh * s)
			c1 += float64(th * t)
		}
		if len(b) == 1 {
			e := float64(b[0] * u)
			s := e / (1 + e)
			sh := s - float64(s*s)
			v0 += s
			h0 += sh
			c0 += float64(sh * s)
		}
		v = v.plus(v0 + v1)
		h += h0 + h1
		c += c0 + c1
	}
	return lmlTerms{v.value(), h, h - float64(2*c)}
}
