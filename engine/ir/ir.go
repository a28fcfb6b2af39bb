// Package ir is the engine's intermediate representation: a directed acyclic graph of typed array operations with
// static shapes, in single assignment form. A node's operands have smaller ids than the node itself.
//
// It knows nothing of Gorgonia above it and of devices below it. The reference backend is its meaning.
package ir

import (
	"fmt"
	"slices"
)

// An ID is the number of a node in its graph.
type ID int32

// A DType is an element type.
type DType uint8

// The element types. Arithmetic is done in F32 and F64; the others are carried, compared with 0 and cast.
const (
	NoType DType = iota
	F32
	F64
	Int64
	Int
	Int32
	Uint8
	Bool
)

var (
	typeNames = [...]string{"none", "f32", "f64", "i64", "int", "i32", "u8", "bool"}
	typeSizes = [...]int{0, 4, 8, 8, 8, 4, 1, 1}
)

// String returns the type's name.
func (t DType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type%d", uint8(t))
}

// Size is the size of an element in bytes.
func (t DType) Size() int { return typeSizes[t] }

// Float reports whether t is F32 or F64.
func (t DType) Float() bool { return t == F32 || t == F64 }

// MakeSlice returns a flat slice of n zeros of type t, which is none of NoType.
func MakeSlice(t DType, n int) any {
	switch t {
	case F32:
		return make([]float32, n)
	case F64:
		return make([]float64, n)
	case Int64:
		return make([]int64, n)
	case Int:
		return make([]int, n)
	case Int32:
		return make([]int32, n)
	case Uint8:
		return make([]uint8, n)
	case Bool:
		return make([]bool, n)
	}
	panic(fmt.Sprintf("ir: a slice of %v", t))
}

// A Node is one operation.
type Node struct {
	Op    Op
	Type  DType
	Shape []int // not to be changed; empty for a scalar
	In    []ID
	Attr  any // as the kind says
	// Src is the number of the source graph's node that this one came from, for names in messages; -1: none.
	Src int32
}

// Count is the number of elements.
func (n *Node) Count() int { return Count(n.Shape) }

// Bytes is the size of the value.
func (n *Node) Bytes() int { return n.Count() * n.Type.Size() }

// Count is the number of elements of a shape.
func Count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// InputAttr is the Attr of an Input.
type InputAttr struct {
	// Name tells inputs apart; two of one name are not one input.
	Name string
	// Resident inputs are state of the device: fed once, changed by updates, read back on demand.
	Resident bool
	// RunNumber marks the counter of the noise.
	RunNumber bool
}

// Axes is the Attr of Transpose, Concat and the reductions.
type Axes []int

// A Span is the Attr of Slice and Pad: one start and one step (at least 1) per dimension.
type Span struct{ Start, Step []int }

// Trans is the Attr of Dot: which operand is stored with its last two dimensions swapped.
type Trans struct{ A, B bool }

// Rand is the Attr of Normal and Uniform: with the run number and an element's row-major index it fixes a number
// (kernels.Key{Seed, Draw}).
type Rand struct{ Seed, Draw uint64 }

// A Tensor is a constant's value: Data is a []float32, []float64, []int64, []int, []int32, []uint8 or []bool, in
// row-major order.
type Tensor struct{ Data any }

// A Kernel is an operation that the representation has no word for. Its name, with every attribute, is what tells it
// from others: nodes of equal name and operands are merged.
type Kernel interface {
	String() string
	// Run computes out from in, flat row-major slices of the operands' and the node's element types. It must not keep
	// or change in, and must not rely on what out holds. An error stops the run.
	Run(out any, in []any) error
}

// What a Kernel may also say.
type (
	// Effector is a kernel that does more than computing its result (it counts, draws, prints): it is neither merged
	// nor computed twice.
	Effector interface{ Effects() bool }
	// Hoster is a kernel that only the host can run, between compiled parts: its name appears as a fallback in
	// Explain.
	Hoster interface{ OnHost() bool }
	// Coster is a kernel that knows its cost per call; 0 is one that it does not know.
	Coster interface{ Cost() (flops, bytes int64) }
	// Stager is a kernel that knows how many of its steps must wait for each other on a device, such as sums over a
	// row by all threads of a block.
	Stager interface{ Stages() int }
)

// HasEffects reports whether k is an Effector with effects.
func HasEffects(k Kernel) bool { e, ok := k.(Effector); return ok && e.Effects() }

// IsHost reports whether k runs only on the host.
func IsHost(k Kernel) bool { h, ok := k.(Hoster); return ok && h.OnHost() }

// A Graph is a list of nodes in topological order, and which of them are wanted.
type Graph struct {
	Nodes   []Node
	Outputs []ID // may repeat
	// Updates are the optimiser's steps, done after everything else.
	Updates []Update
	// Name gives the name of a source node in messages; nil: they have none.
	Name func(src int32) string
}

// An Update is a step of an optimiser on resident inputs. It is described by what package kernels calls an Optimizer,
// which the representation only carries.
type Update struct {
	Optimizer any
	Params    []ID // resident inputs
	Grads     []ID // of the same shapes and types
	Loss      ID   // a scalar; an update of a non-finite loss or gradient is skipped. -1: none
}

// Clone returns a copy of g whose nodes can be changed; shapes, attributes and kernels are shared.
func (g *Graph) Clone() *Graph {
	c := *g
	c.Nodes = slices.Clone(g.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].In = slices.Clone(c.Nodes[i].In)
	}
	c.Outputs = slices.Clone(g.Outputs)
	c.Updates = slices.Clone(g.Updates)
	for i := range c.Updates {
		c.Updates[i].Params = slices.Clone(c.Updates[i].Params)
		c.Updates[i].Grads = slices.Clone(c.Updates[i].Grads)
	}
	return &c
}

// Label is how messages call a node: its number, kind and source.
func (g *Graph) Label(id ID) string {
	n := &g.Nodes[id]
	s := fmt.Sprintf("%%%d %v", id, n.Op)
	if g.Name != nil && n.Src >= 0 {
		s += " (" + g.Name(n.Src) + ")"
	}
	return s
}
