package cpu

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// order puts the rows' kept dimensions before those that a reduction reduces, for the first that needs it.
func (e *emitter[T]) order() {
	n := len(e.l.outer)
	if n < 2 {
		return
	}
	for i := range e.pl.Stores {
		s := &e.pl.Stores[i]
		if e.isPut(i) {
			continue
		}
		a := e.l.access(s.Offset, s.Strides)
		var kept, reduced []int
		sorted := true
		for d := range n {
			if a.outer[d] != 0 {
				sorted = sorted && len(reduced) == 0
				kept = append(kept, d)
			} else {
				reduced = append(reduced, d)
			}
		}
		if !sorted {
			e.l.reorder(append(kept, reduced...))
			return
		}
	}
}

// tiles chooses the tile by the number of values alive at once, so that they stay in the near caches.
func (e *emitter[T]) tiles() {
	l, n := e.l, len(e.pl.Loads)
	e.vals = sized(e.vals, n+len(e.pl.Body), value{virt: -1, wide: -1, into: -1})
	for v := range e.vals {
		e.vals[v].same = int32(v)
	}
	for i := range e.pl.Stores {
		e.vals[e.pl.Stores[i].Value].needed = true
	}
	l.cost = 2 * len(e.pl.Stores)
	for j := len(e.pl.Body) - 1; j >= 0; j-- {
		if in := &e.pl.Body[j]; e.vals[n+j].needed {
			for _, v := range operands(in) {
				e.vals[v].needed = true
			}
			l.cost += in.Op.Info().Flops
		}
	}
	for j := range e.pl.Body {
		if in := &e.pl.Body[j]; in.Op == ir.Cast && castTo[T](in.Type) == nil || in.Op == ir.Cast && !in.Round {
			e.vals[n+j].same = e.vals[in.A].same
		}
	}
	last := sized(e.last, len(e.vals), 0)
	e.last = last
	for j := range e.pl.Body {
		if e.vals[n+j].needed {
			for _, v := range operands(&e.pl.Body[j]) {
				last[e.vals[v].same] = int32(j)
			}
		}
	}
	ends := sized(e.ends, len(e.pl.Body)+1, 0)
	e.ends = ends
	alive, most := 0, 0
	for j := range e.pl.Body {
		v := &e.vals[n+j]
		if !v.needed || int(v.same) != n+j || e.pl.Body[j].Op == ir.Const {
			continue
		}
		alive -= int(ends[j])
		alive++
		most = max(most, alive)
		ends[max(int(last[n+j]), j+1)]++
	}
	for v := range e.pl.Loads {
		if e.vals[v].needed {
			l.cost += 2
		}
	}
	size := 256
	bytes := typeOf[T]().Size()
	switch {
	case most*bytes <= 32:
		size = 1024
	case most*bytes <= 96:
		size = 512
	}
	if l.cols >= size {
		count := (l.cols + size - 1) / size
		l.high, l.wide = 1, min(l.cols, (((l.cols+count-1)/count)+15)&^15)
		return
	}
	l.high, l.wide = max(1, min(l.rows, size/max(1, l.cols))), l.cols
}

// classify finds what each value depends on.
func (e *emitter[T]) classify() {
	l, n := e.l, len(e.pl.Loads)
	classOf := func(byRow, byCol bool) class {
		switch {
		case l.points() == 1, byCol && (byRow || l.high == 1), byRow && l.cols == 1:
			return point
		case byCol:
			return col
		case byRow:
			return row
		}
		return unit
	}
	for i := range e.pl.Loads {
		x := &e.pl.Loads[i]
		if x.Buf == plan.Acc {
			e.vals[i].class = point
			continue
		}
		a := l.access(x.Offset, x.Strides)
		byRow, byCol := l.byRow(&a), l.byCol(&a)
		for _, g := range x.Guards {
			b := l.access(g.Start, g.Strides)
			byRow, byCol = byRow || l.byRow(&b), byCol || l.byCol(&b)
		}
		e.vals[i].class = classOf(byRow, byCol)
	}
	for j := range e.pl.Body {
		in := &e.pl.Body[j]
		v := &e.vals[n+j]
		if in.Op == ir.Normal || in.Op == ir.Uniform {
			a := l.access(in.Index.Offset, in.Index.Strides)
			v.class = classOf(l.byRow(&a), l.byCol(&a))
			continue
		}
		for _, a := range operands(in) {
			c := e.vals[a].class
			if c == row && v.class == col || c == col && v.class == row {
				c = point
			}
			v.class = max(v.class, c)
		}
	}
}

