package viz

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Bars compares contestants (series) in groups of upright bars from 0, with each bar's value above it. Bars beyond YRange
// are cut there; NaN is no bar. Default size 960 x 420.
type Bars struct {
	Axes
	Groups []string // names of the groups, below them; of several words in several lines
	Series []Series // Y: a value a group, not negative; X is not used
	Levels []Mark   // horizontal lines
}

func (b Bars) size() (int, int) { return b.dims(960, 420) }

func (b Bars) panels() ([]*panel, error) {
	if len(b.Groups) == 0 || len(b.Series) == 0 {
		return nil, errors.New("bars without groups or series")
	}
	p := &panel{axes: b.Axes, x: extent{-0.5, float64(len(b.Groups)) - 0.5}}
	ys := nothing()
	ys.add(0)
	for i, s := range b.Series {
		if len(s.Y) != len(b.Groups) {
			return nil, fmt.Errorf("series %q: %d values for %d groups", s.Name, len(s.Y), len(b.Groups))
		}
		for _, y := range s.Y {
			if y < 0 {
				return nil, fmt.Errorf("series %q: a value of %g, want none below 0", s.Name, y)
			}
			if finite(y) {
				ys.add(y)
			}
		}
		k := bars{s.Y, i, len(b.Series)}
		p.layers = append(p.layers, k)
		p.legend = append(p.legend, entry{name(s.Name, fmt.Sprintf("series %d", i+1)), k.sample})
	}
	for _, m := range b.Levels {
		ys.add(m.At)
		p.layers = append(p.layers, mark{at: m.At, line: draw.LineStyle{Color: ink, Width: 1, Dashes: dashes[1]}, label: m.Label, size: 11.5})
	}
	var err error
	if p.y, err = limits(b.YRange, ys, 0.08, false, "y"); err != nil {
		return nil, err
	}
	p.y.lo = math.Max(p.y.lo, 0)
	for i, g := range b.Groups {
		p.xTicks = append(p.xTicks, plot.Tick{Value: float64(i), Label: g})
	}
	return []*panel{p}, nil
}

// bars are those of series i of n.
type bars struct {
	y    []float64
	i, n int
}

func (k bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	width := (x(1) - x(0)) * 0.8 / vg.Length(k.n)
	sty := style(math.Min(11, math.Max(6.5, float64(width)/2.6)), false, ink)
	sty.XAlign, sty.YAlign = draw.XCenter, draw.YBottom
	for g, v := range k.y {
		if !finite(v) {
			continue
		}
		left := x(float64(g)) + width*(vg.Length(k.i)-vg.Length(k.n)/2)
		top := min(y(v), c.Max.Y)
		box := vg.Rectangle{Min: vg.Point{X: left + 0.04*width, Y: y(0)}, Max: vg.Point{X: left + 0.96*width, Y: top}}
		c.SetColor(palette[k.i%len(palette)])
		c.Fill(box.Path())
		at := vg.Point{X: left + width/2, Y: min(top+1, c.Max.Y-sty.Font.Size)}
		if top == c.Max.Y { // cut: the words stand on the bar
			c.SetColor(withAlpha(white, 0.8))
			half := sty.Width(short(v)) / 2
			c.Fill(vg.Rectangle{Min: vg.Point{X: at.X - half, Y: at.Y}, Max: vg.Point{X: at.X + half, Y: at.Y + sty.Font.Size}}.Path())
		}
		c.FillText(sty, at, short(v))
	}
}

// short is a value with two significant digits.
func short(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

func (k bars) sample(c *draw.Canvas) {
	c.SetColor(palette[k.i%len(palette)])
	r := c.Rectangle
	r.Min.Y, r.Max.Y = r.Min.Y+4, r.Max.Y-4
	c.Fill(r.Path())
}
