package autodiff

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// descent is gradient descent on the energy E(y) = sum softplus(softplus(y A + a) B) + |y|^2/2 with its loss |y_T -
// target|^2.
type descent struct {
	g                *G.ExprGraph
	inputs           G.Nodes // y0, A, a, B, target
	y, loss          *G.Node
	batch, dim, wide int
}

const rate = 0.3

func newDescent(steps int) (*descent, error) {
	d := &descent{g: G.NewGraph(), batch: 3, dim: 2, wide: 5}
	y, a1, b1, a2, target := matrix(d.g, "y0", 3, 2), matrix(d.g, "A", 2, 5), vector(d.g, "a", 5), matrix(d.g, "B", 5, 4), matrix(d.g, "target", 3, 2)
	d.inputs = G.Nodes{y, a1, b1, a2, target}
	energy := func(y *G.Node) *G.Node {
		h := G.Must(G.Softplus(G.Must(G.BroadcastAdd(G.Must(G.Mul(y, a1)), b1, nil, []byte{0}))))
		top := G.Must(G.Sum(G.Must(G.Softplus(G.Must(G.Mul(h, a2))))))
		half := G.Must(G.Mul(G.Must(G.Sum(G.Must(G.Square(y)))), G.NewConstant(0.5)))
		return G.Must(G.Add(top, half))
	}
	for range steps {
		grads, err := Gradients(energy(y), y)
		if err != nil {
			return nil, err
		}
		y = G.Must(G.Sub(y, G.Must(G.Mul(grads[0], G.NewConstant(rate)))))
	}
	d.y = y
	d.loss = G.Must(G.Sum(G.Must(G.Square(G.Must(G.Sub(y, target))))))
	return d, nil
}

// plain is the same in plain Go.
func (d *descent) plain(x []float64, steps int) (y []float64, loss float64) {
	take := func(n int) []float64 { s := x[:n:n]; x = x[n:]; return s }
	y = append([]float64{}, take(6)...)
	a1, b1, a2, target := take(10), take(5), take(20), take(6)
	sigmoid := func(z float64) float64 { return 1 / (1 + math.Exp(-z)) }
	for range steps {
		next := append([]float64{}, y...)
		for b := range 3 {
			var z, h, gh [5]float64
			for j := range 5 {
				z[j] = b1[j] + y[2*b]*a1[j] + y[2*b+1]*a1[5+j]
				h[j] = math.Log1p(math.Exp(z[j]))
			}
			for k := range 4 {
				u := 0.0
				for j := range 5 {
					u += h[j] * a2[4*j+k]
				}
				for j := range 5 {
					gh[j] += sigmoid(u) * a2[4*j+k]
				}
			}
			for i := range 2 {
				g := y[2*b+i]
				for j := range 5 {
					g += gh[j] * sigmoid(z[j]) * a1[5*i+j]
				}
				next[2*b+i] -= rate * g
			}
		}
		y = next
	}
	for i := range y {
		loss += (y[i] - target[i]) * (y[i] - target[i])
	}
	return y, loss
}

// The baseline's case: the gradient of the outcome of gradient descent with respect to the energy's weights and to
// the start.
func TestUnrolledDescent(t *testing.T) {
	for _, steps := range []int{1, 3, 10} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			d, err := newDescent(steps)
			if err != nil {
				t.Fatal(err)
			}
			grads := mustGradients(t, d.loss, d.inputs...)
			if err := Check(d.g); err != nil {
				t.Error(err)
			}
			m, err := newMachine(d.g, d.inputs, append(G.Nodes{d.y, d.loss}, grads...)...)
			if err != nil {
				t.Fatal(err)
			}
			for run := range 3 { // anew with other inputs: a TapeMachine that wrote over something shows here
				x := make([]float64, size(d.inputs...))
				for i := range x {
					x[i] = math.Sin(float64(3*i+1)) * (0.5 + 0.2*float64(run))
				}
				got, err := m.run(x)
				if err != nil {
					t.Fatal(err)
				}
				y, loss := d.plain(x, steps)
				check.Close(t, "y", got[:6], y, 1e-13)
				check.Close(t, "loss", got[6:7], []float64{loss}, 1e-13)
				want := check.Gradient(func(x []float64) float64 { _, l := d.plain(x, steps); return l }, x, 1e-3)
				check.Close(t, "gradients", got[7:], want, 1e-8) // finite differences' own error
			}
		})
	}
}

