package backendtest

import (
	"github.com/godcem/godcem/engine/ir"
)

func noiseCases() []Case {
	sizes := [][]int{{}, {1}, {2}, {3}, {4}, {5}, {1001}, {33, 7}, {0, 4}, {3, 5, 7}}
	draw := func(b *ir.Builder, op ir.Op, t ir.DType, seed, draw uint64, run ir.ID, shape ...int) ir.ID {
		return b.Random(op, t, shape, ir.Rand{Seed: seed, Draw: draw}, run)
	}
	plain := func(op ir.Op) Case {
		return Case{
			Name: "noise/" + op.String(),
			Build: func(b *ir.Builder, t ir.DType) {
				run := runNumber(b)
				for i, s := range sizes {
					b.Output(draw(b, op, t, 7, uint64(i), run, s...))
				}
				b.Output(draw(b, op, t, 7, 6, run, 1001), draw(b, op, t, 1<<63+5, 6, run, 1001),
					draw(b, op, t, 7, 1<<40, run, 1001))
			},
			Feed: func(n *ir.Node, seed uint64) any { return []int64{int64(seed<<33 | seed)} }, // both words of the counter
		}
	}
	const b0, n0, d0 = 6, 11, 3
	sample := func(b *ir.Builder, t ir.DType, mu, sigma, eps ir.ID) ir.ID {
		s := []int{b0, n0, d0}
		at := func(x ir.ID) ir.ID { return b.BroadcastTo(b.Reshape(x, []int{b0, 1, d0}), s) }
		x := b.Binary(ir.Add, at(mu), b.Binary(ir.Mul, at(sigma), eps))
		return b.BinaryS(ir.Min, b.BinaryS(ir.Max, x, -1.5), 1.5)
	}
	return []Case{plain(ir.Normal), plain(ir.Uniform), {
		Name: "noise/sample",
		Build: func(b *ir.Builder, t ir.DType) {
			mu, sigma := input(b, t, "mu", b0, d0), input(b, t, "sigma", b0, d0)
			b.Output(sample(b, t, mu, sigma, draw(b, ir.Normal, t, 3, 4, runNumber(b), b0, n0, d0)))
		},
		Variants: true, Bench: true,
	}, {
		// Used again, as a backward pass does, after much else.
		Name: "noise/used again",
		Build: func(b *ir.Builder, t ir.DType) {
			mu, sigma := input(b, t, "mu", b0, d0), input(b, t, "sigma", b0, d0)
			eps := draw(b, ir.Normal, t, 3, 4, runNumber(b), b0, n0, d0)
			x := sample(b, t, mu, sigma, eps)
			cost := b.Reduce(ir.ReduceSum, b.Unary(ir.Square, x), 2)
			w := b.Unary(ir.Sigmoid, b.Unary(ir.Neg, cost))
			g := b.Binary(ir.Mul, b.BroadcastTo(b.Reshape(w, []int{b0, n0, 1}), []int{b0, n0, d0}), b.BinaryS(ir.Mul, x, 2))
			inside := b.Compare(ir.Lt, t, b.Unary(ir.Abs, x), b.Full(t, []int{b0, n0, d0}, 1.5))
			g = b.Binary(ir.Mul, g, inside)
			b.Output(b.Reduce(ir.ReduceSum, g, 1), b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, g, eps), 1), cost)
		},
		Tol: 16, Why: "sums of 11 of size 10", Variants: true, Budgets: []float64{0.5},
	}, {
		Name: "noise/moved and cast",
		Build: func(b *ir.Builder, t ir.DType) {
			run := runNumber(b)
			e := draw(b, ir.Normal, t, 1, 2, run, 8, 9)
			u := draw(b, ir.Uniform, t, 1, 3, run, 9, 8)
			o := ir.F32
			if t == ir.F32 {
				o = ir.F64
			}
			b.Output(b.Transpose(e, 1, 0), b.Binary(ir.Add, b.Transpose(e, 1, 0), u), b.Slice(e, []int{1, 3}, []int{2, 2},
				[]int{3, 3}),
				b.Reshape(b.Binary(ir.Mul, e, e), []int{72}), b.BroadcastTo(b.Reshape(e, []int{8, 1, 9}),
					[]int{8, 2, 9}), b.Cast(o, e),
				b.Binary(ir.Lt, u, b.Full(t, []int{9, 8}, 0.5)), b.Concat(1, e, e), b.Pad(e, []int{1, 1}, []int{1, 1},
					[]int{10, 10}))
		},
		Variants: true,
	}, {
		Name: "noise/many draws of one run number",
		Build: func(b *ir.Builder, t ir.DType) {
			run := runNumber(b)
			x := input(b, t, "x", 50)
			for k := range 12 {
				e := draw(b, ir.Normal, t, 11, uint64(k), run, 50)
				if x = b.BinaryS(ir.Mul, b.Binary(ir.Add, x, e), 0.5); k%4 == 0 {
					b.Output(e)
				}
			}
			same := draw(b, ir.Normal, t, 11, 0, run, 50)
			b.Output(x, b.Binary(ir.Sub, same, draw(b, ir.Normal, t, 11, 0, run, 50)))
		},
		Variants: true,
	}, {
		Name: "noise/in a product and a reduction",
		Build: func(b *ir.Builder, t ir.DType) {
			e := draw(b, ir.Normal, t, 5, 1, runNumber(b), 20, 30)
			w := input(b, t, "w", 30, 10)
			p := b.Dot(e, w, ir.Trans{})
			q := b.Binary(ir.Add, p, draw(b, ir.Normal, t, 5, 2, 0, 20, 10))
			b.Output(q, b.Reduce(ir.ReduceSum, e, 0), b.Dot(w, e, ir.Trans{A: true, B: true}))
		},
		Tol: 16, Why: "sums of 30 products of up to 4*2", Variants: true,
	}, {
		Name: "noise/the run number is an output",
		Build: func(b *ir.Builder, t ir.DType) {
			run := runNumber(b)
			b.Output(run, b.Cast(ir.F64, run), draw(b, ir.Uniform, t, 1, 1, run))
		},
	}}
}
