package embed

import (
	"bytes"
	"image/gif"
	"path/filepath"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := tiny(DCEM)
	c.Updates, c.Episode = 8, 5
	dir := runtest.Drawn(t, run.Options{Steps: 4, ValidateEvery: 2, CheckpointEvery: 4},
		func(dir string) (run.Task, func(int) error) {
			task := open(t, c)
			l := &live{task: task, c: c, dir: dir}
			t.Cleanup(func() { noError(t, l.close()) })
			return task, l.draw
		})
	for _, name := range []string{costFigure, latentFigure, movieFigure(DCEM)} {
		b := runtest.Contents(t, dir, name)
		if len(b) < 1000 {
			t.Errorf("%s has %d bytes", name, len(b))
		}
		if filepath.Ext(name) != ".gif" {
			continue
		}
		movie, err := gif.DecodeAll(bytes.NewReader(b))
		noError(t, err)
		if len(movie.Image) != c.Episode+1 {
			t.Errorf("%d frames, want %d", len(movie.Image), c.Episode+1)
		}
	}
}
