package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/vec"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// goldenNet has the weights of the golden files, all of them numbers of order one.
func goldenNet(t testing.TB, g *G.ExprGraph, c MLPConfig) *MLP {
	t.Helper()
	m, err := NewMLP(g, c)
	if err != nil {
		t.Fatal(err)
	}
	for l, layer := range m.Layers {
		in, out := layer.W.Shape()[0], layer.W.Shape()[1]
		w, b := make([]float64, in*out), make([]float64, out)
		for e := range w {
			i, j := float64(e/out), float64(e%out)
			w[e] = math.Sin(1+0.7*i+1.3*j+2.1*float64(l)) * math.Sqrt(2/float64(in+out))
		}
		for j := range b {
			b[j] = 0.1 * math.Cos(float64(j+l))
		}
		for _, p := range layer.Params() {
			values := w
			if strings.HasSuffix(p.Name, "b") {
				values = b
			}
			if err := m.Params().Set(p.Name, values); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// naive is the net as plain loops, given its parameters.
func naive(sizes []int, act, last Activation, params [][]float64, x []float64) []float64 {
	for l := range len(sizes) - 1 {
		w, b, out := params[2*l], params[2*l+1], sizes[l+1]
		y := make([]float64, 0, len(x)/sizes[l]*out)
		for r := range len(x) / sizes[l] {
			for j := range out {
				z := b[j]
				for i, v := range x[r*sizes[l] : (r+1)*sizes[l]] {
					z += v * w[i*out+j]
				}
				y = append(y, z)
			}
		}
		a := act
		if l == len(sizes)-2 {
			a = last
		}
		if x = y; a != Identity {
			activate(a, 0, x, y, nil)
		}
	}
	return x
}

var nets = []struct {
	rows      int
	sizes     []int
	act, last Activation
}{
	{3, []int{2, 5, 4, 1}, Softplus, Identity},
	{1, []int{2, 3, 1}, ELU, Sigmoid},
	{4, []int{1, 1}, Identity, Identity},
	{1, []int{1, 1, 1}, Tanh, Tanh},
	{5, []int{3, 1, 2}, Sigmoid, Softplus},
	{1, []int{4, 7}, Softplus, Tanh},
	{70, []int{2, 70, 3}, Softplus, Identity},
}

func points(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = 2 * math.Sin(float64(3*i+1))
	}
	return x
}

func TestMLPForward(t *testing.T) {
	for _, c := range nets {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			g := G.NewGraph()
			m := goldenNet(t, g, MLPConfig{Sizes: c.sizes, Activation: c.act, Output: c.last, Dtype: dt})
			x := input(g, dt, "x", tensor.Shape{c.rows, c.sizes[0]}, points(c.rows*c.sizes[0]))
			y, err := m.Forward(x)
			if err != nil {
				t.Fatal(err)
			}
			if out := c.sizes[len(c.sizes)-1]; !y.Shape().Eq(tensor.Shape{c.rows, out}) {
				t.Errorf("%v: shape %v, want (%d, %d)", c, y.Shape(), c.rows, out)
			}
			values := runAll(t, g, append(G.Nodes{y}, m.Params().Nodes()...))
			want := naive(c.sizes, c.act, c.last, values[1:], rounded(points(c.rows*c.sizes[0]), dt))
			tol := 1e-14 // sums of up to 70 terms of order one, three times
			if dt == tensor.Float32 {
				tol = 3e-6
			}
			check.Close(t, fmt.Sprint(c, dt), values[0], want, tol)
		}
	}
}

// The gradient of sum(c*y), and the gradient of sum(c*dy/dx) (second order: what unrolled gradient descent takes), with
// respect to the input and to every parameter, against finite differences of the naive net.
func TestMLPGradients(t *testing.T) {
	for _, c := range nets {
		if c.rows > 10 {
			continue // many finite differences, nothing new
		}
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			g := G.NewGraph()
			dt := tensor.Float64
			m := goldenNet(t, g, MLPConfig{Sizes: c.sizes, Activation: c.act, Output: c.last, Dtype: dt})
			at := points(c.rows * c.sizes[0])
			x := input(g, dt, "x", tensor.Shape{c.rows, c.sizes[0]}, at)
			y, err := m.Forward(x)
			if err != nil {
				t.Fatal(err)
			}
			cy := points(y.Shape().TotalSize())
			total := G.Must(G.Sum(G.Must(G.HadamardProd(y, input(g, dt, "cy", y.Shape(), cy)))))
			wrt := append(G.Nodes{x}, m.Params().Nodes()...)
			first, err := autodiff.Gradients(total, wrt...)
			if err != nil {
				t.Fatal(err)
			}
			cx := points(len(at) + 1)[1:]
			directional := G.Must(G.Sum(G.Must(G.HadamardProd(first[0], input(g, dt, "cx", x.Shape(), cx)))))
			second, err := autodiff.Gradients(directional, wrt...)
			if err != nil {
				t.Fatal(err)
			}
			values := runAll(t, g, slices.Concat(wrt, first, second))
			n := len(wrt)

			args := values[:n]
			f := func() float64 {
				sum := 0.0
				for i, v := range naive(c.sizes, c.act, c.last, args[1:], args[0]) {
					sum += cy[i] * v
				}
				return sum
			}
			for i, node := range wrt {
				partial := func(a []float64) float64 { return f() }
				// The four-point rule with h = 1e-3: h^4 times fifth derivatives, of sums of up to 10 terms; rounding
				// 1e-16/h, times the terms.
				check.Close(t, "first order "+node.Name(), values[n+i], check.Gradient(partial, args[i], 1e-3), 1e-10)
				// d/da of the slope of f along cx: the same rule twice.
				slope := func(a []float64) float64 {
					x0 := slices.Clone(args[0])
					defer copy(args[0], x0)
					d := check.Gradient(func(s []float64) float64 {
						for j := range x0 {
							args[0][j] = x0[j] + s[0]*cx[j]
						}
						return f()
					}, []float64{0}, 1e-2)
					return d[0]
				}
				// Rounding is now 1e-16/(1e-2*1e-2), the rule's error 1e-8 times fifth derivatives.
				check.Close(t, "second order "+node.Name(), values[2*n+i], check.Gradient(slope, args[i], 1e-2), 1e-6)
			}
		})
	}
}

