package viz

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is a named list of points. X may be nil: 0, 1, 2, ...
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a place on an axis worth a line, such as a halved learning rate.
type Mark struct {
	At    float64
	Label string
}

// Lines are curves over a common x, such as losses over updates. Default size 960 x 540.
type Lines struct {
	Axes
	Series []Series
	LogY   bool   // values <= 0 are skipped and counted
	Smooth int    // > 1: every value faint, and boldly their running average over about so many
	Marks  []Mark // vertical lines; those of equal label are labelled once
	Levels []Mark // horizontal lines
}

func (a Axes) dims(w, h int) (int, int) {
	if a.Width != 0 {
		w = a.Width
	}
	if a.Height != 0 {
		h = a.Height
	}
	return w, h
}

// limits chooses between the user's range and the data's.
func limits(user [2]float64, data extent, share float64, log bool, axis string) (extent, error) {
	if user != [2]float64{} {
		if !finite(user[0]) || !finite(user[1]) || !(user[0] < user[1]) || log && user[0] <= 0 {
			return extent{}, fmt.Errorf("%s range [%v, %v], want finite, ascending (and positive on a log axis)",
				axis, user[0], user[1])
		}
		return extent{user[0], user[1]}, nil
	}
	lo, hi := data.padded(share, log)
	return extent{lo, hi}, nil
}

// points checks a series and returns its drawable points, gaps kept as NaN, and how many values were no numbers or not
// positive on a log axis.
func (s Series) points(log bool) (pts []Point, bad, negative int, err error) {
	if s.X != nil && len(s.X) != len(s.Y) {
		return nil, 0, 0, fmt.Errorf("series %q: %d values of x for %d of y", s.Name, len(s.X), len(s.Y))
	}
	pts = make([]Point, len(s.Y))
	for i, y := range s.Y {
		x := float64(i)
		if s.X != nil {
			x = s.X[i]
		}
		switch {
		case !finite(x) || !finite(y):
			bad++
			x, y = math.NaN(), math.NaN()
		case log && y < 1e-300: // so near 0 that an axis below it could not be
			negative++
			y = math.NaN()
		}
		pts[i] = Point{x, y}
	}
	if len(pts) == bad+negative {
		return nil, bad, negative, fmt.Errorf("series %q is empty: %d values, none that can be drawn", s.Name, len(s.Y))
	}
	return pts, bad, negative, nil
}

// smooth is the exponential moving average of weight 2/(span+1), corrected for its start, over the finite values.
func smooth(pts []Point, span int) []Point {
	keep := 1 - 2/float64(span+1)
	out := slices.Clone(pts)
	sum, weight := 0.0, 0.0
	for i, p := range pts {
		if math.IsNaN(p.Y) {
			continue
		}
		sum, weight = keep*sum+(1-keep)*p.Y, keep*weight+(1-keep)
		out[i].Y = sum / weight
	}
	return out
}

func (l Lines) size() (int, int) { return l.dims(960, 540) }

func (l Lines) panels() ([]*panel, error) {
	if len(l.Series) == 0 {
		return nil, fmt.Errorf("%q has no series", l.Title)
	}
	p := &panel{axes: l.Axes, logY: l.LogY}
	xs, ys := nothing(), nothing()
	var bad, negative int
	var raws, bold []plot.Plotter
	var hidden []float64 // every value that the limits may cut off
	for i, s := range l.Series {
		pts, b, n, err := s.points(l.LogY)
		if err != nil {
			return nil, err
		}
		bad, negative = bad+b, negative+n
		colour := palette[i%len(palette)]
		k := curve{pts: pts, line: draw.LineStyle{Color: colour, Width: 2, Dashes: dashes[(i/len(palette))%len(dashes)]}}
		var values []float64
		for _, pt := range pts {
			xs.add(pt.X)
			if !math.IsNaN(pt.Y) {
				values = append(values, pt.Y)
			}
		}
		if l.Smooth > 1 {
			raws = append(raws, curve{pts: pts, line: draw.LineStyle{Color: withAlpha(colour, 0.22), Width: 1}})
			k.pts = smooth(pts, l.Smooth)
			// A few wild values would flatten all the others.
			hidden = append(hidden, values...)
			slices.Sort(values)
			ys.add(values[len(values)/100])
			ys.add(values[len(values)-1-len(values)/200])
		}
		for _, pt := range k.pts {
			ys.add(pt.Y)
		}
		bold = append(bold, k)
		if s.Name != "" {
			p.legend = append(p.legend, entry{s.Name, k.sample})
		}
	}
	for _, m := range l.Levels {
		if !finite(m.At) || l.LogY && m.At <= 0 {
			return nil, fmt.Errorf("level %q at %v cannot be drawn", m.Label, m.At)
		}
		ys.add(m.At)
	}
	var err error
	if p.x, err = limits(l.XRange, xs, 0, false, "x"); err != nil {
		return nil, err
	}
	if p.y, err = limits(l.YRange, ys, 0.04, l.LogY, "y"); err != nil {
		return nil, err
	}
	w, _ := l.size()
	marks, levels := l.lines(p, textSize(vg.Length(w))-1)
	p.layers = slices.Concat(raws, bold, marks, levels)
	if l.Smooth > 1 {
		p.notes = append(p.notes, fmt.Sprintf("faint: every value, bold: running average over %d", l.Smooth))
	}
	p.notes = append(p.notes, note(bad, "non-finite value", "skipped")...)
	p.notes = append(p.notes, note(negative, "value", "not above 0 skipped")...)
	p.notes = append(p.notes, note(outside(hidden, p.y), "value", "beyond the axis")...)
	return []*panel{p}, nil
}

