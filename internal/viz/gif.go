package viz

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Animation shows how an objective and its minimiser change. All frames take the size of the first (zero: 480 x 400),
// the colours of a common scale, and unless they set ranges of their own the limits of their fields, which should then
// be the same.
type Animation struct {
	Frames []Samples2D
	Delay  time.Duration // of a frame; 0: 120 ms
	Pause  time.Duration // of the last frame, before the loop starts again; 0: 2.5 s
}

// SaveGIF draws the frames, two or more at a time on as many processors, and writes them to path as a GIF that loops
// for ever.
func SaveGIF(path string, a Animation) error {
	data, err := a.encode()
	if err != nil {
		return fmt.Errorf("viz: animation %s: %w", path, err)
	}
	return write(path, data)
}

func (a Animation) encode() ([]byte, error) {
	if a.Delay < 0 || a.Pause < 0 {
		return nil, fmt.Errorf("delay %v and pause %v, want none below 0", a.Delay, a.Pause)
	}
	frames, err := a.prepare()
	if err != nil {
		return nil, err
	}
	w, h := a.Frames[0].dims(480, 400)
	if w < 160 || h < 120 || w > 2048 || h > 2048 {
		return nil, fmt.Errorf("size %d x %d pixels, want 160 x 120 to 2048 x 2048", w, h)
	}
	dc := draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: vg.Length(w), Y: vg.Length(h)}}}
	var head, foot vg.Length // the tallest, so that the axes stand still
	for _, p := range frames {
		u, d := p.margins(dc)
		head, foot = max(head, u), max(foot, d)
	}
	render := func(i int) *image.RGBA {
		c := raster(w, h)
		frames[i].draw(draw.New(c), head, foot)
		return c.Image().(*image.RGBA)
	}

	// The palette comes from a few frames, spread over the whole; the rest of the colours are close to theirs.
	n := len(frames)
	looked := min(n, 8)
	sample := make([]*image.RGBA, looked)
	parallel(looked, func(i int) { sample[i] = render(i * (n - 1) / max(1, looked-1)) })
	table := quantise(sample, 256)

	out := gif.GIF{Image: make([]*image.Paletted, n), Delay: make([]int, n), LoopCount: 0}
	out.Config = image.Config{ColorModel: table, Width: w, Height: h}
	parallel(n, func(i int) { out.Image[i] = indexed(render(i), table) })
	for i := range out.Delay {
		out.Delay[i] = hundredths(a.Delay, 120*time.Millisecond)
	}
	out.Delay[n-1] = hundredths(a.Pause, 2500*time.Millisecond)
	for i := n - 1; i > 0; i-- {
		out.Image[i] = changed(out.Image[i-1], out.Image[i])
	}
	var buf bytes.Buffer
	if err := gif.EncodeAll(&buf, &out); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return buf.Bytes(), nil
}

func hundredths(d, otherwise time.Duration) int {
	if d == 0 {
		d = otherwise
	}
	return max(2, int(d/(10*time.Millisecond))) // browsers slow down anything faster
}

// prepare checks the frames and gives them a common scale of colours and the fullest legend among them.
func (a Animation) prepare() ([]*panel, error) {
	if len(a.Frames) == 0 {
		return nil, errors.New("no frames")
	}
	fields := make([]Field, len(a.Frames))
	for i, f := range a.Frames {
		if err := f.Field.check(); err != nil {
			return nil, fmt.Errorf("frame %d: %w", i, err)
		}
		fields[i] = f.Field
	}
	sc, err := scaleOf(a.Frames[0].Colours, false, fields...)
	if err != nil {
		return nil, err
	}
	ps := make([]*panel, len(a.Frames))
	fullest := 0
	for i, f := range a.Frames {
		if ps[i], err = f.panel(sc); err != nil {
			return nil, fmt.Errorf("frame %d: %w", i, err)
		}
		if len(ps[i].legend) > len(ps[fullest].legend) {
			fullest = i
		}
	}
	for _, p := range ps {
		p.legend = ps[fullest].legend
	}
	return ps, nil
}

