package cpu

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// mixedTotals is how many totals the chunks of a mixed reduction may have together.
const mixedTotals = 1 << 18

// reductions makes the reductions and cuts the loop into chunks.
func (e *emitter[T]) reductions(o options) error {
	l := e.l
	var groups []int
	size := 0
	for i := range e.pl.Stores {
		if e.isPut(i) {
			continue
		}
		s := &e.pl.Stores[i]
		r := reduction[T]{store: i, how: s.Combine, fold: folds[T](s.Combine), group: 1}
		r.out, _ = e.array(s.Buf, false)
		a := l.access(s.Offset, s.Strides)
		r.columns = l.byCol(&a)
		kept := len(l.outer)
		for d, n := range l.outer {
			switch {
			case a.outer[d] == 0 && n > 1:
				kept = min(kept, d)
				r.group *= n
			case kept < d && n > 1:
				r.general = true
			}
		}
		for k := range e.pl.Loads {
			r.partly = r.partly || e.vals[k].needed && e.overlap(e.loaded(k), s.Buf)
		}
		if r.general {
			e.mix(&r, a)
			size = max(size, r.mixed.size)
		} else {
			r.kept = space{outer: l.outer[:kept], rows: ir.Count(l.outer[:kept]), cols: l.cols, take: nil}
			r.to = a
			r.to.outer, r.to.even, r.to.rs = a.outer[:kept], true, 0
			if kept > 0 {
				r.to.rs = a.outer[kept-1]
			}
			for d := kept - 2; d >= 0; d-- {
				r.to.even = r.to.even && a.outer[d] == a.outer[d+1]*l.outer[d+1]
			}
			groups = append(groups, r.group)
		}
		l.reds = append(l.reds, r)
	}
	slices.Sort(groups)
	e.cut(o, groups, size)
	for i := range l.reds {
		e.room(&l.reds[i])
	}
	l.temp = l.mem
	if len(l.reds) > 0 {
		l.mem += padded(l.high * l.wide)
	}
	return nil
}

// mix describes a mixed reduction.
func (e *emitter[T]) mix(r *reduction[T], a access) {
	l := e.l
	m := &r.mixed
	m.outer = make([]int, len(l.outer))
	m.size = 1
	if r.columns {
		m.cs, m.size = 1, l.cols
	}
	for d := len(l.outer) - 1; d >= 0; d-- {
		if a.outer[d] != 0 {
			m.outer[d] = m.size
			m.size *= l.outer[d]
		}
	}
	r.to = a
	r.to.even = false
	l.walks = true
}

// cut chooses the grid: chunks of enough work, about manyChunks of a large loop, whole groups where that leaves enough
// of them. Long rows are cut into pieces.
func (e *emitter[T]) cut(o options, groups []int, mixed int) {
	l := e.l
	l.pieces, l.width = 1, l.cols
	if o.product {
		l.set(l.rows, o.unit, o.block)
		return
	}
	cost := max(1, l.cost)
	if len(l.reds) == 0 && l.wide < l.cols && e.transposed() {
		// What rows touch lies side by side: go down the columns.
		each := max(l.points()/manyChunks, chunkFlops/cost) / l.rows
		l.width = max(1, each/l.wide) * l.wide
		l.pieces = (l.cols + l.width - 1) / l.width
		l.byColumn = true
		l.set(l.rows, l.rows, l.rows)
		return
	}
	if e.cutColumns(groups, cost) {
		return
	}
	most := max(l.points()/manyChunks, chunkFlops/cost, l.high*l.wide, 1)
	for ; ; most *= 2 {
		block := max(1, most/max(1, l.cols))
		l.pieces, l.width = 1, l.cols
		if l.high == 1 && l.cols >= 2*most {
			l.width = (most + l.wide - 1) / l.wide * l.wide
			l.pieces = (l.cols + l.width - 1) / l.width
			block = 1
		}
		block = min(l.rows, (block+l.high-1)/l.high*l.high)
		unit := l.rows
		for _, g := range groups {
			if g <= block || l.rows/g >= manyChunks/2 || l.pieces > 1 && g <= 64 {
				block = (block + g - 1) / g * g
			} else {
				unit = g
				break
			}
		}
		l.set(l.rows, unit, min(block, unit))
		if mixed == 0 || l.chunks() == 1 || l.chunks()*mixed <= mixedTotals {
			return
		}
	}
}

