package pass

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/engine/ir"
)

// chain is a long chain of mul, add and tanh with its gradient, about n nodes in all, as autodiff leaves it: in the
// order forward, backward; ones at the end; constants made anew for each use.
func chain(n int) *ir.Graph {
	b := ir.NewBuilder()
	shape := []int{8}
	x := b.Input(ir.F32, shape, ir.InputAttr{Name: "x"})
	w := b.Input(ir.F32, shape, ir.InputAttr{Name: "w", Resident: true})
	v := x
	var ins, outs []ir.ID
	for len(b.G.Nodes) < n*5/14 {
		ins = append(ins, v)
		v = b.Binary(ir.Mul, v, w)
		v = b.Binary(ir.Add, v, b.Scalar(ir.F32, 0.5))
		v = b.Unary(ir.Tanh, v)
		outs = append(outs, v)
	}
	loss := b.Reduce(ir.ReduceSum, v, 0)
	g := b.Full(ir.F32, shape, 1)
	dw := ir.ID(-1)
	for i := len(ins) - 1; i >= 0; i-- {
		d := b.Binary(ir.Sub, b.Full(ir.F32, shape, 1), b.Unary(ir.Square, outs[i]))
		g = b.Binary(ir.Mul, g, d)
		if t := b.Binary(ir.Mul, g, ins[i]); dw < 0 {
			dw = t
		} else {
			dw = b.Binary(ir.Add, dw, t)
		}
		g = b.Binary(ir.Mul, g, w)
	}
	b.Output(loss, g)
	b.G.Updates = []ir.Update{{Optimizer: "sgd", Params: []ir.ID{w}, Grads: []ir.ID{dw}, Loss: loss}}
	if b.Err() != nil {
		panic(b.Err())
	}
	return b.G
}

// sliced is a sum over n slices of one array, with its gradient: a chain of n pads.
func sliced(n int) *ir.Graph {
	b := ir.NewBuilder()
	u := b.Input(ir.F32, []int{4, n}, ir.InputAttr{Name: "u", Resident: true})
	grad := ir.ID(-1)
	for t := n - 1; t >= 0; t-- {
		x := b.Slice(u, []int{0, t}, []int{1, 1}, []int{4, 1})
		p := b.Pad(b.Unary(ir.Tanh, x), []int{0, t}, []int{1, 1}, []int{4, n})
		if grad < 0 {
			grad = p
		} else {
			grad = b.Binary(ir.Add, grad, p)
		}
	}
	b.Output(grad)
	if b.Err() != nil {
		panic(b.Err())
	}
	return b.G
}

// TestWorkIsLinear counts the nodes that the passes look at: a count, for times are not for tests.
func TestWorkIsLinear(t *testing.T) {
	for _, c := range []struct {
		name  string
		graph func(n int) *ir.Graph
		// perNode bounds the visits per node. The chain changes in one round and is confirmed in the next; counting
		// sweeps, seven passes look at a node twice each at most. Sorting pads counts as a visit per axis.
		perNode int
	}{
		{"chain", chain, 20},
		{"sliced", func(n int) *ir.Graph { return sliced(n / 4) }, 20},
	} {
		for _, n := range []int{1000, 10000, 30000} {
			g := c.graph(n)
			_, reports, err := Run(g, Options{})
			if err != nil {
				t.Fatal(err)
			}
			visits := 0
			for _, r := range reports {
				visits += r.Visits
			}
			if visits == 0 || visits > c.perNode*len(g.Nodes) {
				t.Errorf("%s of %d nodes: %d visits in %d runs of passes, want at most %d per node",
					c.name, len(g.Nodes), visits, len(reports), c.perNode)
			}
		}
	}
}

// TestSlicesBecomeOneConcat: the gradient of n slices is one array, written once.
func TestSlicesBecomeOneConcat(t *testing.T) {
	h, _, err := Run(sliced(50), Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	count := map[ir.Op]int{}
	for i := range h.Nodes {
		count[h.Nodes[i].Op]++
	}
	if got := fmt.Sprint(count); got != fmt.Sprint(map[ir.Op]int{ir.Input: 1, ir.Slice: 50, ir.Tanh: 50, ir.Concat: 1}) {
		t.Errorf("kinds of nodes: %v", got)
	}
	same(t, sliced(50), h, false, true)
}

func benchmark(b *testing.B, g *ir.Graph) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Run(g, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(g.Nodes)), "nodes")
}

func BenchmarkChain1k(b *testing.B)   { benchmark(b, chain(1000)) }
func BenchmarkChain10k(b *testing.B)  { benchmark(b, chain(10000)) }
func BenchmarkChain30k(b *testing.B)  { benchmark(b, chain(30000)) }
func BenchmarkSliced30k(b *testing.B) { benchmark(b, sliced(7500)) }
