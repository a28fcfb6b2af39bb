package pass

import (
	"cmp"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// pads turns sums of Pads, the gradients of slices, into Concats: for n slices that is one array written once instead
// of n written n times. A chain ((p1 + p2) + p3) + ... is taken as a list; each run of Pads in it is parted in space,
// so that every element gets the same numbers in the same order as before. The one thing that changes is a zero: what
// was x + 0, and so +0 for x = -0, becomes x.
//
// A chain of n Pads costs O(n log n).
func pads(g *ir.Graph) (*ir.Graph, Work) {
	if !slices.ContainsFunc(g.Nodes, func(n ir.Node) bool { return n.Op == ir.Pad }) {
		return g, Work{Visits: len(g.Nodes)}
	}
	r := rewriter{uses: make([]int32, len(g.Nodes))}
	r.count(g)
	next, inner := chains(g, r.uses)
	visits := 0
	out, work := rewrite(g, func(r *rewriter, id ir.ID, n *ir.Node) ir.ID {
		if n.Op != ir.Add || inner[id] {
			return -1
		}
		var terms []ir.ID // from the chain's end
		for {
			visits++
			a, b := g.Nodes[id].In[0], g.Nodes[id].In[1]
			if next[id] == b {
				a, b = b, a
			}
			terms = append(terms, r.to[b])
			if next[id] < 0 {
				terms = append(terms, r.to[a])
				break
			}
			id = a
		}
		slices.Reverse(terms)
		return r.sumTerms(terms)
	})
	work.Visits += visits
	return out, work
}

// chains finds chains of Adds each of which is used by the next alone: next is the operand with which the chain goes
// on (the longer one, if both are such sums), -1 at its beginning; inner marks all of a chain but its last.
func chains(g *ir.Graph, uses []int32) (next []ir.ID, inner []bool) {
	next, inner = make([]ir.ID, len(g.Nodes)), make([]bool, len(g.Nodes))
	length := make([]int32, len(g.Nodes))
	for i := range g.Nodes {
		next[i] = -1
		if g.Nodes[i].Op != ir.Add || uses[i] == 0 {
			continue
		}
		length[i] = 1
		for _, in := range g.Nodes[i].In {
			if g.Nodes[in].Op == ir.Add && uses[in] == 1 && length[in] >= length[i] {
				next[i], length[i] = in, length[in]+1
			}
		}
		if next[i] >= 0 {
			inner[next[i]] = true
		}
	}
	return next, inner
}

// sumTerms adds terms from the left, with runs of Pads made fewer terms; -1 if there is no run that can be.
func (r *rewriter) sumTerms(terms []ir.ID) ir.ID {
	usable := func(x ir.ID) bool {
		n := r.node(x)
		return n.Op == ir.Pad && r.node(n.In[0]).Count() > 0
	}
	var out []ir.ID
	for i := 0; i < len(terms); {
		j := i
		for j < len(terms) && usable(terms[j]) {
			j++
		}
		if j-i < 2 {
			out = append(out, terms[i])
			i++
			continue
		}
		out = append(out, r.merge(terms[i:j], i == 0)...)
		i = j
	}
	if len(out) == len(terms) {
		return -1
	}
	acc := out[0]
	for _, x := range out[1:] {
		acc = r.like(acc, ir.Add, acc, x)
	}
	return acc
}

// A piece is a padded term: the box of elements that it may change and what it adds there.
type piece struct {
	x          ir.ID
	order      int // in the sum
	start, end []int
	step       []int
}

// merge returns fewer terms with the same sum as a run of Pads, or the run itself. At the head of a sum one term
// does: there adding up what stands in one place is what the sum does too. Later in it the terms must be such that
// each changes an element once, or x+a+b would become x+(a+b).
func (r *rewriter) merge(terms []ir.ID, head bool) []ir.ID {
	shape := r.node(terms[0]).Shape
	all := make([]piece, len(terms))
	for i, t := range terms {
		n := r.node(t)
		s, small := n.Attr.(ir.Span), r.node(n.In[0]).Shape
		end := make([]int, len(shape))
		for d := range end {
			end[d] = s.Start[d] + (small[d]-1)*s.Step[d] + 1
		}
		all[i] = piece{n.In[0], i, s.Start, end, s.Step}
	}
	var layers [][]piece // the n-th piece of each group that space does not part
	joins := false       // two pieces in one place begin a group
	leaves(all, len(shape), func(group []piece) {
		r.work.Visits += len(group)
		for i, p := range group {
			if i == len(layers) {
				layers = append(layers, nil)
			}
			layers[i] = append(layers[i], p)
			joins = joins || i == 1 && samePlace(&group[0], &group[1])
		}
	})
	low := make([]int, len(shape))
	if head && (joins || len(layers) < len(terms)) {
		return []ir.ID{r.box(all, low, shape)}
	}
	if len(layers) == len(terms) {
		return terms
	}
	out := make([]ir.ID, len(layers))
	for i, l := range layers {
		out[i] = r.box(l, low, shape)
	}
	return out
}

// leaves calls f with the groups that no axis parts, each in the order of the sum.
func leaves(all []piece, dims int, f func([]piece)) {
	for d := range dims {
		if groups := split(all, d); len(groups) > 1 {
			for _, g := range groups {
				leaves(g, dims, f)
			}
			return
		}
	}
	slices.SortFunc(all, func(a, b piece) int { return cmp.Compare(a.order, b.order) })
	f(all)
}

func samePlace(a, b *piece) bool {
	return slices.Equal(a.start, b.start) && slices.Equal(a.end, b.end) && slices.Equal(a.step, b.step)
}

// split parts pieces along an axis into groups whose intervals do not meet, from low to high. It reorders all.
func split(all []piece, axis int) [][]piece {
	slices.SortFunc(all, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.start[axis], b.start[axis]), cmp.Compare(a.order, b.order))
	})
	var groups [][]piece
	first, end := 0, all[0].end[axis]
	for i := range all {
		if all[i].start[axis] >= end {
			groups = append(groups, all[first:i])
			first = i
		}
		end = max(end, all[i].end[axis])
	}
	return append(groups, all[first:])
}

