package rl

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// draw is n standard normals.
func draw(seed, draw uint64, n int) []float64 {
	v := make([]float64, n)
	kernels.Normal(v, seed, draw, 0, 0)
	return v
}

// a formula is a function of matrices whose value, as nodes, is compared with that of plain Go, and its gradient with
// finite differences.
type formula struct {
	name   string
	shapes [][]int
	nodes  func(b *builder, in G.Nodes) *G.Node
	plain  func(in [][]float64) []float64
}

// nodesOf builds f with a loss: the sum of its elements times fixed weights.
func (f formula) nodesOf(values [][]float64) (out, loss *G.Node, in G.Nodes, err error) {
	g := G.NewGraph()
	for i, s := range f.shapes {
		in = append(in, train.Input(g, fmt.Sprint("x", i), values[i], s...))
	}
	b := build(in[0])
	out = f.nodes(b, in)
	if b.err != nil {
		return nil, nil, nil, b.err
	}
	size := out.Shape().TotalSize()
	if out.IsScalar() {
		loss = b.times(out, 0.5)
	} else {
		loss = b.sum(b.mul(out, train.Input(g, "weights", draw(9, 0, size), out.Shape()...)))
	}
	return out, loss, in, b.err
}

// TestFormulas runs every op and formula on both machines.
func TestFormulas(t *testing.T) {
	gauss := func(x, m, ls float64) float64 {
		return -0.5*(x-m)*(x-m)*math.Exp(-2*ls) - ls - 0.5*math.Log(2*math.Pi)
	}
	same := func(shape ...int) [][]int { return [][]int{shape} }
	for _, f := range []formula{
		{"rows", same(4, 3), func(b *builder, in G.Nodes) *G.Node { return b.rows(in[0], 1, 2) },
			func(in [][]float64) []float64 { return in[0][3:9] }},
		{"columns", same(2, 4), func(b *builder, in G.Nodes) *G.Node { return b.columns(in[0], 1, 2) },
			func(in [][]float64) []float64 { x := in[0]; return []float64{x[1], x[2], x[5], x[6]} }},
		{"one row", same(1, 4), func(b *builder, in G.Nodes) *G.Node { return b.columns(in[0], 3, 1) },
			func(in [][]float64) []float64 { return in[0][3:] }},
		{"beside", [][]int{{2, 1}, {2, 2}}, func(b *builder, in G.Nodes) *G.Node { return b.beside(in[0], in[1], in[0]) },
			func(in [][]float64) []float64 {
				x, y := in[0], in[1]
				return []float64{x[0], y[0], y[1], x[0], x[1], y[2], y[3], x[1]}
			}},
		{"below", [][]int{{1, 2}, {2, 2}}, func(b *builder, in G.Nodes) *G.Node { return b.below(in[0], in[1]) },
			func(in [][]float64) []float64 { return append(append([]float64{}, in[0]...), in[1]...) }},
		{"repeat", same(3), func(b *builder, in G.Nodes) *G.Node { return b.repeat(in[0], 2) },
			func(in [][]float64) []float64 { return append(append([]float64{}, in[0]...), in[0]...) }},
		{"lesser", [][]int{{5}, {5}}, func(b *builder, in G.Nodes) *G.Node { return b.lesser(in[0], in[1]) },
			func(in [][]float64) (out []float64) {
				for i, x := range in[0] {
					out = append(out, math.Min(x, in[1][i]))
				}
				return out
			}},
		{"greater", [][]int{{5}, {5}}, func(b *builder, in G.Nodes) *G.Node { return b.greater(in[0], in[1]) },
			func(in [][]float64) (out []float64) {
				for i, x := range in[0] {
					out = append(out, math.Max(x, in[1][i]))
				}
				return out
			}},
		{"limit", same(9), func(b *builder, in G.Nodes) *G.Node { return b.limit(in[0], -0.5, 0.7) },
			func(in [][]float64) (out []float64) {
				for _, x := range in[0] {
					out = append(out, math.Max(-0.5, math.Min(0.7, x)))
				}
				return out
			}},
		{"log-probability", [][]int{{3, 2}, {3, 2}, {3, 2}},
			func(b *builder, in G.Nodes) *G.Node { return b.logProb(in[0], in[1], in[2]) },
			func(in [][]float64) (out []float64) {
				for i := 0; i < 6; i += 2 {
					out = append(out, gauss(in[0][i], in[1][i], in[2][i])+gauss(in[0][i+1], in[1][i+1], in[2][i+1]))
				}
				return out
			}},
		{"entropy", same(2), func(b *builder, in G.Nodes) *G.Node { return b.entropy(in[0]) },
			func(in [][]float64) []float64 { return []float64{in[0][0] + in[0][1] + 1 + math.Log(2*math.Pi)} }},
		{"divergence", [][]int{{2, 2}, {2, 2}, {2, 2}, {2, 2}}, func(b *builder, in G.Nodes) *G.Node {
			return b.divergence(in[0], b.exp(in[1]), in[2], b.exp(in[3]))
		}, func(in [][]float64) []float64 {
			out := make([]float64, 2)
			for i := range 4 {
				sq, sp, d := math.Exp(in[1][i]), math.Exp(in[3][i]), in[0][i]-in[2][i]
				out[i/2] += math.Log(sp/sq) + (sq*sq+d*d)/(2*sp*sp) - 0.5
			}
			return out
		}},
	} {
		t.Run(f.name, func(t *testing.T) { f.test(t) })
	}
}

