package dcem

import (
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Model is the system that a plan is made for, as functions that add one step of many rollouts to a graph. Rows are
// rollouts: of every problem, its candidates, and of every candidate, its particles, in that order, so that row r of
// M belongs to problem r/(M/B) and, with P particles, to particle r%P. Their number M differs between calls: the
// answer is rolled out too. [PerRow] and [PerParticle] give rows the numbers of their problem or particle. Functions
// are called many times and must build the same each time; t counts the steps from 0, so that both may depend on
// time.
type Model struct {
	States, Controls int // elements of a state S and of a control U

	// Dynamics is the next state: x (M, S), u (M, U) -> (M, S).
	Dynamics func(t int, x, u *G.Node) (*G.Node, error)
	// Noisy takes the place of Dynamics where that is disturbed: w (M, Noise) is standard normal noise, see
	// PlanConfig.Particles.
	Noisy func(t int, x, u, w *G.Node) (*G.Node, error)
	Noise int
	// Cost is the cost of a step: x (M, S), u (M, U) -> (M).
	Cost func(t int, x, u *G.Node) (*G.Node, error)
	// Terminal is the cost of the last state, x (M, S) -> (M); nil means none.
	Terminal func(x *G.Node) (*G.Node, error)
}

func (m Model) check(fn string) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("dcem: %s: %s", fn, fmt.Sprintf(format, a...))
	}
	switch {
	case m.States < 1:
		return fail("Model.States = %d, want at least 1", m.States)
	case m.Controls < 1:
		return fail("Model.Controls = %d, want at least 1", m.Controls)
	case (m.Dynamics == nil) == (m.Noisy == nil):
		return fail("want one of Model.Dynamics and Model.Noisy")
	case m.Noisy != nil && m.Noise < 1 || m.Noisy == nil && m.Noise != 0:
		return fail("Model.Noise = %d, want at least 1 with Model.Noisy and 0 without", m.Noise)
	case m.Cost == nil:
		return fail("Model.Cost is nil")
	}
	return nil
}

// An Answer is what a plan takes for its result.
type Answer uint8

const (
	// AnswerMean is the method's answer, the last mean.
	AnswerMean Answer = iota
	// AnswerBest is the candidate of least cost among all that were evaluated, or the last mean if that costs less.
	// Gradients flow through the chosen one as it was sampled, mu + sigma*eps, the choice itself held fixed. With
	// Particles costs are estimates, each with noise of its own, so that the best is a lucky one.
	AnswerBest
)

// PlanConfig configures [Plan] and [Controller]. Where it says nothing of gradients, an option keeps them: they are
// those of the values computed. The zero value of every field but Horizon is the plain method: the same as [Unroll]
// on the sum of the costs.
type PlanConfig struct {
	// Config is that of the search. Dim is set by the plan: the number of free controls, (H/Repeat or Knots)*U, in the
	// order of time. Lower, Upper: U values, or one for all controls. Mu, Sigma: the same, or Dim or B*Dim values.
	// Batch may be left 0 in Plan, where x0 says it.
	Config
	// Horizon is the number of steps H that are looked ahead, at least 1.
	Horizon int
	// Repeat holds each control for that many steps (action repeat); 0 means 1. The last one may be held for fewer.
	Repeat int
	// Knots, if above 0, searches that many knots, evenly spaced over the horizon, from which Spline makes the
	// controls.
	Knots  int
	Spline Spline

	// RatePenalty adds sum_t sum_j RatePenalty_j (u_tj - u_(t-1)j)^2 to the costs: U values of at least 0, or one
	// for all.
	RatePenalty []float64
	// Previous is the control u_(-1) before the first, (B, U), in that sum; nil leaves its term out. It is for Plan: a
	// Controller remembers what it has last returned.
	Previous *G.Node

	// MuTolerance and SigmaTolerance stop a problem early, as SolverOptions' of these names do. One that has stopped
	// is frozen, and gradients flow through the iterations that it took part in.
	MuTolerance, SigmaTolerance float64
	// MuSmoothing and SigmaSmoothing, in [0, 1), hold the refitted moments back: mu' = a*mu + (1-a)*refit(mu), and so
	// for sigma.
	MuSmoothing, SigmaSmoothing float64
	// SigmaFloor, if not nil, is the floor of sigma after each iteration, T values, in place of SigmaMin: a schedule.
	// The gradient of a sigma at its floor is 0.
	SigmaFloor []float64

	// Temperatures, if not nil, are those of each iteration, T values above 0 in place of Temperature, and Populations
	// the numbers of samples, T values in place of Samples (Pinneri et al. 2020 let them shrink). Each is at least Elites
	// and more than the candidates that are given or kept. Noise and Populations exclude one another.
	Temperatures []float64
	Populations  []int

	// SampleMean makes the mean a candidate of each iteration, Null the control 0 (within the bounds) over the whole
	// horizon, and KeepElites (at most Elites) that many of the best candidates of the iteration before. All take the
	// places of the last sampled candidates and take part as those do: in costs, weights and moments. Gradients flow
	// into the mean, and into kept candidates as they were sampled, the choice held fixed. If fewer costs were
	// finite, what fills KeepElites up is of no finite cost.
	SampleMean, Null bool
	KeepElites       int
	// Candidates are more of them, (B, n, Dim), brought within the bounds; gradients flow into the node. It is for
	// Plan: a Controller takes SetCandidates, with room for CandidateCount of each problem.
	Candidates     *G.Node
	CandidateCount int

	// Colour, if not nil, correlates the noise over time, doc of [Colouring]: the exponent beta of each control's
	// spectrum 1/f^beta, U values or one for all.
	Colour []float64

	// Particles is the number P of rollouts of each candidate, 0 means 1. With Model.Noisy each has noise of its own,
	// fresh in every iteration but the same for all candidates of a problem; with PerParticle also parameters of its
	// own (an ensemble). Risk makes one cost of theirs; Level, in (0, 1], is that of RiskCVaR and must be set with it.
	Particles int
	Risk      Risk
	Level     float64

	// Answer chooses the result.
	Answer Answer

	// Problem0 is the number of the batch's first problem in the noise, as in SolverOptions: problem b of a batch has
	// the same bits as the same problem on its own with Problem0 = b.
	Problem0 int
}

