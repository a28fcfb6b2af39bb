package engine_test

import (
	"testing"

	"github.com/godcem/godcem/engine"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestSmoke(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"), G.WithValue(tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float64{1, 2, 3, 4, 5, 6}))))
	y := G.Must(G.Sum(G.Must(G.Square(x))))
	if _, err := G.Grad(y, x); err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	d, _ := x.Grad()
	t.Log(y.Value(), d, vm.Explain())
	vm.Close()
	t.Log(y.Value(), d)
}
