package viz

import (
	"image"
	"image/color"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each frame, put over those before it, is the picture that was given: few colours are kept as they are.
func TestMovie(t *testing.T) {
	const w, h = 40, 30
	var frames []*image.RGBA
	for i := range 12 {
		f := image.NewRGBA(image.Rect(0, 0, w, h))
		for p := range f.Pix {
			f.Pix[p] = 0xff
		}
		for y := range 6 {
			f.Set(2*i, 10+y, color.RGBA{0, 0x72, 0xb2, 0xff})
		}
		frames = append(frames, f)
	}
	path := filepath.Join(t.TempDir(), "m.gif")
	if err := SaveMovie(path, Movie{Frames: frames, Delay: 70 * time.Millisecond, Pause: time.Second}); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	g, err := gif.DecodeAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != len(frames) || g.Delay[0] != 7 || g.Delay[11] != 100 {
		t.Fatalf("%d frames with delays %v, want 12 with 7 and at last 100", len(g.Image), g.Delay)
	}
	shown := image.NewRGBA(frames[0].Rect)
	for i, part := range g.Image {
		for y := part.Rect.Min.Y; y < part.Rect.Max.Y; y++ {
			for x := part.Rect.Min.X; x < part.Rect.Max.X; x++ {
				shown.Set(x, y, part.At(x, y))
			}
		}
		for p := range shown.Pix {
			if shown.Pix[p] != frames[i].Pix[p] {
				t.Fatalf("frame %d: byte %d of the pixels is %d, want %d", i, p, shown.Pix[p], frames[i].Pix[p])
			}
		}
	}
}

func TestMovieErrors(t *testing.T) {
	ok := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for want, m := range map[string]Movie{
		"no frames": {},
		"delay -1s": {Frames: []*image.RGBA{ok}, Delay: -time.Second},
		"frame 1":   {Frames: []*image.RGBA{ok, image.NewRGBA(image.Rect(0, 0, 8, 9))}},
		"frame 0":   {Frames: []*image.RGBA{ok.SubImage(image.Rect(1, 1, 4, 4)).(*image.RGBA)}},
		"0 x 0":     {Frames: []*image.RGBA{image.NewRGBA(image.Rectangle{})}},
	} {
		if err := SaveMovie(filepath.Join(t.TempDir(), "m.gif"), m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
