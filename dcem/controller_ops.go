package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

var _ = []graphop.Lowerer{blendOp[float32]{}, unblendOp[float32]{}, replaceOp[float32]{}, slotsOp[float32]{},
	padSlotsOp[float32]{}, dropSlotsOp[float32]{}, weighedSumOp[float32]{}, weighedSpreadOp[float32]{}}

// blendOp is a control of each row: x (M, K*U) -> sum_i w_i x[:, at_i*U:][:, :U], (M, U).
type blendOp[T kernels.Float] struct {
	blend
	u, k int
}

func (k blendOp[T]) String() string {
	return fmt.Sprintf("dcem.Blend{%v*%v, u=%d, k=%d}", k.w, k.at, k.u, k.k)
}
func (k blendOp[T]) Run(out any, in []any) {
	o, x := out.([]T), in[0].([]T)
	for r := range len(o) / k.u {
		row := x[r*k.k*k.u : (r+1)*k.k*k.u]
		for j := range k.u {
			var sum T
			for i, at := range k.at {
				v := T(k.w[i]) * row[at*k.u+j]
				if i == 0 {
					sum = v
				} else {
					sum = T(sum + v)
				}
			}
			o[r*k.u+j] = sum
		}
	}
}
func (k blendOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(unblendOp[T](k), graphop.Gradient)}
}
func (k blendOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	var sum ir.ID
	x := b.Reshape(in[0], []int{shape[0], k.k * k.u}) // Join's gradient comes as (M, K, U)
	for i, at := range k.at {
		v := b.Slice(x, []int{0, at * k.u}, []int{1, 1}, shape)
		if k.w[i] != 1 {
			v = b.BinaryS(ir.Mul, v, k.w[i])
		}
		if i > 0 {
			v = b.Binary(ir.Add, sum, v)
		}
		sum = v
	}
	return sum
}

// unblendOp is blendOp's gradient: (M, U) -> (M, K*U).
type unblendOp[T kernels.Float] blendOp[T]

func (k unblendOp[T]) String() string {
	return fmt.Sprintf("dcem.Unblend{%v*%v, u=%d, k=%d}", k.w, k.at, k.u, k.k)
}
func (k unblendOp[T]) Run(out any, in []any) {
	o, g := out.([]T), in[0].([]T)
	clear(o)
	for r := range len(g) / k.u {
		for i, at := range k.at {
			for j := range k.u {
				o[r*k.k*k.u+at*k.u+j] = T(k.w[i]) * g[r*k.u+j]
			}
		}
	}
}
func (k unblendOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(blendOp[T](k), graphop.Gradient)}
}
func (k unblendOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	var sum ir.ID
	for i, at := range k.at {
		v := in[0]
		if k.w[i] != 1 {
			v = b.BinaryS(ir.Mul, v, k.w[i])
		}
		v = b.Pad(v, []int{0, at * k.u}, []int{1, 1}, []int{b.Shape(v)[0], k.k * k.u})
		if i > 0 {
			v = b.Binary(ir.Add, sum, v)
		}
		sum = v
	}
	return b.Reshape(sum, shape)
}

// replaceOp puts m candidates in the places from at on: x (B, N, D), y (B, m, D).
type replaceOp[T kernels.Float] struct {
	size
	at, m int
}

func (k replaceOp[T]) name(op string) string {
	return fmt.Sprintf("dcem.%s{%d:%d of n=%d, d=%d}", op, k.at, k.at+k.m, k.n, k.d)
}
func (k replaceOp[T]) String() string { return k.name("Replace") }
func (k replaceOp[T]) Run(out any, in []any) {
	o, y := out.([]T), in[1].([]T)
	copy(o, in[0].([]T))
	for b := range k.b {
		copy(o[(b*k.n+k.at)*k.d:], y[b*k.m*k.d:(b+1)*k.m*k.d])
	}
}
func (k replaceOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(dropSlotsOp[T](k), graphop.Gradient), graphop.By(slotsOp[T](k), graphop.Gradient)}
}
func (k replaceOp[T]) Lower(b *ir.Builder, _ ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Concat(1, k.parts(b, in[0], in[1])...)
}

// parts are x's candidates before the places, those for the places, and x's behind them.
func (k replaceOp[T]) parts(b *ir.Builder, x, y ir.ID) []ir.ID {
	part := func(lo, hi int) ir.ID {
		return b.Slice(x, []int{0, lo, 0}, []int{1, 1, 1}, []int{k.b, hi - lo, k.d})
	}
	var parts []ir.ID
	if k.at > 0 {
		parts = append(parts, part(0, k.at))
	}
	parts = append(parts, y)
	if end := k.at + k.m; end < k.n {
		parts = append(parts, part(end, k.n))
	}
	return parts
}

