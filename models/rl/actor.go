package rl

import (
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// noiseDraw is the draw number of actors' noise.
const noiseDraw = 1 << 21

// noiseInput adds the input of an actor's noise for that many rows, and its memory: nil if the actor has none.
func noiseInput(g *G.ExprGraph, a Actor, rows int) ([]float32, *G.Node) {
	k := a.Noise()
	if k == 0 {
		return nil, nil
	}
	v := make([]float32, rows*k)
	return v, train.Input(g, "noise", v, rows, k)
}

// actor computes an Actor's actions for n environments.
type actor struct {
	obs    []float32
	noise  []float32 // (n,Noise); nil for none
	mean   *G.Node
	answer *G.Node   // of a controller's search
	latent []float32 // of the last actions, (n,D); nil if it is no controller
	vm     G.VM
}

func newActor(machine string, a Actor, n, o int) (*actor, error) {
	g := G.NewGraph()
	shared, err := a.Share(g)
	if err != nil {
		return nil, err
	}
	t := &actor{obs: make([]float32, n*o)}
	var noise *G.Node
	t.noise, noise = noiseInput(g, a, n)
	if t.mean, err = shared.Act(train.Input(g, "obs", t.obs, n, o), noise); err != nil {
		return nil, err
	}
	if t.mean, err = dcem.Keep(t.mean); err != nil {
		return nil, err
	}
	outputs := G.Nodes{t.mean}
	if c, ok := shared.(*Controller); ok {
		if t.answer, err = dcem.Keep(c.answer); err != nil {
			return nil, err
		}
		outputs = append(outputs, t.answer)
	}
	t.vm, err = train.NewVM(machine, g, outputs...)
	return t, err
}

// act writes the actions for t.obs, with the noise of a seed and a run number.
func (t *actor) act(seed, run uint64, action []float32) error {
	kernels.Normal(t.noise, seed, noiseDraw, run, 0)
	defer t.vm.Reset()
	if err := t.vm.RunAll(); err != nil {
		return err
	}
	v, err := nn.Slice[float32](t.mean.Value())
	copy(action, v)
	if err != nil || t.answer == nil {
		return err
	}
	found, err := nn.Slice[float32](t.answer.Value())
	t.latent = append(t.latent[:0], found...)
	return err
}

// scorer computes log-probabilities and values of all steps of an iteration, some at a time.
type scorer struct {
	obs, next, action []float32 // of all steps
	noise             []float32 // nil for none
	some              struct{ obs, next, action, noise []float32 }
	outputs           G.Nodes
	vm                G.VM
}

// newScorer is for rows steps, m of them at a time: m divides rows.
func newScorer(machine string, p *Policy, v *Net, rows, m, o, a int) (*scorer, error) {
	g := G.NewGraph()
	policy, err := p.Share(g)
	if err != nil {
		return nil, err
	}
	value, err := v.share(g)
	if err != nil {
		return nil, err
	}
	s := &scorer{obs: make([]float32, rows*o), next: make([]float32, rows*o), action: make([]float32, rows*a),
		noise: make([]float32, rows*p.Actor.Noise())}
	in := &s.some
	in.obs, in.next, in.action = make([]float32, m*o), make([]float32, m*o), make([]float32, m*a)
	obs := train.Input(g, "obs", in.obs, m, o)
	var noise *G.Node
	in.noise, noise = noiseInput(g, p.Actor, m)
	logProb, _, err := policy.LogProb(obs, noise, train.Input(g, "action", in.action, m, a))
	if err != nil {
		return nil, err
	}
	b := build(obs)
	s.outputs = G.Nodes{logProb, value.value(b, obs), value.value(b, train.Input(g, "next", in.next, m, o))}
	if b.err != nil {
		return nil, b.err
	}
	for i, n := range s.outputs {
		if s.outputs[i], err = dcem.Keep(n); err != nil {
			return nil, err
		}
	}
	s.vm, err = train.NewVM(machine, g, s.outputs...)
	return s, err
}

func (s *scorer) score() (logProb, value, next []float64, err error) {
	var out [3][]float64
	for part := range len(s.action) / len(s.some.action) {
		for _, v := range [][2][]float32{{s.some.obs, s.obs}, {s.some.next, s.next}, {s.some.action, s.action},
			{s.some.noise, s.noise}} {
			copy(v[0], v[1][part*len(v[0]):])
		}
		if err := s.part(&out); err != nil {
			return nil, nil, nil, err
		}
	}
	return out[0], out[1], out[2], nil
}

// part appends what the graph says of some of the steps.
func (s *scorer) part(out *[3][]float64) error {
	defer s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		return err
	}
	for i, n := range s.outputs {
		v, err := nn.Slice[float32](n.Value())
		if err != nil {
			return err
		}
		out[i] = append(out[i], train.Convert[float64](v)...)
	}
	return nil
}
