package check

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// BumpsCase is a solve of dcem_bumps.json: given noise, every iterate, and the gradients of the loss, which is
// mean (mu - target)^2 over problems and dimensions. The costs are
// -sum_i a_i exp(-(x-p_i)^2-(y-q_i)^2) + 0.15 x cos y.
type BumpsCase struct {
	Batch, N, D, K, Iters int
	Temp                  *float64 // multiplies: 1/tau; null is vanilla CEM
	Normalize             bool
	LB, UB                *float64
	Params                Nested // (a, p, q) of three bumps
	Mu0, Sigma0           Nested // (batch,d)
	Eps                   []Nested
	Iterates              []BumpsIterate
	Mu, Sigma, Target     Nested
	Loss                  float64
	GradParams            Nested `json:"grad_params"`
	GradMu0               Nested `json:"grad_mu0"`
	GradSigma0            Nested `json:"grad_sigma0"`
}

// BumpsIterate is an iterate: F and Weight are (batch,n), Mu and Sigma (batch,d).
type BumpsIterate struct{ F, Weight, Mu, Sigma Nested }

// Name implements what CaseName asks for.
func (c BumpsCase) Name() string {
	temp := "hard"
	if c.Temp != nil {
		temp = fmt.Sprintf("temp%v", *c.Temp)
	}
	return fmt.Sprintf("n%d-k%d-%s-bounded=%v-normalised=%v", c.N, c.K, temp, c.LB != nil, c.Normalize)
}

// BumpsSolve compares one solve with its case, problem by problem, to tolerances that come from the case alone.
//
// float64 must hold what the golden files ask for, 1e-9. In float32 the costs are off by a few roundings u = 2^-24 of
// their largest, max|f|, and the rest follows, with A = max|f|/(tau std f) for normalised costs, max|f|/tau for raw
// ones:
//
//   - Soft weights are functions of f/(tau std f), so they are off by a few u (1 + A). The solves shrink std f, and A
//     goes from 1 to tens of thousands: one tolerance for all iterates would say nothing about most of them. The errors
//     of the mu and sigma that the samples are drawn with move all costs together, but for a part in sigma.
//   - mu and sigma have the roundings of their own and of all iterates before them. What the weights add is that of the
//     samples about the cut, which lie within about sigma, and of either sign: a part of S = max A sigma so far.
//   - Costs have a slope of up to 2 in mu and sigma. Gradients go through all iterates twice.
//   - Hard weights are right or wrong. Costs on both sides of the cut that differ by no more than rounding may change
//     places: the problem then goes elsewhere, rightly, and is compared no further, which is logged.
//
// The factors are twice or more of the most that was seen over a hundred sets of cases like the golden file's with other
// noise, sizes, temperatures and bounds.
type BumpsSolve struct {
	// Slack multiplies the tolerances in float32; 0 means 1. Functions that are not rounded correctly, as package vec's
	// are not, have errors of up to 2 units where rounding has half of one.
	Slack float64

	c      BumpsCase
	single bool
	next   int       // iterate
	lost   []bool    // problems that a tie at the cut has sent elsewhere
	spread []float64 // S by problem
}

const (
	weightRoundings = 4  // times 1 + A + S
	valueRoundings  = 40 // mu and sigma: plus S
	tieRoundings    = 16 // between costs either of which may win
)

// BumpsCost, BumpsLoss and BumpsGradient are how many times less accurate than mu these may be. The loss is the square
// of a distance.
const (
	BumpsCost     = 2
	BumpsLoss     = 2
	BumpsGradient = 4
)

// Solve returns a comparison with the case of a solve in float32 (single) or float64. A case whose arrays do not fit
// its sizes fails.
func (c BumpsCase) Solve(t testing.TB, single bool) *BumpsSolve {
	t.Helper()
	if c.Batch < 1 || c.N < 2 || c.D != 2 || c.K < 1 || c.K > c.N || c.Iters < 1 ||
		len(c.Eps) != c.Iters || len(c.Iterates) != c.Iters {
		t.Fatalf("batch %d, n %d, d %d, k %d, %d noises and %d iterates of %d: not a case of the bumps",
			c.Batch, c.N, c.D, c.K, len(c.Eps), len(c.Iterates), c.Iters)
	}
	for i, it := range c.Iterates {
		if len(it.F) != c.Batch*c.N || len(it.Weight) != len(it.F) ||
			len(it.Mu) != c.Batch*c.D || len(it.Sigma) != len(it.Mu) {
			t.Fatalf("iterate %d has %d costs, %d weights, %d mu and %d sigma for %d problems", i,
				len(it.F), len(it.Weight), len(it.Mu), len(it.Sigma), c.Batch)
		}
	}
	return &BumpsSolve{c: c, single: single, lost: make([]bool, c.Batch), spread: make([]float64, c.Batch)}
}

