package nn

import (
	"fmt"
	"sync"

	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
)

// AddRow adds the vector b, shape (n), to every row of the matrix z, shape (rows, n).
//
// The gradient of b is summed in float64. Speed is that of a product of ones with b, without a constant for each number of
// rows; Gorgonia's BroadcastAdd makes a net's forward and backward pass some 5 % slower (BenchmarkMLP).
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
	return apply(rowOp{addRow}, z.Shape(), z, b)
}

// rowOp is one of three ops that are one another's gradients.
type rowOp struct{ f rowFunc }

type rowFunc uint8

const (
	addRow  rowFunc = iota // (rows, n), (n) -> (rows, n): z + b
	sumRows                // (rows, n) -> (n): the sum over the rows
	spread                 // (n) -> (rows, n): b in every row
)

func (k rowOp) String() string { return "nn." + [...]string{"AddRow", "SumRows", "Spread"}[k.f] }

func (k rowOp) diff(in G.Nodes, grad *G.Node) (G.Nodes, error) {
	switch k.f {
	case addRow:
		db, err := apply(rowOp{sumRows}, in[1].Shape(), grad)
		return G.Nodes{grad, db}, err
	case sumRows:
		dz, err := apply(rowOp{spread}, in[0].Shape(), grad)
		return G.Nodes{dz}, err
	}
	db, err := apply(rowOp{sumRows}, in[0].Shape(), grad)
	return G.Nodes{db}, err
}

func (k rowOp) run(out any, in []any) {
	switch out := out.(type) {
	case []float32:
		runRows(k.f, out, in)
	case []float64:
		runRows(k.f, out, in)
	}
}

func (k rowOp) vjp(in []any, grad any) []any {
	switch g := grad.(type) {
	case []float32:
		return vjpRows(k.f, in, g)
	case []float64:
		return vjpRows(k.f, in, g)
	}
	return nil
}

func vjpRows[T vec.Float](f rowFunc, in []any, grad []T) []any {
	switch f {
	case addRow:
		db := make([]T, len(in[1].([]T)))
		runRows(sumRows, db, []any{grad})
		return []any{grad, db}
	case sumRows:
		dz := make([]T, len(in[0].([]T)))
		runRows(spread, dz, []any{grad})
		return []any{dz}
	}
	db := make([]T, len(in[0].([]T)))
	runRows(sumRows, db, []any{grad})
	return []any{db}
}

func runRows[T vec.Float](f rowFunc, out []T, in []any) {
	pool := rowPool[T]()
	j := pool.Get().(*rowJob[T])
	j.f, j.out, j.a = f, out, in[0].([]T)
	switch f {
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
