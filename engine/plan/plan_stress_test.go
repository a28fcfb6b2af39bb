package plan_test

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// families are graphs of about n nodes whose form is a trial for one part of the planner.
var families = []struct {
	name string
	make func(b *ir.Builder, x ir.ID, n int) // x: f32 (4,6)
}{
	{"dots", func(b *ir.Builder, x ir.ID, n int) {
		w := input(b, "w", 6, 6)
		for range n / 3 {
			x = b.Unary(ir.Tanh, b.Binary(ir.Sub, b.Dot(x, w, ir.Trans{}), x))
		}
		b.Output(x)
	}},
	{"fan", func(b *ir.Builder, x ir.ID, n int) {
		x = b.Unary(ir.Tanh, x)
		for range n {
			b.Output(b.Unary(ir.Sin, x))
		}
	}},
	{"concat", func(b *ir.Builder, x ir.ID, n int) {
		v := b.Slice(x, []int{0, 2}, []int{1, 1}, []int{4, 1})
		var parts []ir.ID
		for range n / 2 {
			v = b.Unary(ir.Tanh, v)
			parts = append(parts, v)
		}
		b.Output(b.Concat(1, parts...))
	}},
	{"slices of what is computed", func(b *ir.Builder, x ir.ID, n int) {
		u := b.Unary(ir.Tanh, input(b, "u", 4, n/3))
		v := b.Slice(x, []int{0, 2}, []int{1, 1}, []int{4, 1})
		for t := range n / 3 {
			v = b.Unary(ir.Tanh, b.Binary(ir.Add, v, b.Slice(u, []int{0, t}, []int{1, 1}, []int{4, 1})))
		}
		b.Output(v)
	}},
	{"rows less their mean", func(b *ir.Builder, x ir.ID, n int) {
		for range n / 4 {
			mean := b.BinaryS(ir.Mul, b.Reduce(ir.ReduceSum, x, 1), 1./6)
			x = b.Binary(ir.Sub, x, b.BroadcastTo(b.Reshape(mean, []int{4, 1}), []int{4, 6}))
		}
		b.Output(x)
	}},
	{"sums of different maps", func(b *ir.Builder, x ir.ID, n int) {
		for i := range n / 2 {
			b.Output(b.Reduce(ir.ReduceSum, b.BinaryS(ir.Mul, x, float64(i)), i%2))
		}
	}},
	{"misfits", func(b *ir.Builder, x ir.ID, n int) {
		for range n / 4 {
			y := b.Reshape(b.Transpose(x, 1, 0), []int{4, 6})
			x = b.Binary(ir.Add, b.Unary(ir.Tanh, x), y)
		}
		b.Output(x)
	}},
	{"misfits within each other", func(b *ir.Builder, x ir.ID, n int) {
		for range n / 3 {
			x = b.Binary(ir.Max, b.Reshape(b.Transpose(x, 1, 0), []int{4, 6}), input(b, "y", 4, 6))
		}
		b.Output(x)
	}},
	{"two shapes of one count", func(b *ir.Builder, x ir.ID, n int) {
		p, q := input(b, "p", 6), input(b, "q", 8)
		for range n / 6 {
			x = b.Binary(ir.Mul, x, b.BroadcastTo(p, []int{4, 6}))
			x = b.Reshape(b.Binary(ir.Add, b.Reshape(x, []int{3, 8}), b.BroadcastTo(q, []int{3, 8})), []int{4, 6})
			b.Output(b.Reduce(ir.ReduceMax, b.Reshape(x, []int{2, 3, 4}), 1))
		}
		b.Output(x)
	}},
	{"scalars", func(b *ir.Builder, x ir.ID, n int) {
		s := b.Reduce(ir.ReduceMax, x, 0, 1)
		for range n / 3 {
			s = b.Unary(ir.Sin, s)
			x = b.Binary(ir.Mul, b.BroadcastTo(s, []int{4, 6}), x)
		}
		b.Output(x)
	}},
	{"pads", func(b *ir.Builder, x ir.ID, n int) {
		for range n / 3 {
			x = b.Pad(b.Unary(ir.Cos, part(b, x, 0, 1, 4, 5)), []int{0, 0}, []int{1, 1}, []int{4, 6})
		}
		b.Output(x)
	}},
	{"pads with steps", func(b *ir.Builder, x ir.ID, n int) {
		for i := range n / 3 {
			y := b.Unary(ir.Cos, b.Slice(x, []int{1, i % 2}, []int{2, 2}, []int{2, 3}))
			x = b.Pad(y, []int{i % 2, 1}, []int{2, 2}, []int{4, 6})
		}
		b.Output(x)
	}},
	{"noise", func(b *ir.Builder, x ir.ID, n int) {
		run := b.Input(ir.Int64, nil, ir.InputAttr{Name: "run", RunNumber: true})
		for i := range n / 6 {
			e := b.Random(ir.Normal, ir.F32, []int{6, 4}, ir.Rand{Seed: 3, Draw: uint64(i)}, run)
			x = b.Binary(ir.Sub, b.Unary(ir.Tanh, x), b.Transpose(e, 1, 0))
			u := b.Random(ir.Uniform, ir.F32, []int{4, 5}, ir.Rand{Seed: 4, Draw: uint64(i)}, run)
			x = b.Binary(ir.Add, x, b.Pad(u, []int{0, i % 2}, []int{1, 1}, []int{4, 6}))
		}
		b.Output(x)
	}},
	{"borders of types", func(b *ir.Builder, x ir.ID, n int) {
		for i := range n / 9 {
			d := b.Cast(ir.F64, b.Unary(ir.Tanh, x))
			c := b.Binary(ir.Lt, b.BinaryS(ir.Mul, d, 1.5), b.Unary(ir.Cos, d))
			k := b.Cast([]ir.DType{ir.Int64, ir.Int32, ir.Uint8}[i%3], b.Unary(ir.Abs, b.BinaryS(ir.Mul, d, 0.5)))
			x = b.Where(c, b.Cast(ir.F32, d), b.Binary(ir.Sub, b.Cast(ir.F32, k), b.Cast(ir.F32, c)))
		}
		b.Output(x)
	}},
	{"a product of everything moved", func(b *ir.Builder, x ir.ID, n int) {
		w := input(b, "w", 6, 4)
		for range n / 10 {
			y := b.Dot(b.Transpose(x, 1, 0), b.Transpose(w, 1, 0), ir.Trans{})        // (6,4)(4,6)
			z := b.Dot(part(b, y, 1, 2, 4, 3), b.Reshape(x, []int{3, 8}), ir.Trans{}) // (4,3)(3,8)
			thrice := func(v ir.ID, r, c int) ir.ID {
				return b.BroadcastTo(b.Reshape(v, []int{1, r, c}), []int{3, r, c})
			}
			v := b.Dot(thrice(x, 4, 6), thrice(w, 6, 4), ir.Trans{})
			m := b.Reduce(ir.ReduceSum, v, 0)
			z = b.Slice(z, []int{0, 1}, []int{1, 2}, []int{4, 3})
			x = b.Unary(ir.Tanh, b.Concat(1, z, part(b, m, 0, 0, 4, 3)))
		}
		b.Output(x)
	}},
	{"concats that others read", func(b *ir.Builder, x ir.ID, n int) {
		for range n / 8 {
			l, r := part(b, x, 0, 0, 4, 3), part(b, x, 0, 3, 4, 3)
			l, r = b.Unary(ir.Tanh, r), b.Unary(ir.Sin, l)
			y := b.Concat(1, l, r)
			s := b.Reduce(ir.ReduceSum, y, 1)
			x = b.Binary(ir.Sub, y, b.BroadcastTo(b.Reshape(b.BinaryS(ir.Mul, s, 0.1), []int{4, 1}), []int{4, 6}))
			b.Output(b.Concat(0, s, s))
		}
		b.Output(x)
	}},
}

