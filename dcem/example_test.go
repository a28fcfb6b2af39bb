package dcem_test

import (
	"fmt"
	"log"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An objective with a parameter, its minimum found by DCEM, and the parameter learnt through the solve: gradient descent
// on where the minimum should be.
func Example() {
	g, centre := G.NewGraph(), []float64{-1, 2}
	c := G.NewMatrix(g, tensor.Float64, G.WithName("c"), G.WithShape(1, 2),
		G.WithValue(tensor.New(tensor.WithShape(1, 2), tensor.WithBacking(centre))))
	solve, err := dcem.Unroll(g, func(x *G.Node) (*G.Node, error) { // |x - c|^2: (1, N, 2) -> (1, N)
		d := G.Must(G.Sub(x, G.Must(dcem.Expand(c, 100))))
		return G.Sum(G.Must(G.Square(d)), 2)
	}, dcem.Config{Dim: 2, Dtype: tensor.Float64})
	check(err)
	off := G.Must(G.Sub(solve.Answer, G.NewConstant(0.5))) // the minimum should be at (0.5, 0.5)
	loss := G.Must(G.Sum(G.Must(G.Square(off))))
	descent := kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1}
	vm, err := engine.NewVM(g, engine.WithUpdate(descent, loss, c)) // forward, backward and update as one compiled step
	check(err)
	for range 60 {
		check(vm.RunAll()) // with fresh noise each
	}
	check(vm.Close()) // brings c's value up to date
	fmt.Printf("%.1f\n", centre)
	// Output: [0.5 0.5]
}
