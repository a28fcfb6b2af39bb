package bumps

import (
	"bytes"
	"context"
	"errors"
	"image/gif"
	"image/png"
	"path/filepath"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := Default()
	final := func(dir string, draw bool) []byte {
		task := newTask(t, c)
		l := &live{task: task, r: &result{}, dir: dir}
		for end := 4; end <= 4; end += 4 {
			if _, err := run.Train(context.Background(), task, run.Options{Steps: end, Out: dir, Resume: end > 4,
				ValidateEvery: 2, CheckpointEvery: 4, Progress: run.ProgressOptions{Silent: true}}); err != nil {
				t.Fatal(err)
			}
			if draw && end == 4 {
				if err := l.draw(end); err != nil {
					t.Fatal(err)
				}
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
	if _, err := png.Decode(bytes.NewReader(runtest.Contents(t, dir, surfaceFigure))); err != nil {
		t.Error(err)
	}
	movie, err := gif.DecodeAll(bytes.NewReader(runtest.Contents(t, dir, movieFigure)))
	if err != nil {
		t.Fatal(err)
	}
	if len(movie.Image) != c.Iterations {
		t.Errorf("%d frames, want one for each of %d iterations", len(movie.Image), c.Iterations)
	}
}
