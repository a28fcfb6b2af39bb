package kernels

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

type goldenLML struct {
	Batch, N, K int
	Scale       float64
	X, Y, Nu    check.Nested
	GradY       check.Nested `json:"grad_y"`
	GradX       check.Nested `json:"grad_x"`
}

func (c goldenLML) Name() string {
	return "n" + strconv.Itoa(c.N) + "k" + strconv.Itoa(c.K) + "scale" + strconv.FormatFloat(c.Scale, 'g', -1, 64)
}

func TestGoldenLML(t *testing.T) {
	check.Golden(t, "lml.json", func(t *testing.T, c goldenLML) {
		largest := math.Max(slices.Max(c.X), -slices.Min(c.X))
		t.Run("float64", func(t *testing.T) { testGoldenLML[float64](t, c, 1e-12) }) // what the files ask for
		// Scores rounded to float32 move z by up to 1.2e-7 |x|, y and h by a quarter of that; results are rounded to 6e-8.
		t.Run("float32", func(t *testing.T) { testGoldenLML[float32](t, c, 1e-7*(1+largest)) })
	})
}

func testGoldenLML[T Float](t *testing.T, c goldenLML, tol float64) {
	if len(c.X) != c.Batch*c.N || len(c.Nu) != c.Batch || len(c.GradX) != len(c.X) {
		t.Fatalf("%d scores, %d shifts, %d gradients for %d rows of %d", len(c.X), len(c.Nu), len(c.GradX), c.Batch, c.N)
	}
	x, g := check.Copy[T](c.X), check.Copy[T](c.GradY)
	thresh, nu := make([]float64, 2*c.Batch), make([]float64, c.Batch)
	y, done1 := check.Guarded[T](t, "y", len(x))
	dx, done2 := check.Guarded[T](t, "dx", len(x))
	SoftTopKSolve(thresh, nil, x, LML, 1, c.Batch, c.N, c.K)
	SoftTopKForward(y, x, thresh, LML, 1, c.Batch, c.N, c.K)
	SoftTopKBackward(dx, x, thresh, g, LML, 1, c.Batch, c.N, c.K)
	done1()
	done2()
	for i := range nu {
		nu[i] = thresh[2*i+1] - thresh[2*i]
	}
	check.Close(t, "nu", nu, c.Nu, tol)
	check.Close(t, "y", check.Copy[float64](y), c.Y, tol)
	check.Close(t, "dx", check.Copy[float64](dx), c.GradX, tol)
}

// The Newton bound over the hard families: the limit of 16 is never near.
func TestLMLSteps(t *testing.T) {
	for name, last := range map[string]float64{"float32": lmlLastStep32, "float64": lmlLastStep64} {
		t.Run(name, func(t *testing.T) {
			most := 0
			eachRow(t, func(t *testing.T, x []float64, k int) {
				if k == len(x) {
					return
				}
				_, d, steps, ok := lmlSolve(slices.Clone(x), k, last, lmlStepLimit)
				if !ok || math.IsNaN(d) || steps > 4 {
					t.Errorf("%d steps, want at most 4; d = %v", steps, d)
				}
				most = max(most, steps)
			})
			// The start takes the upper k for equal ones. It is furthest off where all but one are far above and matter
			// little, and on the other side where all but one of the others are far below.
			for _, n := range []int{10, 100, 1000, 10_000, 100_000} {
				for k := 1; k < n; k = 1 + k*3/2 {
					for _, far := range []float64{5, 1e4} {
						x := make([]float64, n)
						for i := range x[:k-1] {
							x[i] = far
						}
						_, _, steps, ok := lmlSolve(x, k, last, lmlStepLimit)
						x = make([]float64, n)
						for i := range x[k+1:] {
							x[k+1+i] = -far
						}
						_, _, steps2, ok2 := lmlSolve(x, k, last, lmlStepLimit)
						if !ok || !ok2 || steps > 4 || steps2 > 4 {
							t.Errorf("n %d k %d far %g: %d and %d steps, want at most 4", n, k, far, steps, steps2)
						}
						most = max(most, steps, steps2)
					}
				}
			}
			t.Logf("most steps: %d", most)
		})
	}
}

// What makes the iteration safe: 1 <= dF/dd <= 2 and |F| <= log(1 + 2 sqrt n) at the start.
func TestLMLSlopeBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for range 300 {
		n := 2 + rng.IntN(200)
		k := 1 + rng.IntN(n-1)
		x := make([]float64, n)
		rowFamilies[rng.IntN(len(rowFamilies))].fill(rng, x)
		slices.Sort(x)
		slices.Reverse(x)
		balance := func(d float64) float64 { // F(d) by its definition
			a, b := 0.0, 0.0
			for _, v := range x[:k] {
				b += 1 / (1 + math.Exp(v-x[k-1]+d))
			}
			for _, v := range x[k:] {
				a += 1 / (1 + math.Exp(-(v - x[k-1] + d)))
			}
			return math.Log(a) - math.Log(b)
		}
		gap := x[k-1] - x[k]
		lo, hi := -math.Log(float64(n)), gap+math.Log(float64(n))
		for range 20 {
			d := lo + (hi-lo)*rng.Float64()
			const e = 1e-4
			if slope := (balance(d+e) - balance(d-e)) / (2 * e); gap < 500 && !(slope >= 1-1e-7 && slope <= 2+1e-7) {
				t.Errorf("n %d k %d: slope %v at %v", n, k, slope, d)
			}
		}
		top, rest := 0.0, 0.0
		for _, v := range x[:k] {
			top += math.Exp(x[k-1] - v)
		}
		for _, v := range x[k:] {
			rest += math.Exp(v - x[k])
		}
		start := lmlStart(gap/2, math.Exp(-gap/2), top/float64(k), rest/float64(n-k), float64(k), float64(n-k))
		if f := balance(start); gap < 500 && !(math.Abs(f) <= math.Log(1+2*math.Sqrt(float64(n)))) {
			t.Errorf("n %d k %d: F = %v at the start", n, k, f)
		}
	}
}

