package dcem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An opCase is one op with its differentiable inputs. The harness derives from it: the gradient on the TapeMachine
// (gorgonia.Grad), on the LispMachine and by package autodiff, against finite differences in float64; the second
// derivative by autodiff; and float32 against float64.
type opCase struct {
	name   string
	shapes []tensor.Shape
	low    float64 // inputs are uniform on [low, high]
	high   float64
	build  func(g *G.ExprGraph, in G.Nodes) (*G.Node, error)
	// once says that the op's second-derivative kernel has no derivative of its own.
	once bool
	// single says that the arrays have one element: the stock LispMachine's own product rule adds x*dy twice over for
	// those (x*x*x at 1.1 gives 3.751, not 3.63), so it is left out.
	single bool
	// kink is the distance of a point to the nearest kink, where finite differences say nothing; nil: smooth.
	kink func(x []float64) float64
}

func bnd(b, n, d int) tensor.Shape { return tensor.Shape{b, n, d} }
func mat(r, c int) tensor.Shape    { return tensor.Shape{r, c} }

func opCases() []opCase {
	soft := func(r kernels.Relaxation, k int, scale float64) func(*G.ExprGraph, G.Nodes) (*G.Node, error) {
		return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
			return SoftTopK(in[0], k, SoftTopKOptions{Relaxation: r, Scale: scale})
		}
	}
	refit := func(o RefitOptions, keep bool) func(*G.ExprGraph, G.Nodes) (*G.Node, error) {
		return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
			if keep {
				o.PrevMu, o.PrevSigma = in[2], in[3]
			}
			mu, sigma, err := Refit(in[0], in[1], 2, o)
			if err != nil {
				return nil, err
			}
			return G.Add(G.Must(G.HadamardProd(mu, mu)), sigma)
		}
	}
	// distance is how far the elements of x stay from all the bounds of their dimension.
	distance := func(x []float64, d int, bounds ...[]float64) float64 {
		nearest := math.Inf(1)
		for i, v := range x {
			for _, b := range bounds {
				nearest = min(nearest, math.Abs(v-b[i%d]))
			}
		}
		return nearest
	}
	sample := func(o SampleOptions) func(*G.ExprGraph, G.Nodes) (*G.Node, error) {
		return func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Sample(in[0], in[1], in[2], o) }
	}
	return []opCase{
		{name: "Sample", shapes: []tensor.Shape{mat(2, 3), mat(2, 3), bnd(2, 4, 3)}, low: 0.2, high: 1.5, build: sample(SampleOptions{})},
		{name: "Sample/bounds", shapes: []tensor.Shape{mat(3, 2), mat(3, 2), bnd(3, 5, 2)}, low: -1, high: 1,
			build: sample(SampleOptions{Lower: []float64{-0.3, math.Inf(-1)}, Upper: []float64{0.4}}),
			kink: func(x []float64) float64 {
				y := make([]float64, 30)
				kernels.SampleForward(y, x[:6], x[6:12], x[12:], nil, nil, 3, 5, 2)
				return distance(y, 2, []float64{-0.3, math.Inf(-1)}, []float64{0.4, 0.4})
			}},
		{name: "Sample/1x1x1", shapes: []tensor.Shape{mat(1, 1), mat(1, 1), bnd(1, 1, 1)}, low: 0.5, high: 1, single: true, build: sample(SampleOptions{})},
		{name: "Normalise", shapes: []tensor.Shape{mat(3, 7)}, low: -2, high: 2, once: true,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Normalise(in[0], NormaliseOptions{}) }},
		{name: "Normalise/passThrough", shapes: []tensor.Shape{mat(2, 3)}, low: -2, high: 2, once: true,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
				return Normalise(in[0], NormaliseOptions{PassThrough: true})
			}},
		{name: "LML", shapes: []tensor.Shape{mat(3, 7)}, low: -2, high: 2, once: true,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return LML(in[0], 3) }},
		{name: "LML/vector", shapes: []tensor.Shape{{6}}, low: -2, high: 2, once: true,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return LML(in[0], 1) }},
		{name: "LML/scaled", shapes: []tensor.Shape{mat(2, 9)}, low: -1, high: 1, once: true, build: soft(kernels.LML, 4, -2.5)},
		{name: "ConstrainedSoftmax", shapes: []tensor.Shape{mat(3, 8)}, low: -2, high: 2, once: true, build: soft(kernels.ConstrainedSoftmax, 2, 1.5)},
		{name: "ConstrainedSparsemax", shapes: []tensor.Shape{mat(3, 8)}, low: -2, high: 2, once: true, build: soft(kernels.ConstrainedSparsemax, 3, 0.7)},
		{name: "Refit", shapes: []tensor.Shape{bnd(2, 5, 3), mat(2, 5)}, low: 0.1, high: 1, build: refit(RefitOptions{}, false)},
		{name: "Refit/keep", shapes: []tensor.Shape{bnd(2, 5, 3), mat(2, 5), mat(2, 3), mat(2, 3)}, low: 0.1, high: 1,
			build: refit(RefitOptions{SigmaMin: 1e-3}, true)},
		{name: "Expand", shapes: []tensor.Shape{mat(2, 3)}, low: -1, high: 1,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Expand(in[0], 4) }},
		{name: "Clamp", shapes: []tensor.Shape{mat(4, 3)}, low: -1, high: 1,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
				return clamp(in[0], []float64{-0.5, -0.5, -2}, []float64{0.5, 2, 0.1})
			},
			kink: func(x []float64) float64 {
				return distance(x, 3, []float64{-0.5, -0.5, -2}, []float64{0.5, 2, 0.1})
			}},
		{name: "Gate", shapes: []tensor.Shape{bnd(2, 3, 2)}, low: -1, high: 1,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
				var u Unrolled
				return gated(in[0], func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Cube(x)), 2) }, &u.count)
			}},
		{name: "Keep", shapes: []tensor.Shape{mat(3, 2)}, low: -1, high: 1,
			build: func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Keep(in[0]) }},
	}
}

