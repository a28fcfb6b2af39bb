package plan

import (
	"github.com/godcem/godcem/engine/ir"
)

// A demand says who needs a node's value.
type demand struct {
	group int32 // of those, the one of the lowest level; -1: none yet
	many  bool  // there are others
	tie   bool  // there is another one of that level
	same  bool  // some need it at the node's own points
	apart bool  // that lowest one needs it at other points only
	other int   // evaluations at other points
}

// push adds a group to a demand.
func (f *fuser) push(id ir.ID, c int32, same bool, points int) {
	d := &f.demand[id]
	if same {
		d.same = true
	} else {
		d.other += points
	}
	c = f.find(c)
	switch {
	case d.group < 0:
		d.group, d.apart = c, !same
	case d.group == c:
		d.apart = d.apart && !same
	default:
		d.many = true
		switch a, b := f.groups[c].level, f.groups[d.group].level; {
		case a < b:
			d.group, d.apart, d.tie = c, !same, false
		case a == b:
			d.tie = true
		}
	}
}

// pass hands the demand of a movement, or of what else is computed where it is used, on to its operand.
func (f *fuser) pass(id, to ir.ID, same bool) {
	d := f.demand[id]
	if d.group < 0 {
		return
	}
	points := d.other
	if d.same && !same {
		points += f.node(id).Count()
	}
	e := &f.demand[to]
	other := e.other
	f.push(to, d.group, same && d.same && !d.apart, 0)
	e.other = other + points
	e.same = e.same || same && d.same
	e.many = e.many || d.many
	if f.find(e.group) == f.find(d.group) {
		e.tie = e.tie || d.tie
	}
}

// sink goes through the nodes from the last to the first, gathers who needs what, and moves a node to the group that
// needs it first if that is not its own: then it need not be kept until there. It stays if this would keep more than
// one other value instead. Only the last call moves a node to a group over other points, where it cannot be stored:
// groups that are merged afterwards may come to need it too.
func (f *fuser) sink(last bool) {
	for i := range f.demand {
		f.demand[i] = demand{group: -1}
	}
	f.countMissing()
	pinned := make([]bool, len(f.g.Nodes))
	for i := range f.parts {
		if p := &f.parts[i]; !p.copied {
			pinned[f.base[p.in]] = true
		}
	}
	for i := len(f.g.Nodes) - 1; i >= 0; i-- {
		id, n := ir.ID(i), f.node(ir.ID(i))
		if f.kind[i] == kindNone {
			continue
		}
		switch f.kind[i] {
		case kindElem:
			if !f.forced[i] && !pinned[i] {
				f.sinkNode(id, n, last)
			}
			if !f.isNoise(id) {
				for _, o := range n.In {
					f.push(o, f.home[i], true, n.Count())
				}
			}
		case kindMove:
			if f.home[i] >= 0 {
				f.push(n.In[0], f.home[i], false, n.Count())
			} else {
				f.pass(id, n.In[0], f.base[i] != id)
			}
		case kindConcat:
			for _, p := range f.partsOf(id) {
				f.push(p.in, p.home, true, 0)
			}
		case kindReduce:
			f.push(n.In[0], f.home[i], true, f.node(n.In[0]).Count())
		}
	}
}

// sinkNode moves an elementwise node whose users are known.
func (f *fuser) sinkNode(id ir.ID, n *ir.Node, last bool) {
	d := &f.demand[id]
	if d.group < 0 || d.tie {
		return
	}
	from, to := f.find(f.home[id]), f.find(d.group)
	g := &f.groups[to]
	if from == to || g.size >= maxGroup || !sameType(g.typ, f.arith[id]) {
		return
	}
	if (d.many || !last) && (d.apart || g.count != n.Count()) {
		return
	}
	points := d.other
	if d.same {
		points += n.Count()
	}
	if !d.many && points > n.Count() && f.full[id] > cheapSpread {
		return
	}
	var cuts []int
	if !f.isNoise(id) {
		missing := 0
		for k, o := range n.In {
			if k == 0 || o != n.In[0] {
				missing += int(f.missing(o, to))
			}
		}
		if missing > 1 {
			return
		}
		cuts = f.cutsOf(n.In)
	}
	if g.count == n.Count() {
		all, ok := mergeCuts(g.cuts, cuts, g.dot, g.row)
		if !ok {
			return
		}
		g.cuts = all
	} else if g.dot >= 0 && len(cuts) > 0 {
		return
	}
	g.size++
	if g.typ == ir.NoType {
		g.typ = f.arith[id]
	}
	if d.many {
		g.minReader = min(g.minReader, g.level+1)
	}
	f.groups[from].size--
	f.home[id] = to
}