// roundings is a tolerance: that many float32 roundings, or that of the golden files in float64.
func (s *BumpsSolve) roundings(n float64) float64 {
	if s.single && s.Slack > 0 {
		n *= s.Slack
	}
	if s.single {
		return n * 0x1p-24
	}
	return 1e-9
}

// Iterate compares the next iterate: costs and weights (batch,n), mu and sigma (batch,d).
func (s *BumpsSolve) Iterate(t testing.TB, f, weight, mu, sigma []float64) {
	t.Helper()
	if s.next == s.c.Iters {
		t.Errorf("more than %d iterates", s.c.Iters)
		return
	}
	want := s.c.Iterates[s.next]
	at := fmt.Sprintf("iterate %d: ", s.next)
	s.next++
	s.Problems(t, at+"f", f, want.F, BumpsCost) // before this iterate's A: f has the errors of the last mu and sigma
	if len(weight) != len(want.Weight) {
		t.Errorf("%sweight: %d values, want %d", at, len(weight), len(want.Weight))
		return
	}
	for b := range s.c.Batch {
		if s.lost[b] {
			continue
		}
		f, got, want := row(want.F, b, s.c.Batch), row(weight, b, s.c.Batch), row(want.Weight, b, s.c.Batch)
		name := fmt.Sprintf("%sproblem %d: weight", at, b)
		if s.c.Temp == nil {
			if s.lost[b] = s.single && tied(f, got, want); s.lost[b] {
				t.Logf("%s: other elites, at costs within rounding of the cut: the problem is compared no further", name)
			} else {
				Close(t, name, got, want, 0)
			}
			continue
		}
		a := s.amplification(f)
		s.spread[b] = max(s.spread[b], a*slices.Max(row(s.c.Iterates[s.next-1].Sigma, b, s.c.Batch)))
		Close(t, name, got, want, s.roundings(weightRoundings*(1+a+s.spread[b])))
	}
	s.Problems(t, at+"mu", mu, want.Mu, 1)
	s.Problems(t, at+"sigma", sigma, want.Sigma, 1)
}

// Problems compares values of the last iterate, as many for every problem, in the order of problems. times is 1 for
// values, BumpsGradient for gradients.
func (s *BumpsSolve) Problems(t testing.TB, name string, got, want []float64, times float64) {
	t.Helper()
	if len(got) != len(want) || len(want)%s.c.Batch != 0 {
		t.Errorf("%s: %d values, want %d for %d problems", name, len(got), len(want), s.c.Batch)
		return
	}
	for b, lost := range s.lost {
		if !lost {
			Close(t, fmt.Sprintf("%s of problem %d", name, b), row(got, b, s.c.Batch), row(want, b, s.c.Batch),
				s.roundings(times*(valueRoundings+s.spread[b])))
		}
	}
}

// Whole compares what all problems together make, unless one of them went elsewhere.
func (s *BumpsSolve) Whole(t testing.TB, name string, got, want []float64, times float64) {
	t.Helper()
	if !slices.Contains(s.lost, true) {
		Close(t, name, got, want, s.roundings(times*(valueRoundings+slices.Max(s.spread))))
	}
}

// End fails t unless all iterates were compared.
func (s *BumpsSolve) End(t testing.TB) {
	t.Helper()
	if s.next != s.c.Iters {
		t.Errorf("compared %d iterates, want %d", s.next, s.c.Iters)
	}
}

// amplification is A of a problem's costs.
func (s *BumpsSolve) amplification(f []float64) float64 {
	largest, mean, squares := 0.0, 0.0, 0.0
	for _, v := range f {
		largest = max(largest, math.Abs(v))
		mean += v / float64(len(f))
	}
	if !s.c.Normalize {
		return largest * *s.c.Temp
	}
	for _, v := range f {
		squares += (v - mean) * (v - mean)
	}
	return largest * *s.c.Temp / (math.Sqrt(squares/float64(len(f)-1)) + 1e-6)
}

// tied reports whether got and want are hard weights that differ in as many elites won as lost, at costs so near each
// other that float32 may tell them apart wrongly.
func tied(f, got, want []float64) bool {
	won, lost := 0, 0
	lowest, highest, scale := math.Inf(1), math.Inf(-1), 1.0
	for i, v := range f {
		scale = max(scale, math.Abs(v))
		if got[i] == want[i] {
			continue
		}
		switch got[i] {
		case 0:
			lost++
		case 1:
			won++
		default:
			return false
		}
		lowest, highest = min(lowest, v), max(highest, v)
	}
	return won > 0 && won == lost && highest-lowest <= tieRoundings*0x1p-24*scale
}

// row is problem b's part of an array of all problems.
func row(v []float64, b, batch int) []float64 {
	n := len(v) / batch
	return v[b*n : (b+1)*n]
}