// run builds loss = sum cube(op(inputs)) and evaluates what want asks for: the loss, the op's output, the gradient, <v, gradient>, or
// the gradient of that.
type quantity int

const (
	lossValue quantity = iota
	outValue
	gradTape
	gradLisp
	gradAuto
	directional
	second
)

func evaluate(t *testing.T, c opCase, dt tensor.Dtype, x []float64, want quantity) []float64 {
	t.Helper()
	g := G.NewGraph()
	var in G.Nodes
	rest := x
	for i, s := range c.shapes {
		n := s.TotalSize()
		in = append(in, G.NewTensor(g, dt, len(s), G.WithShape(s...), G.WithName(fmt.Sprint("in", i)), G.WithValue(dense(dt, rest[:n], s...))))
		rest = rest[n:]
	}
	out, err := c.build(g, in)
	if err != nil {
		t.Fatal(err)
	}
	loss := G.Must(G.Sum(G.Must(G.HadamardProd(out, G.Must(G.HadamardProd(out, out))))))
	var grads G.Nodes
	var vm G.VM
	switch want {
	case lossValue:
		vm = bothMachines(t, g)
	case outValue:
		if out, err = Keep(out); err != nil {
			t.Fatal(err)
		}
		vm = bothMachines(t, g)
	case gradTape:
		if _, err := G.Grad(loss, in...); err != nil {
			t.Fatal(err)
		}
		vm = G.NewTapeMachine(g, G.BindDualValues(in...))
	case gradLisp:
		vm = G.NewLispMachine(g)
	default:
		if grads, err = autodiff.Gradients(loss, in...); err != nil {
			t.Fatal(err)
		}
		if want != gradAuto {
			var dir *G.Node
			for i, d := range grads {
				s := c.shapes[i]
				v := G.NewTensor(g, dt, len(s), G.WithShape(s...), G.WithName(fmt.Sprint("v", i)), G.WithValue(dense(dt, direction(s.TotalSize(), i), s...)))
				term := G.Must(G.Sum(G.Must(G.HadamardProd(v, d))))
				if dir == nil {
					dir = term
				} else {
					dir = G.Must(G.Add(dir, term))
				}
			}
			loss = dir
			if want == second {
				if grads, err = autodiff.Gradients(dir, in...); err != nil {
					t.Fatal(err)
				}
			}
		}
		vm = bothMachines(t, g)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	var result []float64
	switch want {
	case lossValue, directional:
		return floats(t, loss.Value())
	case outValue:
		return floats(t, out.Value())
	case gradTape, gradLisp:
		for _, n := range in {
			d, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			result = append(result, floats(t, d)...)
		}
	default:
		for _, d := range grads {
			result = append(result, floats(t, d.Value())...)
		}
	}
	return result
}

func direction(n, seed int) []float64 {
	v := make([]float64, n)
	r := rand.New(rand.NewPCG(uint64(seed), 99))
	for i := range v {
		v[i] = r.Float64()*2 - 1
	}
	return v
}

// floats returns a value's elements as float64.
func floats(t *testing.T, v G.Value) []float64 {
	t.Helper()
	f, err := graphop.Flat(v)
	if err != nil {
		t.Fatal(err)
	}
	switch f := f.(type) {
	case []float32:
		return check.Copy[float64](f)
	case []float64:
		return append([]float64{}, f...)
	}
	t.Fatalf("value %v is no float", v)
	return nil
}

func (c opCase) point(seed uint64) []float64 {
	n := 0
	for _, s := range c.shapes {
		n += s.TotalSize()
	}
	x := make([]float64, n)
	r := rand.New(rand.NewPCG(seed, 7))
	for {
		for i := range x {
			x[i] = float64(float32(c.low + (c.high-c.low)*r.Float64())) // the same numbers in both types
		}
		if c.kink == nil || c.kink(x) > 2e-3 {
			return x
		}
	}
}

func TestOpGradients(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(3) {
				x := c.point(seed)
				at := func(q quantity) func([]float64) float64 {
					return func(x []float64) float64 { return evaluate(t, c, tensor.Float64, x, q)[0] }
				}
				// Four-point differences with h = 1e-4: truncation 1e-16 times a fifth derivative, rounding 1e-12 times the loss.
				const tol = 1e-9
				want := check.Gradient(at(lossValue), x, 1e-4)
				check.Close(t, "TapeMachine", evaluate(t, c, tensor.Float64, x, gradTape), want, tol)
				if !c.single {
					check.Close(t, "LispMachine", evaluate(t, c, tensor.Float64, x, gradLisp), want, tol)
				}
				check.Close(t, "autodiff", evaluate(t, c, tensor.Float64, x, gradAuto), want, tol)
				want2 := check.Gradient(at(directional), x, 1e-4)
				check.Close(t, "second order", evaluate(t, c, tensor.Float64, x, second), want2, 1e-8)
				// float32: 24 bits through a handful of operations, relative to the largest entry.
				for _, q := range []quantity{lossValue, gradTape, gradLisp, gradAuto, second} {
					check.Close(t, fmt.Sprint("float32 quantity ", q), evaluate(t, c, tensor.Float32, x, q), evaluate(t, c, tensor.Float64, x, q), 1e-5)
				}
			}
		})
	}
}