// lines returns the marks and levels that fall within the limits.
func (l Lines) lines(p *panel, size float64) (marks, levels []plot.Plotter) {
	named := map[string]bool{}
	for _, m := range l.Marks {
		if m.At >= p.x.lo && m.At <= p.x.hi {
			k := mark{at: m.At, vertical: true, line: draw.LineStyle{Color: faded, Width: 1, Dashes: dashes[2]}, size: size}
			if !named[m.Label] {
				k.label = m.Label
			}
			named[m.Label] = true
			marks = append(marks, k)
		}
	}
	for _, m := range l.Levels {
		if m.At >= p.y.lo && m.At <= p.y.hi {
			line := draw.LineStyle{Color: faded, Width: 1.2, Dashes: dashes[1]}
			levels = append(levels, mark{at: m.At, line: line, label: m.Label, size: size})
		}
	}
	return marks, levels
}

func outside(vs []float64, e extent) (n int) {
	for _, v := range vs {
		if v < e.lo || v > e.hi {
			n++
		}
	}
	return n
}

// Fit is predictions against the truth over x. Default size 960 x 540.
type Fit struct {
	Axes
	Truth   Series
	Data    Series   // points that were learnt from; none where Y is nil
	Methods []Series // predictions; each with its colour and dashes
}

func (f Fit) size() (int, int) { return f.dims(960, 540) }

func (f Fit) panels() ([]*panel, error) {
	p := &panel{axes: f.Axes}
	truth, bad, _, err := f.Truth.points(false)
	if err != nil {
		return nil, err
	}
	xs, ys := nothing(), nothing()
	add := func(pts []Point) {
		for _, pt := range pts {
			xs.add(pt.X)
			ys.add(pt.Y)
		}
	}
	add(truth)
	k := curve{pts: truth, line: draw.LineStyle{Color: withAlpha(ink, 0.28), Width: 7}}
	p.layers = append(p.layers, k)
	p.legend = append(p.legend, entry{name(f.Truth.Name, "truth"), k.sample})
	if f.Data.Y != nil {
		pts, n, _, err := f.Data.points(false)
		if err != nil {
			return nil, err
		}
		bad += n
		add(pts)
		d := dots{pts: pts, radius: 2.2, fill: white, edge: ink, edgeWidth: 1}
		p.layers = append(p.layers, d)
		p.legend = append(p.legend, entry{name(f.Data.Name, "data"), d.sample})
	}
	// A method that went astray may show that it did, but not flatten the truth.
	room := extent{ys.lo - 0.5*(ys.hi-ys.lo), ys.hi + 0.5*(ys.hi-ys.lo)}
	var all []float64
	for i, s := range f.Methods {
		pts, n, _, err := s.points(false)
		if err != nil {
			return nil, err
		}
		bad += n
		for _, pt := range pts {
			xs.add(pt.X)
			if finite(pt.Y) {
				ys.add(math.Min(math.Max(pt.Y, room.lo), room.hi))
				all = append(all, pt.Y)
			}
		}
		k := curve{pts: pts, line: draw.LineStyle{Color: palette[i%len(palette)], Width: 2, Dashes: dashes[i%len(dashes)]}}
		p.layers = append(p.layers, k)
		p.legend = append(p.legend, entry{name(s.Name, fmt.Sprintf("method %d", i+1)), k.sample})
	}
	if p.x, err = limits(f.XRange, xs, 0, false, "x"); err != nil {
		return nil, err
	}
	if p.y, err = limits(f.YRange, ys, 0.05, false, "y"); err != nil {
		return nil, err
	}
	p.notes = append(note(bad, "non-finite value", "skipped"), note(outside(all, p.y), "prediction", "beyond the axis")...)
	return []*panel{p}, nil
}

func name(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}
