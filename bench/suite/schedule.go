package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// A job is a case that is to be measured.
type job struct {
	about result // its name and sizes
	run   func() error
	half  bool // it has half of the rounds: one of many sizes
	claim bool // it has twice as many: a bound is set for it
}

// fewest is how many rounds a case has, whatever the budget says: with fewer no interval has the median with 95 %.
const fewest = 6

// What a case costs for which the record does not say it, in seconds: to get ready, and a round.
const (
	unknownSetup = 12.0
	unknownRound = 1.2
	betweenRuns  = 0.13 // a look at the load, and a pause
	usualSlice   = 100  // ms
)

// A schedule shares a budget of time among jobs and says how far they are. What a case takes is what the record says
// that it took last time.
type schedule struct {
	jobs   []job
	costs  []cost
	max    int // rounds
	began  time.Time
	budget time.Duration // 0: no limit
	now    func() time.Time
	out    io.Writer
	spent  float64 // what the jobs that were measured were said to take, in seconds
	gone   float64 // and what they took
}

// A cost is in seconds.
type cost struct{ setup, round float64 }

func newSchedule(jobs []job, old []result, max int, budget time.Duration, out io.Writer) *schedule {
	s := &schedule{jobs: jobs, max: max, budget: budget, now: time.Now, out: out}
	s.began = s.now()
	for _, j := range jobs {
		s.costs = append(s.costs, costOfCase(j, old))
	}
	return s
}

// costOfCase is what a case will take by the record.
func costOfCase(j job, old []result) (c cost) {
	key, known := j.about.caseKey(), false
	for _, r := range old {
		if r.caseKey() != key {
			continue
		}
		known = true
		per := betweenRuns + max(usualSlice, r.Median)/1e3
		c.setup += setupOf(r) + warm(r.Median/1e3)
		if n := atMost(r.Case, r.Contestant); n < math.MaxInt {
			c.setup += float64(n) * per
		} else {
			c.round += per
		}
	}
	if !known {
		c = cost{unknownSetup, unknownRound}
	}
	return c
}

// setupOf is what a contestant takes to be ready, in seconds: compiled, unless its compiler has kept it.
func setupOf(r result) float64 {
	switch {
	case r.Setup > 0:
		return r.Setup
	case r.Contestant == "compile":
		return 12
	case r.Contestant == "jax":
		return 3
	}
	return 0.5
}

// warm is about what finding the number of repetitions takes, of what takes so many seconds.
func warm(once float64) float64 {
	if once > 0.2 {
		return once
	}
	return 0.1 + 3*once
}

// of is how many rounds job i has where a whole one has n.
func (s *schedule) of(i, n int) int {
	switch {
	case s.jobs[i].claim && n > fewest:
		n = min(2*n, s.max)
	case s.jobs[i].half:
		n = min(n, max(fewest, (n+1)/2))
	}
	return n
}

// from is what the jobs from i on take with n rounds, in seconds, at the record's pace.
func (s *schedule) from(i, n int) (total float64) {
	for ; i < len(s.jobs); i++ {
		total += s.costs[i].setup + float64(s.of(i, n))*s.costs[i].round
	}
	return total
}

// least is what all jobs take with the fewest rounds, in seconds.
func (s *schedule) least() float64 { return s.from(0, min(fewest, s.max)) }

// pace is how much longer than the record says things take today.
func (s *schedule) pace() float64 {
	if s.spent < 10 {
		return 1
	}
	return min(3, max(0.5, s.gone/s.spent))
}

// rounds are those of job i: as many as the rest of the budget has room for, the same for all that are left.
func (s *schedule) rounds(i int) int { return s.of(i, s.whole(i)) }

func (s *schedule) whole(i int) int {
	n := s.max
	for s.budget > 0 && n > fewest && s.from(i, n)*s.pace() > s.left().Seconds() {
		n--
	}
	return n
}

func (s *schedule) left() time.Duration { return s.budget - s.now().Sub(s.began) }

// patience is how long job i may wait for other processes: its share of what the budget has to spare.
func (s *schedule) patience(i int, most time.Duration) time.Duration {
	if s.budget == 0 {
		return most
	}
	spare := s.left() - seconds(s.from(i, min(fewest, s.max))*s.pace())
	return max(min(most, 2*time.Second), min(most, spare/time.Duration(len(s.jobs)-i)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// done notes that job i was measured with so many rounds since began, and says how far all are.
func (s *schedule) done(i, rounds int, isa string, began time.Time, what string) {
	took := s.now().Sub(began)
	if what == "" {
		c := s.costs[i]
		s.spent, s.gone = s.spent+c.setup+float64(rounds)*c.round, s.gone+took.Seconds()
		what = fmt.Sprintf("%d rounds", rounds)
	}
	left := ""
	if i+1 < len(s.jobs) {
		left = fmt.Sprintf("; about %s to go", clock(seconds(s.from(i+1, s.whole(i+1))*s.pace())))
	}
	of := ""
	if s.budget > 0 {
		of = " of " + clock(s.budget)
	}
	fmt.Fprintf(s.out, "[%d/%d] %s %s %s: %s, %s; %s%s gone%s\n", i+1, len(s.jobs), isa, s.jobs[i].about.title(),
		s.jobs[i].about.Dtype, what, clock(took), clock(s.now().Sub(s.began)), of, left)
}

// clock is a time in minutes and seconds.
func clock(d time.Duration) string {
	n := int(math.Round(d.Seconds()))
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// atMost is how many rounds a contestant has at most in a case: those who take seconds have few.
func atMost(name, contestant string) int {
	switch {
	case contestant == "gomlx" || contestant == "tape":
		return 2
	case name == coldStart && contestant == "compile":
		return 1 // the better part of a minute
	case name == coldStart || name == coldKept:
		return fewest
	}
	return math.MaxInt
}

// distinct leaves out jobs of a case that an earlier one has.
func distinct(jobs []job) (all []job) {
	seen := map[string]bool{}
	for _, j := range jobs {
		if key := j.about.caseKey(); !seen[key] {
			seen[key] = true
			all = append(all, j)
		}
	}
	return slices.Clip(all)
}
