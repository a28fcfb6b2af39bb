package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godcem/godcem/internal/check"
)

// arithCase is one of the loops: its operands are the first `slices` of x and, with scalar, s.
type arithCase[T Float] struct {
	name   string
	slices int
	scalar bool
	run    func(dst []T, x [5][]T, s T)
	ref    func(x [5]T, s T) T
}

func arithCases[T Float]() []arithCase[T] {
	one := func(name string, f func(dst, a []T), ref func(a T) T) arithCase[T] {
		return arithCase[T]{name, 1, false, func(dst []T, x [5][]T, s T) { f(dst, x[0]) }, func(x [5]T, s T) T { return ref(x[0]) }}
	}
	two := func(name string, f func(dst, a, b []T), ref func(a, b T) T) arithCase[T] {
		return arithCase[T]{name, 2, false, func(dst []T, x [5][]T, s T) { f(dst, x[0], x[1]) }, func(x [5]T, s T) T { return ref(x[0], x[1]) }}
	}
	withS := func(name string, f func(dst, a []T, s T), ref func(a, s T) T) arithCase[T] {
		return arithCase[T]{name, 1, true, func(dst []T, x [5][]T, s T) { f(dst, x[0], s) }, func(x [5]T, s T) T { return ref(x[0], s) }}
	}
	viaMath := func(f func(float64) float64) func(a T) T { return func(a T) T { return T(f(float64(a))) } }
	sub := func(a, b T) T { return a - b }
	div := func(a, b T) T { return a / b }
	most, least := func(a, b T) T { return max(a, b) }, func(a, b T) T { return min(a, b) }
	lt, le := func(a, b T) T { return truth[T](a < b) }, func(a, b T) T { return truth[T](a <= b) }
	gt, ge := func(a, b T) T { return truth[T](a > b) }, func(a, b T) T { return truth[T](a >= b) }
	eq, ne := func(a, b T) T { return truth[T](a == b) }, func(a, b T) T { return truth[T](a != b) }
	add, mul := func(a, b T) T { return a + b }, func(a, b T) T { return a * b }
	return []arithCase[T]{
		two("Add", Add[T], add), two("Sub", Sub[T], sub), two("Mul", Mul[T], mul), two("Div", Div[T], div),
		two("Max", Max[T], most), two("Min", Min[T], least),
		two("Lt", Lt[T], lt), two("Le", Le[T], le), two("Gt", Gt[T], gt), two("Ge", Ge[T], ge), two("Eq", Eq[T], eq), two("Ne", Ne[T], ne),
		withS("AddS", AddS[T], add), withS("SubS", SubS[T], sub), withS("MulS", MulS[T], mul), withS("DivS", DivS[T], div),
		withS("RSubS", RSubS[T], func(a, s T) T { return s - a }), withS("RDivS", RDivS[T], func(a, s T) T { return s / a }),
		withS("MaxS", MaxS[T], most), withS("MinS", MinS[T], least),
		withS("LtS", LtS[T], lt), withS("LeS", LeS[T], le), withS("GtS", GtS[T], gt), withS("GeS", GeS[T], ge),
		withS("EqS", EqS[T], eq), withS("NeS", NeS[T], ne),
		one("Neg", Neg[T], func(a T) T { return -a }), one("Abs", Abs[T], viaMath(math.Abs)), one("Sqrt", Sqrt[T], viaMath(math.Sqrt)),
		one("Square", Square[T], func(a T) T { return a * a }), one("Floor", Floor[T], viaMath(math.Floor)), one("Ceil", Ceil[T], viaMath(math.Ceil)),
		{"Select", 3, false, func(dst []T, x [5][]T, s T) { Select(dst, x[0], x[1], x[2]) }, func(x [5]T, s T) T {
			if x[0] != 0 {
				return x[1]
			}
			return x[2]
		}},
		{"MulAdd", 3, false, func(dst []T, x [5][]T, s T) { MulAdd(dst, x[0], x[1], x[2]) }, func(x [5]T, s T) T { return T(x[0]*x[1]) + x[2] }},
		{"MulAddClamp", 5, false, func(dst []T, x [5][]T, s T) { MulAddClamp(dst, x[0], x[1], x[2], x[3], x[4]) }, func(x [5]T, s T) T {
			v := T(x[0]*x[1]) + x[2]
			if v < x[3] {
				v = x[3]
			}
			if v > x[4] {
				v = x[4]
			}
			return v
		}},
		{"Fill", 0, true, func(dst []T, x [5][]T, s T) { Fill(dst, s) }, func(x [5]T, s T) T { return s }},
	}
}

