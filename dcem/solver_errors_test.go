package dcem

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// wantError fails t unless err is one line that starts with "dcem: " and holds the text.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), "dcem: ") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line from dcem with %q", err, text)
	}
}

func TestNewSolverErrors(t *testing.T) {
	g := G.NewGraph()
	node := G.NewMatrix(g, tensor.Float64, G.WithShape(1, 2), G.WithName("mu"))
	type options = SolverOptions[float64]
	ok := PerCandidate(quadratic[float64])
	for _, c := range []struct {
		name      string
		objective BatchObjective[float64]
		config    Config
		options   options
		want      string
	}{
		{"no objective", nil, Config{Dim: 2}, options{}, "the objective is nil"},
		{"nil function", CostFunc[float64](nil), Config{Dim: 2}, options{}, "nil CostFunc"},
		{"nil function of a candidate", PerCandidate[float64](nil), Config{Dim: 2}, options{},
			"function given to PerCandidate is nil"},
		{"nil graph objective", (*GraphObjective[float64])(nil), Config{Dim: 2}, options{}, "nil *GraphObjective"},
		{"no Dim", ok, Config{}, options{}, "Dim = 0, want at least 1"},
		{"negative Elites", ok, Config{Dim: 2, Elites: -1}, options{}, "Elites = -1, want 1 <= Elites <= Samples = 100"},
		{"Elites above Samples", ok, Config{Dim: 2, Samples: 5, Elites: 6}, options{},
			"Elites = 6, want 1 <= Elites <= Samples = 5"},
		{"Lower above Upper", ok, Config{Dim: 1, Lower: []float64{1}, Upper: []float64{0}}, options{},
			"Lower[0] = 1 is above Upper[0] = 0"},
		{"tiny Temperature", ok, Config{Dim: 1, Temperature: 1e-310}, options{}, "Temperature = 1e-310, want a finite number above 0, its inverse"},
		{"MuNode", ok, Config{Dim: 2, MuNode: node}, options{},
			"Config.MuNode is for graphs: a Solver starts from Config.Mu, Reset or Warm"},
		{"SigmaNode", ok, Config{Dim: 2, SigmaNode: node}, options{},
			"Config.SigmaNode is for graphs: a Solver starts from Config.Sigma or Reset"},
		{"Run", ok, Config{Dim: 2, Run: node}, options{},
			"Config.Run is for graphs: the run number of a Solver is set by SetRun"},
		{"Noise", ok, Config{Dim: 2, Noise: G.Nodes{node}}, options{},
			"Config.Noise is for graphs: a Solver takes SolverOptions.Noise"},
		{"Project", ok, Config{Dim: 2, Project: func(x *G.Node) (*G.Node, error) { return x, nil }}, options{},
			"Config.Project is for graphs: a Solver takes SolverOptions.Project"},
		{"Backprop", ok, Config{Dim: 2, Backprop: 1}, options{}, "Config.Backprop is for graphs: a Solver has no gradients"},
		{"Dtype", ok, Config{Dim: 2, Dtype: tensor.Float32}, options{},
			"Config.Dtype = float32, want float64, the Solver's type argument"},
		{"MuTolerance", ok, Config{Dim: 2}, options{MuTolerance: -1}, "MuTolerance = -1, want at least 0"},
		{"SigmaTolerance", ok, Config{Dim: 2}, options{SigmaTolerance: math.NaN()}, "SigmaTolerance = NaN, want at least 0"},
		{"infinite tolerance", ok, Config{Dim: 2}, options{MuTolerance: math.Inf(1)},
			"MuTolerance = +Inf, want at least 0 and below +Inf"},
		{"MuSmoothing", ok, Config{Dim: 2}, options{MuSmoothing: 1}, "MuSmoothing = 1, want at least 0 and below 1"},
		{"SigmaSmoothing", ok, Config{Dim: 2}, options{SigmaSmoothing: -0.1},
			"SigmaSmoothing = -0.1, want at least 0 and below 1"},
		{"KeepElites", ok, Config{Dim: 2}, options{KeepElites: 11},
			"KeepElites = 11, want 0 <= KeepElites <= min(Elites, Samples-1) = 10"},
		{"KeepElites of all", ok, Config{Dim: 2, Samples: 4, Elites: 4}, options{KeepElites: 4},
			"min(Elites, Samples-1) = 3"},
		{"negative KeepElites", ok, Config{Dim: 2}, options{KeepElites: -1}, "KeepElites = -1"},
		{"Problem0", ok, Config{Dim: 2}, options{Problem0: -1}, "Problem0 = -1, want at least 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewSolver(c.objective, c.config, c.options)
			wantError(t, err, c.want)
			wantError(t, err, "NewSolver: ")
		})
	}
	for name, c := range map[string]Config{
		"Mu": {Dim: 1, Mu: []float64{1e39}}, "Sigma": {Dim: 1, Sigma: []float64{1e39}}, "SigmaMin": {Dim: 1, SigmaMin: 1e39},
		"Lower": {Dim: 1, Lower: []float64{1e39}}, "Upper": {Dim: 1, Upper: []float64{-1e39}},
	} {
		_, err := NewSolver(PerCandidate(quadratic[float32]), c, SolverOptions[float32]{})
		wantError(t, err, name+" = ")
		wantError(t, err, "e+39 is beyond the range of float32")
	}
	wantError(t, ok.Costs(make([]float64, 1), make([]float64, 2)), "called outside a Solver")
}

