package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Status says how the solve of one problem ended.
type Status uint8

// The statuses, from [Diagnosis] figures. Where several hold, the first of this order is given: TooFewFinite,
// Converged, OutOfBudget, Cancelled, StuckOnBounds, SigmaCollapsed, WeightsSaturated, IterationLimit.
const (
	// Running: the solve has not ended.
	Running Status = iota
	// Converged: the tolerances asked for were met, and the problem stopped there.
	Converged
	// IterationLimit: all iterations were run and nothing below is the matter. Without tolerances this is the normal
	// end.
	IterationLimit
	// SigmaCollapsed: every searched coordinate has Sigma at most 1e-6 of its start, or below the resolution of Mu.
	SigmaCollapsed
	// WeightsSaturated: every soft weight is 0 or 1 to within 1e-3, so that no gradient passes through the costs.
	WeightsSaturated
	// StuckOnBounds: Mu is at a bound in at least half of the searched coordinates.
	StuckOnBounds
	// TooFewFinite: fewer than k costs were finite in the last iteration, or became infinite when divided by
	// Temperature; the iteration therefore left Mu and Sigma as they were.
	TooFewFinite
	// Cancelled: the context, the callback or an error ended the solve early.
	Cancelled
	// OutOfBudget: a Controller's TimeLimit or SetIterations ended the search early.
	OutOfBudget
)

var statuses = [...]struct{ name, advice string }{
	Running:        {"running", "The solve goes on."},
	Converged:      {"converged", "The tolerances were met."},
	IterationLimit: {"iteration limit", "If Sigma is still large, allow more Iterations; if it is not, set tolerances to stop early."},
	SigmaCollapsed: {"sigma collapsed", "Further iterations change nothing. If the answer is good, set tolerances; " +
		"if it is not, the search closed in too soon: raise Elites, Samples, Sigma, SigmaMin or SigmaSmoothing."},
	WeightsSaturated: {"weights saturated", "No gradient passes through the costs: raise Temperature; " +
		"with RawCosts, scale the costs down or normalise them."},
	StuckOnBounds: {"stuck on bounds", "The minimum may lie outside the bounds: widen them; " +
		"if it does not, start with a Mu further inside or a smaller Sigma."},
	TooFewFinite: {"too few finite costs", "Fewer than Elites candidates had a finite cost: " +
		"mend the objective where it is NaN or infinite, start where it is finite, tighten the bounds, or raise Samples."},
	Cancelled: {"cancelled", "The solve was ended early; after a context or an error, Solve carries on with it."},
	OutOfBudget: {"out of budget", "The answer is that of the iterations done: allow more time or iterations, or make one cheaper " +
		"by fewer Samples or a shorter Horizon."},
}

