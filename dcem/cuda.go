package dcem

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// The kernels that exist as CUDA C: normalisation, projections, selection and moments, a problem per block. What is
// text there is the shape and the options; the equations and the edge cases are those of package kernels.
var _ = []ir.Sourcer{
	normaliseOp[float32]{}, normaliseGradOp[float32]{}, normaliseGrad2Op[float32]{},
	softTopKSolveOp[float32]{}, softTopKOp[float32]{}, softTopKGradOp[float32]{}, softTopKGrad2Op[float32]{},
	topKOp[float32]{},
	refitMuOp[float32]{}, refitMuGradOp[float32]{}, refitSigmaOp[float32]{}, refitSigmaGradOp[float32]{},
}

// The shared memory of kernels/*.cu: ROW_BYTES, SELECT_RANKED, REFIT_BYTES and REFIT_CHUNK there.
const (
	cudaRowBytes     = 4096
	cudaRanked       = 256
	cudaRefitBytes   = 256 * 24
	cudaRefitChunk   = 2048
	cudaLargestOfRow = math.MaxInt32 // elements that 32-bit numbers of them allow, with some to spare
)

// cudaSelect is the memory that a selection out of n needs, besides cudaRowBytes: select_bytes there.
func cudaSelect[T kernels.Float](n int) int {
	if n > cudaRanked {
		return 256*4 + 8
	}
	return (n + 1) * int(unsafe.Sizeof(T(0)))
}

// cudaSource is the source of a call on rows, nil if they are too long.
func cudaSource(file string, rows, width, shared int, call string) *ir.Source {
	if width > cudaLargestOfRow {
		return nil
	}
	return &ir.Source{Files: []string{file}, Rows: rows, Width: width, Shared: shared, Call: call}
}

// rowsAt are the arguments for the result and operands whose rows have those sizes, and then shared.
func rowsAt(sizes ...int) (args []string) {
	for i, n := range sizes {
		args = append(args, rowAt(i, n))
	}
	return append(args, "shared")
}

func (k normaliseOp[T]) cuda(function string, sizes ...int) *ir.Source {
	return cudaSource("normalise.cu", k.rows, k.n, cudaRowBytes,
		template[T](function, []any{k.n, k.passThrough}, rowsAt(sizes...)...))
}

// Source implements ir.Sourcer.
func (k normaliseOp[T]) Source(int, []int) *ir.Source { return k.cuda("normalise_forward", k.n, k.n) }

// Source implements ir.Sourcer.
func (k normaliseGradOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("normalise_backward", k.n, k.n, k.n)
}

// Source implements ir.Sourcer.
func (k normaliseGrad2Op[T]) Source(int, []int) *ir.Source {
	return k.cuda("normalise_backward2", k.n, k.n, k.n, k.n)
}

// cuda is a call of a function of soft top-k; k and the scale come last.
func (k softTopK[T]) cuda(function string, shared int, sizes ...int) *ir.Source {
	args := append(rowsAt(sizes...), fmt.Sprint(k.k), exact(k.scale))
	return cudaSource("softtopk.cu", k.rows, k.n, shared, template[T](function, []any{k.relaxation, k.n}, args...))
}

// Source implements ir.Sourcer.
func (k softTopKSolveOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_solve", cudaRowBytes+cudaSelect[T](k.n), 2, k.n)
}

// Source implements ir.Sourcer.
func (k softTopKOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_forward", cudaRowBytes, k.n, k.n, 2)
}

// Source implements ir.Sourcer.
func (k softTopKGradOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_backward", cudaRowBytes, k.n, k.n, 2, k.n)
}

// Source implements ir.Sourcer.
func (k softTopKGrad2Op[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_backward2", cudaRowBytes, k.n, k.n, 2, k.n, k.n)
}

// Source implements ir.Sourcer.
func (k topKOp[T]) Source(int, []int) *ir.Source {
	shared := cudaRowBytes + max(cudaSelect[T](k.n), 32*4) // the ties of 32 warps
	return cudaSource("topk.cu", k.rows, k.n, shared,
		template[T]("topk_mask", []any{k.n}, append(rowsAt(k.n, k.n), fmt.Sprint(k.k))...))
}

// refitSource is a call of a refit function; k and then the numbers come last.
func refitSource[T kernels.Float](s size, k int, function string, args []string, numbers ...float64) *ir.Source {
	for _, v := range append([]float64{float64(k)}, numbers...) {
		args = append(args, exact(v))
	}
	return cudaSource("refit.cu", s.b, s.n*s.d, cudaRefitBytes+8*min(s.d, cudaRefitChunk),
		template[T](function, []any{s.n, s.d}, args...))
}

// previous are the arguments of a refit, with a null pointer for what is to be kept of nothing.
func previous[T kernels.Float](keep bool, sizes ...int) []string {
	args := rowsAt(sizes...)
	if !keep {
		args[len(sizes)-1] = fmt.Sprintf("(const %s*)nullptr", cType[T]())
	}
	return args
}

// Source implements ir.Sourcer.
func (k refitMuOp[T]) Source(int, []int) *ir.Source {
	return refitSource[T](k.size, k.k, "refit_mu", previous[T](k.keep, k.d, k.n*k.d, k.n, k.d))
}

// Source implements ir.Sourcer.
func (k refitMuGradOp[T]) Source(int, []int) *ir.Source {
	function, out := "refit_mu_by_x", k.n*k.d
	if k.which == 1 {
		function, out = "refit_mu_by_w", k.n
	}
	return refitSource[T](k.size, k.k, function, rowsAt(out, k.n*k.d, k.n, k.d))
}

// Source implements ir.Sourcer.
func (k refitSigmaOp[T]) Source(int, []int) *ir.Source {
	return refitSource[T](k.size, k.k, "refit_sigma", previous[T](k.keep, k.d, k.n*k.d, k.n, k.d, k.d), k.sigmaMin)
}

// Source implements ir.Sourcer.
func (k refitSigmaGradOp[T]) Source(int, []int) *ir.Source {
	function, out := "refit_sigma_by_x", k.n*k.d
	switch k.which {
	case 1:
		function, out = "refit_sigma_by_w", k.n
	case 2:
		function, out = "refit_sigma_by_mu", k.d
	}
	return refitSource[T](k.size, k.k, function, rowsAt(out, k.n*k.d, k.n, k.d, k.d), k.sigmaMin)
}
