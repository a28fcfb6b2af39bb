package rl

import (
	"math"
	"slices"

	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
)

// halvings is how often the change of an iteration is halved before the whole of it is taken back.
const halvings = 5

// A memory is what an iteration's updates began with.
type memory struct {
	values [][]float32 // of the policy's free parameters
	state  kernels.OptimizerState[float32]
}

// remember keeps what an iteration begins with.
func (t *PPO) remember() (m memory, err error) {
	if err = t.sync(); err != nil {
		return m, err
	}
	for _, v := range nn.Values[float32](t.policy.Free()) {
		m.values = append(m.values, slices.Clone(v))
	}
	m.state, err = t.stepper.State()
	return m, err
}

// shorten is the line search of TRPO (Schulman et al., 2015, appendix C) along what an iteration's updates did to the
// policy: the change since from is halved until the divergence over all steps of the iteration is at most Trust and
// the clipped surrogate is above what it was where the iteration began. A change that is not even good after the last
// halving is taken back, and with it what the optimiser has learnt from it. share is what is left of the change,
// far its divergence. The scorer has the steps' inputs, old are their log-probabilities before.
func (t *PPO) shorten(from memory, old, advantage []float64, status []env.Status) (share, far float64, err error) {
	if err := t.sync(); err != nil {
		return 0, 0, err
	}
	state, err := t.stepper.State()
	if err != nil {
		return 0, 0, err
	}
	own := nn.Values[float32](t.policy.Free())
	to := make([][]float32, len(own))
	for i, v := range own {
		to[i] = slices.Clone(v)
	}
	share = 1
	for range halvings + 1 {
		logProb, _, _, err := t.scorer.score()
		if err != nil { // the parameters are where the updates left them
			for i, v := range to {
				copy(own[i], v)
			}
			return 0, 0, err
		}
		gain := 0.0
		if far, gain = t.c.change(logProb, old, advantage, status); far <= t.c.Trust && gain > 0 {
			if share == 1 {
				return share, far, nil
			}
			return share, far, t.stepper.Restore(state)
		}
		share /= 2
		for i, v := range to {
			for j := range v {
				own[i][j] = from.values[i][j] + float32(share)*(v[j]-from.values[i][j])
			}
		}
	}
	for i, v := range from.values {
		copy(own[i], v)
	}
	return 0, 0, t.stepper.Restore(from.state)
}

// change compares log-probabilities of the steps that did not fail with those before. far is 2 mean (sqrt r - 1)^2,
// an estimate, from actions of the policy before, of four times the squared Hellinger distance. For near policies that
// is the KL divergence; but a state whose action jumps, as a search's does from one mode to another, counts 4 at most,
// where KL counts its squared distance in standard deviations, and one state in a hundred decides alone. gain is what
// the clipped surrogate has gained.
func (c PPOConfig) change(logProb, old, advantage []float64, status []env.Status) (far, gain float64) {
	n := 0.0
	for i, l := range logProb {
		if status[i] == env.Failed {
			continue
		}
		n++
		r := math.Exp(l - old[i])
		root := math.Sqrt(r) - 1
		far += 2 * root * root
		gain += min(r*advantage[i], min(max(r, 1-c.Clip), 1+c.Clip)*advantage[i]) - advantage[i]
	}
	return far / max(n, 1), gain / max(n, 1)
}
