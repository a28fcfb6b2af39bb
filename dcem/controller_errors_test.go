package dcem

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// scalarModel is x' = f(x, u) with one state and one control at the cost c(x, u).
func scalarModel(f, c func(x, u *G.Node) (*G.Node, error)) Model {
	return Model{
		States: 1, Controls: 1,
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return f(x, u) },
		Cost: func(_ int, x, u *G.Node) (*G.Node, error) {
			v, err := c(x, u)
			if err != nil {
				return nil, err
			}
			return G.Sum(v, 1)
		},
	}
}

func square(x, _ *G.Node) (*G.Node, error) { return G.Square(x) }

func TestPlanErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(c *PlanConfig, m *Model)
	}{
		{"horizon 0", "Horizon = 0, want at least 1", func(c *PlanConfig, _ *Model) { c.Horizon = 0 }},
		{"horizon -1", "Horizon = -1, want at least 1", func(c *PlanConfig, _ *Model) { c.Horizon = -1 }},
		{"infeasible bounds", "Lower[1] = 0.7 is above Upper[1] = 0.6", func(c *PlanConfig, _ *Model) { c.Lower = []float64{-1, 0.7} }},
		{"bounds of NaN", "Upper[0] = NaN", func(c *PlanConfig, _ *Model) { c.Upper = []float64{math.NaN()} }},
		{"three bounds", "Lower has 3 values, want 1 or 2", func(c *PlanConfig, _ *Model) { c.Lower = []float64{0, 0, 0} }},
		{"Dim", "Dim = 7, want 0 or 10", func(c *PlanConfig, _ *Model) { c.Dim = 7 }},
		{"Batch", "Batch = 2, want 3", func(c *PlanConfig, _ *Model) { c.Batch = 2 }},
		{"Repeat", "Repeat = 6, want 1 <= Repeat <= Horizon = 5", func(c *PlanConfig, _ *Model) { c.Repeat = 6 }},
		{"Knots", "Knots = 6, want 0 <= Knots <= Horizon = 5", func(c *PlanConfig, _ *Model) { c.Knots = 6 }},
		{"Repeat and Knots", "want one of them", func(c *PlanConfig, _ *Model) { c.Knots, c.Repeat = 2, 2 }},
		{"Spline", "Spline(9)", func(c *PlanConfig, _ *Model) { c.Spline = 9 }},
		{"Answer", "Answer = 2", func(c *PlanConfig, _ *Model) { c.Answer = 2 }},
		{"Risk", "Risk(3)", func(c *PlanConfig, _ *Model) { c.Risk = 3 }},
		{"Level", "Level = 1.5, want 0 < Level <= 1", func(c *PlanConfig, _ *Model) { c.Level = 1.5 }},
		{"no Level", "Level = 0 with Risk = CVaR, want 0 < Level <= 1", func(c *PlanConfig, _ *Model) { c.Particles, c.Risk = 4, RiskCVaR }},
		{"Particles", "Particles = -1", func(c *PlanConfig, _ *Model) { c.Particles = -1 }},
		{"Problem0", "Problem0 = -1", func(c *PlanConfig, _ *Model) { c.Problem0 = -1 }},
		{"Problem0 too large", "Problem0 = 9223372036854775807, want at most", func(c *PlanConfig, _ *Model) { c.Problem0 = math.MaxInt }},
		{"Colour", "Colour[0] = -1", func(c *PlanConfig, _ *Model) { c.Colour = []float64{-1} }},
		{"RatePenalty", "RatePenalty[0] = NaN", func(c *PlanConfig, _ *Model) { c.RatePenalty = []float64{math.NaN()} }},
		{"SigmaFloor", "SigmaFloor has 2 values, want one per iteration = 4", func(c *PlanConfig, _ *Model) { c.SigmaFloor = []float64{1, 2} }},
		{"SigmaFloor of NaN", "SigmaFloor[1] = NaN", func(c *PlanConfig, _ *Model) { c.SigmaFloor = []float64{1, math.NaN(), 1, 1} }},
		{"Temperatures", "Temperatures has 1 values, want one per iteration = 4", func(c *PlanConfig, _ *Model) { c.Temperatures = []float64{1} }},
		{"Temperatures of 0", "Temperatures[2] = 0, want a finite number above 0", func(c *PlanConfig, _ *Model) { c.Temperatures = []float64{1, 1, 0, 1} }},
		{"Populations", "Populations[1] = 5, want at least Elites = 6", func(c *PlanConfig, _ *Model) { c.Populations = []int{9, 5, 9, 9} }},
		{"Populations too small for what is given", "2 candidates are given or kept, want fewer than Samples = 2", func(c *PlanConfig, _ *Model) {
			c.Populations, c.Elites, c.KeepElites, c.Null = []int{9, 9, 2, 9}, 2, 1, true
		}},
		{"Populations and Noise", "Populations and Noise are set", func(c *PlanConfig, _ *Model) {
			c.Populations, c.Noise = []int{9, 9, 9, 9}, make(G.Nodes, 4)
		}},
		{"KeepElites", "KeepElites = 7", func(c *PlanConfig, _ *Model) { c.KeepElites = 7 }},
		{"too many given", "2 candidates are given or kept, want fewer than Samples = 2", func(c *PlanConfig, _ *Model) {
			c.Samples, c.Elites, c.Null, c.SampleMean = 2, 1, true, true
		}},
		{"MuSmoothing", "MuSmoothing = 1, want at least 0 and below 1", func(c *PlanConfig, _ *Model) { c.MuSmoothing = 1 }},
		{"CandidateCount", "CandidateCount = 2 is for a Controller", func(c *PlanConfig, _ *Model) { c.CandidateCount = 2 }},
		{"no dynamics", "want one of Model.Dynamics and Model.Noisy", func(_ *PlanConfig, m *Model) { m.Dynamics = nil }},
		{"noise of nothing", "Model.Noise = 2, want at least 1 with Model.Noisy and 0 without", func(_ *PlanConfig, m *Model) { m.Noise = 2 }},
		{"no cost", "Model.Cost is nil", func(_ *PlanConfig, m *Model) { m.Cost = nil }},
		{"no controls", "Model.Controls = 0", func(_ *PlanConfig, m *Model) { m.Controls = 0 }},
		{"other states", "x0 has shape (3, 3), want (any, 4)", func(_ *PlanConfig, m *Model) { m.States = 4 }},
		{"cost of the wrong shape", "Model.Cost of step 0 has shape (120, 3), want (120)", func(_ *PlanConfig, m *Model) {
			m.Cost = func(_ int, x, _ *G.Node) (*G.Node, error) { return x, nil }
		}},
		{"state of the wrong shape", "the state after step 0 has shape (120, 2), want (120, 3)", func(_ *PlanConfig, m *Model) {
			m.Dynamics = func(_ int, _, u *G.Node) (*G.Node, error) { return u, nil }
		}},
		{"nil state", "the state after step 0 is nil", func(_ *PlanConfig, m *Model) {
			m.Dynamics = func(int, *G.Node, *G.Node) (*G.Node, error) { return nil, nil }
		}},
		{"cost's own error", "Model.Cost of step 0: broken", func(_ *PlanConfig, m *Model) {
			m.Cost = func(int, *G.Node, *G.Node) (*G.Node, error) { return nil, errors.New("broken") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, p, pc := G.NewGraph(), newPlant(), planConfig(tensor.Float64)
			input := func(name string, v []float64, shape ...int) *G.Node {
				return inputOf(g, tensor.Float64, name, v, shape...)
			}
			m := p.Model(input("a", p.a, 3, 3), input("b", p.b, 2, 3), input("goal", p.goal, 1, 3))
			c.change(&pc, &m)
			_, err := Plan(g, input("x0", planStates, 3, 3), m, pc)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "dcem: Plan: ") {
				t.Errorf("error %v, want dcem: Plan: and %q", err, c.want)
			}
		})
	}
}