// withDefaults checks c for a model and a batch of b problems.
func (c PlanConfig) withDefaults(fn string, m Model, b int) (PlanConfig, error) {
	fail := func(format string, a ...any) (PlanConfig, error) {
		return c, fmt.Errorf("dcem: %s: %s", fn, fmt.Sprintf(format, a...))
	}
	if err := m.check(fn); err != nil {
		return c, err
	}
	if c.Batch == 0 {
		c.Batch = b
	}
	if c.Repeat == 0 {
		c.Repeat = 1
	}
	if c.Particles == 0 {
		c.Particles = 1
	}
	switch {
	case c.Batch != b:
		return fail("Batch = %d, want %d, the rows of x0", c.Batch, b)
	case c.Horizon < 1:
		return fail("Horizon = %d, want at least 1", c.Horizon)
	case c.Repeat < 1 || c.Repeat > c.Horizon:
		return fail("Repeat = %d, want 1 <= Repeat <= Horizon = %d", c.Repeat, c.Horizon)
	case c.Knots < 0 || c.Knots > c.Horizon:
		return fail("Knots = %d, want 0 <= Knots <= Horizon = %d", c.Knots, c.Horizon)
	case c.Knots > 0 && c.Repeat > 1:
		return fail("Repeat = %d and Knots = %d, want one of them", c.Repeat, c.Knots)
	case c.Spline > SplineCubic:
		return fail("Spline = %v, want SplineZero, SplineLinear or SplineCubic", c.Spline)
	case c.Answer > AnswerBest:
		return fail("Answer = %v, want AnswerMean or AnswerBest", c.Answer)
	case c.Particles < 1:
		return fail("Particles = %d, want at least 1", c.Particles)
	case c.Risk > RiskCVaR:
		return fail("Risk = %v, want RiskMean, RiskWorst or RiskCVaR", c.Risk)
	case !(c.Level >= 0 && c.Level <= 1):
		return fail("Level = %v, want 0 < Level <= 1", c.Level)
	case c.Risk == RiskCVaR && c.Level == 0:
		return fail("Level = 0 with Risk = CVaR, want 0 < Level <= 1, the share of the worst particles")
	case c.Problem0 < 0:
		return fail("Problem0 = %d, want at least 0", c.Problem0)
	case c.CandidateCount < 0:
		return fail("CandidateCount = %d, want at least 0", c.CandidateCount)
	}
	free := c.free()
	if c.Dim != 0 && c.Dim != free*m.Controls {
		return fail("Dim = %d, want 0 or %d, the plan's own", c.Dim, free*m.Controls)
	}
	c.Dim = free * m.Controls
	var err error
	if c.Lower, c.Upper, err = spreadBounds(fn, c.Lower, c.Upper, m.Controls); err != nil {
		return c, err
	}
	c.Lower, c.Upper = tile(c.Lower, m.Controls, c.Dim), tile(c.Upper, m.Controls, c.Dim)
	c.Mu, c.Sigma = tile(c.Mu, m.Controls, c.Dim), tile(c.Sigma, m.Controls, c.Dim)
	if c.Config, err = c.Config.withDefaults(fn); err != nil {
		return c, err
	}
	so := SolverOptions[float64]{MuTolerance: c.MuTolerance, SigmaTolerance: c.SigmaTolerance,
		MuSmoothing: c.MuSmoothing, SigmaSmoothing: c.SigmaSmoothing, KeepElites: c.KeepElites}
	if err := so.check(fn, c.Config); err != nil {
		return c, err
	}
	if len(c.SigmaFloor) != 0 && len(c.SigmaFloor) != c.Iterations {
		return fail("SigmaFloor has %d values, want one per iteration = %d", len(c.SigmaFloor), c.Iterations)
	}
	for _, v := range []struct {
		name   string
		values *[]float64
	}{{"RatePenalty", &c.RatePenalty}, {"Colour", &c.Colour}} {
		if *v.values, err = spread(fn, v.name, *v.values, m.Controls); err != nil {
			return c, err
		}
		for i, x := range *v.values {
			if !finite(x) || x < 0 {
				return fail("%s[%d] = %v, want a finite number of at least 0", v.name, i, x)
			}
		}
	}
	if err := c.checkSchedules(fn); err != nil {
		return c, err
	}
	for i, x := range c.SigmaFloor {
		if !finite(x) || x < 0 || c.Dtype == tensor.Float32 && !finite(float32(x)) {
			return fail("SigmaFloor[%d] = %v, want a finite number of at least 0", i, x)
		}
	}
	if c.Colour != nil && c.Noise != nil {
		return fail("Colour and Noise are set, want one of them")
	}
	if per := math.MaxInt / c.Samples / c.Batch; c.Particles > per {
		return fail("Batch*Samples*Particles = %d*%d*%d is beyond the range of int", c.Batch, c.Samples, c.Particles)
	}
	return c, nil
}

