package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

// small are flags of a training of a fraction of a second.
var small = []string{"regression", "--points", "10", "--hidden", "6,6", "--samples", "20", "--elites", "5",
	"--iterations", "3", "--validate-every", "20", "--checkpoint-every", "15", "--patience", "2", "--figures=false", "--quiet"}

func smallRun(dir string, more ...string) []string {
	return append(append(append([]string{}, small...), "--out", dir), more...)
}

// Wrong input is one line on stderr that says what and why, and exit code 1.
func TestRegressionWrongInput(t *testing.T) {
	done, both := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "both")
	for dir, method := range map[string]string{done: "gd", both: "both"} {
		if code, _, stderr := outcome(t, smallRun(dir, "--method", method, "--updates", "20")...); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
	}
	// folder returns a copy of the finished run whose checkpoint is changed.
	folder := func(change func([]byte) []byte) string {
		return filepath.Dir(file(t, run.CheckpointFile, string(change(read(t, done, run.CheckpointFile)))))
	}
	foreign := filepath.Join(t.TempDir(), run.CheckpointFile)
	if err := run.Save(foreign, run.NewCheckpoint("bumps", 3)); err != nil {
		t.Fatal(err)
	}
	occupied := file(t, "occupied", "a file")
	for _, c := range []struct {
		name string
		args []string
		want []string // parts of the line
	}{
		{"negative elites", []string{"--elites", "-1"}, []string{"elites is -1", "want 1 to samples = 100"}},
		{"more elites than samples", []string{"--elites", "101"}, []string{"elites is 101", "want 1 to samples = 100"}},
		{"lower above upper", []string{"--lower", "1", "--upper", "-1"}, []string{"lower is 1", "upper is -1"}},
		{"unknown method", []string{"--method", "dcme"}, []string{`method is "dcme"`, "want dcem, gd, cem-forward or both"}},
		{"unknown model", []string{"--model", "cnn"}, []string{`model is "cnn"`, "want mlp, feedforward or icnn"}},
		{"unknown activation", []string{"--activation", "gelu"}, []string{"godcem: --activation: nn: activation \"gelu\", want one of", "softplus"}},
		{"icnn of another activation", []string{"--model", "icnn", "--activation", "tanh"},
			[]string{"activation is tanh", "softplus or relu"}},
		{"hidden sizes", []string{"--hidden", "12,0"}, []string{"hidden[1] is 0"}},
		{"hidden size that is none", []string{"--hidden", "12,x"}, []string{"--hidden", "element 1", `"x"`}},
		{"unknown flag", []string{"--mehtod", "gd"}, []string{"--mehtod", "did you mean --method"}},
		{"seed", []string{"--seed", "1.5"}, []string{"--seed", `"1.5"`}},
		{"backprop", []string{"--backprop", "11"}, []string{"backprop is 11", "iterations = 10"}},
		{"out is a file", []string{"--out", occupied}, []string{occupied, "want a folder"}},
		{"out below a file", []string{"--method", "both", "--out", filepath.Join(occupied, "x")},
			[]string{occupied, "cannot be created"}},
		{"side of both is a file", []string{"--method", "both", "--out", filepath.Dir(file(t, "gd", ""))},
			[]string{"gd", "want a folder"}},
		{"config key", []string{"--config", file(t, "c.yaml", "elite: 3\n")}, []string{"c.yaml", `"elite"`, `"elites"`}},
		{"config range", []string{"--config", file(t, "c.json", `{"method": "cem"}`)}, []string{`method is "cem"`}},
		{"no checkpoint", []string{"--resume", "--out", folder(func([]byte) []byte { return []byte("0123456789 hello") })},
			[]string{run.CheckpointFile, "not a godcem checkpoint"}},
		{"corrupt checkpoint", []string{"--resume", "--out", folder(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
			[]string{run.CheckpointFile, "corrupt"}},
		{"truncated checkpoint", []string{"--resume", "--out", folder(func(b []byte) []byte { return b[:len(b)-9] })},
			[]string{run.CheckpointFile, "truncated"}},
		{"foreign checkpoint", []string{"--resume", "--out", filepath.Dir(foreign)}, []string{run.CheckpointFile, "bumps"}},
		{"another setting on resume", []string{"--resume", "--out", done, "--hidden", "7,6"},
			[]string{"hidden is [7, 6], was [6, 6]", "cannot change"}},
		{"another method on resume", []string{"--resume", "--out", done, "--method", "dcem"},
			[]string{`method is "dcem", was "gd"`}},
		{"another setting on resume of both", []string{"--resume", "--out", both, "--samples", "21"},
			[]string{"samples is 21, was 20"}},
		{"fewer updates than done on resume of both", []string{"--resume", "--out", both, "--updates", "7"},
			[]string{filepath.Join(both, "dcem", run.CheckpointFile) + ": is at step 20, beyond the 7 updates asked for\n"}},
		{"one method on resume of both", []string{"--resume", "--out", both, "--method", "gd"},
			[]string{`method is "gd", was "both"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, append([]string{"regression"}, c.args...)...)
			if code != run.ExitError {
				t.Errorf("exit code %d, want %d", code, run.ExitError)
			}
			if stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "godcem: ") {
				t.Errorf("stdout %q, stderr %q, want one line on stderr", stdout, stderr)
			}
			for _, part := range c.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("stderr %q does not name %q", stderr, part)
				}
			}
		})
	}
}

func TestRegressionHelp(t *testing.T) {
	code, stdout, stderr := outcome(t, "regression", "--help")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	for _, part := range []string{"Examples:", "--method", "--resume", "--updates", "default 5000",
		"default 128,128,128", "default softplus"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q in\n%s", part, stdout)
		}
	}
}
