package env

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The ops that take states apart and put them together. Gorgonia's own slices fail on the TapeMachine where a batch
// has one problem; these keep their shapes, and the engine knows them as slices, pads and concats that cost nothing.
var _ = []graphop.Lowerer{take{}, put{}, join{}, spread{}, total{}, clamp{}, clampGrad{}, filled{}}

type float interface{ float32 | float64 }

// dispatch calls the loop of out's type.
func dispatch(out any, single func([]float32), double func([]float64)) {
	switch out := out.(type) {
	case []float32:
		single(out)
	case []float64:
		double(out)
	}
}

// take is columns from to from+n of rows that are width wide.
type take struct{ from, n, width int }

func (k take) String() string {
	return fmt.Sprintf("env.Take{%d:%d of %d}", k.from, k.from+k.n, k.width)
}

func (k take) Run(out any, in []any) {
	dispatch(out, func(out []float32) { takeRun(k, out, in[0].([]float32)) },
		func(out []float64) { takeRun(k, out, in[0].([]float64)) })
}

func takeRun[T float](k take, out, x []T) {
	for r := range len(out) / k.n {
		copy(out[r*k.n:(r+1)*k.n], x[r*k.width+k.from:])
	}
}

func (k take) Rules() []*graphop.Rule { return []*graphop.Rule{graphop.By(put(k), graphop.Gradient)} }

func (k take) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	start, step, box := k.box(b.Shape(in[0]))
	return b.Reshape(b.Slice(in[0], start, step, box), shape)
}

// box is the part of an array of that shape, (rows, ...), in which the columns stand: whole elements of its second
// axis. The array keeps its shape, so that the sum of many gradients is seen to be one array with all of them.
func (k take) box(shape []int) (start, step, box []int) {
	inner := k.width / shape[1]
	start, step, box = make([]int, len(shape)), make([]int, len(shape)), slices.Clone(shape)
	for i := range step {
		step[i] = 1
	}
	start[1], box[1] = k.from/inner, k.n/inner
	return start, step, box
}

// put is take's gradient: those columns of rows that are 0 otherwise.
type put take

func (k put) String() string { return fmt.Sprintf("env.Put{%d:%d of %d}", k.from, k.from+k.n, k.width) }

func (k put) Run(out any, in []any) {
	dispatch(out, func(out []float32) { putRun(k, out, in[0].([]float32)) },
		func(out []float64) { putRun(k, out, in[0].([]float64)) })
}

func putRun[T float](k put, out, x []T) {
	clear(out)
	for r := range len(out) / k.width {
		copy(out[r*k.width+k.from:], x[r*k.n:(r+1)*k.n])
	}
}

func (k put) Rules() []*graphop.Rule { return []*graphop.Rule{graphop.By(take(k), graphop.Gradient)} }

func (k put) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	start, step, box := take(k).box(shape)
	return b.Pad(b.Reshape(in[0], box), start, step, shape)
}

// join makes rows of as many columns as it has operands.
type join struct{ n int }

func (k join) String() string { return fmt.Sprintf("env.Join{%d}", k.n) }

func (k join) Run(out any, in []any) {
	dispatch(out, func(out []float32) { joinRun(out, in) }, func(out []float64) { joinRun(out, in) })
}

func joinRun[T float](out []T, in []any) {
	for j, x := range in {
		for i, v := range x.([]T) {
			out[i*len(in)+j] = v
		}
	}
}

func (k join) Rules() []*graphop.Rule {
	rules := make([]*graphop.Rule, k.n)
	for i := range rules {
		rules[i] = graphop.By(take{i, 1, k.n}, graphop.Gradient)
	}
	return rules
}

func (k join) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	columns := make([]ir.ID, len(in))
	for i, x := range in {
		columns[i] = b.Reshape(x, []int{shape[0], 1})
	}
	return b.Concat(1, columns...)
}

// spread repeats one number, a () or a (1); total, its gradient, is the sum, a (1).
type (
	spread struct{}
	total  struct{}
)

func (spread) String() string { return "env.Spread" }

func (spread) Run(out any, in []any) {
	dispatch(out, func(out []float32) { fill(out, in[0].([]float32)[0]) },
		func(out []float64) { fill(out, in[0].([]float64)[0]) })
}

func fill[T float](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

func (spread) Rules() []*graphop.Rule { return nil }

// Diff implements graphop.Differ: a scalar's gradient is a sum of one that Gorgonia makes.
func (spread) Diff(_ []bool, in G.Nodes, grad *G.Node) (G.Nodes, error) {
	n, err := graphop.Apply(total{}, grad.Dtype(), tensor.Shape{1}, grad)
	if err == nil && len(in[0].Shape()) == 0 {
		n, err = G.Sum(n)
	}
	return G.Nodes{n}, err
}

func (spread) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.BroadcastTo(b.Reshape(in[0], nil), shape)
}

