package run

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// ProgressOptions say where and how progress is shown.
type ProgressOptions struct {
	Silent   bool
	Label    string        // stands before the numbers
	Writer   io.Writer     // nil: stderr
	Interval time.Duration // between lines where Writer is no terminal; 0: 10 s
	Steps    bool          // the loop is of steps, not updates: there is no loss
}

// Progress shows how far a loop is, the loss (smoothed over some 20 steps for the eye, plain at the end and in
// metrics.csv), steps per second and the time left: a bar that redraws itself on a terminal, elsewhere a line every few seconds.
type Progress struct {
	o       ProgressOptions
	total   int
	from    int // the step at which this process started: speed counts from there
	start   time.Time
	printed time.Time
	loss    float64 // smoothed
	last    float64 // plain
	step    int
	bar     *progressbar.ProgressBar
}

// NewProgress shows a loop of total steps of which from are done.
func NewProgress(total, from int, o ProgressOptions) *Progress {
	if o.Writer == nil {
		o.Writer = os.Stderr
	}
	if o.Interval <= 0 {
		o.Interval = 10 * time.Second
	}
	now := time.Now()
	p := &Progress{o: o, total: total, from: from, step: from, start: now, printed: now, loss: math.NaN()}
	if f, ok := o.Writer.(*os.File); ok && !o.Silent && total > 0 && term.IsTerminal(int(f.Fd())) {
		// The text is ours: the library's own rate would count the steps before a resume as done in no time.
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(o.Writer), progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionThrottle(0),
			progressbar.OptionSetWidth(20), progressbar.OptionUseANSICodes(true), progressbar.OptionShowDescriptionAtLineEnd())
		p.draw()
	}
	return p
}

// Step reports that step is done, with its loss.
func (p *Progress) Step(step int, loss float64) {
	p.step, p.last = step, loss
	switch {
	case math.IsNaN(p.loss) || math.IsInf(p.loss, 0):
		p.loss = loss
	case !math.IsNaN(loss) && !math.IsInf(loss, 0):
		p.loss += 0.05 * (loss - p.loss)
	}
	switch {
	case p.o.Silent:
	case p.bar != nil:
		p.draw()
	case time.Since(p.printed) >= p.o.Interval:
		p.line()
	}
}

func (p *Progress) draw() {
	if time.Since(p.printed) < 100*time.Millisecond && p.step < p.total {
		return
	}
	p.printed = time.Now()
	p.bar.Describe(p.text())
	p.bar.Set(p.step)
}

func (p *Progress) line() {
	p.printed = time.Now()
	fmt.Fprintln(p.o.Writer, p.text())
}

// text is "regression 1200/5000  loss 0.5312  41.7 updates/s  1m31s left".
func (p *Progress) text() string {
	s := fmt.Sprintf("%d/%d", p.step, p.total)
	if p.o.Label != "" {
		s = p.o.Label + " " + s
	}
	took := time.Since(p.start).Seconds()
	if p.step == p.from || !(took > 0) {
		return s
	}
	rate := float64(p.step-p.from) / took
	if p.o.Steps {
		return fmt.Sprintf("%s  %.3g steps/s", s, rate)
	}
	loss := p.loss
	if p.step == p.total {
		loss = p.last
	}
	left := time.Duration(float64(p.total-p.step) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s  loss %.4g  %.3g updates/s  %v left", s, loss, rate, left)
}

// Say prints a line above the bar.
func (p *Progress) Say(format string, args ...any) {
	if p.o.Silent {
		return
	}
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintf(p.o.Writer, format+"\n", args...)
}

// Finish ends the bar, or prints the last line.
func (p *Progress) Finish() {
	switch {
	case p.o.Silent:
	case p.bar != nil:
		p.bar.Exit()
		fmt.Fprintln(p.o.Writer)
	default:
		p.line()
	}
}
