package dcem

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
)

// Every field that a solver reads changes the answer: none is stored and forgotten.
func TestSolverSettingsMatter(t *testing.T) {
	base := Config{Batch: 2, Dim: 2, Samples: 40, Elites: 6, Iterations: 5, Sigma: []float64{2}}
	plain := solveEach(t, quadratic[float64], base, SolverOptions[float64]{})
	type config = func(c *Config)
	type options = func(o *SolverOptions[float64])
	for name, change := range map[string]any{
		"Samples":        config(func(c *Config) { c.Samples = 41 }),
		"Elites":         config(func(c *Config) { c.Elites = 7 }),
		"Iterations":     config(func(c *Config) { c.Iterations = 6 }),
		"Temperature":    config(func(c *Config) { c.Temperature = 0.5 }),
		"Hard":           config(func(c *Config) { c.Hard = true }),
		"Relaxation":     config(func(c *Config) { c.Relaxation = kernels.ConstrainedSoftmax }),
		"RawCosts":       config(func(c *Config) { c.RawCosts = true }),
		"Lower":          config(func(c *Config) { c.Lower = []float64{-0.5} }),
		"Upper":          config(func(c *Config) { c.Upper = []float64{0.5} }),
		"Mu":             config(func(c *Config) { c.Mu = []float64{0.5} }),
		"Sigma":          config(func(c *Config) { c.Sigma = []float64{1} }),
		"SigmaMin":       config(func(c *Config) { c.SigmaMin = 1.9 }),
		"Seed":           config(func(c *Config) { c.Seed = 1 }),
		"Draw":           config(func(c *Config) { c.Draw = 1 }),
		"MuTolerance":    options(func(o *SolverOptions[float64]) { o.MuTolerance = 0.3 }),
		"SigmaTolerance": options(func(o *SolverOptions[float64]) { o.SigmaTolerance = 0.8 }),
		"MuSmoothing":    options(func(o *SolverOptions[float64]) { o.MuSmoothing = 0.1 }),
		"SigmaSmoothing": options(func(o *SolverOptions[float64]) { o.SigmaSmoothing = 0.1 }),
		"KeepElites":     options(func(o *SolverOptions[float64]) { o.KeepElites = 2 }),
		"Problem0":       options(func(o *SolverOptions[float64]) { o.Problem0 = 1 }),
		"Project": options(func(o *SolverOptions[float64]) {
			o.Project = func(_ int, x []float64) { x[1] = math.Round(x[1]) }
		}),
		"Noise": options(func(o *SolverOptions[float64]) {
			o.Noise = func(eps []float64, run, draw uint64) error { kernels.Normal(eps, 0, draw, run+1, 0); return nil }
		}),
		"Callback": options(func(o *SolverOptions[float64]) {
			o.Callback = func(it *Iteration[float64]) (bool, error) { return it.Iteration == 2, nil }
		}),
	} {
		t.Run(name, func(t *testing.T) {
			c, o := base, SolverOptions[float64]{}
			switch change := change.(type) {
			case config:
				change(&c)
			case options:
				change(&o)
			}
			sol := solveEach(t, quadratic[float64], c, o)
			if slices.Equal(sol.Mu, plain.Mu) && slices.Equal(sol.Sigma, plain.Sigma) {
				t.Errorf("the answer does not depend on %s", name)
			}
		})
	}
}

