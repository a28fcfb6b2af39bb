package autodiff

import (
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// compare takes the gradients of out both ways, each in a graph of its own that build makes, checks that Gorgonia's
// are not right (so that the reason for our way of doing it still holds), and that ours agree with want.
func compare(t *testing.T, build func(g *G.ExprGraph) (out *G.Node, wrt G.Nodes), stock gradients, want ...[]float64) {
	t.Helper()
	run := func(grad gradients) (got [][]float64, err error) {
		g := G.NewGraph()
		err = guard(func() error {
			out, wrt := build(g)
			grads, err := grad(out, wrt...)
			if err != nil {
				return err
			}
			reads := make([]G.Value, len(grads))
			for i, n := range grads {
				G.Read(n, &reads[i])
			}
			if err := G.NewTapeMachine(g).RunAll(); err != nil {
				return err
			}
			for _, v := range reads {
				got = append(got, numbers(t, v))
			}
			return nil
		})
		return got, err
	}
	got, err := run(Gradients)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		check.Close(t, "gradient", got[i], want[i], 1e-12)
	}
	theirs, err := run(stock)
	if err != nil {
		t.Logf("Gorgonia's own fails: %v", err)
		return
	}
	for i := range want {
		if len(theirs[i]) != len(want[i]) {
			return
		}
		if d, _ := check.MaxDiff(theirs[i], want[i]); !(d <= 1e-9) {
			t.Logf("Gorgonia's own is %v, want %v", theirs[i], want[i])
			return
		}
	}
	t.Error("Gorgonia's own gradient is right: this package need not work around it")
}

// tanh'(x) at 0.3, 0.3+step, ...: the case that comes up below.
func slopes(n int, first, step float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = 1 - square(tanh(first+step*float64(i)))
	}
	return x
}

func TestReshapeSharesMemory(t *testing.T) {
	t.Run("the source is written over through the view", func(t *testing.T) {
		compare(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
			x, b := matrix(g, "x", 2, 3), vector(g, "b", 6)
			ramp(t, x, 0.3, 0.1)
			ramp(t, b, 10, 10)
			h := G.Must(G.Tanh(x))
			return G.Must(G.Sum(G.Must(G.Add(G.Must(G.Reshape(h, tensor.Shape{6})), b)))), G.Nodes{x}
		}, G.Grad, slopes(6, 0.3, 0.1))
	})
	t.Run("the view is written over through the source", func(t *testing.T) {
		compare(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
			x, b := matrix(g, "x", 2, 3), matrix(g, "b", 2, 3)
			ramp(t, x, 0.5, 0.5)
			ramp(t, b, 10, 10)
			h := G.Must(G.Sin(x))
			view := G.Must(G.Reshape(h, tensor.Shape{6}))
			square := G.Must(G.Sum(G.Must(G.Square(view)))) // its gradient needs view
			return G.Must(G.Add(square, G.Must(G.Sum(G.Must(G.Add(h, b)))))), G.Nodes{x}
		}, G.Grad, func() []float64 {
			d := make([]float64, 6)
			for i := range d {
				x := 0.5 + 0.5*float64(i)
				d[i] = (2*sin(x) + 1) * cos(x)
			}
			return d
		}())
	})
	t.Run("a family of three", func(t *testing.T) {
		compare(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
			x, b := matrix(g, "x", 2, 3), vector(g, "b", 6)
			ramp(t, x, 0.3, 0.1)
			ramp(t, b, 10, 10)
			h := G.Must(G.Tanh(x))
			view := G.Must(G.Reshape(G.Must(G.Reshape(h, tensor.Shape{3, 2})), tensor.Shape{6}))
			return G.Must(G.Sum(G.Must(G.Add(view, b)))), G.Nodes{x}
		}, G.Grad, slopes(6, 0.3, 0.1))
	})
	t.Run("a bound input is not written over", func(t *testing.T) {
		g := G.NewGraph()
		x, y := matrix(g, "x", 2, 2), vector(g, "y", 4)
		x0 := ramp(t, x, 1, 1)
		ramp(t, y, 0, 1)
		view := G.Must(G.Reshape(x, tensor.Shape{4}))
		out := G.Must(G.Sum(G.Must(G.HadamardProd(view, y))))
		grads := mustGradients(t, out, y, x) // the gradient uses view, which keeps the product from going over it
		runTape(t, g, grads...)
		check.Close(t, "x after the run", numbers(t, x.Value()), x0, 0)
	})
}

