package bumps

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/internal/viz"
)

// live draws what a training has come to while it goes on: the objective before it and now, and the search of the
// moment, iteration by iteration.
type live struct {
	task   *Task
	r      *result
	dir    string
	solves *Solves // nil before the first drawing
}

func (l *live) draw(step int) (err error) {
	if l.solves == nil {
		if l.solves, err = NewSolves(l.task.c.solve(1)); err != nil {
			return err
		}
	}
	p := &pictures{c: l.task.c, dir: l.dir, task: l.task, result: l.r, steps: step, solves: l.solves}
	p.traces = make([]Trace, step+1)
	for _, at := range []int{0, step} {
		if p.traces[at], err = p.solves.Trace(l.task.Params(at), uint64(at)+1); err != nil {
			return fmt.Errorf("solve after update %d: %w", at, err)
		}
	}
	p.minima = minima(l.task, step, p.traces[step].Answer)
	if err := viz.Save(filepath.Join(l.dir, surfaceFigure), p.surfaces()); err != nil {
		return err
	}
	a := viz.Animation{Delay: 300 * time.Millisecond, Frames: p.contraction(step)}
	return viz.SaveGIF(filepath.Join(l.dir, movieFigure), a)
}
