package dcem

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func lifeConfig() Config {
	return Config{Batch: 2, Dim: 2, Samples: 30, Elites: 5, Iterations: 6, Hard: true, Lower: []float64{-2},
		Upper: []float64{2}}
}

// Step by Step gives what Solve gives, and ends where it ends.
func TestStepIsSolve(t *testing.T) {
	ctx := context.Background()
	want := solveEach(t, quadratic[float64], lifeConfig(), SolverOptions[float64]{})
	s := mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(), SolverOptions[float64]{})
	for i := range 6 {
		if sol := s.Solution(); sol.Diagnoses[0].Status != Running || sol.Iterations != i {
			t.Errorf("after %d steps: %v after %d iterations, want running", i, sol.Diagnoses[0].Status, sol.Iterations)
		}
		info, err := s.Step(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.Iteration != i || info.Running != 2 || info.Excluded != 0 || info.Kept != 0 || info.Done != (i == 5) {
			t.Errorf("step %d: %+v", i, info)
		}
		d := s.Solution().Diagnoses
		if m := max(d[0].MuChange, d[1].MuChange); info.MuChange != m || !(m > 0) {
			t.Errorf("step %d: MuChange = %v, want the problems' maximum %v, above 0", i, info.MuChange, m)
		}
		if m := max(d[0].SigmaRatio, d[1].SigmaRatio); info.SigmaRatio != m || !(m > 0) {
			t.Errorf("step %d: SigmaRatio = %v, want the problems' maximum %v, above 0", i, info.SigmaRatio, m)
		}
	}
	for b := range 2 {
		sameSolution(t, s.Solution(), b, want, b)
	}
	if _, err := s.Step(ctx); err == nil || !strings.Contains(err.Error(), "has ended after 6 iterations") {
		t.Errorf("a step after the end: error %v", err)
	}
	// Solve begins another; Steps before Solve are part of it.
	s.SetRun(0)
	if err := s.Reset(nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	sol := mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, sol, b, want, b)
	}
}

// Each solve takes the next run number; the same number gives the same bits.
func TestRunNumbers(t *testing.T) {
	s := mustSolver(t, PerCandidate(quadratic[float32]), lifeConfig(), SolverOptions[float32]{})
	var sols []*Solution[float32]
	for run := range 3 {
		sol := mustSolve(t, s)
		if sol.Run != uint64(run) {
			t.Errorf("solve %d has run number %d", run, sol.Run)
		}
		for i, other := range sols {
			if slices.Equal(sol.Mu, other.Mu) {
				t.Errorf("solves %d and %d have the same noise", i, run)
			}
		}
		sols = append(sols, sol)
	}
	s.SetRun(1)
	again := mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, again, b, sols[1], b)
	}
	if next := mustSolve(t, s); next.Run != 2 || !slices.Equal(next.Mu, sols[2].Mu) {
		t.Errorf("after run 1 comes run %d, want 2 with its bits", next.Run)
	}
	// Abandoned after one step, a solve has still used its number.
	s.Warm()
	if _, err := s.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Warm()
	if sol := mustSolve(t, s); sol.Run != 4 {
		t.Errorf("run %d after an abandoned run 3, want 4", sol.Run)
	}
}

