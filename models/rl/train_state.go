package rl

import (
	"context"
	"errors"
	"fmt"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
)

// Judge runs Config.Judge episodes with the actor's actions as they are, without noise. The episodes are
// those of the seed.
func (t *PPO) Judge(ctx context.Context, seed uint64) (Returns, error) {
	return t.judgeBy(ctx, seed, func(int) {})
}

func (t *PPO) judgeBy(ctx context.Context, seed uint64, see func(step int)) (Returns, error) {
	if err := t.sync(); err != nil {
		return Returns{}, err
	}
	return evaluate(ctx, t.judged, BatchFunc(func(_ context.Context, at int, obs []float64, action []float32) error {
		t.observe(t.judge.obs, obs)
		return t.judge.act(seed, uint64(at), action)
	}), seed, see)
}

// Validate implements run.Validator: the score is minus the mean return, over the same episodes each time.
func (t *PPO) Validate(step int) (score float64, values map[string]float64, err error) {
	return t.ValidateContext(context.Background(), step)
}

// ValidateContext implements run.ContextValidator.
func (t *PPO) ValidateContext(ctx context.Context, _ int) (score float64, values map[string]float64, err error) {
	r, err := t.Judge(ctx, mix(t.c.Seed, judgeDraw))
	if err != nil {
		return 0, nil, err
	}
	return -r.Mean(), r.judged(), nil
}

type ppoState struct {
	Steps    int      `json:"env_steps"`
	Faults   int      `json:"faults"`
	Seen     *moments `json:"seen"`
	Returned *moments `json:"returned"`
}

// Save implements run.Task.
func (t *PPO) Save(c *run.Checkpoint) error {
	err := train.Save(c, t.stepper, t.free())
	if t.critic != nil {
		err = errors.Join(err, saveNets(c, "critic", t.critic.stepper, t.value.Params()))
	}
	for _, p := range t.fixed() {
		run.PutArray(c, "fixed/"+p.Name, nn.Values[float32](nn.Params{p})[0], p.Node.Shape()...)
	}
	return errors.Join(err, c.Put("ppo", ppoState{t.steps, t.faults, t.seen, t.returned}))
}

// fixed are the parameters that are not trained.
func (t *PPO) fixed() (fixed nn.Params) {
	free := t.free()
	if t.critic != nil {
		free = append(free, t.value.Params()...)
	}
	for _, p := range t.all {
		if free.Get(p.Name).Node == nil {
			fixed = append(fixed, p)
		}
	}
	return fixed
}

// Load implements run.Task.
func (t *PPO) Load(c *run.Checkpoint) error {
	s := ppoState{Seen: newMoments(0), Returned: newMoments(0)}
	if err := c.Get("ppo", &s); err != nil {
		return err
	}
	if len(s.Seen.Mean) != len(t.seen.Mean) || len(s.Seen.M2) != len(t.seen.M2) || len(s.Returned.Mean) != 1 ||
		len(s.Returned.M2) != 1 {
		return fmt.Errorf("moments of %d observations, want %d: %w", len(s.Seen.Mean), len(t.seen.Mean), run.ErrMismatch)
	}
	fixed := t.fixed()
	values := make([][]float32, len(fixed))
	for i, p := range fixed {
		values[i] = make([]float32, p.Node.Shape().TotalSize())
		if err := run.GetArray(c, "fixed/"+p.Name, values[i], p.Node.Shape()...); err != nil {
			return err
		}
	}
	if t.critic != nil {
		if err := loadNets(c, "critic", t.critic.stepper, t.value.Params()); err != nil {
			return err
		}
	}
	if err := train.Load(c, t.stepper, t.free()); err != nil {
		return err
	}
	for i, p := range fixed {
		copy(nn.Values[float32](nn.Params{p})[0], values[i])
	}
	t.steps, t.faults, t.seen, t.returned = s.Steps, s.Faults, s.Seen, s.Returned
	return nil
}
