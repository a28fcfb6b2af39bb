package rl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

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

// open builds what the settings, complete, are of. Episodes are in the folder replay, "" for memory alone; with begin
// it starts from nothing, or from what s.Begin or s.From has.
func (p Program) open(s Settings, replay string, begin bool) (trainee, error) {
	maker := s.maker(p.Tasks)
	switch p.Name {
	case "train", "embed":
		a, err := NewAgent(maker, replay, s.agent())
		if err == nil && p.Name == "embed" && s.Begin != "" && begin {
			if err = a.adopt(s.Begin, s); err != nil {
				return nil, errors.Join(err, a.Close())
			}
		}
		return a, err
	case "finetune":
		c := s.agent()
		c.Collect, c.Batch, c.DecoderBatch, c.Planner.Backprop, c.Recent = 1, 1, 1, 1, 0 // it does not learn
		a, err := NewAgent(maker, "", c)
		if err != nil {
			return nil, err
		}
		defer a.Close()
		if begin {
			if err := a.source(s); err != nil {
				return nil, err
			}
		}
		search := s.Agent.Planner
		return a.FineTune(FineTuneConfig{Config: s.PPO, Frozen: s.Frozen, Std: s.Std, Learn: s.Learn, Hidden: s.Hidden,
			Backprop: search.Backprop, Temperature: search.Temperature, Samples: search.Samples, Elites: search.Elites,
			Iterations: search.Iterations})
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
	path := filepath.Join(dir, run.ConfigFile)
	from, err := readSettings(dir, TrainProgram.Name)
	if err != nil {
		return fmt.Errorf("%w (embed begins with a run of train: see --begin)", err)
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

// source takes the best state of the run of embed in s.From, whose model and search the settings must have.
func (t *Agent) source(s Settings) error {
	path := filepath.Join(s.From, run.ConfigFile)
	from, err := readSettings(s.From, EmbedProgram.Name)
	if err != nil {
		return fmt.Errorf("%w (finetune begins with a run of embed: see --from)", err)
	}
	if from.Env != s.Env || from.Repeat != s.Repeat {
		return fmt.Errorf("%s: env is %q and repeat %d, want %q and %d", path, from.Env, from.Repeat, s.Env, s.Repeat)
	}
	was, own := &from.Agent.Planner, s.Agent.Planner // but for what is not the nets'
	was.Backprop, was.Temperature = own.Backprop, own.Temperature
	was.Samples, was.Elites, was.Iterations = own.Samples, own.Elites, own.Iterations
	name, before, now, err := run.Differ(from.Agent, s.Agent)
	if err != nil {
		return err
	}
	if name != "" {
		return fmt.Errorf("agent.%s is %s, and %s in %s, whose controller is fine-tuned", name, now, before, path)
	}
	c, err := bestOf(s.From, AgentKind)
	if err != nil {
		return err
	}
	if err := t.load(c, false); err != nil {
		return fmt.Errorf("%s: %w", s.From, err)
	}
	return nil
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
	s, err := p.complete(settings, o)
	if err != nil {
		return err
	}
	if err := p.check(s, o); err != nil {
		return err
	}
	others, err := p.beside(s)
	if err != nil {
		return err
	}
	if err := run.PrepareOut(o.Out); err != nil {
		return err
	}
	release, err := run.Hold(o.Out)
	if err != nil {
		return err
	}
	defer release()
	replay := ""
	if o.Resume {
		replay = filepath.Join(o.Out, replayFolder)
	}
	task, err := p.open(s, replay, !resumes(o))
	if err != nil {
		if errors.Is(err, ErrEpisode) || errors.Is(err, ErrGap) {
			err = fmt.Errorf("%w (without it, those after it and %s, --resume makes the run again from the episodes "+
				"before it)", err, run.CheckpointFile)
		}
		return err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	if !o.Resume { // all that can be wrong was looked at: the earlier run is forgotten now
		if err := begin(task, &s, o.Out); err != nil {
			return err
		}
	}
	o.Steps, o.CheckpointEvery, o.ValidateEvery, o.Config = s.Steps, 1, s.Every, &s
	study := &study{program: p, s: s, dir: o.Out, others: others}
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

// check returns an error for a run that must not write into its folder: one that begins with the run that is there,
// and one that would go on with other settings than those of the episodes that are there.
func (p Program) check(s Settings, o run.Options) error {
	if dir := p.begins(s); dir != "" {
		from, errFrom := os.Stat(dir)
		out, errOut := os.Stat(o.Out)
		if errFrom == nil && errOut == nil && os.SameFile(from, out) {
			return fmt.Errorf("out folder %s: the run that %s begins with is there, want another folder", o.Out, p.Name)
		}
	}
	path := filepath.Join(o.Out, run.ConfigFile)
	if _, err := os.Lstat(path); err != nil || !o.Resume {
		return nil
	}
	was, err := readSettings(o.Out, p.Name)
	if err != nil {
		return err
	}
	name, before, now, err := run.Differ(was, s)
	if err == nil && name != "" {
		err = fmt.Errorf("%s: %s is %s, was %s, and cannot change on resume", path, name, now, before)
	}
	return err
}

// begins is the folder of the run that one of the program begins with; "": none.
func (p Program) begins(s Settings) string {
	return map[string]string{"finetune": s.From, "embed": s.Begin}[p.Name]
}

// begin makes a folder that of a run of which nothing is there yet but what the task has begun with.
func begin(task trainee, s *Settings, dir string) error {
	names := append([]string{run.CheckpointFile, run.BestFile, run.ConfigFile, run.ResultFile, ParamsFile},
		allFigures...)
	if err := run.Forget(dir, names...); err != nil {
		return err
	}
	replay := filepath.Join(dir, replayFolder)
	if err := os.RemoveAll(replay); err != nil {
		return fmt.Errorf("rl: %w", err)
	}
	a, ok := task.(*Agent)
	if !ok {
		return nil
	}
	// What episodes are of is to be known before there is a checkpoint.
	return errors.Join(run.SaveConfig(filepath.Join(dir, run.ConfigFile), s), a.replay.settle(replay))
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
	p, c, err := which(dir)
	if err != nil {
		return r, err
	}
	p.Tasks = tasks
	s, err := readSettings(dir, p.Name)
	if err != nil {
		return r, err
	}
	s.Judge, s.Agent.Judge, s.PPO.Judge = n, n, n
	task, err := p.open(s, "", false)
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
		// What the run's settings say of samples is of its own search.
		c, of := s.Agent.Planner, preset("train", s.Env, s.Preset).Agent.Planner
		c.Kind, c.Samples, c.Elites, c.Iterations, c.Sigma = FullCEM, of.Samples, of.Elites, of.Iterations, of.Sigma
		c.Backprop = 0
		return a.Judge(ctx, c, n, seed)
	}
	return task.returns(ctx, n, seed)
}

// which program's run is in the folder: of its best state, or the newest.
func which(dir string) (p Program, c *run.Checkpoint, err error) {
	if c, err = bestOf(dir, AgentKind); err == nil {
		if hasDecoder(c) {
			return EmbedProgram, c, nil
		}
		return TrainProgram, c, nil
	}
	if !errors.Is(err, run.ErrKind) {
		return p, nil, err
	}
	if c, err = bestOf(dir, PPOKind); err != nil {
		return p, nil, err
	}
	if slices.Contains(c.Arrays(), "params/actor/0/w") {
		return PPOProgram, c, nil
	}
	return FineTuneProgram, c, nil
}
