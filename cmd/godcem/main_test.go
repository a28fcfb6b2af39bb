package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
)

var binaries string // folder of the built program

// binary builds the program once and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "godcem")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "godcem-test-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(binaries)
	os.Exit(code)
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir() // for what it writes into its default folder
	return cmd
}

// outcome runs the program to its end.
func outcome(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// quick are flags for a run of a fraction of a second.
var quick = []string{"--samples", "20", "--elites", "4", "--iterations", "2", "--updates", "5", "--figures=false", "--quiet"}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Wrong input is one line on stderr that says what and why, and exit code 1.
func TestWrongInput(t *testing.T) {
	done := filepath.Join(t.TempDir(), "run")
	if code, _, stderr := outcome(t, append([]string{"bumps", "--out", done}, quick...)...); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	// folder returns a copy of that run whose checkpoint is changed.
	folder := func(change func([]byte) []byte) string {
		raw, err := os.ReadFile(filepath.Join(done, run.CheckpointFile))
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(file(t, run.CheckpointFile, string(change(raw))))
	}
	resume := func(dir string) []string { return []string{"bumps", "--resume", "--out", dir} }
	foreign := filepath.Join(t.TempDir(), run.CheckpointFile)
	if err := run.Save(foreign, run.NewCheckpoint("regression", 3)); err != nil {
		t.Fatal(err)
	}
	occupied := file(t, "occupied", "a file")

	for _, c := range []struct {
		name string
		args []string
		want []string // parts of the line
	}{
		{"unknown command", []string{"bmups"}, []string{`"bmups"`, `did you mean "bumps"`}},
		{"unknown command, nothing close", []string{"xylophone"}, []string{`"xylophone"`, "--help"}},
		{"unknown help topic", []string{"help", "bmups"}, []string{`"bmups"`, `did you mean "bumps"`}},
		{"unknown flag", []string{"bumps", "--sampels", "3"}, []string{"--sampels", "did you mean --samples"}},
		{"unknown flag, far from a short one", []string{"bumps", "--nope"}, []string{"unknown flag: --nope, see godcem bumps --help\n"}},
		{"unknown flag, nothing close", []string{"bumps", "--xylophone"}, []string{"--xylophone", "godcem bumps --help"}},
		{"unknown flag of the root", []string{"--xylophone"}, []string{"--xylophone", "godcem --help"}},
		{"unknown short flag", []string{"bumps", "-z"}, []string{"-z"}},
		{"argument", []string{"bumps", "now"}, []string{"godcem: bumps takes flags alone, got \"now\"\n"}},
		{"no value", []string{"bumps", "--samples"}, []string{"--samples"}},
		{"no number", []string{"bumps", "--sigma", "wide"}, []string{"godcem: --sigma: got \"wide\", want a finite number\n"}},
		{"no truth", []string{"bumps", "--quiet=maybe"}, []string{"godcem: --quiet: got \"maybe\", want true or false\n"}},
		{"no truth of ours", []string{"bumps", "--figures=2"}, []string{"godcem: --figures: got \"2\", want true or false\n"}},
		{"no truth of the library's", []string{"bumps", "--help=maybe"}, []string{"--help: got \"maybe\", want true or false"}},
		{"infinite", []string{"bumps", "--sigma", "Inf"}, []string{"--sigma", "a finite number"}},
		{"negative seed", []string{"bumps", "--seed", "-1"}, []string{"--seed", `"-1"`, "0 or more"}},
		{"too large for its type", []string{"bumps", "--samples", "99999999999999999999"}, []string{"--samples", "99999999999999999999"}},
		{"bad element of a list", []string{"bumps", "--mu", "1,x"}, []string{"--mu", "element 1", `"x"`}},
		{"negative elites", []string{"bumps", "--elites", "-1"}, []string{"elites is -1", "1 to samples = 100"}},
		{"more elites than samples", []string{"bumps", "--elites", "11", "--samples", "10"}, []string{"elites is 11", "1 to samples = 10"}},
		{"lower above upper", []string{"bumps", "--lower", "1,-1", "--upper", "0,1"}, []string{"lower is 1", "upper is 0", "in x"}},
		{"out of range", []string{"bumps", "--momentum", "1.5"}, []string{"momentum is 1.5", "below 1"}},
		{"too many", []string{"bumps", "--samples", "1000000000"}, []string{"samples is 1000000000", "want 2 to"}},
		{"list of the wrong length", []string{"bumps", "--target", "1,2,3"}, []string{"target has 3 numbers, want 2"}},
		{"unknown relaxation", []string{"bumps", "--relaxation", "softsort"}, []string{`"softsort"`, "want lml, csoftmax or csparsemax"}},
		{"out is a file", []string{"bumps", "--out", occupied}, []string{occupied, "want a folder"}},
		{"out below a file", []string{"bumps", "--out", filepath.Join(occupied, "run")}, []string{occupied, "cannot be created"}},
		{"no out", []string{"bumps", "--out", ""}, []string{"out folder", "no name"}},
		{"config missing", []string{"bumps", "--config", "nowhere.yaml"}, []string{"nowhere.yaml", "no such file"}},
		{"config of another format", []string{"bumps", "--config", file(t, "c.toml", "")}, []string{"c.toml", "want .yaml, .yml or .json"}},
		{"config key", []string{"bumps", "--config", file(t, "c.yaml", "sampels: 3\n")}, []string{"c.yaml", `"sampels"`, `"samples"`}},
		{"config value", []string{"bumps", "--config", file(t, "c.yaml", "sigma: [1, 2]\n")}, []string{"c.yaml", "sigma", "a finite number"}},
		{"config no YAML", []string{"bumps", "--config", file(t, "c.yaml", "a: b: c\n")}, []string{"c.yaml"}},
		{"config range", []string{"bumps", "--config", file(t, "c.json", `{"elites": 200}`)}, []string{"elites is 200", "samples = 100"}},
		{"no checkpoint", resume(folder(func([]byte) []byte { return []byte("hello, world") })),
			[]string{run.CheckpointFile, "not a godcem checkpoint"}},
		{"corrupt checkpoint", resume(folder(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })),
			[]string{run.CheckpointFile, "corrupt"}},
		{"truncated checkpoint", resume(folder(func(b []byte) []byte { return b[:len(b)-10] })),
			[]string{run.CheckpointFile, "truncated"}},
		{"foreign checkpoint", resume(filepath.Dir(foreign)), []string{run.CheckpointFile, "regression"}},
		{"fewer updates than done on resume", append(resume(done), "--updates", "3"),
			[]string{filepath.Join(done, run.CheckpointFile) + ": is at step 5, beyond the 3 updates asked for\n"}},
		{"changed setting on resume", append(resume(done), "--sigma", "0.5"), []string{"sigma is 0.5, was 0.3", "cannot change"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, c.args...)
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

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"bumps", "version", "Examples:"}},
		{[]string{"help"}, []string{"bumps", "version"}},
		{[]string{"--help"}, []string{"bumps", "version"}},
		{[]string{"bumps", "--help"}, []string{"Examples:", "--seed", "--out", "--config", "--resume", "--quiet", "--updates", "default 50"}},
		{[]string{"help", "bumps"}, []string{"Examples:", "--seed"}},
		{[]string{"version"}, []string{"godcem", "go1.", "gorgonia", "v0.9.18"}},
	} {
		code, stdout, stderr := outcome(t, c.args...)
		if code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, stderr %q", c.args, code, stderr)
		}
		for _, part := range c.want {
			if !strings.Contains(stdout, part) {
				t.Errorf("%v: no %q in\n%s", c.args, part, stdout)
			}
		}
	}
}

