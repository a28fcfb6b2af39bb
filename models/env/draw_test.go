package env

import (
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"math"
	"slices"
	"testing"
)

func picture(e Env, x, u []float64) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 240, 180))
	e.Draw(img, x, u)
	return img
}

// count is how many pixels have that colour.
func count(img image.Image, c color.Color) (n int) {
	r, g, b, a := c.RGBA()
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if R, G, B, A := img.At(x, y).RGBA(); R == r && G == g && B == b && A == a {
				n++
			}
		}
	}
	return n
}

// A picture shows the state, a force only where there is one, and for a state that is not finite its scene and a cross;
// all of the image is drawn, the same for the same state.
func TestDraw(t *testing.T) {
	forEnvs(t, func(t *testing.T, e Env) {
		c := randomProblems(e, 1, 1, 2)
		_, u := e.Bounds()
		plain := picture(e, c.x, nil)
		if n := count(plain, blue); n < 30 {
			t.Errorf("%d pixels of the thing that moves", n)
		}
		if n := count(plain, color.RGBA{}); n != 0 {
			t.Errorf("%d pixels were not drawn", n)
		}
		if count(plain, vermilion) != 0 || count(picture(e, c.x, u), vermilion) < 20 {
			t.Error("the force is drawn where there is none, or is not drawn")
		}
		if n := count(picture(e, c.x, make([]float64, len(u))), vermilion); n != 0 {
			t.Errorf("a force of 0 takes %d pixels", n)
		}
		if !slices.Equal(plain.Pix, picture(e, c.x, nil).Pix) {
			t.Error("the same state has two pictures")
		}
		next := slices.Clone(c.x)
		e.StepGo(next, c.x, u, nil)
		e.StepGo(next, next, u, nil)
		if slices.Equal(plain.Pix, picture(e, next, nil).Pix) {
			t.Error("two states have one picture")
		}
		for _, v := range []float64{math.NaN(), math.Inf(1), 1e300, -1e300, 1e9} {
			for i := range c.x {
				x := slices.Clone(c.x)
				x[i] = v
				img := picture(e, x, slices.Repeat([]float64{v}, len(u)))
				if drawable(x) {
					continue // all it must do is end
				}
				if n := count(img, vermilion); n < 20 || count(img, blue) != 0 {
					t.Errorf("element %d is %v: %d pixels of a cross, %d of the thing that moves", i, v, n, count(img, blue))
				}
			}
		}
	})
}

// Any image will do, of any bounds, and nothing is drawn outside of them.
func TestDrawInto(t *testing.T) {
	forEnvs(t, func(t *testing.T, e Env) {
		c := randomProblems(e, 1, 1, 1)
		want := image.NewRGBA(image.Rect(0, 0, 160, 120))
		e.Draw(want, c.x, c.u)
		at := image.Rect(30, 20, 190, 140)
		whole := image.NewRGBA(image.Rect(0, 0, 200, 160))
		e.Draw(whole.SubImage(at).(*image.RGBA), c.x, c.u)
		for y := range 160 {
			for x := range 200 {
				w := color.RGBA{}
				if image.Pt(x, y).In(at) {
					w = want.RGBAAt(x-30, y-20)
				}
				if got := whole.RGBAAt(x, y); got != w {
					t.Fatalf("pixel (%d, %d) is %v, want %v", x, y, got, w)
				}
			}
		}
		paletted := image.NewPaletted(want.Bounds(), palette.Plan9)
		e.Draw(paletted, c.x, c.u)
		if got := paletted.At(1, 1); fmt.Sprint(got) != fmt.Sprint(color.RGBA{255, 255, 255, 255}) {
			t.Errorf("the ground of a paletted picture is %v", got)
		}
		e.Draw(image.NewRGBA(image.Rectangle{}), c.x, c.u)
		e.Draw(image.NewRGBA(image.Rect(0, 0, 1, 1)), c.x, c.u)
	})
}

