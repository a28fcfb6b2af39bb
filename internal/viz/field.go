package viz

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"sort"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Field holds a function's values over a grid: Z[i*len(Y)+j] is its value at (X[i], Y[j]). X and Y ascend, with at
// least two values each.
type Field struct{ X, Y, Z []float64 }

// NewField evaluates f over the grid of nx by ny points that spans [x0, x1] and [y0, y1].
func NewField(x0, x1 float64, nx int, y0, y1 float64, ny int, f func(x, y float64) float64) Field {
	g := Field{X: linspace(x0, x1, nx), Y: linspace(y0, y1, ny), Z: make([]float64, 0, nx*ny)}
	for _, x := range g.X {
		for _, y := range g.Y {
			g.Z = append(g.Z, f(x, y))
		}
	}
	return g
}

func linspace(lo, hi float64, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		f := float64(i) / float64(max(1, n-1))
		v[i] = lo*(1-f) + hi*f
	}
	return v
}

func (f Field) check() error {
	for _, axis := range []struct {
		name string
		v    []float64
	}{{"X", f.X}, {"Y", f.Y}} {
		if len(axis.v) < 2 {
			return fmt.Errorf("field: %d values of %s, want at least 2", len(axis.v), axis.name)
		}
		for i, v := range axis.v {
			if !finite(v) || i > 0 && !(v > axis.v[i-1]) {
				return fmt.Errorf("field: %s[%d] = %v, want finite and ascending values", axis.name, i, v)
			}
		}
	}
	if len(f.Z) != len(f.X)*len(f.Y) {
		return fmt.Errorf("field: %d values for a grid of %d x %d", len(f.Z), len(f.X), len(f.Y))
	}
	if f.bad() == len(f.Z) {
		return fmt.Errorf("field: none of its %d values is finite", len(f.Z))
	}
	return nil
}

func (f Field) bad() (n int) {
	for _, z := range f.Z {
		if !finite(z) {
			n++
		}
	}
	return n
}

// ArgMin returns, for every x of the grid, the point of the least finite value (the lowest y of equals); columns
// without one are left out.
func (f Field) ArgMin() (pts []Point) {
	for i, x := range f.X {
		best, at := math.Inf(1), -1
		for j, z := range f.Z[i*len(f.Y) : (i+1)*len(f.Y)] {
			if finite(z) && z < best {
				best, at = z, j
			}
		}
		if at >= 0 {
			pts = append(pts, Point{x, f.Y[at]})
		}
	}
	return pts
}

// PerX says what is done to the energies of each x, whose offsets mean nothing to a minimiser over y.
type PerX uint8

const (
	SubtractMin PerX = iota // E(x, y) - min over y: the paper's energies are comparable only within one x
	ScaleRange              // that, divided by its largest value
	AsIs                    // untouched
)

// normalised returns f with its columns shifted or scaled; what is not finite becomes NaN.
func (f Field) normalised(per PerX) Field {
	out := Field{f.X, f.Y, slices.Clone(f.Z)}
	for i := range f.X {
		col := out.Z[i*len(f.Y) : (i+1)*len(f.Y)]
		e := nothing()
		for _, z := range col {
			e.add(z)
		}
		for j, z := range col {
			switch {
			case !finite(z):
				col[j] = math.NaN()
			case per == SubtractMin:
				col[j] = z - e.lo
			case per == ScaleRange && e.hi > e.lo:
				col[j] = (z - e.lo) / (e.hi - e.lo)
			case per == ScaleRange:
				col[j] = 0
			}
		}
	}
	return out
}

// scale maps values to [0, 1]: linear, or log1p((v - lo)/knee), which is linear below the knee and logarithmic above.
type scale struct{ lo, hi, knee float64 }

