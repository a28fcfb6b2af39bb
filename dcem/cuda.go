package dcem

import (
	"fmt"
	"math"

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

// cudaType is T in CUDA C.
func cudaType[T kernels.Float]() string {
	if _, ok := any(T(0)).(float32); ok {
		return "float"
	}
	return "double"
}

// cudaFloat is a constant to the bit.
func cudaFloat(v float64) string {
	return fmt.Sprintf("__longlong_as_double(0x%xull)", math.Float64bits(v))
}

// cudaRow is operand i's part of a row: size elements.
func cudaRow(i, size int) string { return fmt.Sprintf("$%d + %dull * row", i, size) }

// cudaSelect is the memory that a selection out of n needs, besides cudaRowBytes: select_bytes there.
func cudaSelect[T kernels.Float](n int) int {
	size := 8
	if cudaType[T]() == "float" {
		size = 4
	}
	if n > cudaRanked {
		return 256*4 + 8
	}
	return (n + 1) * size
}

// cudaSource is the source of a call on rows, nil if they are too long.
func cudaSource(file string, rows, width, shared int, call string, args ...any) *ir.Source {
	if width > cudaLargestOfRow {
		return nil
	}
	return &ir.Source{
		Files: []string{file}, Rows: rows, Width: width, Shared: shared, Call: fmt.Sprintf(call, args...),
	}
}

// cuda is a call of a normalise function with as many arrays.
func (k normaliseOp[T]) cuda(function string, arrays int) *ir.Source {
	args := ""
	for i := range arrays {
		args += cudaRow(i, k.n) + ", "
	}
	return cudaSource("normalise.cu", k.rows, k.n, cudaRowBytes, "%s<THREADS, %s, %d, %t>(%sshared);",
		function, cudaType[T](), k.n, k.passThrough, args)
}

// Source implements ir.Sourcer.
func (k normaliseOp[T]) Source(int, []int) *ir.Source { return k.cuda("normalise_forward", 2) }

// Source implements ir.Sourcer.
func (k normaliseGradOp[T]) Source(int, []int) *ir.Source { return k.cuda("normalise_backward", 3) }

// Source implements ir.Sourcer.
func (k normaliseGrad2Op[T]) Source(int, []int) *ir.Source { return k.cuda("normalise_backward2", 4) }

// cuda is a call of a softtopk function; extra are its arguments between the operands and the scale.
func (k softTopK[T]) cuda(function string, shared int, operands, extra string) *ir.Source {
	return cudaSource("softtopk.cu", k.rows, k.n, shared, "%s<THREADS, %v, %s, %d>(%s, %s%s, shared);",
		function, k.relaxation, cudaType[T](), k.n, operands, extra, cudaFloat(k.scale))
}

// Source implements ir.Sourcer.
func (k softTopKSolveOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_solve", cudaRowBytes+cudaSelect[T](k.n), cudaRow(0, 2)+", "+cudaRow(1, k.n), fmt.Sprintf("%d, ", k.k))
}

// Source implements ir.Sourcer.
func (k softTopKOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_forward", cudaRowBytes, k.operands(2), fmt.Sprintf("%d, ", k.k))
}

// Source implements ir.Sourcer.
func (k softTopKGradOp[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_backward", cudaRowBytes, k.operands(3), "")
}

// Source implements ir.Sourcer.
func (k softTopKGrad2Op[T]) Source(int, []int) *ir.Source {
	return k.cuda("softtopk_backward2", cudaRowBytes, k.operands(4), "")
}

// operands are the result and the first ones of x, threshold, g, v.
func (k softTopK[T]) operands(n int) string {
	s := cudaRow(0, k.n)
	for i := 1; i <= n; i++ {
		size := k.n
		if i == 2 {
			size = 2
		}
		s += ", " + cudaRow(i, size)
	}
	return s
}

// Source implements ir.Sourcer.
func (k topKOp[T]) Source(int, []int) *ir.Source {
	// 128 bytes at least, for the ties of 32 warps.
	return cudaSource("topk.cu", k.rows, k.n, cudaRowBytes+max(128, cudaSelect[T](k.n)), "topk_mask<THREADS, %s, %d>(%s, %s, %d, shared);",
		cudaType[T](), k.n, cudaRow(0, k.n), cudaRow(1, k.n), k.k)
}

// cuda is a call of a refit function.
func (s size) cuda(function, element string, args string) *ir.Source {
	return cudaSource("refit.cu", s.b, s.n*s.d, cudaRefitBytes+8*min(s.d, cudaRefitChunk), "%s<THREADS, %s, %d, %d>(%s);",
		function, element, s.n, s.d, args)
}

// samples, weights and perDim are an operand's part of a row.
func (s size) samples(i int) string { return cudaRow(i, s.n*s.d) }
func (s size) weights(i int) string { return cudaRow(i, s.n) }
func (s size) perDim(i int) string  { return cudaRow(i, s.d) }

// Source implements ir.Sourcer.
func (k refitMuOp[T]) Source(int, []int) *ir.Source {
	prev := fmt.Sprintf("(const %s*)0", cudaType[T]())
	if k.keep {
		prev = k.perDim(3)
	}
	return k.cuda("refit_mu", cudaType[T](), fmt.Sprintf("%s, %s, %s, %s, %s, shared",
		k.perDim(0), k.samples(1), k.weights(2), prev, cudaFloat(float64(k.k))))
}

// Source implements ir.Sourcer.
func (k refitMuGradOp[T]) Source(int, []int) *ir.Source {
	scale := cudaFloat(float64(k.k))
	if k.which == 0 {
		return k.cuda("refit_mu_by_x", cudaType[T](), fmt.Sprintf("%s, %s, %s, %s",
			k.samples(0), k.weights(2), k.perDim(3), scale))
	}
	return k.cuda("refit_mu_by_w", cudaType[T](), fmt.Sprintf("%s, %s, %s, %s, %s, shared",
		k.weights(0), k.samples(1), k.weights(2), k.perDim(3), scale))
}

// Source implements ir.Sourcer.
func (k refitSigmaOp[T]) Source(int, []int) *ir.Source {
	prev := fmt.Sprintf("(const %s*)0", cudaType[T]())
	if k.keep {
		prev = k.perDim(4)
	}
	return k.cuda("refit_sigma", cudaType[T](), fmt.Sprintf("%s, %s, %s, %s, %s, %s, %s, shared", k.perDim(0),
		k.samples(1), k.weights(2), k.perDim(3), prev, cudaFloat(float64(k.k)), cudaFloat(k.sigmaMin)))
}

// Source implements ir.Sourcer.
func (k refitSigmaGradOp[T]) Source(int, []int) *ir.Source {
	function, out := "refit_sigma_by_x", k.samples(0)
	switch k.which {
	case 1:
		function, out = "refit_sigma_by_w", k.weights(0)
	case 2:
		function, out = "refit_sigma_by_mu", k.perDim(0)
	}
	return k.cuda(function, cudaType[T](), fmt.Sprintf("%s, %s, %s, %s, %s, %s, %s, shared", out,
		k.samples(1), k.weights(2), k.perDim(3), k.perDim(4), cudaFloat(float64(k.k)), cudaFloat(k.sigmaMin)))
}
