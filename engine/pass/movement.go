package pass

import (
	"slices"
	"sort"

	"github.com/godcem/godcem/engine/ir"
)

// Movement moves elements without changing them, so that a chain of it is one movement or none. Each merge function
// returns the node that has the value of a movement of x, or -1 if the movement is as simple as it can be; the
// function of the same name without merge appends the movement in that case. Arrays without elements are left alone:
// nothing is to be gained there, and their spans may be anything.

func (r *rewriter) reshape(x ir.ID, shape []int) ir.ID {
	if id := r.mergeReshape(x, shape); id >= 0 {
		return id
	}
	return r.add(ir.Reshape, r.node(x).Type, shape, nil, x)
}

func (r *rewriter) mergeReshape(x ir.ID, shape []int) ir.ID {
	n := r.node(x)
	switch {
	case slices.Equal(n.Shape, shape):
		return x
	case n.Op == ir.Reshape:
		return r.reshape(n.In[0], shape)
	case n.Op == ir.Broadcast && len(r.node(n.In[0]).Shape) == 0:
		return r.broadcast(n.In[0], shape)
	}
	return -1
}

func (r *rewriter) transpose(x ir.ID, axes []int) ir.ID {
	if id := r.mergeTranspose(x, axes); id >= 0 {
		return id
	}
	n := r.node(x)
	shape := make([]int, len(axes))
	for i, a := range axes {
		shape[i] = n.Shape[a]
	}
	return r.add(ir.Transpose, n.Type, shape, ir.Axes(axes), x)
}

func (r *rewriter) mergeTranspose(x ir.ID, axes []int) ir.ID {
	n := r.node(x)
	last := -1 // of the dimensions that are not 1: where their order is kept no element moves
	moved := false
	for _, a := range axes {
		if n.Shape[a] != 1 {
			moved = moved || a < last
			last = a
		}
	}
	switch {
	case !moved:
		shape := make([]int, len(axes))
		for i, a := range axes {
			shape[i] = n.Shape[a]
		}
		return r.reshape(x, shape)
	case n.Op == ir.Transpose:
		inner := n.Attr.(ir.Axes)
		both := make([]int, len(axes))
		for i, a := range axes {
			both[i] = inner[a]
		}
		return r.transpose(n.In[0], both)
	case n.Op == ir.Broadcast:
		y, shape := n.In[0], make([]int, len(axes))
		for i, a := range axes {
			shape[i] = n.Shape[a]
		}
		if len(r.node(y).Shape) > 0 {
			y = r.transpose(y, axes)
		}
		return r.broadcast(y, shape)
	}
	return -1
}

func (r *rewriter) broadcast(x ir.ID, shape []int) ir.ID {
	if id := r.mergeBroadcast(x, shape); id >= 0 {
		return id
	}
	return r.add(ir.Broadcast, r.node(x).Type, shape, nil, x)
}

func (r *rewriter) mergeBroadcast(x ir.ID, shape []int) ir.ID {
	n := r.node(x)
	switch {
	case slices.Equal(n.Shape, shape):
		return x
	case ir.Count(shape) == 1:
		return r.reshape(x, shape)
	case n.Op == ir.Broadcast:
		return r.broadcast(n.In[0], shape)
	case len(n.Shape) > 0 && n.Count() == 1:
		return r.broadcast(r.reshape(x, nil), shape)
	}
	return -1
}

func (r *rewriter) slice(x ir.ID, s ir.Span, shape []int) ir.ID {
	if id := r.mergeSlice(x, s, shape); id >= 0 {
		return id
	}
	return r.add(ir.Slice, r.node(x).Type, shape, s, x)
}

func (r *rewriter) mergeSlice(x ir.ID, s ir.Span, shape []int) ir.ID {
	n := r.node(x)
	if slices.Equal(n.Shape, shape) {
		return x // as many elements in the same order: the same
	}
	if ir.Count(shape) == 0 {
		return -1
	}
	switch n.Op {
	case ir.Slice:
		return r.slice(n.In[0], compose(n.Attr.(ir.Span), s), shape)
	case ir.Broadcast:
		y := n.In[0]
		if small := r.node(y).Shape; len(small) > 0 {
			part := ir.Span{Start: slices.Clone(s.Start), Step: slices.Clone(s.Step)}
			size := slices.Clone(shape)
			for i, d := range small {
				if d == 1 {
					part.Start[i], part.Step[i], size[i] = 0, 1, 1
				}
			}
			y = r.slice(y, part, size)
		}
		return r.broadcast(y, shape)
	case ir.Concat:
		axis := n.Attr.(ir.Axes)[0]
		first, last := s.Start[axis], s.Start[axis]+(shape[axis]-1)*s.Step[axis]
		ends := r.endsOf(x)
		i := sort.SearchInts(ends, first+1) // the operand that holds the first element
		if last < ends[i] {
			y := n.In[i]
			part := ir.Span{Start: slices.Clone(s.Start), Step: s.Step}
			part.Start[axis] = first - (ends[i] - r.node(y).Shape[axis])
			return r.slice(y, part, shape)
		}
	case ir.Pad:
		return r.sliceOfPad(n, s, shape)
	}
	if t, other := unitSteps(s, shape); other {
		return r.add(ir.Slice, n.Type, shape, t, x)
	}
	return -1
}

