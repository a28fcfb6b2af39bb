package energy_test

import (
	"testing"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// stepOf is the training step of the paper's regression on a batch. Without sizes of layers they are the paper's.
func stepOf(t *testing.T, batch, samples, iterations int, dt tensor.Dtype, hidden ...int) (loss *G.Node, params G.Nodes) {
	t.Helper()
	g := G.NewGraph()
	m, err := energy.NewMLP(g, energy.Config{InputDim: 1, OutputDim: 1, Seed: 1, Dtype: dt, Hidden: hidden})
	if err != nil {
		t.Fatal(err)
	}
	input := func(name string) *G.Node {
		v := tensor.New(tensor.Of(dt), tensor.WithShape(batch, 1))
		for i := range batch {
			if x := float64(i+1) / float64(batch); dt == tensor.Float32 {
				v.Set(i, float32(x))
			} else {
				v.Set(i, x)
			}
		}
		return G.NewMatrix(g, dt, G.WithShape(batch, 1), G.WithName(name), G.WithValue(v))
	}
	c := dcem.Config{Batch: batch, Dim: 1, Samples: samples, Elites: samples / 10, Iterations: iterations,
		Sigma: []float64{7}, Dtype: dt, Seed: 1}
	u, err := dcem.Unroll(g, energy.Objective(m, input("x")), c)
	if err != nil {
		t.Fatal(err)
	}
	off := G.Must(G.Sub(u.Answer, input("truth")))
	loss = G.Must(G.Mean(G.Must(G.HadamardProd(off, off))))
	for _, p := range m.Params() {
		params = append(params, p.Node)
	}
	return loss, params
}

// TestLaunches: the step of the regression is one graph of launches without the host, of which the least that its 10
// iterations could do with on a GPU are few: four products and a kernel of everything else forward, and as many
// backward, in which the products of a layer share one.
func TestLaunches(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, batch := range []int{1, 100} {
			loss, params := stepOf(t, batch, 100, 10, dt)
			vm, err := engine.NewVM(loss.Graph(), engine.On(null.Emitted(emit.Options{})), engine.Outputs(loss),
				engine.WithUpdate(kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}, loss, params...))
			if err != nil {
				t.Fatal(err)
			}
			l := vm.Explain().Launches
			if err := vm.Close(); err != nil {
				t.Fatal(err)
			}
			if l.Graphs != 1 || l.HostSteps != 0 {
				t.Errorf("%v, batch %d: %d graphs of launches, %d steps on the host", dt, batch, l.Graphs, l.HostSteps)
			}
			t.Logf("%v, batch %d: %d launches of %d kernels, %.0f us at least, %.0f by the model; %+v",
				dt, batch, len(l.List), l.Kernels, l.Least*1e6, l.Seconds*1e6, l.Repeats)
			const forward, backward = 5, 5 // per iteration
			if most := 10*(forward+backward) + 6; len(l.List) > most {
				t.Errorf("%v, batch %d: %d launches, want at most %d", dt, batch, len(l.List), most)
			}
			// First and last iterations differ from the rest.
			r := l.Repeats
			if len(r) != 2 || r[0].Length > forward || r[1].Length > backward || min(r[0].Times, r[1].Times) < 6 {
				t.Errorf("%v, batch %d: %+v, want iterations of at most %d launches, and of %d backward",
					dt, batch, r, forward, backward)
			}
		}
	}
}
