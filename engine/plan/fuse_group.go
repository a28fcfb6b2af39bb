package plan

import (
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// group returns the group that a number stands for.
func (f *fuser) group(c int32) *group { return &f.groups[f.find(c)] }

func (f *fuser) find(c int32) int32 {
	for f.groups[c].up != c {
		f.groups[c].up = f.groups[f.groups[c].up].up
		c = f.groups[c].up
	}
	return c
}

func (f *fuser) newGroup(level int32, count int, t ir.DType) int32 {
	c := int32(len(f.groups))
	f.groups = append(f.groups, group{up: c, level: level, minReader: math.MaxInt32, count: count, typ: t,
		dot: -1, step: -1})
	return c
}

// assign gives every node that is computed a group.
func (f *fuser) assign() {
	for i := range f.g.Nodes {
		id, n := ir.ID(i), f.node(ir.ID(i))
		switch f.kind[i] {
		case kindNone:
		case kindLeaf:
		case kindImm:
			if f.forced[i] && n.Op != ir.Const {
				f.settle(id, nil, n.Count(), nil, f.alone[i], -1)
			}
		case kindElem:
			var cuts []int
			if !f.isNoise(id) {
				cuts = f.cutsOf(n.In)
			}
			f.settle(id, n.In, n.Count(), cuts, f.alone[i], -1)
			f.price(id, n)
		case kindMove:
			if f.forced[i] {
				f.settle(id, n.In, n.Count(), f.cutsOf([]ir.ID{id}), f.alone[i], -1)
				f.price(id, n)
			}
		case kindReduce:
			f.settle(id, n.In, f.node(n.In[0]).Count(), f.cutsOfReduction(n), f.alone[i], -1)
		case kindConcat:
			f.concat(id, n)
		default:
			f.step(id, n)
		}
	}
}

// step makes a group that begins with a product, or that is a step of another kind.
func (f *fuser) step(id ir.ID, n *ir.Node) {
	c := f.newGroup(1, n.Count(), f.arith[id])
	f.home[id] = c
	g := &f.groups[c]
	g.closed = true
	g.size = 1
	in := n.In
	if f.kind[id] == kindDot {
		g.closed = f.alone[id] || f.o.off("epilogue")
		g.dot, g.row = id, n.Shape[len(n.Shape)-1]
		in = f.dots[f.index[id]].in[:]
	} else {
		g.step = id
	}
	for _, o := range in {
		g.level = max(g.level, f.levelOf(f.base[o])+1)
	}
	for _, o := range in {
		f.reads(f.base[o], g.level)
	}
}

// levelOf is the level at which a node that is stored is complete; 0 for leaves.
func (f *fuser) levelOf(id ir.ID) int32 {
	switch {
	case f.kind[id] == kindConcat:
		return f.level[id]
	case f.home[id] >= 0:
		return f.group(f.home[id]).level
	}
	return 0
}

// A need is what an operand asks of a group.
type need struct {
	src    ir.ID
	level  int32 // of the group, if the operand comes from another one
	home   int32 // the group that computes the operand; -1: none
	within int32 // the same, if that is at the same points
	same   bool  // read at the group's own points
}

// need says what reading o asks for, at the group's points or others.
func (f *fuser) need(o ir.ID, same bool) need {
	s := f.src[o]
	x := need{src: s, level: 1, home: -1, within: -1, same: same && f.base[o] == s}
	if f.home[s] >= 0 {
		x.home = f.find(f.home[s])
	}
	switch f.kind[s] {
	case kindLeaf, kindImm:
	case kindElem, kindDot, kindMove:
		x.level = f.levelOf(s) + 1
		if x.same && !f.alone[s] {
			x.within = x.home
		}
		if f.kind[s] != kindDot && f.full[s] <= f.bound(x.same) && !f.alone[s] {
			x.level = min(x.level, f.rec[s])
		}
	default:
		x.level = f.levelOf(s) + 1
	}
	return x
}

// bound is what a value may cost that is computed again, read at the same points or at others.
func (f *fuser) bound(same bool) float32 {
	switch {
	case f.o.off("recompute"):
		return -1
	case same:
		return cheap
	}
	return cheapSpread
}

// settle finds a group for a node over count points with these operands: one that computes an operand at the same
// points, or one that reads the same arrays, or a new one; prefer, if it is a group, before all of them.
func (f *fuser) settle(id ir.ID, in []ir.ID, count int, cuts []int, alone bool, prefer int32) {
	var few [4]need
	needs := few[:0]
	for i, o := range in {
		if f.kind[o] == kindNone || slices.Contains(in[:i], o) {
			continue
		}
		x := f.need(o, f.kind[id] != kindMove)
		if f.isNoise(id) {
			x.level, x.within, x.same = f.levelOf(x.src)+1, -1, false
		}
		needs = append(needs, x)
	}
	c := int32(-1)
	if !alone {
		if prefer >= 0 {
			c = f.join(prefer, id, needs, count, cuts)
		}
		if c >= 0 {
			// it has one
		} else if c = f.together(id, needs, count, cuts); c < 0 {
			c = f.single(id, needs, count, cuts)
		}
		if c < 0 && !f.o.off("siblings") {
			c = f.sibling(id, needs, count, cuts)
		}
	}
	if c < 0 {
		level := int32(1)
		for _, x := range needs {
			level = max(level, x.level)
		}
		c = f.newGroup(level, count, f.arith[id])
		f.groups[c].cuts, _ = mergeCuts(nil, cuts, -1, 0)
		f.groups[c].closed = alone
	}
	g := &f.groups[c]
	g.size++
	if g.typ == ir.NoType {
		g.typ = f.arith[id]
	}
	f.home[id] = c
	f.register(c, g.level, needs)
}

// register notes what a group reads.
func (f *fuser) register(c, level int32, needs []need) {
	for _, x := range needs {
		if x.within == c {
			continue
		}
		f.reads(x.src, level)
		if x.same && (f.kind[x.src] == kindLeaf || f.kind[x.src] > kindElem || f.forced[x.src]) {
			f.seen[x.src] = c
		}
	}
}

// reads notes that a group of a level reads a node.
func (f *fuser) reads(id ir.ID, level int32) {
	if c := f.home[id]; c >= 0 {
		if g := f.group(c); level > g.level { // else it is computed again there
			g.minReader = min(g.minReader, level)
		}
	}
}

// mergeCuts joins two lists of cuts; not ok if the dimensions that they ask for exclude each other. A product's
// epilogue has the dimensions rows and row.
func mergeCuts(a, b []int, dot ir.ID, row int) ([]int, bool) {
	if dot >= 0 {
		for _, c := range b {
			if c != row {
				return a, false
			}
		}
		return a, true
	}
	if len(b) == 0 {
		return a, true
	}
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	out = slices.Compact(out)
	for i := 1; i < len(out); i++ {
		if out[i]%out[i-1] != 0 {
			return a, false
		}
	}
	return out, true
}

// cutsOf returns where movement splits the points of a node that reads these operands.
func (f *fuser) cutsOf(in []ir.ID) (cuts []int) {
	for _, o := range in {
		if b := f.base[o]; f.kind[b] == kindMove && !f.alone[b] {
			f.mv.set(f.g, f.node(b))
			cuts = appendCuts(cuts, f.mv.from)
		}
	}
	return cuts
}

func appendCuts(cuts, sizes []int) []int {
	unit := 1
	for i := len(sizes) - 1; i > 0; i-- {
		unit *= sizes[i]
		if unit > 1 && !slices.Contains(cuts, unit) {
			cuts = append(cuts, unit)
		}
	}
	return cuts
}

// reduction returns the operand's dimensions, those next to each other joined where all or none are reduced, and
// which are kept.
func reduction(shape []int, axes ir.Axes) (sizes []int, kept []bool) {
	for i, d := range shape {
		if d == 1 {
			continue
		}
		keep := !slices.Contains(axes, i)
		if k := len(sizes) - 1; k >= 0 && kept[k] == keep {
			sizes[k] *= d
			continue
		}
		sizes, kept = append(sizes, d), append(kept, keep)
	}
	return sizes, kept
}

func (f *fuser) cutsOfReduction(n *ir.Node) []int {
	sizes, _ := reduction(f.node(n.In[0]).Shape, n.Attr.(ir.Axes))
	return appendCuts(f.cutsOf(n.In), sizes)
}

// concat gives each operand of a Concat a group that writes it: the one that computes it, or one that copies.
func (f *fuser) concat(id ir.ID, n *ir.Node) {
	f.index[id] = int32(len(f.parts))
	axis := n.Attr.(ir.Axes)[0]
	unit := ir.Count(n.Shape[axis+1:])
	at := 0
	first := len(f.parts)
	for k, o := range n.In {
		s := f.node(o)
		if s.Count() == 0 {
			continue
		}
		p := part{partKey: partKey{id, k}, in: o, off: at * unit, home: -1}
		at += s.Shape[axis]
		b := f.base[o]
		if !f.alone[id] && !f.copied[p.partKey] && f.home[b] >= 0 && f.kind[b] != kindCustom && f.kind[b] != kindPad {
			g := f.group(f.home[b])
			var cuts []int
			if rows := ir.Count(s.Shape[axis:]); rows != s.Count() && rows != 1 && f.kind[b] != kindReduce {
				cuts = []int{rows}
			}
			if all, ok := mergeCuts(g.cuts, cuts, g.dot, g.row); ok {
				g.cuts = all
				p.home = f.find(f.home[b])
			}
		}
		f.parts = append(f.parts, p)
	}
	for i := first; i < len(f.parts); i++ { // the rest is copied, by a loop that writes another part if there is one
		p := &f.parts[i]
		if p.home >= 0 {
			continue
		}
		p.copied = true
		s := f.node(p.in)
		cuts := f.cutsOf([]ir.ID{p.in})
		if rows := ir.Count(s.Shape[axis:]); rows != s.Count() && rows != 1 {
			cuts = append(cuts, rows)
		}
		prefer := int32(-1)
		for _, q := range f.parts[first:] {
			if q.home >= 0 && f.group(q.home).count == s.Count() {
				prefer = f.find(q.home)
				break
			}
		}
		f.settle(id, []ir.ID{p.in}, s.Count(), cuts, f.alone[id] || f.copied[p.partKey], prefer)
		p.home = f.home[id]
		f.home[id] = -1
	}
	parts := f.partsOf(id)
	for i := range parts {
		f.level[id] = max(f.level[id], f.group(parts[i].home).level)
	}
	for i := range parts { // the writers must not rise above the level
		g := f.group(parts[i].home)
		g.minReader = min(g.minReader, f.level[id]+1)
	}
}

// partsOf returns the parts of a Concat.
func (f *fuser) partsOf(id ir.ID) []part {
	p := f.parts[f.index[id]:]
	for k := range p {
		if p[k].concat != id {
			return p[:k]
		}
	}
	return p
}

// price fills rec and full of a node.
func (f *fuser) price(id ir.ID, n *ir.Node) {
	rec, full := int32(1), flops(n.Op)
	for _, o := range n.In {
		s := f.src[o]
		switch k := f.kind[s]; {
		case f.isNoise(id):
			rec = f.levelOf(s) + 1
		case f.border[s]:
			rec = max(rec, f.levelOf(s)+1)
		case k == kindDot:
			rec, full = f.levelOf(s)+1, never
		case k == kindElem || k == kindMove && !f.alone[s]:
			rec = max(rec, f.rec[s])
			full += f.full[s]
		default:
			rec = max(rec, f.levelOf(s)+1)
		}
	}
	if f.border[id] {
		full = never
	}
	if full <= cheap { // groups of that level may come to read what the node is computed from
		for _, o := range n.In {
			f.reads(f.src[o], rec)
		}
	}
	f.rec[id], f.full[id] = rec, full
}

func (f *fuser) isNoise(id ir.ID) bool {
	op := f.g.Nodes[id].Op
	return op == ir.Normal || op == ir.Uniform
}

func flops(op ir.Op) float32 {
	if op == ir.Normal || op == ir.Uniform {
		return noiseFlops
	}
	return float32(op.Info().Flops)
}
