package regression

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	fitFigure     = "fit.png"
	surfaceFigure = "surface.png"
	lossFigure    = "loss.png"
	reportFile    = "report.html"
)

// pictures draws what one or two studies have to show.
type pictures struct {
	c       Config
	dir     string
	studies []*study
}

// title is the method's name in figures; of a training that goes on, with how far it is.
func (s *study) title() string {
	name := "DCEM"
	switch s.c.Method {
	case GD:
		name = "unrolled gradient descent"
	case CEMForward:
		name = "DCEM, predicting with CEM"
	}
	if s.at > 0 {
		name += fmt.Sprintf(" after %d updates", s.at)
	}
	return name
}

// draw writes all pictures, until ctx is done.
func (p *pictures) draw(ctx context.Context) error {
	for _, f := range []struct {
		name string
		plot func() viz.Plot
	}{
		{fitFigure, p.fit}, {surfaceFigure, p.surfaces}, {slicesFigure, p.slices}, {lossFigure, p.losses},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := viz.Save(filepath.Join(p.dir, f.name), f.plot()); err != nil {
			return err
		}
	}
	return nil
}

func (p *pictures) fit() viz.Plot {
	x, y := Points(p.c.Points)
	f := viz.Fit{
		Axes:  viz.Axes{Title: "Predictions: where the search on the energy ends", X: "x", Y: "y", PiX: true, Height: 460},
		Truth: viz.Series{Name: "y = x sin x", X: x, Y: y},
	}
	for _, s := range p.studies {
		name := fmt.Sprintf("%s (mean squared error %.2g)", s.title(), s.metrics["mse"])
		f.Methods = append(f.Methods, viz.Series{Name: name, X: x, Y: s.y})
	}
	if s := p.studies[0]; p.c.Method == DCEM && s.cem != nil {
		name := fmt.Sprintf("vanilla CEM on the same energy (%.2g)", s.metrics["mse_cem"])
		f.Methods = append(f.Methods, viz.Series{Name: name, X: x, Y: s.cem})
	}
	return f
}

// surfaces are the energies with what each search tried, side by side.
func (p *pictures) surfaces() viz.Plot {
	var plots []viz.Plot
	for _, s := range p.studies {
		x, y := Points(s.c.Points)
		title := fmt.Sprintf("%s: the least energy is at the data for %.0f%% of x",
			capital(s.title()), 100*s.metrics["minimum_share"])
		plots = append(plots, viz.Surface{
			Axes:  viz.Axes{Title: title, X: "x", Y: "y", PiX: true, YRange: [2]float64{gridLow, gridHigh}},
			Field: s.field, PerX: viz.ScaleRange, Log: true,
			Truth: viz.Series{Name: "y = x sin x", X: x, Y: y}, ArgMin: true, Samples: s.samples(), Sampled: s.sampled(),
		})
	}
	if len(plots) == 1 {
		return plots[0]
	}
	g := viz.SideBySide(p.surfacesTitle(), plots...)
	g.Width, g.Height = 1280, 600
	return g
}

// surfacesTitle says what the two energies show, where their numbers bear it out.
func (p *pictures) surfacesTitle() string {
	title := "Learnt energies E(x, y)"
	if p.studies[0].atMinimum() && p.studies[1].awayFromMinimum() {
		title += fmt.Sprintf(": DCEM learns where the minimum is, gradient descent only the way down from y = %g", p.c.Start)
	}
	return title
}

// sampled says what the candidates of the search are.
func (s *study) sampled() string {
	if s.c.Method == GD {
		return fmt.Sprintf("descent from y = %g in %d steps", s.c.Start, s.c.Iterations)
	}
	return ""
}

// samples are the candidates of the search at every third or so point, few enough to be told apart.
func (s *study) samples() [][]viz.Point {
	const columns, most = 25, 8 // points with samples, samples of each and iteration
	every := max(1, s.c.Points/columns)
	x, _ := Points(s.c.Points)
	all := make([][]viz.Point, len(s.tried))
	for t, tried := range s.tried {
		n := len(tried) / s.c.Points
		for i := every / 2; i < s.c.Points; i += every {
			for j := range min(n, most) {
				all[t] = append(all[t], viz.Point{X: x[i], Y: tried[i*n+j]})
			}
		}
	}
	return all
}

// losses are what training has done over its updates.
func (p *pictures) losses() viz.Plot {
	axes := func(title, y string) viz.Axes { return viz.Axes{Title: title, X: "update", Y: y} }
	train := viz.Lines{Axes: axes("Loss at the points of 100 updates", "mean squared error"), LogY: true}
	judge := viz.Lines{Axes: axes("Validation: all points, fixed noise", "mean squared error"), LogY: true}
	share := viz.Lines{Axes: axes("Least energy at the data", "share of x"), Levels: []viz.Mark{{At: 1}}}
	share.YRange = [2]float64{0, 1.04}
	for _, s := range p.studies {
		series := func(x, y []float64) viz.Series { return viz.Series{Name: s.title(), X: x, Y: y} }
		train.Series = append(train.Series, series(blocks(s.table.Series("loss"))))
		judge.Series = append(judge.Series, series(s.table.Series("validation")))
		share.Series = append(share.Series, series(s.table.Series("minimum_share")))
		for _, at := range s.halved {
			m := viz.Mark{At: float64(at), Label: "rate halved"}
			if len(p.studies) > 1 {
				m.Label += " (" + s.c.Method + ")"
			}
			judge.Marks = append(judge.Marks, m)
		}
	}
	g := viz.SideBySide("", train, judge, share)
	g.Width, g.Height = 1440, 440
	return g
}

// blocks is a curve's mean over every 100 updates, or fewer where there are few.
func blocks(steps, values []float64) (x, y []float64) {
	size := min(100, max(1, len(values)/10))
	for at := 0; at+size <= len(values); at += size {
		x, y = append(x, steps[at+size-1]), append(y, lastMean(values[at:at+size], size))
	}
	return x, y
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
