package cpu

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// withLimits runs f under other limits.
func withLimits(packed, kept, stretch int, f func()) {
	p, k, s := packedBytes, keptBytes, stretchBytes
	defer func() { packedBytes, keptBytes, stretchBytes = p, k, s }()
	packedBytes, keptBytes, stretchBytes = packed, kept, stretch
	f()
}

// filled compiles the program and runs it on the same inputs every time.
func filled(t *testing.T, m *maker) *executable {
	t.Helper()
	x := loaded(t, m)
	r := rand.New(rand.NewPCG(3, 1))
	for i := range m.p.Buffers {
		if role := m.p.Buffers[i].Role; role == plan.Input || role == plan.Param {
			fill(x.slices[i], r)
		}
	}
	for range 2 {
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// product appends A*op(B) with an epilogue.
func (m *maker) product(rows, n, k int, a, b plan.BufID, trans bool, epilogue func(*maker, *plan.Dot)) {
	typ := m.p.Buffers[b].Type
	d := plan.Dot{Type: typ, Batch: 1, M: rows, N: n, K: k, A: plan.Operand{Buf: a, Ld: k},
		B: plan.Operand{Buf: b, Ld: n}, Epilogue: plan.Loop{Type: typ, Dims: []int{rows, n}}}
	if trans {
		d.B.Ld, d.B.Trans = k, true
	}
	epilogue(m, &d)
	m.dot(d)
}

// TestPackingBits: how an operand is packed, and in which stretches it is multiplied, changes no bit.
func TestPackingBits(t *testing.T) {
	for _, s := range []struct{ rows, n, k int }{{700, 90, 300}, {300, 40, 2}, {512, 400, 2100}} {
		for i, e := range epilogues {
			for how := range 4 {
				if s.k > 2000 && how != i%4 {
					continue // it takes long
				}
				typ, trans := []ir.DType{ir.F32, ir.F64}[how/2], how&1 != 0
				m := &maker{}
				a, b := m.buffer(plan.Input, typ, s.rows, s.k), m.buffer(plan.Param, typ, s.n, s.k)
				for _, b := range []plan.BufID{b, m.buffer(plan.Param, typ, s.n, s.k), b} {
					m.product(s.rows, s.n, s.k, a, b, trans, e.make)
				}
				var want *executable
				withLimits(1<<30, 1<<30, stretchBytes, func() { want = filled(t, m) })
				if p := want.steps[len(want.steps)-1].(interface{ packs() (packs, kept bool) }); e.name != "plain" {
					if packs, kept := p.packs(); !packs || !kept {
						t.Errorf("%s: B is packed: %v, and kept: %v", e.name, packs, kept)
					}
				}
				for limits, set := range map[string][3]int{
					"taking turns": {packedBytes, 0, stretchBytes}, "whole": {0, 0, stretchBytes}, "stretches": {0, 0, 1},
				} {
					withLimits(set[0], set[1], set[2], func() {
						if got := filled(t, m); string(got.bits()) != string(want.bits()) {
							t.Errorf("%v %v trans %v, %s: %s: other bits", s, typ, trans, e.name, limits)
						}
					})
				}
			}
		}
	}
}

func (s *dot[T]) packs() (packs, kept bool) { return s.packing != nil, s.kept }

// packed is the memory of a packing that is not among those seen.
func (s *dot[T]) packed(seen map[any]bool) int {
	tail := s.tail.bytes(seen)
	return s.bytes(seen) - tail
}

// many is a program of products with epilogues by count operands, each for two products.
func many(count, rows, size int, typ ir.DType) *maker {
	m := &maker{}
	x := m.buffer(plan.Input, typ, rows, size)
	for range count {
		w := m.buffer(plan.Param, typ, size, size)
		for range 2 {
			m.product(rows, size, size, x, w, false, epilogues[2].make)
		}
	}
	m.product(rows, size, size, x, m.buffer(plan.Param, typ, size, size), true, epilogues[5].make)
	return m
}

// TestScratchIsBounded whatever the operands: those that are kept, one that is not, a stretch, and the frames.
func TestScratchIsBounded(t *testing.T) {
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, s := range []struct{ count, size int }{{12, 64}, {24, 700}, {6, 1000}, {6, 1100}} {
			m := many(s.count, 300, s.size, typ)
			x := loaded(t, m)
			seen := map[any]bool{}
			packed, each := 0, s.size*s.size*typ.Size()
			for _, s := range x.steps {
				packed += s.(interface{ packed(map[any]bool) int }).packed(seen)
			}
			most, least := keptBytes+packedBytes+packedBytes/8, min(s.count*each, keptBytes-each)
			if each > packedBytes {
				most, least = 0, 0
			}
			if packed < least || packed > most {
				t.Errorf("%d of %d %v: %d bytes packed, want %d to %d", s.count, s.size, typ, packed, least, most)
			}
		}
	}
}

// TestScratch compares what an executable reports with what the heap grows by.
func TestScratch(t *testing.T) {
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, s := range []struct{ count, rows, size int }{{3, 300, 300}, {8, 300, 700}, {2, 2000, 1100}} {
			t.Run(fmt.Sprint(typ, s), func(t *testing.T) {
				m := many(s.count, s.rows, s.size, typ)
				filled(t, m) // package vec keeps what it needed
				before := heap()
				x := filled(t, m)
				grown := heap() - before - int64(len(x.mem))
				const small = 1 << 18 // steps, instructions, slots
				if got := x.Scratch(); !(grown >= got-small && grown <= got+small) || got < small {
					t.Errorf("reported %d bytes, beside the arena the heap grew by %d", got, grown)
				}
				runtime.KeepAlive(x)
			})
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
