package dcem

import (
	"context"
	"fmt"
	"math"

	"github.com/godcem/godcem/kernels"
)

// Solver runs the method from Go, one iteration at a time, for planning without gradients: eqs. (1) to (5) with the
// kernels that the ops of [Unroll] run, so that both give the same bits on the same costs. Use [NewSolver].
//
// Solve runs a solve to its end; Step runs one iteration of it. The next solve starts where Reset or Warm say, or
// else from the configuration again, and takes the next run number, so that its noise is fresh. Equal Seed, Draw and
// run number give equal bits, for any number of threads.
//
// An iteration allocates nothing beyond what the objective and the callback do. A Solver is not safe for concurrent
// use; different Solvers are.
type Solver[T kernels.Float] struct {
	c         Config
	o         SolverOptions[T]
	objective BatchObjective[T]
	active    ActiveObjective[T] // the objective, if it can leave problems out
	limits    bounds[T]
	sigmaMin  float64 // the floor as sigma can hold it

	phase phase
	end   Status // of the problems that have not converged
	run   uint64 // of this solve
	next  uint64 // of the next one
	t     int    // iterations done

	mu, sigma, sigma0, prevMu, newMu, newSigma []T       // (B, D)
	eps, x                                     []T       // (B, N, D)
	out, f, v, w                               []T       // (B, N): costs as just written; costs, normalised costs and weights
	thresh                                     []float64 // (B, 2)
	best, bestCost                             []T       // (B, D), (B)
	elites                                     []T       // (B, KeepElites, D)
	order                                      []int32   // (B, KeepElites)
	rowStatus                                  []kernels.RowStatus
	carried                                    []bool // (B): elites holds the best of the last iteration
	live                                       []bool // (B): not stopped, or not yet when the last iteration began
	stopped                                    []bool // (B)
	spans                                      []span // maximal ranges of problems that have not stopped
	iterations, excluded                       []int  // (B), over this solve

	projection projection[T]
	iteration  Iteration[T]
}

// span is a range of problems, [lo, hi).
type span struct{ lo, hi int }

// A phase of a solver: about to start a solve, in the middle of one, or through with it.
type phase uint8

const (
	ready phase = iota
	underWay
	ended
)

// NewSolver makes a solver of the objective. Config's fields for graphs (MuNode, SigmaNode, Run, Noise, Project,
// Backprop) must not be set, nor Dtype to another type than T.
func NewSolver[T kernels.Float](objective BatchObjective[T], c Config, o SolverOptions[T]) (*Solver[T], error) {
	const fn = "NewSolver"
	c, err := solverConfig[T](fn, c)
	if err != nil {
		return nil, err
	}
	if err := o.check(fn, c); err != nil {
		return nil, err
	}
	if objective == nil {
		return nil, fmt.Errorf("dcem: %s: the objective is nil", fn)
	}
	if so, ok := objective.(shapedObjective[T]); ok {
		if objective, err = so.shaped(c.Batch, c.Samples, c.Dim); err != nil {
			return nil, fmt.Errorf("dcem: %s: %w", fn, err)
		}
	}
	b, n, d := c.Batch, c.Samples, c.Dim
	s := &Solver[T]{
		c: c, o: o, objective: objective, limits: boundsOf[T](c.Lower, c.Upper), sigmaMin: float64(T(c.SigmaMin)),
		thresh: make([]float64, b*2), order: make([]int32, b*o.KeepElites), rowStatus: make([]kernels.RowStatus, b),
		carried: make([]bool, b), live: make([]bool, b), stopped: make([]bool, b), spans: make([]span, 0, (b+1)/2),
		iterations: make([]int, b), excluded: make([]int, b),
	}
	s.active, _ = objective.(ActiveObjective[T])
	for _, v := range []*[]T{&s.mu, &s.sigma, &s.sigma0, &s.prevMu, &s.newMu, &s.newSigma, &s.best} {
		*v = make([]T, b*d)
	}
	for _, v := range []*[]T{&s.out, &s.f, &s.v, &s.w} {
		*v = make([]T, b*n)
	}
	s.eps, s.x = make([]T, b*n*d), make([]T, b*n*d)
	s.bestCost, s.elites = make([]T, b), make([]T, b*o.KeepElites*d)
	s.projection = projection[T]{f: o.Project, n: n, d: d}
	return s, s.Reset(nil, nil)
}

