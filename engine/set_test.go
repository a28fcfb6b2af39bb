package engine_test

import (
	"slices"
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
)

// gorgonia.Set(a, b) makes b's value a's after every RunAll, wherever b is. The TapeMachine has no instruction for it:
// its allocator only lets the op of b write over its own operand. That is the same where the operand is a, b is
// elementwise and nothing uses a later; the other cases are those that doc/ops.md tells apart.
func TestSet(t *testing.T) {
	for name, c := range map[string]struct {
		build func(a, b *G.Node) (to, out *G.Node)
		// The function of the values of a and b that is the engine's next a, and that of out.
		next, out func(a, b float64) float64
		tape      string // what the TapeMachine does
	}{
		"in the middle, over the operand": {func(a, b *G.Node) (*G.Node, *G.Node) {
			c := G.Must(G.Add(a, b))
			return c, G.Must(G.Square(c))
		}, func(a, b float64) float64 { return a + b }, func(a, b float64) float64 { return (a + b) * (a + b) }, "same"},
		"last, over the operand": {func(a, b *G.Node) (*G.Node, *G.Node) {
			c := G.Must(G.Add(a, b))
			return c, c
		}, func(a, b float64) float64 { return a + b }, func(a, b float64) float64 { return a + b }, "same"},
		"last, of another operand": {func(a, b *G.Node) (*G.Node, *G.Node) {
			d := G.Must(G.Square(G.Must(G.Add(a, b))))
			return d, d
		}, func(a, b float64) float64 { return (a + b) * (a + b) },
			func(a, b float64) float64 { return (a + b) * (a + b) }, "nothing"},
		"an input": {func(a, b *G.Node) (*G.Node, *G.Node) { return b, G.Must(G.Add(a, b)) },
			func(a, b float64) float64 { return b }, func(a, b float64) float64 { return a + b }, "nothing"},
		"over the other operand": {func(a, b *G.Node) (*G.Node, *G.Node) {
			c := G.Must(G.Add(b, a))
			return c, G.Must(G.Square(c))
		}, func(a, b float64) float64 { return b + a }, func(a, b float64) float64 { return (b + a) * (b + a) }, "other"},
		"with a used later": {func(a, b *G.Node) (*G.Node, *G.Node) {
			c := G.Must(G.Add(a, b))
			return c, G.Must(G.HadamardProd(c, a))
		}, func(a, b float64) float64 { return a + b }, func(a, b float64) float64 { return (a + b) * a }, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			build := func() (g *G.ExprGraph, a, b *G.Node, out *G.Value) {
				g, out = G.NewGraph(), new(G.Value)
				a, b = input(g, "a", dense([]float64{1, 2}, 2)), input(g, "b", dense([]float64{.5, .25}, 2))
				to, y := c.build(a, b)
				G.Set(a, to)
				G.Read(y, out)
				return g, a, b, out
			}
			for _, opts := range [][]engine.Option{nil, {engine.Outputs()}} {
				g, a, b, out := build()
				vm := newVM(t, g, opts...)
				x, y := []float64{1, 2}, []float64{.5, .25}
				for i := range 3 {
					run(t, vm)
					var want []float64
					for j := range x {
						want = append(want, c.out(x[j], y[j]))
						x[j] = c.next(x[j], y[j])
					}
					if got := floats(t, *out); !slices.Equal(got, want) {
						t.Errorf("run %d: %v, want %v", i, got, want)
					}
					if got := floats(t, a.Value()); !slices.Equal(got, x) || !slices.Equal(floats(t, b.Value()), y) {
						t.Errorf("run %d: a is %v and b %v, want %v and %v", i, got, b.Value(), x, y)
					}
				}
			}
			g, a, b, out := build()
			tape := G.NewTapeMachine(g)
			defer tape.Close()
			x, y, right := []float64{1, 2}, []float64{.5, .25}, true
			for range 3 {
				run(t, tape)
				tape.Reset()
				for j := range x {
					right = right && floats(t, *out)[j] == c.out(x[j], y[j])
					x[j] = c.next(x[j], y[j])
				}
			}
			does := "other"
			switch got, kept := floats(t, a.Value()), slices.Equal(floats(t, b.Value()), y); {
			case right && kept && slices.Equal(got, x):
				does = "same"
			case kept && slices.Equal(got, []float64{1, 2}):
				does = "nothing"
			}
			if does != c.tape {
				t.Errorf("the TapeMachine does %s, want %s: a is %v, b %v", does, c.tape, a.Value(), b.Value())
			}
		})
	}
}
