package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// placement checks lifetimes, Peak, and that what lives at once does not overlap.
func (v *verifier) placement() error {
	p := v.p
	peak := make([]int, len(p.Steps)+1)
	// What owns its place, that is all but views, with the steps it lives in.
	type owner struct {
		buf         BufID
		off, end    int
		first, last int
		wide, until int // up to step until the place ends at wide: it was that of a larger one before
	}
	var own []owner
	for i := range p.Buffers {
		b := &p.Buffers[i]
		if b.Offset < 0 || b.Offset%Align != 0 || b.Offset+b.Bytes() > p.Arena {
			return fmt.Errorf("plan: buffer %d at %d, %d bytes, in an arena of %d aligned to %d",
				i, b.Offset, b.Bytes(), p.Arena, Align)
		}
		if v.isView(BufID(i)) {
			r, err := v.content(BufID(i))
			if err != nil {
				return err
			}
			if a := &p.Buffers[r]; a.Offset != b.Offset || a.Bytes() < b.Bytes() {
				return fmt.Errorf("plan: buffer %d at %d, %d bytes, is a view of buffer %d at %d, %d bytes",
					i, b.Offset, b.Bytes(), r, a.Offset, a.Bytes())
			}
			continue
		}
		first, last := 0, max(0, len(p.Steps)-1) // also without steps
		if b.Role == Temp {
			first, last = v.firstUse[i], v.lastUse[i]
			if first < 0 {
				if b.Count() == 0 {
					continue
				}
				return fmt.Errorf("plan: buffer %d: no step touches it", i)
			}
			if first != v.firstWrite[i] && b.Count() > 0 {
				return fmt.Errorf("plan: buffer %d: first touched in step %d, written in step %d", i, first, v.firstWrite[i])
			}
			if b.First != first || b.Last != last {
				return fmt.Errorf("plan: buffer %d: lives from step %d to %d, want %d to %d", i, b.First, b.Last, first, last)
			}
			peak[first] += b.Bytes()
			peak[last+1] -= b.Bytes()
		}
		if b.Over >= 0 {
			if err := v.inPlace(BufID(i)); err != nil {
				return err
			}
		}
		if b.Bytes() > 0 {
			own = append(own, owner{BufID(i), b.Offset, b.Offset + b.Bytes(), first, last, 0, -1})
		}
	}
	now, most := 0, 0
	for _, d := range peak {
		now += d
		most = max(most, now)
	}
	if most != p.Peak {
		return fmt.Errorf("plan: Peak = %d, want %d", p.Peak, most)
	}
	// Sweep over time with what is alive ordered by place: neighbours must not overlap. A buffer over another shares
	// its slot in their common step.
	slices.SortStableFunc(own, func(a, b owner) int { return cmp.Compare(a.first, b.first) })
	ends := slices.Clone(own)
	slices.SortStableFunc(ends, func(a, b owner) int { return cmp.Compare(a.last, b.last) })
	var alive []owner
	find := func(off int) int {
		k, _ := slices.BinarySearchFunc(alive, off, func(x owner, off int) int { return cmp.Compare(x.off, off) })
		return k
	}
	done := 0
	for _, o := range own {
		for ; done < len(ends) && ends[done].last < o.first; done++ {
			// A slot that was handed on holds another buffer now.
			if k := find(ends[done].off); k < len(alive) && alive[k].buf == ends[done].buf {
				alive = slices.Delete(alive, k, k+1)
			}
		}
		k := find(o.off)
		if over := p.Buffers[o.buf].Over; over >= 0 {
			if k == len(alive) || alive[k].buf != over {
				return fmt.Errorf("plan: buffer %d at %d, over buffer %d at %d, which does not live there then",
					o.buf, o.off, over, p.Buffers[over].Offset)
			}
			o.wide, o.until = alive[k].end, o.first
			alive[k] = o
			continue
		}
		for _, j := range [...]int{k - 1, k} {
			if j < 0 || j >= len(alive) {
				continue
			}
			end := alive[j].end
			if o.first <= alive[j].until {
				end = alive[j].wide
			}
			if alive[j].off < o.end && o.off < end {
				return fmt.Errorf("plan: buffer %d at %d to %d and buffer %d at %d to %d are both alive in step %d",
					o.buf, o.off, o.end, alive[j].buf, alive[j].off, end, o.first)
			}
		}
		alive = slices.Insert(alive, k, o)
	}
	return nil
}

// inPlace checks that buffer b may lie over the one it names.
func (v *verifier) inPlace(b BufID) error {
	p := v.p
	a := p.Buffers[b].Over
	x, y := &p.Buffers[a], &p.Buffers[b]
	fail := func(why string) error { return fmt.Errorf("plan: buffer %d over buffer %d: %s", b, a, why) }
	switch {
	case x.Role != Temp || y.Role != Temp:
		return fail("not both are Temp")
	case x.Offset != y.Offset || x.Type.Size() != y.Type.Size() || y.Bytes() > x.Bytes():
		return fail("other place, element size, or larger")
	case v.lastUse[a] != v.firstUse[b] || v.firstWrite[b] != v.lastWrite[b]:
		return fail("the one does not end in the step that writes the other")
	}
	s := &p.Steps[v.lastUse[a]]
	l := s.Loop
	if s.Dot != nil {
		if s.Dot.A.Buf == a || s.Dot.B.Buf == a {
			return fail("the one is an operand of the product")
		}
		l = &s.Dot.Epilogue
	}
	if l == nil {
		return fail("not a loop")
	}
	var to *Store
	for i := range l.Stores {
		if l.Stores[i].Buf != b {
			continue
		}
		if to != nil || l.Stores[i].Combine != Set {
			return fail("not stored once, element by element")
		}
		to = &l.Stores[i]
	}
	for i := range l.Loads {
		if l.Loads[i].Buf != a {
			continue
		}
		if len(l.Loads[i].Guards) > 0 {
			return fail("loaded with guards")
		}
		// The difference of the two maps is 0 at every point.
		if l.Loads[i].Offset != to.Offset {
			return fail("loaded elsewhere")
		}
		for d, n := range l.Dims {
			if n != 1 && l.Loads[i].Strides[d] != to.Strides[d] {
				return fail("loaded elsewhere")
			}
		}
	}
	for i := range l.Body {
		if n := &l.Body[i]; (n.Op == ir.Normal || n.Op == ir.Uniform) && n.Run == a {
			return fail("it is a run number")
		}
	}
	return nil
}
