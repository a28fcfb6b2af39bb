package run

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// start runs the test binary as a training program in dir.
func start(t *testing.T, dir string, resume bool, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Env = append(cmd.Env, env...)
	if resume {
		cmd.Env = append(cmd.Env, "GODCEM_RUN_RESUME=1")
	}
	return cmd
}

// finish runs the program in dir to its end.
func finish(t *testing.T, dir string, resume bool) {
	t.Helper()
	if out, err := start(t, dir, resume).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// compareRuns fails unless two finished runs left the same files, metrics.csv without its seconds.
func compareRuns(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range []string{CheckpointFile, BestFile, ConfigFile, MetricsFile} {
		a, err := os.ReadFile(filepath.Join(got, name))
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := os.ReadFile(filepath.Join(want, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == MetricsFile {
			a, b = withoutSeconds(t, a), withoutSeconds(t, b)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of the uninterrupted run", name)
		}
	}
	entries, err := os.ReadDir(got)
	if err != nil || len(entries) != 4 {
		t.Errorf("folder holds %v, %v, want 4 files", entries, err)
	}
}

func withoutSeconds(t *testing.T, raw []byte) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(raw)) {
		cut := strings.LastIndexByte(line, ',')
		if cut < 0 || !strings.HasSuffix(line, "\n") {
			t.Errorf("line %q", line)
			continue
		}
		b.WriteString(line[:cut] + "\n")
	}
	return b.Bytes()
}

// A program killed with SIGKILL at a random moment and resumed ends in the same bits. GODCEM_KILLS sets how many kills.
func TestKill(t *testing.T) {
	kills := 3
	if s := os.Getenv("GODCEM_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil || kills < 1 {
			t.Fatalf("GODCEM_KILLS is %q, want a number from 1", s)
		}
	}
	want := t.TempDir()
	began := time.Now()
	finish(t, want, false)
	whole := time.Since(began)
	if table, err := ReadMetrics(filepath.Join(want, MetricsFile)); err != nil || len(table.Rows) != childConfig.Steps/2 {
		t.Fatalf("%v: metrics %+v", err, table)
	}
	for done, tries := 0, 0; done < kills; tries++ {
		if tries > 20*kills {
			t.Fatalf("only %d of %d kills hit a running program", done, kills)
		}
		dir := t.TempDir()
		killed := 0
		for n := 1 + rand.IntN(2); n > 0; n-- { // some runs are killed twice
			cmd := start(t, dir, killed > 0)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(whole))))
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			if cmd.Wait() == nil {
				break // it was faster
			}
			killed++
		}
		if killed == 0 {
			continue
		}
		done += killed
		at := "none"
		if c, err := Load(filepath.Join(dir, CheckpointFile), "walk"); err == nil {
			at = strconv.Itoa(c.Step)
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after a kill: %v", err)
		}
		t.Logf("killed %d times, last checkpoint %s of %d", killed, at, childConfig.Steps)
		finish(t, dir, true)
		compareRuns(t, dir, want)
	}
}

// Ctrl-C saves and exits with 130; resumed, the run ends in the same bits. A second Ctrl-C does not wait.
func TestInterrupt(t *testing.T) {
	want, dir := t.TempDir(), t.TempDir()
	finish(t, want, false)

	cmd := start(t, dir, false)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, bufio.NewScanner(out), "step 33")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != ExitInterrupted {
		t.Fatalf("exit %v, want code %d", err, ExitInterrupted)
	}
	c, err := Load(filepath.Join(dir, CheckpointFile), "walk")
	if err != nil || c.Step < 32 || c.Step == childConfig.Steps {
		t.Fatalf("checkpoint %+v, %v", c, err)
	}
	finish(t, dir, true)
	compareRuns(t, dir, want)

	cmd = start(t, t.TempDir(), false, "GODCEM_RUN_STUCK=1")
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, bufio.NewScanner(out), "step 5")
	cmd.Process.Signal(os.Interrupt)
	waitFor(t, bufio.NewScanner(messages), "interrupted: saving (once more to leave at once)")
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != ExitInterrupted {
		t.Fatalf("exit %v, want code %d", err, ExitInterrupted)
	}
}

func waitFor(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
	}
	t.Fatalf("never said %q", want)
}
