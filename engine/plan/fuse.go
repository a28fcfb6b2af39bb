package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// Fusion assigns nodes to groups: sets of nodes that are computed in one step, over the same points. A node's points
// are its elements in row-major order (those of its operand for a reduction), so nodes of different shapes but equal
// counts may share a group; movement belongs to no group but to the way in which others read.
//
// That no two steps need each other is kept by levels: a group's level is above those of all groups that it reads
// from. Groups of one level can be merged without further search, and a group may rise as long as it stays below its
// readers.
//
//	assign   gives every node a group, as early as possible (in the graph's order: fuse_group.go)
//	sink     moves what only a later group needs there (against the order: fuse_store.go)
//	choose   says which values are stored, and which computed again where they are needed (fuse_store.go)
//	lower    makes the steps (lower.go). A node that cannot be expressed there, because an index is not affine, is
//	         set aside, and everything begins anew with it as a step of its own
type fuser struct {
	*planner
	alone  []bool           // per node: found to be a step of its own, in an earlier round
	copied map[partKey]bool // likewise, parts of a Concat that no other step can write

	nodes   []ir.Node // the graph's, but for the operands of derived ones
	kind    []kind
	arith   []ir.DType // per node: the type that it is computed in; NoType: either will do
	imm     []float64  // of kindImm
	src     []ir.ID    // per node: what movement reads in the end; the node itself for others, and for what is stored
	base    []ir.ID    // likewise, through movement that keeps the order of the elements
	forced  []bool     // per node: its value is stored as a whole
	border  []bool     // per node: one of another type reads it, in whose loop it must not be computed again
	derived []bool     // per node: a Sigmoid(x) that is computed from Softplus(x), its operand here
	home    []int32    // per node: its group; -1: none
	level   []int32    // of a Concat: that of the last group that writes it
	index   []int32    // of a Concat: its first part; of a Dot: its place in dots

	rec    []int32   // per node: the least level of a group that could compute it from what is always stored
	full   []float32 // the flops of that
	seen   []int32   // per stored node: the last group that reads it at the group's own points
	groups []group
	parts  []part
	dots   []product

	demand []demand
	left   []int32 // per node: uses
	miss   []uint8 // per node: 1 if it is not at hand in other groups
	stored []bool  // the value has a place in memory
	again  []float32
	far    []uint8 // loads of whole arrays, for computing again
	mv     move    // scratch
	oneBuf BufID
	last   []ir.ID // per step: the last node that it computes
}

type kind uint8

const (
	kindNone   kind = iota // dead, or without elements
	kindLeaf               // has a buffer: Input, Const
	kindImm                // one number in all places, or nothing to compute it from
	kindElem               // elementwise
	kindMove               // movement by affine maps
	kindPad                // Pad with steps: loops of its own
	kindConcat             // a buffer whose parts others write
	kindReduce
	kindDot
	kindCustom
)

// A group becomes one step, or none.
type group struct {
	up        int32 // the group that it was merged into; itself
	level     int32
	minReader int32 // no group that reads from it has a lower level
	size      int32
	count     int // points
	typ       ir.DType
	dot       ir.ID // the product that it is the epilogue of; -1: none
	step      ir.ID // a Custom or a Pad, which is all of it; -1: none
	row       int   // N of that product
	closed    bool  // takes no more nodes
	// cuts are the numbers of points at which the loop has to be split into dimensions, ascending; each divides the next.
	cuts  []int
	roots []root
}

// A root is what a step stores.
type root struct {
	id   ir.ID
	part int32 // where to: a part of a Concat; -1: the node's own buffer
}

// A part is an operand of a Concat.
type part struct {
	partKey
	in     ir.ID
	home   int32
	off    int // elements from the buffer's start
	copied bool
}

type partKey struct {
	concat ir.ID
	number int
}

// A product is a Dot with operands in memory.
type product struct {
	in  [2]ir.ID
	dot Dot // but for the buffers and the epilogue
}

// Bounds and prices, in the flops of ir.Info. They order choices and are no measurements.
const (
	maxGroup    = 4096 // nodes of a group
	cheap       = 8    // a value of that many flops is computed again rather than stored
	cheapSpread = 2    // the same for one that every element of would be computed many times
	cheapTotal  = 2048 // or if it is no more than this in all
	noiseFlops  = 7    // noise is computed again, though it costs more: storing it takes the memory of activations

	// A graph of views that do not fit has its movements copied after some rounds, and is not fused at all after
	// more.
	copyRounds = 4
	maxRounds  = 8
)

