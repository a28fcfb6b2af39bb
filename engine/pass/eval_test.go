package pass

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// eval is a second reading of what the representation means, slow and apart from the passes: every value is a slice
// of float64, rounded to the node's type after each operation. Sums and products of matrices are exact and rounded once,
// so that their order does not show. NaNs are all the same.
func eval(t testing.TB, g *ir.Graph, feed feed) [][]float64 {
	t.Helper()
	values := make([][]float64, len(g.Nodes))
	for i := range g.Nodes {
		n := &g.Nodes[i]
		in := make([][]float64, len(n.In))
		for j, x := range n.In {
			in[j] = values[x]
		}
		values[i] = evalNode(t, g, n, in, feed)
		if len(values[i]) != n.Count() {
			t.Fatalf("eval: %s has %d elements, want %d", g.Label(ir.ID(i)), len(values[i]), n.Count())
		}
	}
	return values
}

// A feed gives the value of an input.
type feed func(a ir.InputAttr, n *ir.Node) []float64

func evalNode(t testing.TB, g *ir.Graph, n *ir.Node, in [][]float64, feed feed) []float64 {
	out := make([]float64, n.Count())
	var shape []int // of the first operand
	if len(n.In) > 0 {
		shape = g.Nodes[n.In[0]].Shape
	}
	switch n.Op {
	case ir.Input:
		return feed(n.Attr.(ir.InputAttr), n)
	case ir.Const:
		for i := range out {
			out[i] = constant{n.Attr.(*ir.Tensor).Data, false}.at(i)
		}
	case ir.Cast:
		from := g.Nodes[n.In[0]].Type
		for i, v := range in[0] {
			out[i] = castTo(t, n.Type, from, v)
		}
	case ir.Normal, ir.Uniform:
		a := n.Attr.(ir.Rand)
		for i := range out {
			h := fnv.New64a()
			fmt.Fprint(h, n.Op, a.Seed, a.Draw, in[0], i)
			out[i] = round(n.Type, float64(h.Sum64()>>40)/(1<<24))
		}
	case ir.Custom:
		k := n.Attr.(ir.Kernel)
		args := make([]any, len(in))
		for i := range in {
			args[i] = in[i]
		}
		if err := k.Run(out, args); err != nil {
			t.Fatal(err)
		}
	case ir.Concat:
		at := 0
		for j, x := range n.In {
			s := g.Nodes[x].Shape
			each(s, func(e int, index []int) {
				index[n.Attr.(ir.Axes)[0]] += at
				out[flat(n.Shape, index)] = in[j][e]
			})
			at += s[n.Attr.(ir.Axes)[0]]
		}
	case ir.Pad:
		a := n.Attr.(ir.Span)
		each(shape, func(e int, index []int) {
			for d := range index {
				index[d] = a.Start[d] + a.Step[d]*index[d]
			}
			out[flat(n.Shape, index)] = in[0][e]
		})
	case ir.Reshape:
		copy(out, in[0])
	case ir.Slice, ir.Transpose, ir.Broadcast:
		each(n.Shape, func(e int, index []int) {
			from := make([]int, len(shape))
			for d := range shape {
				switch n.Op {
				case ir.Slice:
					a := n.Attr.(ir.Span)
					from[d] = a.Start[d] + a.Step[d]*index[d]
				case ir.Transpose:
					from[n.Attr.(ir.Axes)[d]] = index[d]
				case ir.Broadcast:
					from[d] = index[d] % shape[d]
				}
			}
			out[e] = in[0][flat(shape, from)]
		})
	case ir.ReduceSum, ir.ReduceMax, ir.ReduceMin, ir.ReduceProd:
		groups := make([][]float64, n.Count())
		each(shape, func(e int, index []int) {
			var to []int
			for d, i := range index {
				if !slices.Contains(n.Attr.(ir.Axes), d) {
					to = append(to, i)
				}
			}
			at := flat(n.Shape, to)
			groups[at] = append(groups[at], in[0][e])
		})
		for i, v := range groups {
			out[i] = round(n.Type, reduce(n.Op, v))
		}
	case ir.Dot:
		tr, b := n.Attr.(ir.Trans), g.Nodes[n.In[1]].Shape
		d := len(n.Shape)
		inner := shape[d-1]
		if tr.A {
			inner = shape[d-2]
		}
		each(n.Shape, func(e int, index []int) {
			var terms []float64
			for l := range inner {
				p, q := slices.Clone(index), slices.Clone(index)
				p[d-1], q[d-2] = l, l
				if tr.A {
					p[d-2], p[d-1] = p[d-1], p[d-2]
				}
				if tr.B {
					q[d-2], q[d-1] = q[d-1], q[d-2]
				}
				terms = append(terms, in[0][flat(shape, p)]*in[1][flat(b, q)])
			}
			out[e] = round(n.Type, reduce(ir.ReduceSum, terms))
		})
	default:
		for i := range out {
			var v [3]float64
			for j := range in {
				v[j] = in[j][i]
			}
			out[i] = evalElement(n.Op, n.Type, v[0], v[1], v[2])
		}
	}
	return out
}

