package dcem

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A descent is gradient descent on the bowl as a function of theta = (y0, a, b).
type descent struct {
	vm     G.VM
	inputs G.Nodes // y0 if it is a node, a, b
	answer *G.Node
	y      G.Nodes // copies to be read after a run
	costs  G.Nodes
	loss   *G.Node
	grads  G.Nodes
}

// newDescent builds it and runs it at theta. node says that y0 goes in as Y0Node.
func newDescent(t *testing.T, c GDConfig, theta []float64, node, gradients bool) *descent {
	t.Helper()
	g := G.NewGraph()
	s := &descent{}
	rest := theta
	input := func(name string, rows int) *G.Node {
		n := rows * c.Dim
		v := dense(c.Dtype, rest[:n], rows, c.Dim)
		x := G.NewMatrix(g, c.Dtype, G.WithShape(rows, c.Dim), G.WithName(name), G.WithValue(v))
		s.inputs, rest = append(s.inputs, x), rest[n:]
		return x
	}
	if node {
		c.Y0Node = input("y0", c.Batch)
	} else {
		rest = rest[c.Batch*c.Dim:]
	}
	a, b := input("a", 1), input("b", 1)
	u, err := UnrollGD(g, bowl(a, b), c)
	if err != nil {
		t.Fatal(err)
	}
	if node && u.Y0 != c.Y0Node {
		t.Error("Y0 of the result is not Config.Y0Node")
	}
	if len(u.Y) != c.Iterations || len(u.Costs) != c.Iterations || u.Answer != u.Y[c.Iterations-1] {
		t.Fatalf("%d steps, %d costs, want %d of each, the last of which is the answer", len(u.Y), len(u.Costs), c.Iterations)
	}
	keep := func(n *G.Node) *G.Node {
		k, err := Keep(n)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	s.answer = keep(u.Answer)
	for i := range u.Y {
		s.y, s.costs = append(s.y, keep(u.Y[i])), append(s.costs, keep(u.Costs[i]))
	}
	s.loss = G.Must(G.Sum(G.Must(G.Cube(u.Answer))))
	if gradients {
		if s.grads, err = autodiff.Gradients(s.loss, s.inputs...); err != nil {
			t.Fatal(err)
		}
	}
	s.vm = bothMachines(t, g)
	t.Cleanup(func() { s.vm.Close() })
	if err := s.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	return s
}

// lossAt is the loss at another theta.
func (s *descent) lossAt(t *testing.T, theta []float64) float64 {
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
	return floats(t, s.loss.Value())[0]
}

// A plainStep holds the costs before a step and y after it.
type plainStep struct{ costs, y []float64 }

// plainDescent is eq. (6) in plain Go. sides names the bound that stopped y at each step (-, + or . for none): finite
// differences hold where it stays the same.
func plainDescent(c GDConfig, theta []float64) (steps []plainStep, sides string) {
	bd := c.Batch * c.Dim
	y := append([]float64{}, theta[:bd]...)
	a, b := theta[bd:bd+c.Dim], theta[bd+c.Dim:]
	at := func(bound []float64, d int, none float64) float64 {
		if bound == nil {
			return none
		}
		return bound[d%len(bound)]
	}
	for range c.Iterations {
		s := plainStep{costs: make([]float64, c.Batch)}
		for i, v := range y {
			d := i % c.Dim
			r := v*a[d] - b[d]
			s.costs[i/c.Dim] += r*r + 0.3*math.Sin(3*v)
			v -= c.Rate * (2*a[d]*r + 0.9*math.Cos(3*v))
			low, high := at(c.Lower, d, math.Inf(-1)), at(c.Upper, d, math.Inf(1))
			switch {
			case v < low:
				v, sides = low, sides+"-"
			case v > high:
				v, sides = high, sides+"+"
			default:
				sides += "."
			}
			y[i] = v
		}
		s.y = append(s.y, y...)
		steps = append(steps, s)
	}
	return steps, sides
}

// gdStart is a theta whose numbers are the same in both types.
func gdStart(c GDConfig) []float64 {
	var theta []float64
	for i := range c.Batch * c.Dim {
		theta = append(theta, float64(float32(1.3*math.Sin(float64(2*i+1)))))
	}
	for i := range 2 * c.Dim {
		theta = append(theta, float64(float32(1+0.4*math.Cos(float64(3*i)))))
	}
	return theta
}

func gdCases() map[string]GDConfig {
	return map[string]GDConfig{
		"plain":            {Batch: 2, Dim: 3, Iterations: 4, Rate: 0.1},
		"one number":       {Batch: 1, Dim: 1, Iterations: 5, Rate: 0.2},
		"one step":         {Batch: 3, Dim: 2, Iterations: 1, Rate: 0.3},
		"both bounds":      {Batch: 3, Dim: 2, Iterations: 5, Rate: 0.4, Lower: []float64{-0.125}, Upper: []float64{1.1875, 0.5}},
		"lower bound only": {Batch: 2, Dim: 3, Iterations: 4, Rate: 0.4, Lower: []float64{0.4375, math.Inf(-1), 0.625}},
		"upper bound only": {Batch: 4, Dim: 1, Iterations: 6, Rate: 0.3, Upper: []float64{0.3125}},
	}
}

func TestUnrollGDIsGradientDescent(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		tol := 1e-14 // the order of a dozen operations per step differs
		if dt == tensor.Float32 {
			tol = 3e-6 // the same with 24 bits
		}
		for name, c := range gdCases() {
			t.Run(fmt.Sprint(dt, "/", name), func(t *testing.T) {
				c.Dtype = dt
				theta := gdStart(c)
				compare := func(how string, got *descent, theta []float64) {
					t.Helper()
					want, _ := plainDescent(c, theta)
					for i, s := range want {
						check.Close(t, fmt.Sprintf("%s: y_%d", how, i+1), floats(t, got.y[i].Value()), s.y, tol)
						check.Close(t, fmt.Sprintf("%s: costs %d", how, i), floats(t, got.costs[i].Value()), s.costs, tol)
					}
					check.Close(t, how+": answer", floats(t, got.answer.Value()), want[c.Iterations-1].y, tol)
				}
				compare("Y0Node", newDescent(t, c, theta, true, false), theta)
				bd := c.Batch * c.Dim
				for n, how := range map[int]string{bd: "Y0 for each problem", c.Dim: "Y0 for every problem", 1: "one Y0"} {
					c.Y0 = theta[:n]
					spread := append([]float64{}, theta...)
					for i := range bd {
						spread[i] = theta[i%n]
					}
					compare(how, newDescent(t, c, spread, false, false), spread)
				}
			})
		}
	}
}

