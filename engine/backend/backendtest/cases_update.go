package backendtest

import (
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

func updateCases() []Case {
	const why = "gradients of a small net; Adam and RMSProp divide by their size, so small ones count more"
	train := func(o kernels.Optimizer) func(b *ir.Builder, t ir.DType) {
		return func(b *ir.Builder, t ir.DType) {
			n := mlp(b, t, 20, 3, 8, 2)
			b.G.Updates = []ir.Update{{Optimizer: o, Params: n.params, Grads: gradients(b, n.loss, n.params...), Loss: n.loss}}
			b.Output(n.loss, n.out)
		}
	}
	steps := []uint64{1, 2, 3, 4, 5, 5, 6}
	var cases []Case
	for _, o := range []struct {
		name string
		opt  kernels.Optimizer
		tol  float64
	}{
		{"adam", kernels.Optimizer{Epsilon: 1e-3}, 64},
		{"adam, decay and clipping", kernels.Optimizer{Rate: 0.01, Epsilon: 1e-3, WeightDecay: 0.1, ClipNorm: 0.5}, 64},
		{"rmsprop", kernels.Optimizer{Method: kernels.RMSProp, Epsilon: 1e-2}, 64},
		{"rmsprop with momentum", kernels.Optimizer{Method: kernels.RMSProp, Rate: 0.005, Momentum: 0.8, Epsilon: 1e-2,
			ClipNorm: 1}, 64},
		{"descent", kernels.Optimizer{Method: kernels.Momentum, Rate: 0.02}, 64},
		{"descent with momentum", kernels.Optimizer{Method: kernels.Momentum, Rate: 0.01, Momentum: 0.9, ClipNorm: 1,
			WeightDecay: 0.01}, 64},
	} {
		cases = append(cases, Case{
			Name: "update/" + o.name, Build: train(o.opt), Seeds: steps, Tol: o.tol, Why: why, Variants: o.name == "adam",
			Bench:   o.name == "adam",
			Budgets: []float64{0.6},
		})
	}
	return append(cases, Case{
		Name: "update/loss or gradient not finite",
		Build: func(b *ir.Builder, t ir.DType) {
			x, w := input(b, t, "x", 4), resident(b, t, "w", 4)
			e := b.Binary(ir.Mul, x, w)
			loss := b.Reduce(ir.ReduceSum, e, 0)
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Epsilon: 1e-2}, Params: []ir.ID{w}, Grads: []ir.ID{x},
				Loss: loss}}
			b.Output(loss, e)
		},
		Feed: func(n *ir.Node, seed uint64) any {
			d := []float64{1, -2, 3, 0.5}
			if n.Attr.(ir.InputAttr).Name == "x" {
				switch seed {
				case 2:
					d[1] = math.NaN()
				case 4:
					d[2] = math.Inf(1)
				}
			}
			if n.Type == ir.F64 {
				return d
			}
			return []float32{float32(d[0]), float32(d[1]), float32(d[2]), float32(d[3])}
		},
		Seeds: []uint64{1, 2, 3, 4, 5}, Tol: 8, Why: why,
	}, Case{
		// The loss overflows where the gradient does not: the loss decides too.
		Name: "update/only the loss not finite",
		Build: func(b *ir.Builder, t ir.DType) {
			x, w := input(b, t, "x", 3), resident(b, t, "w", 3)
			loss := b.Reduce(ir.ReduceSum, b.Unary(ir.Log, x), 0)
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.5, Momentum: 0.5},
				Params: []ir.ID{w}, Grads: []ir.ID{b.BinaryS(ir.Mul, w, 0.5)}, Loss: loss}}
			b.Output(loss)
		},
		Feed: func(n *ir.Node, seed uint64) any {
			d := []float64{1, 2, 3}
			if n.Attr.(ir.InputAttr).Name == "x" && seed == 2 {
				d[1] = 0
			}
			if n.Type == ir.F64 {
				return d
			}
			return []float32{float32(d[0]), float32(d[1]), float32(d[2])}
		},
		Seeds: []uint64{1, 2, 3}, Tol: 8, Why: why,
	}, Case{
		// Outputs are values from before the update, views of the parameters among them.
		Name: "update/values of before",
		Build: func(b *ir.Builder, t ir.DType) {
			w, v := resident(b, t, "w", 4, 3), resident(b, t, "v", 12)
			b.Output(w, b.BinaryS(ir.Mul, v, 1), b.Reshape(w, []int{12}), b.Transpose(w, 1, 0), b.BinaryS(ir.Mul, v, 2),
				b.Slice(v, []int{2}, []int{3}, []int{4}))
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.25}, Loss: -1,
				Params: []ir.ID{w, v}, Grads: []ir.ID{b.BinaryS(ir.Mul, w, 0.5), b.Reshape(w, []int{12})}}}
		},
		Seeds: []uint64{1, 2, 3}, Tol: 8, Why: "a norm of 24 numbers", Variants: true,
	}, Case{
		// The gradients are inputs, one of them of two parameters, and computed in another type.
		Name: "update/gradients from anywhere",
		Build: func(b *ir.Builder, t ir.DType) {
			w, v, u := resident(b, t, "w", 5), resident(b, t, "v", 5), resident(b, t, "u", 2)
			g := input(b, t, "g", 5)
			h := b.Cast(t, input(b, ir.Int32, "h", 2))
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1, ClipNorm: 1},
				Loss:   -1,
				Params: []ir.ID{w, v, u}, Grads: []ir.ID{g, g, h}}}
		},
		Seeds: []uint64{1, 2, 3, 4}, Tol: 8, Why: "a norm of 12 numbers",
	}, Case{
		Name: "update/two optimisers",
		Build: func(b *ir.Builder, t ir.DType) {
			w, v := resident(b, t, "w", 6), resident(b, t, "v", 6)
			loss := b.Reduce(ir.ReduceSum, b.Unary(ir.Square, b.Binary(ir.Sub, b.Binary(ir.Mul, w, v), input(b, t, "x", 6))),
				0)
			g := gradients(b, loss, w, v)
			b.G.Updates = []ir.Update{
				{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.01}, Params: []ir.ID{w}, Grads: g[:1],
					Loss: loss},
				{Optimizer: kernels.Optimizer{Rate: 0.01, Epsilon: 1e-2}, Params: []ir.ID{v}, Grads: g[1:], Loss: -1}}
			b.Output(loss)
		},
		Seeds: steps, Tol: 16, Why: why, Variants: true,
	}, Case{
		// The gradient of w*v is v and w: neither may be read after it moved, in one update or in two.
		Name: "update/each other's gradients",
		Build: func(b *ir.Builder, t ir.DType) {
			w, v, u := resident(b, t, "w", 6), resident(b, t, "v", 6), resident(b, t, "u", 2, 3)
			o := kernels.Optimizer{Method: kernels.Momentum, Rate: 0.125}
			b.G.Updates = []ir.Update{{Optimizer: o, Params: []ir.ID{w, v}, Grads: []ir.ID{v, w}, Loss: -1},
				{Optimizer: o, Params: []ir.ID{u}, Grads: []ir.ID{b.Reshape(w, []int{2, 3})}, Loss: -1}}
		},
		Seeds: []uint64{1, 2, 3}, Tol: 8, Why: "a norm of 12 numbers", Variants: true,
	}, Case{
		// The loss is a parameter; its value is that of before.
		Name: "update/the loss is a parameter",
		Build: func(b *ir.Builder, t ir.DType) {
			w := resident(b, t, "w")
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Method: kernels.Momentum, Rate: 0.125}, Params: []ir.ID{w},
				Grads: []ir.ID{b.BinaryS(ir.Mul, w, 2)}, Loss: w}}
		},
		Seeds: []uint64{1, 2, 3}, Tol: 8, Why: "two roundings",
	}, Case{
		Name: "update/a parameter without elements",
		Build: func(b *ir.Builder, t ir.DType) {
			w, v := resident(b, t, "w", 0, 3), resident(b, t, "v", 2)
			b.G.Updates = []ir.Update{{Optimizer: kernels.Optimizer{Rate: 0.125, Epsilon: 1e-2}, Params: []ir.ID{w, v},
				Grads: []ir.ID{w, b.BinaryS(ir.Add, v, 1)}, Loss: -1}}
		},
		Seeds: []uint64{1, 2, 3}, Tol: 8, Why: "a norm of 2 numbers",
	}, Case{
		Name: "update/constant gradient and many parameters",
		Build: func(b *ir.Builder, t ir.DType) {
			u := ir.Update{Optimizer: kernels.Optimizer{}, Loss: -1}
			for k := range 30 {
				p := resident(b, t, "p"+string(rune('A'+k)), k+1)
				u.Params = append(u.Params, p)
				u.Grads = append(u.Grads, b.Full(t, []int{k + 1}, float64(k-15)+0.5))
			}
			b.G.Updates = []ir.Update{u}
		},
		Seeds: steps, Tol: 8, Why: why,
	})
}
