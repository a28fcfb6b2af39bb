package kernels

import (
	"math"
	"unsafe"

	"github.com/godcem/godcem/internal/vec"
)

// LML of float32 rows by the loops of package vec, some rows at a time, in float32 but for the sums of the weights. It is
// for rows of ordinary shape: what it does not bring to the required digits is left to lmlSolve.
//
// Here the equation solved is that of the logits of the mean weight,
//
//	G(d) = log(S/(n-S)) - log(k/(n-k)) = 0,   S(d) = sum s(scale (x - c) + d),
//
// nearly linear in d where the scores are not in clusters. The first c is the root for normally distributed scores of the
// row's mean and variance (s(z) averaged over z of mean m and variance v is about s(m/sqrt(1 + pi v/8))); it is off by
// 0.05 for a hundred normal ones. From there the root's series in -G/G' to its third power has an error of some 1e-3 e^4:
// as a rule one evaluation of S is enough. Then the weights are computed and their sum, in float64, is compared with k.
//
// A threshold (p, delta) that was found so has p = scale c, c and delta being float32 numbers. No other threshold of a
// float32 row has such a delta, so that it tells which arithmetic makes k of the sum: see lmlFloat32.
const (
	lmlGroup  = 16 // rows at a time
	lmlRounds = 6  // evaluations of S before lmlSolve takes over
	lmlReach  = 80 // the largest exponent of 2 in vec.LMLOdds
	// A step is taken for the last if it is at most lmlNear; up to lmlFar the sum has to show it.
	lmlNear = 0.06
	lmlFar  = 0.3
	// The largest gradient, and the least sum of slopes, that are done here.
	lmlMost  = 1e30
	lmlLeast = 0x1p-20
)

// lmlScratch is a thread's space for lmlGroup rows or, of rows longer than vec.LMLRow, as many parts of one.
type lmlScratch struct {
	odds, y                   []float32
	centre, factor, ref, mean [lmlGroup]float32
	moments                   [4 * lmlGroup]float32
	sums                      [lmlGroup]vec.LMLSums
	slopes                    [lmlGroup]vec.LMLSlopeSums
	total, root, width        [lmlGroup]float64
	exps                      [lmlGroup]float64
	count                     [lmlGroup]int32
	fine                      [lmlGroup]bool
}

// lmlTotals are vec.LMLSums of a row of any length.
type lmlTotals struct {
	s, h, c, d float64
	count      int
}

func (t *lmlTotals) add(s *vec.LMLSums, count int32) {
	t.s += float64(s.S)
	t.h += float64(s.H)
	t.c += float64(s.C)
	t.d += float64(s.D)
	t.count += int(count)
}

// lmlProblem is what all rows of a call have in common.
type lmlProblem struct {
	n, k  int
	scale float64
	slope float32 // scale / ln 2
	logit float64 // of k/n
	reach float32 // the largest difference from the centre that is done here

}

// lmlProblemOf is for rows of n that are to be done here; else ok is false.
func lmlProblemOf(r Relaxation, scale float64, n, k int) (p lmlProblem, ok bool) {
	a := math.Abs(scale)
	if r != LML || k == n || !(a >= 1e-6 && a <= 1e6) {
		return p, false
	}
	p = lmlProblem{n: n, k: k, scale: scale, slope: float32(scale * math.Log2E)}
	p.reach = float32(lmlReach / (a * math.Log2E))
	p.logit = lmlLog(float64(k) / float64(n-k))
	return p, true
}

// lmlLog is log x without a function whose last bit is the machine's, to 1e-15.
func lmlLog(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	s := (m - 1) / (m + 1)
	s2 := float64(s * s)
	t := 0.0
	for i := 21; i >= 3; i -= 2 {
		t = float64(s2 * (t + 1/float64(i)))
	}
	return float64(float64(e)*math.Ln2) + float64(2*s*(1+t))
}

