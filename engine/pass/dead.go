package pass

import "github.com/godcem/godcem/engine/ir"

// dead removes the nodes that no output and no update needs, and renumbers the others without gaps.
func dead(g *ir.Graph) (*ir.Graph, Work) {
	live := make([]bool, len(g.Nodes))
	needed(g, func(id ir.ID) { live[id] = true })
	nodes, operands := 0, 0
	for i := len(g.Nodes) - 1; i >= 0; i-- { // operands come first, so that one sweep backwards is enough
		if live[i] {
			nodes++
			operands += len(g.Nodes[i].In)
			for _, in := range g.Nodes[i].In {
				live[in] = true
			}
		}
	}
	work := Work{Changed: len(g.Nodes) - nodes, Visits: len(g.Nodes)}
	if work.Changed == 0 {
		return g, work
	}
	to := make([]ir.ID, len(g.Nodes))
	slab := make([]ir.ID, 0, operands)
	out := &ir.Graph{Name: g.Name, Nodes: make([]ir.Node, 0, nodes)}
	for i := range g.Nodes {
		if !live[i] {
			to[i] = -1
			continue
		}
		n := g.Nodes[i]
		at := len(slab)
		for _, in := range n.In {
			slab = append(slab, to[in])
		}
		n.In = slab[at:len(slab):len(slab)]
		to[i] = ir.ID(len(out.Nodes))
		out.Nodes = append(out.Nodes, n)
	}
	renumber(out, g, to)
	return out, work
}
