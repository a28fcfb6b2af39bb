package vec

import (
	"math"
	"unsafe"
)

// The loops under kernels.LML in float32, over some rows of at most LMLRow elements. Every element's arithmetic is a
// fixed sequence of IEEE operations, and a row's sums are those of 16 lanes, added as a tree: the bits are the same in
// plain Go, which has to make up its fused multiply-adds, as with AVX2 and with AVX-512.

const (
	// LMLRow is the most elements of a row that the LML loops take: longer rows come in parts.
	LMLRow = 256
	// LMLPad is what the room for a row's odds or slopes is a multiple of.
	LMLPad = 16

	lmlLanes = 16
	lmlMagic = 0x1.8p23 // adding it leaves the nearest integer in the low bits
	lmlFloor = 0x1p-40  // products of smaller numbers might be subnormal, and slow
)

// 2^(b/8) of b = m + f - 1/2, m an integer and 0 <= f <= 1: lmlEighths[m mod 8] has 2^(m/8 - 1/16), less up to 5e-8, and
// 1 + lmlPoly, without its constant term, 2^(f/8). No coefficient is negative, so that Horner's steps, and thus the weights,
// are monotone whatever is rounded, and at f = 1 the power is at most the next one's at f = 0.
var (
	lmlEighths = [8]float32{0.9576032757759094, 1.0442737340927124, 1.1387885808944702, 1.2418577671051025,
		1.3542555570602417, 1.4768260717391968, 1.610490322113037, 1.7562521696090698}
	lmlPoly = [3]float32{0.08664383739233017, 0.00375087046995759, 0.00011300414917059243}
)

// LMLSums are sums over a row's odds v, of weights y = 1/(1+v): of y, less a number that is known (LMLQuick) or of those with
// v < 1 y - 1 (LMLCounted), of h = y(1-y), of the second derivative h(1-2y) and of h^2.
type LMLSums struct{ S, H, C, D float32 }

// LMLSlopeSums are sums over a row of slopes h and gradients g less their reference: of h and h g.
type LMLSlopeSums struct{ H, G, room1, room2 float32 }

// lmlKernels is what an instruction set has.
type lmlKernels struct {
	moments func(x *float32, stride, rows, n int, ref, sums *float32)
	powers  func(x *float32, stride, rows, n int, slope float32, centre, odds *float32, pad int) (limit uint32)
	counted func(odds *float32, pad, rows, n int, sums *float32, count *int32)
	quick   func(x *float32, stride, rows, n int, slope float32, centre, odds *float32, pad int, bias float32, sums *float32) (limit uint32)
	weights func(y *float32, stride, rows, n int, odds *float32, pad int, factor *float32, sums *float64)
	slopes  func(x, g *float32, stride, rows, n int, slope float32, centre, factor, ref, h *float32, pad int, sums *float32, most *uint32) (limit uint32)
	grad    func(dx, g *float32, stride, rows, n int, h *float32, pad int, ref, mean *float32, scale float32)
	start   func(rows int, p *float64, moments, ref, centre *float32, width *float64)
	steps   func(rows int, p *float64, sums *float32, count *int32, width, step *float64, factor *float32)
}

// LMLPadded is the room for the odds or slopes of n elements.
func LMLPadded(n int) int { return (n + LMLPad - 1) &^ (LMLPad - 1) }

// LMLMoments sets sums[4r] and sums[4r+1] to the sums of t and t^2 over the n elements of row r at x[r*stride:], t =
// x - ref[r]. The other two are room.
func LMLMoments(x []float32, stride, n int, ref, sums []float32) {
	if rows := len(ref); rows > 0 {
		_, _ = x[(rows-1)*stride+n-1], sums[4*rows-1]
		lmlSets[current].moments(&x[0], stride, rows, n, &ref[0], &sums[0])
	}
}

// LMLPowers sets odds[r*LMLPadded(n)+i] = 2^b, b = (centre[r] - x[r*stride+i])*slope, of n elements, and +Inf up to the
// padding. It is right for |b| <= 80; limit is the largest |centre - x|, NaN if one is.
func LMLPowers(x []float32, stride, n int, slope float32, centre, odds []float32) (limit float32) {
	rows := len(centre)
	if rows == 0 {
		return 0
	}
	pad := LMLPadded(n)
	_, _ = x[(rows-1)*stride+n-1], odds[rows*pad-1]
	return math.Float32frombits(lmlSets[current].powers(&x[0], stride, rows, n, 8*slope, &centre[0], &odds[0], pad))
}

