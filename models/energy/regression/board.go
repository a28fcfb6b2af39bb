package regression

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/godcem/godcem/internal/run"
	"golang.org/x/term"
)

// board shows trainings that run at the same time: on a terminal a line for each, redrawn in place, elsewhere one
// line with all of them every 10 seconds.
type board struct {
	w        io.Writer
	interval time.Duration
	width    func() int // columns of the terminal; nil: no terminal
	now      func() time.Time

	mu      sync.Mutex
	lanes   []*lane
	printed time.Time
	drawn   bool // the lanes' lines are on the terminal, the cursor below
}

// lane is one training's part of a board.
type lane struct {
	name              string
	step, total, from int
	began, ended      time.Time
	loss, score       float64 // loss smoothed for the eye; last validation score
}

// newBoard starts a board; a silent one shows nothing.
func newBoard(o run.ProgressOptions) *board {
	b := &board{w: o.Writer, interval: o.Interval, now: time.Now}
	if b.w == nil {
		b.w = os.Stderr
	}
	if o.Silent {
		b.w = io.Discard
	}
	if b.interval <= 0 {
		b.interval = 10 * time.Second
	}
	if f, ok := b.w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.interval = 200 * time.Millisecond
		b.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	b.printed = b.now()
	return b
}

// add gives a training its lane.
func (b *board) add(name string, total int) *lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &lane{name: name, total: total, loss: math.NaN(), score: math.NaN()}
	b.lanes = append(b.lanes, l)
	return l
}

// watched is a task that shows its steps and scores in a lane.
type watched struct {
	Task
	board *board
	lane  *lane
}

func (w *watched) Step(ctx context.Context, step int) (run.StepMetrics, error) {
	began := w.board.now()
	m, err := w.Task.Step(ctx, step)
	if err == nil {
		w.board.step(w.lane, step, m.Loss, began)
	}
	return m, err
}

// Load is where a resumed training says how far it is.
func (w *watched) Load(c *run.Checkpoint) error {
	w.board.mu.Lock()
	w.lane.step, w.lane.from = c.Step, c.Step
	w.board.mu.Unlock()
	return w.Task.Load(c)
}

func (w *watched) Validate(step int) (float64, map[string]float64, error) {
	score, values, err := w.Task.Validate(step)
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	w.lane.score = score
	return score, values, err
}

func (b *board) step(l *lane, step int, loss float64, began time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.began.IsZero() {
		l.began = began
	}
	l.step = step
	if !math.IsNaN(loss) && !math.IsInf(loss, 0) {
		if math.IsNaN(l.loss) {
			l.loss = loss
		}
		l.loss += 0.02 * (loss - l.loss)
	}
	now := b.now()
	if step == l.total {
		l.ended = now
	}
	if now.Sub(b.printed) >= b.interval {
		b.print(now)
	}
}

// finish prints the last state.
func (b *board) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.print(b.now())
}

func (b *board) print(now time.Time) {
	b.printed = now
	if b.width == nil {
		parts := make([]string, len(b.lanes))
		for i, l := range b.lanes {
			parts[i] = l.text(now)
		}
		fmt.Fprintln(b.w, strings.Join(parts, "  |  "))
		return
	}
	var s strings.Builder
	if b.drawn {
		fmt.Fprintf(&s, "\x1b[%dA", len(b.lanes))
	}
	for _, l := range b.lanes {
		text := []rune(l.bar() + l.text(now))
		s.WriteString("\r\x1b[K" + string(text[:min(len(text), b.width()-1)]) + "\n")
	}
	b.drawn = true
	io.WriteString(b.w, s.String())
}

// bar is 20 columns of progress.
func (l *lane) bar() string {
	full := 0
	if l.total > 0 {
		full = 20 * l.step / l.total
	}
	return strings.Repeat("█", full) + strings.Repeat("░", 20-full) + "  "
}

// text is "dcem 1200/4500  loss 0.53  mse 0.41  32.1 updates/s  1m43s left".
func (l *lane) text(now time.Time) string {
	s := fmt.Sprintf("%-4s %d/%d", l.name, l.step, l.total)
	if l.step == l.from {
		if l.step == l.total {
			s += "  done"
		}
		return s
	}
	s += fmt.Sprintf("  loss %.3g", l.loss)
	if !math.IsNaN(l.score) {
		s += fmt.Sprintf("  mse %.3g", l.score)
	}
	if !l.ended.IsZero() {
		return s + fmt.Sprintf("  done in %v", l.ended.Sub(l.began).Round(time.Second))
	}
	took := now.Sub(l.began).Seconds()
	if !(took > 0) {
		return s
	}
	rate := float64(l.step-l.from) / took
	left := time.Duration(float64(l.total-l.step) / rate * float64(time.Second)).Round(time.Second)
	return s + fmt.Sprintf("  %.3g updates/s  %v left", rate, left)
}
