package run

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

func TestCommon(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "in.yaml")
	if err := os.WriteFile(file, []byte("size: 5\nsteps: 6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	resolve := func(args ...string) (walkConfig, Options, error) {
		c := walkConfig{Size: 3, Steps: 4}
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		common := BindCommon(fs, "out/walk")
		BindFlags(fs, &c)
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		err := common.Resolve(fs, &c, "walk")
		return c, common.Options("walk", c), err
	}
	c, o, err := resolve("-c", file, "--steps=7", "-q")
	if want := (walkConfig{Size: 5, Steps: 7}); err != nil || c != want || o.Config != want || o.Out != "out/walk" || o.Resume ||
		!o.Progress.Silent || o.Progress.Label != "walk" {
		t.Errorf("got %+v, %+v, %v", c, o, err)
	}
	// A resume without a checkpoint is a start; with one, its configuration stands in the defaults' place.
	if c, o, err = resolve("--resume", "-o", dir); err != nil || c != (walkConfig{Size: 3, Steps: 4}) || !o.Resume {
		t.Errorf("got %+v, %+v, %v", c, o, err)
	}
	saved := NewCheckpoint("walk", 1)
	if saved.Config, err = EncodeConfig(walkConfig{Size: 9, Steps: 10}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, CheckpointFile)
	if err := Save(path, saved); err != nil {
		t.Fatal(err)
	}
	if c, _, err = resolve("--resume", "-o", dir, "--steps=11"); err != nil || c != (walkConfig{Size: 9, Steps: 11}) {
		t.Errorf("got %+v, %v", c, err)
	}
	_, _, err = resolve("--resume", "-o", dir, "-c", file)
	says(t, "other size", err, path, "size is 5, was 9, and cannot change on resume")
	if c, _, err = resolve("-o", dir); err != nil || c.Size != 3 {
		t.Errorf("a fresh start took the checkpoint's configuration: %+v, %v", c, err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err = resolve("--resume", "-o", dir)
	says(t, "empty", err, path, ErrTruncated.Error())
}