// LMLCounted sets the sums of rows of odds (LMLPowers') and count to the number of odds below 1 of each: S keeps its digits
// where all weights are next to 0 and 1.
func LMLCounted(odds []float32, n int, sums []LMLSums, count []int32) {
	if rows := len(sums); rows > 0 {
		pad := LMLPadded(n)
		_, _ = odds[rows*pad-1], count[rows-1]
		lmlSets[current].counted(&odds[0], pad, rows, n, &sums[0].S, &count[0])
	}
}

// LMLQuick is LMLPowers, and sets the sums of the odds, S to that of the weights and 16 bias: with a bias that makes it nearly 0
// few digits are lost.
func LMLQuick(x []float32, stride, n int, slope float32, centre, odds []float32, bias float32, sums []LMLSums) (limit float32) {
	rows := len(centre)
	if rows == 0 {
		return 0
	}
	pad := LMLPadded(n)
	_, _, _ = x[(rows-1)*stride+n-1], odds[rows*pad-1], sums[rows-1]
	return math.Float32frombits(lmlSets[current].quick(&x[0], stride, rows, n, 8*slope, &centre[0], &odds[0], pad, bias, &sums[0].S))
}

// LMLWeights sets y[r*stride+i] = 1/(1 + odds factor[r]), and sums[r] to their sum in float64 (of pairs in float32).
func LMLWeights(y []float32, stride, n int, odds, factor []float32, sums []float64) {
	if rows := len(factor); rows > 0 {
		pad := LMLPadded(n)
		_, _, _ = y[(rows-1)*stride+n-1], odds[rows*pad-1], sums[rows-1]
		lmlSets[current].weights(&y[0], stride, rows, n, &odds[0], pad, &factor[0], &sums[0])
	}
}

// LMLSlopes sets h[r*LMLPadded(n)+i] = y(1 - y) for y = 1/(1 + v), v = 2^b factor[r], b as for LMLPowers, and sums what
// LMLSlopeSums says of h and of g[r*stride+i] - ref[r]. limit is LMLPowers', most the largest |g - ref|, NaN if one is.
func LMLSlopes(x, g []float32, stride, n int, slope float32, centre, factor, ref, h []float32, sums []LMLSlopeSums) (limit, most float32) {
	rows := len(centre)
	if rows == 0 {
		return 0, 0
	}
	pad := LMLPadded(n)
	_, _, _, _ = x[(rows-1)*stride+n-1], g[(rows-1)*stride+n-1], h[rows*pad-1], sums[rows-1]
	_, _ = factor[rows-1], ref[rows-1]
	bits := (*uint32)(unsafe.Pointer(&sums[0].room2)) // a variable would be allocated
	limit = math.Float32frombits(lmlSets[current].slopes(&x[0], &g[0], stride, rows, n, 8*slope, &centre[0], &factor[0], &ref[0], &h[0], pad, &sums[0].H, bits))
	return limit, math.Float32frombits(*bits)
}

// LMLGrad sets dx[r*stride+i] = ((g[r*stride+i] - ref[r]) - mean[r]) h scale. dx may be g.
func LMLGrad(dx, g []float32, stride, n int, h, ref, mean []float32, scale float32) {
	if rows := len(mean); rows > 0 {
		pad := LMLPadded(n)
		_, _, _, _ = dx[(rows-1)*stride+n-1], g[(rows-1)*stride+n-1], h[rows*pad-1], ref[rows-1]
		lmlSets[current].grad(&dx[0], &g[0], stride, rows, n, &h[0], pad, &ref[0], &mean[0], scale)
	}
}

// LMLFours is what the numbers of rows of LMLStart and LMLSteps are rounded up to: there must be room for so many.
const LMLFours = 4

