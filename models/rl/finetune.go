package rl

import (
	"errors"

	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// FineTuneConfig configures [Agent.FineTune].
type FineTuneConfig struct {
	Config
	Frozen Frozen  `json:"frozen"`
	Std    float64 `json:"std"`   // of the actions around the controller's; 0: sqrt(0.1), the paper's variance of 0.1
	Learn  bool    `json:"learn"` // the standard deviation too
	Hidden []int   `json:"hidden"`
	// Backprop is the number of last iterations of the search that gradients flow through; 0: all.
	Backprop int `json:"backprop"`
	// Temperature, Samples, Elites and Iterations are the search's; 0: as the agent has them.
	Temperature float64 `json:"temperature"`
	Samples     int     `json:"samples"`
	Elites      int     `json:"elites"`
	Iterations  int     `json:"iterations"`
}

// FineTune makes PPO of the agent's controller: its policy is the search over the latent space, with copies of the
// agent's model and decoder, of which those parts are trained that are not frozen. The value is a net of the model's
// state. The agent must plan by latent DCEM.
func (t *Agent) FineTune(c FineTuneConfig) (*PPO, error) {
	if t.decoder == nil {
		return nil, errors.New("rl: FineTune: the agent has no decoder: it plans by CEM")
	}
	if c.Std == 0 {
		c.Std = 0.31622776601683794
	}
	if err := t.sync(); err != nil {
		return nil, err
	}
	g := G.NewGraph()
	m, err := NewRSSM(g, t.model.c)
	if err != nil {
		return nil, err
	}
	d, err := NewActionDecoder(g, t.c.Planner, m.c.Act, tensor.Float32, 0)
	if err != nil {
		return nil, err
	}
	all := t.Params()
	for _, p := range append(m.Params(), d.Params()...) {
		copy(nn.Values[float32](nn.Params{p})[0], nn.Values[float32](nn.Params{all.Get(p.Name)})[0])
	}
	plan := t.c.Planner
	if plan.Backprop = c.Backprop; c.Temperature != 0 {
		plan.Temperature = c.Temperature
	}
	for _, v := range []struct {
		p *int
		v int
	}{{&plan.Samples, c.Samples}, {&plan.Elites, c.Elites}, {&plan.Iterations, c.Iterations}} {
		if v.v != 0 {
			*v.p = v.v
		}
	}
	actor, err := NewController(plan, m, d, c.Frozen)
	if err != nil {
		return nil, err
	}
	policy, err := NewPolicy(g, actor, m.c.Act, c.Std, !c.Learn)
	if err != nil {
		return nil, err
	}
	value, err := NewNet(g, NetConfig{Name: "value", In: m.StateDim(), Out: 1, Hidden: c.Hidden, Seed: c.Seed})
	if err != nil {
		return nil, err
	}
	c.Model, c.Known = m, &Scale{t.state.Seen.clone()}
	return NewPPO(t.maker, policy, value, c.Config)
}