// scaleOf chooses the scale of fields that share their colours.
func scaleOf(limit [2]float64, log bool, fields ...Field) (scale, error) {
	e := nothing()
	var all []float64
	for _, f := range fields {
		for _, z := range f.Z {
			e.add(z)
			if log && finite(z) {
				all = append(all, z)
			}
		}
	}
	if limit != [2]float64{} {
		if !finite(limit[0]) || !finite(limit[1]) || !(limit[0] < limit[1]) {
			return scale{}, fmt.Errorf("colour range %v, want finite and ascending", limit)
		}
		e = extent{limit[0], limit[1]}
	}
	if !(e.hi > e.lo) {
		e.hi = e.lo + math.Max(1, math.Abs(e.lo))
	}
	s := scale{lo: e.lo, hi: e.hi}
	if log {
		// Three decades are told apart at most; a field that has fewer uses them all.
		sort.Float64s(all)
		s.knee = math.Max(all[len(all)/50]-e.lo, (e.hi-e.lo)/1000)
	}
	return s, nil
}

func (s scale) at(v float64) float64 {
	if s.knee > 0 {
		v = math.Log1p(math.Max(v-s.lo, 0)/s.knee) / math.Log1p((s.hi-s.lo)/s.knee)
	} else {
		v = (v - s.lo) / (s.hi - s.lo)
	}
	return math.Min(math.Max(v, 0), 1) // NaN stays NaN
}

// ticks of the colour bar, at heights in [0, 1].
func (s scale) ticks() (ts []plot.Tick) {
	if s.knee == 0 {
		for _, t := range (linearTicks{6}).Ticks(s.lo, s.hi) {
			ts = append(ts, plot.Tick{Value: s.at(t.Value), Label: t.Label})
		}
		return ts
	}
	ts = []plot.Tick{{Value: 0, Label: "0"}}
	for _, t := range (logTicks{20}).Ticks(s.knee/2, s.hi-s.lo) {
		digit := strings.TrimLeft(t.Label, "0.")
		if h := s.at(s.lo + t.Value); t.Label != "" && strings.HasPrefix(digit, "1") && h-ts[len(ts)-1].Value > 0.06 {
			ts = append(ts, plot.Tick{Value: h, Label: t.Label})
		}
	}
	return ts
}

// heat draws a field whose values are heights of the colour map, in [0, 1] or NaN.
type heat struct {
	f        Field
	contours int  // lines at equal steps of colour
	banded   bool // one flat colour between lines: calmer, and smaller in a GIF
	cells    bool // the value of the nearest point everywhere
}

func (k heat) colour(t float64) color.NRGBA {
	if k.banded && k.contours > 0 {
		n := float64(k.contours)
		t = math.Min(math.Floor(t*n), n-1) / (n - 1)
	}
	return ramp(t)
}

func (k heat) Plot(c draw.Canvas, p *plot.Plot) {
	r := vg.Rectangle{
		Min: vg.Point{X: snap(c.Min.X), Y: snap(c.Min.Y)}, Max: vg.Point{X: snap(c.Max.X), Y: snap(c.Max.Y)},
	}
	if w, h := int(r.Size().X), int(r.Size().Y); w > 0 && h > 0 {
		c.DrawImage(r, k.image(w, h, extent{p.X.Min, p.X.Max}, extent{p.Y.Min, p.Y.Max}))
	}
}

// image renders the field between the limits, one sample a pixel, by Catmull-Rom interpolation unless it is of cells.
// Outside the grid it is transparent.
func (k heat) image(w, h int, xs, ys extent) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	nx, ny := len(k.f.X), len(k.f.Y)
	px, py := places(k.f.X, xs, w), places(k.f.Y, ys, h)
	z := k.f.patched()
	cols := make([]float64, nx*h) // resampled along y
	for i := range nx {
		for j, at := range py {
			cols[i*h+j] = at.mix(z[i*ny:(i+1)*ny], 1)
		}
	}
	t := make([]float64, w*h)
	for j := range h {
		for i, at := range px {
			t[j*w+i] = at.mix(cols[j:], h)
			if k.cells && at.cell >= 0 && py[j].cell >= 0 {
				t[j*w+i] = z[at.nearest*ny+py[j].nearest]
			}
		}
	}
	for j := range h {
		row := img.Pix[(h-1-j)*img.Stride:] // y points up, rows go down
		for i := range w {
			if px[i].cell < 0 || py[j].cell < 0 {
				continue
			}
			c := noValue
			if !math.IsNaN(k.f.Z[px[i].nearest*ny+py[j].nearest]) {
				c = k.colour(t[j*w+i])
				if k.contours > 0 {
					c = blend(c, lineOn(t[j*w+i]), k.line(t, i, j, w, h))
				}
			}
			row[4*i], row[4*i+1], row[4*i+2], row[4*i+3] = c.R, c.G, c.B, 0xff
		}
	}
	return img
}

