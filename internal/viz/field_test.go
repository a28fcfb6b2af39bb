package viz

import (
	"image/color"
	"math"
	"testing"
)

// imageOf renders a field whose values are already heights of the colour map, over its own limits.
func imageOf(f Field, w, h, contours int) (at func(x, y float64) color.RGBA) {
	xs, ys := extent{f.X[0], f.X[len(f.X)-1]}, extent{f.Y[0], f.Y[len(f.Y)-1]}
	img := heat{f: f, contours: contours}.image(w, h, xs, ys)
	return func(x, y float64) color.RGBA {
		i := int((x - xs.lo) / (xs.hi - xs.lo) * float64(w))
		j := int((y - ys.lo) / (ys.hi - ys.lo) * float64(h))
		return img.RGBAAt(min(i, w-1), h-1-min(j, h-1))
	}
}

func light(c color.RGBA) float64 { return toLab(c.R, c.G, c.B)[0] }

// y points up, x to the right, and large is dark.
func TestHeatMapIsTheRightWayUp(t *testing.T) {
	at := imageOf(NewField(0, 1, 5, 10, 20, 7, func(x, y float64) float64 { return 0.2*x + 0.08*(y-10) }), 50, 40, 0)
	origin, right, top := light(at(0, 10)), light(at(1, 10)), light(at(0, 20))
	if !(origin > right+0.1 && right > top+0.2) {
		t.Errorf("lightness at the origin %.2f, right %.2f, top %.2f: want falling", origin, right, top)
	}
}

// Catmull-Rom reproduces straight lines, at the borders too; the grid need not be even.
func TestInterpolationIsExactOnPlanes(t *testing.T) {
	f := NewField(0, 1, 6, 0, 1, 5, func(x, y float64) float64 { return 0.1 + 0.5*x + 0.3*y })
	at := imageOf(f, 60, 60, 0)
	for _, p := range []Point{{0.01, 0.01}, {0.5, 0.5}, {0.99, 0.01}, {0.31, 0.77}, {0.99, 0.99}} {
		px, py := (math.Floor(p.X*60)+0.5)/60, (math.Floor(p.Y*60)+0.5)/60
		want := ramp(0.1 + 0.5*px + 0.3*py)
		if got := at(p.X, p.Y); got != color.RGBA(want) {
			t.Errorf("colour at %v is %v, want %v", p, got, want)
		}
	}
}

// A cell without a value is grey up to half way to its neighbours, which keep their colours.
func TestHolesStaySmall(t *testing.T) {
	f := NewField(0, 10, 11, 0, 10, 11, func(x, y float64) float64 { return 0.4 })
	f.Z[5*11+5] = math.NaN()
	at := imageOf(f, 100, 100, 0)
	if got := at(5, 5); got != color.RGBA(noValue) {
		t.Errorf("the hole is %v", got)
	}
	for _, p := range []Point{{5, 6}, {6, 5}, {4.2, 5}, {5, 3.9}} {
		if got := at(p.X, p.Y); got != color.RGBA(ramp(0.4)) {
			t.Errorf("beside the hole, at %v: %v", p, got)
		}
	}
}

// A field of cells has the colour of the nearest point everywhere, and no lines.
func TestCellsAreFlat(t *testing.T) {
	f := NewField(0, 3, 4, 0, 2, 3, func(x, y float64) float64 { return (x + 4*y) / 11 })
	img := heat{f: f, cells: true}.image(300, 200, extent{0, 3}, extent{0, 2})
	for x := range 300 {
		for y := range 200 {
			fx, fy := math.Round((float64(x)+0.5)/100), math.Round((float64(y)+0.5)/100)
			if want := ramp((fx + 4*fy) / 11); img.RGBAAt(x, 199-y) != (color.RGBA{want.R, want.G, want.B, 0xff}) {
				t.Fatalf("pixel (%d, %d) is %v, want %v", x, y, img.RGBAAt(x, 199-y), want)
			}
		}
	}
}

