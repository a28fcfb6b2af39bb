package embed

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// live draws what a training has come to while it goes on: the costs of validations, the latent space from the hanging
// pole, and the closed loop from there.
type live struct {
	task Task
	c    Config
	dir  string
	one  Planner // nil before the first drawing
}

// liveSteps are those of the closed loop, at most: enough for a swing-up.
const liveSteps = 60

func (l *live) draw(step int) (err error) {
	if l.one == nil {
		if l.one, err = l.task.Planner(1, true); err != nil {
			return err
		}
	}
	s := &study{c: l.c, dir: l.dir}
	p := &pictures{c: l.c, dir: l.dir, studies: []*study{s}, experts: &experts{}}
	if s.table, err = run.ReadMetrics(filepath.Join(l.dir, run.MetricsFile)); err != nil {
		return err
	}
	if _, scores := s.table.Series("validation"); slices.ContainsFunc(scores, func(v float64) bool { return v-v == 0 }) {
		costs := p.costs().(viz.Lines)
		costs.Levels = nil // the experts' turn is at the end
		if err := viz.Save(filepath.Join(l.dir, costFigure), costs); err != nil {
			return err
		}
	}
	if l.c.Latent == 2 {
		if s.plan, err = l.one.Plan(hanging, fixedNoise); err != nil {
			return err
		}
		if s.surface, err = l.task.Survey(latentGrid(), hanging); err != nil {
			return err
		}
		space := p.latents().(viz.Grid)
		space.Title = fmt.Sprintf("After %d updates", step)
		if err := viz.Save(filepath.Join(l.dir, latentFigure), space); err != nil {
			return err
		}
	}
	s.loops, err = closeLoops(context.Background(), l.c.system(), hanging, min(l.c.Episode, liveSteps), planningOf(l.one))
	if err != nil {
		return err
	}
	return p.movie(s)
}

// latentGrid are the latents of the grid, (101*101,2).
func latentGrid() (z []float64) {
	axis := gridAxis()
	for _, a := range axis {
		for _, b := range axis {
			z = append(z, a, b)
		}
	}
	return z
}

func (l *live) close() error {
	if l.one == nil {
		return nil
	}
	return l.one.Close()
}
