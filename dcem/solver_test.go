package dcem

import (
	"context"
	"math"
	"slices"
	"sort"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// bothTypes runs a test in both element types.
func bothTypes(t *testing.T, f32, f64 func(t *testing.T)) {
	t.Helper()
	t.Run("float32", f32)
	t.Run("float64", f64)
}

// quadratic is sum_d (x_d - c_d)^2 with the minimum of problem b at c = (b+1, b+1.5, b+2, ...)/4.
func quadratic[T kernels.Float](problem int, x []T) T {
	sum := T(0)
	for d, v := range x {
		r := v - (T(problem)+1+T(d)/2)/4
		sum += T(r * r)
	}
	return sum
}

// quadraticMinimum is where quadratic is least.
func quadraticMinimum[T kernels.Float](problem, dim int) []T {
	c := make([]T, dim)
	for d := range c {
		c[d] = (T(problem) + 1 + T(d)/2) / 4
	}
	return c
}

// mustSolver makes a solver.
func mustSolver[T kernels.Float](t testing.TB, objective BatchObjective[T], c Config, o SolverOptions[T]) *Solver[T] {
	t.Helper()
	s, err := NewSolver(objective, c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustSolve runs a solve to its end.
func mustSolve[T kernels.Float](t testing.TB, s *Solver[T]) *Solution[T] {
	t.Helper()
	sol, err := s.Solve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sol
}

// solveEach solves the problems of a function of one candidate.
func solveEach[T kernels.Float](t testing.TB, f func(problem int, x []T) T, c Config, o SolverOptions[T]) *Solution[T] {
	t.Helper()
	return mustSolve(t, mustSolver(t, PerCandidate(f), c, o))
}

// sameBits fails t unless the bits are the same. NaN equals itself here.
func sameBits[T kernels.Float](t *testing.T, name string, got, want []T) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d and more than none", name, len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] && !(got[i] != got[i] && want[i] != want[i]) {
			t.Errorf("%s: element %d is %v, want the same bits as %v", name, i, got[i], want[i])
			return
		}
	}
}

// sameSolution compares problem b of got with problem c of want, bit for bit, diagnosis included.
func sameSolution[T kernels.Float](t *testing.T, got *Solution[T], b int, want *Solution[T], c int) {
	t.Helper()
	dim := len(got.Mu) / len(got.Diagnoses)
	row := func(v []T, b int) []T { return v[b*dim : (b+1)*dim] }
	sameBits(t, "Mean", row(got.Mean, b), row(want.Mean, c))
	sameBits(t, "Mu", row(got.Mu, b), row(want.Mu, c))
	sameBits(t, "Sigma", row(got.Sigma, b), row(want.Sigma, c))
	sameBits(t, "Best", row(got.Best, b), row(want.Best, c))
	sameBits(t, "BestCost", got.BestCost[b:b+1], want.BestCost[c:c+1])
	if got.Diagnoses[b] != want.Diagnoses[c] {
		t.Errorf("diagnosis %+v, want %+v", got.Diagnoses[b], want.Diagnoses[c])
	}
}

// The solver, driven one iteration at a time, and Unroll give the same bits on the same graph of costs.
func TestSolverMatchesUnroll(t *testing.T) {
	bothTypes(t, testSolverMatchesUnroll[float32], testSolverMatchesUnroll[float64])
}