// box returns the array of the given shape, whose first element stands at low, that is the sum of the pieces.
func (r *rewriter) box(all []piece, low, shape []int) ir.ID {
	for d := range shape {
		groups := split(all, d)
		if len(groups) < 2 {
			continue
		}
		r.work.Visits += len(all)
		var in []ir.ID
		at := low[d] // along the axis, up to here the box is made
		gap := func(to int) {
			if to > at {
				size := slices.Clone(shape)
				size[d] = to - at
				in = append(in, r.zeros(r.node(all[0].x).Type, size))
			}
		}
		for _, group := range groups {
			end := group[0].end[d]
			for _, p := range group {
				end = max(end, p.end[d])
			}
			gap(group[0].start[d])
			at = group[0].start[d]
			subLow, subShape := slices.Clone(low), slices.Clone(shape)
			subLow[d], subShape[d] = at, end-at
			in = append(in, r.box(group, subLow, subShape))
			at = end
		}
		gap(low[d] + shape[d])
		return r.concat(d, in)
	}
	// Nothing parts them: add in the order of the sum; what begins it in one place, before it is padded.
	slices.SortFunc(all, func(a, b piece) int { return cmp.Compare(a.order, b.order) })
	acc := ir.ID(-1)
	for i := 0; i < len(all); {
		p := &all[i]
		x := p.x
		for i++; acc < 0 && i < len(all) && samePlace(p, &all[i]); i++ {
			x = r.like(x, ir.Add, x, all[i].x)
		}
		start := make([]int, len(shape))
		for d := range start {
			start[d] = p.start[d] - low[d]
		}
		x = r.pad(x, ir.Span{Start: start, Step: p.step}, shape)
		if acc < 0 {
			acc = x
		} else {
			acc = r.like(acc, ir.Add, acc, x)
		}
	}
	return acc
}
