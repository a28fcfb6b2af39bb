package plan

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// accesses walks through one step: it checks every access and gathers what is read and written.
type accesses struct {
	v             *verifier
	step          int
	reads, writes []BufID
	err           error
}

func (a *accesses) fail(format string, args ...any) {
	if a.err == nil {
		a.err = a.v.fail(a.step, format, args...)
	}
}

// buf returns a buffer; nil after an error.
func (a *accesses) buf(what string, b BufID) *Buffer {
	if b < 0 || int(b) >= len(a.v.p.Buffers) {
		a.fail("%s: buffer %d of %d", what, b, len(a.v.p.Buffers))
		return nil
	}
	return &a.v.p.Buffers[b]
}

func (a *accesses) write(b BufID, off int, dims, strides []int) {
	a.writes = append(a.writes, b)
	a.v.stores[b] = append(a.v.stores[b], target{a.step, off, dims, strides})
}

// loop checks a Loop, or with dot the epilogue of a Dot.
func (a *accesses) loop(l *Loop, dot bool) {
	if !l.Type.Float() {
		a.fail("arithmetic in %v", l.Type)
	}
	for _, d := range l.Dims {
		if d < 0 {
			a.fail("dims %v", l.Dims)
			return
		}
	}
	rank := len(l.Dims)
	for i := range l.Loads {
		d := &l.Loads[i]
		if d.Buf == Acc && dot {
			continue
		}
		b := a.buf("load", d.Buf)
		if b == nil || len(d.Strides) != rank {
			a.fail("load %d: strides %v in dims %v", i, d.Strides, l.Dims)
			return
		}
		for k := range d.Guards {
			g := &d.Guards[k]
			if len(g.Strides) != rank || g.Step < 1 || g.Count < 0 {
				a.fail("load %d: guard %+v in dims %v", i, *g, l.Dims)
				return
			}
		}
		if lo, hi, some := guarded(l.Dims, d, b.Count()); some && (lo < 0 || hi >= b.Count()) {
			a.fail("load %d reads elements %d to %d of buffer %d, %v (offset %d, strides %v, dims %v, guards %v)",
				i, lo, hi, d.Buf, b.Shape, d.Offset, d.Strides, l.Dims, d.Guards)
		}
		a.reads = append(a.reads, d.Buf)
	}
	for i := range l.Body {
		a.instr(l, i)
	}
	values := len(l.Loads) + len(l.Body)
	if len(l.Stores) == 0 {
		a.fail("stores nothing")
	}
	for i := range l.Stores {
		s := &l.Stores[i]
		b := a.buf("store", s.Buf)
		switch {
		case b == nil:
			return
		case s.Value < 0 || int(s.Value) >= values:
			a.fail("store %d of value %d of %d", i, s.Value, values)
			return
		case len(s.Strides) != rank:
			a.fail("store %d: strides %v in dims %v", i, s.Strides, l.Dims)
			return
		case s.Combine > ProdOf:
			a.fail("store %d: combine %d", i, s.Combine)
			return
		}
		dims, strides := l.Dims, s.Strides
		if s.Combine != Set { // one element for all points along a dimension of stride 0
			dims, strides = nil, nil
			for d, n := range l.Dims {
				if s.Strides[d] != 0 {
					dims, strides = append(dims, n), append(strides, s.Strides[d])
				}
			}
		}
		if lo, hi, some := extent(dims, s.Offset, strides); some && (lo < 0 || hi >= b.Count()) {
			a.fail("store %d writes elements %d to %d of buffer %d, %v (offset %d, strides %v, dims %v)",
				i, lo, hi, s.Buf, b.Shape, s.Offset, s.Strides, l.Dims)
			return
		}
		a.write(s.Buf, s.Offset, dims, strides)
	}
}

func (a *accesses) instr(l *Loop, i int) {
	n := &l.Body[i]
	if n.Op == ir.Const {
		return
	}
	info := n.Op.Info()
	if info.Class != ir.Elementwise {
		a.fail("instruction %d: %v is not elementwise", i, n.Op)
		return
	}
	if n.Node < -1 || a.v.p.Graph != nil && int(n.Node) >= len(a.v.p.Graph.Nodes) {
		a.fail("instruction %d: node %%%d", i, n.Node)
	}
	if n.Op == ir.Normal || n.Op == ir.Uniform {
		b := a.buf("run number", n.Run)
		switch {
		case b == nil:
		case b.Type != ir.Int64 || b.Count() < 1:
			a.fail("instruction %d: run number in buffer %d, %v %v", i, n.Run, b.Type, b.Shape)
		case n.Index == nil || len(n.Index.Strides) != len(l.Dims):
			a.fail("instruction %d: %v without an index of the loop", i, n.Op)
		default:
			if lo, _, some := extent(l.Dims, n.Index.Offset, n.Index.Strides); some && lo < 0 {
				a.fail("instruction %d: element %d of a draw", i, lo)
			}
		}
		a.reads = append(a.reads, n.Run)
		return
	}
	for k, x := range [...]int32{n.A, n.B, n.C} {
		if k >= info.Arity {
			break
		}
		if x < 0 || int(x) >= len(l.Loads)+i {
			a.fail("instruction %d: operand %d is value %d, want one before %d", i, k, x, len(l.Loads)+i)
		}
	}
}

