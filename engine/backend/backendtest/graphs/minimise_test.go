package graphs_test

import (
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// What fails because of one node shrinks to that node.
func TestMinimise(t *testing.T) {
	found := 0
	for seed := range uint64(40) {
		g := graphs.Random(seed)
		if !hasDot(g) {
			continue
		}
		before := len(g.Nodes)
		g = graphs.Minimise(g, hasDot)
		found++
		small := len(g.Nodes) <= 3 && len(g.Updates) == 0 && len(g.Outputs) == 1
		if !small || len(graphs.Random(seed).Nodes) != before {
			t.Errorf("seed %d: %d nodes, %d outputs and %d updates are left of %d nodes", seed, len(g.Nodes), len(g.Outputs),
				len(g.Updates), before)
		}
	}
	if found < 10 {
		t.Errorf("%d graphs to shrink", found)
	}
}

// hasDot reports whether an output depends on a product.
func hasDot(g *ir.Graph) bool {
	live := make([]bool, len(g.Nodes))
	for _, id := range g.Outputs {
		live[id] = true
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if live[i] && g.Nodes[i].Op == ir.Dot {
			return true
		}
		for _, in := range g.Nodes[i].In {
			live[in] = live[in] || live[i]
		}
	}
	return false
}
