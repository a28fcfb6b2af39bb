package spen

import (
	"path/filepath"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// live draws what a training has come to while it goes on: the accuracy so far, how many labels the net predicts, and
// the search for the labels of one row.
func live(task *Task, c Config, dir string) (err error) {
	s := &study{c: c, dir: dir}
	p := &pictures{c: c, dir: dir, studies: []*study{s}}
	if s.table, err = run.ReadMetrics(filepath.Join(dir, run.MetricsFile)); err != nil {
		return err
	}
	labels, err := task.predict(task.judge, task.test)
	if err != nil {
		return err
	}
	s.scores = Score(labels, task.test.Y)
	if err := s.trace(task); err != nil {
		return err
	}
	plots := map[string]viz.Plot{countsFigure: p.counts(), searchFigure: p.search()}
	if x, _ := s.table.Series("subset"); len(x) > 0 {
		plots[accuracyFigure] = p.accuracy()
	}
	for _, name := range allFigures {
		if plot := plots[name]; plot != nil {
			if err := viz.Save(filepath.Join(dir, name), plot); err != nil {
				return err
			}
		}
	}
	return nil
}