// What a run writes as its configuration gives the same run; flags win over the file.
func TestConfigFile(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	if code, _, stderr := outcome(t, append([]string{"bumps", "--out", first, "--seed", "18446744073709551615"}, quick...)...); code != 0 {
		t.Fatal(stderr)
	}
	config := filepath.Join(first, run.ConfigFile)
	if code, stdout, stderr := outcome(t, "bumps", "--out", second, "--config", config, "--quiet"); code != 0 || stdout != "" || stderr != "" {
		t.Fatalf("exit code %d, stdout %q, stderr %q, want silence", code, stdout, stderr)
	}
	for _, name := range []string{run.ConfigFile, run.CheckpointFile} {
		if a, b := read(t, first, name), read(t, second, name); !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
	if code, _, stderr := outcome(t, "bumps", "--out", second, "--config", config, "--updates", "2"); code != 0 {
		t.Fatal(stderr)
	}
	if r, err := run.ReadResult(second); err != nil || r.Metrics["updates"] != 2 {
		t.Errorf("%+v, %v, want 2 updates", r, err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Ctrl-C saves and ends with 130, SIGKILL just ends; after both --resume ends in the bits of the run that was left
// alone.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals to send")
	}
	flags := []string{"bumps", "--samples", "20", "--elites", "4", "--iterations", "3", "--updates", "1000",
		"--checkpoint-every", "50", "--validate-every", "200", "--figures=false", "--quiet", "--out"}
	want := t.TempDir()
	if code, _, stderr := outcome(t, append(flags, want)...); code != 0 {
		t.Fatal(stderr)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		dir := t.TempDir()
		cmd := command(t, append(flags, dir)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for { // a checkpoint is there: the run is under way
			if _, err := os.Stat(filepath.Join(dir, run.CheckpointFile)); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if sig == syscall.SIGKILL {
			if err == nil {
				t.Fatal("the run was over before it was killed")
			}
		} else {
			if code := cmd.ProcessState.ExitCode(); code != run.ExitInterrupted || !strings.HasSuffix(stderr.String(), "godcem: interrupted\n") {
				t.Errorf("%v: exit code %d, stderr %q", sig, code, &stderr)
			}
			if r, err := run.ReadResult(dir); err != nil || r.Status != run.StatusInterrupted {
				t.Errorf("%v: result.json: %+v, %v", sig, r, err)
			}
		}
		if code, _, stderr := outcome(t, append(flags, dir, "--resume")...); code != 0 {
			t.Fatal(stderr)
		}
		for _, name := range []string{run.CheckpointFile, run.BestFile} {
			if !bytes.Equal(read(t, dir, name), read(t, want, name)) {
				t.Errorf("%v: %s differs from that of the run left alone", sig, name)
			}
		}
	}
}
