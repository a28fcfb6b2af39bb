package nn

import (
	"fmt"
	"sync"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
)

// AddRow adds the vector b, shape (n), to every row of the matrix z, shape (rows, n).
//
// It is one node, whose gradient with respect to b is summed in float64. Gorgonia's BroadcastAdd and the product of a
// column of ones with b make a net no faster (BenchmarkMLP), take three nodes, and sum in the element type.
func AddRow(z, b *G.Node) (*G.Node, error) {
	if err := checkTensor("AddRow", "z", z); err != nil {
		return nil, err
	}
	if err := checkTensor("AddRow", "b", b); err != nil {
		return nil, err
	}
	if z.Dims() != 2 || b.Dims() != 1 || z.Shape()[1] != b.Shape()[0] {
		return nil, fmt.Errorf("nn: AddRow: shapes %v and %v, want (rows, n) and (n)", z.Shape(), b.Shape())
	}
	if z.Dtype() != b.Dtype() {
		return nil, fmt.Errorf("nn: AddRow: types %v and %v, want one type", z.Dtype(), b.Dtype())
	}
	return graphop.Apply(rowOp{addRow}, z.Dtype(), z.Shape(), z, b)
}

// rowOp is one of four ops that are one another's gradients.
type rowOp struct{ f rowFunc }

type rowFunc uint8

const (
	addRow  rowFunc = iota // (rows, n), (n) -> (rows, n): z + b
	sumRows                // (rows, n) -> (n): the sum over the rows
	spread                 // (n) -> (rows, n): b in every row
	pass                   // (rows, n) -> (rows, n): z
)

// String implements graphop.Kernel.
func (k rowOp) String() string {
	return "nn." + [...]string{"AddRow", "SumRows", "Spread", "Pass"}[k.f]
}

// Rules implements graphop.Kernel.
func (k rowOp) Rules() []*graphop.Rule {
	by := func(f rowFunc) *graphop.Rule { return graphop.By(rowOp{f}, graphop.Gradient) }
	switch k.f {
	case addRow:
		return []*graphop.Rule{by(pass), by(sumRows)}
	case sumRows:
		return []*graphop.Rule{by(spread)}
	case spread:
		return []*graphop.Rule{by(sumRows)}
	}
	return []*graphop.Rule{by(pass)}
}

// Run implements graphop.Kernel.
func (k rowOp) Run(out any, in []any) {
	switch out := out.(type) {
	case []float32:
		runRows(k.f, out, in)
	case []float64:
		runRows(k.f, out, in)
	}
}

func runRows[T vec.Float](f rowFunc, out []T, in []any) {
	pool := rowPool[T]()
	j := pool.Get().(*rowJob[T])
	j.f, j.out, j.a = f, out, in[0].([]T)
	switch f {
	case pass:
		copy(out, j.a)
	case addRow:
		j.b = in[1].([]T)
		vec.Parallel(len(out)/len(j.b), max(1, 8192/len(j.b)), j)
	case spread:
		vec.Parallel(len(out)/len(j.a), max(1, 8192/len(j.a)), j)
	case sumRows: // columns are independent; rows must be added in one order
		vec.Parallel(len(out), max(16, 8192*len(out)/len(j.a)), j)
	}
	*j = rowJob[T]{}
	pool.Put(j)
}

type rowJob[T vec.Float] struct {
	f         rowFunc
	out, a, b []T
}

var (
	rowJobs32 = sync.Pool{New: func() any { return new(rowJob[float32]) }}
	rowJobs64 = sync.Pool{New: func() any { return new(rowJob[float64]) }}
)

func rowPool[T vec.Float]() *sync.Pool {
	if isSingle[T]() {
		return &rowJobs32
	}
	return &rowJobs64
}

// Run implements vec.Job over rows, or over columns for sumRows.
func (j *rowJob[T]) Run(lo, hi int) {
	switch j.f {
	case addRow:
		n := len(j.b)
		for r := lo; r < hi; r++ {
			out, z := j.out[r*n:(r+1)*n], j.a[r*n:(r+1)*n]
			for i, b := range j.b {
				out[i] = z[i] + b
			}
		}
	case spread:
		n := len(j.a)
		for r := lo; r < hi; r++ {
			copy(j.out[r*n:(r+1)*n], j.a)
		}
	case sumRows:
		var buf [64]float64
		n := len(j.out)
		for ; lo < hi; lo += len(buf) {
			sum := buf[:min(len(buf), hi-lo)]
			clear(sum)
			for at := lo; at < len(j.a); at += n {
				for i, v := range j.a[at : at+len(sum)] {
					sum[i] += float64(v)
				}
			}
			for i, s := range sum {
				j.out[lo+i] = T(s)
			}
		}
	}
}
