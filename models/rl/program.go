package rl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	G "gorgonia.org/gorgonia"
)

// Kinds of the programs' checkpoints.
const (
	AgentKind = agentKind
	PPOKind   = ppoKind
)

// A Program is one of the trainings.
type Program struct {
	Name string
	Kind string // of its checkpoints
	// Tasks makes the environments that package env does not have.
	Tasks func(name string) (env.Task, error)
}

// The programs.
var (
	TrainProgram    = Program{Name: "train", Kind: AgentKind}  // a model, planning by the full cross-entropy method
	EmbedProgram    = Program{Name: "embed", Kind: AgentKind}  // a model and a decoder, planning by latent DCEM
	FineTuneProgram = Program{Name: "finetune", Kind: PPOKind} // PPO through the controller of embed
	PPOProgram      = Program{Name: "ppo", Kind: PPOKind}      // PPO on a net: the baseline
)

const (
	replayFolder = "replay"
	// ParamsFile has all parameters of a finished run.
	ParamsFile = "params.npz"
)

// trainee is what the programs train.
type trainee interface {
	run.Validator
	Params() nn.Params
	Close() error
	returns(ctx context.Context, n int, seed uint64) (Returns, error)
	// watch runs an evaluation and shows what happens in its first environment.
	watch(ctx context.Context, seed uint64, see func(moment)) error
}

func (t *Agent) returns(ctx context.Context, n int, seed uint64) (Returns, error) {
	return t.Judge(ctx, t.c.Planner, n, seed)
}

func (t *PPO) returns(ctx context.Context, _ int, seed uint64) (Returns, error) {
	return t.Judge(ctx, seed)
}

// open builds what the settings, resolved, are of. folder is the run's own; with begin it starts from nothing, or
// from what s.Begin has.
func (p Program) open(s Settings, folder string, begin bool) (trainee, error) {
	maker := s.maker(p.Tasks)
	switch p.Name {
	case "train", "embed":
		a, err := NewAgent(maker, filepath.Join(folder, replayFolder), s.Agent)
		if err == nil && p.Name == "embed" && s.Begin != "" && begin {
			if err = a.adopt(s.Begin, s); err != nil {
				return nil, errors.Join(err, a.Close())
			}
		}
		return a, err
	case "finetune":
		a, err := p.source(s)
		if err != nil {
			return nil, err
		}
		defer a.Close()
		search := s.Agent.Planner
		c := FineTuneConfig{Config: s.PPO, Frozen: s.Frozen, Std: s.Std, Learn: s.Learn, Hidden: s.Hidden,
			Backprop: search.Backprop, Temperature: search.Temperature, Samples: search.Samples, Elites: search.Elites,
			Iterations: search.Iterations}
		return a.FineTune(c)
	}
	e, err := maker()
	if err != nil {
		return nil, err
	}
	o, a := e.ObsDim(), e.ActDim()
	if err := e.Close(); err != nil {
		return nil, err
	}
	g := G.NewGraph()
	actor, err := NewNet(g, NetConfig{Name: "actor", In: o, Out: a, Hidden: s.Hidden, Scale: 0.01, Seed: s.Seed})
	if err != nil {
		return nil, err
	}
	value, err := NewNet(g, NetConfig{Name: "value", In: o, Out: 1, Hidden: s.Hidden, Seed: s.Seed})
	if err != nil {
		return nil, err
	}
	policy, err := NewPolicy(g, actor, a, s.Std, false)
	if err != nil {
		return nil, err
	}
	return NewPPO(maker, policy, value, s.PPO)
}

// resumes says whether a run goes on from a checkpoint. One that was killed before its first begins again, with the
// episodes that it has.
func resumes(o run.Options) bool {
	_, err := os.Lstat(filepath.Join(o.Out, run.CheckpointFile))
	return o.Resume && err == nil
}

// adopt takes the model, its optimiser, the scales and the episodes of the newest state of a run of train, s being the
// agent's own settings, resolved.
func (t *Agent) adopt(dir string, s Settings) error {
	from, path := DefaultSettings(), filepath.Join(dir, run.ConfigFile)
	if err := run.LoadConfig(path, &from); err != nil {
		return fmt.Errorf("%w (embed begins with a run of train: see --begin)", err)
	}
	from, err := from.resolve("train")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if from.Env != s.Env || from.Repeat != s.Repeat {
		return fmt.Errorf("%s: env is %q and repeat %d, want %q and %d", path, from.Env, from.Repeat, s.Env, s.Repeat)
	}
	c, err := run.Load(filepath.Join(dir, run.CheckpointFile), agentKind)
	if err != nil {
		return err
	}
	state, err := t.readState(c)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	old, err := OpenReplay(filepath.Join(dir, replayFolder), t.model.c.Obs, t.model.c.Act)
	if err != nil {
		return err
	}
	if old.Len() < state.Episodes {
		return fmt.Errorf("%s: %d episodes, want the %d of its checkpoint: %w", dir, old.Len(), state.Episodes,
			run.ErrMismatch)
	}
	for i := t.replay.Len(); i < state.Episodes; i++ {
		if err := t.replay.Append(old.Episode(i)); err != nil {
			return err
		}
	}
	if err := loadNets(c, "model", t.learner, t.model.Params()); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	state.Seen.Bound, state.Taken = t.c.Bound, state.Episodes
	t.state = state
	return nil
}

