package autodiff

import (
	"reflect"
	"unsafe"

	G "gorgonia.org/gorgonia"
)

// An index speeds up the adding of nodes. For every node added Gorgonia looks its id up, by a search through all the
// nodes the first time: time quadratic in the size of the graph, nearly all of it spent there beyond some 10,000
// nodes. What the searches find is kept in a map from ids to places in the list of nodes. In a graph from which
// nothing was removed the place of a node is its id, so the entries of the nodes to come are written ahead, and those
// of nodes that did not come are taken out again. If the map is not what this expects, nothing is done.
type index struct {
	g     *G.ExprGraph
	byID  map[int64]int
	ahead int // the first id without an entry
}

const stretch = 256 // entries written ahead at a time

func newIndex(g *G.ExprGraph) *index {
	x := &index{g: g}
	f := reflect.ValueOf(g).Elem().FieldByName("byID")
	if !f.IsValid() || f.Type() != reflect.TypeFor[map[int64]int]() || !x.plain() {
		return x
	}
	x.byID = *(*map[int64]int)(unsafe.Pointer(f.UnsafeAddr()))
	x.ahead = len(g.AllNodes())
	return x
}

// plain reports whether the last node's place is its id.
func (x *index) plain() bool {
	all := x.g.AllNodes()
	return len(all) > 0 && all[len(all)-1].ID() == int64(len(all)-1)
}

// extend sees to it that the next nodes have entries.
func (x *index) extend() {
	if x.byID == nil {
		return
	}
	next := len(x.g.AllNodes())
	if next+stretch/2 < x.ahead {
		return
	}
	if !x.plain() {
		x.close()
		return
	}
	for ; x.ahead < next+stretch; x.ahead++ {
		x.byID[int64(x.ahead)] = x.ahead
	}
}

// close takes out the entries without nodes.
func (x *index) close() {
	for id := len(x.g.AllNodes()); x.byID != nil && id < x.ahead; id++ {
		delete(x.byID, int64(id))
	}
	x.byID = nil
}