// dropSlotsOp is x with 0 in the places.
type dropSlotsOp[T kernels.Float] replaceOp[T]

func (k dropSlotsOp[T]) String() string { return replaceOp[T](k).name("DropSlots") }
func (k dropSlotsOp[T]) Run(out any, in []any) {
	o := out.([]T)
	copy(o, in[0].([]T))
	for b := range k.b {
		clear(o[(b*k.n+k.at)*k.d : (b*k.n+k.at+k.m)*k.d])
	}
}
func (k dropSlotsOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(k, graphop.Gradient)}
}
func (k dropSlotsOp[T]) Lower(b *ir.Builder, dt ir.DType, _ []int, in []ir.ID) ir.ID {
	return b.Concat(1, replaceOp[T](k).parts(b, in[0], b.Full(dt, []int{k.b, k.m, k.d}, 0))...)
}

// slotsOp is what stands in the places, (B, m, D); padSlotsOp, its gradient, puts it there among zeros.
type (
	slotsOp[T kernels.Float]    replaceOp[T]
	padSlotsOp[T kernels.Float] replaceOp[T]
)

func (k slotsOp[T]) String() string { return replaceOp[T](k).name("Slots") }
func (k slotsOp[T]) Run(out any, in []any) {
	o, x := out.([]T), in[0].([]T)
	for b := range k.b {
		copy(o[b*k.m*k.d:(b+1)*k.m*k.d], x[(b*k.n+k.at)*k.d:])
	}
}
func (k slotsOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(padSlotsOp[T](k), graphop.Gradient)}
}
func (k slotsOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Slice(in[0], []int{0, k.at, 0}, []int{1, 1, 1}, shape)
}

func (k padSlotsOp[T]) String() string { return replaceOp[T](k).name("PadSlots") }
func (k padSlotsOp[T]) Run(out any, in []any) {
	o, y := out.([]T), in[0].([]T)
	clear(o)
	for b := range k.b {
		copy(o[(b*k.n+k.at)*k.d:], y[b*k.m*k.d:(b+1)*k.m*k.d])
	}
}
func (k padSlotsOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(slotsOp[T](k), graphop.Gradient)}
}
func (k padSlotsOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Pad(in[0], []int{0, k.at, 0}, []int{1, 1, 1}, shape)
}

// weighedSumOp is sum_j w_j x_j of each row: (M, U) -> (M); weighedSpreadOp is its gradient.
type (
	weighedSumOp[T kernels.Float]    struct{ w []float64 }
	weighedSpreadOp[T kernels.Float] struct{ w []float64 }
)

func (k weighedSumOp[T]) String() string { return fmt.Sprintf("dcem.WeighedSum{%v}", k.w) }
func (k weighedSumOp[T]) Run(out any, in []any) {
	x := in[0].([]T)
	for r := range out.([]T) {
		sum := T(k.w[0]) * x[r*len(k.w)]
		for j := 1; j < len(k.w); j++ {
			v := T(k.w[j]) * x[r*len(k.w)+j]
			sum = T(sum + v)
		}
		out.([]T)[r] = sum
	}
}
func (k weighedSumOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(weighedSpreadOp[T](k), graphop.Gradient)}
}

// Lower adds the columns one by one, so that the order is Run's for any number of rows.
func (k weighedSumOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	var sum ir.ID
	for j, w := range k.w {
		v := b.Reshape(b.Slice(in[0], []int{0, j}, []int{1, 1}, []int{shape[0], 1}), shape)
		v = b.BinaryS(ir.Mul, v, w)
		if j > 0 {
			v = b.Binary(ir.Add, sum, v)
		}
		sum = v
	}
	return sum
}

func (k weighedSpreadOp[T]) String() string { return fmt.Sprintf("dcem.WeighedSpread{%v}", k.w) }
func (k weighedSpreadOp[T]) Run(out any, in []any) {
	o := out.([]T)
	for r, g := range in[0].([]T) {
		for j, w := range k.w {
			o[r*len(k.w)+j] = T(w) * g
		}
	}
}
func (k weighedSpreadOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(weighedSumOp[T](k), graphop.Gradient)}
}
func (k weighedSpreadOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	columns := make([]ir.ID, len(k.w))
	for j, w := range k.w {
		columns[j] = b.Reshape(b.BinaryS(ir.Mul, in[0], w), []int{shape[0], 1})
	}
	return b.Concat(1, columns...)
}

// smoothOp is max(a*prev + (1-a)*new, floor), as a Solver smooths: inputs prev, new (B, D).
type smoothOp[T kernels.Float] struct{ a, floor float64 }

