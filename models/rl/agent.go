package rl

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const agentKind = "rl-model"

// AgentConfig configures [Agent]. Zeros stand for PlaNet's setting, or the paper's.
type AgentConfig struct {
	Model   RSSMConfig    `json:"model"`
	Planner PlannerConfig `json:"planner"`
	Seed    uint64        `json:"-"`

	First   int     `json:"first" help:"episodes with random actions before all"`                  // 0: 5
	Collect int     `json:"collect" help:"episodes of a phase, side by side"`                      // 0: 1
	Updates int     `json:"updates" help:"updates of the model in a phase"`                        // 0: 100
	Batch   int     `json:"batch" help:"sequences of an update"`                                   // 0: 50
	Length  int     `json:"length" help:"steps of a sequence"`                                     // 0: 50
	Rate    float64 `json:"rate" help:"learning rate of the model"`                                // 0: 1e-3
	MaxNorm float64 `json:"max_norm" help:"norm to which the model's gradient is clipped"`         // 0: 1000
	Noise   float64 `json:"noise" help:"standard deviation of the noise on actions in collection"` // 0: 0.3, below 0: none

	// Bound is where observations and rewards are cut for the model, in standard deviations of the first, random,
	// episodes. Rewards that grow far beyond those of random actions, as a speed's do, must not come near it: the model,
	// and with it the search, would not tell them apart.
	Bound float64 `json:"bound" help:"standard deviations of random episodes beyond which observations and rewards are cut"` // 0: 10

	// Recent is how many of the newest episodes half of an update's sequences are from, and the decoder's states all:
	// where the search now goes is not where another planner has been. Only episodes that the agent has collected
	// itself count. 0: none.
	Recent int `json:"recent" help:"newest episodes that half of the sequences and the decoder's states are from; 0: all are from all"`

	// With latent DCEM the decoder is trained too: after each DecoderEvery-th update of the model one of its own, from
	// DecoderBatch states of that update's sequences.
	DecoderEvery int     `json:"decoder_every" help:"updates of the model between those of the decoder"` // 0: 1
	DecoderBatch int     `json:"decoder_batch" help:"states of an update of the decoder"`                // 0: 50
	DecoderRate  float64 `json:"decoder_rate" help:"learning rate of the decoder"`                       // 0: 5e-4
	DecoderNorm  float64 `json:"decoder_norm" help:"norm to which the decoder's gradient is clipped"`    // 0: 1
	// DecoderBarrier is the weight of -log(1-u^2), the mean over the plan's actions u, in the decoder's loss, in which
	// the reward of a step has weight 1. Actions at their bounds have no gradient: a decoder that has only those does
	// not learn to leave them.
	DecoderBarrier float64 `json:"decoder_barrier" help:"weight of the barrier that keeps the decoder's actions off their bounds"`

	Judge   int    `json:"-"` // episodes of an evaluation; 0: 10
	Machine string `json:"-"` // "": the engine
}

func (c AgentConfig) withDefaults() (AgentConfig, error) {
	for _, v := range []struct {
		name string
		p    *int
		d    int
	}{{"first", &c.First, 5}, {"collect", &c.Collect, 1}, {"updates", &c.Updates, 100}, {"batch", &c.Batch, 50},
		{"length", &c.Length, 50}, {"decoder_every", &c.DecoderEvery, 1}, {"decoder_batch", &c.DecoderBatch, 50},
		{"judge", &c.Judge, 10}} {
		if *v.p == 0 {
			*v.p = v.d
		}
		if *v.p < 1 || *v.p > 1e6 {
			return c, fmt.Errorf("rl: Agent: %s is %d, want 1 to 1e6", v.name, *v.p)
		}
	}
	for _, v := range []struct {
		name string
		p    *float64
		d    float64
	}{{"rate", &c.Rate, 1e-3}, {"max_norm", &c.MaxNorm, 1000}, {"noise", &c.Noise, 0.3}, {"bound", &c.Bound, 10},
		{"decoder_rate", &c.DecoderRate, 5e-4},
		{"decoder_norm", &c.DecoderNorm, 1}} {
		if *v.p == 0 {
			*v.p = v.d
		}
		if !(*v.p > 0 && *v.p < 1e6) && !(*v.p < 0 && v.name == "noise") {
			return c, fmt.Errorf("rl: Agent: %s is %v, want a number above 0", v.name, *v.p)
		}
	}
	if !(c.DecoderBarrier >= 0 && c.DecoderBarrier < 1e6) {
		return c, fmt.Errorf("rl: Agent: decoder_barrier is %v, want a number of at least 0", c.DecoderBarrier)
	}
	if c.Recent < 0 || c.Recent > 1e6 || c.Recent > 0 && c.Batch < 2 {
		return c, fmt.Errorf("rl: Agent: recent is %d with batches of %d, want 0 to 1e6, and 2 or more sequences",
			c.Recent, c.Batch)
	}
	if c.Machine == "" {
		c.Machine = train.Engine
	}
	var err error
	c.Planner, err = c.Planner.withDefaults()
	return c, err
}

