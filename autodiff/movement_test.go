package autodiff

import (
	"fmt"
	"testing"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestReshapeAndExpandValues(t *testing.T) {
	for _, c := range []struct {
		f        func(n *G.Node, shape ...int) (*G.Node, error)
		from, to []int
		want     []float64
	}{
		{Reshape, sh(2, 3), sh(3, 2), []float64{0, 1, 2, 3, 4, 5}}, {Reshape, sh(2, 3), sh(6), []float64{0, 1, 2, 3, 4, 5}},
		{Reshape, sh(), sh(1, 1), []float64{0}}, {Reshape, sh(1), sh(), []float64{0}}, {Reshape, sh(2), sh(2), []float64{0, 1}},
		{Expand, sh(3), sh(2, 3), []float64{0, 1, 2, 0, 1, 2}}, {Expand, sh(2, 1), sh(2, 3), []float64{0, 0, 0, 1, 1, 1}},
		{Expand, sh(), sh(2, 2), []float64{0, 0, 0, 0}}, {Expand, sh(2, 2), sh(2, 2), []float64{0, 1, 2, 3}},
		{Expand, sh(2, 1, 2), sh(2, 2, 2), []float64{0, 1, 0, 1, 2, 3, 2, 3}}, {Expand, sh(1, 2, 1), sh(2, 2, 2), []float64{0, 0, 1, 1, 0, 0, 1, 1}},
		{Expand, sh(2, 1), sh(2, 2, 1), []float64{0, 1, 0, 1}}, {Expand, sh(), sh(), []float64{0}},
	} {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			g := G.NewGraph()
			x := G.NewTensor(g, dt, len(c.from), G.WithShape(c.from...), G.WithName("x"))
			ramp(t, x, 0, 1)
			n, err := c.f(x, c.to...)
			if err != nil {
				t.Fatal(err)
			}
			if !sameShape(n.Shape(), c.to) || n.IsScalar() != (len(c.to) == 0) {
				t.Errorf("%v to %v: shape %v", c.from, c.to, n.Shape())
			}
			check.Close(t, fmt.Sprintf("%v to %v", c.from, c.to), agree(t, g, n)[0], c.want, 0)
		}
	}
}

// A value that is a transposed view is read in the order of its shape.
func TestViews(t *testing.T) {
	g := G.NewGraph()
	x := matrix(g, "x", 3, 2)
	r, err := Reshape(x, 6)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Expand(x, 2, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, view := range []func() *tensor.Dense{
		func() *tensor.Dense {
			v := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float64{0, 1, 2, 3, 4, 5}))
			if err := v.T(); err != nil {
				t.Fatal(err)
			}
			return v
		},
		func() *tensor.Dense {
			return tensor.New(tensor.WithShape(3, 2), tensor.AsFortran([]float64{0, 3, 1, 4, 2, 5}))
		},
		func() *tensor.Dense {
			v := tensor.New(tensor.WithShape(3, 3), tensor.WithBacking([]float64{0, 3, 9, 1, 4, 9, 2, 5, 9}))
			s, err := v.Slice(nil, tensor.S(0, 2))
			if err != nil {
				t.Fatal(err)
			}
			return s.(*tensor.Dense)
		},
	} {
		want := []float64{0, 3, 1, 4, 2, 5}
		got, err := r.Op().Do(view())
		if err != nil {
			t.Fatal(err)
		}
		check.Close(t, "Reshape", numbers(t, got), want, 0)
		if got, err = e.Op().Do(view()); err != nil {
			t.Fatal(err)
		}
		check.Close(t, "Expand", numbers(t, got), append(want, want...), 0)
	}
	if _, err := r.Op().Do(nil); err == nil {
		t.Error("no error for an input without a value")
	}
	if _, err := r.Op().Do(G.NewF32(1)); err == nil {
		t.Error("no error for a float32 value of a float64 node")
	}
}

// The LispMachine differentiates by values (DoDiff), and adds up what the consumers of x give.
func TestDoDiff(t *testing.T) {
	for _, c := range []struct {
		f        func(n *G.Node, shape ...int) (*G.Node, error)
		from, to []int
		repeats  float64
	}{
		{Reshape, sh(2, 3), sh(6), 1}, {Reshape, sh(1, 1), sh(), 1}, {Reshape, sh(6), sh(3, 2), 1},
		{Expand, sh(3), sh(2, 3), 2}, {Expand, sh(3, 1), sh(3, 4), 4}, {Expand, sh(2, 1, 2), sh(2, 3, 2), 3}, {Expand, sh(), sh(2, 3), 6},
	} {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprint(c.from, c.to, dt), func(t *testing.T) {
				g := G.NewGraph()
				x := G.NewTensor(g, dt, len(c.from), G.WithShape(c.from...), G.WithName("x"))
				x0 := ramp(t, x, 1, 1)
				n, err := c.f(x, c.to...)
				if err != nil {
					t.Fatal(err)
				}
				G.Must(G.Add(G.Must(G.Sum(G.Must(G.Square(n)))), G.Must(G.Sum(G.Must(G.Square(x))))))
				vm := G.NewLispMachine(g)
				defer vm.Close()
				if err := vm.RunAll(); err != nil {
					t.Fatal(err)
				}
				grad, err := x.Grad()
				if err != nil {
					t.Fatal(err)
				}
				for i, d := range numbers(t, grad) {
					if want := 2*c.repeats*x0[i] + 2*x0[i]; d != want {
						t.Errorf("element %d: %v, want %v", i, d, want)
					}
				}
			})
		}
	}
}
