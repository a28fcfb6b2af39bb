package emit

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// A Product is a launch of a library for matrix products instead of a kernel: C = A B for each matrix of a batch, C
// of M x N, the sums of K terms. See Options.Library.
type Product struct {
	Type           ir.DType // F32 or F64
	Batch, M, N, K int
	A, B, C        Matrix
}

// A Matrix is an operand or the result of a Product, row-major: M x K, K x N and M x N, or stored transposed. All
// numbers are of elements.
type Matrix struct {
	Buf    plan.BufID
	Offset int
	Ld     int // distance of stored rows
	Batch  int // distance of the batch's matrices; 0: the same one
	Trans  bool
}

// librarySide is how long the sides of a library's products are at least: what is narrower our kernels do as well.
const librarySide = 64

// libraryProduct is the part of a product for a library, nil if it is none: it must be plain, that is all that is
// done with it is to store it, and big.
func (e *emitter) libraryProduct(i int, d *plan.Dot) *part {
	l := &d.Epilogue
	flops := 2 * int64(d.Batch) * int64(d.M) * int64(d.N) * int64(d.K)
	if e.o.Library == 0 || flops < e.o.Library || min(d.M, d.N, d.K) < librarySide || len(l.Stores) != 1 ||
		l.Stores[0].Combine != plan.Set {
		return nil
	}
	st := &l.Stores[0]
	if v := int(st.Value); v >= len(l.Loads) || l.Loads[v].Buf != plan.Acc || e.p.Buffers[st.Buf].Type != d.Type ||
		st.Strides[1] != 1 || st.Strides[0] < d.N {
		return nil
	}
	s := &e.p.Steps[i]
	matrix := func(o plan.Operand) Matrix { return Matrix(o) }
	return &part{name: dotName(s.Name), step: i, host: true, blocks: 1, reads: s.Reads, writes: s.Writes, flops: s.Flops,
		bytes: s.Bytes, product: &Product{Type: d.Type, Batch: d.Batch, M: d.M, N: d.N, K: d.K, A: matrix(d.A),
			B: matrix(d.B), C: Matrix{Buf: st.Buf, Offset: st.Offset, Ld: st.Strides[0], Batch: d.M * st.Strides[0]}}}
}

// onDevice reports whether the device does the launch, not the host.
func (l *Launch) onDevice() bool { return l.Kernel >= 0 || l.Product != nil }
