package graphs

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
)

// Minimise looks for a smaller graph that still fails: with fewer outputs and updates, without dead nodes, with
// inputs in the place of nodes. fails must be true of g. It is called about as many times as g has nodes, several
// times over.
func Minimise(g *ir.Graph, fails func(*ir.Graph) bool) *ir.Graph {
	try := func(c *ir.Graph) bool {
		if c = compact(c); c.Verify() != nil || !fails(c) {
			return false
		}
		g = c
		return true
	}
	for again := true; again; {
		again = false
		for i := len(g.Updates) - 1; i >= 0; i-- {
			c := g.Clone()
			c.Updates = append(c.Updates[:i], c.Updates[i+1:]...)
			again = try(c) || again
		}
		for i := len(g.Outputs) - 1; i >= 0 && len(g.Outputs) > 1; i-- {
			c := g.Clone()
			c.Outputs = append(c.Outputs[:i], c.Outputs[i+1:]...)
			again = try(c) || again
		}
		for i := 0; i < len(g.Outputs); i++ { // an operand of what is wanted instead
			for _, in := range g.Nodes[g.Outputs[i]].In {
				c := g.Clone()
				c.Outputs[i] = in
				if try(c) {
					again = true
					break
				}
			}
		}
		for id := len(g.Nodes) - 1; id >= 0; id-- {
			if id >= len(g.Nodes) || g.Nodes[id].Op == ir.Input {
				continue
			}
			// An operand of the same shape and type, or an input.
			done := false
			for _, in := range g.Nodes[id].In {
				if n, m := &g.Nodes[id], &g.Nodes[in]; n.Type == m.Type && fmt.Sprint(n.Shape) == fmt.Sprint(m.Shape) {
					if done = try(replace(g, ir.ID(id), in)); done {
						break
					}
				}
			}
			if !done {
				c := g.Clone()
				n := &c.Nodes[id]
				n.Op, n.In, n.Attr = ir.Input, nil, ir.InputAttr{Name: fmt.Sprintf("cut%d_%d", len(g.Nodes), id)}
				done = try(c)
			}
			again = done || again
		}
	}
	return g
}

// replace returns g with an earlier node in the place of another.
func replace(g *ir.Graph, id, by ir.ID) *ir.Graph {
	c := g.Clone()
	swap := func(ids []ir.ID) {
		for i := range ids {
			if ids[i] == id {
				ids[i] = by
			}
		}
	}
	for i := range c.Nodes {
		swap(c.Nodes[i].In)
	}
	swap(c.Outputs)
	for i := range c.Updates {
		swap(c.Updates[i].Grads)
		if c.Updates[i].Loss == id {
			c.Updates[i].Loss = by
		}
	}
	return c
}

// compact drops the nodes that nothing wanted needs.
func compact(g *ir.Graph) *ir.Graph {
	live := make([]bool, len(g.Nodes))
	mark := func(ids ...ir.ID) {
		for _, id := range ids {
			if id >= 0 {
				live[id] = true
			}
		}
	}
	mark(g.Outputs...)
	for _, u := range g.Updates {
		mark(u.Params...)
		mark(u.Grads...)
		mark(u.Loss)
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if live[i] {
			mark(g.Nodes[i].In...)
		}
	}
	to := make([]ir.ID, len(g.Nodes))
	c := &ir.Graph{Name: g.Name}
	move := func(ids []ir.ID) []ir.ID {
		var moved []ir.ID
		for _, id := range ids {
			moved = append(moved, to[id])
		}
		return moved
	}
	for i, n := range g.Nodes {
		if live[i] {
			to[i] = ir.ID(len(c.Nodes))
			n.In = move(n.In)
			c.Nodes = append(c.Nodes, n)
		}
	}
	c.Outputs = move(g.Outputs)
	for _, u := range g.Updates {
		u.Params, u.Grads = move(u.Params), move(u.Grads)
		if u.Loss >= 0 {
			u.Loss = to[u.Loss]
		}
		c.Updates = append(c.Updates, u)
	}
	return c
}
