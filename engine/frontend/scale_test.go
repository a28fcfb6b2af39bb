package frontend

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// chain is n nodes of mul, add and tanh with the gradient.
func chain(tb testing.TB, n int) *G.ExprGraph {
	g := G.NewGraph()
	x := G.NewVector(g, tensor.Float64, G.WithShape(8), G.WithName("x"))
	w := G.NewVector(g, tensor.Float64, G.WithShape(8), G.WithName("w"))
	y := x
	var err error
	do := func(f func(a, b *G.Node) (*G.Node, error)) {
		if y, err = f(y, w); err != nil {
			tb.Fatal(err)
		}
	}
	for len(g.AllNodes()) < n*2/7 {
		do(G.HadamardProd)
		do(G.Add)
		if y, err = G.Tanh(y); err != nil {
			tb.Fatal(err)
		}
	}
	cost, err := G.Sum(y)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := autodiff.Gradients(cost, x, w); err != nil {
		tb.Fatal(err)
	}
	return g
}

// TestImportIsLinear counts allocations, which follow the work and do not depend on the machine.
func TestImportIsLinear(t *testing.T) {
	perNode := func(n int) float64 {
		g := chain(t, n)
		m, err := Import(g, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Graph.Verify(); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(1, func() { Import(g, Options{}) }) / float64(len(m.Nodes))
	}
	small, large := perNode(1000), perNode(30000)
	if !(large <= 1.2*small) {
		t.Errorf("%.1f allocations per node of 30,000, %.1f of 1,000", large, small)
	}
}

func BenchmarkImport(b *testing.B) {
	for _, n := range []int{1000, 30000} {
		g := chain(b, n)
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Import(g, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