// Mirrored states have mirrored pictures, but for the smoothing of edges: right is right, and up is up.
func TestDrawSides(t *testing.T) {
	mean := func(img *image.RGBA, c color.NRGBA) (x, y float64) {
		n := 0.0
		for j := range 180 {
			for i := range 240 {
				if img.RGBAAt(i, j) == color.RGBA(c) { // opaque: the two types agree
					x, y, n = x+float64(i), y+float64(j), n+1
				}
			}
		}
		return x/n - 119.5, 89.5 - y/n
	}
	moved := must[Env](t)(With(DoubleIntegrator{}, map[string]float64{"goal_x": -1, "goal_y": 1}))
	moved = must[Env](t)(With(moved, map[string]float64{"mass": 2})) // also one that was changed before
	for _, c := range []struct {
		e      Env
		x, u   []float64
		colour color.NRGBA
		sx, sy float64 // where it is
	}{
		{Pendulum{}, []float64{math.Sqrt(0.5), math.Sqrt(0.5), 0}, nil, blue, 1, 1},
		{Pendulum{}, []float64{-math.Sqrt(0.5), -math.Sqrt(0.5), 0}, nil, blue, -1, -1},
		{Pendulum{}, []float64{-1, 0, 0}, []float64{2}, vermilion, 1, 0},
		{Pendulum{}, []float64{-1, 0, 0}, []float64{-2}, vermilion, -1, 0},
		{Cartpole{}, []float64{0, 0, math.Sqrt(0.5), math.Sqrt(0.5), 0}, nil, blue, 1, 1},
		{Cartpole{}, []float64{0, 0, -1, 0, 0}, []float64{-90}, vermilion, -1, 0},
		{DoubleIntegrator{}, []float64{1, 1, 0, 0}, nil, blue, 1, 1},
		{DoubleIntegrator{}, []float64{0, 0, 0, 0}, []float64{0, -1}, vermilion, 0, -1},
		{DoubleIntegrator{}, []float64{0, 0, 0, 0}, nil, green, 1, 0},
		{moved, []float64{0, 0, 0, 0}, nil, green, -1, 1},
	} {
		x, y := mean(picture(c.e, c.x, c.u), c.colour)
		if !(x*c.sx >= 0 && y*c.sy >= 0) || c.sx != 0 && math.Abs(x) < 3 || c.sy != 0 && math.Abs(y) < 3 {
			t.Errorf("%s at %v under %v: %v stands at (%.1f, %.1f) pixels from the middle", c.e.Name(), c.x, c.u, c.colour,
				x, y)
		}
	}
}

// Poles and rods are as long as their parameter says, whole where they are longer than usual.
func TestDrawLength(t *testing.T) {
	for _, c := range []struct {
		e      Env
		x      []float64
		usual  float64
		margin float64 // around the tip, in pixels
	}{
		{Pendulum{}, []float64{0, 1, 0}, 1, 8}, // lying to the right
		{Cartpole{}, []float64{0, 0, 1, 0, 0}, 0.5, 4},
	} {
		length := func(l float64) float64 { // of what moves, in pixels
			img := picture(must[Env](t)(With(c.e, map[string]float64{"length": l})), c.x, nil)
			box := image.Rectangle{}
			for y := range 180 {
				for x := range 240 {
					if img.RGBAAt(x, y) == color.RGBA(blue) {
						box = box.Union(image.Rect(x, y, x+1, y+1))
					}
				}
			}
			if !box.In(img.Bounds().Inset(2)) {
				t.Errorf("%s of length %v goes beyond the picture: %v", c.e.Name(), l, box)
			}
			return float64(max(box.Dx(), box.Dy()))
		}
		usual, short, long := length(c.usual), length(c.usual/2), length(3*c.usual)
		if !(math.Abs(short-usual/2) <= c.margin) {
			t.Errorf("%s: half of %v pixels are %v", c.e.Name(), usual, short)
		}
		if !(long >= usual-c.margin) { // the picture shows more metres
			t.Errorf("%s: three times as long it has %v pixels, %v before", c.e.Name(), long, usual)
		}
	}
}