// countMissing fills left, the number of uses, and miss: whether a node is not at hand in other groups, unless more
// is stored than what is stored in any case.
func (f *fuser) countMissing() {
	clear(f.left)
	for i := range f.g.Nodes {
		if f.kind[i] != kindNone {
			for _, o := range f.node(ir.ID(i)).In {
				f.left[o]++
			}
		}
	}
	for i := range f.g.Nodes {
		n := f.node(ir.ID(i))
		f.miss[i] = 0
		switch k := f.kind[i]; {
		case f.forced[i]:
		case k == kindMove:
			f.miss[i] = f.miss[n.In[0]]
		case k == kindDot:
			f.miss[i] = 1
		case k == kindElem && f.full[i] > f.bound(true):
			if f.left[i] > 1 {
				f.miss[i] = 1
			} else if !f.isNoise(ir.ID(i)) {
				for _, o := range n.In {
					f.miss[i] |= f.miss[o]
				}
			}
		}
	}
}

// missing is 1 if a value would have to be stored for a group to read an operand, and is not otherwise.
func (f *fuser) missing(o ir.ID, to int32) uint8 {
	for f.kind[o] == kindMove && f.home[o] < 0 {
		o = f.node(o).In[0]
	}
	d := &f.demand[o]
	if f.home[o] < 0 || f.find(f.home[o]) == to ||
		d.group >= 0 && (d.many || f.find(d.group) != f.find(f.home[o])) {
		return 0
	}
	return f.miss[o]
}

// choose says which values are stored. A value that other groups need is stored in its own, unless it takes only a
// few operations to compute it again from what is stored.
func (f *fuser) choose() {
	for i := range f.g.Nodes {
		id, n := ir.ID(i), f.node(ir.ID(i))
		switch f.kind[i] {
		case kindNone, kindImm, kindMove:
			f.stored[i] = f.forced[i]
		case kindElem:
			f.again[i], f.far[i] = f.cost(id, n)
			f.stored[i] = f.forced[i] || f.crosses(id) && !f.recompute(id, n)
		case kindDot:
			f.stored[i] = f.forced[i] || f.crosses(id)
			f.again[i] = never
		default:
			f.stored[i] = true
		}
	}
}

// crosses reports whether groups other than its own need a node's value.
func (f *fuser) crosses(id ir.ID) bool {
	d := &f.demand[id]
	return d.group >= 0 && (d.many || f.find(d.group) != f.find(f.home[id]) || f.kind[id] == kindDot && d.other > 0)
}

// cost is what computing a node again takes from what is stored: flops, and loads of arrays of its own size.
func (f *fuser) cost(id ir.ID, n *ir.Node) (float32, uint8) {
	again, far := flops(n.Op), 0
	if f.isNoise(id) {
		return again, 0
	}
	for k, o := range n.In {
		if k > 0 && o == n.In[0] {
			continue
		}
		s := f.src[o]
		big := 2*f.node(s).Count() > n.Count()
		switch {
		case f.stored[s] || f.kind[s] == kindLeaf:
			if big {
				far += 2
				if f.kind[s] == kindLeaf {
					far-- // it lives anyway
				}
			}
		case f.kind[s] == kindElem || f.kind[s] == kindDot:
			again += f.again[s]
			if big {
				far += int(f.far[s])
			}
		}
	}
	return again, uint8(min(far, 100))
}

// maxFar allows one stored array and one input, or three inputs.
const maxFar = 3

func (f *fuser) recompute(id ir.ID, n *ir.Node) bool {
	if f.o.off("recompute") || f.far[id] > maxFar {
		return false
	}
	d := &f.demand[id]
	a := f.again[id]
	if d.other > n.Count()+n.Count()/2 {
		return a <= cheapSpread || a*float32(d.other) <= cheapTotal
	}
	return a <= cheap
}
