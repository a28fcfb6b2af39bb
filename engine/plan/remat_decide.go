package plan

import (
	"cmp"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// A remater decides what to compute again. Times: 2i+1 is step i, 2i is just before it, where steps that run again
// for its sake stand.
type remater struct {
	p        *Program
	steps    int
	update   int       // the first update; what an update changes must not be read behind it
	size     []int     // per buffer, aligned
	able     []bool    // can be computed again
	cheap    []bool    // by loops alone
	readers  [][]int32 // per buffer, ascending
	firstDef []int32   // per buffer: the first step that writes it
	lastDef  []int32   // the last one
	base     []BufID   // per step: what it stores that others of its results can be computed from again; -1: none
	derived  []bool    // per buffer: can be computed from its step's base, by a loop
	bases    bool      // there are some
	loops    bool      // all that is able is cheap
	pruned   map[portion]*Step
	scratch  []int32
	versions []version

	// The decision for a setting.
	need   []int32   // per buffer: the time from which on it is another, computed again; 0: never
	extra  [][]int32 // per buffer: times at which clones read it
	gone   []bool    // per step: only its clones are left
	clones []clone
	flops  int64
}

// A clone is a step that runs again at a time, for the sake of some of what it writes.
type clone struct {
	time int32
	step int32
	outs []BufID
	body *Step // the step without what is not needed
}

// A portion of a step: the stores to those of its Writes whose bits are set, from its base or from all it reads.
type portion struct {
	step int32
	base bool
	outs uint64
}

type version struct{ first, last int32 }

func newRemater(p *Program) *remater {
	n := len(p.Buffers)
	r := &remater{
		p: p, steps: len(p.Steps), update: len(p.Steps),
		size: make([]int, n), able: make([]bool, n), cheap: make([]bool, n), readers: make([][]int32, n),
		firstDef: make([]int32, n), lastDef: make([]int32, n), pruned: map[portion]*Step{}, versions: make([]version, 2*n),
		need: make([]int32, n), extra: make([][]int32, n), gone: make([]bool, len(p.Steps)),
		base: make([]BufID, len(p.Steps)), derived: make([]bool, n),
	}
	for i := range p.Buffers {
		b := &p.Buffers[i]
		r.size[i] = aligned(b.Bytes())
		r.able[i] = b.Role == Temp && b.Bytes() > 0
		r.cheap[i] = true
		r.firstDef[i], r.lastDef[i] = -1, -1
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Update != nil {
			r.update = min(r.update, i)
		}
		for _, b := range s.Reads {
			r.readers[b] = append(r.readers[b], int32(i))
		}
		again := s.Update == nil && len(s.Writes) <= 64 && !(s.Custom != nil && ir.HasEffects(s.Custom.Kernel))
		for _, b := range s.Writes {
			r.able[b] = r.able[b] && again && len(r.readers[b]) == 0 // all of it is written before it is read
			r.cheap[b] = r.cheap[b] && s.Loop != nil
			if r.lastDef[b] = int32(i); r.firstDef[b] < 0 {
				r.firstDef[b] = int32(i)
			}
		}
	}
	for i := range p.Buffers { // views keep what they are views of
		if o := p.Buffers[i].Over; o >= 0 {
			r.able[i], r.able[o] = false, false
		}
	}
	for i := range p.Steps {
		r.exclude(&p.Steps[i])
	}
	r.loops = true
	for i := range p.Buffers {
		r.loops = r.loops && (!r.able[i] || r.cheap[i])
	}
	for i := range p.Steps {
		r.findBase(i)
		r.bases = r.bases || r.base[i] >= 0
	}
	return r
}

// exclude keeps the results of a step that may run again only with all its stores, if some go to parts of buffers
// that other steps write too: there would be a buffer of which only that part is written.
func (r *remater) exclude(s *Step) {
	l, parts := s.loop(), false
	for _, b := range s.Writes {
		parts = parts || r.firstDef[b] != r.lastDef[b]
	}
	if l == nil || !parts || len(s.Writes) == 1 {
		return
	}
	if s.Dot != nil || slices.ContainsFunc(l.Stores, func(st Store) bool { return st.Combine != Set }) {
		for _, b := range s.Writes {
			r.able[b] = false
		}
	}
}

// findBase looks for a value that a step stores, and that others which it stores can be computed from by a loop with
// fewer operations: the sum that an activation is a function of, for the activation.
func (r *remater) findBase(i int) {
	r.base[i] = -1
	s := &r.p.Steps[i]
	l := s.loop()
	if l == nil || len(s.Writes) < 2 || len(s.Writes) > 64 {
		return
	}
	stores := make(map[BufID]int, len(l.Stores)) // how many
	for _, st := range l.Stores {
		stores[st.Buf]++
	}
	// It is stored by this step alone, and not rounded.
	whole := func(st *Store) bool {
		b := &r.p.Buffers[st.Buf]
		return st.Combine == Set && stores[st.Buf] == 1 && b.Type == l.Type &&
			(r.able[st.Buf] && r.firstDef[st.Buf] == r.lastDef[st.Buf] || b.Role == Output)
	}
	first := int32(math.MaxInt32)
	for k := range l.Stores {
		if st := &l.Stores[k]; whole(st) && st.Value < first {
			first, r.base[i] = st.Value, st.Buf
		}
	}
	if r.base[i] < 0 {
		return
	}
	some := false
	for k := range l.Stores {
		if st := &l.Stores[k]; st.Buf != r.base[i] && whole(st) && r.able[st.Buf] {
			c := s.only([]BufID{st.Buf}, r.base[i], r.p.Buffers)
			r.derived[st.Buf] = c.Dot == nil && c.Flops < s.Flops
			some = some || r.derived[st.Buf]
		}
	}
	if !some {
		r.base[i] = -1
	}
}

// try decides for a setting and returns what it leads to.
func (r *remater) try(s setting) outcome {
	r.decide(s)
	return outcome{s, r.peak(), r.flops}
}

// decide goes backward through the steps: when it comes to one, all uses of what the step writes are known, those by
// clones too.
func (r *remater) decide(s setting) {
	clear(r.need)
	clear(r.gone)
	r.clones = r.clones[:0]
	r.flops = 0
	for i := range r.extra {
		r.extra[i] = r.extra[i][:0]
	}
	var outs, cut []BufID
	for i := r.steps - 1; i >= 0; i-- {
		step := &r.p.Steps[i]
		outs, cut = outs[:0], cut[:0]
		early := false // something of what the step writes is needed where it stands
		base, until := r.base[i], int32(0)
		if base >= 0 && s.cut > 0 && r.lateWith(base, i, s) == 0 {
			until = r.lastUse(base) // it is kept and can serve until then
		}
		for _, b := range step.Writes {
			if r.derived[b] && until > 0 && r.size[b] >= s.size && !(s.keep != nil && s.keep[b]) {
				if t := r.late(b, s.cut, s.idle); t > 0 && t <= until {
					r.need[b] = t
					cut = append(cut, b)
					early = true // the base
					continue
				}
			}
			if r.lastDef[b] == int32(i) {
				r.need[b] = r.lateWith(b, i, s)
			}
			if r.need[b] == 0 {
				early = true
				continue
			}
			outs = append(outs, b)
			// Of several steps that write a buffer none goes: one that stays would write a part of nothing.
			early = early || r.firstDef[b] != r.lastDef[b] || r.usedBefore(b, r.need[b])
		}
		if r.gone[i] = !early && len(outs) > 0; r.gone[i] {
			r.flops -= step.Flops
		}
		r.cluster(int32(i), cut, base, s)
		r.cluster(int32(i), outs, -1, s)
	}
}

// lateWith is late for a setting; 0 too for what the setting does not drop.
func (r *remater) lateWith(b BufID, step int, s setting) int32 {
	if !r.able[b] || r.size[b] < s.size || !s.all && !r.cheap[b] || s.keep != nil && s.keep[b] ||
		r.lastDef[b] != int32(step) {
		return 0
	}
	return r.late(b, s.gap, s.idle)
}

// lastUse is the time of the last use of b.
func (r *remater) lastUse(b BufID) int32 {
	if r.p.Buffers[b].Role != Temp {
		return math.MaxInt32
	}
	t := r.times(b)
	if len(t) == 0 {
		return 0
	}
	return t[len(t)-1]
}

// cluster adds clones for some results of a step: one for those needed at about the same time.
func (r *remater) cluster(step int32, outs []BufID, base BufID, s setting) {
	slices.SortStableFunc(outs, func(a, b BufID) int { return cmp.Compare(r.need[a], r.need[b]) })
	for len(outs) > 0 {
		n := 1
		for n < len(outs) && r.need[outs[n]]-r.need[outs[0]] <= s.idle {
			n++
		}
		r.again(step, outs[:n], base)
		outs = outs[n:]
	}
}

// times lists the uses of b in order.
func (r *remater) times(b BufID) []int32 {
	t := r.scratch[:0]
	for _, i := range r.readers[b] {
		if !r.gone[i] {
			t = append(t, 2*i+1)
		}
	}
	if len(r.extra[b]) > 0 {
		t = append(t, r.extra[b]...)
		slices.Sort(t)
	}
	r.scratch = t
	return t
}

// late returns the time of b's first use after the longest time that it lies idle, if that is longer than gap and no
// later pause is longer than idle; else 0.
func (r *remater) late(b BufID, gap, idle int32) int32 {
	before, longest, at := 2*r.lastDef[b]+1, int32(0), -1
	times := r.times(b)
	for k, t := range times {
		if t-before > longest {
			longest, at = t-before, k
		}
		before = t
	}
	if longest <= gap {
		return 0
	}
	for k := at + 1; k < len(times); k++ {
		if times[k]-times[k-1] > idle {
			return 0
		}
	}
	// A clone stands before the step that needs it, and before all updates.
	return min(times[at]&^1, int32(2*r.update))
}

// usedBefore reports whether b is read before a time.
func (r *remater) usedBefore(b BufID, time int32) bool {
	for _, t := range r.extra[b] {
		if t < time {
			return true
		}
	}
	for _, i := range r.readers[b] {
		if !r.gone[i] {
			return 2*i+1 < time
		}
	}
	return false
}

// again adds a clone of a step for the sake of outs, which are ordered by need, from the base if there is one.
func (r *remater) again(step int32, outs []BufID, base BufID) {
	c := clone{time: r.need[outs[0]], step: step, outs: slices.Clone(outs)}
	s := &r.p.Steps[step]
	key := portion{step: step, base: base >= 0}
	for k, b := range s.Writes {
		if slices.Contains(outs, b) {
			key.outs |= 1 << k
		}
	}
	if c.body = r.pruned[key]; c.body == nil {
		c.body = s.only(outs, base, r.p.Buffers)
		r.pruned[key] = c.body
	}
	for _, b := range c.body.Reads {
		r.extra[b] = append(r.extra[b], c.time)
	}
	r.flops += c.body.Flops
	r.clones = append(r.clones, c)
}

// order sorts the clones by time; at one time they keep the order of their steps.
func (r *remater) order() {
	slices.SortFunc(r.clones, func(a, b clone) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.step, b.step))
	})
}

