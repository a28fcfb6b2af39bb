package bumps

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	cemFigure     = "cem.png"
	surfaceFigure = "surface.png"
	lossFigure    = "loss.png"
	movieFigure   = "bumps.gif"
	reportFile    = "report.html"
)

// pictures draws what a finished training has to show.
type pictures struct {
	c      Config
	dir    string
	task   *Task
	result *result
	steps  int     // updates done
	solves *Solves // one problem, as in the updates
	traces []Trace // the solve before the first update and after each one
	minima []viz.Point
}

// newPictures solves again what the figures show.
func newPictures(task *Task, r *result, dir string) (*pictures, error) {
	steps := r.outcome.Step
	p := &pictures{c: task.c, dir: dir, task: task, result: r, steps: steps}
	var err error
	if p.solves, err = NewSolves(p.c.solve(1)); err != nil {
		return nil, err
	}
	for step := range steps + 1 {
		t, err := p.solves.Trace(task.Params(step), uint64(step)+1)
		if err != nil {
			return nil, fmt.Errorf("solve after update %d: %w", step, err)
		}
		p.traces = append(p.traces, t)
	}
	p.minima = minima(task, steps, p.traces[steps].Answer)
	return p, nil
}

// minima follows the minimum at the last answer back through the updates: its path from where it came.
func minima(task *Task, steps int, answer [2]float64) []viz.Point {
	path := make([]viz.Point, steps+1)
	x, y := answer[0], answer[1]
	for step := steps; step >= 0; step-- {
		x, y = Minimum(task.Params(step), x, y)
		path[step] = viz.Point{X: x, Y: y}
	}
	return path
}

