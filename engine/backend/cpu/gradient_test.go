package cpu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// sum appends a sum of products A'B, (rows,n), of so many terms each, with what it reads and writes; onto is what
// the first is added to, -1: nothing. It returns the sums.
func (m *maker) sum(typ ir.DType, rows, n int, onto plan.BufID, terms ...int) (sums []plan.BufID) {
	for i, k := range terms {
		d := plan.Dot{Type: typ, Batch: 1, M: rows, N: n, K: k, Epilogue: plan.Loop{Type: typ, Dims: []int{rows, n}},
			A: plan.Operand{Buf: m.buffer(plan.Input, typ, k, rows+i), Ld: rows + i, Trans: true},
			B: plan.Operand{Buf: m.buffer(plan.Input, typ, k+1, n), Ld: n, Offset: n}}
		e := &d.Epilogue
		acc := loadOf(plan.Acc, n, 1)
		role := plan.Temp
		if i == len(terms)-1 {
			role = plan.Output
		}
		to := m.buffer(role, typ, rows, n)
		reads := []plan.BufID{d.A.Buf, d.B.Buf}
		switch {
		case onto < 0:
			e.Loads, e.Stores = []plan.Load{acc}, []plan.Store{storeOf(0, to, n, 1)}
		default:
			e.Loads = []plan.Load{acc, loadOf(onto, n, 1)}
			if i%2 == 0 {
				e.Loads[0], e.Loads[1] = e.Loads[1], e.Loads[0]
			}
			e.Body, e.Stores = []plan.Instr{instrOf(ir.Add, 1, 0)}, []plan.Store{storeOf(2, to, n, 1)}
			reads = append(reads, onto)
		}
		m.dot(d)
		s := &m.p.Steps[len(m.p.Steps)-1]
		s.Reads, s.Writes = reads, []plan.BufID{to}
		sums, onto = append(sums, to), to
	}
	return sums
}

// chained tells by steps who adds to which chain: "-" to none, else a letter, a capital where the chain ends.
func (x *executable) chained() string {
	names := map[*chain]byte{}
	var s strings.Builder
	for _, step := range x.steps {
		var l link
		switch step := step.(type) {
		case *addend[float32]:
			l = step.link
		case *addend[float64]:
			l = step.link
		}
		if l.chain == nil {
			s.WriteByte('-')
			continue
		}
		if names[l.chain] == 0 {
			names[l.chain] = byte('a' + len(names))
		}
		c := names[l.chain]
		if l.last {
			c -= 'a' - 'A'
		}
		s.WriteByte(c)
	}
	return s.String()
}

// Sums of products are chains, and right: with few terms and many, more parts in later steps than in the first,
// added to what is there, transposed where that fills vectors better, and with any number of threads.
func TestGradientSums(t *testing.T) {
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, s := range []struct {
			rows, n int
			terms   []int
		}{
			{3, 5, []int{1, 40}}, {40, 20, []int{1, 100, 100, 3}}, {40, 96, []int{50, 1700, 7}}, {1, 33, []int{100, 900}},
			{130, 1, []int{40, 40}}, {48, 64, []int{1700, 1700}},
		} {
			for _, onto := range []bool{false, true} {
				t.Run(fmt.Sprint(typ, s, onto), func(t *testing.T) {
					m := &maker{}
					first := plan.BufID(-1)
					if onto {
						first = m.buffer(plan.Input, typ, s.rows, s.n)
					}
					m.sum(typ, s.rows, s.n, first, s.terms...)
					// Some 50 of the last places of sums of up to some thousand products.
					x := compare(t, m, 1, map[ir.DType]float64{ir.F32: 3e-6, ir.F64: 6e-15}[typ])
					if got, want := x.chained(), strings.Repeat("a", len(s.terms)-1)+"A"; got != want {
						t.Errorf("chains %s, want %s", got, want)
					}
					sameForThreads(t, x)
				})
			}
		}
	}
}

// A sum that somebody else sees on the way is no link of a chain: it has its value.
func TestGradientSumsSeen(t *testing.T) {
	const rows, n = 40, 36
	terms := []int{60, 50, 40, 30}
	for _, c := range []struct {
		name, want string
		change     func(m *maker, sums []plan.BufID)
	}{
		{"nobody", "aaaA", func(*maker, []plan.BufID) {}},
		{"output", "aAbB", func(m *maker, sums []plan.BufID) { m.p.Buffers[sums[1]].Role = plan.Output }},
		{"reader", "aAbB-", func(m *maker, sums []plan.BufID) {
			m.loop(plan.Loop{Type: ir.F64, Dims: []int{rows * n}, Loads: []plan.Load{loadOf(sums[1], 1)},
				Stores: []plan.Store{storeOf(0, m.buffer(plan.Output, ir.F64, rows*n), 1)}})
			m.p.Steps[len(m.p.Steps)-1].Reads = []plan.BufID{sums[1]}
		}},
		{"other name", "aAbB", func(m *maker, sums []plan.BufID) { m.over(sums[1], ir.F64) }},
		{"function", "-aaA", func(m *maker, sums []plan.BufID) {
			e := &m.p.Steps[0].Dot.Epilogue
			e.Body = []plan.Instr{instrOf(ir.Neg, 0)}
			e.Stores[0].Value = 1
		}},
		{"product of two", "--aA", func(m *maker, sums []plan.BufID) { m.p.Steps[1].Dot.Epilogue.Body[0].Op = ir.Mul }},
		{"not transposed", "-aaA", func(m *maker, sums []plan.BufID) {
			d := m.p.Steps[0].Dot
			d.A = plan.Operand{Buf: m.buffer(plan.Input, ir.F64, rows, d.K), Ld: d.K}
		}},
		{"in place", "aaaA", func(m *maker, sums []plan.BufID) {
			for _, i := range []int{2, 3} {
				m.p.Buffers[sums[i]].Over, m.p.Buffers[sums[i]].Offset = sums[i-1], m.p.Buffers[sums[i-1]].Offset
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &maker{}
			c.change(m, m.sum(ir.F64, rows, n, -1, terms...))
			x := compare(t, m, 2, 3e-15) // sums of 180 products
			if got := x.chained(); got != c.want {
				t.Errorf("chains %s, want %s", got, c.want)
			}
		})
	}
}
