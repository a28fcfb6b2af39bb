package rl

import (
	"context"
	"math/rand/v2"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// compileModel builds the update of the model.
func (t *Agent) compileModel() error {
	g, c := t.model.prior.Layers[0].W.Graph(), t.c
	rows, o, a := c.Length*c.Batch, t.model.c.Obs, t.model.c.Act
	b := newSampleBatch(c.Length, c.Batch, o, a)
	q := Sequences{Length: c.Length, Obs: train.Input(g, "batch/obs", b.Obs, rows, o),
		Act:    train.Input(g, "batch/act", b.Act, rows, a),
		Reward: train.Input(g, "batch/reward", b.Reward, rows), Weight: train.Input(g, "batch/weight", b.Weight, rows),
		After: train.Input(g, "batch/after", b.After, rows)}
	t.batch, t.noise = b, dcem.RunNode(g, "batch/run")
	for i := range c.Length {
		n, err := dcem.Normal(t.noise, tensor.Float32, c.Seed, modelDraw+uint64(i), c.Batch, t.model.c.Stoch)
		if err != nil {
			return err
		}
		q.Noise = append(q.Noise, n)
	}
	l, err := t.model.Loss(q)
	if err != nil {
		return err
	}
	t.terms = map[string]*G.Value{}
	for name, n := range map[string]*G.Node{"model_obs": l.Obs, "model_reward": l.Reward, "model_kl": l.Raw} {
		v := new(G.Value)
		G.Read(n, v)
		t.terms[name] = v
	}
	if c.Planner.Kind == LatentDCEM {
		G.Read(l.States, &t.states)
	}
	t.learner, err = train.New[float32](c.Machine, kernels.Optimizer{Epsilon: 1e-4, ClipNorm: c.MaxNorm}, l.Total,
		t.model.Params().Nodes()...)
	return err
}

// compileDecoder builds the update of the decoder: minus the mean reward of the plans that the search finds from
// given states, by the model as it is, and the barrier of its actions.
func (t *Agent) compileDecoder() (err error) {
	g, c := G.NewGraph(), t.c
	m, err := t.model.Share(g)
	if err != nil {
		return err
	}
	if t.decoder, err = NewActionDecoder(g, c.Planner, m.c.Act, tensor.Float32, c.Seed); err != nil {
		return err
	}
	t.from = make([]float32, c.DecoderBatch*m.StateDim())
	plan, err := c.Planner.solve(m, t.decoder, train.Input(g, "from", t.from, c.DecoderBatch, m.StateDim()), c.Seed,
		decoderDraw, nil)
	if err != nil {
		return err
	}
	b := build(plan.reward)
	loss := b.times(b.mean(plan.reward), -1/float64(c.Planner.Horizon))
	if c.DecoderBarrier > 0 {
		// -log(1-u^2), whose derivative in what goes into tanh, 2u, does not vanish where u's does.
		loss = b.sub(loss, b.times(b.mean(b.log(b.minus(1+1e-4, b.square(plan.u)))), c.DecoderBarrier))
	}
	if b.err != nil {
		return b.err
	}
	t.solveRun = plan.run
	t.actions, err = train.New[float32](c.Machine, kernels.Optimizer{ClipNorm: c.DecoderNorm}, loss,
		t.decoder.Params().Nodes()...)
	return err
}

// learn does the updates of a phase.
func (t *Agent) learn(ctx context.Context, step int) (m run.StepMetrics, err error) {
	m.Values = map[string]float64{}
	if t.actions != nil {
		m.Values["decoder"], m.Values["decoder_skipped"] = 0, 0
	}
	count, decided := 0.0, 0.0
	for u := range t.c.Updates {
		if ctx.Err() != nil {
			return m, context.Cause(ctx)
		}
		number := uint64(step)<<20 | uint64(u)
		rng := rand.New(rand.NewPCG(mix(t.c.Seed, orderDraw), number))
		if err := t.fill(rng); err != nil {
			return m, err
		}
		if err := G.Let(t.noise, int64(number)); err != nil {
			return m, err
		}
		loss, info, err := t.learner.Step(t.c.Rate)
		if err != nil {
			return m, err
		}
		if info.Skipped {
			m.Skipped = true
			continue
		}
		count++
		m.Loss += loss
		m.GradNorm += info.GradNorm
		for name, v := range t.terms {
			m.Values[name] += scalar(*v)
		}
		if t.actions != nil && (u+1)%t.c.DecoderEvery == 0 {
			loss, info, err := t.decide(rng, number)
			if err != nil {
				return m, err
			}
			if info.Skipped {
				m.Values["decoder_skipped"]++
				continue
			}
			decided++
			m.Values["decoder"] += loss
		}
	}
	m.Loss /= max(count, 1)
	m.GradNorm /= max(count, 1)
	for name := range t.terms {
		m.Values[name] /= max(count, 1)
	}
	if t.actions != nil {
		m.Values["decoder"] /= max(decided, 1)
	}
	return m, nil
}

// fill draws the sequences of an update and scales them. Observations and rewards beyond Bound standard deviations of
// those of random actions are taken for that: a cart that runs away must not decide what the model learns.
func (t *Agent) fill(rng *rand.Rand) error {
	b, bound := t.batch, t.c.Bound
	if err := t.replay.sample(b, t.state.Episodes, t.recent(), t.c.Length, t.c.Batch, rng); err != nil {
		return err
	}
	t.scale(b.Obs, train.Convert[float64](b.Obs))
	for i, w := range b.Weight {
		b.Reward[i] = float32(env.Clamp(float64(b.Reward[i])/t.state.Reward, -bound, bound))
		if w == 0 {
			o := t.model.c.Obs
			clear(b.Obs[i*o : (i+1)*o])
		}
	}
	return nil
}

// someRow draws a row of the last update's sequences that a plan is to begin from: one of the recent ones, where there
// are any.
func (t *Agent) someRow(rng *rand.Rand) int {
	if t.recent() == 0 {
		return rng.IntN(len(t.batch.Weight))
	}
	n, from := t.c.Batch, t.c.Batch/2
	return rng.IntN(t.c.Length)*n + from + rng.IntN(n-from)
}

// recent is how many of the newest episodes half of an update's sequences are from, 0 for none. Of a run that has
// begun with another's episodes they are its own.
func (t *Agent) recent() int { return min(t.c.Recent, t.state.Episodes-t.state.Taken) }

// decide is an update of the decoder, from states of the last update's sequences.
func (t *Agent) decide(rng *rand.Rand, number uint64) (float64, kernels.StepInfo, error) {
	if err := t.learner.Sync(); err != nil {
		return 0, kernels.StepInfo{}, err
	}
	states, err := nn.Slice[float32](t.states)
	if err != nil {
		return 0, kernels.StepInfo{}, err
	}
	size := t.model.StateDim()
	for i := range t.c.DecoderBatch {
		row := t.someRow(rng)
		for t.batch.Weight[row] == 0 {
			row = t.someRow(rng)
		}
		copy(t.from[i*size:(i+1)*size], states[row*size:])
	}
	if err := G.Let(t.solveRun, int64(number)); err != nil {
		return 0, kernels.StepInfo{}, err
	}
	return t.actions.Step(t.c.DecoderRate)
}
