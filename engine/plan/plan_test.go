package plan_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// same compares what a program computes with the reference, within tol of max(1, the largest magnitude).
func same(p *plan.Program, g *ir.Graph, feed func(ir.ID) any, tol float64) error {
	want, err := ref.Eval(g, feed)
	if err != nil {
		return err
	}
	m := newInterp(p, feed)
	if err := m.run(); err != nil {
		return err
	}
	for i, id := range g.Outputs {
		if len(p.Outputs) != len(g.Outputs) || p.Outputs[i].Node != id {
			return fmt.Errorf("outputs %v of a graph with %v", p.Outputs, g.Outputs)
		}
		b := p.Outputs[i].Buf
		w := floats(want[i])
		if b < 0 {
			if len(w) > 0 {
				return fmt.Errorf("%s has no buffer", g.Label(id))
			}
			continue
		}
		scale := 1.0
		for _, x := range w {
			if math.Abs(x) <= math.MaxFloat64 {
				scale = max(scale, math.Abs(x))
			}
		}
		for k, x := range m.mem[b] {
			if !(math.Abs(x-w[k]) <= tol*scale) && x != w[k] && !(x != x && w[k] != w[k]) {
				return fmt.Errorf("%s, element %d: %v, want %v", g.Label(id), k, x, w[k])
			}
		}
	}
	return nil
}

var disables = [][]string{nil, {"fuse"}, {"epilogue"}, {"siblings"}, {"recompute"}, {"in-place"}, {"remat"}, {"reuse"},
	{"schedule"}, {"epilogue", "siblings", "recompute"},
	{"fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat", "reuse"}}

// Whatever is switched off, a program means what its graph means.
func TestRandomGraphs(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		g := graphs.Random(seed)
		for _, off := range disables {
			p, err := plan.New(g, plan.Options{Disable: off})
			if err != nil {
				t.Fatalf("seed %d without %q: %v", seed, off, err)
			}
			if err := p.Verify(); err != nil {
				t.Fatalf("seed %d without %q: %v", seed, off, err)
			}
			if err := same(p, g, graphs.Feed(g, seed), graphs.Tolerance(g)); err != nil {
				t.Fatalf("seed %d without %q: %v", seed, off, err)
			}
		}
	}
}