// LMLStart sets centre[r] = ref[r] + (m - p[2] width[r]), m the mean of t and width[r] = sqrt(1 + p[1] v), v its variance,
// from the sums of t and t^2 (LMLMoments') with p[0] the inverse of their number.
func LMLStart(rows int, p *[3]float64, moments, ref, centre []float32, width []float64) {
	if rows > 0 {
		m := (rows + LMLFours - 1) &^ (LMLFours - 1)
		_, _, _, _ = moments[4*m-1], ref[m-1], centre[m-1], width[m-1]
		lmlSets[current].start(rows, &p[0], &moments[0], &ref[0], &centre[0], &width[0])
	}
}

// LMLSteps sets step[r] to minus the root d of f + f1 d + f2 d^2/2 + f3 d^3/6, to the third order in f/f1 and at most width
// in size, rounded to float32, and factor[r] to e^-step for |step| <= 0.3. f and the others are the values at 0 of
//
//	F(d) = log(S(d)/(n - S(d))) - log(k/(n - k)),   S(d) = sum 1/(1 + v e^-d)
//
// and its derivatives, for odds v with these sums and counts (LMLCounted's; LMLQuick's with a bias that takes off the count). p is k, n - k, n. Where sums have lost their digits
// the step is NaN.
func LMLSteps(rows int, p *[3]float64, sums []LMLSums, count []int32, width, step []float64, factor []float32) {
	if rows > 0 {
		m := (rows + LMLFours - 1) &^ (LMLFours - 1)
		_, _, _, _, _ = sums[m-1], count[m-1], width[m-1], step[m-1], factor[m-1]
		lmlSets[current].steps(rows, &p[0], &sums[0].S, &count[0], &width[0], &step[0], &factor[0])
	}
}

// LMLFactor is LMLSteps' factor.
func LMLFactor(step float64) float32 {
	x := -step
	y := float64(1./5040*x) + 1./720 // the next term is at most 1.7e-9
	y = float64(y*x) + 1./120
	y = float64(y*x) + 1./24
	y = float64(y*x) + 1./6
	y = float64(y*x) + 1./2
	y = float64(y*x) + 1
	return float32(float64(y*x) + 1)
}

var lmlGo = lmlKernels{lmlMomentsGo, lmlPowersGo, lmlCountedGo, lmlQuickGo, lmlWeightsGo, lmlSlopesGo, lmlGradGo, lmlStartGo, lmlStepsGo}

// lmlLane is a number in each lane.
type lmlLane [lmlLanes]float32

// sum adds the lanes: halves onto halves, then neighbours.
func (s *lmlLane) sum() float32 {
	var q [4]float32
	for i := range q {
		q[i] = (s[i] + s[i+8]) + (s[i+4] + s[i+12])
	}
	return (q[0] + q[1]) + (q[2] + q[3])
}

func lmlMomentsGo(x *float32, stride, rows, n int, ref, sums *float32) {
	refs, out := from(ref, rows), from(sums, 4*rows)
	all := from(x, (rows-1)*stride+n)
	for r, c := range refs {
		var s, q lmlLane
		for i, v := range all[r*stride:][:n] {
			t, at := v-c, i%lmlLanes
			s[at] += t
			q[at] = fma32(t, t, q[at])
		}
		out[4*r], out[4*r+1] = s.sum(), q.sum()
	}
}

// fma32 is x*y + z, rounded once. In float64 the product is exact; where the sum, rounded, lies halfway between two
// float32, what was lost decides.
func fma32(x, y, z float32) float32 {
	p, w := float64(float64(x)*float64(y)), float64(z)
	s := p + w
	if math.Float64bits(s)&(1<<29-1) == 1<<28 {
		v := s - p
		if e := (p - (s - v)) + (w - v); e != 0 {
			s = math.Nextafter(s, s+math.Copysign(math.Abs(s), e))
		}
	}
	return float32(s)
}

// lmlPower is 2^b, b = t slope/8, for |b| <= 80 or so: it never falls where b rises.
func lmlPower(t, slope float32) float32 {
	m := fma32(t, slope, lmlMagic)
	f := fma32(t, slope, -((m - lmlMagic) - 0.5)) // exact to its last bit, as m is: in [0, 1]
	bits := math.Float32bits(m)
	part := math.Float32frombits(math.Float32bits(lmlEighths[bits%8]) + bits>>3<<23)
	q := fma32(fma32(lmlPoly[2], f, lmlPoly[1]), f, lmlPoly[0])
	return fma32(part, float32(f*q), part)
}