// String returns the status in words, as in "iteration limit".
func (s Status) String() string {
	if int(s) < len(statuses) {
		return statuses[s].name
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Advice says what to do about it.
func (s Status) Advice() string {
	if int(s) < len(statuses) {
		return statuses[s].advice
	}
	return ""
}

// The thresholds behind the statuses.
const (
	collapsedRatio = 1e-6 // sigma over its start, at which a coordinate counts as collapsed
	saturatedBand  = 1e-3 // distance of a weight from 0 or 1, over that of equal weights, at which it counts as saturated
	boundBand      = 1e-3 // distance from a bound, over the box's width, or over the start of sigma where the box is open
	boundShare     = 0.5  // share of coordinates on a bound at which the problem counts as stuck
)

// A Diagnosis is how the solve of one problem ended and the figures behind that verdict.
//
// A coordinate is searched if its Sigma starts above 0 and its Lower is below its Upper; ratios and shares of
// coordinates are over those.
type Diagnosis struct {
	Status     Status
	Iterations int // iterations that the problem took part in

	SigmaMin, SigmaMax float64 // smallest and largest sigma over all coordinates, in units of x
	SigmaRatio         float64 // largest ratio of sigma to its start: what SigmaTolerance limits
	Collapsed          float64 // share of coordinates with sigma at most 1e-6 of its start, or below the resolution of mu
	MuChange           float64 // largest |change of mu| in the last iteration, over the start of sigma: what MuTolerance limits
	// OnBounds is the share of coordinates of mu outside the bounds or within 1e-3 of one: 1e-3 of the box's width or,
	// where one side is open, of sigma's start.
	OnBounds float64

	// Saturated is the share of the weights of finite costs that are at most 1e-3 k/m or at least 1 - 1e-3 (1 - k/m),
	// m being the number of finite costs: equal weights are k/m each. It is 0 where m <= k leaves no choice, and 1
	// with Hard.
	Saturated     float64
	SumResidual   float64 // |sum of the weights - k|; k where the problem kept its mu and sigma
	Excluded      int     // costs that were not finite in the last iteration
	ExcludedTotal int     // the same over all iterations
}

// String is the diagnosis in one line.
func (d Diagnosis) String() string {
	return fmt.Sprintf("%v after %d iterations: sigma %.3g..%.3g (%.3g of its start), mu changed by %.3g, "+
		"%.0f%% on bounds, %.0f%% of weights saturated, %d costs excluded (%d in all), |sum of weights - k| = %.2g",
		d.Status, d.Iterations, d.SigmaMin, d.SigmaMax, d.SigmaRatio, d.MuChange,
		100*d.OnBounds, 100*d.Saturated, d.Excluded, d.ExcludedTotal, d.SumResidual)
}

// problem is what a diagnosis looks at: slices of one problem after its last iteration.
type problem[T kernels.Float] struct {
	mu, prevMu, sigma, sigma0 []T // (D): mu before and after the last iteration, sigma after it and at the start
	lower, upper              []T // (D) or nil
	f, w                      []T // (N): costs and weights of the last iteration; nil before the first
	k                         int
	hard                      bool
	cause                     Status     // what ended the solve: Running, Converged, IterationLimit, OutOfBudget or Cancelled
	residual                  [1]float64 // room for a kernel's result
}

// diagnose finds the figures and the status of one problem; Iterations and ExcludedTotal are the caller's to fill in.
func diagnose[T kernels.Float](p *problem[T]) Diagnosis {
	d := Diagnosis{SigmaMin: math.Inf(1)}
	searched := 0
	for i, s := range p.sigma {
		sigma := float64(s)
		d.SigmaMin, d.SigmaMax = math.Min(d.SigmaMin, sigma), math.Max(d.SigmaMax, sigma)
		if !p.searched(i) {
			continue
		}
		searched++
		if sigma <= collapsedRatio*float64(p.sigma0[i]) || p.mu[i]+s == p.mu[i] {
			d.Collapsed++
		}
		if p.onBound(i) {
			d.OnBounds++
		}
	}
	if searched > 0 {
		d.Collapsed /= float64(searched)
		d.OnBounds /= float64(searched)
	} else {
		d.Collapsed = 1
	}
	d.MuChange, d.SigmaRatio = p.progress()
	if p.f != nil {
		d.Excluded, d.Saturated = saturation(p.f, p.w, p.k)
		kernels.SoftTopKResidual(p.residual[:], p.w, 1, len(p.w), p.k)
		d.SumResidual = p.residual[0]
	}
	d.Status = d.judge(p.cause, p.hard, p.f != nil && allZero(p.w))
	return d
}

// judge is the order of precedence.
func (d Diagnosis) judge(cause Status, hard, kept bool) Status {
	switch {
	case cause == Running:
		return Running
	case kept:
		return TooFewFinite
	case cause == Converged || cause == Cancelled || cause == OutOfBudget:
		return cause
	case d.OnBounds >= boundShare:
		return StuckOnBounds
	case d.Collapsed == 1:
		return SigmaCollapsed
	case d.Saturated == 1 && !hard:
		return WeightsSaturated
	}
	return IterationLimit
}

// searched says whether the search moves coordinate i at all.
func (p *problem[T]) searched(i int) bool {
	return p.sigma0[i] > 0 && (p.lower == nil || p.upper == nil || p.lower[i] < p.upper[i])
}

// progress is the largest change of mu and the largest sigma over the searched coordinates, both over the start of
// sigma.
func (p *problem[T]) progress() (muChange, sigmaRatio float64) {
	for i := range p.mu {
		if p.searched(i) {
			start := float64(p.sigma0[i])
			muChange = math.Max(muChange, math.Abs(float64(p.mu[i])-float64(p.prevMu[i]))/start)
			sigmaRatio = math.Max(sigmaRatio, float64(p.sigma[i])/start)
		}
	}
	return muChange, sigmaRatio
}

// onBound says whether mu is at or beyond a bound in coordinate i.
func (p *problem[T]) onBound(i int) bool {
	lower, upper := math.Inf(-1), math.Inf(1)
	if p.lower != nil {
		lower = float64(p.lower[i])
	}
	if p.upper != nil {
		upper = float64(p.upper[i])
	}
	band := boundBand * float64(p.sigma0[i])
	if width := upper - lower; !math.IsInf(width, 0) {
		band = boundBand * width
	}
	mu := float64(p.mu[i])
	return mu <= lower+band || mu >= upper-band
}

// saturation counts the costs that are not finite, and finds the share of the others' weights that are as good as 0
// or 1.
func saturation[T kernels.Float](f, w []T, k int) (excluded int, saturated float64) {
	for _, v := range f {
		if !finite(v) {
			excluded++
		}
	}
	m := len(f) - excluded
	if m <= k {
		return excluded, 0
	}
	equal := float64(k) / float64(m)
	low, high := saturatedBand*equal, 1-saturatedBand*(1-equal)
	count := 0
	for n, v := range f {
		if y := float64(w[n]); finite(v) && (y <= low || y >= high) {
			count++
		}
	}
	return excluded, float64(count) / float64(m)
}

func allZero[T kernels.Float](w []T) bool {
	for _, v := range w {
		if v != 0 {
			return false
		}
	}
	return true
}

// Diagnose reads the values that the nodes of u have after a run of the graph, and returns a [Diagnosis] of each
// problem: whether gradients can pass (WeightsSaturated), and what else may be wrong with the solve. It needs the
// costs of all iterations, and of the last one the weights, Mu and Sigma: of the copies if Keep made any, else of the
// iterates themselves. A node without a value is an error that names it, and so is one that an op further on may have
// overwritten: then call Keep before the graph is compiled.
func (u *Unrolled) Diagnose() ([]Diagnosis, error) {
	var ds []Diagnosis
	var err error
	if u.Config.Dtype == tensor.Float64 {
		ds, err = diagnoseUnrolled[float64](u)
	} else {
		ds, err = diagnoseUnrolled[float32](u)
	}
	if err != nil {
		return nil, fmt.Errorf("dcem: Diagnose: %w", err)
	}
	return ds, nil
}

func diagnoseUnrolled[T kernels.Float](u *Unrolled) ([]Diagnosis, error) {
	c, last := u.Config, len(u.Iterates)-1
	iterates := u.kept
	if iterates == nil {
		iterates = u.Iterates
	}
	prev, prevName := u.Mu0, "Mu0"
	if last > 0 {
		prev, prevName = iterates[last-1].Mu, fmt.Sprintf("Iterates[%d].Mu", last-1)
	}
	var err error
	read := func(n *G.Node, name string) (v []T) {
		if by := overwriter(n); err == nil && by != nil {
			err = fmt.Errorf("%s may have been overwritten by %v, which uses it: call Keep before the graph is compiled", name, by)
		}
		if err == nil {
			v, err = nodeValues[T](n, name)
		}
		return v
	}
	it, at := iterates[last], fmt.Sprintf("Iterates[%d].", last)
	costs := make([][]T, len(iterates))
	for t, it := range iterates {
		costs[t] = read(it.F, fmt.Sprintf("Iterates[%d].F", t))
	}
	w, mu, sigma := read(it.I, at+"I"), read(it.Mu, at+"Mu"), read(it.Sigma, at+"Sigma")
	prevMu, sigma0 := read(prev, prevName), read(u.Sigma0, "Sigma0")
	if err != nil {
		return nil, err
	}
	limits := boundsOf[T](c.Lower, c.Upper)
	ds := make([]Diagnosis, c.Batch)
	for b := range ds {
		row := func(v []T) []T { return v[b*c.Dim : (b+1)*c.Dim] }
		candidates := func(v []T) []T { return v[b*c.Samples : (b+1)*c.Samples] }
		ds[b] = diagnose(&problem[T]{
			mu: row(mu), prevMu: row(prevMu), sigma: row(sigma), sigma0: row(sigma0),
			lower: limits.lower, upper: limits.upper,
			f: candidates(costs[last]), w: candidates(w), k: c.Elites, hard: c.Hard, cause: IterationLimit,
		})
		ds[b].Iterations = len(u.Iterates)
		for _, f := range costs {
			for _, v := range candidates(f) {
				if !finite(v) {
					ds[b].ExcludedTotal++
				}
			}
		}
	}
	return ds, nil
}

// overwriter is a node whose op may write its result over the value of n, as the TapeMachine lets it; nil if there is
// none.
func overwriter(n *G.Node) *G.Node {
	if n.Op() == nil {
		return nil // an input's value is its own
	}
	for it := n.Graph().To(n.ID()); it.Next(); {
		user := it.Node().(*G.Node)
		op := user.Op()
		if op == nil || !op.ReturnsPtr() || op.OverwritesInput() < 0 {
			continue
		}
		inputs := n.Graph().From(user.ID())
		for i := 0; inputs.Next(); i++ {
			if i == op.OverwritesInput() && inputs.Node().ID() == n.ID() {
				return user
			}
		}
	}
	return nil
}
