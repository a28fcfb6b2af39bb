package regression

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	for _, method := range []string{DCEM, GD} {
		c := tiny(method)
		final := func(dir string, draw bool) []byte {
			task, err := NewTask(c)
			if err != nil {
				t.Fatal(err)
			}
			defer task.Close()
			l := &live{task: task, c: c, dir: dir}
			for end := 5; end <= 5; end += 5 {
				if _, err := run.Train(context.Background(), task, run.Options{Steps: end, Out: dir, Resume: end > 5,
					ValidateEvery: c.ValidateEvery, CheckpointEvery: 5, Progress: run.ProgressOptions{Silent: true}}); err != nil {
					t.Fatal(err)
				}
				if !draw || end > 10 {
					continue
				}
				if err := l.draw(end); err != nil {
					t.Fatal(err)
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
			t.Errorf("%s: a training that was drawn ends elsewhere", method)
		}
		for _, name := range []string{surfaceFigure, slicesFigure, fitFigure} {
			if _, err := png.Decode(bytes.NewReader(runtest.Contents(t, dir, name))); err != nil {
				t.Errorf("%s: %v", filepath.Join(method, name), err)
			}
		}
	}
	if title := (&study{c: tiny(DCEM), at: 300}).title(); !strings.HasSuffix(title, "after 300 updates") {
		t.Errorf("the title is %q", title)
	}
}
