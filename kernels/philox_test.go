package kernels

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// The known answers that Random123 publishes for philox4x32-10.
func TestPhiloxKnownAnswers(t *testing.T) {
	const all = 0xffffffff
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{all, all, all, all}, [2]uint32{all, all}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := Philox4x32(c.ctr, c.key); got != c.want {
			t.Errorf("Philox4x32(%08x, %08x) = %08x, want %08x", c.ctr, c.key, got, c.want)
		}
	}
}

// The rounds of package vec must agree with the plain ones, also where the block number carries into its high word.
func TestPhiloxFill(t *testing.T) {
	for _, block := range []uint64{0, 1<<32 - 3, 1<<64 - 2} {
		key, run := [2]uint32{0x12345678, 0x9abcdef0}, uint64(0xfedcba9876543210)
		words := make([]uint32, 4*7+3)
		vec.Philox(words, key, run, block)
		for i := range 7 {
			c := block + uint64(i)
			want := Philox4x32([4]uint32{uint32(run), uint32(run >> 32), uint32(c), uint32(c >> 32)}, key)
			if got := [4]uint32(words[4*i:]); got != want {
				t.Errorf("block %d: %08x, want %08x", c, got, want)
			}
		}
	}
}

// The finaliser against the published first outputs of splitmix64 with seed 0, and the key against values computed
// apart from this code.
func TestKey(t *testing.T) {
	state := uint64(0)
	for _, want := range []uint64{0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F} {
		state += 0x9E3779B97F4A7C15
		if got := mix64(state); got != want {
			t.Errorf("mix64(%#x) = %#x, want %#x", state, got, want)
		}
	}
	for _, c := range []struct {
		seed, draw uint64
		want       [2]uint32
	}{
		{0, 0, [2]uint32{0xff3cd4bf, 0x48218226}},
		{1, 2, [2]uint32{0x77856b73, 0x081a5c13}},
		{2, 1, [2]uint32{0x653e9e57, 0xf2826f98}},
		{1<<64 - 1, 1<<64 - 1, [2]uint32{0xca933538, 0xe8ba9f99}},
	} {
		if got := Key(c.seed, c.draw); got != c.want {
			t.Errorf("Key(%d, %d) = %#x, want %#x", c.seed, c.draw, got, c.want)
		}
	}
}

// words of element e of a draw, from the definition.
func elementWords[T Float](seed, draw, run uint64, e int) []uint32 {
	per := drawLanes[T]()
	block := uint64(e / per)
	w := Philox4x32([4]uint32{uint32(run), uint32(run >> 32), uint32(block), uint32(block >> 32)}, Key(seed, draw))
	return w[e%per*4/per:][:4/per]
}

func TestUniformDefinition(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		testUniformDefinition(t, func(w []uint32) float32 { return float32(float64(w[0]>>8) / (1 << 24)) })
	})
	t.Run("float64", func(t *testing.T) {
		testUniformDefinition(t, func(w []uint32) float64 { return float64((uint64(w[1])<<32|uint64(w[0]))>>11) / (1 << 53) })
	})
}

func testUniformDefinition[T Float](t *testing.T, number func(w []uint32) T) {
	const seed, draw, run = 11, 1 << 40, 3<<32 | 5
	for _, first := range []int{0, 1, 2, 3, 1001, 1<<34 - 3, 1<<62 + 1} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 63, 255, 256, 257, 600} {
			got, verify := check.Guarded[T](t, "Uniform", n)
			Uniform(got, seed, draw, run, first)
			verify()
			for i := range got {
				if want := number(elementWords[T](seed, draw, run, first+i)); got[i] != want {
					t.Fatalf("first = %d, n = %d: element %d is %v, want %v", first, n, i, got[i], want)
				}
			}
		}
	}
}

// drawKind is Uniform or Normal in one type, for the tests that concern both.
type drawKind[T Float] struct {
	name string
	fill func(dst []T, seed, draw, run uint64, first int)
}

func drawKinds[T Float]() []drawKind[T] {
	return []drawKind[T]{{"Uniform", Uniform[T]}, {"Normal", Normal[T]}}
}

func forBothTypes(t *testing.T, f32, f64 func(t *testing.T)) {
	t.Run("float32", f32)
	t.Run("float64", f64)
}

func TestDrawSplitsAndThreads(t *testing.T) {
	forBothTypes(t, testDrawSplitsAndThreads[float32], testDrawSplitsAndThreads[float64])
}

// One call, any cut of it, and any number of threads give the same bits.
func testDrawSplitsAndThreads[T Float](t *testing.T) {
	defer vec.SetThreads(vec.Threads())
	const n, first = 30011, 7
	for _, k := range drawKinds[T]() {
		vec.SetThreads(1)
		want := make([]T, n)
		k.fill(want, 1, 2, 3, first)
		for _, threads := range []int{2, 8} {
			vec.SetThreads(threads)
			got := check.Poison(make([]T, n))
			k.fill(got, 1, 2, 3, first)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d threads differ from one", k.name, threads)
			}
		}
		for _, cut := range []int{1, 2, 3, 5, 256, 1021, n - 1} {
			got := check.Poison(make([]T, n))
			for a := 0; a < n; a += cut {
				k.fill(got[a:min(a+cut, n)], 1, 2, 3, first+a)
				if cut == 1 && a > 600 {
					copy(got[a:], want[a:]) // enough of single elements
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: pieces of %d differ from the whole", k.name, cut)
			}
		}
	}
}

