package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// tangle is a random graph in which almost everything could share a loop with almost everything else, were it not for
// who needs whom: matrices of one size in a few shapes, their rows' reductions, scalars, products and Concats.
func tangle(seed uint64, nodes int) *ir.Graph {
	r := rand.New(rand.NewPCG(seed, 77))
	b := ir.NewBuilder()
	in := func(s ...int) ir.ID {
		return b.Input(ir.F64, s, ir.InputAttr{Name: fmt.Sprint("x", len(b.G.Nodes))})
	}
	ms, vs, ss := []ir.ID{in(4, 6), in(4, 6)}, []ir.ID{in(4, 1)}, []ir.ID{in()}
	w := in(6, 6)
	recent := func(list []ir.ID) ir.ID { // often a late one
		if r.IntN(3) == 0 {
			return list[r.IntN(len(list))]
		}
		return list[max(0, len(list)-1-r.IntN(4))]
	}
	cheap := []ir.Op{ir.Neg, ir.Abs, ir.Add, ir.Sub, ir.Max, ir.Min}
	some := func(list []ir.ID) ir.ID {
		x := recent(list)
		switch op := cheap[r.IntN(len(cheap))]; {
		case r.IntN(3) == 0:
			return b.Unary([]ir.Op{ir.Tanh, ir.Sin, ir.Sigmoid}[r.IntN(3)], x)
		case op.Info().Arity == 1:
			return b.Unary(op, x)
		default:
			return b.BinaryS(ir.Mul, b.Binary(op, x, recent(list)), 0.5)
		}
	}
	for len(b.G.Nodes) < nodes {
		switch r.IntN(14) {
		case 0, 1, 2, 3:
			ms = append(ms, some(ms))
		case 4:
			vs = append(vs, some(vs))
		case 5:
			ss = append(ss, some(ss))
		case 6, 7:
			op := []ir.Op{ir.ReduceSum, ir.ReduceMax}[r.IntN(2)]
			v := b.BinaryS(ir.Mul, b.Reduce(op, recent(ms), 1), 0.25)
			if r.IntN(3) == 0 {
				v = b.Reduce(op, recent(ms), 1)
				v = b.Unary(ir.Tanh, v)
			}
			vs = append(vs, b.Reshape(v, []int{4, 1}))
		case 8:
			ss = append(ss, b.BinaryS(ir.Mul, b.Reduce(ir.ReduceSum, recent(vs), 0, 1), 0.25))
		case 9, 10:
			ms = append(ms, b.Binary(cheap[2+r.IntN(4)], recent(ms), b.BroadcastTo(recent(vs), []int{4, 6})))
		case 11:
			ms = append(ms, b.Binary(ir.Max, recent(ms), b.BroadcastTo(recent(ss), []int{4, 6})))
		case 12:
			switch r.IntN(3) {
			case 0:
				ms = append(ms, b.Unary(ir.Sin, b.Dot(recent(ms), w, ir.Trans{B: r.IntN(2) == 0})))
			case 1:
				ms = append(ms, b.Reshape(b.Transpose(recent(ms), 1, 0), []int{4, 6}))
			default:
				ms = append(ms, b.Slice(recent(ms), []int{0, 0}, []int{1, 1}, []int{4, 6}))
			}
		case 13:
			half := func() ir.ID { return b.Slice(recent(ms), []int{0, r.IntN(4)}, []int{1, 1}, []int{4, 3}) }
			x, y := half(), half()
			if r.IntN(2) == 0 {
				x = b.Unary(ir.Cos, x)
			}
			if r.IntN(2) == 0 {
				y = b.Binary(ir.Max, y, x)
			}
			ms = append(ms, b.Concat(1, x, y))
		}
	}
	b.Output(ms[len(ms)-1], vs[len(vs)-1], ss[len(ss)-1])
	for range r.IntN(6) {
		b.Output(ms[r.IntN(len(ms))], vs[r.IntN(len(vs))])
	}
	return must(b)
}

func TestTangles(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		g := tangle(seed, 30+int(seed%200))
		for _, off := range disables {
			p, err := plan.New(g, plan.Options{Disable: off})
			if err == nil {
				err = p.Verify()
			}
			if err == nil {
				// Hundreds of operations, of slopes up to 1, round once each.
				err = same(p, g, graphs.Feed(g, seed), 1e-9)
			}
			if err != nil {
				t.Fatalf("seed %d without %q: %v", seed, off, err)
			}
		}
	}
}
