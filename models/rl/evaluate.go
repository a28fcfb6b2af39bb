package rl

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/models/env"
)

// A Batch answers the observations of n environments at once: obs (n,O) are theirs, action (n,A) is written. step
// counts from 0 at the beginning of their episodes.
type Batch interface {
	Act(ctx context.Context, step int, obs []float64, action []float32) error
}

// BatchFunc makes a Batch of a function.
type BatchFunc func(ctx context.Context, step int, obs []float64, action []float32) error

// Act implements Batch.
func (f BatchFunc) Act(ctx context.Context, step int, obs []float64, action []float32) error {
	return f(ctx, step, obs, action)
}

// Returns are those of episodes.
type Returns struct {
	Each   []float64 // the sum of the rewards of each episode, up to its end
	Faults int       // episodes that a fault ended
	Steps  int       // steps of all episodes

	// Of an Agent's: the mean worth of a plan by the model, and that of the rewards which came in the time of one, in
	// the environment's units; NaN of episodes shorter than a plan. A model that promises much more than is kept is
	// exploited by the search.
	Promised, Kept float64
}

// Planned says whether Promised and Kept are known.
func (r Returns) Planned() bool {
	return !math.IsNaN(r.Promised) && (r.Promised != 0 || r.Kept != 0)
}

// Mean is the mean return.
func (r Returns) Mean() float64 {
	sum := 0.0
	for _, v := range r.Each {
		sum += v
	}
	return sum / float64(len(r.Each))
}

// Quartiles are the least return, the first quartile, the median, the third quartile and the greatest return,
// linearly interpolated between the sorted returns.
func (r Returns) Quartiles() [5]float64 {
	sorted := slices.Sorted(slices.Values(r.Each))
	var q [5]float64
	for i := range q {
		q[i] = math.NaN()
		if n := len(sorted); n > 0 {
			at := float64(i) / 4 * float64(n-1)
			low := int(at)
			q[i] = sorted[low]
			if low+1 < n {
				q[i] += (at - float64(low)) * (sorted[low+1] - sorted[low])
			}
		}
	}
	return q
}

// Evaluate runs an episode in every environment of v, side by side: the first ones of the seed.
func Evaluate(ctx context.Context, v *Worlds, policy Batch, seed uint64) (r Returns, err error) {
	return evaluate(ctx, v, policy, seed, func(int) {})
}

// evaluate calls see after each step, and with -1 before the first.
func evaluate(ctx context.Context, v *Worlds, policy Batch, seed uint64, see func(step int)) (r Returns, err error) {
	if err := v.Reset(seed); err != nil {
		return r, err
	}
	see(-1)
	n := v.Size()
	r.Each = make([]float64, n)
	over := make([]bool, n)
	action := make([]float32, n*v.ActDim())
	for t := range v.Steps() {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		if err := policy.Act(ctx, t, v.Obs, action); err != nil {
			return r, fmt.Errorf("rl: Evaluate: step %d: %w", t, err)
		}
		if err := v.Step(action); err != nil {
			return r, err
		}
		left := false
		for i := range n {
			if over[i] {
				continue
			}
			r.Steps++
			r.Each[i] += v.Reward[i]
			if v.Status[i] == env.Failed {
				r.Faults++
			}
			over[i] = v.Status[i].Over()
			left = left || !over[i]
		}
		if !left {
			break
		}
		see(t)
	}
	return r, nil
}
