package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// Every family, scale and size: the sum within its budget, weights within [0, 1] and in the order of the scores,
// gradients finite.
func TestSoftTopKSum(t *testing.T) {
	for _, r := range relaxations {
		t.Run(r.String(), func(t *testing.T) {
			bothTypes(t, testSoftTopKSum[float32](r), testSoftTopKSum[float64](r))
		})
	}
}

func testSoftTopKSum[T Float](r Relaxation) func(t *testing.T) {
	return func(t *testing.T) {
		worst := 0.0
		eachRow(t, func(t *testing.T, x []T, k int) {
			g, v := make([]T, len(x)), make([]T, len(x))
			for i := range g {
				g[i], v[i] = T(math.Sin(float64(i))), T(math.Cos(3*float64(i)))
			}
			o := runRow(x, g, v, r, 1, k)
			if o.status != RowOK {
				t.Errorf("status %v", o.status)
			}
			if !(o.left <= sumBudget[T](k)) {
				t.Errorf("|sum y - k| = %g, want <= %g", o.left, sumBudget[T](k))
			}
			worst = math.Max(worst, o.left/float64(k))
			for i, y := range o.y {
				if !(y >= 0 && y <= 1) {
					t.Errorf("y[%d] = %v", i, y)
				}
				if i > 0 && (x[i] > x[i-1]) != (y > o.y[i-1]) && y != o.y[i-1] || i > 0 && x[i] == x[i-1] && y != o.y[i-1] {
					t.Errorf("scores %v, %v have weights %v, %v", x[i-1], x[i], o.y[i-1], y)
				}
			}
			for _, err := range []error{allFinite("dx", o.dx), allFinite("dx2", o.dx2)} {
				if err != nil {
					t.Error(err)
				}
			}
		})
		t.Logf("largest |sum y - k| / k: %.2g", worst)
	}
}

// Long rows: all equal and near ties are the worst for the sum in float64, where one last bit of delta = -11.5 is
// 1.8e-15 k.
func TestSoftTopKLongRows(t *testing.T) {
	bothTypes(t, testLongRows[float32], testLongRows[float64])
}

func testLongRows[T Float](t *testing.T) {
	const n = 99_987
	x := make([]T, n)
	for _, offset := range []T{0, 1e8, 1e30} {
		for _, spread := range []T{0, 1e-30, 3} {
			rng := rand.New(rand.NewPCG(1, n))
			for i := range x {
				x[i] = offset + spread*T(rng.NormFloat64())
			}
			for _, k := range []int{1, 1000, n - 1} {
				for _, r := range relaxations {
					if o := runRow(x, nil, nil, r, 1, k); o.status != RowOK || !(o.left <= sumBudget[T](k)) {
						t.Errorf("%v k %d offset %g spread %g: %v, |sum y - k| = %g, want <= %g",
							r, k, offset, spread, o.status, o.left, sumBudget[T](k))
					}
				}
			}
		}
	}
}

// The weights against the plain reference loops. 1e-13: both round z, at |z| up to 60, to 7e-15.
func TestSoftTopKReference(t *testing.T) {
	references := map[Relaxation]func(y, x []float64, k int){
		LML:                  func(y, x []float64, k int) { lmlReference(y, x, k) },
		ConstrainedSoftmax:   csoftmaxReference,
		ConstrainedSparsemax: csparsemaxReference,
	}
	for _, r := range relaxations {
		t.Run(r.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			for range 300 {
				n := 2 + rng.IntN(60)
				k := 1 + rng.IntN(n-1)
				scale := math.Pow(10, -3+4.5*rng.Float64())
				x, want := make([]float64, n), make([]float64, n)
				for i := range x {
					if x[i] = scale * rng.NormFloat64(); rng.IntN(4) == 0 {
						x[i] = math.Round(x[i])
					}
				}
				references[r](want, x, k)
				check.Close(t, "y", runRow(x, nil, nil, r, 1, k).y, want, 1e-13)
				// In float32 a weight is the float64 one of the same scores, rounded (half an ulp: 3e-8). LML's is computed in
				// float32: to that come half an ulp of the odds v, of 1 + v, and of scale/ln 2, which moves z by 6e-8 |z|.
				x32 := check.Copy[float32](x)
				references[r](want, check.Copy[float64](x32), k)
				check.Close(t, "y in float32", check.Copy[float64](runRow(x32, nil, nil, r, 1, k).y), want, 1e-7)
			}
		})
	}
}