// moves finds the loads of whole numbers as long as T that are only stored as they are. They pass as bits, since T
// has not as many digits.
func (e *emitter[T]) moves() {
	for i := range e.pl.Loads {
		if b := e.pl.Loads[i].Buf; b != plan.Acc {
			t := e.x.p.Buffers[b].Type
			e.vals[i].raw = (t == ir.Int64 || t == ir.Int || t == ir.Int32) && t.Size() == typeOf[T]().Size()
		}
	}
	for j := range e.pl.Body {
		for _, v := range operands(&e.pl.Body[j]) {
			e.vals[v].raw = false
		}
	}
	for i := range e.pl.Stores {
		s := &e.pl.Stores[i]
		if v := &e.vals[s.Value]; v.raw {
			from, to := &e.x.p.Buffers[e.pl.Loads[s.Value].Buf], &e.x.p.Buffers[s.Buf]
			v.raw = e.isPut(i) && from.Type == to.Type
		}
	}
}

// array is a buffer's memory as an array of T, whatever its type if it is raw; own is not nil if T can be read there.
func (e *emitter[T]) array(id plan.BufID, raw bool) (a array[T], own *plain[T]) {
	b := &e.x.p.Buffers[id]
	if raw {
		a, own = arrayOf[T](e.x.mem, typeOf[T](), b.Offset, b.Count())
		e.x.refer(id, a)
		return a, own
	}
	x := &e.arrays[id]
	if x.array == nil {
		x.array, x.own = arrayOf[T](e.x.mem, b.Type, b.Offset, b.Count())
		e.x.refer(id, x.array)
	}
	return x.array, x.own
}

// overlap reports whether two buffers share bytes.
func (e *emitter[T]) overlap(a, b plan.BufID) bool {
	if a < 0 || b < 0 {
		return false
	}
	x, y := &e.x.p.Buffers[a], &e.x.p.Buffers[b]
	return x.Offset < y.Offset+y.Bytes() && y.Offset < x.Offset+x.Bytes()
}

// loaded is the buffer that load i reads.
func (e *emitter[T]) loaded(i int) plan.BufID {
	if b := e.pl.Loads[i].Buf; b != plan.Acc {
		return b
	}
	return e.acc
}

// placeStores decides after which instruction each store comes, and which are computed in place: at their value's
// own, unless a load whose place it takes is read later.
func (e *emitter[T]) placeStores() {
	n := len(e.pl.Loads)
	e.after, e.next = sized(e.after, len(e.pl.Body)+1, -1), sized(e.next, len(e.pl.Stores), -1)
	last := sized(e.last, n, -1) // the last instruction that reads a load
	e.last = last
	for j := range e.pl.Body {
		if e.vals[n+j].needed {
			for _, v := range operands(&e.pl.Body[j]) {
				if v = e.vals[v].same; int(v) < n {
					last[v] = int32(j)
				}
			}
		}
	}
	for i := len(e.pl.Stores) - 1; i >= 0; i-- {
		if i == e.stored {
			continue
		}
		s := &e.pl.Stores[i]
		v := e.vals[s.Value].same
		def := v - int32(n)
		at := max(def, -1)
		for k := range e.pl.Loads {
			if e.vals[k].needed && e.overlap(e.loaded(k), s.Buf) {
				at = max(at, last[k])
				if e.vals[k].class != point || e.storesLoad(k) {
					e.vals[k].copied = true
				}
			}
		}
		if e.isPut(i) && at == max(def, -1) && e.inPlace(s) && e.vals[v].class == point && e.vals[v].into < 0 {
			e.vals[v].into = int32(i)
		}
		e.next[i] = e.after[at+1]
		e.after[at+1] = int32(i)
	}
	for k := range e.pl.Loads {
		if e.vals[k].copied && e.vals[k].class == point {
			e.vals[k].into = -1
			e.early = append(e.early, int32(k))
		}
	}
}

// storesLoad reports whether a load is stored as it is.
func (e *emitter[T]) storesLoad(k int) bool {
	for i := range e.pl.Stores {
		if int(e.vals[e.pl.Stores[i].Value].same) == k {
			return true
		}
	}
	return false
}

// inPlace reports whether the points of a tile are consecutive elements of T.
func (e *emitter[T]) inPlace(s *plan.Store) bool {
	a := e.l.access(s.Offset, s.Strides)
	return (e.x.p.Buffers[s.Buf].Type == typeOf[T]() || e.vals[s.Value].raw) && e.tileStraight(&a)
}

func (e *emitter[T]) tileStraight(a *access) bool {
	return e.l.straight(a) || e.l.high == 1 && (a.cs == 1 || e.l.cols == 1)
}

// isPut reports whether store i only stores: a reduction of nothing does too.
func (e *emitter[T]) isPut(i int) bool {
	s := &e.pl.Stores[i]
	if s.Combine == plan.Set {
		return true
	}
	for d, n := range e.pl.Dims {
		if n != 1 && s.Strides[d] == 0 {
			return false
		}
	}
	return true
}
