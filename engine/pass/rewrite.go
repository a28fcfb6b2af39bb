package pass

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// A rewriter copies a graph node by node, in order, and lets a rule put another node in the place of each. Facts
// about nodes are slices by number.
type rewriter struct {
	old, g *ir.Graph
	to     []ir.ID // old number -> new number
	// refs counts the uses, in the old graph, of what a new node stands for; an output or an update counts as many,
	// for the value is needed as it is.
	refs []int32
	uses []int32 // of the old nodes; 0: not needed
	slab []ir.ID // operand lists are cut from it
	src  int32   // of the nodes that the rule adds
	cur  ir.Node // the copy on which the rule works
	work Work

	ends    []int // see endsOf
	endsFor ir.ID
	slices  []bool // see sliced
}

// A rule, called with each node that is needed, returns the new node that takes the place of old node id, whose copy
// with new operands is n, or -1 to leave it as it is. It must not keep n.
type rule func(r *rewriter, id ir.ID, n *ir.Node) ir.ID

// many is a number of uses that is not one.
const many = 1 << 20

// rewrite applies a rule to a graph. The result may hold nodes that nothing needs.
func rewrite(g *ir.Graph, f rule) (*ir.Graph, Work) {
	r := &rewriter{
		old:  g,
		g:    &ir.Graph{Name: g.Name, Nodes: make([]ir.Node, 0, len(g.Nodes)+len(g.Nodes)/8+16)},
		to:   make([]ir.ID, len(g.Nodes)),
		uses: make([]int32, len(g.Nodes)),
		refs: make([]int32, 0, len(g.Nodes)+len(g.Nodes)/8+16),
	}
	operands := r.count(g)
	r.slab = make([]ir.ID, 0, operands+operands/8+16)
	for i := range g.Nodes {
		r.cur = g.Nodes[i]
		n := &r.cur
		r.src = n.Src
		n.In = r.cut(n.In)
		for j, in := range n.In {
			n.In[j] = r.to[in]
		}
		id := ir.ID(-1)
		if r.uses[i] > 0 { // else nothing needs it, and changing it would be work without end or use
			id = f(r, ir.ID(i), n)
		}
		if id < 0 {
			id = r.append(*n)
		} else {
			r.work.Changed++
		}
		r.refs[id] += r.uses[i]
		r.to[i] = id
	}
	r.work.Visits += len(g.Nodes)
	if r.work.Changed == 0 {
		return g, r.work
	}
	renumber(r.g, g, r.to)
	return r.g, r.work
}

// count sets uses, in which nodes that nothing needs use nothing, and returns the number of operands of all nodes.
func (r *rewriter) count(g *ir.Graph) (operands int) {
	needed(g, func(id ir.ID) { r.uses[id] += many })
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		operands += len(g.Nodes[i].In)
		if r.uses[i] > 0 {
			for _, in := range g.Nodes[i].In {
				r.uses[in]++
			}
		}
	}
	return operands
}

// needed calls f with every output and every node that an update names.
func needed(g *ir.Graph, f func(ir.ID)) {
	for _, id := range g.Outputs {
		f(id)
	}
	for _, u := range g.Updates {
		for _, id := range u.Params {
			f(id)
		}
		for _, id := range u.Grads {
			f(id)
		}
		if u.Loss >= 0 {
			f(u.Loss)
		}
	}
}

// renumber gives g the outputs and updates of old, which has been copied to it as the table says.
func renumber(g, old *ir.Graph, to []ir.ID) {
	list := func(ids []ir.ID) []ir.ID {
		out := make([]ir.ID, len(ids))
		for i, id := range ids {
			out[i] = to[id]
		}
		return out
	}
	g.Outputs = list(old.Outputs)
	g.Updates = slices.Clone(old.Updates)
	for i := range g.Updates {
		u := &g.Updates[i]
		u.Params, u.Grads = list(u.Params), list(u.Grads)
		if u.Loss >= 0 {
			u.Loss = to[u.Loss]
		}
	}
}

// cut copies an operand list into the slab.
func (r *rewriter) cut(in []ir.ID) []ir.ID {
	if len(in) == 0 {
		return nil
	}
	if len(r.slab)+len(in) > cap(r.slab) {
		r.slab = make([]ir.ID, 0, max(256, len(in)))
	}
	at := len(r.slab)
	r.slab = append(r.slab, in...)
	return r.slab[at:len(r.slab):len(r.slab)]
}

func (r *rewriter) append(n ir.Node) ir.ID {
	r.g.Nodes = append(r.g.Nodes, n)
	r.refs = append(r.refs, 0)
	return ir.ID(len(r.g.Nodes) - 1)
}

// add appends a node that comes from the source of the node under rewriting.
func (r *rewriter) add(op ir.Op, t ir.DType, shape []int, attr any, in ...ir.ID) ir.ID {
	return r.append(ir.Node{Op: op, Type: t, Shape: shape, In: r.cut(in), Attr: attr, Src: r.src})
}

// like appends an elementwise node of x's type and shape.
func (r *rewriter) like(x ir.ID, op ir.Op, in ...ir.ID) ir.ID {
	n := &r.g.Nodes[x]
	return r.add(op, n.Type, n.Shape, nil, in...)
}

// node returns a new node; it moves when another is added.
func (r *rewriter) node(id ir.ID) *ir.Node { return &r.g.Nodes[id] }

// single reports whether a new node has no other use than the one at which the rule looks.
func (r *rewriter) single(id ir.ID) bool { return r.refs[id] <= 1 }
