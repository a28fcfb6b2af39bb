package kernels

import "math"

// SoftTopKBackward computes doc/equations.md (3'), the gradient dx (rows,n) with respect to x (rows,n) from the
// gradient g (rows,n) with respect to y. With h = phi'(z) and H = sum h,
//
//	dx = scale * h * (g - sum h g / H)
//
// It is finite for every finite x and g: where all h underflow the ratio is taken of h e^shift, and a result beyond T's
// range saturates at the largest finite number. Entries whose h is 0 (left out, at a cap or at 0, or so far off that h
// underflows) get 0 and their g is not read; so do rows that are spoilt or have no h above 0. Any other non-finite g
// makes its row's gradient NaN. dx may be x or g.
func SoftTopKBackward[T Float](dx, x []T, thresh []float64, g []T, r Relaxation, scale float64, rows, n, k int) {
	softCheck("SoftTopKBackward", r, scale, rows, n, k)
	needLen("SoftTopKBackward", "dx", len(dx), rows*n, "rows*n")
	needLen("SoftTopKBackward", "x", len(x), rows*n, "rows*n")
	needLen("SoftTopKBackward", "thresh", len(thresh), 2*rows, "2*rows")
	needLen("SoftTopKBackward", "g", len(g), rows*n, "rows*n")
	runSoft(softJob[T]{op: softBackward, out: dx, x: x, g: g, thresh: thresh, r: r, scale: scale, n: n, k: k}, rows)
}

// SoftTopKBackward2 computes the gradient dx (rows,n) with respect to x of sum v * SoftTopKBackward(x, g), all
// (rows,n). With c_g = sum h g / H, c_v = sum h v / H and
//
//	u = phi2(z) (g - c_g) (v - c_v),   dx = scale^2 (u - h sum u / H)    doc/equations.md (3'')
//
// phi2 being the second derivative of phi (the gradient with respect to g is SoftTopKBackward of v: the Jacobian is
// symmetric). Finite, zero and NaN as SoftTopKBackward. dx may be any of the inputs.
func SoftTopKBackward2[T Float](dx, x []T, thresh []float64, g, v []T, r Relaxation, scale float64, rows, n, k int) {
	softCheck("SoftTopKBackward2", r, scale, rows, n, k)
	needLen("SoftTopKBackward2", "dx", len(dx), rows*n, "rows*n")
	needLen("SoftTopKBackward2", "x", len(x), rows*n, "rows*n")
	needLen("SoftTopKBackward2", "thresh", len(thresh), 2*rows, "2*rows")
	needLen("SoftTopKBackward2", "g", len(g), rows*n, "rows*n")
	needLen("SoftTopKBackward2", "v", len(v), rows*n, "rows*n")
	runSoft(softJob[T]{op: softBackward2, out: dx, x: x, g: g, v: v, thresh: thresh, r: r, scale: scale, n: n, k: k}, rows)
}

// softReference is the specification of both backward passes, for finite rows whose h do not all vanish; z is (scale*x
// - p) + delta.
func softReference(dx, dx2, z, g, v []float64, r Relaxation, scale float64) {
	n := len(z)
	h, curve := make([]float64, n), make([]float64, n)
	softLinks[r].slope(h, z, 0)
	softLinks[r].curve(curve, z)
	var H, cg, cv, U float64
	for i := range n {
		H, cg, cv = H+h[i], cg+h[i]*g[i], cv+h[i]*v[i]
	}
	cg, cv = cg/H, cv/H
	for i := range n {
		U += h[i] * curve[i] * (g[i] - cg) * (v[i] - cv)
	}
	for i := range n {
		dx[i] = scale * h[i] * (g[i] - cg)
		dx2[i] = scale * scale * (h[i]*curve[i]*(g[i]-cg)*(v[i]-cv) - h[i]*U/H)
	}
}

