package dcem

import (
	"fmt"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// normaliseOp is eq. (2): (f - mean) / (std + 1e-6) over the finite costs of each row; the others come out as +Inf.
type normaliseOp[T kernels.Float] struct {
	rows, n     int
	passThrough bool
}

func (k normaliseOp[T]) String() string {
	return fmt.Sprintf("dcem.Normalise{passThrough=%v}", k.passThrough)
}

func (k normaliseOp[T]) Run(out any, in []any) {
	kernels.NormaliseForward(out.([]T), nil, in[0].([]T), k.passThrough, k.rows, k.n)
}

func (k normaliseOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(normaliseGradOp[T]{k}, 0, graphop.Gradient)}
}

// normaliseGradOp is the gradient of normaliseOp: inputs f, g. It is linear and self-adjoint in g, the Jacobian being
// symmetric.
type normaliseGradOp[T kernels.Float] struct{ normaliseOp[T] }

func (k normaliseGradOp[T]) String() string {
	return fmt.Sprintf("dcem.NormaliseGrad{passThrough=%v}", k.passThrough)
}

func (k normaliseGradOp[T]) Run(out any, in []any) {
	kernels.NormaliseBackward(out.([]T), in[0].([]T), in[1].([]T), k.passThrough, k.rows, k.n)
}

func (k normaliseGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{
		graphop.By(normaliseGrad2Op[T](k), 0, 1, graphop.Gradient),
		graphop.By(k, 0, graphop.Gradient),
	}
}

// normaliseGrad2Op is the gradient of <v, normaliseGradOp(f, g)> with respect to f: inputs f, g, v. The third
// derivative is not available.
type normaliseGrad2Op[T kernels.Float] struct{ normaliseOp[T] }

func (k normaliseGrad2Op[T]) String() string {
	return fmt.Sprintf("dcem.NormaliseGrad2{passThrough=%v}", k.passThrough)
}

func (k normaliseGrad2Op[T]) Run(out any, in []any) {
	kernels.NormaliseBackward2(out.([]T), in[0].([]T), in[1].([]T), in[2].([]T), k.passThrough, k.rows, k.n)
}

func (k normaliseGrad2Op[T]) Rules() []*graphop.Rule { return noThird(k, 3) }

// noThird makes every derivative of a second-derivative kernel an error rather than a silent zero.
func noThird(k graphop.Kernel, inputs int) []*graphop.Rule {
	rs := make([]*graphop.Rule, inputs)
	for i := range rs {
		rs[i] = graphop.By(unavailable{k}, graphop.Gradient)
	}
	return rs
}

// unavailable stands for a derivative that does not exist.
type unavailable struct{ graphop.Kernel }

// Refuse implements graphop.Refuser.
func (k unavailable) Refuse() error {
	return fmt.Errorf("dcem: %v has no derivative: third derivatives of this op are not available", k.Kernel)
}

// NormaliseOptions configures [Normalise]. The zero value is the paper's setting.
type NormaliseOptions struct {
	// PassThrough leaves finite costs as they are and only marks the others.
	PassThrough bool
}

// Normalise standardises costs per problem, eq. (2): (f - mean) / (std + 1e-6), with mean and standard deviation (n -
// 1) over the finite costs of the last axis. Costs that are NaN or infinite are excluded: they come out as +Inf,
// which [LML] and [TopK] give weight 0, and receive gradient 0.
func Normalise(f *G.Node, o NormaliseOptions) (*G.Node, error) {
	rows, n, err := lastAxis("Normalise", "f", f)
	if err != nil {
		return nil, err
	}
	return typed(f.Dtype(), normaliseOp[float32]{rows, n, o.PassThrough}, normaliseOp[float64]{rows, n, o.PassThrough}, f.Shape(), f)
}

// lastAxis returns the number of rows and the size of the last axis of a float node.
func lastAxis(fn, name string, x *G.Node) (rows, n int, err error) {
	if x == nil {
		return 0, 0, fmt.Errorf("dcem: %s: %s is nil", fn, name)
	}
	s := x.Shape()
	if len(s) == 0 || s.TotalSize() == 0 {
		return 0, 0, fmt.Errorf("dcem: %s: %s has shape %v, want (..., n) with n at least 1", fn, name, s)
	}
	n = s[len(s)-1]
	return s.TotalSize() / n, n, nil
}