func TestResetAndWarm(t *testing.T) {
	c := lifeConfig()
	s := mustSolver(t, PerCandidate(quadratic[float64]), c, SolverOptions[float64]{})
	// Warm before anything was solved changes nothing.
	s.Warm()
	first := mustSolve(t, s)
	c.Mu, c.Sigma = first.Mean, []float64{1}
	want := mustSolver(t, PerCandidate(quadratic[float64]), c, SolverOptions[float64]{})
	want.SetRun(1)
	expected := mustSolve(t, want)

	s.Warm()
	warm := mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, warm, b, expected, b)
	}
	s.SetRun(1)
	if err := s.Reset(first.Mean, nil); err != nil {
		t.Fatal(err)
	}
	reset := mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, reset, b, expected, b)
	}

	// D values stand for every problem alike.
	c.Mu, c.Sigma = []float64{0.5, -0.5}, []float64{0.25, 2}
	s.SetRun(0)
	if err := s.Reset([]float64{0.5, -0.5}, []float64{0.25, 2}); err != nil {
		t.Fatal(err)
	}
	got, expected := mustSolve(t, s), solveEach(t, quadratic[float64], c, SolverOptions[float64]{})
	for b := range 2 {
		sameSolution(t, got, b, expected, b)
	}

	// Warm starts from the clamped mean.
	outside := mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(), SolverOptions[float64]{})
	if err := outside.Reset([]float64{5, 0}, nil); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "Mean", outside.Solution().Mean, []float64{2, 0, 2, 0})
	outside.Warm()
	sameBits(t, "Mu", outside.Solution().Mu, []float64{2, 0, 2, 0})

	for _, bad := range []struct {
		mu, sigma []float64
		want      string
	}{
		{[]float64{1}, nil, "mu has 1 values, want Dim = 2 or Batch*Dim = 4"},
		{nil, []float64{1, 2, 3}, "sigma has 3 values"},
		{[]float64{}, nil, "mu has 0 values"},
		{[]float64{0, math.NaN()}, nil, "mu[1] = NaN, want a finite number"},
		{nil, []float64{1, -1}, "sigma[1] = -1, want a finite number of at least 0"},
		{nil, []float64{math.Inf(1), 1}, "sigma[0] = +Inf"},
	} {
		before := s.Solution()
		if err := s.Reset(bad.mu, bad.sigma); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("Reset(%v, %v): error %v, want %q", bad.mu, bad.sigma, err, bad.want)
		}
		sameSolution(t, s.Solution(), 0, before, 0)
	}
}

// An interrupted solve loses nothing, and goes on to the bits of an uninterrupted one.
func TestCancellation(t *testing.T) {
	want := solveEach(t, quadratic[float64], lifeConfig(), SolverOptions[float64]{KeepElites: 2})
	var third *Solution[float64]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var s *Solver[float64]
	s = mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(),
		SolverOptions[float64]{KeepElites: 2, EvaluateMean: true,
			Callback: func(it *Iteration[float64]) (bool, error) {
				if it.Iteration == 2 {
					third = s.Solution()
					cancel()
				}
				return false, nil
			}})
	sol, err := s.Solve(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "before iteration 3") {
		t.Fatalf("error %v, want context.Canceled before iteration 3", err)
	}
	if sol.Iterations != 3 || sol.MeanCost != nil {
		t.Errorf("%d iterations and MeanCost %v, want 3 and none", sol.Iterations, sol.MeanCost)
	}
	sameBits(t, "Mu", sol.Mu, third.Mu)
	sameBits(t, "Best", sol.Best, third.Best)
	for b, d := range sol.Diagnoses {
		if d.Status != Cancelled || third.Diagnoses[b].Status != Running {
			t.Errorf("problem %d is %v, and %v before; want cancelled, running", b, d.Status, third.Diagnoses[b].Status)
		}
	}
	if _, err := s.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if d := s.Solution().Diagnoses[0]; d.Status != Running || d.Iterations != 4 {
		t.Errorf("one step on: %v, want running after 4 iterations", d)
	}
	rest, err := s.Solve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sameBits(t, "Mu", rest.Mu, want.Mu)
	sameBits(t, "Sigma", rest.Sigma, want.Sigma)
	if rest.Run != want.Run || rest.Iterations != 6 || rest.Diagnoses[0] != want.Diagnoses[0] {
		t.Errorf("run %d, %d iterations, %v; want those of the uninterrupted solve", rest.Run, rest.Iterations,
			rest.Diagnoses[0])
	}

	// A context that is over from the start leaves the starting point.
	fresh := mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(), SolverOptions[float64]{})
	sol, err = fresh.Solve(ctx)
	if !errors.Is(err, context.Canceled) || sol.Iterations != 0 || sol.Diagnoses[1].Status != Cancelled ||
		sol.Diagnoses[1].Iterations != 0 {
		t.Errorf("error %v, solution %+v; want a cancelled start", err, sol)
	}
	sameBits(t, "Best", sol.Best, make([]float64, 4))
	if !math.IsInf(sol.BestCost[0], 1) {
		t.Errorf("BestCost = %v, want +Inf", sol.BestCost[0])
	}
	if again := mustSolve(t, fresh); again.Run != 0 {
		t.Errorf("run %d after a solve that never began, want 0", again.Run)
	}
}

