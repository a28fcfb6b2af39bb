package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// eachISA calls f with every set of instructions that machine and build have.
func eachISA(t *testing.T, f func(t *testing.T)) {
	for _, name := range []string{"go", "avx2", "avx512"} {
		t.Run(name, func(t *testing.T) {
			defer vec.SetISA(vec.SetISA(name))
			if vec.ISA() != name {
				t.Skipf("this machine or build has no %s", name)
			}
			f(t)
		})
	}
}

// lmlRowCase is rows of n float32 scores with gradients, at one scale and k.
type lmlRowCase struct {
	name  string
	n, k  int
	scale float64
	x, g  []float32
	here  bool // whether the last row is solved in float32, or left to lmlSolve
}

// lmlResult is what the kernels make of a case.
type lmlResult struct {
	y, both, dx   []float32
	thresh, other []float64
	status, stat2 []RowStatus
}

func (c *lmlRowCase) run() (o lmlResult) {
	rows := len(c.x) / c.n
	poison := slices.Repeat([]float32{float32(math.NaN())}, len(c.x))
	o.y, o.both, o.dx = slices.Clone(poison), slices.Clone(poison), slices.Clone(poison)
	o.thresh, o.other = make([]float64, 2*rows), make([]float64, 2*rows)
	o.status, o.stat2 = make([]RowStatus, rows), make([]RowStatus, rows)
	SoftTopKSolve(o.thresh, o.status, c.x, LML, c.scale, rows, c.n, c.k)
	SoftTopKForward(o.y, c.x, o.thresh, LML, c.scale, rows, c.n, c.k)
	SoftTopK(o.both, o.other, o.stat2, c.x, LML, c.scale, rows, c.n, c.k)
	SoftTopKBackward(o.dx, c.x, o.thresh, c.g, LML, c.scale, rows, c.n, c.k)
	return o
}

// lmlRowCases are aimed at every way a row of float32 scores may take: by itself, beside others in a group, in parts.
func lmlRowCases() (cases []lmlRowCase) {
	rng := rand.New(rand.NewPCG(91, 92))
	normal := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	with := func(x []float32, at int, v float64) []float32 { x[at] = float32(v); return x }
	two := func(n, upper int, gap float32) []float32 { // clusters, upper of them above
		x := normal(n)
		for i := range x {
			x[i] *= 1e-3
			if i < upper {
				x[i] += gap
			}
		}
		return x
	}
	inf, nan := math.Inf(1), math.NaN()
	add := func(name string, k int, scale float64, x []float32, here bool) {
		n := len(x)
		cases = append(cases, lmlRowCase{name, n, k, scale, x, normal(n), here})
		// As the last of a group with others before it, of several groups where rows are short.
		rows := 40
		if n > vec.LMLRow {
			rows = 2
		}
		x = append(normal((rows-1)*n), x...)
		cases = append(cases, lmlRowCase{name + ", among others", n, k, scale, x, normal(rows * n), here})
	}
	for _, n := range []int{2, 7, 16, 17, 100, 255, 256, 257, 300, 600, 9000} {
		add("normal", (n+9)/10, 1, normal(n), true)
		add("most of them", n-1, -0.7, normal(n), true)
	}
	add("excluded", 3, 1, with(normal(20), 4, -inf), false)
	add("excluded, long", 3, 1, with(normal(300), 299, -inf), false)
	add("too few", 2, 1, []float32{1, float32(-inf), float32(-inf)}, false)
	add("NaN", 3, 1, with(normal(20), 19, nan), false)
	add("NaN first", 3, 1, with(normal(20), 0, nan), false)
	add("NaN, long", 3, 1, with(normal(600), 511, nan), false)
	add("+Inf", 3, 1, with(normal(20), 4, inf), false)
	add("-Inf is +Inf", 3, -1, with(normal(20), 4, -inf), false)
	add("beyond the reach", 3, 1, with(normal(20), 7, 60), false)
	add("beyond it, long", 3, 1, with(normal(300), 270, -60), false)
	add("just within", 3, 1, with(normal(20), 7, 50), true)
	add("all of k", 20, 1, normal(20), false)
	add("scale too small", 3, 1e-7, normal(20), false)
	add("scale too large", 3, 1e7, normal(20), false)
	add("scale 0", 3, 0, normal(20), false)
	add("small scale", 3, 2e-6, normal(20), true)
	add("large scale", 3, 9e5, []float32{1, 2, 3, 3, 3, 3.00001, 3.00002, 1, 0}, false)
	add("all equal", 3, 1, make([]float32, 20), true)
	add("all equal, large", 3, 1, slices.Repeat([]float32{1e30}, 20), false)
	add("ties", 3, 1, []float32{1, 1, 1, 1, 0, 0, 0, 2, 2, 3}, true)
	add("offset", 3, 1, []float32{1e8, 1e8 + 8, 1e8 + 16, 1e8, 1e8 - 8, 1e8, 1e8 + 8, 1e8}, false) // no float32 centre is near
	add("clusters, cut within", 9, 1, two(20, 14, 20), true)
	add("clusters, cut between", 6, 1, two(20, 6, 8), true)
	add("clusters, far", 6, 1, two(20, 6, 40), true)
	add("half of two, one left out", 1, 1, []float32{0, 0, float32(-inf)}, false)
	// Of the backward pass alone.
	last := func(name string, v float64) {
		c := lmlRowCase{name: name, n: 20, k: 3, scale: 1, x: normal(800), g: normal(800), here: true}
		c.g[795] = float32(v)
		cases = append(cases, c)
		c = lmlRowCase{name: name + ", long", n: 300, k: 3, scale: 1, x: normal(600), g: normal(600), here: true}
		c.g[595] = float32(v)
		cases = append(cases, c)
	}
	last("gradient NaN", nan)
	last("gradient Inf", inf)
	last("gradient huge", 1e38)
	return cases
}

