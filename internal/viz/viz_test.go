package viz

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/atomicfile"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
)

var nan, inf = math.NaN(), math.Inf(1)

func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that names %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not name %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
}

// render saves p as PNG and decodes it.
func render(t *testing.T, p Plot) image.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.png")
	if err := Save(path, p); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// count returns how many pixels of r have colour c, within 3 a channel.
func count(img image.Image, r image.Rectangle, c color.Color) (n int) {
	near := func(a, b uint32) bool { return max(a, b)-min(a, b) <= 3*257 }
	wr, wg, wb, _ := c.RGBA()
	r = r.Intersect(img.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if cr, cg, cb, _ := img.At(x, y).RGBA(); near(cr, wr) && near(cg, wg) && near(cb, wb) {
				n++
			}
		}
	}
	return n
}

func bowl(nx, ny int) Field {
	return NewField(-2, 2, nx, -1, 1, ny, func(x, y float64) float64 { return x*x + 3*y*y })
}

func small(title string) Axes { return Axes{Title: title, X: "x", Y: "y", Width: 320, Height: 240} }

func plots() map[string]Plot {
	xs := []float64{0, 1, 2, 3}
	truth := Series{Name: "truth", X: []float64{-2, 0, 2}, Y: []float64{-0.5, 0, 0.5}}
	return map[string]Plot{
		"lines": Lines{Axes: small("Loss"), Series: []Series{{"a", xs, []float64{4, 3, 2, 1}}, {"b", nil, []float64{1, 2, 1, 2}}}},
		"log": Lines{Axes: small("Loss"), Series: []Series{{"a", xs, []float64{1e-3, 3, 2, 1e4}}}, LogY: true, Smooth: 2,
			Marks: []Mark{{1, "here"}, {2, "here"}}, Levels: []Mark{{2, "level"}}},
		"fit": Fit{Axes: small("Fit"), Truth: truth, Data: truth, Methods: []Series{truth, truth}},
		"surface": Surface{Axes: small("Surface"), Field: bowl(20, 20), Contours: 6, Truth: truth, ArgMin: true,
			Samples: [][]Point{{{0, 0}, {1, 0.5}}, {{0, 0.1}}}},
		"samples": Samples2D{
			Axes: small("Samples"), Field: bowl(20, 20), Bar: "Z", Samples: [][]Point{{{0, 0}}}, Target: []Point{{1, 0}},
			Gaussians: []Gaussian{{Point{0, 0}, Point{1, 0.5}}}, Path: []Point{{-1, 0}, {0, 0}},
		},
		"grid": Grid{Title: "Both", Width: 400, Height: 200, Plots: []Plot{
			Surface{Field: bowl(9, 9)}, Surface{Field: bowl(9, 9), Log: true},
		}},
	}
}

func TestEveryFigureHasItsSizeAndSomethingInIt(t *testing.T) {
	for name, p := range plots() {
		t.Run(name, func(t *testing.T) {
			img := render(t, p)
			w, h := p.size()
			if got := img.Bounds().Size(); got != image.Pt(w, h) {
				t.Fatalf("size %v, want %d x %d", got, w, h)
			}
			all := w * h
			blank := count(img, img.Bounds(), white)
			if blank < all/20 || blank > all*98/100 {
				t.Errorf("%d of %d pixels are white", blank, all)
			}
			// A rim stays free: nothing runs over the edge.
			for _, r := range []image.Rectangle{
				image.Rect(0, 0, w, 4), image.Rect(0, h-3, w, h), image.Rect(0, 0, 4, h), image.Rect(w-4, 0, w, h),
			} {
				if n := count(img, r, white); n != r.Dx()*r.Dy() {
					t.Errorf("%d pixels drawn on the rim %v", r.Dx()*r.Dy()-n, r)
				}
			}
			// The words of the title.
			if count(img, image.Rect(0, 4, w, 32), white) == w*28 {
				t.Error("no title")
			}
		})
	}
}

