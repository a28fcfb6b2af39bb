package graphs_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest/graphs"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
)

// Random promises graphs over all kinds, finite values, and that a rounded evaluation agrees with the exact one.
func TestRandomKeepsItsPromises(t *testing.T) { promises(t, graphs.Random, 400, 260) }

func TestLargeKeepsItsPromises(t *testing.T) { promises(t, graphs.Large, 200, 100) }

// TestExactKeepsItsPromises: values are finite, and nothing but what has one rounding is used.
func TestExactKeepsItsPromises(t *testing.T) {
	allowed := map[ir.Op]bool{}
	for _, op := range []ir.Op{ir.Input, ir.Const, ir.Neg, ir.Abs, ir.Square, ir.Recip, ir.Sqrt, ir.Sign, ir.Floor, ir.Ceil, ir.Not, ir.Add, ir.Sub,
		ir.Mul, ir.Div, ir.Max, ir.Min, ir.Lt, ir.Le, ir.Gt, ir.Ge, ir.Eq, ir.Ne, ir.And, ir.Or, ir.Where, ir.Cast, ir.Normal, ir.Uniform, ir.Broadcast,
		ir.Reshape, ir.Transpose, ir.Slice, ir.Pad, ir.Concat, ir.ReduceMax, ir.ReduceMin} {
		allowed[op] = true
	}
	kinds := map[ir.Op]int{}
	for seed := range uint64(300) {
		g := graphs.Exact(seed)
		g.Outputs = nil
		for i := range g.Nodes {
			if kinds[g.Nodes[i].Op]++; !allowed[g.Nodes[i].Op] {
				t.Fatalf("seed %d: %s", seed, g.Label(ir.ID(i)))
			}
			g.Outputs = append(g.Outputs, ir.ID(i))
		}
		out, err := ref.EvalRounded(g, graphs.Feed(g, seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range out {
			if d := distance(out[i], out[i]); d != 0 { // infinite if there is NaN or Inf
				t.Errorf("seed %d: %s is not finite", seed, g.Label(ir.ID(i)))
			}
		}
	}
	for op := range allowed {
		if kinds[op] == 0 {
			t.Errorf("no node of kind %v", op)
		}
	}
}

func promises(t *testing.T, random func(seed uint64) *ir.Graph, seeds uint64, most int) {
	kinds := map[ir.Op]int{}
	updates, empty, worst := 0, 0, 0.0
	for seed := range seeds {
		g := random(seed)
		if err := g.Verify(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n := len(g.Nodes); n < 20 || n > most {
			t.Errorf("seed %d: %d nodes", seed, n)
		}
		if !reflect.DeepEqual(g, random(seed)) {
			t.Fatalf("seed %d: two graphs of one seed differ", seed)
		}
		updates += len(g.Updates)
		// Every node, not only the outputs.
		g.Outputs = nil
		for i := range g.Nodes {
			kinds[g.Nodes[i].Op]++
			if g.Nodes[i].Count() == 0 {
				empty++
			}
			g.Outputs = append(g.Outputs, ir.ID(i))
		}
		exact, err := ref.Eval(g, graphs.Feed(g, seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		rounded, err := ref.EvalRounded(g, graphs.Feed(g, seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range exact {
			d := distance(rounded[i], exact[i]) / graphs.Tolerance(g)
			worst = max(worst, d)
			if !(d <= 1) {
				t.Errorf("seed %d: %s: error %v of the tolerance", seed, g.Label(ir.ID(i)), d)
			}
		}
		if t.Failed() {
			return
		}
	}
	for op := ir.Input; op.Info().Name != "invalid"; op++ {
		if kinds[op] == 0 {
			t.Errorf("no node of kind %v in %d graphs", op, seeds)
		}
	}
	if updates == 0 || empty == 0 {
		t.Errorf("%d updates and %d empty nodes in %d graphs, want some", updates, empty, seeds)
	}
	t.Logf("largest error: %.3g of the tolerance", worst)
}

// distance is the largest difference, relative to max(1, max|want|); Inf if anything is not finite or differs in
// kind.
func distance(got, want any) float64 {
	switch w := want.(type) {
	case []float32:
		return diff(got.([]float32), w)
	case []float64:
		return diff(got.([]float64), w)
	}
	if !reflect.DeepEqual(got, want) {
		return math.Inf(1)
	}
	return 0
}

func diff[T float32 | float64](got, want []T) float64 {
	scale, worst := 1.0, 0.0
	for _, w := range want {
		scale = max(scale, math.Abs(float64(w)))
	}
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if !(d <= math.MaxFloat64) {
			return math.Inf(1)
		}
		worst = max(worst, d)
	}
	return worst / scale
}
