package plan

import (
	"cmp"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// enumerable is the number of points up to which a question about an affine map is answered by visiting them all.
const enumerable = 1 << 22

// extent is the least and the largest value of off + sum(strides*i) over the points of dims; some is false if there
// is no point.
func extent(dims []int, off int, strides []int) (lo, hi int, some bool) {
	lo, hi = off, off
	for d, n := range dims {
		if n == 0 {
			return 0, 0, false
		}
		if s := strides[d] * (n - 1); s < 0 {
			lo += s
		} else {
			hi += s
		}
	}
	return lo, hi, true
}

// guarded bounds the elements that a load reads where its guards hold, for a buffer of count elements. Where the
// bound passes the buffer, which need not be so, all points are visited if they are not too many.
func guarded(dims []int, l *Load, count int) (lo, hi int, some bool) {
	lo, hi, some = extent(dims, l.Offset, l.Strides)
	if !some || len(l.Guards) == 0 {
		return lo, hi, some
	}
	// Where a guard holds, its index lies between 0 and Step*(Count-1). Address and index are linear: subtract from the
	// address the multiple of the index that cancels a dimension, and bound what is left and the index apart.
	rest, off := slices.Clone(l.Strides), l.Offset
	lo, hi = 0, 0
	for k := range l.Guards {
		g := &l.Guards[k]
		a, b, _ := extent(dims, g.Start, g.Strides)
		a, b = max(a, 0), min(b, g.Step*(g.Count-1))
		if a > b {
			return 0, 0, false
		}
		times := 0
		for d, s := range g.Strides {
			if s != 0 && dims[d] > 1 && rest[d]%s == 0 && abs(rest[d]/s) > abs(times) {
				times = rest[d] / s
			}
		}
		for d, s := range g.Strides {
			rest[d] -= times * s
		}
		off -= times * g.Start
		lo, hi = lo+min(times*a, times*b), hi+max(times*a, times*b)
	}
	a, b, _ := extent(dims, off, rest)
	lo, hi = lo+a, hi+b
	if (lo < 0 || hi >= count) && ir.Count(dims) <= enumerable {
		return visited(dims, l)
	}
	return lo, hi, true
}

// visited is guarded by visiting all points.
func visited(dims []int, l *Load) (lo, hi int, some bool) {
	each(dims, func(i []int) bool {
		for k := range l.Guards {
			g := &l.Guards[k]
			x := at(i, g.Start, g.Strides)
			if x < 0 || x%g.Step != 0 || x/g.Step >= g.Count {
				return true
			}
		}
		x := at(i, l.Offset, l.Strides)
		if !some {
			lo, hi, some = x, x, true
		}
		lo, hi = min(lo, x), max(hi, x)
		return true
	})
	return lo, hi, some
}

func at(i []int, off int, strides []int) int {
	for d, x := range i {
		off += x * strides[d]
	}
	return off
}

// each calls f at every point until it returns false.
func each(dims []int, f func(i []int) bool) {
	if ir.Count(dims) == 0 {
		return
	}
	i := make([]int, len(dims))
	for {
		if !f(i) {
			return
		}
		d := len(dims) - 1
		for ; d >= 0; d-- {
			if i[d]++; i[d] < dims[d] {
				break
			}
			i[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

func abs(a int) int { return max(a, -a) }

// A term is coefficient times an unknown integer between lo and hi.
type term struct{ c, lo, hi int }

// solvable reports whether the sum of the terms can be want. It tries the values of the largest coefficient first,
// and only those that the others can still reach; undecided is true if that takes too long.
func solvable(terms []term, want int) (yes, undecided bool) {
	slices.SortStableFunc(terms, func(a, b term) int { return cmp.Compare(abs(b.c), abs(a.c)) })
	lo, hi, div := make([]int, len(terms)+1), make([]int, len(terms)+1), make([]int, len(terms)+1)
	for k := len(terms) - 1; k >= 0; k-- {
		t := terms[k]
		lo[k] = lo[k+1] + min(t.c*t.lo, t.c*t.hi)
		hi[k] = hi[k+1] + max(t.c*t.lo, t.c*t.hi)
		div[k] = gcd(div[k+1], abs(t.c))
	}
	visits := 0
	var solve func(k, want int) bool
	solve = func(k, want int) bool {
		if visits++; visits > 1<<16 {
			undecided = true
			return false
		}
		if want < lo[k] || want > hi[k] || div[k] != 0 && want%div[k] != 0 {
			return false
		}
		if k == len(terms) {
			return true
		}
		t := terms[k]
		if t.c == 0 {
			return solve(k+1, want)
		}
		// The others reach lo to hi, so that t.c*x lies between want-hi and want-lo.
		from, to := ceilDiv(want-hi[k+1], t.c), floorDiv(want-lo[k+1], t.c)
		if t.c < 0 {
			from, to = ceilDiv(want-lo[k+1], t.c), floorDiv(want-hi[k+1], t.c)
		}
		for x := max(t.lo, from); x <= min(t.hi, to) && !undecided; x++ {
			if solve(k+1, want-t.c*x) {
				return true
			}
		}
		return false
	}
	return solve(0, want), undecided
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ceilDiv is the least integer not below a/b.
func ceilDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) == (b < 0) {
		q++
	}
	return q
}

// floorDiv is the largest integer not above a/b.
func floorDiv(a, b int) int { return -ceilDiv(-a, b) }

// injective reports whether the points of a target are different elements; why is a remark if it is unknown.
func injective(t *target) (ok bool, why string) {
	if ir.Count(t.dims) == 0 {
		return true, ""
	}
	// Two points hit one element if a difference of points that is not 0 is mapped to 0; its first entry that is not 0
	// may be taken as positive.
	for d, n := range t.dims {
		if n == 1 {
			continue
		}
		terms := []term{{t.strides[d], 1, n - 1}}
		for e := d + 1; e < len(t.dims); e++ {
			terms = append(terms, term{t.strides[e], 1 - t.dims[e], t.dims[e] - 1})
		}
		yes, undecided := solvable(terms, 0)
		if undecided {
			return visitOnce(t)
		}
		if yes {
			return false, ""
		}
	}
	return true, ""
}

// visitOnce is injective by visiting all points.
func visitOnce(ts ...*target) (ok bool, why string) {
	lo, hi, points := 0, 0, 0
	for k, t := range ts {
		a, b, some := extent(t.dims, t.off, t.strides)
		if some {
			if k == 0 {
				lo, hi = a, b
			}
			lo, hi = min(lo, a), max(hi, b)
		}
		points += ir.Count(t.dims)
	}
	if points > enumerable || hi-lo > 64*enumerable {
		return false, ", or too many to tell"
	}
	seen := make([]bool, hi-lo+1)
	ok = true
	for _, t := range ts {
		each(t.dims, func(i []int) bool {
			x := at(i, t.off, t.strides) - lo
			ok = ok && !seen[x]
			seen[x] = true
			return ok
		})
	}
	return ok, ""
}

// disjoint reports whether two targets of one buffer have no element in common.
func disjoint(a, b *target) (ok bool, why string) {
	lo, hi, some := extent(a.dims, a.off, a.strides)
	from, to, more := extent(b.dims, b.off, b.strides)
	if !some || !more || hi < from || to < lo {
		return true, ""
	}
	var terms []term
	if slices.Equal(a.dims, b.dims) && slices.Equal(a.strides, b.strides) {
		for d, n := range a.dims {
			terms = append(terms, term{a.strides[d], 1 - n, n - 1})
		}
	} else {
		for d, n := range a.dims {
			terms = append(terms, term{a.strides[d], 0, n - 1})
		}
		for d, n := range b.dims {
			terms = append(terms, term{-b.strides[d], 0, n - 1})
		}
	}
	yes, undecided := solvable(terms, b.off-a.off)
	if undecided {
		return visitOnce(a, b)
	}
	return !yes, ""
}
