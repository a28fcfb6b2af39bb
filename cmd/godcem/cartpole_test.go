package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/models/control/embed"
)

// smallCartpole are flags of a training of a second.
var smallCartpole = []string{"cartpole", "--hidden", "6,6", "--horizon", "4", "--samples", "12", "--elites", "3",
	"--iterations", "2", "--batch", "2", "--states", "3", "--episode", "4", "--validate-every", "20",
	"--checkpoint-every", "15", "--figures=false", "--quiet"}

func TestKillCartpole(t *testing.T) {
	flags := append(append([]string{}, smallCartpole...), "--method", "both", "--updates", "1500")
	testKill(t, flags, []string{"dcem", "gd"}, []string{run.CheckpointFile, run.BestFile, embed.ParamsFile})
}

// Wrong input is one line on stderr that says what and why, and exit code 1.
func TestCartpoleWrongInput(t *testing.T) {
	both, gd := filepath.Join(t.TempDir(), "both"), filepath.Join(t.TempDir(), "gd")
	for dir, method := range map[string]string{both: "both", gd: "gd"} {
		args := append(append([]string{}, smallCartpole...), "--out", dir, "--method", method, "--updates", "20")
		if code, _, stderr := outcome(t, args...); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		want []string // parts of the line
	}{
		{"unknown method", []string{"--method", "cem"}, []string{`method is "cem"`, "dcem, gd, both"}},
		{"horizon 0", []string{"--horizon", "0"}, []string{"horizon is 0", "want 1 to 200"}},
		{"more elites than samples", []string{"--elites", "101"}, []string{"elites is 101", "want 1 to 100"}},
		{"unknown flag", []string{"--horzion", "3"}, []string{"--horzion", "did you mean --horizon"}},
		{"config key", []string{"--config", file(t, "c.yaml", "horizn: 3\n")}, []string{`"horizn"`, `"horizon"`}},
		{"another setting on resume", []string{"--resume", "--out", gd, "--horizon", "5"}, []string{"horizon is 5, was 4"}},
		{"another setting on resume of both",
			[]string{"--resume", "--out", both, "--horizon", "5"}, []string{"horizon is 5, was 4"}},
		{"one method on resume of both",
			[]string{"--resume", "--out", both, "--method", "gd"}, []string{`method is "gd", was "both"`}},
		{"fewer updates than done", []string{"--resume", "--out", both, "--updates", "7"},
			[]string{"at step 20, beyond the 7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, append([]string{"cartpole"}, c.args...)...)
			if code != run.ExitError || stdout != "" || strings.Count(stderr, "\n") != 1 ||
				!strings.HasPrefix(stderr, "godcem: ") {
				t.Errorf("exit code %d, stdout %q, stderr %q, want %d and one line on stderr", code, stdout, stderr,
					run.ExitError)
			}
			for _, part := range c.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("stderr %q does not name %q", stderr, part)
				}
			}
		})
	}
	// What was refused has changed nothing: the runs can still be resumed.
	for _, dir := range []string{both, gd} {
		if code, _, stderr := outcome(t, "cartpole", "--resume", "--out", dir, "--quiet"); code != 0 {
			t.Errorf("resuming %s: exit code %d: %s", dir, code, stderr)
		}
	}
}
