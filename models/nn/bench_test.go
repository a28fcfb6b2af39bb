package nn

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The parts of a layer as users of plain Gorgonia would write them, and ours.
var (
	biases = map[string]func(z, b *G.Node) (*G.Node, error){
		"own": AddRow,
		"broadcast": func(z, b *G.Node) (*G.Node, error) {
			row, err := autodiff.Reshape(b, 1, b.Shape()[0])
			if err != nil {
				return nil, err
			}
			return G.BroadcastAdd(z, row, nil, []byte{0})
		},
		"ones": func(z, b *G.Node) (*G.Node, error) {
			row, err := autodiff.Reshape(b, 1, b.Shape()[0])
			if err != nil {
				return nil, err
			}
			spread, err := G.Mul(G.NewConstant(tensor.Ones(z.Dtype(), z.Shape()[0], 1)), row)
			if err != nil {
				return nil, err
			}
			return G.Add(z, spread)
		},
	}
	softpluses = map[string]func(z *G.Node) (*G.Node, error){"own": Softplus.Apply, "stock": G.Softplus}
)

// BenchmarkMLP is a forward and a backward pass of the 2-128-128-128-1 softplus net on the TapeMachine, with MatMul as
// in every net. least-ms is the shortest run: what a busy machine does not disturb.
func BenchmarkMLP(b *testing.B) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, rows := range []int{100, 1000} {
			for _, v := range [][2]string{{"own", "own"}, {"own", "stock"}, {"broadcast", "own"}, {"ones", "own"}} {
				b.Run(fmt.Sprintf("%v/rows=%d/bias=%s/softplus=%s", dt, rows, v[0], v[1]), func(b *testing.B) {
					benchMLP(b, dt, rows, biases[v[0]], softpluses[v[1]])
				})
			}
		}
	}
}

func benchMLP(b *testing.B, dt tensor.Dtype, rows int, bias func(z, b *G.Node) (*G.Node, error),
	act func(z *G.Node) (*G.Node, error)) {
	g, m := newNet(b, MLPConfig{Sizes: []int{2, 128, 128, 128, 1}, Dtype: dt, Seed: 1})
	x := input(g, dt, "x", tensor.Shape{rows, 2}, points(2*rows))
	for i, l := range m.Layers {
		x = G.Must(bias(G.Must(MatMul(x, l.W)), l.B))
		if i < len(m.Layers)-1 {
			x = G.Must(act(x))
		}
	}
	grads, err := autodiff.Gradients(G.Must(G.Sum(x)), m.Params().Nodes()...)
	if err != nil {
		b.Fatal(err)
	}
	values := make([]G.Value, len(grads))
	for i, d := range grads {
		G.Read(d, &values[i])
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	least := time.Hour
	for b.Loop() {
		start := time.Now()
		if err := vm.RunAll(); err != nil {
			b.Fatal(err)
		}
		vm.Reset()
		least = min(least, time.Since(start))
	}
	b.ReportMetric(least.Seconds()*1e3, "least-ms")
}

// BenchmarkActivation is 12800 elements: 100 samples in a layer of 128.
func BenchmarkActivation(b *testing.B) {
	b.Run("float32", func(b *testing.B) { benchActivation[float32](b) })
	b.Run("float64", func(b *testing.B) { benchActivation[float64](b) })
}

func benchActivation[T vec.Float](b *testing.B) {
	const n = 12800
	x, g, out := make([]T, n), make([]T, n), make([]T, n)
	for i := range x {
		x[i], g[i] = T(4*math.Sin(float64(i))), 1
	}
	for f := Softplus; f <= Sigmoid; f++ {
		for order := range maxOrder {
			b.Run(fmt.Sprintf("%v/%d", f, order), func(b *testing.B) {
				least := time.Hour
				for b.Loop() {
					start := time.Now()
					activate(f, order, out, x, [][]T{g}[:min(order, 1)])
					least = min(least, time.Since(start))
				}
				b.ReportMetric(float64(least)/n, "least-ns/element")
			})
		}
	}
}
