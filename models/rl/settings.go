package rl

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
)

// Presets.
const (
	Quick = "quick" // minutes on two cores
	Day   = "day"   // a day of a workstation with a GPU
	Paper = "paper" // the paper's sizes
)

var presetNames = []string{Quick, Day, Paper}

// Settings are the configuration of the programs. A zero stands for what the preset says, unless they are Complete.
type Settings struct {
	Env    string `json:"env" help:"cartpole, pendulum, cheetah-run or walker-walk"`
	Preset string `json:"preset" help:"quick: minutes; day: of a GPU; paper: its sizes. What is not given below is the preset's"`
	Seed   uint64 `json:"seed" help:"seed of all that is random: the same seed gives the same run, bit for bit"`

	Steps   int    `json:"steps" help:"phases, each of collected episodes and updates; of PPO iterations" resume:"free"`
	Repeat  int    `json:"repeat" help:"steps of the environment that an action is held for"`
	Judge   int    `json:"judge" help:"episodes of an evaluation"`
	Every   int    `json:"judge_every" help:"steps between evaluations"`
	Machine string `json:"vm" help:"what runs the graphs: engine (compiled) or tape (Gorgonia's TapeMachine)"`
	Figures bool   `json:"figures" help:"draw the figures and the report at the end" resume:"free"`

	Agent AgentConfig `json:"agent"`
	PPO   Config      `json:"ppo"`

	Std    float64 `json:"std" help:"standard deviation of PPO's policy at the start"`
	Hidden []int   `json:"hidden" help:"sizes of the hidden layers of PPO's nets"`
	From   string  `json:"from" help:"finetune: folder of the run of embed whose controller is the policy"`
	Begin  string  `json:"begin" help:"embed: folder of a run of train, whose model and episodes it begins with; empty: nothing"`
	Beside string  `json:"beside" help:"finished runs for the box plot too: folders, comma-separated" resume:"free"`
	Frozen Frozen  `json:"frozen"`
	Learn  bool    `json:"learn_std" help:"finetune: learn the standard deviation"`

	// Complete says that a zero is a zero and false is false: see Program.Defaults. What a run saves is complete.
	Complete bool `json:"-"`
}

// DefaultSettings are those without flags.
func DefaultSettings() Settings {
	return Settings{Env: "cartpole", Preset: Quick, Machine: train.Engine, Figures: true, From: "out/rl/embed"}
}

