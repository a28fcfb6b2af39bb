// Package runtest is for tests of programs that train by [run.Train].
package runtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/run"
)

// ErrCut is the failure of a task that was cut.
var ErrCut = errors.New("cut")

// Cut is a task that ends its run at step at (0: never). With cancel it makes the step and calls that, as Ctrl-C would;
// without, it fails before the step, so that what came after the last checkpoint is lost as it is by a kill.
func Cut(t run.Task, at int, cancel context.CancelFunc) run.Task {
	c := cut{t, at, cancel}
	if v, ok := t.(run.Validator); ok {
		return validated{c, v}
	}
	return c
}

type cut struct {
	run.Task
	at     int
	cancel context.CancelFunc
}

func (c cut) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	if step == c.at {
		if c.cancel == nil {
			return run.StepMetrics{}, ErrCut
		}
		defer c.cancel()
	}
	return c.Task.Step(ctx, step)
}

// validated is a cut Validator.
type validated struct {
	cut
	v run.Validator
}

func (c validated) Validate(step int) (float64, map[string]float64, error) { return c.v.Validate(step) }

// Contents is a file of a run's folder; of metrics.csv without its seconds, so that equal runs have equal files.
func Contents(t *testing.T, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if name != run.MetricsFile {
		return raw
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	for i, l := range lines {
		lines[i] = l[:strings.LastIndexByte(l, ',')]
	}
	return []byte(strings.Join(lines, "\n"))
}
