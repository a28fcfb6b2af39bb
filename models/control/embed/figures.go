package embed

import (
	"context"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"time"

	"github.com/godcem/godcem/internal/viz"
)

// Names of the pictures in the out folder.
const (
	costFigure        = "cost.png"
	latentFigure      = "latent.png"
	trajectoryFigure  = "trajectories.png"
	loopFigure        = "closed-loops.png"
	sensitivityFigure = "sensitivity.png"
	searchMovie       = "search.gif"
	reportFile        = "report.html"
)

// movieFigure is the closed loop of a method.
func movieFigure(method string) string { return "closed-loop-" + method + ".gif" }

func allFigures() []string {
	return []string{costFigure, latentFigure, trajectoryFigure, loopFigure, sensitivityFigure, searchMovie, reportFile,
		movieFigure(DCEM), movieFigure(GD)}
}

// pictures draws what one or two studies have to show.
type pictures struct {
	c       Config
	dir     string
	studies []*study
	experts *experts
}

// title is the method's name in figures.
func (s *study) title() string {
	if s.c.Method == GD {
		return "latent gradient descent"
	}
	return "latent DCEM"
}

// otherTitle is that of the loops by the other answer.
func (s *study) otherTitle() string { return s.title() + ", " + s.c.otherAnswer() + " answer" }

// draw writes all pictures, until ctx is done.
func (p *pictures) draw(ctx context.Context) error {
	for _, f := range []struct {
		name string
		plot func() viz.Plot
	}{
		{costFigure, p.costs}, {latentFigure, p.latents}, {trajectoryFigure, p.trajectories},
		{loopFigure, p.closedLoops}, {sensitivityFigure, p.sensitivities},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.name == latentFigure && p.c.Latent != 2 {
			continue
		}
		if err := viz.Save(filepath.Join(p.dir, f.name), f.plot()); err != nil {
			return err
		}
	}
	for _, s := range p.studies {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.movie(s); err != nil {
			return err
		}
		if s.c.Method == DCEM && s.c.Latent == 2 {
			if err := viz.SaveGIF(filepath.Join(p.dir, searchMovie), s.search()); err != nil {
				return err
			}
		}
	}
	return nil
}

// costs are those of validations over the updates, beside the experts'.
func (p *pictures) costs() viz.Plot {
	f := viz.Lines{
		Axes: viz.Axes{
			Title: fmt.Sprintf("Mean cost of plans of %d steps from %d fixed initial states", p.c.Horizon, p.c.States),
			X:     "update of the decoder", Y: "mean cost", Height: 460},
	}
	for i, e := range Experts() {
		name := "CEM over all controls"
		if e == Strong {
			name = e.Name
		}
		f.Levels = append(f.Levels, viz.Mark{At: p.experts.all()[i].by(p.c.Answer)[0],
			Label: fmt.Sprintf("%s, %d samples x %d", name, e.Samples, e.Iterations)})
	}
	for _, s := range p.studies {
		x, y := s.table.Series("validation")
		name := s.title()
		if s.c.Method == DCEM {
			name += fmt.Sprintf(", %d samples x %d", s.c.Samples, s.c.Iterations)
		}
		f.Series = append(f.Series, viz.Series{Name: name, X: x, Y: y})
	}
	return f
}

// latents are the costs over the latent space from the hanging pole, with what the searches try.
func (p *pictures) latents() viz.Plot {
	var plots []viz.Plot
	for _, s := range p.studies {
		if s.c.Method == GD {
			f := s.field()
			f.Title, f.PathName = fmt.Sprintf("%s: %d steps", capital(s.title()), s.c.Iterations), "descent"
			for _, t := range s.plan.Tried {
				f.Path = append(f.Path, viz.Point{X: t.X[0], Y: t.X[1]})
			}
			plots = append(plots, f)
			continue
		}
		for _, t := range shownIterations(len(s.plan.Tried)) {
			plots = append(plots, s.tried(fmt.Sprintf("%s: samples of iteration %d of %d", capital(s.title()), t+1,
				s.c.Iterations), s.plan.Tried[t]))
		}
	}
	g := viz.SideBySide("", plots...)
	g.Columns = min(len(plots), 3)
	if len(plots) == 4 {
		g.Columns = 2
	}
	return g
}

