package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type sideConfig struct {
	Method string `json:"method" help:"method"`
	Size   int    `json:"size" help:"parameters"`
}

func TestSides(t *testing.T) {
	s := Sides{Kind: "walk", Methods: []string{"a", "b"}, All: "both"}
	dir := t.TempDir()
	side := func(size int) func(string) any {
		return func(method string) any { return &sideConfig{method, size} }
	}
	methodOf := func(path string) (string, error) {
		var c sideConfig
		err := LoadConfig(path, &c)
		return c.Method, err
	}
	if err := SaveConfig(filepath.Join(dir, ConfigFile), &sideConfig{"both", 3}); err != nil {
		t.Fatal(err)
	}
	var trained []string
	train := func(method string, o Options) error {
		trained = append(trained, filepath.Base(o.Out)+" "+o.Progress.Label)
		o.Steps, o.Config = 5, side(3)(method)
		_, err := Train(context.Background(), newWalk(walkConfig{Size: 3}), o)
		return err
	}
	if err := s.Each(Options{Out: dir, Progress: ProgressOptions{Silent: true}}, train); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(trained, ", "); got != "a walk a, b walk b" {
		t.Errorf("trained %q", got)
	}
	for _, c := range []struct {
		name, method string
		size, steps  int
		want         string // in the error; "": none
	}{
		{"the same", "both", 3, 5, ""},
		{"more steps", "both", 3, 9, ""},
		{"fewer steps", "both", 3, 4, "beyond the 4 updates"},
		{"another size", "both", 4, 5, "size is 4, was 3"},
		{"one of them", "a", 3, 5, `method is "a", was "both"`},
	} {
		err := s.CheckResume(dir, c.method, methodOf, side(c.size), c.steps)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	// What is not the program's own stays.
	kept := filepath.Join(dir, "b", "notes.txt")
	if err := os.WriteFile(kept, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "own.png"), []byte("own"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(dir, "a", "own.png"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", ConfigFile, filepath.Join("b", CheckpointFile)} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	broken := errors.New("broken")
	if err := s.Each(Options{}, func(string, Options) error { return broken }); !errors.Is(err, broken) || err.Error() != "a: broken" {
		t.Errorf("error %v", err)
	}
	if err := s.Each(Options{}, func(string, Options) error { return ErrInterrupted }); err != ErrInterrupted {
		t.Errorf("error %v", err)
	}
}

// The result of all has the metrics of each method, and the time that all took together.
func TestSidesResult(t *testing.T) {
	s, dir := Sides{Kind: "walk", Methods: []string{"a", "b"}, All: "both"}, t.TempDir()
	if _, err := s.Result(dir, Result{}); err == nil || !strings.Contains(err.Error(), ResultFile) {
		t.Errorf("without results: error %v", err)
	}
	for i, m := range s.Methods {
		side := Result{Program: "walk", Seconds: float64(i + 2), Status: StatusDone, Metrics: map[string]float64{"mse": float64(i)}}
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, m), 0o755), WriteResult(filepath.Join(dir, m), side)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		atOnce  bool
		seconds float64
	}{{false, 5}, {true, 3}} {
		s.AtOnce = want.atOnce
		r, err := s.Result(dir, Result{Program: "walk", Status: StatusDone})
		if err != nil || r.Seconds != want.seconds || len(r.Metrics) != 2 || r.Metrics["a_mse"] != 0 || r.Metrics["b_mse"] != 1 {
			t.Errorf("%+v, error %v, want %v seconds", r, err, want.seconds)
		}
	}
}

// A result says that a run is done only when all that it has to show is there; a resumed run's says nothing until then.
func TestFinish(t *testing.T) {
	dir, broken := t.TempDir(), errors.New("disk full")
	result := Result{Program: "walk", Status: StatusDone, Metrics: map[string]float64{"mse": 2}}
	if err := Finish(dir, result, func() error {
		if _, err := os.Lstat(filepath.Join(dir, ResultFile)); !os.IsNotExist(err) {
			t.Errorf("there is a result before the figures (%v)", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadResult(dir); err != nil || r.Status != StatusDone {
		t.Errorf("%+v, error %v", r, err)
	}
	if err := Finish(dir, result, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if r, err := ReadResult(dir); err != nil || r.Status != StatusInterrupted || r.Metrics["mse"] != 2 {
		t.Errorf("%+v, error %v, want an interrupted one with its numbers", r, err)
	}
	c := walkConfig{Size: 2, Steps: 3}
	o := Options{Steps: c.Steps, Out: dir, Config: &c, Progress: ProgressOptions{Silent: true}}
	for _, steps := range []int{3, 6} {
		o.Steps, o.Resume = steps, steps > 3
		task := newWalk(c)
		task.before = func(int) {
			if _, err := os.Lstat(filepath.Join(dir, ResultFile)); !os.IsNotExist(err) {
				t.Errorf("%d steps: the result of the part before is still there (%v)", steps, err)
			}
		}
		if _, err := Train(context.Background(), task, o); err != nil {
			t.Fatal(err)
		}
		if err := WriteResult(dir, result); err != nil {
			t.Fatal(err)
		}
	}
}
