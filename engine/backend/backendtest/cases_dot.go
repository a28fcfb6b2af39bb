package backendtest

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
)

var transposes = []ir.Trans{{}, {A: true}, {B: true}, {A: true, B: true}}

// product is the dot of two inputs, (batch..., m, k) and (batch..., k, n), stored as t says.
func product(b *ir.Builder, dt ir.DType, name string, t ir.Trans, m, n, k int, batch ...int) ir.ID {
	shape := func(r, c int, trans bool) []int {
		if trans {
			r, c = c, r
		}
		return append(append([]int(nil), batch...), r, c)
	}
	return b.Dot(input(b, dt, name+"A", shape(m, k, t.A)...), input(b, dt, name+"B", shape(k, n, t.B)...), t)
}

const dotWhy = "a sum of k products of up to 4, whose roundings do not all go the same way"

func dotCases() []Case {
	var cases []Case
	sizes := []int{0, 1, 2, 7, 128}
	for _, k := range sizes {
		for _, m := range sizes {
			cases = append(cases, Case{
				Name: fmt.Sprintf("dot/m%d k%d", m, k),
				Build: func(b *ir.Builder, t ir.DType) {
					for _, n := range sizes {
						for i, tr := range transposes {
							b.Output(product(b, t, fmt.Sprint(n, " ", i), tr, m, n, k))
						}
					}
				},
				Tol: 8 + float64(k)/16, Why: dotWhy,
				Seeds: []uint64{1, 2},
			})
		}
	}
	odd := [][3]int{{3, 5, 4}, {13, 17, 19}, {33, 65, 31}, {100, 1, 100}, {1, 100, 100}, {1, 1, 1000}, {64, 64, 64},
		{257, 9, 3}, {5, 255, 2}, {6, 16, 300}}
	for _, s := range odd {
		cases = append(cases, Case{
			Name: fmt.Sprintf("dot/%dx%dx%d", s[0], s[1], s[2]),
			Build: func(b *ir.Builder, t ir.DType) {
				for i, tr := range transposes {
					b.Output(product(b, t, fmt.Sprint(i), tr, s[0], s[1], s[2]))
				}
			},
			Tol: 8 + float64(s[2])/16, Why: dotWhy,
		})
	}
	for _, s := range [][]int{{1}, {3}, {2, 3}, {0}, {17}} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("dot/batch %v", s),
			Build: func(b *ir.Builder, t ir.DType) {
				for i, tr := range transposes {
					b.Output(product(b, t, fmt.Sprint(i), tr, 5, 7, 6, s...), product(b, t, fmt.Sprint("v", i), tr, 1, 7, 6, s...))
				}
				// One matrix for all of the batch.
				x := input(b, t, "x", append(append([]int{}, s...), 4, 6)...)
				w := b.BroadcastTo(input(b, t, "w", 6, 3), append(append([]int{}, s...), 6, 3))
				b.Output(b.Dot(x, w, ir.Trans{}), b.BinaryS(ir.Add, b.Dot(x, w, ir.Trans{}), 1))
			},
			Tol: 12, Why: "sums of 6 or 7 products", Variants: len(s) == 2,
		})
	}
	return append(cases, epilogueCases()...)
}

