package embed

import (
	"bytes"
	"context"
	"image/gif"
	"os"
	"path/filepath"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	c := tiny(DCEM)
	c.Updates, c.Episode = 8, 5
	final := func(dir string, each bool) []byte {
		task := open(t, c)
		l := &live{task: task, c: c, dir: dir}
		for end := 4; end <= 8; end += 4 {
			_, err := run.Train(context.Background(), task, run.Options{Steps: end, Out: dir, Resume: end > 4,
				ValidateEvery: 2, CheckpointEvery: 4, Progress: run.ProgressOptions{Silent: true}})
			noError(t, err)
			if each {
				noError(t, l.draw(end))
			}
		}
		noError(t, l.close())
		b, err := os.ReadFile(filepath.Join(dir, run.CheckpointFile))
		noError(t, err)
		return b
	}
	plain, dir := final(t.TempDir(), false), t.TempDir()
	if !bytes.Equal(plain, final(dir, true)) {
		t.Error("a training that was drawn ends elsewhere")
	}
	for _, name := range []string{costFigure, latentFigure, movieFigure(DCEM)} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		noError(t, err)
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