// line is how much of pixel (i, j) a contour line covers, by its distance to the nearest level, |t - level| / |grad t|.
func (k heat) line(t []float64, i, j, w, h int) float64 {
	n := float64(k.contours)
	level := math.Round(t[j*w+i] * n)
	if level < 1 || level > n-1 {
		return 0
	}
	l, r, d, u := max(i-1, 0), min(i+1, w-1), max(j-1, 0), min(j+1, h-1)
	gx := (t[j*w+r] - t[j*w+l]) / float64(max(1, r-l))
	gy := (t[u*w+i] - t[d*w+i]) / float64(max(1, u-d))
	slope := math.Hypot(gx, gy)
	if slope*n > 0.4 || slope == 0 {
		return 0 // lines closer than three pixels would merge
	}
	cover := 1 - math.Abs(t[j*w+i]-level/n)/slope
	return 0.45 * math.Min(math.Max(cover, 0), 1) * math.Min(1, (0.4-slope*n)/0.15)
}

// lineOn is the colour of contour lines on the map at height t.
func lineOn(t float64) color.NRGBA {
	if t > 0.6 {
		return white
	}
	return ink
}

func blend(c, over color.NRGBA, a float64) color.NRGBA {
	mix := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-a) + float64(y)*a)) }
	return color.NRGBA{mix(c.R, over.R), mix(c.G, over.G), mix(c.B, over.B), c.A}
}

// place is where a pixel falls on a grid axis: between cell and cell+1, at the share that w's weights say.
type place struct {
	cell, nearest, n int // cell -1: outside
	w                [4]float64
}

func places(grid []float64, e extent, pixels int) []place {
	ps := make([]place, pixels)
	slop := 1e-9 * (e.hi - e.lo)
	for i := range ps {
		v := e.lo + (float64(i)+0.5)/float64(pixels)*(e.hi-e.lo)
		if v < grid[0]-slop || v > grid[len(grid)-1]+slop {
			ps[i] = place{cell: -1}
			continue
		}
		cell := min(max(sort.SearchFloat64s(grid, v)-1, 0), len(grid)-2)
		f := math.Min(math.Max((v-grid[cell])/(grid[cell+1]-grid[cell]), 0), 1)
		ps[i] = place{cell, cell + int(math.Round(f)), len(grid), [4]float64{
			f * (-0.5 + f*(1-0.5*f)), 1 + f*f*(-2.5+1.5*f), f * (0.5 + f*(2-1.5*f)), f * f * (-0.5 + 0.5*f),
		}}
	}
	return ps
}

// mix interpolates v, whose elements are stride apart; beyond its ends it goes on in a straight line.
func (p place) mix(v []float64, stride int) float64 {
	if p.cell < 0 {
		return 0
	}
	b, c := v[p.cell*stride], v[(p.cell+1)*stride]
	a, d := 2*b-c, 2*c-b
	if p.cell > 0 {
		a = v[(p.cell-1)*stride]
	}
	if p.cell+2 < p.n {
		d = v[(p.cell+2)*stride]
	}
	return math.Min(math.Max(p.w[0]*a+p.w[1]*b+p.w[2]*c+p.w[3]*d, 0), 1)
}

// patched returns the values with each NaN replaced by the nearest value of its column (or of the nearest column that
// has one), so that interpolation beside a hole stays sensible. The hole itself is painted over.
func (f Field) patched() []float64 {
	z := slices.Clone(f.Z)
	ny := len(f.Y)
	fill := func(n, stride int, z []float64) {
		for pass := range 2 { // forwards, then backwards for what lies before the first value
			for i := 1; i < n; i++ {
				at, from := i, i-1
				if pass == 1 {
					at, from = n-1-i, n-i
				}
				if math.IsNaN(z[at*stride]) {
					z[at*stride] = z[from*stride]
				}
			}
		}
	}
	for i := range f.X {
		fill(ny, 1, z[i*ny:(i+1)*ny])
	}
	for j := range ny {
		fill(len(f.X), ny, z[j:])
	}
	return z
}
