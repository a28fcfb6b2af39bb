package cpu

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
)

// A verb says what an instruction does with its slots d, a, b and c, or with entry number at of a table.
type verb uint8

const (
	doUnary  verb = iota // d = f1(a)
	doBinary             // d = f2(a, b)
	doScalar             // d = fs(a, b[0])
	doSelect             // d = a != 0 ? b : c
	doFill               // d = a[0]
	doExpand             // d = a, an element per row, along the rows
	doRepeat             // d = a, an element per column, row after row
	doHere               // d is where load at is in place
	doAcc                // d is the product
	doInto               // d is where put at is in place
	doLoad               // d = load at
	doDraw               // d = draw at
	doPut                // put at = a
	doReduce             // reduction at takes a in
)

// An instr is an instruction on tiles.
type instr[T vec.Float] struct {
	verb       verb
	d, a, b, c int32
	at         int32
	f1         func(dst, a []T)
	f2         func(dst, a, b []T)
	fs         func(dst, a []T, s T)
}

// exec runs the instructions of a class on the current tile.
func (l *loop[T]) exec(f *frame[T], code []instr[T]) {
	s := f.slots
	for i := range code {
		in := &code[i]
		switch in.verb {
		case doUnary:
			in.f1(s[in.d], s[in.a])
		case doBinary:
			in.f2(s[in.d], s[in.a], s[in.b])
		case doScalar:
			in.fs(s[in.d], s[in.a], s[in.b][0])
		case doSelect:
			vec.Select(s[in.d], s[in.a], s[in.b], s[in.c])
		case doFill:
			vec.Fill(s[in.d], s[in.a][0])
		case doExpand:
			expand(s[in.d], s[in.a], l.cols)
		case doRepeat:
			d, a := s[in.d], s[in.a]
			for n := copy(d, a); n < len(d); n *= 2 {
				copy(d[n:], d[:n])
			}
		case doHere:
			x := &l.loads[in.at]
			at := f.at(&x.access, x.class)
			n := f.points(l, x.class)
			s[in.d] = x.own.mem[at : at+n : at+n]
		case doAcc:
			at := (f.r0-f.accRow)*l.cols + f.j0
			n := f.nr * f.nc
			s[in.d] = f.acc[at : at+n : at+n]
		case doInto:
			x := &l.puts[in.at]
			at := f.at(&x.access, point)
			n := f.nr * f.nc
			s[in.d] = x.mem[at : at+n : at+n]
		case doLoad:
			l.load(f, &l.loads[in.at], s[in.d])
		case doDraw:
			l.draw(f, &l.draws[in.at], s[in.d])
		case doPut:
			l.put(f, &l.puts[in.at], s[in.a])
		case doReduce:
			l.reds[in.at].take(l, f, s[in.a])
		}
	}
}

// points is the number of the current tile's elements of a class.
func (f *frame[T]) points(l *loop[T], c class) int {
	switch c {
	case unit:
		return 1
	case col:
		return l.cols
	case row:
		return f.nr
	}
	return f.nr * f.nc
}

func expand[T vec.Float](d, a []T, cols int) {
	if cols >= longRow {
		for i, v := range a {
			vec.Fill(d[i*cols:][:cols], v)
		}
		return
	}
	k := 0
	for _, v := range a {
		for range cols {
			d[k] = v
			k++
		}
	}
}

// load fills dst with the elements of an access.
func (l *loop[T]) load(f *frame[T], x *load[T], dst []T) {
	if len(x.guards) > 0 {
		l.guarded(f, x, dst)
		return
	}
	at := f.at(&x.access, x.class)
	switch x.class {
	case unit:
		x.arr.load(dst, at, 1, 0, 1, 0)
	case col:
		x.arr.load(dst, at, 1, 0, l.cols, x.cs)
	case row:
		if x.even || f.nr == 1 {
			x.arr.load(dst, at, 1, 0, f.nr, x.rs)
			return
		}
		l.runs(f, func(first, n int) { x.arr.load(dst[first:first+n], x.start(f.walk), 1, 0, n, x.rs) })
	default:
		nc := f.nc
		switch {
		case f.nr > 1 && !x.even:
			l.runs(f, func(first, n int) {
				x.arr.load(dst[first*nc:(first+n)*nc], x.start(f.walk), n, x.rs, nc, x.cs)
			})
		case f.nr > 1 && x.rs == nc*x.cs: // evenly spaced points
			x.arr.load(dst, at, 1, 0, f.nr*nc, x.cs)
		default:
			x.arr.load(dst, at, f.nr, x.rs, nc, x.cs)
		}
	}
}

// put stores a tile.
func (l *loop[T]) put(f *frame[T], x *put[T], src []T) {
	at := f.at(&x.access, point)
	nc := f.nc
	switch {
	case f.nr > 1 && !x.even:
		l.runs(f, func(first, n int) {
			x.arr.store(src[first*nc:(first+n)*nc], x.start(f.walk), n, x.rs, nc, x.cs)
		})
	case f.nr > 1 && x.rs == nc*x.cs:
		x.arr.store(src, at, 1, 0, f.nr*nc, x.cs)
	default:
		x.arr.store(src, at, f.nr, x.rs, nc, x.cs)
	}
}

// runs calls do for the tile's runs of n rows, from its row number first on, within the rows' last dimension; f.walk
// is the multi-index of the first.
func (l *loop[T]) runs(f *frame[T], do func(first, n int)) {
	copy(f.walk, f.idx)
	last := len(l.outer) - 1
	for first := 0; first < f.nr; {
		n := min(f.nr-first, l.outer[last]-f.walk[last])
		do(first, n)
		first += n
		l.next(f.walk, n)
	}
}