func testSolverMatchesUnroll[T kernels.Float](t *testing.T) {
	base := Config{Batch: 3, Dim: 2, Samples: 37, Elites: 5, Iterations: 4, Seed: 7, Draw: 11,
		Mu: []float64{0.5, -0.25}, Sigma: []float64{1.5}}
	for name, change := range map[string]func(c *Config){
		"LML":       func(c *Config) {},
		"one elite": func(c *Config) { c.Elites = 1 },
		"k = N":     func(c *Config) { c.Elites = c.Samples },
		"softmax":   func(c *Config) { c.Relaxation = kernels.ConstrainedSoftmax; c.Temperature = 0.3 },
		"sparsemax": func(c *Config) { c.Relaxation = kernels.ConstrainedSparsemax },
		"raw costs": func(c *Config) { c.RawCosts = true },
		"hard":      func(c *Config) { c.Hard = true },
		"bounds":    func(c *Config) { c.Lower, c.Upper = []float64{-0.5, math.Inf(-1)}, []float64{0.625} },
		"floor":     func(c *Config) { c.SigmaMin = 0.5; c.Temperature = 0.05 },
	} {
		t.Run(name, func(t *testing.T) {
			c := base
			change(&c)
			c.Dtype = dtypeOf[T]()

			g := G.NewGraph()
			u, err := Unroll(g, ripples, c)
			if err != nil {
				t.Fatal(err)
			}
			if err := G.Let(u.Run, int64(3)); err != nil {
				t.Fatal(err)
			}
			kept, err := u.Keep()
			if err != nil {
				t.Fatal(err)
			}
			vm, err := engine.NewVM(g)
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}

			o := ripplesObjective[T](t, c.Batch, c.Samples, c.Dim)
			defer o.Close()
			seen := 0
			s := mustSolver(t, o, c, SolverOptions[T]{Callback: func(it *Iteration[T]) (bool, error) {
				want := kept[it.Iteration]
				for _, v := range []struct {
					name string
					got  []T
					want *G.Node
				}{{"X", it.X, want.X}, {"F", it.Costs, want.F}, {"I", it.Weights, want.I}, {"Mu", it.Mu,
					want.Mu}, {"Sigma", it.Sigma, want.Sigma}} {
					sameBits(t, v.name, v.got, v.want.Value().Data().([]T))
				}
				seen++
				return t.Failed(), nil
			}})
			s.SetRun(3)
			sol := mustSolve(t, s)
			sameBits(t, "Answer", sol.Mean, u.Answer.Value().Data().([]T))
			if seen != c.Iterations {
				t.Errorf("compared %d iterations, want %d", seen, c.Iterations)
			}
			// The diagnosis is shared too.
			ds, err := u.Diagnose()
			if err != nil {
				t.Fatal(err)
			}
			for b, d := range ds {
				if d != sol.Diagnoses[b] {
					t.Errorf("problem %d: Unroll's diagnosis is %+v, the solver's %+v", b, d, sol.Diagnoses[b])
				}
			}
		})
	}
}

// ripples is sum_d ((x_d - 1)^2 - cos 3 x_d) as a graph.
func ripples(x *G.Node) (*G.Node, error) {
	var one, three any = 1.0, 3.0
	if x.Dtype() == tensor.Float32 {
		one, three = float32(1), float32(3)
	}
	terms := G.Must(G.Sub(G.Must(G.Square(G.Must(G.Sub(x, G.NewConstant(one))))),
		G.Must(G.Cos(G.Must(G.Mul(x, G.NewConstant(three)))))))
	return G.Sum(terms, 2)
}

