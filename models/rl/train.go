package rl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kind of PPO's checkpoints.
const ppoKind = "rl-ppo"

// Draw numbers of what is drawn from the seed beside the start values of parameters.
const (
	actionDraw = 1<<20 + iota
	episodeDraw
	orderDraw
	judgeDraw
	criticDraw
)

// Config configures [PPO].
type Config struct {
	PPOConfig
	Seed   uint64 `json:"-"`
	Worlds int    `json:"worlds" help:"environments side by side"`
	Length int    `json:"length" help:"steps of each in an iteration, which begins new episodes; 0: an episode's"`
	// Updates is the number of iterations until the learning rate is 0 (see Keep).
	Updates int    `json:"-"`
	Judge   int    `json:"-"` // episodes of an evaluation
	RawObs  bool   `json:"raw_obs" help:"do not standardise observations by their moments so far"`
	Machine string `json:"-"` // "": the engine

	// Model, if not nil, is in the policy's graph, and the policy sees its states in the place of observations, filtered
	// by the model as it is when an iteration begins. Known scales observations for it.
	Model *RSSM  `json:"-"`
	Known *Scale `json:"-"`
}

// PPO is the training of a policy. Use [NewPPO]. One Step of it is an iteration: all environments run Length steps
// from new episodes, and the updates on what they gave follow.
type PPO struct {
	c      Config
	policy *Policy
	value  *Net
	all    nn.Params // of policy and value, trained or not

	worlds, judged *Worlds
	stepper        train.Stepper[float32]
	critic         *critic // nil: the value net is trained with the policy
	batch          ppoInputs
	distance       G.Value
	clipped        G.Value
	entropy        G.Value
	valued         G.Value // the value's loss
	actor, judge   *actor
	scorer         *scorer

	seen     *moments // of observations
	returned *moments // of discounted returns
	steps    int      // of the environments so far
	faults   int
}

var _ run.Validator = (*PPO)(nil)

// ppoInputs is the memory of a ppoBatch.
type ppoInputs struct{ obs, action, noise, old, advantage, target, before []float32 }

// NewPPO builds the graphs for a policy and a value net that are in one graph, of float32. Close it when done.
func NewPPO(maker Maker, policy *Policy, value *Net, c Config) (t *PPO, err error) {
	c.PPOConfig = c.WithDefaults()
	if c.Machine == "" {
		c.Machine = train.Engine
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("rl: NewPPO: %w", err)
	}
	if c.Length == 0 {
		e, err := maker()
		if err != nil {
			return nil, err
		}
		c.Length = e.Steps()
		if err := e.Close(); err != nil {
			return nil, err
		}
	}
	rows := c.Worlds * c.Length
	switch {
	case c.Worlds < 1 || c.Length < 1 || c.Updates < 1 || c.Judge < 1:
		return nil, fmt.Errorf("rl: NewPPO: worlds = %d, length = %d, updates = %d, judge = %d, want at least 1",
			c.Worlds, c.Length, c.Updates, c.Judge)
	case rows%c.Parts != 0:
		return nil, fmt.Errorf("rl: NewPPO: parts = %d, want a divisor of worlds*length = %d", c.Parts, rows)
	}
	t = &PPO{c: c, policy: policy, value: value, all: append(policy.Params(), value.Params()...)}
	if c.Model != nil {
		if c.Known == nil {
			return nil, fmt.Errorf("rl: NewPPO: Model without Known")
		}
		t.all = append(t.all, c.Model.Observation()...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
			t = nil
		}
	}()
	for _, p := range t.all {
		if p.Node.Dtype() != tensor.Float32 {
			return t, fmt.Errorf("rl: NewPPO: parameter %s holds %v, want float32", p.Name, p.Node.Dtype())
		}
	}
	if t.worlds, err = NewWorlds(maker, c.Worlds); err != nil {
		return t, err
	}
	if t.judged, err = NewWorlds(maker, c.Judge); err != nil {
		return t, err
	}
	t.seen, t.returned = newMoments(t.worlds.ObsDim()), newMoments(1)
	if c.Model != nil {
		t.seen = c.Known.seen.clone()
		scale := func(out []float32, obs []float64) { t.seen.standardise(out, obs) }
		for _, w := range []*Worlds{t.worlds, t.judged} {
			if err = w.know(c.Machine, c.Model, scale); err != nil {
				return t, err
			}
		}
	}
	o := t.worlds.ObsDim()
	if err = t.compile(rows/c.Parts, o, t.worlds.ActDim()); err != nil {
		return t, err
	}
	if t.actor, err = newActor(c.Machine, policy.Actor, c.Worlds, o); err != nil {
		return t, err
	}
	if t.judge, err = newActor(c.Machine, policy.Actor, c.Judge, o); err != nil {
		return t, err
	}
	t.scorer, err = newScorer(c.Machine, policy, value, rows, rows/c.Parts, o, t.worlds.ActDim())
	return t, err
}

