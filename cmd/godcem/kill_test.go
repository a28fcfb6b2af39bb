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

func TestKillBumps(t *testing.T) {
	flags := []string{"bumps", "--samples", "20", "--elites", "4", "--iterations", "3", "--updates", "400",
		"--checkpoint-every", "20", "--validate-every", "45", "--figures=false", "--quiet"}
	testKill(t, flags, []string{"."}, []string{run.CheckpointFile, run.BestFile})
}

func TestKillRegression(t *testing.T) {
	flags := append(append([]string{}, small...), "--method", "both", "--updates", "300")
	testKill(t, flags, []string{"dcem", "gd"}, []string{run.CheckpointFile, run.BestFile, regression.ParamsFile})
}

// testKill kills the program with SIGKILL at random moments, in some runs twice, and ends some with Ctrl-C, which saves
// and exits with 130. Resumed, each run must end in the files, metrics and result of one that was left alone.
// GODCEM_KILLS says how many SIGKILLs must hit. The files lie in the given folders below the out folder.
func testKill(t *testing.T, flags, folders, files []string) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals to send")
	}
	kills := 3
	if s := os.Getenv("GODCEM_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil || kills < 1 {
			t.Fatalf("GODCEM_KILLS is %q, want a number from 1", s)
		}
	}
	in := func(dir string, more ...string) []string {
		return append(append(append([]string{}, flags...), "--out", dir), more...)
	}
	want := t.TempDir()
	outcome(t, "version") // builds the program, whose run is to be timed
	began := time.Now()
	if code, _, stderr := outcome(t, in(want)...); code != 0 {
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
			if !strike(t, in(dir, more...), sig, time.Duration(rand.Int64N(int64(whole)))) {
				break // it was faster
			}
			hits++
		}
		if hits == 0 {
			continue
		}
		if sig == syscall.SIGKILL {
			done += hits
		}
		at := "none"
		if c, err := run.Load(filepath.Join(dir, folders[0], run.CheckpointFile), ""); err == nil {
			at = strconv.Itoa(c.Step)
		}
		t.Logf("%v %d times, last checkpoint %s", sig, hits, at)
		if code, _, stderr := outcome(t, in(dir, "--resume")...); code != 0 {
			t.Fatalf("resume after %v: %s", sig, stderr)
		}
		for _, folder := range folders {
			for _, name := range append([]string{run.MetricsFile}, files...) {
				if !bytes.Equal(settled(t, dir, folder, name), settled(t, want, folder, name)) {
					t.Errorf("%v: %s/%s differs from that of the run left alone", sig, folder, name)
				}
			}
		}
		compareResults(t, dir, want)
	}
}

// strike starts the program and signals it after a while. It returns whether that ended it.
func strike(t *testing.T, args []string, sig syscall.Signal, after time.Duration) bool {
	t.Helper()
	cmd := command(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if cmd.Wait() == nil {
		return false
	}
	// -1: ended by the signal, as Ctrl-C does too before the program listens.
	if code := cmd.ProcessState.ExitCode(); code != -1 && (sig != syscall.SIGINT || code != run.ExitInterrupted) {
		t.Fatalf("%v: exit code %d, stderr %q", sig, code, &stderr)
	}
	return true
}

// settled is a file of a run without what no two runs have in common: the seconds, which metrics.csv has last.
func settled(t *testing.T, dir, folder, name string) []byte {
	t.Helper()
	raw := read(t, filepath.Join(dir, folder), name)
	if name != run.MetricsFile {
		return raw
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(raw)) {
		b.WriteString(line[:strings.LastIndexByte(line, ',')+1] + "\n")
	}
	return b.Bytes()
}

// compareResults fails unless the two finished runs have the same metrics in result.json.
func compareResults(t *testing.T, dir, want string) {
	t.Helper()
	got, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := run.ReadResult(want)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Metrics) != len(alone.Metrics) || len(alone.Metrics) == 0 || got.Status != run.StatusDone {
		t.Errorf("result %+v", got)
	}
	for name, v := range alone.Metrics {
		if got.Metrics[name] != v {
			t.Errorf("%s is %v, want %v", name, got.Metrics[name], v)
		}
	}
}
