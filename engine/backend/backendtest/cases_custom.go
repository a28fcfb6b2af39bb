package backendtest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

// scan is a kernel: the running sum of its operand's elements, times a factor. It reads out, which holds anything
// when it begins, only after writing it.
type scan struct{ factor float64 }

func (k scan) String() string { return fmt.Sprintf("scan(%v)", k.factor) }

func (k scan) Run(out any, in []any) error {
	switch x := in[0].(type) {
	case []float32:
		scanned(out.([]float32), x, float32(k.factor))
	case []float64:
		scanned(out.([]float64), x, k.factor)
	default:
		return fmt.Errorf("scan of a %T", x)
	}
	return nil
}

func scanned[T float32 | float64](out, x []T, factor T) {
	for i, v := range x {
		out[i] = T(v * factor)
		if i > 0 {
			out[i] += out[i-1]
		}
	}
}

// counter is a kernel with an effect: it copies its operand and counts its calls.
type counter struct{ calls *atomic.Int64 }

func (counter) String() string { return "counter" }
func (counter) Effects() bool  { return true }

func (k counter) Run(out any, in []any) error {
	k.calls.Add(1)
	copyAny(out, in[0])
	return nil
}

// typed is a kernel that insists on its operands' types and lengths.
type typed struct{}

func (typed) String() string             { return "typed" }
func (typed) OnHost() bool               { return true }
func (typed) Cost() (flops, bytes int64) { return 3, 100 }
func (typed) Run(out any, in []any) error {
	i, ok1 := in[0].([]int)
	m, ok2 := in[1].([]bool)
	f, ok3 := in[2].([]float32)
	u, ok4 := in[3].([]uint8)
	o, ok5 := out.([]int32)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || len(i) != 6 || len(m) != 6 || len(f) != 1 || len(u) != 0 || len(o) != 6 {
		return fmt.Errorf("typed: operands %T(%d) %T(%d) %T(%d) %T(%d), result %T(%d)", in[0], len(i), in[1], len(m), in[2],
			len(f), in[3], len(u), out, len(o))
	}
	for k := range o {
		if o[k] = int32(i[k]) + int32(f[0]); m[k] {
			o[k] = -o[k]
		}
	}
	return nil
}

var errOwn = errors.New("too large for this kernel")

// failing fails, in one of two ways, if its operand's first element exceeds 100.
type failing struct{ panics bool }

func (k failing) String() string { return fmt.Sprintf("failing(%v)", k.panics) }

func (k failing) Run(out any, in []any) error {
	if x := in[0].([]float64); x[0] > 100 {
		if k.panics {
			var none []int
			_ = none[len(x)] // index out of range
		}
		return errOwn
	}
	copyAny(out, in[0])
	return nil
}