// compile builds the update of m steps.
func (t *PPO) compile(m, o, a int) error {
	g := t.value.Params()[0].Node.Graph()
	in := &t.batch
	node := func(name string, memory *[]float32, shape ...int) *G.Node {
		*memory = make([]float32, tensor.Shape(shape).TotalSize())
		return train.Input(g, "ppo/"+name, *memory, shape...)
	}
	var noise *G.Node
	in.noise, noise = noiseInput(g, t.policy.Actor, m)
	l, err := t.c.loss(t.policy, t.value, ppoBatch{
		obs: node("obs", &in.obs, m, o), noise: noise, action: node("action", &in.action, m, a),
		old:       node("old", &in.old, m),
		advantage: node("advantage", &in.advantage, m), target: node("target", &in.target, m),
		before: node("before", &in.before, m)})
	if err != nil {
		return err
	}
	G.Read(l.distance, &t.distance)
	G.Read(l.clipped, &t.clipped)
	G.Read(l.entropy, &t.entropy)
	G.Read(l.value, &t.valued)
	if t.c.ValueRate > 0 {
		if t.critic, err = newCritic(t.c.Machine, t.value, m, o, t.c.MaxNorm); err != nil {
			return err
		}
	}
	t.stepper, err = train.New[float32](t.c.Machine, kernels.Optimizer{Epsilon: 1e-5, ClipNorm: t.c.MaxNorm}, l.total,
		t.free().Nodes()...)
	return err
}

// free are the parameters that PPO's own updates move.
func (t *PPO) free() nn.Params {
	if t.critic != nil {
		return t.policy.Free()
	}
	return append(t.policy.Free(), t.value.Params()...)
}

// sync brings the values of the parameters' nodes up to date.
func (t *PPO) sync() error {
	err := t.stepper.Sync()
	if t.critic != nil {
		err = errors.Join(err, t.critic.stepper.Sync())
	}
	return err
}

// Close frees the machines and the environments.
func (t *PPO) Close() error {
	var all []error
	if t.stepper != nil {
		all = append(all, t.stepper.Close())
	}
	if t.critic != nil && t.critic.stepper != nil {
		all = append(all, t.critic.stepper.Close())
	}
	for _, a := range []*actor{t.actor, t.judge} {
		if a != nil {
			all = append(all, a.vm.Close())
		}
	}
	if t.scorer != nil {
		all = append(all, t.scorer.vm.Close())
	}
	for _, w := range []*Worlds{t.worlds, t.judged} {
		if w != nil {
			all = append(all, w.Close())
		}
	}
	return errors.Join(all...)
}

// Params are all parameters, as they are at the last Sync.
func (t *PPO) Params() nn.Params { return t.all }

// EnvSteps is the number of steps that the environments have taken for training.
func (t *PPO) EnvSteps() int { return t.steps }

// Kind implements run.Task.
func (t *PPO) Kind() string { return ppoKind }

// Columns implements run.Task: env_steps so far, the mean return of the episodes of an iteration and their number,
// the estimated KL divergence and the share of clipped ratios of its last updates, the policy's entropy, the loss
// of the value, with Trust what is left of the change of the iteration and its divergence,
// faults so far, the learning rate; and of an evaluation the mean return, the quartiles and the number of faults.
func (t *PPO) Columns() []string {
	return []string{"env_steps", "return", "episodes", "updates", "kl", "clipped", "entropy", "value_loss",
		"share", "divergence", "faults", "rate",
		"judged_mean", "judged_least", "judged_q1", "judged_median", "judged_q3", "judged_most", "judged_faults"}
}

// observe standardises observations.
func (t *PPO) observe(out []float32, obs []float64) {
	if t.c.RawObs || t.c.Model != nil {
		for i, v := range obs {
			out[i] = float32(v)
		}
		return
	}
	t.seen.standardise(out, obs)
}

// drawn acts as the policy does in iteration number step: the actor's action plus noise.
func (t *PPO) drawn(step int) Batch {
	std, a := nn.Values[float32](t.policy.logStd)[0], t.worlds.ActDim()
	noise := make([]float32, t.c.Worlds*a)
	return BatchFunc(func(_ context.Context, at int, obs []float64, action []float32) error {
		t.observe(t.actor.obs, obs)
		run := runOf(step, at)
		if err := t.actor.act(t.c.Seed, run, action); err != nil {
			return err
		}
		kernels.Normal(noise, t.c.Seed, actionDraw, run, 0)
		for i := range action {
			action[i] += float32(math.Exp(float64(std[i%a]))) * noise[i]
		}
		return nil
	})
}

// runOf is the run number of what is drawn for actions at a time of the episodes of an iteration.
func runOf(step, at int) uint64 { return uint64(step)<<32 | uint64(at) }

// Step implements run.Task.
func (t *PPO) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	return wholly(t, step, func() (run.StepMetrics, error) { return t.iteration(ctx, step) })
}

