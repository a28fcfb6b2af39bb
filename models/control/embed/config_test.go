package embed

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

func TestValidate(t *testing.T) {
	noError(t, Default().Validate())
	for want, change := range map[string]func(*Config){
		`method is "cem"`:       func(c *Config) { c.Method = "cem" },
		`vm is "gpu"`:           func(c *Config) { c.Machine = "gpu" },
		"updates is -1":         func(c *Config) { c.Updates = -1 },
		"batch is -1":           func(c *Config) { c.Batch = -1 },
		`preset is "slow"`:      func(c *Config) { c.Preset = "slow" },
		`answer is "last"`:      func(c *Config) { c.Answer = "last" },
		`learn is "none"`:       func(c *Config) { c.Learn = "none" },
		"along is -1":           func(c *Config) { c.Along = -1 },
		"along is 17":           func(c *Config) { c.Along = 17 },
		"halvings is -2":        func(c *Config) { c.Halvings = -2 },
		"backprop is 101":       func(c *Config) { c.Backprop = 101 },
		"gd_step times":         func(c *Config) { c.Method, c.GDStep = GD, 0.2 },
		"horizon is 0":          func(c *Config) { c.Horizon = 0 },
		"horizon is 201":        func(c *Config) { c.Horizon = 201 },
		"latent is 0":           func(c *Config) { c.Latent = 0 },
		"iterations is 101":     func(c *Config) { c.Iterations = 101 },
		"samples is 1":          func(c *Config) { c.Samples = 1 },
		"elites is 101":         func(c *Config) { c.Elites = 101 },
		"patience is -2":        func(c *Config) { c.Patience = -2 },
		"states is 0":           func(c *Config) { c.States = 0 },
		"episodes is 0":         func(c *Config) { c.Episodes = 0 },
		"episode is 1":          func(c *Config) { c.Episode = 1 },
		"validate_every is 0":   func(c *Config) { c.ValidateEvery = 0 },
		"checkpoint_every is 0": func(c *Config) { c.CheckpointEvery = 0 },
		"samples times batch":   func(c *Config) { c.Samples = 1_000_000 },
		"hidden has 17":         func(c *Config) { c.Hidden = make([]int, 17) },
		"hidden[1] is 0":        func(c *Config) { c.Hidden = []int{1, 0} },
		"temperature is NaN":    func(c *Config) { c.Temperature = math.NaN() },
		"sigma is 0":            func(c *Config) { c.Sigma = 0 },
		"gd_rate is +Inf":       func(c *Config) { c.GDRate = math.Inf(1) },
		"rate is -1":            func(c *Config) { c.Rate = -1 },
		"clip is -1":            func(c *Config) { c.Clip = -1 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	c := tiny(GD)
	c.Float64, c.Rate = true, 1.0/3
	for _, name := range []string{"c.yaml", "c.json"} {
		path, back := filepath.Join(t.TempDir(), name), Config{}
		noError(t, run.SaveConfig(path, &c))
		noError(t, run.LoadConfig(path, &back))
		a, err := run.EncodeConfig(&c)
		noError(t, err)
		b, err := run.EncodeConfig(&back)
		noError(t, err)
		if string(a) != string(b) {
			t.Errorf("%s: %s, want %s", name, b, a)
		}
	}
}