// preset are the settings of a preset for an environment and a program.
func preset(program, envName, name string) Settings {
	s := Settings{Repeat: 1, Judge: 10, Every: 10, Steps: 1000, Std: 1, Hidden: []int{64, 64}}
	s.PPO = Config{Worlds: 10}
	s.PPO.Parts = 10
	mujoco := strings.HasSuffix(envName, "-run") || strings.HasSuffix(envName, "-walk")
	switch envName {
	case "cheetah-run":
		s.Repeat = 4
	case "walker-walk":
		s.Repeat = 2
	}
	if name != Paper { // the mean of some episodes a phase, so that planning for them is one batch
		s.Agent.Collect = 4
	}
	switch {
	case name == Quick:
		s.Steps = 60
		s.Agent = AgentConfig{Collect: 2, Updates: 40, Batch: 32, Length: 20, DecoderBatch: 16}
		s.Agent.Model = RSSMConfig{Deter: 64, Stoch: 8, Hidden: 64, FreeNats: 1}
		s.Agent.Planner = PlannerConfig{Iterations: 5, Latent: 3, Hidden: []int{64, 64}}
		if program == "train" {
			s.Agent.Planner.Samples, s.Agent.Planner.Elites = 200, 20
		}
		switch {
		case mujoco:
			// An update of the model takes less time than a decision. embed learns little from the episodes of a decoder
			// that has learnt nothing: it is to begin with a run of train.
			s.Steps, s.Every, s.Agent.Collect = 40, 20, 1
			if program == "embed" {
				s.Steps, s.Every = 60, 10
			}
			s.Agent.Length, s.Agent.Updates, s.Agent.DecoderEvery = 30, 100, 4
			s.Agent.Planner.Horizon, s.Agent.Planner.Backprop, s.Agent.Planner.Latent = 10, 2, 8
			s.Agent.Planner.Temperature, s.Agent.DecoderRate = 0.1, 1e-3
			if envName == "walker-walk" {
				s.Steps, s.Agent.Updates, s.Agent.Planner.Horizon = 60, 200, 12
			}
		case envName == "cartpole":
			// An update of the decoder takes ten times as long as one of the model, and less where gradients go through the
			// last iterations alone.
			s.Steps, s.Every, s.Agent.Updates, s.Agent.DecoderEvery = 30, 5, 100, 4
			s.Agent.Planner.Horizon, s.Agent.Planner.Backprop = 8, 2
			s.Agent.Planner.Latent, s.Agent.Planner.Temperature, s.Agent.DecoderRate = 4, 0.1, 1e-3
		}
	case name == Day:
		s.Steps = 400
	case mujoco && (program == "train" || program == "embed"): // the paper's steps of the environment, by 1000
		s.Steps = map[string]int{"cheetah-run train": 2000, "walker-walk train": 4000, "cheetah-run embed": 900,
			"walker-walk embed": 800}[envName+" "+program]
		s.Judge, s.Every = 100, 100
	}
	// The decoder of observations is ours: how exact it has to be, and how far learnt episodes go beyond random ones, is
	// the task's, not the preset's.
	switch {
	case mujoco: // rewards of random actions are a hundredth of those of running
		s.Agent.Model.ObsWeight, s.Agent.Bound = 30, 50
	case envName == "cartpole":
		// The cart of random actions runs some 10 m away, and has to be held within tenths of one: with a variance of 1
		// around standardised observations nothing is gained by seeing that.
		s.Agent.Model.ObsWeight = 100
	}
	switch program {
	case "ppo":
		s.PPO.Worlds, s.PPO.Parts = 16, 32
		s.PPO.Rate = 3e-4
		if !mujoco { // short horizons
			s.PPO.Discount, s.PPO.Rate = 0.9, 1e-3
		}
		if envName == "cartpole" {
			s.Std, s.PPO.Discount, s.PPO.Parts = 0.5, 0.97, 16
		}
		if mujoco {
			s.Judge, s.Repeat, s.Steps = 10, 1, 60
			if name != Quick {
				s.Steps = 1000
			}
		}
	case "finetune":
		s.PPO.Passes, s.PPO.Rate, s.PPO.Keep = 2, 1e-4, true
		s.Std, s.Frozen.Transition = math.Sqrt(0.1), true // as in the paper's main text
		// What is 0 is as in the run that it begins with; but gradients through the last iterations alone leave out how
		// decoder and reward decide where these are.
		s.Agent.Planner = PlannerConfig{}
		// 50 states of an update: gradients through a search of the paper's sizes take 0.16 GB each.
		switch envName {
		case "cheetah-run":
			s.PPO.Parts = 50
		case "walker-walk":
			s.PPO.Parts = 100
		}
		if name == Quick {
			s.Steps, s.Every = 14, 2
			s.PPO.Passes, s.PPO.Trust, s.PPO.ValueRate = 4, 0.05, 1e-3
			if !mujoco {
				s.PPO.Discount = 0.97
			}
			// In a sharp search almost all states choose the same plan after a small change, and a few another one
			// altogether: there is next to no slope for gradients to follow.
			s.Agent.Planner.Temperature = 1
		}
	}
	return s
}

// resolve checks the settings of a program and completes them: what is 0 becomes what the preset says, and where that
// says nothing what the trainings take for it.
func (s Settings) resolve(program string) (Settings, error) {
	if !slices.Contains(presetNames, s.Preset) {
		return s, fmt.Errorf("preset is %q, want one of %s", s.Preset, strings.Join(presetNames, ", "))
	}
	if !slices.Contains(train.Machines, s.Machine) {
		return s, fmt.Errorf("vm is %q, want one of %s", s.Machine, strings.Join(train.Machines, ", "))
	}
	if !s.Complete {
		fill(reflect.ValueOf(&s).Elem(), reflect.ValueOf(preset(program, s.Env, s.Preset)))
	}
	for _, v := range []struct {
		name  string
		value int
		most  int
	}{{"steps", s.Steps, 1e7}, {"repeat", s.Repeat, 1000}, {"judge", s.Judge, 1e5}, {"judge_every", s.Every, 1e7}} {
		if v.value < 1 || v.value > v.most {
			return s, fmt.Errorf("%s is %d, want 1 to %d", v.name, v.value, v.most)
		}
	}
	if !(s.Std > 0 && s.Std < 1e6) {
		return s, fmt.Errorf("std is %v, want a number above 0", s.Std)
	}
	s.Agent.Seed, s.PPO.Seed = s.Seed, s.Seed
	s.Agent.Judge, s.PPO.Judge = s.Judge, s.Judge
	s.Agent.Machine, s.PPO.Machine = s.Machine, s.Machine
	s.PPO.Updates = s.Steps
	s.Agent.Planner.Kind = planning(program)
	full, err := s.defaults()
	if err != nil || !s.Complete {
		return full, err
	}
	name, usual, value, err := run.Differ(full, s)
	if err == nil && name != "" {
		err = fmt.Errorf("%s is %s, which it cannot be: not given, it is %s", name, value, usual)
	}
	return full, err
}