// Config returns the configuration with its defaults filled in.
func (s *Solver[T]) Config() Config { return s.c }

// SetRun sets the run number of the next solve to start; the one after takes the next number. The first solve's is 0.
func (s *Solver[T]) SetRun(run uint64) { s.next = run }

// Reset makes the next solve start from mu and sigma: B*D values, or D for every problem alike; nil stands for
// Config's. A solve under way is abandoned.
func (s *Solver[T]) Reset(mu, sigma []T) error {
	for _, v := range []struct {
		name    string
		values  []T
		atLeast float64
	}{{"mu", mu, math.Inf(-1)}, {"sigma", sigma, 0}} {
		if l := len(v.values); v.values != nil && l != len(s.mu) && l != s.c.Dim {
			return fmt.Errorf("dcem: Solver.Reset: %s has %d values, want Dim = %d or Batch*Dim = %d", v.name, l,
				s.c.Dim, len(s.mu))
		}
		for i, x := range v.values {
			if !finite(x) || float64(x) < v.atLeast {
				return fmt.Errorf("dcem: Solver.Reset: %s[%d] = %v, want a finite number of at least %v", v.name, i, x,
					v.atLeast)
			}
		}
	}
	fillStart(s.mu, mu, s.c.Mu)
	fillStart(s.sigma, sigma, s.c.Sigma)
	s.rewind()
	return nil
}

// fillStart fills dst, B*D values, from given values, B*D or D of them, or from the configuration's.
func fillStart[T kernels.Float](dst, given []T, configured []float64) {
	for i := range dst {
		if given != nil {
			dst[i] = given[i%len(given)]
		} else {
			dst[i] = T(configured[i])
		}
	}
}

// Warm makes the next solve start from the answer of the last, the clamped mean, with Config's Sigma. A solve under
// way is abandoned, and its answer so far is taken. To go on with the last sigma as well, give the Solution's Mu and
// Sigma to Reset.
func (s *Solver[T]) Warm() {
	s.limits.clamp(s.mu, s.mu)
	fillStart(s.sigma, nil, s.c.Sigma)
	s.rewind()
}

// rewind makes ready to solve from the present mu and sigma.
func (s *Solver[T]) rewind() {
	s.phase, s.end, s.t, s.run = ready, Running, 0, s.next
	copy(s.sigma0, s.sigma)
	copy(s.prevMu, s.mu)
	for b := range s.bestCost {
		s.bestCost[b] = T(math.Inf(1))
	}
	clear(s.stopped)
	clear(s.carried)
	clear(s.iterations)
	clear(s.excluded)
	s.findSpans()
}

// findSpans finds the problems that have not stopped.
func (s *Solver[T]) findSpans() {
	s.spans = s.spans[:0]
	for b, stopped := range s.stopped {
		switch last := len(s.spans) - 1; {
		case stopped:
		case last >= 0 && s.spans[last].hi == b:
			s.spans[last].hi++
		default:
			s.spans = append(s.spans, span{b, b + 1})
		}
	}
}

// Step runs one iteration. At the end of a solve IterationInfo.Done is true, and a further Step is an error: Reset,
// Warm or Solve start another. If ctx is over, nothing is done and its error is returned, wrapped. If the objective
// fails, Mu and Sigma are as before, and Step tries the same iteration again.
func (s *Solver[T]) Step(ctx context.Context) (IterationInfo, error) {
	if s.phase == ended {
		return IterationInfo{}, fmt.Errorf("dcem: Solver.Step: the solve has ended after %d iterations; Reset, Warm or Solve start another", s.t)
	}
	return s.step(ctx)
}

func (s *Solver[T]) step(ctx context.Context) (IterationInfo, error) {
	if err := ctx.Err(); err != nil {
		return IterationInfo{}, fmt.Errorf("dcem: Solver: before iteration %d: %w", s.t, err)
	}
	if s.phase == ready {
		s.phase, s.run = underWay, s.next
		s.next++
	}
	s.end = Running
	info, err := s.iterate()
	if err != nil {
		return IterationInfo{}, fmt.Errorf("dcem: Solver: iteration %d: %w", s.t, err)
	}
	if len(s.spans) == 0 || s.t >= s.c.Iterations {
		info.Done = true
		s.phase, s.end = ended, IterationLimit
	}
	if s.o.Callback == nil {
		return info, nil
	}
	s.iteration = Iteration[T]{
		IterationInfo: info, Run: s.run, Active: s.live, X: s.x, Costs: s.f, Weights: s.w,
		Mu: s.mu, Sigma: s.sigma, Best: s.best, BestCost: s.bestCost,
	}
	stop, err := s.o.Callback(&s.iteration)
	if stop && !info.Done {
		info.Done = true
		s.phase, s.end = ended, Cancelled
	}
	if err != nil {
		return info, fmt.Errorf("dcem: Solver: callback of iteration %d: %w", info.Iteration, err)
	}
	return info, nil
}

