package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tol is what float64 values may differ by, relative to the largest of the array: 1e-12 is some thousand roundings.
const tol = 1e-12

// dense is a tensor of the given elements.
func dense[T any](data []T, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// normals is a tensor of standard normals.
func normals(seed uint64, shape ...int) *tensor.Dense {
	r := rand.New(rand.NewPCG(seed, 7))
	data := make([]float64, tensor.Shape(shape).TotalSize())
	for i := range data {
		data[i] = r.NormFloat64()
	}
	return dense(data, shape...)
}

func input(g *G.ExprGraph, name string, v *tensor.Dense) *G.Node {
	return G.NewTensor(g, v.Dtype(), v.Dims(), G.WithShape(v.Shape()...), G.WithName(name), G.WithValue(v))
}

// newVM is engine.NewVM; the VM is closed when the test ends.
func newVM(t testing.TB, g *G.ExprGraph, opts ...engine.Option) *engine.VM {
	t.Helper()
	vm, err := engine.NewVM(g, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return vm
}

func run(t testing.TB, vm G.VM) {
	t.Helper()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
}

// floats are the elements of a value in row-major order.
func floats(t testing.TB, v G.Value) []float64 {
	t.Helper()
	if v == nil {
		t.Fatal("no value")
	}
	data := v.Data()
	if d, ok := v.(*tensor.Dense); ok {
		if d.DataOrder().IsColMajor() {
			return byIndex(t, d)
		}
		data = d.Materialize().Data()
	}
	var out []float64
	switch d := data.(type) {
	case []float64:
		return append(out, d...)
	case float64:
		return []float64{d}
	case float32:
		return []float64{float64(d)}
	case []float32:
		for _, x := range d {
			out = append(out, float64(x))
		}
		return out
	}
	t.Fatalf("a value of %T", data)
	return nil
}

// byIndex is floats by asking for each element of a matrix.
func byIndex(t testing.TB, d *tensor.Dense) (out []float64) {
	t.Helper()
	for i := range d.Shape()[0] {
		for j := range d.Shape()[1] {
			v, err := d.At(i, j)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v.(float64))
		}
	}
	return out
}

// same compares two values: shape, type, and elements to a tolerance relative to the largest; 0 is to the bit.
func same(t testing.TB, what string, got, want G.Value, tolerance float64) {
	t.Helper()
	if got == nil || want == nil {
		t.Errorf("%s: %v, want %v", what, got, want)
		return
	}
	if got.Dtype() != want.Dtype() || got.Shape().TotalSize() != want.Shape().TotalSize() {
		t.Errorf("%s: a %T %v of shape %v, want a %T %v of shape %v",
			what, got, got.Dtype(), got.Shape(), want, want.Dtype(), want.Shape())
		return
	}
	if !got.Dtype().Eq(tensor.Float64) && !got.Dtype().Eq(tensor.Float32) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s: %s, want %s", what, g, w)
		}
		return
	}
	a, b := floats(t, got), floats(t, want)
	scale := 0.0
	for _, x := range b {
		scale = max(scale, math.Abs(x))
	}
	for i := range b {
		if a[i] != b[i] && !(math.Abs(a[i]-b[i]) <= tolerance*scale) {
			t.Errorf("%s: element %d is %v, want %v", what, i, a[i], b[i])
			return
		}
	}
}

// A model is a graph with the nodes that a test names.
type model struct {
	g      *G.ExprGraph
	x, y   *G.Node // data
	w      G.Nodes // parameters
	out    *G.Node
	loss   *G.Node
	hidden *G.Node
}

// mlp is a net of one hidden layer under a squared error; with gradients of the parameters by gorgonia.Grad if so
// said.
func mlp(t testing.TB, grad bool) *model {
	t.Helper()
	m := &model{g: G.NewGraph()}
	m.x = input(m.g, "x", normals(1, 8, 3))
	m.y = input(m.g, "y", normals(2, 8, 2))
	w1, b1 := input(m.g, "w1", normals(3, 3, 5)), input(m.g, "b1", normals(4, 1, 5))
	w2, b2 := input(m.g, "w2", normals(5, 5, 2)), input(m.g, "b2", normals(6, 1, 2))
	m.w = G.Nodes{w1, b1, w2, b2}
	m.hidden = G.Must(G.Tanh(G.Must(G.BroadcastAdd(G.Must(G.Mul(m.x, w1)), b1, nil, []byte{0}))))
	m.out = G.Must(G.BroadcastAdd(G.Must(G.Mul(m.hidden, w2)), b2, nil, []byte{0}))
	m.loss = G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(m.out, m.y))))))
	if grad {
		if _, err := G.Grad(m.loss, m.w...); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// hasParts fails t unless the error's message has all the parts.
func hasParts(t testing.TB, what string, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: error %q, want %q in it", what, err, p)
		}
	}
}