// checkSchedules checks Temperatures and Populations.
func (c PlanConfig) checkSchedules(fn string) error {
	for _, v := range []struct {
		name string
		n    int
	}{{"Temperatures", len(c.Temperatures)}, {"Populations", len(c.Populations)}} {
		if v.n != 0 && v.n != c.Iterations {
			return fmt.Errorf("dcem: %s: %s has %d values, want one per iteration = %d", fn, v.name, v.n, c.Iterations)
		}
	}
	for t, tau := range c.Temperatures {
		if !(tau > 0) || math.IsInf(tau, 1) || math.IsInf(1/tau, 1) {
			return fmt.Errorf("dcem: %s: Temperatures[%d] = %v, want a finite number above 0, its inverse finite too", fn, t, tau)
		}
	}
	for t, n := range c.Populations {
		if per := math.MaxInt / c.Dim / c.Batch / c.Particles; n < c.Elites || n > per {
			return fmt.Errorf("dcem: %s: Populations[%d] = %d, want at least Elites = %d and at most %d", fn, t, n, c.Elites, per)
		}
	}
	if len(c.Populations) > 0 && c.Noise != nil {
		return fmt.Errorf("dcem: %s: Populations and Noise are set, want one of them", fn)
	}
	return nil
}

// at is the configuration of iteration t.
func (c PlanConfig) at(t int) PlanConfig {
	if len(c.Temperatures) > 0 {
		c.Temperature = c.Temperatures[t]
	}
	if len(c.Populations) > 0 {
		c.Samples = c.Populations[t]
	}
	return c
}

// fewest is the number of samples of the smallest iteration.
func (c PlanConfig) fewest() int {
	if len(c.Populations) > 0 {
		return slices.Min(c.Populations)
	}
	return c.Samples
}

// free is the number of controls that are searched.
func (c PlanConfig) free() int {
	if c.Knots > 0 {
		return c.Knots
	}
	return (c.Horizon + c.Repeat - 1) / c.Repeat
}

// floor is the floor of sigma after iteration t.
func (c PlanConfig) floor(t int) float64 {
	if len(c.SigmaFloor) > 0 {
		return c.SigmaFloor[t]
	}
	return c.SigmaMin
}

// tile repeats u values to d; other numbers of values stay as they are.
func tile(v []float64, u, d int) []float64 {
	if len(v) != u {
		return v
	}
	full := make([]float64, d)
	for i := range full {
		full[i] = v[i%u]
	}
	return full
}
