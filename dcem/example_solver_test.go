package dcem_test

import (
	"context"
	"fmt"

	"github.com/godcem/godcem/dcem"
)

// Two problems, solved at once: the point nearest to a target, within bounds.
func ExampleSolver() {
	targets := [][]float64{{1, 2}, {-3, 0.5}}
	distance := func(problem int, x []float64) float64 {
		dx, dy := x[0]-targets[problem][0], x[1]-targets[problem][1]
		return dx*dx + dy*dy
	}
	s, err := dcem.NewSolver(dcem.PerCandidate(distance),
		dcem.Config{Batch: 2, Dim: 2, Iterations: 50, Hard: true, Sigma: []float64{2}, Lower: []float64{-2},
			Upper: []float64{2}},
		dcem.SolverOptions[float64]{MuTolerance: 1e-3, SigmaTolerance: 1e-3})
	if err != nil {
		fmt.Println(err)
		return
	}
	sol, err := s.Solve(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for b, d := range sol.Diagnoses {
		fmt.Printf("%.2f %v\n", sol.Mean[2*b:2*b+2], d.Status)
	}
	// Output:
	// [1.00 2.00] converged
	// [-2.00 0.50] converged
}

// One iteration at a time, the next solve starting from the answer of the last: the pattern of a controller.
func ExampleSolver_Step() {
	target := 0.5
	s, err := dcem.NewSolver(dcem.PerCandidate(func(_ int,
		x []float64) float64 {
		return (x[0] - target) * (x[0] - target)
	}),
		dcem.Config{Dim: 1, Iterations: 8, Hard: true}, dcem.SolverOptions[float64]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		for done := false; !done; {
			info, err := s.Step(context.Background())
			if err != nil {
				fmt.Println(err)
				return
			}
			done = info.Done
		}
		fmt.Printf("%.2f\n", s.Solution().Mean)
		target += 0.25
		s.Warm()
	}
	// Output:
	// [0.50]
	// [0.75]
	// [1.00]
}
