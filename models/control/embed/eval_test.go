package embed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

// Eval finds what the training found, changes nothing in its folder, and takes more states where asked to.
func TestEval(t *testing.T) {
	ordinary, strong := Ordinary, Strong
	Ordinary, Strong = Expert{"CEM", 40, 8, 3}, Expert{"strong CEM", 60, 6, 5}
	small, medium := Small, Medium
	Small.Samples, Medium.Samples, Medium.Elites = 20, 30, 10
	t.Cleanup(func() { Small, Medium, Ordinary, Strong = small, medium, ordinary, strong })
	c := tiny(Both)
	c.Updates, c.Hidden = 8, []int{4}
	from, out := t.TempDir(), t.TempDir()
	silent := run.ProgressOptions{Silent: true}
	noError(t, Run(context.Background(), c, run.Options{Out: from, Config: &c, Progress: silent}, &bytes.Buffer{}))
	want, err := run.ReadResult(from)
	noError(t, err)
	before := listing(t, from)
	noError(t, Eval(context.Background(), EvalConfig{From: from}, run.Options{Out: out, Progress: silent}, &bytes.Buffer{}))
	got, err := run.ReadResult(out)
	noError(t, err)
	for _, side := range sides {
		for _, name := range []string{"cost", "cost_last", "validation", "episode_cost", "expert_episode_cost", "sensitivity",
			"best_update", "updates"} {
			name = side + "_" + name
			if v, ok := got.Metrics[name]; !ok || v != want.Metrics[name] {
				t.Errorf("%s is %v (there: %v), the training's %v", name, v, ok, want.Metrics[name])
			}
		}
	}
	if after := listing(t, from); after != before {
		t.Errorf("the training's folder has changed from\n%s\nto\n%s", before, after)
	}
	e := EvalConfig{From: filepath.Join(from, DCEM), States: 7}
	noError(t, Eval(context.Background(), e, run.Options{Out: out, Progress: silent}, &bytes.Buffer{}))
	more, err := run.ReadResult(out)
	noError(t, err)
	if more.Metrics["cost"] == want.Metrics["dcem_cost"] {
		t.Error("more states give the same mean")
	}
	e = EvalConfig{From: filepath.Join(from, DCEM), Answer: Best}
	noError(t, Eval(context.Background(), e, run.Options{Out: out, Progress: silent}, &bytes.Buffer{}))
	best, err := run.ReadResult(out)
	noError(t, err)
	if m := best.Metrics; !(m["cost"] < want.Metrics["dcem_cost"]) || !(m["expert_best_cost"] < m["expert_cost"]) {
		t.Errorf("best plans cost %v, means %v; the expert's %v and %v", m["cost"], want.Metrics["dcem_cost"], m["expert_best_cost"],
			m["expert_cost"])
	}
	e.Answer = "last"
	if err := Eval(context.Background(), e, run.Options{Out: out, Progress: silent}, &bytes.Buffer{}); err == nil ||
		!strings.Contains(err.Error(), `answer is "last"`) {
		t.Errorf("error %v, want one that names the answer", err)
	}
	for wanted, v := range map[string]struct {
		from, out string
		states    int
	}{
		"another folder":   {from, from, 0},
		"from is empty":    {"", out, 0},
		"states is -1":     {from, out, -1},
		"no such file":     {filepath.Join(from, "none"), out, 0},
		run.CheckpointFile: {emptied(t, from), out, 0},
	} {
		err := Eval(context.Background(), EvalConfig{From: v.from, States: v.states}, run.Options{Out: v.out, Progress: silent}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("error %v, want one with %q", err, wanted)
		}
	}
}

// listing is what a folder holds: names, sizes and times.
func listing(t *testing.T, dir string) string {
	var s strings.Builder
	noError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		noError(t, err)
		info, err := os.Lstat(path)
		noError(t, err)
		s.WriteString(path + " " + info.ModTime().String() + "\n")
		return nil
	}))
	return s.String()
}

// emptied is a folder with the configuration of a training and nothing else.
func emptied(t *testing.T, from string) string {
	raw, err := os.ReadFile(filepath.Join(from, run.ConfigFile))
	noError(t, err)
	dir := t.TempDir()
	noError(t, os.WriteFile(filepath.Join(dir, run.ConfigFile), raw, 0o666))
	return dir
}