// source is the agent of the run in s.From, with its best state.
func (p Program) source(s Settings) (*Agent, error) {
	from := DefaultSettings()
	path := filepath.Join(s.From, run.ConfigFile)
	if err := run.LoadConfig(path, &from); err != nil {
		return nil, fmt.Errorf("%w (finetune begins with a run of embed: see --from)", err)
	}
	if from.Env != s.Env {
		return nil, fmt.Errorf("%s: env is %q, want %q", path, from.Env, s.Env)
	}
	from, err := from.resolve("embed")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c, err := bestOf(s.From, AgentKind)
	if err != nil {
		return nil, err
	}
	a, err := NewAgent(from.maker(p.Tasks), "", from.Agent)
	if err != nil {
		return nil, err
	}
	if err := a.load(c, false); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.From, err), a.Close())
	}
	return a, nil
}

// bestOf is the checkpoint of the best state of a run, or the newest where there was no evaluation yet.
func bestOf(dir, kind string) (*run.Checkpoint, error) {
	path := filepath.Join(dir, run.BestFile)
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		path = filepath.Join(dir, run.CheckpointFile)
	}
	return run.Load(path, kind)
}

// Run trains, judges the best state and writes result.json and the report into o.Out. A run that ctx interrupts saves
// its state and returns run.ErrInterrupted. With o.Resume it goes on: no episode that was collected is lost.
func (p Program) Run(ctx context.Context, settings Settings, o run.Options, w io.Writer) (err error) {
	s, err := settings.resolve(p.Name)
	if err != nil {
		return err
	}
	others, err := p.beside(s)
	if err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	if !o.Resume {
		names := append([]string{run.CheckpointFile, run.BestFile, run.ConfigFile, run.ResultFile, ParamsFile},
			allFigures...)
		if err := run.Forget(o.Out, names...); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(o.Out, replayFolder)); err != nil {
			return fmt.Errorf("rl: %w", err)
		}
	}
	task, err := p.open(s, o.Out, !resumes(o))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = s.Steps, 1, s.Every, &settings
	study := &study{program: p, s: s, settings: settings, dir: o.Out, others: others}
	if s.Figures {
		o.Draw = study.live
	}
	if study.outcome, err = run.Train(ctx, task, o); err != nil {
		return err
	}
	if err := study.outcome.Err(); err != nil {
		return errors.Join(run.WriteResult(o.Out, study.result()), err)
	}
	if study.outcome.BestStep > 0 {
		if _, err := run.LoadBest(o.Out, task); err != nil {
			return err
		}
	}
	if err := study.judge(ctx, task); err != nil {
		return err
	}
	if err := nn.SaveNPZ(filepath.Join(o.Out, ParamsFile), task.Params()); err != nil {
		return err
	}
	fmt.Fprintln(w, study.summary())
	err = run.Finish(o.Out, study.result(), func() error {
		if !s.Figures {
			return nil
		}
		return study.draw(ctx, task)
	})
	if err != nil || !s.Figures {
		return err
	}
	fmt.Fprintf(w, "figures   %s\n", filepath.Join(o.Out, reportFile))
	return nil
}

// Evaluation judges the best state of the run in dir on n episodes: those of the seed. planner is "" for the run's
// own, or [FullCEM]: what the model of a run of embed is worth to the search of train with the same preset.
func Evaluation(ctx context.Context, dir string, n int, seed uint64, planner string,
	tasks func(name string) (env.Task, error)) (r Returns, err error) {
	if n < 1 {
		return r, fmt.Errorf("episodes is %d, want at least 1", n)
	}
	if planner != "" && planner != FullCEM {
		return r, fmt.Errorf("planner is %q, want %q, or nothing for the run's own", planner, FullCEM)
	}
	result := DefaultSettings()
	if err := run.LoadConfig(filepath.Join(dir, run.ConfigFile), &result); err != nil {
		return r, err
	}
	p, c, err := which(dir, result)
	if err != nil {
		return r, err
	}
	p.Tasks = tasks
	s, err := result.resolve(p.Name)
	if err != nil {
		return r, err
	}
	s.Judge, s.Agent.Judge, s.PPO.Judge = n, n, n
	empty, err := os.MkdirTemp("", "godcem-rl-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(empty)) }()
	task, err := p.open(s, empty, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	a, ok := task.(*Agent)
	switch {
	case ok:
		err = a.load(c, false)
	case planner != "":
		err = fmt.Errorf("a run of %s, which has no model of the agent's to plan in", p.Name)
	default:
		err = task.Load(c)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", dir, err)
	}
	if planner != "" {
		full, err := result.resolve("train")
		if err != nil {
			return r, err
		}
		// What the run's settings say of samples is of its own search.
		c, of := full.Agent.Planner, preset("train", full.Env, full.Preset).Agent.Planner
		c.Samples, c.Elites, c.Iterations, c.Sigma = of.Samples, of.Elites, of.Iterations, of.Sigma
		return a.Judge(ctx, c, n, seed)
	}
	return task.returns(ctx, n, seed)
}

// which program's run is in the folder: of its best state, or the newest.
func which(dir string, s Settings) (p Program, c *run.Checkpoint, err error) {
	if c, err = bestOf(dir, AgentKind); err == nil {
		for _, name := range c.Arrays() {
			if strings.HasPrefix(name, "decoder/params/") {
				return EmbedProgram, c, nil
			}
		}
		return TrainProgram, c, nil
	}
	if !errors.Is(err, run.ErrKind) {
		return p, nil, err
	}
	if c, err = bestOf(dir, PPOKind); err != nil {
		return p, nil, err
	}
	for _, name := range c.Arrays() {
		if name == "params/actor/0/w" {
			return PPOProgram, c, nil
		}
	}
	return FineTuneProgram, c, nil
}