// start sets the centre of a row from the sums of t = x - ref and t^2, and its width, that of the logistic function
// averaged over the row.
func (p *lmlProblem) start(ref float32, sum, square float64) (centre float32, width float64) {
	n := float64(p.n)
	mean := sum / n
	v := max(square/n-float64(mean*mean), 0)
	width = math.Sqrt(1 + float64(math.Pi/8*float64(float64(p.scale*p.scale)*v)))
	return float32(float64(ref) + (mean - float64(p.logit*width)/p.scale)), width
}

// step is the next step of d from the sums at 0; ok is false if they have lost their digits.
func (p *lmlProblem) step(t *lmlTotals, width float64) (d float64, ok bool) {
	n, k := float64(p.n), float64(p.k)
	e := float64(t.count-p.k) + t.s // S - k
	sum, rest := k+e, (n-k)-e
	if !(sum > 0 && rest > 0 && t.h > 0 && t.h <= n) {
		return 0, false
	}
	inv := 1 / float64(sum*rest)
	a, b := float64(rest*inv), float64(sum*inv)
	// f = log(1 + e n/(k rest)) = 2 artanh q
	q := float64(e*n) / (float64(sum*(n-k)) + float64(k*rest))
	q2 := float64(q * q)
	f := float64(2 * q * (1 + float64(q2*(1./3+float64(q2*(1./5+float64(q2*(1./7))))))))
	ab, a2b2 := a+b, float64(a*a)-float64(b*b)
	h2 := float64(t.h * t.h)
	s2, s3 := t.s-t.c, t.h-float64(6*t.d)
	f1 := float64(t.h * ab)
	f2 := float64(s2*ab) - float64(h2*a2b2)
	f3 := float64(s3*ab) - float64(3*s2*float64(t.h*a2b2)) + float64(2*h2*t.h*(float64(a*a*a)+float64(b*b*b)))
	inv = 1 / f1
	u := -float64(f * inv)
	c2, c3 := float64(0.5*f2*inv), float64((1./6)*f3*inv)
	if r := float64(u * c2); r > -0.3 && r < 0.3 {
		u = float64(u * (1 - float64(u*(c2-float64(u*(float64(2*c2*c2)-c3))))))
	}
	return max(-width, min(width, u)), true
}

// lmlFloat32 reports whether a threshold was found here, and with what centre and factor of the odds.
func (p *lmlProblem) lmlFloat32(thresh []float64) (centre float32, minus float64, ok bool) {
	at, delta := thresh[0], thresh[1]
	if !(delta >= -1 && delta <= 1) || float64(float32(delta)) != delta {
		return 0, 0, false
	}
	centre = float32(at / p.scale)
	return centre, -delta, float64(p.scale*float64(centre)) == at
}

// notFloat32 returns a delta that is not taken for one found here.
func notFloat32(delta float64) float64 {
	if delta >= -1 && delta <= 1 && float64(float32(delta)) == delta {
		return math.Nextafter(delta, 2)
	}
	return delta
}

// The passes over a row of any length, in parts of at most vec.LMLRow elements and as many as fit.

func (s *lmlScratch) grow(n int) {
	if m := lmlGroup * vec.LMLRow; n < m {
		n = m
	}
	if len(s.odds) < n {
		s.odds, s.y = make([]float32, vec.LMLPadded(n)), make([]float32, n)
	}
}

// parts calls f for the parts of a row of n elements: count of them of m elements each from lo on.
func parts(n int, f func(lo, count, m int)) {
	lo := 0
	for n-lo >= vec.LMLRow {
		count := min((n-lo)/vec.LMLRow, lmlGroup)
		f(lo, count, vec.LMLRow)
		lo += count * vec.LMLRow
	}
	if lo < n {
		f(lo, 1, n-lo)
	}
}

func fill32(a []float32, v float32) {
	for i := range a {
		a[i] = v
	}
}

// momentsOf is the centre to start at.
func (p *lmlProblem) momentsOf(s *lmlScratch, x []float32) (centre float32, width float64) {
	fill32(s.ref[:], x[0])
	sum, square := 0.0, 0.0
	parts(p.n, func(lo, count, m int) {
		vec.LMLMoments(x[lo:], m, m, s.ref[:count], s.moments[:])
		for i := range count {
			sum += float64(s.moments[4*i])
			square += float64(s.moments[4*i+1])
		}
	})
	return p.start(x[0], sum, square)
}