// A float64 rule that asks for the constant 1 must not get the int, or the float32, that has the name "1".
func TestConstantsOfOtherTypes(t *testing.T) {
	build := func(f func(*G.Node) (*G.Node, error)) func(g *G.ExprGraph) (*G.Node, G.Nodes) {
		return func(g *G.ExprGraph) (*G.Node, G.Nodes) {
			x := vector(g, "x", 3)
			ramp(t, x, 0.3, 0.1)
			for _, v := range []any{float32(1), float32(2), float32(3)} {
				g.AddNode(G.NewConstant(v))
			}
			return G.Must(G.Sum(G.Must(f(x)))), G.Nodes{x}
		}
	}
	each := func(f func(x float64) float64) []float64 { return []float64{f(.3), f(.4), f(.5)} }
	compare(t, build(G.Tanh), stock, slopes(3, 0.3, 0.1))
	compare(t, build(G.Square), stock, each(func(x float64) float64 { return 2 * x }))
	compare(t, build(G.Cube), stock, each(func(x float64) float64 { return 3 * x * x }))
	compare(t, build(G.Log1p), stock, each(func(x float64) float64 { return 1 / (1 + x) }))
}

// The bounds of a slice enter its hash modulo 256, so that the slices 0:128 and 256:384 of the gradient are one node.
func TestConcatOfWideBlocks(t *testing.T) {
	want := make([][]float64, 3)
	compare(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
		var in G.Nodes
		for i, name := range []string{"a", "b", "c"} {
			n := matrix(g, name, 2, 128)
			ramp(t, n, 0, 0.01)
			in = append(in, n)
			want[i] = make([]float64, 256)
			for j := range want[i] {
				want[i][j] = 0.5 + float64(j/128*384+128*i+j%128)
			}
		}
		return total(t, G.Must(G.Concat(1, in...)), "w"), in
	}, stock, want...)
}

// Two vectors of 3 with the first two names have the same hash; of two with the others only the cosines have.
// Gorgonia takes the cosines of either pair for one node.
const (
	twinA, twinB     = "gvmzur", "viqwhx"
	cousinA, cousinB = "bwaslt", "ohbykn"
)

func TestHashCollision(t *testing.T) {
	g := G.NewGraph()
	a, b := vector(g, twinA, 3), vector(g, twinB, 3)
	c, d := vector(g, cousinA, 3), vector(g, cousinB, 3)
	if a == b || a.Hashcode() != b.Hashcode() || c.Hashcode() == d.Hashcode() || G.Must(G.Cos(c)) != G.Must(G.Cos(d)) {
		t.Fatal("the names do not collide: look for others")
	}
	t.Run("in a rule of Gorgonia's", func(t *testing.T) {
		compare(t, func(g *G.ExprGraph) (*G.Node, G.Nodes) {
			a, b := vector(g, cousinA, 3), vector(g, cousinB, 3)
			ramp(t, a, 0.3, 0.1)
			ramp(t, b, 2, 1)
			taken := G.Must(G.Sum(G.Must(G.Cos(b))))
			return G.Must(G.Add(taken, G.Must(G.Sum(G.Must(G.Sin(a)))))), G.Nodes{a, b} // the gradient of sin(a) wants cos(a)
		}, stock, []float64{cos(.3), cos(.4), cos(.5)}, []float64{-sin(2), -sin(3), -sin(4)})
	})
	t.Run("in a node of ours", func(t *testing.T) {
		g := G.NewGraph()
		a, b := vector(g, twinA, 3), vector(g, twinB, 3)
		ramp(t, a, 0, 1)
		ramp(t, b, 10, 10)
		w := builder{g: g}
		one := w.mul(b, w.fill1(3, b))
		two := w.mul(a, w.fill1(3, a))
		if w.err != nil {
			t.Fatal(w.err)
		}
		values, err := evaluate(g) // on the TapeMachine a and b themselves are one, which Check says
		if err != nil {
			t.Fatal(err)
		}
		check.Close(t, "3b", numbers(t, values[one]), []float64{30, 60, 90}, 0)
		check.Close(t, "3a", numbers(t, values[two]), []float64{0, 3, 6}, 0)
	})
	t.Run("Check", func(t *testing.T) {
		if err := Check(g); err == nil || !strings.Contains(err.Error(), twinA) || !strings.Contains(err.Error(), twinB) {
			t.Errorf("%v, want an error that names %s and %s", err, twinA, twinB)
		}
	})
}

