package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

// one is a buffer that holds the number 1.
func (f *fuser) one() BufID {
	if f.oneBuf < 0 {
		f.oneBuf = f.newBuffer(Buffer{Role: Const, Type: ir.F32, Shape: nil, Data: []float32{1}, Node: -1})
	}
	return f.oneBuf
}

// mergeDims joins neighbouring dimensions where all accesses allow it, and drops those of one point.
func mergeDims(l *Loop) {
	keep := make([]int, 0, len(l.Dims)) // the dimensions whose strides remain
	var dims []int
	for d, n := range l.Dims {
		switch k := len(keep) - 1; {
		case n == 1:
		case k >= 0 && l.mergeable(keep[k], d):
			keep[k] = d
			dims[k] *= n
		default:
			keep, dims = append(keep, d), append(dims, n)
		}
	}
	if len(keep) == len(l.Dims) {
		return
	}
	all := make([]int, 0, (len(l.Loads)+len(l.Stores))*len(keep))
	pick := func(s *[]int) {
		at := len(all)
		for _, d := range keep {
			all = append(all, (*s)[d])
		}
		*s = all[at:len(all):len(all)]
	}
	for i := range l.Loads {
		x := &l.Loads[i]
		pick(&x.Strides)
		x.Guards = slices.Clone(x.Guards) // loads share them
		for k := range x.Guards {
			pick(&x.Guards[k].Strides)
		}
	}
	for i := range l.Body {
		if x := l.Body[i].Index; x != nil {
			pick(&x.Strides)
		}
	}
	for i := range l.Stores {
		pick(&l.Stores[i].Strides)
	}
	l.Dims = dims
}

// mergeable reports whether dimension e can be the inner part of one with d, the next before it that has points.
func (l *Loop) mergeable(d, e int) bool {
	n := l.Dims[e]
	ok := func(s []int) bool { return s[d] == s[e]*n }
	for i := range l.Loads {
		x := &l.Loads[i]
		if !ok(x.Strides) {
			return false
		}
		for k := range x.Guards {
			if !ok(x.Guards[k].Strides) {
				return false
			}
		}
	}
	for i := range l.Body {
		if x := l.Body[i].Index; x != nil && !ok(x.Strides) {
			return false
		}
	}
	for i := range l.Stores {
		if !ok(l.Stores[i].Strides) {
			return false
		}
	}
	return true
}

// operands chooses where a product reads its operands from: as far back through movement as a matrix can be read.
func (f *fuser) operands(id ir.ID) {
	n := f.node(id)
	r := len(n.Shape)
	t := n.Attr.(ir.Trans)
	a := f.node(n.In[0]).Shape
	p := product{dot: Dot{Type: n.Type, Batch: ir.Count(n.Shape[:r-2]), M: n.Shape[r-2], N: n.Shape[r-1], K: a[r-1]}}
	d := &p.dot
	if t.A {
		d.K = a[r-2]
	}
	p.in[0] = f.operand(n.In[0], d.Batch, t.A, &d.A)
	p.in[1] = f.operand(n.In[1], d.Batch, t.B, &d.B)
	// One matrix B for all: the batch is more rows of A, if they lie so.
	follow := d.A.Batch == d.M*d.A.Ld
	if d.M == 1 {
		follow = d.A.Batch >= d.K
	}
	if d.Batch > 1 && d.B.Batch == 0 && !d.A.Trans && follow {
		if d.M == 1 {
			d.A.Ld = d.A.Batch
		}
		d.M, d.Batch = d.M*d.Batch, 1
	}
	if d.Batch == 1 {
		d.A.Batch, d.B.Batch = 0, 0
	}
	f.index[id] = int32(len(f.dots))
	f.dots = append(f.dots, p)
}

// operand finds the node, and the place in it, where the matrices of a node are; trans: the node holds them
// transposed.
func (f *fuser) operand(id ir.ID, batch int, trans bool, o *Operand) ir.ID {
	n := f.node(id)
	r := len(n.Shape)
	rows, cols := n.Shape[r-2], n.Shape[r-1]
	dims := []int{batch, rows, cols}
	v := identity(dims)
	found := id
	for {
		if x, ok := matrix(&v, dims); ok {
			*o, found = x, id
			o.Trans = o.Trans != trans
		}
		if f.kind[id] != kindMove || f.alone[id] {
			break
		}
		n = f.node(id)
		f.mv.set(f.g, n)
		next, _, ok := f.mv.apply(&v, dims)
		if !ok || len(next.guards) > 0 {
			break
		}
		v, id = next, n.In[0]
	}
	f.whole(found)
	return f.base[found]
}

// matrix describes a view with dimensions batch, rows and columns as an operand, if it is one.
func matrix(v *view, dims []int) (o Operand, ok bool) {
	off, s := v.linear(3)
	rows, cols := dims[1], dims[2]
	o = Operand{Offset: off, Batch: s[0]}
	switch {
	case (cols == 1 || s[2] == 1) && (rows == 1 || s[1] >= cols):
		if o.Ld = s[1]; rows == 1 {
			o.Ld = cols
		}
		return o, true
	case (rows == 1 || s[1] == 1) && (cols == 1 || s[2] >= rows):
		o.Trans = true
		if o.Ld = s[2]; cols == 1 {
			o.Ld = rows
		}
		return o, true
	}
	return o, false
}

