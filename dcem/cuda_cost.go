package dcem

import (
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// What the kernels of kernels/*.cu do, for the model of the time: operations, a transcendental function as many as
// ir.OpInfo counts for it; and how many reductions over a row, or barriers, follow each other. Nearly all of them
// compute in float64 whatever the graph's type is. Where the number of steps depends on the costs it is what rows of
// normal ones need.
var _ = []costed{
	normaliseOp[float32]{}, normaliseGradOp[float32]{}, normaliseGrad2Op[float32]{},
	softTopKSolveOp[float32]{}, softTopKOp[float32]{}, softTopKGradOp[float32]{}, softTopKGrad2Op[float32]{},
	topKOp[float32]{},
	refitMuOp[float32]{}, refitMuGradOp[float32]{}, refitSigmaOp[float32]{}, refitSigmaGradOp[float32]{},
	gateGradOp[float32]{}, gatherOp[float32]{}, scatterOp[float32]{}, denseOp[float32]{},
}

type costed interface {
	ir.Coster
	ir.Stager
}

const (
	// softSteps is how often the root of LML is improved: 1 or 2 times for normal scores, of 16 that are allowed.
	softSteps = 2
	// cappedSteps halve the bracket of the capped softmax in the order of float64 numbers, and pieceSteps search the
	// pieces of the capped sparsemax: a guess.
	cappedSteps = 55
	pieceSteps  = 10
)

var costDiv, costExp, costTanh = int64(ir.Div.Info().Flops), int64(ir.Exp.Info().Flops), int64(ir.Tanh.Info().Flops)

// onRows is a cost for each entry of a batch of rows; bytes are what operands and results take.
func onRows(rows, n int, each int64) (flops, bytes int64) { return int64(rows) * int64(n) * each, 0 }

// Cost implements ir.Coster.
func (k normaliseOp[T]) Cost() (flops, bytes int64) { return k.centred(1, 2+costDiv) }

// centred is the cost of centring so many rows, 10 an entry, and of what follows.
func (k normaliseOp[T]) centred(arrays, more int64) (flops, bytes int64) {
	if k.passThrough {
		return onRows(k.rows, k.n, 1)
	}
	return onRows(k.rows, k.n, 10*arrays+more)
}

// Stages implements ir.Stager: the largest, the mean, and what is left of it with the squares.
func (k normaliseOp[T]) Stages() int { return k.stages(3) }

func (k normaliseOp[T]) stages(n int) int {
	if k.passThrough {
		return 0
	}
	return n
}

// Cost implements ir.Coster.
func (k normaliseGradOp[T]) Cost() (flops, bytes int64) { return k.centred(2, 16) }

// Stages implements ir.Stager.
func (k normaliseGradOp[T]) Stages() int { return k.stages(4) }

// Cost implements ir.Coster.
func (k normaliseGrad2Op[T]) Cost() (flops, bytes int64) { return k.centred(3, 30) }

// Stages implements ir.Stager.
func (k normaliseGrad2Op[T]) Stages() int { return k.stages(4) }

// selectCost is what finding the k-th of n takes for an entry, and in stages: short rows count the larger ones, long
// ones digits of 8 bits, until one entry is left, after some 3.
func selectCost(n int) (each int64, stages int) {
	if n > cudaRanked {
		return 3 * 4, 3 * 3
	}
	return 3 * int64(n), 2
}

// perStep is what an entry and how many reductions a step of the search for the threshold takes, and their number.
func (k softTopK[T]) perStep() (each int64, steps int) {
	switch k.relaxation {
	case kernels.ConstrainedSoftmax:
		return costExp + 6, cappedSteps
	case kernels.ConstrainedSparsemax:
		return 14, pieceSteps
	}
	return costDiv + 16, softSteps
}

// Cost implements ir.Coster.
func (k softTopKSolveOp[T]) Cost() (flops, bytes int64) {
	find, _ := selectCost(k.n)
	each, steps := k.perStep()
	return onRows(k.rows, k.n, 4+find+costExp+4+each*int64(steps))
}

// Stages implements ir.Stager: what spoils a row, the k-th, the gap, and the steps.
func (k softTopKSolveOp[T]) Stages() int {
	_, find := selectCost(k.n)
	_, steps := k.perStep()
	return 1 + find + 2 + steps
}

// Cost implements ir.Coster.
func (k softTopKOp[T]) Cost() (flops, bytes int64) {
	each := 3 + costExp + costDiv
	if cType[T]() == "double" {
		each += 12
	}
	return onRows(k.rows, k.n, each)
}

// Stages implements ir.Stager: float64 weights have their sum corrected.
func (k softTopKOp[T]) Stages() int {
	if cType[T]() == "double" {
		return 2
	}
	return 0
}

// Cost implements ir.Coster.
func (k softTopKGradOp[T]) Cost() (flops, bytes int64) {
	return onRows(k.rows, k.n, 3+costExp+costDiv+14+costDiv)
}

// Stages implements ir.Stager: the slopes' sum, and the mean.
func (k softTopKGradOp[T]) Stages() int { return 2 }

// Cost implements ir.Coster.
func (k softTopKGrad2Op[T]) Cost() (flops, bytes int64) {
	return onRows(k.rows, k.n, 3+costExp+costDiv+2*costTanh+40)
}

// Stages implements ir.Stager: the slopes' sum, two means, and the product's.
func (k softTopKGrad2Op[T]) Stages() int { return 4 }

// Cost implements ir.Coster.
func (k topKOp[T]) Cost() (flops, bytes int64) {
	find, _ := selectCost(k.n)
	return onRows(k.rows, k.n, find+6)
}

// Stages implements ir.Stager: finite ones, the k-th, and those before it and like it.
func (k topKOp[T]) Stages() int { _, find := selectCost(k.n); return 2 + find }

// sumStages is how many sums over the candidates follow each other for D dimensions, up to 256 at a time.
func (s size) sumStages() int { return (s.d + 255) / 256 }

// Cost implements ir.Coster: the sums carry what rounding loses along, 7 operations a term.
func (k refitMuOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n*k.d, 8) }

