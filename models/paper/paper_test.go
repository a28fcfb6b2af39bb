package paper

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	ordinary, strong := embed.Ordinary, embed.Strong
	embed.Ordinary, embed.Strong = embed.Expert{Name: "CEM", Samples: 40, Elites: 8, Iterations: 3},
		embed.Expert{Name: "strong CEM", Samples: 60, Elites: 6, Iterations: 5}
	small, medium := embed.Small, embed.Medium
	embed.Small.Samples, embed.Medium.Samples, embed.Medium.Elites = 20, 30, 10
	t.Cleanup(func() {
		embed.Small, embed.Medium, embed.Ordinary, embed.Strong = small, medium, ordinary, strong
	})
	c := Default()
	c.Updates, c.Most = 2, 2
	dir := t.TempDir()
	o := run.Options{Out: dir, Progress: run.ProgressOptions{Silent: true}}
	var out bytes.Buffer
	noError(t, Run(context.Background(), c, o, &out))
	for _, want := range []string{"regression", "cartpole", reportFile} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary lacks %s:\n%s", want, &out)
		}
	}
	r, err := run.ReadResult(dir)
	noError(t, err)
	for _, name := range []string{"regression_dcem_mse", "regression_gd_mse", "ablation_dcem_mse_1", "ablation_gd_mse_2",
		"ablation_gd_minimum_share_1", "ablation_dcem_mse_cem_2", "cartpole_dcem_cost", "cartpole_gd_cost", "cartpole_dcem_expert_cost"} {
		if v, ok := r.Metrics[name]; !ok || math.IsNaN(v) {
			t.Errorf("%s is %v", name, v)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, reportFile))
	noError(t, err)
	if n := bytes.Count(page, []byte("<img")); n != 13 {
		t.Errorf("%d figures in the report, want 13", n)
	}
	// Resumed, nothing is done again.
	part := filepath.Join(dir, c.ablationFolder(2), run.ResultFile)
	old := time.Now().Add(-time.Hour)
	noError(t, os.Chtimes(part, old, old))
	o.Resume = true
	noError(t, Run(context.Background(), c, o, &out))
	info, err := os.Stat(part)
	noError(t, err)
	if info.ModTime().After(old.Add(time.Minute)) {
		t.Error("a part that was complete was done again")
	}
	c.Seed = 1
	if err := Run(context.Background(), c, o, &out); err == nil || !strings.Contains(err.Error(), "cannot change") {
		t.Errorf("resuming with another seed: error %v", err)
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	stop(run.ErrInterrupted)
	err := Run(ctx, Default(), run.Options{Out: t.TempDir(), Progress: run.ProgressOptions{Silent: true}}, &bytes.Buffer{})
	if !errors.Is(err, run.ErrInterrupted) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
}

func TestValidate(t *testing.T) {
	noError(t, Default().Validate())
	for want, change := range map[string]func(*Config){
		`preset is "slow"`: func(c *Config) { c.Preset = "slow" },
		`vm is "gpu"`:      func(c *Config) { c.Machine = "gpu" },
		"updates is -1":    func(c *Config) { c.Updates = -1 },
		"most is 0":        func(c *Config) { c.Most = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	for _, p := range (Config{Preset: Full, Most: 10, Machine: "engine"}).parts() {
		if v, ok := p.config.(interface{ Validate() error }); !ok || v.Validate() != nil {
			t.Errorf("the full preset's %s: %v", p.title, ok)
		}
	}
}

// The report compares answers with answers alike, and says how the decoder has learnt.
func TestAboutCartpole(t *testing.T) {
	m := map[string]float64{"cartpole_dcem_expert_cost": -8.25, "cartpole_dcem_expert_best_cost": -9.25}
	for preset, want := range map[string][3]string{
		Quick: {"learns through it", "-8.25", "-9.25"}, Full: {"held fixed", "-9.25", "-8.25"},
	} {
		c := Default()
		c.Preset = preset
		text := (&findings{c: c, metrics: m}).aboutCartpole(c.cartpole())
		if !strings.Contains(text, want[0]) || !strings.Contains(text, want[1]) || strings.Contains(text, want[2]) {
			t.Errorf("%s: want %q and the expert's %s, not %s:\n%s", preset, want[0], want[1], want[2], text)
		}
	}
}