// The conditions of optimality: with nu = delta - p, y = phi(x + nu), which says stationarity and the signs of all
// multipliers at once.
func TestSoftTopKOptimality(t *testing.T) {
	for _, r := range []Relaxation{ConstrainedSoftmax, ConstrainedSparsemax} {
		t.Run(r.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 8))
			for range 300 {
				n := 2 + rng.IntN(40)
				k := 1 + rng.IntN(n-1)
				x := make([]float64, n)
				for i := range x {
					x[i] = 2 * rng.NormFloat64()
				}
				o := runRow(x, nil, nil, r, 1, k)
				nu := o.delta - o.p
				for i, y := range o.y {
					grad := y // of -H(y): y for sparsemax, log y (+1, part of nu) for softmax
					if r == ConstrainedSoftmax {
						grad = math.Log(y)
					}
					gain := x[i] + nu - grad // multiplier of y <= 1 less that of y >= 0
					switch {
					case y == 1 && gain >= -1e-14, y == 0 && gain <= 1e-14, math.Abs(gain) <= 1e-14:
					default:
						t.Fatalf("n %d k %d: y[%d] = %v, x + nu - gradient = %g", n, k, i, y, gain)
					}
				}
			}
		})
	}
}

func TestConstrainedSoftmaxOfOneIsSoftmax(t *testing.T) {
	x := []float64{3, -1, 700, 699.5, 2, 701}
	want := make([]float64, len(x))
	sum := 0.0
	for i, v := range x {
		want[i] = math.Exp(v - 701)
		sum += want[i]
	}
	for i := range want {
		want[i] /= sum
	}
	// 4e-16: two roundings each of exponential and quotient.
	check.Close(t, "y", runRow(x, nil, nil, ConstrainedSoftmax, 1, 1).y, want, 4e-16)
}

// At a large scale every relaxation is the hard top-k.
func TestSoftTopKHardLimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	f, mask := make([]float64, 200), make([]float64, 200)
	for i := range f {
		f[i] = rng.NormFloat64()
	}
	TopK(mask, nil, nil, f, 1, 200, 20)
	for _, r := range relaxations {
		check.Close(t, r.String(), runRow(f, nil, nil, r, -1e9, 20).y, mask, 0)
	}
}

