package backendtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/godcem/godcem/engine/ir"
)

// moved appends one movement of x, of rank 1 to 5: mostly ones that keep the elements, so that chains stay long.
func moved(b *ir.Builder, r *rand.Rand, x ir.ID) ir.ID {
	s := slices.Clone(b.Shape(x))
	d := r.IntN(len(s))
	start, step := make([]int, len(s)), slices.Repeat([]int{1}, len(s))
	switch r.IntN(8) {
	case 0, 1:
		return b.Transpose(x, r.Perm(len(s))...)
	case 2, 3: // two neighbouring dimensions become one
		if len(s) > 1 && d > 0 {
			return b.Reshape(x, append(append(s[:d-1:d-1], s[d-1]*s[d]), s[d+1:]...))
		}
	case 4, 5: // a dimension becomes two
		for _, f := range []int{2, 3, 5} {
			if s[d] > f && s[d]%f == 0 && len(s) < 5 {
				return b.Reshape(x, append(append(s[:d:d], s[d]/f, f), s[d+1:]...))
			}
		}
	case 6:
		step[d] = 1 + r.IntN(2)
		start[d] = r.IntN(2) * min(1, s[d]-1)
		s[d] = (s[d]-start[d]-1)/step[d] + 1
		return b.Slice(x, start, step, s)
	case 7:
		if ir.Count(s) < 500 {
			start[d], step[d] = r.IntN(2), 1+r.IntN(2)
			s[d] = start[d] + (s[d]-1)*step[d] + 1 + r.IntN(2)
			return b.Pad(x, start, step, s)
		}
	}
	return x
}

