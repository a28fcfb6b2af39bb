package embed

import (
	"fmt"
	"time"

	"github.com/godcem/godcem/internal/viz"
)

// closedLoops are the costs of steps and the poles that stand, over time, of all closed loops together.
func (p *pictures) closedLoops() viz.Plot {
	cost := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Cost of a step, median of %d closed loops", p.c.Episodes),
		X: "t, s", Y: "cost"}}
	stand := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Share of them with cos theta > %g", upright), X: "t, s",
		Y: "share", YRange: [2]float64{-0.03, 1.03}}}
	add := func(name string, l loops) {
		t := p.times(p.c.Episode)
		cost.Series = append(cost.Series, viz.Series{Name: name, X: t, Y: l.costs()})
		stand.Series = append(stand.Series, viz.Series{Name: name, X: t, Y: l.standing()})
	}
	for _, s := range p.studies {
		add(s.title(), s.loops)
		if s.other != nil {
			add(s.otherTitle(), s.other)
		}
	}
	add("CEM over all controls", p.experts.loops)
	g := viz.SideBySide("", cost, stand)
	g.Width, g.Height = 1240, 440
	return g
}

// sensitivities are the derivatives of a plan with respect to where it starts: there where the cost of the closed loop
// from hanging falls most.
func (p *pictures) sensitivities() viz.Plot {
	var plots []viz.Plot
	size := p.c.system().StateDim()
	for _, v := range []struct {
		what, unit string
		of         func(d, x []float64) float64
	}{
		{"place of the cart", "N per m", func(d, _ []float64) float64 { return d[0] }},
		{"speed of the cart", "N per m/s", func(d, _ []float64) float64 { return d[1] }},
		// cos and sin of theta move by -sin and cos of it.
		{"angle of the pole", "N per rad", func(d, x []float64) float64 { return -d[2]*x[3] + d[3]*x[2] }},
		{"speed of the pole", "N per rad/s", func(d, _ []float64) float64 { return d[4] }},
	} {
		f := viz.Lines{Axes: viz.Axes{Title: "Forces by the " + v.what, X: "t, s", Y: v.unit}}
		for _, s := range p.studies {
			y := make([]float64, p.c.Horizon)
			for t := range y {
				y[t] = v.of(s.jacobian[t*size:(t+1)*size], s.turn)
			}
			f.Series = append(f.Series, viz.Series{Name: s.title(), X: p.times(len(y)), Y: y})
		}
		plots = append(plots, f)
	}
	g := viz.SideBySide("", plots...)
	g.Columns, g.Width, g.Height = 2, 1240, 760
	return g
}

// search shows the samples of one iteration after the other over the costs of the latents.
func (s *study) search() viz.Animation {
	a := viz.Animation{Delay: 600 * time.Millisecond}
	for t, tried := range s.plan.Tried {
		a.Frames = append(a.Frames, s.tried(fmt.Sprintf("Iteration %d of %d", t+1, s.c.Iterations), tried))
	}
	return a
}

// field is the surface of costs over the latents, without anything on it.
func (s *study) field() viz.Samples2D {
	square := [2]float64{-1, 1}
	return viz.Samples2D{Axes: viz.Axes{X: "z1", Y: "z2", XRange: square, YRange: square},
		Field: viz.Field{X: gridAxis(), Y: gridAxis(), Z: s.surface}, Bar: "cost"}
}

// tried is an iteration of DCEM on the surface.
func (s *study) tried(title string, t Tried) viz.Samples2D {
	f := s.field()
	f.Title, f.Samples = title, [][]viz.Point{pairs(t.X)}
	f.Gaussians = []viz.Gaussian{{Mean: viz.Point{X: t.Mu[0], Y: t.Mu[1]}, Sigma: viz.Point{X: t.Sigma[0], Y: t.Sigma[1]}}}
	return f
}
