package cpu

import (
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// Tests lower them.
var (
	// packedBytes is the size of op(B) from which on row blocks do not pay: each reads all of B, which no longer stays
	// in the cache. vec.Gemm packs a part at a time.
	packedBytes = 4 << 20
	// keptBytes is the size of all the packings that a run keeps.
	keptBytes = 16 << 20
	// stretchBytes is the size of a whole product that no buffer takes, at a time, if that is enough rows.
	stretchBytes = 4 << 20
)

// A packing is op(B) as products read it.
type packing[T vec.Float] struct {
	packed vec.Packed[T]
	run    uint64 // that it is of
}

// packingKey is what the packings of an operand that lasts have in common.
type packingKey struct {
	plan.Operand
	k, n int
}

// packings are those of an executable while it is loaded. What no step changes, and several products read in the same
// way, is packed once in a run for all of them; the rest takes turns in one place per type.
type packings struct {
	uses  map[packingKey]int
	kept  map[packingKey]any // to *packing[T]
	bytes int                // of kept
	turns [2]any
}

func newPackings(p *plan.Program) *packings {
	ps := &packings{uses: map[packingKey]int{}, kept: map[packingKey]any{}}
	for i := range p.Steps {
		if d := p.Steps[i].Dot; d != nil {
			ps.uses[packingKey{d.B, d.K, d.N}]++
		}
	}
	return ps
}

// packingOf is where a product packs its operand B, and whether that is kept for others.
func packingOf[T vec.Float](x *executable, d *plan.Dot) (p *packing[T], kept bool) {
	ps, key := x.packings, packingKey{d.B, d.K, d.N}
	if p, ok := ps.kept[key].(*packing[T]); ok {
		return p, true
	}
	if lasts(x, d.B.Buf) && ps.uses[key] > 1 {
		p = &packing[T]{}
		p.packed.Reserve(d.K, d.N)
		if size := p.packed.Bytes(); ps.bytes+size <= keptBytes {
			ps.bytes += size
			ps.kept[key] = p
			return p, true
		}
	}
	turn := &ps.turns[0]
	if typeOf[T]().Size() == 8 {
		turn = &ps.turns[1]
	}
	if *turn == nil {
		*turn = &packing[T]{}
	}
	p = (*turn).(*packing[T])
	p.packed.Reserve(d.K, d.N)
	return p, false
}

// lasts reports whether no step before the updates changes a buffer.
func lasts(x *executable, b plan.BufID) bool {
	role := x.p.Buffers[b].Role
	return role == plan.Param || role == plan.Const || role == plan.Input
}

// pack packs the operand unless the run has done so.
func (s *dot[T]) pack() {
	p, run := s.packing, s.tail.x.runs
	if p == nil || s.kept && p.run == run {
		return
	}
	p.packed.Pack(s.B.Trans, s.K, s.N, s.b, s.B.Ld)
	p.run = run
}

var _ backend.Scratcher = (*executable)(nil)

// Scratch implements backend.Scratcher: packed operands, products that no buffer takes, partial results of reductions
// and the threads' frames. What package vec keeps for its own calls serves all programs and is not counted.
func (x *executable) Scratch() int64 {
	seen := map[any]bool{}
	size := cap(x.scratch) + x.frames32.bytes() + x.frames64.bytes()
	for _, s := range x.steps {
		if s, ok := s.(interface{ bytes(seen map[any]bool) int }); ok {
			size += s.bytes(seen)
		}
	}
	return int64(size)
}

func (s *dot[T]) bytes(seen map[any]bool) int {
	size := s.tail.bytes(seen)
	if p := s.packing; p != nil && !seen[p] {
		seen[p] = true
		size += p.packed.Bytes()
	}
	return size
}

func (l *loop[T]) bytes(map[any]bool) int {
	const totalBytes = 16
	size := 0
	for i := range l.reds {
		r := &l.reds[i]
		size += (cap(r.totals)+cap(r.mixed.totals))*totalBytes + cap(r.rows)*typeOf[T]().Size()
	}
	return size
}

func (f *frames[T]) bytes() int {
	const wordBytes, sliceBytes, totalBytes = 8, 24, 16
	f.mu.Lock()
	defer f.mu.Unlock()
	size := 0
	for _, x := range f.free {
		size += (cap(x.mem)+16)*typeOf[T]().Size() + cap(x.slots)*sliceBytes + cap(x.sums)*totalBytes +
			(cap(x.idx)+cap(x.walk)+cap(x.counts))*wordBytes
	}
	return size
}
