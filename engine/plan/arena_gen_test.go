package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// A maker builds programs step by step, as fusion would leave them: without lifetimes and places.
type maker struct {
	p   *Program
	rng *rand.Rand
	run BufID
}

func newMaker(seed uint64) *maker {
	m := &maker{p: &Program{}, rng: rand.New(rand.NewPCG(seed, 7))}
	m.run = m.buf(Input, ir.Int64)
	return m
}

func (m *maker) buf(role Role, t ir.DType, shape ...int) BufID {
	m.p.Buffers = append(m.p.Buffers, Buffer{Role: role, Type: t, Shape: shape, Node: -1, Over: -1})
	return BufID(len(m.p.Buffers) - 1)
}

func (m *maker) step(name string, s Step) {
	s.Name = fmt.Sprintf("#%d %s", len(m.p.Steps), name)
	a := accesses{v: &verifier{p: m.p, stores: make([][]target, len(m.p.Buffers))}, step: 0}
	m.p.Steps = append(m.p.Steps, s)
	a.step = len(m.p.Steps) - 1
	t := &m.p.Steps[a.step]
	switch {
	case t.Loop != nil:
		a.loop(t.Loop, false)
		t.Flops = int64(t.Loop.Points()) * int64(len(t.Loop.Body)+1)
	case t.Dot != nil:
		a.dot(t.Dot)
		t.Flops = 2 * int64(t.Dot.Batch*t.Dot.M) * int64(t.Dot.N) * int64(t.Dot.K)
	case t.Custom != nil:
		a.custom(t.Custom)
		t.Flops = int64(m.p.Buffers[t.Custom.Out].Count())
	default:
		a.update(t.Update)
	}
	if a.err != nil {
		panic(a.err)
	}
	uniq := func(l []BufID) []BufID { return slices.Compact(slices.Sorted(slices.Values(l))) }
	t.Reads, t.Writes = uniq(a.reads), uniq(a.writes)
}

// access is a load of b at every point of dims: the elements one by one where the shapes agree, else a transposed,
// repeated, windowed or padded reading. ok is false if there is none.
func (m *maker) access(b BufID, dims []int) (l Load, ok bool) {
	s := m.p.Buffers[b].Shape
	l = Load{Buf: b, Strides: make([]int, len(dims))}
	switch {
	case slices.Equal(s, dims):
		copy(l.Strides, rowMajor(s))
		if len(dims) == 2 && dims[0] == dims[1] && m.rng.IntN(6) == 0 {
			l.Strides[0], l.Strides[1] = l.Strides[1], l.Strides[0]
		}
	case len(s) == 0:
	case len(s) == 1 && len(dims) == 2 && s[0] == dims[1]:
		l.Strides[1] = 1
	case len(s) == 1 && len(dims) == 2 && s[0] == dims[0]:
		l.Strides[0] = 1
	case len(s) == 2 && len(dims) == 2 && s[0] == dims[1] && s[1] == dims[0]:
		l.Strides[0], l.Strides[1] = 1, s[1]
	case len(s) == 2 && len(dims) == 2 && s[0] >= dims[0] && s[1] >= dims[1]: // a window
		l.Strides[0], l.Strides[1] = s[1], 1
		l.Offset = m.rng.IntN(s[0]-dims[0]+1)*s[1] + m.rng.IntN(s[1]-dims[1]+1)
	case len(s) == 2 && len(dims) == 2: // zeros around
		at := [2]int{m.rng.IntN(dims[0]) / 2, m.rng.IntN(dims[1]) / 2}
		l.Strides[0], l.Strides[1] = s[1], 1
		l.Offset = -at[0]*s[1] - at[1]
		l.Guards = []Guard{{-at[0], []int{1, 0}, 1, s[0]}, {-at[1], []int{0, 1}, 1, s[1]}}
	default:
		return l, false
	}
	return l, true
}

var makerOps = []ir.Op{ir.Add, ir.Sub, ir.Mul, ir.Tanh, ir.Neg, ir.Max, ir.Square}