// The third derivative of the solvers' kernels does not exist; it must be an error and never a silent zero.
func TestThirdDerivative(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name, func(t *testing.T) {
			g := G.NewGraph()
			var in G.Nodes
			rest := c.point(1)
			for i, s := range c.shapes {
				in = append(in, G.NewTensor(g, tensor.Float64, len(s), G.WithShape(s...), G.WithName(fmt.Sprint("in", i)),
					G.WithValue(dense(tensor.Float64, rest[:s.TotalSize()], s...))))
				rest = rest[s.TotalSize():]
			}
			y, err := c.build(g, in)
			for order := 1; order <= 3 && err == nil; order++ {
				var d G.Nodes
				if d, err = autodiff.Gradients(G.Must(G.Sum(G.Must(G.Cube(y)))), in[0]); err == nil {
					y = d[0]
				}
			}
			if c.once && (err == nil || !strings.Contains(err.Error(), "third derivative")) {
				t.Errorf("third derivative: error %v, want one that says it is not available", err)
			}
			if !c.once && err != nil {
				t.Errorf("third derivative: %v", err)
			}
		})
	}
}

// Gorgonia merges nodes of equal hash: every attribute must be in it.
func TestHashesHoldEveryAttribute(t *testing.T) {
	g := G.NewGraph()
	run := RunNode(g, "run")
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 6), G.WithName("x"))
	x3 := G.NewTensor(g, tensor.Float64, 3, G.WithShape(2, 6, 3), G.WithName("x3"))
	mu := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("mu"))
	must := func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sigma := func(k int, min float64) *G.Node {
		_, s, err := Refit(x3, x, k, RefitOptions{SigmaMin: min})
		return must(s, err)
	}
	build := func() G.Nodes {
		return G.Nodes{
			must(Normal(run, tensor.Float64, 1, 2, 2, 6)), must(Normal(run, tensor.Float64, 1, 3, 2, 6)), must(Normal(run, tensor.Float64, 2, 2, 2, 6)),
			must(Uniform(run, tensor.Float64, 1, 2, 2, 6)), must(Normal(run, tensor.Float32, 1, 2, 2, 6)), must(Normal(run, tensor.Float64, 1, 2, 6, 2)),
			must(Sample(mu, mu, x3, SampleOptions{})), must(Sample(mu, mu, x3, SampleOptions{Lower: []float64{1}})),
			must(Sample(mu, mu, x3, SampleOptions{Upper: []float64{1}})), must(Sample(mu, mu, x3, SampleOptions{Lower: []float64{1, 1, 0.5}})),
			must(Normalise(x, NormaliseOptions{})), must(Normalise(x, NormaliseOptions{PassThrough: true})),
			must(LML(x, 2)), must(LML(x, 3)), must(SoftTopK(x, 2, SoftTopKOptions{Scale: 2})),
			must(SoftTopK(x, 2, SoftTopKOptions{Relaxation: kernels.ConstrainedSoftmax})), must(SoftTopK(x, 2, SoftTopKOptions{Relaxation: kernels.ConstrainedSparsemax})),
			must(TopK(x, 2)), must(TopK(x, 3)), sigma(2, 0), sigma(3, 0), sigma(2, 0.1), must(Expand(mu, 2)), must(Expand(mu, 3)), must(Detach(mu)), must(Keep(mu)),
		}
	}
	first := build()
	seen := map[*G.Node]int{}
	for i, n := range first {
		if j, ok := seen[n]; ok {
			t.Errorf("nodes %d and %d were merged: %v", j, i, n)
		}
		seen[n] = i
	}
	for i, n := range build() {
		if n != first[i] {
			t.Errorf("node %d, %v, built twice is two nodes: equal ops should merge", i, n)
		}
	}
}

