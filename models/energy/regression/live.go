package regression

import (
	"errors"
	"path/filepath"

	"github.com/godcem/godcem/internal/viz"
)

// live draws what a training has come to while it goes on: the energies of the moment with the candidates of the search
// on them, slices of them, and the predictions.
type live struct {
	task Task
	c    Config
	dir  string
}

func (l *live) draw(step int) (err error) {
	_, truth := Points(l.c.Points)
	s := &study{c: l.c, dir: l.dir, at: step, metrics: map[string]float64{}}
	if s.metrics["mse"], s.field, s.metrics["minimum_share"], err = evaluate(l.task, truth); err != nil {
		return err
	}
	s.metrics["minima"] = LocalMinima(s.field)
	if s.tried, err = l.task.Trace(fixedNoise); err != nil {
		return err
	}
	if s.y, err = l.task.Predict(fixedNoise); err != nil {
		return err
	}
	p := &pictures{c: l.c, dir: l.dir, studies: []*study{s}}
	return errors.Join(
		viz.Save(filepath.Join(l.dir, surfaceFigure), p.surfaces()),
		viz.Save(filepath.Join(l.dir, slicesFigure), p.slices()),
		viz.Save(filepath.Join(l.dir, fitFigure), p.fit()))
}
