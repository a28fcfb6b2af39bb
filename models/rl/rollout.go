package rl

import (
	"context"
	"fmt"

	"github.com/godcem/godcem/models/env"
)

// Rollout is what L steps in n environments gave, environment by environment: row i*L+t is step t of environment i.
type Rollout struct {
	Worlds, Length int
	Obs            []float64 // that the action answered to, (n*L,O)
	Action         []float32 // as it was drawn, not clipped, (n*L,A)
	Reward         []float64 // (n*L)
	Next           []float64 // the observation that it led to, (n*L,O)
	Status         []env.Status
	Returns        []float64 // of the episodes that came to their end, in the order of environments and time
	Faults         int       // steps that failed
	FirstFault     error
}

// Collect runs L steps in all of v's environments, from new episodes of that seed on. It allocates a new rollout.
func Collect(ctx context.Context, v *Worlds, policy Batch, length int, seed uint64) (*Rollout, error) {
	if length < 1 {
		return nil, fmt.Errorf("rl: Collect: length = %d, want at least 1", length)
	}
	if err := v.Reset(seed); err != nil {
		return nil, err
	}
	n, o, a := v.Size(), v.ObsDim(), v.ActDim()
	rows := n * length
	r := &Rollout{Worlds: n, Length: length, Obs: make([]float64, rows*o), Action: make([]float32, rows*a),
		Reward: make([]float64, rows), Next: make([]float64, rows*o), Status: make([]env.Status, rows)}
	action := make([]float32, n*a)
	for t := range length {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := policy.Act(ctx, t, v.Obs, action); err != nil {
			return nil, fmt.Errorf("rl: Collect: step %d: %w", t, err)
		}
		for i := range n {
			row := i*length + t
			copy(r.Obs[row*o:(row+1)*o], v.Obs[i*o:])
			copy(r.Action[row*a:(row+1)*a], action[i*a:])
		}
		if err := v.Step(action); err != nil {
			return nil, err
		}
		for i := range n {
			row := i*length + t
			copy(r.Next[row*o:(row+1)*o], v.Next[i*o:])
			r.Reward[row], r.Status[row] = v.Reward[i], v.Status[i]
			if v.Status[i] == env.Failed {
				r.Faults++
				if r.FirstFault == nil {
					r.FirstFault = v.Failures[i]
				}
			}
		}
	}
	for i := range n {
		sum := 0.0
		for row := i * length; row < (i+1)*length; row++ {
			if sum += r.Reward[row]; r.Status[row].Over() {
				r.Returns = append(r.Returns, sum)
				sum = 0
			}
		}
	}
	return r, nil
}

// advantages fills advantage and target (n*L) from the values of Obs and Next, with rewards times scale. Steps that
// failed get 0 and their value, and end what came before them as a time limit does.
func (r *Rollout) advantages(advantage, target, value, next []float64, scale, discount, trace float64) error {
	n := r.Length
	t := Trajectory{Reward: make([]float64, n), Last: make([]bool, n), Terminal: make([]bool, n)}
	for i := range r.Worlds {
		from, to := i*n, (i+1)*n
		t.Value, t.Next = value[from:to], next[from:to]
		for j := range n {
			status := r.Status[from+j]
			t.Reward[j] = scale * r.Reward[from+j]
			t.Last[j] = status.Over() || j == n-1 || r.Status[from+j+1] == env.Failed
			t.Terminal[j] = status == env.Ended
		}
		if err := t.Advantages(advantage[from:to], target[from:to], discount, trace); err != nil {
			return err
		}
		for j := from; j < to; j++ {
			if r.Status[j] == env.Failed {
				advantage[j], target[j] = 0, value[j]
			}
		}
	}
	return nil
}
