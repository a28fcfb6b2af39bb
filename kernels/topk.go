package kernels

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// TopK finds the k smallest finite values, doc/equations.md (3h), of each row of f (rows,n), 1 <= k <= n; of equal
// values the lowest indices win. mask (rows,n) gets 1 for winners and 0 elsewhere; index (rows,k) their places in
// ascending order of value, equal ones by place; status (rows) RowOK, or RowTooFew where fewer than k values are
// finite: that row's mask is 0 and its index -1. Any output may be nil. NaN and infinities never win. -0 equals +0.
// Cost: a selection in O(n), and the sort of k winners if index is asked for.
func TopK[T Float](mask []T, index []int32, status []RowStatus, f []T, rows, n, k int) {
	needSize("TopK", "rows", rows)
	needElites("TopK", k, n)
	if n > math.MaxInt32 {
		panic(fmt.Sprintf("kernels: TopK: n = %d, want n < 2^31", n))
	}
	needLen("TopK", "f", len(f), rows*n, "rows*n")
	needOptional("TopK", "mask", mask, rows*n, "rows*n")
	needOptional("TopK", "index", index, rows*k, "rows*k")
	needOptional("TopK", "status", status, rows, "rows")
	runPooled[T](&topkJobs, topkJob[T]{mask, index, status, f, n, k}, rows, 1+4096/n)
}

// topkReference is the specification: k times the smallest value not yet taken.
func topkReference(f []float64, k int) (index []int) {
	taken := make([]bool, len(f))
	for range k {
		best := -1
		for i, v := range f {
			if !taken[i] && math.Abs(v) <= math.MaxFloat64 && (best < 0 || v < f[best]) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		taken[best] = true
		index = append(index, best)
	}
	return index
}

type topkJob[T Float] struct {
	mask   []T
	index  []int32
	status []RowStatus
	f      []T
	n, k   int
}

type topkScratch struct {
	a       []float64
	winners []ranked
}

type ranked struct {
	value float64
	place int32
}

var (
	topkJobs      poolPair
	topkScratches = sync.Pool{New: func() any { return new(topkScratch) }}
)

// Run implements vec.Job.
func (j *topkJob[T]) Run(lo, hi int) {
	s := topkScratches.Get().(*topkScratch)
	s.a = slices.Grow(s.a[:0], j.n)[:j.n]
	s.winners = slices.Grow(s.winners[:0], j.k)
	for row := lo; row < hi; row++ {
		j.row(s, row)
	}
	topkScratches.Put(s)
}

func (j *topkJob[T]) row(s *topkScratch, row int) {
	f := j.f[row*j.n : (row+1)*j.n]
	m := 0
	for _, v := range f {
		s.a[m] = -float64(v)
		if math.Abs(float64(v)) <= math.MaxFloat64 {
			m++
		}
	}
	if j.status != nil {
		j.status[row] = RowOK
		if m < j.k {
			j.status[row] = RowTooFew
		}
	}
	last, ties := math.Inf(-1), 0 // the k-th smallest value, and how many equal to it win
	if m >= j.k {
		selectTop(s.a[:m], j.k)
		last = -slices.Min(s.a[:j.k])
		for _, v := range s.a[:j.k] {
			if v == -last {
				ties++
			}
		}
	}
	var mask []T
	if j.mask != nil {
		mask = j.mask[row*j.n : (row+1)*j.n]
		clear(mask)
	}
	winners := s.winners[:0]
	for i, v := range f {
		v := float64(v)
		if !(v <= last) || v == math.Inf(-1) {
			continue
		}
		if v == last {
			if ties == 0 {
				continue
			}
			ties--
		}
		if mask != nil {
			mask[i] = 1
		}
		winners = append(winners, ranked{v, int32(i)})
	}
	if j.index == nil {
		return
	}
	index := j.index[row*j.k : (row+1)*j.k]
	if m < j.k {
		for i := range index {
			index[i] = -1
		}
		return
	}
	slices.SortFunc(winners, func(a, b ranked) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return int(a.place - b.place)
	})
	for i, w := range winners {
		index[i] = w.place
	}
}