// The threshold against 200-bit arithmetic: at the float64 shift the exact sum is k to what the last bit of the shift
// allows.
func TestLMLThresholdToLastBit(t *testing.T) {
	eachRow(t, func(t *testing.T, x []float64, k int) {
		if n := len(x); k == n || n > 33 {
			return
		}
		p, d, _, _ := lmlSolve(slices.Clone(x), k, lmlLastStep64, lmlStepLimit)
		sum, h := new(big.Float).SetPrec(200), 0.0
		for _, v := range x {
			z := new(big.Float).SetPrec(2200).SetFloat64(v) // exact for any two float64
			z.Sub(z, new(big.Float).SetFloat64(p))
			z.Add(z, new(big.Float).SetFloat64(d))
			s := bigLogistic(z)
			sum.Add(sum, s)
			y, _ := s.Float64()
			h += y - y*y
		}
		left, _ := sum.Sub(sum, new(big.Float).SetInt64(int64(k))).Float64()
		// The spacing of float64 at d and at the gap, whose rounding moves d by half as much; F itself is good to a few
		// 1e-16.
		if limit := h * (6e-16 + 2.3e-16*math.Abs(d)) * 2; !(math.Abs(left) <= limit+1e-300) {
			t.Errorf("exact sum - k = %g at p = %v, d = %v, want <= %g", left, p, d, limit)
		}
	})
}

// bigLogistic is 1/(1+e^-z) with 200 bits.
func bigLogistic(z *big.Float) *big.Float {
	const prec = 200
	one := new(big.Float).SetPrec(prec).SetInt64(1)
	if f, _ := z.Float64(); math.Abs(f) > 2000 {
		if f > 0 {
			return one
		}
		return new(big.Float).SetPrec(prec)
	}
	e := bigExp(new(big.Float).Neg(z))
	return one.Quo(one, e.Add(e, one))
}

// bigExp is e^x, |x| <= 2000, with 200 bits: Taylor's series at x/2^20, squared 20 times.
func bigExp(x *big.Float) *big.Float {
	const prec = 240
	r := new(big.Float).SetPrec(prec).Set(x)
	r.SetMantExp(r, -20)
	sum, term := new(big.Float).SetPrec(prec).SetInt64(1), new(big.Float).SetPrec(prec).SetInt64(1)
	for i := int64(1); i < 24; i++ {
		term.Mul(term, r).Quo(term, new(big.Float).SetInt64(i))
		sum.Add(sum, term)
	}
	for range 20 {
		sum.Mul(sum, sum)
	}
	return sum
}

// expTile against 240 bits, and at its ends.
func TestExpTile(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	src := []float64{0, math.Copysign(0, -1), 1e-320, -1e-20, 1, -1, 708, -708}
	for range 3000 {
		src = append(src, 40*rng.NormFloat64())
	}
	dst := make([]float64, len(src))
	expTile(dst, src)
	worst := 0.0
	for i, x := range src {
		exact := bigExp(new(big.Float).SetFloat64(x))
		diff, _ := exact.Sub(exact, new(big.Float).SetFloat64(dst[i])).Float64()
		ulps := math.Abs(diff) / (math.Nextafter(dst[i], math.Inf(1)) - dst[i])
		if !(ulps <= 1.3) {
			t.Errorf("e^%v = %v is off by %.2f units in the last place", x, dst[i], ulps)
		}
		worst = math.Max(worst, ulps)
	}
	t.Logf("worst: %.2f units in the last place", worst)
	ends := []float64{math.Inf(-1), -1e300, -708.01, 708.01, 1e300, math.Inf(1), math.NaN()}
	expTile(ends, ends)
	check.Close(t, "ends", ends[:3], []float64{0, 0, 0}, 0)
	for _, v := range ends[3:6] {
		if !math.IsInf(v, 1) {
			t.Errorf("past 708: %v", v)
		}
	}
	if !math.IsNaN(ends[6]) {
		t.Errorf("e^NaN = %v", ends[6])
	}
}

// Compensated sums keep the last bit where plain ones lose five digits.
func TestCompensated(t *testing.T) {
	var sum compensated
	plain := 0.0
	for range 100_000 {
		sum = sum.plus(0.1)
		plain += 0.1
	}
	if exact := 10000.000000000000555; sum.value() != exact || plain == exact {
		t.Errorf("1e5 times 0.1 is %v (plain %v)", sum.value(), plain)
	}
}