// The zero value: ten steps of 0.1 from 0, in float32.
func TestUnrollGDDefaults(t *testing.T) {
	g := G.NewGraph()
	u, err := UnrollGD(g, func(x *G.Node) (*G.Node, error) {
		return G.Sum(G.Must(G.Square(G.Must(G.Sub(x, G.NewConstant(float32(1)))))), 2)
	}, GDConfig{Dim: 2})
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if len(u.Y) != 10 || u.Answer.Dtype() != tensor.Float32 {
		t.Errorf("%d steps of %v, want 10 of float32", len(u.Y), u.Answer.Dtype())
	}
	want := 1 - math.Pow(0.8, 10) // the distance to 1 shrinks by 1 - 0.1*2
	check.Close(t, "answer", floats(t, u.Answer.Value()), []float64{want, want}, 1e-6)
}

// The gradient of the descent is of second order in the objective. Where a bound stops y, none flows.
func TestUnrollGDGradients(t *testing.T) {
	for name, c := range gdCases() {
		t.Run(name, func(t *testing.T) {
			c.Dtype = tensor.Float64
			theta := gdStart(c)
			_, sides := plainDescent(c, theta)
			stops, goes := strings.ContainsAny(sides, "+-"), strings.Contains(sides, ".")
			if bounded := c.Lower != nil || c.Upper != nil; bounded && !(stops && goes) {
				t.Fatalf("sides %s: the bounds must stop some steps and not all", sides)
			}
			plain := newDescent(t, c, theta, true, false)
			loss := func(theta []float64) float64 {
				if _, now := plainDescent(c, theta); now != sides {
					t.Fatalf("a kink within the step of the finite differences: sides %s, then %s", sides, now)
				}
				return plain.lossAt(t, theta)
			}
			flat := func(s *descent) (all []float64) {
				for _, n := range s.grads {
					all = append(all, floats(t, n.Value())...)
				}
				return all
			}
			got := flat(newDescent(t, c, theta, true, true))
			// At h = 3e-4 the rounding 1e-15/h is least against h^4 times a fifth derivative of up to ten thousand.
			check.Close(t, "autodiff", got, check.Gradient(loss, theta, 3e-4), 1e-9)
			c.Dtype = tensor.Float32
			check.Close(t, "float32", flat(newDescent(t, c, theta, true, true)), got, 1e-5) // 24 bits, a few dozen operations
		})
	}
}

