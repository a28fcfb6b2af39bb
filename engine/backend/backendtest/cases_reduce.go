package backendtest

import (
	"fmt"
	"strings"

	"github.com/godcem/godcem/engine/ir"
)

var reductions = []ir.Op{ir.ReduceSum, ir.ReduceMax, ir.ReduceMin, ir.ReduceProd}

// subsets calls f with every non-empty subset of the axes of a rank.
func subsets(rank int, f func(axes []int)) {
	for bits := 1; bits < 1<<rank; bits++ {
		var axes []int
		for a := range rank {
			if bits>>a&1 == 1 {
				axes = append(axes, a)
			}
		}
		f(axes)
	}
}

func reductionCases() []Case {
	var cases []Case
	for _, s := range [][]int{{1}, {2}, {7}, {129}, {1000}, {3, 5}, {1, 9}, {9, 1}, {17, 33}, {64, 64}, {2, 3, 4},
		{5, 1, 7}, {3, 16, 9}, {2, 3, 1, 5}, {4, 3, 5, 2},
		{0}, {0, 3}, {3, 0}, {2, 0, 2}} {
		cases = append(cases, Case{
			Name: "reduce/" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(s), "[]")), "x"),
			Build: func(b *ir.Builder, t ir.DType) {
				x := input(b, t, "x", s...)
				y := b.Binary(ir.Add, b.BinaryS(ir.Mul, x, 0.125), b.Scalar(t, 1)) // in [3/4, 5/4]: products stay finite
				subsets(len(s), func(axes []int) {
					for _, op := range reductions {
						r := x
						if op == ir.ReduceProd {
							r = y
						}
						b.Output(b.Reduce(op, r, axes...))
					}
				})
			},
			Tol: 120, Why: "a product of 1000 factors has as many roundings, of random sign; sums are pairwise",
			Variants: len(s) == 3,
		})
	}
	return append(cases, []Case{{
		// The largest and smallest know no rounding.
		Name: "reduce/extremes of special numbers",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "a", 20, 35)
			y := input(b, t, "x", 20, 35)
			for _, r := range []ir.ID{x, y, b.Unary(ir.Neg, y)} {
				for _, op := range []ir.Op{ir.ReduceMax, ir.ReduceMin} {
					b.Output(b.Reduce(op, r, 0), b.Reduce(op, r, 1), b.Reduce(op, r, 0, 1))
				}
			}
		},
		Feed: feedSpecial, Tol: 1e-9, Why: "no rounding, but zeros of either sign", Types: both,
	}, {
		Name: "reduce/sums of special numbers",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 6, 60)
			b.Output(b.Reduce(ir.ReduceSum, x, 1), b.Reduce(ir.ReduceSum, b.Slice(x, []int{1, 0}, []int{1, 1}, []int{5, 60}),
				0))
		},
		Feed: feedSpecial, Tol: 16, Why: "sums of 60",
	}, {
		// 1 + many tiny ones: adding them to 1 one after the other loses all of them.
		Name: "reduce/accuracy of long sums",
		Build: func(b *ir.Builder, t ir.DType) {
			tiny := 0x1p-25
			if t == ir.F64 {
				tiny = 0x1p-54
			}
			x := b.Concat(0, b.Full(t, []int{1}, 1), b.Full(t, []int{65536}, tiny), input(b, t, "zero", 1))
			y := b.BroadcastTo(b.Reshape(x, []int{65538, 1}), []int{65538, 3})
			b.Output(b.Reduce(ir.ReduceSum, x, 0), b.Reduce(ir.ReduceSum, y, 0), b.Reduce(ir.ReduceSum, y, 0, 1))
		},
		Feed: func(n *ir.Node, seed uint64) any { return blank(n.Type, n.Count()) },
		Tol:  40, Why: "pairwise summation: 17 levels and the blocks' own",
	}, {
		Name: "reduce/of expressions",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", 31, 47), input(b, t, "y", 47)
			z := b.Unary(ir.Square, b.Binary(ir.Sub, x, b.BroadcastTo(y, []int{31, 47})))
			b.Output(b.Reduce(ir.ReduceSum, z, 1), b.Reduce(ir.ReduceSum, z, 0), b.BinaryS(ir.Mul,
				b.Reduce(ir.ReduceSum, z, 0, 1), 1./(31*47)),
				b.Reduce(ir.ReduceSum, b.Transpose(z, 1, 0), 1), b.Reduce(ir.ReduceMax, b.Reshape(z, []int{47, 31}), 1),
				b.Reduce(ir.ReduceSum, b.Pad(z, []int{2, 0}, []int{1, 2}, []int{40, 95}), 1))
		},
		Tol: 8, Why: "sums of 1457", Variants: true, Bench: true,
	}, {
		Name: "reduce/siblings over the same data",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.Unary(ir.Tanh, input(b, t, "x", 40, 50))
			b.Output(b.Reduce(ir.ReduceSum, x, 1), b.Reduce(ir.ReduceMax, x, 1), b.Reduce(ir.ReduceSum, b.Unary(ir.Square, x),
				1), b.Reduce(ir.ReduceMin, x, 1), x)
		},
		Tol: 8, Why: "sums of 50", Variants: true,
	}, {
		Name: "reduce/of reductions",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 4, 5, 6)
			s := b.Reduce(ir.ReduceSum, x, 2)
			b.Output(b.Reduce(ir.ReduceMax, s, 1), b.Reduce(ir.ReduceSum, b.Reduce(ir.ReduceSum, s, 0), 0),
				b.Binary(ir.Add, b.Reduce(ir.ReduceSum, s, 0, 1), b.Reduce(ir.ReduceMin, x, 0, 1, 2)), s)
		},
		Tol: 16, Why: "sums of 120", Variants: true,
	}, {
		Name: "reduce/broadcast dimension",
		Build: func(b *ir.Builder, t ir.DType) {
			x := b.BroadcastTo(input(b, t, "x", 6, 1), []int{6, 9})
			b.Output(b.Reduce(ir.ReduceSum, x, 1), b.Reduce(ir.ReduceMax, x, 1), b.Reduce(ir.ReduceSum, x, 0),
				b.Reduce(ir.ReduceProd, x, 1),
				b.Reduce(ir.ReduceSum, b.Full(t, []int{5, 7}, 0.5), 0, 1))
		},
		Tol: 12, Why: "products of 9 numbers up to 2", Variants: true,
	}, {
		Name: "reduce/large",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 300, 517)
			b.Output(b.Reduce(ir.ReduceSum, x, 0), b.Reduce(ir.ReduceSum, x, 1), b.Reduce(ir.ReduceSum, b.Unary(ir.Square, x),
				0, 1),
				b.Reduce(ir.ReduceSum, b.Reshape(x, []int{30, 10, 517}), 0, 2))
		},
		Tol: 16, Why: "sums of up to 155100 in blocks", Bench: true,
	}}...)
}
