package dcem

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// refitMuOp is eq. (4): mu = sum w x / k. Inputs x, w and, optionally, the mu to keep where all weights of a problem
// are 0.
type refitMuOp[T kernels.Float] struct {
	size
	k    int
	keep bool
}

func (k refitMuOp[T]) String() string { return fmt.Sprintf("dcem.RefitMu{k=%d, keep=%v}", k.k, k.keep) }

func (k refitMuOp[T]) Run(out any, in []any) {
	var prev []T
	if k.keep {
		prev = in[2].([]T)
	}
	kernels.RefitForward(out.([]T), nil, in[0].([]T), in[1].([]T), prev, nil, 0, k.k, k.b, k.n, k.d)
}

func (k refitMuOp[T]) Rules() []*graphop.Rule {
	args := []graphop.Operand{0, 1, graphop.Gradient}
	rs := []*graphop.Rule{graphop.By(refitMuGradOp[T]{k, 0}, args...), graphop.By(refitMuGradOp[T]{k, 1}, args...)}
	if k.keep {
		rs = append(rs, graphop.By(keptOp[T]{k.size}, 1, graphop.Gradient))
	}
	return rs
}

// refitMuGradOp is the gradient of refitMuOp with respect to x (0) or w (1): inputs x, w, g.
type refitMuGradOp[T kernels.Float] struct {
	refitMuOp[T]
	which int
}

func (k refitMuGradOp[T]) String() string {
	return fmt.Sprintf("dcem.RefitMuGrad{wrt=%d, k=%d}", k.which, k.k)
}

func (k refitMuGradOp[T]) Run(out any, in []any) {
	var d [2][]T
	d[k.which] = out.([]T)
	kernels.RefitMuBackward(d[0], d[1], nil, in[2].([]T), in[0].([]T), in[1].([]T), k.k, k.b, k.n, k.d)
}

func (k refitMuGradOp[T]) Diff(want []bool, in G.Nodes, grad *G.Node) (G.Nodes, error) {
	return diffTwin(k, want, in, grad)
}

func (k refitMuGradOp[T]) twin(in G.Nodes) (*G.Node, int, error) {
	n, err := contract(k.size, 1/float64(k.k), kernels.BD, []kernels.Pattern{kernels.BND, kernels.BN}, in[0], in[1])
	return n, k.which, err
}

// keptOp passes g (B, D) for the problems whose weights are all 0, else 0: inputs w, g.
type keptOp[T kernels.Float] struct{ size }

func (k keptOp[T]) String() string { return fmt.Sprintf("dcem.Kept{n=%d}", k.n) }

func (k keptOp[T]) Run(out any, in []any) {
	o, w, g := out.([]T), in[0].([]T), in[1].([]T)
	for b := range k.b {
		row := o[b*k.d : (b+1)*k.d]
		copy(row, g[b*k.d:])
		for _, v := range w[b*k.n : (b+1)*k.n] {
			if v != 0 {
				clear(row)
				break
			}
		}
	}
}