func TestControllerErrors(t *testing.T) {
	c := planConfig(tensor.Float64)
	s := newController[float64](t, newPlant(), c, ControllerOptions{})
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	_, short := s.Plan(context.Background(), planStates[:2])
	_, over := s.Plan(cancelled, planStates[:3])
	c.Previous = s.out.Mu0
	_, previous := NewController[float64](nil, s.m, c, ControllerOptions{})
	c.Previous = nil
	_, float32s := NewController[float32](nil, s.m, c, ControllerOptions{})
	_, limit := NewController[float64](nil, s.m, c, ControllerOptions{TimeLimit: -1})
	for want, err := range map[string]error{
		"x0 has 2 values, want Batch*States = 1*3":            short,
		"context canceled":                                    over,
		"Previous and Candidates are for Plan":                previous,
		"Dtype = float64, want float32":                       float32s,
		"TimeLimit = -1ns, want at least 0":                   limit,
		"Advance: steps = 1, want at least 0, after a plan":   s.Advance(1),
		"SetIterations: n = 2, want 1 <= n <= Iterations = 4": s.SetIterations(2),
		"SetPrevious: RatePenalty is not set":                 s.SetPrevious(nil),
		"SetCandidates: CandidateCount is 0":                  s.SetCandidates(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	mustPlan(t, s, planStates[:3])
	c.CandidateCount, c.RatePenalty = 2, []float64{1}
	s = newController[float64](t, newPlant(), c, ControllerOptions{})
	if err := s.SetCandidates(make([]float64, 3)); err == nil || !strings.Contains(err.Error(), "3 values, want 20") {
		t.Errorf("error %v", err)
	}
	if err := s.SetPrevious([]float64{0, math.Inf(1)}); err == nil || !strings.Contains(err.Error(), "u[1] = +Inf, want a finite number") {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Plan(context.Background(), planStates[:3]); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("error %v", err)
	}
}

// Whatever the dynamics and the costs do, the controls are finite and within the bounds, and the status says what
// happened.
func TestPlansThatBlowUp(t *testing.T) {
	add := func(x, u *G.Node) (*G.Node, error) { return G.Add(x, u) }
	explode := func(x, u *G.Node) (*G.Node, error) {
		return G.Exp(G.Must(G.Mul(number(x, 900), G.Must(G.Add(G.Must(G.Square(x)), u)))))
	}
	sqrt := func(_, u *G.Node) (*G.Node, error) { return G.Sqrt(u) } // NaN below 0
	nan := func(x, _ *G.Node) (*G.Node, error) { return G.Mul(number(x, math.Inf(1)), G.Must(G.Sub(x, x))) }
	away := func(_, u *G.Node) (*G.Node, error) { return G.Neg(G.Must(G.Square(u))) }
	for _, c := range []struct {
		name       string
		f, cost    func(x, u *G.Node) (*G.Node, error)
		x0         float64
		want       Status
		unbounded  bool
		finiteCost bool
	}{
		{name: "dynamics blow up", f: explode, cost: square, x0: 3, want: TooFewFinite},
		{name: "costs are NaN", f: add, cost: nan, x0: 1, want: TooFewFinite},
		{name: "state is NaN", f: add, cost: square, x0: math.NaN(), want: TooFewFinite},
		{name: "state is infinite", f: add, cost: square, x0: math.Inf(-1), want: TooFewFinite},
		{name: "half of the costs are NaN", f: add, cost: sqrt, x0: 1, want: IterationLimit, finiteCost: true},
		{name: "no minimum", f: add, cost: away, x0: 1, want: IterationLimit, unbounded: true, finiteCost: true},
		{name: "minimum outside", f: add, cost: func(_, u *G.Node) (*G.Node, error) { return u, nil }, want: StuckOnBounds, finiteCost: true},
	} {
		for name, o := range map[string]ControllerOptions{"whole": {}, "stepwise": {Stepwise: true}} {
			for _, answer := range []Answer{AnswerMean, AnswerBest} {
				t.Run(fmt.Sprint(c.name, " ", name, " ", answer), func(t *testing.T) {
					pc := PlanConfig{Config: Config{Batch: 2, Samples: 30, Elites: 4, Iterations: 3, Lower: []float64{-0.2}, Upper: []float64{2}},
						Horizon: 2, Answer: answer, KeepElites: 2}
					if c.unbounded {
						pc.Lower, pc.Upper = nil, nil
					}
					if c.want == StuckOnBounds {
						pc.Iterations = 10
					}
					s, err := NewController[float64](nil, scalarModel(c.f, c.cost), pc, o)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					for range 3 {
						r := mustPlan(t, s, []float64{c.x0, 0.1})
						for i, u := range r.Controls {
							if !finite(u) || !c.unbounded && (u < -0.2 || u > 2) {
								t.Errorf("control %d is %v", i, u)
							}
						}
						if d := r.Diagnoses[0]; d.Status != c.want {
							t.Errorf("%v, want %v", d, c.want)
						}
						if finite(r.Cost[0]) != c.finiteCost {
							t.Errorf("cost %v", r.Cost[0])
						}
						if err := s.Advance(1); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// A plan beyond the range of its type is an error, not a control.
func TestPlanOverflow(t *testing.T) {
	add := func(x, u *G.Node) (*G.Node, error) { return G.Add(x, u) }
	c := PlanConfig{Config: Config{Samples: 20, Elites: 2, Iterations: 3, Sigma: []float64{1e38}}, Horizon: 2}
	none := func(_, u *G.Node) (*G.Node, error) { return G.Neg(G.Must(G.Tanh(u))) }
	s, err := NewController[float32](nil, scalarModel(add, none), c, ControllerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20 {
		r, err := s.Plan(context.Background(), []float32{0})
		if err == nil {
			for _, u := range r.Controls {
				if !finite(u) {
					t.Fatalf("controls %v", r.Controls)
				}
			}
			if err := s.Advance(0); err != nil {
				t.Fatal(err)
			}
		} else if !strings.Contains(err.Error(), "beyond the range of float32") {
			t.Fatal(err)
		}
	}
}

// A plan ends at its limits, between iterations, with the answer of those done.
func TestControllerBudgets(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	s := newController[float64](t, p, c, ControllerOptions{Stepwise: true})
	if err := s.SetIterations(2); err != nil {
		t.Fatal(err)
	}
	got := mustPlan(t, s, planStates[:3])
	if d := got.Diagnoses[0]; got.Iterations != 2 || d.Iterations != 2 || d.Status != OutOfBudget {
		t.Errorf("%d iterations, %v", got.Iterations, d)
	}
	c.Iterations = 2
	want := mustPlan(t, newController[float64](t, p, c, ControllerOptions{Stepwise: true}), planStates[:3])
	check.Close(t, "controls after two iterations", got.Controls, want.Controls, 0)
	if want.Diagnoses[0].Status == OutOfBudget {
		t.Error(want.Diagnoses[0])
	}

	c.Iterations = 6
	s = newController[float64](t, p, c, ControllerOptions{TimeLimit: time.Nanosecond})
	if r := mustPlan(t, s, planStates[:3]); r.Iterations != 1 || r.Diagnoses[0].Status != OutOfBudget {
		t.Errorf("%d iterations in a nanosecond, %v", r.Iterations, r.Diagnoses[0])
	}
	s = newController[float64](t, p, c, ControllerOptions{TimeLimit: time.Hour})
	if r := mustPlan(t, s, planStates[:3]); r.Iterations != 6 || r.Diagnoses[0].Status == OutOfBudget {
		t.Errorf("%d iterations in an hour, %v", r.Iterations, r.Diagnoses[0])
	}

	c.Iterations, c.SigmaTolerance = 30, 0.5
	s = newController[float64](t, p, c, ControllerOptions{})
	if r := mustPlan(t, s, planStates[:3]); r.Iterations >= 30 || r.Diagnoses[0].Status != Converged {
		t.Errorf("%d iterations to a tolerance, %v", r.Iterations, r.Diagnoses[0])
	}
}

// A function of the caller's that panics, as with gorgonia.Must, is an error of what builds graphs from it.
func TestPanicsWhileBuilding(t *testing.T) {
	boom := errors.New("boom")
	objective := func(*G.Node) (*G.Node, error) { panic(boom) }
	m := scalarModel(func(x, _ *G.Node) (*G.Node, error) { return x, nil },
		func(*G.Node, *G.Node) (*G.Node, error) { panic(boom) })
	c := PlanConfig{Horizon: 2, Config: Config{Samples: 4, Elites: 2, Iterations: 1}}
	for name, build := range map[string]func(g *G.ExprGraph) (bool, error){
		"Unroll": func(g *G.ExprGraph) (bool, error) {
			p, err := Unroll(g, objective, Config{Dim: 1})
			return p == nil, err
		},
		"UnrollGD": func(g *G.ExprGraph) (bool, error) {
			p, err := UnrollGD(g, objective, GDConfig{Dim: 1})
			return p == nil, err
		},
		"Plan": func(g *G.ExprGraph) (bool, error) {
			p, err := Plan(g, inputOf(g, tensor.Float64, "x0", []float64{1}, 1, 1), m, c)
			return p == nil, err
		},
		"NewController": func(g *G.ExprGraph) (bool, error) {
			p, err := NewController[float64](g, m, c, ControllerOptions{})
			return p == nil, err
		},
		"Implicit": func(g *G.ExprGraph) (bool, error) {
			y := inputOf(g, tensor.Float64, "y", []float64{1}, 1, 1)
			p, err := Implicit(y, objective, G.Nodes{y}, ImplicitConfig{})
			return p == nil, err
		},
	} {
		isNil, err := build(G.NewGraph())
		var p *PanicError
		if !isNil || !errors.Is(err, boom) || !errors.As(err, &p) || err.Error() != "dcem: "+name+": panic: boom" {
			t.Errorf("%s: error %v, nothing else: %v", name, err, isNil)
		}
	}
}
