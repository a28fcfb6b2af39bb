package vec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/check/exact"
)

// pair is a case of the functions of two slices.
type pair struct {
	name   string
	single func(dst, a, b []float32)
	double func(dst, a, b []float64)
	ref    func(a, b float64) float64 // its special values are ours
	exact  func(a, b float64) *big.Float
	ulp    [2]float64 // asserted, of float32 and float64
	ulpGo  float64    // of plain Go
	refUlp float64    // ref's own
}

// The bounds are a little above what is seen, see doc/functions.md.
var pairCases = []pair{
	{"Atan2", Atan2[float32], Atan2[float64], atan2, exact.Atan2, [2]float64{1.5, 1.5}, 1.5, 2},
	{"Pow", Pow[float32], Pow[float64], math.Pow, exact.Pow, [2]float64{0.51, 0.7}, 0.7, 40},
}

func (p pair) apply(dst, a, b any) {
	switch d := dst.(type) {
	case []float32:
		p.single(d, a.([]float32), b.([]float32))
	case []float64:
		p.double(d, a.([]float64), b.([]float64))
	}
}

// Every pair of special values, at every place among others, has math's result: signs of zeros, odd and even powers of
// negative numbers and powers that are no integer, infinities, NaN.
func TestPairSpecialValues(t *testing.T) {
	both(t, testPairSpecial[float32], testPairSpecial[float64])
}

func testPairSpecial[T Float](t *testing.T) {
	least, most := of[T](0x1p-149, 0x1p-1074).(float64), of[T](float64(math.MaxFloat32), math.MaxFloat64).(float64)
	odd := of[T](float64(1<<24-1), float64(1<<53-1)).(float64) // the greatest odd number
	special := []float64{0, 1, 2, 3, 0.5, 1.5, 7, 64, 1001, 1e30, least, 3 * least, most, most / 2,
		odd, odd - 1, odd + 1, 2*odd + 2, 1e-30, inf, nan}
	for _, x := range special[:len(special)-1] {
		special = append(special, -x)
	}
	for _, p := range pairCases {
		var a, b []T
		for _, x := range special {
			for _, y := range special {
				a, b = append(a, T(x)), append(b, T(y))
			}
		}
		ulp := of[T](0x1p-23, 0x1p-52).(float64)
		for shift := range 17 {
			got, verify := check.Guarded[T](t, p.name, len(a)-shift)
			_ = verify // NaN is right where ref has it
			p.apply(got, a[shift:], b[shift:])
			for i, v := range got {
				x, y := float64(a[shift+i]), float64(b[shift+i])
				want := p.ref(x, y)
				if same(v, T(want)) {
					continue
				}
				number := v != 0 && !math.IsInf(float64(v), 0) && math.Signbit(float64(v)) == math.Signbit(want)
				if d := math.Abs(float64(v) - want); number && d <= p.refUlp*ulp*math.Abs(want)+least {
					continue // TestPairErrors has the last digits
				}
				t.Fatalf("%s(%v, %v) = %v, want %v", p.name, x, y, v, T(want))
			}
		}
	}
}

// Errors over samples of all kinds of finite numbers, against 200 bits. The bits of AVX2, AVX-512 and, for Pow in
// float64, of plain Go are the same.
func TestPairErrors(t *testing.T) {
	t.Run("float32", testPairErrors[float32])
	t.Run("float64", testPairErrors[float64])
}

func testPairErrors[T Float](t *testing.T) {
	defer func(old isa) { current = old }(current)
	most := of[T](float64(math.MaxFloat32), math.MaxFloat64).(float64)
	digits := of[T](24, 53).(int)
	for _, p := range pairCases {
		test, exhaustive := chosen(p.name)
		if !test {
			continue
		}
		n := 3000
		if exhaustive {
			n = 200000
		}
		a, b := pairSamples[T](p.name, n)
		var out [isaAVX512 + 1][]T
		for current = isaGo; current <= best; current++ {
			out[current] = make([]T, len(a))
			p.apply(out[current], a, b)
		}
		var worst worstOf
		for i := range a {
			x, y := float64(a[i]), float64(b[i])
			if p.name == "Pow" {
				if e := y * math.Log(math.Abs(x)); !(math.Abs(e) < 800) {
					continue // TestPairSpecialValues has it
				}
			}
			want := p.exact(x, y)
			if rounded, _ := want.Float64(); math.Abs(rounded) > most {
				continue
			}
			for set := isaGo; set <= best; set++ {
				d := exact.Ulps(float64(out[set][i]), want, digits)
				worst.add(set, d, func() string { return fmt.Sprintf("(%v, %v)", x, y) })
			}
			if best == isaAVX512 && !same(out[isaAVX2][i], out[isaAVX512][i]) {
				t.Fatalf("%s(%v, %v) = %v with AVX-512, %v with AVX2", p.name, x, y, out[isaAVX512][i], out[isaAVX2][i])
			}
			if p.name == "Pow" && digits == 53 && !same(out[isaGo][i], out[best][i]) {
				t.Fatalf("%s(%v, %v) = %v in plain Go, %v in assembly", p.name, x, y, out[isaGo][i], out[best][i])
			}
		}
		worst.check(t, p.name, of[T]("float32", "float64").(string), p.ulp[digits/53], p.ulpGo)
	}
}