func (a *accesses) dot(d *Dot) {
	if d.Batch < 0 || d.M < 0 || d.N < 0 || d.K < 0 || !slices.Equal(d.Epilogue.Dims, []int{d.Batch * d.M, d.N}) {
		a.fail("batch %d, %d x %d x %d with an epilogue of dims %v", d.Batch, d.M, d.K, d.N, d.Epilogue.Dims)
		return
	}
	if d.Epilogue.Type != d.Type {
		a.fail("product in %v, epilogue in %v", d.Type, d.Epilogue.Type)
	}
	a.operand("A", d, d.A, d.M, d.K)
	a.operand("B", d, d.B, d.K, d.N)
	a.loop(&d.Epilogue, true)
}

func (a *accesses) operand(what string, d *Dot, o Operand, rows, cols int) {
	b := a.buf(what, o.Buf)
	if b == nil {
		return
	}
	if b.Type != d.Type {
		a.fail("%s: buffer %d is %v, want %v", what, o.Buf, b.Type, d.Type)
	}
	if o.Trans {
		rows, cols = cols, rows
	}
	if rows > 1 && o.Ld < cols {
		a.fail("%s: rows of %d at a distance of %d", what, cols, o.Ld)
	}
	lo, hi, some := extent([]int{d.Batch, rows, cols}, o.Offset, []int{o.Batch, o.Ld, 1})
	if some && (lo < 0 || hi >= b.Count()) {
		a.fail("%s reads elements %d to %d of buffer %d, %v: %+v", what, lo, hi, o.Buf, b.Shape, o)
	}
	a.reads = append(a.reads, o.Buf)
}

func (a *accesses) custom(c *Custom) {
	if c.Kernel == nil {
		a.fail("no kernel")
	}
	for _, b := range c.In {
		if b == c.Out {
			a.fail("buffer %d is operand and result", b)
		}
		a.buf("operand", b)
	}
	if b := a.buf("result", c.Out); b != nil {
		a.reads = append(a.reads, c.In...)
		a.write(c.Out, 0, []int{b.Count()}, []int{1})
	}
}

func (a *accesses) update(u *Update) {
	if len(u.Grads) != len(u.Params) {
		a.fail("%d parameters and %d gradients", len(u.Params), len(u.Grads))
		return
	}
	array := func(what string, list []BufID, role Role) {
		if len(list) != 0 && len(list) != len(u.Params) {
			a.fail("%d arrays %s for %d parameters", len(list), what, len(u.Params))
			return
		}
		for i, id := range list {
			b, q := a.buf(what, id), a.buf("params", u.Params[i])
			if b == nil || q == nil {
				return
			}
			if b.Type != q.Type || b.Count() != q.Count() || !b.Type.Float() || role != Temp && b.Role != role {
				a.fail("%s %d: buffer %d, %v %v, role %d", what, i, id, b.Type, b.Shape, b.Role)
			}
		}
	}
	array("params", u.Params, Param)
	array("grads", u.Grads, Temp)
	array("m", u.M, State)
	array("v", u.V, State)
	array("velocity", u.Velocity, State)
	cell := func(what string, id BufID, count int, ok func(b *Buffer) bool) {
		if b := a.buf(what, id); b != nil && (b.Count() < count || !ok(b)) {
			a.fail("%s: buffer %d, %v %v, role %d", what, id, b.Type, b.Shape, b.Role)
		}
	}
	cell("rate", u.Rate, 1, func(b *Buffer) bool { return b.Type == ir.F64 && b.Role == State })
	cell("steps", u.Steps, 1, func(b *Buffer) bool { return b.Type == ir.Int64 && b.Role == State })
	cell("info", u.Info, 4, func(b *Buffer) bool { return b.Type == ir.F64 && (b.Role == State || b.Role == Output) })
	a.reads = slices.Concat(u.Params, u.Grads, u.M, u.V, u.Velocity, []BufID{u.Rate, u.Steps})
	a.writes = slices.Concat(u.Params, u.M, u.V, u.Velocity, []BufID{u.Steps})
	if u.Loss >= 0 {
		cell("loss", u.Loss, 1, func(b *Buffer) bool { return b.Type.Float() })
		a.reads = append(a.reads, u.Loss)
	}
	if b := a.buf("info", u.Info); b != nil {
		a.write(u.Info, 0, []int{b.Count()}, []int{1})
	}
}

// compare checks the step's Reads and Writes against what was gathered; an update need not list its own state.
func (a *accesses) compare(s *Step) error {
	p := a.v.p
	state := func(b BufID) bool {
		return s.Update != nil && b >= 0 && int(b) < len(p.Buffers) &&
			(p.Buffers[b].Role == State || p.Buffers[b].Role == Param)
	}
	for _, x := range [...]struct {
		what       string
		have, want []BufID
	}{{"Reads", s.Reads, a.reads}, {"Writes", s.Writes, a.writes}} {
		have, want := slices.Sorted(slices.Values(x.have)), slices.Compact(slices.Sorted(slices.Values(x.want)))
		if len(slices.Compact(slices.Clone(have))) != len(have) {
			return a.v.fail(a.step, "%s %v names a buffer twice", x.what, x.have)
		}
		have, want = slices.DeleteFunc(have, state), slices.DeleteFunc(want, state)
		if !slices.Equal(have, want) {
			return a.v.fail(a.step, "%s is %v, but the step accesses %v", x.what, have, want)
		}
	}
	return nil
}
