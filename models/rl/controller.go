package rl

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// Controller is an [Actor] whose observations are states of a model (B,StateDim) and whose action is the first of the
// plan that latent DCEM finds: gradients flow through the search into the decoder, the reward and the transition,
// each of which can be frozen. Its noise is the search's: Samples latents of Latent numbers in each of Iterations.
type Controller struct {
	c       PlannerConfig
	model   *RSSM
	decoder *ActionDecoder
	frozen  Frozen
	answer  *G.Node // of the last Act, (B,D)
}

// Frozen says which parts of a [Controller] stay as they are.
type Frozen struct {
	Decoder    bool `json:"decoder" help:"finetune: leave the decoder as it is"`
	Reward     bool `json:"reward" help:"finetune: leave the model's reward as it is"`
	Transition bool `json:"transition" help:"finetune: leave the model's transition as it is"`
}

// NewController makes a controller of a model and a decoder that are in one graph.
func NewController(c PlannerConfig, m *RSSM, d *ActionDecoder, frozen Frozen) (*Controller, error) {
	c.Kind = LatentDCEM
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	switch {
	case m == nil || d == nil:
		return nil, fmt.Errorf("rl: NewController: the model or the decoder is nil")
	case d.horizon != c.Horizon || d.actions != m.c.Act || d.net.Layers[0].W.Shape()[0] != c.Latent:
		return nil, fmt.Errorf("rl: NewController: a decoder of %d latents to %d steps of %d actions, want %d, %d and %d",
			d.net.Layers[0].W.Shape()[0], d.horizon, d.actions, c.Latent, c.Horizon, m.c.Act)
	case frozen.Decoder && frozen.Reward && frozen.Transition:
		return nil, fmt.Errorf("rl: NewController: all of it is frozen")
	}
	return &Controller{c: c, model: m, decoder: d, frozen: frozen}, nil
}

// Params implements Actor: of the model those that planning needs.
func (a *Controller) Params() nn.Params {
	return slices.Concat(a.decoder.Params(), a.model.Reward(), a.model.Transition())
}

// Free implements Actor.
func (a *Controller) Free() (p nn.Params) {
	if !a.frozen.Decoder {
		p = append(p, a.decoder.Params()...)
	}
	if !a.frozen.Reward {
		p = append(p, a.model.Reward()...)
	}
	if !a.frozen.Transition {
		p = append(p, a.model.Transition()...)
	}
	return p
}

// Share implements Actor.
func (a *Controller) Share(g *G.ExprGraph) (Actor, error) {
	s := *a
	var err error
	if s.model, err = a.model.Share(g); err != nil {
		return nil, err
	}
	s.decoder, err = a.decoder.Share(g)
	return &s, err
}

// Noise implements Actor.
func (a *Controller) Noise() int { return a.c.Iterations * a.c.Samples * a.c.Latent }

// Act implements Actor. The noise of a row has the iterations one after the other, (Iterations,Samples,Latent).
func (a *Controller) Act(x, noise *G.Node) (*G.Node, error) {
	if noise == nil || noise.Dims() != 2 || noise.Shape()[0] != x.Shape()[0] || noise.Shape()[1] != a.Noise() {
		return nil, fmt.Errorf("rl: Controller: noise %v for %d states, want (B,%d)", noise, x.Shape()[0], a.Noise())
	}
	b, rows, size := build(x), x.Shape()[0], a.c.Samples*a.c.Latent
	var each G.Nodes
	for t := range a.c.Iterations {
		each = append(each, b.reshape(b.columns(noise, t*size, size), rows, a.c.Samples, a.c.Latent))
	}
	if b.err != nil {
		return nil, b.err
	}
	plan, err := a.c.solve(a.model, a.decoder, x, 0, 0, each)
	if err != nil {
		return nil, err
	}
	first := b.columns(plan.u, 0, a.model.c.Act)
	a.answer = plan.answer
	return first, b.err
}