func TestCallback(t *testing.T) {
	var calls []string
	objective := CostFunc[float64](func(costs, x []float64) error {
		calls = append(calls, "costs")
		for i := range costs {
			costs[i] = quadratic(i/30, x[2*i:2*i+2])
		}
		return nil
	})
	var s *Solver[float64]
	callback := func(it *Iteration[float64]) (bool, error) {
		calls = append(calls, fmt.Sprint(it.Iteration))
		sol := s.Solution()
		sameBits(t, "Mu", it.Mu, sol.Mu)
		sameBits(t, "Sigma", it.Sigma, sol.Sigma)
		sameBits(t, "Best", it.Best, sol.Best)
		sameBits(t, "BestCost", it.BestCost, sol.BestCost)
		if it.Run != 4 || len(it.X) != 2*30*2 || len(it.Weights) != 2*30 || !slices.Equal(it.Active, []bool{true, true}) {
			t.Errorf("iteration %d: run %d, %d candidates' values, %d weights, active %v", it.Iteration, it.Run,
				len(it.X), len(it.Weights), it.Active)
		}
		for i, f := range it.Costs {
			if f != quadratic(i/30, it.X[2*i:2*i+2]) {
				t.Fatalf("cost %d is not that of its candidate", i)
			}
		}
		return false, nil
	}
	s = mustSolver(t, objective, lifeConfig(), SolverOptions[float64]{Callback: callback, EvaluateMean: true})
	s.SetRun(4)
	mustSolve(t, s)
	if got, want := strings.Join(calls, " "), "costs 0 costs 1 costs 2 costs 3 costs 4 costs 5 costs"; got != want {
		t.Errorf("calls: %s, want %s", got, want)
	}

	last := 1
	stopping := mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(), SolverOptions[float64]{EvaluateMean: true,
		Callback: func(it *Iteration[float64]) (bool, error) { return it.Iteration == last, nil }})
	sol := mustSolve(t, stopping)
	if sol.Iterations != 2 || sol.Diagnoses[0].Status != Cancelled || sol.MeanCost != nil {
		t.Errorf("stopped after %d iterations as %v with MeanCost %v, want 2 as cancelled with none", sol.Iterations,
			sol.Diagnoses[0].Status, sol.MeanCost)
	}
	if next := mustSolve(t, stopping); next.Run != 1 || next.Iterations != 2 {
		t.Errorf("then run %d with %d iterations, want a new solve", next.Run, next.Iterations)
	}
	last = 5
	if full := mustSolve(t, stopping); full.Diagnoses[0].Status != IterationLimit || full.MeanCost == nil {
		t.Errorf("stopped in the last iteration as %v with MeanCost %v, want the iteration limit and a cost",
			full.Diagnoses[0].Status, full.MeanCost)
	}

	boom := errors.New("boom")
	failing := mustSolver(t, PerCandidate(quadratic[float64]), lifeConfig(), SolverOptions[float64]{
		Callback: func(it *Iteration[float64]) (bool, error) {
			if it.Iteration == 3 {
				return false, boom
			}
			return false, nil
		}})
	sol, err := failing.Solve(context.Background())
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "callback of iteration 3") || sol.Iterations != 4 {
		t.Errorf("error %v after %d iterations, want boom of iteration 3 after 4", err, sol.Iterations)
	}
}

// A solver holds nothing of one solve over into the next, and a solution nothing of the solver.
func TestSolveTwice(t *testing.T) {
	holed := func(problem int, x []float64) float64 {
		if x[0] > 0.5 {
			return math.NaN()
		}
		return quadratic(problem, x)
	}
	c := lifeConfig()
	c.Iterations = 30
	s := mustSolver(t, PerCandidate(holed), c, SolverOptions[float64]{MuTolerance: 0.01, SigmaTolerance: 0.01,
		KeepElites: 1})
	first := mustSolve(t, s)
	if !first.Converged() || first.Diagnoses[0].ExcludedTotal == 0 {
		t.Errorf("%v; want it converged, with costs excluded", first.Diagnoses)
	}
	kept := *first
	kept.Mean, kept.Best, kept.BestCost = slices.Clone(first.Mean), slices.Clone(first.Best), slices.Clone(first.BestCost)
	kept.Mu, kept.Sigma, kept.Diagnoses = slices.Clone(first.Mu), slices.Clone(first.Sigma), slices.Clone(first.Diagnoses)
	mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, first, b, &kept, b)
	}
	s.SetRun(0)
	again := mustSolve(t, s)
	for b := range 2 {
		sameSolution(t, again, b, &kept, b)
	}
}