func TestOpErrors(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 6), G.WithName("x"))
	x3 := G.NewTensor(g, tensor.Float64, 3, G.WithShape(2, 6, 3), G.WithName("x3"))
	mu := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("mu"))
	mu32 := G.NewMatrix(g, tensor.Float32, G.WithShape(2, 3), G.WithName("mu32"))
	ints := G.NewMatrix(g, tensor.Int, G.WithShape(2, 6), G.WithName("ints"))
	run := RunNode(g, "run")
	elsewhere := G.NewMatrix(G.NewGraph(), tensor.Float64, G.WithShape(2, 3), G.WithName("elsewhere"))
	nan := math.NaN()
	one := func(n *G.Node, err error) error { return err }
	two := func(a, b *G.Node, err error) error { return err }
	for _, c := range []struct {
		err  error
		want string
	}{
		{one(LML(x, 7)), "dcem: LML: k = 7, want 1 <= k <= n = 6"},
		{one(LML(x, 0)), "dcem: LML: k = 0, want 1 <= k <= n = 6"},
		{one(LML(nil, 1)), "dcem: LML: x is nil"},
		{one(LML(run, 1)), "dcem: LML: x has shape (), want (..., n) with n at least 1"},
		{one(LML(ints, 1)), "dcem: LML: x has element type int, want float32 or float64"},
		{one(SoftTopK(x, 2, SoftTopKOptions{Scale: nan})), "dcem: SoftTopK: Scale = NaN, want a finite number"},
		{one(SoftTopK(x, 2, SoftTopKOptions{Relaxation: 9})), "want LML, ConstrainedSoftmax or ConstrainedSparsemax"},
		{one(TopK(x, -1)), "dcem: TopK: k = -1, want 1 <= k <= n = 6"},
		{one(Sample(mu, mu, x, SampleOptions{})), "dcem: Sample: eps has shape (2, 6), want (any, any, any)"},
		{one(Sample(x, mu, x3, SampleOptions{})), "dcem: Sample: mu has shape (2, 6), want (2, 3)"},
		{one(Sample(mu32, mu, x3, SampleOptions{})), "element type float64, want float32"},
		{one(Sample(mu, mu, x3, SampleOptions{Lower: []float64{1, 2}})), "dcem: Sample: Lower has 2 values, want 1 or 3"},
		{one(Sample(mu, mu, x3, SampleOptions{Lower: []float64{2}, Upper: []float64{1}})), "dcem: Sample: Lower[0] = 2 is above Upper[0] = 1"},
		{one(Sample(mu, mu, x3, SampleOptions{Lower: []float64{nan}})), "dcem: Sample: Lower[0] = NaN, want a number or -Inf"},
		{two(Refit(x3, mu, 2, RefitOptions{})), "dcem: Refit: w has shape (2, 3), want (2, 6)"},
		{two(Refit(x3, x, 9, RefitOptions{})), "dcem: Refit: k = 9, want 1 <= k <= n = 6"},
		{two(Refit(x3, x, 2, RefitOptions{SigmaMin: -1})), "dcem: Refit: SigmaMin = -1, want a finite number >= 0"},
		{two(Refit(x3, x, 2, RefitOptions{PrevMu: mu})), "dcem: Refit: PrevSigma is nil"},
		{one(Sample(mu, elsewhere, x3, SampleOptions{})), "dcem: Sample: elsewhere"},
		{one(TopK(ints, 2)), "dcem: dcem.TopK{k=2}: element type int, want float32 or float64"},
		{one(Normal(mu, tensor.Float64, 0, 0, 3)), "want an int64 scalar node"},
		{one(Normal(run, tensor.Float64, 0, 0)), "dcem: Normal: shape = [], want one or more positive sizes"},
		{one(Normal(run, tensor.Int, 0, 0, 3)), "element type int, want float32 or float64"},
		{one(Expand(mu, 0)), "dcem: Expand: n = 0, want at least 1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %q, want %q", fmt.Sprint(c.err), c.want)
		}
	}
}

