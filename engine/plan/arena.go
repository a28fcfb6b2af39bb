package plan

import "slices"

// place gives every buffer its lifetime and its place in the arena: First, Last, Offset, Over, and the program's
// Arena and Peak. State, Param, Input, Const and Output buffers come first, in this order, each for itself; behind
// them the Temp buffers share what space they need at once.
//
// A buffer whose Over is set, and which no step writes, is a view of that other buffer. place may be called again
// after the steps have changed.
func place(p *Program, o Options) error {
	live := lifetimes(p)
	n := 0
	for _, role := range [...]Role{State, Param, Input, Const, Output} {
		for i := range p.Buffers {
			if b := &p.Buffers[i]; b.Role == role && live.root[i] == BufID(i) {
				b.Offset = n
				n += aligned(b.Bytes())
			}
		}
	}
	var blocks []block
	var of []int32
	for slack := o.Slack; ; slack /= 2 {
		live.clearOver(p)
		if !o.off("in-place") {
			live.inPlace(p, slack)
		}
		blocks, of = live.blocks(p)
		temps := 0
		if o.off("reuse") {
			temps = stack(blocks)
		} else {
			temps = packApart(blocks, len(p.Steps), slack)
		}
		p.Arena = n + temps
		if slack == 0 || o.Budget == 0 || int64(temps) <= o.Budget {
			break
		}
	}
	for i := range p.Buffers {
		b := &p.Buffers[i]
		b.First, b.Last = int(live.first[i]), int(live.last[i])
		if k := of[i]; k >= 0 {
			b.Offset = n + blocks[k].off
		}
	}
	for i := range p.Buffers { // views of what lives as long as the executable
		if r := live.root[i]; r != BufID(i) {
			p.Buffers[i].Offset = p.Buffers[r].Offset
		}
	}
	p.Peak = live.peak(p)
	return nil
}

func aligned(bytes int) int { return (bytes + Align - 1) &^ (Align - 1) }

// liveness says in which steps buffers are needed.
type liveness struct {
	first, last []int32 // per buffer; a view's are its root's. Of no step at all: 0 and -1
	writers     []int32 // per buffer: steps that write it
	root        []BufID // the buffer whose elements these are: the buffer itself unless it is a view
	viewed      []bool  // has views
}

// lifetimes finds them. A buffer that is not Temp lives in all steps.
func lifetimes(p *Program) *liveness {
	n := len(p.Buffers)
	l := &liveness{
		first: make([]int32, n), last: make([]int32, n), writers: make([]int32, n),
		root: make([]BufID, n), viewed: make([]bool, n),
	}
	for i := range p.Steps {
		for _, b := range p.Steps[i].Writes {
			l.writers[b]++
		}
	}
	for i := range p.Buffers {
		b := &p.Buffers[i]
		l.first[i], l.last[i] = 0, -1
		l.root[i] = BufID(i)
		if b.Over >= 0 && l.writers[i] > 0 { // in-place from an earlier call
			b.Over = -1
		}
	}
	for i := range p.Buffers {
		r := BufID(i)
		for p.Buffers[r].Over >= 0 {
			r = p.Buffers[r].Over
		}
		l.root[i] = r
		l.viewed[r] = l.viewed[r] || r != BufID(i)
	}
	see := func(b BufID, step int) {
		b = l.root[b]
		if l.last[b] < 0 {
			l.first[b] = int32(step)
		}
		l.last[b] = int32(step)
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		for _, b := range s.Reads {
			see(b, i)
		}
		for _, b := range s.Writes {
			see(b, i)
		}
	}
	for i, r := range l.root {
		if p.Buffers[r].Role != Temp {
			l.first[i], l.last[i] = 0, int32(len(p.Steps)-1)
		} else {
			l.first[i], l.last[i] = l.first[r], l.last[r]
		}
	}
	return l
}

// peak is the largest sum of bytes of Temp buffers that live in one step.
func (l *liveness) peak(p *Program) int {
	d := make([]int, len(p.Steps)+1)
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Role == Temp && l.root[i] == BufID(i) && l.last[i] >= 0 {
			d[l.first[i]] += b.Bytes()
			d[l.last[i]+1] -= b.Bytes()
		}
	}
	peak, now := 0, 0
	for _, x := range d {
		now += x
		peak = max(peak, now)
	}
	return peak
}

