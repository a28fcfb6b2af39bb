package rl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/run"
)

// Judge runs n episodes without noise on the actions: those of the seed, by the planner, which may be another than
// the agent's own (FullCEM needs no decoder).
func (t *Agent) Judge(ctx context.Context, planner PlannerConfig, n int, seed uint64) (Returns, error) {
	return t.judge(ctx, planner, n, seed, func(int, *pilot) {})
}

func (t *Agent) judge(ctx context.Context, planner PlannerConfig, n int, seed uint64, see func(step int, p *pilot)) (
	r Returns, err error,
) {
	if planner, err = planner.withDefaults(); err != nil {
		return r, err
	}
	if planner.Kind == LatentDCEM && t.decoder == nil {
		return r, errors.New("rl: Judge: latent DCEM without a decoder: the agent plans by CEM")
	}
	if err := t.sync(); err != nil {
		return r, err
	}
	v, err := NewWorlds(t.maker, n)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	p, err := newPilot(t.c.Machine, planner, t.model, t.decoder, v, mix(t.c.Seed, judgeDraw))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.load(t.Params())
	p.scale = t.scale
	q, over := newPromises(n, planner.Horizon, t.state.Reward), make([]bool, n)
	r, err = evaluate(ctx, v, p, seed, func(step int) {
		for i := range n {
			if step >= 0 && !over[i] {
				q.add(i, p.planner.promised[i], v.Reward[i])
				over[i] = v.Status[i].Over()
			}
		}
		see(step, p)
	})
	r.Promised, r.Kept = q.means()
	return r, err
}

// Validate implements run.Validator: the score is minus the mean return, over the same episodes each time.
func (t *Agent) Validate(step int) (score float64, values map[string]float64, err error) {
	return t.ValidateContext(context.Background(), step)
}

// ValidateContext implements run.ContextValidator.
func (t *Agent) ValidateContext(ctx context.Context, _ int) (score float64, values map[string]float64, err error) {
	r, err := t.Judge(ctx, t.c.Planner, t.c.Judge, mix(t.c.Seed, judgeDraw))
	if err != nil {
		return 0, nil, err
	}
	return -r.Mean(), r.judged(), nil
}

// judged are the columns of an evaluation.
func (r Returns) judged() map[string]float64 {
	q := r.Quartiles()
	return map[string]float64{"judged_mean": r.Mean(), "judged_least": q[0], "judged_q1": q[1],
		"judged_median": q[2], "judged_q3": q[3], "judged_most": q[4], "judged_faults": float64(r.Faults)}
}

// Save implements run.Task.
func (t *Agent) Save(c *run.Checkpoint) error {
	err := saveNets(c, "model", t.learner, t.model.Params())
	if t.actions != nil {
		err = errors.Join(err, saveNets(c, "decoder", t.actions, t.decoder.Params()))
	}
	return errors.Join(err, c.Put("agent", t.state))
}

// Load implements run.Task.
func (t *Agent) Load(c *run.Checkpoint) error { return t.load(c, true) }

// readState is the part of c that is not arrays.
func (t *Agent) readState(c *run.Checkpoint) (s agentState, err error) {
	s.Seen = newMoments(0)
	if err := c.Get("agent", &s); err != nil {
		return s, err
	}
	if len(s.Seen.Mean) != len(t.state.Seen.Mean) || len(s.Seen.M2) != len(t.state.Seen.M2) {
		return s, fmt.Errorf("moments of %d observations, want %d: %w", len(s.Seen.Mean), len(t.state.Seen.Mean),
			run.ErrMismatch)
	}
	return s, nil
}

// hasDecoder tells a run of embed from one of train.
func hasDecoder(c *run.Checkpoint) bool {
	return slices.ContainsFunc(c.Arrays(), func(name string) bool { return strings.HasPrefix(name, "decoder/params/") })
}

// load takes the state from c. To act, and not to learn on, it needs no episodes.
func (t *Agent) load(c *run.Checkpoint, episodes bool) error {
	if has := hasDecoder(c); has != (t.decoder != nil) {
		programs := map[bool]string{true: EmbedProgram.Name, false: TrainProgram.Name}
		return fmt.Errorf("it is of a run of %s, want one of %s", programs[has], programs[!has])
	}
	s, err := t.readState(c)
	if err != nil {
		return err
	}
	if episodes && s.Episodes > t.replay.Len() {
		return fmt.Errorf("the replay buffer %s has %d episodes, want the %d that were collected: %w", t.replay.dir,
			t.replay.Len(), s.Episodes, run.ErrMismatch)
	}
	if err := loadNets(c, "model", t.learner, t.model.Params()); err != nil {
		return err
	}
	if t.actions != nil {
		if err := loadNets(c, "decoder", t.actions, t.decoder.Params()); err != nil {
			return err
		}
	}
	t.state = s
	return nil
}