func TestThirdAndFourthOrder(t *testing.T) {
	g := G.NewGraph()
	x := vector(g, "x", 3)
	xs := ramp(t, x, -1.5, 1.25)
	f := G.Must(G.HadamardProd(G.Must(G.Cube(x)), x)) // x^4
	var all G.Nodes
	for range 4 {
		f = mustGradients(t, G.Must(G.Sum(f)), x)[0]
		all = append(all, f)
	}
	values := agree(t, g, all...)
	for k, want := range []func(x float64) float64{
		func(x float64) float64 { return 4 * x * x * x }, func(x float64) float64 { return 12 * x * x },
		func(x float64) float64 { return 24 * x }, func(x float64) float64 { return 24 },
	} {
		for i, x := range xs {
			if got := values[k][i]; !check.Within(got, want(x), 1e-12) {
				t.Errorf("derivative %d of x^4 at %v: %v, want %v", k+1, x, got, want(x))
			}
		}
	}
}

// sin has derivatives of every order, and tanh's involve its own value: a chain of the two, five times.
func TestHighOrder(t *testing.T) {
	g := G.NewGraph()
	x := scalar(g, "x")
	let(t, x, 0.7)
	f := G.Must(G.Sin(x))
	var all G.Nodes
	for range 5 {
		f = mustGradients(t, f, x)[0]
		all = append(all, f)
	}
	values := agree(t, g, all...)
	for k, want := range []float64{math.Cos(.7), -math.Sin(.7), -math.Cos(.7), math.Sin(.7), math.Cos(.7)} {
		check.Close(t, fmt.Sprintf("derivative %d of sin", k+1), values[k], []float64{want}, 1e-15)
	}
}

func TestNoMarksAndGorgoniaGrad(t *testing.T) {
	build := func() (g *G.ExprGraph, x, y, out *G.Node) {
		g = G.NewGraph()
		x, y = vector(g, "x", 3), vector(g, "y", 3)
		ramp(t, x, -1, 0.7)
		ramp(t, y, 0.5, 0.4)
		return g, x, y, G.Must(G.Sum(G.Must(G.HadamardProd(G.Must(G.Tanh(G.Must(G.HadamardProd(x, y)))), x))))
	}
	want := func(i int) (dx, dy float64) {
		x, y := -1+0.7*float64(i), 0.5+0.4*float64(i)
		th := math.Tanh(x * y)
		return th + x*y*(1-th*th), x * x * (1 - th*th)
	}
	test := func(name string, order ...gradients) {
		t.Run(name, func(t *testing.T) {
			g, x, y, out := build()
			var all G.Nodes
			for _, grad := range order {
				grads, err := grad(out, x, y)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, grads...)
			}
			for k, v := range agree(t, g, all...) {
				for i := range v {
					dx, dy := want(i)
					if w := []float64{dx, dy}[k%2]; !check.Within(v[i], w, 1e-14) {
						t.Errorf("gradient %d, element %d: %v, want %v", k, i, v[i], w)
					}
				}
			}
		})
	}
	test("ours twice", Gradients, Gradients)
	test("ours, then gorgonia.Grad", Gradients, G.Grad)
	test("gorgonia.Grad, then ours", G.Grad, Gradients)
	g, x, y, out := build()
	mustGradients(t, out, x, y)
	for _, n := range g.AllNodes() {
		if n.Deriv() != nil || len(n.DerivOf()) > 0 {
			t.Errorf("%s is marked", describe(n))
		}
	}
	// What this package is for: gorgonia.Grad does not do it.
	first, err := G.Grad(out, x)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := G.Grad(G.Must(G.Sum(first[0])), x); err == nil {
		ref := mustGradients(t, G.Must(G.Sum(mustGradients(t, out, x)[0])), x)
		values, err := evaluate(g)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := check.MaxDiff(numbers(t, values[second[0]]), numbers(t, values[ref[0]])); d < 1e-6 {
			t.Error("gorgonia.Grad differentiates twice after all: say so in the documentation")
		}
	}
}

