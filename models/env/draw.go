package env

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// The colours are those of the figures: Okabe and Ito's, on white.
var (
	paper     = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	ink       = color.NRGBA{0x22, 0x26, 0x2b, 0xff}
	steel     = color.NRGBA{0x4a, 0x55, 0x60, 0xff}
	stone     = color.NRGBA{0xb4, 0xba, 0xc1, 0xff}
	halo      = color.NRGBA{0x6a, 0x71, 0x79, 0x12}
	ghost     = color.NRGBA{0xc3, 0xc9, 0xcf, 0xff}
	grid      = color.NRGBA{0xee, 0xf0, 0xf2, 0xff}
	ring      = color.NRGBA{0xe4, 0xe7, 0xea, 0xff}
	blue      = color.NRGBA{0x00, 0x72, 0xb2, 0xff}
	sky       = color.NRGBA{0x56, 0xb4, 0xe9, 0xff}
	green     = color.NRGBA{0x00, 0x9e, 0x73, 0xff}
	vermilion = color.NRGBA{0xd5, 0x5e, 0x00, 0xff}
)

// point is a place in metres, y upwards.
type point struct{ x, y float64 }

// sketch draws smooth shapes, in metres, on a white ground.
type sketch struct {
	img    *image.RGBA
	to     image.Rectangle
	raster *vector.Rasterizer
	scale  float64 // pixels per metre
	centre point   // where the picture's middle is
}

// newSketch begins a picture of img's size that shows at least width by height metres about the origin.
func newSketch(img draw.Image, width, height float64) *sketch {
	r := img.Bounds()
	s := &sketch{to: r, raster: vector.NewRasterizer(r.Dx(), r.Dy())}
	s.scale = math.Min(float64(r.Dx())/width, float64(r.Dy())/height)
	if direct, ok := img.(*image.RGBA); ok && r.Min == (image.Point{}) {
		s.img = direct
	} else {
		s.img = image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	}
	draw.Draw(s.img, s.img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	return s
}

// show ends the picture.
func (s *sketch) show(img draw.Image) {
	if direct, ok := img.(*image.RGBA); !ok || direct != s.img {
		draw.Draw(img, s.to, s.img, image.Point{}, draw.Src)
	}
}

// fill paints the inside of polygons. All go round the same way, so that what overlaps is painted once.
func (s *sketch) fill(c color.Color, shapes ...[]point) {
	w, h := s.img.Bounds().Dx(), s.img.Bounds().Dy()
	s.raster.Reset(w, h)
	for _, shape := range shapes {
		area := 0.0
		for i, p := range shape {
			q := shape[(i+1)%len(shape)]
			area += p.x*q.y - q.x*p.y
		}
		for i := range shape {
			p := shape[i]
			if area < 0 {
				p = shape[len(shape)-1-i]
			}
			// What is far off stays far off: the rasteriser's numbers are small.
			x := Clamp(float64(w)/2+(p.x-s.centre.x)*s.scale, -1e4, 1e4)
			y := Clamp(float64(h)/2-(p.y-s.centre.y)*s.scale, -1e4, 1e4)
			if i == 0 {
				s.raster.MoveTo(float32(x), float32(y))
			} else {
				s.raster.LineTo(float32(x), float32(y))
			}
		}
		s.raster.ClosePath()
	}
	s.raster.Draw(s.img, s.img.Bounds(), image.NewUniform(c), image.Point{})
}

func circle(at point, r float64) []point {
	pts := make([]point, 48)
	for i := range pts {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(len(pts)))
		pts[i] = point{at.x + r*cos, at.y + r*sin}
	}
	return pts
}

func (s *sketch) disc(at point, r float64, c color.Color) { s.fill(c, circle(at, r)) }

// line is a stroke with round ends through the points.
func (s *sketch) line(width float64, c color.Color, pts ...point) { s.fill(c, stroke(width, pts)...) }

