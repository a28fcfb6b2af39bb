// Package viz draws the figures of the training programs: curves, fits, energy surfaces, animations and a report in
// one HTML file.
//
// A figure is a plain struct (Lines, Fit, Surface, Samples2D, or a Grid of them) that Save turns into a PNG or SVG.
// All share one look: white ground, light grid, colours that colour-blind readers can tell apart, the legend above the
// data so that it never covers any. Values that are not finite are skipped and counted in a small note under the
// figure; a series without any drawable value is an error that names it. Files are written beside their destination
// and renamed, so that a reader never sees half of one.
package viz

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/godcem/godcem/internal/atomicfile"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Plot is a figure: Lines, Fit, Surface, Samples2D or Grid.
type Plot interface {
	size() (w, h int)          // pixels
	panels() ([]*panel, error) // checked and ready to be drawn
}

// Point is a point in data coordinates.
type Point struct{ X, Y float64 }

// Axes is what all figures have: words, limits and size. Zero values choose by the data.
type Axes struct {
	Title          string     // says what is shown; wrapped where it is too long
	X, Y           string     // labels, with symbol and unit
	XRange, YRange [2]float64 // limits; [0, 0]: from the data
	PiX            bool       // ticks of x at multiples of pi
	Width, Height  int        // pixels; 0: the figure's own default
}

// Grid arranges figures in rows of Columns (0: all in one row), each in a tile of the same size.
type Grid struct {
	Title         string
	Columns       int
	Width, Height int // pixels of the whole; 0: 560 x 480 a tile
	Plots         []Plot
}

// SideBySide is a Grid of one row.
func SideBySide(title string, plots ...Plot) Grid { return Grid{Title: title, Plots: plots} }

func (g Grid) columns() int {
	if g.Columns <= 0 {
		return max(1, len(g.Plots))
	}
	return g.Columns
}

func (g Grid) size() (w, h int) {
	cols := g.columns()
	w, h = 560*cols, 480*((len(g.Plots)+cols-1)/cols)
	if g.Width > 0 {
		w = g.Width
	}
	if g.Height > 0 {
		h = g.Height
	}
	return w, h
}

func (g Grid) panels() ([]*panel, error) {
	if len(g.Plots) == 0 {
		return nil, errors.New("a grid without figures")
	}
	var all []*panel
	for i, p := range g.Plots {
		if _, nested := p.(Grid); nested || p == nil {
			return nil, fmt.Errorf("tile %d of the grid is %T, want a single figure", i, p)
		}
		ps, err := p.panels()
		if err != nil {
			return nil, fmt.Errorf("tile %d of the grid: %w", i, err)
		}
		all = append(all, ps...)
	}
	return all, nil
}

// Save draws p and writes it to path, whose extension says the format: .png or .svg (one point for each pixel of the
// PNG).
func Save(path string, p Plot) error {
	data, err := encode(strings.ToLower(filepath.Ext(path)), p)
	if err != nil {
		return fmt.Errorf("viz: figure %s: %w", path, err)
	}
	return write(path, data)
}

// maxPixels bounds either side of a figure: beyond it somebody mistook the unit.
const maxPixels = 8192

func encode(ext string, p Plot) ([]byte, error) {
	if p == nil {
		return nil, errors.New("no figure given (nil)")
	}
	ps, err := p.panels()
	if err != nil {
		return nil, err
	}
	w, h := p.size()
	if w < 160 || h < 120 || w > maxPixels || h > maxPixels {
		return nil, fmt.Errorf("size %d x %d pixels, want 160 x 120 to %d x %d", w, h, maxPixels, maxPixels)
	}
	var canvas vg.CanvasWriterTo
	switch ext {
	case ".png":
		canvas = vgimg.PngCanvas{Canvas: raster(w, h)}
	case ".svg":
		canvas = vgsvg.New(vg.Length(w), vg.Length(h))
	default:
		return nil, fmt.Errorf("unknown format %q, want .png or .svg", ext)
	}
	cols, title := 1, ""
	if g, ok := p.(Grid); ok {
		cols, title = g.columns(), g.Title
	}
	drawPanels(draw.New(canvas), title, cols, ps)
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return nil, fmt.Errorf("encoding %s: %w", ext, err)
	}
	return buf.Bytes(), nil
}

// raster returns a canvas on which one point is one pixel, so that heat maps can be drawn pixel by pixel.
func raster(w, h int) *vgimg.Canvas {
	return vgimg.NewWith(vgimg.UseWH(vg.Length(w), vg.Length(h)), vgimg.UseDPI(72))
}

// write puts data into path by way of a temporary file in the same folder.
func write(path string, data []byte) error {
	if err := atomicfile.WriteBytes(path, data); err != nil {
		return fmt.Errorf("viz: %w", err)
	}
	return nil
}

// finite reports whether v can be drawn; beyond 1e300 the span of an axis would overflow.
func finite(v float64) bool { return math.Abs(v) <= 1e300 }

// note returns "1 non-finite value skipped" and the like from its parts, or nothing where there is nothing to say.
func note(count int, thing, fate string) []string {
	switch count {
	case 0:
		return nil
	case 1:
		return []string{"1 " + thing + " " + fate}
	}
	return []string{fmt.Sprintf("%d %ss %s", count, thing, fate)}
}
