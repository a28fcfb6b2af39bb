package kernels

import "slices"

// selectTop permutes a so that a[:k] holds its k largest values, 0 <= k <= len(a), in no particular order. a must hold
// no NaN. The work is O(len(a)): partitions around a value sampled near the wanted rank; should they not shrink fast
// enough (an adversary's order) what is left is sorted, so the work never exceeds O(n log n). The result depends on a
// and k alone.
func selectTop(a []float64, k int) { selectWithin(a, k, 6*len(a)) }

// selectWithin is selectTop that sorts once it has looked at work elements.
func selectWithin(a []float64, k, work int) {
	lo, hi := 0, len(a) // a[:lo] is above everything else, a[hi:] below
	for hi-lo > 16 && lo < k && k < hi {
		if work -= hi - lo; work < 0 {
			slices.Sort(a[lo:hi])
			slices.Reverse(a[lo:hi])
			return
		}
		pivot := samplePivot(a[lo:hi], k-lo)
		above := lo + moveAbove(a[lo:hi], pivot)
		if k <= above {
			hi = above
			continue
		}
		if (above-lo)*8 < hi-lo { // little progress: take out the pivot and all that equals it
			above += moveEqual(a[above:hi], pivot)
		}
		lo = above
	}
	if lo < k && k < hi {
		sortDown(a[lo:hi])
	}
}

// moveAbove swaps the values above pivot to the front and returns their number. The loop has no branch to mispredict.
func moveAbove(a []float64, pivot float64) int {
	j := 0
	for i, v := range a {
		a[i] = a[j]
		a[j] = v
		if v > pivot {
			j++
		}
	}
	return j
}

// moveEqual is moveAbove for the values equal to pivot.
func moveEqual(a []float64, pivot float64) int {
	j := 0
	for i, v := range a {
		a[i] = a[j]
		a[j] = v
		if v == pivot {
			j++
		}
	}
	return j
}

// samplePivot returns an element of a close to the k-th largest, leaning to the side that leaves the smaller part to
// search on.
func samplePivot(a []float64, k int) float64 {
	var buf [33]float64
	n := len(a)
	m := 5
	for m < len(buf) && m*m < 2*n {
		m += 4
	}
	step := n / m
	s := buf[:m]
	for i := range s {
		s[i] = a[i*step+step/2]
	}
	sortDown(s)
	at := (k*m - 1) / n
	if 2*k < n {
		at++
	} else {
		at--
	}
	return s[min(max(at, 0), m-1)]
}

// sortDown sorts a few values, largest first.
func sortDown(a []float64) {
	for i := 1; i < len(a); i++ {
		v := a[i]
		j := i
		for ; j > 0 && a[j-1] < v; j-- {
			a[j] = a[j-1]
		}
		a[j] = v
	}
}
