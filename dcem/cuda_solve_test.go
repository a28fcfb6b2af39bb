package dcem

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestCUDASolve: whole solves with their gradients, and the gradient of a gradient, are on the emulated device what
// they are on the CPU. Some candidates have no finite cost. The tolerances are those for whole steps: float64 1e-11
// of the largest entry; float32 is what a step's own rounding makes of neighbouring values.
func TestCUDASolve(t *testing.T) {
	device, err := emulated.New()
	simtest.Need(t, err)
	defer device.Close()
	cases := []struct {
		name string
		c    Config
	}{
		{"lml", Config{}},
		{"csoftmax", Config{Relaxation: kernels.ConstrainedSoftmax}},
		{"csparsemax", Config{Relaxation: kernels.ConstrainedSparsemax, Temperature: 0.5}},
		{"hard", Config{Hard: true}},
		{"raw", Config{RawCosts: true, Temperature: 2}},
	}
	for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
		tol := 1e-11
		if dt == tensor.Float32 {
			tol = 2e-5
		}
		for _, c := range cases {
			if testing.Short() && c.name != "lml" {
				continue
			}
			t.Run(fmt.Sprint(c.name, " ", dt), func(t *testing.T) {
				want := cudaSolve(t, dt, c.c)
				got := cudaSolve(t, dt, c.c, engine.On(device))
				for i := range want {
					check.Close(t, fmt.Sprint("value ", i), got[i], want[i], tol)
				}
			})
		}
	}
}

// cudaSolve is the answer's loss, its gradients, and the gradients of the first one's square.
func cudaSolve(t *testing.T, dt tensor.Dtype, c Config, on ...engine.Option) (values [][]float64) {
	t.Helper()
	g := G.NewGraph()
	c.Batch, c.Dim, c.Samples, c.Elites, c.Iterations, c.Dtype, c.SigmaMin = 3, 2, 40, 6, 3, dt, 0.01
	input := func(name string, v ...float64) *G.Node {
		rows := len(v) / c.Dim
		return G.NewMatrix(g, dt, G.WithShape(rows, c.Dim), G.WithName(name), G.WithValue(dense(dt, v, rows, c.Dim)))
	}
	c.MuNode, c.SigmaNode = input("mu", 0.1, -0.2, 0.3, 0.4, -0.5, 0), input("sigma", 1, 0.8, 0.6, 0.9, 0.7, 1.1)
	a, b := input("a", 1.5, 0.7), input("b", 0.4, -0.3)
	penalty := make([]float64, c.Batch*c.Samples) // every seventh candidate counts for nothing
	for i := range penalty {
		if i%7 == 3 {
			penalty[i] = math.Inf(1 - i%2*2)
		}
	}
	lost := G.NewMatrix(g, dt, G.WithShape(c.Batch, c.Samples), G.WithName("lost"),
		G.WithValue(dense(dt, penalty, c.Batch, c.Samples)))
	objective := func(x *G.Node) (*G.Node, error) {
		spread := func(n *G.Node) *G.Node {
			flat := G.Must(autodiff.Expand(n, c.Batch*c.Samples, c.Dim))
			return G.Must(autodiff.Reshape(flat, c.Batch, c.Samples, c.Dim))
		}
		r := G.Must(G.Sub(G.Must(G.HadamardProd(x, spread(a))), spread(b)))
		f, err := G.Sum(G.Must(G.Add(G.Must(G.HadamardProd(r, r)), G.Must(G.Sin(x)))), 2)
		if err != nil {
			return nil, err
		}
		return G.Add(f, lost)
	}
	u, err := Unroll(g, objective, c)
	if err != nil {
		t.Fatal(err)
	}
	inputs := G.Nodes{c.MuNode, c.SigmaNode, a, b}
	loss := G.Must(G.Sum(G.Must(G.Cube(u.Answer))))
	first, err := autodiff.Gradients(loss, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	second, err := autodiff.Gradients(G.Must(G.Sum(G.Must(G.Square(first[3])))), inputs...)
	if err != nil {
		t.Fatal(err)
	}
	all := append(append(G.Nodes{loss, u.Answer}, first...), second...)
	read := make([]G.Value, len(all))
	for i, n := range all {
		G.Read(n, &read[i])
	}
	vm, err := engine.NewVM(g, append(on, engine.Outputs(all...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, v := range read {
		values = append(values, floats(t, v))
	}
	return values
}