// cutColumns cuts long rows of which whole groups become one each: into pieces alone, so that no group is divided and
// no partial rows have to be written and combined. It reports whether there is enough to share that way.
func (e *emitter[T]) cutColumns(groups []int, cost int) bool {
	l := e.l
	if len(groups) == 0 || len(groups) != len(l.reds) || l.high != 1 {
		return false
	}
	for i := range l.reds {
		if !l.reds[i].columns {
			return false
		}
	}
	most := groups[len(groups)-1]
	tiles := (l.cols + l.wide - 1) / l.wide
	count := l.rows / most * tiles
	if count < manyChunks/8 || most*l.wide < chunkFlops/(4*cost) {
		return false
	}
	l.width = (count + manyChunks - 1) / manyChunks * l.wide
	l.pieces = (l.cols + l.width - 1) / l.width
	l.set(l.rows, l.rows, most)
	return true
}

// transposed reports whether an access jumps along the columns and moves little from row to row.
func (e *emitter[T]) transposed() bool {
	far := func(off int, strides []int) bool {
		a := e.l.access(off, strides)
		return a.even && a.rs > 0 && 8*a.rs <= a.cs
	}
	for i := range e.pl.Loads {
		if x := &e.pl.Loads[i]; e.vals[i].needed && x.Buf != plan.Acc && far(x.Offset, x.Strides) {
			return true
		}
	}
	for i := range e.pl.Stores {
		if far(e.pl.Stores[i].Offset, e.pl.Stores[i].Strides) {
			return true
		}
	}
	return false
}

// room gives a reduction its memory.
func (e *emitter[T]) room(r *reduction[T]) {
	l := e.l
	chunks := l.chunks()
	if r.general {
		r.mixed.totals = make([]total, chunks*r.mixed.size)
		return
	}
	r.groups = max(1, (l.block+r.group-1)/r.group)
	r.partly = r.partly || l.block%r.group != 0 || l.pieces > 1 && !r.columns
	r.width = l.width
	switch {
	case r.columns:
		l.byColumn = l.byColumn || l.wide < l.cols
		r.stride = padded(l.wide)
		r.mem = l.mem
		l.mem += levels(min(r.group, l.block)) * r.stride
		r.count = l.counts
		l.counts++
		if r.partly {
			r.rows = make([]T, chunks*r.groups*r.width)
		}
		return
	case r.group == 1 && l.wide == l.cols && !r.partly:
		r.direct = true
		l.walks = l.walks || !r.to.even
		return
	}
	r.sums = l.sums
	l.sums += r.groups
	if r.partly {
		r.totals = make([]total, chunks*r.groups)
	}
}

// identities fills what a loop without points reduces to: nothing, wherever the kept dimensions lead.
func identities(x *executable, l *plan.Loop) {
	for i := range l.Stores {
		s := &l.Stores[i]
		if s.Combine == plan.Set {
			continue
		}
		n := 1
		for d, size := range l.Dims {
			if s.Strides[d] != 0 {
				n *= size
			}
		}
		b := &x.p.Buffers[s.Buf]
		out, _ := arrayOf[float64](x.mem, b.Type, b.Offset, b.Count())
		one := [1]float64{identity(s.Combine)}
		for k := range n {
			at, rest := s.Offset, k
			for d := len(l.Dims) - 1; d >= 0; d-- {
				if s.Strides[d] != 0 {
					at += rest % l.Dims[d] * s.Strides[d]
					rest /= l.Dims[d]
				}
			}
			out.store(one[:], at, 1, 0, 1, 1)
		}
	}
}
