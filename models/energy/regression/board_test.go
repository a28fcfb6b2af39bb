package regression

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/run"
)

// clocked is a board whose time is at.
func clocked(width int) (b *board, out *bytes.Buffer, at *time.Time) {
	out, at = &bytes.Buffer{}, &time.Time{}
	*at = time.Unix(1000, 0)
	b = newBoard(run.ProgressOptions{Writer: out})
	b.now = func() time.Time { return *at }
	b.printed = *at
	if width > 0 {
		b.interval, b.width = 0, func() int { return width }
	}
	return b, out, at
}

func TestBoardLines(t *testing.T) {
	b, out, at := clocked(0)
	d, g := b.add(DCEM, 100), b.add(GD, 40)
	start := *at
	for step := 1; step <= 40; step++ {
		*at = start.Add(time.Duration(step) * 250 * time.Millisecond)
		b.step(d, step, 2, start)
		b.step(g, step, 8, start)
	}
	d.score = 1.25
	b.finish()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"dcem 40/100  loss 2  4 updates/s  15s left  |  gd   39/40  loss 8  3.9 updates/s  0s left",
		"dcem 40/100  loss 2  mse 1.25  4 updates/s  15s left  |  gd   40/40  loss 8  done in 10s",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestBoardTerminal(t *testing.T) {
	b, out, at := clocked(40)
	d, g := b.add(DCEM, 10), b.add(GD, 10)
	g.step, g.from = 10, 10 // resumed at its end
	start := *at
	*at = start.Add(time.Second)
	b.step(d, 5, 1, start)
	b.step(d, 10, 1, start)
	text := out.String()
	if strings.Count(text, "\x1b[2A") != 1 || strings.Count(text, "\x1b[K") != 4 {
		t.Errorf("%q: want two frames of two lines, the second over the first", text)
	}
	for _, line := range strings.Split(strings.NewReplacer("\x1b[2A", "", "\r", "", "\x1b[K", "").Replace(text), "\n") {
		if n := len([]rune(line)); n > 39 {
			t.Errorf("line of %d columns: %q", n, line)
		}
	}
	if !strings.Contains(text, "██████████░░░░░░░░░░  dcem 5/10") || !strings.Contains(text, "gd   10/10  done") {
		t.Errorf("%q", text)
	}
}