// evalElement does float32 arithmetic in float32. Powers that the passes know are what they make of them: math.Pow
// rounds otherwise.
func evalElement(op ir.Op, t ir.DType, a, b, c float64) float64 {
	if t == ir.F32 {
		x, y := float32(a), float32(b)
		switch op {
		case ir.Add:
			return float64(x + y)
		case ir.Sub:
			return float64(x - y)
		case ir.Mul:
			return float64(x * y)
		case ir.Div:
			return float64(x / y)
		case ir.Square:
			return float64(x * x)
		case ir.Cube:
			return float64(float32(x*x) * x)
		case ir.Recip:
			return float64(1 / x)
		case ir.InvSqrt:
			return float64(1 / float32(math.Sqrt(float64(x))))
		}
	}
	if op == ir.Pow {
		switch {
		case b == 2:
			return evalElement(ir.Square, t, a, 0, 0)
		case b == 3:
			return evalElement(ir.Cube, t, a, 0, 0)
		case b == -1:
			return evalElement(ir.Recip, t, a, 0, 0)
		}
	}
	return round(t, op.Info().F(a, b, c))
}

func round(t ir.DType, v float64) float64 {
	if t == ir.F32 {
		return float64(float32(v))
	}
	return v
}

func castTo(t testing.TB, to, from ir.DType, v float64) float64 {
	switch {
	case to.Float():
		return round(to, v)
	case to == ir.Bool:
		if v != 0 {
			return 1
		}
		return 0
	}
	switch v = math.Trunc(v) + 0; { // + 0: an integer has no -0
	case v != v, math.Abs(v) > 1<<31-1: // where machines differ: one answer per pair of types, so that changes show
		return float64(10*int(to) + int(from))
	case to == ir.Uint8:
		return float64(uint8(int64(v)))
	}
	return v
}

func reduce(op ir.Op, v []float64) float64 {
	if op != ir.ReduceSum {
		acc := map[ir.Op]float64{ir.ReduceMax: math.Inf(-1), ir.ReduceMin: math.Inf(1), ir.ReduceProd: 1}[op]
		for _, x := range v {
			acc = op.Info().F(acc, x, 0)
		}
		return acc
	}
	naive, negative := 0.0, len(v) > 0
	for _, x := range v {
		naive += x
		negative = negative && x == 0 && math.Signbit(x)
	}
	if negative {
		return math.Copysign(0, -1)
	}
	if math.IsNaN(naive) || math.IsInf(naive, 0) {
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return naive
			}
		}
	}
	sum := new(big.Float).SetPrec(4400) // any float64s have an exact sum of fewer bits
	for _, x := range v {
		sum.Add(sum, new(big.Float).SetFloat64(x))
	}
	f, _ := sum.Float64()
	return f + 0
}

// each calls f with the elements of a shape in row-major order; f may change index.
func each(shape []int, f func(e int, index []int)) {
	index := make([]int, len(shape))
	for e := range ir.Count(shape) {
		f(e, slices.Clone(index))
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
}

func flat(shape, index []int) int {
	at := 0
	for d := range index {
		at = at*shape[d] + index[d]
	}
	return at
}

// specials are what identities break on.
var specials = []float64{0, math.Copysign(0, -1), 1, -1, 2, 0.5, 3, -2.5, math.Inf(1), math.Inf(-1), math.NaN(),
	math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-30, 1e30, 0.1}

// feeder gives every input values that depend on its name alone: numbers in (-2, 2), or one in three special.
func feeder(special bool) feed {
	return func(a ir.InputAttr, n *ir.Node) []float64 {
		out := make([]float64, n.Count())
		h := fnv.New64a()
		fmt.Fprint(h, a.Name)
		s := h.Sum64()
		for i := range out {
			s = s*6364136223846793005 + 1442695040888963407
			v := float64(int64(s)>>11) / (1 << 51)
			if special && s>>40%3 == 0 {
				v = specials[s>>45%uint64(len(specials))]
			}
			switch {
			case a.RunNumber:
				v = 7
			case n.Type == ir.Bool:
				v = float64(s >> 63)
			case !n.Type.Float():
				v = math.Abs(math.Trunc(v * 10))
				if v != v || v > 100 {
					v = 5
				}
			}
			out[i] = round(n.Type, v)
		}
		return out
	}
}

// same compares the wanted values of two graphs, bit for bit; zeros of either sign are one if signs is false.
func same(t testing.TB, g, h *ir.Graph, special, signs bool) bool {
	t.Helper()
	return within(t, g, h, special, signs, 0)
}

// within is same with a tolerance, absolute below 1 and relative above, for sums in another order.
func within(t testing.TB, g, h *ir.Graph, special, signs bool, tol float64) bool {
	t.Helper()
	a, b := eval(t, g, feeder(special)), eval(t, h, feeder(special))
	equal := true
	compare := func(what string, x, y ir.ID) {
		for i := range a[x] {
			v, w := a[x][i], b[y][i]
			ok := v == w && (!signs || math.Signbit(v) == math.Signbit(w)) || v != v && w != w ||
				tol > 0 && math.Abs(v-w) <= tol*max(1, math.Abs(v))
			if !ok && equal {
				t.Errorf("%s, %s, element %d: was %v, is %v in %s", what, g.Label(x), i, v, w, h.Label(y))
				equal = false
			}
		}
	}
	for i := range g.Outputs {
		compare(fmt.Sprint("output ", i), g.Outputs[i], h.Outputs[i])
	}
	for i, u := range g.Updates {
		for j := range u.Grads {
			compare(fmt.Sprintf("gradient %d of update %d", j, i), u.Grads[j], h.Updates[i].Grads[j])
		}
		if u.Loss >= 0 {
			compare(fmt.Sprint("loss of update ", i), u.Loss, h.Updates[i].Loss)
		}
	}
	return equal
}
