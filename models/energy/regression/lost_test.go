package regression

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/run/runtest"
	"github.com/godcem/godcem/kernels"
)

// A resumed run reports the lost gradients of all its parts. A weight that is NaN loses every sample's.
func TestLostGradients(t *testing.T) {
	c := tiny(DCEM)
	c.Updates, c.CheckpointEvery = 9, 2
	train := func(dir string, at int, resume bool) int64 {
		task := open(t, c).(*task[float32])
		task.values[0][0] = float32(math.NaN())
		if err := task.stepper.Restore(kernels.OptimizerState[float32]{}); err != nil { // tells the device
			t.Fatal(err)
		}
		_, err := run.Train(context.Background(), runtest.Cut(task, at, nil), run.Options{
			Steps: c.Updates, ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery,
			Out: dir, Resume: resume, Config: c, Progress: run.ProgressOptions{Silent: true},
		})
		if at > 0 && !errors.Is(err, runtest.ErrCut) || at == 0 && err != nil {
			t.Fatal(err)
		}
		return task.lostGradients()
	}
	want, dir := t.TempDir(), t.TempDir()
	whole := train(want, 0, false)
	if whole != int64(c.Updates*(c.Iterations-1)*c.Samples) { // the first iteration's samples depend on no parameter
		t.Fatalf("%d lost gradients, want all in %d updates", whole, c.Updates)
	}
	train(dir, 4, false) // after the checkpoint of update 2: the count of update 3 is not kept
	train(dir, 7, true)
	if got := train(dir, 0, true); got != whole {
		t.Errorf("%d lost gradients after two cuts, want %d", got, whole)
	}
	if !bytes.Equal(runtest.Contents(t, dir, run.CheckpointFile), runtest.Contents(t, want, run.CheckpointFile)) {
		t.Error("the checkpoint differs from that of the run left alone")
	}
}