// A value of another shape bound to an input after the graph was built is an error that names the op and the input.
func TestWrongShapeAtRunTime(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 6), G.WithName("x"))
	y, err := LML(x, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.Op().Do(dense(tensor.Float64, make([]float64, 12), 3, 4))
	if err == nil || !strings.Contains(err.Error(), "1 inputs, want 2") {
		t.Errorf("too few inputs: %v", err)
	}
	_, err = y.Op().Do(dense(tensor.Float64, make([]float64, 12), 3, 4), dense(tensor.Float64, make([]float64, 4), 2, 2))
	if err == nil || !strings.Contains(err.Error(), "input 0 has shape (3, 4), want (2, 6)") {
		t.Errorf("wrong shape: %v", err)
	}
}

// Transposed and sliced inputs come as views; the ops must read them in logical order.
func TestViewsAsInputs(t *testing.T) {
	g := G.NewGraph()
	v := make([]float64, 24)
	for i := range v {
		v[i] = math.Sin(float64(3 * i))
	}
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(6, 4), G.WithName("x"), G.WithValue(dense(tensor.Float64, v, 6, 4)))
	for name, view := range map[string]*G.Node{
		"transposed": G.Must(G.Transpose(x, 1, 0)),
		"columns":    G.Must(G.Slice(x, nil, G.S(1, 3))),
	} {
		y, err := LML(view, 1)
		if err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(g)
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		s := view.Shape()
		plain := make([]float64, s.TotalSize())
		for i := range s[0] {
			for j := range s[1] {
				if name == "transposed" {
					plain[i*s[1]+j] = v[j*4+i]
				} else {
					plain[i*s[1]+j] = v[i*4+j+1]
				}
			}
		}
		th := make([]float64, 2*s[0])
		want := make([]float64, len(plain))
		kernels.SoftTopKSolve(th, nil, plain, kernels.LML, 1, s[0], s[1], 1)
		kernels.SoftTopKForward(want, plain, th, kernels.LML, 1, s[0], s[1], 1)
		check.Close(t, name, floats(t, y.Value()), want, 0)
		vm.Close()
	}
}
