package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/rl"
	"github.com/spf13/pflag"
)

// Zeros and false that flags or a file say stand; what they do not say is the preset's, or that of the run resumed.
func TestRLZeros(t *testing.T) {
	resolve := func(p rl.Program, args ...string) (rl.Settings, error) {
		c := rl.DefaultSettings()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		common := run.BindCommon(fs, "out")
		run.BindFlags(fs, &c)
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		err := resolveRL(fs, common, p, &c)
		return c, err
	}
	must := func(p rl.Program, args ...string) rl.Settings {
		t.Helper()
		c, err := resolve(p, args...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := must(rl.EmbedProgram, "--agent-planner-backprop", "0", "--agent-noise", "0")
	if !c.Complete || c.Agent.Planner.Backprop != 0 || c.Agent.Noise != 0 || c.Agent.Planner.Horizon != 8 ||
		c.Agent.Rate != 1e-3 {
		t.Errorf("%+v", c.Agent)
	}
	dir := t.TempDir()
	from := filepath.Join(dir, run.ConfigFile)
	if err := run.SaveConfig(from, c); err != nil {
		t.Fatal(err)
	}
	if c = must(rl.FineTuneProgram, "--from", dir, "--ppo-trust", "0"); c.PPO.Trust != 0 || c.PPO.ValueRate != 1e-3 ||
		c.Agent.Planner.Horizon != 8 {
		t.Errorf("%+v", c.PPO)
	}
	paper := file(t, "paper.yaml", "preset: paper\nppo:\n  keep: false\n  trust: 0\n")
	if c = must(rl.FineTuneProgram, "--from", dir, "--config", paper, "--steps", "7"); c.PPO.Keep || c.Steps != 7 ||
		c.PPO.Passes != 2 {
		t.Errorf("%+v", c.PPO)
	}
	if c = must(rl.FineTuneProgram, "--from", dir, "--preset", "paper"); !c.PPO.Keep {
		t.Errorf("%+v", c.PPO)
	}
	if c = must(rl.EmbedProgram, "--resume", "--out", dir, "--steps", "77"); c.Agent.Planner.Backprop != 0 ||
		c.Agent.Noise != 0 || c.Steps != 77 {
		t.Errorf("%+v", c.Agent)
	}
	for text, args := range map[string][]string{
		`preset is "slow"`: {"--from", dir, "--preset", "slow"},
		"--from":           {"--from", filepath.Join(dir, "none")},
	} {
		if _, err := resolve(rl.FineTuneProgram, args...); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
}