func TestEvaluateMean(t *testing.T) {
	// In six dimensions the mean of the elites beats every candidate of a bowl, so it is the best point.
	const d = 6
	c := Config{Batch: 2, Dim: d, Samples: 40, Elites: 6, Iterations: 5, Sigma: []float64{2}}
	solve := func(o SolverOptions[float64]) *Solution[float64] {
		return solveEach(t, quadratic[float64], c, o)
	}
	plain, sol := solve(SolverOptions[float64]{}), solve(SolverOptions[float64]{EvaluateMean: true})
	if plain.MeanCost != nil {
		t.Errorf("without the option MeanCost = %v, want nil", plain.MeanCost)
	}
	sameBits(t, "Mean", sol.Mean, plain.Mean)
	sameBits(t, "MeanCost", sol.MeanCost, []float64{quadratic(0, sol.Mean[:d]), quadratic(1, sol.Mean[d:])})
	sameBits(t, "BestCost", sol.BestCost, sol.MeanCost)
	sameBits(t, "Best", sol.Best, sol.Mean)
	if !(sol.BestCost[0] < plain.BestCost[0] && sol.BestCost[1] < plain.BestCost[1]) {
		t.Errorf("BestCost = %v, want less than the candidates' %v", sol.BestCost, plain.BestCost)
	}
	// With Project, which the mean has not been through, it does not compete.
	projected := solve(SolverOptions[float64]{EvaluateMean: true, Project: func(int, []float64) {}})
	sameBits(t, "Best with Project", projected.Best, plain.Best)
	sameBits(t, "MeanCost with Project", projected.MeanCost, sol.MeanCost)
}

// A batch with early stop equals its problems solved one at a time, bit for bit, whatever they are solved beside.
func TestBatchEqualsSingleSolves(t *testing.T) {
	bothTypes(t, testBatchEqualsSingleSolves[float32], testBatchEqualsSingleSolves[float64])
}

func testBatchEqualsSingleSolves[T kernels.Float](t *testing.T) {
	const batch, dim = 5, 3
	// The problems stop at different times, and problem 3, where all candidates are alike, not at all.
	scaled := func(problem int, x []T) T {
		if problem == 3 {
			return 1
		}
		return quadratic(problem, x) + T(0.3)*T(math.Cos(float64(x[0])*float64(2+problem)))
	}
	starts := make([]float64, batch*dim)
	for i := range starts {
		starts[i] = float64(i%4) - 1
	}
	for name, hard := range map[string]bool{"soft": false, "hard": true} {
		t.Run(name, func(t *testing.T) {
			c := Config{Batch: batch, Dim: dim, Samples: 33, Elites: 6, Iterations: 20, Hard: hard, Temperature: 0.2,
				Mu: starts, Seed: 2}
			o := SolverOptions[T]{MuTolerance: 0.03, SigmaTolerance: 0.05, KeepElites: 2, SigmaSmoothing: 0.1,
				Project: func(problem int, x []T) { x[2] = min(x[2], 2+T(problem)) }}
			var calls atomic.Int64
			together := solveEach(t, func(problem int, x []T) T { calls.Add(1); return scaled(problem, x) }, c, o)
			ends, want := map[int]bool{}, 0
			for b := range batch {
				want += c.Samples * together.Diagnoses[b].Iterations
				alone, first := c, o
				alone.Batch, alone.Mu, first.Problem0 = 1, starts[b*dim:(b+1)*dim], b
				first.Project = func(_ int, x []T) { o.Project(b, x) }
				one := solveEach(t, func(_ int, x []T) T { return scaled(b, x) }, alone, first)
				sameSolution(t, together, b, one, 0)
				ends[one.Iterations] = true
			}
			if calls.Load() != int64(want) {
				t.Errorf("the objective was called for %d candidates, want %d: those of problems that have not stopped",
					calls.Load(), want)
			}
			if len(ends) < 3 || together.Diagnoses[3].Status == Converged || together.Diagnoses[0].Status != Converged {
				t.Errorf("the problems end after %v iterations, problem 3 %v: want several different ends, problem 3 not converged",
					ends, together.Diagnoses[3].Status)
			}
			// A plain Costs objective computes the stopped problems too, and must not change them by it.
			all := CostFunc[T](func(costs, x []T) error {
				for i := range costs {
					costs[i] = scaled(i/c.Samples, x[i*dim:(i+1)*dim])
				}
				return nil
			})
			again := mustSolve(t, mustSolver(t, all, c, o))
			for b := range batch {
				sameSolution(t, again, b, together, b)
			}
		})
	}
}

