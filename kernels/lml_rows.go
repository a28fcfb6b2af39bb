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
// as a rule one evaluation of S is enough. Then the weights are computed and their sum, in float64, is compared with k:
// what it lacks moves d by Newton's step, and the weights are computed again from the odds that are there. The first sums are
// vec.LMLQuick's, which do for rows where weights between 0 and 1 have a share in k, and for k <= n/2; others, and those that
// they do not bring to the root, are summed by vec.LMLCounted.
//
// A threshold (p, delta) that was found so has p = scale c, c and delta being float32 numbers. No other threshold of a
// float32 row has such a delta, so that it tells which arithmetic makes k of the sum: see lmlFloat32.
const (
	lmlGroup  = 32 // rows at a time
	lmlRounds = 6  // evaluations of S before lmlSolve takes over
	lmlReach  = 80 // the largest exponent of 2 in vec.LMLPowers
	// A step is taken for the last if it is at most lmlNear; up to lmlFar the sum has to show it.
	lmlNear = 0.06
	lmlFar  = 0.3
	// What the sum may be off, in units of that of the slopes: so far off is the root.
	lmlTight = 1e-7
	// The largest gradient, and the least sum of slopes, that are done here.
	lmlMost  = 1e30
	lmlLeast = 0x1p-20
)

// lmlScratch is a thread's space for lmlGroup rows or, of rows longer than vec.LMLRow, as many parts of one.
type lmlScratch struct {
	odds, y, rest             []float32
	centre, factor, ref, mean [lmlGroup]float32
	moments                   [4 * lmlGroup]float32
	sums                      [lmlGroup]vec.LMLSums
	slopes                    [lmlGroup]vec.LMLSlopeSums
	count                     [lmlGroup]int32
	total, root, width        [lmlGroup]float64
	fine                      [lmlGroup]bool
}

// lmlProblem is what all rows of a call have in common.
type lmlProblem struct {
	n, k    int
	scale   float64
	inverse float64    // 1/scale
	slope   float32    // scale / ln 2
	reach   float32    // the largest difference from the centre that is done here
	start   [3]float64 // of vec.LMLStart
	sizes   [3]float64 // of vec.LMLSteps
	quick   bool       // whether vec.LMLQuick is tried first
	here    bool       // whether rows are to be done here at all
}