// softSlopes fills h[:n] with phi'(z) e^shift of a row, shift being 0 unless all phi' underflow, and returns their sum
// and shift.
func (j *softJob[T]) softSlopes(h []float64, s *softScratch, row int) (total, shift float64) {
	x, p, delta := j.row(j.x, row), j.thresh[2*row], j.thresh[2*row+1]
	for {
		for lo := 0; lo < len(x); lo += softTile {
			hi := min(lo+softTile, len(x))
			z := s.z[:hi-lo]
			shiftTile(z, x[lo:hi], j.scale, p, delta)
			softLinks[j.r].slope(h[lo:hi], z, shift)
		}
		total = blockSum(h[:len(x)])
		if shift > 0 || total > 1e-200 || !softLinks[j.r].tails {
			return total, shift
		}
		shift = math.Inf(1)
		for _, v := range x {
			shift = min(shift, math.Abs((float64(j.scale*float64(v))-p)+delta))
		}
		if !(shift < math.MaxFloat64) {
			return 0, 0
		}
	}
}

// softMean returns sum h g / H of a row for the gradients down*g, down being 1 or the power of two that keeps products
// of two of them finite. It is NaN exactly if a g that counts (h > 0) is not finite.
func softMean[T Float](h []float64, total float64, g []T) (mean, down float64) {
	for down = 1; ; down = 0x1p-600 {
		sum, largest := 0.0, 0.0
		for i, w := range h[:len(g)] {
			if w > 0 {
				v := float64(float64(g[i]) * down)
				sum += float64(w * v)
				if v = math.Abs(v); v > largest {
					largest = v
				}
			}
		}
		switch {
		case total == 0:
			return 0, down
		case largest > 0x1p500 && down == 1:
			continue
		case !(math.Abs(sum) <= math.MaxFloat64):
			return math.NaN(), down
		}
		return sum / total, down
	}
}

// flat writes the gradient 0 of a row that has no threshold: spoilt, or of k entries that are all 1.
func (j *softJob[T]) flat(row int) bool {
	if j.thresh[2*row+1] < math.Inf(1) {
		return false
	}
	clear(j.row(j.out, row))
	return true
}

func (j *softJob[T]) backward(s *softScratch, row int) {
	if j.flat(row) {
		return
	}
	h := s.a[:j.n]
	total, shift := j.softSlopes(h, s, row)
	g, out := j.row(j.g, row), j.row(j.out, row)
	mean, down := softMean(h, total, g)
	unshift := math.Exp(-shift / 2) // half of it: e^-shift itself may underflow where its product does not
	for i, w := range h {
		u := 0.0
		if w > 0 {
			u = w * (float64(float64(g[i])*down) - mean) * unshift * unshift * j.scale / down
		}
		out[i] = saturate[T](u)
	}
}

func (j *softJob[T]) backward2(s *softScratch, row int) {
	if j.flat(row) {
		return
	}
	h, u := s.a[:j.n], s.b[:j.n]
	total, shift := j.softSlopes(h, s, row)
	x, g, v, out := j.row(j.x, row), j.row(j.g, row), j.row(j.v, row), j.row(j.out, row)
	cg, downG := softMean(h, total, g)
	cv, downV := softMean(h, total, v)
	sum := 0.0
	for lo := 0; lo < j.n; lo += softTile {
		hi := min(lo+softTile, j.n)
		z, curve := s.z[:hi-lo], s.c[:hi-lo]
		shiftTile(z, x[lo:hi], j.scale, j.thresh[2*row], j.thresh[2*row+1])
		softLinks[j.r].curve(curve, z)
		for t, c := range curve {
			i := lo + t
			u[i] = 0
			if h[i] > 0 {
				u[i] = float64(h[i] * c * (float64(float64(g[i])*downG) - cg) * (float64(float64(v[i])*downV) - cv))
				sum += u[i]
			}
		}
	}
	unshift := math.Exp(-shift / 2)
	for i, w := range h {
		d := 0.0
		if w > 0 {
			// Factor by factor: scale^2 may be infinite, and must not meet a 0.
			d = (u[i] - float64(sum*(w/total))) * unshift * unshift * j.scale * j.scale / downG / downV
		}
		out[i] = saturate[T](d)
	}
}

// saturate converts v to T, values beyond T's range to its largest finite ones; NaN stays NaN.
func saturate[T Float](v float64) T {
	limit := math.MaxFloat64
	if isSingle[T]() {
		limit = math.MaxFloat32
	}
	if v > limit {
		v = limit
	} else if v < -limit {
		v = -limit
	}
	return T(v)
}