// Tolerances stop a problem after the first iteration that meets their definition, worked out here on the trace of a
// solve without them.
func TestTolerances(t *testing.T) {
	ends := map[int]bool{}
	for _, tol := range []struct{ mu, sigma, floor float64 }{
		{0.05, 0, 0}, {0, 0.03, 0}, {0.001, 0.2, 0}, {0.3, 0.001, 0}, {1e-12, 0, 0}, {0, 1e-9, 0.01},
	} {
		c := Config{Dim: 2, Samples: 60, Elites: 8, Iterations: 12, Hard: true, Sigma: []float64{4, 0.5},
			SigmaMin: tol.floor}
		var mus, sigmas [][]float64
		solveEach(t, quadratic[float64], c, SolverOptions[float64]{Callback: func(it *Iteration[float64]) (bool, error) {
			mus, sigmas = append(mus, slices.Clone(it.Mu)), append(sigmas, slices.Clone(it.Sigma))
			return false, nil
		}})
		want, prev := 0, []float64{0, 0}
		for met := false; !met && want < c.Iterations; want++ {
			met = true
			for d, sigma0 := range c.Sigma {
				if tol.mu > 0 && math.Abs(mus[want][d]-prev[d]) > tol.mu*sigma0 ||
					tol.sigma > 0 && sigmas[want][d] > max(tol.sigma*sigma0, tol.floor) {
					met = false
				}
			}
			prev = mus[want]
		}
		sol := solveEach(t, quadratic[float64], c, SolverOptions[float64]{MuTolerance: tol.mu, SigmaTolerance: tol.sigma})
		if sol.Iterations != want {
			t.Errorf("%+v: %d iterations, want %d", tol, sol.Iterations, want)
		}
		ends[sol.Iterations] = true
	}
	if len(ends) < 4 || !ends[12] {
		t.Errorf("the solves end after %v iterations, want at least 4 different ends and the limit among them", ends)
	}
}

// Stopped problems stay frozen in every array that the callback sees, and are left out of the objective.
func TestStoppedProblemsAreFrozen(t *testing.T) {
	type rows struct{ x, costs, weights, mu, sigma, best []float64 }
	const batch, dim, n = 4, 2, 20
	var frozen [batch]*rows
	cut := func(v []float64, b, size int) []float64 { return slices.Clone(v[b*size : (b+1)*size]) }
	last := 0
	o := SolverOptions[float64]{SigmaTolerance: 0.2, Callback: func(it *Iteration[float64]) (bool, error) {
		for b, active := range it.Active {
			now := &rows{cut(it.X, b, n*dim), cut(it.Costs, b, n), cut(it.Weights, b, n),
				cut(it.Mu, b, dim), cut(it.Sigma, b, dim), cut(it.Best, b, dim)}
			if !active {
				for i, v := range [][2][]float64{{now.x, frozen[b].x}, {now.costs, frozen[b].costs},
					{now.weights, frozen[b].weights},
					{now.mu, frozen[b].mu}, {now.sigma, frozen[b].sigma}, {now.best, frozen[b].best}} {
					sameBits(t, fmt.Sprintf("problem %d, array %d", b, i), v[0], v[1])
				}
			}
			frozen[b] = now
		}
		last = it.Running
		return false, nil
	}}
	s := mustSolver(t, PerCandidate(func(problem int, x []float64) float64 {
		return float64(problem%3+1)*quadratic(problem, x) + math.Sin(float64(5*problem)*x[0])
	}), Config{Batch: batch, Dim: dim, Samples: n, Elites: 5, Iterations: 30}, o)
	sol := mustSolve(t, s)
	if sol.Iterations >= 30 || !sol.Converged() || last == batch {
		t.Errorf("%d iterations, the last with %d problems, converged %v: want an early end with some stopped before",
			sol.Iterations, last, sol.Converged())
	}
}