// peak is the largest sum of bytes of Temp buffers alive at once after the decision.
func (r *remater) peak() int64 {
	r.order()
	n := BufID(len(r.p.Buffers))
	for i := range r.versions {
		r.versions[i].first = -1
	}
	see := func(v BufID, pos int32) {
		if x := &r.versions[v]; x.first < 0 {
			*x = version{pos, pos}
		} else {
			x.last = pos
		}
	}
	items := r.steps + len(r.clones)
	bytes := make([]int64, items+1)
	pos, k := int32(0), 0
	read := func(list []BufID, time int32) {
		for _, b := range list {
			if r.need[b] > 0 && time >= r.need[b] {
				see(b+n, pos)
			} else {
				see(b, pos)
			}
		}
	}
	for i := range r.p.Steps {
		for ; k < len(r.clones) && r.clones[k].time <= int32(2*i); k++ {
			c := &r.clones[k]
			read(c.body.Reads, c.time)
			for _, b := range c.body.Writes {
				if slices.Contains(c.outs, b) {
					see(b+n, pos)
				} else { // scratch
					bytes[pos] += int64(r.size[b])
					bytes[pos+1] -= int64(r.size[b])
				}
			}
			pos++
		}
		if r.gone[i] {
			continue
		}
		read(r.p.Steps[i].Reads, int32(2*i+1))
		for _, b := range r.p.Steps[i].Writes {
			see(b, pos)
		}
		pos++
	}
	for i, v := range r.versions {
		if b := BufID(i) % n; v.first >= 0 && r.p.Buffers[b].Role == Temp {
			bytes[v.first] += int64(r.size[b])
			bytes[v.last+1] -= int64(r.size[b])
		}
	}
	peak, now := int64(0), int64(0)
	for _, x := range bytes {
		now += x
		peak = max(peak, now)
	}
	return peak
}