// Rows that are not ordinary: what is left out, what spoils a row.
func TestSoftTopKEdges(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name   string
		x      []float64
		scale  float64
		k      int
		status RowStatus
		y      []float64 // nil: anything that sums to k, 0 where scale*x is -Inf
	}{
		{"all of k", []float64{3, 1, 2}, 1, 3, RowOK, []float64{1, 1, 1}},
		{"all of one", []float64{-1e300}, 1, 1, RowOK, []float64{1}},
		{"exactly k above -Inf", []float64{3, -inf, 2}, 1, 2, RowOK, []float64{1, 0, 1}},
		{"k+1 above -Inf", []float64{3, -inf, 3, 3}, 1, 2, RowOK, []float64{2. / 3, 0, 2. / 3, 2. / 3}},
		{"some -Inf", []float64{3, -inf, 2, 1, 0, -inf}, 1, 2, RowOK, nil},
		{"too few", []float64{3, -inf, -inf}, 1, 2, RowTooFew, []float64{0, 0, 0}},
		{"none", []float64{-inf, -inf}, 1, 1, RowTooFew, []float64{0, 0}},
		{"NaN", []float64{3, nan, 2}, 1, 1, RowNonFinite, []float64{0, 0, 0}},
		{"NaN with too few", []float64{-inf, nan, 2}, 1, 2, RowNonFinite, []float64{0, 0, 0}},
		{"+Inf", []float64{3, inf, 2}, 1, 1, RowNonFinite, []float64{0, 0, 0}},
		{"+Inf cost", []float64{0, inf, 0}, -2, 1, RowOK, []float64{0.5, 0, 0.5}},
		{"-Inf cost", []float64{3, -inf, 2}, -2, 1, RowNonFinite, []float64{0, 0, 0}},
		{"overflow up", []float64{1e300, 0, 0}, 1e10, 1, RowNonFinite, []float64{0, 0, 0}},
		{"overflow down", []float64{-1e300, 0, 0}, 1e10, 1, RowOK, []float64{0, 0.5, 0.5}},
		{"scale 0", []float64{5, -3, 100, 1}, 0, 1, RowOK, []float64{0.25, 0.25, 0.25, 0.25}},
		{"scale 0 and Inf", []float64{5, -inf, 100}, 0, 1, RowNonFinite, []float64{0, 0, 0}},
		{"ends of the range", []float64{math.MaxFloat64, -math.MaxFloat64, -math.MaxFloat64}, 1, 1, RowOK, []float64{1, 0, 0}},
		{"ends, two of four", []float64{math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64}, 1, 2, RowOK,
			[]float64{2. / 3, 2. / 3, 2. / 3, 0}},
	} {
		for _, r := range relaxations {
			t.Run(r.String()+"/"+c.name, func(t *testing.T) {
				n := len(c.x)
				g := make([]float64, n)
				for i := range g {
					g[i] = float64(i*i) - 1
					if math.IsInf(c.scale*c.x[i], -1) || c.status != RowOK {
						g[i] = nan // must not be read
					}
				}
				o := runRow(c.x, g, g, r, c.scale, c.k)
				if o.status != c.status {
					t.Errorf("status %v, want %v", o.status, c.status)
				}
				if bad := math.IsNaN(o.p) && math.IsNaN(o.delta); bad != (c.status != RowOK) {
					t.Errorf("threshold %v, %v", o.p, o.delta)
				}
				if c.y != nil {
					check.Close(t, "y", o.y, c.y, 2e-16)
				}
				if c.status == RowOK && !(o.left <= sumBudget[float64](c.k)) {
					t.Errorf("|sum y - k| = %g", o.left)
				}
				for i := range g {
					if !math.IsNaN(g[i]) {
						continue
					}
					if o.y[i] != 0 || o.dx[i] != 0 || o.dx2[i] != 0 {
						t.Errorf("entry %d: y %v, gradients %v, %v, want 0", i, o.y[i], o.dx[i], o.dx2[i])
					}
				}
				for _, err := range []error{allFinite("dx", o.dx), allFinite("dx2", o.dx2)} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// A row on which the solver gives up is spoilt, and says so.
func TestSoftTopKStepLimit(t *testing.T) {
	defer func(l softLink) { softLinks[LML] = l }(softLinks[LML])
	softLinks[LML].solve = func(a []float64, k int, _ bool) (p, delta float64, ok bool) {
		p, delta, steps, ok := lmlSolve(a, k, lmlLastStep64, 1)
		if steps != 1 || ok {
			t.Errorf("%d steps, ok = %v, with a limit of 1", steps, ok)
		}
		return p, delta, ok
	}
	x := []float64{3, 1, 2, -1}
	o := runRow(x, x, x, LML, 1, 2)
	zero := make([]float64, 4)
	if o.status != RowStepLimit || !slices.Equal(o.y, zero) || !slices.Equal(o.dx, zero) || !slices.Equal(o.dx2, zero) {
		t.Errorf("got %+v, want a spoilt row", o)
	}
}

// Kernels write all of their outputs and nothing else, may work in place, and give the same bits for any number of
// threads.
func TestSoftTopKBuffers(t *testing.T) {
	bothTypes(t, testSoftTopKBuffers[float32], testSoftTopKBuffers[float64])
}

func testSoftTopKBuffers[T Float](t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(1))
	const n, k = 257, 31
	for _, rows := range []int{0, 1, 2, 97} {
		rng := rand.New(rand.NewPCG(11, uint64(rows)))
		x, g, v := make([]T, rows*n), make([]T, rows*n), make([]T, rows*n)
		for i := range x {
			x[i], g[i], v[i] = T(3*rng.NormFloat64()), T(rng.NormFloat64()), T(rng.NormFloat64())
		}
		keep := slices.Concat(x, g, v)
		for _, r := range relaxations {
			var first [4][]T
			for _, threads := range []int{1, 2, 8} {
				vec.SetThreads(threads)
				thresh, done0 := check.Guarded[float64](t, "thresh", 2*rows)
				left, done1 := check.Guarded[float64](t, "resid", rows)
				y, done2 := check.Guarded[T](t, "y", rows*n)
				dx, done3 := check.Guarded[T](t, "dx", rows*n)
				dx2, done4 := check.Guarded[T](t, "dx2", rows*n)
				SoftTopKSolve(thresh, nil, x, r, 0.7, rows, n, k)
				SoftTopKForward(y, x, thresh, r, 0.7, rows, n, k)
				SoftTopKResidual(left, y, rows, n, k)
				SoftTopKBackward(dx, x, thresh, g, r, 0.7, rows, n, k)
				SoftTopKBackward2(dx2, x, thresh, g, v, r, 0.7, rows, n, k)
				for _, done := range []func(){done0, done1, done2, done3, done4} {
					done()
				}
				inPlace := [4][]T{slices.Clone(x), slices.Clone(x), slices.Clone(g), slices.Clone(v)}
				SoftTopKForward(inPlace[0], inPlace[0], thresh, r, 0.7, rows, n, k)
				SoftTopKBackward(inPlace[1], inPlace[1], thresh, g, r, 0.7, rows, n, k)
				SoftTopKBackward(inPlace[2], x, thresh, inPlace[2], r, 0.7, rows, n, k)
				SoftTopKBackward2(inPlace[3], x, thresh, g, inPlace[3], r, 0.7, rows, n, k)
				for i, want := range [][]T{y, dx, dx, dx2} {
					if !slices.Equal(inPlace[i], want) {
						t.Errorf("%v: case %d differs in place", r, i)
					}
				}
				all := [4][]T{y, dx, dx2, nil}
				if first[0] == nil {
					first = all
				}
				for i := range all {
					if !slices.Equal(all[i], first[i]) {
						t.Errorf("%v: other bits with %d threads", r, threads)
					}
				}
			}
		}
		if !slices.Equal(keep, slices.Concat(x, g, v)) {
			t.Error("an input was changed")
		}
	}
}

func TestSoftTopKAllocatesNothing(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(2))
	const rows, n, k = 16, 600, 60
	x, y, g := make([]float32, rows*n), make([]float32, rows*n), make([]float32, rows*n)
	thresh, left := make([]float64, 2*rows), make([]float64, rows)
	status, index := make([]RowStatus, rows), make([]int32, rows*k)
	for i := range x {
		x[i] = float32(i*7919%1000) / 100
	}
	for _, r := range relaxations {
		check.NoAllocs(t, r.String(), func() {
			SoftTopKSolve(thresh, status, x, r, 1, rows, n, k)
			SoftTopKForward(y, x, thresh, r, 1, rows, n, k)
			SoftTopKResidual(left, y, rows, n, k)
			SoftTopKBackward(g, x, thresh, y, r, 1, rows, n, k)
			SoftTopKBackward2(g, x, thresh, y, y, r, 1, rows, n, k)
			TopK(y, index, status, x, rows, n, k)
		})
	}
}

func TestSoftTopKPanics(t *testing.T) {
	x, y, thresh := make([]float32, 10), make([]float32, 10), make([]float64, 4)
	for want, f := range map[string]func(){
		"kernels: SoftTopKSolve: k = 6, want 1 <= k <= n = 5":           func() { SoftTopKSolve(thresh, nil, x, LML, 1, 2, 5, 6) },
		"kernels: SoftTopKSolve: k = 0, want 1 <= k <= n = 5":           func() { SoftTopKSolve(thresh, nil, x, LML, 1, 2, 5, 0) },
		"kernels: SoftTopKSolve: rows = -1, want >= 0":                  func() { SoftTopKSolve(thresh, nil, x, LML, 1, -1, 5, 2) },
		"kernels: SoftTopKSolve: len(x) = 9, want rows*n = 10":          func() { SoftTopKSolve(thresh, nil, x[1:], LML, 1, 2, 5, 2) },
		"kernels: SoftTopKSolve: len(thresh) = 3, want 2*rows = 4":      func() { SoftTopKSolve(thresh[1:], nil, x, LML, 1, 2, 5, 2) },
		"kernels: SoftTopKSolve: len(status) = 1, want nil or rows = 2": func() { SoftTopKSolve(thresh, make([]RowStatus, 1), x, LML, 1, 2, 5, 2) },
		"kernels: SoftTopKSolve: r = Relaxation(3), want LML":           func() { SoftTopKSolve(thresh, nil, x, 3, 1, 2, 5, 2) },
		"kernels: SoftTopKSolve: scale = NaN, want a finite number":     func() { SoftTopKSolve(thresh, nil, x, LML, math.NaN(), 2, 5, 2) },
		"kernels: SoftTopKForward: scale = -Inf, want a finite number":  func() { SoftTopKForward(y, x, thresh, LML, math.Inf(-1), 2, 5, 2) },
		"kernels: SoftTopKForward: len(y) = 9, want rows*n = 10":        func() { SoftTopKForward(y[1:], x, thresh, LML, 1, 2, 5, 2) },
		"kernels: SoftTopKBackward: len(g) = 0, want rows*n = 10":       func() { SoftTopKBackward(y, x, thresh, nil, LML, 1, 2, 5, 2) },
		"kernels: SoftTopKBackward2: len(v) = 0, want rows*n = 10":      func() { SoftTopKBackward2(y, x, thresh, x, nil, LML, 1, 2, 5, 2) },
		"kernels: SoftTopKResidual: len(resid) = 4, want rows = 2":      func() { SoftTopKResidual(thresh, y, 2, 5, 2) },
		"kernels: TopK: k = 6, want 1 <= k <= n = 5":                    func() { TopK(y, nil, nil, x, 2, 5, 6) },
		"kernels: TopK: len(index) = 5, want nil or rows*k = 4":         func() { TopK(nil, make([]int32, 5), nil, x, 2, 5, 2) },
		"kernels: TopK: len(mask) = 8, want nil or rows*n = 10":         func() { TopK(y[2:], nil, nil, x, 2, 5, 2) },
	} {
		func() {
			defer func() {
				if got, ok := recover().(string); !ok || !strings.HasPrefix(got, want) {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func TestRelaxationNames(t *testing.T) {
	for _, r := range relaxations {
		if got, err := ParseRelaxation(strings.ToUpper(r.String())); got != r || err != nil {
			t.Errorf("ParseRelaxation(%q) = %v, %v", r.String(), got, err)
		}
	}
	_, err := ParseRelaxation("softsort")
	if err == nil || !strings.Contains(err.Error(), `"softsort": want lml, csoftmax or csparsemax`) {
		t.Errorf("ParseRelaxation: %v", err)
	}
	if got := Relaxation(9).String() + " " + RowStatus(9).String(); got != "Relaxation(9) RowStatus(9)" {
		t.Error(got)
	}
	seen := map[string]bool{}
	for s := RowOK; s <= RowStepLimit; s++ {
		seen[s.String()] = true
	}
	if len(seen) != 4 {
		t.Errorf("statuses %v", seen)
	}
}