// body appends n random instructions to the loop.
func (m *maker) body(l *Loop, n int) {
	for range n {
		v := int32(len(l.Loads) + len(l.Body))
		in := Instr{Op: makerOps[m.rng.IntN(len(makerOps))], A: -1, B: -1, C: -1, Node: -1}
		switch {
		case v == 0 || m.rng.IntN(8) == 0:
			in.Op = ir.Normal
			in.Rand, in.Run = ir.Rand{Seed: 1, Draw: m.rng.Uint64N(4)}, m.run
			in.Index = &Load{Strides: rowMajor(l.Dims)}
		case m.rng.IntN(8) == 0:
			in.Op, in.Imm = ir.Const, math.Round(m.rng.NormFloat64()*8)/8
		default:
			in.A = m.rng.Int32N(v)
			if in.Op.Info().Arity == 2 {
				in.B = max(0, v-1-m.rng.Int32N(3))
			}
		}
		l.Body = append(l.Body, in)
	}
}

// stores ends the loop: the last value and some others go to new buffers or are summed along a dimension.
func (m *maker) stores(l *Loop, role Role) (to []BufID) {
	values := int32(len(l.Loads) + len(l.Body))
	for k := 0; k == 0 || k < 3 && m.rng.IntN(3) == 0; k++ {
		s := Store{Value: values - 1, Strides: rowMajor(l.Dims)}
		if k > 0 {
			s.Value = m.rng.Int32N(values)
		}
		shape := slices.Clone(l.Dims)
		if len(l.Dims) == 2 && m.rng.IntN(3) == 0 {
			s.Combine = []Combine{Sum, MaxOf, Sum}[m.rng.IntN(3)]
			d := m.rng.IntN(2)
			shape = []int{l.Dims[d]}
			s.Strides = []int{0, 0}
			s.Strides[d] = 1
		}
		s.Buf = m.buf(role, l.Type, shape...)
		l.Stores = append(l.Stores, s)
		to = append(to, s.Buf)
	}
	return to
}

// blend is a kernel for tests: the mean of what it is given, weighted by position.
type blend struct{ weight float64 }

func (b blend) String() string { return fmt.Sprintf("blend(%g)", b.weight) }
func (b blend) Run(out any, in []any) error {
	o := out.([]float64)
	for i := range o {
		o[i] = 0
		for k, x := range in {
			x := x.([]float64)
			o[i] += math.Tanh(b.weight*float64(k+1)) * x[i%len(x)]
		}
	}
	return nil
}