func TestColoursSayWhichIsWhich(t *testing.T) {
	ps := plots()
	for _, c := range []struct {
		plot string
		c    color.NRGBA
		min  int
	}{
		{"lines", palette[0], 150}, {"lines", palette[1], 150}, // two lines across
		{"fit", palette[0], 60}, {"fit", palette[1], 60},
		{"surface", vermilion, 100}, {"surface", palette[3], 100}, // truth, least energies
		{"samples", vermilion, 80}, // star and ellipse
		{"samples", ramp(0), 50}, {"samples", ramp(1), 50},
	} {
		img := render(t, ps[c.plot])
		if n := count(img, img.Bounds(), c.c); n < c.min {
			t.Errorf("%s: %d pixels of %v, want at least %d", c.plot, n, c.c, c.min)
		}
	}
}

func TestGridDrawsItsTiles(t *testing.T) {
	f := Surface{Field: bowl(9, 9)}
	img := render(t, Grid{Columns: 2, Width: 480, Height: 400, Plots: []Plot{f, f, f}})
	for i, r := range []image.Rectangle{image.Rect(0, 0, 240, 200), image.Rect(240, 0, 480, 200), image.Rect(0, 200, 240, 400)} {
		if n := count(img, r, white); n > r.Dx()*r.Dy()*3/4 {
			t.Errorf("tile %d is nearly empty", i)
		}
	}
	last := image.Rect(240, 200, 480, 400)
	if n := count(img, last, white); n != last.Dx()*last.Dy() {
		t.Error("something is drawn where no figure was given")
	}
	// Of two equal figures side by side, pixels are equal too.
	for y := range 200 {
		for x := range 240 {
			if img.At(x, y) != img.At(x+240, y) {
				t.Fatalf("tiles differ at %d, %d", x, y)
			}
		}
	}
	// Axes line up though only one of the two has a title, a legend and a note.
	truth := Series{Name: "truth", X: []float64{0, 1, 2}, Y: []float64{0, nan, 0}}
	full := Surface{Axes: Axes{Title: "With a title"}, Field: bowl(9, 9), Truth: truth}
	img = render(t, Grid{Width: 480, Height: 240, Plots: []Plot{full, f}})
	left, right := frameEdges(img, 60, 160), frameEdges(img, 300, 400)
	if len(left) != 2 || !slices.Equal(left, right) {
		t.Errorf("axes from row to row: %v at the left, %v at the right, want two, the same", left, right)
	}
	if w, h := SideBySide("t", f, f).size(); w != 1120 || h != 480 {
		t.Errorf("two side by side: %d x %d", w, h)
	}
}

// frameEdges returns the rows in which the frame of the axes runs from column x0 to x1.
func frameEdges(img image.Image, x0, x1 int) (rows []int) {
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		if count(img, image.Rect(x0, y, x1, y+1), faded) > (x1-x0)*9/10 {
			rows = append(rows, y)
		}
	}
	return rows
}

func TestFormats(t *testing.T) {
	for ext, magic := range map[string]string{".svg": "<svg", ".PNG": "\x89PNG"} {
		path := filepath.Join(t.TempDir(), "f"+ext)
		if err := Save(path, plots()["surface"]); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data[:min(len(data), 400)], []byte(magic)) {
			t.Errorf("%s does not start with %q", ext, magic)
		}
	}
}

func TestSaveIsAtomicAndNamesThePath(t *testing.T) {
	dir := t.TempDir()
	good := plots()["lines"]
	path := filepath.Join(dir, "f.png")
	if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, Save(path, Lines{Axes: small("none")}), path, "no series")
	if data, err := os.ReadFile(path); err != nil || string(data) != "before" {
		t.Errorf("a failed figure left %q, %v", data, err)
	}
	if err := Save(path, good); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("mode %v, %v: want readable by all", st.Mode(), err)
	}
	missing := filepath.Join(dir, "nowhere", "f.png")
	contains(t, Save(missing, good), missing, "no such file")
	folder := filepath.Join(dir, "folder.png")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	contains(t, Save(folder, good), folder)
	contains(t, Save(filepath.Join(dir, "f.pdf"), good), "f.pdf", `".pdf"`, ".png")
	contains(t, Save(path, nil), path, "nil")
	contains(t, Save(path, Lines{Axes: Axes{Width: 100000}, Series: []Series{{Y: []float64{1}}}}), "100000")
	contains(t, Save(path, Grid{}), "without figures")
	contains(t, Save(path, Grid{Plots: []Plot{good, Grid{}}}), "tile 1")
	contains(t, Save(path, SideBySide("", good, Fit{Truth: Series{Name: "truth"}})), "tile 1", `"truth"`)
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), atomicfile.TempPrefix) {
			t.Errorf("temporary file %s left behind", e.Name())
		}
	}
}

