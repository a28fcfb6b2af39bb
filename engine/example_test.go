package engine_test

import (
	"fmt"
	"hash"
	"hash/fnv"
	"math"

	"github.com/chewxy/hm"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A VM stands where a TapeMachine stood.
func ExampleNewVM() {
	g := G.NewGraph()
	x := G.NewScalar(g, G.Float64, G.WithName("x"))
	y := G.NewScalar(g, G.Float64, G.WithName("y"))
	z := G.Must(G.Mul(x, y))
	_, err := G.Grad(z, x, y)
	must(err)

	vm, err := engine.NewVM(g) // was: G.NewTapeMachine(g)
	must(err)
	defer vm.Close()
	must(G.Let(x, 2.0))
	must(G.Let(y, 2.5))
	must(vm.RunAll())

	dx, err := x.Grad()
	must(err)
	fmt.Println(z.Value(), dx)
	// Output: 5 2.5
}

// A training step in one program: the line y = 2x + 1.
func ExampleWithUpdate() {
	g := G.NewGraph()
	x := G.NewVector(g, G.Float64, G.WithName("x"), G.WithShape(4),
		G.WithValue(tensor.New(tensor.WithBacking([]float64{-1, 0, 1, 2}))))
	y := G.NewVector(g, G.Float64, G.WithName("y"), G.WithShape(4),
		G.WithValue(tensor.New(tensor.WithBacking([]float64{-1, 1, 3, 5}))))
	slope := G.NewScalar(g, G.Float64, G.WithName("slope"), G.WithValue(0.0))
	offset := G.NewScalar(g, G.Float64, G.WithName("offset"), G.WithValue(0.0))
	line := G.Must(G.Add(G.Must(G.Mul(x, slope)), offset))
	loss := G.Must(G.Mean(G.Must(G.Square(G.Must(G.Sub(line, y))))))

	adam := kernels.Optimizer{Rate: 0.1, ClipNorm: 1}
	vm, err := engine.NewVM(g, engine.WithUpdate(adam, loss, slope, offset))
	must(err)
	for range 400 {
		must(vm.RunAll())
	}
	must(vm.Close()) // writes slope and offset to their nodes; vm.Sync does it in between
	fmt.Printf("y = %.2fx + %.2f\n", slope.Value(), offset.Value())
	// Output: y = 2.00x + 1.00
}

// swish is x*sigmoid(x), an op of another package: Gorgonia runs its Do, the engine compiles what its Lower says.
type swish struct{ shape tensor.Shape }

var _ engine.Lowerer = swish{}

// Lower says the op in the engine's terms, so that it fuses with what is around it.
func (o swish) Lower(b *engine.Builder, in []engine.ID) (engine.ID, error) {
	return b.Binary(ir.Mul, in[0], b.Unary(ir.Sigmoid, in[0])), b.Err()
}

func (o swish) Do(in ...G.Value) (G.Value, error) {
	v, err := G.CloneValue(in[0])
	if err != nil {
		return nil, err
	}
	x := v.Data().([]float64)
	for i := range x {
		x[i] /= 1 + math.Exp(-x[i])
	}
	return v, nil
}

func (o swish) Arity() int { return 1 }
func (o swish) Type() hm.Type {
	t := G.TensorType{Dims: len(o.shape), Of: G.Float64}
	return hm.NewFnType(t, t)
}
func (o swish) InferShape(in ...G.DimSizer) (tensor.Shape, error) { return o.shape, nil }
func (o swish) ReturnsPtr() bool                                  { return false }
func (o swish) CallsExtern() bool                                 { return false }
func (o swish) OverwritesInput() int                              { return -1 }
func (o swish) String() string                                    { return "swish" }
func (o swish) WriteHash(h hash.Hash)                             { fmt.Fprint(h, "swish", o.shape) }
func (o swish) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// An op of another package is compiled if it is a Lowerer.
func ExampleLowerer() {
	g := G.NewGraph()
	x := G.NewVector(g, G.Float64, G.WithName("x"), G.WithShape(3),
		G.WithValue(tensor.New(tensor.WithBacking([]float64{-1, 0, 2}))))
	y := G.Must(G.ApplyOp(swish{x.Shape()}, x))
	vm, err := engine.NewVM(g)
	must(err)
	defer vm.Close()
	must(vm.RunAll())
	fmt.Printf("%.4f, %d ops on the host\n", y.Value().Data(), len(vm.Explain().Fallbacks))
	// Output: [-0.2689 0.0000 1.7616], 0 ops on the host
}