var never = float32(math.Inf(1))

// plan fuses, lowers and orders.
func (l *planner) plan() error {
	alone := make([]bool, len(l.g.Nodes))
	copied := map[partKey]bool{}
	for round := 0; ; round++ {
		last := l.o.off("fuse") || round == maxRounds
		for i := range alone {
			switch l.g.Nodes[i].Op {
			case ir.Broadcast, ir.Transpose, ir.Slice, ir.Pad:
				alone[i] = alone[i] || round >= copyRounds
			}
			alone[i] = alone[i] || last
		}
		f := newFuser(l, alone, copied)
		f.classify()
		f.limitPads()
		f.force()
		f.derive()
		f.assign()
		f.sink(l.o.off("siblings"))
		if !l.o.off("siblings") {
			f.merge()
			f.sink(true)
		}
		f.choose()
		bad, err := f.lower()
		if err != nil || bad < 0 {
			return err
		}
		if last {
			return fmt.Errorf("plan: internal error: %s has no affine access", l.g.Label(bad))
		}
		l.reset()
	}
}

func newFuser(l *planner, alone []bool, copied map[partKey]bool) *fuser {
	n := len(l.g.Nodes)
	f := &fuser{planner: l, alone: alone, copied: copied, nodes: slices.Clone(l.g.Nodes), oneBuf: -1,
		derived: make([]bool, n),
		kind:    make([]kind, n), arith: make([]ir.DType, n), imm: make([]float64, n),
		src: make([]ir.ID, n), base: make([]ir.ID, n), forced: make([]bool, n), border: make([]bool, n), home: make([]int32, n),
		level: make([]int32, n), index: make([]int32, n), rec: make([]int32, n), full: make([]float32, n),
		seen: make([]int32, n), demand: make([]demand, n), left: make([]int32, n), miss: make([]uint8, n),
		stored: make([]bool, n),
		again:  make([]float32, n), far: make([]uint8, n)}
	for i := range n {
		f.home[i], f.seen[i] = -1, -1
		f.src[i], f.base[i] = ir.ID(i), ir.ID(i)
		f.demand[i].group = -1
	}
	return f
}

// node returns a node, with the operands that it is computed from here.
func (f *fuser) node(id ir.ID) *ir.Node { return &f.nodes[id] }

// classify fills kind, arith, imm, src and base.
func (f *fuser) classify() {
	for i := range f.g.Nodes {
		id, n := ir.ID(i), f.node(ir.ID(i))
		if !f.live[i] || n.Count() == 0 {
			continue
		}
		f.kind[i] = f.classOf(id, n)
		f.arith[i] = f.typeOf(id, n)
		if f.kind[i] == kindMove {
			f.src[i] = f.src[n.In[0]]
			if f.mv.set(f.g, n); f.mv.identical() {
				f.base[i] = f.base[n.In[0]]
			}
		}
	}
}

func (f *fuser) classOf(id ir.ID, n *ir.Node) kind {
	in := func(i int) *ir.Node { return f.node(n.In[i]) }
	switch n.Op.Class() {
	case ir.Leaf:
		if n.Op == ir.Const {
			if v, ok := uniform(n.Attr.(*ir.Tensor).Data); ok {
				f.imm[id] = v
				return kindImm
			}
		}
		return kindLeaf
	case ir.Elementwise:
		return kindElem
	case ir.Reduction:
		if in(0).Count() == 0 {
			_, f.imm[id] = combine(n.Op)
			return kindImm
		}
		return kindReduce
	case ir.Product:
		if in(0).Count() == 0 { // an empty inner dimension
			return kindImm
		}
		return kindDot
	case ir.Foreign:
		return kindCustom
	}
	switch n.Op {
	case ir.Concat:
		return kindConcat
	case ir.Pad:
		if in(0).Count() == 0 {
			return kindImm
		}
		for i, s := range n.Attr.(ir.Span).Step {
			if s > 1 && in(0).Shape[i] > 1 {
				return kindPad
			}
		}
	}
	return kindMove
}

