package rl

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The ops that take matrices apart and put them together, and the piecewise ones of the losses. The engine has words
// for all of them, so that none runs on the host.
var _ = []graphop.Lowerer{part{}, padded{}, join{}, repeat{}, total{}, lesser{}, chosen{}}

// dispatch calls the loop of out's type.
func dispatch(out any, single func([]float32), double func([]float64)) {
	switch out := out.(type) {
	case []float32:
		single(out)
	case []float64:
		double(out)
	}
}

// apply adds a kernel whose result has the shape.
func apply(k graphop.Kernel, dt tensor.Dtype, shape []int, in ...*G.Node) (*G.Node, error) {
	return graphop.Apply(k, dt, tensor.Shape(shape), in...)
}

// part is n rows (axis 0) or columns (axis 1) of a matrix of that many rows and columns, from one on.
type part struct{ axis, from, n, rows, cols int }

func (k part) String() string {
	return fmt.Sprintf("rl.Part{%s %d:%d of (%d,%d)}", [...]string{"rows", "columns"}[k.axis], k.from, k.from+k.n,
		k.rows, k.cols)
}

// shape is that of the result.
func (k part) shape() []int {
	if k.axis == 0 {
		return []int{k.n, k.cols}
	}
	return []int{k.rows, k.n}
}

func (k part) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runPart(k, out, in[0].([]float32)) },
		func(out []float64) { runPart(k, out, in[0].([]float64)) })
}

func runPart[T kernels.Float](k part, out, x []T) {
	if k.axis == 0 {
		copy(out, x[k.from*k.cols:])
		return
	}
	for r := range k.rows {
		copy(out[r*k.n:(r+1)*k.n], x[r*k.cols+k.from:])
	}
}

func (k part) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(padded(k), graphop.Gradient)}
}

func (k part) place() (start, step []int) {
	start = []int{0, 0}
	start[k.axis] = k.from
	return start, []int{1, 1}
}

func (k part) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	start, step := k.place()
	return b.Slice(in[0], start, step, shape)
}

// padded is part's gradient: those rows or columns of a matrix that is 0 otherwise.
type padded part

func (k padded) String() string { return "rl.Padded" + part(k).String()[len("rl.Part"):] }

func (k padded) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runPadded(k, out, in[0].([]float32)) },
		func(out []float64) { runPadded(k, out, in[0].([]float64)) })
}

func runPadded[T kernels.Float](k padded, out, x []T) {
	clear(out)
	if k.axis == 0 {
		copy(out[k.from*k.cols:], x)
		return
	}
	for r := range k.rows {
		copy(out[r*k.cols+k.from:], x[r*k.n:(r+1)*k.n])
	}
}

func (k padded) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(part(k), graphop.Gradient)}
}

func (k padded) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	start, step := part(k).place()
	return b.Pad(in[0], start, step, shape)
}

// join puts matrices below each other (axis 0) or beside each other (axis 1): sizes are theirs along the axis, other
// is that along the other one.
type join struct {
	axis, other int
	sizes       string // of ints, comparable
	n           []int
}

func newJoin(axis, other int, sizes []int) join {
	return join{axis, other, fmt.Sprint(sizes), slices.Clone(sizes)}
}

func (k join) String() string { return fmt.Sprintf("rl.Join{%d, %d, %s}", k.axis, k.other, k.sizes) }

func (k join) total() (n int) {
	for _, s := range k.n {
		n += s
	}
	return n
}

func (k join) shape() []int {
	if k.axis == 0 {
		return []int{k.total(), k.other}
	}
	return []int{k.other, k.total()}
}

func (k join) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runJoin(k, out, in) }, func(out []float64) { runJoin(k, out, in) })
}

func runJoin[T kernels.Float](k join, out []T, in []any) {
	at, whole := 0, k.total()
	for i, n := range k.n {
		x := in[i].([]T)
		if k.axis == 0 {
			at += copy(out[at:], x)
			continue
		}
		for r := range k.other {
			copy(out[r*whole+at:r*whole+at+n], x[r*n:])
		}
		at += n
	}
}

func (k join) Rules() []*graphop.Rule {
	shape, at := k.shape(), 0
	rules := make([]*graphop.Rule, len(k.n))
	for i, n := range k.n {
		rules[i] = graphop.By(part{k.axis, at, n, shape[0], shape[1]}, graphop.Gradient)
		at += n
	}
	return rules
}

func (k join) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Concat(k.axis, in...)
}

// repeat is a vector (n) in every one of that many rows; total, its gradient, is the sum over the rows.
type (
	repeat struct{ rows, n int }
	total  struct{ rows, n int }
)

func (k repeat) String() string { return fmt.Sprintf("rl.Repeat{%d,%d}", k.rows, k.n) }

func (k repeat) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runRepeat(k, out, in[0].([]float32)) },
		func(out []float64) { runRepeat(k, out, in[0].([]float64)) })
}

func runRepeat[T kernels.Float](k repeat, out, x []T) {
	for r := range k.rows {
		copy(out[r*k.n:(r+1)*k.n], x)
	}
}

func (k repeat) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(total(k), graphop.Gradient)}
}

func (k repeat) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.BroadcastTo(in[0], shape)
}

func (k total) String() string { return fmt.Sprintf("rl.Total{%d,%d}", k.rows, k.n) }

func (k total) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runTotal(k, out, in[0].([]float32)) },
		func(out []float64) { runTotal(k, out, in[0].([]float64)) })
}

func runTotal[T kernels.Float](k total, out, x []T) {
	for i := range out {
		sum := 0.0
		for r := range k.rows {
			sum += float64(x[r*k.n+i])
		}
		out[i] = T(sum)
	}
}

func (k total) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(repeat(k), graphop.Gradient)}
}

func (k total) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Reduce(ir.ReduceSum, in[0], 0)
}

// lesser is the smaller of two values, the first if they are equal. Its gradient goes to the one that was chosen.
type lesser struct{}

func (lesser) String() string { return "rl.Lesser" }

func (lesser) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runLesser(out, in) }, func(out []float64) { runLesser(out, in) })
}

func runLesser[T kernels.Float](out []T, in []any) {
	x, y := in[0].([]T), in[1].([]T)
	for i := range out {
		if out[i] = x[i]; y[i] < x[i] {
			out[i] = y[i]
		}
	}
}

func (lesser) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(chosen{}, 0, 1, graphop.Gradient),
		graphop.By(chosen{second: true}, 0, 1, graphop.Gradient)}
}

func (lesser) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Where(b.Binary(ir.Lt, in[1], in[0]), in[1], in[0])
}

// chosen is the third operand where lesser took the first, or the second, of its two; else 0.
type chosen struct{ second bool }

func (k chosen) String() string { return fmt.Sprintf("rl.Chosen{%v}", k.second) }

func (k chosen) Run(out any, in []any) {
	dispatch(out, func(out []float32) { runChosen(k, out, in) }, func(out []float64) { runChosen(k, out, in) })
}

func runChosen[T kernels.Float](k chosen, out []T, in []any) {
	x, y, g := in[0].([]T), in[1].([]T), in[2].([]T)
	for i := range out {
		if out[i] = 0; y[i] < x[i] == k.second {
			out[i] = g[i]
		}
	}
}

func (k chosen) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, nil, graphop.By(k, 0, 1, graphop.Gradient)}
}

func (k chosen) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	zero, first, second := b.Scalar(dt, 0), in[2], in[2]
	if k.second {
		first = zero
	} else {
		second = zero
	}
	return b.Where(b.Binary(ir.Lt, in[1], in[0]), second, first)
}
