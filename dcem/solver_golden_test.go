package dcem

import (
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
)

// bumps is -sum_i a_i exp(-(x-p_i)^2 - (y-q_i)^2) + 0.15 x cos y.
func bumps(params []float64, x, y float64) float64 {
	z := 0.15 * x * math.Cos(y)
	for i := range 3 {
		a, p, q := params[3*i], params[3*i+1], params[3*i+2]
		z -= a * math.Exp(-(x-p)*(x-p)-(y-q)*(y-q))
	}
	return z
}

func TestGoldenSolver(t *testing.T) {
	t.Run("float64", testGoldenSolver[float64])
	t.Run("float32", testGoldenSolver[float32])
}

func testGoldenSolver[T kernels.Float](t *testing.T) {
	check.Golden(t, "dcem_bumps.json", func(t *testing.T, c check.BumpsCase) {
		_, single := any(T(0)).(float32)
		solve := c.Solve(t, single)
		config := Config{Batch: c.Batch, Dim: c.D, Samples: c.N, Elites: c.K, Iterations: c.Iters, RawCosts: !c.Normalize,
			Mu: c.Mu0, Sigma: c.Sigma0, Hard: c.Temp == nil}
		if c.Temp != nil {
			config.Temperature = 1 / *c.Temp
		}
		if c.LB != nil {
			config.Lower = []float64{*c.LB}
		}
		if c.UB != nil {
			config.Upper = []float64{*c.UB}
		}
		problem := PerCandidate(func(_ int, x []T) T { return T(bumps(c.Params, float64(x[0]), float64(x[1]))) })
		s := mustSolver(t, problem, config, SolverOptions[T]{
			Noise: func(eps []T, _, draw uint64) error {
				copy(eps, check.Copy[T](c.Eps[draw]))
				return nil
			},
			Callback: func(it *Iteration[T]) (bool, error) {
				solve.Iterate(t, check.Copy[float64](it.Costs), check.Copy[float64](it.Weights),
					check.Copy[float64](it.Mu), check.Copy[float64](it.Sigma))
				return false, nil
			}})
		sol := mustSolve(t, s)
		solve.End(t)
		solve.Problems(t, "Mean", check.Copy[float64](sol.Mean), c.Mu, 1)
		solve.Problems(t, "Sigma", check.Copy[float64](sol.Sigma), c.Sigma, 1)
	})
}