// Solve runs iterations until every problem has stopped, the limit is reached, the callback says so, or ctx is over.
// A solve that Step began, or that a context or an error interrupted, is carried on with; after one that has ended, a
// new one starts from Config's Mu and Sigma. The Solution is what there is even if the error is not nil, so that
// nothing computed is lost; for a context that is over the error wraps ctx.Err().
func (s *Solver[T]) Solve(ctx context.Context) (*Solution[T], error) {
	if s.phase == ended {
		if err := s.Reset(nil, nil); err != nil {
			return nil, err
		}
	}
	for s.phase != ended {
		if _, err := s.step(ctx); err != nil {
			if s.phase != ended {
				s.end = Cancelled
			}
			return s.Solution(), err
		}
	}
	if !s.o.EvaluateMean || s.end == Cancelled {
		return s.Solution(), nil
	}
	cost, err := s.evaluateMean()
	if err != nil {
		return s.Solution(), fmt.Errorf("dcem: Solver: cost of the mean: %w", err)
	}
	sol := s.Solution()
	sol.MeanCost = cost
	return sol, nil
}

// evaluateMean returns the cost of each problem's answer, which may be its best point yet.
func (s *Solver[T]) evaluateMean() ([]T, error) {
	n, d := s.c.Samples, s.c.Dim
	mean := s.newMu
	s.limits.clamp(mean, s.mu)
	x := s.eps // free between iterations
	for i := range s.c.Batch * n {
		copy(x[i*d:(i+1)*d], mean[i/n*d:])
	}
	if err := s.costs(s.out, x, nil); err != nil {
		return nil, err
	}
	cost := make([]T, s.c.Batch)
	for b := range cost {
		cost[b] = s.out[b*n]
		if s.o.Project == nil && finite(cost[b]) && cost[b] < s.bestCost[b] {
			s.bestCost[b] = cost[b]
			copy(s.best[b*d:(b+1)*d], mean[b*d:])
		}
	}
	return cost, nil
}

// Solution returns the outcome so far: after Step, say, or in the middle of a solve, when the statuses are Running.
func (s *Solver[T]) Solution() *Solution[T] {
	n, d := s.c.Samples, s.c.Dim
	sol := &Solution[T]{
		Mean: make([]T, len(s.mu)), Best: cloned(s.best), BestCost: cloned(s.bestCost), Mu: cloned(s.mu), Sigma: cloned(s.sigma),
		Run: s.run, Iterations: s.t, Diagnoses: make([]Diagnosis, s.c.Batch),
	}
	s.limits.clamp(sol.Mean, s.mu)
	for b := range sol.Diagnoses {
		lo, hi := b*d, (b+1)*d
		if math.IsInf(float64(s.bestCost[b]), 1) {
			copy(sol.Best[lo:hi], sol.Mean[lo:hi])
		}
		p := &problem[T]{
			mu: s.mu[lo:hi], prevMu: s.prevMu[lo:hi], sigma: s.sigma[lo:hi], sigma0: s.sigma0[lo:hi],
			lower: s.limits.lower, upper: s.limits.upper, k: s.c.Elites, hard: s.c.Hard, cause: s.end,
		}
		if s.stopped[b] {
			p.cause = Converged
		}
		if s.iterations[b] > 0 {
			p.f, p.w = s.f[b*n:(b+1)*n], s.w[b*n:(b+1)*n]
		}
		sol.Diagnoses[b] = diagnose(p)
		sol.Diagnoses[b].Iterations, sol.Diagnoses[b].ExcludedTotal = s.iterations[b], s.excluded[b]
	}
	return sol
}

func cloned[T kernels.Float](v []T) []T { return append(make([]T, 0, len(v)), v...) }

// clamp is eq. (5): dst = x limited per dimension, rows of D values. dst may be x.
func (l bounds[T]) clamp(dst, x []T) { clampOp[T]{l}.Run(dst, []any{x}) }
