package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

type resumedConfig struct {
	Seed  uint64 `json:"seed" help:"seed"`
	Steps int    `json:"steps" help:"steps" resume:"free"`
}

// A run that was killed before its first checkpoint left config.yaml alone; resuming it without flags must not fall back
// to the defaults.
func TestResumeBeforeTheFirstCheckpoint(t *testing.T) {
	dir := t.TempDir()
	if err := SaveConfig(filepath.Join(dir, ConfigFile), &resumedConfig{Seed: 7, Steps: 30}); err != nil {
		t.Fatal(err)
	}
	resolve := func(args ...string) (resumedConfig, error) {
		cfg := resumedConfig{Seed: 1, Steps: 10}
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		common := BindCommon(fs, "out")
		BindFlags(fs, &cfg)
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		err := common.Resolve(fs, &cfg, "test")
		return cfg, err
	}
	for _, c := range []struct {
		args []string
		want resumedConfig
	}{
		{[]string{"--out", dir, "--resume"}, resumedConfig{7, 30}},
		{[]string{"--out", dir, "--resume", "--steps", "40"}, resumedConfig{7, 40}},
		{[]string{"--out", dir}, resumedConfig{1, 10}},
		{[]string{"--out", t.TempDir(), "--resume"}, resumedConfig{1, 10}},
	} {
		got, err := resolve(c.args...)
		if err != nil || got != c.want {
			t.Errorf("%v: %+v, error %v, want %+v", c.args, got, err, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte("seed: [\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve("--out", dir, "--resume"); err == nil || !strings.Contains(err.Error(), ConfigFile) {
		t.Errorf("corrupt config.yaml: error %v, want one that names it", err)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "keep"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Forget(dir, "a", "missing", "b"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "keep" {
		t.Errorf("left %v, error %v", left, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Forget(dir, "folder"); err == nil || !strings.Contains(err.Error(), "cannot remove") {
		t.Errorf("a full folder: error %v", err)
	}
}
