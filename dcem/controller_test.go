package dcem

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// plant is the tests' system, 3 states and 2 controls: x' = tanh(x A) + u B, at the cost sum (x - goal_t)^2 + sum
// u^2/10, and twice the last state's distance.
type plant struct {
	a, b, goal []float64 // (3, 3), (2, 3), (1, 3)
}

func newPlant() plant {
	return plant{
		a:    []float64{0.9, 0.3, -0.1, -0.4, 0.8, 0.2, 0.1, -0.3, 0.7},
		b:    []float64{0.5, -0.1, 0.2, 0.1, 0.4, -0.6},
		goal: []float64{0.5, -0.3, 0.2},
	}
}

// Model is the plant in a graph, its numbers the nodes a, b and goal.
func (plant) Model(a, b, goal *G.Node) Model {
	distance := func(x *G.Node, t float64) (*G.Node, error) {
		at := G.Must(G.Mul(number(x, 1+0.1*t), goal))
		return G.Sum(G.Must(G.Square(G.Must(G.Sub(x, G.Must(PerRow(at, x.Shape()[0])))))), 1)
	}
	return Model{
		States: 3, Controls: 2,
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) {
			return G.Add(G.Must(G.Tanh(G.Must(G.Mul(x, a)))), G.Must(G.Mul(u, b)))
		},
		Cost: func(t int, x, u *G.Node) (*G.Node, error) {
			effort := G.Must(G.Mul(number(x, 0.1), G.Must(G.Sum(G.Must(G.Square(u)), 1))))
			return G.Add(G.Must(distance(x, float64(t))), effort)
		},
		Terminal: func(x *G.Node) (*G.Node, error) {
			return G.Mul(number(x, 2), G.Must(distance(x, 9)))
		},
	}
}

// Cost is that of the controls u, H*2 of them, from x0 in plain Go; it returns the states too.
func (p plant) Cost(x0, u []float64) (cost float64, states [][]float64) {
	distance := func(x []float64, t float64) (sum float64) {
		for j, v := range x {
			d := v - (1+0.1*t)*p.goal[j]
			sum += d * d
		}
		return sum
	}
	x := x0
	states = append(states, x)
	for t := range len(u) / 2 {
		cost += distance(x, float64(t)) + 0.1*(u[2*t]*u[2*t]+u[2*t+1]*u[2*t+1])
		next := make([]float64, 3)
		for j := range next {
			for i, v := range x {
				next[j] += v * p.a[3*i+j]
			}
			next[j] = math.Tanh(next[j]) + u[2*t]*p.b[j] + u[2*t+1]*p.b[3+j]
		}
		x = next
		states = append(states, x)
	}
	return cost + 2*distance(x, 9), states
}

var planStates = []float64{1, -0.5, 0.3, -0.7, 0.2, 0.9, 0.1, 1.2, -0.4}

func planConfig(dt tensor.Dtype) PlanConfig {
	return PlanConfig{
		Config: Config{Samples: 40, Elites: 6, Iterations: 4, Dtype: dt, Lower: []float64{-0.8, -0.5}, Upper: []float64{0.9, 0.6},
			Sigma: []float64{0.7}, Seed: 11},
		Horizon: 5,
	}
}

// planned is a plan of the plant in a graph of its own.
type planned struct {
	*Planned
	a, b, goal, x0 *G.Node
}

func newPlanned(t *testing.T, p plant, c PlanConfig, x0 []float64) planned {
	t.Helper()
	g := G.NewGraph()
	var r planned
	r.a, r.b, r.goal = inputOf(g, c.Dtype, "a", p.a, 3, 3), inputOf(g, c.Dtype, "b", p.b, 2, 3), inputOf(g, c.Dtype, "goal", p.goal, 1, 3)
	r.x0 = inputOf(g, c.Dtype, "x0", x0, len(x0)/3, 3)
	var err error
	if r.Planned, err = Plan(g, r.x0, p.Model(r.a, r.b, r.goal), c); err != nil {
		t.Fatal(err)
	}
	return r
}

