package engine_test

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
)

// chain is a chain of about n nodes in all, mul, add and tanh of vectors, with its gradient.
func chain(t testing.TB, n int) (*G.ExprGraph, *G.Node) {
	t.Helper()
	g := G.NewGraph()
	x, w, b := input(g, "x", normals(1, 16)), input(g, "w", normals(2, 16)), input(g, "b", normals(3, 16))
	y := x
	for range n / 10 {
		y = G.Must(G.Tanh(G.Must(G.Add(G.Must(G.HadamardProd(y, w)), b))))
	}
	loss := G.Must(G.Sum(y))
	if _, err := autodiff.Gradients(loss, w, b); err != nil {
		t.Fatal(err)
	}
	return g, loss
}

// BenchmarkNewVM compiles chains: ns per node should not grow.
func BenchmarkNewVM(b *testing.B) {
	for _, n := range []int{1000, 3000, 10000, 30000} {
		g, loss := chain(b, n)
		nodes := len(g.AllNodes())
		for name, opts := range map[string][]engine.Option{"all": nil, "outputs": {engine.Outputs(loss)}} {
			b.Run(fmt.Sprintf("%s/%d", name, nodes), func(b *testing.B) {
				engine.WithoutVerifying(func() {
					for b.Loop() {
						vm, err := engine.NewVM(g, opts...)
						if err != nil {
							b.Fatal(err)
						}
						if err := vm.Close(); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*nodes), "ns/node")
			})
		}
	}
}

// BenchmarkOverhead runs a chain on a device that does nothing: what a VM adds to a run, per node that has a value.
func BenchmarkOverhead(b *testing.B) {
	g, loss := chain(b, 3000)
	for name, opts := range map[string][]engine.Option{"all": nil, "outputs": {engine.Outputs(loss)}} {
		b.Run(name, func(b *testing.B) {
			vm, err := engine.NewVM(g, append(opts, engine.On(still(true)))...)
			if err != nil {
				b.Fatal(err)
			}
			run(b, vm)
			b.ReportAllocs()
			for b.Loop() {
				if err := vm.RunAll(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
