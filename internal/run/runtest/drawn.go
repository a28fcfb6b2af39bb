package runtest

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

// Drawn checks that a training goes on as if nothing had been where its state is drawn between two updates, and returns
// the folder with what was drawn. open makes a task and what draws its state after a step into dir. The task makes some
// steps by [run.Train], with o's intervals, is drawn, and makes some more, without a checkpoint that would put right
// what the drawing has changed.
func Drawn(t *testing.T, o run.Options, open func(dir string) (task run.Task, draw func(step int) error)) (dir string) {
	t.Helper()
	final := func(dir string, drawn bool) []byte {
		t.Helper()
		task, draw := open(dir)
		o := o
		o.Out, o.Progress = dir, run.ProgressOptions{Silent: true}
		_, err := run.Train(context.Background(), task, o)
		if err == nil && drawn {
			err = draw(o.Steps)
		}
		last := o.Steps + 4
		for step := o.Steps + 1; err == nil && step <= last; step++ {
			_, err = task.Step(context.Background(), step)
		}
		k := run.NewCheckpoint(task.Kind(), last)
		if err := errors.Join(err, task.Save(k), run.Save(filepath.Join(dir, run.CheckpointFile), k)); err != nil {
			t.Fatal(err)
		}
		return Contents(t, dir, run.CheckpointFile)
	}
	dir = t.TempDir()
	if !bytes.Equal(final(t.TempDir(), false), final(dir, true)) {
		t.Error("a training that was drawn ends elsewhere")
	}
	return dir
}
