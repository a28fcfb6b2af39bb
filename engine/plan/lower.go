package plan

import (
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// lower makes the steps of all groups and puts them in order. bad is a node that has to be a step of its own, which
// alone and copied then say too; -1: there is none.
func (f *fuser) lower() (bad ir.ID, err error) {
	f.leaves()
	f.places()
	w := newLowerer(f)
	for c := range f.groups {
		g := &f.groups[c]
		if int(g.up) != c || len(g.roots) == 0 {
			continue
		}
		switch {
		case g.step < 0:
			w.group(int32(c))
		case f.kind[g.step] == kindCustom:
			f.custom(g.step)
		default:
			f.padSteps(g.step)
		}
	}
	if w.err != nil || w.bad >= 0 {
		return w.bad, w.err
	}
	for _, id := range f.g.Outputs {
		f.output(id)
	}
	if err := f.order(); err != nil {
		return -1, err
	}
	f.updates(f.operandBuffer)
	f.outputs()
	return -1, nil
}

// places makes the buffers of what is stored, in the graph's order, and tells the groups what they store.
func (f *fuser) places() {
	wanted := make([]bool, len(f.g.Nodes))
	for _, id := range f.g.Outputs {
		wanted[f.base[id]] = true
	}
	for i := range f.g.Nodes {
		id := ir.ID(i)
		if !f.stored[i] || f.kind[i] <= kindLeaf || f.g.Nodes[i].Op == ir.Const {
			continue
		}
		r := Temp
		if wanted[i] {
			r = Output
		}
		f.nodeBuffer(id, r)
		if f.kind[i] == kindConcat {
			for k, p := range f.partsOf(id) {
				g := f.group(p.home)
				g.roots = append(g.roots, root{f.base[p.in], f.index[id] + int32(k)})
			}
			continue
		}
		g := f.group(f.home[i])
		g.roots = append(g.roots, root{id, -1})
	}
}

// operandBuffer returns the buffer that holds what a node shows, unchanged.
func (f *fuser) operandBuffer(id ir.ID) BufID {
	b := f.base[id]
	switch n := f.node(b); {
	case n.Op == ir.Const:
		return f.nodeBuffer(b, Const)
	case n.Count() == 0:
		return f.nodeBuffer(b, Temp)
	}
	return f.buf[b]
}

// output gives a wanted node a buffer: one of its own, or a view.
func (f *fuser) output(id ir.ID) {
	n := f.node(id)
	if n.Count() == 0 || f.buf[id] >= 0 {
		return
	}
	b := f.operandBuffer(id)
	if f.base[id] != id {
		v := f.newBuffer(Buffer{Role: Output, Type: n.Type, Shape: n.Shape, Node: id})
		f.p.Buffers[v].Over = b
		f.buf[id] = v
	}
}

func (f *fuser) custom(id ir.ID) {
	n := f.node(id)
	c := &Custom{Kernel: n.Attr.(ir.Kernel), Out: f.buf[id]}
	s := Step{Custom: c, Writes: []BufID{c.Out}, Nodes: []ir.ID{id}, Name: "custom"}
	for _, o := range n.In {
		c.In = append(c.In, f.operandBuffer(o))
	}
	s.Reads = distinct(slices.Clone(c.In))
	s.Name = c.Kernel.String()
	s.Bytes = f.bytes(s.Reads) + f.bytes(s.Writes)
	s.Flops = int64(n.Count())
	if k, ok := c.Kernel.(ir.Coster); ok {
		flops, bytes := k.Cost()
		if flops > 0 {
			s.Flops = flops
		}
		if bytes > 0 {
			s.Bytes = bytes
		}
	}
	f.add(s, id)
}

// padSteps makes a Pad with steps: zeros in the places before, between and behind the operand's elements, dimension
// by dimension, and then a copy of the elements.
func (f *fuser) padSteps(id ir.ID) {
	n := f.node(id)
	src := f.node(n.In[0])
	span := n.Attr.(ir.Span)
	t := ir.F64
	if f.arith[id] == ir.F32 {
		t = ir.F32
	}
	emit := func(dims []int, off int, strides []int, from BufID) {
		if ir.Count(dims) == 0 {
			return
		}
		l := &Loop{Type: t, Dims: slices.Clone(dims),
			Stores: []Store{{Buf: f.buf[id], Offset: off, Strides: slices.Clone(strides)}}}
		if from >= 0 {
			l.Loads = []Load{{Buf: from, Strides: rowMajor(src.Shape)}}
		} else {
			l.Body = []Instr{{Op: ir.Const, A: -1, B: -1, C: -1, Type: n.Type, Node: id}}
		}
		mergeDims(l)
		f.add(f.loopStep(l, []ir.ID{id}), id)
	}
	dims, strides, off := slices.Clone(n.Shape), rowMajor(n.Shape), 0
	for i, all := range n.Shape {
		s, step, c, unit := span.Start[i], span.Step[i], src.Shape[i], strides[i]
		end := s + step*(c-1) + 1
		dims[i] = s
		emit(dims, off, strides, -1)
		dims[i] = all - end
		emit(dims, off+end*unit, strides, -1)
		dims[i], strides[i] = c-1, step*unit
		for r := 1; r < step; r++ {
			emit(dims, off+(s+r)*unit, strides, -1)
		}
		dims[i] = c
		off += s * unit
	}
	emit(dims, off, strides, f.operandBuffer(n.In[0]))
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
