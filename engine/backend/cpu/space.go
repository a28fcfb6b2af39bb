package cpu

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// A space is the points of a loop as rows of columns: the last dimension is the columns, all others together are the
// rows, numbered row-major. Dimensions of 1 are gone, neighbours that every access walks through in one stride are
// one.
type space struct {
	outer      []int // the dimensions of the rows
	rows, cols int
	take       []int // per dimension, the last one too: the loop's own dimension whose stride it has; -1: none
}

// points is the number of points.
func (s *space) points() int { return s.rows * s.cols }

// An access is an affine map of a space's points: off + sum(outer[d]*i[d]) + cs*column.
type access struct {
	off   int
	outer []int
	even  bool // rows are rs apart from each other: row*rs is the sum over outer
	rs    int
	cs    int
}

// newSpace makes the space of a loop. whole: its two dimensions are taken as they are.
func newSpace(l *plan.Loop, whole bool) space {
	if whole {
		return space{outer: l.Dims[:1], rows: l.Dims[0], cols: l.Dims[1], take: []int{0, 1}}
	}
	var dims, take []int
	for d, n := range l.Dims {
		if n != 1 {
			dims, take = append(dims, n), append(take, d)
		}
	}
	for d := len(dims) - 2; d >= 0; d-- {
		if mergeable(l, take[d], take[d+1], dims[d+1]) {
			dims[d+1] *= dims[d]
			dims, take = slices.Delete(dims, d, d+1), slices.Delete(take, d, d+1)
		}
	}
	if len(dims) == 0 {
		dims, take = []int{1}, []int{-1}
	}
	n := len(dims) - 1
	return space{outer: dims[:n], rows: ir.Count(dims[:n]), cols: dims[n], take: take}
}

// mergeable reports whether every access goes on from dimension a to the next one of n elements, b, in one stride.
func mergeable(l *plan.Loop, a, b, n int) bool {
	for i := range l.Loads {
		s := l.Loads[i].Strides
		if l.Loads[i].Buf != plan.Acc && s[a] != s[b]*n {
			return false
		}
		for _, g := range l.Loads[i].Guards {
			if g.Strides[a] != g.Strides[b]*n {
				return false
			}
		}
	}
	for i := range l.Body {
		if x := l.Body[i].Index; x != nil && x.Strides[a] != x.Strides[b]*n {
			return false
		}
	}
	for i := range l.Stores {
		if s := l.Stores[i].Strides; s[a] != s[b]*n {
			return false
		}
	}
	return true
}

// reorder puts the rows' dimensions in another order.
func (s *space) reorder(order []int) {
	outer, take := make([]int, len(order)), slices.Clone(s.take)
	for i, d := range order {
		outer[i], take[i] = s.outer[d], s.take[d]
	}
	s.outer, s.take = outer, take
}

// access maps an offset and strides over the loop's own dimensions.
func (s *space) access(off int, strides []int) access {
	a := access{off: off, even: true}
	n := len(s.outer)
	if n > 0 {
		a.outer = make([]int, n)
	}
	for i, d := range s.take {
		switch {
		case d < 0:
		case i < n:
			a.outer[i] = strides[d]
		default:
			a.cs = strides[d]
		}
	}
	if n > 0 {
		a.rs = a.outer[n-1]
	}
	for d := n - 2; d >= 0; d-- {
		if a.outer[d] != a.outer[d+1]*s.outer[d+1] {
			a.even = false
		}
	}
	return a
}

// straight reports whether consecutive points are consecutive elements.
func (s *space) straight(a *access) bool {
	return (a.cs == 1 || s.cols == 1) && a.even && (a.rs == s.cols || s.rows == 1)
}

// byRow and byCol report whether an access moves with the row and with the column.
func (s *space) byRow(a *access) bool {
	for _, d := range a.outer {
		if d != 0 {
			return true
		}
	}
	return false
}

func (s *space) byCol(a *access) bool { return a.cs != 0 && s.cols > 1 }

// index writes row's multi-index.
func (s *space) index(idx []int, row int) {
	for d := len(s.outer) - 1; d >= 0; d-- {
		q := row / s.outer[d]
		idx[d] = row - q*s.outer[d]
		row = q
	}
}

// next moves a multi-index n rows on, at most to the end of the last dimension.
func (s *space) next(idx []int, n int) {
	d := len(s.outer) - 1
	idx[d] += n
	for ; d > 0 && idx[d] >= s.outer[d]; d-- {
		idx[d] = 0
		idx[d-1]++
	}
}

// row is where a row begins whose number and, if rows are not even, multi-index are given.
func (a *access) row(row int, idx []int) int {
	if a.even {
		return a.off + row*a.rs
	}
	at := a.off
	for d, s := range a.outer {
		at += s * idx[d]
	}
	return at
}
