package regression

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/viz"
)

const slicesFigure = "slices.png"

// LocalMinima is the mean over the x of a field of energies of how many minima over y each has, those at the ends of
// the grid included. A minimum counts if the energy rises from it, to either side, by more than a hundredth of its
// range over y before it falls below it again: an energy that is convex in y has one. An x with an energy that is not
// finite does not count; NaN if none is left.
func LocalMinima(f viz.Field) float64 {
	if len(f.Z) != len(f.X)*len(f.Y) {
		panic(fmt.Sprintf("regression: LocalMinima: a field of %d x %d with %d values", len(f.X), len(f.Y), len(f.Z)))
	}
	count, columns := 0, 0
	for i := range f.X {
		column := f.Z[i*len(f.Y) : (i+1)*len(f.Y)]
		if n := minima(column); n > 0 {
			count, columns = count+n, columns+1
		}
	}
	return float64(count) / float64(columns)
}

// minima counts those of one column, 0 if an energy is not finite.
func minima(column []float64) (n int) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, e := range column {
		if math.IsNaN(e) || math.IsInf(e, 0) {
			return 0
		}
		lo, hi = min(lo, e), max(hi, e)
	}
	rise := 0.01 * (hi - lo)
	// Going up in y: a valley is counted when the energy has risen enough from its floor, and the next one begins when
	// it has fallen enough from the crest since.
	floor, crest, down := column[0], column[0], true
	for _, e := range column {
		floor, crest = min(floor, e), max(crest, e)
		switch {
		case down && e > floor+rise:
			n++
			down, crest = false, e
		case !down && e < crest-rise:
			down, floor = true, e
		}
	}
	if down { // the last valley goes on to the end of the grid; a constant column is one
		n++
	}
	return n
}

// slices are energies over y at a few x.
func (p *pictures) slices() viz.Plot {
	var plots []viz.Plot
	for _, s := range p.studies {
		f := viz.Lines{Axes: viz.Axes{
			Title: fmt.Sprintf("%s: %s", capital(s.title()), s.minimaInWords()),
			X:     "y", Y: "E(x, y), scaled to [0, 1]"}}
		for k := range 4 {
			i := (2*k + 1) * len(s.field.X) / 8
			column := s.field.Z[i*len(s.field.Y) : (i+1)*len(s.field.Y)]
			lo, hi := math.Inf(1), math.Inf(-1)
			for _, e := range column {
				if e-e == 0 { // finite
					lo, hi = min(lo, e), max(hi, e)
				}
			}
			y := make([]float64, len(column))
			for j, e := range column {
				y[j] = (e - lo) / (hi - lo)
			}
			f.Series = append(f.Series, viz.Series{Name: fmt.Sprintf("x = %.2f", s.field.X[i]), X: s.field.Y, Y: y})
		}
		plots = append(plots, f)
	}
	if len(plots) == 1 {
		return plots[0]
	}
	g := viz.SideBySide("", plots...)
	g.Width, g.Height = 1280, 460
	return g
}

func (s *study) minimaInWords() string {
	if s.metrics["minima"] == 1 {
		return "one minimum over y for every x"
	}
	return fmt.Sprintf("%.2g minima over y on average", s.metrics["minima"])
}

func (p *pictures) aboutSlices() string {
	text := ""
	for _, s := range p.studies {
		text += fmt.Sprintf("%s: the energy has %s. ", capital(s.title()), s.minimaInWords())
	}
	if p.c.Model == ModelICNN {
		return text + "An input-convex net can have no more than one for any x, whatever it has learnt: every search that goes on for " +
			"long enough finds the same, but two answers for one x are beyond it. One that is cut short need not end there."
	}
	return text + "An input-convex net (--model icnn) can have no more than one."
}