// The configuration that a solver gives back is one to make another with, or to unroll.
func TestSolverConfig(t *testing.T) {
	s := mustSolver(t, PerCandidate(quadratic[float32]), Config{Dim: 2, Lower: []float64{-1}}, SolverOptions[float32]{})
	c := s.Config()
	if c.Batch != 1 || c.Samples != 100 || c.Elites != 10 || c.Iterations != 10 || c.Temperature != 1 ||
		len(c.Lower) != 2 || c.Dtype != tensor.Float32 {
		t.Errorf("defaults %+v", c)
	}
	again := mustSolver(t, PerCandidate(quadratic[float32]), c, SolverOptions[float32]{})
	sameSolution(t, mustSolve(t, again), 0, mustSolve(t, s), 0)
	if _, err := Unroll(G.NewGraph(), ripples, c); err != nil {
		t.Error(err)
	}
}

func TestGraphObjectiveErrors(t *testing.T) {
	g := G.NewGraph()
	x := G.NewTensor(g, tensor.Float64, 3, G.WithShape(2, 5, 3), G.WithName("x"))
	costs := G.Must(ripples(x))
	for _, c := range []struct {
		name     string
		x, costs *G.Node
		want     string
	}{
		{"no x", nil, costs, "x is nil"},
		{"no costs", x, nil, "costs is nil"},
		{"shape of x", costs, costs, "x has shape (2, 5), want (any, any, any)"},
		{"shape of costs", x, x, "costs has shape (2, 5, 3), want (2, 5)"},
		{"computed x", G.Must(G.Square(x)), costs, "is not an input node"},
		{"other graph", G.NewTensor(G.NewGraph(), tensor.Float64, 3, G.WithShape(2, 5, 3)), costs, "different graphs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewGraphObjective[float64](c.x, c.costs, nil)
			wantError(t, err, "NewGraphObjective: ")
			wantError(t, err, c.want)
		})
	}
	_, err := NewGraphObjective[float32](x, costs, nil)
	wantError(t, err, "x has element type float64, want float32")

	o, err := NewGraphObjective[float64](x, costs, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewSolver(o, Config{Batch: 2, Samples: 5, Elites: 2, Dim: 4}, SolverOptions[float64]{})
	wantError(t, err, "the objective's x has shape (2, 5, 3), want (Batch, Samples, Dim) = (2, 5, 4)")
	wantError(t, o.Costs(make([]float64, 10), make([]float64, 29)), "29 candidates' values and 10 costs, want 30 and 10")
	for range 2 {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	wantError(t, o.Costs(make([]float64, 10), make([]float64, 30)), "has been closed")
}

// A graph and a Go function of the same arithmetic have the same costs, hence the same solve; parameters can change
// in between.
func TestGraphObjectiveEqualsGo(t *testing.T) {
	bothTypes(t, testGraphObjectiveEqualsGo[float32], testGraphObjectiveEqualsGo[float64])
}

func testGraphObjectiveEqualsGo[T kernels.Float](t *testing.T) {
	const b, n, d = 2, 20, 2
	g := G.NewGraph()
	x := G.NewTensor(g, dtypeOf[T](), 3, G.WithShape(b, n, d), G.WithName("x"))
	theta := G.NewScalar(g, dtypeOf[T](), G.WithName("theta"))
	costs := G.Must(G.Sum(G.Must(G.Square(G.Must(G.Sub(x, theta)))), 2))
	// A larger graph around the costs, with an input that has no value: it must neither be run nor disturb the costs.
	missing := G.NewMatrix(g, dtypeOf[T](), G.WithShape(b, n), G.WithName("missing"))
	G.Must(G.Sum(G.Must(G.Add(G.Must(G.Neg(costs)), missing))))

	o, err := NewGraphObjective[T](x, costs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	c := Config{Batch: b, Samples: n, Dim: d, Elites: 4, Iterations: 5}
	graph := mustSolver(t, o, c, SolverOptions[T]{})
	for _, v := range []T{0.5, -1.25} {
		if err := G.Let(theta, v); err != nil {
			t.Fatal(err)
		}
		graph.SetRun(0)
		got := mustSolve(t, graph)
		want := solveEach(t, func(_ int, x []T) T {
			r, s := x[0]-v, x[1]-v
			return T(r*r) + T(s*s)
		}, c, SolverOptions[T]{})
		for p := range b {
			sameSolution(t, got, p, want, p)
		}
	}
	// A machine of the caller's stays open.
	vm := &countingVM{VM: G.NewTapeMachine(g.ExactSubgraphRoots(costs))}
	given, err := NewGraphObjective[T](x, costs, vm)
	if err != nil {
		t.Fatal(err)
	}
	mustSolve(t, mustSolver(t, given, c, SolverOptions[T]{}))
	if err := given.Close(); err != nil || vm.runs != c.Iterations || vm.closed {
		t.Errorf("error %v, %d runs, closed %v; want none, %d, false", err, vm.runs, vm.closed, c.Iterations)
	}
}

type countingVM struct {
	G.VM
	runs   int
	closed bool
}

func (vm *countingVM) RunAll() error { vm.runs++; return vm.VM.RunAll() }
func (vm *countingVM) Close() error  { vm.closed = true; return vm.VM.Close() }

// An objective's error or panic comes back as an error, and the iteration can be tried again.
func TestObjectiveFailure(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(4))
	boom := errors.New("boom")
	want := solveEach(t, quadratic[float64], lifeConfig(), SolverOptions[float64]{})
	armed := false
	explode := func(how string) {
		if armed {
			burst(how, boom)
		}
	}
	batch := func(how string) BatchObjective[float64] {
		return CostFunc[float64](func(costs, x []float64) error {
			for i := range costs {
				costs[i] = quadratic(i/30, x[2*i:2*i+2])
			}
			if armed && how == "returned" {
				clear(costs)
				return boom
			}
			explode(how)
			return nil
		})
	}
	each := func(how string) BatchObjective[float64] {
		return PerCandidate(func(problem int, x []float64) float64 { explode(how); return quadratic(problem, x) })
	}
	for _, c := range []struct {
		name      string
		objective BatchObjective[float64]
		options   SolverOptions[float64]
		want      string
		is        error
		stack     bool
	}{
		{"returned error", batch("returned"), SolverOptions[float64]{}, "iteration 2: dcem: the objective: boom", boom,
			false},
		{"panic", batch("value"), SolverOptions[float64]{}, "iteration 2: dcem: the objective: panic: out of fuel", nil,
			true},
		{"panic with an error", batch("error"), SolverOptions[float64]{}, "the objective: panic: boom", boom, true},
		{"panic of the run time", batch("index"), SolverOptions[float64]{}, "index out of range", nil, true},
		{"panic in a thread", each("value"), SolverOptions[float64]{}, "the objective: panic: out of fuel", nil, true},
		{"panic in Project", each(""), SolverOptions[float64]{Project: func(int, []float64) { explode("value") }},
			"Project: panic: out of fuel", nil, true},
		{"panic in Noise", each(""), SolverOptions[float64]{Noise: func(eps []float64, run, draw uint64) error {
			explode("value")
			kernels.Normal(eps, 0, draw, run, 0)
			return nil
		}}, "Noise: panic: out of fuel", nil, true},
		{"error of Noise", each(""), SolverOptions[float64]{Noise: func(eps []float64, run, draw uint64) error {
			if armed {
				return boom
			}
			kernels.Normal(eps, 0, draw, run, 0)
			return nil
		}}, "Noise: boom", boom, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			armed = false
			c.options.Callback = func(it *Iteration[float64]) (bool, error) { armed = it.Iteration == 1; return false, nil }
			s := mustSolver(t, c.objective, lifeConfig(), c.options)
			sol, err := s.Solve(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("error %v, want %q wrapping %v", err, c.want, c.is)
			}
			if sol.Iterations != 2 || sol.Diagnoses[0].Status != Cancelled {
				t.Errorf("%d iterations, %v; want 2, cancelled", sol.Iterations, sol.Diagnoses[0].Status)
			}
			var p *PanicError
			if errors.As(err, &p) != c.stack || c.stack && !bytes.Contains(p.Stack, []byte("dcem.burst(")) {
				t.Errorf("PanicError %v, want one with the stack of the panic: %v", p, c.stack)
			}
			armed = false
			rest, err := s.Solve(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for b := range 2 {
				sameSolution(t, rest, b, want, b)
			}
		})
	}
}

// burst panics in one way or another.
func burst(how string, err error) {
	switch how {
	case "value":
		panic("out of fuel")
	case "error":
		panic(err)
	case "index":
		_ = []int{}[len(how)]
	}
}
