package embed

import (
	"bytes"
	"context"
	"errors"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/nn"
)

func TestRun(t *testing.T) {
	experts := []Expert{Ordinary, Strong}
	Ordinary, Strong = Expert{"CEM", 40, 8, 3}, Expert{"strong CEM", 60, 6, 5}
	small, medium := Small, Medium
	Small.Samples, Medium.Samples, Medium.Elites = 20, 30, 10
	t.Cleanup(func() { Small, Medium, Ordinary, Strong = small, medium, experts[0], experts[1] })
	c := tiny(Both)
	c.Updates, c.Figures = 8, true
	dir := t.TempDir()
	o := run.Options{Out: dir, Config: &c, Progress: run.ProgressOptions{Silent: true}}
	var out bytes.Buffer
	noError(t, Run(context.Background(), c, o, &out))
	s := out.String()
	if !strings.Contains(s, "dcem") || !strings.Contains(s, "gd") || !strings.Contains(s, reportFile) {
		t.Errorf("the summary is\n%s", s)
	}
	for _, name := range allFigures() {
		info, err := os.Stat(filepath.Join(dir, name))
		noError(t, err)
		if info.Size() < 1000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	file, err := os.Open(filepath.Join(dir, movieFigure(DCEM)))
	noError(t, err)
	defer file.Close()
	movie, err := gif.DecodeAll(file)
	noError(t, err)
	if len(movie.Image) != c.Episode+1 || movie.Delay[0] != 5 {
		t.Errorf("%d frames of %d ms, want %d of 50", len(movie.Image), 10*movie.Delay[0], c.Episode+1)
	}
	both, err := run.ReadResult(dir)
	noError(t, err)
	for _, side := range sides {
		r, err := run.ReadResult(filepath.Join(dir, side))
		noError(t, err)
		for _, name := range []string{"cost", "cost_fresh", "cost_last", "validation", "expert_cost", "expert_strong_cost",
			"episode_cost", "episode_upright", "best_update"} {
			v, ok := r.Metrics[name]
			if !ok || both.Metrics[side+"_"+name] != v {
				t.Errorf("%s: %s is %v (there: %v), and %v in the result of both", side, name, v, ok, both.Metrics[side+"_"+name])
			}
		}
		if side == GD && r.Metrics["cost"] != r.Metrics["cost_fresh"] {
			t.Error("gradient descent depends on noise")
		}
		sc := c
		sc.Method = side
		noError(t, nn.LoadNPZ(filepath.Join(dir, side, ParamsFile), open(t, sc).Params()))
	}

	// A finished run that is resumed judges and draws again, and finds the same.
	before, err := os.ReadFile(filepath.Join(dir, movieFigure(DCEM)))
	noError(t, err)
	o.Resume = true
	noError(t, Run(context.Background(), c, o, &out))
	after, err := os.ReadFile(filepath.Join(dir, movieFigure(DCEM)))
	noError(t, err)
	again, err := run.ReadResult(dir)
	noError(t, err)
	if !bytes.Equal(before, after) || again.Metrics["dcem_cost"] != both.Metrics["dcem_cost"] {
		t.Error("a finished run that was resumed shows something else")
	}

	// A fresh start of another method leaves nothing of it.
	c.Method, c.Figures = GD, false
	o.Resume, o.Config = false, &c
	noError(t, Run(context.Background(), c, o, &out))
	for _, name := range []string{costFigure, reportFile, movieFigure(DCEM), DCEM} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	for _, method := range methods {
		dir := t.TempDir()
		c := tiny(method)
		err := Run(ctx, c, run.Options{Out: dir, Config: &c, Progress: run.ProgressOptions{Silent: true}}, &bytes.Buffer{})
		if !errors.Is(err, run.ErrInterrupted) {
			t.Errorf("%s: error %v, want that it was interrupted", method, err)
		}
		if method == Both {
			dir = filepath.Join(dir, DCEM)
		}
		r, err := run.ReadResult(dir)
		noError(t, err)
		if r.Status != run.StatusInterrupted {
			t.Errorf("%s: status %q", method, r.Status)
		}
	}
}