// The LispMachine differentiates by DoDiff: the same gradients as the symbolic ones.
func TestLispMachine(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		build := func() (*G.ExprGraph, *G.Node, G.Nodes) {
			g := G.NewGraph()
			m := goldenNet(t, g, MLPConfig{Sizes: []int{2, 5, 3}, Activation: Softplus, Output: Tanh, Dtype: dt})
			x := input(g, dt, "x", tensor.Shape{4, 2}, points(8))
			y := G.Must(m.Forward(x))
			return g, G.Must(G.Sum(y)), append(G.Nodes{x}, m.Params().Nodes()...)
		}
		g, total, wrt := build()
		grads, err := autodiff.Gradients(total, wrt...)
		if err != nil {
			t.Fatal(err)
		}
		want := runAll(t, g, grads)

		g, _, wrt = build()
		lisp := G.NewLispMachine(g)
		if err := lisp.RunAll(); err != nil {
			t.Fatal(err)
		}
		for i, n := range wrt {
			grad, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			check.Close(t, n.Name(), floats(t, []G.Value{grad})[0], want[i], 1e-6) // another order of sums
		}
		lisp.Close()
	}
}

// The rules, which both machines follow, for every order and factor.
func TestRules(t *testing.T) {
	at, by, too := []float64{-2, -0.5, 0.3, 4}, []float64{1, -2, 0.5, 3}, []float64{-1, 3, 2, 0.7}
	seed := []float64{0.5, 1, -1, 2}
	for f := Softplus; f <= Sigmoid; f++ {
		for order := range maxOrder {
			k := activationOp{f, order, 2}
			in := []any{at, by, too}
			for i, r := range k.Rules() {
				want := check.Gradient(func([]float64) float64 {
					out := make([]float64, len(at))
					k.Run(out, in)
					sum := 0.0
					for j, v := range out {
						sum += seed[j] * v
					}
					return sum
				}, in[i].([]float64), 1e-3)
				args := make([]any, len(r.Args))
				for j, a := range r.Args {
					if args[j] = any(seed); a != graphop.Gradient {
						args[j] = in[a]
					}
				}
				got := check.Poison(make([]float64, len(at)))
				r.Kernel.Run(got, args)
				check.Close(t, fmt.Sprint(k, i), got, want, 1e-10)
			}
		}
	}
}

