package kernels

import (
	"math"

	"github.com/godcem/godcem/internal/vec"
)

// Normalised costs. Over the m finite costs of a problem, with D = f - mean f, S = sqrt(sum D^2/(m-1)) and q = S +
// 1e-6,
//
//	out_i = D_i/q
//
// and the Jacobian is the symmetric matrix J = (I - 11'/m - DD'/(q (m-1) S))/q; its last term drops at S = 0. So the
// backward kernel df = J g is linear and self-adjoint in g: <v, J g> = <J v, g>, and NormaliseBackward(f, v) is also
// the gradient of <v, NormaliseBackward(f, g)> with respect to g.

// NormaliseEps is added to the standard deviation that a problem's costs are divided by.
const NormaliseEps = 1e-6

// normaliseReference is the definition, for one problem whose costs are all finite and at least two.
func normaliseReference(out, f []float64) {
	m, mean, squares := float64(len(f)), 0.0, 0.0
	for _, v := range f {
		mean += v / m
	}
	for _, v := range f {
		squares += (v - mean) * (v - mean)
	}
	for i, v := range f {
		out[i] = (v - mean) / (math.Sqrt(squares/(m-1)) + NormaliseEps)
	}
}

// normaliseBackwardReference multiplies g by the Jacobian, entry by entry; at least two costs, not all equal.
func normaliseBackwardReference(df, f, g []float64) {
	m, mean, squares := float64(len(f)), 0.0, 0.0
	for _, v := range f {
		mean += v / m
	}
	for _, v := range f {
		squares += (v - mean) * (v - mean)
	}
	s := math.Sqrt(squares / (m - 1))
	q := s + NormaliseEps
	for i := range f {
		df[i] = g[i] / q
		for j := range f {
			df[i] -= (1/m + (f[i]-mean)*(f[j]-mean)/(q*(m-1)*s)) / q * g[j]
		}
	}
}

// NormaliseForward writes doc/equations.md (2), (f - mean)/(std + 1e-6) over the finite costs of each of b problems
// with n samples; std has the divisor m-1, m being the number of finite costs (m = 1: std is 0). With passThrough
// finite costs come out as they are. A cost that is NaN or infinite, of whatever sign, comes out as +Inf, so that it
// never wins, and is counted in excluded[problem]. f, out: (b,n), out may be f; excluded: (b) or nil. Any finite costs
// do, up to the largest of their type and however small their spread beside their mean.
func NormaliseForward[T Float](out []T, excluded []int32, f []T, passThrough bool, b, n int) {
	checkNormalise("NormaliseForward", "out", len(out), len(f), b, n)
	needOptional("NormaliseForward", "excluded", excluded, b, "b")
	normalise(normaliseJob[T]{out: out, excluded: excluded, f: f, passThrough: passThrough, n: n}, b)
}

// NormaliseBackward writes df, the gradient of doc/equations.md (2) with respect to f, of <g, NormaliseForward(f)>: 0
// at a cost that is not finite, whatever g holds there. f, g, df: (b,n); df may be f or g.
func NormaliseBackward[T Float](df, f, g []T, passThrough bool, b, n int) {
	checkNormalise("NormaliseBackward", "df", len(df), len(f), b, n)
	needLen("NormaliseBackward", "g", len(g), b*n, "b*n")
	normalise(normaliseJob[T]{order: 1, out: df, f: f, g: g, passThrough: passThrough, n: n}, b)
}

// NormaliseBackward2 writes df, the second derivative of doc/equations.md (2): the gradient with respect to f of <v,
// NormaliseBackward(f, g)>, 0 at a cost that is not finite and in problems whose costs are all equal; entries of g and
// v at costs that are not finite are ignored. f, g, v, df: (b,n); df may be any of the others.
func NormaliseBackward2[T Float](df, f, g, v []T, passThrough bool, b, n int) {
	checkNormalise("NormaliseBackward2", "df", len(df), len(f), b, n)
	needLen("NormaliseBackward2", "g", len(g), b*n, "b*n")
	needLen("NormaliseBackward2", "v", len(v), b*n, "b*n")
	normalise(normaliseJob[T]{order: 2, out: df, f: f, g: g, v: v, passThrough: passThrough, n: n}, b)
}