// parallel runs job(0) to job(n-1) on all processors.
func parallel(n int, job func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				job(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// changed returns the part of next that differs from before: a GIF draws it over what is there.
func changed(before, next *image.Paletted) *image.Paletted {
	b := next.Bounds()
	r := image.Rectangle{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		p, q := before.Pix[before.PixOffset(before.Rect.Min.X, y):][:b.Dx()], next.Pix[next.PixOffset(b.Min.X, y):][:b.Dx()]
		for x := range q {
			if p[x] != q[x] {
				r = r.Union(image.Rect(b.Min.X+x, y, b.Min.X+x+1, y+1))
			}
		}
	}
	if r.Empty() {
		r = image.Rect(b.Min.X, b.Min.Y, b.Min.X+1, b.Min.Y+1) // a frame cannot be empty
	}
	return next.SubImage(r).(*image.Paletted)
}

type bin struct {
	c [3]uint8
	n int
}

// quantise chooses up to size colours for the images: the most frequent as they are, so that flat areas stay flat, the
// others by median cut.
func quantise(imgs []*image.RGBA, size int) color.Palette {
	count := map[[3]uint8]int{}
	for _, img := range imgs {
		for i := 0; i < len(img.Pix); i += 4 {
			count[[3]uint8(img.Pix[i:i+3])]++
		}
	}
	bins := make([]bin, 0, len(count))
	for c, n := range count {
		bins = append(bins, bin{c, n})
	}
	slices.SortFunc(bins, func(a, b bin) int { // a map has no order: the same figure must give the same file
		if a.n != b.n {
			return b.n - a.n
		}
		return bytes.Compare(a.c[:], b.c[:])
	})
	exact := min(len(bins), size/4)
	var table color.Palette
	for _, b := range bins[:exact] {
		table = append(table, color.RGBA{b.c[0], b.c[1], b.c[2], 0xff})
	}
	if exact == len(bins) {
		return table
	}
	boxes := [][]bin{bins[exact:]}
	for len(boxes) < size-exact {
		worst, axis, weight := -1, 0, 0.0
		for i, b := range boxes {
			k, w := widest(b)
			if w > weight {
				worst, axis, weight = i, k, w
			}
		}
		if worst < 0 {
			break // every box holds one colour
		}
		b := boxes[worst]
		slices.SortFunc(b, func(p, q bin) int {
			if p.c[axis] != q.c[axis] {
				return int(p.c[axis]) - int(q.c[axis])
			}
			return bytes.Compare(p.c[:], q.c[:])
		})
		half := 0
		for _, p := range b {
			half += p.n
		}
		cut, sum := 1, b[0].n
		for cut < len(b)-1 && 2*(sum+b[cut].n) <= half {
			sum += b[cut].n
			cut++
		}
		boxes[worst] = b[:cut]
		boxes = append(boxes, b[cut:])
	}
	for _, b := range boxes {
		var s [3]int
		n := 0
		for _, p := range b {
			for k := range s {
				s[k] += int(p.c[k]) * p.n
			}
			n += p.n
		}
		table = append(table, color.RGBA{uint8(s[0] / n), uint8(s[1] / n), uint8(s[2] / n), 0xff})
	}
	return table
}

// widest returns the channel in which a box is longest, and how much splitting it there would help.
func widest(b []bin) (axis int, weight float64) {
	n, span := 0, 0
	lo, hi := b[0].c, b[0].c
	for _, p := range b {
		n += p.n
		for k, v := range p.c {
			lo[k], hi[k] = min(lo[k], v), max(hi[k], v)
		}
	}
	for k := range lo {
		if d := int(hi[k]) - int(lo[k]); d > span {
			axis, span = k, d
		}
	}
	return axis, float64(span) * math.Sqrt(float64(n))
}

// indexed maps the image to the nearest colours of the table, without dithering: noise does not compress.
func indexed(img *image.RGBA, table color.Palette) *image.Paletted {
	out := image.NewPaletted(img.Bounds(), table)
	known := map[[3]uint8]uint8{}
	for i := range out.Pix { // both are tightly packed
		c := [3]uint8(img.Pix[4*i : 4*i+3])
		at, ok := known[c]
		if !ok {
			best := math.MaxInt
			for k, e := range table {
				p := e.(color.RGBA)
				dr, dg, db := int(p.R)-int(c[0]), int(p.G)-int(c[1]), int(p.B)-int(c[2])
				if d := 2*dr*dr + 4*dg*dg + 3*db*db; d < best {
					best, at = d, uint8(k)
				}
			}
			known[c] = at
		}
		out.Pix[i] = at
	}
	return out
}