// randomProgram has about n steps on small arrays. Values are used soon after they are computed or, as in a backward
// pass, in reverse order much later.
func randomProgram(seed uint64, n int) *Program {
	m := newMaker(seed)
	rng := m.rng
	sizes := []int{1, 2, 5, 8, 16}
	size := func() int { return sizes[rng.IntN(len(sizes))] }
	var known []BufID
	for range 3 {
		known = append(known, m.buf(Input, ir.F64, size(), size()))
	}
	param := m.buf(Param, ir.F64, 8, 8)
	known = append(known, param)
	c := m.buf(Const, ir.F64, 5)
	m.p.Buffers[c].Data = []float64{1, -2, 0.5, 3, 0.25}
	known = append(known, c)
	pick := func(k int) BufID {
		switch rng.IntN(4) {
		case 0:
			return known[rng.IntN(len(known))]
		case 1:
			return known[max(0, min(len(known)-1, (n-k)*len(known)/n))]
		}
		return known[len(known)-1-rng.IntN(min(len(known), 4))]
	}
	role := func() Role {
		if rng.IntN(12) == 0 {
			return Output
		}
		return Temp
	}
	loads := func(l *Loop, k, count int) {
		for range count {
			if d, ok := m.access(pick(k), l.Dims); ok {
				l.Loads = append(l.Loads, d)
			}
		}
	}
	shape := func(k int) []int {
		if s := m.p.Buffers[pick(k)].Shape; len(s) == 2 && rng.IntN(3) > 0 {
			return s
		}
		return []int{size(), size()}
	}
	for k := range n {
		switch kind := rng.IntN(10); {
		case kind < 6:
			l := &Loop{Type: ir.F64, Dims: shape(k)}
			loads(l, k, 1+rng.IntN(4))
			m.body(l, 1+rng.IntN(4))
			known = append(known, m.stores(l, role())...)
			m.step("loop", Step{Loop: l})
		case kind == 6: // two steps write the halves of one buffer
			s := shape(k)
			to := m.buf(role(), ir.F64, s[0], 2*s[1])
			for half := range 2 {
				l := &Loop{Type: ir.F64, Dims: s}
				loads(l, k, 2)
				m.body(l, 1)
				l.Stores = []Store{{Value: int32(len(l.Loads)), Buf: to, Offset: half * s[1], Strides: []int{2 * s[1], 1}}}
				if rng.IntN(2) == 0 { // and something of its own
					sum := Store{Value: int32(len(l.Loads)), Buf: m.buf(role(), ir.F64, s[0]), Strides: []int{1, 0}, Combine: Sum}
					l.Stores = append(l.Stores, sum)
					known = append(known, sum.Buf)
				}
				m.step("half", Step{Loop: l})
			}
			known = append(known, to)
		case kind < 9:
			a, b := pick(k), pick(k)
			x, y := m.p.Buffers[a].Shape, m.p.Buffers[b].Shape
			if len(x) != 2 || len(y) != 2 {
				continue
			}
			d := &Dot{Type: ir.F64, Batch: 1, K: min(x[1], y[0]), M: x[0], N: y[1],
				A: Operand{Buf: a, Ld: x[1]}, B: Operand{Buf: b, Ld: y[1]}}
			d.Epilogue = Loop{Type: ir.F64, Dims: []int{d.M, d.N}, Loads: []Load{{Buf: Acc, Strides: []int{0, 0}}}}
			loads(&d.Epilogue, k, rng.IntN(3))
			m.body(&d.Epilogue, 1+rng.IntN(3))
			d.Epilogue.Body = append(d.Epilogue.Body, Instr{Op: ir.Tanh, B: -1, C: -1, Node: -1})
			known = append(known, m.stores(&d.Epilogue, role())...)
			m.step("dot", Step{Dot: d})
		default:
			s := shape(k)
			c := &Custom{Kernel: blend{rng.Float64()}, In: []BufID{pick(k), pick(k)}, Out: m.buf(role(), ir.F64, s...)}
			m.step("custom", Step{Custom: c})
			known = append(known, c.Out)
		}
	}
	// Two updates, of different parameters, by sums of some of it all: the second reads what lay idle for long, computed
	// from the first's parameter.
	old := known[len(known)/3]
	for k, q := range []BufID{param, m.buf(Param, ir.F64, 8, 8)} {
		l := &Loop{Type: ir.F64, Dims: []int{8, 8}}
		if d, ok := m.access(old, l.Dims); ok && k == 1 {
			l.Loads = append(l.Loads, d)
		}
		loads(l, n, 6)
		m.body(l, 4)
		grad := m.buf(Temp, ir.F64, 8, 8)
		l.Stores = []Store{{Value: int32(len(l.Loads) + 3), Buf: grad, Strides: []int{8, 1}}}
		m.step("gradient", Step{Loop: l})
		defer func() {
			m.step("update", Step{Update: &Update{
				Optimizer: kernels.Optimizer{Method: kernels.Momentum}, Params: []BufID{q}, Grads: []BufID{grad},
				Rate: m.buf(State, ir.F64), Steps: m.buf(State, ir.Int64), Loss: -1, Info: m.buf(Output, ir.F64, 5),
			}})
		}()
	}
	return m.p
}

