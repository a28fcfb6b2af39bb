package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// plan makes every node a step of its own.
func (l *planner) plan() error {
	l.leaves()
	for i := range l.g.Nodes {
		n := &l.g.Nodes[i]
		if !l.live[i] || n.Count() == 0 || n.Op == ir.Input {
			continue
		}
		r := Temp
		if slices.Contains(l.g.Outputs, ir.ID(i)) {
			r = Output
		}
		if n.Op == ir.Const {
			l.nodeBuffer(ir.ID(i), Const)
			continue
		}
		l.single(ir.ID(i), n, l.nodeBuffer(ir.ID(i), r))
	}
	l.updates(func(id ir.ID) BufID { return l.buf[id] })
	l.outputs()
	return nil
}

func (l *planner) add(id ir.ID, s Step) {
	n := &l.g.Nodes[id]
	s.Name = fmt.Sprintf("#%d %v", len(l.p.Steps), n.Op)
	s.Nodes = []ir.ID{id}
	s.Reads, s.Writes = distinct(s.Reads), distinct(s.Writes)
	s.Bytes = l.bytes(s.Reads) + l.bytes(s.Writes)
	l.p.Steps = append(l.p.Steps, s)
}

// loop appends a loop of at most one instruction.
func (l *planner) loop(id ir.ID, dims []int, loads []Load, body []Instr, st Store) {
	n := &l.g.Nodes[id]
	t := ir.F32
	s := Step{Writes: []BufID{st.Buf}}
	for _, x := range append([]ir.ID{id}, n.In...) {
		if u := l.g.Nodes[x].Type; u == ir.F64 || u == ir.Int64 || u == ir.Int || u == ir.Int32 {
			t = ir.F64
		}
	}
	if n.Type.Float() && len(n.In) > 0 && n.Op != ir.Cast {
		t = n.Type
	}
	for i := range loads {
		s.Reads = append(s.Reads, loads[i].Buf)
	}
	for i := range body {
		if body[i].Index != nil {
			s.Reads = append(s.Reads, body[i].Run)
		}
		s.Flops += int64(body[i].Op.Info().Flops) * int64(ir.Count(dims))
	}
	s.Loop = &Loop{Type: t, Dims: dims, Loads: loads, Body: body, Stores: []Store{st}}
	l.add(id, s)
}

func (l *planner) single(id ir.ID, n *ir.Node, out BufID) {
	dims := n.Shape
	strides := rowMajor(n.Shape)
	store := Store{Buf: out, Strides: strides}
	fill := func(v float64) { l.loop(id, dims, nil, []Instr{constant(v, id)}, store) }
	in := func(i int) *ir.Node { return &l.g.Nodes[n.In[i]] }
	switch n.Op.Class() {
	case ir.Elementwise:
		if n.Op == ir.Normal || n.Op == ir.Uniform {
			ins := Instr{Op: n.Op, A: -1, B: -1, C: -1, Rand: n.Attr.(ir.Rand), Run: l.buf[n.In[0]],
				Index: &Load{Buf: -1, Strides: strides}, Type: n.Type, Node: id}
			l.loop(id, dims, nil, []Instr{ins}, store)
			return
		}
		ins := Instr{Op: n.Op, A: -1, B: -1, C: -1, Round: n.Op == ir.Cast, Type: n.Type, Node: id}
		var loads []Load
		for i, v := range []*int32{&ins.A, &ins.B, &ins.C}[:len(n.In)] {
			*v = int32(i)
			loads = append(loads, Load{Buf: l.buf[n.In[i]], Strides: strides})
		}
		store.Value = int32(len(loads))
		l.loop(id, dims, loads, []Instr{ins}, store)
	case ir.Reduction:
		how, empty := combine(n.Op)
		if in(0).Count() == 0 {
			fill(empty)
			return
		}
		dims = in(0).Shape
		store.Combine = how
		store.Strides = make([]int, len(dims))
		for i, k := 0, 0; i < len(dims); i++ {
			if !slices.Contains(n.Attr.(ir.Axes), i) {
				store.Strides[i] = strides[k]
				k++
			}
		}
		l.loop(id, dims, []Load{{Buf: l.buf[n.In[0]], Strides: rowMajor(dims)}}, nil, store)
	case ir.Product:
		a, b := in(0).Shape, in(1).Shape
		d := len(dims)
		t := n.Attr.(ir.Trans)
		k := a[d-1]
		if t.A {
			k = a[d-2]
		}
		if k == 0 {
			fill(0)
			return
		}
		dot := &Dot{Type: n.Type, Batch: ir.Count(dims[:d-2]), M: dims[d-2], N: dims[d-1], K: k,
			A: Operand{Buf: l.buf[n.In[0]], Ld: a[d-1], Batch: a[d-1] * a[d-2], Trans: t.A},
			B: Operand{Buf: l.buf[n.In[1]], Ld: b[d-1], Batch: b[d-1] * b[d-2], Trans: t.B}}
		rows := []int{dot.Batch * dot.M, dot.N}
		dot.Epilogue = Loop{Type: n.Type, Dims: rows, Loads: []Load{{Buf: Acc, Strides: rowMajor(rows)}},
			Stores: []Store{{Buf: out, Strides: rowMajor(rows)}}}
		l.add(id, Step{Dot: dot, Reads: []BufID{dot.A.Buf, dot.B.Buf}, Writes: []BufID{out},
			Flops: 2 * int64(k) * int64(n.Count())})
	case ir.Foreign:
		c := &Custom{Kernel: n.Attr.(ir.Kernel), Out: out}
		for i := range n.In {
			if l.buf[n.In[i]] < 0 {
				l.nodeBuffer(n.In[i], Temp)
			}
			c.In = append(c.In, l.buf[n.In[i]])
		}
		l.add(id, Step{Custom: c, Reads: slices.Clone(c.In), Writes: []BufID{out}})
	default:
		l.movement(id, n, store, fill)
	}
}