// An ActiveObjective of the user's is told which problems count.
func TestActiveObjective(t *testing.T) {
	o := &activeCounter{inner: quadratic[float64], n: 30}
	s := mustSolver(t, o, Config{Batch: 3, Dim: 2, Samples: 30, Elites: 5, Iterations: 30, Hard: true},
		SolverOptions[float64]{MuTolerance: 0.02})
	sol := mustSolve(t, s)
	if !sol.Converged() || o.plain == 0 || o.partly == 0 {
		t.Errorf("converged %v after %d calls for all and %d for some problems, want both kinds", sol.Converged(),
			o.plain, o.partly)
	}
}

type activeCounter struct {
	inner         func(int, []float64) float64
	n             int
	plain, partly int
}

func (o *activeCounter) Costs(costs, x []float64) error {
	o.plain++
	return o.fill(costs, x, nil)
}

func (o *activeCounter) ActiveCosts(costs, x []float64, active []bool) error {
	o.partly++
	if !slices.Contains(active, false) || !slices.Contains(active, true) {
		return fmt.Errorf("called with active = %v", active)
	}
	return o.fill(costs, x, active)
}

func (o *activeCounter) fill(costs, x []float64, active []bool) error {
	d := len(x) / len(costs)
	for i := range costs {
		if b := i / o.n; active == nil || active[b] {
			costs[i] = o.inner(b, x[i*d:(i+1)*d])
		}
	}
	return nil
}

func TestKeepElites(t *testing.T) {
	const n, d, keep = 25, 2, 3
	var kept []float64
	o := SolverOptions[float64]{KeepElites: keep, Callback: func(it *Iteration[float64]) (bool, error) {
		if kept != nil {
			sameBits(t, "carried candidates", it.X[(n-keep)*d:], kept)
		}
		order := make([]int32, keep)
		kernels.TopK[float64](nil, order, nil, it.Costs, 1, n, keep)
		kept = nil
		for _, i := range order {
			kept = append(kept, it.X[int(i)*d:int(i+1)*d]...)
		}
		return false, nil
	}}
	s := mustSolver(t, PerCandidate(quadratic[float64]), Config{Dim: d, Samples: n, Elites: 5, Iterations: 4}, o)
	first := mustSolve(t, s)
	// A new solve carries nothing over from the last.
	kept = nil
	s.SetRun(0)
	sameSolution(t, mustSolve(t, s), 0, first, 0)
}

// A problem with fewer finite costs than it should keep carries nothing over; its last candidates are fresh ones.
func TestKeepElitesAmongFew(t *testing.T) {
	var seen [][]float64
	o := SolverOptions[float64]{KeepElites: 2, Callback: func(it *Iteration[float64]) (bool, error) {
		seen = append(seen, slices.Clone(it.X))
		return false, nil
	}}
	nan := CostFunc[float64](func(costs, x []float64) error { costs[0] = 1; return nil })
	c := Config{Dim: 1, Samples: 6, Elites: 2, Iterations: 2}
	mustSolve(t, mustSolver(t, nan, c, o))
	want := make([]float64, 6)
	kernels.Normal(want, 0, 1, 0, 0)
	sameBits(t, "candidates of iteration 1, from the start's mu = 0 and sigma = 1", seen[1], want)
}

