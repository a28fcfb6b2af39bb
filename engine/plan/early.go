package plan

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// early returns g with copies of what an update would change before it is read: outputs, and gradients, that are a
// parameter which moves, or a view of its elements. All of them are values from before the updates.
func early(g *ir.Graph) *ir.Graph {
	moves := map[ir.ID]bool{}
	for _, u := range g.Updates {
		for _, p := range u.Params {
			moves[p] = true
		}
	}
	copies := map[ir.ID]ir.ID{}
	c := *g
	own := func(ids []ir.ID) []ir.ID {
		var changed []ir.ID
		for i, id := range ids {
			root := id
			for g.Nodes[root].Op == ir.Reshape {
				root = g.Nodes[root].In[0]
			}
			if !moves[root] {
				continue
			}
			if changed == nil {
				changed = slices.Clone(ids)
			}
			if _, ok := copies[id]; !ok {
				if len(copies) == 0 {
					c.Nodes = slices.Clip(c.Nodes)
				}
				n := g.Nodes[id]
				copies[id] = ir.ID(len(c.Nodes))
				c.Nodes = append(c.Nodes, ir.Node{Op: ir.Cast, Type: n.Type, Shape: n.Shape, In: []ir.ID{id}, Src: n.Src})
			}
			changed[i] = copies[id]
		}
		if changed == nil {
			return ids
		}
		return changed
	}
	c.Outputs = own(g.Outputs)
	updates := slices.Clone(g.Updates)
	for i := range updates {
		updates[i].Grads = own(updates[i].Grads)
	}
	if len(copies) == 0 {
		return g
	}
	c.Updates = updates
	return &c
}
