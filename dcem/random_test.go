package dcem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// rounded returns v as it is in both element types.
func rounded(v float64) float64 { return float64(float32(v)) }

// between draws from [low, high].
func between(r *rand.Rand, low, high float64) float64 { return rounded(low + (high-low)*r.Float64()) }

// slope is the derivative of f at x along dir, by four-point differences: a random direction meets an error in any
// element. ok says that all four points lie on the same smooth piece, which f names.
func slope(f func(x []float64) (value float64, piece string), x, dir []float64, h float64) (d float64, ok bool) {
	_, piece := f(x)
	ok = true
	g := check.Gradient(func(step []float64) float64 {
		y := make([]float64, len(x))
		for i := range y {
			y[i] = x[i] + step[0]*dir[i]
		}
		v, p := f(y)
		ok = ok && p == piece
		return v
	}, []float64{0}, h)
	return g[0], ok
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// pieces names, for every number, which of the given places it lies at (a, b, ...), or that it lies at none (.).
func pieces(v []float64, at func(i int) []float64) string {
	var s strings.Builder
	for i, x := range v {
		c := byte('.')
		for j, p := range at(i) {
			if x == p {
				c = 'a' + byte(j)
			}
		}
		s.WriteByte(c)
	}
	return s.String()
}

// randomOp draws an op, its shapes and its options. places are where its output is stuck rather than smooth.
func randomOp(r *rand.Rand) (c opCase, places []float64) {
	b, n, d := 1+r.IntN(4), 1+r.IntN(7), 1+r.IntN(4)
	k := 1 + r.IntN(n)
	bn, bd := mat(b, n), mat(b, d)
	c = opCase{low: -1, high: 1, single: b*d == 1}
	lower, upper := []float64{rounded(-0.4)}, []float64{rounded(0.3)}
	switch r.IntN(8) {
	case 0:
		o := SampleOptions{}
		if r.IntN(2) == 0 {
			o, places = SampleOptions{Lower: lower, Upper: upper}, []float64{lower[0], upper[0]}
		}
		c.name, c.shapes, c.single = fmt.Sprintf("Sample %v", o), []tensor.Shape{bd, bd, bnd(b, n, d)}, b*n*d == 1
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Sample(in[0], in[1], in[2], o) }
	case 1:
		pass := r.IntN(3) == 0
		c.name, c.shapes, c.single = fmt.Sprint("Normalise, passThrough ", pass), []tensor.Shape{bn}, b*n == 1
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
			return Normalise(in[0], NormaliseOptions{PassThrough: pass})
		}
	case 2, 3:
		o := SoftTopKOptions{Relaxation: kernels.Relaxation(r.IntN(3)), Scale: between(r, -4, 4)}
		c.name, c.shapes, c.single = fmt.Sprintf("SoftTopK k=%d %v", k, o), []tensor.Shape{bn}, b*n == 1
		places = []float64{0, 1}
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return SoftTopK(in[0], k, o) }
	case 4:
		o, floor, keep := RefitOptions{}, r.IntN(2) == 0, r.IntN(2) == 0
		if floor {
			o.SigmaMin, places = rounded(0.2), []float64{rounded(0.2)}
		}
		c.low, c.high = 0.1, 1
		c.name, c.shapes = fmt.Sprintf("Refit k=%d floor=%v keep=%v", k, o.SigmaMin, keep), []tensor.Shape{bnd(b, n, d), bn}
		if keep {
			c.shapes = append(c.shapes, bd, bd)
		}
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
			if keep {
				o.PrevMu, o.PrevSigma = in[2], in[3]
			}
			mu, sigma, err := Refit(in[0], in[1], k, o)
			if err != nil || floor { // sigma alone shows where it is at the floor
				return sigma, err
			}
			return G.Add(G.Must(G.HadamardProd(mu, mu)), sigma)
		}
	case 5:
		c.name, c.shapes, c.single = "Expand", []tensor.Shape{bd}, b*d == 1
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return Expand(in[0], n) }
	case 6:
		c.name, c.shapes, places = "Clamp", []tensor.Shape{bd}, []float64{lower[0], upper[0]}
		low, up, _ := spreadBounds("", lower, upper, d)
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) { return clamp(in[0], low, up) }
	case 7:
		c.name, c.shapes, c.single = "Gate", []tensor.Shape{bnd(b, n, d)}, b*n == 1
		c.build = func(_ *G.ExprGraph, in G.Nodes) (*G.Node, error) {
			var u Unrolled
			return gated(in[0], func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Cube(x)), 2) }, &u.count)
		}
	}
	return c, places
}

