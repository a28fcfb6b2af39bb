package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// A budget gives every case as many rounds as there is time for, never fewer than are needed for an interval, and
// time that was lost is made up for by the cases that follow.
func TestScheduleKeepsTheBudget(t *testing.T) {
	var jobs []job
	var old []result
	for i := range 20 {
		about := result{Case: fmt.Sprint("case", i), Dtype: "float32"}
		jobs = append(jobs, job{about: about, claim: i < 2, half: i >= 10})
		for _, who := range []string{"godcem", "torch", "tape"} {
			r := about
			r.Contestant, r.Median, r.Setup = who, 1000, 2
			old = append(old, r)
		}
	}
	for _, c := range []struct {
		name     string
		budget   time.Duration
		max      int
		slower   float64 // than the record says
		from, to int     // rounds of the first case that is no claim
		within   float64 // of the budget
	}{
		{"no budget", 0, 15, 1, 15, 15, math.Inf(1)},
		{"more than is needed", time.Hour, 15, 1, 15, 15, 1},
		{"less than everything wants", 12 * time.Minute, 15, 1, 6, 14, 1.02},
		{"twice as slow as it was", 20 * time.Minute, 15, 2, 7, 12, 1.05},
		{"too little", time.Minute, 15, 1, fewest, fewest, math.Inf(1)},
	} {
		at := time.Unix(0, 0)
		var out strings.Builder
		s := newSchedule(jobs, old, c.max, c.budget, &out)
		s.now = func() time.Time { return at }
		s.began = at
		for i := range jobs {
			began, n := at, s.rounds(i)
			if i == 2 && (n < c.from || n > c.to) {
				t.Errorf("%s: %d rounds, want %d to %d", c.name, n, c.from, c.to)
			}
			if n < fewest || n > c.max {
				t.Errorf("%s: case %d has %d rounds", c.name, i, n)
			}
			if p := s.patience(i, 20*time.Second); p < 2*time.Second || p > 20*time.Second {
				t.Errorf("%s: case %d waits up to %v", c.name, i, p)
			}
			at = at.Add(seconds(c.slower * (s.costs[i].setup + float64(n)*s.costs[i].round)))
			s.done(i, n, "avx2", began, "")
		}
		if took := at.Sub(time.Unix(0, 0)); c.budget > 0 && took.Seconds() > c.within*c.budget.Seconds() {
			t.Errorf("%s: %v of %v", c.name, took, c.budget)
		}
		if n := strings.Count(out.String(), "\n"); n != len(jobs) ||
			!strings.Contains(out.String(), "[20/20] avx2 case19 float32") {
			t.Errorf("%s: %d lines of progress:\n%s", c.name, n, &out)
		}
	}
}

func TestDistinctCases(t *testing.T) {
	a, b := result{Case: "a", Batch: 16}, result{Case: "a", Batch: 32}
	if got := distinct([]job{{about: a}, {about: b}, {about: a, half: true}}); len(got) != 2 || got[0].half ||
		got[1].about.Batch != 32 {
		t.Errorf("%+v", got)
	}
}

// Every case that something is claimed of is in the plan, and none twice.
func TestPlanHasTheClaims(t *testing.T) {
	b := &bench{settings: &settings{isas: []string{"avx512"}, full: true, batch: []int{1, 16, 100}, cases: kinds,
		device: "cpu",
		dtypes: []string{"float32", "float64"}, thread: 2}}
	jobs, err := b.plan()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, j := range jobs {
		there[j.about.title()+j.about.Dtype] = true
	}
	for _, c := range claimsOf() {
		if !there[c.title+c.dtype] {
			t.Errorf("no case %s, %s", c.title, c.dtype)
		}
	}
	for _, a := range axes() {
		for _, size := range a.sizes {
			if !there[a.title(size)+"float32"] {
				t.Errorf("no case %s", a.title(size))
			}
		}
	}
	if len(there) != len(jobs) {
		t.Errorf("%d cases, %d distinct", len(jobs), len(there))
	}
	b.isas, b.cases = []string{"avx2"}, strings.Split(claimed, ",")
	if jobs, err = b.plan(); err != nil {
		t.Fatal(err)
	}
	clear(there)
	for _, j := range jobs {
		there[j.about.title()+j.about.Dtype] = true
	}
	for _, c := range claimsOf() {
		if !there[c.title+c.dtype] {
			t.Errorf("with AVX2 no case %s, %s", c.title, c.dtype)
		}
	}
}
