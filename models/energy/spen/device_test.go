package spen

import (
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/emit"
)

// On a GPU an update is one graph of launches: nothing of it is left to the host.
func TestNothingIsLeftToTheHost(t *testing.T) {
	for _, method := range sides {
		loss, params, o, err := StepGraph(tiny(method))
		noError(t, err)
		vm, err := engine.NewVM(loss.Graph(), engine.On(null.Emitted(emit.Options{})), engine.WithUpdate(o, loss, params...))
		noError(t, err)
		e := vm.Explain()
		noError(t, vm.Close())
		for _, f := range e.Fallbacks {
			t.Errorf("%s: %s runs on the host: %s", method, f.Op, f.Why)
		}
		if e.Launches.Graphs != 1 || e.Launches.HostSteps != 0 {
			t.Errorf("%s: %d graphs, %d steps of the host", method, e.Launches.Graphs, e.Launches.HostSteps)
		}
	}
}