// ripplesObjective is ripples for a solver.
func ripplesObjective[T kernels.Float](t *testing.T, b, n, d int) *GraphObjective[T] {
	t.Helper()
	x := G.NewTensor(G.NewGraph(), dtypeOf[T](), 3, G.WithShape(b, n, d), G.WithName("x"))
	costs, err := ripples(x)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewGraphObjective[T](x, costs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSolverFindsMinima(t *testing.T) {
	bothTypes(t, testSolverFindsMinima[float32], testSolverFindsMinima[float64])
}

func testSolverFindsMinima[T kernels.Float](t *testing.T) {
	rosenbrock := func(_ int, x []T) T {
		a, b := 1-x[0], x[1]-x[0]*x[0]
		return a*a + 100*b*b
	}
	// Rastrigin's function has its minimum at 0 among about a hundred local ones within the start's reach.
	rastrigin := func(_ int, x []T) T {
		sum := 0.0
		for _, v := range x {
			sum += float64(v)*float64(v) + 10*(1-math.Cos(2*math.Pi*float64(v)))
		}
		return T(sum)
	}
	for _, c := range []struct {
		name   string
		f      func(int, []T) T
		config Config
		hold   float64
		want   []T
		tol    float64
	}{
		{"bowl, soft", quadratic[T], Config{Dim: 3, Iterations: 60, Temperature: 0.1}, 0, quadraticMinimum[T](0, 3), 1e-3},
		{"bowl, hard", quadratic[T], Config{Dim: 3, Iterations: 20, Hard: true}, 0, quadraticMinimum[T](0, 3), 1e-3},
		// The curved valley closes in too soon on the plain method, the textbook case for smoothing sigma.
		{"Rosenbrock", rosenbrock, Config{Dim: 2, Samples: 200, Elites: 20, Iterations: 150, Hard: true,
			Mu: []float64{-1}}, 0.9, []T{1, 1}, 1e-2},
		{"Rastrigin", rastrigin, Config{Dim: 2, Samples: 400, Elites: 20, Iterations: 30, Hard: true, Mu: []float64{2},
			Sigma: []float64{4}},
			0, []T{0, 0}, 1e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(3) {
				c.config.Seed = seed
				sol := solveEach(t, c.f, c.config, SolverOptions[T]{EvaluateMean: true, SigmaSmoothing: c.hold})
				check.Close(t, "Mean", sol.Mean, c.want, c.tol)
				check.Close(t, "Best", sol.Best, c.want, c.tol)
				if cost := c.f(0, sol.Mean); sol.MeanCost[0] != cost || sol.BestCost[0] != c.f(0, sol.Best) ||
					!(sol.BestCost[0] <= cost) {
					t.Errorf("costs of Mean %v and Best %v, want %v and no more than that", sol.MeanCost[0],
						sol.BestCost[0], cost)
				}
			}
		})
	}
}

// naiveCEM is vanilla CEM as in a textbook, in float64 with a sort, on one problem.
func naiveCEM(f func(x []float64) float64, mu, sigma []float64, lower, upper float64, noise [][]float64, n,
	k int) ([]float64, []float64) {
	d := len(mu)
	mu, sigma = slices.Clone(mu), slices.Clone(sigma)
	for _, eps := range noise {
		x := make([][]float64, n)
		for i := range x {
			x[i] = make([]float64, d)
			for j := range x[i] {
				x[i][j] = min(max(mu[j]+sigma[j]*eps[i*d+j], lower), upper)
			}
		}
		sort.SliceStable(x, func(a, b int) bool { return f(x[a]) < f(x[b]) })
		for j := range d {
			sum, squares := 0.0, 0.0
			for _, e := range x[:k] {
				sum += e[j]
			}
			mu[j] = sum / float64(k)
			for _, e := range x[:k] {
				squares += (e[j] - mu[j]) * (e[j] - mu[j])
			}
			sigma[j] = math.Sqrt(squares / float64(k))
		}
	}
	return mu, sigma
}

func TestHardSolverIsCEM(t *testing.T) {
	const n, k, d, steps = 53, 9, 3, 5
	f := func(x []float64) float64 { return math.Abs(x[0]-1) + 3*x[1]*x[1] + math.Cos(4*x[2]) }
	var noise [][]float64
	for step := range steps {
		eps := make([]float64, n*d)
		kernels.Normal(eps, 5, 20+uint64(step), 9, 0)
		noise = append(noise, eps)
	}
	mu, sigma := naiveCEM(f, []float64{0.5, 0.5, 0.5}, []float64{1, 2, 3}, -2, 2, noise, n, k)

	c := Config{Dim: d, Samples: n, Elites: k, Iterations: steps, Hard: true, Seed: 5, Draw: 20,
		Mu: []float64{0.5}, Sigma: []float64{1, 2, 3}, Lower: []float64{-2}, Upper: []float64{2}}
	s := mustSolver(t, PerCandidate(func(_ int, x []float64) float64 { return f(x) }), c, SolverOptions[float64]{})
	s.SetRun(9)
	sol := mustSolve(t, s)
	// The elites are the same; only the order of their sums differs, by a few roundings per iteration.
	check.Close(t, "Mu", sol.Mu, mu, 1e-13)
	check.Close(t, "Sigma", sol.Sigma, sigma, 1e-13)
}

// As the temperature goes to 0 the soft method becomes the hard one on the same noise.
func TestSolverTemperatureToZeroIsHard(t *testing.T) {
	c := Config{Dim: 2, Samples: 50, Elites: 7, Iterations: 5, Seed: 3}
	objective := PerCandidate(quadratic[float64])
	for _, r := range []kernels.Relaxation{kernels.LML, kernels.ConstrainedSoftmax, kernels.ConstrainedSparsemax} {
		t.Run(r.String(), func(t *testing.T) {
			hard := c
			hard.Hard = true
			want := mustSolve(t, mustSolver(t, objective, hard, SolverOptions[float64]{}))
			var errs []float64
			for _, tau := range []float64{1, 1e-2, 1e-6} {
				soft := c
				soft.Temperature, soft.Relaxation = tau, r
				got := mustSolve(t, mustSolver(t, objective, soft, SolverOptions[float64]{}))
				diff, _ := check.MaxDiff(got.Mu, want.Mu)
				errs = append(errs, diff)
			}
			// At 1e-6 the gaps between costs are worth thousands of temperatures, so that only rounding is left.
			if !(errs[0] > errs[1] && errs[1] >= errs[2] && errs[2] <= 1e-12) {
				t.Errorf("distances from the hard answer at temperatures 1, 1e-2, 1e-6: %v, want them to fall below 1e-12", errs)
			}
		})
	}
}

func TestSolverSameBitsForAnyThreads(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(1))
	c := Config{Batch: 5, Dim: 3, Samples: 64, Elites: 6, Iterations: 6}
	o := SolverOptions[float32]{KeepElites: 2, SigmaTolerance: 0.3,
		Project: func(problem int, x []float32) { x[0] = max(x[0], -1) }}
	var want *Solution[float32]
	for _, threads := range []int{1, 2, 8} {
		vec.SetThreads(threads)
		sol := solveEach(t, quadratic[float32], c, o)
		if want == nil {
			want = sol
		}
		for b := range c.Batch {
			sameSolution(t, sol, b, want, b)
		}
	}
}

func TestSolverAllocatesNothing(t *testing.T) {
	bothTypes(t, testSolverAllocatesNothing[float32], testSolverAllocatesNothing[float64])
}

func testSolverAllocatesNothing[T kernels.Float](t *testing.T) {
	for name, hard := range map[string]bool{"soft": false, "hard": true} {
		t.Run(name, func(t *testing.T) {
			seen := 0
			s := mustSolver(t, PerCandidate(quadratic[T]),
				Config{Batch: 4, Dim: 3, Samples: 100, Iterations: 1000, Hard: hard, SigmaMin: 0.1, Lower: []float64{-1}},
				SolverOptions[T]{KeepElites: 3, MuSmoothing: 0.1, SigmaSmoothing: 0.2, MuTolerance: 1e-30, Problem0: 1,
					Project:  func(problem int, x []T) { x[0] = min(x[0], 1) },
					Callback: func(it *Iteration[T]) (bool, error) { seen++; return false, nil }})
			ctx := context.Background()
			check.NoAllocs(t, "Step", func() {
				if _, err := s.Step(ctx); err != nil {
					t.Fatal(err)
				}
			})
			if seen < 2 {
				t.Errorf("the callback saw %d iterations, want one per step", seen)
			}
		})
	}
}
