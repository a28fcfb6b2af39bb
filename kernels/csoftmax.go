package kernels

import (
	"math"
	"slices"
)

// The constrained softmax, doc/equations.md (3s) (Martins and Kreutzer, "Learning what's easy", 2017): y = min(1, e^(x
// + nu)). With the scores sorted, the m largest capped and S_m the sum of e^x over the others, e^nu = (k-m)/S_m; m is
// the smallest with (k-m) e^(x_(m+1)) <= S_m, and as that stays true from there on, m is found from its end, k-1,
// downwards: sums only ever grow, and only the upper k need sorting.

// csoftmaxReference is the specification: the active set from the top, one cap at a time. x finite, 1 <= k < len(x).
func csoftmaxReference(y, x []float64, k int) {
	sorted := append([]float64(nil), x...)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	for m := range k {
		sum := 0.0
		for _, v := range sorted[m:] {
			sum += math.Exp(v - sorted[m])
		}
		if float64(k-m) <= sum { // no more caps
			for i, v := range x {
				y[i] = math.Min(1, float64(k-m)*math.Exp(v-sorted[m])/sum)
			}
			return
		}
	}
}

func csoftmaxSolve(a []float64, k int, _ bool) (p, delta float64, ok bool) {
	selectTop(a, k)
	top, rest := a[:k], a[k:]
	slices.Sort(top) // smallest first
	p = top[0]
	for i, v := range rest {
		rest[i] = v - p
	}
	expTile(rest, rest)
	var sum compensated
	sum = sum.plus(blockSum(rest))
	free := 0.0 // k - m
	for _, v := range top {
		e := math.Exp(v - p)
		next := sum.plus(e)
		if !((free+1)*e <= next.value()) { // this one and all above it are capped (e may be +Inf)
			break
		}
		sum = next
		free++
	}
	return p, math.Log(free / sum.value()), true
}

// csoftmaxPhi, csoftmaxSlope and csoftmaxCurve are min(1, e^z), its derivative and second over first derivative. At the
// cap, z = 0 itself included, the derivative is 0. One entry at least is free, so the derivatives of a row never vanish
// together and need no shift.
func csoftmaxPhi(y, z []float64) {
	for i, v := range z {
		y[i] = min(v, 0)
	}
	expTile(y, y[:len(z)])
}

func csoftmaxSlope(h, z []float64, _ float64) {
	csoftmaxPhi(h, z)
	for i, v := range z {
		if v >= 0 {
			h[i] = 0
		}
	}
}

func csoftmaxCurve(c, z []float64) {
	for i := range z {
		c[i] = 1
	}
}
