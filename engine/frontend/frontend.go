// Package frontend reads a Gorgonia graph into the engine's representation.
//
// The ops that Gorgonia's public constructors and its derivatives put into a graph are private types: they are told
// by their type's name, and their attributes are read by reflection from the op at hand (Gorgonia's hashes and names
// leave some attributes out). The table in rows.go has a row for each that the representation has words for. An op of
// another package says itself (ir.Lowerer). Every other op becomes a kernel that runs the op's own Do on the host.
//
// The meaning is that of Gorgonia's TapeMachine without its faults; doc/ops.md lists every op and where the two
// differ.
package frontend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// Options says what of a graph is wanted.
type Options struct {
	All      bool      // every source node is wanted
	Wanted   []*G.Node // else these, and roots, reads
	Resident []*G.Node // inputs that live on the device (parameters of an update)
	Seed     *uint64   // mixed into the seeds of all noise
	// Stale is the module that this import replaces because its Stale said so. Slices whose bounds have changed since
	// then are expected to change again: they are read anew in each run and make no module stale.
	Stale *Module
}

// A Module is a graph in the engine's representation and what ties it to its source.
type Module struct {
	Graph  *ir.Graph // Outputs: one per wanted source node, in the order of Wants
	Nodes  []*G.Node // the source nodes by number (ir.Node.Src)
	IDs    []ir.ID   // by source number: the ir node of its value; -1: it has none (statements)
	Wants  []int32   // source number of each Graph.Outputs entry: no inputs and constants but those asked for
	Inputs []Source  // what must be fed before each run
	Direct []int32   // inputs that must have a value then, because ops on the host take it; may repeat
	Reads  []Read

	numbers map[*G.Node]int32 // where the place of a node is not its id
	slices  []slice
	views   map[int32]*view // by source number, of those that were asked for
}

// A Source is an input: what Module.Value(Src) gives is to be fed to ID before each run. Src is an input of the
// graph, or a slice of one whose bounds change between runs.
type Source struct {
	ID  ir.ID
	Src int32
}

// A Read is a gorgonia.Read: the value of node Src goes to Into.
type Read struct {
	Src  int32
	Into *G.Value
}

// Import reads a graph. Errors name the node.
func Import(g *G.ExprGraph, o Options) (*Module, error) {
	if g == nil || len(g.AllNodes()) == 0 {
		return nil, fmt.Errorf("frontend: the graph has no nodes")
	}
	im := newImporter(g, o)
	for i := range im.m.Nodes {
		if _, err := im.node(int32(i)); err != nil {
			return nil, err
		}
	}
	if err := im.outputs(o); err != nil {
		return nil, err
	}
	im.inputs()
	im.noise(o.Seed)
	return im.m, nil
}

// Number is the number of a source node, -1 if the graph does not have it.
func (m *Module) Number(n *G.Node) int32 {
	if n == nil {
		return -1
	}
	if m.numbers == nil {
		if id := n.ID(); id >= 0 && id < int64(len(m.Nodes)) && m.Nodes[id] == n {
			return int32(id)
		}
		return -1
	}
	if i, ok := m.numbers[n]; ok {
		return i
	}
	return -1
}

// Name is the name of a source node for messages: the one it was given, or its op and operands.
func (m *Module) Name(src int32) string {
	if src < 0 || int(src) >= len(m.Nodes) {
		return "?"
	}
	return nodeName(m.Nodes[src])
}

func nodeName(n *G.Node) string {
	const most = 60
	s := strings.Join(strings.Fields(n.Name()), " ") // constants are named by their values, of several lines
	if r := []rune(s); len(r) > most {
		s = string(r[:most-3]) + "..."
	}
	return s
}

// importer holds the state of one Import.
type importer struct {
	m        *Module
	b        *ir.Builder
	state    []uint8 // by source number: 0, or one of the two below
	resident map[*G.Node]bool
	live     map[sliceKey]bool
	rows     rowCache
	children func(*G.Node) G.Nodes
	forward  map[uintptr]ir.ID // by the address of an op with state: its last node, see host
}

const (
	entered uint8 = iota + 1
	done
)