func TestWrongSeries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.png")
	ok := Series{Name: "ok", Y: []float64{1, 2}}
	for _, c := range []struct {
		p     Plot
		parts []string
	}{
		{Lines{Series: []Series{ok, {Name: "gd"}}}, []string{`"gd"`, "empty"}},
		{Lines{Series: []Series{ok, {Name: "gd", Y: []float64{nan, inf}}}}, []string{`"gd"`, "empty", "2 values"}},
		{Lines{Series: []Series{{Name: "gd", Y: []float64{-1, 0}}}, LogY: true}, []string{`"gd"`, "empty"}},
		{Lines{Series: []Series{{Name: "gd", X: []float64{1}, Y: []float64{1, 2}}}}, []string{`"gd"`, "1 values of x for 2 of y"}},
		{Lines{Series: []Series{ok}, Levels: []Mark{{nan, "best"}}}, []string{`"best"`}},
		{Lines{Series: []Series{ok}, LogY: true, Axes: Axes{YRange: [2]float64{0, 1}}}, []string{"y range"}},
		{Lines{Series: []Series{ok}, Axes: Axes{XRange: [2]float64{2, 1}}}, []string{"x range"}},
		{Fit{Truth: ok, Data: Series{Name: "points", Y: []float64{}}}, []string{`"points"`, "empty"}},
		{Fit{Truth: ok, Methods: []Series{{Name: "gd"}}}, []string{`"gd"`}},
		{Surface{}, []string{"field", "X"}},
		{Surface{Field: Field{X: []float64{0, 1}, Y: []float64{1, 1}, Z: make([]float64, 4)}}, []string{"Y[1] = 1", "ascending"}},
		{Surface{Field: Field{X: []float64{0, nan}, Y: []float64{0, 1}, Z: make([]float64, 4)}}, []string{"X[1] = NaN"}},
		{Surface{Field: Field{X: []float64{0, 1}, Y: []float64{0, 1}, Z: make([]float64, 3)}}, []string{"3 values", "2 x 2"}},
		{Surface{Field: Field{X: []float64{0, 1}, Y: []float64{0, 1}, Z: []float64{nan, nan, inf, nan}}}, []string{"none", "finite"}},
		{Surface{Field: bowl(4, 4), Colours: [2]float64{1, 0}}, []string{"colour range"}},
		{Surface{Field: bowl(4, 4), PerX: 9}, []string{"PerX is 9"}},
		{Surface{Field: bowl(4, 4), Truth: Series{Name: "y", Y: []float64{nan}}}, []string{`"y"`}},
		{Samples2D{Field: bowl(4, 4), Bands: 1}, []string{"1 bands"}},
		{Samples2D{Field: bowl(4, 4), Gaussians: []Gaussian{{Sigma: Point{-1, 1}}}}, []string{"sigma", "negative"}},
	} {
		contains(t, Save(path, c.p), append(c.parts, path)...)
	}
}