const lmlSign = 1 << 31

func lmlPowersGo(x *float32, stride, rows, n int, slope float32, centre, odds *float32, pad int) (limit uint32) {
	all, e := from(x, (rows-1)*stride+n), from(odds, rows*pad)
	for r, c := range from(centre, rows) {
		room := e[r*pad:][:pad]
		for i, v := range all[r*stride:][:n] {
			t := c - v
			limit = max(limit, math.Float32bits(t)&^lmlSign)
			room[i] = lmlPower(t, slope)
		}
		for i := range room[n:] {
			room[n+i] = float32(math.Inf(1))
		}
	}
	return limit
}

func lmlCountedGo(odds *float32, pad, rows, n int, sums *float32, count *int32) {
	e, counts := from(odds, rows*pad), unsafe.Slice(count, rows)
	out := unsafe.Slice((*LMLSums)(unsafe.Pointer(sums)), rows)
	for r := range out {
		var S, H, C, D lmlLane
		var below int32
		for i, v := range e[r*pad:][:LMLPadded(n)] {
			at := i % lmlLanes
			s := min(v, 1) / (1 + v)
			signed := s
			if v < 1 {
				signed = -s
				below++
			}
			h := fma32(-s, s, s)
			S[at] += signed
			H[at] += h
			h = max(h, lmlFloor)
			C[at] = fma32(-signed, fma32(2, h, s), C[at])
			D[at] = fma32(h, h, D[at])
		}
		for i, v := range S {
			C[i] += v
		}
		out[r] = LMLSums{S.sum(), H.sum(), C.sum(), D.sum()}
		counts[r] = below
	}
}

func lmlQuickGo(x *float32, stride, rows, n int, slope float32, centre, odds *float32, pad int, bias float32, sums *float32) (limit uint32) {
	limit = lmlPowersGo(x, stride, rows, n, slope, centre, odds, pad)
	e, out := from(odds, rows*pad), unsafe.Slice((*LMLSums)(unsafe.Pointer(sums)), rows)
	for r := range out {
		var S, H, C, D lmlLane
		for i := range S {
			S[i], C[i], D[i] = bias, lmlFloor, lmlFloor // no product is lost in subnormal numbers, which are slow
		}
		for i, v := range e[r*pad:][:LMLPadded(n)] {
			at := i % lmlLanes
			y := 1 / (1 + v)
			h := fma32(-y, y, y)
			S[at] += y
			H[at] += h
			C[at] = fma32(h, y, C[at])
			D[at] = fma32(h, h, D[at])
		}
		for i, v := range H {
			C[i] = fma32(-2, C[i], v)
		}
		out[r] = LMLSums{S.sum(), H.sum(), C.sum(), D.sum()}
	}
	return limit
}

func lmlWeightsGo(y *float32, stride, rows, n int, odds *float32, pad int, factor *float32, sums *float64) {
	all, e, out := from(y, (rows-1)*stride+n), from(odds, rows*pad), from(sums, rows)
	for r, u := range from(factor, rows) {
		var s [lmlLanes]float64
		row := all[r*stride:][:n]
		for i, v := range e[r*pad:][:n] {
			row[i] = 1 / fma32(v, u, 1)
		}
		whole := n / lmlLanes // vectors are taken by two
		for i := 0; i < n; i++ {
			v := row[i]
			if j := i / lmlLanes; j+1 < whole && j%2 == 0 {
				v += row[i+lmlLanes]
			} else if j < whole && j%2 == 1 {
				continue
			}
			s[i%lmlLanes] += float64(v)
		}
		for i := range 4 {
			s[i] = (s[i] + s[i+8]) + (s[i+4] + s[i+12])
		}
		out[r] = (s[0] + s[2]) + (s[1] + s[3])
	}
}

