package cpu

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

// naive runs programs as their documentation says: point by point, each instruction rounded to the loop's type,
// reductions in float64 with the rounding errors carried along. Buffers share memory as in the arena.
type naive struct {
	p    *plan.Program
	mem  []byte
	seen map[plan.BufID]any
}

func newNaive(p *plan.Program) *naive {
	n := &naive{p: p, mem: make([]byte, p.Arena), seen: map[plan.BufID]any{}}
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Role == plan.Const {
			copyAny(n.slice(plan.BufID(i)), b.Data)
		}
	}
	return n
}

func (n *naive) slice(b plan.BufID) any {
	if s, ok := n.seen[b]; ok {
		return s
	}
	buf := &n.p.Buffers[b]
	s := slice(n.mem, buf.Type, buf.Offset, buf.Count())
	n.seen[b] = s
	return s
}

func copyAny(dst, src any) {
	switch d := dst.(type) {
	case []float32:
		copy(d, src.([]float32))
	case []float64:
		copy(d, src.([]float64))
	case []int64:
		copy(d, src.([]int64))
	case []int:
		copy(d, src.([]int))
	case []int32:
		copy(d, src.([]int32))
	case []uint8:
		copy(d, src.([]uint8))
	case []bool:
		copy(d, src.([]bool))
	}
}

func getAny(s any, i int) float64 {
	switch d := s.(type) {
	case []float32:
		return float64(d[i])
	case []float64:
		return d[i]
	case []int64:
		return float64(d[i])
	case []int:
		return float64(d[i])
	case []int32:
		return float64(d[i])
	case []uint8:
		return float64(d[i])
	case []bool:
		if d[i] {
			return 1
		}
		return 0
	}
	panic(fmt.Sprintf("%T", s))
}

func setAny(s any, i int, v float64) {
	switch d := s.(type) {
	case []float32:
		d[i] = float32(v)
	case []float64:
		d[i] = v
	case []int64:
		d[i] = int64(v)
	case []int:
		d[i] = int(v)
	case []int32:
		d[i] = int32(int64(v))
	case []uint8:
		d[i] = uint8(int64(v))
	case []bool:
		d[i] = v != 0
	default:
		panic(fmt.Sprintf("%T", s))
	}
}

func (n *naive) run() {
	for i := range n.p.Steps {
		switch s := &n.p.Steps[i]; {
		case s.Loop != nil:
			n.loop(s.Loop, nil)
		case s.Dot != nil:
			n.dot(s.Dot)
		}
	}
}

func affine(off int, strides, at []int) int {
	for d, i := range at {
		off += strides[d] * i
	}
	return off
}

func (n *naive) loop(l *plan.Loop, acc []float64) {
	sums := make([][]total, len(l.Stores)) // by element
	for i := range l.Stores {
		if s := &l.Stores[i]; s.Combine != plan.Set {
			sums[i] = make([]total, n.p.Buffers[s.Buf].Count())
			n.each(l, i, func(at int) { sums[i][at].hi = identity(s.Combine) })
		}
	}
	points := l.Points()
	at := make([]int, len(l.Dims))
	v := make([]float64, len(l.Loads)+len(l.Body))
	for k := range points {
		rest := k
		for d := len(l.Dims) - 1; d >= 0; d-- {
			at[d] = rest % l.Dims[d]
			rest /= l.Dims[d]
		}
		for i := range l.Loads {
			v[i] = n.load(&l.Loads[i], at, k, acc)
			if l.Type == ir.F32 {
				v[i] = float64(float32(v[i]))
			}
		}
		for j := range l.Body {
			x := n.instr(l, &l.Body[j], at, v)
			if l.Type == ir.F32 {
				x = float64(float32(x))
			}
			v[len(l.Loads)+j] = x
		}
		for i := range l.Stores {
			s := &l.Stores[i]
			if to := affine(s.Offset, s.Strides, at); s.Combine == plan.Set {
				setAny(n.slice(s.Buf), to, v[s.Value])
			} else {
				sums[i][to].add(s.Combine, v[s.Value])
			}
		}
	}
	for i := range l.Stores {
		if s := &l.Stores[i]; s.Combine != plan.Set {
			n.each(l, i, func(at int) { setAny(n.slice(s.Buf), at, sums[i][at].value()) })
		}
	}
}

// each names the elements of a combining store.
func (n *naive) each(l *plan.Loop, i int, f func(at int)) {
	s := &l.Stores[i]
	var walk func(d, at int)
	walk = func(d, at int) {
		if d == len(l.Dims) {
			f(at)
			return
		}
		if s.Strides[d] == 0 {
			walk(d+1, at)
			return
		}
		for i := range l.Dims[d] {
			walk(d+1, at+i*s.Strides[d])
		}
	}
	walk(0, s.Offset)
}

func (n *naive) load(x *plan.Load, at []int, k int, acc []float64) float64 {
	if x.Buf == plan.Acc {
		return acc[k]
	}
	for _, g := range x.Guards {
		if i := affine(g.Start, g.Strides, at); i < 0 || i%g.Step != 0 || i/g.Step >= g.Count {
			return 0
		}
	}
	return getAny(n.slice(x.Buf), affine(x.Offset, x.Strides, at))
}

func (n *naive) instr(l *plan.Loop, in *plan.Instr, at []int, v []float64) float64 {
	get := func(i int32) float64 {
		if i < 0 {
			return 0
		}
		return v[i]
	}
	switch in.Op {
	case ir.Const:
		return in.Imm
	case ir.Cast:
		if !in.Round {
			return get(in.A)
		}
		one := slice(make([]byte, 8), in.Type, 0, 1)
		setAny(one, 0, get(in.A))
		return getAny(one, 0)
	case ir.Normal, ir.Uniform:
		run := uint64(n.slice(in.Run).([]int64)[0])
		first := affine(in.Index.Offset, in.Index.Strides, at)
		if in.Type == ir.F32 || in.Type == ir.NoType && l.Type == ir.F32 {
			return drawOne[float32](in, run, first)
		}
		return drawOne[float64](in, run, first)
	}
	return in.Op.Info().F(get(in.A), get(in.B), get(in.C))
}

func drawOne[T kernels.Float](in *plan.Instr, run uint64, first int) float64 {
	var one [1]T
	if in.Op == ir.Normal {
		kernels.Normal(one[:], in.Rand.Seed, in.Rand.Draw, run, first)
	} else {
		kernels.Uniform(one[:], in.Rand.Seed, in.Rand.Draw, run, first)
	}
	return float64(one[0])
}

func (n *naive) dot(d *plan.Dot) {
	acc := make([]float64, d.Batch*d.M*d.N)
	at := func(o *plan.Operand, b, i, l int) float64 {
		if o.Trans {
			i, l = l, i
		}
		return getAny(n.slice(o.Buf), o.Offset+b*o.Batch+i*o.Ld+l)
	}
	for b := range d.Batch {
		for i := range d.M {
			for j := range d.N {
				var t total
				for l := range d.K {
					p, q := at(&d.A, b, i, l), at(&d.B, b, l, j)
					x := p * q
					t.add(plan.Sum, x)
					t.lo += math.FMA(p, q, -x)
				}
				acc[(b*d.M+i)*d.N+j] = t.value()
				if d.Type == ir.F32 {
					acc[(b*d.M+i)*d.N+j] = float64(float32(t.value()))
				}
			}
		}
	}
	n.loop(&d.Epilogue, acc)
}
