package kernels

import "github.com/godcem/godcem/internal/vec"

// The forward and backward passes of LML of float32 rows by the loops of package vec (lml_rows.go), for rows whose
// thresholds were found there; the others are left to the passes of softtopk.go.

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
			c, u, ok := p.lmlFloat32(j.thresh[2*lo:])
			if !ok {
				break
			}
			l.centre[rows], l.factor[rows] = c, u
			lo++
		}
		if rows == 0 {
			j.forward(s, lo)
			lo++
			continue
		}
		x, y := single(j.x)[row*n:lo*n], single(j.out)[row*n:lo*n]
		if n > vec.LMLRow {
			if p.powersOf(l, x, l.centre[0]) {
				p.weightsOf(l, y, l.factor[0])
			} else {
				j.forward(s, row)
			}
			continue
		}
		limit := vec.LMLPowers(x, n, n, p.slope, l.centre[:rows], l.odds)
		if limit <= p.reach {
			vec.LMLWeights(y, n, n, l.odds, l.factor[:rows], l.total[:])
			continue
		}
		for i := range rows {
			limit := vec.LMLPowers(x[i*n:], n, n, p.slope, l.centre[i:][:1], l.odds)
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
			c, u, ok := p.lmlFloat32(j.thresh[2*lo:])
			if !ok {
				break
			}
			l.centre[rows], l.factor[rows], l.ref[rows] = c, u, single(j.g)[lo*n]
			lo++
		}
		if rows == 0 {
			j.backward(s, lo)
			lo++
			continue
		}
		x, g, dx := single(j.x)[row*n:lo*n], single(j.g)[row*n:lo*n], single(j.out)[row*n:lo*n]
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