// oddsOf sets the odds of a row; ok is false if it does not reach as far as the row.
func (p *lmlProblem) oddsOf(s *lmlScratch, x []float32, centre float32) (t lmlTotals, ok bool) {
	fill32(s.centre[:], centre)
	ok = true
	parts(p.n, func(lo, count, m int) {
		limit := vec.LMLOdds(x[lo:], m, m, p.slope, s.centre[:count], s.odds[lo:], s.sums[:], s.count[:])
		ok = ok && limit <= p.reach
		for i := range count {
			t.add(&s.sums[i], s.count[i])
		}
	})
	return t, ok
}

// weightsOf sets y to the weights of the row whose odds are there, at the root d, and returns their sum.
func (p *lmlProblem) weightsOf(s *lmlScratch, y []float32, d float64) (total float64) {
	s.exps[0] = -d
	expTile(s.exps[:1], s.exps[:1])
	fill32(s.factor[:], float32(s.exps[0]))
	parts(p.n, func(lo, count, m int) {
		vec.LMLWeights(y[lo:], m, m, s.odds[lo:], s.factor[:count], s.total[:])
		for _, v := range s.total[:count] {
			total += v
		}
	})
	return total
}

// enough reports whether weights of that sum, a step d away from where the slopes' sum was h, are those of the root.
func (p *lmlProblem) enough(total, d, h float64) bool {
	left := math.Abs(total - float64(p.k))
	return left <= 1.5e-7*float64(p.k) && (math.Abs(d) <= lmlNear || left <= 5e-7*h)
}

// solveRow seeks the root of a row from a centre; if it is found, y has the weights.
func (p *lmlProblem) solveRow(s *lmlScratch, y, x []float32, centre float32, width float64, rounds int) (at float32, root float64, ok bool) {
	for range rounds {
		t, ok := p.oddsOf(s, x, centre)
		if !ok {
			return 0, 0, false
		}
		d, ok := p.step(&t, width)
		if !ok {
			return 0, 0, false
		}
		if math.Abs(d) <= lmlFar {
			root := float64(float32(d))
			total := p.weightsOf(s, y, root)
			if p.enough(total, d, t.h) {
				return centre, root, true
			}
			// The sum of the weights as they are rounded, by a last bit of the root.
			if left := float64(p.k) - total; math.Abs(d) <= lmlNear && math.Abs(left) <= 1e-4*t.h {
				root = float64(float32(root + left/t.h))
				if p.enough(p.weightsOf(s, y, root), d, t.h) {
					return centre, root, true
				}
			}
		}
		next := float32(float64(centre) - d/p.scale)
		if next == centre {
			return 0, 0, false
		}
		centre = next
	}
	return 0, 0, false
}

// solveLML is the solve of rows lo to hi, and with out set their weights.
func (j *softJob[T]) solveLML(s *softScratch, p *lmlProblem, lo, hi int) {
	l, x := &s.lml, single(j.x)
	out := single(j.out)
	l.grow(p.n)
	for lo < hi {
		rows := 1
		if p.n <= vec.LMLRow {
			rows = min(lmlGroup, hi-lo)
			p.solveGroup(l, single(l.y), x[lo*p.n:(lo+rows)*p.n], rows, out, lo)
		} else {
			j.solveLong(l, p, lo, out)
		}
		for i := range rows {
			row := lo + i
			if !l.fine[i] {
				j.solve(s, row)
				j.thresh[2*row+1] = notFloat32(j.thresh[2*row+1])
				if out != nil {
					j.forward(s, row)
				}
				continue
			}
			j.thresh[2*row], j.thresh[2*row+1] = float64(p.scale*float64(l.centre[i])), l.root[i]
			if j.status != nil {
				j.status[row] = RowOK
			}
		}
		lo += rows
	}
}

// solveLong is solveGroup of one row of any length.
func (j *softJob[T]) solveLong(l *lmlScratch, p *lmlProblem, row int, out []float32) {
	x, y := single(j.row(j.x, row)), l.y[:p.n]
	if out != nil {
		y = out[row*p.n:][:p.n]
	}
	centre, width := p.momentsOf(l, x)
	centre, root, ok := p.solveRow(l, y, x, centre, width, lmlRounds)
	l.centre[0], l.root[0], l.fine[0] = centre, root, ok
}

