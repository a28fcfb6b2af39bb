package graphs_test

import (
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/check"
)

// Every rule of Gradient against finite differences of the reference.
func TestGradient(t *testing.T) {
	b := ir.NewBuilder()
	x := b.Input(ir.F64, []int{3, 4}, ir.InputAttr{Name: "x"})
	y := b.Input(ir.F64, []int{4, 3}, ir.InputAttr{Name: "y"})
	z := b.Input(ir.F64, []int{3}, ir.InputAttr{Name: "z"})
	un := func(op ir.Op, a ir.ID) ir.ID { return b.Unary(op, a) }
	positive := b.BinaryS(ir.Add, un(ir.Square, x), 0.5)
	s := b.Binary(ir.Div, un(ir.Sqrt, positive), un(ir.Exp, un(ir.Tanh, x)))
	s = b.Binary(ir.Sub, s, un(ir.Log, b.BinaryS(ir.Add, un(ir.Softplus, x), 1)))
	s = b.Binary(ir.Add, s, b.Binary(ir.Mul, un(ir.Sin, x), un(ir.Cos, b.Transpose(y, 1, 0))))
	s = b.Binary(ir.Max, s, un(ir.Neg, un(ir.Sigmoid, x)))
	s = b.Binary(ir.Min, s, b.BroadcastTo(b.Reshape(z, []int{3, 1}), []int{3, 4}))
	s = b.Where(b.Binary(ir.Gt, x, b.Scalar(ir.F64, 0)), s, x)
	var dots ir.ID
	for k, p := range []ir.ID{b.Dot(s, y, ir.Trans{}), b.Dot(s, s, ir.Trans{B: true}),
		b.Transpose(b.Dot(y, s, ir.Trans{A: true, B: true}), 1, 0), b.Slice(b.Dot(s, x, ir.Trans{A: true}), []int{0, 1},
			[]int{1, 1}, []int{3, 3})} {
		if k == 0 {
			dots = p
		} else {
			dots = b.Concat(1, dots, p)
		}
	}
	most := b.BroadcastTo(b.Reshape(b.Reduce(ir.ReduceMax, dots, 1), []int{3, 1}), b.Shape(dots))
	dots = b.Pad(b.Binary(ir.Sub, dots, most), []int{1, 0}, []int{2, 1}, []int{7, 12})
	loss := b.Reduce(ir.ReduceSum, un(ir.Tanh, dots), 0, 1)
	b.Output(graphs.Gradient(b, loss, x, y, z)...)
	b.Output(loss)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	values := map[ir.ID][]float64{}
	for _, id := range []ir.ID{x, y, z} {
		values[id] = graphs.Values(b.Node(id), 3).([]float64)
		for i := range values[id] { // away from the ties that Values makes
			values[id][i] += 0.01 * float64(i+1) / float64(3+id)
		}
	}
	feed := func(id ir.ID) any { return values[id] }
	out, err := ref.Eval(b.G, feed)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []ir.ID{x, y, z} {
		want := check.Gradient(func([]float64) float64 {
			out, err := ref.Eval(b.G, feed)
			if err != nil {
				t.Fatal(err)
			}
			return out[3].([]float64)[0]
		}, values[id], 1e-3)
		check.Close(t, b.Node(id).Attr.(ir.InputAttr).Name, out[i].([]float64), want, 1e-8)
	}
}