// uniform returns the number that all elements are, if a float64 holds it.
func uniform(data any) (float64, bool) {
	switch d := data.(type) {
	case []float32:
		for _, x := range d[1:] {
			if math.Float32bits(x) != math.Float32bits(d[0]) {
				return 0, false
			}
		}
		return float64(d[0]), true
	case []float64:
		for _, x := range d[1:] {
			if math.Float64bits(x) != math.Float64bits(d[0]) {
				return 0, false
			}
		}
		return d[0], true
	case []int64:
		return allSame(d)
	case []int:
		return allSame(d)
	case []int32:
		return allSame(d)
	case []uint8:
		return allSame(d)
	case []bool:
		for _, x := range d[1:] {
			if x != d[0] {
				return 0, false
			}
		}
		if d[0] {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func allSame[T int64 | int | int32 | uint8](d []T) (float64, bool) {
	for _, x := range d[1:] {
		if x != d[0] {
			return 0, false
		}
	}
	v := float64(d[0])
	return v, math.Abs(v) < 1<<53
}

// typeOf is the type that a node is computed in. Integers need float64; truth is at home in either type and follows
// what it is made from.
func (f *fuser) typeOf(id ir.ID, n *ir.Node) ir.DType {
	switch n.Type {
	case ir.F32, ir.F64:
		return n.Type
	case ir.Bool, ir.Uint8:
		if n.Op.Class() == ir.Elementwise || n.Op.Class() == ir.Movement {
			for _, in := range n.In {
				if t := f.arith[in]; t != ir.NoType {
					return t
				}
			}
		}
		return ir.NoType
	}
	return ir.F64
}

// maxPads bounds how many Pads are computed within each other: every access below them has all their guards.
const maxPads = 6

// limitPads stores some Pads of a deep nest.
func (f *fuser) limitPads() {
	depth := make([]uint8, len(f.nodes))
	for i := range f.nodes {
		switch f.kind[i] {
		case kindElem, kindMove:
			for _, o := range f.nodes[i].In {
				depth[i] = max(depth[i], depth[o])
			}
			if f.nodes[i].Op != ir.Pad {
				continue
			}
			if depth[i]++; depth[i] > maxPads {
				f.alone[i] = true
				depth[i] = 0
			}
		}
	}
}

// force marks what has to be in memory whatever fusion does.
func (f *fuser) force() {
	for _, id := range f.g.Outputs {
		f.whole(id)
	}
	for _, u := range f.g.Updates {
		for _, id := range u.Grads {
			f.whole(id)
		}
		if u.Loss >= 0 {
			f.whole(u.Loss)
		}
	}
	for i := range f.g.Nodes {
		n := f.node(ir.ID(i))
		if f.alone[i] && f.kind[i] > kindImm {
			f.whole(ir.ID(i))
		}
		switch f.kind[i] {
		case kindElem:
			if f.isNoise(ir.ID(i)) {
				f.whole(n.In[0])
				continue
			}
			for _, in := range n.In { // across a border of types
				s := f.src[in]
				if t := f.arith[s]; t != ir.NoType && t != f.arith[i] && f.kind[s] >= kindElem {
					f.forced[s], f.border[s] = true, true
				}
			}
		case kindDot:
			f.operands(ir.ID(i))
		case kindPad:
			f.whole(n.In[0])
		case kindCustom:
			for _, in := range n.In {
				f.whole(in)
			}
		}
	}
	for i := range f.g.Nodes { // reading goes no further than what is stored
		if f.kind[i] != kindMove {
			continue
		}
		if f.forced[i] {
			f.src[i], f.base[i] = ir.ID(i), ir.ID(i)
			continue
		}
		in := f.node(ir.ID(i)).In[0]
		f.src[i] = f.src[in]
		if f.base[i] != ir.ID(i) {
			f.base[i] = f.base[in]
		}
	}
}

// derive computes the Sigmoid(x) of a gradient from a Softplus(x) that is stored in any case, as -expm1(-softplus),
// so that x need not be stored too: of a net's activations that is half. It is as exact.
func (f *fuser) derive() {
	if f.o.off("recompute") {
		return
	}
	softplus := map[ir.ID]ir.ID{}
	for i := range f.nodes {
		n := &f.nodes[i]
		if f.kind[i] != kindElem || n.Op != ir.Softplus && n.Op != ir.Sigmoid {
			continue
		}
		x := n.In[0]
		s := f.src[x]
		if f.forced[s] || f.kind[s] != kindElem && f.kind[s] != kindDot {
			continue
		}
		if n.Op == ir.Softplus {
			if f.forced[i] {
				softplus[x] = ir.ID(i)
			}
		} else if z, ok := softplus[x]; ok {
			n.In = []ir.ID{z}
			f.derived[i] = true
		}
	}
}

// whole forces a node, or what it shows unchanged.
func (f *fuser) whole(id ir.ID) {
	if b := f.base[id]; f.kind[b] > kindLeaf {
		f.forced[b] = true
	}
}