func TestDrawAllocates(t *testing.T) {
	forBothTypes(t, testDrawAllocates[float32], testDrawAllocates[float64])
}

func testDrawAllocates[T Float](t *testing.T) {
	defer vec.SetThreads(vec.SetThreads(4))
	for _, k := range drawKinds[T]() {
		for _, n := range []int{3, 20000} {
			dst := make([]T, n)
			if a := testing.AllocsPerRun(100, func() { k.fill(dst, 1, 2, 3, 1) }); a != 0 {
				t.Errorf("%s of %d: %v allocations per call, want none", k.name, n, a)
			}
		}
	}
}

func TestDrawPanics(t *testing.T) {
	for _, first := range []int{-1, math.MaxInt - 2} {
		mustPanic(t, fmt.Sprintf("kernels: Uniform: first = %d,", first), func() { Uniform(make([]float32, 4), 1, 2, 3, first) })
		mustPanic(t, fmt.Sprintf("kernels: Normal: first = %d,", first), func() { Normal(make([]float64, 4), 1, 2, 3, first) })
	}
}

func TestUniformDistribution(t *testing.T) {
	forBothTypes(t, testUniformDistribution[float32], testUniformDistribution[float64])
}

func testUniformDistribution[T Float](t *testing.T) {
	x := drawn(Uniform[T], 1<<18, 2, 3, 4)
	for i, v := range x {
		if !(v >= 0 && v < 1) {
			t.Fatalf("element %d is %v, want it in [0,1)", i, v)
		}
	}
	// E u^k = 1/(k+1), Var u^k = 1/(2k+1) - 1/(k+1)^2.
	for k := 1.0; k <= 4; k++ {
		checkMoment(t, x, k, 1/(k+1), 1/(2*k+1)-1/((k+1)*(k+1)))
	}
	checkKolmogorov(t, x, distuv.Uniform{Min: 0, Max: 1}.CDF)
	checkIndependent(t, Uniform[T])
}

// drawn returns the first n elements of a draw as float64.
func drawn[T Float](fill func(dst []T, seed, draw, run uint64, first int), n int, seed, draw, run uint64) []float64 {
	x := make([]T, n)
	fill(x, seed, draw, run, 0)
	return check.Copy[float64](x)
}

// checkMoment fails t if the mean of x^k is more than five standard errors from want; variance is that of one x^k.
// The draws are fixed, so a test that passes passes always.
func checkMoment(t *testing.T, x []float64, k, want, variance float64) {
	t.Helper()
	sum := 0.0
	for _, v := range x {
		sum += math.Pow(v, k)
	}
	got, tol := sum/float64(len(x)), 5*math.Sqrt(variance/float64(len(x)))
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("moment %v of %d values is %v, want %v +- %.2g", k, len(x), got, want, tol)
	}
}

// checkKolmogorov fails t if the largest distance of the empirical distribution of x from cdf is beyond what chance
// passes once in 10^5 (2.5/sqrt n).
func checkKolmogorov(t *testing.T, x []float64, cdf func(float64) float64) {
	t.Helper()
	s := slices.Clone(x)
	slices.Sort(s)
	n, d := float64(len(s)), 0.0
	for i, v := range s {
		c := cdf(v)
		d = max(d, c-float64(i)/n, float64(i+1)/n-c)
	}
	if !(d <= 2.5/math.Sqrt(n)) {
		t.Errorf("Kolmogorov-Smirnov distance %v for %d values, want at most %v", d, len(s), 2.5/math.Sqrt(n))
	}
}

// checkIndependent fails t if elements of a block, or equal elements of neighbouring seeds, draws or runs, or
// neighbouring blocks are correlated, they themselves or the squares of their distances from the mean, by more than
// five standard errors.
func checkIndependent[T Float](t *testing.T, fill func(dst []T, seed, draw, run uint64, first int)) {
	t.Helper()
	const n, seed, draw, run = 1 << 16, 41, 42, 43
	x := drawn(fill, n, seed, draw, run)
	per := drawLanes[T]()
	lane := func(l int) []float64 {
		var out []float64
		for i := l; i < n; i += per {
			out = append(out, x[i])
		}
		return out
	}
	check := func(what string, a, b []float64) {
		t.Helper()
		for _, power := range []string{"values", "squares"} {
			if power == "squares" {
				a, b = squares(a), squares(b)
			}
			if c := stat.Correlation(a, b, nil); !(math.Abs(c) <= 5/math.Sqrt(float64(len(a)))) {
				t.Errorf("correlation of %s, %s: %v over %d pairs", what, power, c, len(a))
			}
		}
	}
	for l := range per {
		for m := range l {
			check(fmt.Sprintf("lanes %d and %d", l, m), lane(l), lane(m))
		}
	}
	check("neighbouring blocks", x[per:], x[:n-per])
	check("neighbouring seeds", x, drawn(fill, n, seed+1, draw, run))
	check("neighbouring draws", x, drawn(fill, n, seed, draw+1, run))
	check("neighbouring runs", x, drawn(fill, n, seed, draw, run+1))
	check("draw and seed exchanged", x, drawn(fill, n, draw, seed, run))
	check("draw and run exchanged", x, drawn(fill, n, seed, run, draw))
}

func squares(x []float64) []float64 {
	mean, out := stat.Mean(x, nil), make([]float64, len(x))
	for i, v := range x {
		out[i] = (v - mean) * (v - mean)
	}
	return out
}

// mustPanic fails t unless f panics with a message that begins with want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	f()
}