// guarded is load where guards hold, and 0 elsewhere.
func (l *loop[T]) guarded(f *frame[T], x *load[T], dst []T) {
	clear(dst)
	nr, nc, j0, cs := f.nr, f.nc, f.j0, x.cs
	idx := f.idx
	switch x.class {
	case unit:
		nr, nc, j0 = 1, 1, 0
	case col:
		nr, nc, j0 = 1, l.cols, 0
	case row:
		nc, j0 = 1, 0
	}
	if len(l.outer) > 0 {
		copy(f.walk, idx)
		if x.class < row {
			clear(f.walk)
		}
	}
	for i := range nr {
		lo, hi, by := 0, nc, 1
		for g := range x.guards {
			lo, hi, by = x.guards[g].narrow(f.walk, j0, lo, hi, by)
		}
		at := x.start(f.walk) + j0*cs
		d := dst[i*nc:][:nc]
		switch {
		case lo >= hi:
		case by == 1:
			x.arr.load(d[lo:hi], at+lo*cs, 1, 0, hi-lo, cs)
		default:
			// A guard with a step that moves with the column: element by element.
			for j := lo; j < hi; j++ {
				if x.holds(f.walk, j0+j) {
					x.arr.load(d[j:j+1], at+j*cs, 1, 0, 1, 0)
				}
			}
		}
		if i+1 < nr {
			l.next(f.walk, 1)
		}
	}
}

// start is where the row of a multi-index begins.
func (a *access) start(idx []int) int {
	at := a.off
	for d, s := range a.outer {
		at += s * idx[d]
	}
	return at
}

// narrow makes columns lo.. < hi, counted from j0 on, those that a guard lets pass; by becomes 2 where it takes a
// look at each.
func (g *guard) narrow(idx []int, j0, lo, hi, by int) (int, int, int) {
	i := g.start(idx) + j0*g.cs
	if g.cs == 0 {
		if i < 0 || i%g.step != 0 || i/g.step >= g.count {
			return 0, 0, by
		}
		return lo, hi, by
	}
	if g.cs < 0 {
		return lo, hi, 2
	}
	if g.step != 1 {
		by = 2
	}
	end := g.count * g.step
	if i < 0 {
		lo = max(lo, (-i+g.cs-1)/g.cs)
	}
	if end <= i {
		return 0, 0, by
	}
	return lo, min(hi, (end-i+g.cs-1)/g.cs), by
}

// holds reports whether all guards let a point pass.
func (x *load[T]) holds(idx []int, j int) bool {
	for k := range x.guards {
		g := &x.guards[k]
		if i := g.start(idx) + j*g.cs; i < 0 || i%g.step != 0 || i/g.step >= g.count {
			return false
		}
	}
	return true
}

// draw fills dst with elements of a draw.
func (l *loop[T]) draw(f *frame[T], x *draw[T], dst []T) {
	at := f.at(&x.access, x.class)
	switch {
	case x.class == unit:
		x.fill(f, dst[:1], at, 0)
	case x.class == col:
		x.fill(f, dst[:l.cols], at, x.cs)
	case x.class == row && (x.even || f.nr == 1):
		x.fill(f, dst, at, x.rs)
	case x.class == row:
		l.runs(f, func(first, n int) { x.fill(f, dst[first:first+n], x.start(f.walk), x.rs) })
	case f.nr == 1 || l.straight(&x.access):
		cs := x.cs
		if l.cols == 1 {
			cs = x.rs
		}
		x.fill(f, dst, at, cs)
	default:
		copy(f.walk, f.idx)
		for i := range f.nr {
			x.fill(f, dst[i*f.nc:][:f.nc], x.start(f.walk)+f.j0*x.cs, x.cs)
			if i+1 < f.nr {
				l.next(f.walk, 1)
			}
		}
	}
}

// fill writes the draw's elements first, first+step, ...
func (x *draw[T]) fill(f *frame[T], dst []T, first, step int) {
	switch {
	case x.other && typeOf[T]() == ir.F64: // another type's elements are other numbers
		converting(x, f.odd32[:], dst, first, step)
	case x.other:
		converting(x, f.odd64[:], dst, first, step)
	case step == 1 || len(dst) == 1:
		numbers(x, dst, first)
	case step == 0:
		numbers(x, dst[:1], first)
		vec.Fill(dst, dst[0])
	default:
		for i := range dst {
			numbers(x, dst[i:i+1], first+i*step)
		}
	}
}

// numbers writes consecutive elements in type S.
func numbers[S, T vec.Float](x *draw[T], dst []S, first int) {
	if x.normal {
		kernels.Normal(dst, x.seed, x.draw, uint64(x.run[0]), first)
	} else {
		kernels.Uniform(dst, x.seed, x.draw, uint64(x.run[0]), first)
	}
}

// converting is fill by way of buf's type.
func converting[S, T vec.Float](x *draw[T], buf []S, dst []T, first, step int) {
	if step != 1 {
		for i := range dst {
			numbers(x, buf[:1], first+i*step)
			dst[i] = T(buf[0])
		}
		return
	}
	for len(dst) > 0 {
		part := buf[:min(len(buf), len(dst))]
		numbers(x, part, first)
		for i, v := range part {
			dst[i] = T(v)
		}
		dst, first = dst[len(part):], first+len(part)
	}
}
