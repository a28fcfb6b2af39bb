package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// softTopK holds what the ops of this file share: y = softtopk_k(scale*x) over the last axis.
//
// The forward pass is two nodes. softTopKSolveOp finds each row's threshold, a pivot and a shift in float64 whatever
// the graph's type; softTopKOp maps x to the weights given the threshold. The threshold's dependence on x is part of
// the second's graphop.Gradient, so the first has none: the backward pass reuses the root and solves nothing.
type softTopK[T kernels.Float] struct {
	rows, n, k int
	relaxation kernels.Relaxation
	scale      float64
}

func (k softTopK[T]) name(op string) string {
	return fmt.Sprintf("dcem.%s{%v, k=%d, scale=%v}", op, k.relaxation, k.k, k.scale)
}

type softTopKSolveOp[T kernels.Float] struct{ softTopK[T] }

func (k softTopKSolveOp[T]) String() string         { return k.name("SoftTopKSolve") }
func (k softTopKSolveOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k softTopKSolveOp[T]) Run(out any, in []any) {
	kernels.SoftTopKSolve(out.([]float64), nil, in[0].([]T), k.relaxation, k.scale, k.rows, k.n, k.k)
}

type softTopKOp[T kernels.Float] struct{ softTopK[T] }

func (k softTopKOp[T]) String() string { return k.name("SoftTopK") }
func (k softTopKOp[T]) Run(out any, in []any) {
	kernels.SoftTopKForward(out.([]T), in[0].([]T), in[1].([]float64), k.relaxation, k.scale, k.rows, k.n, k.k)
}
func (k softTopKOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(softTopKGradOp[T](k), 0, 1, graphop.Gradient), nil}
}

// softTopKGradOp is the gradient of softTopKOp: inputs x, threshold, g. It is linear and self-adjoint in g.
type softTopKGradOp[T kernels.Float] struct{ softTopK[T] }

func (k softTopKGradOp[T]) String() string { return k.name("SoftTopKGrad") }
func (k softTopKGradOp[T]) Run(out any, in []any) {
	kernels.SoftTopKBackward(out.([]T), in[0].([]T), in[1].([]float64), in[2].([]T), k.relaxation, k.scale, k.rows, k.n, k.k)
}
func (k softTopKGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{
		graphop.By(softTopKGrad2Op[T](k), 0, 1, 2, graphop.Gradient),
		nil,
		graphop.By(k, 0, 1, graphop.Gradient),
	}
}

// softTopKGrad2Op is the gradient of <v, softTopKGradOp(x, g)> with respect to x: inputs x, threshold, g, v.
type softTopKGrad2Op[T kernels.Float] struct{ softTopK[T] }

func (k softTopKGrad2Op[T]) String() string         { return k.name("SoftTopKGrad2") }
func (k softTopKGrad2Op[T]) Rules() []*graphop.Rule { return noThird(k, 4) }
func (k softTopKGrad2Op[T]) Run(out any, in []any) {
	kernels.SoftTopKBackward2(out.([]T), in[0].([]T), in[1].([]float64), in[2].([]T), in[3].([]T),
		k.relaxation, k.scale, k.rows, k.n, k.k)
}

// SoftTopKOptions configures [SoftTopK]. The zero value is LML on x itself.
type SoftTopKOptions struct {
	// Relaxation chooses the regulariser: LML (binary entropy, the paper's), ConstrainedSoftmax (entropy) or
	// ConstrainedSparsemax (Euclidean).
	Relaxation kernels.Relaxation
	// Scale multiplies x before the projection; 0 means 1. DCEM uses -1/tau on the costs: scaled here, digits are kept
	// and infinite costs stay harmless.
	Scale float64
}

// LML is the limited multi-label projection, doc/equations.md (3): argmin_y -x'y - H_b(y) with 0 < y < 1 and sum y = k, over the
// last axis of x. Its solution is y = sigmoid(x + nu). Entries of -Inf get weight and gradient 0; a row with NaN or
// +Inf, or with fewer than k entries above -Inf, comes out all 0 with gradient 0.
func LML(x *G.Node, k int) (*G.Node, error) { return softTopKNode("LML", x, k, SoftTopKOptions{}) }

// SoftTopK is [LML] with a choice of relaxation and a scale: weights 0 <= y <= 1 with sum y = k over the last axis of
// x.
func SoftTopK(x *G.Node, k int, o SoftTopKOptions) (*G.Node, error) {
	return softTopKNode("SoftTopK", x, k, o)
}

func softTopKNode(fn string, x *G.Node, k int, o SoftTopKOptions) (*G.Node, error) {
	rows, n, err := lastAxis(fn, "x", x)
	if err != nil {
		return nil, err
	}
	if k < 1 || k > n {
		return nil, fmt.Errorf("dcem: %s: k = %d, want 1 <= k <= n = %d", fn, k, n)
	}
	if o.Relaxation > kernels.ConstrainedSparsemax {
		return nil, fmt.Errorf("dcem: %s: Relaxation = %v, want LML, ConstrainedSoftmax or ConstrainedSparsemax", fn, o.Relaxation)
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if math.IsNaN(o.Scale) || math.IsInf(o.Scale, 0) {
		return nil, fmt.Errorf("dcem: %s: Scale = %v, want a finite number", fn, o.Scale)
	}
	var solve, weigh graphop.Kernel
	switch x.Dtype() {
	case tensor.Float32:
		s := softTopK[float32]{rows, n, k, o.Relaxation, o.Scale}
		solve, weigh = softTopKSolveOp[float32]{s}, softTopKOp[float32]{s}
	case tensor.Float64:
		s := softTopK[float64]{rows, n, k, o.Relaxation, o.Scale}
		solve, weigh = softTopKSolveOp[float64]{s}, softTopKOp[float64]{s}
	default:
		return nil, fmt.Errorf("dcem: %s: x has element type %v, want float32 or float64", fn, x.Dtype())
	}
	threshold, err := graphop.Apply(solve, tensor.Float64, tensor.Shape{rows, 2}, x)
	if err != nil {
		return nil, err
	}
	return graphop.Apply(weigh, x.Dtype(), x.Shape(), x, threshold)
}
