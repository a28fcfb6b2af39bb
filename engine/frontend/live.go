package frontend

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A slice is a slice op with its bounds at the time of the import. gorgonia.UnsafeLet(node, slice) changes them: the
// usual way to take the next minibatch. The first change makes the module stale; in the one that replaces it
// (Options.Stale) the slice is live: taken of the input's value whenever that is fed, or by the op's own Do.
type slice struct {
	op               interface{ IsSlice() tensor.Slice }
	id               sliceKey
	live             bool
	start, end, step int
}

// sliceKey is the address of a slice op, which a slice and its derivatives share.
type sliceKey uintptr

func sliceOf(op G.Op) slice {
	s := slice{}
	s.op, _ = op.(interface{ IsSlice() tensor.Slice })
	v := reflect.ValueOf(op)
	if v.Kind() == reflect.Struct && v.NumField() > 0 && v.Field(0).Kind() == reflect.Pointer {
		v = v.Field(0) // sliceIncrOp
	}
	if v.Kind() == reflect.Pointer {
		s.id = sliceKey(v.Pointer())
	}
	s.start, s.end, s.step = s.bounds()
	return s
}

func (s slice) key() sliceKey { return s.id }

func (s slice) bounds() (start, end, step int) {
	if s.op == nil {
		return 0, 0, 0
	}
	b := s.op.IsSlice()
	if b == nil {
		return 0, 0, 1
	}
	return b.Start(), b.End(), b.Step()
}

func (s slice) changed() bool {
	start, end, step := s.bounds()
	return start != s.start || end != s.end || step != s.step
}

// Stale reports whether an op was changed through Gorgonia's public setters so that the graph must be imported anew,
// with this module as Options.Stale. It looks at the bounds of slices; the other ops that can be changed, batch
// normalisation and dropout, run on the host and are what they are at the time.
func (m *Module) Stale() bool {
	for i := range m.slices {
		if s := &m.slices[i]; !s.live && s.changed() {
			return true
		}
	}
	return false
}

// changed lists the slices that are or have to be live.
func (m *Module) changed() map[sliceKey]bool {
	if m == nil {
		return nil
	}
	live := map[sliceKey]bool{}
	for _, s := range m.slices {
		if s.live || s.changed() {
			live[s.id] = true
		}
	}
	return live
}

// liveSlice is a slice whose bounds change: of an input it is an input itself, of anything else it is done by its Do.
func (c *call) liveSlice() ir.ID {
	s := sliceOf(c.op)
	s.live = true
	c.im.m.slices = append(c.im.m.slices, s)
	if n, _, err := c.im.m.base(c.src, c.im.children); err != nil || c.im.resident[n] {
		return c.b.Fail("%w", errHost)
	}
	return c.b.Input(c.t, c.shape, ir.InputAttr{Name: nodeName(c.n)})
}

// base follows a chain of slices down to an input: the slice ops, the outermost last.
func (m *Module) base(src int32, children func(*G.Node) G.Nodes) (*G.Node, []G.Op, error) {
	n := m.Nodes[src]
	var ops []G.Op
	for n.Op() != nil {
		kids := children(n)
		if opName(n.Op()) != "sliceOp" || len(kids) != 1 {
			return nil, nil, fmt.Errorf("node %q is not a slice of an input", nodeName(n))
		}
		ops = append([]G.Op{n.Op()}, ops...)
		n = kids[0]
	}
	return n, ops, nil
}

// A view is a live slice of an input, as it was found last: taking the same again, or as many elements elsewhere,
// allocates nothing.
type view struct {
	base  *G.Node
	ops   []slice // with the bounds of that time
	along []int

	of             *tensor.Dense
	raw            []byte
	shape, strides []int
	value          *tensor.Dense
}

// Value is the present value of a Source's node: that of an input, or of a slice of one with its present bounds. The
// result shares the input's memory where it can; that of a slice is good until the next call for it. Errors name the
// node.
func (m *Module) Value(src int32) (G.Value, error) {
	n := m.Nodes[src]
	if n.Op() == nil {
		if v := n.Value(); v != nil {
			return v, nil
		}
		return nil, unbound(n)
	}
	w := m.views[src]
	if w == nil {
		base, ops, err := m.base(src, childrenOf(n.Graph()))
		if err != nil {
			return nil, err
		}
		w = &view{base: base}
		for _, op := range ops {
			w.ops, w.along = append(w.ops, sliceOf(op)), append(w.along, opAttrs(op).int("along"))
		}
		if m.views == nil {
			m.views = map[int32]*view{}
		}
		m.views[src] = w
	}
	v := w.base.Value()
	if v == nil {
		return nil, unbound(w.base)
	}
	t, ok := v.(*tensor.Dense)
	if !ok {
		return nil, fmt.Errorf("input %q is a %T, want a dense tensor to slice", nodeName(w.base), v)
	}
	if w.current(t) {
		return w.value, nil
	}
	return m.take(src, w, t)
}

func unbound(n *G.Node) error {
	return fmt.Errorf("no value bound to input %q of shape %v", nodeName(n), n.Shape())
}

// current reports whether the view is of t as it is, once moved if one slice has moved as a whole.
func (w *view) current(t *tensor.Dense) bool {
	if w.value == nil || w.of != t || len(w.raw) != len(t.Raw) || unsafe.SliceData(w.raw) != unsafe.SliceData(t.Raw) ||
		!slices.Equal(w.shape, t.Shape()) || !slices.Equal(w.strides, t.Strides()) {
		return false
	}
	for i := range w.ops {
		s := &w.ops[i]
		start, end, step := s.bounds()
		if start == s.start && end == s.end && step == s.step {
			continue
		}
		along := w.along[i]
		if !w.alone(i) || step != s.step || end-start != s.end-s.start || start < 0 || end > w.shape[along] {
			return false
		}
		off := start * w.strides[along] * int(t.Dtype().Size())
		if off+len(w.value.Raw) > len(t.Raw) {
			return false
		}
		w.value.Raw = t.Raw[off : off+len(w.value.Raw)]
		s.start, s.end = start, end
	}
	return true
}

// alone reports whether only slice i takes less than all.
func (w *view) alone(i int) bool {
	for j := range w.ops {
		if s := &w.ops[j]; (s.end > s.start) != (i == j) {
			return false
		}
	}
	return true
}

// take makes the view one of t with the present bounds.
func (m *Module) take(src int32, w *view, t *tensor.Dense) (G.Value, error) {
	w.value = nil
	v := t
	for i := range w.ops {
		s := &w.ops[i]
		s.start, s.end, s.step = s.bounds()
		if s.end <= s.start { // all of it
			continue
		}
		at := make([]tensor.Slice, w.along[i]+1)
		at[w.along[i]] = s.op.IsSlice()
		part, err := v.Slice(at...)
		if err != nil {
			return nil, fmt.Errorf("slice %q: %w", m.Name(src), err)
		}
		v = part.(*tensor.Dense)
	}
	if !sameShape(v.Shape(), m.Nodes[src].Shape()) {
		return nil, fmt.Errorf("slice %q has shape %v now, want %v", m.Name(src), v.Shape(), m.Nodes[src].Shape())
	}
	w.of, w.raw, w.value = t, t.Raw, v
	w.shape, w.strides = slices.Clone(t.Shape()), slices.Clone(t.Strides())
	if v == t || len(w.strides) != len(w.shape) {
		w.of = nil // what is not a part of it is not moved; a column-less vector has fewer strides
	}
	return v, nil
}
