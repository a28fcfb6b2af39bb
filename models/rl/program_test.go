package rl

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
)

// quickSettings are of a run of seconds.
func quickSettings() Settings {
	s := DefaultSettings()
	s.Steps, s.Judge, s.Every, s.Figures = 2, 2, 1, false
	s.Agent = smallAgentConfig()
	s.Agent.Model = RSSMConfig{Deter: 8, Stoch: 3, Hidden: 8}
	s.PPO.Worlds, s.PPO.Parts, s.PPO.Passes = 2, 5, 1
	s.Hidden = []int{8}
	return s
}

func runProgram(t *testing.T, p Program, s Settings, dir string, resume bool) (string, error) {
	t.Helper()
	var w bytes.Buffer
	err := p.Run(context.Background(), s, run.Options{Out: dir, Resume: resume,
		Progress: run.ProgressOptions{Silent: true}}, &w)
	return w.String(), err
}

// TestPrograms: embed, finetune on its run, and ppo go through, on the swing-up; each leaves its files, and what it
// came to can be judged again from its folder.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	s := quickSettings()
	s.From = filepath.Join(dir, "embed")
	for _, p := range []Program{EmbedProgram, FineTuneProgram, PPOProgram} {
		out := filepath.Join(dir, p.Name)
		s.Figures, s.Beside = p.Name != "finetune", ""
		if p.Name == "ppo" {
			s.Beside = filepath.Join(dir, "embed") + "," + filepath.Join(dir, "finetune")
		}
		text, err := runProgram(t, p, s, out, false)
		if err != nil {
			t.Fatal(p.Name, err)
		}
		if !strings.Contains(text, "score") || !strings.Contains(text, "mean return") {
			t.Errorf("%s says %q", p.Name, text)
		}
		r, err := run.ReadResult(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"score", "return_median", "random_mean", "expert_mean"} {
			if _, ok := r.Metrics[name]; !ok {
				t.Errorf("%s: result.json has no %s", p.Name, name)
			}
		}
		want := []string{run.CheckpointFile, run.BestFile, run.MetricsFile, run.ConfigFile, ParamsFile}
		switch {
		case p.Name == "embed":
			want = append(want, allFigures...)
		case s.Figures: // what has no model and no search
			want = append(want, boxFigure, reportFile)
			page, err := os.ReadFile(filepath.Join(out, reportFile))
			if err != nil || !bytes.Contains(page, []byte("finetune (finetune)")) {
				t.Errorf("%v: the report does not show the runs beside it", err)
			}
		}
		for _, name := range want {
			if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
		judged, err := Evaluation(context.Background(), out, 2, mix(s.Seed, finalDraw), "", nil)
		if err != nil {
			t.Fatal(p.Name, err)
		}
		if judged.Mean() != r.Metrics["return_mean"] {
			t.Errorf("%s: judged again, the same episodes return %v, not %v", p.Name, judged.Mean(), r.Metrics["return_mean"])
		}
		full, err := Evaluation(context.Background(), out, 2, mix(s.Seed, finalDraw), FullCEM, nil)
		if p.Name == "embed" {
			if err != nil || full.Mean() == judged.Mean() {
				t.Errorf("%v: by the full search the same episodes return %v", err, full.Mean())
			}
		} else if err == nil || !strings.Contains(err.Error(), p.Name) {
			t.Errorf("%s: error %v, want that it has no model to search in", p.Name, err)
		}
	}
	s.Figures, s.Beside = false, ""
	if _, err := runProgram(t, EmbedProgram, s, filepath.Join(dir, "embed"), true); err != nil { // nothing is left to do
		t.Error(err)
	}
	other := s
	other.Seed = 9
	if _, err := runProgram(t, EmbedProgram, other, filepath.Join(dir, "embed"), true); err == nil ||
		!strings.Contains(err.Error(), "seed") {
		t.Errorf("a run is resumed with another seed: %v", err)
	}
	other = s
	other.Env = "pendulum"
	if _, err := runProgram(t, FineTuneProgram, other, filepath.Join(dir, "x"), false); err == nil ||
		!strings.Contains(err.Error(), "cartpole") {
		t.Errorf("the controller of another environment is fine-tuned: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for text, change := range map[string]func(*Settings){
		`preset is "slow"`: func(s *Settings) { s.Preset = "slow" },
		`vm is "abacus"`:   func(s *Settings) { s.Machine = "abacus" },
		"steps is -1":      func(s *Settings) { s.Steps = -1 },
		"std is -1":        func(s *Settings) { s.Std = -1 },
	} {
		s := DefaultSettings()
		change(&s)
		if _, err := runProgram(t, PPOProgram, s, t.TempDir(), false); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
	s := DefaultSettings()
	s.Agent.Updates, s.Hidden = 7, []int{}
	got, err := s.resolve("embed")
	if err != nil || got.Agent.Updates != 7 || got.Agent.Batch != 32 || !slices.Equal(got.Hidden, []int{64, 64}) ||
		got.Agent.Planner.Kind != LatentDCEM {
		t.Errorf("%v, %+v: want the preset in place of what is 0 alone", err, got.Agent)
	}
	if f, err := s.resolve("finetune"); err != nil || f.PPO.ValueRate != 1e-3 || f.PPO.Trust != 0.05 || !f.PPO.Keep ||
		f.Agent.Planner.Backprop != 0 || f.Agent.Planner.Temperature != 1 || preset("finetune", s.Env, Quick).Agent.Planner.Samples != 0 ||
		!f.Frozen.Transition || got.Agent.Planner.Backprop != 2 || got.Frozen.Transition {
		t.Errorf("%v, %+v, %+v", err, f.PPO, f.Agent.Planner)
	}
	if got.Agent.Model.ObsWeight != 100 || got.Agent.Planner.Horizon != 8 {
		t.Errorf("%+v: want what makes the cartpole quick", got.Agent)
	}
	s.Env = "cheetah-run"
	if got, err := s.resolve("train"); err != nil || got.Agent.Bound != 50 || got.Agent.Planner.Samples != 200 ||
		got.Agent.Collect != 1 {
		t.Errorf("%v, %+v: want what makes the cheetah quick", err, got.Agent)
	}
	// The paper's sizes are those that zeros stand for.
	s = DefaultSettings()
	s.Preset, s.Env = Paper, "cheetah-run"
	for program, want := range map[string][2]int{"train": {1000, 100}, "embed": {100, 10}} {
		got, err := s.resolve(program)
		if err != nil {
			t.Fatal(err)
		}
		c, err := got.Agent.withDefaults()
		if err != nil || c.Planner.Samples != want[0] || c.Planner.Elites != want[1] || c.Planner.Horizon != 12 ||
			c.Planner.Iterations != 10 || c.Batch != 50 || c.Length != 50 || c.First != 5 || got.Repeat != 4 {
			t.Errorf("%v, %+v", err, c)
		}
		if c.Planner.Backprop != 0 {
			t.Error("the paper's gradients go through all iterations")
		}
		c.Model.Obs, c.Model.Act = 17, 6
		m, err := c.Model.withDefaults()
		if err != nil || m.Deter != 200 || m.Stoch != 30 || m.Hidden != 200 || m.FreeNats != 3 || m.ObsWeight != 30 ||
			c.Bound != 50 || got.Judge != 100 || got.Steps != map[string]int{"train": 2000, "embed": 900}[program] {
			t.Errorf("%v, %+v", err, m)
		}
	}
	asked := ""
	s.Env = "walker-walk"
	if _, err := s.maker(func(name string) (env.Task, error) {
		asked = name
		return nil,
			os.ErrNotExist
	})(); !errors.Is(err, os.ErrNotExist) ||
		asked != "walker-walk" {
		t.Errorf("%v: asked for %q", err, asked)
	}
	s = DefaultSettings()
	s.Beside = t.TempDir()
	if _, err := runProgram(t, PPOProgram, s, t.TempDir(), false); err == nil ||
		!strings.Contains(err.Error(), "finished run") {
		t.Errorf("error %v, want one about the run beside it", err)
	}
	if _, err := Evaluation(context.Background(), t.TempDir(), 1, 1, "", nil); err == nil {
		t.Error("an empty folder is judged")
	}
	if s := Score(60, 20, 100); s != 0.5 {
		t.Errorf("score %v, want a half", s)
	}
}

// TestBegin: embed begins with the model and the episodes of a run of train, and a run that does ends in the same bits
// when it is resumed.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	s := quickSettings()
	s.Env, s.Repeat = "pendulum", 20
	first, whole, parts := filepath.Join(dir, "train"), filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
	if _, err := runProgram(t, TrainProgram, s, first, false); err != nil {
		t.Fatal(err)
	}
	from := checkpointArrays(t, first, AgentKind)
	s.Begin = first
	a, err := EmbedProgram.open(mustResolve(t, s), t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	agent := a.(*Agent)
	for name, want := range from {
		if param, ok := strings.CutPrefix(name, "model/params/"); ok {
			if got := nn.Values[float32](nn.Params{agent.Params().Get(param)}); !slices.Equal(got[0], want) {
				t.Errorf("%s is not that of the run of train", name)
			}
		}
	}
	if agent.state.Episodes != 6 || agent.replay.Len() != 6 || agent.state.EnvSteps != 6*10 {
		t.Errorf("%+v and %d episodes, want 6 of 10 steps", agent.state, agent.replay.Len())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := runProgram(t, EmbedProgram, s, whole, false); err != nil {
		t.Fatal(err)
	}
	one := s
	one.Steps = 1
	if _, err := runProgram(t, EmbedProgram, one, parts, false); err != nil {
		t.Fatal(err)
	}
	if _, err := runProgram(t, EmbedProgram, s, parts, true); err != nil {
		t.Fatal(err)
	}
	if beside, err := EmbedProgram.beside(s); err != nil || len(beside) != 1 || beside[0].program != "train" {
		t.Errorf("%v: %+v, want the run of train in the box plot", err, beside)
	}
	want := checkpointArrays(t, whole, AgentKind)
	if got := checkpointArrays(t, parts, AgentKind); !reflect.DeepEqual(got, want) {
		t.Error("resumed, the run ends elsewhere")
	}
	// Killed before the first checkpoint, it begins again, with the episodes that it has.
	if err := run.Forget(parts, run.CheckpointFile, run.BestFile); err != nil {
		t.Fatal(err)
	}
	if _, err := runProgram(t, EmbedProgram, s, parts, true); err != nil {
		t.Fatal(err)
	}
	if got := checkpointArrays(t, parts, AgentKind); !reflect.DeepEqual(got, want) {
		t.Error("begun again, the run ends elsewhere")
	}
	for text, change := range map[string]func(*Settings){
		"repeat 20":    func(s *Settings) { s.Repeat = 10 },
		"run of train": func(s *Settings) { s.Begin = filepath.Join(dir, "none") },
		"model/params": func(s *Settings) { s.Agent.Model.Deter = 9 },
	} {
		bad := s
		change(&bad)
		if _, err := runProgram(t, EmbedProgram, bad, filepath.Join(dir, "bad"), false); err == nil ||
			!strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
	if err := os.Remove(filepath.Join(first, replayFolder, "episode-000005.gde")); err != nil {
		t.Fatal(err)
	}
	if _, err := runProgram(t, EmbedProgram, s, filepath.Join(dir, "bad"), false); !errors.Is(err, run.ErrMismatch) {
		t.Errorf("error %v, want that an episode is missing", err)
	}
}

func mustResolve(t *testing.T, s Settings) Settings {
	t.Helper()
	r, err := s.resolve("embed")
	if err != nil {
		t.Fatal(err)
	}
	return r
}
