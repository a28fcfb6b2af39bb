package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// maker builds programs by hand.
type maker struct {
	p plan.Program
}

func (m *maker) buffer(role plan.Role, t ir.DType, shape ...int) plan.BufID {
	b := plan.Buffer{Role: role, Type: t, Shape: shape, Node: -1, Over: -1, Offset: m.p.Arena}
	m.p.Arena += (b.Bytes() + plan.Align - 1) &^ (plan.Align - 1)
	m.p.Buffers = append(m.p.Buffers, b)
	return plan.BufID(len(m.p.Buffers) - 1)
}

func (m *maker) over(b plan.BufID, t ir.DType) plan.BufID {
	x := m.p.Buffers[b]
	x.Type, x.Over, x.Role = t, b, plan.Output
	m.p.Buffers = append(m.p.Buffers, x)
	return plan.BufID(len(m.p.Buffers) - 1)
}

func (m *maker) loop(l plan.Loop) {
	m.p.Steps = append(m.p.Steps, plan.Step{Name: fmt.Sprintf("#%d", len(m.p.Steps)), Loop: &l})
}

func (m *maker) dot(d plan.Dot) {
	m.p.Steps = append(m.p.Steps, plan.Step{Name: fmt.Sprintf("#%d", len(m.p.Steps)), Dot: &d})
}

// at, to and sum are a load, a store and a combining store from element 0 on, do is an instruction.
func loadOf(b plan.BufID, strides ...int) plan.Load { return plan.Load{Buf: b, Strides: strides} }

func storeOf(v int32, b plan.BufID, strides ...int) plan.Store {
	return plan.Store{Value: v, Buf: b, Strides: strides}
}

func reduceTo(how plan.Combine, v int32, b plan.BufID, strides ...int) plan.Store {
	return plan.Store{Value: v, Buf: b, Strides: strides, Combine: how}
}

func instrOf(op ir.Op, operands ...int32) plan.Instr {
	in := plan.Instr{Op: op, A: -1, B: -1, C: -1}
	for i, v := range operands {
		*[]*int32{&in.A, &in.B, &in.C}[i] = v
	}
	return in
}

// fill gives a slice values that tell elements apart.
func fill(s any, r *rand.Rand) {
	switch d := s.(type) {
	case []float32:
		for i := range d {
			d[i] = float32(r.NormFloat64())
		}
	case []float64:
		for i := range d {
			d[i] = r.NormFloat64()
		}
	case []int64:
		for i := range d {
			d[i] = int64(r.IntN(9) - 4)
		}
	case []int:
		for i := range d {
			d[i] = r.IntN(9) - 4
		}
	case []int32:
		for i := range d {
			d[i] = int32(r.IntN(9) - 4)
		}
	case []uint8:
		for i := range d {
			d[i] = uint8(r.IntN(4))
		}
	case []bool:
		for i := range d {
			d[i] = r.IntN(2) == 1
		}
	}
}

// load runs a program on the device and on naive, both from the same inputs over an arena of rubbish, and compares all
// buffers that a run leaves behind; tol is relative to max(1, the largest entry).
func compare(t *testing.T, m *maker, seed uint64, tol float64) *executable {
	t.Helper()
	e, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	x := e.(*executable)
	n := newNaive(&m.p)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range m.p.Buffers {
		b := plan.BufID(i)
		if m.p.Buffers[i].Over >= 0 {
			continue
		}
		switch m.p.Buffers[i].Role {
		case plan.Input, plan.Param:
			fill(n.slice(b), r)
			if err := x.Write(b, n.slice(b)); err != nil {
				t.Fatal(err)
			}
		case plan.Output, plan.Temp:
			buf := &m.p.Buffers[i]
			for k := range buf.Bytes() {
				x.mem[buf.Offset+k] = 0xff // NaN
			}
		}
	}
	if err := x.Run(nil); err != nil {
		t.Fatal(err)
	}
	n.run()
	for i := range m.p.Buffers {
		if m.p.Buffers[i].Role != plan.Output {
			continue
		}
		got, want := x.slices[i], n.slice(plan.BufID(i))
		scale := 1.0
		for k := range m.p.Buffers[i].Count() {
			if a := math.Abs(getAny(want, k)); a > scale && !math.IsInf(a, 0) {
				scale = a
			}
		}
		for k := range m.p.Buffers[i].Count() {
			g, w := getAny(got, k), getAny(want, k)
			if g == w || g != g && w != w {
				continue
			}
			if !(math.Abs(g-w) <= tol*scale) {
				t.Errorf("buffer %d element %d is %v, want %v", i, k, g, w)
				break
			}
		}
	}
	return x
}