// planChanges are settings of every option.
var planChanges = map[string]func(c *PlanConfig){
	"plain":         func(*PlanConfig) {},
	"hard":          func(c *PlanConfig) { c.Hard = true },
	"smoothed":      func(c *PlanConfig) { c.MuSmoothing, c.SigmaSmoothing, c.SigmaMin = 0.2, 0.4, 0.3 },
	"sigma floors":  func(c *PlanConfig) { c.SigmaFloor = []float64{0.6, 0.5, 0.4, 0.3} },
	"kept elites":   func(c *PlanConfig) { c.KeepElites = 3 },
	"tolerances":    func(c *PlanConfig) { c.MuTolerance, c.SigmaTolerance = 0.25, 0.9 },
	"Problem0":      func(c *PlanConfig) { c.Problem0 = 5 },
	"best":          func(c *PlanConfig) { c.Answer = AnswerBest },
	"repeat":        func(c *PlanConfig) { c.Repeat = 2 },
	"zero knots":    func(c *PlanConfig) { c.Knots, c.Spline = 3, SplineZero },
	"linear knots":  func(c *PlanConfig) { c.Knots, c.Spline = 4, SplineLinear },
	"cubic knots":   func(c *PlanConfig) { c.Knots, c.Spline = 4, SplineCubic },
	"temperatures":  func(c *PlanConfig) { c.Temperatures = []float64{3, 1, 0.5, 0.2} },
	"populations":   func(c *PlanConfig) { c.Populations, c.KeepElites = []int{24, 20, 14, 9}, 2 },
	"coloured":      func(c *PlanConfig) { c.Colour = []float64{1, 2.5} },
	"mean and null": func(c *PlanConfig) { c.SampleMean, c.Null = true, true },
	"particles":     func(c *PlanConfig) { c.Particles, c.Risk, c.Level = 4, RiskCVaR, 0.6 },
	"worst":         func(c *PlanConfig) { c.Particles, c.Risk = 3, RiskWorst },
	"mean risk":     func(c *PlanConfig) { c.Particles = 3 },
	"together": func(c *PlanConfig) {
		c.SampleMean, c.Null, c.KeepElites, c.Answer = true, true, 2, AnswerBest
		c.MuSmoothing, c.SigmaFloor, c.MuTolerance = 0.1, []float64{0.5, 0.3, 0.2, 0.1}, 0.1
		c.Colour, c.Knots, c.Spline = []float64{1}, 3, SplineLinear
	},
}

// solvePlan has the Solver plan for the plant in plain Go.
func solvePlan[T kernels.Float](t *testing.T, p plant, c PlanConfig, o SolverOptions[float64]) (answer []float64, ds []Diagnosis) {
	t.Helper()
	sc := c.Config
	free := c
	free.Repeat = max(c.Repeat, 1)
	k := free.free()
	sc.Batch, sc.Dim = len(planStates)/3, 2*k
	sc.Lower, sc.Upper = tile(sc.Lower, 2, sc.Dim), tile(sc.Upper, 2, sc.Dim)
	s, err := NewSolver(PerCandidate(func(b int, x []T) T {
		cost, _ := p.Cost(planStates[3*b:3*b+3], free.controls(check.Copy[float64](x)))
		return T(cost)
	}), sc, SolverOptions[T]{Noise: colouredNoise[T](t, c, k),
		MuTolerance: o.MuTolerance, SigmaTolerance: o.SigmaTolerance, MuSmoothing: o.MuSmoothing,
		SigmaSmoothing: o.SigmaSmoothing, KeepElites: o.KeepElites, Problem0: o.Problem0})
	if err != nil {
		t.Fatal(err)
	}
	sol, err := s.Solve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for b := range sc.Batch {
		answer = append(answer, free.controls(check.Copy[float64](sol.Mean[b*sc.Dim:(b+1)*sc.Dim]))...)
	}
	return answer, sol.Diagnoses
}

// controls are those of the plant that the free ones x make.
func (c PlanConfig) controls(x []float64) (u []float64) {
	for t := range c.Horizon {
		b := c.blendAt(float64(t))
		for j := range 2 {
			v := 0.0
			for i, at := range b.at {
				v += b.w[i] * x[2*at+j]
			}
			u = append(u, min(max(v, c.Lower[j]), c.Upper[j]))
		}
	}
	return u
}