// endsOf returns where along its axis each operand of a Concat ends. The last answer is kept: slices of one array
// come one after the other.
func (r *rewriter) endsOf(x ir.ID) []int {
	if r.ends == nil || r.endsFor != x {
		n := r.node(x)
		r.ends, r.endsFor = make([]int, len(n.In)), x
		at := 0
		for i, y := range n.In {
			at += r.node(y).Shape[n.Attr.(ir.Axes)[0]]
			r.ends[i] = at
		}
	}
	return r.ends
}

// compose is the span of a slice of a slice, or that of a pad of a pad where outer is the one nearer to the padded
// array's shape: element i of the result is element outer.Start + outer.Step*(inner.Start + inner.Step*i).
func compose(outer, inner ir.Span) ir.Span {
	s := ir.Span{Start: make([]int, len(outer.Start)), Step: make([]int, len(outer.Step))}
	for i := range s.Start {
		s.Start[i] = outer.Start[i] + outer.Step[i]*inner.Start[i]
		s.Step[i] = outer.Step[i] * inner.Step[i]
	}
	return s
}

// unitSteps replaces the steps along dimensions of one element, which mean nothing.
func unitSteps(s ir.Span, shape []int) (ir.Span, bool) {
	other := false
	for i, d := range shape {
		if d == 1 && s.Step[i] != 1 {
			if !other {
				s.Step = slices.Clone(s.Step)
			}
			other = true
			s.Step[i] = 1
		}
	}
	return s, other
}

// sliceOfPad finds a slice of a pad that holds none of the zeros, or nothing else.
func (r *rewriter) sliceOfPad(n *ir.Node, s ir.Span, shape []int) ir.ID {
	x, p := n.In[0], n.Attr.(ir.Span)
	small := r.node(x).Shape
	part := ir.Span{Start: make([]int, len(shape)), Step: make([]int, len(shape))}
	inside := true
	for i, d := range small {
		first, last := s.Start[i], s.Start[i]+(shape[i]-1)*s.Step[i]
		low, high := p.Start[i], p.Start[i]+(d-1)*p.Step[i]
		if d == 0 || last < low || first > high {
			return r.zeros(n.Type, shape)
		}
		if first < low || last > high || (first-low)%p.Step[i] != 0 || s.Step[i]%p.Step[i] != 0 && shape[i] > 1 {
			inside = false
			continue
		}
		part.Start[i], part.Step[i] = (first-low)/p.Step[i], max(1, s.Step[i]/p.Step[i])
	}
	if !inside {
		return -1
	}
	return r.slice(x, part, shape)
}

func (r *rewriter) pad(x ir.ID, s ir.Span, shape []int) ir.ID {
	if id := r.mergePad(x, s, shape); id >= 0 {
		return id
	}
	return r.add(ir.Pad, r.node(x).Type, shape, s, x)
}

func (r *rewriter) mergePad(x ir.ID, s ir.Span, shape []int) ir.ID {
	n := r.node(x)
	if slices.Equal(n.Shape, shape) {
		return x
	}
	if n.Count() == 0 {
		return -1
	}
	switch {
	case n.Op == ir.Pad && r.node(n.In[0]).Count() > 0:
		return r.pad(n.In[0], compose(s, n.Attr.(ir.Span)), shape)
	case r.isZero(x):
		return r.zeros(n.Type, shape)
	}
	if t, other := unitSteps(s, n.Shape); other {
		return r.add(ir.Pad, n.Type, shape, t, x)
	}
	return -1
}

func (r *rewriter) concat(axis int, in []ir.ID) ir.ID {
	first := r.node(in[0])
	if len(in) == 1 {
		return in[0]
	}
	t, shape := first.Type, slices.Clone(first.Shape)
	for _, x := range in[1:] {
		shape[axis] += r.node(x).Shape[axis]
	}
	if id := r.mergeConcat(axis, in, shape); id >= 0 {
		return id
	}
	return r.add(ir.Concat, t, shape, ir.Axes{axis}, in...)
}

