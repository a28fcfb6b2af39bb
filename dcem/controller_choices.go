package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

// selectOp chooses rows: inputs c (B), x, y (B, D) -> x where c is not 0, else y.
type selectOp[T kernels.Float] struct{ d int }

func (k selectOp[T]) String() string { return fmt.Sprintf("dcem.Select{d=%d}", k.d) }
func (k selectOp[T]) Run(out any, in []any) {
	o := out.([]T)
	for b, c := range in[0].([]T) {
		from := in[2].([]T)
		if c != 0 {
			from = in[1].([]T)
		}
		copy(o[b*k.d:(b+1)*k.d], from[b*k.d:])
	}
}
func (k selectOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(maskOp[T]{k.d, true}, 0, graphop.Gradient),
		graphop.By(maskOp[T]{k.d, false}, 0, graphop.Gradient)}
}

// maskOp is g where c is not 0 (keep), or where it is, and 0 elsewhere: inputs c (B), g (B, D).
type maskOp[T kernels.Float] struct {
	d    int
	keep bool
}

func (k maskOp[T]) String() string { return fmt.Sprintf("dcem.Mask{d=%d, %v}", k.d, k.keep) }
func (k maskOp[T]) Run(out any, in []any) {
	o := out.([]T)
	clear(o)
	for b, c := range in[0].([]T) {
		if (c != 0) == k.keep {
			copy(o[b*k.d:(b+1)*k.d], in[1].([]T)[b*k.d:])
		}
	}
}
func (k maskOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(k, 0, graphop.Gradient)}
}

// lessOp is 1 where x is finite and y is not, or not less than x: inputs x, y (B).
type lessOp[T kernels.Float] struct{}

func (k lessOp[T]) String() string         { return "dcem.Less{}" }
func (k lessOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil, nil} }
func (k lessOp[T]) Run(out any, in []any) {
	o, y := out.([]T), in[1].([]T)
	for b, x := range in[0].([]T) {
		o[b] = 0
		if finite(x) && !(y[b] <= x) {
			o[b] = 1
		}
	}
}

// leastOp is the least finite cost of each problem, +Inf if there is none: f (B, N) -> (B).
type leastOp[T kernels.Float] struct{ n int }

func (k leastOp[T]) String() string         { return fmt.Sprintf("dcem.Least{n=%d}", k.n) }
func (k leastOp[T]) Rules() []*graphop.Rule { return []*graphop.Rule{nil} }
func (k leastOp[T]) Run(out any, in []any) {
	f := in[0].([]T)
	for b := range out.([]T) {
		least := T(math.Inf(1))
		for _, v := range f[b*k.n : (b+1)*k.n] {
			if v < least && finite(v) {
				least = v
			}
		}
		out.([]T)[b] = least
	}
}

// gatherOp takes the m candidates of least cost, ties by number, those of no finite cost last: inputs f (B, N),
// x (B, N, D) -> (B, m, D). scatterOp, its gradient, puts (B, m, D) in their places among zeros.
type gatherOp[T kernels.Float] struct {
	size
	m int
}

func (k gatherOp[T]) String() string {
	return fmt.Sprintf("dcem.Gather{m=%d, n=%d, d=%d}", k.m, k.n, k.d)
}
func (k gatherOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(scatterOp[T](k), 0, graphop.Gradient)}
}
func (k gatherOp[T]) Run(out any, in []any) {
	o, f, x := out.([]T), in[0].([]T), in[1].([]T)
	for b := range k.b {
		last := -1
		for i := range k.m {
			last = following(f[b*k.n:(b+1)*k.n], last)
			copy(o[(b*k.m+i)*k.d:(b*k.m+i+1)*k.d], x[(b*k.n+last)*k.d:])
		}
	}
}

type scatterOp[T kernels.Float] gatherOp[T]

func (k scatterOp[T]) String() string {
	return fmt.Sprintf("dcem.Scatter{m=%d, n=%d, d=%d}", k.m, k.n, k.d)
}
func (k scatterOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, graphop.By(gatherOp[T](k), 0, graphop.Gradient)}
}
func (k scatterOp[T]) Run(out any, in []any) {
	o, f, g := out.([]T), in[0].([]T), in[1].([]T)
	clear(o)
	for b := range k.b {
		last := -1
		for i := range k.m {
			last = following(f[b*k.n:(b+1)*k.n], last)
			copy(o[(b*k.n+last)*k.d:(b*k.n+last+1)*k.d], g[(b*k.m+i)*k.d:])
		}
	}
}

// following is the number of the cost that comes after that of number last in the order of costs; last = -1 asks for
// the first. It needs no memory, and m is small.
func following[T kernels.Float](f []T, last int) int {
	best := -1
	for i, v := range f {
		if (last < 0 || before(f[last], last, v, i)) && (best < 0 || before(v, i, f[best], best)) {
			best = i
		}
	}
	return best
}

// before says whether the cost a of number i comes before b of number j: finite ones first, then by value, then
// by number.
func before[T kernels.Float](a T, i int, b T, j int) bool {
	if x, y := finite(a), finite(b); x != y {
		return x
	} else if x && a != b {
		return a < b
	}
	return i < j
}
