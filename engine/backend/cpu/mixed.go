package cpu

import (
	"github.com/godcem/godcem/engine/plan"
)

// mixed is a reduction whose kept and reduced dimensions are in no good order, which one order of the rows cannot
// give all reductions of a loop: every chunk has a total for each result.
type mixed struct {
	size   int   // results
	outer  []int // per dimension of the rows, the distance of results; 0: reduced
	cs     int   // of columns
	totals []total
}

func (m *mixed) begin(how plan.Combine, chunk int) {
	t := m.totals[chunk*m.size:][:m.size]
	for i := range t {
		t[i] = total{hi: identity(how)}
	}
}

func (r *reduction[T]) takeMixed(l *loop[T], f *frame[T], x []T) {
	m := &r.mixed
	t := m.totals[f.chunk*m.size:][:m.size]
	copy(f.walk, f.idx)
	for i := range f.nr {
		at := f.j0 * m.cs
		for d, s := range m.outer {
			at += s * f.walk[d]
		}
		x := x[i*f.nc:][:f.nc]
		if m.cs == 0 {
			t[at].add(r.how, of(r.how, x))
		} else {
			for j, v := range x {
				t[at+j*m.cs].add(r.how, float64(v))
			}
		}
		if i+1 < f.nr {
			l.next(f.walk, 1)
		}
	}
}

// finishMixed adds the chunks' totals; to is here over all rows' dimensions, of which it visits the first of the
// reduced ones.
func (r *reduction[T]) finishMixed(l *loop[T], f *frame[T]) {
	m := &r.mixed
	cols := l.cols
	if m.cs == 0 {
		cols = 1
	}
	clear(f.walk[:len(l.outer)])
	for {
		at, to := 0, r.to.start(f.walk)
		for d, s := range m.outer {
			at += s * f.walk[d]
		}
		for j := range cols {
			t := total{hi: identity(r.how)}
			for c := range l.chunks() {
				p := m.totals[c*m.size+at+j*m.cs]
				t.add(r.how, p.hi)
				t.lo += p.lo
			}
			r.one(l, f, to+j*r.to.cs, &t)
		}
		d := len(l.outer) - 1
		for ; d >= 0; d-- {
			if m.outer[d] == 0 {
				continue
			}
			if f.walk[d]++; f.walk[d] < l.outer[d] {
				break
			}
			f.walk[d] = 0
		}
		if d < 0 {
			return
		}
	}
}