// bits are the contents of all that a run leaves behind.
func (x *executable) bits() []byte {
	var all []byte
	for i := range x.p.Buffers {
		if b := &x.p.Buffers[i]; b.Role == plan.Output || b.Role == plan.State || b.Role == plan.Param {
			all = append(all, x.mem[b.Offset:b.Offset+b.Bytes()]...)
		}
	}
	return all
}

// sameForThreads runs a program with other numbers of threads and wants the same bits.
func sameForThreads(t *testing.T, x *executable) {
	t.Helper()
	defer vec.SetThreads(vec.Threads())
	var want []byte
	for _, n := range []int{1, 2, 8} {
		vec.SetThreads(n)
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		if got := x.bits(); want == nil {
			want = got
		} else if string(got) != string(want) {
			t.Errorf("other bits with %d threads", n)
		}
	}
}

var exactOps = []ir.Op{ir.Neg, ir.Abs, ir.Sign, ir.Floor, ir.Ceil, ir.Square, ir.Recip, ir.Sqrt,
	ir.Not, ir.Add, ir.Sub, ir.Mul, ir.Div, ir.Max, ir.Min, ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne,
	ir.And, ir.Or, ir.Where, ir.Const, ir.Normal, ir.Uniform, ir.Cast}

// randomLoop makes a loop of any shape over fresh buffers.
func randomLoop(m *maker, r *rand.Rand, run plan.BufID) {
	types := []ir.DType{ir.F32, ir.F64, ir.Int64, ir.Int, ir.Int32, ir.Uint8, ir.Bool}
	l := plan.Loop{Type: ir.F32}
	if r.IntN(2) == 0 {
		l.Type = ir.F64
	}
	typ := func() ir.DType {
		if r.IntN(4) == 0 {
			return types[r.IntN(len(types))]
		}
		return l.Type
	}
	sizes := []int{1, 2, 3, 5, 7, 16, 20, 33, 128}
	points := 1
	for range r.IntN(5) {
		d := sizes[r.IntN(len(sizes))]
		if r.IntN(8) == 0 {
			d = 1000 + r.IntN(3000)
		}
		if points*d > 40000 {
			break
		}
		points *= d
		l.Dims = append(l.Dims, d)
	}
	n := len(l.Dims)
	// access makes strides of a fresh array whose axes are some of the loop's dimensions, in some order, sliced.
	access := func(keep func(d int) bool, slice bool) (strides []int, off int, shape []int) {
		strides = make([]int, n)
		order := r.Perm(n)
		if r.IntN(3) > 0 {
			for i := range order {
				order[i] = i
			}
		}
		stride := 1
		shape = []int{}
		for i := n - 1; i >= 0; i-- {
			d := order[i]
			if !keep(d) {
				continue
			}
			size, step, start := l.Dims[d], 1, 0
			if slice && r.IntN(4) == 0 {
				step, start = 1+r.IntN(3), r.IntN(3)
				size = start + (l.Dims[d]-1)*step + 1 + r.IntN(2)
			}
			strides[d] = stride * step
			off += stride * start
			stride *= size
			shape = append([]int{size}, shape...)
		}
		return strides, off, shape
	}
	all := func(int) bool { return true }
	some := func(int) bool { return r.IntN(2) == 0 }
	for range 1 + r.IntN(4) {
		keep := all
		if r.IntN(2) == 0 {
			keep = some
		}
		strides, off, shape := access(keep, true)
		x := plan.Load{Buf: m.buffer(plan.Input, typ(), shape...), Offset: off, Strides: strides}
		for r.IntN(5) == 0 && n > 0 {
			g := plan.Guard{Start: -r.IntN(4), Strides: make([]int, n), Step: 1 + r.IntN(2)*r.IntN(3), Count: 1 + r.IntN(8)}
			g.Strides[r.IntN(n)] = 1
			if r.IntN(3) == 0 {
				g.Strides[r.IntN(n)] = r.IntN(3)
			}
			x.Guards = append(x.Guards, g)
		}
		l.Loads = append(l.Loads, x)
	}
	for range r.IntN(12) {
		in := plan.Instr{Op: exactOps[r.IntN(len(exactOps))], A: -1, B: -1, C: -1, Run: -1, Node: -1}
		pick := func() int32 { return int32(r.IntN(len(l.Loads) + len(l.Body))) }
		switch in.Op {
		case ir.Const:
			in.Imm = float64(r.IntN(5)) - 2
		case ir.Normal, ir.Uniform:
			keep := all
			if r.IntN(3) == 0 {
				keep = some
			}
			strides, off, _ := access(keep, true)
			in.Run, in.Index = run, &plan.Load{Offset: off, Strides: strides}
			in.Rand, in.Type = ir.Rand{Seed: r.Uint64(), Draw: r.Uint64()}, ir.DType(r.IntN(3))
		case ir.Cast:
			in.A, in.Type, in.Round = pick(), types[r.IntN(len(types))], r.IntN(2) == 0
			if in.Round && !in.Type.Float() && in.Type != ir.Bool { // of what fits
				l.Body = append(l.Body, plan.Instr{Op: ir.Cast, A: in.A, B: -1, C: -1, Type: ir.Bool, Round: true})
				in.A = int32(len(l.Loads) + len(l.Body) - 1)
			}
		default:
			in.A = pick()
			if in.Op.Info().Arity > 1 {
				in.B = pick()
			}
			if in.Op.Info().Arity > 2 {
				in.C = pick()
			}
		}
		l.Body = append(l.Body, in)
	}
	truth := int32(-1)
	for range 1 + r.IntN(4) {
		v := int32(r.IntN(len(l.Loads) + len(l.Body)))
		t := typ()
		s := plan.Store{Value: v}
		keep := all
		if r.IntN(2) == 0 && n > 0 {
			keep, t = some, l.Type
			if r.IntN(2) == 0 {
				s.Value = int32(r.IntN(len(l.Loads))) // what is no NaN
			}
			s.Combine = plan.Combine(1 + r.IntN(3))
		}
		if !t.Float() && t != ir.Bool {
			if truth < 0 {
				l.Body = append(l.Body, plan.Instr{Op: ir.Cast, A: v, B: -1, C: -1, Type: ir.Bool, Round: true})
				truth = int32(len(l.Loads) + len(l.Body) - 1)
			}
			s.Value = truth
		}
		var shape []int
		s.Strides, s.Offset, shape = access(keep, false)
		s.Buf = m.buffer(plan.Output, t, shape...)
		l.Stores = append(l.Stores, s)
	}
	m.loop(l)
}

func TestRandomLoops(t *testing.T) {
	n := 600
	if testing.Short() {
		n = 150
	}
	for seed := range uint64(n) {
		r := rand.New(rand.NewPCG(seed, 2))
		m := &maker{}
		run := m.buffer(plan.Input, ir.Int64)
		randomLoop(m, r, run)
		randomLoop(m, r, run)
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			// Sums of at most 40000 elements in float32: a rounding to the result's type after a wide or pairwise sum.
			x := compare(t, m, seed, 1e-6)
			sameForThreads(t, x)
		})
		if !ok {
			for _, s := range m.p.Steps {
				t.Logf("%+v", *s.Loop)
			}
			return
		}
	}
}