// draw writes all pictures, until ctx is done.
func (p *pictures) draw(ctx context.Context) error {
	table, err := run.ReadMetrics(filepath.Join(p.dir, run.MetricsFile))
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		draw func(path string) error
	}{
		{cemFigure, func(path string) error { return viz.Save(path, p.search()) }},
		{surfaceFigure, func(path string) error { return viz.Save(path, p.surfaces()) }},
		{lossFigure, func(path string) error { return viz.Save(path, p.losses(table)) }},
		{movieFigure, func(path string) error { return viz.SaveGIF(path, p.movie()) }},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f.draw(filepath.Join(p.dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}

func (p *pictures) axes(format string, args ...any) viz.Axes {
	return viz.Axes{Title: fmt.Sprintf(format, args...), X: "x", Y: "y"}
}

func (p *pictures) target() []viz.Point { return []viz.Point{{X: p.c.Target[0], Y: p.c.Target[1]}} }

// search is vanilla CEM on the first objective.
func (p *pictures) search() viz.Samples2D {
	cem := p.result.cem
	return viz.Samples2D{
		Axes: p.axes("Vanilla CEM searches the objective for its minimum"), Bar: "Z(x, y)",
		Field: field(p.task.Params(0), 121), Samples: points(cem.X, len(cem.X)), Gaussians: gaussians(cem),
	}
}

// scene is the first iterations of the solve after a step.
func (p *pictures) scene(step, iterations int, f viz.Field) viz.Samples2D {
	t := p.traces[step]
	return viz.Samples2D{
		Field: f, Samples: points(t.X, iterations), Gaussians: gaussians(t)[iterations-1 : iterations],
		Target: p.target(), Path: p.minima[:step+1],
	}
}

// surfaces are the objective before and after, each with a solve, in the same colours.
func (p *pictures) surfaces() viz.Grid {
	before, after := field(p.task.Params(0), 121), field(p.task.Params(p.steps), 121)
	colours := [2]float64{min(slices.Min(before.Z), slices.Min(after.Z)), max(slices.Max(before.Z), slices.Max(after.Z))}
	tile := func(step int, f viz.Field, when string) viz.Samples2D {
		s := p.scene(step, p.c.Iterations, f)
		s.Axes, s.Bar, s.Colours = p.axes("%s: loss %.2g", when, p.loss(step)), "Z(x, y)", colours
		if step == 0 {
			s.Path = nil
		}
		return s
	}
	g := viz.SideBySide("DCEM moves the minimum of an objective to the target",
		tile(0, before, "Before"), tile(p.steps, after, fmt.Sprintf("After %d updates", p.steps)))
	g.Width, g.Height = 1200, 560
	return g
}

func (p *pictures) losses(table *run.Table) viz.Lines {
	scores := column(table, "validation")
	scores.Name = fmt.Sprintf("mean of %d solves on fixed noise", validationSolves)
	scores.X, scores.Y = append([]float64{0}, scores.X...), append([]float64{p.result.start.Mean}, scores.Y...)
	single := column(table, "loss")
	single.Name = "one solve on fresh noise"
	return viz.Lines{
		Axes: viz.Axes{Title: "Loss: mean squared distance of the answer from the target", X: "update", Y: "loss"}, LogY: true,
		Series: []viz.Series{single, scores},
		Levels: []viz.Mark{{At: goodLoss, Label: "0.05"}},
	}
}

// movie shows the first solve iteration by iteration, then the solves of all updates, then the last one by iterations.
func (p *pictures) movie() viz.Animation {
	const most = 60 // updates shown
	a := viz.Animation{Delay: 130 * time.Millisecond}
	a.Frames = p.contraction(0)
	shown := 0
	for n := range most {
		step := 1 + n*(p.steps-1)/most
		if step == shown || step == p.steps {
			continue
		}
		s := p.scene(step, p.c.Iterations, field(p.task.Params(step), 61))
		s.Axes = p.axes("update %d, loss %.3f", step, p.loss(step))
		a.Frames = append(a.Frames, s)
		shown = step
	}
	a.Frames = append(a.Frames, p.contraction(p.steps)...)
	return a
}

// contraction is the solve after a step, iteration by iteration.
func (p *pictures) contraction(step int) (frames []viz.Samples2D) {
	f := field(p.task.Params(step), 61)
	for i := range p.c.Iterations {
		s := p.scene(step, i+1, f)
		s.Axes = p.axes("update %d, iteration %d", step, i+1)
		frames = append(frames, s)
	}
	return frames
}

// loss is that of the solve after a step.
func (p *pictures) loss(step int) float64 {
	dx, dy := p.traces[step].Answer[0]-p.c.Target[0], p.traces[step].Answer[1]-p.c.Target[1]
	return (dx*dx + dy*dy) / 2
}

// points are the samples of the first iterations; the others stay empty, so that each keeps its shade.
func points(samples [][]float64, first int) [][]viz.Point {
	all := make([][]viz.Point, len(samples))
	for t, s := range samples[:first] {
		for i := 0; i < len(s); i += 2 {
			all[t] = append(all[t], viz.Point{X: s[i], Y: s[i+1]})
		}
	}
	return all
}

func gaussians(t Trace) (gs []viz.Gaussian) {
	for i := range t.Mu {
		gs = append(gs, viz.Gaussian{
			Mean: viz.Point{X: t.Mu[i][0], Y: t.Mu[i][1]}, Sigma: viz.Point{X: t.Sigma[i][0], Y: t.Sigma[i][1]},
		})
	}
	return gs
}

// column is a column of metrics.csv over the steps, without the rows that have no value in it.
func column(t *run.Table, name string) (s viz.Series) {
	i := slices.Index(t.Columns, name)
	for _, row := range t.Rows {
		if i >= 0 && !math.IsNaN(row[i]) {
			s.X, s.Y = append(s.X, row[0]), append(s.Y, row[i])
		}
	}
	return s
}

// cemConfig is vanilla CEM on the same problem, with a start wide enough to see more than one bump.
func (c Config) cemConfig() dcem.Config {
	d := c.solve(1)
	d.Hard, d.Sigma = true, []float64{c.CEMSigma}
	return d
}
