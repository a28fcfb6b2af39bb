package bumps

import (
	"bytes"
	"image/gif"
	"image/png"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := Default()
	dir := runtest.Drawn(t, run.Options{Steps: 4, ValidateEvery: 2, CheckpointEvery: 4},
		func(dir string) (run.Task, func(int) error) {
			task := newTask(t, c)
			l := &live{task: task, r: &result{}, dir: dir}
			return task, l.draw
		})
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
