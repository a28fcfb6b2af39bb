package env

import (
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// On the engine 20 steps are one loop over the batch, and no host is asked. With the gradient there is at most one
// loop more: where a control has several elements their gradients are joined in it. Without a final cost the last
// control moves no state that has a cost, and is on its own; the gradients of all parameters make the loop longer
// than one may be, or end in a scalar's arithmetic.
func TestRolloutIsOneLoop(t *testing.T) {
	const batch, horizon = 300, 20
	forEnvs(t, func(t *testing.T, e Env) {
		c := randomProblems(e, 1, batch, horizon)
		for _, way := range []struct {
			name             string
			gradient, learnt bool
			final            float64
			loops            int
		}{
			{"forward", false, false, 0, 1},
			{"forward and backward", true, false, 1, e.ControlDim()},
			{"forward and backward, no final cost", true, false, 0, 1 + e.ControlDim()},
			{"learnt parameters", true, true, 1, 3},
		} {
			g := G.NewGraph()
			x, u := input(g, "x", tensor.Float32, c.x, batch, e.StateDim()),
				input(g, "u", tensor.Float32, c.u, batch, horizon, e.ControlDim())
			var p ParamNodes
			wrt := G.Nodes{u}
			if way.learnt {
				var in G.Nodes
				p, in = paramNodes(g, e, tensor.Float32, c.params)
				wrt = append(wrt, in...)
			}
			states, cost, err := Rollout(e, x, u, p, Options{Final: way.final})
			if err != nil {
				t.Fatal(err)
			}
			outputs := G.Nodes{cost, states[horizon]}
			if way.gradient {
				outputs = append(outputs, must[G.Nodes](t)(autodiff.Gradients(must[*G.Node](t)(G.Sum(cost)), wrt...))...)
			}
			vm := must[*engine.VM](t)(engine.NewVM(g, engine.Outputs(outputs...)))
			explained := vm.Explain()
			for _, s := range explained.Steps {
				if s.Kind != "loop" {
					t.Errorf("%s: step %s is a %s", way.name, s.Name, s.Kind)
				}
			}
			if n := len(explained.Steps); n > way.loops || len(explained.Fallbacks) != 0 {
				t.Errorf("%s: %d loops, want %d, and %d fallbacks:\n%v", way.name, n, way.loops, len(explained.Fallbacks),
					explained)
			}
			if err := vm.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
