package plan

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// A lowerer writes the body of one group's loop after the other. While it does, values are numbers of loads, or of
// instructions with the bit instrBit.
type lowerer struct {
	f     *fuser
	c     int32
	level int32
	dims  []int
	views []view
	index map[string]int32 // of views, by their key
	key   []byte
	own   []byte // the key of the first view, the group's own points

	plain []int32 // per node: its value at the group's own points
	stamp []int32 // per node: the attempt that plain is from
	try   int32
	other map[site]int32 // values at other points
	imms  map[uint64]int32
	loads []Load
	body  []Instr
	stack []frame

	want split // what the attempt failed for
	bad  ir.ID
	err  error
}

// A site is a node's value under a view.
type site struct {
	id   ir.ID
	view int32
}

type frame struct {
	site
	from site  // of a movement: its operand
	mask int32 // of a Pad: the view of its guards
	seen bool
}

const instrBit = 1 << 30

func newLowerer(f *fuser) *lowerer {
	n := len(f.g.Nodes)
	return &lowerer{f: f, plain: make([]int32, n), stamp: make([]int32, n), bad: -1}
}

// group makes the step of a group. The loop's dimensions are split as accesses ask for it; then it begins anew.
func (w *lowerer) group(c int32) {
	f := w.f
	g := &f.groups[c]
	w.c, w.level = c, g.level
	w.dims = w.dims[:0]
	if g.dot >= 0 {
		w.dims = append(w.dims, g.count/g.row, g.row)
	} else {
		n := g.count
		for i := len(g.cuts) - 1; i >= 0; i-- {
			w.dims = append(w.dims, n/g.cuts[i])
			n = g.cuts[i]
		}
		w.dims = append(w.dims, n)
	}
	t := g.typ
	if t == ir.NoType {
		t = ir.F32
	}
	for {
		w.begin()
		l := &Loop{Type: t}
		for i := range g.roots {
			if !w.root(l, &g.roots[i]) {
				break
			}
		}
		if w.err != nil {
			return
		}
		if w.want.dim >= 0 {
			d := w.want
			w.dims = slices.Insert(w.dims, d.dim+1, d.inner)
			w.dims[d.dim] /= d.inner
			continue
		}
		if w.bad < 0 {
			w.finish(l, g)
		}
		return
	}
}

func (w *lowerer) begin() {
	w.try++
	w.views = append(w.views[:0], identity(w.dims))
	w.own = w.views[0].key(w.own[:0])
	w.index, w.other, w.imms = nil, nil, nil
	w.loads, w.body = nil, nil
	w.want = noSplit
}

// failed notes that a view could not be had: another attempt with other dimensions, or another round with the node
// set aside.
func (w *lowerer) failed(id ir.ID, want split) {
	if want.dim >= 0 && w.f.groups[w.c].dot < 0 {
		w.want = want
		return
	}
	w.f.alone[id] = true
	w.bad = id
}

// root lowers what a group stores; false: the attempt is over.
func (w *lowerer) root(l *Loop, r *root) bool {
	f := w.f
	n := f.node(r.id)
	s := Store{Buf: f.buf[r.id]}
	out := w.views[0]
	if f.kind[r.id] == kindReduce && f.find(f.home[r.id]) == w.c {
		s.Value = w.value(site{n.In[0], 0})
		s.Combine, _ = combine(n.Op)
		sizes, kept := reduction(f.node(n.In[0]).Shape, n.Attr.(ir.Axes))
		digits, want, ok := align(out.digits, sizes, w.dims)
		if !ok {
			w.failed(r.id, want)
			return w.want.dim < 0
		}
		out = view{}
		for i, d := range digits {
			if kept[i] {
				out.digits = append(out.digits, d)
			}
		}
	} else {
		s.Value = w.value(site{r.id, 0})
	}
	if w.want.dim >= 0 || w.err != nil {
		return false
	}
	if r.part < 0 {
		s.Offset, s.Strides = out.linear(len(w.dims))
	} else {
		p := &f.parts[r.part]
		digits, strides, want, ok := f.partDigits(p, out.digits, w.dims)
		if !ok {
			if want.dim >= 0 && f.groups[w.c].dot < 0 {
				w.want = want
				return false
			}
			f.copied[p.partKey] = true
			w.bad = p.concat
			return true
		}
		s.Buf = f.buf[p.concat]
		s.Offset, s.Strides = address(digits, strides, len(w.dims))
		s.Offset += p.off
	}
	l.Stores = append(l.Stores, s)
	return true
}

