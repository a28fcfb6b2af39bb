package rl

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
)

// Losses of PPO, as nodes.
type ppoLoss struct {
	total    *G.Node // surrogate + ValueWeight*value - EntropyWeight*entropy
	policy   *G.Node // minus the clipped surrogate
	value    *G.Node
	entropy  *G.Node
	distance *G.Node // estimate of KL(old || new): mean of r - 1 - log r
	clipped  *G.Node // share of the ratios outside of the range
}

// ppoBatch is what an update looks at, as nodes: of M steps.
type ppoBatch struct {
	obs, action *G.Node // (M,O), (M,A)
	noise       *G.Node // the actor's, (M,Noise); nil for none
	old         *G.Node // log-probability when it was drawn, (M)
	advantage   *G.Node // (M)
	target      *G.Node // what the value should be, (M)
	before      *G.Node // the value when it was drawn, (M)
}

// PPOConfig configures the updates. The zero value is what is commonly used on MuJoCo's tasks (Kostrikov,
// pytorch-a2c-ppo-acktr-gail).
type PPOConfig struct {
	Clip     float64 `json:"clip" help:"ratios beyond 1 plus or minus this gain nothing"`             // 0: 0.2
	Discount float64 `json:"discount" help:"of rewards, for each step"`                               // 0: 0.99
	Trace    float64 `json:"trace" help:"lambda of the advantages"`                                   // 0: 0.95
	Passes   int     `json:"passes" help:"passes over the steps of an iteration"`                     // 0: 10
	Parts    int     `json:"parts" help:"minibatches of a pass"`                                      // 0: 32
	Value    float64 `json:"value" help:"weight of the value's loss"`                                 // 0: 0.5
	Entropy  float64 `json:"entropy" help:"weight of the entropy"`                                    // at least 0
	Rate     float64 `json:"rate" help:"learning rate"`                                               // 0: 3e-4
	Keep     bool    `json:"keep" help:"keep the learning rate, which otherwise falls linearly to 0"` //
	MaxNorm  float64 `json:"max_norm" help:"norm to which the gradient is clipped"`                   // 0: 0.5
	Unclip   bool    `json:"unclip" help:"do not clip the value's change"`                            //
	RawScale bool    `json:"raw_scale" help:"do not standardise the advantages"`                      //
	// ValueRate above 0 trains the value net by itself, ValuePasses times over the steps of an iteration (0: 10), of
	// which the first is its own.
	ValueRate   float64 `json:"value_rate" help:"rate of a value net trained by itself; 0: with the policy"`
	ValuePasses int     `json:"value_passes" help:"passes of a value net trained by itself"`
	Far         float64 `json:"far" help:"end an iteration's updates where the KL divergence is beyond this; 0: never"`
	// Trust above 0 bounds the divergence of a whole iteration, over all of its steps: see PPO.shorten.
	Trust float64 `json:"trust" help:"divergence to which the change of an iteration is shortened; 0: never"`
}

// WithDefaults is c with the defaults in place of zeros.
func (c PPOConfig) WithDefaults() PPOConfig {
	for _, v := range []struct {
		p *float64
		d float64
	}{{&c.Clip, 0.2}, {&c.Discount, 0.99}, {&c.Trace, 0.95}, {&c.Value, 0.5}, {&c.Rate, 3e-4}, {&c.MaxNorm, 0.5}} {
		if *v.p == 0 {
			*v.p = v.d
		}
	}
	if c.Passes == 0 {
		c.Passes = 10
	}
	if c.Parts == 0 {
		c.Parts = 32
	}
	if c.ValuePasses == 0 {
		c.ValuePasses = 10
	}
	return c
}