// someNumbers are numbers of every kind, among them every pair of special ones.
func someNumbers[T Float](r *rand.Rand) T {
	low, high := math.SmallestNonzeroFloat64, math.MaxFloat64
	if T(low) == 0 {
		low, high = math.SmallestNonzeroFloat32, math.MaxFloat32
	}
	tiny, huge := T(low), T(high)
	special := [...]T{0, T(negative), 1, -1, 0.5, -0.5, 2.5, T(inf), T(-inf), T(nan), tiny, -tiny, huge, -huge, 1 << 23, 1<<22 + 0.5, -(1 << 60)}
	switch r.IntN(4) {
	case 0:
		return special[r.IntN(len(special))]
	case 1:
		return T(r.IntN(7) - 3)
	}
	return T(r.NormFloat64() * math.Exp(4*r.NormFloat64()))
}

var oddLengths = []int{0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1000}

// same reports whether x and y have the same bits, or are both NaN.
func same[T Float](x, y T) bool {
	return x != x && y != y || x == y && math.Signbit(float64(x)) == math.Signbit(float64(y))
}

func TestArith(t *testing.T) { both(t, testArith[float32], testArith[float64]) }

func testArith[T Float](t *testing.T) {
	const band = 40
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range arithCases[T]() {
		for _, n := range oddLengths {
			var x [5][]T
			for i := range x {
				for range n {
					x[i] = append(x[i], someNumbers[T](r))
				}
			}
			s := someNumbers[T](r)
			want := make([]T, n)
			for i := range want {
				want[i] = c.ref([5]T{x[0][i], x[1][i], x[2][i], x[3][i], x[4][i]}, s)
			}
			// dst apart, and each operand in turn, or all of them.
			for alias := -1; alias <= c.slices; alias++ {
				buf := make([]T, n+2*band)
				for i := range buf {
					buf[i] = -77
				}
				dst, in, want := buf[band:band+n], x, want
				for i := range c.slices {
					in[i] = append([]T(nil), x[i]...)
				}
				switch {
				case alias == c.slices:
					copy(dst, x[0])
					want = make([]T, n)
					for i, v := range x[0] {
						want[i] = c.ref([5]T{v, v, v, v, v}, s)
					}
					in = [5][]T{dst, dst, dst, dst, dst}
				case alias >= 0:
					copy(dst, x[alias])
					in[alias] = dst
				}
				c.run(dst, in, s)
				for i, v := range buf {
					switch j := i - band; {
					case j >= 0 && j < n && !same(v, want[j]):
						t.Fatalf("%s of %d, dst as operand %d: element %d of %v, s = %v is %v, want %v",
							c.name, n, alias, j, [5]T{x[0][j], x[1][j], x[2][j], x[3][j], x[4][j]}, s, v, want[j])
					case (j < 0 || j >= n) && v != -77:
						t.Fatalf("%s of %d wrote element %d", c.name, n, j)
					}
				}
				for i := range c.slices {
					if i != alias && alias < c.slices && !sameBits(in[i], x[i]) {
						t.Fatalf("%s of %d changed operand %d", c.name, n, i)
					}
				}
			}
		}
	}
}

func TestArithAllocates(t *testing.T) {
	x := make([]float32, 100)
	for _, c := range arithCases[float32]() {
		check.NoAllocs(t, c.name, func() { c.run(x, [5][]float32{x, x, x, x, x}, 1) })
	}
}

func TestArithPanics(t *testing.T) {
	two, three := make([]float64, 2), make([]float64, 3)
	for _, c := range arithCases[float64]() {
		for i := range c.slices {
			x := [5][]float64{three, three, three, three, three}
			x[i] = two
			func() {
				defer func() {
					if got := fmt.Sprint(recover()); !strings.Contains(got, "vec: "+c.name+": ") {
						t.Errorf("%s: panic %q with operand %d shorter", c.name, got, i)
					}
				}()
				c.run(three, x, 1)
			}()
		}
	}
}

// BenchmarkArith reports on tiles of 512 elements, the calls included.
func BenchmarkArith(b *testing.B) {
	b.Run("float32", benchArith[float32])
	b.Run("float64", benchArith[float64])
}

func benchArith[T Float](b *testing.B) {
	const n = 512
	r := rand.New(rand.NewPCG(7, 8))
	var x [5][]T
	for i := range x {
		for range n {
			x[i] = append(x[i], T(r.Float64()))
		}
	}
	dst := make([]T, n)
	for _, c := range arithCases[T]() {
		benchTiles(b, c.name, n, func() { c.run(dst, x, 0.5) })
	}
}

// benchTiles reports nanoseconds per element for each instruction set, of many calls in a row.
func benchTiles(b *testing.B, name string, n int, f func()) {
	const calls = 100
	for set := isaGo; set <= best; set++ {
		b.Run(name+"/"+isaNames[set], func(b *testing.B) {
			defer func(old isa) { current = old }(current)
			current = set
			fastest := now()
			for b.Loop() {
				t := now()
				for range calls {
					f()
				}
				fastest = min(fastest, now()-t)
			}
			b.ReportMetric(float64(fastest.Nanoseconds())/float64(n*calls), "ns/element")
		})
	}
}