// pairSamples are pairs of finite numbers, of Pow with a > 0, and results that are numbers mostly.
func pairSamples[T Float](name string, n int) (a, b []T) {
	r := rand.New(rand.NewPCG(7, 8))
	any := func() float64 {
		return math.Ldexp(r.Float64()-0.5, r.IntN(of[T](270, 2090).(int))-of[T](145, 1070).(int))
	}
	for i := range n {
		var x, y float64
		switch name {
		case "Pow":
			switch i % 4 {
			case 0: // results of all sizes
				x = math.Abs(any())
				y = of[T](103., 745.).(float64) * (2*r.Float64() - 1) / math.Abs(math.Log(x))
			case 1: // near 1, to great powers
				x = 1 + math.Copysign(math.Exp(-30*r.Float64()), r.Float64()-0.5)/2
				y = of[T](103., 745.).(float64) * (2*r.Float64() - 1) / math.Abs(math.Log(x))
			case 2:
				x, y = 10*r.Float64(), 20*(r.Float64()-0.5)
			case 3: // integers, and halves
				x, y = float64(r.IntN(100)+1), float64(r.IntN(41)-20)/2
			}
		default:
			switch i % 4 {
			case 0:
				x, y = any(), any()
			case 1:
				x = any()
				y = x * 4 * (r.Float64() - 0.5)
			case 2: // near the diagonals
				x = any()
				y = math.Copysign(x*(1+math.Exp(-35*r.Float64())*(r.Float64()-0.5)), r.Float64()-0.5)
			case 3: // near the axes
				x, y = r.NormFloat64(), r.NormFloat64()*math.Exp(-35*r.Float64())
				if r.IntN(2) == 0 {
					x, y = y, x
				}
			}
		}
		if x, y := T(x), T(y); x != 0 && !math.IsInf(float64(x), 0) && !math.IsInf(float64(y), 0) && x == x && y == y {
			a, b = append(a, x), append(b, y)
		}
	}
	return a, b
}

// A result depends on nothing but the two elements; dst may be either slice.
func TestPairTails(t *testing.T) { both(t, testPairTails[float32], testPairTails[float64]) }

func testPairTails[T Float](t *testing.T) {
	const most = 150
	for _, p := range pairCases {
		a, b := pairSamples[T](p.name, 2*most)
		for i := range a {
			if p.name == "Pow" && i%5 == 0 {
				a[i], b[i] = -a[i], T(i%9)
			}
		}
		want := make([]T, most)
		for i := range want {
			p.apply(want[i:i+1], a[i:i+1], b[i:i+1])
		}
		for n := range most {
			x, y := append([]T(nil), a[:n]...), append([]T(nil), b[:n]...)
			out, verify := check.Guarded[T](t, p.name, n)
			p.apply(out, x, y)
			if p.name != "Pow" {
				verify()
			}
			if !sameBits(x, a[:n]) || !sameBits(y, b[:n]) {
				t.Fatalf("%s of %d changed its operands", p.name, n)
			}
			p.apply(x, x, y)
			x, a2 := append([]T(nil), a[:n]...), x
			p.apply(y, x, y)
			for i := range n {
				if !same(out[i], want[i]) || !same(a2[i], want[i]) || !same(y[i], want[i]) {
					t.Fatalf("%s of %d: element %d is %v, in place %v and %v, want %v", p.name, n, i, out[i], a2[i], y[i], want[i])
				}
			}
		}
	}
}

// PowS is Pow, within an ulp where it is products.
func TestPowS(t *testing.T) { both(t, testPowS[float32], testPowS[float64]) }

func testPowS[T Float](t *testing.T) {
	ulp := of[T](0x1p-23, 0x1p-52).(float64)
	a, _ := pairSamples[T]("Atan2", 300)
	a = append(a, 0, T(negative), T(inf), T(-inf), T(nan), 1, -1)
	for _, s := range []float64{0, -1, 1, 2, 3, 0.5, -0.5, 1.5, 7, -2, inf, -inf, nan} {
		powers, got, want := make([]T, len(a)), append([]T(nil), a...), make([]T, len(a))
		Fill(powers, T(s))
		Pow(want, a, powers)
		PowS(got, got, T(s))
		for i := range a {
			size := math.Abs(float64(want[i]))
			if d := math.Abs(float64(got[i] - want[i])); !same(got[i], want[i]) && !(d <= ulp*size) && size > 1e-35 {
				t.Fatalf("PowS(%v, %v) = %v, want %v", a[i], s, got[i], want[i])
			}
		}
	}
	x := make([]T, 200)
	check.NoAllocs(t, "Pow", func() {
		Pow(x, x, x)
		PowS(x, x, 3)
		PowS(x, x, 1.5)
		Atan2(x, x, x)
	})
}

func TestPairPanics(t *testing.T) {
	for _, p := range pairCases {
		func() {
			defer func() {
				want := "vec: " + p.name + ": 2, 3 and 3 elements, want as many of each"
				if got := fmt.Sprint(recover()); got != want {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			p.single(make([]float32, 2), make([]float32, 3), make([]float32, 3))
		}()
	}
}
