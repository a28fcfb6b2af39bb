package plan_test

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

// An interp runs a program as its types' comments say, in plain loops over float64. Every buffer has memory of its
// own, or with arena the place that was planned for it, where the bytes of eight-byte elements are kept apart.
type interp struct {
	p   *plan.Program
	mem [][]float64
}

// newInterp poisons what is not an input with NaN.
func newInterp(p *plan.Program, feed func(ir.ID) any) *interp {
	m := &interp{p: p, mem: make([][]float64, len(p.Buffers))}
	for i := range p.Buffers {
		b := &p.Buffers[i]
		m.mem[i] = make([]float64, b.Count())
		for k := range m.mem[i] {
			m.mem[i][k] = math.NaN()
		}
		switch {
		case b.Role == plan.Const:
			copy(m.mem[i], floats(b.Data))
		case b.Role == plan.State:
			clear(m.mem[i])
		}
	}
	for i := range p.Buffers { // views share; in-place reuse does not matter here
		if b := &p.Buffers[i]; b.Over >= 0 && !m.written(plan.BufID(i)) {
			root := b.Over
			for p.Buffers[root].Over >= 0 && !m.written(root) {
				root = p.Buffers[root].Over
			}
			m.mem[i] = m.mem[root]
		}
	}
	for _, in := range p.Inputs {
		copy(m.mem[in.Buf], floats(feed(in.Node)))
	}
	return m
}

func (m *interp) written(b plan.BufID) bool {
	for i := range m.p.Steps {
		if slices.Contains(m.p.Steps[i].Writes, b) {
			return true
		}
	}
	return false
}