// mergeConcat drops operands without elements, joins neighbours that are adjoining slices of one array, and knows an
// array of one value.
func (r *rewriter) mergeConcat(axis int, in []ir.ID, shape []int) ir.ID {
	if ir.Count(shape) == 0 {
		return -1
	}
	if v, ok := r.uniform(in[0]); ok {
		same := true
		for _, x := range in[1:] {
			w, ok := r.uniform(x)
			if same = ok && v == w; !same {
				break
			}
		}
		if same {
			return r.broadcast(v, shape)
		}
	}
	var out []ir.ID // nil: as in
	for i, x := range in {
		joined := ir.ID(-1)
		drop := r.node(x).Shape[axis] == 0
		last := i - 1
		if out != nil {
			last = len(out) - 1
		}
		if !drop && last >= 0 {
			if out != nil {
				joined = r.join(axis, out[last], x)
			} else {
				joined = r.join(axis, in[last], x)
			}
		}
		if (drop || joined >= 0) && out == nil {
			out = slices.Clone(in[:i])
		}
		switch {
		case drop:
		case joined >= 0:
			out[last] = joined
		case out != nil:
			out = append(out, x)
		}
	}
	if out == nil {
		if len(in) == 1 {
			return in[0]
		}
		return -1
	}
	return r.concat(axis, out)
}

// sliced reports whether an old node has a user that is a Slice.
func (r *rewriter) sliced(old ir.ID) bool {
	if r.slices == nil {
		r.slices = make([]bool, len(r.old.Nodes))
		for i := range r.old.Nodes {
			if n := &r.old.Nodes[i]; n.Op == ir.Slice {
				r.slices[n.In[0]] = true
			}
		}
	}
	return r.slices[old]
}

// mostParts is how many operands a Concat may get by flattening; it bounds what chains of Concats cost.
const mostParts = 1024

// flattenConcat makes one Concat of a Concat of Concats that have no other use, so that each part is written where it
// ends up. A Concat joins, for each of the places before its axis, what its operands have there, one after the other
// in memory. So it does not matter if shapes between differ, if only the number of places is the same: then all are
// taken for matrices. A Concat that slices are taken of is left alone: they are found in its operands as they are.
func (r *rewriter) flattenConcat(n *ir.Node) ir.ID {
	axis := n.Attr.(ir.Axes)[0]
	rows := ir.Count(n.Shape[:axis])
	if n.Count() == 0 {
		return -1
	}
	parts, alike, found := len(n.In), true, false
	for _, x := range n.In {
		if inner := r.nested(x, rows); inner != nil {
			found = true
			parts += len(inner.In) - 1
			alike = alike && r.node(x).Op == ir.Concat && inner.Attr.(ir.Axes)[0] == axis
		}
	}
	if !found || parts > mostParts {
		return -1
	}
	in, shape := make([]ir.ID, 0, parts), n.Shape
	put := func(x ir.ID) {
		if !alike {
			x = r.reshape(x, []int{rows, r.node(x).Count() / rows})
		}
		in = append(in, x)
	}
	for _, x := range n.In {
		if inner := r.nested(x, rows); inner != nil {
			for _, y := range inner.In {
				put(y)
			}
		} else {
			put(x)
		}
	}
	if alike {
		return r.concat(axis, in)
	}
	return r.reshape(r.concat(1, in), shape)
}

// nested is the Concat over so many rows that x is, seen through a Reshape, if nothing else needs it; else nil.
func (r *rewriter) nested(x ir.ID, rows int) *ir.Node {
	n := r.node(x)
	if n.Op == ir.Reshape && r.single(x) {
		x = n.In[0]
		n = r.node(x)
	}
	if n.Op != ir.Concat || !r.single(x) || n.Count() == 0 || ir.Count(n.Shape[:n.Attr.(ir.Axes)[0]]) != rows {
		return nil
	}
	return n
}

// join returns the slice that x and y, adjoining slices of one array, are one after the other; else -1.
func (r *rewriter) join(axis int, x, y ir.ID) ir.ID {
	a, b := r.node(x), r.node(y)
	if a.Op != ir.Slice || b.Op != ir.Slice || a.In[0] != b.In[0] {
		return -1
	}
	s, t := a.Attr.(ir.Span), b.Attr.(ir.Span)
	for i := range s.Start {
		if s.Step[i] != 1 || t.Step[i] != 1 || i != axis && s.Start[i] != t.Start[i] {
			return -1
		}
	}
	if s.Start[axis]+a.Shape[axis] != t.Start[axis] {
		return -1
	}
	shape := slices.Clone(a.Shape)
	shape[axis] += b.Shape[axis]
	return r.slice(a.In[0], s, shape)
}
