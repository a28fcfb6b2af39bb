package embed

import (
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/emit"
)

// TestLaunches: the training step is one graph of launches without the host. Forward, an iteration is three layers of
// the decoder, its last one with the controls, the rollout of 20 steps on a grid of its own, and a kernel with the
// projection and the moments; backward it is the same with the products of a layer in one kernel, and the sums over the
// rows.
func TestLaunches(t *testing.T) {
	for _, single := range []bool{true, false} {
		c := Default()
		c.Float64, c.Backprop = !single, 0
		loss, params, o, err := StepGraph(c)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := engine.NewVM(loss.Graph(), engine.On(null.Emitted(emit.Options{})), engine.Outputs(loss),
			engine.WithUpdate(o, loss, params...))
		if err != nil {
			t.Fatal(err)
		}
		l := vm.Explain().Launches
		if err := vm.Close(); err != nil {
			t.Fatal(err)
		}
		if l.Graphs != 1 || l.HostSteps != 0 {
			t.Errorf("float64 %v: %d graphs of launches, %d steps on the host", c.Float64, l.Graphs, l.HostSteps)
		}
		t.Logf("float64 %v: %d launches of %d kernels, %.0f us at least, %.0f by the model; %+v",
			c.Float64, len(l.List), l.Kernels, l.Least*1e6, l.Seconds*1e6, l.Repeats)
		// The first and the last iterations differ from the rest.
		const forward, backward = 6, 7
		r := l.Repeats
		if len(r) != 2 || r[0].Length > forward || r[1].Length > backward || min(r[0].Times, r[1].Times) < 6 {
			t.Errorf("float64 %v: %+v, want iterations of at most %d launches, and of %d backward",
				c.Float64, r, forward, backward)
		}
		if most := 10*(forward+backward) + 16; len(l.List) > most {
			t.Errorf("float64 %v: %d launches, want at most %d", c.Float64, len(l.List), most)
		}
	}
}
