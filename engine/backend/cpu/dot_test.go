package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
)

// epilogues by what they do with the product: body and stores over (batch*m, n).
var epilogues = []struct {
	name string
	make func(m *maker, d *plan.Dot)
}{
	{"plain", func(m *maker, d *plan.Dot) {
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1)}
		e.Stores = []plan.Store{m.all(d, 0)}
	}},
	{"two stores", func(m *maker, d *plan.Dot) { // bias, softplus; the product before it is kept
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1), loadOf(m.buffer(plan.Input, d.Type, d.N), 0, 1)}
		e.Body = []plan.Instr{instrOf(ir.Add, 0, 1), instrOf(ir.Softplus, 2)}
		e.Stores = []plan.Store{m.all(d, 2), m.all(d, 3), m.all(d, 0)}
	}},
	{"no plain store", func(m *maker, d *plan.Dot) {
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1), loadOf(m.buffer(plan.Input, d.Type, d.Batch*d.M), 1, 0)}
		e.Body = []plan.Instr{instrOf(ir.Mul, 0, 1), instrOf(ir.Add, 2, 0)}
		e.Stores = []plan.Store{m.all(d, 2), m.all(d, 3)}
	}},
	{"transposed", func(m *maker, d *plan.Dot) {
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1)}
		e.Stores = []plan.Store{storeOf(0, m.buffer(plan.Output, d.Type, d.N, d.Batch*d.M), 1, d.Batch*d.M)}
	}},
	{"noise", func(m *maker, d *plan.Dot) { // a number per row
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1)}
		e.Body = []plan.Instr{
			{Op: ir.Normal, Run: m.buffer(plan.Input, ir.Int64), Index: &plan.Load{Strides: []int{1, 0}}}, instrOf(ir.Add, 0, 1),
		}
		e.Stores = []plan.Store{m.all(d, 2)}
	}},
	{"reductions", func(m *maker, d *plan.Dot) {
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(plan.Acc, d.N, 1)}
		e.Body = []plan.Instr{instrOf(ir.Square, 0)}
		e.Stores = []plan.Store{
			reduceTo(plan.Sum, 0, m.buffer(plan.Output, d.Type, d.N), 0, 1),
			reduceTo(plan.MaxOf, 0, m.buffer(plan.Output, d.Type, d.Batch*d.M), 1, 0),
			reduceTo(plan.Sum, 1, m.buffer(plan.Output, d.Type), 0, 0),
		}
	}},
	// Over another operand of the epilogue, where the product may not be gathered.
	{"in place", func(m *maker, d *plan.Dot) {
		x := m.buffer(plan.Temp, d.Type, d.Batch*d.M, d.N)
		from := m.buffer(plan.Input, d.Type, d.Batch*d.M, d.N)
		m.loop(plan.Loop{Type: d.Type, Dims: []int{d.Batch * d.M * d.N}, Loads: []plan.Load{loadOf(from, 1)},
			Stores: []plan.Store{storeOf(0, x, 1)}})
		e := &d.Epilogue
		e.Loads = []plan.Load{loadOf(x, d.N, 1), loadOf(plan.Acc, d.N, 1)}
		e.Body = []plan.Instr{instrOf(ir.Add, 0, 1)}
		e.Stores = []plan.Store{storeOf(1, m.over(x, d.Type), d.N, 1), m.all(d, 2)}
	}},
}

// all is a store of every point.
func (m *maker) all(d *plan.Dot, v int32) plan.Store {
	return storeOf(v, m.buffer(plan.Output, d.Type, d.Batch*d.M, d.N), d.N, 1)
}

// TestDot has every shape with every way of storing the operands and one epilogue after the other.
func TestDot(t *testing.T) {
	count := 0
	for _, s := range []struct{ batch, m, n, k int }{
		{1, 1, 1, 1}, {1, 100, 128, 2}, {1, 300, 64, 60}, {1, 513, 1, 130}, {1, 1, 300, 40}, {1, 10, 7, 3000},
		{1, 700, 3, 5}, {1, 1000, 20, 0}, {3, 5, 7, 11}, {40, 6, 9, 4}, {3, 300, 33, 17}, {100, 1, 8, 20},
		{1, 7, 2000, 3}, {2, 200, 150, 9},
	} {
		for trans := range 4 {
			for _, typ := range []ir.DType{ir.F32, ir.F64} {
				for _, shared := range []bool{false, true} {
					e := epilogues[count%len(epilogues)]
					count++
					name := fmt.Sprintf("%v/%v/%d,%v/%s", typ, s, trans, shared, e.name)
					t.Run(name, func(t *testing.T) {
						m := &maker{}
						d := plan.Dot{Type: typ, Batch: s.batch, M: s.m, N: s.n, K: s.k}
						r := rand.New(rand.NewPCG(1, 4))
						operand := func(rows, cols int, trans, shared bool) plan.Operand {
							if trans {
								rows, cols = cols, rows
							}
							o := plan.Operand{Offset: r.IntN(3), Ld: cols + r.IntN(2)*r.IntN(3), Trans: trans}
							o.Batch = rows * o.Ld
							o.Buf = m.buffer(plan.Input, typ, max(o.Offset+s.batch*o.Batch, 1))
							if shared {
								o.Batch = 0
							}
							return o
						}
						d.A = operand(s.m, s.k, trans&1 != 0, false)
						d.B = operand(s.k, s.n, trans&2 != 0, shared)
						d.Epilogue = plan.Loop{Type: typ, Dims: []int{s.batch * s.m, s.n}}
						e.make(m, &d)
						m.dot(d)
						// Elements are sums of k products of normal numbers: sqrt(k) roundings of their size, and
						// sums of them.
						tol := 1e-5
						if typ == ir.F64 {
							tol = 2e-14
						}
						x := compare(t, m, 5, tol)
						sameForThreads(t, x)
					})
				}
			}
		}
	}
}

// TestPacking: products share what they pack of an operand for a run, not longer.
func TestPacking(t *testing.T) {
	for _, trans := range []bool{false, true} {
		m := &maker{}
		w := m.buffer(plan.Param, ir.F32, 40, 40)
		h := m.buffer(plan.Input, ir.F32, 300, 40)
		for range 2 {
			d := plan.Dot{Type: ir.F32, Batch: 1, M: 300, N: 40, K: 40,
				A: plan.Operand{Buf: h, Ld: 40}, B: plan.Operand{Buf: w, Ld: 40, Trans: trans},
				Epilogue: plan.Loop{Type: ir.F32, Dims: []int{300, 40}}}
			epilogues[1].make(m, &d)
			m.dot(d)
			h = d.Epilogue.Stores[0].Buf
		}
		x := compare(t, m, 1, 1e-5)
		first := x.steps[0].(*dot[float32]).packing
		if first == nil || first != x.steps[1].(*dot[float32]).packing {
			t.Error("two packings of one operand")
		}
		n := newNaive(&m.p)
		for i := range m.p.Buffers {
			if b := plan.BufID(i); m.p.Buffers[i].Role == plan.Input || b == w {
				copyAny(n.slice(b), x.slices[b])
			}
		}
		for i, v := range x.slices[w].([]float32) {
			n.slice(w).([]float32)[i] = 1 - v
		}
		if err := x.Write(w, n.slice(w)); err != nil {
			t.Fatal(err)
		}
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		n.run()
		for i := range m.p.Buffers {
			if m.p.Buffers[i].Role == plan.Output {
				check.Close(t, "after another operand", x.slices[i].([]float32), n.slice(plan.BufID(i)).([]float32), 1e-5)
			}
		}
	}
}