func checkNormalise(kernel, out string, lenOut, lenF, b, n int) {
	needSize(kernel, "b", b)
	needSize(kernel, "n", n)
	needLen(kernel, "f", lenF, b*n, "b*n")
	needLen(kernel, out, lenOut, b*n, "b*n")
}

type normaliseJob[T Float] struct {
	order       int // of the derivative
	out         []T
	excluded    []int32
	f, g, v     []T
	passThrough bool
	n           int
}

var normaliseJobs poolPair

func normalise[T Float](args normaliseJob[T], b int) {
	runPooled[T](&normaliseJobs, args, b, 1+8192/max(1, args.n))
}

func (j *normaliseJob[T]) Run(lo, hi int) {
	for b := lo; b < hi; b++ {
		from, to := b*j.n, (b+1)*j.n
		out, f := j.out[from:to], j.f[from:to]
		switch j.order {
		case 0:
			excluded := normaliseForward(out, f, j.passThrough)
			if j.excluded != nil {
				j.excluded[b] = int32(excluded)
			}
		case 1:
			normaliseBackward(out, f, j.g[from:to], j.passThrough)
		case 2:
			normaliseBackward2(out, f, j.g[from:to], j.v[from:to], j.passThrough)
		}
	}
}

// centred says how to subtract from an entry the mean over the problem's finite costs without losing digits or
// overflowing.
type centred struct {
	count      int     // finite costs
	plain      bool    // all costs are finite, and scale is 1
	scale      float64 // a power of two: 1, or what brings the largest entry to 2^300, where squares are safe
	mean, rest float64 // of the scaled entries: a rounded mean, and the mean of what is left after subtracting it
	squares    float64 // sum of squares of the scaled, centred entries
}

func (c *centred) of(x float64) float64 { return float64(x*c.scale) - c.mean - c.rest }

// std returns the standard deviation of the scaled entries, and its inverse (0 for 0).
func (c *centred) std() (s, inverse float64) {
	if c.count < 2 || c.squares == 0 {
		return 0, 0
	}
	s = math.Sqrt(c.squares / float64(c.count-1))
	return s, 1 / s
}

// centre works over the entries of x whose cost is finite. It subtracts an entry before it takes the mean, so that
// equal entries have exactly their value as mean, and corrects the mean and the sum of squares for the mean's own
// rounding (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. 1.7).
func centre[T Float](x, f []T) (c centred) {
	if len(f) > 0 && isFinite(vec.MinOf(f)) && isFinite(vec.MaxOf(f)) {
		if hi := math.Max(float64(vec.MaxOf(x)), -float64(vec.MinOf(x))); hi <= 0x1p300 { // and no NaN
			return centrePlain(x)
		}
	}
	var pivot, largest float64
	for i, cost := range f {
		if !isFinite(cost) {
			continue
		}
		v := float64(x[i])
		if c.count == 0 {
			pivot = v
		}
		if a := math.Abs(v); a > largest {
			largest = a
		}
		c.count++
	}
	c.scale = 1
	if largest > 0x1p300 && largest <= math.MaxFloat64 {
		_, e := math.Frexp(largest)
		c.scale = math.Ldexp(1, 300-e)
	}
	if c.count == 0 {
		return c
	}
	pivot = float64(pivot * c.scale)
	sum, count := 0.0, float64(c.count)
	for i, cost := range f {
		if isFinite(cost) {
			sum += float64(float64(x[i])*c.scale) - pivot
		}
	}
	c.mean = pivot + sum/count
	sum, squares := 0.0, 0.0
	for i, cost := range f {
		if isFinite(cost) {
			v := float64(float64(x[i])*c.scale) - c.mean
			sum += v
			squares += float64(v * v)
		}
	}
	c.rest = sum / count
	c.squares = max(0, squares-float64(sum*c.rest))
	return c
}

// centrePlain is centre where every cost is finite and no entry needs a scale: the same operations in the same order.
func centrePlain[T Float](x []T) (c centred) {
	c.count, c.scale, c.plain = len(x), 1, true
	pivot, sum, count := float64(x[0]), 0.0, float64(len(x))
	for _, v := range x {
		sum += float64(v) - pivot
	}
	c.mean = pivot + sum/count
	sum, squares := 0.0, 0.0
	for _, v := range x {
		t := float64(v) - c.mean
		sum += t
		squares += float64(t * t)
	}
	c.rest = sum / count
	c.squares = max(0, squares-float64(sum*c.rest))
	return c
}