func (f formula) test(t *testing.T) {
	var values [][]float64
	for i, s := range f.shapes {
		n := 1
		for _, d := range s {
			n *= d
		}
		values = append(values, draw(3, uint64(i), n))
	}
	for _, machine := range train.Machines {
		out, loss, in, err := f.nodesOf(values)
		if err != nil {
			t.Fatal(err)
		}
		grads, err := autodiff.Gradients(loss, in...)
		if err != nil {
			t.Fatal(err)
		}
		var value, lost G.Value
		read := make([]G.Value, len(grads))
		G.Read(out, &value)
		G.Read(loss, &lost)
		for i, g := range grads {
			G.Read(g, &read[i])
		}
		vm, err := train.NewVM(machine, loss.Graph(), out, loss)
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		if e, ok := vm.(*engine.VM); ok {
			noHost(t, e)
		}
		at := func(x [][]float64) float64 {
			for i := range x {
				copy(values[i], x[i])
			}
			vm.Reset()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			return scalar(lost)
		}
		saved := make([][]float64, len(values))
		for i := range values {
			saved[i] = append([]float64{}, values[i]...)
		}
		at(saved)
		// A few roundings of numbers of size 1.
		check.Close(t, machine+" value", numbers(value), f.plain(saved), 1e-13)
		for i := range values {
			got := append([]float64{}, numbers(read[i])...)
			want := check.Gradient(func(x []float64) float64 {
				all := append([][]float64{}, saved...)
				all[i] = x
				return at(all)
			}, saved[i], 1e-4)
			at(saved)
			// Differences of fourth order over 1e-4, of sums of some 10 numbers.
			check.Close(t, fmt.Sprint(machine, " gradient of operand ", i), got, want, 1e-9)
		}
	}
}

func numbers(v G.Value) []float64 {
	if d, ok := v.Data().([]float64); ok {
		return d
	}
	return []float64{scalar(v)}
}

// noHost fails if the host runs an op of the program.
func noHost(t *testing.T, vm *engine.VM) {
	t.Helper()
	for _, f := range vm.Explain().Fallbacks {
		t.Errorf("the host runs %s (%s): %s", f.Op, f.Node, f.Why)
	}
}

// TestTies: of equal values the first is chosen, and on a bound the gradient is 1.
func TestTies(t *testing.T) {
	g := G.NewGraph()
	x, y := train.Input(g, "x", []float64{1, -0.5}, 2), train.Input(g, "y", []float64{1, 2}, 2)
	b := build(x)
	loss := b.add(b.sum(b.lesser(x, y)), b.sum(b.limit(x, -0.5, 1)))
	if b.err != nil {
		t.Fatal(b.err)
	}
	grads, err := autodiff.Gradients(loss, x, y)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(g, engine.Outputs(grads...))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	check.Close(t, "gradient of x", numbers(grads[0].Value()), []float64{2, 2}, 0)
	check.Close(t, "gradient of y", numbers(grads[1].Value()), []float64{0, 0}, 0)
}
