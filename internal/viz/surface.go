package viz

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Surface is an energy E(x, y) as a heat map, pale where it is low, with what a minimiser over y makes of it. Default
// size 960 x 620.
type Surface struct {
	Axes
	Field    Field      // rows over x, columns over y
	PerX     PerX       // what is done to the energies of each x; zero: their minimum is subtracted
	Log      bool       // colours by log1p((E - min)/knee): shows valleys that a few huge values would hide
	Colours  [2]float64 // limits of the colours, after PerX; [0, 0]: from the data
	Contours int        // contour lines at equal steps of colour; 0: none
	Bar      string     // label of the colour bar; "": by PerX
	Truth    Series     // the answer y(x); none where Y is nil
	ArgMin   bool       // a dot at the least energy of each x of the grid
	Samples  [][]Point  // the minimiser's samples: one slice an iteration, drawn light at first and black at last
	Sampled  string     // what they are; "": "samples of iterations 1 to n"
}

func (s Surface) size() (int, int) { return s.dims(960, 620) }

func (s Surface) panels() ([]*panel, error) {
	if err := s.Field.check(); err != nil {
		return nil, err
	}
	if s.PerX > AsIs {
		return nil, fmt.Errorf("PerX is %d, want SubtractMin, ScaleRange or AsIs", s.PerX)
	}
	f := s.Field.normalised(s.PerX)
	sc, err := scaleOf(s.Colours, s.Log, f)
	if err != nil {
		return nil, err
	}
	p := &panel{axes: s.Axes, boxed: true}
	if err := p.limitsOf(f); err != nil {
		return nil, err
	}
	k := heat{f: f.heights(sc), contours: max(0, s.Contours)}
	label := []string{"E(x, y) − min over y", "E(x, y), each x scaled to [0, 1]", "E(x, y)"}[s.PerX]
	if s.Log && s.PerX == AsIs {
		label = "E(x, y) − min E"
	}
	p.layers = append(p.layers, k)
	p.bar = &bar{label: name(s.Bar, label), at: k.colour, ticks: sc.ticks()}
	bad := s.Field.bad()
	if s.Samples != nil {
		n := p.samples(s.Samples, s.Sampled, 1.8)
		bad += n
	}
	if s.Truth.Y != nil {
		pts, n, _, err := s.Truth.points(false)
		if err != nil {
			return nil, err
		}
		bad += n
		t := cased(pts, vermilion, 2.2)
		p.layers = append(p.layers, t)
		p.legend = append(p.legend, entry{name(s.Truth.Name, "truth"), t.sample})
	}
	if s.ArgMin {
		d := dots{pts: s.Field.ArgMin(), radius: 2.3, fill: palette[3], edge: ink, edgeWidth: 0.9}
		p.layers = append(p.layers, d)
		p.legend = append(p.legend, entry{"least energy of each x", d.sample})
	}
	p.notes = note(bad, "non-finite value", "skipped")
	return []*panel{p}, nil
}

// limitsOf sets the limits to the field's, unless the user gave some.
func (p *panel) limitsOf(f Field) (err error) {
	nx, ny := len(f.X), len(f.Y)
	if p.x, err = limits(p.axes.XRange, extent{f.X[0], f.X[nx-1]}, 0, false, "x"); err != nil {
		return err
	}
	p.y, err = limits(p.axes.YRange, extent{f.Y[0], f.Y[ny-1]}, 0, false, "y")
	return err
}

// heights returns f with its values turned into heights of the colour map.
func (f Field) heights(sc scale) Field {
	z := make([]float64, len(f.Z))
	for i, v := range f.Z {
		z[i] = math.NaN()
		if finite(v) {
			z[i] = sc.at(v)
		}
	}
	return Field{f.X, f.Y, z}
}

// samples adds the samples of all iterations with their legend, and returns how many could not be drawn.
func (p *panel) samples(steps [][]Point, label string, radius float64) (bad int) {
	for _, pts := range steps {
		for _, pt := range pts {
			if !finite(pt.X) || !finite(pt.Y) {
				bad++
			}
		}
	}
	d := shadedDots{steps: steps, radius: vg.Length(radius)}
	p.layers = append(p.layers, d)
	otherwise := "samples"
	if n := len(steps); n > 1 {
		otherwise = fmt.Sprintf("samples of iterations 1 to %d", n)
	}
	p.legend = append(p.legend, entry{name(label, otherwise), d.sample})
	return bad
}

// Gaussian is a sampling distribution with independent coordinates.
type Gaussian struct{ Mean, Sigma Point }