// Every path: the same bits from all sets of instructions and, of the weights, from one call as from two; the row that is
// meant to be left to lmlSolve is left to it; and what comes out is that of float64.
func TestLMLRowPaths(t *testing.T) {
	for _, c := range lmlRowCases() {
		t.Run(c.name, func(t *testing.T) {
			old := vec.SetISA("go")
			want := c.run()
			vec.SetISA(old)
			eachISA(t, func(t *testing.T) {
				got := c.run()
				for _, a := range []struct {
					name      string
					got, want []float32
				}{{"y", got.y, want.y}, {"y of SoftTopK", got.both, want.y}, {"dx", got.dx, want.dx}} {
					for i, v := range a.want {
						if math.Float32bits(a.got[i]) != math.Float32bits(v) && (v == v || a.got[i] == a.got[i]) {
							t.Fatalf("%s[%d] = %v, want %v", a.name, i, a.got[i], v)
						}
					}
				}
				for i, v := range want.thresh {
					for _, u := range []float64{got.thresh[i], got.other[i]} {
						if math.Float64bits(u) != math.Float64bits(v) && (v == v || u == u) {
							t.Fatalf("threshold %d = %v, want %v", i, u, v)
						}
					}
				}
				if !slices.Equal(got.status, want.status) || !slices.Equal(got.stat2, want.status) {
					t.Fatalf("status %v, %v, want %v", got.status, got.stat2, want.status)
				}
			})
			p := lmlProblemOf(LML, c.scale, c.n, c.k)
			if _, _, here := p.lmlFloat32(want.thresh[len(want.thresh)-2:]); (p.here && here) != c.here {
				t.Errorf("solved in float32: %v, want %v (threshold %v)", here, c.here, want.thresh[len(want.thresh)-2:])
			}
			c.compare(t, want)
		})
	}
}

