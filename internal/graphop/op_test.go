package graphop

import (
	"fmt"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// product is x*y, elementwise; closed under differentiation.
type product struct{ panics bool }

func (k product) String() string { return fmt.Sprintf("graphop.product{%v}", k.panics) }
func (k product) Run(out any, in []any) {
	if k.panics {
		panic("broken kernel")
	}
	for i, v := range in[0].([]float64) {
		out.([]float64)[i] = v * in[1].([]float64)[i]
	}
}
func (k product) Rules() []*Rule { return []*Rule{By(k, Gradient, 1), By(k, Gradient, 0)} }

func vectors(g *G.ExprGraph) (x, y *G.Node) {
	value := func(v ...float64) G.NodeConsOpt {
		return G.WithValue(tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v)))
	}
	return G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("x"), value(1, 2, 3)),
		G.NewVector(g, tensor.Float64, G.WithShape(3), G.WithName("y"), value(4, 5, 6))
}

func TestUnwantedGradientsAreNotBuilt(t *testing.T) {
	g := G.NewGraph()
	x, y := vectors(g)
	z, err := Apply(product{}, tensor.Float64, tensor.Shape{3}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	before := len(g.AllNodes())
	grads, err := z.Op().(*op).SymDiffFor([]bool{false, true}, G.Nodes{x, y}, z, x)
	if err != nil {
		t.Fatal(err)
	}
	if grads[0] != nil || grads[1] == nil {
		t.Errorf("gradients %v, want the second alone", grads)
	}
	if added := len(g.AllNodes()) - before; added != 1 {
		t.Errorf("%d nodes added for one gradient", added)
	}
}

func TestPanicOfAKernelIsAnError(t *testing.T) {
	g := G.NewGraph()
	x, y := vectors(g)
	z, err := Apply(product{panics: true}, tensor.Float64, tensor.Shape{3}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err == nil || !strings.Contains(err.Error(), "broken kernel") {
		t.Errorf("error %v, want one that says %q", err, "broken kernel")
	}
	_ = z
}

// The tensor that Do returns is handed to code that reshapes tensors in place; the op's own shape must not follow.
func TestResultDoesNotShareTheShape(t *testing.T) {
	g := G.NewGraph()
	x, y := vectors(g)
	z, err := Apply(product{}, tensor.Float64, tensor.Shape{3}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	v, err := z.Op().Do(x.Value(), y.Value())
	if err != nil {
		t.Fatal(err)
	}
	v.Shape()[0] = 7
	if v, err = z.Op().Do(x.Value(), y.Value()); err != nil || !v.Shape().Eq(tensor.Shape{3}) {
		t.Errorf("second result: %v, error %v", v, err)
	}
}

func TestWrongInputs(t *testing.T) {
	g := G.NewGraph()
	x, y := vectors(g)
	z, err := Apply(product{}, tensor.Float64, tensor.Shape{3}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	other := tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{1, 2}))
	for want, in := range map[string][]G.Value{
		"1 inputs, want 2":                         {x.Value()},
		"input 1 has no value":                     {x.Value(), nil},
		"input 0 has shape (2), want (3)":          {other, y.Value()},
		"elements of type bool, want float32, flo": {x.Value(), tensor.New(tensor.WithShape(3), tensor.Of(tensor.Bool))},
	} {
		if _, err := z.Op().Do(in...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
