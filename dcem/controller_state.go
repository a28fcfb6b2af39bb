package dcem

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/kernels"
)

// SetRun sets the run number of the next plan's noise; the one after takes the next number. The first is 0.
func (s *Controller[T]) SetRun(run uint64) { s.run = run }

// SetIterations limits the iterations of the plans to come, from 1 to Config's. It needs Stepwise.
func (s *Controller[T]) SetIterations(n int) error {
	if len(s.segments) == 1 || n < 1 || n > s.c.Iterations {
		return fmt.Errorf("dcem: Controller.SetIterations: n = %d, want 1 <= n <= Iterations = %d, and Stepwise",
			n, s.c.Iterations)
	}
	s.iterations = n
	return nil
}

// SetPrevious sets the controls (B, U) that were carried out last, which RatePenalty asks for; at first, and after
// Reset, they are 0.
func (s *Controller[T]) SetPrevious(u []T) error {
	if s.prev == nil {
		return fmt.Errorf("dcem: Controller.SetPrevious: RatePenalty is not set")
	}
	return s.set("SetPrevious", "u", s.prev, u)
}

// SetCandidates sets the candidates (B, CandidateCount, Dim) that take part in every iteration of the plans to come;
// at first they are 0.
func (s *Controller[T]) SetCandidates(u []T) error {
	if s.user == nil {
		return fmt.Errorf("dcem: Controller.SetCandidates: CandidateCount is 0")
	}
	return s.set("SetCandidates", "u", s.user, u)
}

func (s *Controller[T]) set(fn, name string, dst, v []T) error {
	if len(v) != len(dst) {
		return fmt.Errorf("dcem: Controller.%s: %s has %d values, want %d", fn, name, len(v), len(dst))
	}
	for i, x := range v {
		if !finite(x) {
			return fmt.Errorf("dcem: Controller.%s: %s[%d] = %v, want a finite number", fn, name, i, x)
		}
	}
	copy(dst, v)
	return nil
}

// Reset makes the given problems, or all if none are given, start anew: from Config's Mu and Sigma, with no previous
// control. A number beyond the batch is passed over.
func (s *Controller[T]) Reset(problems ...int) {
	if len(problems) == 0 {
		for b := range s.c.Batch {
			s.reset(b)
		}
	}
	for _, b := range problems {
		if b >= 0 && b < s.c.Batch {
			s.reset(b)
		}
	}
}

func (s *Controller[T]) reset(b int) {
	lo, hi := b*s.c.Dim, (b+1)*s.c.Dim
	fillStart(s.mu0[lo:hi], nil, s.c.Mu[lo:hi])
	fillStart(s.sigma0[lo:hi], nil, s.c.Sigma[lo:hi])
	if s.prev != nil {
		clear(s.prev[b*s.m.Controls : (b+1)*s.m.Controls])
	}
	if m := s.c.KeepElites; s.carry != nil {
		for i := b * m; i < (b+1)*m; i++ {
			s.limits.clamp(s.carry[i*s.c.Dim:(i+1)*s.c.Dim], s.mu0[lo:hi])
		}
	}
}

// ControllerState is what a [Controller] remembers from plan to plan, to save and to go on from.
type ControllerState[T kernels.Float] struct {
	Mu         []T    // where the next plan starts, (B, Dim)
	Previous   []T    // the controls carried out last, (B, U); nil without RatePenalty
	Elites     []T    // those carried from the plan before, (B, KeepElites, Dim); nil without CarryElites
	Candidates []T    // as set by SetCandidates, (B, CandidateCount, Dim); nil without
	Run        uint64 // run number of the next plan's noise
}

// State is a copy of what s remembers: a Controller of the same configuration that Restore puts it into makes the
// same plans from there on, bit for bit. What Advance is to start from is not part of it: save after Advance.
func (s *Controller[T]) State() ControllerState[T] {
	return ControllerState[T]{Mu: slices.Clone(s.mu0), Previous: slices.Clone(s.prev), Elites: slices.Clone(s.carry),
		Candidates: slices.Clone(s.user), Run: s.run}
}

// Restore puts back what State returned. An error leaves s as it was.
func (s *Controller[T]) Restore(state ControllerState[T]) error {
	parts := []struct {
		name     string
		to, from []T
	}{{"Mu", s.mu0, state.Mu}, {"Previous", s.prev, state.Previous}, {"Elites", s.carry, state.Elites},
		{"Candidates", s.user, state.Candidates}}
	for _, p := range parts {
		if len(p.from) != len(p.to) {
			return fmt.Errorf("dcem: Controller.Restore: %s has %d values, want %d", p.name, len(p.from), len(p.to))
		}
		for i, v := range p.from {
			if !finite(v) {
				return fmt.Errorf("dcem: Controller.Restore: %s[%d] = %v, want a finite number", p.name, i, v)
			}
		}
	}
	for _, p := range parts {
		copy(p.to, p.from)
	}
	fillStart(s.sigma0, nil, s.c.Sigma)
	s.run, s.planned = state.Run, false
	return nil
}

// Advance says that the first steps controls of the last plan were carried out: the next one starts from what is left
// of it, moved to the front with the last control held on, and Config's Sigma. So Advance(0) starts where the last
// one ended. steps may be beyond the horizon. Without Advance a plan starts from where the one before it started.
func (s *Controller[T]) Advance(steps int) error {
	if !s.planned || steps < 0 {
		return fmt.Errorf("dcem: Controller.Advance: steps = %d, want at least 0, after a plan", steps)
	}
	if steps != s.shiftedBy {
		s.shifts, s.shiftedBy = s.c.shifts(steps), steps
	}
	d, u, h := s.c.Dim, s.m.Controls, s.c.Horizon
	copy(s.mu0, s.shifted)
	fillStart(s.sigma0, nil, s.c.Sigma)
	for b := range s.c.Batch {
		row := s.mu0[b*d : (b+1)*d]
		shift(row, s.tmp, s.shifts, u)
		if s.prev != nil && steps > 0 {
			copy(s.prev[b*u:(b+1)*u], s.result.Controls[(b*h+min(steps, h)-1)*u:])
		}
	}
	if s.carry != nil {
		copy(s.carry, s.state[elitesState])
		for i := 0; i < len(s.carry); i += d {
			shift(s.carry[i:i+d], s.tmp, s.shifts, u)
		}
	}
	s.planned = false
	return nil
}