func stroke(width float64, pts []point) [][]point {
	var shapes [][]point
	for i, p := range pts {
		shapes = append(shapes, circle(p, width/2))
		if i == 0 {
			continue
		}
		q := pts[i-1]
		dx, dy := p.x-q.x, p.y-q.y
		if l := math.Hypot(dx, dy); l > 0 {
			nx, ny := -dy/l*width/2, dx/l*width/2
			shapes = append(shapes, []point{{q.x + nx, q.y + ny}, {q.x - nx, q.y - ny}, {p.x - nx, p.y - ny},
				{p.x + nx, p.y + ny}})
		}
	}
	return shapes
}

// arrow ends in a head at to. One shorter than its head is all head, and one without length is nothing.
func (s *sketch) arrow(width float64, c color.Color, pts ...point) {
	n := len(pts)
	from, to := pts[n-2], pts[n-1]
	dx, dy := to.x-from.x, to.y-from.y
	l := math.Hypot(dx, dy)
	whole := l
	for i := 1; i < n-1; i++ {
		whole += math.Hypot(pts[i].x-pts[i-1].x, pts[i].y-pts[i-1].y)
	}
	if whole < width/4 {
		return
	}
	dx, dy = dx/l, dy/l
	head := math.Min(2.6*width, whole)
	base := point{to.x - head*dx, to.y - head*dy}
	side := head * 0.62
	shapes := [][]point{{to, {base.x - side*dy, base.y + side*dx}, {base.x + side*dy, base.y - side*dx}}}
	if whole > head {
		shaft := append([]point{}, pts[:n-1]...)
		for len(shaft) > 1 && math.Hypot(shaft[len(shaft)-1].x-to.x, shaft[len(shaft)-1].y-to.y) < head {
			shaft = shaft[:len(shaft)-1]
		}
		shapes = append(shapes, stroke(width, append(shaft, base))...)
	}
	s.fill(c, shapes...)
}

// swirl is a torque in [-1,1] as an arrow about the origin, clockwise where it is positive.
func (s *sketch) swirl(r, torque float64, c color.Color) {
	const steps = 60
	pts := make([]point, steps+1)
	for i := range pts {
		sin, cos := math.Sincos(torque * 0.8 * math.Pi * float64(i) / steps)
		pts[i] = point{r * sin, r * cos}
	}
	s.arrow(0.05, c, pts...)
}

func (s *sketch) star(at point, r float64, c color.Color) {
	pts := make([]point, 10)
	for i := range pts {
		sin, cos := math.Sincos(math.Pi * float64(i) / 5)
		d := r
		if i%2 == 1 {
			d *= 0.42
		}
		pts[i] = point{at.x + d*sin, at.y + d*cos}
	}
	s.fill(c, pts)
}

// box is a rectangle with rounded corners.
func (s *sketch) box(low, high point, corner float64, c color.Color) {
	var pts []point
	for i := range 32 {
		a := 2 * math.Pi * (float64(i) + 0.5) / 32
		sin, cos := math.Sincos(a)
		p := point{high.x - corner, high.y - corner}
		if cos < 0 {
			p.x = low.x + corner
		}
		if sin < 0 {
			p.y = low.y + corner
		}
		pts = append(pts, point{p.x + corner*cos, p.y + corner*sin})
	}
	s.fill(c, pts)
}

// lost marks a state that nothing can be drawn of.
func (s *sketch) lost() {
	d := 0.06 * float64(min(s.img.Bounds().Dx(), s.img.Bounds().Dy())) / s.scale
	for _, sign := range []float64{-1, 1} {
		s.line(d/3, vermilion, point{s.centre.x - d, s.centre.y - sign*d}, point{s.centre.x + d, s.centre.y + sign*d})
	}
}

// drawable reports whether all values are numbers, not farther off than pictures can follow.
func drawable(v []float64) bool {
	for _, v := range v {
		if !(math.Abs(v) <= 1e9) {
			return false
		}
	}
	return true
}
