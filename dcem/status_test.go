package dcem

import (
	"math"
	"slices"
	"testing"

	"github.com/godcem/godcem/kernels"
)

func TestDiagnose(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name   string
		change func(p *problem[float64], want *Diagnosis)
	}{
		{"healthy", func(p *problem[float64], want *Diagnosis) {}},
		{"running", func(p *problem[float64], want *Diagnosis) { p.cause, want.Status = Running, Running }},
		{"not begun", func(p *problem[float64], want *Diagnosis) {
			p.f, p.w, p.cause, want.Status = nil, nil, Cancelled, Cancelled
		}},
		{"converged", func(p *problem[float64], want *Diagnosis) { p.cause, want.Status = Converged, Converged }},
		{"collapsed", func(p *problem[float64], want *Diagnosis) {
			p.sigma = []float64{1e-6, 4e-6}
			want.Status, want.SigmaMin, want.SigmaMax, want.SigmaRatio, want.Collapsed = SigmaCollapsed, 1e-6, 4e-6, 1e-6, 1
		}},
		{"half collapsed", func(p *problem[float64], want *Diagnosis) {
			p.sigma = []float64{1e-7, 2}
			want.SigmaMin, want.SigmaMax, want.SigmaRatio, want.Collapsed = 1e-7, 2, 0.5, 0.5
		}},
		{"below the resolution of mu", func(p *problem[float64], want *Diagnosis) {
			p.mu = []float64{1e17, 1e18}
			p.prevMu = p.mu
			want.Status, want.MuChange, want.Collapsed = SigmaCollapsed, 0, 1
		}},
		{"nothing searched", func(p *problem[float64], want *Diagnosis) {
			p.sigma0 = []float64{0, 0}
			want.Status, want.SigmaRatio, want.MuChange, want.Collapsed = SigmaCollapsed, 0, 0, 1
		}},
		{"converged and collapsed", func(p *problem[float64], want *Diagnosis) {
			p.sigma, p.cause = []float64{0, 0}, Converged
			want.Status, want.SigmaMin, want.SigmaMax, want.SigmaRatio, want.Collapsed = Converged, 0, 0, 0, 1
		}},
		{"on a bound", func(p *problem[float64], want *Diagnosis) {
			p.lower, p.upper = []float64{-1, 0}, []float64{1, 1}
			want.Status, want.OnBounds = StuckOnBounds, 0.5
		}},
		{"within a thousandth of the width", func(p *problem[float64], want *Diagnosis) {
			p.lower, p.upper = []float64{-99.5, -9}, []float64{0.6, 9}
			want.Status, want.OnBounds = StuckOnBounds, 0.5
		}},
		{"an open box takes the start of sigma", func(p *problem[float64], want *Diagnosis) {
			p.upper = []float64{0.5011, 0.0039}
			want.Status, want.OnBounds = StuckOnBounds, 0.5
		}},
		{"beyond the bounds", func(p *problem[float64], want *Diagnosis) {
			p.upper = []float64{-3, inf}
			want.Status, want.OnBounds = StuckOnBounds, 0.5
		}},
		{"bounds before collapse", func(p *problem[float64], want *Diagnosis) {
			p.sigma, p.lower = []float64{0, 0}, []float64{0.5, 0}
			want.Status, want.OnBounds, want.Collapsed = StuckOnBounds, 1, 1
			want.SigmaMin, want.SigmaMax, want.SigmaRatio = 0, 0, 0
		}},
		{"a pinned coordinate does not count", func(p *problem[float64], want *Diagnosis) {
			p.lower, p.upper = []float64{0.5, -9}, []float64{0.5, 9}
			want.SigmaRatio, want.MuChange = 0.125, 0.25
		}},
		{"saturated", func(p *problem[float64], want *Diagnosis) {
			p.w = []float64{1, 1 - 1.0/4096, 0, 1.0 / 4096}
			want.Status, want.Saturated = WeightsSaturated, 1
		}},
		{"half saturated", func(p *problem[float64], want *Diagnosis) {
			p.w = []float64{1, 0.875, 0.125, 0}
			want.Saturated = 0.5
		}},
		{"hard", func(p *problem[float64], want *Diagnosis) {
			p.w, p.hard = []float64{1, 1, 0, 0}, true
			want.Saturated = 1
		}},
		{"k = N", func(p *problem[float64], want *Diagnosis) { p.w, p.k = []float64{1, 1, 1, 1}, 4 }},
		{"k finite costs", func(p *problem[float64], want *Diagnosis) {
			p.w, p.f = []float64{1, 1, 0, 0}, []float64{1, 2, nan, -inf}
			want.Excluded = 2
		}},
		{"saturated among the finite", func(p *problem[float64], want *Diagnosis) {
			p.w, p.f = []float64{1, 1, 0, 0}, []float64{1, 2, 3, nan}
			want.Status, want.Saturated, want.Excluded = WeightsSaturated, 1, 1
		}},
		{"equal weights of many are not saturated", func(p *problem[float64], want *Diagnosis) {
			p.f, p.w, p.k = make([]float64, 4096), slices.Repeat([]float64{1.0 / 4096}, 4096), 1
		}},
		{"too few", func(p *problem[float64], want *Diagnosis) {
			p.w, p.f = []float64{0, 0, 0, 0}, []float64{nan, inf, -inf, 1}
			want.Status, want.Excluded, want.SumResidual = TooFewFinite, 3, 2
		}},
		{"too few and cancelled", func(p *problem[float64], want *Diagnosis) {
			p.w, p.f, p.cause = []float64{0, 0, 0, 0}, []float64{nan, inf, -inf, 1}, Cancelled
			want.Status, want.Excluded, want.SumResidual = TooFewFinite, 3, 2
		}},
		{"weights that do not add up", func(p *problem[float64], want *Diagnosis) {
			p.w = []float64{0.5, 0.75, 0.25, 0.25}
			want.SumResidual = 0.25
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &problem[float64]{
				mu: []float64{0.5, 0}, prevMu: []float64{0, 1}, sigma: []float64{0.25, 0.5}, sigma0: []float64{1, 4},
				f: []float64{1, 2, 3, 4}, w: []float64{0.75, 0.75, 0.25, 0.25}, k: 2, cause: IterationLimit,
			}
			want := Diagnosis{Status: IterationLimit, SigmaMin: 0.25, SigmaMax: 0.5, SigmaRatio: 0.25, MuChange: 0.5}
			c.change(p, &want)
			if got := diagnose(p); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// Every status has a name and an advice of its own, and the one-line diagnosis holds the figures.
func TestStatusTexts(t *testing.T) {
	seen := map[string]bool{}
	for s := Running; s <= Cancelled; s++ {
		if s.String() == "" || s.Advice() == "" || seen[s.String()] || seen[s.Advice()] {
			t.Errorf("status %d: name %q, advice %q", uint8(s), s, s.Advice())
		}
		seen[s.String()], seen[s.Advice()] = true, true
	}
	if got := Status(200); got.String() != "Status(200)" || got.Advice() != "" {
		t.Errorf("an unknown status is %q with advice %q", got, got.Advice())
	}
	d := Diagnosis{Status: StuckOnBounds, Iterations: 7, SigmaMin: 0.125, SigmaMax: 2.5, OnBounds: 0.75, Excluded: 3,
		ExcludedTotal: 11}
	want := "stuck on bounds after 7 iterations: sigma 0.125..2.5 (0 of its start), mu changed by 0, 75% on bounds, " +
		"0% of weights saturated, 3 costs excluded (11 in all), |sum of weights - k| = 0"
	if d.String() != want {
		t.Errorf("got  %s\nwant %s", d, want)
	}
}

// The solves that the statuses describe end in them.
func TestSolverStatuses(t *testing.T) {
	bothTypes(t, testSolverStatuses[float32], testSolverStatuses[float64])
}

func testSolverStatuses[T kernels.Float](t *testing.T) {
	base := Config{Dim: 2, Samples: 50, Elites: 5, Iterations: 10}
	far := func(_ int, x []T) T { return x[0] + x[1] }
	for _, c := range []struct {
		want   Status
		f      func(int, []T) T
		change func(c *Config, o *SolverOptions[T])
	}{
		{IterationLimit, quadratic[T], func(c *Config, o *SolverOptions[T]) {}},
		{Converged, quadratic[T], func(c *Config, o *SolverOptions[T]) {
			c.Hard = true
			o.MuTolerance,
				o.SigmaTolerance = 0.05, 0.05
		}},
		{Converged, quadratic[T], func(c *Config, o *SolverOptions[T]) { c.Hard = true; c.SigmaMin = 0.1; o.SigmaTolerance = 1e-3 }},
		{SigmaCollapsed, quadratic[T], func(c *Config, o *SolverOptions[T]) { c.Hard = true; c.Iterations = 40 }},
		{WeightsSaturated, quadratic[T], func(c *Config, o *SolverOptions[T]) { c.Temperature = 1e-7; c.Iterations = 3 }},
		{StuckOnBounds, far, func(c *Config, o *SolverOptions[T]) {
			c.Lower, c.Mu = []float64{-3}, []float64{-2}
			c.Hard = true
			c.Iterations = 30
		}},
		{TooFewFinite, func(int, []T) T { return T(math.NaN()) }, func(c *Config, o *SolverOptions[T]) {}},
		{Cancelled, quadratic[T], func(c *Config, o *SolverOptions[T]) {
			o.Callback = func(it *Iteration[T]) (bool, error) { return it.Iteration == 4, nil }
		}},
	} {
		t.Run(c.want.String(), func(t *testing.T) {
			config, o := base, SolverOptions[T]{}
			c.change(&config, &o)
			d := solveEach(t, c.f, config, o).Diagnoses[0]
			if d.Status != c.want {
				t.Errorf("%v, want %v", d, c.want)
			}
		})
	}
}

// Costs that are not finite exclude their candidates, whichever way they are not finite, and the search goes on among
// the rest.
func TestSolverNonFiniteCosts(t *testing.T) {
	bothTypes(t, testSolverNonFiniteCosts[float32], testSolverNonFiniteCosts[float64])
}

func testSolverNonFiniteCosts[T kernels.Float](t *testing.T) {
	for name, hard := range map[string]bool{"soft": false, "hard": true} {
		t.Run(name, func(t *testing.T) {
			c := Config{Dim: 2, Samples: 60, Elites: 6, Iterations: 30, Hard: hard, Temperature: 0.1}
			var first *Solution[T]
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				// The objective is defined right of a wall that runs by its minimum.
				walled := PerCandidate(func(problem int, x []T) T {
					if x[0] < 0.2 {
						return T(bad)
					}
					return quadratic(problem, x)
				})
				counted, lastly := 0, 0
				sol := mustSolve(t, mustSolver(t, walled, c,
					SolverOptions[T]{Callback: func(it *Iteration[T]) (bool, error) {
						lastly = 0
						for i, v := range it.Costs {
							if !finite(v) {
								lastly++
								if it.Weights[i] != 0 {
									t.Errorf("an excluded candidate has weight %v", it.Weights[i])
								}
							}
						}
						if it.Excluded != lastly {
							t.Errorf("iteration %d: Excluded = %d, want %d", it.Iteration, it.Excluded, lastly)
						}
						counted += lastly
						return false, nil
					}}))
				d := sol.Diagnoses[0]
				if d.Excluded != lastly || d.ExcludedTotal != counted || counted == 0 {
					t.Errorf("%v: excluded %d, %d in all; want %d, %d and some", bad, d.Excluded, d.ExcludedTotal,
						lastly, counted)
				}
				if first == nil {
					first = sol
				}
				sameSolution(t, sol, 0, first, 0)
			}
			if e := quadratic(0, first.Best); !(e <= 1e-2) || first.Best[0] < 0.2 {
				t.Errorf("best %v with cost %v, want at most 1e-2 and right of the wall", first.Best, e)
			}
		})
	}
}

// A problem without finite costs keeps its mu and sigma bit for bit, smoothing or not, and leaves its neighbours alone.
func TestAllNaNBesideHealthy(t *testing.T) {
	bothTypes(t, testAllNaNBesideHealthy[float32], testAllNaNBesideHealthy[float64])
}

func testAllNaNBesideHealthy[T kernels.Float](t *testing.T) {
	c := Config{Batch: 3, Dim: 2, Samples: 30, Elites: 5, Iterations: 8, Hard: true, Mu: []float64{0.1},
		Sigma: []float64{0.7}}
	o := SolverOptions[T]{MuSmoothing: 0.3, SigmaSmoothing: 0.3, KeepElites: 2, MuTolerance: 0.1}
	broken := func(problem int, x []T) T {
		if problem == 1 {
			return T(math.NaN())
		}
		return quadratic(problem, x)
	}
	sol := solveEach(t, broken, c, o)
	sameBits(t, "Mu", sol.Mu[2:4], []T{T(0.1), T(0.1)})
	sameBits(t, "Sigma", sol.Sigma[2:4], []T{T(0.7), T(0.7)})
	sameBits(t, "Best", sol.Best[2:4], sol.Mean[2:4])
	want := Diagnosis{Status: TooFewFinite, Iterations: 8, SigmaMin: float64(T(0.7)), SigmaMax: float64(T(0.7)),
		SigmaRatio:  1,
		SumResidual: 5, Excluded: 30, ExcludedTotal: 240}
	if sol.Diagnoses[1] != want || !math.IsInf(float64(sol.BestCost[1]), 1) {
		t.Errorf("got  %+v, best cost %v\nwant %+v, +Inf", sol.Diagnoses[1], sol.BestCost[1], want)
	}
	for _, b := range []int{0, 2} {
		alone, first := c, o
		alone.Batch, first.Problem0 = 1, b
		one := solveEach(t, func(_ int, x []T) T { return quadratic(b, x) }, alone, first)
		sameSolution(t, sol, b, one, 0)
	}

	// Enough finite costs in a later iteration, and the problem goes on.
	late := 0
	recovering := CostFunc[T](func(costs, x []T) error {
		late++
		for i := range costs {
			if late > 2 || i < 4 {
				costs[i] = quadratic(0, x[2*i:2*i+2])
			}
		}
		return nil
	})
	c.Batch = 1
	d := mustSolve(t, mustSolver(t, recovering, c, SolverOptions[T]{})).Diagnoses[0]
	if d.Status == TooFewFinite || d.Excluded != 0 || d.ExcludedTotal != 2*26 {
		t.Errorf("%v; want 52 excluded in all, none lately, and another status", d)
	}
}