// colouredNoise is C z for each candidate, as a Solver takes it; nil without colours.
func colouredNoise[T kernels.Float](t *testing.T, c PlanConfig, k int) func(eps []T, run, draw uint64) error {
	if c.Colour == nil {
		return nil
	}
	var colours [2][]float64
	for j := range colours {
		var err error
		if colours[j], err = Colouring(k, c.Colour[j%len(c.Colour)]); err != nil {
			t.Fatal(err)
		}
	}
	return func(eps []T, run, draw uint64) error {
		kernels.Normal(eps, c.Seed, draw, run, 0)
		z := make([]T, 2*k)
		for x := eps; len(x) > 0; x = x[2*k:] {
			copy(z, x)
			for i := range 2 * k {
				sum := 0.0
				for l := range k {
					sum += colours[i%2][i/2*k+l] * float64(z[2*l+i%2])
				}
				x[i] = T(sum)
			}
		}
		return nil
	}
}

// A plan is the Solver's on a plain Go rollout of the same plant, on both machines and in both types.
func TestPlanIsTheSolversOnARollout(t *testing.T) {
	for name, change := range map[string]func(c *PlanConfig, o *SolverOptions[float64]){
		"plain": func(*PlanConfig, *SolverOptions[float64]) {},
		"hard":  func(c *PlanConfig, _ *SolverOptions[float64]) { c.Hard = true },
		"smoothed": func(c *PlanConfig, o *SolverOptions[float64]) {
			c.MuSmoothing, c.SigmaSmoothing, c.SigmaMin = 0.2, 0.4, 0.3
			o.MuSmoothing, o.SigmaSmoothing = 0.2, 0.4
		},
		"kept elites": func(c *PlanConfig, o *SolverOptions[float64]) { c.KeepElites, o.KeepElites = 3, 3 },
		"tolerances": func(c *PlanConfig, o *SolverOptions[float64]) {
			c.MuTolerance, c.SigmaTolerance, o.MuTolerance, o.SigmaTolerance = 0.25, 0.9, 0.25, 0.9
		},
		"coloured":       func(c *PlanConfig, _ *SolverOptions[float64]) { c.Colour = []float64{1, 2.5} },
		"repeat":         func(c *PlanConfig, _ *SolverOptions[float64]) { c.Repeat = 2 },
		"cubic knots":    func(c *PlanConfig, _ *SolverOptions[float64]) { c.Knots, c.Spline = 4, SplineCubic },
		"later problems": func(c *PlanConfig, o *SolverOptions[float64]) { c.Problem0, o.Problem0 = 5, 5 },
	} {
		t.Run(name, func(t *testing.T) {
			p, batch := newPlant(), len(planStates)/3
			c, o := planConfig(tensor.Float64), SolverOptions[float64]{}
			change(&c, &o)
			stopped := 0 // before the last iteration
			onMachines(t, func(t *testing.T, machine string, dt tensor.Dtype) {
				c := c
				c.Dtype = dt
				solve := solvePlan[float64]
				if dt == tensor.Float32 {
					solve = solvePlan[float32]
				}
				answer, diagnoses := solve(t, p, c, o)
				r := newPlanned(t, p, c, planStates)
				if err := r.Keep(); err != nil {
					t.Fatal(err)
				}
				got := valuesOn(t, machine, append(G.Nodes{r.Controls, r.First, r.Cost}, r.States...)...)
				tol := 1e-10 // roundings of a few steps, through 4 iterations of a soft top-k
				if dt == tensor.Float32 {
					tol = 1e-4
				}
				check.Close(t, "controls", got[0], answer, tol)
				for b := range batch {
					u := got[0][10*b : 10*b+10]
					check.Close(t, "first", got[1][2*b:2*b+2], u[:2], 0)
					cost, states := p.Cost(planStates[3*b:3*b+3], u)
					check.Close(t, "cost", got[2][b:b+1], []float64{cost}, tol*10)
					for i, x := range states {
						check.Close(t, fmt.Sprint("state ", i), got[3+i][3*b:3*b+3], x, tol)
					}
				}
				if machine != "engine" {
					return
				}
				ds, err := r.Diagnose()
				if err != nil {
					t.Fatal(err)
				}
				for b, d := range ds {
					if d.Status == Converged && d.Iterations < c.Iterations {
						stopped++
					}
					if w := diagnoses[b]; d.Status != w.Status || d.Iterations != w.Iterations {
						t.Errorf("problem %d: %v after %d iterations, want %v after %d", b, d.Status, d.Iterations, w.Status, w.Iterations)
					}
				}
			})
			if c.MuTolerance > 0 && (stopped == 0 || stopped == 2*batch) {
				t.Errorf("%d of %d problems stopped early: the test shows nothing of it", stopped, 2*batch)
			}
		})
	}
}
