package check

import (
	"math"
	"slices"
	"testing"
)

// bumpsCases returns the embedded cases.
func bumpsCases(t *testing.T) []BumpsCase {
	t.Helper()
	t.Setenv("GODCEM_GOLDEN", "")
	cases, err := goldenCases[BumpsCase]("dcem_bumps.json")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// replay compares a case with itself, plant having changed the arrays of a solve's iterate i before: f, weight, mu,
// sigma. It returns the complaints.
func replay(t *testing.T, c BumpsCase, single bool, plant func(i int, got [4][]float64)) []string {
	t.Helper()
	r := recorder{TB: t}
	s := c.Solve(&r, single)
	for i, it := range c.Iterates {
		got := [4][]float64{it.F, it.Weight, it.Mu, it.Sigma}
		for j := range got {
			if got[j] = slices.Clone(got[j]); single {
				got[j] = Copy[float64](Copy[float32](got[j]))
			}
		}
		plant(i, got)
		s.Iterate(&r, got[0], got[1], got[2], got[3])
	}
	s.Problems(&r, "gradient", c.GradMu0, c.GradMu0, BumpsGradient)
	s.Whole(&r, "loss", []float64{c.Loss}, []float64{c.Loss}, BumpsLoss)
	s.End(&r)
	return r.errors
}

// On the embedded cases, errors of 1e-3 in a weight and 2e-5 in anything else show in float32, wherever they are, and
// 1e-8 in float64; what float32 rounds does not.
func TestBumpsSolveNotices(t *testing.T) {
	for _, c := range bumpsCases(t) {
		for _, single := range []bool{false, true} {
			if errors := replay(t, c, single, func(int, [4][]float64) {}); len(errors) != 0 {
				t.Fatalf("%s: compared with itself: %q", c.Name(), errors)
			}
			for at := range c.Iters {
				for array, planted := range [4]float64{2e-5, 1e-3, 2e-5, 2e-5} {
					if !single {
						planted = 1e-8
					}
					for b := range c.Batch {
						for _, planted := range []float64{planted, -planted, math.NaN()} {
							errors := replay(t, c, single, func(i int, got [4][]float64) {
								if v := row(got[array], b, c.Batch); i == at {
									scale := max(1, slices.Max(v), -slices.Min(v))
									v[len(v)-1] += planted * scale
								}
							})
							if len(errors) != 1 {
								t.Errorf("%s: single %v: array %d of iterate %d, problem %d, is off by %g: %q",
									c.Name(), single, array, at, b, planted, errors)
							}
						}
					}
				}
			}
		}
		for _, s := range []*BumpsSolve{c.Solve(t, true), c.Solve(t, false)} {
			var r recorder
			s.End(&r)
			r.wantErrors(t, "no iterate", "compared 0 iterates")
			s.Iterate(&r, c.Iterates[0].F, c.Iterates[0].Weight[1:], c.Iterates[0].Mu, c.Iterates[0].Sigma)
			r.wantErrors(t, "short", "weight: ")
			s.Problems(&r, "gradient", c.GradMu0[1:], c.GradMu0, 1)
			r.wantErrors(t, "short", "gradient: ")
			s.Whole(&r, "loss", []float64{c.Loss * 1.001}, []float64{c.Loss}, BumpsLoss)
			r.wantErrors(t, "loss", "loss: ")
		}
	}
}

// The two costs about the cut of a hard problem change places: an error, unless float32 cannot tell them apart. Then
// that problem is compared no further, and the others are.
func TestBumpsSolveTies(t *testing.T) {
	hard := 0
	for _, c := range bumpsCases(t) {
		if c.Temp != nil {
			continue
		}
		hard++
		const at = 1
		order := make([]int, c.N) // of the last problem
		for i := range order {
			order[i] = i
		}
		last := c.Batch - 1
		f := row(c.Iterates[at].F, last, c.Batch)
		slices.SortFunc(order, func(i, j int) int {
			if f[i] < f[j] {
				return -1
			}
			return 1
		})
		in, out := order[c.K-1], order[c.K]
		flip := func(nonsense int) func(i int, got [4][]float64) { // from iterate at on, also in that problem
			return func(i int, got [4][]float64) {
				if i == at {
					w := row(got[1], last, c.Batch)
					w[in], w[out] = w[out], w[in]
				}
				if i >= at {
					row(got[2], nonsense, c.Batch)[0] += 7
				}
			}
		}
		if errors := replay(t, c, true, flip(last)); len(errors) < 2 {
			t.Errorf("%s: costs %g and %g change places: %q", c.Name(), f[in], f[out], errors)
		}
		f[out] = f[in] + 1e-7
		if errors := replay(t, c, true, flip(last)); len(errors) != 0 {
			t.Errorf("%s: tied costs change places: %q", c.Name(), errors)
		}
		if errors := replay(t, c, true, flip(0)); len(errors) != c.Iters-at {
			t.Errorf("%s: problem 0 is wrong from iterate %d on: %q", c.Name(), at, errors)
		}
		if errors := replay(t, c, false, flip(last)); len(errors) < 2 {
			t.Errorf("%s: float64 costs %g and %g change places: %q", c.Name(), f[in], f[out], errors)
		}
		// An elite more than wanted is no tie, whatever its cost.
		if errors := replay(t, c, true, func(i int, got [4][]float64) {
			if i == at {
				row(got[1], last, c.Batch)[out] = 1
			}
		}); len(errors) != 1 {
			t.Errorf("%s: one elite too many: %q", c.Name(), errors)
		}
	}
	if hard == 0 {
		t.Error("no hard case")
	}
}