// Values that no axis can hold must neither stop a figure nor ruin it: the rest is drawn, and a note counts them.
func TestNonFiniteValuesAreSkippedAndCounted(t *testing.T) {
	notes := func(p Plot) string {
		t.Helper()
		ps, err := p.panels()
		if err != nil {
			t.Fatal(err)
		}
		render(t, p)
		return strings.Join(ps[0].notes, "; ")
	}
	ys := []float64{1, nan, 2, inf, 3, -inf, 4, 1e305}
	ok := Series{Name: "ok", Y: []float64{1, 2, 3}}
	bad := Series{Name: "bad", Y: ys}
	f := bowl(8, 8)
	f.Z[10], f.Z[20], f.Z[30] = nan, inf, -inf
	for i := range 8 {
		f.Z[i] = nan // a whole column
	}
	for _, c := range []struct {
		name string
		p    Plot
		want string
	}{
		{"lines", Lines{Axes: small(""), Series: []Series{ok, bad}}, "4 non-finite values skipped"},
		{"log", Lines{Axes: small(""), Series: []Series{{"s", nil, []float64{0, -1, 1, 100, nan}}}, LogY: true},
			"1 non-finite value skipped; 2 values not above 0 skipped"},
		{"fit", Fit{Axes: small(""), Truth: ok, Methods: []Series{bad}}, "4 non-finite values skipped"},
		{"beyond", Fit{Axes: small(""), Truth: ok, Methods: []Series{{"far", nil, []float64{1, 2, 1e9}}}}, "1 prediction beyond the axis"},
		{"surface", Surface{Axes: small(""), Field: f, ArgMin: true, Samples: [][]Point{{{nan, 0}, {0, 0}}}}, "12 non-finite values skipped"},
		{"log surface", Surface{Axes: small(""), Field: f, Log: true, Contours: 5}, "11 non-finite values skipped"},
		{"samples", Samples2D{Axes: small(""), Field: f, Gaussians: []Gaussian{{Mean: Point{nan, 0}}}}, "12 non-finite values skipped"},
	} {
		if got := notes(c.p); got != c.want {
			t.Errorf("%s: notes %q, want %q", c.name, got, c.want)
		}
	}
}

// Extremes of magnitude: constant, huge, tiny, one value; nothing may panic, hang or fail.
func TestStrangeDataIsDrawn(t *testing.T) {
	for _, ys := range [][]float64{
		{1}, {0, 0, 0}, {1e300, -1e300}, {5e-324, 1}, {1e-300, 1e300}, {1e15, 1e15 + 1}, {1e17, 1e17 + 100}, {1, 1 + 1e-15},
		{-1e-310, 1e-310}, {3, nan, 4}, {1e7, 2e7, 3e7},
	} {
		for _, log := range []bool{false, true} {
			for _, pi := range []bool{false, true} {
				s := Series{Name: "s", Y: append(ys, 2)}
				if pi {
					s.X = ys
					s.Y = ys
				}
				a := Axes{PiX: pi, Width: 200, Height: 160}
				if pi && log && ys[0] <= 0 {
					continue // nothing left on a log axis: the error is tested above
				}
				render(t, Lines{Axes: a, Series: []Series{s}, LogY: log, Smooth: 3})
			}
		}
		z := Field{X: []float64{0, 1}, Y: []float64{0, 1e-9}, Z: []float64{ys[0], ys[len(ys)-1], 0, 1}}
		for per := SubtractMin; per <= AsIs; per++ {
			render(t, Surface{
				Axes: Axes{Width: 200, Height: 160}, Field: z, PerX: per, Log: per == SubtractMin, Contours: 4, ArgMin: true,
			})
		}
	}
}

