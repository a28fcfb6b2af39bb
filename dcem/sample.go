package dcem

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// bounds are per-dimension limits; nil means none.
type bounds[T kernels.Float] struct{ lower, upper []T }

func (b bounds[T]) String() string { return fmt.Sprintf("lower=%v, upper=%v", b.lower, b.upper) }

// sampleOp is eq. (1): X = clamp(mu + sigma*eps, lower, upper).
type sampleOp[T kernels.Float] struct {
	size
	bounds[T]
}

func (k sampleOp[T]) String() string {
	return fmt.Sprintf("dcem.Sample{n=%d, %v}", k.n, k.bounds)
}

func (k sampleOp[T]) Run(out any, in []any) {
	kernels.SampleForward(out.([]T), in[0].([]T), in[1].([]T), in[2].([]T), k.lower, k.upper, k.b, k.n, k.d)
}

func (k sampleOp[T]) Rules() []*graphop.Rule {
	args := []graphop.Operand{0, 1, 2, graphop.Gradient}
	return []*graphop.Rule{
		graphop.By(sampleGradOp[T]{k, 0}, args...),
		graphop.By(sampleGradOp[T]{k, 1}, args...),
		graphop.By(sampleGradOp[T]{k, 2}, args...),
	}
}

// sampleGradOp is the gradient of sampleOp with respect to mu (0), sigma (1) or eps (2).
type sampleGradOp[T kernels.Float] struct {
	sampleOp[T]
	which int
}

func (k sampleGradOp[T]) String() string {
	return fmt.Sprintf("dcem.SampleGrad{wrt=%d, %v}", k.which, k.sampleOp)
}

func (k sampleGradOp[T]) Run(out any, in []any) {
	var d [3][]T
	d[k.which] = out.([]T)
	kernels.SampleBackward(d[0], d[1], d[2],
		in[3].([]T), in[0].([]T), in[1].([]T), in[2].([]T), k.lower, k.upper, k.b, k.n, k.d)
}

func (k sampleGradOp[T]) Diff(want []bool, in G.Nodes, grad *G.Node) (G.Nodes, error) {
	return diffTwin(k, want, in, grad)
}

func (k sampleGradOp[T]) twin(in G.Nodes) (*G.Node, int, error) {
	var t twin
	x := t.add(t.contract(k.size, 1, kernels.BND, []kernels.Pattern{kernels.BD}, in[0]),
		t.contract(k.size, 1, kernels.BND, []kernels.Pattern{kernels.BD, kernels.BND}, in[1], in[2]))
	if t.err == nil && (k.lower != nil || k.upper != nil) {
		x, t.err = graphop.Apply(clampOp[T]{k.bounds}, x.Dtype(), x.Shape(), x)
	}
	return x, k.which, t.err
}

// clampOp limits the last axis of x to per-dimension bounds; its gradient is 1 inside and on the bound itself, else 0.
type clampOp[T kernels.Float] struct{ bounds[T] }

func (k clampOp[T]) String() string { return fmt.Sprintf("dcem.Clamp{%v}", k.bounds) }

func (k clampOp[T]) Run(out any, in []any) {
	o, x := out.([]T), in[0].([]T)
	d := max(len(k.lower), len(k.upper))
	for i, v := range x {
		if k.lower != nil && v < k.lower[i%d] {
			v = k.lower[i%d]
		}
		if k.upper != nil && v > k.upper[i%d] {
			v = k.upper[i%d]
		}
		o[i] = v
	}
}

func (k clampOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(clampGradOp[T](k), 0, graphop.Gradient)}
}

type clampGradOp[T kernels.Float] struct{ bounds[T] }

func (k clampGradOp[T]) String() string { return fmt.Sprintf("dcem.ClampGrad{%v}", k.bounds) }

func (k clampGradOp[T]) Run(out any, in []any) {
	o, x, g := out.([]T), in[0].([]T), in[1].([]T)
	d := max(len(k.lower), len(k.upper))
	for i, v := range x {
		o[i] = g[i]
		if k.lower != nil && v < k.lower[i%d] || k.upper != nil && v > k.upper[i%d] {
			o[i] = 0
		}
	}
}