// Stages implements ir.Stager.
func (k refitMuOp[T]) Stages() int { return k.sumStages() }

// Cost implements ir.Coster.
func (k refitMuGradOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n*k.d, 2+costDiv) }

// Stages implements ir.Stager: for the weights' gradient whether there is any weight, and the slopes.
func (k refitMuGradOp[T]) Stages() int { return 2 * k.which }

// Cost implements ir.Coster.
func (k refitSigmaOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n*k.d, 10) }

// Stages implements ir.Stager.
func (k refitSigmaOp[T]) Stages() int { return k.sumStages() }

// Cost implements ir.Coster: the moments again, and the gradient.
func (k refitSigmaGradOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n*k.d, 10+4) }

// Stages implements ir.Stager: the moments again, and for the weights' gradient whether there is any, for that of the
// mean another sum.
func (k refitSigmaGradOp[T]) Stages() int {
	if k.which > 0 {
		return k.sumStages() + 1
	}
	return k.sumStages()
}

// Cost implements ir.Coster.
func (k gateGradOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n*k.d, 2) }

// Stages implements ir.Stager.
func (k gateGradOp[T]) Stages() int { return 0 }

// Cost implements ir.Coster: an entry's rank takes a look at all.
func (k gatherOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.n, 4*int64(k.n)) }

// Stages implements ir.Stager.
func (k gatherOp[T]) Stages() int { return 0 }

// Cost implements ir.Coster.
func (k scatterOp[T]) Cost() (flops, bytes int64) { return gatherOp[T](k).Cost() }

// Stages implements ir.Stager.
func (k scatterOp[T]) Stages() int { return 0 }

// Cost implements ir.Coster: the elimination, and the inverse.
func (k denseOp[T]) Cost() (flops, bytes int64) { return onRows(k.b, k.d*k.d, 3*int64(k.d)) }

// Stages implements ir.Stager: for each column a pivot, an exchange, a reduction; and then triangular systems, each by
// one thread, some 32 terms in the time of a stage.
func (k denseOp[T]) Stages() int { return 3*k.d + k.d*k.d/32 }