func TestArguments(t *testing.T) {
	g := G.NewGraph()
	x, y, unused := vector(g, "x", 3), vector(g, "y", 3), matrix(g, "unused", 2, 2)
	s, s32 := scalar(g, "s"), G.NewScalar(g, tensor.Float32, G.WithName("s32"))
	ramp(t, x, -1, 0.7)
	ramp(t, y, 0.5, 0.4)
	ramp(t, unused, 1, 1)
	let(t, s, 2)
	let(t, s32, 3)
	inner := G.Must(G.HadamardProd(x, y))
	act := G.Must(G.Tanh(inner))
	twice := G.Must(G.Add(act, inner)) // inner has two consumers, act lies on one of the ways
	out := G.Must(G.Sum(twice))
	wrt := G.Nodes{out, x, inner, act, x, unused, s, s32, y, twice}
	grads := mustGradients(t, out, wrt...)
	for i, n := range wrt {
		if grads[i].Dtype() != n.Dtype() || !sameShape(grads[i].Shape(), n.Shape()) {
			t.Errorf("the gradient of %s has type %v and shape %v", describe(n), grads[i].Type(), grads[i].Shape())
		}
	}
	if grads[1] != grads[4] {
		t.Error("x named twice has two gradients")
	}
	v := agree(t, g, grads...)
	check.Close(t, "out", v[0], []float64{1}, 0)
	check.Close(t, "act", v[3], []float64{1, 1, 1}, 0)
	check.Close(t, "unused", v[5], make([]float64, 4), 0)
	check.Close(t, "s", v[6], []float64{0}, 0)
	check.Close(t, "s32", v[7], []float64{0}, 0)
	for i := range 3 {
		a, b := -1+0.7*float64(i), 0.5+0.4*float64(i)
		di := 2 - math.Tanh(a*b)*math.Tanh(a*b)
		check.Close(t, "inner, x, y", []float64{v[2][i], v[1][i], v[8][i]}, []float64{di, di * b, di * a}, 1e-15)
	}
	// A gradient of zeros can be differentiated, and is zero again.
	z := mustGradients(t, G.Must(G.Sum(G.Must(G.Square(G.Must(G.Add(grads[5], unused)))))), unused, x)
	zs := agree(t, g, z...)
	check.Close(t, "gradient through zeros", zs[0], []float64{2, 4, 6, 8}, 1e-15)
	check.Close(t, "gradient through zeros", zs[1], make([]float64, 3), 0)
}

func TestVJP(t *testing.T) {
	g := G.NewGraph()
	x := vector(g, "x", 3)
	seed := vector(g, "seed", 3)
	xs, ss := ramp(t, x, 0.5, 0.5), ramp(t, seed, -1, 0.75)
	a := G.Must(G.Square(x))
	b := G.Must(G.Sin(a)) // b depends on the other out, a
	ones := G.NewConstant(tensor.New(tensor.WithShape(3), tensor.WithBacking([]float64{1, 1, 1})), G.WithName("ones"))
	got, err := VJP(G.Nodes{a, b, b}, G.Nodes{seed, ones, seed}, x, a, seed)
	if err != nil {
		t.Fatal(err)
	}
	v := agree(t, g, got...)
	for i, x := range xs {
		da := ss[i] + (1+ss[i])*math.Cos(x*x)
		check.Close(t, "x, a, seed", []float64{v[0][i], v[1][i], v[2][i]}, []float64{da * 2 * x, da, 0}, 1e-15)
	}
	// A seed may depend on wrt; it counts as fixed. The gradient of the product <a, a> takes both.
	again, err := VJP(G.Nodes{a}, G.Nodes{a}, x)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range agree(t, g, again[0])[0] {
		if want := 2 * xs[i] * xs[i] * xs[i]; !check.Within(w, want, 1e-14) {
			t.Errorf("seed that depends on wrt: %v, want %v", w, want)
		}
	}
}

// A chain of 30,000 nodes, each of which uses x too. The TapeMachine's compiler would take minutes, so the values
// come from evaluate.
func TestDeep(t *testing.T) {
	const links = 15000
	g := G.NewGraph()
	x := scalar(g, "x")
	let(t, x, 0.3)
	c := G.NewConstant(0.5)
	index := newIndex(g)
	defer index.close()
	n := x
	for range links {
		index.extend()
		n = G.Must(G.Add(G.Must(G.Mul(n, c)), x)) // n_k = n_{k-1}/2 + x
	}
	grads := mustGradients(t, n, x)
	values, err := evaluate(g)
	if err != nil {
		t.Fatal(err)
	}
	check.Close(t, "value", numbers(t, values[n]), []float64{0.6}, 1e-15)
	check.Close(t, "gradient", numbers(t, values[grads[0]]), []float64{2}, 1e-15)
	for _, n := range g.AllNodes() {
		if g.Node(n.ID()) != n {
			t.Fatalf("%s cannot be found by its id", describe(n))
		}
	}
	if len(g.AllNodes()) < 2*links || g.Has(int64(len(g.AllNodes()))) {
		t.Errorf("%d nodes, and there is one more: %v", len(g.AllNodes()), g.Has(int64(len(g.AllNodes()))))
	}
}

// Gradients are ordinary nodes: they run forward on the LispMachine as well.
func TestLispMachine(t *testing.T) {
	g := G.NewGraph()
	x, w := matrix(g, "x", 2, 3), matrix(g, "w", 3, 2)
	ramp(t, x, -1, 0.4)
	ramp(t, w, 0.3, -0.2)
	r, err := Reshape(G.Must(G.Tanh(G.Must(G.Mul(x, w)))), 4)
	if err != nil {
		t.Fatal(err)
	}
	out := total(t, G.Must(G.Square(r)), "v")
	grads := mustGradients(t, out, x, w)
	want := agree(t, g, grads...)
	vm := G.NewLispMachine(g, G.ExecuteFwdOnly())
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, n := range grads {
		check.Close(t, describe(n), numbers(t, n.Value()), want[i], 1e-12)
	}
}
