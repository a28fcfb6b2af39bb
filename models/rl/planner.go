package rl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kinds of planners.
const (
	FullCEM    = "cem"    // the cross-entropy method over all actions of the horizon
	LatentDCEM = "latent" // DCEM over latent numbers that a decoder turns into the actions
)

var planners = []string{FullCEM, LatentDCEM}

// PlannerConfig configures planning over a model. Zeros stand for the paper's setting of the kind.
type PlannerConfig struct {
	Kind        string  `json:"-"` // FullCEM or LatentDCEM
	Horizon     int     `json:"horizon" help:"actions of a plan"`
	Iterations  int     `json:"iterations" help:"iterations of a search"`
	Samples     int     `json:"samples" help:"samples of an iteration"`
	Elites      int     `json:"elites" help:"elite samples"`
	Temperature float64 `json:"temperature" help:"tau of latent DCEM's choice of elites"`
	Sigma       float64 `json:"sigma" help:"standard deviation with which a search starts, at 0"`
	Latent      int     `json:"latent" help:"dimensions of the latent space"`
	Hidden      []int   `json:"hidden" help:"sizes of the decoder's hidden layers"`
	// Backprop is the number of last iterations that gradients flow through; 0: all.
	Backprop int `json:"backprop" help:"last iterations of latent DCEM that gradients flow through; 0: all"`
}

// withDefaults is c with the paper's setting in place of zeros: 12 steps ahead, 10 iterations; CEM of 1000 samples
// and 100 elites, or latent DCEM of 100 and 10. What it leaves open is as in its experiments with the cartpole: a
// latent space of 2 dimensions in [-1, 1], searched from sigma = 0.5 on, and a decoder of three layers of 256.
func (c PlannerConfig) withDefaults() (PlannerConfig, error) {
	if !slices.Contains(planners, c.Kind) {
		return c, fmt.Errorf("rl: planner %q, want one of %s", c.Kind, strings.Join(planners, ", "))
	}
	samples, elites, sigma := 1000, 100, 1.0
	if c.Kind == LatentDCEM {
		samples, elites, sigma = 100, 10, 0.5
	}
	for _, v := range []struct {
		p *int
		d int
	}{{&c.Horizon, 12}, {&c.Iterations, 10}, {&c.Samples, samples}, {&c.Elites, elites}, {&c.Latent, 2}} {
		if *v.p == 0 {
			*v.p = v.d
		}
		if *v.p < 1 {
			return c,
				fmt.Errorf("rl: planner: horizon = %d, iterations = %d, samples = %d, elites = %d, latent = %d, want at least 1",
					c.Horizon, c.Iterations, c.Samples, c.Elites, c.Latent)
		}
	}
	if c.Backprop < 0 || c.Backprop > c.Iterations {
		return c, fmt.Errorf("rl: planner: backprop = %d, want 0 to iterations = %d", c.Backprop, c.Iterations)
	}
	if c.Temperature == 0 {
		c.Temperature = 1
	}
	if c.Sigma == 0 {
		c.Sigma = sigma
	}
	if c.Hidden == nil {
		c.Hidden = []int{256, 256, 256}
	}
	return c, nil
}

// ActionDecoder is a net that gives each latent z (D) the actions of a plan (H,A), in [-1, 1]: hidden layers with
// ELU, and tanh at the end.
type ActionDecoder struct {
	net              *nn.MLP
	horizon, actions int
}

// NewActionDecoder adds a decoder's parameters to the graph: for plans of that many actions each.
func NewActionDecoder(g *G.ExprGraph, c PlannerConfig, actions int, dt tensor.Dtype, seed uint64) (*ActionDecoder,
	error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	sizes := append(append([]int{c.Latent}, c.Hidden...), c.Horizon*actions)
	net, err := nn.NewMLP(g, nn.MLPConfig{Name: "actions", Sizes: sizes, Activation: nn.ELU, Output: nn.Tanh,
		Dtype: dt, Seed: seed})
	if err != nil {
		return nil, err
	}
	return &ActionDecoder{net, c.Horizon, actions}, nil
}