func TestAddRow(t *testing.T) {
	defer vec.SetThreads(vec.Threads())
	for _, s := range [][2]int{{1, 1}, {1, 4}, {5, 1}, {3, 2}, {300, 130}, {9, 3000}} {
		rows, n := s[0], s[1]
		z, b := check.Copy[float32](points(rows*n)), check.Copy[float32](points(n))
		want, sums, copies := make([]float32, rows*n), make([]float64, n), make([]float32, rows*n)
		for i := range z {
			want[i], copies[i] = z[i]+b[i%n], b[i%n]
			sums[i%n] += float64(z[i])
		}
		for _, threads := range []int{1, 2, 8} {
			vec.SetThreads(threads)
			out, verify := check.Guarded[float32](t, "AddRow", rows*n)
			runRows(addRow, out, []any{z, b})
			verify()
			sum, verify := check.Guarded[float32](t, "SumRows", n)
			runRows(sumRows, sum, []any{z})
			verify()
			spreads, verify := check.Guarded[float32](t, "Spread", rows*n)
			runRows(spread, spreads, []any{b})
			verify()
			if !slices.Equal(out, want) || !slices.Equal(sum, check.Copy[float32](sums)) || !slices.Equal(spreads, copies) {
				t.Errorf("%v with %d threads: other bits", s, threads)
			}
		}
	}
	g := G.NewGraph()
	z := input(g, tensor.Float64, "z", tensor.Shape{2, 3}, points(6))
	b := input(g, tensor.Float64, "b", tensor.Shape{3}, points(3))
	b2 := input(g, tensor.Float64, "b2", tensor.Shape{2}, points(2))
	b32 := input(g, tensor.Float32, "b32", tensor.Shape{3}, points(3))
	for _, c := range []struct {
		z, b *G.Node
		want string
	}{
		{z, b2, "shapes (2, 3) and (2), want (rows, n) and (n)"},
		{z, z, "want (rows, n) and (n)"},
		{b, b, "want (rows, n) and (n)"},
		{z, nil, "b is nil"},
		{z, b32, "types float64 and float32, want one type"},
	} {
		if _, err := AddRow(c.z, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestNetErrors(t *testing.T) {
	g := G.NewGraph()
	m, err := NewMLP(g, MLPConfig{Name: "net", Sizes: []int{2, 3, 1}})
	if err != nil {
		t.Fatal(err)
	}
	other := G.NewGraph()
	_, again := NewMLP(g, MLPConfig{Name: "net", Sizes: []int{2, 3, 1}})
	_, share := m.Share(g)
	_, sizes := NewMLP(g, MLPConfig{Sizes: []int{2}})
	_, zero := NewMLP(g, MLPConfig{Name: "zero", Sizes: []int{2, 0, 1}})
	_, act := NewMLP(g, MLPConfig{Name: "act", Sizes: []int{2, 1}, Output: 77})
	_, dtype := NewMLP(g, MLPConfig{Name: "dtype", Sizes: []int{2, 1}, Dtype: tensor.Int})
	_, none := NewMLP(nil, MLPConfig{Sizes: []int{2, 1}})
	forward := func(g *G.ExprGraph, name string, dt tensor.Dtype, shape tensor.Shape) error {
		_, err := m.Forward(input(g, dt, name, shape, points(shape.TotalSize())))
		return err
	}
	for want, err := range map[string]error{
		`has a node "net/0/w" already`:                                    again,
		`Share: the graph has a node "net/0/w" already`:                   share,
		"Sizes = [2], want at least inputs and outputs":                   sizes,
		"layer zero/0: in = 2, out = 0":                                   zero,
		"Activation(77), want one of":                                     act,
		"Dtype = int, want float32 or float64":                            dtype,
		"the graph is nil":                                                none,
		"x has shape (4, 3) and type float32, want (rows, 2) and float32": forward(g, "a", tensor.Float32, tensor.Shape{4, 3}),
		"x has shape (4, 2) and type float64, want (rows, 2) and float32": forward(g, "b", tensor.Float64, tensor.Shape{4, 2}),
		"x has shape (2) and type float32, want (rows, 2) and float32":    forward(g, "c", tensor.Float32, tensor.Shape{2}),
		"net/0/w: x is in another graph than the layer":                   forward(other, "d", tensor.Float32, tensor.Shape{4, 2}),
	} {
		says(t, want, err, want)
	}
	if _, err := m.Forward(nil); err == nil || !strings.Contains(err.Error(), "x is nil") {
		t.Errorf("got %v", err)
	}
}
