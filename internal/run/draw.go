package run

import (
	"fmt"
	"time"

	"github.com/godcem/godcem/internal/atomicfile"
)

// How often a run that goes on draws its state: first after 2 s, then at most every 10 s and for at most 3 % of the
// time, so that watching a run does not slow it down.
var firstDrawing = 2 * time.Second // tests do not wait

const (
	betweenDrawing = 10 * time.Second
	drawingShare   = 0.03
)

// drawings says when to draw.
type drawings struct {
	draw       func(step int) error // nil: not at all
	now        func() time.Time
	began, end time.Time     // of the run in this process, of the last drawing
	spent      time.Duration // on all drawings
	longest    time.Duration // of them
	step       int           // drawn last
	count      int
}

func newDrawings(draw func(step int) error, now func() time.Time) *drawings {
	return &drawings{draw: draw, now: now, began: now()}
}

// due reports whether it is time for a drawing. What the next one takes is known by those before.
func (d *drawings) due() bool {
	switch now := d.now(); {
	case d.draw == nil:
		return false
	case d.count == 0:
		return now.Sub(d.began) >= firstDrawing
	default:
		return now.Sub(d.end) >= betweenDrawing && float64(d.spent+d.longest) <= drawingShare*float64(now.Sub(d.began))
	}
}

// take draws the state after that many updates. After an error, which it returns, there are no more drawings: those of
// the end will say what is wrong, and the training does not need them.
func (d *drawings) take(step int) error {
	began := d.now()
	err := d.draw(step)
	d.end, d.step = d.now(), step
	took := d.end.Sub(began)
	d.spent, d.longest, d.count = d.spent+took, max(d.longest, took), d.count+1
	if err != nil {
		d.draw = nil
		return fmt.Errorf("figures after update %d: %w; none until the end", step, oneLine(err))
	}
	return nil
}

// show draws the state after a validation or a checkpoint where that is due, and at the end of a run that has been
// drawn before: no figure is left that shows an earlier state than the last.
func (t *trainer) show(end bool) {
	d := t.drawings
	if !d.due() && !(end && d.draw != nil && d.count > 0 && d.step != t.step) {
		return
	}
	if t.metrics != nil && t.metrics.pass() != nil { // the rows so far are part of what is drawn
		return // the next row says why
	}
	if err := d.take(t.step); err != nil {
		t.progress.Say("%v", err)
	}
}

// followed is how long a row may wait before it can be seen in metrics.csv.
const followed = time.Second

// pass gives the rows so far to the file; whether they are on the disk is the checkpoint's care.
func (m *Metrics) pass() error {
	m.passed = time.Now()
	if err := m.w.Flush(); err != nil {
		return fmt.Errorf("%s: cannot write: %w", m.path, atomicfile.Bare(err))
	}
	return nil
}