func newImporter(g *G.ExprGraph, o Options) *importer {
	nodes := slices.Clone([]*G.Node(g.AllNodes()))
	im := &importer{
		m:        &Module{Nodes: nodes},
		b:        ir.NewBuilder(),
		children: childrenOf(g),
		resident: make(map[*G.Node]bool, len(o.Resident)),
		live:     o.Stale.changed(),
		forward:  map[uintptr]ir.ID{},
		rows:     rowCache{},
	}
	im.b.G.Nodes = make([]ir.Node, 0, len(nodes)+len(nodes)/2)
	im.m.Graph = im.b.G
	im.m.Graph.Name = im.m.Name
	im.m.IDs = make([]ir.ID, len(nodes))
	im.state = make([]uint8, len(nodes))
	for _, n := range o.Resident {
		im.resident[n] = true
	}
	for i, n := range nodes {
		if n.ID() == int64(i) {
			continue
		}
		im.m.numbers = make(map[*G.Node]int32, len(nodes)) // something was removed, or this is a part of a graph
		for i, n := range nodes {
			im.m.numbers[n] = int32(i)
		}
		break
	}
	return im
}

// node imports a node and, where the graph's order has them later, its operands.
func (im *importer) node(src int32) (ir.ID, error) {
	m := im.m
	switch im.state[src] {
	case done:
		return m.IDs[src], nil
	case entered:
		return -1, fmt.Errorf("frontend: node %q depends on itself", m.Name(src))
	}
	im.state[src] = entered
	n := m.Nodes[src]
	kids := im.children(n)
	in := make([]ir.ID, len(kids))
	for i, k := range kids {
		number := m.Number(k)
		if number < 0 {
			return -1, fmt.Errorf("frontend: node %q: operand %d is not in the graph (Gorgonia rewrites log(1+x) and "+
				"removes 1+x, whoever else uses it: use Log1p)", m.Name(src), i)
		}
		var err error
		if in[i], err = im.node(number); err != nil {
			return -1, err
		}
	}
	im.b.Src = src
	id, err := im.lower(src, n, kids, in)
	if err != nil {
		return -1, fmt.Errorf("frontend: node %q: %w", m.Name(src), err)
	}
	m.IDs[src] = id
	im.state[src] = done
	return id, nil
}

// outputs lists the wanted nodes.
func (im *importer) outputs(o Options) error {
	m := im.m
	want := make([]bool, len(m.Nodes))
	used := make([]bool, len(m.Nodes))
	for i, n := range m.Nodes {
		if m.IDs[i] < 0 {
			continue
		}
		for _, k := range im.children(n) {
			used[m.Number(k)] = true
		}
	}
	for i, n := range m.Nodes {
		want[i] = (o.All || !used[i]) && m.IDs[i] >= 0 && !isLeaf(n)
	}
	for _, n := range o.Wanted {
		i := m.Number(n)
		switch {
		case i < 0:
			return fmt.Errorf("frontend: wanted node %v is not in the graph", n)
		case m.IDs[i] < 0:
			return fmt.Errorf("frontend: wanted node %q is a statement: it has no value", m.Name(i))
		}
		want[i] = true
	}
	for _, n := range o.Resident {
		if i := m.Number(n); i < 0 || n.Op() != nil {
			return fmt.Errorf("frontend: resident node %v is not an input of the graph", n)
		}
	}
	for _, r := range m.Reads {
		if m.IDs[r.Src] < 0 {
			return fmt.Errorf("frontend: read of %q: it has no value", m.Name(r.Src))
		}
		want[r.Src] = true
	}
	for i := range m.Nodes {
		if want[i] {
			m.Wants = append(m.Wants, int32(i))
			m.Graph.Outputs = append(m.Graph.Outputs, m.IDs[i])
		}
	}
	return nil
}

// inputs lists the inputs that something uses.
func (im *importer) inputs() {
	g := im.m.Graph
	used := make([]bool, len(g.Nodes))
	for i := range g.Nodes {
		for _, in := range g.Nodes[i].In {
			used[in] = true
		}
	}
	for _, id := range g.Outputs {
		used[id] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if a, ok := n.Attr.(ir.InputAttr); ok && (used[i] || a.Resident) {
			im.m.Inputs = append(im.m.Inputs, Source{ir.ID(i), n.Src})
		}
	}
}

// noise marks the inputs that count runs and mixes the seed in.
func (im *importer) noise(seed *uint64) {
	g := im.m.Graph
	for i := range g.Nodes {
		n := &g.Nodes[i]
		r, ok := n.Attr.(ir.Rand)
		if !ok {
			continue
		}
		if seed != nil {
			k := kernels.Key(*seed, r.Seed)
			r.Seed = uint64(k[1])<<32 | uint64(k[0])
			n.Attr = r
		}
		run := &g.Nodes[n.In[0]]
		if a, ok := run.Attr.(ir.InputAttr); ok {
			a.RunNumber = true
			run.Attr = a
		}
	}
}
