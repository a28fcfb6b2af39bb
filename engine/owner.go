package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"

	G "gorgonia.org/gorgonia"
)

// An owner is what the VMs of one graph share, as long as the graph is there.
type owner struct {
	last atomic.Uint64 // the id of the VM that set the nodes' values last

	mu    sync.Mutex
	added [][2]int64 // from and below which the ids of nodes are that a NewVM has added
}

// owners has the owners of graphs, and keeps no graph alive.
var owners struct {
	sync.Mutex
	of  map[weak.Pointer[G.ExprGraph]]*owner
	ids atomic.Uint64
}

// ownerOf is the owner of a graph.
func ownerOf(g *G.ExprGraph) *owner {
	key := weak.Make(g)
	owners.Lock()
	defer owners.Unlock()
	if owners.of == nil {
		owners.of = map[weak.Pointer[G.ExprGraph]]*owner{}
	}
	o := owners.of[key]
	if o == nil {
		o = new(owner)
		owners.of[key] = o
		runtime.AddCleanup(g, func(key weak.Pointer[G.ExprGraph]) {
			owners.Lock()
			defer owners.Unlock()
			delete(owners.of, key)
		}, key)
	}
	return o
}

// adds notes that the nodes from and below these ids are there because of an update.
func (o *owner) adds(from, below int64) {
	if from < below {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.added = append(o.added, [2]int64{from, below})
	}
}

// foreign reports whether n was added by a NewVM, and not by what made the graph.
func (o *owner) foreign(n *G.Node) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.added {
		if id := n.ID(); a[0] <= id && id < a[1] {
			return len(n.DerivOf()) == 0 // gorgonia.Grad has met them since
		}
	}
	return false
}