func (k smoothOp[T]) String() string { return fmt.Sprintf("dcem.Smooth{%v, floor=%v}", k.a, k.floor) }
func (k smoothOp[T]) Run(out any, in []any) {
	o := out.([]T)
	copy(o, in[0].([]T))
	smooth(o, in[1].([]T), k.a, k.floor)
}
func (k smoothOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{graphop.By(smoothGradOp[T]{k, k.a}, 0, 1, graphop.Gradient),
		graphop.By(smoothGradOp[T]{k, 1 - k.a}, 0, 1, graphop.Gradient)}
}

// smoothGradOp is share*g above the floor, else 0: inputs prev, new, g.
type smoothGradOp[T kernels.Float] struct {
	smoothOp[T]
	share float64
}

func (k smoothGradOp[T]) String() string {
	return fmt.Sprintf("dcem.SmoothGrad{%v, floor=%v, %v}", k.a, k.floor, k.share)
}
func (k smoothGradOp[T]) Run(out any, in []any) {
	o, prev, refit, g := out.([]T), in[0].([]T), in[1].([]T), in[2].([]T)
	for i := range o {
		o[i] = 0
		if float64(k.a*float64(prev[i]))+float64((1-k.a)*float64(refit[i])) > k.floor {
			o[i] = T(k.share) * g[i]
		}
	}
}
func (k smoothGradOp[T]) Rules() []*graphop.Rule {
	return []*graphop.Rule{nil, nil, graphop.By(k, 0, 1, graphop.Gradient)}
}

// stopOp is 1 for problems that have stopped: inputs the flag before (B), mu, mu before, sigma, sigma at the
// start (B, D), w (B, N).
type stopOp[T kernels.Float] struct {
	size
	bounds[T]
	mu, sigma, floor float64
}

func (k stopOp[T]) String() string {
	return fmt.Sprintf("dcem.Stop{%v, %v, floor=%v, %v, %v, n=%d}", k.mu, k.sigma, k.floor, k.lower, k.upper, k.n)
}
func (k stopOp[T]) Rules() []*graphop.Rule { return make([]*graphop.Rule, 6) }
func (k stopOp[T]) Run(out any, in []any) {
	o, w := out.([]T), in[5].([]T)
	copy(o, in[0].([]T))
	for b := range o {
		if o[b] != 0 || allZero(w[b*k.n:(b+1)*k.n]) {
			continue
		}
		lo, hi := b*k.d, (b+1)*k.d
		p := problem[T]{mu: in[1].([]T)[lo:hi], prevMu: in[2].([]T)[lo:hi],
			sigma: in[3].([]T)[lo:hi], sigma0: in[4].([]T)[lo:hi],
			lower: k.lower, upper: k.upper}
		if p.within(k.mu, k.sigma, k.floor) {
			o[b] = 1
		}
	}
}

// within says whether a problem meets the tolerances; one that is 0 is not asked for.
func (p *problem[T]) within(mu, sigma, floor float64) bool {
	muChange, _ := p.progress()
	if mu > 0 && !(muChange <= mu) {
		return false
	}
	for i, v := range p.sigma {
		if sigma > 0 && p.searched(i) && !(float64(v) <= math.Max(sigma*float64(p.sigma0[i]), floor)) {
			return false
		}
	}
	return true
}

func rowsOf(x *G.Node) int { return x.Shape()[0] }

// PerRow gives rollouts the numbers of their problem: x (B, K) -> (rows, K), each row repeated rows/B times. Its
// gradient sums over them. It is how a [Model] whose parameters differ between problems takes them.
func PerRow(x *G.Node, rows int) (*G.Node, error) {
	if err := wantShape("PerRow", "x", x, -1, -1); err != nil {
		return nil, err
	}
	b, k := rowsOf(x), x.Shape()[1]
	if rows < 1 || rows%b != 0 {
		return nil, fmt.Errorf("dcem: PerRow: rows = %d, want a multiple of x's %d rows", rows, b)
	}
	if rows == b {
		return x, nil
	}
	n, err := Expand(x, rows/b)
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(n, rows, k)
}

// PerParticle gives rollouts the numbers of their particle: v (P, K) -> (rows, K), row r being row r%P of v, P as
// PlanConfig.Particles. Its gradient sums over the rollouts. So an ensemble of parameters makes an ensemble of
// dynamics.
func PerParticle(v *G.Node, rows int) (*G.Node, error) {
	if err := wantShape("PerParticle", "v", v, -1, -1); err != nil {
		return nil, err
	}
	p, k := rowsOf(v), v.Shape()[1]
	if rows < 1 || rows%p != 0 {
		return nil, fmt.Errorf("dcem: PerParticle: rows = %d, want a multiple of v's %d rows", rows, p)
	}
	n, err := autodiff.Reshape(v, 1, p*k)
	if err == nil {
		n, err = Expand(n, rows/p)
	}
	if err != nil {
		return nil, err
	}
	return autodiff.Reshape(n, rows, k)
}
