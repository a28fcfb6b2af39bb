package rl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
)

// shortSettings are of a run of a second on the pendulum, with episodes of 10 actions.
func shortSettings() Settings {
	s := quickSettings()
	s.Env, s.Repeat = "pendulum", 20
	return s
}

// files is what a folder holds.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			raw, e := os.ReadFile(path)
			all[path], err = string(raw), e
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mustRun(t *testing.T, p Program, s Settings, dir string, resume bool) {
	t.Helper()
	if _, err := runProgram(t, p, s, dir, resume); err != nil {
		t.Fatal(p.Name, err)
	}
}

// wants fails unless an error has a text.
func wants(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: error %v, want one with %q", what, err, text)
	}
}

// TestFailedStart: a start that fails leaves the run that is in its folder as it is.
func TestFailedStart(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	embed := filepath.Join(dir, "embed")
	s := shortSettings()
	s.Steps = 1
	mustRun(t, EmbedProgram, s, embed, false)
	before := files(t, embed)
	if err := os.Symlink(embed, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	far := EmbedProgram
	far.Tasks = func(string) (env.Task, error) { return nil, os.ErrNotExist }
	for what, c := range map[string]struct {
		program Program
		out     string
		change  func(*Settings)
		want    string
	}{
		"no environment": {far, embed, func(s *Settings) { s.Env = "cheetah-run" }, os.ErrNotExist.Error()},
		"planner":        {EmbedProgram, embed, func(s *Settings) { s.Agent.Planner.Backprop = 99 }, "backprop = 99"},
		"sizes":          {PPOProgram, embed, func(s *Settings) { s.PPO.Parts = 7 }, "parts = 7"},
		"no from":        {FineTuneProgram, embed, func(s *Settings) { s.From = "none" }, "--from"},
		"no begin":       {EmbedProgram, embed, func(s *Settings) { s.Begin = "none" }, "--begin"},
		"its own from":   {FineTuneProgram, embed, func(s *Settings) { s.From = "link" }, "another folder"},
		"its own begin":  {EmbedProgram, "./embed/", func(s *Settings) { s.Begin = embed }, "another folder"},
	} {
		bad := s
		c.change(&bad)
		_, err := runProgram(t, c.program, bad, c.out, false)
		wants(t, what, err, c.want)
		if !reflect.DeepEqual(files(t, embed), before) {
			t.Fatalf("%s: the run that was there is not what it was", what)
		}
	}
	// One that does not fail begins anew.
	s.Seed = 5
	mustRun(t, EmbedProgram, s, embed, false)
	for path := range files(t, embed) {
		raw, err := os.ReadFile(path)
		if strings.HasSuffix(path, episodeSuffix) && (err != nil || string(raw) == before[path]) {
			t.Errorf("%v: %s is of the run before", err, path)
		}
	}
}

// stopping is a stepper that interrupts the run after so many steps.
type stopping struct {
	train.Stepper[float32]
	after int
	stop  func()
}

func (s *stopping) Step(rate float64) (float64, kernels.StepInfo, error) {
	if s.after--; s.after == 0 {
		defer s.stop()
	}
	return s.Stepper.Step(rate)
}

// TestInterrupted: a run that is interrupted within a phase, the first one too, ends as one that was left alone.
func TestInterrupted(t *testing.T) {
	o := run.Options{Steps: 3, ValidateEvery: 2, CheckpointEvery: 1, Progress: run.ProgressOptions{Silent: true}}
	for _, c := range []struct {
		kind    string
		updates int // of a phase
		open    func(dir string) (run.Task, *train.Stepper[float32])
	}{
		{agentKind, 3, func(dir string) (run.Task, *train.Stepper[float32]) {
			a := smallAgent(t, shortPendulum, filepath.Join(dir, "replay"), smallAgentConfig())
			return a, &a.learner
		}},
		{ppoKind, 8, func(string) (run.Task, *train.Stepper[float32]) {
			p := smallPPO(t, Named("pendulum"), Config{Seed: 3})
			return p, &p.stepper
		}},
	} {
		whole := o
		whole.Out = t.TempDir()
		task, _ := c.open(whole.Out)
		if _, err := run.Train(context.Background(), task, whole); err != nil {
			t.Fatal(err)
		}
		want := checkpointArrays(t, whole.Out, c.kind)
		for _, after := range []int{1, c.updates + 2} {
			cut := o
			cut.Out = t.TempDir()
			task, stepper := c.open(cut.Out)
			ctx, stop := context.WithCancel(context.Background())
			*stepper = &stopping{*stepper, after, stop}
			out, err := run.Train(ctx, task, cut)
			stop()
			if err != nil || !out.Interrupted || out.Step != after/c.updates {
				t.Fatalf("%s: %+v, %v: want an interrupt after %d steps", c.kind, out, err, after/c.updates)
			}
			now := run.NewCheckpoint(c.kind, out.Step)
			if err := task.Save(now); err != nil {
				t.Fatal(err)
			}
			for name, saved := range checkpointArrays(t, cut.Out, c.kind) {
				if v, _, err := run.ArrayOf[float32](now, name); err != nil || !reflect.DeepEqual(v, saved) {
					t.Errorf("%s: %v: %s is not what the checkpoint has", c.kind, err, name)
				}
			}
			cut.Resume = true
			task, _ = c.open(cut.Out)
			if _, err := run.Train(context.Background(), task, cut); err != nil {
				t.Fatal(err)
			}
			if got := checkpointArrays(t, cut.Out, c.kind); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: interrupted after %d updates, the run ends elsewhere", c.kind, after)
			}
		}
	}
}