func constant(v float64, id ir.ID) Instr {
	return Instr{Op: ir.Const, A: -1, B: -1, C: -1, Imm: v, Node: id}
}

// combine is how a reduction combines, and its value over nothing.
func combine(op ir.Op) (Combine, float64) {
	switch op {
	case ir.ReduceMax:
		return MaxOf, math.Inf(-1)
	case ir.ReduceMin:
		return MinOf, math.Inf(1)
	case ir.ReduceProd:
		return ProdOf, 1
	}
	return Sum, 0
}

func (l *planner) movement(id ir.ID, n *ir.Node, store Store, fill func(float64)) {
	src := &l.g.Nodes[n.In[0]]
	from := rowMajor(src.Shape)
	load := Load{Buf: l.buf[n.In[0]], Strides: make([]int, len(n.Shape))}
	dims := n.Shape
	switch n.Op {
	case ir.Broadcast:
		for i, d := range src.Shape {
			if d > 1 || n.Shape[i] == 1 {
				load.Strides[i] = from[i]
			}
		}
	case ir.Reshape:
		copy(load.Strides, rowMajor(n.Shape))
	case ir.Transpose:
		for i, a := range n.Attr.(ir.Axes) {
			load.Strides[i] = from[a]
		}
	case ir.Slice:
		span := n.Attr.(ir.Span)
		for i := range from {
			load.Offset += span.Start[i] * from[i]
			load.Strides[i] = span.Step[i] * from[i]
		}
	case ir.Concat:
		axis, at := n.Attr.(ir.Axes)[0], 0
		for _, x := range n.In {
			part := &l.g.Nodes[x]
			if part.Count() > 0 {
				st := store
				st.Offset = at * store.Strides[axis]
				l.loop(id, part.Shape, []Load{{Buf: l.buf[x], Strides: rowMajor(part.Shape)}}, nil, st)
			}
			at += part.Shape[axis]
		}
		return
	case ir.Pad:
		if src.Count() == 0 {
			fill(0)
			return
		}
		span := n.Attr.(ir.Span)
		// The places between, before and behind the operand's elements, dimension by dimension.
		zero := func(dims []int, off int, strides []int) {
			if ir.Count(dims) > 0 {
				l.loop(id, slices.Clone(dims), nil, []Instr{constant(0, id)},
					Store{Buf: store.Buf, Offset: off, Strides: slices.Clone(strides)})
			}
		}
		dims, strides, off := slices.Clone(n.Shape), slices.Clone(store.Strides), 0
		for i, all := range n.Shape {
			s, t, c, unit := span.Start[i], span.Step[i], src.Shape[i], strides[i]
			dims[i] = s
			zero(dims, off, strides)
			end := s + t*(c-1) + 1
			dims[i] = all - end
			zero(dims, off+end*unit, strides)
			dims[i], strides[i] = c-1, t*unit
			for r := 1; r < t; r++ {
				zero(dims, off+(s+r)*unit, strides)
			}
			dims[i] = c
			off += s * unit
		}
		l.loop(id, dims, []Load{{Buf: l.buf[n.In[0]], Strides: from}}, nil,
			Store{Buf: store.Buf, Offset: off, Strides: strides})
		return
	}
	l.loop(id, dims, []Load{load}, nil, store)
}

// rowMajor returns the strides of a contiguous array.
func rowMajor(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}