func lmlSlopesGo(x, g *float32, stride, rows, n int, slope float32, centre, factor, ref, h *float32, pad int, sums *float32, most *uint32) (limit uint32) {
	limit = lmlPowersGo(x, stride, rows, n, slope, centre, h, pad)
	gs, hs := from(g, (rows-1)*stride+n), from(h, rows*pad)
	out := unsafe.Slice((*LMLSlopeSums)(unsafe.Pointer(sums)), rows)
	refs, top := from(ref, rows), uint32(0)
	for r, u := range from(factor, rows) {
		var H, G lmlLane
		room := hs[r*pad:][:pad]
		for i, v := range gs[r*stride:][:n] {
			at := i % lmlLanes
			y := 1 / fma32(room[i], u, 1)
			d := v - refs[r]
			top = max(top, math.Float32bits(d)&^lmlSign)
			s := float32(float32(float32(room[i]*u)*y) * y)
			room[i] = s
			H[at] += s
			G[at] = fma32(s, d, G[at])
		}
		clear(room[n:])
		out[r] = LMLSlopeSums{H: H.sum(), G: G.sum()}
	}
	*most = top
	return limit
}

func lmlGradGo(dx, g *float32, stride, rows, n int, h *float32, pad int, ref, mean *float32, scale float32) {
	out, gs, hs := from(dx, (rows-1)*stride+n), from(g, (rows-1)*stride+n), from(h, rows*pad)
	refs := from(ref, rows)
	for r, m := range from(mean, rows) {
		row, grad := out[r*stride:][:n], gs[r*stride:][:n]
		for i, v := range hs[r*pad:][:n] {
			row[i] = float32(float32(((grad[i]-refs[r])-m)*v) * scale)
		}
	}
}

func lmlStartGo(rows int, p *float64, moments, ref, centre *float32, width *float64) {
	c, refs, out, w := from(p, 3), from(ref, rows), from(centre, rows), from(width, rows)
	for r := range out {
		m := from(moments, 4*rows)[4*r:]
		mean := float64(float64(m[0]) * c[0])
		v := float64(float64(m[1])*c[0]) - float64(mean*mean)
		if !(v > 0) {
			v = 0
		}
		w[r] = math.Sqrt(1 + float64(v*c[1]))
		out[r] = float32((mean - float64(w[r]*c[2])) + float64(refs[r]))
	}
}

func lmlStepsGo(rows int, p *float64, sums *float32, count *int32, width, step *float64, factor *float32) {
	c, counts, w, out, u := from(p, 3), unsafe.Slice(count, rows), from(width, rows), from(step, rows), from(factor, rows)
	for r, t := range unsafe.Slice((*LMLSums)(unsafe.Pointer(sums)), rows) {
		d := lmlStep(float64(t.S), float64(t.H), float64(t.C), float64(t.D), float64(counts[r]), c[0], c[1], c[2], w[r])
		out[r] = float64(float32(d))
		u[r] = LMLFactor(out[r])
	}
}

// lmlStep is LMLSteps' step before it is rounded, from S, H, C and D of LMLSums.
func lmlStep(S, H, C, D, count, k, others, n, width float64) float64 {
	e := (count - k) + S // S(0) - k
	sum, rest := k+e, others-e
	if !(sum > 0 && rest > 0 && H > 0) {
		return math.NaN()
	}
	inv := 1 / float64(sum*rest)
	a, b := float64(rest*inv), float64(sum*inv)
	// f = log(1 + e n/(k rest)) = 2 artanh q
	q := float64(e*n) / (float64(sum*others) + float64(k*rest))
	q2 := float64(q * q)
	f := float64((q + q) * (1 + float64(q2*(1./3+float64(q2*(1./5+float64(q2*(1./7))))))))
	ab, aa, bb := a+b, float64(a*a), float64(b*b)
	diff, cubes := aa-bb, float64(aa*a)+float64(bb*b)
	h2, s2, s3 := float64(H*H), C, H-float64(6*D) // s2 and s3 are the second and third derivative of S
	f1 := float64(H * ab)
	f2 := float64(s2*ab) - float64(h2*diff)
	f3 := (float64(s3*ab) - float64(float64(3*s2)*float64(H*diff))) + float64(float64(h2*(H+H))*cubes)
	inv = 1 / f1
	d := -float64(f * inv)
	c2, c3 := float64(float64(0.5*f2)*inv), float64(float64((1./6)*f3)*inv)
	if math.Abs(float64(d*c2)) < 0.3 {
		d = float64(d * (1 - float64(d*(c2-float64(d*(float64((c2+c2)*c2)-c3))))))
	}
	if !(d < width) {
		d = width
	}
	if !(d > -width) {
		d = -width
	}
	return d
}
