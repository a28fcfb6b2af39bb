package nn

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia merges nodes of equal hash and inputs: every attribute must be in it.
func TestHashes(t *testing.T) {
	seen := map[uint32]string{}
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, shape := range []tensor.Shape{{6}, {2, 3}, {3, 2}} {
			var kernels []graphop.Kernel
			for f := Softplus; f <= Sigmoid; f++ {
				for order := range maxOrder + 1 {
					kernels = append(kernels, activationOp{f, order, 1}, activationOp{f, order, 2})
				}
			}
			for _, f := range []rowFunc{addRow, sumRows, spread, pass} {
				kernels = append(kernels, rowOp{f})
			}
			for _, k := range kernels {
				g := G.NewGraph()
				n := G.Must(graphop.Apply(k, dt, shape, input(g, dt, "x", shape, points(6))))
				name := fmt.Sprint(k, dt, shape)
				if other, taken := seen[n.Op().Hashcode()]; taken {
					t.Errorf("%s and %s have one hash", name, other)
				}
				seen[n.Op().Hashcode()] = name
			}
		}
	}
}

// A node that feeds two ops collects both gradients.
func TestLispMachineSums(t *testing.T) {
	g := G.NewGraph()
	at := []float64{-1, 0.5, 2}
	x := input(g, tensor.Float64, "x", tensor.Shape{3}, at)
	G.Must(G.Sum(G.Must(G.Add(G.Must(Softplus.Apply(x)), G.Must(Tanh.Apply(x))))))
	vm := G.NewLispMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	grad, err := x.Grad()
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]float64, 3), make([]float64, 3)
	activate(Softplus, 1, a, at, nil)
	activate(Tanh, 1, b, at, nil)
	for i := range a {
		a[i] += b[i]
	}
	check.Close(t, "gradient", floats(t, []G.Value{grad})[0], a, 1e-15)
}