// Samples2D is an objective over (x, y) as filled contours, pale where it is low, with the state of a minimiser in
// both coordinates. Default size 720 x 620, as a frame of an Animation 480 x 400.
type Samples2D struct {
	Axes
	Field     Field
	Colours   [2]float64 // limits of the colours; [0, 0]: from the data
	Bands     int        // number of filled contours; 0: 18
	Cells     bool       // the field is of cells: no contours, and the nearest point's value everywhere
	Bar       string     // label of the colour bar; "": no bar
	Samples   [][]Point  // one slice an iteration, drawn light at first and black at last
	Gaussians []Gaussian // mean and ellipse of one sigma, one an iteration, the last one boldest
	Path      []Point    // where the minimum has been, oldest first
	PathName  string     // "": "path of the minimum"
	Curves    []Series   // others, each with its name
	Target    []Point    // where it ought to be
}

func (s Samples2D) size() (int, int) { return s.dims(720, 620) }

func (s Samples2D) panels() ([]*panel, error) {
	if err := s.Field.check(); err != nil {
		return nil, err
	}
	sc, err := scaleOf(s.Colours, false, s.Field)
	if err != nil {
		return nil, err
	}
	p, err := s.panel(sc)
	return []*panel{p}, err
}

// panel draws with the given scale, which the frames of an animation share.
func (s Samples2D) panel(sc scale) (*panel, error) {
	if s.Bands < 0 || s.Bands == 1 || s.Bands > 100 {
		return nil, fmt.Errorf("%d bands, want 2 to 100 (0: 18)", s.Bands)
	}
	p := &panel{axes: s.Axes, boxed: true}
	if err := p.limitsOf(s.Field); err != nil {
		return nil, err
	}
	k := heat{f: s.Field.heights(sc), contours: s.Bands, banded: true}
	if s.Bands == 0 {
		k.contours = 18
	}
	if s.Cells {
		k = heat{f: k.f, cells: true}
	}
	p.layers = append(p.layers, k)
	if s.Bar != "" {
		p.bar = &bar{label: s.Bar, at: k.colour, ticks: sc.ticks()}
	}
	bad := 0
	if !s.Cells { // a cell without a value is seen
		bad = s.Field.bad()
	}
	if len(s.Path) > 0 {
		c := cased(s.Path, ink, 1.6)
		p.layers = append(p.layers, c)
		p.legend = append(p.legend, entry{name(s.PathName, "path of the minimum"), c.sample})
	}
	for i, more := range s.Curves {
		pts, n, _, err := more.points(false)
		if err != nil {
			return nil, err
		}
		bad += n
		c := cased(pts, palette[(i+1)%len(palette)], 2)
		p.layers = append(p.layers, c)
		p.legend = append(p.legend, entry{more.Name, c.sample})
	}
	if s.Samples != nil {
		bad += p.samples(s.Samples, "", 2)
	}
	if len(s.Gaussians) > 0 {
		n, err := p.gaussians(s.Gaussians)
		if err != nil {
			return nil, err
		}
		bad += n
	}
	if len(s.Target) > 0 {
		t := star{pts: s.Target, radius: 7.5}
		p.layers = append(p.layers, t)
		p.legend = append(p.legend, entry{"target", t.sample})
	}
	p.notes = note(bad, "non-finite value", "skipped")
	return p, nil
}

// gaussians adds an ellipse and a cross for each, fainter the older.
func (p *panel) gaussians(gs []Gaussian) (bad int, err error) {
	var last curve
	for t, g := range gs {
		if !finite(g.Mean.X) || !finite(g.Mean.Y) || !finite(g.Sigma.X) || !finite(g.Sigma.Y) {
			bad++
			continue
		}
		if g.Sigma.X < 0 || g.Sigma.Y < 0 {
			return bad, errors.New("a Gaussian's sigma is negative")
		}
		alpha := 0.25 + 0.75*float64(t+1)/float64(len(gs))
		ring := make([]Point, 73)
		for i := range ring {
			sin, cos := math.Sincos(2 * math.Pi * float64(i) / 72)
			ring[i] = Point{g.Mean.X + g.Sigma.X*cos, g.Mean.Y + g.Sigma.Y*sin}
		}
		line := draw.LineStyle{Color: withAlpha(vermilion, alpha), Width: 1.8}
		casing := draw.LineStyle{Color: withAlpha(white, 0.8*alpha), Width: 3.8}
		last = curve{pts: ring, line: line, casing: casing}
		p.layers = append(p.layers, last)
		if t == len(gs)-1 {
			p.layers = append(p.layers, cross(g.Mean, 5, line, casing))
		}
	}
	if bad < len(gs) {
		p.legend = append(p.legend, entry{"mean ± σ", func(c *draw.Canvas) { ringSample(c, last) }})
	}
	return bad, nil
}

// ringSample draws a small ellipse for the legend.
func ringSample(c *draw.Canvas, k curve) {
	g := plot.New()
	g.X.Min, g.X.Max, g.Y.Min, g.Y.Max = -1.6, 1.6, -1.9, 1.9
	k.pts = nil
	for i := range 37 {
		s, co := math.Sincos(2 * math.Pi * float64(i) / 36)
		k.pts = append(k.pts, Point{co, s})
	}
	k.Plot(*c, g)
}
