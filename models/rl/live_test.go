package rl

import (
	"bytes"
	"image/png"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
)

// What is drawn while a training goes on, and that it goes on as if nothing had been.
func TestLive(t *testing.T) {
	for _, p := range []Program{EmbedProgram, PPOProgram} {
		s := quickSettings()
		s.Steps = 20 // PPO's rate falls to 0
		s, err := s.resolve(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		dir := runtest.Drawn(t, run.Options{Steps: 4, ValidateEvery: 2, CheckpointEvery: 4},
			func(dir string) (run.Task, func(int) error) {
				task, err := p.open(s, t.TempDir(), true)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := task.Close(); err != nil {
						t.Error(err)
					}
				})
				return task, (&study{program: p, s: s, dir: dir}).live
			})
		for _, name := range []string{curveFigure, learnFigure} {
			if _, err := png.Decode(bytes.NewReader(runtest.Contents(t, dir, name))); err != nil {
				t.Errorf("%s: %s: %v", p.Name, name, err)
			}
		}
	}
}
