package rl

import (
	"math"
	"math/rand/v2"

	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// critic trains a value net by itself: a policy that is moved little, and seldom, leaves it too few and too small
// updates to learn anything.
type critic struct {
	obs, target []float32
	stepper     train.Stepper[float32]
}

// newCritic builds the update on m steps, half the mean squared error.
func newCritic(machine string, v *Net, m, o int, maxNorm float64) (*critic, error) {
	g := G.NewGraph()
	own, err := v.share(g)
	if err != nil {
		return nil, err
	}
	c := &critic{obs: make([]float32, m*o), target: make([]float32, m)}
	obs := train.Input(g, "obs", c.obs, m, o)
	b := build(obs)
	miss := b.square(b.sub(own.value(b, obs), train.Input(g, "target", c.target, m)))
	loss := b.times(b.mean(miss), 0.5)
	if b.err != nil {
		return nil, b.err
	}
	c.stepper, err = train.New[float32](machine, kernels.Optimizer{Epsilon: 1e-5, ClipNorm: maxNorm}, loss,
		own.Params().Nodes()...)
	return c, err
}

// learn makes the passes of an iteration over its steps, obs (rows,O), target (rows) and status (rows). It gives the
// mean loss of the last pass.
func (c *critic) learn(obs []float32, target []float64, status []env.Status, passes int, rate float64, seed,
	step uint64) (loss float64, err error) {
	rows, m := len(target), len(c.target)
	o := len(obs) / rows
	for pass := range passes {
		loss = 0
		order := rand.New(rand.NewPCG(mix(seed, criticDraw, step), uint64(pass))).Perm(rows)
		if !standIn(order, status) {
			return math.NaN(), nil
		}
		for parts := rows / m; len(order) > 0; order = order[m:] {
			for i, row := range order[:m] {
				copy(c.obs[i*o:(i+1)*o], obs[row*o:])
				c.target[i] = float32(target[row])
			}
			l, _, err := c.stepper.Step(rate) // one that is not finite is left out
			if err != nil {
				return 0, err
			}
			loss += l / float64(parts)
		}
	}
	return loss, nil
}