// shownIterations are the first of n iterations, one in between, and the last, from 0.
func shownIterations(n int) []int {
	switch n {
	case 1:
		return []int{0}
	case 2:
		return []int{0, 1}
	}
	return []int{0, min(2, n-2), n - 1}
}

func pairs(v []float64) []viz.Point {
	var p []viz.Point
	for i := 0; i+1 < len(v); i += 2 {
		p = append(p, viz.Point{X: v[i], Y: v[i+1]})
	}
	return p
}

// times are those of n steps, in seconds.
func (p *pictures) times(n int) []float64 {
	t := make([]float64, n)
	for i := range t {
		t[i] = float64(i) * p.c.system().Dt()
	}
	return t
}

// trajectories are states and controls of one plan and of the closed loop.
func (p *pictures) trajectories() viz.Plot {
	var plots []viz.Plot
	for _, row := range []struct {
		title string
		x, u  func(s *study) [][]float64
		other func(s *study) loops // the same by the other answer, of closed loops
	}{
		{"One plan", func(s *study) [][]float64 { return s.plan.States },
			func(s *study) [][]float64 { return singles(s.plan.U) }, func(*study) loops { return nil }},
		{"Closed loop", func(s *study) [][]float64 { return s.loops[0].x },
			func(s *study) [][]float64 { return s.loops[0].u }, func(s *study) loops { return s.other }},
	} {
		for _, v := range []struct {
			what, y string
			of      func(s *study) [][]float64
			second  func(l loop) [][]float64
			column  int
		}{
			{"height of the pole", "cos theta", row.x, loop.states, 2}, {"cart", "x, m", row.x, loop.states, 0},
			{"force", "u, N", row.u, loop.forces, 0},
		} {
			f := viz.Lines{Axes: viz.Axes{Title: row.title + ": " + v.what, X: "t, s", Y: v.y}}
			for _, s := range p.studies {
				add := func(name string, all [][]float64) {
					y := make([]float64, len(all))
					for i := range all {
						y[i] = all[i][v.column]
					}
					f.Series = append(f.Series, viz.Series{Name: name, X: p.times(len(y)), Y: y})
				}
				add(s.title(), v.of(s))
				if other := row.other(s); other != nil {
					add(s.otherTitle(), v.second(other[0]))
				}
			}
			plots = append(plots, f)
		}
	}
	g := viz.SideBySide("", plots...)
	g.Columns, g.Width, g.Height = 3, 1440, 720
	return g
}

func singles(v []float64) [][]float64 {
	all := make([][]float64, len(v))
	for i := range v {
		all[i] = v[i : i+1]
	}
	return all
}

// movie shows the closed loop, and below it the one by the other answer.
func (p *pictures) movie(s *study) error {
	e := p.c.system()
	m := viz.Movie{Delay: time.Duration(math.Round(e.Dt()*1e3)) * time.Millisecond}
	shown := []loop{s.loops[0]}
	if s.other != nil {
		shown = append(shown, s.other[0])
	}
	for i := range s.loops[0].x {
		img := image.NewRGBA(image.Rect(0, 0, 480, 240*len(shown)))
		for j, l := range shown {
			var u []float64
			if i < len(l.u) {
				u = l.u[i]
			}
			e.Draw(img.SubImage(image.Rect(0, 240*j, 480, 240*(j+1))).(*image.RGBA), l.x[i], u)
		}
		m.Frames = append(m.Frames, img)
	}
	return viz.SaveMovie(filepath.Join(p.dir, movieFigure(s.c.Method)), m)
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
