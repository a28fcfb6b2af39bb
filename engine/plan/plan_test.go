package plan_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
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

// A rollout of twenty steps is one loop forward and one backward.
func TestRolloutIsTwoLoops(t *testing.T) {
	g := rollout(50, 20)
	p, err := plan.New(g, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 2 {
		t.Errorf("%d steps, want one loop forward and one backward:\n%v", len(p.Steps), p)
	}
	// Sums of 20 steps: rounding grows with their number.
	if err := same(p, g, graphs.Feed(g, 1), 20*graphs.Tol32); err != nil {
		t.Error(err)
	}
}

// The same graph gives the same program.
func TestPlansAlike(t *testing.T) {
	for seed := range uint64(20) {
		a, err := plan.New(graphs.Random(seed), plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := plan.New(graphs.Random(seed), plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a.String() != b.String() {
			t.Errorf("seed %d: two programs", seed)
		}
	}
}

func TestErrors(t *testing.T) {
	update := func(o any, shape ...int) *ir.Graph {
		b := ir.NewBuilder()
		w := b.Input(ir.F32, shape, ir.InputAttr{Name: "w", Resident: true})
		b.G.Updates = []ir.Update{{Optimizer: o, Params: []ir.ID{w}, Grads: []ir.ID{w}, Loss: w}}
		return must(b)
	}
	for _, c := range []struct {
		name string
		g    *ir.Graph
		o    plan.Options
		want []string
	}{
		{"switch", softmax(), plan.Options{Disable: []string{"fusion"}}, []string{`"fusion"`, `"fuse"`}},
		{"budget", softmax(), plan.Options{Budget: -1}, []string{"Budget = -1"}},
		{"optimiser", update(3), plan.Options{}, []string{"update 0", "int", "kernels.Optimizer"}},
		{"rate", update(kernels.Optimizer{Rate: -1}), plan.Options{}, []string{"update 0", "Rate"}},
		{"loss", update(kernels.Optimizer{}, 2), plan.Options{}, []string{"update 0", "loss", "[2]"}},
	} {
		_, err := plan.New(c.g, c.o)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q in it", c.name, err, w)
			}
		}
	}
}
