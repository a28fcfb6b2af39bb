package backendtest

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
)

// structureCases are about what is wanted and what lies where, not about arithmetic.
func structureCases() []Case {
	square := []int{24, 24}
	return []Case{{
		Name: "outputs/inputs and constants",
		Build: func(b *ir.Builder, t ir.DType) {
			x, c := input(b, t, "x", 3, 4), b.Full(t, []int{2, 2}, 1.25)
			k := b.Const(ir.Int64, []int{3}, []int64{1, -2, 1 << 40})
			m := b.Const(ir.Bool, []int{2}, []bool{true, false})
			b.Output(x, c, b.Scalar(t, -3), k, m, b.Reshape(x, []int{12}), x, input(b, ir.Bool, "m", 5),
				resident(b, t, "r", 2, 2), c)
		},
	}, {
		Name: "outputs/one value several times",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 7, 3)
			y := b.Unary(ir.Neg, x)
			z := b.Binary(ir.Mul, x, x)
			same := b.Binary(ir.Mul, x, x)
			b.Output(y, z, y, same, z, b.Reshape(z, []int{21}), b.Reshape(z, []int{3, 7}), b.Unary(ir.Neg, b.Unary(ir.Neg, x)))
		},
		Variants: true,
	}, {
		Name: "outputs/interior values",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 30, 9)
			for k := range 6 {
				x = b.Binary(ir.Sub, b.BinaryS(ir.Mul, x, 1.5), b.BinaryS(ir.Add, x, float64(k)))
				b.Output(x)
			}
		},
		Variants: true,
	}, {
		Name: "outputs/every node of a net",
		Build: func(b *ir.Builder, t ir.DType) {
			l := mlp(b, t, 6, 5, 8, 3)
			gradients(b, l.loss, l.params...)
			for id := range b.G.Nodes {
				b.Output(ir.ID(id))
			}
		},
		Tol: 48, Why: mlpWhy, Variants: true,
	}, {
		Name: "inputs/unused",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", 5), input(b, t, "y", 5)
			input(b, ir.Int64, "z")
			resident(b, t, "w", 3)
			b.Unary(ir.Exp, b.Binary(ir.Mul, y, b.BinaryS(ir.Mul, y, 1e30)))
			b.Output(b.Unary(ir.Neg, x))
		},
		Variants: true,
	}, {
		Name: "inputs/resident without an update",
		Build: func(b *ir.Builder, t ir.DType) {
			x, w := input(b, t, "x", 5, 6), resident(b, t, "w", 6)
			b.Output(b.Binary(ir.Mul, x, b.BroadcastTo(w, []int{5, 6})), b.BinaryS(ir.Mul, w, 2))
		},
	}, {
		Name: "inputs/a scalar of shape (1) and one of shape ()",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", 1), input(b, t, "y")
			b.Output(b.Binary(ir.Add, b.Reshape(x, nil), y), b.Binary(ir.Mul, x, y), b.BroadcastTo(x, []int{3}),
				b.Reduce(ir.ReduceSum, x, 0))
		},
	}, {
		// In place: x dies in an elementwise loop that also reads it in another order.
		Name: "in-place/x*2 + transpose(x)",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Custom(scan{1}, t, square, input(b, t, "x", square...)) // a buffer of its own
			b.Output(b.Binary(ir.Add, b.BinaryS(ir.Mul, x, 2), b.Transpose(x, 1, 0)))
		},
		Tol: 16, Why: "a running sum of 576", Variants: true,
	}, {
		Name: "in-place/shifted reads",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Custom(copied{}, t, []int{100}, input(b, t, "x", 100))
			shift := b.Pad(b.Slice(x, []int{0}, []int{1}, []int{99}), []int{1}, []int{1}, []int{100})
			y := b.Custom(copied{}, t, []int{100}, b.Binary(ir.Sub, x, shift))
			back := b.Pad(b.Slice(y, []int{1}, []int{1}, []int{99}), []int{0}, []int{1}, []int{100})
			flip := b.Custom(copied{}, t, []int{100}, b.Binary(ir.Mul, y, back))
			b.Output(b.Binary(ir.Add, flip, b.BroadcastTo(b.Slice(flip, []int{99}, []int{1}, []int{1}), []int{100})))
		},
		Variants: true,
	}, {
		Name: "in-place/read after the last elementwise use",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Custom(copied{}, t, square, input(b, t, "x", square...))
			y := b.Custom(copied{}, t, square, b.BinaryS(ir.Mul, x, 3))
			z := b.Custom(copied{}, t, square, b.Binary(ir.Add, x, y))
			b.Output(b.Binary(ir.Sub, z, b.Transpose(x, 1, 0)), b.BinaryS(ir.Add, y, 1))
		},
		Variants: true,
	}, {
		Name: "in-place/an input may not be overwritten",
		Build: func(b *ir.Builder, t ir.DType) {
			x, c := input(b, t, "x", 50), b.Const(t, []int{50}, constant(t, 50))
			b.Output(b.BinaryS(ir.Add, x, 1), b.BinaryS(ir.Mul, c, 2), b.Binary(ir.Add, x, c))
		},
	}, {
		Name: "in-place/sizes that do not fit",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Custom(copied{}, t, []int{40}, input(b, t, "x", 40))
			wide := b.BroadcastTo(b.Reshape(x, []int{40, 1}), []int{40, 3})
			y := b.Custom(copied{}, t, []int{40, 3}, b.BinaryS(ir.Mul, wide, 2))
			small := b.Cast(ir.F32, b.Slice(y, []int{0, 1}, []int{1, 1}, []int{40, 1}))
			z := b.Custom(copied{}, ir.F32, []int{40, 1}, small)
			b.Output(b.Cast(ir.F64, z), b.Reduce(ir.ReduceMax, y, 1))
		},
		Variants: true,
	}, {
		// Many values alive at once in one order, and few in another.
		Name: "memory/long-lived values",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 24, 24)
			var kept []ir.ID
			for k := range 10 {
				x = b.Unary(ir.Tanh, b.Dot(x, input(b, t, fmt.Sprint("w", k), 24, 24), ir.Trans{}))
				kept = append(kept, x)
			}
			y := kept[9]
			for k := 8; k >= 0; k-- {
				y = b.Binary(ir.Mul, b.Dot(y, kept[k], ir.Trans{B: true}), b.Full(t, []int{24, 24}, 1./24))
			}
			b.Output(y)
		},
		Feed: scaled, Tol: 100, Why: "ten layers of weights of norm about 2, there and back", Variants: true,
		Budgets: []float64{0.8, 0.6, 0.4},
	}, {
		Name: "memory/sizes of all kinds",
		Build: func(b *ir.Builder, t ir.DType) {
			var sum ir.ID = -1
			for k, n := range []int{1, 1000, 3, 17, 500, 2, 999, 64, 65, 16} {
				x := b.Custom(copied{}, t, []int{n}, input(b, t, fmt.Sprint("x", k), n))
				y := b.Custom(copied{}, t, []int{n}, b.BinaryS(ir.Mul, x, 2))
				s := b.Reduce(ir.ReduceMax, b.Binary(ir.Sub, y, x), 0)
				if sum >= 0 {
					s = b.Binary(ir.Max, s, sum)
				}
				sum = s
			}
			b.Output(sum)
		},
		Variants: true,
	}, {
		Name: "structure/nothing but leaves",
		Build: func(b *ir.Builder, t ir.DType) {
			b.Output(b.Const(t, []int{4}, constant(t, 4)))
		},
	}, {
		Name: "structure/a diamond of 40 levels",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 3, 3)
			for range 40 {
				x = b.BinaryS(ir.Mul, b.Binary(ir.Add, b.Transpose(x, 1, 0), x), 0.5)
			}
			b.Output(x)
		},
		Variants: true,
	}, {
		Name: "structure/a wide sum",
		Build: func(b *ir.Builder, t ir.DType) {
			var sum ir.ID
			for k := range 100 {
				x := b.BinaryS(ir.Mul, input(b, t, fmt.Sprint("x", k), 6), float64(k))
				if k == 0 {
					sum = x
				} else {
					sum = b.Binary(ir.Add, sum, x)
				}
			}
			b.Output(sum)
		},
		Variants: true,
	}, {
		Name: "structure/ranks up to 6",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 2, 3, 2, 1, 3, 2)
			y := b.Transpose(b.BinaryS(ir.Add, x, 1), 5, 3, 1, 0, 4, 2)
			b.Output(y, b.Reduce(ir.ReduceMax, y, 0, 2, 5), b.Binary(ir.Mul, y, b.BroadcastTo(input(b, t, "z", 1, 3, 1, 1, 2),
				[]int{2, 1, 3, 2, 3, 2})))
		},
		Variants: true,
	}}
}

// copied is a kernel that copies: it gives a value a buffer of its own, which the planner may reuse.
type copied struct{}

func (copied) String() string { return "copied" }

func (copied) Run(out any, in []any) error {
	copyAny(out, in[0])
	return nil
}

// constant is a slice of n numbers.
func constant(t ir.DType, n int) any {
	if t == ir.F32 {
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(i)/4 - 1
		}
		return d
	}
	d := make([]float64, n)
	for i := range d {
		d[i] = float64(i)/4 - 1
	}
	return d
}
