package frontend

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// evaluate imports a graph, everything wanted, and returns the value of a node.
func evaluate(t *testing.T, g *G.ExprGraph, o Options, n *G.Node) []float64 {
	t.Helper()
	m, err := Import(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return valueOf(t, m, n)
}

func valueOf(t *testing.T, m *Module, n *G.Node) []float64 {
	t.Helper()
	vals, err := devices[0].run(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := wanted(&world{wants: G.Nodes{n}}, m, vals)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func vector(g *G.ExprGraph, name string, vals ...float64) *G.Node {
	return bound(g, tensor.Float64, sh(len(vals)), vals, name)
}

// TestDifferences shows what doc/ops.md says of the TapeMachine and of the engine, where they differ.
func TestDifferences(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name         string
		x            [][]float64
		scalar       bool
		f            func(x G.Nodes) (*G.Node, error)
		tape, engine []float64
	}{
		{"Sign of a scalar 0", [][]float64{{0}}, true, func(x G.Nodes) (*G.Node, error) { return G.Sign(x[0]) },
			[]float64{1}, []float64{0}},
		{"Sign of an array", [][]float64{{0, -2, 2}}, false, func(x G.Nodes) (*G.Node, error) { return G.Sign(x[0]) },
			[]float64{0, -1, 1}, []float64{0, -1, 1}},
		{"Softplus of 17", [][]float64{{17}}, false, func(x G.Nodes) (*G.Node, error) { return G.Softplus(x[0]) },
			[]float64{17}, []float64{17 + math.Log1p(math.Exp(-17))}},
		{"Sigmoid of 20", [][]float64{{20}}, false, func(x G.Nodes) (*G.Node, error) { return G.Sigmoid(x[0]) },
			[]float64{1}, []float64{1 / (1 + math.Exp(-20))}},
		{"MaxBetween of NaN", [][]float64{{nan, 1}, {1, nan}}, false,
			func(x G.Nodes) (*G.Node, error) { return G.MaxBetween(x[0], x[1]) },
			[]float64{nan, 1}, []float64{nan, nan}},
		{"MinBetween of NaN", [][]float64{{nan, 1}, {1, nan}}, false,
			func(x G.Nodes) (*G.Node, error) { return G.MinBetween(x[0], x[1]) },
			[]float64{nan, 1}, []float64{nan, nan}},
		{"Max of NaN", [][]float64{{1, nan, 2}}, false, func(x G.Nodes) (*G.Node, error) { return G.Max(x[0]) },
			[]float64{2}, []float64{nan}},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := func() (*G.ExprGraph, *G.Node) {
				g := G.NewGraph()
				var x G.Nodes
				for i, v := range c.x {
					shape := sh(len(v))
					if c.scalar {
						shape = nil
					}
					x = append(x, bound(g, tensor.Float64, shape, v, fmt.Sprint("x", i)))
				}
				return g, G.Must(c.f(x))
			}
			g, y := build()
			var read G.Value
			G.Read(y, &read)
			vm := G.NewTapeMachine(g)
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			flat, err := Flat(read)
			if err != nil {
				t.Fatal(err)
			}
			if got := floats(flat); !equal(got, c.tape) {
				t.Errorf("TapeMachine: %v, want %v", got, c.tape)
			}
			g, y = build()
			if got := evaluate(t, g, Options{All: true}, y); !equal(got, c.engine) {
				t.Errorf("engine: %v, want %v", got, c.engine)
			}
		})
	}
}

// equal compares exactly; NaN is NaN.
func equal(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || x != x && y != y })
}

func TestRandomNodes(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		g := G.NewGraph()
		nodes := G.Nodes{
			// of different shapes, or Gorgonia makes one node of them
			G.UniformRandomNode(g, dt, 2, 3, 50, 20), G.GaussianRandomNode(g, dt, 5, .5, 20, 50),
			G.BinomialRandomNode(g, dt, 10, .5, 1000),
			G.UniformRandomNode(g, dt, 2, 3),
		}
		m, err := Import(g, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Inputs) != 0 || len(m.Wants) != 4 {
			t.Errorf("%v: %d inputs, %d wants, want 0 and 4", dt, len(m.Inputs), len(m.Wants))
		}
		for i, mean := range []float64{2.5, 5, 5, 2.5} {
			a, b := valueOf(t, m, nodes[i]), valueOf(t, m, nodes[i])
			if slices.Equal(a, b) {
				t.Errorf("%v: node %d draws the same in each run", dt, i)
			}
			sum := 0.
			for _, v := range a {
				sum += v
			}
			// A mean of 1000 draws of deviation 1.6 at most is within 6 of its own deviations; a single one in [2,3].
			if diff := math.Abs(sum/float64(len(a)) - mean); !(diff <= max(.3, .5/float64(len(a)))+.2) {
				t.Errorf("%v: node %d has mean %v, want %v", dt, i, sum/float64(len(a)), mean)
			}
		}
	}
}

