package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/energy/regression"
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

// A run killed with SIGKILL at a random moment, some of them twice, and resumed ends in the same parameters and
// metrics as one that was left alone; so does one that Ctrl-C ended, with exit code 130. GODCEM_KILLS sets how many
// kills.
func TestRegressionKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals to send")
	}
	kills := 3
	if s := os.Getenv("GODCEM_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatalf("GODCEM_KILLS: %v", err)
		}
	}
	flags := func(dir string, more ...string) []string {
		return smallRun(dir, append(more, "--method", "both", "--updates", "300")...)
	}
	want := t.TempDir()
	began := time.Now()
	if code, _, stderr := outcome(t, flags(want)...); code != 0 {
		t.Fatal(stderr)
	}
	whole := time.Since(began)
	for done, tries := 0, 0; done < kills; tries++ {
		if tries > 20*kills+20 {
			t.Fatalf("only %d of %d kills hit a running program", done, kills)
		}
		sig := syscall.SIGKILL
		if tries%4 == 1 {
			sig = syscall.SIGINT
		}
		dir, hits := t.TempDir(), 0
		for range 1 + rand.IntN(2) {
			var more []string
			if hits > 0 {
				more = []string{"--resume"}
			}
			cmd := command(t, flags(dir, more...)...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(whole))))
			if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			if cmd.Wait() == nil {
				break // it was faster
			}
			hits++
			// A signal before the program listens just ends it.
			if code := cmd.ProcessState.ExitCode(); sig == syscall.SIGINT && code != run.ExitInterrupted && code != -1 {
				t.Fatalf("Ctrl-C: exit code %d, stderr %q", code, &stderr)
			}
		}
		if hits == 0 {
			continue
		}
		if sig == syscall.SIGKILL {
			done += hits
		}
		if code, _, stderr := outcome(t, flags(dir, "--resume")...); code != 0 {
			t.Fatalf("resume after %v: %s", sig, stderr)
		}
		for _, side := range []string{"dcem", "gd"} {
			for _, name := range []string{run.CheckpointFile, run.BestFile, regression.ParamsFile} {
				if !bytes.Equal(read(t, filepath.Join(dir, side), name), read(t, filepath.Join(want, side), name)) {
					t.Errorf("%v: %s/%s differs from that of the run left alone", sig, side, name)
				}
			}
		}
		got, err := run.ReadResult(dir)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := run.ReadResult(want)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Metrics) != len(alone.Metrics) || got.Status != run.StatusDone {
			t.Errorf("%v: result %+v", sig, got)
		}
		for name, v := range alone.Metrics {
			if got.Metrics[name] != v {
				t.Errorf("%v: %s is %v, want %v", sig, name, got.Metrics[name], v)
			}
		}
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
