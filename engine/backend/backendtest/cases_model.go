package backendtest

import (
	"fmt"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
)

func gradients(b *ir.Builder, out ir.ID, wrt ...ir.ID) []ir.ID {
	if b.Err() != nil {
		return nil
	}
	return graphs.Gradient(b, out, wrt...)
}

const mlpWhy = "sums of up to 8 products per layer, through three layers and back"

type net struct {
	params []ir.ID
	out    ir.ID
	loss   ir.ID
}

// mlp is a net of two hidden layers and the mean squared error of its output.
func mlp(b *ir.Builder, t ir.DType, batch, in, hidden, out int) net {
	x, y := input(b, t, "x", batch, in), input(b, t, "y", batch, out)
	var n net
	h := x
	for l, d := range [][2]int{{in, hidden}, {hidden, hidden}, {hidden, out}} {
		w, c := resident(b, t, fmt.Sprint("w", l), d[0], d[1]), resident(b, t, fmt.Sprint("c", l), d[1])
		n.params = append(n.params, w, c)
		h = b.Binary(ir.Add, b.Dot(h, w, ir.Trans{}), b.BroadcastTo(c, []int{batch, d[1]}))
		switch l {
		case 0:
			h = b.Unary(ir.Softplus, h)
		case 1:
			h = b.Unary(ir.Tanh, h)
		}
	}
	n.out = h
	e := b.Unary(ir.Square, b.Binary(ir.Sub, h, y))
	n.loss = b.BinaryS(ir.Mul, b.Reduce(ir.ReduceSum, e, 0, 1), 1/float64(batch*out))
	return n
}

// rollout is an elementwise pendulum under controls u of shape (batch, samples, steps): the summed cost of the
// trajectory, of shape (batch, samples).
func rollout(b *ir.Builder, t ir.DType, u, th0, w0 ir.ID, steps int) ir.ID {
	s := b.Shape(u)[:2]
	th, w := b.BroadcastTo(b.Reshape(th0, []int{s[0], 1}), s), b.BroadcastTo(b.Reshape(w0, []int{s[0], 1}), s)
	var cost ir.ID
	for k := range steps {
		a := b.Reshape(b.Slice(u, []int{0, 0, k}, []int{1, 1, 1}, []int{s[0], s[1], 1}), s)
		a = b.BinaryS(ir.Min, b.BinaryS(ir.Max, a, -1.75), 1.75)
		acc := b.Binary(ir.Add, b.BinaryS(ir.Mul, b.Unary(ir.Sin, th), 1.5), b.BinaryS(ir.Mul, a, 0.75))
		w = b.Binary(ir.Add, w, b.BinaryS(ir.Mul, acc, 0.05))
		th = b.Binary(ir.Add, th, b.BinaryS(ir.Mul, w, 0.05))
		c := b.Binary(ir.Add, b.Unary(ir.Square, th), b.Binary(ir.Add, b.BinaryS(ir.Mul, b.Unary(ir.Square, w), 0.1),
			b.BinaryS(ir.Mul, b.Unary(ir.Square, a), 1e-3)))
		if k == 0 {
			cost = c
		} else {
			cost = b.Binary(ir.Add, cost, c)
		}
	}
	return cost
}

// softmax of x, of rank 2, over its last dimension.
func softmax(b *ir.Builder, x ir.ID) ir.ID {
	s := b.Shape(x)
	at := func(r ir.ID) ir.ID { return b.BroadcastTo(b.Reshape(r, []int{s[0], 1}), s) }
	e := b.Unary(ir.Exp, b.Binary(ir.Sub, x, at(b.Reduce(ir.ReduceMax, x, 1))))
	return b.Binary(ir.Div, e, at(b.Reduce(ir.ReduceSum, e, 1)))
}