func (k clampGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

// SampleOptions are the bounds of [Sample]. The zero value is unbounded.
type SampleOptions struct {
	// Lower and Upper limit each dimension: D values, or one for all; -Inf and +Inf stand for none. The gradient of a
	// clamped coordinate is 0; on the bound itself it is 1.
	Lower, Upper []float64
}

// Sample adds the candidates X = clamp(mu + sigma*eps) to the graph, eq. (1): mu and sigma of shape (B, D), eps and X
// of shape (B, N, D). Gradients flow into mu, sigma and eps.
func Sample(mu, sigma, eps *G.Node, o SampleOptions) (*G.Node, error) {
	const fn = "Sample"
	if err := wantShape(fn, "eps", eps, -1, -1, -1); err != nil {
		return nil, err
	}
	s := size{eps.Shape()[0], eps.Shape()[1], eps.Shape()[2]}
	if err := wantShape(fn, "mu", mu, s.b, s.d); err != nil {
		return nil, err
	}
	if err := wantShape(fn, "sigma", sigma, s.b, s.d); err != nil {
		return nil, err
	}
	if err := sameType(fn, mu, sigma, eps); err != nil {
		return nil, err
	}
	lower, upper, err := spreadBounds(fn, o.Lower, o.Upper, s.d)
	if err != nil {
		return nil, err
	}
	return typed(mu.Dtype(), sampleOp[float32]{s, boundsOf[float32](lower, upper)},
		sampleOp[float64]{s, boundsOf[float64](lower, upper)}, eps.Shape(), mu, sigma, eps)
}

// clamp limits x of shape (B, D) to the bounds.
func clamp(x *G.Node, lower, upper []float64) (*G.Node, error) {
	if lower == nil && upper == nil {
		return x, nil
	}
	return typed(x.Dtype(), clampOp[float32]{boundsOf[float32](lower, upper)},
		clampOp[float64]{boundsOf[float64](lower, upper)}, x.Shape(), x)
}

func boundsOf[T kernels.Float](lower, upper []float64) bounds[T] {
	return bounds[T]{convert[T](lower), convert[T](upper)}
}

func convert[T kernels.Float](s []float64) []T {
	if s == nil {
		return nil
	}
	r := make([]T, len(s))
	for i, v := range s {
		r[i] = T(v)
	}
	return r
}

// spreadBounds checks bounds and gives them d values each, or nil.
func spreadBounds(fn string, lower, upper []float64, d int) (lo, up []float64, err error) {
	if lo, err = spread(fn, "Lower", lower, d); err != nil {
		return nil, nil, err
	}
	if up, err = spread(fn, "Upper", upper, d); err != nil {
		return nil, nil, err
	}
	for i := range d {
		l, u := math.Inf(-1), math.Inf(1)
		if lo != nil {
			l = lo[i]
		}
		if up != nil {
			u = up[i]
		}
		if math.IsNaN(l) || math.IsInf(l, 1) {
			return nil, nil, fmt.Errorf("dcem: %s: Lower[%d] = %v, want a number or -Inf", fn, i, l)
		}
		if math.IsNaN(u) || math.IsInf(u, -1) {
			return nil, nil, fmt.Errorf("dcem: %s: Upper[%d] = %v, want a number or +Inf", fn, i, u)
		}
		if !(l <= u) {
			return nil, nil, fmt.Errorf("dcem: %s: Lower[%d] = %v is above Upper[%d] = %v", fn, i, l, i, u)
		}
	}
	return lo, up, nil
}

// spread repeats a single value n times; nil stays nil.
func spread(fn, name string, v []float64, n int) ([]float64, error) {
	switch len(v) {
	case 0:
		return nil, nil
	case n:
		return slices.Clone(v), nil
	case 1:
		return slices.Repeat(v, n), nil
	}
	return nil, fmt.Errorf("dcem: %s: %s has %d values, want 1 or %d", fn, name, len(v), n)
}
