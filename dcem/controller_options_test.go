package dcem

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestSplines(t *testing.T) {
	for _, c := range []struct {
		config PlanConfig
		knots  []float64
		want   []float64 // the controls
		times  []float64 // of the knots
		moved  []float64 // the knots after one step, the last control held
	}{
		{PlanConfig{Horizon: 4, Repeat: 1}, []float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, []float64{0, 1, 2, 3}, []float64{2, 3, 4, 4}},
		{PlanConfig{Horizon: 5, Repeat: 2}, []float64{1, 2, 3}, []float64{1, 1, 2, 2, 3}, []float64{0, 2, 4}, []float64{1, 2, 3}},
		{PlanConfig{Horizon: 5, Knots: 2, Spline: SplineZero, Repeat: 1}, []float64{1, 2}, []float64{1, 1, 1, 2, 2}, []float64{0, 3}, []float64{1, 2}},
		{PlanConfig{Horizon: 5, Knots: 3, Spline: SplineLinear, Repeat: 1}, []float64{1, 3, -1}, []float64{1, 2, 3, 1, -1}, []float64{0, 2, 4}, []float64{2, 1, -1}},
		{PlanConfig{Horizon: 3, Knots: 1, Spline: SplineCubic, Repeat: 1}, []float64{7}, []float64{7, 7, 7}, []float64{0}, []float64{7}},
		// Catmull-Rom half way between the second and third of 0, 0, 1, 1 is 1/2; half way from the first, whose slope is
		// 0, to the second, whose slope is 1/2, is -1/16.
		{PlanConfig{Horizon: 7, Knots: 4, Spline: SplineCubic, Repeat: 1}, []float64{0, 0, 1, 1}, []float64{0, -1. / 16, 0, 0.5, 1, 17. / 16, 1},
			[]float64{0, 2, 4, 6}, []float64{-1. / 16, 0.5, 17. / 16, 1}},
		// It keeps straight lines.
		{PlanConfig{Horizon: 10, Knots: 4, Spline: SplineCubic, Repeat: 1}, []float64{0, 3, 6, 9}, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
			[]float64{0, 3, 6, 9}, []float64{1, 4, 7, 9}},
	} {
		t.Run(fmt.Sprintf("%v %d of %d", c.config.Spline, c.config.free(), c.config.Horizon), func(t *testing.T) {
			var controls, times []float64
			for step := range c.config.Horizon {
				b := c.config.blendAt(float64(step))
				v := 0.0
				for i, at := range b.at {
					v += b.w[i] * c.knots[at]
				}
				controls = append(controls, v)
			}
			for i := range c.config.free() {
				times = append(times, c.config.knotTime(i))
			}
			check.Close(t, "controls", controls, c.want, 1e-14)
			check.Close(t, "times", times, c.times, 1e-14)
			shift(c.knots, make([]float64, len(c.knots)), c.config.shifts(1), 1)
			check.Close(t, "after a step", c.knots, c.moved, 1e-14)
		})
	}
}

