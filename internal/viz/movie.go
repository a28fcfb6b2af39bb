package viz

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"time"
)

// Movie shows pictures one after the other. All have the size of the first.
type Movie struct {
	Frames []*image.RGBA
	Delay  time.Duration // of a frame; 0: 50 ms
	Pause  time.Duration // of the last frame, before the loop starts again; 0: 2 s
}

// SaveMovie writes the pictures to path as a GIF that loops for ever.
func SaveMovie(path string, m Movie) error {
	data, err := m.encode()
	if err != nil {
		return fmt.Errorf("viz: movie %s: %w", path, err)
	}
	return write(path, data)
}

func (m Movie) encode() ([]byte, error) {
	if len(m.Frames) == 0 {
		return nil, errors.New("no frames")
	}
	if m.Delay < 0 || m.Pause < 0 {
		return nil, fmt.Errorf("delay %v and pause %v, want none below 0", m.Delay, m.Pause)
	}
	for i, f := range m.Frames {
		if f == nil || f.Rect != m.Frames[0].Rect || f.Rect.Min != (image.Point{}) || f.Stride != 4*f.Rect.Dx() {
			return nil, fmt.Errorf("frame %d is another kind of picture than %v with all its pixels in a row", i,
				image.Rectangle{Max: m.Frames[0].Rect.Size()})
		}
	}
	w, h := m.Frames[0].Rect.Dx(), m.Frames[0].Rect.Dy()
	if w < 1 || h < 1 || w > 2048 || h > 2048 {
		return nil, fmt.Errorf("size %d x %d pixels, want 1 x 1 to 2048 x 2048", w, h)
	}
	n := len(m.Frames)
	looked := min(n, 8)
	sample := make([]*image.RGBA, looked)
	for i := range sample {
		sample[i] = m.Frames[i*(n-1)/max(1, looked-1)]
	}
	table := quantise(sample, 256)
	out := gif.GIF{Image: make([]*image.Paletted, n), Delay: make([]int, n), LoopCount: 0}
	out.Config = image.Config{ColorModel: table, Width: w, Height: h}
	parallel(n, func(i int) { out.Image[i] = indexed(m.Frames[i], table) })
	for i := range out.Delay {
		out.Delay[i] = hundredths(m.Delay, 50*time.Millisecond)
	}
	out.Delay[n-1] = hundredths(m.Pause, 2*time.Second)
	for i := n - 1; i > 0; i-- {
		out.Image[i] = changed(out.Image[i-1], out.Image[i])
	}
	var buf bytes.Buffer
	if err := gif.EncodeAll(&buf, &out); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return buf.Bytes(), nil
}