func movementCases() []Case {
	var cases []Case
	add := func(name string, variants bool, build func(b *ir.Builder, t ir.DType)) {
		cases = append(cases, Case{Name: "movement/" + name, Build: build, Variants: variants})
	}
	add("broadcast", true, func(b *ir.Builder, t ir.DType) {
		to := []int{3, 4, 5}
		for k, s := range [][]int{{}, {1}, {5}, {4, 1}, {4, 5}, {1, 5}, {3, 1, 1}, {3, 4, 1}, {3, 1, 5}, {1, 4, 5},
			{1, 1, 1}, {3, 4, 5}} {
			x := b.BroadcastTo(input(b, t, fmt.Sprint("x", k), s...), to)
			b.Output(x, b.Binary(ir.Add, x, input(b, t, fmt.Sprint("y", k), to...)))
		}
	})
	add("broadcast of sizes 0 and 1", false, func(b *ir.Builder, t ir.DType) {
		b.Output(b.BroadcastTo(input(b, t, "x", 1, 0), []int{4, 0}), b.BroadcastTo(input(b, t, "y"), []int{0}),
			b.BroadcastTo(input(b, t, "z", 1), []int{1, 1, 1}), b.BroadcastTo(input(b, t, "w"), []int{1, 2, 1, 3}),
			b.BroadcastTo(input(b, t, "v", 1, 3), []int{0, 3}))
	})
	add("reshape", true, func(b *ir.Builder, t ir.DType) {
		x := input(b, t, "x", 4, 6, 5)
		y := b.BinaryS(ir.Mul, x, 2)
		b.Output(b.Reshape(x, []int{120}), b.Reshape(y, []int{5, 24}), b.Reshape(b.Reshape(y, []int{2, 2, 30}),
			[]int{8, 15}),
			b.BinaryS(ir.Add, b.Reshape(y, []int{1, 120, 1}), 1), b.Reshape(input(b, t, "s"),
				[]int{1, 1}), b.Reshape(input(b, t, "o", 1), nil),
			b.Reshape(input(b, t, "e", 0, 3), []int{7, 0}), y)
	})
	add("transpose", true, func(b *ir.Builder, t ir.DType) {
		x, y := input(b, t, "x", 3, 4, 5), input(b, t, "y", 33, 65)
		for _, p := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			z := b.Transpose(x, p...)
			b.Output(z, b.BinaryS(ir.Add, z, 1))
		}
		b.Output(b.Transpose(y, 1, 0), b.Transpose(b.Transpose(y, 1, 0), 1, 0), b.Transpose(input(b, t, "z", 2, 3, 1, 4), 3,
			1, 0, 2),
			b.Transpose(input(b, t, "e", 0, 3), 1, 0))
	})
	add("slice", true, func(b *ir.Builder, t ir.DType) {
		x := input(b, t, "x", 7, 11)
		for _, s := range []struct{ start, step, shape []int }{
			{[]int{0, 0}, []int{1, 1}, []int{7, 11}}, {[]int{2, 3}, []int{1, 1}, []int{4, 5}}, {[]int{0, 1}, []int{2, 3},
				[]int{4, 4}},
			{[]int{6, 10}, []int{1, 1}, []int{1, 1}}, {[]int{0, 0}, []int{6, 10}, []int{2, 2}}, {[]int{3, 0}, []int{1, 1},
				[]int{1, 11}},
			{[]int{0, 5}, []int{1, 1}, []int{7, 1}}, {[]int{0, 0}, []int{1, 1}, []int{0, 11}}} {
			y := b.Slice(x, s.start, s.step, s.shape)
			b.Output(y, b.BinaryS(ir.Sub, y, 0.25))
		}
		y := b.Slice(b.Slice(x, []int{1, 1}, []int{2, 2}, []int{3, 5}), []int{0, 1}, []int{2, 2}, []int{2, 2})
		b.Output(y)
	})
	add("pad", true, func(b *ir.Builder, t ir.DType) {
		x := input(b, t, "x", 3, 4)
		for _, s := range []struct{ start, step, shape []int }{
			{[]int{0, 0}, []int{1, 1}, []int{3, 4}}, {[]int{1, 2}, []int{1, 1}, []int{5, 9}}, {[]int{0, 1}, []int{2, 3},
				[]int{5, 11}},
			{[]int{2, 0}, []int{1, 1}, []int{5, 4}}, {[]int{0, 0}, []int{3, 1}, []int{8, 6}}} {
			y := b.Pad(x, s.start, s.step, s.shape)
			b.Output(y, b.BinaryS(ir.Add, y, 1), b.Binary(ir.Mul, y, input(b, t, fmt.Sprint("y", s.shape), s.shape...)))
		}
		b.Output(b.Pad(input(b, t, "e", 0, 2), []int{0, 0}, []int{1, 1}, []int{3, 2}), b.Pad(input(b, t, "s"), nil, nil,
			nil))
	})
	// The gradients of slices: pads of disjoint spans, of overlapping ones, and of a step of 2 in each other's gaps.
	add("sum of pads", true, func(b *ir.Builder, t ir.DType) {
		pad := func(name string, start, step, n int) ir.ID {
			return b.Pad(input(b, t, name, 6, n), []int{0, start}, []int{1, step}, []int{6, 12})
		}
		disjoint := b.Binary(ir.Add, b.Binary(ir.Add, pad("a", 0, 1, 4), pad("b", 4, 1, 4)), pad("c", 8, 1, 4))
		gap := b.Binary(ir.Add, pad("d", 0, 1, 4), pad("e", 8, 1, 4))
		over := b.Binary(ir.Add, pad("f", 0, 1, 8), pad("g", 4, 1, 8))
		comb := b.Binary(ir.Add, pad("h", 0, 2, 6), pad("i", 1, 2, 6))
		b.Output(disjoint, gap, over, comb, b.Unary(ir.Abs, disjoint))
	})
	cases[len(cases)-1].Tol = 1e-9
	cases[len(cases)-1].Why = zerosWhy
	add("concat", true, func(b *ir.Builder, t ir.DType) {
		x, y, z := input(b, t, "x", 3, 4), input(b, t, "y", 2, 4), input(b, t, "z", 3, 7)
		xy := b.Concat(0, x, y, x)
		yz := b.Concat(1, b.BinaryS(ir.Mul, x, 2), b.Transpose(b.Transpose(z, 1, 0), 1, 0), x)
		b.Output(xy, yz, b.BinaryS(ir.Add, xy, 1), b.Concat(1, xy, xy), b.Concat(0, x),
			b.Concat(0, input(b, t, "e", 0, 4), x),
			b.Slice(yz, []int{0, 3}, []int{1, 1}, []int{3, 5}), b.Transpose(b.Concat(1, x, z), 1, 0), b.Concat(2,
				input(b, t, "u", 2, 3, 1), input(b, t, "v", 2, 3, 4)))
		b.Output(b.Concat(0, input(b, t, "s", 1), input(b, t, "r", 1)), b.Concat(0, b.Full(t, []int{2, 4}, 7), y,
			b.Full(t, []int{1, 4}, -0.5)))
	})
	add("concat of computed parts", true, func(b *ir.Builder, t ir.DType) {
		x, y := input(b, t, "x", 20, 3), input(b, t, "y", 20, 3)
		s, d := b.Binary(ir.Add, x, y), b.Binary(ir.Sub, x, y)
		c := b.Concat(1, s, d, b.Binary(ir.Mul, s, d))
		b.Output(b.Dot(c, c, ir.Trans{B: true}), c, s)
	})
	cases[len(cases)-1].Tol, cases[len(cases)-1].Why = 8, "a sum of 9 products"
	add("stack of slices", true, func(b *ir.Builder, t ir.DType) {
		x := input(b, t, "x", 5, 4, 6) // (step, batch, state) -> the steps along the last dimension
		var parts []ir.ID
		for k := range 5 {
			s := b.Reshape(b.Slice(x, []int{k, 0, 0}, []int{1, 1, 1}, []int{1, 4, 6}), []int{4, 6})
			parts = append(parts, b.Reshape(b.BinaryS(ir.Mul, s, float64(k)), []int{4, 6, 1}))
		}
		b.Output(b.Concat(2, parts...))
	})
	add("transpose of slice of pad", true, func(b *ir.Builder, t ir.DType) {
		x := input(b, t, "x", 3, 5, 2)
		p := b.Pad(b.BinaryS(ir.Add, x, 10), []int{1, 0, 2}, []int{1, 2, 3}, []int{6, 11, 7})
		s := b.Slice(p, []int{0, 1, 1}, []int{2, 1, 2}, []int{3, 9, 3})
		y := b.Transpose(s, 2, 0, 1)
		b.Output(y, b.Binary(ir.Mul, y, input(b, t, "w", 3, 3, 9)), b.Reduce(ir.ReduceMax, y, 1), b.Reshape(y, []int{81}))
	})
	add("pad of slice of transpose", true, func(b *ir.Builder, t ir.DType) {
		x := b.Transpose(input(b, t, "x", 6, 7), 1, 0)
		s := b.Slice(b.BinaryS(ir.Sub, x, 3), []int{1, 0}, []int{2, 1}, []int{3, 5})
		p := b.Pad(s, []int{1, 1}, []int{1, 2}, []int{5, 11})
		q := b.Pad(p, []int{0, 3}, []int{2, 1}, []int{9, 16})
		b.Output(q, b.BroadcastTo(b.Reshape(q, []int{1, 9, 16}), []int{2, 9, 16}), b.Slice(q, []int{1, 2}, []int{3, 3},
			[]int{3, 5}))
	})
	// What cannot be one affine map: a reshape of a transpose, of a slice, of a broadcast.
	add("reshape of everything", true, func(b *ir.Builder, t ir.DType) {
		x := b.BinaryS(ir.Mul, input(b, t, "x", 4, 6), 0.5)
		b.Output(b.Reshape(b.Transpose(x, 1, 0), []int{3, 8}), b.Reshape(b.Slice(x, []int{1, 1}, []int{1, 2}, []int{3, 2}),
			[]int{6}),
			b.Reshape(b.BroadcastTo(b.Reshape(x, []int{4, 1, 6}), []int{4, 3, 6}), []int{12, 6}),
			b.Reshape(b.Pad(x, []int{1, 1}, []int{1, 1}, []int{6, 8}), []int{48}), b.Reshape(b.Concat(1, x, x), []int{8, 6}))
		y := b.Reshape(b.Transpose(b.Reshape(x, []int{2, 2, 3, 2}), 0, 2, 1, 3), []int{6, 4})
		b.Output(y, b.Binary(ir.Add, y, b.Transpose(x, 1, 0)))
	})
	for seed := range uint64(12) {
		add(fmt.Sprint("chains/", seed), seed < 2, func(b *ir.Builder, t ir.DType) {
			r := rand.New(rand.NewPCG(seed, 77))
			x := input(b, t, "x", 4, 6, 5, 2)
			for range 8 {
				y := x
				for range 2 + r.IntN(6) {
					y = moved(b, r, y)
				}
				b.Output(b.BinaryS(ir.Mul, y, 3), moved(b, r, b.Unary(ir.Abs, y)))
				if s := b.Shape(y); len(s) > 1 {
					b.Output(b.Reduce(ir.ReduceMax, y, len(s)-1), b.Reduce(ir.ReduceMin, y, 0))
				}
			}
		})
	}
	for _, dt := range []ir.DType{ir.Int64, ir.Int, ir.Int32, ir.Uint8, ir.Bool} {
		cases = append(cases, Case{
			Name: "movement/of " + dt.String(),
			Build: func(b *ir.Builder, _ ir.DType) {
				x := input(b, dt, "x", 4, 5)
				b.Output(b.Transpose(x, 1, 0), b.Slice(x, []int{1, 0}, []int{2, 2}, []int{2, 3}),
					b.Pad(x, []int{1, 0}, []int{1, 2}, []int{6, 9}),
					b.Concat(0, x, x), b.Reshape(x, []int{2, 10}), b.BroadcastTo(b.Reshape(x, []int{4, 1, 5}), []int{4, 2, 5}),
					b.BroadcastTo(input(b, dt, "s"), []int{3}))
			},
			Types: []ir.DType{ir.F32}, Variants: true,
		})
	}
	return cases
}