// Coloured noise has the variance 1 at each moment, and the power spectrum asked for.
func TestColouring(t *testing.T) {
	for _, k := range []int{1, 2, 5, 12} {
		for _, beta := range []float64{0, 1, 2.5} {
			c, err := Colouring(k, beta)
			if err != nil {
				t.Fatal(err)
			}
			cov := make([]float64, k*k) // C C'
			for i := range k {
				for j := range k {
					for l := range k {
						cov[i*k+j] += c[i*k+l] * c[j*k+l]
					}
				}
			}
			power := func(f int) (sum float64) { // of the covariance, a circulant matrix
				for j := range k {
					sum += cov[j] * math.Cos(2*math.Pi*float64(f*j)/float64(k))
				}
				return sum
			}
			for i := range k {
				for j := range k {
					if want := cov[(j-i+k)%k]; math.Abs(cov[i*k+j]-want) > 1e-13 {
						t.Fatalf("k = %d, beta = %v: covariance of moments %d and %d is %v, of 0 and %d %v", k, beta, i, j, cov[i*k+j], (j-i+k)%k, want)
					}
				}
			}
			check.Close(t, "variance", cov[:1], []float64{1}, 1e-13)
			for f := 1; f <= k/2; f++ {
				check.Close(t, fmt.Sprint("power at ", f), []float64{power(f)}, []float64{power(1) * math.Pow(float64(f), -beta)}, 1e-12)
			}
		}
	}
	for _, err := range []error{errorOf(Colouring(0, 1)), errorOf(Colouring(3, -1)), errorOf(Colouring(3, math.NaN()))} {
		if err == nil {
			t.Error("no error")
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestRisks(t *testing.T) {
	f := []float64{3, 1, 4, 1.5, 2}
	for _, c := range []struct {
		risk  Risk
		level float64
		want  float64
	}{
		{RiskMean, 0.2, 2.3}, {RiskWorst, 1, 4}, {RiskCVaR, 1, 2.3}, {RiskCVaR, 0.4, 3.5}, {RiskCVaR, 0.5, (4 + 3 + 0.5*2) / 2.5},
		{RiskCVaR, 0.1, 4},
	} {
		k := riskOp[float64]{5, riskWeights(c.risk, c.level, 5)}
		out := make([]float64, 1)
		k.Run(out, []any{f})
		check.Close(t, fmt.Sprint(c.risk, c.level), out, []float64{c.want}, 1e-14)
		k.Run(out, []any{[]float64{1, 2, math.NaN(), 3, 4}})
		if !math.IsNaN(out[0]) {
			t.Errorf("%v of a NaN is %v", c.risk, out[0])
		}
	}
}

// Sigma is at least the floor of its iteration.
func TestSigmaFloor(t *testing.T) {
	c := planConfig(tensor.Float64)
	c.SigmaFloor = []float64{0.9, 0.7, 0.05, 0.5}
	r := newPlanned(t, newPlant(), c, planStates)
	var sigmas G.Nodes
	for _, it := range r.Iterates {
		sigmas = append(sigmas, it.Sigma)
	}
	for i, sigma := range valuesOn(t, "engine", sigmas...) {
		at := 0
		for _, v := range sigma {
			if v < c.SigmaFloor[i] {
				t.Errorf("iteration %d: sigma %v below %v", i, v, c.SigmaFloor[i])
			}
			if v == c.SigmaFloor[i] {
				at++
			}
		}
		if (at == 0) != (i == 2) {
			t.Errorf("iteration %d: %d sigmas at the floor of %v", i, at, c.SigmaFloor[i])
		}
	}
}

// A plan with schedules is a chain of plans of one iteration, each with its own temperature and population.
func TestSchedulesAreChains(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	c.Iterations, c.Draw = 3, 40
	c.Temperatures, c.Populations = []float64{4, 1, 0.1}, []int{50, 30, 8}
	last := func(c PlanConfig) [][]float64 {
		r := newPlanned(t, p, c, planStates)
		it := r.Iterates[len(r.Iterates)-1]
		return valuesOn(t, "engine", it.Mu, it.Sigma, r.Controls)
	}
	whole := last(c)
	one := c
	one.Iterations, one.Temperatures, one.Populations = 1, nil, nil
	var got [][]float64
	for i := range 3 {
		one.Temperature, one.Samples, one.Draw = c.Temperatures[i], c.Populations[i], c.Draw+uint64(i)
		got = last(one)
		one.Mu, one.Sigma = got[0], got[1]
	}
	for i, name := range []string{"mu", "sigma", "controls"} {
		check.Close(t, name, got[i], whole[i], 1e-12) // sums may be ordered differently
	}
	c.Temperatures, c.Populations = nil, nil
	if diff, _ := check.MaxDiff(last(c)[2], whole[2]); !(diff > 1e-3) {
		t.Errorf("the schedules change the controls by %v", diff)
	}
}

// Repeated controls are held; the penalty on their rate is in the cost, the previous control included.
func TestRatePenaltyAndRepeat(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	c.Repeat, c.RatePenalty = 2, []float64{0.5, 2}
	s := newController[float64](t, p, c, ControllerOptions{})
	previous := []float64{0, 0}
	x := planStates[:3]
	for range 3 {
		r := mustPlan(t, s, x)
		u := r.Controls
		check.Close(t, "second control", u[2:4], u[:2], 0)
		check.Close(t, "fourth control", u[6:8], u[4:6], 0)
		want, _ := p.Cost(x, u)
		last := previous
		for i := 0; i < len(u); i += 2 {
			want += 0.5*(u[i]-last[0])*(u[i]-last[0]) + 2*(u[i+1]-last[1])*(u[i+1]-last[1])
			last = u[i : i+2]
		}
		check.Close(t, "cost", r.Cost, []float64{want}, 1e-13)
		previous = append(previous[:0:0], u[4:6]...) // the last that is carried out
		x = append(x[:0:0], r.States[9:12]...)
		if err := s.Advance(3); err != nil {
			t.Fatal(err)
		}
	}
}

// A given candidate is brought within the bounds, and the best answer is never worse than a candidate.
func TestCandidates(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	long := c
	long.Iterations, long.Samples, long.Elites = 30, 300, 20
	good := mustPlan(t, newController[float64](t, p, long, ControllerOptions{}), planStates[:3])
	c.Samples, c.Elites, c.Iterations, c.CandidateCount, c.Answer = 8, 2, 1, 2, AnswerBest
	s := newController[float64](t, p, c, ControllerOptions{})
	if err := s.SetCandidates(append(append([]float64{}, good.Controls...), 9, 9, 9, 9, 9, 9, 9, 9, 9, 9)); err != nil {
		t.Fatal(err)
	}
	r := mustPlan(t, s, planStates[:3])
	if !(r.Cost[0] <= good.Cost[0]+1e-12) {
		t.Errorf("cost %v, of a candidate %v", r.Cost[0], good.Cost[0])
	}

	// With all samples outside it, the null control and the mean are there to be chosen.
	for name, change := range map[string]func(c *PlanConfig){
		"null": func(c *PlanConfig) { c.Null, c.Mu = true, []float64{5} },
		"mean": func(c *PlanConfig) { c.SampleMean, c.Sigma = true, []float64{100} },
	} {
		c := PlanConfig{Config: Config{Samples: 10, Elites: 2, Iterations: 1}, Horizon: 2, Answer: AnswerBest}
		change(&c)
		m := scalarModel(func(x, _ *G.Node) (*G.Node, error) { return x, nil }, func(_, u *G.Node) (*G.Node, error) { return G.Square(u) })
		s, err := NewController[float64](nil, m, c, ControllerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		check.Close(t, name, mustPlan(t, s, []float64{1}).Controls, []float64{0, 0}, 0)
	}
}

// Elites are carried from plan to plan, moved on: one that is too good to be found again is there in the next plan.
func TestCarriedElites(t *testing.T) {
	const horizon = 4
	target := []float64{0.9, -0.7, 0.8, -0.6, 0.5, -0.4} // of the steps to come
	m := scalarModel(func(x, u *G.Node) (*G.Node, error) { return G.Add(x, u) }, nil)
	m.Cost = func(step int, _, u *G.Node) (*G.Node, error) { // the second plan's target is what remains of the first's
		goal := inputNamed(u.Graph(), fmt.Sprint("goal", step))
		return G.Sum(G.Must(G.Square(G.Must(G.Sub(u, G.Must(PerRow(goal, u.Shape()[0])))))), 1)
	}
	g := G.NewGraph()
	for step := range horizon {
		inputOf(g, tensor.Float64, fmt.Sprint("goal", step), target[step:step+1], 1, 1)
	}
	for _, stepwise := range []bool{false, true} {
		c := PlanConfig{Config: Config{Samples: 8, Elites: 2, Iterations: 2}, Horizon: horizon, KeepElites: 1, CandidateCount: 1, Answer: AnswerBest}
		s, err := NewController[float64](g, m, c, ControllerOptions{CarryElites: true, Stepwise: stepwise})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		aim := func(from int) {
			for step := range horizon {
				inputNamed(g, fmt.Sprint("goal", step)).Value().Data().([]float64)[0] = target[from+step]
			}
		}
		aim(0)
		if err := s.SetCandidates(target[:horizon]); err != nil {
			t.Fatal(err)
		}
		mustPlan(t, s, []float64{0})
		if err := s.Advance(1); err != nil {
			t.Fatal(err)
		}
		check.Close(t, "carried", s.carry, []float64{-0.7, 0.8, -0.6, -0.6}, 0)
		aim(1)
		if err := s.SetCandidates(make([]float64, horizon)); err != nil {
			t.Fatal(err)
		}
		// The warm start is the same as the elite here; without it elites alone remember.
		copy(s.mu0, []float64{3, 3, 3, 3})
		r := mustPlan(t, s, []float64{0})
		if want := 1.1 * 1.1; !(r.Cost[0] <= want+1e-12) { // the last control is held, -0.6 in the place of 0.5
			t.Errorf("cost %v, of the carried elite %v", r.Cost[0], want)
		}
		s.Reset()
		check.Close(t, "carried after Reset", s.carry, make([]float64, horizon), 0)
	}
}

// inputNamed is the graph's input of that name.
func inputNamed(g *G.ExprGraph, name string) *G.Node { return g.ByName(name)[0] }

// Particles are rollouts with noise of their own, the same for all candidates; the result is their risk and
// their mean.
func TestParticles(t *testing.T) {
	const particles, horizon = 5, 3
	m := scalarModel(nil, square)
	m.Dynamics, m.Noise = nil, 1
	m.Noisy = func(_ int, x, u, w *G.Node) (*G.Node, error) {
		return G.Add(G.Must(G.Add(x, u)), G.Must(G.Mul(number(w, 0.5), w)))
	}
	c := PlanConfig{Config: Config{Batch: 2, Samples: 20, Elites: 3, Iterations: 2, Seed: 5, Draw: 100}, Horizon: horizon,
		Particles: particles, Risk: RiskWorst, Problem0: 1}
	s, err := NewController[float64](nil, m, c, ControllerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetRun(7)
	x0 := []float64{1, -2}
	r := mustPlan(t, s, x0)
	for b := range 2 {
		worst := math.Inf(-1)
		states := make([]float64, horizon+1)
		for i := range particles {
			x, cost := x0[b], 0.0
			for step := range horizon {
				states[step] += x / particles
				cost += x * x
				w := make([]float64, 3*particles)
				kernels.Normal(w, 5, 100+2+2*horizon+uint64(step), 7, 0)
				x += r.Controls[b*horizon+step] + 0.5*w[(1+b)*particles+i]
			}
			states[horizon] += x / particles
			worst = max(worst, cost)
		}
		check.Close(t, "cost", r.Cost[b:b+1], []float64{worst}, 1e-13)
		check.Close(t, "states", r.States[b*(horizon+1):(b+1)*(horizon+1)], states, 1e-13)
	}
}

// An ensemble has parameters of its own for each particle; the cost of a plan is the risk over the costs that its
// controls have for each of them.
func TestEnsemble(t *testing.T) {
	const batch, horizon = 3, 5
	factors := []float64{0.6, 1, 1.3, 1.1}
	p := newPlant()
	for name, v := range map[string]struct {
		risk  Risk
		level float64
		of    func(costs []float64) float64 // in order of size, the worst first
	}{
		"mean":  {RiskMean, 0, func(c []float64) float64 { return (c[0] + c[1] + c[2] + c[3]) / 4 }},
		"worst": {RiskWorst, 0, func(c []float64) float64 { return c[0] }},
		"CVaR":  {RiskCVaR, 0.375, func(c []float64) float64 { return (c[0] + 0.5*c[1]) / 1.5 }},
	} {
		c := planConfig(tensor.Float64)
		c.Batch, c.Particles, c.Risk, c.Level = batch, len(factors), v.risk, v.level
		g := G.NewGraph()
		in := func(name string, v []float64, shape ...int) *G.Node {
			return inputOf(g, tensor.Float64, name, v, shape...)
		}
		m := p.Model(in("a", p.a, 3, 3), in("b", p.b, 2, 3), in("goal", p.goal, 1, 3))
		dynamics, factor := m.Dynamics, in("factor", factors, len(factors), 1)
		m.Dynamics = func(step int, x, u *G.Node) (*G.Node, error) {
			each, err := PerParticle(factor, x.Shape()[0])
			if err != nil {
				return nil, err
			}
			if each, err = autodiff.Expand(each, u.Shape()...); err != nil {
				return nil, err
			}
			if u, err = G.HadamardProd(u, each); err != nil {
				return nil, err
			}
			return dynamics(step, x, u)
		}
		s, err := NewController[float64](g, m, c, ControllerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := mustPlan(t, s, planStates)
		for b := range batch {
			var costs []float64
			u := r.Controls[2*horizon*b:][:2*horizon]
			for _, factor := range factors { // B is what the factor multiplies; the effort is that of u itself
				q := p
				q.b = nil
				for _, v := range p.b {
					q.b = append(q.b, factor*v)
				}
				cost, _ := q.Cost(planStates[3*b:3*b+3], u)
				costs = append(costs, cost)
			}
			slices.Sort(costs)
			slices.Reverse(costs)
			check.Close(t, name, r.Cost[b:b+1], []float64{v.of(costs)}, 1e-12)
		}
	}
}

// A Controller that is given another's state makes the same plans from there on.
func TestControllerState(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	c.Batch, c.KeepElites, c.RatePenalty, c.CandidateCount = 2, 2, []float64{0.3}, 1
	o := ControllerOptions{CarryElites: true}
	one, other := newController[float32](t, p, c, o), newController[float32](t, p, c, o)
	x := check.Copy[float32](planStates[:6])
	if err := one.SetCandidates(make([]float32, 20)); err != nil {
		t.Fatal(err)
	}
	follow := func(s *Controller[float32], x []float32) (all []float32) {
		for range 3 {
			if _, err := s.Act(context.Background(), x); err != nil {
				t.Fatal(err)
			}
			r := s.Last()
			all = append(append(all, r.Controls...), r.Cost...)
			x = slices.Concat(r.States[3:6], r.States[21:24])
		}
		return all
	}
	follow(one, x)
	state := one.State()
	want := follow(one, x)
	if err := other.Restore(state); err != nil {
		t.Fatal(err)
	}
	if got := follow(other, x); !slices.Equal(got, want) {
		t.Error("other plans after Restore")
	}
	other.Reset()
	other.SetRun(state.Run)
	if slices.Equal(follow(other, x), want) {
		t.Error("the state has nothing to say")
	}
	short, wrong := state, state
	short.Elites, wrong.Mu = nil, []float32{float32(math.NaN())}
	wrong.Mu = append(wrong.Mu, state.Mu[1:]...)
	for want, state := range map[string]ControllerState[float32]{"Elites has 0 values, want 40": short, "Mu[0] = NaN": wrong} {
		if err := other.Restore(state); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The closed loop starts from what is left of the plan, which makes for better plans.
func TestClosedLoop(t *testing.T) {
	p, c := newPlant(), planConfig(tensor.Float64)
	s := newController[float64](t, p, c, ControllerOptions{})
	cold := newController[float64](t, p, c, ControllerOptions{})
	x := planStates[:3]
	warmCost, coldCost := 0.0, 0.0
	for range 20 {
		u, err := s.Act(context.Background(), x)
		if err != nil {
			t.Fatal(err)
		}
		warmCost += s.Last().Cost[0]
		coldCost += mustPlan(t, cold, x).Cost[0]
		_, states := p.Cost(x, u)
		check.Close(t, "foreseen", s.Last().States[3:6], states[1], 1e-12)
		x = states[1]
	}
	if !(warmCost < coldCost) {
		t.Errorf("20 plans cost %v with warm starts and %v without", warmCost, coldCost)
	}
}
