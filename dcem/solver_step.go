package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/vec"
	"github.com/godcem/godcem/kernels"
)

// iterate runs one iteration for the problems that have not stopped. Where it fails, mu and sigma are as before.
func (s *Solver[T]) iterate() (IterationInfo, error) {
	for b, stopped := range s.stopped {
		s.live[b] = !stopped
	}
	if err := s.sample(); err != nil {
		return IterationInfo{}, err
	}
	live := s.live
	if len(s.spans) == 1 && s.spans[0] == (span{0, s.c.Batch}) {
		live = nil
	}
	if err := s.costs(s.out, s.x, live); err != nil {
		return IterationInfo{}, err
	}
	info := IterationInfo{Iteration: s.t}
	for _, r := range s.spans {
		info.Excluded += s.account(r)
		s.weigh(r)
		s.keepElites(r)
		s.refit(r)
	}
	s.advance(&info)
	s.t++
	return info, nil
}

// sample draws the candidates, eq. (1).
func (s *Solver[T]) sample() (err error) {
	n, d := s.c.Samples, s.c.Dim
	draw := s.c.Draw + uint64(s.t)
	if s.o.Noise != nil {
		if err := s.customNoise(draw); err != nil {
			return err
		}
	}
	defer recovered(&err, "Project")
	for _, r := range s.spans {
		x, eps := s.x[r.lo*n*d:r.hi*n*d], s.eps[r.lo*n*d:r.hi*n*d]
		if s.o.Noise == nil {
			kernels.Normal(eps, s.c.Seed, draw, s.run, (s.o.Problem0+r.lo)*n*d)
		}
		kernels.SampleForward(x, s.mu[r.lo*d:r.hi*d], s.sigma[r.lo*d:r.hi*d], eps, s.limits.lower, s.limits.upper,
			r.hi-r.lo, n, d)
		if s.o.Project != nil {
			s.projection.first, s.projection.x = r.lo, x
			vec.Parallel((r.hi-r.lo)*n, 8, &s.projection)
		}
		m := s.o.KeepElites
		for b := r.lo; b < r.hi; b++ {
			if s.carried[b] {
				copy(s.x[((b+1)*n-m)*d:(b+1)*n*d], s.elites[b*m*d:(b+1)*m*d])
			}
		}
	}
	return nil
}

func (s *Solver[T]) customNoise(draw uint64) (err error) {
	defer recovered(&err, "Noise")
	if err := s.o.Noise(s.eps, s.run, draw); err != nil {
		return fmt.Errorf("dcem: Noise: %w", err)
	}
	return nil
}

// costs calls the objective, for the live problems if it can leave the others out; nil stands for all.
func (s *Solver[T]) costs(costs, x []T, live []bool) (err error) {
	defer recovered(&err, "the objective")
	nan := T(math.NaN())
	for i := range costs {
		costs[i] = nan
	}
	if s.active != nil && live != nil {
		err = s.active.ActiveCosts(costs, x, live)
	} else {
		err = s.objective.Costs(costs, x)
	}
	if err != nil {
		return fmt.Errorf("dcem: the objective: %w", err)
	}
	return nil
}

// account takes over the costs of a range of problems, counts those that are not finite, and keeps the best candidates.
func (s *Solver[T]) account(r span) (excluded int) {
	n, d := s.c.Samples, s.c.Dim
	for b := r.lo; b < r.hi; b++ {
		f := s.f[b*n : (b+1)*n]
		copy(f, s.out[b*n:])
		at, before := -1, excluded
		for i, v := range f {
			switch {
			case !finite(v):
				excluded++
			case v < s.bestCost[b]:
				s.bestCost[b], at = v, i
			}
		}
		if at >= 0 {
			copy(s.best[b*d:(b+1)*d], s.x[(b*n+at)*d:])
		}
		s.excluded[b] += excluded - before
		s.iterations[b]++
	}
	return excluded
}

// weigh turns costs into weights as the function of that name does in a graph: eqs. (2) and (3), or the exact top-k.
func (s *Solver[T]) weigh(r span) {
	n, k, rows := s.c.Samples, s.c.Elites, r.hi-r.lo
	f, w := s.f[r.lo*n:r.hi*n], s.w[r.lo*n:r.hi*n]
	if s.c.Hard {
		kernels.TopK(w, nil, nil, f, rows, n, k)
		return
	}
	v, thresh := s.v[r.lo*n:r.hi*n], s.thresh[r.lo*2:r.hi*2]
	kernels.NormaliseForward(v, nil, f, s.c.RawCosts, rows, n)
	kernels.SoftTopKSolve(thresh, nil, v, s.c.relaxation(), -1/s.c.Temperature, rows, n, k)
	kernels.SoftTopKForward(w, v, thresh, s.c.relaxation(), -1/s.c.Temperature, rows, n, k)
}

