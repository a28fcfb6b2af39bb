package viz

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// curve is a line through points, broken where one cannot be drawn; a casing (wider, behind) keeps it legible on any
// ground.
type curve struct {
	pts    []Point
	line   draw.LineStyle
	casing draw.LineStyle // none where Width is 0
}

// cased is a curve for a coloured ground.
func cased(pts []Point, c color.NRGBA, width vg.Length) curve {
	return curve{
		pts:    pts,
		line:   draw.LineStyle{Color: c, Width: width},
		casing: draw.LineStyle{Color: withAlpha(white, 0.9), Width: width + 2.1},
	}
}

func (k curve) Plot(c draw.Canvas, p *plot.Plot) {
	runs := project(c, p, k.pts)
	for _, run := range runs {
		if len(run) == 1 && c.Contains(run[0]) { // alone between gaps: a line would be invisible
			dot(&c, run[0], k.line.Width, k.line.Color)
		}
	}
	lines := c.ClipLinesXY(runs...)
	if k.casing.Width > 0 {
		c.StrokeLines(k.casing, lines...)
	}
	if len(k.line.Dashes) == 0 {
		lines = chop(lines)
	}
	c.StrokeLines(k.line, lines...)
}

// chop cuts long lines into pieces: the rasteriser's time grows with the square of what crosses a pixel row.
func chop(lines [][]vg.Point) (pieces [][]vg.Point) {
	const most = 100
	for _, l := range lines {
		for ; len(l) > most; l = l[most-1:] { // the last point of a piece is the first of the next
			pieces = append(pieces, l[:most])
		}
		pieces = append(pieces, l)
	}
	return pieces
}

func (k curve) sample(c *draw.Canvas) {
	m := c.Center().Y
	if k.casing.Width > 0 {
		c.StrokeLine2(k.casing, c.Min.X, m, c.Max.X, m)
	}
	c.StrokeLine2(k.line, c.Min.X, m, c.Max.X, m)
}

// project turns points into places on the canvas, in runs without gaps. Far more points than pixels are thinned to the
// extremes of each pixel column, which looks the same.
func project(c draw.Canvas, p *plot.Plot, pts []Point) (runs [][]vg.Point) {
	var run []vg.Point
	end := func() {
		if len(run) > 0 {
			runs = append(runs, thin(run, int(4*c.Size().X)))
		}
		run = nil
	}
	for _, pt := range pts {
		x, y := p.X.Norm(pt.X), p.Y.Norm(pt.Y)
		if !finite(pt.X) || !finite(pt.Y) || math.IsNaN(x) || math.IsNaN(y) {
			end()
			continue
		}
		// The rasteriser counts in 32 bits: keep far-off points far off, but not further.
		run = append(run, vg.Point{X: c.X(math.Min(math.Max(x, -50), 50)), Y: c.Y(math.Min(math.Max(y, -50), 50))})
	}
	end()
	return runs
}

func thin(run []vg.Point, limit int) []vg.Point {
	if len(run) <= limit {
		return run
	}
	var out []vg.Point
	for i := 0; i < len(run); {
		j, lo, hi := i, i, i
		for ; j < len(run) && math.Floor(float64(run[j].X)) == math.Floor(float64(run[i].X)); j++ {
			if run[j].Y < run[lo].Y {
				lo = j
			}
			if run[j].Y > run[hi].Y {
				hi = j
			}
		}
		for k, at := range []int{i, min(lo, hi), max(lo, hi), j - 1} {
			if k == 0 || run[at] != out[len(out)-1] {
				out = append(out, run[at])
			}
		}
		i = j
	}
	return out
}

// dots are filled circles, with an edge where edgeWidth > 0.
type dots struct {
	pts       []Point
	radius    vg.Length
	fill      color.Color
	edge      color.Color
	edgeWidth vg.Length
}

func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	for _, run := range project(c, p, d.pts) {
		for _, pt := range run {
			if c.Contains(pt) {
				d.one(&c, pt)
			}
		}
	}
}

func (d dots) one(c *draw.Canvas, pt vg.Point) {
	if d.edgeWidth > 0 {
		dot(c, pt, d.radius+d.edgeWidth, d.edge)
	}
	dot(c, pt, d.radius, d.fill)
}

func (d dots) sample(c *draw.Canvas) {
	w, m := c.Size().X, c.Center()
	for _, f := range []vg.Length{-0.3, 0, 0.3} {
		d.one(c, vg.Point{X: m.X + f*w, Y: m.Y})
	}
}

// dot fills a circle: a polygon of few sides is much faster than an arc and looks the same at these sizes.
func dot(c *draw.Canvas, at vg.Point, r vg.Length, fill color.Color) {
	n := 10
	if r > 3 {
		n = 20
	}
	pts := make([]vg.Point, n)
	for i := range pts {
		s, co := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		pts[i] = vg.Point{X: at.X + r*vg.Length(co), Y: at.Y + r*vg.Length(s)}
	}
	c.FillPolygon(fill, pts)
}