// TestJudgingGivesUp: an evaluation does not outlast an interrupt.
func TestJudgingGivesUp(t *testing.T) {
	a, p := smallAgent(t, shortPendulum, "", smallAgentConfig()), smallPPO(t, Named("pendulum"), Config{Seed: 3})
	ctx, stop := context.WithCancel(context.Background())
	stop()
	for _, v := range []run.ContextValidator{a, p} {
		if _, _, err := v.ValidateContext(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that it was interrupted", err)
		}
	}
}

// TestSavedSettings: a run is what its folder says, whatever its presets say by then: what it saves has no zeros to be
// filled in, and resume, finetune and eval go by it.
func TestSavedSettings(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "embed")
	s := shortSettings()
	s.Steps = 1
	mustRun(t, EmbedProgram, s, out, false)
	var saved Settings
	if err := run.LoadConfig(filepath.Join(out, run.ConfigFile), &saved); err != nil {
		t.Fatal(err)
	}
	want := mustResolve(t, s)
	if name, was, now, err := run.Differ(want, saved); err != nil || name != "" || saved.Agent.Rate != 1e-3 ||
		saved.Agent.Model.RewardWeight != 10 || saved.PPO.Clip != 0.2 || saved.Agent.Planner.Sigma != 0.5 {
		t.Errorf("%v: %s is %s, want %s; %+v", err, name, now, was, saved)
	}
	for _, file := range []string{run.CheckpointFile, run.BestFile} {
		c, err := run.Load(filepath.Join(out, file), AgentKind)
		if err == nil {
			err = run.SameConfig(c, &saved)
		}
		if err != nil {
			t.Error(err)
		}
	}
	// What is not said is as it was, though it is not the preset's.
	more := s
	more.Steps, more.Agent, more.Repeat = 2, AgentConfig{}, 0
	mustRun(t, EmbedProgram, more, out, true)
	whole := s
	whole.Steps = 2
	mustRun(t, EmbedProgram, whole, filepath.Join(dir, "whole"), false)
	end := checkpointArrays(t, filepath.Join(dir, "whole"), AgentKind)
	if !reflect.DeepEqual(checkpointArrays(t, out, AgentKind), end) {
		t.Error("resumed, the run ends elsewhere")
	}
	more.Agent.Updates = 9
	_, err := runProgram(t, EmbedProgram, more, out, true)
	wants(t, "another number of updates", err, "agent.updates is 9, was 3")
	// Train and embed are not each other's.
	_, err = runProgram(t, TrainProgram, whole, out, true)
	wants(t, "train", err, "run of embed, want one of train")
	// Killed before its first checkpoint, it is of its seed still.
	if err := run.Forget(out, run.CheckpointFile, run.BestFile); err != nil {
		t.Fatal(err)
	}
	whole.Seed = 9
	_, err = runProgram(t, EmbedProgram, whole, out, true)
	wants(t, "another seed", err, "seed is 9, was 0")
	// A spoilt episode is not the end of it.
	path := filepath.Join(out, replayFolder, "episode-000004.gde")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole.Seed = 0
	_, err = runProgram(t, EmbedProgram, whole, out, true)
	wants(t, "a spoilt episode", err, "makes the run again from the episodes before it")
	if err := run.Forget(filepath.Dir(path), "episode-000004.gde", "episode-000005.gde"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, EmbedProgram, whole, out, true)
	if !reflect.DeepEqual(checkpointArrays(t, out, AgentKind), end) {
		t.Error("from the episodes before a spoilt one, the run ends elsewhere")
	}
	// Settings of which nobody knows what they stood for.
	if err := run.SaveConfig(filepath.Join(out, run.ConfigFile), DefaultSettings()); err != nil {
		t.Fatal(err)
	}
	const old = "did not save what the preset stood for"
	_, err = runProgram(t, EmbedProgram, whole, out, true)
	wants(t, "resume", err, old)
	whole.From = out
	_, err = runProgram(t, FineTuneProgram, whole, filepath.Join(dir, "tuned"), false)
	wants(t, "finetune", err, old)
	_, err = Evaluation(context.Background(), out, 1, 1, "", nil)
	wants(t, "eval", err, old)
}