func (m *interp) run() error {
	for i := range m.p.Steps {
		s := &m.p.Steps[i]
		var err error
		switch {
		case s.Loop != nil:
			m.loop(s.Loop, nil)
		case s.Dot != nil:
			m.loop(&s.Dot.Epilogue, m.product(s.Dot))
		case s.Custom != nil:
			err = m.custom(s.Custom)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

func dotStrides(strides, at []int) (n int) {
	for i, s := range strides {
		n += s * at[i]
	}
	return n
}

func (m *interp) loop(l *plan.Loop, acc []float64) {
	for _, s := range l.Stores {
		if s.Combine != plan.Set && l.Points() > 0 {
			m.each(l.Dims, func(at []int) {
				m.mem[s.Buf][s.Offset+dotStrides(s.Strides, at)] = [...]float64{plan.Sum: 0,
					plan.MaxOf: math.Inf(-1), plan.MinOf: math.Inf(1), plan.ProdOf: 1}[s.Combine]
			})
		}
	}
	v := make([]float64, len(l.Loads)+len(l.Body))
	get := func(k int32) float64 {
		if k < 0 {
			return 0
		}
		return v[k]
	}
	m.each(l.Dims, func(at []int) {
		for i := range l.Loads {
			d := &l.Loads[i]
			from := acc
			if d.Buf != plan.Acc {
				from = m.mem[d.Buf]
			}
			v[i] = 0
			if holds(d.Guards, at) {
				v[i] = from[d.Offset+dotStrides(d.Strides, at)]
			}
		}
		for i := range l.Body {
			n := &l.Body[i]
			r := &v[len(l.Loads)+i]
			switch n.Op {
			case ir.Const:
				*r = n.Imm
			case ir.Normal, ir.Uniform:
				*r = draw(n, uint64(m.mem[n.Run][0]), n.Index.Offset+dotStrides(n.Index.Strides, at))
			case ir.Cast:
				*r = cast(n.Type, get(n.A))
			default:
				*r = n.Op.Info().F(get(n.A), get(n.B), get(n.C))
			}
		}
		for _, s := range l.Stores {
			to := &m.mem[s.Buf][s.Offset+dotStrides(s.Strides, at)]
			x := v[s.Value]
			switch s.Combine {
			case plan.Set:
				*to = x
			case plan.Sum:
				*to += x
			case plan.MaxOf:
				*to = max(*to, x)
			case plan.MinOf:
				*to = min(*to, x)
			case plan.ProdOf:
				*to *= x
			}
		}
	})
}

func holds(guards []plan.Guard, at []int) bool {
	for _, g := range guards {
		x := g.Start + dotStrides(g.Strides, at)
		if x < 0 || x%g.Step != 0 || x/g.Step >= g.Count {
			return false
		}
	}
	return true
}

func (m *interp) each(dims []int, f func(at []int)) {
	at := make([]int, len(dims))
	if ir.Count(dims) == 0 {
		return
	}
	for {
		f(at)
		i := len(dims) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < dims[i] {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

func draw(n *plan.Instr, run uint64, index int) float64 {
	if n.Type == ir.F32 {
		return drawn[float32](n, run, index)
	}
	return drawn[float64](n, run, index)
}

func drawn[T kernels.Float](n *plan.Instr, run uint64, index int) float64 {
	var x [1]T
	if n.Op == ir.Normal {
		kernels.Normal(x[:], n.Rand.Seed, n.Rand.Draw, run, index)
	} else {
		kernels.Uniform(x[:], n.Rand.Seed, n.Rand.Draw, run, index)
	}
	return float64(x[0])
}

func cast(t ir.DType, x float64) float64 {
	switch t {
	case ir.F64:
		return x
	case ir.F32:
		return float64(float32(x))
	case ir.Bool:
		if x != 0 {
			return 1
		}
		return 0
	case ir.Int32:
		return float64(int32(int64(x)))
	case ir.Uint8:
		return float64(uint8(int64(x)))
	}
	return math.Trunc(x)
}

func (m *interp) product(d *plan.Dot) []float64 {
	acc := make([]float64, d.Batch*d.M*d.N)
	at := func(o plan.Operand, b, r, c int) float64 {
		if o.Trans {
			r, c = c, r
		}
		return m.mem[o.Buf][o.Offset+b*o.Batch+r*o.Ld+c]
	}
	for b := range d.Batch {
		for i := range d.M {
			for j := range d.N {
				s := 0.0
				for k := range d.K {
					s += at(d.A, b, i, k) * at(d.B, b, k, j)
				}
				acc[(b*d.M+i)*d.N+j] = s
			}
		}
	}
	return acc
}

func (m *interp) custom(c *plan.Custom) error {
	in := make([]any, len(c.In))
	for i, b := range c.In {
		in[i] = typed(m.p.Buffers[b].Type, m.mem[b])
	}
	b := &m.p.Buffers[c.Out]
	out := typed(b.Type, make([]float64, b.Count()))
	if err := c.Kernel.Run(out, in); err != nil {
		return err
	}
	copy(m.mem[c.Out], floats(out))
	return nil
}

// floats is a slice of any element type as numbers.
func floats(data any) []float64 {
	switch d := data.(type) {
	case []float32:
		return convert[float64](d)
	case []float64:
		return slices.Clone(d)
	case []int64:
		return convert[float64](d)
	case []int:
		return convert[float64](d)
	case []int32:
		return convert[float64](d)
	case []uint8:
		return convert[float64](d)
	case []bool:
		x := make([]float64, len(d))
		for i, b := range d {
			if b {
				x[i] = 1
			}
		}
		return x
	}
	panic(fmt.Sprintf("a %T", data))
}

// typed is numbers as a slice of an element type.
func typed(t ir.DType, x []float64) any {
	switch t {
	case ir.F32:
		return convert[float32](x)
	case ir.F64:
		return slices.Clone(x)
	case ir.Int64:
		return convert[int64](x)
	case ir.Int:
		return convert[int](x)
	case ir.Int32:
		return convert[int32](x)
	case ir.Uint8:
		return convert[uint8](x)
	}
	b := make([]bool, len(x))
	for i := range x {
		b[i] = x[i] != 0
	}
	return b
}

func convert[T, S float32 | float64 | int64 | int | int32 | uint8](s []S) []T {
	d := make([]T, len(s))
	for i, x := range s {
		d[i] = T(x)
	}
	return d
}