func TestOutsideTheGridIsTransparent(t *testing.T) {
	img := heat{f: NewField(0, 1, 3, 0, 1, 3, func(x, y float64) float64 { return 1 })}.image(30, 30, extent{-1, 2}, extent{-1, 2})
	if img.RGBAAt(2, 15).A != 0 || img.RGBAAt(15, 28).A != 0 || img.RGBAAt(15, 15).A != 255 {
		t.Error("want pixels within the grid only")
	}
}

func TestContourLinesLieOnTheirLevels(t *testing.T) {
	f := NewField(0, 1, 30, 0, 1, 3, func(x, y float64) float64 { return x })
	plain, lined := imageOf(f, 200, 10, 0), imageOf(f, 200, 10, 4)
	for x := 0.0; x < 1; x += 1. / 200 {
		x := x + 1./400
		differs := plain(x, 0.5) != lined(x, 0.5)
		distance := math.Abs(x-math.Round(x*4)/4) * 200 // pixels
		inner := math.Round(x*4) > 0 && math.Round(x*4) < 4
		if want := inner && distance < 0.9; differs != want && (distance < 0.9 || distance > 1.1) {
			t.Errorf("at x = %.4f, %.1f pixels from a level: line %v, want %v", x, distance, differs, want)
		}
	}
}

func TestArgMin(t *testing.T) {
	f := Field{X: []float64{0, 1, 2}, Y: []float64{-1, 0, 1}, Z: []float64{
		3, 1, 1,
		-inf, 5, nan,
		nan, nan, inf,
	}}
	got := f.ArgMin()
	if len(got) != 2 || got[0] != (Point{0, 0}) || got[1] != (Point{1, 0}) {
		t.Errorf("ArgMin = %v, want the lowest y of equals, finite values only, no column without", got)
	}
}

func TestPerX(t *testing.T) {
	f := Field{X: []float64{0, 1}, Y: []float64{0, 1, 2}, Z: []float64{1, 3, 5, -100, -100, math.NaN()}}
	for per, want := range map[PerX][]float64{
		SubtractMin: {0, 2, 4, 0, 0, math.NaN()},
		ScaleRange:  {0, 0.5, 1, 0, 0, math.NaN()},
		AsIs:        f.Z,
	} {
		got := f.normalised(per).Z
		for i := range want {
			if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
				t.Errorf("PerX %d: %v, want %v", per, got, want)
				break
			}
		}
	}
	if f.Z[0] != 1 {
		t.Error("the field itself was changed")
	}
}

func TestScale(t *testing.T) {
	f := NewField(0, 1, 50, 0, 1, 50, func(x, y float64) float64 { return 2 + 500*x*x*y*y })
	for _, log := range []bool{false, true} {
		s, err := scaleOf([2]float64{}, log, f)
		if err != nil {
			t.Fatal(err)
		}
		if s.at(2) != 0 || s.at(502) != 1 || s.at(-1) != 0 || s.at(1e9) != 1 {
			t.Errorf("log %v: ends at %v and %v, want 0 and 1", log, s.at(2), s.at(502))
		}
		last := -1.0
		for v := 2.0; v <= 502; v += 20 {
			if !(s.at(v) > last) {
				t.Errorf("log %v: not increasing at %v", log, v)
			}
			last = s.at(v)
		}
		if log && !(s.at(7) > 0.15) {
			t.Errorf("log: 1 %% of the range gets %.3f of the colours, want more than 0.15", s.at(7))
		}
		ticks := s.ticks()
		if len(ticks) < 3 {
			t.Errorf("log %v: %d ticks on the colour bar", log, len(ticks))
		}
		for i := range ticks {
			if h := ticks[i].Value; !(h >= 0 && h <= 1) || i > 0 && !(h > ticks[i-1].Value) || ticks[i].Label == "" {
				t.Errorf("log %v: tick %d is %+v", log, i, ticks[i])
			}
		}
	}
	if s, err := scaleOf([2]float64{10, 20}, false, f); err != nil || s.at(15) != 0.5 {
		t.Errorf("given limits: %v, %v", s.at(15), err)
	}
}