// Every op with random shapes and options: gradients on every machine, the second order, and float32.
func TestRandomOps(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 1))
	seen := map[string]int{}
	for trial := 0; trial < 120; {
		c, places := randomOp(r)
		var x []float64
		for _, s := range c.shapes {
			for range s.TotalSize() {
				x = append(x, between(r, c.low, c.high))
			}
		}
		dir := direction(len(x), trial)
		piece := func(dt tensor.Dtype, x []float64) string {
			return pieces(evaluate(t, c, dt, x, outValue), func(int) []float64 { return places })
		}
		at := func(q quantity, piece func([]float64) string) func(x []float64) (float64, string) {
			return func(x []float64) (float64, string) { return evaluate(t, c, tensor.Float64, x, q)[0], piece(x) }
		}
		want, ok := slope(at(lossValue, func(x []float64) string { return piece(tensor.Float64, x) }), x, dir, 1e-4)
		if !ok || piece(tensor.Float32, x) != piece(tensor.Float64, x) {
			continue // a kink too near
		}
		trial++
		seen[strings.Fields(c.name)[0]]++
		name := fmt.Sprint(c.name, " ", c.shapes)
		machines := []quantity{gradTape, gradAuto, gradLisp}
		if c.single {
			machines = machines[:2]
		}
		// Rounding 1e-16/h at h = 1e-4, times losses and their derivatives of up to a hundred.
		for _, q := range machines {
			got := dot(evaluate(t, c, tensor.Float64, x, q), dir)
			check.Close(t, fmt.Sprint(name, ", quantity ", q), []float64{got}, []float64{want}, 1e-9)
		}
		want2, _ := slope(at(directional, func([]float64) string { return "" }), x, dir, 1e-4)
		got2 := dot(evaluate(t, c, tensor.Float64, x, second), dir)
		check.Close(t, name+", second order", []float64{got2}, []float64{want2}, 1e-8)
		for _, q := range append(machines, lossValue, second) {
			got, want := evaluate(t, c, tensor.Float32, x, q), evaluate(t, c, tensor.Float64, x, q)
			check.Close(t, fmt.Sprint(name, ", float32 quantity ", q), got, want, 1e-5) // 24 bits, a few dozen operations
		}
	}
	if t.Log(seen); len(seen) < 7 {
		t.Errorf("ops tried: %v, want all seven", seen)
	}
}

// randomConfig draws a solve with any combination of options.
func randomConfig(r *rand.Rand) Config {
	one := func(in int) bool { return r.IntN(in) == 0 }
	c := Config{Batch: 1 + r.IntN(3), Dim: 1 + r.IntN(3), Samples: 1 + r.IntN(9), Iterations: 1 + r.IntN(3)}
	switch c.Elites = 1 + r.IntN(c.Samples); r.IntN(5) {
	case 0:
		c.Elites = 1
	case 1:
		c.Elites = c.Samples
	}
	c.Temperature = math.Exp(r.NormFloat64() / 2)
	c.Relaxation, c.Hard, c.RawCosts = kernels.Relaxation(r.IntN(3)), one(5), one(3)
	if one(3) {
		c.Lower = []float64{rounded(-0.9)}
	}
	if one(3) {
		c.Upper = []float64{rounded(0.8)}
	}
	if one(4) {
		c.SigmaMin = rounded(0.3)
	}
	if one(4) {
		c.Project = func(x *G.Node) (*G.Node, error) { return G.Mul(x, number(x, 0.5)) }
	}
	if one(3) {
		c.Backprop = 1 + r.IntN(c.Iterations)
	}
	return c
}