// Params are the parameters.
func (d *ActionDecoder) Params() nn.Params { return d.net.Params() }

// Share is the decoder in another graph, with the same memory for its parameters.
func (d *ActionDecoder) Share(g *G.ExprGraph) (*ActionDecoder, error) {
	net, err := d.net.Share(g)
	if err != nil {
		return nil, err
	}
	return &ActionDecoder{net, d.horizon, d.actions}, nil
}

// Imagined adds a rollout of the model from the states x (B,StateDim) under the actions u (B,H*A), by time: the
// states x_1 to x_H, each with its prior's mean, and the sum of their rewards, (B).
func (m *RSSM) Imagined(x, u *G.Node) (states []*G.Node, sum *G.Node, err error) {
	b, width := build(x), m.c.Act
	if u.Dims() != 2 || u.Shape()[0] != x.Shape()[0] || u.Shape()[1]%width != 0 {
		return nil, nil, fmt.Errorf("rl: Imagined: actions of shape %v for states of shape %v, want (B,H*%d)", u.Shape(),
			x.Shape(), width)
	}
	for t := range u.Shape()[1] / width {
		a := b.columns(u, t*width, width)
		if b.err != nil {
			return nil, nil, b.err
		}
		if x, err = m.Next(x, a, nil); err != nil {
			return nil, nil, err
		}
		r := b.unary(m.RewardOf, x)
		if states = append(states, x); sum == nil {
			sum = r
		} else {
			sum = b.add(sum, r)
		}
	}
	return states, sum, b.err
}

// A latentPlan is a search over the latent space, in a graph.
type latentPlan struct {
	u      *G.Node // (B,H*A)
	reward *G.Node // of the plan, by the model, (B)
	run    *G.Node // run number of the noise; nil if the noise was given
	answer *G.Node // (B,D)
}

// solve adds the search from the states x (B,StateDim). noise (one node (B,N,D) for each iteration) may be nil.
func (c PlannerConfig) solve(m *RSSM, d *ActionDecoder, x *G.Node, seed, draw uint64, noise G.Nodes) (*latentPlan,
	error) {
	g, rows, state := x.Graph(), x.Shape()[0], m.StateDim()
	objective := func(z *G.Node) (*G.Node, error) {
		many, err := dcem.Expand(x, c.Samples)
		if err != nil {
			return nil, err
		}
		b := build(x)
		many = b.reshape(many, rows*c.Samples, state)
		u := b.unary(d.net.Forward, b.reshape(z, rows*c.Samples, c.Latent))
		if b.err != nil {
			return nil, b.err
		}
		_, sum, err := m.Imagined(many, u)
		if err != nil {
			return nil, err
		}
		cost := b.reshape(b.times(sum, -1), rows, c.Samples)
		return cost, b.err
	}
	s, err := dcem.Unroll(g, objective, dcem.Config{Batch: rows, Dim: c.Latent, Samples: c.Samples, Elites: c.Elites,
		Iterations: c.Iterations, Temperature: c.Temperature, Sigma: []float64{c.Sigma}, Lower: []float64{-1},
		Upper: []float64{1}, Backprop: c.Backprop, Seed: seed, Draw: draw, Dtype: m.c.Dtype, Noise: noise})
	if err != nil {
		return nil, err
	}
	u, err := d.net.Forward(s.Answer)
	if err != nil {
		return nil, err
	}
	_, sum, err := m.Imagined(x, u)
	return &latentPlan{u: u, reward: sum, run: s.Run, answer: s.Answer}, err
}

