package nn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia merges nodes of equal hash and inputs: every attribute must be in it.
func TestHashes(t *testing.T) {
	seen := map[uint32]string{}
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, shape := range []tensor.Shape{{6}, {2, 3}, {3, 2}} {
			var kernels []kernel
			for f := Softplus; f <= Sigmoid; f++ {
				for order := range maxOrder + 1 {
					kernels = append(kernels, activationOp{f, order})
				}
			}
			for _, k := range append(kernels, rowOp{addRow}, rowOp{sumRows}, rowOp{spread}) {
				o := &op{kernel: k, in: []tensor.Shape{shape}, out: shape, dtype: dt}
				name := fmt.Sprint(k, dt, shape)
				if other, taken := seen[o.Hashcode()]; taken {
					t.Errorf("%s and %s have one hash", name, other)
				}
				seen[o.Hashcode()] = name
			}
		}
	}
}

// A transposed view is read in its own order, and the input stays as it is.
func TestViews(t *testing.T) {
	x := tensor.New(tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6}), tensor.WithShape(2, 3))
	if err := x.T(); err != nil {
		t.Fatal(err)
	}
	o := &op{kernel: activationOp{ReLU, 0}, in: []tensor.Shape{{3, 2}}, out: tensor.Shape{3, 2}, dtype: tensor.Float64}
	y, err := o.Do(x)
	if err != nil {
		t.Fatal(err)
	}
	check.Close(t, "view", y.Data().([]float64), []float64{1, 4, 2, 5, 3, 6}, 0)
	check.Close(t, "input", x.Data().([]float64), []float64{1, 2, 3, 4, 5, 6}, 0)

	// A buffer that does not fit is not used; inputs that do not fit are refused.
	y, err = o.UsePreallocDo(tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(5)), x)
	if err != nil || !y.Shape().Eq(tensor.Shape{3, 2}) {
		t.Errorf("got %v, %v", y, err)
	}
	for _, in := range [][]G.Value{{}, {nil}, {G.NewF64(1)}, {tensor.New(tensor.WithBacking(make([]float64, 6)), tensor.WithShape(2, 3))},
		{tensor.New(tensor.WithBacking(make([]float32, 6)), tensor.WithShape(3, 2))}} {
		if _, err := o.Do(in...); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%v: got %v", in, err)
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
	a, b, one := make([]float64, 3), make([]float64, 3), []float64{1, 1, 1}
	activate(Softplus, 1, a, at, one)
	activate(Tanh, 1, b, at, one)
	for i := range a {
		a[i] += b[i]
	}
	check.Close(t, "gradient", floats(t, []G.Value{grad})[0], a, 1e-15)
}