func lmlProblemOf(r Relaxation, scale float64, n, k int) (p lmlProblem) {
	a := math.Abs(scale)
	if r != LML || k == n || !(a >= 1e-6 && a <= 1e6) {
		return p
	}
	p = lmlProblem{n: n, k: k, scale: scale, slope: float32(scale * math.Log2E), inverse: 1 / scale, here: true}
	p.reach = float32(lmlReach / (a * math.Log2E))
	p.start = [3]float64{1 / float64(n), float64(math.Pi / 8 * float64(scale*scale)), lmlLog(float64(k)/float64(n-k)) / scale}
	p.sizes = [3]float64{float64(k), float64(n - k), float64(n)}
	p.quick = 2*k <= n
	return p
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

// lmlFloat32 reports whether a threshold was found here, and with what centre and factor of the odds.
func (p *lmlProblem) lmlFloat32(thresh []float64) (centre, factor float32, ok bool) {
	at, delta := thresh[0], thresh[1]
	if !lmlMarks(delta) {
		return 0, 0, false
	}
	centre = float32(at * p.inverse)
	return centre, vec.LMLFactor(delta), float64(p.scale*float64(centre)) == at
}

func lmlMarks(delta float64) bool {
	return delta >= -lmlFar && delta <= lmlFar && float64(float32(delta)) == delta
}

// notFloat32 returns a delta that is not taken for one found here.
func notFloat32(delta float64) float64 {
	if lmlMarks(delta) {
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
		s.rest = make([]float32, lmlGroup*vec.LMLRow)
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

// startOf sets the first centre and width to where a row's search begins.
func (p *lmlProblem) startOf(s *lmlScratch, x []float32) {
	fill32(s.ref[:], x[0])
	sum, square := 0.0, 0.0
	parts(p.n, func(lo, count, m int) {
		vec.LMLMoments(x[lo:], m, m, s.ref[:count], s.moments[:])
		for i := range count {
			sum += float64(s.moments[4*i])
			square += float64(s.moments[4*i+1])
		}
	})
	s.moments[0], s.moments[1] = float32(sum), float32(square)
	vec.LMLStart(1, &p.start, s.moments[:], s.ref[:], s.centre[:], s.width[:])
}

// oddsOf sets the odds of a row, and the first sums and count; ok is false if it does not reach as far as the row.
func (p *lmlProblem) oddsOf(s *lmlScratch, x []float32, centre float32, quick bool) (ok bool) {
	fill32(s.centre[:], centre)
	var S, H, C, D float64
	below := int32(0)
	ok = true
	parts(p.n, func(lo, count, m int) {
		var limit float32
		bias := 0.0
		if quick {
			each := p.bias(m)
			limit = vec.LMLQuick(x[lo:], m, m, p.slope, s.centre[:count], s.odds[lo:], each, s.sums[:])
			bias = 16 * float64(each)
		} else {
			limit = vec.LMLPowers(x[lo:], m, m, p.slope, s.centre[:count], s.odds[lo:])
			vec.LMLCounted(s.odds[lo:], m, s.sums[:count], s.count[:])
		}
		ok = ok && limit <= p.reach
		for i := range count {
			t := &s.sums[i]
			S, H, C, D = S+(float64(t.S)-bias), H+float64(t.H), C+float64(t.C), D+float64(t.D)
			below += s.count[i]
		}
	})
	if quick {
		below = int32(p.k)
		S -= float64(p.k)
	}
	s.sums[0], s.count[0] = vec.LMLSums{S: float32(S), H: float32(H), C: float32(C), D: float32(D)}, below
	return ok
}

// bias is that of vec.LMLQuick for m elements of a row.
func (p *lmlProblem) bias(m int) float32 {
	return float32(float64(-p.k*m) / float64(16*p.n))
}

// powersOf sets the odds of a row.
func (p *lmlProblem) powersOf(s *lmlScratch, x []float32, centre float32) (ok bool) {
	fill32(s.centre[:], centre)
	ok = true
	parts(p.n, func(lo, count, m int) {
		ok = vec.LMLPowers(x[lo:], m, m, p.slope, s.centre[:count], s.odds[lo:]) <= p.reach && ok
	})
	return ok
}

// weightsOf sets y to the weights of the row whose odds are there, and returns their sum.
func (p *lmlProblem) weightsOf(s *lmlScratch, y []float32, factor float32) (total float64) {
	fill32(s.factor[:], factor)
	parts(p.n, func(lo, count, m int) {
		vec.LMLWeights(y[lo:], m, m, s.odds[lo:], s.factor[:count], s.total[:])
		for _, v := range s.total[:count] {
			total += v
		}
	})
	return total
}

// enough reports whether weights of that sum, a step d away from where the slopes' sum was h, are those of the root. After a
// quick step, whose sums may have lost digits, that is for the weights' sum alone to say.
func (p *lmlProblem) enough(total, d, h float64, quick bool) bool {
	left := math.Abs(total - float64(p.k))
	if quick {
		return left <= lmlTight/2*h && float64(h*h) >= 0.5*float64(p.k)
	}
	return left <= 1.5e-7*float64(p.k) && (math.Abs(d) <= lmlNear || left <= lmlTight*h && p.tells(h))
}

// tells reports whether the weights' sum says where the root is to lmlTight: the roundings of k weights near 1, and of
// their sums in pairs, make some 3e-8 sqrt k of it.
func (p *lmlProblem) tells(h float64) bool { return float64(h*h) >= 0.1*float64(p.k) }

// mended returns the step d with what the weights' sum lacks made up for, h being the sum of their slopes, and whether that
// is worth trying.
func (p *lmlProblem) mended(total, d, h float64) (step float64, ok bool) {
	left := float64(p.k) - total
	step = float64(float32(d + left/h))
	ok = math.Abs(d) <= lmlNear || math.Abs(d) <= lmlFar && p.tells(h)
	return step, ok && math.Abs(left) <= 1e-4*h && math.Abs(step) <= lmlFar
}

// solveRow seeks the root of a row from a centre, in some rounds of which the first is quick or not; if it is found, y has
// the weights.
func (p *lmlProblem) solveRow(s *lmlScratch, y, x []float32, centre float32, width float64, quick bool, rounds int) (at float32, root float64, ok bool) {
	for range rounds {
		if !p.oddsOf(s, x, centre, quick) {
			return 0, 0, false
		}
		s.width[0] = width
		vec.LMLSteps(1, &p.sizes, s.sums[:], s.count[:], s.width[:], s.root[:], s.factor[:])
		d, h := s.root[0], float64(s.sums[0].H)
		if math.Abs(d) <= lmlFar {
			total := p.weightsOf(s, y, s.factor[0])
			if p.enough(total, d, h, quick) {
				return centre, d, true
			}
			if root, try := p.mended(total, d, h); try && p.enough(p.weightsOf(s, y, vec.LMLFactor(root)), d, h, quick) {
				return centre, root, true
			}
		}
		next := p.moved(centre, d, quick)
		if next == centre && !quick || next != next {
			return 0, 0, false
		}
		centre, quick = next, false
	}
	return 0, 0, false
}

// moved is the centre after a step d: the same where quick sums had too few digits for one, NaN where others had.
func (p *lmlProblem) moved(centre float32, d float64, quick bool) float32 {
	if quick && d != d {
		return centre
	}
	return float32(float64(centre) - d/p.scale)
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
	p.startOf(l, x)
	l.centre[0], l.root[0], l.fine[0] = p.solveRow(l, y, x, l.centre[0], l.width[0], p.quick, lmlRounds)
}

// solveGroup solves rows of x, of at most vec.LMLRow elements, whose weights go to out from row first on, or nowhere.
func (p *lmlProblem) solveGroup(s *lmlScratch, room, x []float32, rows int, out []float32, first int) {
	n := p.n
	y := room
	if out != nil {
		y = out[first*n:]
	}
	for i := range rows {
		s.ref[i], s.fine[i] = x[i*n], false
	}
	vec.LMLMoments(x, n, n, s.ref[:rows], s.moments[:])
	vec.LMLStart(rows, &p.start, s.moments[:], s.ref[:], s.centre[:], s.width[:])
	var limit float32
	if p.quick {
		limit = vec.LMLQuick(x, n, n, p.slope, s.centre[:rows], s.odds, p.bias(n), s.sums[:])
		for i := range rows {
			s.count[i] = int32(p.k)
		}
	} else {
		limit = vec.LMLPowers(x, n, n, p.slope, s.centre[:rows], s.odds)
		vec.LMLCounted(s.odds, n, s.sums[:rows], s.count[:])
	}
	if !(limit <= p.reach) { // in one of them at least
		p.solveEach(s, y, x, rows, p.quick, lmlRounds)
		return
	}
	vec.LMLSteps(rows, &p.sizes, s.sums[:], s.count[:], s.width[:], s.root[:], s.factor[:])
	vec.LMLWeights(y, n, n, s.odds, s.factor[:rows], s.total[:])
	again := false
	for i := range rows {
		d, h := s.root[i], float64(s.sums[i].H)
		s.fine[i] = math.Abs(d) <= lmlFar && p.enough(s.total[i], d, h, p.quick)
		if s.fine[i] {
			continue
		}
		if root, try := p.mended(s.total[i], d, h); try {
			s.factor[i] = vec.LMLFactor(root)
			vec.LMLWeights(y[i*n:], n, n, s.odds[i*vec.LMLPadded(n):], s.factor[i:i+1], s.total[i:])
			if p.enough(s.total[i], d, h, p.quick) {
				s.root[i], s.fine[i] = root, true
				continue
			}
		}
		s.centre[i] = p.moved(s.centre[i], d, p.quick)
		again = true
	}
	if again {
		p.solveEach(s, y, x, rows, false, lmlRounds-1-p.solveRest(s, y, x, rows))
	}
}

// solveRest does for the rows that are not fine together what solveRow does in a round for each, and returns how many
// rounds that were.
func (p *lmlProblem) solveRest(s *lmlScratch, y, x []float32, rows int) int {
	n, centre, root, width := p.n, s.centre, s.root, s.width
	var at [lmlGroup]int
	m := 0
	for i := range rows {
		if !s.fine[i] {
			copy(s.rest[m*n:][:n], x[i*n:])
			at[m], s.centre[m], s.width[m] = i, centre[i], width[i]
			m++
		}
	}
	if m == 1 || !(vec.LMLPowers(s.rest, n, n, p.slope, s.centre[:m], s.odds) <= p.reach) {
		s.centre, s.width = centre, width
		return 0
	}
	vec.LMLCounted(s.odds, n, s.sums[:m], s.count[:])
	vec.LMLSteps(m, &p.sizes, s.sums[:], s.count[:], s.width[:], s.root[:], s.factor[:])
	vec.LMLWeights(s.rest, n, n, s.odds, s.factor[:m], s.total[:])
	for j, i := range at[:m] {
		d, h := s.root[j], float64(s.sums[j].H)
		root[i] = d
		s.fine[i] = math.Abs(d) <= lmlFar && p.enough(s.total[j], d, h, false)
		if next, try := p.mended(s.total[j], d, h); !s.fine[i] && try {
			root[i], s.factor[j] = next, vec.LMLFactor(next)
			vec.LMLWeights(s.rest[j*n:], n, n, s.odds[j*vec.LMLPadded(n):], s.factor[j:][:1], s.total[j:])
			s.fine[i] = p.enough(s.total[j], d, h, false)
		}
		if s.fine[i] {
			copy(y[i*n:][:n], s.rest[j*n:])
		} else {
			centre[i] = p.moved(centre[i], d, false)
		}
	}
	s.centre, s.root, s.width = centre, root, width
	return 1
}

// solveEach solves the rows that are not fine, one at a time.
func (p *lmlProblem) solveEach(s *lmlScratch, y, x []float32, rows int, quick bool, rounds int) {
	n, centre, root, width := p.n, s.centre, s.root, s.width
	for i := range rows {
		if !s.fine[i] {
			centre[i], root[i], s.fine[i] = p.solveRow(s, y[i*n:][:n], x[i*n:][:n], centre[i], width[i], quick, rounds)
		}
	}
	s.centre, s.root = centre, root
}

// single is a as float32, which it is.
func single[T Float](a []T) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(a))), len(a))
}
