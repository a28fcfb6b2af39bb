package regression

import (
	"bytes"
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
		dir := runtest.Drawn(t, run.Options{Steps: 5, ValidateEvery: c.ValidateEvery, CheckpointEvery: 5},
			func(dir string) (run.Task, func(int) error) {
				task, err := NewTask(c)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { task.Close() })
				l := &live{task: task, c: c, dir: dir}
				return task, l.draw
			})
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