// search is the cross-entropy method over all actions, from the states x (B,StateDim).
func (c PlannerConfig) search(m *RSSM, x *G.Node, seed, draw uint64) (*latentPlan, error) {
	minus := func(x *G.Node) (*G.Node, error) {
		b := build(x)
		cost := b.times(b.unary(m.RewardOf, x), -1)
		return cost, b.err
	}
	p, err := dcem.Plan(x.Graph(), x, dcem.Model{States: m.StateDim(), Controls: m.c.Act,
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return m.Next(x, u, nil) },
		// The reward of a step is that of the state which it leads to.
		Cost: func(t int, x, _ *G.Node) (*G.Node, error) {
			if t > 0 {
				return minus(x)
			}
			b := build(x)
			zero := b.times(b.reshape(b.columns(x, 0, 1), x.Shape()[0]), 0)
			return zero, b.err
		},
		Terminal: minus,
	}, dcem.PlanConfig{Horizon: c.Horizon, Config: dcem.Config{Samples: c.Samples, Elites: c.Elites,
		Iterations: c.Iterations,
		Hard:       true, Sigma: []float64{c.Sigma}, Lower: []float64{-1}, Upper: []float64{1}, Seed: seed, Draw: draw,
		Dtype: m.c.Dtype}})
	if err != nil {
		return nil, err
	}
	b := build(x)
	plan := &latentPlan{u: b.reshape(p.Controls, x.Shape()[0], c.Horizon*m.c.Act), reward: b.times(p.Cost, -1),
		run: p.Run}
	return plan, b.err
}

// planner plans for n states at a time.
type planner struct {
	x         []float32 // (n,StateDim)
	width     int       // of an action
	run       *G.Node
	u, reward *G.Node
	answer    *G.Node   // nil with FullCEM
	latent    []float32 // of the last plans, (n,D); nil with FullCEM
	promised  []float32 // the last plans' rewards by the model, as it sees them, (n)
	vm        G.VM
}

// newPlanner compiles the planning for n states with the parameters as they are when it plans. The decoder is not
// needed for FullCEM.
func newPlanner(machine string, c PlannerConfig, m *RSSM, d *ActionDecoder, n int, seed, draw uint64) (*planner,
	error) {
	g := G.NewGraph()
	m, err := m.Share(g)
	if err != nil {
		return nil, err
	}
	p := &planner{x: make([]float32, n*m.StateDim()), width: m.c.Act}
	x := train.Input(g, "x", p.x, n, m.StateDim())
	var plan *latentPlan
	if c.Kind == FullCEM {
		plan, err = c.search(m, x, seed, draw)
	} else if d, err = d.Share(g); err == nil {
		plan, err = c.solve(m, d, x, seed, draw, nil)
	}
	if err != nil {
		return nil, err
	}
	p.run = plan.run
	if p.u, err = dcem.Keep(plan.u); err != nil {
		return nil, err
	}
	if p.reward, err = dcem.Keep(plan.reward); err != nil {
		return nil, err
	}
	outputs := G.Nodes{p.u, p.reward}
	if plan.answer != nil {
		if p.answer, err = dcem.Keep(plan.answer); err != nil {
			return nil, err
		}
		outputs = append(outputs, p.answer)
	}
	p.vm, err = train.NewVM(machine, g, outputs...)
	return p, err
}

// plan writes the first actions (n,A) of the plans from p.x, with the noise of a run number.
func (p *planner) plan(run uint64, action []float32) error {
	if err := G.Let(p.run, int64(run)); err != nil {
		return err
	}
	defer p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		return err
	}
	u, err := nn.Slice[float32](p.u.Value())
	if err != nil {
		return err
	}
	n := len(action) / p.width
	for i := range n {
		copy(action[i*p.width:(i+1)*p.width], u[i*len(u)/n:])
	}
	promised, err := nn.Slice[float32](p.reward.Value())
	if err != nil {
		return err
	}
	p.promised = append(p.promised[:0], promised...)
	if p.answer != nil {
		found, err := nn.Slice[float32](p.answer.Value())
		if err != nil {
			return err
		}
		p.latent = append(p.latent[:0], found...)
	}
	return nil
}
