package dcem_test

import (
	"context"
	"fmt"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// cart is a cart on a rail in steps of 0.1 s: the state (position, speed), the control an acceleration. The matrices of
// x' = x a + u b are nodes, b of shape (1, 2).
func cart(a, b *G.Node) dcem.Model {
	return dcem.Model{
		States: 2, Controls: 1,
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) {
			return G.Add(G.Must(G.Mul(x, a)), G.Must(G.Mul(u, b)))
		},
		Cost: func(_ int, x, u *G.Node) (*G.Node, error) { // |x|^2 + 0.01 u^2
			effort := G.Must(G.Mul(G.NewConstant(0.01), G.Must(G.Sum(G.Must(G.Square(u)), 1))))
			return G.Add(G.Must(G.Sum(G.Must(G.Square(x)), 1)), effort)
		},
	}
}

func matrix(g *G.ExprGraph, name string, rows int, v ...float64) *G.Node {
	value := tensor.New(tensor.WithShape(rows, len(v)/rows), tensor.WithBacking(v))
	return G.NewMatrix(g, tensor.Float64, G.WithName(name), G.WithShape(rows, len(v)/rows), G.WithValue(value))
}

// A cart is brought to rest in closed loop.
func ExampleController() {
	g := G.NewGraph()
	model := cart(matrix(g, "a", 2, 1, 0, 0.1, 1), matrix(g, "b", 1, 0, 0.1))
	c, err := dcem.NewController[float64](g, model, dcem.PlanConfig{
		Config:  dcem.Config{Samples: 200, Elites: 20, Hard: true, Lower: []float64{-2}, Upper: []float64{2}},
		Horizon: 15, Knots: 5, Spline: dcem.SplineLinear,
	}, dcem.ControllerOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	x := []float64{1, 0}
	for range 60 {
		u, err := c.Act(context.Background(), x)
		if err != nil {
			fmt.Println(err)
			return
		}
		x[0], x[1] = x[0]+0.1*x[1], x[1]+0.1*u[0]
	}
	fmt.Println("at rest:", x[0]*x[0]+x[1]*x[1] < 1e-3)
	// Output: at rest: true
}

// The strength of a cart's motor is learnt from the controls that a planner with the true one has chosen, by gradients
// through the plan.
func ExamplePlan() {
	config := dcem.PlanConfig{Config: dcem.Config{Samples: 100, Elites: 20, Iterations: 5, Temperature: 0.1}, Horizon: 8}
	plan := func(g *G.ExprGraph, strength *G.Node) (*dcem.Planned, error) {
		b := G.Must(G.Mul(strength, matrix(g, "unit", 1, 0, 0.1)))
		model := cart(matrix(g, "a", 2, 1, 0, 0.1, 1), b)
		return dcem.Plan(g, matrix(g, "x0", 3, 1, 0, -0.5, 1, 0.3, -1), model, config)
	}
	g := G.NewGraph()
	strength := matrix(g, "strength", 1, 1)
	truth := matrix(g, "truth", 1, 2)
	got, err := plan(g, strength)
	if err != nil {
		fmt.Println(err)
		return
	}
	config.Run = got.Run // the expert with the same noise
	want, err := plan(g, truth)
	if err != nil {
		fmt.Println(err)
		return
	}
	off := G.Must(G.Sub(got.Controls, want.Controls))
	loss := G.Must(G.Sum(G.Must(G.Square(off))))
	vm, err := engine.NewVM(g, engine.WithUpdate(kernels.Optimizer{Rate: 0.03}, loss, strength)) // Adam
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 300 {
		if err := vm.RunAll(); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := vm.Close(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f\n", strength.Value().Data())
	// Output: [2.00]
}
