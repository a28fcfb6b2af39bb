package rl

import (
	"context"
	"errors"
	"fmt"
	imagedraw "image/draw"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
)

// A Cost is the time of one part of a training.
type Cost struct {
	Program string  `json:"program"`
	Part    string  `json:"part"`
	Seconds float64 `json:"seconds"` // of one, measured here
	Count   float64 `json:"count"`   // in the whole training
	Rows    int     `json:"rows"`    // states at once when it was measured
	Of      int     `json:"of"`      // states at once in the training: time and memory are in proportion
	Bytes   int     `json:"bytes"`   // of memory when it was measured; 0: not known
}

// GB is the memory of the part in the training, in 10^9 bytes.
func (c Cost) GB() float64 { return float64(c.Bytes) * float64(c.Of) / float64(c.Rows) / 1e9 }

// memoryOf is the memory of a step on the engine, in bytes.
func memoryOf(step any) int {
	if s, ok := step.(interface{ Memory() int }); ok {
		return s.Memory()
	}
	return 0
}

// Hours are those of the whole training.
func (c Cost) Hours() float64 { return c.Seconds * float64(c.Of) / float64(c.Rows) * c.Count / 3600 }

// Costs measures single steps of the learning and planning that the programs train, embed and finetune consist of,
// with the nets and searches of the settings, and counts how many there are in their whole trainings. The simulation
// of the environment is left out: MuJoCo's 2 million steps of the cheetah take seconds. Gradients through searches of
// many states at once take more memory than time: they are measured on few states.
func Costs(ctx context.Context, s Settings, tasks func(name string) (env.Task, error)) (all []Cost, err error) {
	const few = 4
	for _, p := range []Program{TrainProgram, EmbedProgram} {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		c, err := s.resolve(p.Name)
		if err != nil {
			return nil, err
		}
		maker, episode, err := c.still(tasks)
		if err != nil {
			return nil, err
		}
		a := c.Agent
		if a, err = a.withDefaults(); err != nil {
			return nil, err
		}
		whole, updates := a, float64(c.Steps*a.Updates)
		decisions := float64(c.Steps*episode) + float64(c.Steps/c.Every*c.Judge*episode)/float64(a.Collect)
		a.Updates, a.DecoderEvery, a.DecoderBatch = 1, 1, min(few, a.DecoderBatch)
		t, err := NewAgent(maker, "", a)
		if err != nil {
			return nil, err
		}
		err = t.costs(ctx, p.Name, whole, updates, decisions, &all)
		if err == nil && p.Name == "embed" {
			var f Settings
			if f, err = s.resolve("finetune"); err == nil {
				err = t.tuneCosts(f, episode, few, &all)
			}
		}
		if err = errors.Join(err, t.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// costs measures the updates of an agent and its decisions.
func (t *Agent) costs(ctx context.Context, program string, whole AgentConfig, updates, decisions float64,
	all *[]Cost) error {
	rng := rand.New(rand.NewPCG(1, 1))
	o, a, n := t.model.c.Obs, t.model.c.Act, t.c.Length
	e := &Episode{Obs: make([]float32, (n+1)*o), Action: make([]float32, n*a), Reward: make([]float32, n)}
	for _, v := range [][]float32{e.Obs, e.Action, e.Reward} {
		for i := range v {
			v[i] = 2*rng.Float32() - 1
		}
	}
	if err := t.replay.Append(e); err != nil {
		return err
	}
	t.state.Episodes = 1
	t.state.Seen.add(slices.Concat(slices.Repeat([]float64{-1}, o), slices.Repeat([]float64{1}, o)))
	one, err := timed(func(i int) error {
		if err := t.fill(rng); err != nil {
			return err
		}
		if err := G.Let(t.noise, int64(i)); err != nil {
			return err
		}
		_, _, err := t.learner.Step(t.c.Rate)
		return err
	})
	if err != nil {
		return err
	}
	*all = append(*all, Cost{program, "update of the model", one, updates, t.c.Batch, whole.Batch, memoryOf(t.learner)})
	action := make([]float32, t.worlds.Size()*a)
	t.pilot.load(t.Params())
	if one, err = timed(func(i int) error { return t.pilot.planner.plan(uint64(i), action) }); err != nil {
		return err
	}
	name := "decision by the full cross-entropy method"
	if t.actions != nil {
		name = "decision by latent DCEM"
	}
	*all = append(*all, Cost{program, name, one, decisions, t.worlds.Size(), whole.Collect, 0})
	if t.actions == nil {
		return ctx.Err()
	}
	if one, err = timed(func(i int) error { _, _, err := t.decide(rng, uint64(i)); return err }); err != nil {
		return err
	}
	*all = append(*all, Cost{program, "update of the decoder", one, updates / float64(whole.DecoderEvery),
		t.c.DecoderBatch, whole.DecoderBatch, memoryOf(t.actions)})
	return ctx.Err()
}

// tuneCosts measures PPO through the agent's controller.
func (t *Agent) tuneCosts(s Settings, episode, rows int, all *[]Cost) error {
	c := FineTuneConfig{Config: s.PPO, Frozen: s.Frozen, Std: s.Std, Learn: s.Learn, Hidden: s.Hidden}
	c.PPOConfig = c.PPOConfig.WithDefaults()
	worlds, steps := c.Worlds, s.PPO.Length
	if steps == 0 {
		steps = episode
	}
	whole := worlds * steps
	c.Worlds, c.Length, c.Parts, c.Judge = 1, rows, 1, 1
	p, err := t.FineTune(c)
	if err != nil {
		return err
	}
	defer p.Close()
	one, err := timed(func(int) error { _, _, err := p.stepper.Step(c.Rate); return err })
	if err != nil {
		return err
	}
	iterations := float64(s.Steps)
	*all = append(*all, Cost{"finetune", "update through the controller", one,
		iterations * float64(c.Passes*s.PPO.Parts), rows, whole / s.PPO.Parts, memoryOf(p.stepper)})
	action := make([]float32, t.worlds.ActDim())
	if one, err = timed(func(int) error { return p.actor.act(1, 0, action) }); err != nil {
		return err
	}
	// Each state is decided on once when it is collected and once when it is scored.
	decisions := 2*iterations*float64(steps) + iterations/float64(s.Every)*float64(s.Judge*episode)/float64(worlds)
	*all = append(*all, Cost{"finetune", "decision by latent DCEM", one, decisions, 1, worlds, 0})
	return nil
}

// size is GB for a table.
func (c Cost) size() string {
	if c.Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.3g", c.GB())
}

// timed is the least time of one of three calls, after a first one.
func timed(f func(i int) error) (seconds float64, err error) {
	for i := range 4 {
		start := time.Now()
		if err := f(i); err != nil {
			return 0, err
		}
		if d := time.Since(start).Seconds(); i == 1 || i > 1 && d < seconds {
			seconds = d
		}
	}
	return seconds, nil
}

// PrintCosts writes a table of the costs: what each part takes, and the hours of all of a program.
func PrintCosts(w io.Writer, all []Cost) error {
	t := &strings.Builder{}
	fmt.Fprintf(t, "%-9s %-42s %12s %12s %8s %8s\n", "program", "part", "seconds", "times", "GB", "hours")
	hours := 0.0
	for i, c := range all {
		note := ""
		if c.Rows != c.Of {
			note = fmt.Sprintf("  measured on %d of %d states", c.Rows, c.Of)
		}
		fmt.Fprintf(t, "%-9s %-42s %12.4g %12.4g %8s %8.3g%s\n", c.Program, c.Part, c.Seconds, c.Count, c.size(), c.Hours(),
			note)
		if hours += c.Hours(); i == len(all)-1 || all[i+1].Program != c.Program {
			fmt.Fprintf(t, "%-9s %-42s %12s %12s %8s %8.3g\n", c.Program, "all of it", "", "", "", hours)
			hours = 0
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// still makes tasks of the environment's sizes that do not move; those of MuJoCo's are known without it.
func (s Settings) still(tasks func(name string) (env.Task, error)) (m Maker, episode int, err error) {
	t := still{name: s.Env}
	switch s.Env {
	case "cheetah-run":
		t.obs, t.act, t.steps = 17, 6, 1000
	case "walker-walk":
		t.obs, t.act, t.steps = 24, 6, 1000
	default:
		whole := s
		whole.Repeat = 1
		one, err := whole.maker(tasks)()
		if err != nil {
			return nil, 0, err
		}
		t.obs, t.act, t.steps = one.ObsDim(), one.ActDim(), one.Steps()
		if err := one.Close(); err != nil {
			return nil, 0, err
		}
	}
	t.steps = (t.steps + s.Repeat - 1) / s.Repeat
	return func() (env.Task, error) { one := t; return &one, nil }, t.steps, nil
}

// still is a task in which nothing happens.
type still struct {
	name            string
	obs, act, steps int
	done            int
}

func (t *still) Name() string           { return t.name }
func (t *still) ObsDim() int            { return t.obs }
func (t *still) ActDim() int            { return t.act }
func (t *still) Observations() []string { return strings.Split(strings.Repeat("o", t.obs), "") }
func (t *still) Actions() []string      { return strings.Split(strings.Repeat("a", t.act), "") }
func (t *still) Bounds() (lower, upper []float64) {
	return slices.Repeat([]float64{-1}, t.act), slices.Repeat([]float64{1}, t.act)
}
func (t *still) Steps() int                          { return t.steps }
func (t *still) Dt() float64                         { return 1 }
func (t *still) Fault() error                        { return nil }
func (t *still) Close() error                        { return nil }
func (t *still) Draw(imagedraw.Image)                {}
func (t *still) Reset(_ uint64, obs []float64) error { clear(obs); t.done = 0; return nil }
func (t *still) Step(_, obs []float64) (float64, env.Status, error) {
	clear(obs)
	if t.done++; t.done >= t.steps {
		return 0, env.TimeLimit, nil
	}
	return 0, env.Running, nil
}

var _ env.Task = (*still)(nil)
