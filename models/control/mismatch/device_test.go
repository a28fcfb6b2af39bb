package mismatch

import (
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// On a GPU an update through the controller is one graph of launches: nothing of it is left to the host.
func TestNothingIsLeftToTheHost(t *testing.T) {
	c, g := tiny(), G.NewGraph()
	net, err := c.newNet(g)
	noError(t, err)
	_, cost, err := c.planned(g, net, input(g, "x0", c.judged(), c.States, c.stateDim()))
	noError(t, err)
	loss := G.Must(G.Mean(cost))
	vm, err := engine.NewVM(g, engine.On(null.Emitted(emit.Options{})),
		engine.WithUpdate(kernels.Optimizer{}, loss, net.Params().Nodes()...))
	noError(t, err)
	e := vm.Explain()
	noError(t, vm.Close())
	for _, f := range e.Fallbacks {
		t.Errorf("%s runs on the host: %s", f.Op, f.Why)
	}
	if e.Launches.Graphs != 1 || e.Launches.HostSteps != 0 {
		t.Errorf("%d graphs, %d steps of the host", e.Launches.Graphs, e.Launches.HostSteps)
	}
}