func epilogueCases() []Case {
	const m, n, k = 37, 50, 29
	tol, why := 60., "a sum of 29 products, through functions of slope 1, and sums of 37 of them"
	row := func(b *ir.Builder, x ir.ID) ir.ID { return b.BroadcastTo(x, []int{m, n}) }
	return []Case{{
		Name: "dot/bias and activation",
		Build: func(b *ir.Builder, t ir.DType) {
			for i, op := range []ir.Op{ir.Tanh, ir.Softplus, ir.Sigmoid, ir.Sin} {
				p := product(b, t, fmt.Sprint(i), transposes[i], m, n, k)
				b.Output(b.Unary(op, b.Binary(ir.Add, p, row(b, input(b, t, fmt.Sprint("bias", i), n)))))
			}
			p := product(b, t, "relu", ir.Trans{}, m, n, k)
			b.Output(b.BinaryS(ir.Max, p, 0))
		},
		Tol: tol, Why: why, Variants: true, Bench: true,
	}, {
		Name: "dot/several outputs of the epilogue",
		Build: func(b *ir.Builder, t ir.DType) {
			p := product(b, t, "", ir.Trans{}, m, n, k)
			z := b.Binary(ir.Add, p, row(b, input(b, t, "bias", n)))
			a := b.Unary(ir.Softplus, z)
			b.Output(p, z, a, b.Unary(ir.Sigmoid, z), b.Transpose(a, 1, 0), b.Slice(z, []int{1, 2}, []int{2, 3},
				[]int{18, 16}))
		},
		Tol: 24, Why: why, Variants: true,
	}, {
		Name: "dot/sums of the result",
		Build: func(b *ir.Builder, t ir.DType) {
			p := product(b, t, "", ir.Trans{A: true}, m, n, k)
			g := b.Binary(ir.Mul, p, input(b, t, "mask", m, n))
			b.Output(g, b.Reduce(ir.ReduceSum, g, 0), b.Reduce(ir.ReduceSum, g, 1), b.Reduce(ir.ReduceMax, p, 1),
				b.Reduce(ir.ReduceSum, g, 0, 1))
		},
		Tol: 32, Why: why, Variants: true,
	}, {
		Name: "dot/only sums of the result",
		Build: func(b *ir.Builder, t ir.DType) {
			p := product(b, t, "", ir.Trans{}, m, n, k)
			b.Output(b.Reduce(ir.ReduceSum, b.Unary(ir.Square, p), 1), b.Reduce(ir.ReduceSum, p, 0))
		},
		Tol: 32, Why: why, Variants: true,
	}, {
		Name: "dot/of computed operands",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", m, k), input(b, t, "y", n, k)
			xs, ys := b.Unary(ir.Tanh, x), b.Transpose(b.BinaryS(ir.Mul, y, 0.5), 1, 0)
			p := b.Dot(xs, ys, ir.Trans{})
			q := b.Dot(b.Slice(x, []int{0, 3}, []int{1, 1}, []int{m, 20}), b.Slice(y, []int{0, 3}, []int{1, 1}, []int{n, 20}),
				ir.Trans{B: true})
			r := b.Dot(b.Slice(x, []int{0, 0}, []int{2, 2}, []int{19, 15}),
				b.Pad(b.Slice(y, []int{0, 0}, []int{1, 3}, []int{n, 10}), []int{0, 5}, []int{1, 1},
					[]int{n, 15}), ir.Trans{B: true})
			b.Output(p, q, r, b.Binary(ir.Sub, p, q), b.Dot(p, p, ir.Trans{A: true}))
		},
		Tol: 24, Why: "two products one after the other, sums of 29 and 37", Variants: true,
	}, {
		Name: "dot/reshaped",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 6, 5, 8) // (batch, samples, features) as (30, 8)
			z := b.Dot(b.Reshape(x, []int{30, 8}), input(b, t, "w", 8, 4), ir.Trans{})
			z = b.Reshape(z, []int{6, 5, 4})
			z = b.Binary(ir.Add, z, b.BroadcastTo(input(b, t, "bias", 4), []int{6, 5, 4}))
			b.Output(z, b.Reduce(ir.ReduceSum, b.Unary(ir.Tanh, z), 1), b.Reshape(b.Unary(ir.Exp, b.Unary(ir.Tanh, z)),
				[]int{6, 20}))
		},
		Tol: 12, Why: "sums of 8 products", Variants: true,
	}, {
		Name: "dot/chain of products",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 40, 16)
			for l := range 4 {
				x = b.Unary(ir.Tanh, b.Dot(x, input(b, t, fmt.Sprint("w", l), 16, 16), ir.Trans{B: l%2 == 1}))
			}
			b.Output(x)
		},
		Tol: 300, Why: "each layer multiplies errors by up to the norm of its weights, about 4", Variants: true,
		Bench: true,
	}, {
		Name: "dot/gradients of an unrolled layer",
		Build: func(b *ir.Builder, t ir.DType) {
			// A weight and a bias that each of some iterations uses: sums of products over their rows.
			var gw, gb ir.ID
			for i, rows := range []int{1, 40, 40, 90} {
				x := b.Unary(ir.Tanh, input(b, t, fmt.Sprint("x", i), rows, 24))
				g := input(b, t, fmt.Sprint("g", i), rows, 20)
				w, c := b.Dot(x, g, ir.Trans{A: true}), b.Reduce(ir.ReduceSum, g, 0)
				if i == 0 {
					gw, gb = w, c
				} else {
					gw, gb = b.Binary(ir.Add, gw, w), b.Binary(ir.Add, gb, c)
				}
			}
			b.Output(gw, gb)
		},
		Tol: 32, Why: "sums of 171 products of up to 4, whose roundings do not all go the same way", Variants: true,
	}, {
		Name: "dot/one operand twice",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 9, 9)
			b.Output(b.Dot(x, x, ir.Trans{}), b.Dot(x, x, ir.Trans{A: true}), b.Binary(ir.Add, b.Dot(x, x, ir.Trans{B: true}),
				x),
				b.Binary(ir.Add, b.Dot(x, x, ir.Trans{}), b.Transpose(x, 1, 0)))
		},
		Tol: 12, Why: "sums of 9 products", Variants: true,
	}, {
		Name: "dot/epilogue of two products",
		Build: func(b *ir.Builder, t ir.DType) {
			p, q := product(b, t, "p", ir.Trans{}, m, n, k), product(b, t, "q", ir.Trans{B: true}, m, n, 7)
			b.Output(b.Binary(ir.Mul, p, q), b.Binary(ir.Add, b.Unary(ir.Tanh, p), b.Unary(ir.Tanh, q)))
		},
		Tol: 80, Why: why, Variants: true,
	}, {
		Name: "dot/sum of products over another order of its elements",
		Build: func(b *ir.Builder, t ir.DType) {
			x, w := input(b, t, "x", 12, 10), input(b, t, "w", 10, 12)
			p := b.Dot(x, w, ir.Trans{})
			b.Output(b.Binary(ir.Add, p, b.Transpose(p, 1, 0)), b.Reduce(ir.ReduceSum, b.Reshape(p, []int{3, 4, 12}), 1),
				b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, p, b.Pad(b.Slice(p, []int{0, 0}, []int{1, 1}, []int{11, 12}), []int{1, 0},
					[]int{1, 1}, []int{12, 12})), 1))
		},
		Tol: 16, Why: "squares of sums of 10", Variants: true,
	}, {
		Name: "dot/infinities and NaN",
		Build: func(b *ir.Builder, t ir.DType) {
			p := product(b, t, "", ir.Trans{}, 3, 4, 2)
			b.Output(p, b.BinaryS(ir.Max, p, 0))
		},
		Feed: func(n *ir.Node, seed uint64) any {
			d := clone(feedSpecial(&ir.Node{Op: ir.Input, Type: ir.F64, Shape: []int{30}, Attr: ir.InputAttr{Name: "x"}},
				1)).([]float64)
			// Rows of infinity, of NaN and of numbers times numbers: each element's kind is certain.
			left := []float64{d[9], 1, d[11], 1, 2, 3}
			right := []float64{1, 2, 3, 4, 1, 1, 1, 1}
			src := left
			if n.Count() == 8 {
				src = right
			}
			if n.Type == ir.F64 {
				return src
			}
			f := make([]float32, len(src))
			for i, v := range src {
				f[i] = float32(v)
			}
			return f
		},
		Tol: 4, Why: "sums of 2",
	}}
}