// solveGroup solves rows of x, of at most vec.LMLRow elements, whose weights go to out from row first on, or nowhere.
func (p *lmlProblem) solveGroup(s *lmlScratch, room, x []float32, rows int, out []float32, first int) {
	n := p.n
	y := room
	if out != nil {
		y = out[first*n:]
	}
	for i := range rows {
		s.ref[i] = x[i*n]
	}
	vec.LMLMoments(x, n, n, s.ref[:rows], s.moments[:])
	for i := range rows {
		s.centre[i], s.width[i] = p.start(s.ref[i], float64(s.moments[4*i]), float64(s.moments[4*i+1]))
	}
	limit := vec.LMLOdds(x, n, n, p.slope, s.centre[:rows], s.odds, s.sums[:], s.count[:])
	if !(limit <= p.reach) { // in one of them at least
		centres := s.centre
		for i := range rows {
			centres[i], s.root[i], s.fine[i] = p.solveRow(s, y[i*n:][:n], x[i*n:][:n], centres[i], s.width[i], lmlRounds)
		}
		s.centre = centres
		return
	}
	for i := range rows {
		t := lmlTotals{}
		t.add(&s.sums[i], s.count[i])
		d, ok := p.step(&t, s.width[i])
		s.fine[i] = ok
		if !ok {
			d = 0
		}
		s.root[i] = float64(float32(d))
		s.exps[i] = -s.root[i]
	}
	expTile(s.exps[:rows], s.exps[:rows])
	for i := range rows {
		s.factor[i] = float32(s.exps[i])
	}
	vec.LMLWeights(y, n, n, s.odds, s.factor[:rows], s.total[:])
	again := false
	for i := range rows {
		if s.fine[i] && !(math.Abs(s.root[i]) <= lmlFar && p.enough(s.total[i], s.root[i], float64(s.sums[i].H))) {
			s.mean[i], again = 1, true
		} else {
			s.mean[i] = 0
		}
	}
	if !again {
		return
	}
	centres := s.centre
	for i := range rows {
		if s.mean[i] != 0 {
			c := float32(float64(centres[i]) - s.root[i]/p.scale)
			centres[i], s.root[i], s.fine[i] = p.solveRow(s, y[i*n:][:n], x[i*n:][:n], c, s.width[i], lmlRounds-1)
		}
	}
	s.centre = centres
}

// single is a as float32, which it is.
func single[T Float](a []T) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(a))), len(a))
}

// forwardLML is the forward pass of rows lo to hi.
func (j *softJob[T]) forwardLML(s *softScratch, p *lmlProblem, lo, hi int) {
	l, n := &s.lml, p.n
	l.grow(n)
	group := 1
	if n <= vec.LMLRow {
		group = lmlGroup
	}
	for lo < hi {
		row, rows := lo, 0
		for ; lo < hi && rows < group; rows++ {
			c, minus, ok := p.lmlFloat32(j.thresh[2*lo:])
			if !ok {
				break
			}
			l.centre[rows], l.exps[rows] = c, minus
			lo++
		}
		if rows == 0 {
			j.forward(s, lo)
			lo++
			continue
		}
		x, y := single(j.x)[row*n:lo*n], single(j.out)[row*n:lo*n]
		if n > vec.LMLRow {
			d := -l.exps[0]
			if _, ok := p.oddsOf(l, x, l.centre[0]); ok {
				p.weightsOf(l, y, d)
			} else {
				j.forward(s, row)
			}
			continue
		}
		limit := vec.LMLOdds(x, n, n, p.slope, l.centre[:rows], l.odds, l.sums[:], l.count[:])
		expTile(l.exps[:rows], l.exps[:rows])
		for i := range rows {
			l.factor[i] = float32(l.exps[i])
		}
		if limit <= p.reach {
			vec.LMLWeights(y, n, n, l.odds, l.factor[:rows], l.total[:])
			continue
		}
		for i := range rows {
			limit := vec.LMLOdds(x[i*n:], n, n, p.slope, l.centre[i:][:1], l.odds, l.sums[:], l.count[:])
			if limit <= p.reach {
				vec.LMLWeights(y[i*n:], n, n, l.odds, l.factor[i:][:1], l.total[:])
			} else {
				j.forward(s, row+i)
			}
		}
	}
}

