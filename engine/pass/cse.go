package pass

import "github.com/godcem/godcem/engine/ir"

// cse lets nodes that compute the same from the same operands be one, the first of them. Kernels with effects and
// inputs stay apart.
func cse(g *ir.Graph) (*ir.Graph, Work) {
	size := 16
	for size < 2*len(g.Nodes) {
		size *= 2
	}
	table := make([]ir.ID, size)           // open addressing: 1 + the new node's number; 0: free
	hashes := make([]uint64, len(g.Nodes)) // of new nodes, of which there are no more
	out, work := rewrite(g, func(r *rewriter, _ ir.ID, n *ir.Node) ir.ID {
		h := n.Hash()
		at := int(h>>20) & (size - 1)
		for ; table[at] != 0; at = (at + 1) & (size - 1) {
			if id := table[at] - 1; hashes[id] == h && r.g.Nodes[id].Equal(n) {
				return id
			}
		}
		table[at] = ir.ID(len(r.g.Nodes)) + 1
		hashes[len(r.g.Nodes)] = h
		return -1
	})
	return out, work
}