func modelCases() []Case {
	cases := []Case{{
		Name: "model/softmax",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 23, 41)
			y := softmax(b, b.BinaryS(ir.Mul, x, 5))
			z := softmax(b, b.Transpose(x, 1, 0))
			b.Output(y, z, b.Dot(y, z, ir.Trans{}), softmax(b, input(b, t, "one", 5, 1)), softmax(b,
				input(b, t, "big", 3, 200)))
		},
		Tol: 12, Why: "exp of up to 20 has that slope; sums of 200", Variants: true, Bench: true,
	}, {
		Name: "model/log softmax with gradient",
		Build: func(b *ir.Builder, t ir.DType) {
			x, y := input(b, t, "x", 12, 9), input(b, t, "y", 12, 9)
			ls := b.Unary(ir.Log, softmax(b, x))
			loss := b.Unary(ir.Neg, b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, ls, y), 0, 1))
			b.Output(append(gradients(b, loss, x, y), loss)...)
		},
		Tol: 24, Why: "sums of 108 terms of up to 8", Variants: true,
	}, {
		Name: "model/layer norm with gradient",
		Build: func(b *ir.Builder, t ir.DType) {
			x := input(b, t, "x", 10, 32)
			at := func(r ir.ID) ir.ID { return b.BroadcastTo(b.Reshape(r, []int{10, 1}), []int{10, 32}) }
			mean := func(v ir.ID) ir.ID { return at(b.BinaryS(ir.Mul, b.Reduce(ir.ReduceSum, v, 1), 1./32)) }
			c := b.Binary(ir.Sub, x, mean(x))
			y := b.Binary(ir.Div, c, b.Unary(ir.Sqrt, b.BinaryS(ir.Add, mean(b.Unary(ir.Square, c)), 1e-3)))
			loss := b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, y, input(b, t, "g", 10, 32)), 0, 1)
			b.Output(append(gradients(b, loss, x), y, loss)...)
		},
		Tol: 24, Why: "sums of 320", Variants: true,
	}, {
		Name: "model/net forward and backward",
		Build: func(b *ir.Builder, t ir.DType) {
			n := mlp(b, t, 33, 5, 8, 3)
			b.Output(append(gradients(b, n.loss, n.params...), n.loss)...)
		},
		Tol: 64, Why: mlpWhy + ", and sums over the batch of 33", Variants: true, Budgets: []float64{0.7, 0.4}, Bench: true,
	}, {
		Name: "model/one sample",
		Build: func(b *ir.Builder, t ir.DType) {
			n := mlp(b, t, 1, 3, 8, 2)
			b.Output(append(gradients(b, n.loss, n.params...), n.out)...)
		},
		Tol: 32, Why: mlpWhy, Variants: true,
	}, {
		Name: "model/net of 128",
		Build: func(b *ir.Builder, t ir.DType) {
			n := mlp(b, t, 70, 2, 128, 1)
			b.Output(append(gradients(b, n.loss, n.params...), n.loss)...)
		},
		Feed: scaled, Tol: 40, Why: mlpWhy + ", of 128 with small weights", Bench: true, Budgets: []float64{0.5},
	}}
	for _, steps := range []int{1, 3, 20} {
		cases = append(cases, Case{
			Name: fmt.Sprintf("model/rollout of %d steps", steps),
			Build: func(b *ir.Builder, t ir.DType) {
				u, th, w := input(b, t, "u", 4, 33, steps), input(b, t, "th", 4), input(b, t, "w", 4)
				cost := rollout(b, t, u, th, w, steps)
				loss := b.Reduce(ir.ReduceSum, cost, 0, 1)
				b.Output(append(gradients(b, loss, u, th, w), cost)...)
			},
			Tol: 48, Why: "20 steps, and sums over 33 samples", Variants: steps < 20, Bench: steps == 20,
			Budgets: []float64{0.5},
		})
	}
	return append(cases, Case{
		// Three iterations of a differentiable cross-entropy method with a soft selection, and the gradient through
		// all.
		Name: "model/unrolled search",
		Build: func(b *ir.Builder, t ir.DType) {
			const batch, samples, d = 3, 20, 4
			run := runNumber(b)
			theta := input(b, t, "theta", batch, d)
			s := []int{batch, samples, d}
			spread := func(x ir.ID) ir.ID { return b.BroadcastTo(b.Reshape(x, []int{batch, 1, d}), s) }
			mu, sigma := b.Full(t, []int{batch, d}, 0), b.Full(t, []int{batch, d}, 1)
			for k := range 3 {
				eps := b.Random(ir.Normal, t, s, ir.Rand{Seed: 99, Draw: uint64(k)}, run)
				x := b.Binary(ir.Add, spread(mu), b.Binary(ir.Mul, spread(sigma), eps))
				f := b.Reduce(ir.ReduceSum, b.Unary(ir.Square, b.Binary(ir.Sub, x, spread(theta))), 2)
				w := softmax(b, b.BinaryS(ir.Mul, f, -0.5))
				wx := b.BroadcastTo(b.Reshape(w, []int{batch, samples, 1}), s)
				mu = b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, wx, x), 1)
				v := b.Reduce(ir.ReduceSum, b.Binary(ir.Mul, wx, b.Unary(ir.Square, b.Binary(ir.Sub, x, spread(mu)))), 1)
				sigma = b.Unary(ir.Sqrt, b.BinaryS(ir.Add, v, 0.01))
			}
			loss := b.Reduce(ir.ReduceSum, b.Unary(ir.Square, b.Binary(ir.Sub, mu, theta)), 0, 1)
			b.Output(append(gradients(b, loss, theta), mu, sigma, loss)...)
		},
		Tol: 64, Why: "three iterations, each of which multiplies errors by about 5", Variants: true,
		Budgets: []float64{0.7, 0.5}, Bench: true,
	})
}

// scaled are graphs.Values with weight matrices made smaller by the square root of their fan-in.
func scaled(n *ir.Node, seed uint64) any {
	v := graphs.Values(n, seed)
	if len(n.Shape) != 2 || n.Attr.(ir.InputAttr).Name[0] != 'w' {
		return v
	}
	f := 1.0
	for f*f < float64(n.Shape[0]) {
		f *= 2
	}
	switch d := v.(type) {
	case []float32:
		for i := range d {
			d[i] /= float32(f)
		}
	case []float64:
		for i := range d {
			d[i] /= f
		}
	}
	return v
}
