package spen

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"path/filepath"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := tiny(DCEM)
	final := func(dir string, draw bool) []byte {
		task, err := NewTask(c)
		noError(t, err)
		defer task.Close()
		for end := 4; end <= 4; end += 4 {
			_, err := run.Train(context.Background(), task, run.Options{Steps: end, Out: dir, Resume: end > 4,
				ValidateEvery: 2, CheckpointEvery: 4, Progress: run.ProgressOptions{Silent: true}})
			noError(t, err)
			if draw && end == 4 {
				noError(t, live(task, c, dir))
			}
		}
		for step := 6; step <= 9; step++ { // on, without a checkpoint that would put things right
			if _, err := task.Step(context.Background(), step); err != nil {
				t.Fatal(err)
			}
		}
		k := run.NewCheckpoint(task.Kind(), 9)
		if err := errors.Join(task.Save(k), run.Save(filepath.Join(dir, run.CheckpointFile), k)); err != nil {
			t.Fatal(err)
		}
		return runtest.Contents(t, dir, run.CheckpointFile)
	}
	dir := t.TempDir()
	if !bytes.Equal(final(t.TempDir(), false), final(dir, true)) {
		t.Error("a training that was drawn ends elsewhere")
	}
	for _, name := range []string{accuracyFigure, countsFigure, searchFigure} {
		if _, err := png.Decode(bytes.NewReader(runtest.Contents(t, dir, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