// partDigits returns the digits of an operand of a Concat, and their strides in the Concat's buffer.
func (f *fuser) partDigits(p *part, digits []digit, dims []int) (out []digit, strides []int, want split, ok bool) {
	n := f.node(p.concat)
	shape := f.node(p.in).Shape
	axis := n.Attr.(ir.Axes)[0]
	inner := ir.Count(shape[axis:])
	sizes := []int{ir.Count(shape) / inner, inner}
	strides = []int{ir.Count(n.Shape[axis:]), 1}
	if sizes[0] == 1 {
		sizes, strides = sizes[1:], strides[1:]
	}
	out, want, ok = align(digits, sizes, dims)
	return out, strides, want, ok
}

// value returns the number of a node's value under a view.
func (w *lowerer) value(at site) int32 {
	if v, ok := w.known(at); ok {
		return v
	}
	w.stack = append(w.stack[:0], frame{site: at})
	for len(w.stack) > 0 && w.want.dim < 0 && w.err == nil {
		w.visit(&w.stack[len(w.stack)-1])
	}
	v, _ := w.known(at)
	return v
}

func (w *lowerer) known(at site) (int32, bool) {
	if at.view == 0 {
		return w.plain[at.id], w.stamp[at.id] == w.try
	}
	v, ok := w.other[at]
	return v, ok
}

// done sets the value of the place on top of the stack.
func (w *lowerer) done(v int32) {
	k := len(w.stack) - 1
	at := w.stack[k].site
	w.stack = w.stack[:k]
	if at.view == 0 {
		w.plain[at.id], w.stamp[at.id] = v, w.try
		return
	}
	w.keep(at, v)
}

func (w *lowerer) keep(at site, v int32) {
	if w.other == nil {
		w.other = map[site]int32{}
	}
	w.other[at] = v
}

// visit computes the place on top of the stack, or puts an operand that it needs there.
func (w *lowerer) visit(t *frame) {
	f, id := w.f, t.id
	n := f.node(id)
	if _, ok := w.known(t.site); ok {
		w.stack = w.stack[:len(w.stack)-1]
		return
	}
	switch k := f.kind[id]; {
	case k == kindImm:
		w.done(w.imm(f.imm[id], id))
	case k == kindLeaf:
		w.done(w.load(f.operandBuffer(id), t.view))
	case f.stored[id] && f.levelOf(id) < w.level && !w.inlined(id):
		w.done(w.load(f.buf[id], t.view))
	case k == kindMove:
		w.movement(t, n)
	case k == kindElem:
		w.instr(t, n)
	case k == kindDot && id == f.groups[w.c].dot && t.view == 0:
		_, s := w.views[0].linear(len(w.dims))
		w.loads = append(w.loads, Load{Buf: Acc, Strides: s})
		w.done(int32(len(w.loads) - 1))
	default:
		w.err = fmt.Errorf("plan: internal error: %s, of level %d, is needed at level %d", f.g.Label(id), f.levelOf(id), w.level)
	}
}

// inlined reports whether a stored movement is better read from where it comes from: what is repeated is smaller
// there.
func (w *lowerer) inlined(id ir.ID) bool {
	f := w.f
	if f.kind[id] != kindMove || f.alone[id] || f.g.Nodes[id].Op != ir.Broadcast {
		return false
	}
	s := f.src[f.node(id).In[0]]
	return f.kind[s] <= kindImm || f.stored[s] && f.levelOf(s) < w.level
}

func (w *lowerer) imm(v float64, id ir.ID) int32 {
	bits := math.Float64bits(v)
	if k, ok := w.imms[bits]; ok {
		return k
	}
	k := w.emit(Instr{Op: ir.Const, A: -1, B: -1, C: -1, Imm: v, Type: w.f.node(id).Type, Node: id})
	if w.imms == nil {
		w.imms = map[uint64]int32{}
	}
	w.imms[bits] = k
	return k
}

func (w *lowerer) emit(i Instr) int32 {
	w.body = append(w.body, i)
	return int32(len(w.body)-1) | instrBit
}

func (w *lowerer) load(b BufID, vw int32) int32 {
	v := &w.views[vw]
	l := Load{Buf: b, Guards: v.guards}
	l.Offset, l.Strides = v.linear(len(w.dims))
	w.loads = append(w.loads, l)
	return int32(len(w.loads) - 1)
}

func (w *lowerer) instr(t *frame, n *ir.Node) {
	f := w.f
	i := Instr{Op: n.Op, A: -1, B: -1, C: -1, Type: n.Type, Node: t.id}
	if f.isNoise(t.id) {
		v := &w.views[t.view]
		if len(v.guards) > 0 { // elements outside of the draw
			w.f.alone[t.id] = true
			w.bad = t.id
			w.done(0)
			return
		}
		i.Rand, i.Run, i.Index = n.Attr.(ir.Rand), f.operandBuffer(n.In[0]), &Load{Buf: -1}
		i.Index.Offset, i.Index.Strides = v.linear(len(w.dims))
		w.done(w.emit(i))
		return
	}
	at, view := len(w.stack), t.view
	for k, v := range [...]*int32{&i.A, &i.B, &i.C} {
		if k >= len(n.In) {
			break
		}
		x, ok := w.known(site{n.In[k], view})
		if !ok {
			w.stack = append(w.stack, frame{site: site{n.In[k], view}})
		}
		*v = x
	}
	if len(w.stack) > at {
		slices.Reverse(w.stack[at:])
		return
	}
	if n.Op == ir.Cast {
		from := f.node(n.In[0]).Type
		if n.Type == from || n.Type == ir.F64 || from == ir.Bool {
			w.done(i.A) // nothing is lost: truth is a number
			return
		}
		i.Round = true
	}
	if f.derived[t.id] {
		w.done(w.sigmoid(i))
		return
	}
	w.done(w.emit(i))
}

