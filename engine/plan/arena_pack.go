package plan

import (
	"cmp"
	"slices"
)

// packAll is the number of blocks up to which pack tries the orders that look at all blocks placed before.
const packAll = 3000

// pack sets the blocks' offsets so that no two which are needed in one step overlap, and returns the bytes it takes.
// It tries several orders and keeps the best: no order is best for all programs. With n blocks it takes n log n time
// and a small constant times packAll².
func pack(blocks []block, steps int) int {
	bound := demanded(blocks, steps)
	best := fit(blocks, false)
	if best == bound || len(blocks) == 0 {
		return best
	}
	offs := make([]int, len(blocks))
	keep := func() {
		for i := range blocks {
			offs[i] = blocks[i].off
		}
	}
	keep()
	try := func(n int) bool {
		if n < best {
			best = n
			keep()
		}
		return best == bound
	}
	if !try(fit(blocks, true)) {
		orders := packOrders[:]
		if len(blocks) > 4*packAll {
			orders = orders[:1]
		}
		for _, key := range orders {
			if try(greedy(blocks, key)) {
				break
			}
		}
	}
	for i := range blocks {
		blocks[i].off = offs[i]
	}
	return best
}

// demanded is the least that any packing takes: the largest sum of sizes needed in one step.
func demanded(blocks []block, steps int) int {
	d := make([]int, steps+1)
	for i := range blocks {
		d[blocks[i].first] += blocks[i].size
		d[blocks[i].last+1] -= blocks[i].size
	}
	most, now := 0, 0
	for _, x := range d {
		now += x
		most = max(most, now)
	}
	return most
}

// stack puts every block in a place of its own.
func stack(blocks []block) int {
	n := 0
	for i := range blocks {
		blocks[i].off = n
		n += blocks[i].size
	}
	return n
}

// A gap is free space in the arena.
type gap struct{ off, end int }

// fit places the blocks in the order of time, as an allocator would at run time: each into the smallest gap that
// holds it. With back, time runs backwards.
func fit(blocks []block, back bool) int {
	start := make([]int32, len(blocks))
	for i := range start {
		start[i] = int32(i)
	}
	from := func(b *block) int32 { return b.first }
	to := func(b *block) int32 { return b.last }
	if back {
		from = func(b *block) int32 { return -b.last }
		to = func(b *block) int32 { return -b.first }
	}
	end := slices.Clone(start)
	slices.SortStableFunc(start, func(x, y int32) int {
		a, b := &blocks[x], &blocks[y]
		return cmp.Or(cmp.Compare(from(a), from(b)), cmp.Compare(to(b), to(a)), cmp.Compare(b.size, a.size))
	})
	slices.SortStableFunc(end, func(x, y int32) int { return cmp.Compare(to(&blocks[x]), to(&blocks[y])) })
	var gaps []gap // by offset, never adjacent
	top, done := 0, 0
	for _, i := range start {
		b := &blocks[i]
		for ; to(&blocks[end[done]]) < from(b); done++ {
			f := &blocks[end[done]]
			gaps = release(gaps, gap{f.off, f.off + f.size})
		}
		if n := len(gaps); n > 0 && gaps[n-1].end == top {
			top = gaps[n-1].off
			gaps = gaps[:n-1]
		}
		best := -1
		for k, g := range gaps {
			if w := g.end - g.off; w >= b.size && (best < 0 || w < gaps[best].end-gaps[best].off) {
				best = k
			}
		}
		switch {
		case b.size == 0:
			b.off = 0
		case best < 0:
			b.off = top
			top += b.size
		default:
			b.off = gaps[best].off
			if gaps[best].off += b.size; gaps[best].off == gaps[best].end {
				gaps = slices.Delete(gaps, best, best+1)
			}
		}
	}
	most := 0
	for i := range blocks {
		most = max(most, blocks[i].off+blocks[i].size)
	}
	return most
}

// release puts a gap back and joins it with its neighbours.
func release(gaps []gap, g gap) []gap {
	if g.off == g.end {
		return gaps
	}
	k, _ := slices.BinarySearchFunc(gaps, g.off, func(x gap, off int) int { return cmp.Compare(x.off, off) })
	left, right := k > 0 && gaps[k-1].end == g.off, k < len(gaps) && gaps[k].off == g.end
	switch {
	case left && right:
		gaps[k-1].end = gaps[k].end
		return slices.Delete(gaps, k, k+1)
	case left:
		gaps[k-1].end = g.end
	case right:
		gaps[k].off = g.off
	default:
		return slices.Insert(gaps, k, g)
	}
	return gaps
}

// packOrders are what greedy goes by: the large first, the long-lived first, and what is both.
var packOrders = [...]func(b *block) float64{
	func(b *block) float64 { return float64(b.size) },
	func(b *block) float64 { return float64(b.size) * float64(b.last-b.first+1) },
	func(b *block) float64 { return float64(b.last - b.first) },
}

// greedy places the blocks in descending order of key, each into the lowest gap between those already placed which
// are needed at the same time. Only the packAll first ones are placed so; the rest lies above, by fit.
func greedy(blocks []block, key func(*block) float64) int {
	order := make([]int32, len(blocks))
	keys := make([]float64, len(blocks))
	for i := range order {
		order[i] = int32(i)
		keys[i] = key(&blocks[i])
	}
	slices.SortStableFunc(order, func(x, y int32) int {
		return cmp.Or(cmp.Compare(keys[y], keys[x]), cmp.Compare(blocks[y].size, blocks[x].size))
	})
	type placed struct {
		off, end    int
		first, last int32
	}
	most := 0
	done := make([]placed, 0, min(len(order), packAll)) // by offset
	for _, i := range order[:min(len(order), packAll)] {
		b := &blocks[i]
		off := 0
		for k := range done {
			d := &done[k]
			if d.last < b.first || d.first > b.last {
				continue
			}
			if off+b.size <= d.off {
				break
			}
			off = max(off, d.end)
		}
		b.off = off
		most = max(most, off+b.size)
		k, _ := slices.BinarySearchFunc(done, off, func(x placed, off int) int { return cmp.Compare(x.off, off) })
		done = slices.Insert(done, k, placed{off, off + b.size, b.first, b.last})
	}
	if len(order) <= packAll {
		return most
	}
	rest := make([]block, 0, len(order)-packAll)
	for _, i := range order[packAll:] {
		rest = append(rest, blocks[i])
	}
	n := fit(rest, false)
	for k, i := range order[packAll:] {
		blocks[i].off = most + rest[k].off
	}
	return most + n
}