func TestSmooth(t *testing.T) {
	pts := []Point{{0, 4}, {1, nan}, {2, 8}, {3, 8}}
	got := smooth(pts, 3)                 // weight 1/2 on the newest
	want := []float64{4, nan, 20. / 3, 0} // (4/4 + 8/2) / (3/4)
	want[3] = (0.25*0.5*4 + 0.25*8 + 0.5*8) / 0.875
	for i := range want {
		if d := math.Abs(got[i].Y - want[i]); !(d < 1e-12) && !(math.IsNaN(got[i].Y) && math.IsNaN(want[i])) {
			t.Errorf("smooth[%d] = %v, want %v", i, got[i].Y, want[i])
		}
	}
	if pts[0].Y != 4 || pts[2].Y != 8 {
		t.Error("smooth changed its input")
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name string
		got  func() []string
		want string
	}{
		{"ones", labels(linearTicks{5}, 0, 10), "0 2 4 6 8 10"},
		{"negative", labels(linearTicks{6}, -8, 8), "−8 −6 −4 −2 0 2 4 6 8"},
		{"decimals", labels(linearTicks{4}, 0, 1), "0 0.2 0.4 0.6 0.8 1.0"},
		{"large", labels(linearTicks{3}, 0, 3e7), "0 1e7 2e7 3e7"},
		{"small", labels(linearTicks{3}, 0, 3e-7), "0 1e−7 2e−7 3e−7"},
		{"large, close", labels(linearTicks{3}, 1.000e6, 1.003e6), "1.000e6 1.001e6 1.002e6 1.003e6"},
		{"pi", labels(piTicks{5}, 0, 2*math.Pi), "0 π/2 π 3π/2 2π"},
		{"pi, fine", labels(piTicks{5}, -math.Pi/2, math.Pi/4), "−π/2 −π/4 0 π/4"},
		{"pi, coarse", labels(piTicks{4}, 0, 8*math.Pi), "0 2π 4π 6π 8π"},
		{"decades", labels(logTicks{5}, 1e-5, 10), "1e−5 1e−4 0.001 0.01 0.1 1 10"},
		{"many decades", labels(logTicks{3}, 1e-9, 1), "1e−9 1e−6 0.001 1"},
		{"one decade", labels(logTicks{5}, 1, 10), "1 2 5 10"},
		{"within a decade", labels(logTicks{3}, 2, 4), "2.0 2.5 3.0 3.5 4.0"},
	} {
		got := strings.Join(c.got(), " ")
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		// What the font lacks is left out of the picture in silence.
		face := font.DefaultCache.Lookup(style(12, false, ink).Font, 12).Face
		for _, r := range got {
			if i, err := face.GlyphIndex(nil, r); err != nil || i == 0 {
				t.Errorf("%s: the font has no %q: %v", c.name, r, err)
			}
		}
	}
}

// Where the numbers of an axis are so large that a step is lost in rounding, the ticks must still come to an end.
func TestTicksEnd(t *testing.T) {
	for _, tk := range []plot.Ticker{linearTicks{5}, piTicks{5}, logTicks{5}} {
		if n := len(tk.Ticks(1e18, 1e18+256)); n > 50 {
			t.Errorf("%T: %d ticks", tk, n)
		}
	}
}

func labels(tk plot.Ticker, lo, hi float64) func() []string {
	return func() (ls []string) {
		for _, t := range tk.Ticks(lo, hi) {
			if t.Label != "" {
				ls = append(ls, t.Label)
			}
		}
		return ls
	}
}

// The map's lightness must fall by equal steps, or it would draw edges where there are none.
func TestRampIsPerceptuallyUniform(t *testing.T) {
	l := func(i int) float64 { c := ramp(float64(i) / 255); return toLab(c.R, c.G, c.B)[0] }
	step := (l(255) - l(0)) / 255
	if step > -0.002 {
		t.Fatalf("lightness falls by %v a step only", -step)
	}
	for i := 16; i < 256; i += 16 {
		// Rounding to 8 bits moves lightness by up to 0.003.
		if d := math.Abs(l(i) - l(0) - step*float64(i)); !(d <= 0.006) {
			t.Errorf("lightness at %d is off by %.4f", i, d)
		}
	}
	if ramp(nan) != noValue || ramp(-1) != ramp(0) || ramp(2) != ramp(1) {
		t.Error("outside [0, 1] the map does not keep its ends")
	}
}

func TestThinKeepsExtremes(t *testing.T) {
	pts := make([]Point, 50000)
	for i := range pts {
		pts[i] = Point{float64(i), math.Sin(float64(i))}
	}
	pts[31234].Y = 9
	img := render(t, Lines{Axes: small(""), Series: []Series{{Name: "spike", Y: func() (y []float64) {
		for _, p := range pts {
			y = append(y, p.Y)
		}
		return y
	}()}}})
	// The spike stands alone in the upper half of the axes.
	if n := count(img, image.Rect(60, 60, 310, 110), palette[0]); n < 10 || n > 400 {
		t.Errorf("%d pixels of the spike", n)
	}
}
