package cpu

import (
	"math"

	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// A reduction is a combining store. Where the kept dimensions of the rows come before the reduced ones, consecutive
// rows make a group of one result: an element if the columns are reduced too, else a row of them. A chunk holds whole
// groups, and writes their results, or a part of one group, and leaves a partial result for finish. Partial results
// are added in the order of the chunks.
//
// Elements are added as a tree: along the columns vec.SumWide, a chunk's tiles with the rounding errors carried
// along; rows of columns by halves of a tile, then in a cascade of 8 and 2 and 2 and so on.
type reduction[T vec.Float] struct {
	store  int // of the plan.Loop
	how    plan.Combine
	fold   func(dst, a, b []T)
	out    array[T]
	to     access // over the kept dimensions of the rows, a prefix: of groups
	kept   space  // of groups
	group  int    // rows
	groups int    // of a chunk, at most
	partly bool   // chunks leave partial results

	columns bool // the columns are kept
	direct  bool // groups are rows, whole in a tile
	general bool // see mixed.go

	mem, stride int // columns: of the cascade's rows in frame.mem
	count       int // and its counter
	sums        int // of a chunk's groups in frame.sums
	width       int // columns of a partial row
	rows        []T // partial rows, by chunk and group
	totals      []total
	mixed       mixed
}

// A total is a sum with the rounding errors of its additions (Knuth's two-sum), or another combination.
type total struct{ hi, lo float64 }

func identity(how plan.Combine) float64 {
	switch how {
	case plan.MaxOf:
		return math.Inf(-1)
	case plan.MinOf:
		return math.Inf(1)
	case plan.ProdOf:
		return 1
	}
	return 0
}

func (t *total) add(how plan.Combine, v float64) {
	switch how {
	case plan.Sum:
		s := t.hi + v
		b := s - t.hi
		t.lo += (t.hi - (s - b)) + (v - b)
		t.hi = s
	case plan.MaxOf:
		t.hi = max(t.hi, v)
	case plan.MinOf:
		t.hi = min(t.hi, v)
	case plan.ProdOf:
		t.hi *= v
	}
}

// value is the total; of an infinite one the errors are NaN and are left out, and -0 is not to become +0.
func (t *total) value() float64 {
	if v := t.hi + t.lo; v == v && t.lo != 0 {
		return v
	}
	return t.hi
}

// of combines a slice.
func of[T vec.Float](how plan.Combine, x []T) float64 {
	switch how {
	case plan.Sum:
		if len(x) > longRow {
			return vec.SumWide(x)
		}
		s := 0.0
		for _, v := range x {
			s += float64(v)
		}
		return s
	case plan.MaxOf:
		return float64(vec.MaxOf(x))
	case plan.MinOf:
		return float64(vec.MinOf(x))
	}
	p := 1.0
	for _, v := range x {
		p *= float64(v)
	}
	return p
}

func folds[T vec.Float](how plan.Combine) func(dst, a, b []T) {
	switch how {
	case plan.MaxOf:
		return vec.Max[T]
	case plan.MinOf:
		return vec.Min[T]
	case plan.ProdOf:
		return vec.Mul[T]
	}
	return vec.Add[T]
}

// begin starts a chunk.
func (r *reduction[T]) begin(f *frame[T]) {
	switch {
	case r.general:
		r.mixed.begin(r.how, f.chunk)
	case r.columns:
		f.counts[r.count] = 0
	case !r.direct:
		for i := range r.groups {
			f.sums[r.sums+i] = total{hi: identity(r.how)}
		}
	}
}

// take takes a tile in.
func (r *reduction[T]) take(l *loop[T], f *frame[T], x []T) {
	if r.general {
		r.takeMixed(l, f, x)
		return
	}
	if r.direct {
		out := f.mem[l.temp:][:f.nr]
		for i := range out {
			out[i] = T(of(r.how, x[i*f.nc:][:f.nc]))
		}
		r.write(f, f.r0, out)
		return
	}
	first := f.lo / r.group
	for at := f.r0; at < f.r0+f.nr; {
		g := at / r.group
		end := min((g+1)*r.group, f.r0+f.nr)
		part := x[(at-f.r0)*f.nc : (end-f.r0)*f.nc]
		if !r.columns {
			f.sums[r.sums+g-first].add(r.how, of(r.how, part))
		} else {
			r.push(f, r.halve(l, f, part, end-at))
			if end == (g+1)*r.group || end == f.hi {
				r.flush(f, g)
			}
		}
		at = end
	}
}

// halve combines n rows by halves into one.
func (r *reduction[T]) halve(l *loop[T], f *frame[T], x []T, n int) []T {
	temp := f.mem[l.temp:]
	for n > 1 {
		half := n / 2
		rest := n - half
		r.fold(temp[:half*f.nc], x[:half*f.nc], x[rest*f.nc:n*f.nc])
		if rest > half {
			copy(temp[half*f.nc:rest*f.nc], x[half*f.nc:])
		}
		x, n = temp, rest
	}
	return x[:f.nc]
}

const cascadeBase = 8

// push takes a row in: sums of cascadeBase rows are carried on like the digits of a binary counter.
func (r *reduction[T]) push(f *frame[T], x []T) {
	level := func(i int) []T { return f.mem[r.mem+i*r.stride:][:f.nc] }
	k := f.counts[r.count]
	f.counts[r.count]++
	if k%cascadeBase == 0 {
		copy(level(0), x)
	} else {
		r.fold(level(0), level(0), x)
	}
	if k%cascadeBase != cascadeBase-1 {
		return
	}
	i := 1
	for m := k / cascadeBase; m&1 == 1; m >>= 1 {
		r.fold(level(0), level(i), level(0))
		i++
	}
	copy(level(i), level(0))
}

// levels is the number of rows that a cascade of n rows needs.
func levels(n int) int {
	k := 2
	for n /= cascadeBase; n > 0; n >>= 1 {
		k++
	}
	return k
}

// flush ends the cascade and hands its row on.
func (r *reduction[T]) flush(f *frame[T], group int) {
	k := f.counts[r.count]
	f.counts[r.count] = 0
	var sum []T
	if k%cascadeBase != 0 {
		sum = f.mem[r.mem:][:f.nc]
	}
	i := 1
	for m := k / cascadeBase; m > 0; m >>= 1 {
		if m&1 == 1 {
			x := f.mem[r.mem+i*r.stride:][:f.nc]
			if sum != nil {
				r.fold(x, x, sum)
			}
			sum = x
		}
		i++
	}
	if r.partly {
		at := (f.chunk*r.groups+group-f.lo/r.group)*r.width + f.j0 - f.c0
		copy(r.rows[at:at+f.nc], sum)
		return
	}
	r.out.store(sum, r.start(f, group)+f.j0*r.to.cs, 1, 0, f.nc, r.to.cs)
}

// start is where a group's results begin.
func (r *reduction[T]) start(f *frame[T], group int) int {
	if !r.to.even {
		r.kept.index(f.walk, group)
	}
	return r.to.row(group, f.walk)
}

// write stores the results of consecutive groups, an element of each.
func (r *reduction[T]) write(f *frame[T], group int, x []T) {
	if r.to.even {
		r.out.store(x, r.to.off+group*r.to.rs, 1, 0, len(x), r.to.rs)
		return
	}
	for i := range x {
		r.out.store(x[i:i+1], r.start(f, group+i), 1, 0, 1, 1)
	}
}

// end ends a chunk.
func (r *reduction[T]) end(l *loop[T], f *frame[T]) {
	if r.general || r.columns || r.direct {
		return
	}
	first := f.lo / r.group
	n := (f.hi-1)/r.group - first + 1
	sums := f.sums[r.sums:][:n]
	if r.partly {
		copy(r.totals[f.chunk*r.groups:], sums)
		return
	}
	for i := range sums {
		r.one(l, f, r.start(f, first+i), &sums[i])
	}
}

// one stores a total as element at.
func (r *reduction[T]) one(l *loop[T], f *frame[T], at int, t *total) {
	x := f.mem[l.temp:][:1]
	x[0] = T(t.value())
	r.out.store(x, at, 1, 0, 1, 1)
}

// finish combines what the chunks have left, in their order.
func (l *loop[T]) finish() {
	var f *frame[T]
	for i := range l.reds {
		r := &l.reds[i]
		if !r.partly && !r.general {
			continue
		}
		if f == nil {
			f = framesOf[T](l.x).get(0)
		}
		if r.general {
			r.finishMixed(l, f)
		} else {
			r.finish(l, f)
		}
	}
	if f != nil {
		framesOf[T](l.x).put(f)
	}
}

func (r *reduction[T]) finish(l *loop[T], f *frame[T]) {
	for g := range l.rows / r.group {
		// The group's chunks: all of some units, or the one of its first row.
		at := g * r.group
		lo := at/l.unit*l.perUnit + at%l.unit/l.block
		hi := lo + 1
		if r.group > l.block {
			hi = (at+r.group-1)/l.unit*l.perUnit + l.perUnit
		}
		start, _ := l.rowsOf(lo * l.pieces)
		k := g - start/r.group
		if !r.columns {
			t := total{hi: identity(r.how)}
			for c := lo * l.pieces; c < hi*l.pieces; c++ {
				p := r.totals[c*r.groups+k]
				t.add(r.how, p.hi)
				t.lo += p.lo
			}
			r.one(l, f, r.start(f, g), &t)
			continue
		}
		for piece := range l.pieces {
			c0, c1 := l.colsOf(piece, l.cols)
			part := func(chunk int) []T {
				return r.rows[((chunk*l.pieces+piece)*r.groups+k)*r.width:][:c1-c0]
			}
			for gap := 1; gap < hi-lo; gap *= 2 {
				for c := lo; c+gap < hi; c += 2 * gap {
					r.fold(part(c), part(c), part(c+gap))
				}
			}
			r.out.store(part(lo), r.start(f, g)+c0*r.to.cs, 1, 0, c1-c0, r.to.cs)
		}
	}
}