func normaliseForward[T Float](out, f []T, passThrough bool) (excluded int) {
	var c centred
	q := 1.0
	if passThrough {
		c.scale = 1
	} else {
		c = centre(f, f)
		s, _ := c.std()
		q = s + float64(NormaliseEps*c.scale)
		if c.plain {
			for i, v := range f {
				out[i] = T((float64(v) - c.mean - c.rest) / q)
			}
			return 0
		}
	}
	for i, v := range f {
		switch {
		case !isFinite(v):
			excluded++
			out[i] = T(math.Inf(1))
		case passThrough:
			out[i] = v
		default:
			out[i] = T(c.of(float64(v)) / q)
		}
	}
	return excluded
}

// normaliseBackward: with e = D/S, df = (g - mean g - e <e,g> (S/q)/(m-1))/q.
func normaliseBackward[T Float](df, f, g []T, passThrough bool) {
	if passThrough {
		for i, v := range f {
			if isFinite(v) {
				df[i] = g[i]
			} else {
				df[i] = 0
			}
		}
		return
	}
	cf := centre(f, f)
	if cf.count < 2 {
		clear(df)
		return
	}
	cg := centre(g, f)
	s, inverse := cf.std()
	q := s + float64(NormaliseEps*cf.scale)
	along := 0.0 // <e, g>
	if cf.plain && cg.plain {
		for i, v := range f {
			along += float64((float64(v) - cf.mean - cf.rest) * inverse * (float64(g[i]) - cg.mean - cg.rest))
		}
		along *= s / q / float64(cf.count-1)
		factor := 1 / q
		for i, v := range f {
			e := (float64(v) - cf.mean - cf.rest) * inverse
			df[i] = T(((float64(g[i]) - cg.mean - cg.rest) - float64(e*along)) * factor)
		}
		return
	}
	for i, v := range f {
		if isFinite(v) {
			along += float64(cf.of(float64(v)) * inverse * cg.of(float64(g[i])))
		}
	}
	along *= s / q / float64(cf.count-1)
	factor := cf.scale / q / cg.scale
	for i, v := range f {
		if isFinite(v) {
			df[i] = T((cg.of(float64(g[i])) - float64(cf.of(float64(v))*inverse*along)) * factor)
		} else {
			df[i] = 0
		}
	}
}

// normaliseBackward2: with a = g - mean g, c = v - mean v, e = D/S, the function is
//
//	F = <a,c>/q - <D,a> <D,c>/((m-1) S q^2)
//
// and with dS/df = e/(m-1), d<D,a>/df = a, d<D,c>/df = c
//
//	dF/df = ( e (<e,a> <e,c> (1 + 2 S/q)/(m-1) - <a,c>) - <e,c> a - <e,a> c ) / ((m-1) q^2).
func normaliseBackward2[T Float](df, f, g, v []T, passThrough bool) {
	cf := centred{}
	if !passThrough {
		cf = centre(f, f)
	}
	s, inverse := cf.std()
	if s == 0 {
		clear(df)
		return
	}
	cg, cv := centre(g, f), centre(v, f)
	q := s + float64(NormaliseEps*cf.scale)
	var ac, ea, ec float64
	for i, cost := range f {
		if isFinite(cost) {
			a, c := cg.of(float64(g[i])), cv.of(float64(v[i]))
			e := cf.of(float64(cost)) * inverse
			ac += float64(a * c)
			ea += float64(e * a)
			ec += float64(e * c)
		}
	}
	m1 := float64(cf.count - 1)
	along := float64(ea*ec*(1+2*(s/q))/m1) - ac
	byG, byV := cf.scale/q/cg.scale, cf.scale/q/cv.scale/m1
	for i, cost := range f {
		if isFinite(cost) {
			e := cf.of(float64(cost)) * inverse
			u := float64(e*along) - float64(ec*cg.of(float64(g[i]))) - float64(ea*cv.of(float64(v[i])))
			df[i] = T(u * byG * byV)
		} else {
			df[i] = 0
		}
	}
}