func (t *PPO) iteration(ctx context.Context, step int) (run.StepMetrics, error) {
	if err := t.sync(); err != nil {
		return run.StepMetrics{}, err
	}
	r, err := Collect(ctx, t.worlds, t.drawn(step), t.c.Length, mix(t.c.Seed, episodeDraw, uint64(step)))
	if err != nil {
		return run.StepMetrics{}, err
	}
	rate := t.c.Rate
	if !t.c.Keep {
		rate *= max(0, 1-float64(step-1)/float64(t.c.Updates))
	}
	m, err := t.learn(ctx, r, step, rate)
	if err != nil {
		return run.StepMetrics{}, err
	}
	t.steps += t.c.Worlds * t.c.Length
	t.faults += r.Faults
	if !t.c.RawObs && t.c.Model == nil {
		t.seen.add(r.Obs)
	}
	mean := math.NaN()
	if len(r.Returns) > 0 {
		mean = Returns{Each: r.Returns}.Mean()
	}
	m.Values["env_steps"], m.Values["return"], m.Values["episodes"] = float64(t.steps), mean, float64(len(r.Returns))
	m.Values["faults"], m.Values["rate"] = float64(t.faults), rate
	return m, nil
}

// learn does the updates of an iteration.
func (t *PPO) learn(ctx context.Context, r *Rollout, step int, rate float64) (m run.StepMetrics, err error) {
	rows := len(r.Reward)
	s := t.scorer
	t.observe(s.next, r.Next)
	t.observe(s.obs, r.Obs)
	copy(s.action, r.Action)
	k := t.policy.Actor.Noise()
	for row := range rows { // as it was when they acted
		kernels.Normal(s.noise[row*k:(row+1)*k], t.c.Seed, noiseDraw, runOf(step, row%r.Length), row/r.Length*k)
	}
	old, value, next, err := s.score()
	if err != nil {
		return m, err
	}
	t.returned.add(r.discounted(t.c.Discount))
	scale := 1 / (t.returned.std(0) + 1e-8)
	advantage, target := make([]float64, rows), make([]float64, rows)
	if err := r.advantages(advantage, target, value, next, scale, t.c.Discount, t.c.Trace); err != nil {
		return m, err
	}
	if !t.c.RawScale {
		standardise(advantage, r.Status)
	}
	size := rows / t.c.Parts
	o, a := t.worlds.ObsDim(), t.worlds.ActDim()
	loss, norm, updates := 0.0, 0.0, 0
	var before memory
	if t.c.Trust > 0 {
		if before, err = t.remember(); err != nil {
			return m, err
		}
	}
	all := t.c.Passes
	if t.critic != nil && step == 1 {
		all = 0 // with the value net's start values there is nothing to compare with: it learns first
	}
passes:
	for pass := range all {
		order := rand.New(rand.NewPCG(mix(t.c.Seed, orderDraw, uint64(step)), uint64(pass))).Perm(rows)
		if !standIn(order, r.Status) {
			break
		}
		for ; len(order) > 0; order = order[size:] {
			if ctx.Err() != nil {
				return m, context.Cause(ctx)
			}
			in := t.batch
			for i, row := range order[:size] {
				copy(in.obs[i*o:(i+1)*o], s.obs[row*o:])
				copy(in.action[i*a:(i+1)*a], r.Action[row*a:])
				copy(in.noise[i*k:(i+1)*k], s.noise[row*k:])
				in.old[i], in.before[i] = float32(old[row]), float32(value[row])
				in.advantage[i], in.target[i] = float32(advantage[row]), float32(target[row])
			}
			l, info, err := t.stepper.Step(rate)
			if err != nil {
				return m, err
			}
			if info.Skipped {
				m.Skipped = true
				continue
			}
			updates++
			loss += l
			norm += info.GradNorm
			if t.c.Far > 0 && scalar(t.distance) > t.c.Far {
				break passes
			}
		}
	}
	share, divergence := 1.0, math.NaN()
	if t.c.Trust > 0 && updates > 0 {
		if share, divergence, err = t.shorten(before, old, advantage, r.Status); err != nil {
			return m, err
		}
	}
	valued := scalar(t.valued)
	if t.critic != nil {
		if valued, err = t.critic.learn(s.obs, target, r.Status, t.c.ValuePasses, t.c.ValueRate, t.c.Seed,
			uint64(step)); err != nil {
			return m, err
		}
	}
	m.Loss, m.GradNorm = loss/float64(max(updates, 1)), norm/float64(max(updates, 1))
	m.Values = map[string]float64{"updates": float64(updates), "kl": scalar(t.distance), "clipped": scalar(t.clipped),
		"entropy": scalar(t.entropy), "value_loss": valued, "share": share, "divergence": divergence}
	return m, nil
}

// discounted are the sums of discounted rewards so far, at each step of the episodes.
func (r *Rollout) discounted(discount float64) []float64 {
	sums := make([]float64, len(r.Reward))
	sum := 0.0
	for row, reward := range r.Reward {
		if row%r.Length == 0 || r.Status[row-1].Over() {
			sum = 0
		}
		sum = discount*sum + reward
		sums[row] = sum
	}
	return sums
}

// scalar is the value of a scalar.
func scalar(v G.Value) float64 {
	if v == nil {
		return math.NaN()
	}
	switch d := v.Data().(type) {
	case float32:
		return float64(d)
	case []float32:
		return float64(d[0])
	case float64:
		return d
	case []float64:
		return d[0]
	}
	return math.NaN()
}
