package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godcem/godcem/internal/viz"
)

// draw draws doc/img/bench-*.png.
func (p *page) draw() error {
	var steps, kernels viz.Grid
	steps.Columns, kernels.Columns = 1, 1
	for _, isa := range p.isas {
		if b := p.bars(isa, []string{"regression B=1", "regression B=16", "regression B=100", "cartpole B=1",
			"cartpole B=16", "cartpole B=100"},
			[]string{"godcem", "torch", "jax", "compile"}, "A training step, float32, "+isa); b != nil {
			steps.Plots = append(steps.Plots, *b)
		}
		var names []string
		for _, f := range functions {
			names = append(names, f.name)
		}
		for _, part := range []struct {
			title  string
			titles []string
		}{{"Matrix products", p.titles("sgemm")}, {"LML, forward and backward", p.titles("lml")},
			{"Top-k, refit and normal numbers", p.titles("topk", "refit", "normal")},
			{"Functions of 65,536 numbers", append(names, "atan2")}} {
			if b := p.bars(isa, part.titles, []string{"godcem", "torch", "jax", "compile", "numpy"},
				part.title+", float32, "+isa); b != nil {
				kernels.Plots = append(kernels.Plots, *b)
			}
		}
	}
	for name, g := range map[string]viz.Grid{"bench-steps.png": steps, "bench-kernels.png": kernels,
		"bench-scaling.png": p.curves()} {
		if len(g.Plots) == 0 {
			continue
		}
		if name != "bench-scaling.png" {
			g.Width, g.Height = 1100, 380*len(g.Plots)
		}
		if err := viz.Save(filepath.Join(figures, name), g); err != nil {
			return err
		}
	}
	return nil
}

// bars are times over the fastest Python peer's; nil where there are none.
func (p *page) bars(isa string, titles, who []string, title string) *viz.Bars {
	b := &viz.Bars{Axes: viz.Axes{Title: title, Y: "time / best of three", YRange: [2]float64{0, 2.5}},
		Levels: []viz.Mark{{At: 1}}}
	values := make([][]float64, len(who))
	for _, t := range titles {
		best := math.Inf(1)
		for _, w := range []string{"torch", "compile", "jax"} {
			if r := p.find(t, "float32", isa, w); r != nil {
				best = min(best, r.Median)
			}
		}
		if math.IsInf(best, 1) {
			continue
		}
		b.Groups = append(b.Groups, strings.ReplaceAll(t, " ", "\n"))
		for i, w := range who {
			v := math.NaN()
			if r := p.find(t, "float32", isa, w); r != nil {
				v = r.Median / best
			}
			values[i] = append(values[i], v)
		}
	}
	if len(b.Groups) == 0 {
		return nil
	}
	for i, w := range who {
		if slices.ContainsFunc(values[i], func(v float64) bool { return v == v }) {
			b.Series = append(b.Series, viz.Series{Name: w, Y: values[i]})
		}
	}
	return b
}

// curves are step times over each size, beside what the products alone would take at the machine's best rate.
func (p *page) curves() viz.Grid {
	g := viz.Grid{Columns: 3, Title: "Step times as one size grows (B=16 otherwise), float32, " + p.isas[0]}
	peak, copying := p.peak(p.isas[0]), p.copying(p.isas[0])
	for _, a := range axes() {
		l := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("%s over %s", a.model, a.letter), X: a.letter, Y: "ms"}}
		limit := viz.Series{Name: "products at the machine's rate"}
		memory := viz.Series{Name: "arrays at the rate of copying"}
		for _, w := range []string{"godcem", "torch", "jax"} {
			s := viz.Series{Name: w}
			for _, size := range a.sizes {
				r := p.find(a.title(size), "float32", p.isas[0], w)
				if r == nil {
					continue
				}
				s.X, s.Y = append(s.X, float64(size)), append(s.Y, r.Median)
				if w == "godcem" && peak > 0 {
					limit.X, limit.Y = append(limit.X, float64(size)), append(limit.Y, r.Flops/peak/1e6)
				}
				if w == "godcem" && copying > 0 && r.Bytes > 0 {
					memory.X, memory.Y = append(memory.X, float64(size)), append(memory.Y, r.Bytes/copying/1e6)
				}
			}
			if len(s.X) > 1 {
				l.Series = append(l.Series, s)
			}
		}
		for _, s := range []viz.Series{limit, memory} {
			if len(s.X) > 1 {
				l.Series = append(l.Series, s)
			}
		}
		if len(l.Series) > 0 {
			g.Plots = append(g.Plots, l)
		}
	}
	return g
}
