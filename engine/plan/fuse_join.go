package plan

import (
	"github.com/godcem/godcem/engine/ir"
)

// together merges all groups that compute an operand and takes the node in; -1 if that cannot be.
func (f *fuser) together(id ir.ID, needs []need, count int, cuts []int) int32 {
	into, others := int32(-1), 0
	for _, x := range needs {
		if x.within < 0 || x.within == into {
			continue
		}
		others++
		if into < 0 || f.groups[x.within].dot >= 0 {
			into = x.within
		}
	}
	if others < 2 {
		return -1
	}
	level, size := int32(1), int32(0)
	for _, x := range needs {
		if x.within < 0 {
			level = max(level, x.level)
		} else {
			level = max(level, f.groups[x.within].level)
			size += f.groups[x.within].size
		}
	}
	g := &f.groups[into]
	all := g.cuts
	for _, x := range needs {
		if x.within < 0 {
			continue
		}
		h := &f.groups[x.within]
		if h.dot >= 0 && x.within != into || g.dot >= 0 && x.within != into && h.size > 64 {
			return -1
		}
		if !f.fits(id, x.within, count, nil, level) || f.behind(x.within, needs) || !sameType(h.typ, g.typ) {
			return -1
		}
		var ok bool
		if all, ok = mergeCuts(all, h.cuts, g.dot, g.row); !ok {
			return -1
		}
	}
	all, ok := mergeCuts(all, cuts, g.dot, g.row)
	if !ok || size >= maxGroup {
		return -1
	}
	for _, x := range needs {
		if x.within < 0 || f.find(x.within) == into {
			continue
		}
		h := &f.groups[f.find(x.within)]
		h.up = into
		g.minReader = min(g.minReader, h.minReader)
		g.size += h.size
		if g.typ == ir.NoType {
			g.typ = h.typ
		}
	}
	for i := range needs {
		if needs[i].within >= 0 {
			needs[i].within = into
		}
	}
	g.level, g.cuts = level, all
	return into
}

// single takes the node into the group of one operand, the one of the highest level that can.
func (f *fuser) single(id ir.ID, needs []need, count int, cuts []int) int32 {
	best, bestLevel := int32(-1), int32(0)
	for _, x := range needs {
		if x.within < 0 || x.within == best {
			continue
		}
		level := f.groups[x.within].level
		for _, y := range needs {
			if y.within != x.within {
				level = max(level, y.level)
			}
		}
		if h := f.groups[x.within].level; best >= 0 && h <= f.groups[best].level {
			continue
		}
		if f.fits(id, x.within, count, cuts, level) && !f.behind(x.within, needs) {
			best, bestLevel = x.within, level
		}
	}
	return f.enter(best, bestLevel, cuts)
}

// sibling takes the node into a group that reads the same array.
func (f *fuser) sibling(id ir.ID, needs []need, count int, cuts []int) int32 {
	for _, x := range needs {
		if !x.same || f.seen[x.src] < 0 {
			continue
		}
		if c := f.join(f.find(f.seen[x.src]), id, needs, count, cuts); c >= 0 {
			return c
		}
	}
	return -1
}

// join takes the node into a loop that computes none of its operands; -1 if that cannot be.
func (f *fuser) join(c int32, id ir.ID, needs []need, count int, cuts []int) int32 {
	g := &f.groups[c]
	level := g.level
	for _, x := range needs {
		level = max(level, x.level)
	}
	if g.dot >= 0 || f.behind(c, needs) || !f.fits(id, c, count, cuts, level) {
		return -1
	}
	return f.enter(c, level, cuts)
}

func (f *fuser) enter(c, level int32, cuts []int) int32 {
	if c >= 0 {
		g := &f.groups[c]
		g.level = level
		g.cuts, _ = mergeCuts(g.cuts, cuts, g.dot, g.row)
	}
	return c
}

// fits reports whether a group can take a node and have the level.
func (f *fuser) fits(id ir.ID, c int32, count int, cuts []int, level int32) bool {
	g := &f.groups[c]
	if g.closed || g.count != count || g.size >= maxGroup || !sameType(g.typ, f.arith[id]) || !g.canRise(level) {
		return false
	}
	if len(cuts) == 0 {
		return true
	}
	_, ok := mergeCuts(g.cuts, cuts, g.dot, g.row)
	return ok
}

// canRise reports whether a group may have the level: it stays below those that read from it.
func (g *group) canRise(level int32) bool { return level <= g.level || level < g.minReader }

// behind reports whether an operand is known only when the group has finished.
func (f *fuser) behind(c int32, needs []need) bool {
	for _, x := range needs {
		if x.home == c && x.within != c && x.level > f.groups[c].level {
			return true
		}
	}
	return false
}

func sameType(a, b ir.DType) bool { return a == b || a == ir.NoType || b == ir.NoType }

// merge joins loops over the same points that read the same array, or write the same Concat. They need not have met
// before: a node is placed when only those before it are, and moves later.
func (f *fuser) merge() bool {
	for i := range f.seen {
		f.seen[i] = -1
	}
	merged := false
	for i := range f.g.Nodes {
		n := f.node(ir.ID(i))
		if f.kind[i] == kindConcat {
			parts := f.partsOf(ir.ID(i))
			for k := 1; k < len(parts); k++ {
				if f.unite(f.find(parts[k-1].home), f.find(parts[k].home)) {
					merged = true
				}
			}
		}
		if k := f.kind[i]; k != kindElem && k != kindReduce || f.isNoise(ir.ID(i)) {
			continue
		}
		for _, o := range n.In {
			s := f.src[o]
			if f.kind[s] == kindImm || f.base[o] != s || f.home[s] >= 0 && f.find(f.home[s]) == f.find(f.home[i]) {
				continue
			}
			if c := f.seen[s]; c >= 0 && f.unite(f.find(c), f.find(f.home[i])) {
				merged = true
			}
			f.seen[s] = f.find(f.home[i])
		}
	}
	return merged
}

// unite makes two loops one, if they can be.
func (f *fuser) unite(a, b int32) bool {
	g, h := &f.groups[a], &f.groups[b]
	level := max(g.level, h.level)
	if a == b || g.closed || h.closed || g.dot >= 0 || h.dot >= 0 || g.count != h.count || !sameType(g.typ, h.typ) ||
		g.size+h.size > maxGroup || !g.canRise(level) || !h.canRise(level) {
		return false
	}
	cuts, ok := mergeCuts(g.cuts, h.cuts, -1, 0)
	if !ok {
		return false
	}
	h.up = a
	g.cuts, g.level = cuts, level
	g.size += h.size
	g.minReader = min(g.minReader, h.minReader)
	if g.typ == ir.NoType {
		g.typ = h.typ
	}
	return true
}
