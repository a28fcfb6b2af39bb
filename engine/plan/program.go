// Package plan turns a graph into a flat program: fused steps over buffers with fixed places in one arena. A backend
// receives it as it is; nothing in it assumes a processor.
package plan

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// A BufID is the number of a buffer in its program.
type BufID int32

// Acc, as the buffer of a Load in the epilogue of a Dot, is the product's element itself.
const Acc BufID = -1

// A Role says where a buffer's content comes from and how long it lives.
type Role uint8

// The roles. All but Temp live as long as the executable.
const (
	Temp   Role = iota // computed in every run; its place is shared with others
	Input              // fed by the host before a run
	Param              // resident: fed once, changed by updates
	Const              // written when the program is loaded
	Output             // computed in every run, readable until the next
	State              // resident and private to an update: moments and counters, zero at first
)

// A Buffer is an array of the program, contiguous and row-major.
type Buffer struct {
	Role   Role
	Type   ir.DType
	Shape  []int
	Offset int   // bytes from the arena's start, a multiple of Align
	Data   any   // of a Const, as in ir.Tensor
	Node   ir.ID // the node whose value it is; -1: none
	// First and Last are the steps between which a Temp holds its value (it is written in First, read up to Last).
	First, Last int
	// Over is the buffer in whose place this one lies, because it ends where this begins (in-place), or of which it is
	// a view of the same elements; -1: none. The step that ends one and begins the other reads an element of the one
	// and writes the same element of the other at the same point: all loads of a point come before its stores, and a
	// Dot must not gather its product in that place.
	Over BufID
}

// Count is the number of elements.
func (b *Buffer) Count() int { return ir.Count(b.Shape) }

// Bytes is the size.
func (b *Buffer) Bytes() int { return b.Count() * b.Type.Size() }

// Align is the alignment of buffers in the arena: a cache line, and what wide loads want.
const Align = 64

// A Program is what a backend compiles.
type Program struct {
	// Graph is the graph after all passes: the program's meaning, names and shapes.
	Graph   *ir.Graph
	Buffers []Buffer
	Arena   int // bytes
	Steps   []Step
	// Inputs lists the Input and Param buffers with their nodes; Outputs the wanted nodes, in the graph's order, with
	// the buffers that hold them (several nodes may share one). Buf is -1 for a node that has no elements.
	Inputs, Outputs []Binding
	// Peak is the largest number of bytes of Temp buffers alive at once, before placing.
	Peak int
	// Recomputed counts the steps that compute a value again to save memory.
	Recomputed int
}

// A Binding ties a node to a buffer.
type Binding struct {
	Node ir.ID
	Buf  BufID
}

// A Step is one kernel. Exactly one of Loop, Dot, Custom and Update is set.
type Step struct {
	Name   string // unique and readable: "#12 dot+add+softplus"
	Loop   *Loop
	Dot    *Dot
	Custom *Custom
	Update *Update
	Reads  []BufID
	Writes []BufID
	Nodes  []ir.ID // computed here, for Explain and error messages
	Flops  int64
	Bytes  int64 // read and written, each buffer's touched part once
	Again  bool  // computes again what an earlier step computed
}

// A Loop computes, for every point of an iteration space, a straight line of scalar operations on loaded elements,
// and stores or reduces some of the results:
//
//	for i0 := range Dims[0] { for i1 := range Dims[1] { ...
//		v[l] = Loads[l] at (i0, i1, ...)             for every load
//		v[len(Loads)+j] = Body[j](v[A], v[B], v[C])   for every instruction
//		Stores[s].Buf[Offset + sum(Strides*i)] = v[Value], or is combined with it
//	}}
//
// Dims are merged where all accesses allow it, so that the last dimension is as long as it can be; an empty Dims is
// one point.
type Loop struct {
	Type   ir.DType // of the arithmetic, F32 or F64: loads convert to it, stores from it; truth is 1 and 0
	Dims   []int
	Loads  []Load
	Body   []Instr
	Stores []Store
}

// Points is the number of points of the iteration space.
func (l *Loop) Points() int { return ir.Count(l.Dims) }

// A Load is an affine access: element Offset + sum(Strides[d] * i[d]) of a buffer.
type Load struct {
	Buf     BufID
	Offset  int
	Strides []int // per dimension of the loop; 0: the same element along it
	// Guards are conditions on the point; where one fails the loaded value is 0 and nothing is read (padding).
	Guards []Guard
}

// A Guard holds where index = Start + sum(Strides[d]*i[d]) satisfies 0 <= index, index % Step == 0 and
// index / Step < Count.
type Guard struct {
	Start       int
	Strides     []int
	Step, Count int
}

// An Instr is one operation on values; Op is elementwise, or Const, whose value is Imm.
//
// Normal and Uniform are elements of a draw: operand A is unused; the run number is element 0 of the buffer Run, the
// element's number is Index at the point.
type Instr struct {
	Op      ir.Op
	A, B, C int32 // value numbers: below len(Loads) a load, else an instruction before this one; -1: none
	Imm     float64
	Rand    ir.Rand
	Run     BufID
	Index   *Load // only Offset and Strides
	Round   bool  // Cast: round the value to Type
	Type    ir.DType
	Node    ir.ID
}

// A Combine says what a store does with the values of the points that share its element.
type Combine uint8

// The ways. All points of a Set store address different elements.
const (
	Set Combine = iota
	Sum
	MaxOf
	MinOf
	ProdOf
)

// A Store writes a value. For a combining store the strides are 0 along the reduced dimensions, and the element
// begins anew in each run (it does not add to what the buffer held).
type Store struct {
	Value   int32
	Buf     BufID
	Offset  int
	Strides []int
	Combine Combine
}

// A Dot is a batch of matrix products with an epilogue. The product's element (b, i, j) is the value of the
// epilogue's loads whose Buf is Acc; the epilogue's Dims are exactly {Batch*M, N}, and a plain product has an epilogue
// that only stores it. Combining stores are allowed.
type Dot struct {
	Type           ir.DType
	Batch, M, N, K int
	A, B           Operand
	Epilogue       Loop
}

// An Operand is a batch of matrices in a buffer; Trans: stored transposed. Ld is the distance of stored rows.
type Operand struct {
	Buf    BufID
	Offset int
	Ld     int
	Batch  int // distance of the batch's matrices; 0: the same one
	Trans  bool
}

// A Custom is a kernel on whole buffers.
type Custom struct {
	Kernel ir.Kernel
	In     []BufID
	Out    BufID
}

// An Update is a step of an optimiser: kernels.OptimizerStep on the buffers. Which of M, V and Velocity there are
// follows from the rule. Info holds, as float64, what the step reports: the gradient norm, clipped, skipped (0 or 1)
// and the loss; Rate is its learning rate, float64, and Steps its count, Int64; both State.
type Update struct {
	Optimizer      kernels.Optimizer
	Params, Grads  []BufID
	M, V, Velocity []BufID
	Rate, Steps    BufID
	Loss           BufID // -1: none
	Info           BufID
}