// A randomSolve is a solve of the bowl as a function of theta = (mu0, sigma0, a, b, eps of every iteration).
type randomSolve struct {
	u      *Unrolled
	inputs G.Nodes
	kept   []Iterate
	answer *G.Node
	loss   *G.Node
	grads  G.Nodes
	vm     G.VM
}

func newRandomSolve(t *testing.T, c Config, dt tensor.Dtype, gradients string) *randomSolve {
	t.Helper()
	g, s := G.NewGraph(), &randomSolve{}
	input := func(name string, shape ...int) *G.Node {
		n := G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name))
		s.inputs = append(s.inputs, n)
		return n
	}
	c.Dtype = dt
	c.MuNode, c.SigmaNode = input("mu", c.Batch, c.Dim), input("sigma", c.Batch, c.Dim)
	a, b := input("a", 1, c.Dim), input("b", 1, c.Dim)
	for i := range c.Iterations {
		c.Noise = append(c.Noise, input(fmt.Sprint("eps", i), c.Batch, c.Samples, c.Dim))
	}
	var err error
	if s.u, err = Unroll(g, bowl(a, b), c); err != nil {
		t.Fatal(err)
	}
	if s.kept, err = s.u.Keep(); err != nil {
		t.Fatal(err)
	}
	if s.answer, err = Keep(s.u.Answer); err != nil {
		t.Fatal(err)
	}
	s.loss = G.Must(G.Add(G.Must(G.Sum(G.Must(G.Square(s.u.Answer)))), G.Must(G.Sum(s.u.Sigma()))))
	switch gradients {
	case "gorgonia":
		s.grads, err = G.Grad(s.loss, s.inputs...)
	case "autodiff":
		s.grads, err = autodiff.Gradients(s.loss, s.inputs...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range s.grads {
		if s.grads[i], err = Keep(n); err != nil {
			t.Fatal(err)
		}
	}
	s.vm = bothMachines(t, g)
	t.Cleanup(func() { s.vm.Close() })
	return s
}

// run returns the loss and the smooth piece that it belongs to: what is clamped, at the floor, out or wholly in.
func (s *randomSolve) run(t *testing.T, theta []float64) (loss float64, piece string) {
	t.Helper()
	for _, n := range s.inputs {
		size := n.Shape().TotalSize()
		if err := G.Let(n, dense(n.Dtype(), theta[:size], n.Shape()...)); err != nil {
			t.Fatal(err)
		}
		theta = theta[size:]
	}
	s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	c := s.u.Config
	factor := 1.0
	if c.Project != nil {
		factor = 0.5
	}
	bounds := func(factor float64) func(i int) []float64 {
		return func(i int) (at []float64) {
			for _, b := range [][]float64{c.Lower, c.Upper} {
				if b != nil {
					at = append(at, b[i%c.Dim]*factor)
				}
			}
			return at
		}
	}
	for _, it := range s.kept {
		sigma := floats(t, it.Sigma.Value())
		piece += " X " + pieces(floats(t, it.X.Value()), bounds(factor)) +
			" I " + pieces(floats(t, it.I.Value()), func(int) []float64 { return []float64{0, 1} }) +
			" sigma " + pieces(sigma, func(int) []float64 { return []float64{c.SigmaMin} })
		for _, v := range sigma {
			if v != c.SigmaMin && v < 1e-3 {
				return 0, "" // on its way to the kink of the square root at 0
			}
		}
	}
	piece += " answer " + pieces(floats(t, s.answer.Value()), bounds(1))
	return floats(t, s.loss.Value())[0], piece
}

func (s *randomSolve) gradient(t *testing.T, theta []float64) (flat []float64) {
	t.Helper()
	s.run(t, theta)
	for _, n := range s.grads {
		flat = append(flat, floats(t, n.Value())...)
	}
	return flat
}

// sizes are the lengths of theta's parts.
type sizes struct{ start, params, eps int }

func sizesOf(c Config) sizes {
	return sizes{2 * c.Batch * c.Dim, 2 * c.Dim, c.Batch * c.Samples * c.Dim}
}

// tail is theta for a solve that begins after the first iterations, from the given mu and sigma.
func (s sizes) tail(theta, start []float64, first int) []float64 {
	params := s.start + s.params
	return slices.Concat(start, theta[s.start:params], theta[params+first*s.eps:])
}

// Whole solves with random shapes and options: autodiff against finite differences and gorgonia.Grad, and float32
// against float64.
func TestRandomSolves(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 2))
	worst, worst32, tooNear := 0.0, 0.0, 0
	const trials = 100
	for trial := range trials {
		c := randomConfig(r)
		size := sizesOf(c)
		theta := make([]float64, size.start+size.params+c.Iterations*size.eps)
		for i := range theta {
			if theta[i] = rounded(r.NormFloat64()); i < size.start+size.params {
				theta[i] = between(r, 0.3, 1.2)
			}
		}
		dir := direction(len(theta), trial)
		solve, single := newRandomSolve(t, c, tensor.Float64, "autodiff"), newRandomSolve(t, c, tensor.Float32, "autodiff")
		full := solve.gradient(t, theta)
		_, piece := solve.run(t, theta)
		if _, piece32 := single.run(t, theta); piece == "" || piece32 != piece {
			tooNear++
			continue
		}
		name := fmt.Sprintf("trial %d, %+v", trial, c)
		// With Backprop the gradient is that of the last iterations alone, mu and sigma before them being held.
		plain, from, along, got := c, theta, dir, full
		if held := c.Iterations - c.Backprop; c.Backprop > 0 && held > 0 {
			before := solve.kept[held-1]
			still := make([]float64, size.start)
			from = size.tail(theta, slices.Concat(floats(t, before.Mu.Value()), floats(t, before.Sigma.Value())), held)
			along, got = size.tail(dir, still, held), size.tail(full, still, held)
			plain.Iterations, plain.Backprop = c.Backprop, 0
			first := size.start + size.params
			check.Close(t, name+": gradient of what is held", slices.Concat(full[:size.start], full[first:first+held*size.eps]),
				make([]float64, size.start+held*size.eps), 0)
		}
		bare := newRandomSolve(t, plain, tensor.Float64, "")
		want, ok := slope(func(theta []float64) (float64, string) { return bare.run(t, theta) }, from, along, 1e-5)
		if !ok {
			tooNear++
			continue
		}
		// Rounding 1e-16/h at h = 1e-5, times the losses, and what nested refits and cold weights make of it.
		if d := math.Abs(dot(got, along)-want) / math.Max(1, math.Abs(want)); d <= 1e-8 {
			worst = max(worst, d)
		} else {
			t.Errorf("%s: slope %v, want %v", name, dot(got, along), want)
		}
		if c.Backprop == 0 && !c.Hard {
			check.Close(t, name+": gorgonia.Grad", newRandomSolve(t, c, tensor.Float64, "gorgonia").gradient(t, theta), full, 1e-13)
		}
		// 6e-8 per operation, a few thousand times over where the weights are cold and sigma is small.
		d32, _ := check.MaxDiff(single.gradient(t, theta), full)
		if worst32 = max(worst32, d32); !(d32 <= 1e-3) {
			t.Errorf("%s: the gradient in float32 is off by %v of its largest entry", name, d32)
		}
	}
	t.Logf("worst: slope %.2g, float32 %.2g; %d of %d trials lay too near a kink", worst, worst32, tooNear, trials)
	if tooNear > trials/4 {
		t.Errorf("%d of %d trials compared nothing", tooNear, trials)
	}
}