func TestSolverSmoothing(t *testing.T) {
	const alpha = 0.25
	c := Config{Dim: 2, Samples: 30, Elites: 5, Iterations: 1, Mu: []float64{3}, Sigma: []float64{2}, SigmaMin: 1.9}
	plain := solveEach(t, quadratic[float64], c, SolverOptions[float64]{})
	held := solveEach(t, quadratic[float64], c, SolverOptions[float64]{MuSmoothing: alpha, SigmaSmoothing: alpha})
	mu, sigma := make([]float64, 2), make([]float64, 2)
	for d := range mu {
		mu[d] = alpha*3 + (1-alpha)*plain.Mu[d]
		sigma[d] = alpha*2 + (1-alpha)*plain.Sigma[d]
	}
	// One rounding each.
	check.Close(t, "Mu", held.Mu, mu, 1e-15)
	check.Close(t, "Sigma", held.Sigma, sigma, 1e-15)
	// Below the floor at the start, sigma is lifted to it.
	c.Sigma = []float64{0.5}
	held = solveEach(t, quadratic[float64], c, SolverOptions[float64]{SigmaSmoothing: 0.9})
	sameBits(t, "Sigma", held.Sigma, []float64{1.9, 1.9})
}

func TestSolverNoise(t *testing.T) {
	c := Config{Batch: 2, Dim: 3, Samples: 20, Elites: 4, Iterations: 3, Seed: 8, Draw: 40}
	want := solveEach(t, quadratic[float32], c, SolverOptions[float32]{})
	var draws []uint64
	got := solveEach(t, quadratic[float32], c, SolverOptions[float32]{
		Noise: func(eps []float32, run, draw uint64) error {
			draws = append(draws, draw)
			kernels.Normal(eps, 8, draw, run, 0)
			return nil
		}})
	for b := range c.Batch {
		sameSolution(t, got, b, want, b)
	}
	if !slices.Equal(draws, []uint64{40, 41, 42}) {
		t.Errorf("draws %v, want 40 to 42", draws)
	}
}

func TestSolverProject(t *testing.T) {
	onCircle := func(problem int, x []float64) {
		r := math.Hypot(x[0], x[1]) / float64(problem+1)
		x[0], x[1] = x[0]/r, x[1]/r
	}
	seen := 0
	s := mustSolver(t, PerCandidate(quadratic[float64]),
		Config{Batch: 2, Dim: 2, Samples: 30, Iterations: 5, Hard: true, Mu: []float64{1}},
		SolverOptions[float64]{Project: onCircle, Callback: func(it *Iteration[float64]) (bool, error) {
			for i := 0; i < len(it.X); i += 2 {
				// Within rounding of the radius of its problem, 1 or 2.
				if r := math.Hypot(it.X[i], it.X[i+1]); !(math.Abs(r-float64(i/60+1)) <= 1e-12) {
					t.Errorf("candidate %d has radius %v", i/2, r)
				}
				seen++
			}
			return false, nil
		}})
	mustSolve(t, s)
	if seen != 5*60 {
		t.Errorf("saw %d candidates, want 300", seen)
	}
}

func TestSolverBest(t *testing.T) {
	lowest, at := []float64{math.Inf(1), math.Inf(1)}, make([]float64, 2)
	f := CostFunc[float64](func(costs, x []float64) error {
		for i, v := range x {
			costs[i] = math.Abs(v-0.3) + 0.5*math.Sin(40*v)
			if b := i / 15; costs[i] < lowest[b] {
				lowest[b], at[b] = costs[i], v
			}
		}
		return nil
	})
	s := mustSolver(t, f, Config{Batch: 2, Dim: 1, Samples: 15, Elites: 5, Iterations: 8}, SolverOptions[float64]{})
	sol, err := s.Solve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sameBits(t, "BestCost", sol.BestCost, lowest)
	sameBits(t, "Best", sol.Best, at)

	// Among equals, the first found is kept.
	var first []float64
	flat := mustSolver(t, PerCandidate(func(int, []float64) float64 { return 7 }), Config{Dim: 2, Samples: 15},
		SolverOptions[float64]{
			Callback: func(it *Iteration[float64]) (bool, error) {
				if it.Iteration == 0 {
					first = slices.Clone(it.X[:2])
				}
				return false, nil
			}})
	sameBits(t, "Best among equals", mustSolve(t, flat).Best, first)
}
