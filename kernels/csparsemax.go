package kernels

import "slices"

// The constrained sparsemax, doc/equations.md (3p) (Malaviya, Ferreira and Martins, "Sparse and constrained
// attention", 2018) is the Euclidean projection of x onto {0 <= y <= 1, sum y = k}: y = clip(x + nu, 0, 1). Relative
// to p = x_(k), z = (x - p) + d with 0 < d <= 1: at d = 0 the k-th and all below it are 0, at d = 1 the upper k are 1.
// So scores at p+1 or more are capped, scores at p-1 or less are 0, and the sum of the others is piecewise linear in
// d, its pieces given by how many are capped (c) and how many are above 0 (s) in sorted order.

// csparsemaxReference is the specification: bisection on the shift from the k-th largest. x finite, 1 <= k < len(x).
func csparsemaxReference(y, x []float64, k int) {
	sorted := append([]float64(nil), x...)
	slices.Sort(sorted)
	p := sorted[len(x)-k]
	lo, hi := 0.0, 1.0
	for range 200 {
		d, sum := (lo+hi)/2, 0.0
		for i, v := range x {
			y[i] = min(1, max(0, (v-p)+d))
			sum += y[i]
		}
		if sum < float64(k) {
			lo = d
		} else {
			hi = d
		}
	}
}

// csparsemaxSolve returns the smallest score above 0 as pivot: no z then comes from a cancellation, so even weights of
// 1e-5 beside a cap have all their digits. Where no weight is strictly between 0 and 1 the k-th is exactly at the cap.
func csparsemaxSolve(a []float64, k int, _ bool) (pivot, delta float64, ok bool) {
	selectTop(a, k)
	p := slices.Min(a[:k])
	m := 0
	for _, v := range a {
		if t := v - p; t >= 1 {
			k-- // capped whatever d is
		} else if t > -1 {
			a[m] = v
			m++
		}
	}
	a = a[:m]
	slices.Sort(a)
	slices.Reverse(a)

	c, s := 0, 0
	var sum compensated // of a[c:s] - p
	for s < m && a[s] >= p {
		sum = sum.plus(a[s] - p)
		s++
	}
	for c < k {
		enters, caps := 2.0, 1-(a[c]-p) // the values of d where the next one comes above 0, where the next one reaches 1
		if s < m {
			enters = p - a[s]
		}
		if d := (float64(k-c) - sum.value()) / float64(s-c); d <= min(enters, caps) {
			var above compensated
			pivot = a[s-1]
			for _, v := range a[c:s] {
				above = above.plus(v - pivot)
			}
			return pivot, (float64(k-c) - above.value()) / float64(s-c), true
		}
		if enters < caps {
			sum = sum.plus(a[s] - p)
			s++
		} else {
			sum = sum.plus(p - a[c])
			c++
		}
	}
	return p, 1, true // by rounding only: the k-th reaches the cap
}

// csparsemaxPhi, csparsemaxSlope and csparsemaxCurve are clip(z, 0, 1), its derivative (1 strictly between, 0
// elsewhere) and second over first derivative, 0. Where no entry of a row is strictly between, small changes of x
// change nothing: the gradient of the row is 0.
func csparsemaxPhi(y, z []float64) {
	for i, v := range z {
		y[i] = min(1, max(0, v))
	}
}

func csparsemaxSlope(h, z []float64, _ float64) {
	for i, v := range z {
		h[i] = 0
		if v > 0 && v < 1 {
			h[i] = 1
		}
	}
}

func csparsemaxCurve(c, z []float64) {
	for i := range z {
		c[i] = 0
	}
}