// A product with a transposed operand transposes it in place for the while, and the other operand with it where both
// are one tensor.
func TestProductWithItself(t *testing.T) {
	g := G.NewGraph()
	a, b := matrix(g, "a", 2, 2), matrix(g, "b", 2, 2)
	ramp(t, a, 1, 1) // 1 2 / 3 4
	ramp(t, b, 2, 3) // 2 5 / 8 11
	got, err := VJP(G.Nodes{G.Must(G.Mul(a, b))}, G.Nodes{a}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	v := agree(t, g, got...)
	check.Close(t, "a B^T", v[0], []float64{12, 30, 26, 68}, 1e-15)
	check.Close(t, "a^T a", v[1], []float64{10, 14, 14, 20}, 1e-15)
	own, err := vjp(G.Nodes{G.Must(G.Mul(a, b))}, G.Nodes{a}, G.Nodes{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := check.MaxDiff(runTape(t, g, own...)[0], v[1]); d < 1e-9 {
		t.Error("Gorgonia's own product of a transposed and itself is right: this package need not copy")
	}
}

// Only what is asked for is added: the gradient with respect to y of y*W has no node for that of W.
func TestNothingUnwanted(t *testing.T) {
	g := G.NewGraph()
	y, w := matrix(g, "y", 3, 2), matrix(g, "w", 2, 4)
	n := G.Must(G.Tanh(G.Must(G.Mul(y, w))))
	var asked []bool
	p, err := G.ApplyOp(choosy{&asked}, matrix(g, "u", 3, 4), n)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if len(asked) != 2 || asked[0] || !asked[1] {
			t.Errorf("of an op of our own %v was wanted, want its second input", asked)
		}
	}()
	out := total(t, p, "v")
	before := len(g.AllNodes())
	grads := mustGradients(t, out, y)
	used := map[*G.Node]bool{grads[0]: true}
	all := g.AllNodes()
	for i := len(all) - 1; i >= before; i-- {
		n := all[i]
		if !used[n] {
			t.Errorf("%s is of no use", describe(n))
		}
		in, err := inputsOf(g, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range in {
			used[m] = true
		}
	}
}

// What README.md says of Gorgonia beside gradients.
func TestGorgoniasTraps(t *testing.T) {
	t.Run("slices", func(t *testing.T) {
		x := vector(G.NewGraph(), "x", 400)
		if G.Must(G.Slice(x, G.S(0, 128))) != G.Must(G.Slice(x, G.S(256, 384))) {
			t.Error("x[0:128] and x[256:384] are two nodes now")
		}
	})
	t.Run("constants", func(t *testing.T) {
		g := G.NewGraph()
		a, b := g.AddNode(G.NewConstant(1)), g.AddNode(G.NewConstant(1.0))
		if a != b {
			t.Error("1 and 1.0 are two nodes now")
		}
	})
	t.Run("shapes", func(t *testing.T) {
		g := G.NewGraph()
		if _, err := G.Add(vector(g, "x", 3), matrix(g, "y", 3, 1)); err != nil {
			t.Errorf("shapes are compared exactly now: %v", err)
		}
	})
	t.Run("the logarithm of a softmax", func(t *testing.T) {
		s := G.Must(G.SoftMax(matrix(G.NewGraph(), "x", 2, 3)))
		before := s.Op().String()
		if G.Must(G.Log(s)) != s || s.Op().String() == before {
			t.Error("the softmax stays what it was")
		}
	})
	t.Run("the logarithm of 1+x", func(t *testing.T) {
		g := G.NewGraph()
		x := vector(g, "x", 3)
		if _, err := G.Grad(G.Must(G.Sum(G.Must(G.Tanh(x)))), x); err != nil { // brings in Gorgonia's own 1
			t.Fatal(err)
		}
		sum := G.Must(G.Add(G.NewConstant(1.0), x))
		other := G.Must(G.Exp(sum))
		G.Must(G.Log(sum))
		if _, err := Gradients(G.Must(G.Sum(other)), x); err == nil || !strings.Contains(err.Error(), "removed") {
			t.Errorf("1+x is still there (%v)", err)
		}
	})
}