// compare compares with float64.
func (c *lmlRowCase) compare(t *testing.T, o lmlResult) {
	rows := len(c.x) / c.n
	for row := range rows {
		at := func(v []float32) []float32 { return v[row*c.n : (row+1)*c.n] }
		exact := runRow(check.Copy[float64](at(c.x)), check.Copy[float64](at(c.g)), nil, LML, c.scale, c.k)
		if o.status[row] != exact.status {
			t.Fatalf("row %d: %v, in float64 %v", row, o.status[row], exact.status)
		}
		largest := 0.0
		for _, v := range at(c.g) {
			largest = math.Max(largest, math.Abs(float64(v)))
		}
		for i, v := range exact.y {
			// As in TestSoftTopKReference.
			if y := float64(at(o.y)[i]); !(math.Abs(y-v) <= 1e-7*(1+v)) {
				t.Errorf("row %d: y[%d] = %v, in float64 %v", row, i, y, v)
			}
			// As in TestSoftTopKGradients, of gradients up to largest.
			d, e := float64(at(o.dx)[i]), exact.dx[i]
			if d == d != (e == e) || !(math.Abs(d-e) <= 3e-7*math.Max(1, math.Abs(c.scale))*largest) && e == e && !math.IsInf(largest, 1) {
				t.Errorf("row %d: dx[%d] = %v, in float64 %v", row, i, d, e)
			}
		}
	}
}

// Thresholds with other scores than theirs, one of which is out of the reach of the loops in float32: the weights and
// gradients are still those of z = (scale x - p) + delta.
func TestLMLOtherScores(t *testing.T) {
	for _, n := range []int{20, 300} {
		const rows, k, scale = 35, 3, 0.8
		x, g := make([]float32, rows*n), make([]float32, rows*n)
		Normal(x, 1, 0, 0, 0)
		Normal(g, 1, 1, 0, 0)
		thresh := make([]float64, 2*rows)
		SoftTopKSolve(thresh, nil, x, LML, scale, rows, n, k)
		x[4*n+7], x[33*n+11] = 200, -300
		eachISA(t, func(t *testing.T) {
			y, dx := make([]float32, rows*n), make([]float32, rows*n)
			SoftTopKForward(y, x, thresh, LML, scale, rows, n, k)
			SoftTopKBackward(dx, x, thresh, g, LML, scale, rows, n, k)
			for row := range rows {
				z, h, G, H := make([]float64, n), make([]float64, n), 0.0, 0.0
				for i, v := range x[row*n:][:n] {
					z[i] = (scale*float64(v) - thresh[2*row]) + thresh[2*row+1]
				}
				lmlSlope(h, z, 0)
				for i, v := range h {
					H, G = H+v, G+v*float64(g[row*n+i])
				}
				for i, v := range z {
					// As in TestSoftTopKReference and TestSoftTopKGradients.
					if got, want := float64(y[row*n+i]), 1/(1+math.Exp(-v)); !(math.Abs(got-want) <= 1e-7*(1+want)) {
						t.Errorf("n %d, row %d: y[%d] = %v, want %v", n, row, i, got, want)
					}
					if got, want := float64(dx[row*n+i]), scale*h[i]*(float64(g[row*n+i])-G/H); !(math.Abs(got-want) <= 3e-7) {
						t.Errorf("n %d, row %d: dx[%d] = %v, want %v", n, row, i, got, want)
					}
				}
			}
		})
	}
}

// The search in float32 gives up where it cannot end: at its limit of rounds, out of reach, and where the sums have lost
// their digits.
func TestLMLRowGivesUp(t *testing.T) {
	x := []float32{-1, 0, 1, 2, 3, 4, 5, 6}
	p := lmlProblemOf(LML, 1, len(x), 3)
	var s lmlScratch
	s.grow(len(x))
	y := make([]float32, len(x))
	for _, c := range []struct {
		name   string
		centre float32
		rounds int
		ok     bool
	}{
		{"from afar", 20, lmlRounds, true},
		{"one round", 20, 1, false},
		{"no digits", 50, lmlRounds, false},
		{"out of reach", 62, lmlRounds, false},
	} {
		at, root, ok := p.solveRow(&s, y, x, c.centre, 20, false, c.rounds)
		if ok != c.ok {
			t.Errorf("%s: found %v, want %v (centre %v, root %v)", c.name, ok, c.ok, at, root)
		}
	}
}

