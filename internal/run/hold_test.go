package run

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestHold: a folder that a process writes into is not another's, which says whose it is; once that was killed it is
// free again.
func TestHold(t *testing.T) {
	dir := t.TempDir()
	cmd := start(t, dir, false, "GODCEM_RUN_STUCK=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, bufio.NewScanner(out), "step 5")
	want := "in use by another run, process " + strconv.Itoa(cmd.Process.Pid)
	says(t, "PrepareOut", PrepareOut(dir), "out folder "+dir+": ", want)
	_, err = Train(context.Background(), newWalk(childConfig), options(dir, 3))
	says(t, "Train", err, want)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	finish(t, dir, false)
	whole := t.TempDir()
	finish(t, whole, false)
	compareRuns(t, dir, whole)

	one, err := Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Hold(dir) // of the same process
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []bool{true, false} {
		two()
		if _, err := os.Stat(filepath.Join(dir, lockFile)); (err == nil) != left {
			t.Errorf("%v: the lock is there: want %v", err, left)
		}
		two() // again: nothing
		two = one
	}
}

// givesUp is interrupted while it judges the state after step at.
type givesUp struct {
	*walk
	at   int
	stop func()
}

func (g givesUp) ValidateContext(ctx context.Context, step int) (float64, map[string]float64, error) {
	if step == g.at {
		g.stop()
		return 0, nil, ctx.Err()
	}
	return g.Validate(step)
}

// TestValidationGivesUp: the update before a validation that gave up is made again, and the run ends as one that was
// left alone.
func TestValidationGivesUp(t *testing.T) {
	want := t.TempDir()
	train(t, newWalk(walkConfig{Size: 9}), options(want, 23))
	for _, at := range []int{5, 10, 23} {
		for _, every := range []int{1, 4, 100} {
			dir := t.TempDir()
			o := options(dir, 23)
			o.CheckpointEvery = every
			ctx, stop := context.WithCancel(context.Background())
			out, err := Train(ctx, givesUp{newWalk(walkConfig{Size: 9}), at, stop}, o)
			stop()
			if err != nil || !out.Interrupted || out.Step != at-1 {
				t.Fatalf("%+v, %v: want an interrupt after step %d", out, err, at-1)
			}
			o.Resume = true
			train(t, newWalk(walkConfig{Size: 9}), o)
			compareRuns(t, dir, want)
		}
	}
}