// TestDropout: a kept element is x/(1-p), and the derivative is 0 where the element was dropped.
func TestDropout(t *testing.T) {
	const p = .25
	g := G.NewGraph()
	x := vector(g, "x", slices.Repeat([]float64{2}, 1000)...)
	y := G.Must(G.Dropout(x, p))
	cost := G.Must(G.Sum(y))
	grads, err := G.Grad(cost, x)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Import(g, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	vals, err := devices[0].run(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := wanted(&world{wants: G.Nodes{y, grads[0]}}, m, vals)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i, v := range out[0] {
		switch {
		case v == 0 && out[1][i] == 0:
		case v == 2/(1-p) && out[1][i] != 0:
			kept++
		default:
			t.Fatalf("element %d is %v with derivative %v", i, v, out[1][i])
		}
	}
	if !(math.Abs(float64(kept)-750) <= 6*math.Sqrt(1000*p*(1-p))) { // six deviations
		t.Errorf("%d of 1000 were kept, want about 750", kept)
	}
	// The mode is read at each run.
	y.Op().(G.TrainModeOp).SetTraining(false)
	if got := valueOf(t, m, y); !equal(got, slices.Repeat([]float64{2}, 1000)) {
		t.Errorf("in evaluation mode: %v", got[:5])
	}
}

// TestBatchNormStatistics: the op's own running statistics move as on the TapeMachine, and evaluation uses them.
func TestBatchNormStatistics(t *testing.T) {
	build := func() (*G.ExprGraph, *G.Node, *G.BatchNormOp) {
		g := G.NewGraph()
		x := bound(g, tensor.Float64, sh(4, 2), []float64{1, 2, 3, 4, 5, 6, 7, 9}, "x")
		s := bound(g, tensor.Float64, sh(4, 2), slices.Repeat([]float64{1.5}, 8), "s")
		b := bound(g, tensor.Float64, sh(4, 2), slices.Repeat([]float64{.5}, 8), "b")
		y, _, _, op, err := G.BatchNorm(x, s, b, .3, 1e-5)
		if err != nil {
			t.Fatal(err)
		}
		return g, y, op
	}
	stats := func(op *G.BatchNormOp) []float64 {
		mean, variance := op.Stats()
		return slices.Concat(mean.Data().([]float64), variance.Data().([]float64))
	}
	g, y, stock := build()
	var read G.Value
	G.Read(y, &read)
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	g2, y2, op := build()
	op.SetTraining(true) // as NewTapeMachine does
	m, err := Import(g2, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string) {
		t.Helper()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		vm.Reset()
		got := valueOf(t, m, y2)
		want, err := Flat(read)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(got, floats(want), 1e-12); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := compare(stats(op), stats(stock), 1e-12); err != nil {
			t.Errorf("%s: statistics: %v", what, err)
		}
	}
	step("first")
	step("second")
	stock.SetTraining(false)
	op.SetTraining(false)
	before := stats(op)
	step("evaluation")
	if !slices.Equal(before, stats(op)) {
		t.Errorf("evaluation moves the statistics")
	}
}

// TestStateRunsFirst: the derivative of an op with state needs what the op left, even if nothing else does.
func TestStateRunsFirst(t *testing.T) {
	build := func() (*G.ExprGraph, *G.Node) {
		g := G.NewGraph()
		s := sh(4, 3)
		x := bound(g, tensor.Float64, s, []float64{1, 2, 3, 2, 5, 1, 7, 8, 9, 1, 0, 2}, "x")
		ones := bound(g, tensor.Float64, s, slices.Repeat([]float64{1}, 12), "ones")
		y, _, _, op, err := G.BatchNorm(x, ones, ones, .9, 1e-5)
		if err != nil {
			t.Fatal(err)
		}
		op.SetTraining(true)
		w := bound(g, tensor.Float64, s, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, "w")
		grads, err := G.Grad(G.Must(G.Sum(G.Must(G.HadamardProd(y, w)))), x)
		if err != nil {
			t.Fatal(err)
		}
		return g, grads[0]
	}
	g, grad := build()
	var read G.Value
	G.Read(grad, &read)
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	want, err := Flat(read)
	if err != nil {
		t.Fatal(err)
	}
	g, grad = build()
	m, err := Import(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.Graph.Outputs = []ir.ID{m.IDs[m.Number(grad)]} // the gradient alone
	out, err := ref.Eval(m.Graph, feed(m, m.Graph, &err))
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(floats(out[0]), floats(want), 1e-12); err != nil {
		t.Error(err)
	}
}

// TestEffects: what keeps something between runs, or draws, is neither merged nor run twice.
func TestEffects(t *testing.T) {
	want := map[string]bool{
		"randomOp": true, "dropoutOp": true, "BatchNormOp": true, "batchnormDiffOp": true, "maxPoolOp": true,
		"maxPoolDiffOp": true,
		"avgPoolOp":     true, "GroupNormOp": true, "ctcLossOp": true, "ctcLossDiffOp": true, "sparsemaxOp": false,
		"im2colOp": false,
	}
	seen := map[string]bool{}
	cases := opCases()
	cases = append(cases, opCase{fn: "UniformRandomNode", flat: true, inputs: in(0, 1, sh(3)),
		build: func(dt tensor.Dtype, x G.Nodes) (*G.Node, error) {
			return G.Add(x[0], G.UniformRandomNode(x[0].Graph(), dt, 0, 1, 3))
		}})
	for _, c := range cases {
		d := &gradients[0]
		if c.flat {
			d = nil
		}
		_, m, err := c.imported(tensor.Float64, d)
		if err != nil {
			continue // TestOps says why
		}
		for i := range m.Graph.Nodes {
			k, ok := m.Graph.Nodes[i].Attr.(*hostOp)
			if !ok {
				continue
			}
			name := opName(k.op)
			if effects, ok := want[name]; ok && ir.HasEffects(k) != effects {
				t.Errorf("%s has effects: %v, want %v", name, !effects, effects)
			}
			seen[name] = true
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("%s was not met", name)
		}
	}
}

// TestConstantsAreCopied: a constant is what it was at the import.
func TestConstantsAreCopied(t *testing.T) {
	g := G.NewGraph()
	d := []float64{1, 2}
	y := G.Must(G.Add(vector(g, "x", 1, 1), G.NewConstant(tensor.New(tensor.WithShape(2), tensor.WithBacking(d)))))
	m, err := Import(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d[0] = 7
	if got := valueOf(t, m, y); !equal(got, []float64{2, 3}) {
		t.Errorf("%v, want [2 3]", got)
	}
}