func customCases() []Case {
	cases := []Case{{
		Name: "custom/scan",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 5, 8)
			y := b.Custom(scan{0.5}, t, []int{5, 8}, b.BinaryS(ir.Mul, x, 0.25))
			b.Output(y, b.Unary(ir.Tanh, b.Transpose(y, 1, 0)), b.Custom(scan{2}, t, []int{40}, b.Reshape(y, []int{40})),
				b.Custom(graphs.Centre{}, t, []int{8, 5}, b.Transpose(x, 1, 0)), b.Custom(scan{1}, t, []int{3},
					b.Full(t, []int{3}, 2)))
		},
		Tol: 16, Why: "sums of 40", Variants: true,
	}, {
		Name: "custom/same kernel, same operand",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 30)
			y, z := b.Custom(scan{1}, t, []int{30}, x), b.Custom(scan{1}, t, []int{30}, x)
			b.Output(b.Binary(ir.Sub, y, z), y, b.Custom(scan{3}, t, []int{30}, x))
		},
		Tol: 16, Why: "sums of 30, three times",
	}, {
		Name: "custom/views as operands",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 6, 4)
			b.Output(b.Custom(scan{1}, t, []int{12}, b.Reshape(b.Slice(x, []int{1, 0}, []int{2, 1}, []int{3, 4}), []int{12})),
				b.Custom(scan{1}, t, []int{24}, b.Reshape(x, []int{24})), b.Custom(scan{1}, t, []int{2, 6, 4},
					b.BroadcastTo(x, []int{2, 6, 4})))
		},
		Tol: 16, Why: "sums of 48", Variants: true,
	}, {
		Name: "custom/several types and an empty operand",
		Build: func(b *ir.Builder, _ ir.DType) {
			y := b.Custom(typed{}, ir.Int32, []int{2, 3}, input(b, ir.Int, "i", 2, 3), input(b, ir.Bool, "m", 6),
				input(b, ir.F32, "f"), input(b, ir.Uint8, "u", 0))
			b.Output(y, b.Cast(ir.F32, y))
		},
		Types: []ir.DType{ir.F32},
		Feed: func(n *ir.Node, seed uint64) any {
			if n.Type == ir.F32 {
				return []float32{float32(seed)}
			}
			return graphs.Values(n, seed)
		},
	}, {
		Name: "custom/empty result",
		Build: func(b *ir.Builder, t ir.DType) {
			b.Output(b.Custom(scan{1}, t, []int{0}, input(b, t, "x", 0)), b.BinaryS(ir.Add, input(b, t, "y", 3), 1))
		},
	}}
	var calls atomic.Int64
	var seen int64
	cases = append(cases, Case{
		// Two of them on one operand: neither merged nor called again for a later use.
		Name: "custom/effects",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 20, 20)
			y, z := b.Custom(counter{&calls}, t, []int{20, 20}, x), b.Custom(counter{&calls}, t, []int{20, 20}, x)
			late := b.Dot(b.Unary(ir.Tanh, y), z, ir.Trans{})
			b.Output(b.Binary(ir.Add, y, z), b.Binary(ir.Mul, late, y), b.Reduce(ir.ReduceSum, z, 0))
		},
		Tol: 24, Why: "sums of 20 products of size 4", Variants: true, Budgets: []float64{0.6},
		Check: func(run int) error {
			now := calls.Load()
			n := now - seen
			seen = now
			if run >= 0 && n != 2 {
				return fmt.Errorf("%d calls of two kernels with effects in one run, want 2", n)
			}
			return nil
		},
	})
	var idle atomic.Int64
	var before int64
	cases = append(cases, Case{
		Name: "custom/effects that nothing uses",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 4)
			b.Custom(counter{&idle}, t, []int{4}, b.BinaryS(ir.Mul, x, 2))
			b.Output(b.Unary(ir.Neg, x))
		},
		Variants: true,
		Check: func(run int) error {
			now := idle.Load()
			n := now - before
			before = now
			if run >= 0 && n != 0 {
				return fmt.Errorf("%d calls in one run of a kernel with effects whose result is not used, want none", n)
			}
			return nil
		},
	})
	for _, panics := range []bool{false, true} {
		name, text := "fails", errOwn.Error()
		if panics {
			name, text = "panics", "index out of range"
		}
		cases = append(cases, Case{
			Name: "custom/" + name,
			Build: func(b *ir.Builder, _ ir.DType) {
				x := input(b, ir.F64, "x", 4)
				y := b.Custom(failing{panics}, ir.F64, []int{4}, b.BinaryS(ir.Add, x, 1))
				b.Output(b.Unary(ir.Neg, y), b.BinaryS(ir.Mul, x, 3))
			},
			Types: []ir.DType{ir.F64}, Fails: text, Seeds: []uint64{1, 2, 1, 2, 3},
			Feed: func(n *ir.Node, seed uint64) any {
				if seed == 1 {
					return []float64{1e3, 1, 2, 3}
				}
				return []float64{float64(seed), 4, 5, 6}
			},
		})
	}
	return cases
}