// Larger scores have no smaller weights, and equal ones equal weights, to the last bit: the scores of these rows are
// neighbours among float32 numbers, and some are equal.
func TestSoftTopKMonotone(t *testing.T) {
	bothTypes(t, testMonotone[float32], testMonotone[float64])
}

func testMonotone[T Float](t *testing.T) {
	eachISA(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(95, 96))
		for _, r := range relaxations {
			for range 60 {
				n := 50 + rng.IntN(600)
				k := 1 + rng.IntN(n-1)
				scale := math.Pow(10, -1+2*rng.Float64())
				x := make([]T, n)
				for i := range x {
					if x[i] = T(rng.NormFloat64()); i > 0 && rng.IntN(8) > 0 {
						x[i] = after(x[i-1], rng.IntN(4))
					}
				}
				slices.Sort(x)
				for _, s := range []float64{scale, -scale} {
					y := runRow(x, nil, nil, r, s, k).y
					if s < 0 {
						slices.Reverse(y)
					}
					for i := 1; i < n; i++ {
						j := i
						if s < 0 {
							j = n - i
						}
						if x[j] == x[j-1] && y[i] != y[i-1] {
							t.Fatalf("%v: equal scores have weights %v and %v", r, y[i-1], y[i])
						}
						if !(y[i] >= y[i-1]) {
							t.Fatalf("%v, scale %v: scores %v, %v have weights %v, %v", r, s, x[j-1], x[j], y[i-1], y[i])
						}
					}
				}
			}
		}
	})
}

// after is the number some steps above x.
func after[T Float](x T, steps int) T {
	for range steps {
		if isSingle[T]() {
			x = T(math.Nextafter32(float32(x), math.MaxFloat32))
		} else {
			x = T(math.Nextafter(float64(x), math.MaxFloat64))
		}
	}
	return x
}

// What comes out of a row depends on the row alone: rows of every family, alone and in batches of any size with any number
// of threads, have the same bits.
func TestLMLRowAlone(t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(1))
	rng := rand.New(rand.NewPCG(97, 98))
	for trial := range 25 {
		const most = 70
		n := []int{5, 16, 64, 100, 300}[trial%5]
		k := 1 + rng.IntN(min(n, 4*trial+4)/4)
		x, g := make([]float32, most*n), make([]float32, most*n)
		for row := range most {
			s := make([]float64, n)
			rowFamilies[[]int{0, rng.IntN(len(rowFamilies))}[rng.IntN(4)/3]].fill(rng, s)
			if rng.IntN(20) == 0 { // out of reach, so that its whole group is solved row by row
				s[rng.IntN(n)] = 200
			}
			for i, v := range s {
				x[row*n+i], g[row*n+i] = float32(v), float32(rng.NormFloat64())
			}
		}
		run := func(lo, hi int) lmlResult {
			c := lmlRowCase{n: n, k: k, scale: 1.3, x: x[lo*n : hi*n], g: g[lo*n : hi*n]}
			return c.run()
		}
		vec.SetThreads(1)
		alone := make([]lmlResult, most)
		for row := range alone {
			alone[row] = run(row, row+1)
		}
		for rows := 1; rows <= most; rows++ {
			vec.SetThreads([]int{1, 2, 8}[rows%3])
			lo := rng.IntN(most - rows + 1)
			got := run(lo, lo+rows)
			for row := range rows {
				want, at := alone[lo+row], row*n
				if !slices.Equal(got.y[at:at+n], want.y) || !slices.Equal(got.both[at:at+n], want.both) ||
					!slices.Equal(got.dx[at:at+n], want.dx) || !slices.Equal(got.thresh[2*row:2*row+2], want.thresh) {
					t.Fatalf("n %d, k %d: row %d, the %d of %d rows, has other bits than alone: threshold %v, %v",
						n, k, lo+row, row, rows, got.thresh[2*row:2*row+2], want.thresh)
				}
			}
		}
	}
}