// TestFineTuneAlone: a run of finetune needs the run that it began with no more.
func TestFineTuneAlone(t *testing.T) {
	dir := t.TempDir()
	s := shortSettings()
	s.Steps = 1
	s.Agent.Planner.Temperature = 0.5
	s.From = filepath.Join(dir, "embed")
	mustRun(t, EmbedProgram, s, s.From, false)
	tuned, whole := filepath.Join(dir, "tuned"), filepath.Join(dir, "whole")
	f := s
	f.Agent = AgentConfig{}        // as the run has it
	f.Repeat, f.PPO.Keep = 0, true // a rate that falls depends on the number of iterations
	for text, change := range map[string]func(*Settings){
		"agent.planner.horizon is 4, and 3 in": func(f *Settings) { f.Agent.Planner.Horizon = 4 },
		"repeat 20":                            func(f *Settings) { f.Repeat = 10 },
	} {
		bad := f
		change(&bad)
		_, err := runProgram(t, FineTuneProgram, bad, tuned, false)
		wants(t, "another search", err, text)
	}
	mustRun(t, FineTuneProgram, f, tuned, false)
	long := f
	long.Steps = 2
	mustRun(t, FineTuneProgram, long, whole, false)
	judge := func() float64 {
		r, err := Evaluation(context.Background(), tuned, 2, 1, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Mean()
	}
	want := judge()
	s.Agent.Planner.Iterations, s.Agent.Planner.Temperature = 3, 2
	mustRun(t, EmbedProgram, s, s.From, false) // anew
	if got := judge(); got != want {
		t.Errorf("trained anew, the run that it began with changes its return from %v to %v", want, got)
	}
	if err := os.Rename(s.From, s.From+"-moved"); err != nil {
		t.Fatal(err)
	}
	if got := judge(); got != want {
		t.Errorf("moved, the run that it began with changes its return from %v to %v", want, got)
	}
	mustRun(t, FineTuneProgram, long, tuned, true)
	if !reflect.DeepEqual(checkpointArrays(t, tuned, PPOKind), checkpointArrays(t, whole, PPOKind)) {
		t.Error("resumed, the run ends elsewhere")
	}
}

// TestZeros: in complete settings a zero is a zero, or an error that names it.
func TestZeros(t *testing.T) {
	s := DefaultSettings()
	s.From = t.TempDir()
	if err := run.SaveConfig(filepath.Join(s.From, run.ConfigFile), mustResolve(t, s)); err != nil {
		t.Fatal(err)
	}
	d, err := FineTuneProgram.Defaults(s, run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.PPO.Trust != 0.05 || d.PPO.ValueRate != 1e-3 || d.Agent.Planner.Backprop != 0 || d.Agent.Updates != 100 {
		t.Errorf("%+v", d)
	}
	d.PPO.Trust, d.PPO.ValueRate, d.Agent.Noise, d.Agent.Model.FreeNats = 0, 0, 0, 0
	got, err := FineTuneProgram.complete(d, run.Options{})
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("%v: %+v, want %+v", err, got, d)
	}
	c, err := got.agent().withDefaults()
	if err != nil || c.Noise > 0 {
		t.Errorf("%v: noise is %v, want none", err, c.Noise)
	}
	if c.Model.Obs, c.Model.Act = 1, 1; c.Model.FreeNats > 0 {
		t.Errorf("%v free nats, want none", c.Model.FreeNats)
	}
	for text, change := range map[string]func(*Settings){
		"ppo.value is 0":           func(s *Settings) { s.PPO.Value = 0 },
		"agent.planner.sigma is 0": func(s *Settings) { s.Agent.Planner.Sigma = 0 },
		"agent.model.stoch is 0":   func(s *Settings) { s.Agent.Model.Stoch = 0 },
		"steps is 0":               func(s *Settings) { s.Steps = 0 },
		"std is 0":                 func(s *Settings) { s.Std = 0 },
	} {
		bad := d
		change(&bad)
		_, err := runProgram(t, PPOProgram, bad, t.TempDir(), false)
		wants(t, text, err, text)
	}
}