func input(b *ir.Builder, name string, s ...int) ir.ID {
	return b.Input(ir.F32, s, ir.InputAttr{Name: fmt.Sprint(name, len(b.G.Nodes))})
}

// part is the matrix of rows by cols in x that begins at row i and column j.
func part(b *ir.Builder, x ir.ID, i, j, rows, cols int) ir.ID {
	return b.Slice(x, []int{i, j}, []int{1, 1}, []int{rows, cols})
}

func family(i, n int) *ir.Graph {
	b := ir.NewBuilder()
	families[i].make(b, input(b, "x", 4, 6), n)
	return must(b)
}

// Every family is planned rightly, with and without all nodes wanted.
func TestFamilies(t *testing.T) {
	for i, f := range families {
		for _, all := range []bool{false, true} {
			g := family(i, 60)
			if all {
				g.Outputs = nil
				for k := range g.Nodes {
					g.Outputs = append(g.Outputs, ir.ID(k))
				}
			}
			for _, off := range disables {
				p, err := plan.New(g, plan.Options{Disable: off})
				if err == nil {
					err = p.Verify()
				}
				if err == nil {
					err = same(p, g, graphs.Feed(g, 5), graphs.Tol32)
				}
				if err != nil {
					t.Errorf("%s, all %v, without %q: %v", f.name, all, off, err)
				}
			}
		}
	}
}

// BenchmarkFamilies plans them large: ns per node should not grow.
func BenchmarkFamilies(b *testing.B) {
	for i, f := range families {
		for _, n := range []int{3000, 30000} {
			g := family(i, n)
			b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := plan.New(g, plan.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(g.Nodes)), "ns/node")
			})
		}
	}
}