func TestUnrollGDErrors(t *testing.T) {
	g := G.NewGraph()
	wrong := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("wrong"))
	ok := func(x *G.Node) (*G.Node, error) { return G.Sum(G.Must(G.Square(x)), 2) }
	for _, c := range []struct {
		g    *G.ExprGraph
		f    Objective
		c    GDConfig
		want string
	}{
		{nil, ok, GDConfig{Dim: 1}, "dcem: UnrollGD: the graph and the objective must not be nil"},
		{g, nil, GDConfig{Dim: 1}, "dcem: UnrollGD: the graph and the objective must not be nil"},
		{g, ok, GDConfig{}, "dcem: UnrollGD: Dim = 0, want at least 1"},
		{g, ok, GDConfig{Dim: 1, Batch: -1}, "dcem: UnrollGD: Batch = -1, want at least 1"},
		{g, ok, GDConfig{Dim: 1, Iterations: -2}, "dcem: UnrollGD: Iterations = -2, want at least 1"},
		{g, ok, GDConfig{Dim: 1, Dtype: tensor.Int}, "dcem: UnrollGD: Dtype = int, want float32 or float64"},
		{g, ok, GDConfig{Dim: 1, Rate: -1}, "dcem: UnrollGD: Rate = -1, want a finite"},
		{g, ok, GDConfig{Dim: 1, Rate: math.NaN()}, "dcem: UnrollGD: Rate = NaN, want a finite"},
		{g, ok, GDConfig{Dim: 1, Rate: math.Inf(1)}, "dcem: UnrollGD: Rate = +Inf, want a finite"},
		{g, ok, GDConfig{Dim: 1, Rate: 1e39}, "dcem: UnrollGD: Rate = 1e+39, want a finite float32"},
		{g, ok, GDConfig{Dim: 2, Batch: 2, Y0: make([]float64, 3)}, "dcem: UnrollGD: Y0 has 3 values, want 1, Dim = 2 or Batch*Dim = 4"},
		{g, ok, GDConfig{Dim: 2, Y0: []float64{0, math.NaN()}}, "dcem: UnrollGD: Y0[1] = NaN, want a finite number"},
		{g, ok, GDConfig{Dim: 1, Y0: []float64{1e39}}, "dcem: UnrollGD: Y0"},
		{g, ok, GDConfig{Dim: 2, Lower: make([]float64, 3)}, "dcem: UnrollGD: Lower has 3 values, want 1 or 2"},
		{g, ok, GDConfig{Dim: 1, Lower: []float64{2}, Upper: []float64{1}}, "dcem: UnrollGD: Lower[0] = 2 is above Upper[0] = 1"},
		{g, ok, GDConfig{Dim: 1, Dtype: tensor.Float64, Y0Node: wrong}, "dcem: UnrollGD: Y0Node has shape (2, 3), want (1, 1)"},
		{g, ok, GDConfig{Dim: 3, Batch: 2, Y0Node: wrong}, "dcem: UnrollGD: Y0Node has element type float64, want float32"},
		{G.NewGraph(), ok, GDConfig{Dim: 3, Batch: 2, Dtype: tensor.Float64, Y0Node: wrong}, "dcem: UnrollGD: Y0Node = wrong"},
		{g, func(x *G.Node) (*G.Node, error) { return x, nil }, GDConfig{Dim: 2}, "the objective's result has shape (1, 1, 2), want (1, 1)"},
		{g, func(*G.Node) (*G.Node, error) { return nil, nil }, GDConfig{Dim: 2}, "the objective's result is nil"},
		{g, func(*G.Node) (*G.Node, error) { return nil, fmt.Errorf("no net") }, GDConfig{Dim: 2}, "dcem: UnrollGD: iteration 0: the objective: no net"},
	} {
		if _, err := UnrollGD(c.g, c.f, c.c); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %q, want %q", fmt.Sprint(err), c.want)
		}
	}
}
