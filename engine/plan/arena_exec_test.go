package plan

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// A machine runs a placed program in one arena of bytes, point by point, and fills the place of every buffer with NaN
// before it is first written and after it was last read.
type machine struct {
	p   *Program
	mem []byte
}

func newMachine(p *Program) *machine {
	m := &machine{p: p, mem: make([]byte, p.Arena)}
	in := 0.0
	for i := range p.Buffers {
		b := &p.Buffers[i]
		for e := range b.Count() {
			switch b.Role {
			case Input, Param:
				in++
				m.set(BufID(i), e, math.Round(32*math.Sin(in))/32)
			case Const:
				m.set(BufID(i), e, b.Data.([]float64)[e])
			case State:
				m.set(BufID(i), e, 0)
			}
		}
		if b.Role == Temp || b.Role == Output {
			m.poison(BufID(i))
		}
	}
	return m
}

func (m *machine) poison(b BufID) {
	x := &m.p.Buffers[b]
	for i := range x.Bytes() {
		m.mem[x.Offset+i] = 0xff
	}
}

func (m *machine) get(b BufID, i int) float64 {
	x := &m.p.Buffers[b]
	if i < 0 || i >= x.Count() {
		panic(fmt.Sprintf("element %d of buffer %d %v", i, b, x.Shape))
	}
	switch x.Type {
	case ir.F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(m.mem[x.Offset+8*i:]))
	case ir.F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(m.mem[x.Offset+4*i:])))
	case ir.Int64:
		return float64(binary.LittleEndian.Uint64(m.mem[x.Offset+8*i:]))
	}
	panic(x.Type)
}

func (m *machine) set(b BufID, i int, v float64) {
	x := &m.p.Buffers[b]
	if i < 0 || i >= x.Count() {
		panic(fmt.Sprintf("element %d of buffer %d %v", i, b, x.Shape))
	}
	switch x.Type {
	case ir.F64:
		binary.LittleEndian.PutUint64(m.mem[x.Offset+8*i:], math.Float64bits(v))
	case ir.F32:
		binary.LittleEndian.PutUint32(m.mem[x.Offset+4*i:], math.Float32bits(float32(v)))
	case ir.Int64:
		binary.LittleEndian.PutUint64(m.mem[x.Offset+8*i:], uint64(int64(v)))
	default:
		panic(x.Type)
	}
}

func (m *machine) array(b BufID) []float64 {
	x := make([]float64, m.p.Buffers[b].Count())
	for i := range x {
		x[i] = m.get(b, i)
	}
	return x
}

func (m *machine) run() {
	over := make([]bool, len(m.p.Buffers)) // another buffer has taken the place
	for i := range m.p.Buffers {
		if o := m.p.Buffers[i].Over; o >= 0 {
			over[o] = true
		}
	}
	for i := range m.p.Steps {
		for b := range m.p.Buffers {
			if x := &m.p.Buffers[b]; x.Role == Temp && x.First == i && x.Over < 0 && x.Last >= i {
				m.poison(BufID(b))
			}
		}
		switch s := &m.p.Steps[i]; {
		case s.Loop != nil:
			m.loop(s.Loop, nil)
		case s.Dot != nil:
			m.loop(&s.Dot.Epilogue, m.product(s.Dot))
		case s.Custom != nil:
			out := make([]float64, m.p.Buffers[s.Custom.Out].Count())
			var in []any
			for _, b := range s.Custom.In {
				in = append(in, m.array(b))
			}
			if err := s.Custom.Kernel.Run(out, in); err != nil {
				panic(err)
			}
			for k, v := range out {
				m.set(s.Custom.Out, k, v)
			}
		default:
			for k, q := range s.Update.Params {
				for e := range m.p.Buffers[q].Count() {
					m.set(q, e, m.get(q, e)-m.get(s.Update.Grads[k], e)/64)
				}
			}
			for e := range m.p.Buffers[s.Update.Info].Count() {
				m.set(s.Update.Info, e, 1)
			}
		}
		for b := range m.p.Buffers {
			if x := &m.p.Buffers[b]; x.Role == Temp && x.Last == i && !over[b] {
				m.poison(BufID(b))
			}
		}
	}
}

func (m *machine) product(d *Dot) []float64 {
	elem := func(o Operand, b, i, j int) float64 {
		if o.Trans {
			i, j = j, i
		}
		return m.get(o.Buf, o.Offset+b*o.Batch+i*o.Ld+j)
	}
	out := make([]float64, d.Batch*d.M*d.N)
	for b := range d.Batch {
		for i := range d.M {
			for j := range d.N {
				for k := range d.K {
					out[(b*d.M+i)*d.N+j] += elem(d.A, b, i, k) * elem(d.B, b, k, j)
				}
			}
		}
	}
	return out
}

var neutral = map[Combine]float64{MaxOf: math.Inf(-1), MinOf: math.Inf(1), ProdOf: 1}

func (m *machine) loop(l *Loop, acc []float64) {
	for _, s := range l.Stores {
		if s.Combine != Set {
			each(l.Dims, func(at []int) bool {
				m.set(s.Buf, affine(at, s.Offset, s.Strides), neutral[s.Combine])
				return true
			})
		}
	}
	v := make([]float64, len(l.Loads)+len(l.Body))
	point := 0
	each(l.Dims, func(at []int) bool {
		for k, d := range l.Loads {
			v[k] = 0
			if d.Buf == Acc {
				v[k] = acc[point]
				continue
			}
			read := true
			for _, g := range d.Guards {
				x := affine(at, g.Start, g.Strides)
				read = read && x >= 0 && x%g.Step == 0 && x/g.Step < g.Count
			}
			if read {
				v[k] = m.get(d.Buf, affine(at, d.Offset, d.Strides))
			}
		}
		for k, n := range l.Body {
			arg := func(x int32) float64 {
				if x < 0 {
					return 0
				}
				return v[x]
			}
			r := &v[len(l.Loads)+k]
			switch n.Op {
			case ir.Const:
				*r = n.Imm
			case ir.Normal:
				kernels.Normal(v[len(l.Loads)+k:len(l.Loads)+k+1], n.Rand.Seed, n.Rand.Draw, uint64(m.get(n.Run, 0)),
					affine(at, n.Index.Offset, n.Index.Strides))
			default:
				*r = n.Op.Info().F(arg(n.A), arg(n.B), arg(n.C))
			}
		}
		for _, s := range l.Stores {
			x, e := v[s.Value], affine(at, s.Offset, s.Strides)
			switch s.Combine {
			case Sum:
				x += m.get(s.Buf, e)
			case MaxOf:
				x = max(x, m.get(s.Buf, e))
			case MinOf:
				x = min(x, m.get(s.Buf, e))
			case ProdOf:
				x *= m.get(s.Buf, e)
			}
			m.set(s.Buf, e, x)
		}
		point++
		return true
	})
}

func affine(i []int, off int, strides []int) int {
	for d, x := range i {
		off += x * strides[d]
	}
	return off
}