// planning is the kind of planner of a program's agent.
func planning(program string) string {
	if program == "train" {
		return FullCEM
	}
	return LatentDCEM
}

// defaults are the settings with the trainings' own defaults for zeros.
func (s Settings) defaults() (_ Settings, err error) {
	noise, free := s.Agent.Noise, s.Agent.Model.FreeNats
	if s.Agent, err = s.Agent.withDefaults(); err != nil {
		return s, err
	}
	m := s.Agent.Model
	m.Obs, m.Act = 1, 1 // any
	if m, err = m.withDefaults(); err != nil {
		return s, err
	}
	m.Obs, m.Act = 0, 0
	s.Agent.Model = m
	if s.Complete { // these may be 0
		s.Agent.Noise, s.Agent.Model.FreeNats = noise, free
	}
	s.PPO.PPOConfig = s.PPO.WithDefaults()
	s.Complete = true
	return s, s.PPO.Validate()
}

// agent is the configuration of the agent of complete settings: NewAgent takes 0 for its own default.
func (s Settings) agent() AgentConfig {
	a := s.Agent
	if a.Noise == 0 {
		a.Noise = -1
	}
	if a.Model.FreeNats == 0 {
		a.Model.FreeNats = -1
	}
	return a
}

// Defaults are the complete settings of a run of which is said what s says of environment, preset and the run that it
// begins with, and nothing else: those of the run in o.Out where that is resumed, with the controller's of the run in
// s.From for finetune, and else those of the preset.
func (p Program) Defaults(s Settings, o run.Options) (Settings, error) {
	if o.Resume {
		if _, err := os.Lstat(filepath.Join(o.Out, run.ConfigFile)); err == nil {
			return readSettings(o.Out, p.Name)
		}
	}
	d := DefaultSettings()
	d.Env, d.Preset, d.Machine, d.From = s.Env, s.Preset, s.Machine, s.From
	if p.Name == FineTuneProgram.Name {
		from, err := readSettings(s.From, EmbedProgram.Name)
		if err != nil {
			return d, fmt.Errorf("%w (finetune begins with a run of embed: see --from)", err)
		}
		d.Repeat, d.Agent = from.Repeat, from.Agent
		from.Agent.Planner.Backprop = 0
		d.Agent.Planner = preset(p.Name, s.Env, s.Preset).Agent.Planner // what is 0 there is as in that run
		fill(reflect.ValueOf(&d.Agent.Planner).Elem(), reflect.ValueOf(from.Agent.Planner))
	}
	return d.resolve(p.Name)
}

// complete are the settings with Defaults in place of the zeros that presets have something for.
func (p Program) complete(s Settings, o run.Options) (Settings, error) {
	if !s.Complete {
		d, err := p.Defaults(s, o)
		if err != nil {
			return s, err
		}
		d.Seed, d.Figures, d.Learn, d.Begin, d.Beside = s.Seed, s.Figures, s.Learn, s.Begin, s.Beside
		fill(reflect.ValueOf(&s).Elem(), reflect.ValueOf(d))
	}
	return s.resolve(p.Name)
}

// readSettings are those of the run of a program in a folder, complete.
func readSettings(dir, program string) (s Settings, err error) {
	path := filepath.Join(dir, run.ConfigFile)
	s = DefaultSettings()
	s.Agent.Planner.Kind = planning(program)
	if s, err = s.defaults(); err != nil { // of what was not there yet when the run began
		return s, err
	}
	if err := run.LoadConfig(path, &s); err != nil {
		return s, err
	}
	if s.Repeat == 0 {
		return s, fmt.Errorf("%s: it is of a version that did not save what the preset stood for, which alone can go on "+
			"with the run: %w", path, run.ErrMismatch)
	}
	if s, err = s.resolve(program); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// fill sets the zero leaves of a struct to those of another.
func fill(v, from reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case !f.CanSet():
		case f.Kind() == reflect.Struct:
			fill(f, from.Field(i))
		case f.IsZero(), f.Kind() == reflect.Slice && f.Len() == 0:
			f.Set(from.Field(i))
		}
	}
}

// maker is the environment of the settings: other says what this package does not have.
func (s Settings) maker(other func(name string) (env.Task, error)) Maker {
	return func() (t env.Task, err error) {
		switch {
		case s.Env == "cartpole":
			t, err = SwingUp().Make()
		case slices.Contains(env.TaskNames(), s.Env) || other == nil:
			t, err = env.TaskByName(s.Env)
		default:
			t, err = other(s.Env)
		}
		if err != nil {
			return nil, err
		}
		return env.Repeat(t, s.Repeat)
	}
}
