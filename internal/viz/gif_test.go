package viz

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	vgdraw "gonum.org/v1/plot/vg/draw"
)

func animation(n int) Animation {
	a := Animation{Delay: 50 * time.Millisecond, Pause: time.Second}
	for i := range n {
		c := -1.5 + 3*float64(i)/float64(max(1, n-1))
		f := NewField(-2, 2, 24, -2, 2, 24, func(x, y float64) float64 { return -math.Exp(-(x-c)*(x-c) - y*y) })
		s := Samples2D{
			Axes:  Axes{Title: fmt.Sprintf("update %d", i), X: "x", Y: "y", Width: 240, Height: 200},
			Field: f, Target: []Point{{1.5, 0}},
			Gaussians: []Gaussian{{Point{c, 0}, Point{0.3, 0.3}}}, Samples: [][]Point{{{c, 0.5}, {c, -0.5}}},
		}
		if i > 0 { // the legend of the fullest frame holds for all
			s.Path = []Point{{-1.5, 0}, {c, 0}}
		}
		a.Frames = append(a.Frames, s)
	}
	return a
}

// unfold draws the frames over each other as a viewer does.
func unfold(t *testing.T, data []byte) (frames []*image.RGBA, g *gif.GIF) {
	t.Helper()
	g, err := gif.DecodeAll(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	screen := image.NewRGBA(image.Rect(0, 0, g.Config.Width, g.Config.Height))
	for _, f := range g.Image {
		draw.Draw(screen, f.Bounds(), f, f.Bounds().Min, draw.Over)
		c := image.NewRGBA(screen.Bounds())
		copy(c.Pix, screen.Pix)
		frames = append(frames, c)
	}
	return frames, g
}

func TestAnimation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gif")
	a := animation(9)
	if err := SaveGIF(path, a); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frames, g := unfold(t, data)
	if len(frames) != 9 || g.LoopCount != 0 || g.Config.Width != 240 || g.Config.Height != 200 {
		t.Fatalf("%d frames of %d x %d, loop %d; want 9 of 240 x 200, 0 (for ever)",
			len(frames), g.Config.Width, g.Config.Height, g.LoopCount)
	}
	for i, d := range g.Delay {
		if want := map[bool]int{false: 5, true: 100}[i == 8]; d != want {
			t.Errorf("frame %d stands for %d hundredths, want %d", i, d, want)
		}
	}
	// Each frame is what the renderer drew, within the palette's error: compared with the same figure drawn alone at
	// the same scale of colours.
	panels, err := a.prepare()
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if n := count(f, f.Bounds(), vermilion); n < 30 {
			t.Errorf("frame %d: %d pixels of the target and the ellipse", i, n)
		}
		if i > 0 && bytes.Equal(f.Pix, frames[i-1].Pix) {
			t.Errorf("frame %d equals the one before", i)
		}
		c := raster(240, 200)
		head, foot := panels[i].margins(vgdraw.New(c))
		panels[i].draw(vgdraw.New(c), head, foot)
		want := c.Image().(*image.RGBA)
		off, worst := 0.0, 0
		for k := range want.Pix {
			d := int(want.Pix[k]) - int(f.Pix[k])
			off += math.Abs(float64(d))
			worst = max(worst, d, -d)
		}
		// 256 colours for some thousand: half a grey level on average.
		if mean := off / float64(len(want.Pix)); !(mean <= 1.5) || worst > 90 {
			t.Errorf("frame %d: colours are off by %.2f on average, %d at worst", i, mean, worst)
		}
	}
	again, err := a.encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("the same animation gave other bytes (%v)", err)
	}
}

func TestAnimationOfOneFrame(t *testing.T) {
	data, err := animation(1).encode()
	if err != nil {
		t.Fatal(err)
	}
	if frames, _ := unfold(t, data); len(frames) != 1 {
		t.Errorf("%d frames", len(frames))
	}
	// Frames that do not differ must still be there.
	a := animation(1)
	a.Frames = append(a.Frames, a.Frames[0], a.Frames[0])
	if data, err = a.encode(); err != nil {
		t.Fatal(err)
	}
	if frames, _ := unfold(t, data); len(frames) != 3 || !bytes.Equal(frames[0].Pix, frames[2].Pix) {
		t.Errorf("%d frames, want 3 equal ones", len(frames))
	}
}

func TestAnimationErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gif")
	contains(t, SaveGIF(path, Animation{}), path, "no frames")
	a := animation(3)
	a.Frames[1].Field.Z = a.Frames[1].Field.Z[1:]
	contains(t, SaveGIF(path, a), path, "frame 1", "575 values")
	a = animation(3)
	a.Frames[2].Bands = -1
	contains(t, SaveGIF(path, a), "frame 2", "bands")
	a = animation(1)
	a.Delay = -1
	contains(t, SaveGIF(path, a), "delay")
	a = animation(1)
	a.Frames[0].Width = 5000
	contains(t, SaveGIF(path, a), "5000")
	missing := filepath.Join(t.TempDir(), "nowhere", "a.gif")
	contains(t, SaveGIF(missing, animation(1)), missing)
}

func TestQuantiseKeepsFlatColours(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 256, 256))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for y := range 64 { // 16,384 colours in a corner
		for x := range 256 {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(4 * y), uint8(x ^ y), 255})
		}
	}
	table := quantise([]*image.RGBA{img}, 64)
	if len(table) != 64 {
		t.Fatalf("%d colours, want 64", len(table))
	}
	flat := indexed(img, table)
	if got := flat.At(100, 200); got != table[0] || count(flat, image.Rect(0, 64, 256, 256), white) != 256*192 {
		t.Errorf("white became %v", got)
	}
	if table := quantise([]*image.RGBA{image.NewRGBA(image.Rect(0, 0, 4, 4))}, 256); len(table) != 1 {
		t.Errorf("%d colours for an image of one", len(table))
	}
}