// Validate returns an error that names the first field out of its range.
func (c PPOConfig) Validate() error {
	c = c.WithDefaults()
	for _, v := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"clip", c.Clip, 1e-6, 10}, {"discount", c.Discount, 0, 1}, {"trace", c.Trace, 0, 1},
		{"passes", float64(c.Passes), 1, 1e4}, {"parts", float64(c.Parts), 1, 1e6}, {"value", c.Value, 0, 1e6},
		{"entropy", c.Entropy, 0, 1e6}, {"rate", c.Rate, 1e-12, 1e3}, {"max_norm", c.MaxNorm, 1e-12, 1e12},
		{"far", c.Far, 0, 1e6}, {"trust", c.Trust, 0, 1e6}, {"value_rate", c.ValueRate, 0, 1e3},
		{"value_passes", float64(c.ValuePasses), 1, 1e4},
	} {
		if !(v.value >= v.low && v.value <= v.high) {
			return fmt.Errorf("%s is %v, want %g to %g", v.name, v.value, v.low, v.high)
		}
	}
	return nil
}

// loss adds the loss of a batch to the graph of policy and value net. With r = exp(log pi - log pi_old), eps = Clip
// and V_old the value before:
//
//	policy = -mean min(r A, clip(r, 1 - eps, 1 + eps) A)
//	value  = 1/2 mean max((V - R)^2, (V_old + clip(V - V_old, -eps, eps) - R)^2)
//
// of which the second has only its first term with Unclip.
func (c PPOConfig) loss(p *Policy, v *Net, x ppoBatch) (*ppoLoss, error) {
	logProb, entropy, err := p.LogProb(x.obs, x.noise, x.action)
	if err != nil {
		return nil, err
	}
	b, l := build(x.obs), &ppoLoss{entropy: entropy}
	change := b.sub(logProb, x.old)
	ratio := b.exp(change)
	gain := b.lesser(b.mul(ratio, x.advantage), b.mul(b.limit(ratio, 1-c.Clip, 1+c.Clip), x.advantage))
	l.policy = b.times(b.mean(gain), -1)
	value := v.value(b, x.obs)
	miss := b.square(b.sub(value, x.target))
	if !c.Unclip {
		near := b.add(x.before, b.limit(b.sub(value, x.before), -c.Clip, c.Clip))
		miss = b.greater(miss, b.square(b.sub(near, x.target)))
	}
	l.value = b.times(b.mean(miss), 0.5)
	l.total = b.add(l.policy, b.times(l.value, c.Value))
	if c.Entropy != 0 {
		l.total = b.sub(l.total, b.times(entropy, c.Entropy))
	}
	l.distance = b.mean(b.sub(b.plus(ratio, -1), change))
	off := b.sub(ratio, b.limit(ratio, 1-c.Clip, 1+c.Clip))
	l.clipped = b.mean(b.unary(G.Abs, b.unary(G.Sign, off)))
	return l, b.err
}

// standIn puts steps that did not fail, in turn, into the places that those that did have in an order of updates: these
// so have no weight. It says whether there are any.
func standIn(order []int, status []env.Status) bool {
	good := make([]int, 0, len(order))
	for _, row := range order {
		if status[row] != env.Failed {
			good = append(good, row)
		}
	}
	if len(good) == 0 {
		return false
	}
	next := 0
	for i, row := range order {
		if status[row] == env.Failed {
			order[i] = good[next%len(good)]
			next++
		}
	}
	return true
}

// standardise gives v mean 0 and standard deviation 1 over the steps that did not fail; those that did become 0.
func standardise(v []float64, status []env.Status) {
	n, mean, square := 0.0, 0.0, 0.0
	for i, x := range v {
		if status[i] != env.Failed {
			n++
			mean += x
		}
	}
	mean /= max(n, 1)
	for i, x := range v {
		if status[i] != env.Failed {
			square += (x - mean) * (x - mean)
		}
	}
	std := math.Sqrt(square / max(n-1, 1))
	for i := range v {
		if v[i] = (v[i] - mean) / (std + 1e-8); status[i] == env.Failed {
			v[i] = 0
		}
	}
}
