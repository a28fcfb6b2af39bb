package rl

import (
	"fmt"

	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// RSSM is the recurrent state-space model of PlaNet (Hafner et al., Learning latent dynamics for planning from
// pixels, 2019), of observations that are vectors. Its state at step t is (h_t, s_t):
//
//	h_t = GRU(h_(t-1); s_(t-1), a_(t-1))      deterministic, (B,Deter)
//	s_t ~ N(m(h_t), v(h_t)^2)                 the prior, (B,Stoch)
//	s_t ~ N(m(h_t, o_t), v(h_t, o_t)^2)       the posterior, which has seen the observation
//	o_t ~ N(o(h_t, s_t), 1/ObsWeight), r_t ~ N(r(h_t, s_t), 1/RewardWeight)
//
// with a_(t-1) the action that led to the observation o_t and the reward r_t. m, v, o and r are nets of two hidden
// layers with ReLU. As the row of a matrix a state is (h, s), in this order. Observations and rewards are those that
// the model sees: who uses it standardises them.
type RSSM struct {
	c RSSMConfig

	fromS, fromA, fromH *nn.Linear // into the gates: s and a without bias and with it, h
	prior               *nn.MLP
	first, firstO       *nn.Linear // the posterior's first layer: of h without bias, of the observation
	posterior           *nn.MLP    // the rest of it
	decoder, reward     *nn.MLP
}

// RSSMConfig configures [NewRSSM]. The zero value of all but Obs and Act is PlaNet's setting.
type RSSMConfig struct {
	Obs    int     `json:"-"`
	Act    int     `json:"-"`
	Deter  int     `json:"deter" help:"units of the GRU"`              // 0: 200
	Stoch  int     `json:"stoch" help:"dimensions of the random part"` // 0: 30
	Hidden int     `json:"hidden" help:"units of a hidden layer"`      // 0: 200
	MinStd float64 `json:"min_std" help:"least standard deviation"`    // added to softplus of a net; 0: 0.1
	// FreeNats is the divergence of posterior and prior at a step below which nothing is gained; 0: 3, below 0: none.
	FreeNats     float64 `json:"free_nats" help:"divergence of a step below which nothing is gained; below 0: none"`
	RewardWeight float64 `json:"reward_weight" help:"weight of the reward's loss"` // 0: 10
	// ObsWeight is 1 over the variance that observations, standardised, have around what the model says of them: where
	// it is small beside what control has to see, the divergence is cheaper than to know the state. 0: 1
	ObsWeight float64 `json:"obs_weight" help:"weight of the observations' loss"`

	Dtype tensor.Dtype `json:"-"` // tensor.Float32 (the zero value means this) or tensor.Float64
	Seed  uint64       `json:"-"`
}

func (c RSSMConfig) withDefaults() (RSSMConfig, error) {
	for _, v := range []struct {
		p *int
		d int
	}{{&c.Deter, 200}, {&c.Stoch, 30}, {&c.Hidden, 200}} {
		if *v.p == 0 {
			*v.p = v.d
		}
	}
	if c.MinStd == 0 {
		c.MinStd = 0.1
	}
	if c.FreeNats == 0 {
		c.FreeNats = 3
	}
	if c.RewardWeight == 0 {
		c.RewardWeight = 10
	}
	if c.ObsWeight == 0 {
		c.ObsWeight = 1
	}
	if c.Dtype.Type == nil {
		c.Dtype = tensor.Float32
	}
	if c.Obs < 1 || c.Act < 1 || c.Deter < 1 || c.Stoch < 1 || c.Hidden < 1 {
		return c, fmt.Errorf("rl: RSSM: Obs = %d, Act = %d, Deter = %d, Stoch = %d, Hidden = %d, want at least 1",
			c.Obs, c.Act, c.Deter, c.Stoch, c.Hidden)
	}
	if !(c.MinStd > 0 && c.MinStd < 1e3) || !(c.FreeNats > -1e6 && c.FreeNats < 1e6) ||
		!(c.RewardWeight > 0 && c.RewardWeight < 1e6) || !(c.ObsWeight > 0 && c.ObsWeight < 1e6) {
		return c, fmt.Errorf("rl: RSSM: MinStd = %v, FreeNats = %v, RewardWeight = %v, ObsWeight = %v, "+
			"want finite numbers above 0", c.MinStd, c.FreeNats, c.RewardWeight, c.ObsWeight)
	}
	return c, nil
}

// NewRSSM adds a model's parameters to the graph.
func NewRSSM(g *G.ExprGraph, c RSSMConfig) (*RSSM, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &RSSM{c: c}
	linear := func(name string, in, out int, noBias bool) (l *nn.Linear) {
		if err == nil {
			l, err = nn.NewLinear(g, nn.LinearConfig{Name: name, In: in, Out: out, NoBias: noBias, Dtype: c.Dtype,
				Seed: c.Seed})
		}
		return l
	}
	net := func(name string, sizes ...int) (n *nn.MLP) {
		if err == nil {
			n, err = nn.NewMLP(g, nn.MLPConfig{Name: name, Sizes: sizes, Activation: nn.ReLU, Dtype: c.Dtype, Seed: c.Seed})
		}
		return n
	}
	state := c.Deter + c.Stoch
	m.fromS = linear("transition/s", c.Stoch, 3*c.Deter, true)
	m.fromA = linear("transition/a", c.Act, 3*c.Deter, false)
	m.fromH = linear("transition/h", c.Deter, 3*c.Deter, false)
	m.prior = net("transition/prior", c.Deter, c.Hidden, c.Hidden, 2*c.Stoch)
	m.first = linear("posterior/h", c.Deter, c.Hidden, true)
	m.firstO = linear("posterior/o", c.Obs, c.Hidden, false)
	m.posterior = net("posterior", c.Hidden, c.Hidden, 2*c.Stoch)
	m.decoder = net("decoder", state, c.Hidden, c.Hidden, c.Obs)
	m.reward = net("reward", state, c.Hidden, c.Hidden, 1)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Config is the configuration with its defaults filled in.
func (m *RSSM) Config() RSSMConfig { return m.c }

// StateDim is the number of elements of a state, Deter + Stoch.
func (m *RSSM) StateDim() int { return m.c.Deter + m.c.Stoch }

// Transition are the parameters of the transition: the GRU's and the prior's.
func (m *RSSM) Transition() (p nn.Params) {
	for _, l := range []*nn.Linear{m.fromS, m.fromA, m.fromH} {
		p = append(p, l.Params()...)
	}
	return append(p, m.prior.Params()...)
}

// Reward are the parameters of the reward.
func (m *RSSM) Reward() nn.Params { return m.reward.Params() }

// Observation are those of the posterior and the decoder, which planning does not need.
func (m *RSSM) Observation() (p nn.Params) {
	for _, l := range []*nn.Linear{m.first, m.firstO} {
		p = append(p, l.Params()...)
	}
	return append(append(p, m.posterior.Params()...), m.decoder.Params()...)
}

// Params are all parameters.
func (m *RSSM) Params() nn.Params {
	return append(append(m.Transition(), m.Reward()...), m.Observation()...)
}

// Share is the model in another graph, with the same memory for its parameters.
func (m *RSSM) Share(g *G.ExprGraph) (*RSSM, error) {
	s := *m
	for _, l := range []**nn.Linear{&s.fromS, &s.fromA, &s.fromH, &s.first, &s.firstO} {
		var err error
		if *l, err = (*l).Share(g); err != nil {
			return nil, err
		}
	}
	for _, n := range []**nn.MLP{&s.prior, &s.posterior, &s.decoder, &s.reward} {
		var err error
		if *n, err = (*n).Share(g); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// gru is h_t of h_(t-1) (B,Deter), s_(t-1) (B,Stoch) and what the action adds to the gates (B,3*Deter), which has
// their bias (Cho et al., 2014, as PyTorch computes it):
//
//	r, z = sigmoid(.), n = tanh(x_n + r h_n), h' = n + z (h - n)
func (m *RSSM) gru(b *builder, h, s, fromA *G.Node) *G.Node {
	d := m.c.Deter
	x := b.add(b.unary(m.fromS.Forward, s), fromA)
	y := b.unary(m.fromH.Forward, h)
	gates := b.activate(nn.Sigmoid, b.add(b.columns(x, 0, 2*d), b.columns(y, 0, 2*d)))
	r, z := b.columns(gates, 0, d), b.columns(gates, d, d)
	n := b.activate(nn.Tanh, b.add(b.columns(x, 2*d, d), b.mul(r, b.columns(y, 2*d, d))))
	return b.add(n, b.mul(z, b.sub(h, n)))
}

// gaussian splits what a net gives (B,2*Stoch) into means and standard deviations.
func (m *RSSM) gaussian(b *builder, x *G.Node) (mean, std *G.Node) {
	mean = b.columns(x, 0, m.c.Stoch)
	return mean, b.plus(b.activate(nn.Softplus, b.columns(x, m.c.Stoch, m.c.Stoch)), m.c.MinStd)
}

// priorOf is the prior at h.
func (m *RSSM) priorOf(b *builder, h *G.Node) (mean, std *G.Node) {
	return m.gaussian(b, b.unary(m.prior.Forward, h))
}

// posteriorOf is the posterior at h, fromO being what the observation adds to the first layer (B,Hidden).
func (m *RSSM) posteriorOf(b *builder, h, fromO *G.Node) (mean, std *G.Node) {
	x := b.activate(nn.ReLU, b.add(b.unary(m.first.Forward, h), fromO))
	return m.gaussian(b, b.unary(m.posterior.Forward, x))
}

// Next adds a step of imagination: from the state x (B,StateDim) under the action a (B,Act), in [-1, 1], to the next
// one. noise (B,Stoch) is standard normal; nil takes the prior's mean.
func (m *RSSM) Next(x, a, noise *G.Node) (*G.Node, error) {
	b, d := build(x), m.c.Deter
	h := m.gru(b, b.columns(x, 0, d), b.columns(x, d, m.c.Stoch), b.unary(m.fromA.Forward, a))
	s, std := m.priorOf(b, h)
	if noise != nil {
		s = b.add(s, b.mul(std, noise))
	}
	n := b.beside(h, s)
	return n, b.err
}

// Filter adds a step of what is known after the action a (B,Act) from the state x (B,StateDim) has led to the
// observation o (B,Obs): the next state, with the posterior's mean.
func (m *RSSM) Filter(x, a, o *G.Node) (*G.Node, error) {
	b, d := build(x), m.c.Deter
	h := m.gru(b, b.columns(x, 0, d), b.columns(x, d, m.c.Stoch), b.unary(m.fromA.Forward, a))
	s, _ := m.posteriorOf(b, h, b.unary(m.firstO.Forward, o))
	n := b.beside(h, s)
	return n, b.err
}

// RewardOf adds the expected reward of having come to the state x (B,StateDim): (B).
func (m *RSSM) RewardOf(x *G.Node) (*G.Node, error) {
	b := build(x)
	r := b.reshape(b.unary(m.reward.Forward, x), x.Shape()[0])
	return r, b.err
}

// Observe adds the expected observation in the state x (B,StateDim): (B,Obs).
func (m *RSSM) Observe(x *G.Node) (*G.Node, error) { return m.decoder.Forward(x) }

// Sequences is what the model learns from, as nodes of L steps of B sequences: row t*B+i is step t of sequence i.
type Sequences struct {
	Length int
	Obs    *G.Node // (L*B,Obs)
	Act    *G.Node // the action that led to it, (L*B,Act); 0 at the start of an episode
	Reward *G.Node // that came with it, (L*B)
	Weight *G.Node // (L*B): 1, or 0 for steps that are none
	// After is 1 for steps that came after an action, and 0 for the first of an episode, which has no reward, (L*B).
	After *G.Node
	Noise G.Nodes // standard normal, by step, (B,Stoch)
}

// RSSMLoss are the terms of the model's loss, scalars: means over all steps.
type RSSMLoss struct {
	Total  *G.Node // ObsWeight*Obs + RewardWeight*Reward + Divergence
	Obs    *G.Node // half the squared distance of the observation from its expectation
	Reward *G.Node // half the squared distance of the reward from its
	// Divergence is that of the posterior from the prior, of each step at least FreeNats; Raw is without this floor.
	Divergence, Raw *G.Node
	States          *G.Node // the states, sampled, (L*B,StateDim)
}

// Loss adds the variational bound of sequences that begin in the state 0 (PlaNet, eq. 3, with free nats).
func (m *RSSM) Loss(q Sequences) (*RSSMLoss, error) {
	rows := q.Obs.Shape()[0]
	if q.Length < 1 || rows%q.Length != 0 || len(q.Noise) != q.Length {
		return nil, fmt.Errorf("rl: RSSM: %d rows and %d nodes of noise for sequences of length %d", rows, len(q.Noise),
			q.Length)
	}
	n := rows / q.Length
	b := build(q.Obs)
	fromA, fromO := b.unary(m.fromA.Forward, q.Act), b.unary(m.firstO.Forward, q.Obs)
	var hs, ss, means, stds []*G.Node
	zeros := func(name string, size int) *G.Node { return zeroInput(q.Obs.Graph(), "rssm/"+name, m.c.Dtype, n, size) }
	h, s := zeros("h0", m.c.Deter), zeros("s0", m.c.Stoch)
	for t := range q.Length {
		h = m.gru(b, h, s, b.rows(fromA, t*n, n))
		mean, std := m.posteriorOf(b, h, b.rows(fromO, t*n, n))
		s = b.add(mean, b.mul(std, q.Noise[t]))
		hs, ss, means, stds = append(hs, h), append(ss, s), append(means, mean), append(stds, std)
	}
	if b.err != nil {
		return nil, b.err
	}
	all, l := b.below(hs...), &RSSMLoss{}
	l.States = b.beside(all, b.below(ss...))
	priorMean, priorStd := m.priorOf(b, all)
	kl := b.divergence(b.below(means...), b.below(stds...), priorMean, priorStd)
	l.Raw = b.mean(b.mul(q.Weight, kl))
	if m.c.FreeNats > 0 {
		kl = b.limit(kl, m.c.FreeNats, 1e30)
	}
	l.Divergence = b.mean(b.mul(q.Weight, kl))
	miss := b.sum(b.square(b.sub(b.unary(m.decoder.Forward, l.States), q.Obs)), 1)
	l.Obs = b.times(b.mean(b.mul(q.Weight, miss)), 0.5)
	guess := b.reshape(b.unary(m.reward.Forward, l.States), rows)
	l.Reward = b.times(b.mean(b.mul(b.mul(q.Weight, q.After), b.square(b.sub(guess, q.Reward)))), 0.5)
	l.Total = b.add(b.add(b.times(l.Obs, m.c.ObsWeight), b.times(l.Reward, m.c.RewardWeight)), l.Divergence)
	return l, b.err
}

// zeroInput is an input of zeros.
func zeroInput(g *G.ExprGraph, name string, dt tensor.Dtype, shape ...int) *G.Node {
	n := tensor.Shape(shape).TotalSize()
	if dt == tensor.Float32 {
		return train.Input(g, name, make([]float32, n), shape...)
	}
	return train.Input(g, name, make([]float64, n), shape...)
}