// keepElites copies the best candidates for the next iteration.
func (s *Solver[T]) keepElites(r span) {
	m := s.o.KeepElites
	if m == 0 {
		return
	}
	n, d := s.c.Samples, s.c.Dim
	kernels.TopK(nil, s.order[r.lo*m:r.hi*m], s.rowStatus[r.lo:r.hi], s.f[r.lo*n:r.hi*n], r.hi-r.lo, n, m)
	for b := r.lo; b < r.hi; b++ {
		if s.carried[b] = s.rowStatus[b] == kernels.RowOK; !s.carried[b] {
			continue
		}
		for i, at := range s.order[b*m : (b+1)*m] {
			copy(s.elites[(b*m+i)*d:(b*m+i+1)*d], s.x[(b*n+int(at))*d:])
		}
	}
}

// refit finds the moments of the weighted candidates, eq. (4), as the two ops of Refit do: sigma is about the mu that
// is stored.
func (s *Solver[T]) refit(r span) {
	n, d, k, rows := s.c.Samples, s.c.Dim, s.c.Elites, r.hi-r.lo
	lo, hi := r.lo*d, r.hi*d
	x, w := s.x[lo*n:hi*n], s.w[r.lo*n:r.hi*n]
	kernels.RefitForward(s.newMu[lo:hi], nil, x, w, s.mu[lo:hi], nil, 0, k, rows, n, d)
	kernels.SigmaForward(s.newSigma[lo:hi], x, w, s.newMu[lo:hi], s.sigma[lo:hi], s.c.SigmaMin, k, rows, n, d)
}

// advance makes the refitted moments those of the next iteration, and stops the problems that have converged.
func (s *Solver[T]) advance(info *IterationInfo) {
	n, d := s.c.Samples, s.c.Dim
	for _, r := range s.spans {
		copy(s.prevMu[r.lo*d:r.hi*d], s.mu[r.lo*d:])
		for b := r.lo; b < r.hi; b++ {
			info.Running++
			if allZero(s.w[b*n : (b+1)*n]) {
				info.Kept++
				continue
			}
			lo, hi := b*d, (b+1)*d
			smooth(s.mu[lo:hi], s.newMu[lo:hi], s.o.MuSmoothing, math.Inf(-1))
			smooth(s.sigma[lo:hi], s.newSigma[lo:hi], s.o.SigmaSmoothing, s.sigmaMin)
			p := &problem[T]{
				mu: s.mu[lo:hi], prevMu: s.prevMu[lo:hi], sigma: s.sigma[lo:hi], sigma0: s.sigma0[lo:hi],
				lower: s.limits.lower, upper: s.limits.upper,
			}
			muChange, sigmaRatio := p.progress()
			info.MuChange, info.SigmaRatio = math.Max(info.MuChange, muChange), math.Max(info.SigmaRatio, sigmaRatio)
			if s.converged(p, muChange) {
				s.stopped[b] = true
				info.Converged++
			}
		}
	}
	if info.Converged > 0 {
		s.findSpans()
	}
}

// smooth is v = a*v + (1-a)*refitted, at least floor.
func smooth[T kernels.Float](v, refitted []T, a, floor float64) {
	if a == 0 {
		copy(v, refitted)
		return
	}
	for i, r := range refitted {
		v[i] = T(math.Max(float64(a*float64(v[i]))+float64((1-a)*float64(r)), floor))
	}
}

// converged says whether a problem meets the tolerances that were asked for.
func (s *Solver[T]) converged(p *problem[T], muChange float64) bool {
	if s.o.MuTolerance == 0 && s.o.SigmaTolerance == 0 {
		return false
	}
	if s.o.MuTolerance > 0 && !(muChange <= s.o.MuTolerance) {
		return false
	}
	if s.o.SigmaTolerance == 0 {
		return true
	}
	for i, v := range p.sigma {
		if p.searched(i) && !(float64(v) <= math.Max(s.o.SigmaTolerance*float64(p.sigma0[i]), s.sigmaMin)) {
			return false
		}
	}
	return true
}