func (k keptOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

// refitSigmaOp is sigma = max(sqrt(sum w (x - mu)^2 / k), sigmaMin). Inputs x, w, mu and, optionally, the sigma to
// keep.
type refitSigmaOp[T kernels.Float] struct {
	size
	k        int
	sigmaMin float64
	keep     bool
}

func (k refitSigmaOp[T]) String() string {
	return fmt.Sprintf("dcem.RefitSigma{k=%d, min=%v, keep=%v}", k.k, k.sigmaMin, k.keep)
}

func (k refitSigmaOp[T]) Run(out any, in []any) {
	var prev []T
	if k.keep {
		prev = in[3].([]T)
	}
	kernels.SigmaForward(out.([]T), in[0].([]T), in[1].([]T), in[2].([]T), prev, k.sigmaMin, k.k, k.b, k.n, k.d)
}

func (k refitSigmaOp[T]) Rules() []*graphop.Rule {
	args := []graphop.Operand{0, 1, 2, graphop.Gradient}
	rs := []*graphop.Rule{graphop.By(refitSigmaGradOp[T]{k, 0}, args...), graphop.By(refitSigmaGradOp[T]{k, 1}, args...), graphop.By(refitSigmaGradOp[T]{k, 2}, args...)}
	if k.keep {
		rs = append(rs, graphop.By(keptOp[T]{k.size}, 1, graphop.Gradient))
	}
	return rs
}

// refitSigmaGradOp is the gradient of refitSigmaOp with respect to x (0), w (1) or mu (2): inputs x, w, mu, g.
type refitSigmaGradOp[T kernels.Float] struct {
	refitSigmaOp[T]
	which int
}

func (k refitSigmaGradOp[T]) String() string {
	return fmt.Sprintf("dcem.RefitSigmaGrad{wrt=%d, k=%d, min=%v}", k.which, k.k, k.sigmaMin)
}

func (k refitSigmaGradOp[T]) Run(out any, in []any) {
	var d [3][]T
	d[k.which] = out.([]T)
	kernels.RefitSigmaBackward(d[0], d[1], d[2], nil,
		in[3].([]T), in[0].([]T), in[1].([]T), in[2].([]T), k.sigmaMin, k.k, k.b, k.n, k.d)
}

func (k refitSigmaGradOp[T]) Diff(want []bool, in G.Nodes, grad *G.Node) (G.Nodes, error) {
	return diffTwin(k, want, in, grad)
}

func (k refitSigmaGradOp[T]) twin(in G.Nodes) (*G.Node, int, error) {
	x, w, mu := in[0], in[1], in[2]
	var t twin
	r := t.sub(x, t.contract(k.size, 1, kernels.BND, []kernels.Pattern{kernels.BD}, mu))
	v := t.contract(k.size, 1/float64(k.k), kernels.BD, []kernels.Pattern{kernels.BN, kernels.BND, kernels.BND}, w, r, r)
	s := t.keep(func() (*G.Node, error) {
		return graphop.Apply(powerOp[T]{c: 1, p: 0.5, cut: k.sigmaMin}, v.Dtype(), v.Shape(), v)
	})
	return s, k.which, t.err
}

// powerOp is c*v^p * m_1 * m_2 ... where v > 0 and sqrt(v) > cut, else 0; inputs v, m_1, m_2, .... It is the square
// root above a floor, and being closed under differentiation, all its derivatives.
type powerOp[T kernels.Float] struct {
	c, p, cut float64
	factors   int
}

func (k powerOp[T]) String() string {
	return fmt.Sprintf("dcem.Power{c=%v, p=%v, cut=%v, factors=%d}", k.c, k.p, k.cut, k.factors)
}

func (k powerOp[T]) Run(out any, in []any) {
	o := out.([]T)
	for i, v := range in[0].([]T) {
		if !(v > 0 && math.Sqrt(float64(v)) > k.cut) {
			o[i] = 0
			continue
		}
		x := k.c * math.Pow(float64(v), k.p)
		for _, m := range in[1:] {
			x *= float64(m.([]T)[i])
		}
		o[i] = T(x)
	}
}

func (k powerOp[T]) Rules() []*graphop.Rule {
	args := []graphop.Operand{0}
	for i := range k.factors {
		args = append(args, graphop.Operand(i+1))
	}
	rs := []*graphop.Rule{
		graphop.By(powerOp[T]{k.c * k.p, k.p - 1, k.cut, k.factors + 1}, append(slices.Clone(args), graphop.Gradient)...),
	}
	for i := range k.factors {
		others := slices.Clone(args)
		others[i+1] = graphop.Gradient
		rs = append(rs, graphop.By(k, others...))
	}
	return rs
}

// RefitOptions configures [Refit]. The zero value is the paper's setting.
type RefitOptions struct {
	// SigmaMin is the floor of sigma, at least 0. At the floor the gradient is 0.
	SigmaMin float64
	// PrevMu and PrevSigma, of shape (B, D) and given together, are kept by a problem whose weights are all 0 (too few
	// finite costs).
	PrevMu, PrevSigma *G.Node
}

// Refit adds the weighted moments of the samples to the graph, eq. (4): x of shape (B, N, D), weights w of shape (B,
// N) that sum to k, mu = sum w x / k and sigma = max(sqrt(sum w (x-mu)^2 / k), SigmaMin) of shape (B, D). The
// gradient of the square root is 0 at variance 0.
func Refit(x, w *G.Node, k int, o RefitOptions) (mu, sigma *G.Node, err error) {
	const fn = "Refit"
	if err = wantShape(fn, "x", x, -1, -1, -1); err != nil {
		return nil, nil, err
	}
	s := size{x.Shape()[0], x.Shape()[1], x.Shape()[2]}
	if err = wantShape(fn, "w", w, s.b, s.n); err != nil {
		return nil, nil, err
	}
	if k < 1 || k > s.n {
		return nil, nil, fmt.Errorf("dcem: %s: k = %d, want 1 <= k <= n = %d", fn, k, s.n)
	}
	if !(o.SigmaMin >= 0) || math.IsInf(o.SigmaMin, 1) {
		return nil, nil, fmt.Errorf("dcem: %s: SigmaMin = %v, want a finite number >= 0", fn, o.SigmaMin)
	}
	keep := o.PrevMu != nil || o.PrevSigma != nil
	muIn := G.Nodes{x, w}
	if keep {
		if err = wantShape(fn, "PrevMu", o.PrevMu, s.b, s.d); err != nil {
			return nil, nil, err
		}
		if err = wantShape(fn, "PrevSigma", o.PrevSigma, s.b, s.d); err != nil {
			return nil, nil, err
		}
		muIn = append(muIn, o.PrevMu)
	}
	if err = sameType(fn, x, w, o.PrevMu, o.PrevSigma); err != nil {
		return nil, nil, err
	}
	bd := tensor.Shape{s.b, s.d}
	mu, err = typed(x.Dtype(), refitMuOp[float32]{s, k, keep}, refitMuOp[float64]{s, k, keep}, bd, muIn...)
	if err != nil {
		return nil, nil, err
	}
	sigmaIn := G.Nodes{x, w, mu}
	if keep {
		sigmaIn = append(sigmaIn, o.PrevSigma)
	}
	sigma, err = typed(x.Dtype(), refitSigmaOp[float32]{s, k, o.SigmaMin, keep}, refitSigmaOp[float64]{s, k, o.SigmaMin, keep}, bd, sigmaIn...)
	return mu, sigma, err
}