// Agent learns a model of an environment from what it collects by planning over the model, and with latent DCEM the
// decoder of its plans, online. Use [NewAgent]. One Step of it is a phase: Updates of the model (and of the decoder)
// on the episodes so far, while, on another thread and by the model as it was when the phase began, the next episodes
// are collected.
type Agent struct {
	c       AgentConfig
	maker   Maker
	replay  *Replay
	worlds  *Worlds
	model   *RSSM
	decoder *ActionDecoder // nil with FullCEM
	pilot   *pilot

	learner  train.Stepper[float32]
	batch    *sampleBatch
	noise    *G.Node
	terms    map[string]*G.Value
	states   G.Value
	actions  train.Stepper[float32] // of the decoder
	from     []float32
	solveRun *G.Node

	state agentState
}

var _ run.Validator = (*Agent)(nil)

// agentState is what a checkpoint has beside arrays.
type agentState struct {
	Episodes int      `json:"episodes"` // of the replay buffer that were taken in
	Taken    int      `json:"taken"`    // of these, from another run
	EnvSteps int      `json:"env_steps"`
	Faults   int      `json:"faults"`
	Seen     *moments `json:"seen"`   // of the observations of the first episodes
	Reward   float64  `json:"reward"` // standard deviation of their rewards
}

// NewAgent builds the graphs. The replay buffer is in the folder replay, "" for memory alone; episodes that it has
// already, from a run that was killed, are kept. Close the agent when done.
func NewAgent(maker Maker, replay string, c AgentConfig) (t *Agent, err error) {
	if c, err = c.withDefaults(); err != nil {
		return nil, err
	}
	t = &Agent{c: c, maker: maker}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
			t = nil
		}
	}()
	if t.worlds, err = NewWorlds(maker, c.Collect); err != nil {
		return t, err
	}
	o, a := t.worlds.ObsDim(), t.worlds.ActDim()
	if t.replay, err = OpenReplay(replay, o, a); err != nil {
		return t, err
	}
	t.state.Seen, t.state.Reward = newMoments(o), 1
	t.state.Seen.Bound = c.Bound
	t.c.Model.Obs, t.c.Model.Act, t.c.Model.Seed, t.c.Model.Dtype = o, a, c.Seed, tensor.Float32
	if t.model, err = NewRSSM(G.NewGraph(), t.c.Model); err != nil {
		return t, err
	}
	if err = t.compileModel(); err != nil {
		return t, err
	}
	if c.Planner.Kind == LatentDCEM {
		if err = t.compileDecoder(); err != nil {
			return t, err
		}
	}
	if t.pilot, err = newPilot(c.Machine, c.Planner, t.model, t.decoder, t.worlds, c.Seed); err != nil {
		return t, err
	}
	t.pilot.scale, t.pilot.noise = t.scale, c.Noise
	return t, nil
}

// Draw numbers, beside those of PPO.
const (
	modelDraw   = 1 << 22 // one for each step of a sequence
	decoderDraw = 1 << 23 // one for each iteration
)

// Close frees the machines and the environments.
func (t *Agent) Close() error {
	var all []error
	for _, s := range []train.Stepper[float32]{t.learner, t.actions} {
		if s != nil {
			all = append(all, s.Close())
		}
	}
	if t.pilot != nil {
		all = append(all, t.pilot.close())
	}
	if t.worlds != nil {
		all = append(all, t.worlds.Close())
	}
	return errors.Join(all...)
}

