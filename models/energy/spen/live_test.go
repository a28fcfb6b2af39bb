package spen

import (
	"bytes"
	"image/png"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := tiny(DCEM)
	dir := runtest.Drawn(t, run.Options{Steps: 4, ValidateEvery: 2, CheckpointEvery: 4},
		func(dir string) (run.Task, func(int) error) {
			task, err := NewTask(c)
			noError(t, err)
			t.Cleanup(func() { task.Close() })
			return task, func(int) error { return live(task, c, dir) }
		})
	for _, name := range []string{accuracyFigure, countsFigure, searchFigure} {
		if _, err := png.Decode(bytes.NewReader(runtest.Contents(t, dir, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