// sigmoid of x from softplus(x).
func (w *lowerer) sigmoid(i Instr) int32 {
	for _, op := range [...]ir.Op{ir.Neg, ir.Expm1} {
		i.Op = op
		i.A = w.emit(i)
	}
	i.Op = ir.Neg
	return w.emit(i)
}

func (w *lowerer) movement(t *frame, n *ir.Node) {
	f := w.f
	if !t.seen {
		from := n.In[0]
		if f.base[t.id] != t.id { // the same elements: skip what is between
			t.from = site{f.base[t.id], t.view}
		} else {
			f.mv.set(f.g, n)
			v, want, ok := f.mv.apply(&w.views[t.view], w.dims)
			if !ok {
				w.failed(t.id, want)
				w.done(0)
				return
			}
			t.mask = -1
			if f.mv.pad {
				t.mask = w.intern(view{guards: v.guards})
			}
			if f.node(from).Count() == 1 {
				v.guards = nil // the one element is there whatever the point
			}
			t.from = site{from, w.intern(v)}
		}
		t.seen = true
		if f.base[t.id] != t.id {
			t.mask = -1
		}
	}
	v, ok := w.known(t.from)
	if !ok {
		w.stack = append(w.stack, frame{site: t.from})
		return
	}
	if t.mask >= 0 {
		v = w.masked(v, t.mask, t.id)
	}
	w.done(v)
}

// masked makes a value 0 where a view's guards fail. A load with those guards is so already.
func (w *lowerer) masked(v, mask int32, id ir.ID) int32 {
	g := w.views[mask].guards
	if w.bad >= 0 || len(g) == 0 { // after a failure v may be no value
		return v
	}
	if v < instrBit {
		has := func(x Guard) bool { return slices.ContainsFunc(w.loads[v].Guards, x.equal) }
		if !slices.ContainsFunc(g, func(x Guard) bool { return !has(x) }) {
			return v
		}
	}
	at := site{-1, mask}
	one, ok := w.other[at]
	if !ok {
		w.loads = append(w.loads, Load{Buf: w.f.one(), Strides: make([]int, len(w.dims)), Guards: g})
		one = int32(len(w.loads) - 1)
		w.keep(at, one)
	}
	zero := w.imm(0, id)
	return w.emit(Instr{Op: ir.Where, A: one, B: v, C: zero, Type: w.f.node(id).Type, Node: id})
}

func (w *lowerer) intern(v view) int32 {
	w.key = v.key(w.key[:0])
	if bytes.Equal(w.key, w.own) {
		return 0
	}
	if k, ok := w.index[string(w.key)]; ok {
		return k
	}
	k := int32(len(w.views))
	if w.index == nil {
		w.index = map[string]int32{}
	}
	w.index[string(w.key)] = k
	w.views = append(w.views, v)
	return k
}

// finish numbers the values, merges dimensions and appends the step.
func (w *lowerer) finish(l *Loop, g *group) {
	f := w.f
	l.Dims, l.Loads, l.Body = slices.Clone(w.dims), w.loads, w.body
	number := func(v *int32) {
		if *v >= instrBit {
			*v = *v&^instrBit + int32(len(l.Loads))
		}
	}
	for i := range l.Body {
		b := &l.Body[i]
		number(&b.A)
		number(&b.B)
		number(&b.C)
	}
	for i := range l.Stores {
		number(&l.Stores[i].Value)
	}
	nodes := make([]ir.ID, 0, len(l.Body)+len(g.roots))
	for i := range l.Body {
		nodes = append(nodes, l.Body[i].Node)
	}
	for _, r := range g.roots {
		nodes = append(nodes, r.id)
		if r.part >= 0 {
			nodes = append(nodes, f.parts[r.part].concat)
		}
	}
	last := ir.ID(0)
	for _, r := range g.roots {
		last = max(last, r.id)
	}
	if g.dot >= 0 {
		f.add(f.dotStep(l, g.dot, append(nodes, g.dot)), last)
		return
	}
	mergeDims(l)
	f.add(f.loopStep(l, nodes), last)
}