// dotStep makes the step of a product.
func (f *fuser) dotStep(l *Loop, id ir.ID, nodes []ir.ID) Step {
	p := f.dots[f.index[id]]
	d := p.dot
	d.A.Buf, d.B.Buf = f.operandBuffer(p.in[0]), f.operandBuffer(p.in[1])
	d.Epilogue = *l
	s := f.loopStep(l, nodes)
	s.Loop, s.Dot = nil, &d
	s.Reads = distinct(append(s.Reads, d.A.Buf, d.B.Buf))
	s.Flops += 2 * int64(d.K) * int64(d.Batch) * int64(d.M) * int64(d.N)
	a, b := d.Batch, d.Batch
	if d.A.Batch == 0 {
		a = 1
	}
	if d.B.Batch == 0 {
		b = 1
	}
	s.Bytes += int64(d.Type.Size()) * int64(d.K) * int64(a*d.M+b*d.N)
	return s
}

// loopStep makes the step of a loop.
func (f *fuser) loopStep(l *Loop, nodes []ir.ID) Step {
	s := Step{Loop: l}
	type use struct {
		buf   BufID
		count int
	}
	uses := make([]use, 0, len(l.Loads)+len(l.Stores))
	touch := func(b BufID, strides []int) {
		n := 1
		for d, x := range strides {
			if x != 0 {
				n *= l.Dims[d]
			}
		}
		uses = append(uses, use{b, n})
	}
	sum := func() {
		slices.SortFunc(uses, func(a, b use) int { return int(a.buf) - int(b.buf) })
		for i := 0; i < len(uses); {
			b, n := uses[i].buf, 0
			for ; i < len(uses) && uses[i].buf == b; i++ {
				n += uses[i].count
			}
			s.Bytes += int64(min(n, f.p.Buffers[b].Count()) * f.p.Buffers[b].Type.Size())
		}
		uses = uses[:0]
	}
	for i := range l.Loads {
		if x := &l.Loads[i]; x.Buf != Acc {
			s.Reads = append(s.Reads, x.Buf)
			touch(x.Buf, x.Strides)
		}
	}
	for i := range l.Body {
		b := &l.Body[i]
		s.Flops += int64(b.Op.Info().Flops)
		if b.Index != nil {
			s.Reads = append(s.Reads, b.Run)
			touch(b.Run, nil)
		}
	}
	sum()
	for i := range l.Stores {
		x := &l.Stores[i]
		s.Writes = append(s.Writes, x.Buf)
		touch(x.Buf, x.Strides)
		if x.Combine != Set {
			s.Flops++
		}
	}
	sum()
	s.Flops *= int64(l.Points())
	s.Reads, s.Writes = distinct(s.Reads), distinct(s.Writes)
	slices.Sort(nodes)
	s.Nodes = slices.Compact(nodes)
	s.Name = f.name(s.Nodes)
	return s
}

// nameKinds is how many different kinds a step's name lists.
const nameKinds = 6

// name lists the kinds of what a step computes, each once; movement only if there is nothing else.
func (f *fuser) name(nodes []ir.ID) string {
	var names []string
	more := false
	for _, movement := range [...]bool{false, true} {
		for _, id := range nodes {
			op := f.node(id).Op
			if (op.Class() == ir.Movement) != movement || op == ir.Const || slices.Contains(names, op.String()) {
				continue
			}
			if len(names) == nameKinds {
				more = true
				break
			}
			names = append(names, op.String())
		}
		if len(names) > 0 {
			break
		}
	}
	if len(names) == 0 {
		names = append(names, "fill")
	}
	if more {
		names = append(names, "...")
	}
	return strings.Join(names, "+")
}

// add appends a step that computes a node, and nothing later.
func (f *fuser) add(s Step, last ir.ID) {
	f.p.Steps = append(f.p.Steps, s)
	f.last = append(f.last, last)
}

// order sorts the steps by the last node that they compute, each behind those that it reads from: a step comes no
// earlier than it must, and the first of those that wait for nothing else first.
func (f *fuser) order() error {
	n := len(f.p.Steps)
	writers := make([][]int32, len(f.p.Buffers))
	for i := range f.p.Steps {
		for _, b := range f.p.Steps[i].Writes {
			writers[b] = append(writers[b], int32(i))
		}
	}
	queue := make([]int32, n)
	for i := range queue {
		queue[i] = int32(i)
	}
	slices.SortStableFunc(queue, func(a, b int32) int { return int(f.last[a]) - int(f.last[b]) })
	const entered, done = 1, 2
	state := make([]uint8, n)
	out := make([]Step, 0, n)
	var stack []int32
	for _, first := range queue {
		if state[first] == done {
			continue
		}
		stack = append(stack, first)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			if state[i] != 0 {
				if stack = stack[:len(stack)-1]; state[i] == entered {
					state[i] = done
					out = append(out, f.p.Steps[i])
				}
				continue
			}
			state[i] = entered
			for _, b := range f.p.Steps[i].Reads {
				for _, k := range writers[b] {
					switch state[k] {
					case 0:
						stack = append(stack, k)
					case entered:
						return fmt.Errorf("plan: internal error: %s and %s wait for each other",
							f.p.Steps[i].Name, f.p.Steps[k].Name)
					}
				}
			}
		}
	}
	f.p.Steps = out
	for i := range out {
		out[i].Name = fmt.Sprintf("#%d %s", i, out[i].Name)
	}
	return nil
}