func (total) String() string { return "env.Total" }

func (total) Run(out any, in []any) {
	dispatch(out, func(out []float32) { out[0] = sum(in[0].([]float32)) },
		func(out []float64) { out[0] = sum(in[0].([]float64)) })
}

func sum[T float](s []T) T {
	t := 0.0
	for _, v := range s {
		t += float64(v)
	}
	return T(t)
}

func (total) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(spread{}, graphop.Gradient)}
}

func (total) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Reshape(b.Reduce(ir.ReduceSum, in[0], 0), shape)
}

// clamp limits x; its gradient is 1 inside and on the bounds, else 0. NaN stays NaN.
type clamp struct{ lower, upper float64 }

func (k clamp) String() string { return fmt.Sprintf("env.Clamp{%v, %v}", k.lower, k.upper) }

func (k clamp) Run(out any, in []any) {
	dispatch(out, func(out []float32) { clampRun(k, out, in[0].([]float32)) },
		func(out []float64) { clampRun(k, out, in[0].([]float64)) })
}

func clampRun[T float](k clamp, out, x []T) {
	lower, upper := T(k.lower), T(k.upper)
	for i, v := range x {
		if v < lower {
			v = lower
		}
		if v > upper {
			v = upper
		}
		out[i] = v
	}
}

func (k clamp) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(clampGrad(k), 0, graphop.Gradient)}
}

// ClampNode adds x within [lower, upper] to its graph, element by element. The gradient is 0 outside, 1 on the bound
// itself; NaN stays NaN.
func ClampNode(x *G.Node, lower, upper float64) (*G.Node, error) {
	return graphop.Apply(clamp{lower, upper}, x.Dtype(), x.Shape(), x)
}

func (k clamp) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	x := in[0]
	x = b.Where(b.Binary(ir.Lt, x, b.Scalar(dt, k.lower)), b.Scalar(dt, k.lower), x)
	return b.Where(b.Binary(ir.Gt, x, b.Scalar(dt, k.upper)), b.Scalar(dt, k.upper), x)
}

// clampGrad is g where x (its first operand) is within the limits, else 0.
type clampGrad clamp

func (k clampGrad) String() string { return fmt.Sprintf("env.ClampGrad{%v, %v}", k.lower, k.upper) }

func (k clampGrad) Run(out any, in []any) {
	dispatch(out, func(out []float32) { clampGradRun(k, out, in[0].([]float32), in[1].([]float32)) },
		func(out []float64) { clampGradRun(k, out, in[0].([]float64), in[1].([]float64)) })
}

func clampGradRun[T float](k clampGrad, out, x, g []T) {
	lower, upper := T(k.lower), T(k.upper)
	for i, v := range x {
		if out[i] = g[i]; v < lower || v > upper {
			out[i] = 0
		}
	}
}

// Rules: it is linear in g, and flat in x but for the bounds.
func (k clampGrad) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

func (k clampGrad) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	x, g, zero := in[0], in[1], b.Scalar(dt, 0)
	g = b.Where(b.Binary(ir.Lt, x, b.Scalar(dt, k.lower)), zero, g)
	return b.Where(b.Binary(ir.Gt, x, b.Scalar(dt, k.upper)), zero, g)
}

// constant is a scalar of that type.
func constant(dt tensor.Dtype, v float64) *G.Node {
	if dt == tensor.Float32 {
		return G.NewConstant(float32(v))
	}
	return G.NewConstant(v)
}

// repeated is a constant in every element of an array of that shape, in the graph and of the type of like. Gorgonia's
// constants will not do: those of equal elements are one node, whatever their shapes and types.
func repeated(like *G.Node, v float64, shape ...int) (*G.Node, error) {
	return graphop.Apply(filled{v}, like.Dtype(), shape, like)
}

// filled is a constant. Its operand says in which graph.
type filled struct{ v float64 }

func (k filled) String() string { return fmt.Sprintf("env.Filled{%v}", k.v) }

func (k filled) Run(out any, _ []any) {
	dispatch(out, func(out []float32) { fill(out, float32(k.v)) }, func(out []float64) { fill(out, k.v) })
}

func (k filled) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }

func (k filled) Lower(b *ir.Builder, dt ir.DType, shape []int, _ []ir.ID) ir.ID {
	return b.BroadcastTo(b.Scalar(dt, k.v), shape)
}