// Replay is the buffer.
func (t *Agent) Replay() *Replay { return t.replay }

// Params are all parameters, up to date after a Step.
func (t *Agent) Params() nn.Params {
	p := t.model.Params()
	if t.decoder != nil {
		p = append(p, t.decoder.Params()...)
	}
	return p
}

// scale standardises observations as the model sees them.
func (t *Agent) scale(out []float32, obs []float64) { t.state.Seen.standardise(out, obs) }

// Kind implements run.Task.
func (t *Agent) Kind() string { return agentKind }

// Columns implements run.Task: the model's loss by its terms, the decoder's (minus a step's mean reward by the model,
// in the model's units, and the barrier), env_steps (of the environment as its Task has them: with env.Repeat
// actions), episodes and faults so far, the mean return of the episodes of a phase, and an evaluation's.
func (t *Agent) Columns() []string {
	return []string{"model_obs", "model_reward", "model_kl", "decoder", "decoder_skipped", "env_steps", "episodes",
		"faults",
		"return", "judged_mean", "judged_least", "judged_q1", "judged_median", "judged_q3", "judged_most", "judged_faults"}
}

// Step implements run.Task.
func (t *Agent) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	return wholly(t, step, func() (run.StepMetrics, error) { return t.phase(ctx, step) })
}

func (t *Agent) phase(ctx context.Context, step int) (m run.StepMetrics, err error) {
	if t.state.Episodes == 0 {
		if err := t.begin(ctx); err != nil {
			return m, err
		}
	}
	if err := t.sync(); err != nil {
		return m, err
	}
	t.pilot.load(t.Params())
	t.pilot.run = uint64(step) << 20
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type collected struct {
		r   *Rollout
		err error
	}
	done := make(chan collected, 1)
	go func() {
		r, err := Collect(ctx, t.worlds, t.pilot, t.worlds.Steps(), mix(t.c.Seed, episodeDraw, uint64(step)))
		done <- collected{r, err}
	}()
	m, err = t.learn(ctx, step)
	if err != nil {
		cancel()
		<-done
		return m, err
	}
	c := <-done
	if c.err != nil {
		return m, c.err
	}
	if err := t.take(c.r, uint64(step)); err != nil {
		return m, err
	}
	mean := math.NaN()
	if len(c.r.Returns) > 0 {
		mean = Returns{Each: c.r.Returns}.Mean()
	}
	m.Values["return"], m.Values["env_steps"] = mean, float64(t.state.EnvSteps)
	m.Values["episodes"], m.Values["faults"] = float64(t.state.Episodes), float64(t.state.Faults)
	return m, nil
}

// begin collects the first episodes, with random actions, and takes the scales from them.
func (t *Agent) begin(ctx context.Context) error {
	v, err := NewWorlds(t.maker, t.c.First)
	if err != nil {
		return err
	}
	r, err := Collect(ctx, v, random(t.c.Seed, 0), v.Steps(), mix(t.c.Seed, episodeDraw, 0))
	if err = errors.Join(err, v.Close()); err != nil {
		return err
	}
	if err := t.take(r, 0); err != nil {
		return err
	}
	t.state.Seen.add(r.Obs)
	reward := newMoments(1)
	reward.add(r.Reward)
	if t.state.Reward = reward.std(0); !(t.state.Reward > 1e-12) {
		t.state.Reward = 1
	}
	return nil
}

// take puts a rollout's episodes into the buffer: those that a run that was killed has already put there stand.
func (t *Agent) take(r *Rollout, tag uint64) error {
	for _, e := range r.episodes(t.worlds.ObsDim(), t.worlds.ActDim(), tag) {
		if t.state.Episodes >= t.replay.Len() {
			if err := t.replay.Append(e); err != nil {
				return err
			}
		}
		t.state.Episodes++
	}
	t.state.EnvSteps += len(r.Reward)
	t.state.Faults += r.Faults
	if t.state.Episodes == 0 {
		return fmt.Errorf("rl: no step of the environment succeeds: %w", r.FirstFault)
	}
	return nil
}

// sync brings the values of the parameters' nodes up to date.
func (t *Agent) sync() error {
	err := t.learner.Sync()
	if t.actions != nil {
		err = errors.Join(err, t.actions.Sync())
	}
	return err
}
