package ir

import (
	"math"
	"slices"
)

// Equal reports whether two nodes of one graph are certain to have the same value, bit for bit, because they are the
// same operation on the same operands: kernels of equal names without effects, draws of equal keys, constants of
// equal bits. Two inputs are equal only if they are one node. Where a node came from does not matter.
func (n *Node) Equal(m *Node) bool {
	if n == m {
		return true
	}
	if n.Op != m.Op || n.Op == Input || n.Type != m.Type {
		return false
	}
	if !slices.Equal(n.Shape, m.Shape) || !slices.Equal(n.In, m.In) {
		return false
	}
	switch a := n.Attr.(type) {
	case nil:
		return m.Attr == nil
	case Axes:
		b, ok := m.Attr.(Axes)
		return ok && slices.Equal(a, b)
	case Span:
		b, ok := m.Attr.(Span)
		return ok && slices.Equal(a.Start, b.Start) && slices.Equal(a.Step, b.Step)
	case Trans:
		b, ok := m.Attr.(Trans)
		return ok && a == b
	case Rand:
		b, ok := m.Attr.(Rand)
		return ok && a == b
	case *Tensor:
		b, ok := m.Attr.(*Tensor)
		return ok && (a == b || a.equal(b))
	case Kernel:
		b, ok := m.Attr.(Kernel)
		return ok && !HasEffects(a) && !HasEffects(b) && a.String() == b.String()
	}
	return false
}

// equal compares constants by their bits: zeros of different signs differ, NaNs of the same bits do not.
func (t *Tensor) equal(u *Tensor) bool {
	switch a := t.Data.(type) {
	case []float32:
		b, ok := u.Data.([]float32)
		return ok && slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
	case []float64:
		b, ok := u.Data.([]float64)
		return ok && slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
	case []int64:
		return equalData(a, u.Data)
	case []int:
		return equalData(a, u.Data)
	case []int32:
		return equalData(a, u.Data)
	case []uint8:
		return equalData(a, u.Data)
	case []bool:
		return equalData(a, u.Data)
	}
	return false
}

func equalData[T comparable](a []T, data any) bool {
	b, ok := data.([]T)
	return ok && slices.Equal(a, b)
}

// Hash is equal for nodes that are Equal. It is the same in every process.
func (n *Node) Hash() uint64 {
	h := hasher(14695981039346656037)
	h.add(uint64(n.Op)<<8 | uint64(n.Type))
	h.ints(n.Shape)
	for _, id := range n.In {
		h.add(uint64(uint32(id)))
	}
	switch a := n.Attr.(type) {
	case InputAttr:
		h.string(a.Name)
	case Axes:
		h.ints(a)
	case Span:
		h.ints(a.Start)
		h.ints(a.Step)
	case Trans:
		h.add(uint64(truth(a.A)) + 2*uint64(truth(a.B)))
	case Rand:
		h.add(a.Seed)
		h.add(a.Draw)
	case *Tensor:
		h.tensor(a)
	case Kernel:
		h.string(a.String())
	}
	return uint64(h)
}

// A hasher mixes words: multiply and fold, so that equal words in other places give another sum.
type hasher uint64

func (h *hasher) add(v uint64) {
	x := (uint64(*h) ^ v) * 0x9e3779b97f4a7c15
	*h = hasher(x ^ x>>29)
}

func (h *hasher) ints(s []int) {
	h.add(uint64(len(s)))
	for _, v := range s {
		h.add(uint64(v))
	}
}

func (h *hasher) string(s string) {
	h.add(uint64(len(s)))
	for i := range len(s) {
		h.add(uint64(s[i]))
	}
}

// hashed is how many elements of a constant go into a hash: enough to tell small ones apart, few enough that a big
// one costs nothing.
const hashed = 256

func (h *hasher) tensor(t *Tensor) {
	switch d := t.Data.(type) {
	case []float32:
		sample(h, d, func(v float32) uint64 { return uint64(math.Float32bits(v)) })
	case []float64:
		sample(h, d, math.Float64bits)
	case []int64:
		sample(h, d, func(v int64) uint64 { return uint64(v) })
	case []int:
		sample(h, d, func(v int) uint64 { return uint64(v) })
	case []int32:
		sample(h, d, func(v int32) uint64 { return uint64(v) })
	case []uint8:
		sample(h, d, func(v uint8) uint64 { return uint64(v) })
	case []bool:
		sample(h, d, func(v bool) uint64 { return uint64(truth(v)) })
	}
}

func sample[T any](h *hasher, d []T, bits func(T) uint64) {
	step := max(1, len(d)/hashed)
	for i := 0; i < len(d); i += step {
		h.add(bits(d[i]))
	}
}