// unrolled is the shape of an unrolled optimiser and its gradient: iters iterations through a network of layers
// layers of big activations each, from a small state to the next, then backward through all of it. With sums, the
// backward pass reads what the activations are functions of, too.
func unrolled(iters, layers, rows, width int, sums bool) *Program {
	m := newMaker(1)
	w := make([]BufID, layers)
	for i := range w {
		w[i] = m.buf(Input, ir.F64, width, width)
	}
	first := m.buf(Input, ir.F64, width)
	loop := func(dims []int, ops []ir.Op, loads ...Load) *Loop {
		l := &Loop{Type: ir.F64, Dims: dims, Loads: loads}
		last := int32(0)
		for _, op := range ops {
			in := Instr{Op: op, A: last, B: -1, C: -1, Node: -1}
			if op.Info().Arity == 2 {
				in.B = int32(len(loads) - 1)
			}
			last = int32(len(loads) + len(l.Body))
			l.Body = append(l.Body, in)
		}
		return l
	}
	big := []int{rows, width}
	at := func(b BufID) Load { return Load{Buf: b, Strides: []int{width, 1}} }
	row := func(b BufID) Load { return Load{Buf: b, Strides: []int{0, 1}} }
	acc := Load{Buf: Acc, Strides: []int{0, 0}}
	put := func(l *Loop, shape ...int) BufID {
		b := m.buf(Temp, ir.F64, shape...)
		s := Store{Value: int32(len(l.Loads) + len(l.Body) - 1), Buf: b, Strides: []int{width, 1}}
		if len(shape) == 1 {
			s.Combine, s.Strides = Sum, []int{0, 1}
		}
		l.Stores = append(l.Stores, s)
		return b
	}
	dot := func(name string, x, w BufID, e *Loop) {
		d := &Dot{Type: ir.F64, Batch: 1, M: rows, N: width, K: width,
			A: Operand{Buf: x, Ld: width}, B: Operand{Buf: w, Ld: width}, Epilogue: *e}
		m.step(name, Step{Dot: d})
	}
	state := first
	acts, zs := make([][]BufID, iters), make([][]BufID, iters)
	states := make([]BufID, iters)
	for t := range iters {
		states[t] = state
		l := loop(big, []ir.Op{ir.Tanh}, row(state))
		l.Body = append(l.Body, Instr{Op: ir.Normal, A: -1, B: -1, C: -1, Node: -1, Run: m.run,
			Rand: ir.Rand{Seed: 1, Draw: uint64(t)}, Index: &Load{Strides: []int{width, 1}}},
			Instr{Op: ir.Add, A: 1, B: 2, C: -1, Node: -1})
		h := put(l, rows, width)
		m.step("sample", Step{Loop: l})
		acts[t] = append(acts[t], h)
		for k := range layers {
			e := loop(big, []ir.Op{ir.Tanh}, acc)
			if sums {
				e = loop(big, []ir.Op{ir.Neg, ir.Tanh}, acc)
				z := m.buf(Temp, ir.F64, rows, width)
				e.Stores = []Store{{Value: 1, Buf: z, Strides: []int{width, 1}}}
				zs[t] = append(zs[t], z)
			}
			next := put(e, rows, width)
			dot("forward", h, w[k], e)
			h = next
			acts[t] = append(acts[t], h)
		}
		l = loop(big, []ir.Op{ir.Mul}, at(h), at(acts[t][0]))
		state = put(l, width)
		m.step("refit", Step{Loop: l})
	}
	g := state
	for t := iters - 1; t >= 0; t-- {
		l := loop(big, []ir.Op{ir.Mul}, row(g), at(acts[t][layers]))
		d := put(l, rows, width)
		m.step("seed", Step{Loop: l})
		for k := layers - 1; k >= 0; k-- {
			e := loop(big, []ir.Op{ir.Mul}, acc, at(acts[t][k]))
			if sums {
				e.Loads = append(e.Loads, at(zs[t][max(0, k-1)]))
				e.Body = append(e.Body, Instr{Op: ir.Add, A: 2, B: 3, C: -1, Node: -1})
				e.Body[0].A, e.Body[0].B, e.Body[1].A, e.Body[1].B = 0, 1, 3, 2
			}
			next := put(e, rows, width)
			dot("backward", d, w[k], e)
			d = next
		}
		l = loop(big, []ir.Op{ir.Mul, ir.Add}, at(d), row(states[t]), row(g))
		g = put(l, width)
		m.step("reduce", Step{Loop: l})
	}
	m.p.Buffers[g].Role = Output
	return m.p
}