func (l *liveness) clearOver(p *Program) {
	for i, r := range l.root {
		if r == BufID(i) {
			p.Buffers[i].Over = -1
		}
	}
}

// inPlace sets Over of every buffer that can be written where one ends that the step reads, and that no other step
// has read within slack steps before.
func (l *liveness) inPlace(p *Program, slack int) {
	taken := make([]bool, len(p.Buffers))
	read := make([]int, len(p.Buffers)) // 1 + the last step before that read it
	for i := range p.Steps {
		s := &p.Steps[i]
		if i > 0 {
			for _, r := range p.Steps[i-1].Reads {
				read[r] = i
			}
		}
		loop := s.Loop
		if s.Dot != nil {
			loop = &s.Dot.Epilogue
		}
		if loop == nil {
			continue
		}
		for _, w := range s.Writes {
			b := &p.Buffers[w]
			if b.Role != Temp || l.writers[w] != 1 || int(l.first[w]) != i {
				continue
			}
			for _, r := range s.Reads {
				a := &p.Buffers[r]
				if a.Role != Temp || int(l.last[r]) != i || taken[r] || l.root[r] != r || l.viewed[r] || r == w ||
					slack > 0 && read[r] > 0 && i-read[r] < slack ||
					a.Type.Size() != b.Type.Size() || a.Bytes() < b.Bytes() ||
					s.Dot != nil && (s.Dot.A.Buf == r || s.Dot.B.Buf == r) || !sameElements(loop, r, w) {
					continue
				}
				b.Over, taken[r] = r, true
				break
			}
		}
	}
}

// sameElements reports whether the loop reads a and writes b element by element: one store, of each point's own
// element, and every load of a at that very element.
func sameElements(l *Loop, a, b BufID) bool {
	var store *Store
	for i := range l.Stores {
		if s := &l.Stores[i]; s.Buf == b {
			if store != nil || s.Combine != Set {
				return false
			}
			store = s
		}
	}
	if store == nil {
		return false
	}
	for i := range l.Loads {
		d := &l.Loads[i]
		if d.Buf != a {
			continue
		}
		if len(d.Guards) > 0 || d.Offset != store.Offset {
			return false
		}
		for k, n := range l.Dims {
			if n > 1 && d.Strides[k] != store.Strides[k] {
				return false
			}
		}
	}
	for i := range l.Body {
		if n := &l.Body[i]; n.Index != nil && n.Run == a {
			return false
		}
	}
	return true
}

// packApart is pack with every block needed for slack steps longer, within the program.
func packApart(blocks []block, steps, slack int) int {
	if slack == 0 {
		return pack(blocks, steps)
	}
	wide := slices.Clone(blocks)
	for i := range wide {
		wide[i].last = min(int32(steps-1), wide[i].last+int32(slack))
	}
	n := pack(wide, steps)
	for i := range blocks {
		blocks[i].off = wide[i].off
	}
	return n
}

// A block is a place for one buffer after the other, and how long it is needed.
type block struct {
	size        int // aligned
	first, last int32
	off         int
}

// blocks joins buffers that lie over each other and returns the blocks with the number of each Temp buffer's; -1 for
// other buffers and for what no step touches.
func (l *liveness) blocks(p *Program) ([]block, []int32) {
	of := make([]int32, len(p.Buffers))
	var blocks []block
	var visit func(i BufID) int32
	for i := range of {
		of[i] = -2
	}
	visit = func(i BufID) int32 {
		if of[i] != -2 {
			return of[i]
		}
		b := &p.Buffers[i]
		switch r := l.root[i]; {
		case r != i:
			of[i] = visit(r)
		case b.Role != Temp || l.last[i] < 0:
			of[i] = -1
		case b.Over >= 0:
			k := visit(b.Over)
			blocks[k].last = max(blocks[k].last, l.last[i])
			of[i] = k
		default:
			of[i] = int32(len(blocks))
			blocks = append(blocks, block{size: aligned(b.Bytes()), first: l.first[i], last: l.last[i]})
		}
		return of[i]
	}
	for i := range of {
		visit(BufID(i))
	}
	return blocks, of
}