// shadedDots are the samples of several iterations, each in its shade: light at first, black at last.
type shadedDots struct {
	steps  [][]Point
	radius vg.Length
}

func (s shadedDots) Plot(c draw.Canvas, p *plot.Plot) {
	for t, pts := range s.steps {
		s.step(t, len(s.steps), pts).Plot(c, p)
	}
}

func (s shadedDots) step(t, n int, pts []Point) dots {
	g := shade(t, n)
	edge := withAlpha(ink, 0.55) // light dots need an edge on light ground, dark ones on dark
	if g.R < 110 {
		edge = withAlpha(white, 0.55)
	}
	return dots{pts: pts, radius: s.radius, fill: g, edge: edge, edgeWidth: 0.6}
}

func (s shadedDots) sample(c *draw.Canvas) {
	n := min(len(s.steps), 4)
	for i := range n {
		x := c.Center().X
		if n > 1 {
			x = c.Min.X + 3 + (c.Size().X-6)*vg.Length(i)/vg.Length(n-1)
		}
		s.step(i, n, nil).one(c, vg.Point{X: x, Y: c.Center().Y})
	}
}

// star marks a target.
type star struct {
	pts    []Point
	radius vg.Length
}

func (s star) Plot(c draw.Canvas, p *plot.Plot) {
	for _, run := range project(c, p, s.pts) {
		for _, pt := range run {
			if c.Contains(pt) {
				s.one(&c, pt)
			}
		}
	}
}

func (s star) one(c *draw.Canvas, at vg.Point) {
	outline := func(r, inner vg.Length) []vg.Point {
		pts := make([]vg.Point, 10)
		for i := range pts {
			si, co := math.Sincos(math.Pi/2 + math.Pi*float64(i)/5)
			d := r
			if i%2 == 1 {
				d = inner
			}
			pts[i] = vg.Point{X: at.X + d*vg.Length(co), Y: at.Y + d*vg.Length(si)}
		}
		return pts
	}
	c.FillPolygon(white, outline(s.radius*1.5, s.radius*0.75))
	c.FillPolygon(vermilion, outline(s.radius, s.radius*0.42))
}

func (s star) sample(c *draw.Canvas) { s.one(c, c.Center()) }

// cross marks a mean.
func cross(at Point, span vg.Length, line, casing draw.LineStyle) plot.Plotter {
	return plotFunc(func(c draw.Canvas, p *plot.Plot) {
		for _, run := range project(c, p, []Point{at}) {
			m := run[0]
			if !c.Contains(m) {
				continue
			}
			for _, sty := range []draw.LineStyle{casing, line} {
				c.StrokeLine2(sty, m.X-span, m.Y, m.X+span, m.Y)
				c.StrokeLine2(sty, m.X, m.Y-span, m.X, m.Y+span)
			}
		}
	})
}

type plotFunc func(draw.Canvas, *plot.Plot)

func (f plotFunc) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }

// mark is a line across the axes at one value of x (vertical) or y, with its words at the end.
type mark struct {
	at       float64
	vertical bool
	line     draw.LineStyle
	label    string
	size     float64
}

func (m mark) Plot(c draw.Canvas, p *plot.Plot) {
	sty := style(m.size, false, ink)
	sty.YAlign = draw.YCenter
	long, high := sty.Width(m.label), sty.Font.Size
	// The words stand left of a vertical line, or above a level, on a veil over the data.
	var at vg.Point
	var veil vg.Rectangle
	if m.vertical {
		x := c.X(p.X.Norm(m.at))
		c.StrokeLine2(m.line, x, c.Min.Y, x, c.Max.Y)
		sty.Rotation, sty.XAlign = math.Pi/2, draw.XRight
		at = vg.Point{X: x - 3 - high/2, Y: c.Max.Y - 6}
		veil = vg.Rectangle{Min: vg.Point{X: at.X - 0.7*high, Y: at.Y - long - 3}, Max: vg.Point{X: at.X + 0.7*high, Y: at.Y + 3}}
		at.X -= 0.12 * high
	} else {
		y := c.Y(p.Y.Norm(m.at))
		c.StrokeLine2(m.line, c.Min.X, y, c.Max.X, y)
		sty.XAlign = draw.XRight
		at = vg.Point{X: c.Max.X - 6, Y: y + 3 + high/2}
		veil = vg.Rectangle{Min: vg.Point{X: at.X - long - 3, Y: at.Y - 0.6*high}, Max: vg.Point{X: at.X + 3, Y: at.Y + 0.7*high}}
		at.Y += 0.12 * high
	}
	if m.label != "" {
		c.SetColor(withAlpha(white, 0.8))
		c.Fill(veil.Path())
		c.FillText(sty, at, m.label)
	}
}