// backwardLML is the backward pass of rows lo to hi.
func (j *softJob[T]) backwardLML(s *softScratch, p *lmlProblem, lo, hi int) {
	l, n := &s.lml, p.n
	l.grow(n)
	group := 1
	if n <= vec.LMLRow {
		group = lmlGroup
	}
	for lo < hi {
		row, rows := lo, 0
		for ; lo < hi && rows < group; rows++ {
			c, minus, ok := p.lmlFloat32(j.thresh[2*lo:])
			if !ok {
				break
			}
			l.centre[rows], l.exps[rows], l.ref[rows] = c, minus, single(j.g)[lo*n]
			lo++
		}
		if rows == 0 {
			j.backward(s, lo)
			lo++
			continue
		}
		x, g, dx := single(j.x)[row*n:lo*n], single(j.g)[row*n:lo*n], single(j.out)[row*n:lo*n]
		expTile(l.exps[:rows], l.exps[:rows])
		for i := range rows {
			l.factor[i] = float32(l.exps[i])
		}
		if n > vec.LMLRow {
			if !p.backwardLong(l, dx, x, g) {
				j.backward(s, row)
			}
			continue
		}
		good := p.slopesOf(l, x, g, rows)
		if good {
			vec.LMLGrad(dx, g, n, n, l.odds, l.ref[:], l.mean[:rows], float32(p.scale))
			continue
		}
		one := *l
		for i := range rows {
			l.centre[0], l.factor[0], l.ref[0] = one.centre[i], one.factor[i], one.ref[i]
			if p.slopesOf(l, x[i*n:], g[i*n:], 1) {
				vec.LMLGrad(dx[i*n:], g[i*n:], n, n, l.odds, l.ref[:], l.mean[:1], float32(p.scale))
			} else {
				j.backward(s, row+i)
			}
		}
	}
}

// slopesOf sets the slopes and means of rows; ok is false where float32 may have lost the mean of one: gradients that are
// not finite or huge, and slopes whose products with gradients may be subnormal.
func (p *lmlProblem) slopesOf(l *lmlScratch, x, g []float32, rows int) (ok bool) {
	limit, most := vec.LMLSlopes(x, g, p.n, p.n, p.slope, l.centre[:rows], l.factor[:rows], l.ref[:], l.odds, l.slopes[:])
	ok = limit <= p.reach && most <= lmlMost
	for i := range rows {
		t := &l.slopes[i]
		l.mean[i] = t.G / t.H
		ok = ok && t.H >= lmlLeast
	}
	return ok
}

// backwardLong is the backward pass of one row with l's first centre, factor and reference.
func (p *lmlProblem) backwardLong(l *lmlScratch, dx, x, g []float32) bool {
	fill32(l.centre[:], l.centre[0])
	fill32(l.factor[:], l.factor[0])
	fill32(l.ref[:], l.ref[0])
	var sumH, sumG float64
	ok := true
	parts(p.n, func(lo, count, m int) {
		limit, most := vec.LMLSlopes(x[lo:], g[lo:], m, m, p.slope, l.centre[:count], l.factor[:count], l.ref[:], l.odds[lo:], l.slopes[:])
		for i := range count {
			t := &l.slopes[i]
			sumH, sumG = sumH+float64(t.H), sumG+float64(t.G)
		}
		ok = ok && limit <= p.reach && most <= lmlMost
	})
	if !ok || !(sumH >= lmlLeast) {
		return false
	}
	fill32(l.mean[:], float32(sumG/sumH))
	parts(p.n, func(lo, count, m int) {
		vec.LMLGrad(dx[lo:], g[lo:], m, m, l.odds[lo:], l.ref[:], l.mean[:count], float32(p.scale))
	})
	return true
}
