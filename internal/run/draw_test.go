package run

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// atOnce lets the first drawing come without a wait.
func atOnce(t *testing.T) {
	was := firstDrawing
	firstDrawing = 0
	t.Cleanup(func() { firstDrawing = was })
}

// When drawings are due, by a clock of the test's own.
func TestDrawingsAreRare(t *testing.T) {
	now := time.Unix(0, 0)
	took := 100 * time.Millisecond
	var at []int
	d := newDrawings(func(step int) error {
		at = append(at, int(now.Unix()))
		now = now.Add(took)
		return nil
	}, func() time.Time { return now })
	begin := now
	for now.Sub(begin) < 100*time.Second {
		if d.due() {
			if err := d.take(0); err != nil {
				t.Fatal(err)
			}
			if d.count == 3 { // from now on 2 s each: 2.1 s and more are 3 % of 137 s and more
				took = 2 * time.Second
			}
		}
		now = now.Truncate(time.Second).Add(time.Second)
	}
	// 2 s; 10 s after its end; again; then one of 2 s, which is known only afterwards.
	if want := []int{2, 13, 24, 35}; !slices.Equal(at, want) {
		t.Errorf("drawn after %v s, want %v", at, want)
	}
	now = begin.Add(143 * time.Second)
	if d.due() {
		t.Error("due again although it would come to more than 3 % of the time")
	}
	now = begin.Add(144 * time.Second)
	if !d.due() {
		t.Error("never due again")
	}
}

// A run that is drawn is the same run, and draws its last state once more.
func TestDrawChangesNothing(t *testing.T) {
	plain, drawn := t.TempDir(), t.TempDir()
	train(t, newWalk(walkConfig{Size: 9}), options(plain, 23))
	o := options(drawn, 23)
	var steps, rows []int
	o.Draw = func(step int) error {
		table, err := ReadMetrics(filepath.Join(drawn, MetricsFile))
		if err != nil {
			return err
		}
		steps, rows = append(steps, step), append(rows, len(table.Rows))
		return nil
	}
	atOnce(t)
	train(t, newWalk(walkConfig{Size: 9}), o)
	// After the first checkpoint, and then not before 10 s are over.
	if want := []int{4, 23}; !slices.Equal(steps, want) || !slices.Equal(rows, want) {
		t.Errorf("drawn after %v updates with %v rows, want %v", steps, rows, want)
	}
	for _, name := range []string{CheckpointFile, BestFile} {
		a, err := os.ReadFile(filepath.Join(plain, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(drawn, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// A figure that cannot be drawn is told of, once, and the run goes on.
func TestDrawFails(t *testing.T) {
	var said bytes.Buffer
	calls := 0
	o := options("", 30)
	o.Config, o.Progress = nil, ProgressOptions{Writer: &said}
	o.Draw = func(int) error { calls++; return errors.New("no ink") }
	atOnce(t)
	if out := train(t, newWalk(walkConfig{Size: 9}), o); out.Step != 30 {
		t.Errorf("ended at step %d", out.Step)
	}
	if calls != 1 || strings.Count(said.String(), "no ink") != 1 {
		t.Errorf("%d calls, said %q", calls, said.String())
	}
}
