package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check/exact"
)

// ulps is the error that a kind may have, in units of the result's last place in the loop's type: what package vec
// promises for its functions, half a unit for one rounded operation (in float32 computed by way of float64, where the
// meaning is not rounded), and one for what is two of them.
func ulps(op ir.Op) float64 {
	switch op {
	case ir.Exp, ir.Expm1, ir.Log, ir.Log1p, ir.Log2, ir.Tanh, ir.Sigmoid, ir.Softplus, ir.Sin, ir.Cos:
		return 3 // 2, and 1 of package math, whose functions the meaning takes
	case ir.InvSqrt, ir.Cube, ir.Pow, ir.Atan2:
		return 1.5
	}
	return 0.5
}

// specials are the arguments that functions get wrong.
var specials = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 2, -2, 3, 10, -10,
	88, -88, 700, -700, 1e-30, -1e-30, 1e30, 1e-7, 1.5,
	math.Inf(1), math.Inf(-1), math.NaN(), 3.1, 1 - 0x1p-24, 1 + 0x1p-23, 16777217, 0.99, -0.99}

// TestElementwise compares every elementwise kind with the table's meaning, with operands that are arrays, numbers,
// and one of each.
func TestElementwise(t *testing.T) {
	seen := 0
	for op := ir.Op(1); op.Info().Name != "invalid"; op++ {
		info := op.Info()
		if info.Class != ir.Elementwise || info.F == nil {
			continue
		}
		seen++
		for _, typ := range []ir.DType{ir.F32, ir.F64} {
			for scalars := range 1 << info.Arity {
				t.Run(fmt.Sprint(op, "/", typ, "/", scalars), func(t *testing.T) {
					elementwise(t, op, typ, scalars)
				})
			}
		}
	}
	if seen < 35 {
		t.Errorf("%d kinds, want all 38", seen)
	}
}

func elementwise(t *testing.T, op ir.Op, typ ir.DType, scalars int) {
	n := len(specials) * len(specials)
	m := &maker{}
	arity := op.Info().Arity
	l := plan.Loop{Type: typ, Dims: []int{n}}
	in := plan.Instr{Op: op, A: 0, B: 1, C: 2}
	for k := range arity {
		x := loadOf(m.buffer(plan.Input, typ, n), 1)
		if scalars>>k&1 == 1 {
			x.Strides, x.Offset = []int{0}, 9
		}
		l.Loads = append(l.Loads, x)
	}
	l.Body = []plan.Instr{in}
	l.Stores = []plan.Store{storeOf(int32(arity), m.buffer(plan.Output, typ, n), 1)}
	m.loop(l)
	e, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	x := e.(*executable)
	r := rand.New(rand.NewPCG(6, 6))
	for k := range arity {
		for i := range n {
			j := i
			if k == 1 {
				j = i / len(specials)
			}
			v := specials[j%len(specials)]
			if k == 2 {
				v = r.NormFloat64()
			}
			setAny(x.slices[k], i, v)
		}
	}
	if err := x.Run(nil); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var a [3]float64
		for k := range arity {
			a[k] = getAny(x.slices[k], affine(l.Loads[k].Offset, l.Loads[k].Strides, []int{i}))
		}
		got, want := getAny(x.slices[arity], i), op.Info().F(a[0], a[1], a[2])
		if op == ir.Log2 && math.Abs(a[0]-1) < 0.1 {
			want = math.Log1p(a[0]-1) / math.Ln2 // where math.Log2 is off by 1e-10
		}
		want = exactly(op, a[0], a[1], want)
		if typ == ir.F32 {
			if op == ir.Square || op == ir.Cube || op == ir.InvSqrt {
				// In steps, each rounded: intermediate results may overflow where the whole does not.
				f := float32(a[0])
				switch op {
				case ir.Square:
					want = float64(f * f)
				case ir.Cube:
					want = float64(f * f * f)
				case ir.InvSqrt:
					want = float64(1 / float32(math.Sqrt(a[0])))
				}
			}
			if math.Abs(want) > math.MaxFloat32 {
				want = float64(float32(want))
			}
		}
		if !near(got, want, typ, ulps(op)) {
			t.Fatalf("%v(%v, %v, %v) = %v, want %v", op, a[0], a[1], a[2], got, want)
		}
	}
}

// exactly is want, of package math, without the errors that it has there: many units in the last place of powers, all
// digits of sines of large numbers.
func exactly(op ir.Op, x, y, want float64) float64 {
	if want == 0 || want-want != 0 || x == 0 || x-x != 0 {
		return want
	}
	switch op {
	case ir.Sin:
		want, _ = exact.Sin(x, 0).Float64()
	case ir.Cos:
		want, _ = exact.Sin(x, 1).Float64()
	case ir.Pow:
		if y-y == 0 {
			p, _ := exact.Pow(math.Abs(x), y).Float64()
			want = math.Copysign(p, want)
		}
	}
	return want
}

// near reports whether got is within so many units in the last place of want.
func near(got, want float64, typ ir.DType, ulps float64) bool {
	if want != want || math.IsInf(want, 0) {
		return got == want || got != got && want != want
	}
	if got == want {
		return math.Signbit(got) == math.Signbit(want) || ulps > 0.5
	}
	digits, least := 24, -149
	if typ == ir.F64 {
		digits, least = 53, -1074
	}
	_, e := math.Frexp(want)
	return math.Abs(got-want) <= ulps*math.Ldexp(1, max(e-digits, least))
}

// TestConversions loads and stores every type.
func TestConversions(t *testing.T) {
	types := []ir.DType{ir.F32, ir.F64, ir.Int64, ir.Int, ir.Int32, ir.Uint8, ir.Bool}
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, from := range types {
			for _, to := range types {
				t.Run(fmt.Sprint(typ, "/", from, "/", to), func(t *testing.T) {
					m := &maker{}
					l := plan.Loop{Type: typ, Dims: []int{50, 7}}
					for _, s := range [][]int{{7, 1}, {0, 1}, {1, 0}, {1, 50}, {0, 0}} {
						l.Loads = append(l.Loads, loadOf(m.buffer(plan.Input, from, 350), s...))
						b := m.buffer(plan.Output, to, 350)
						l.Stores = append(l.Stores, storeOf(int32(len(l.Loads)-1), b, 7, 1),
							storeOf(int32(len(l.Loads)-1), m.buffer(plan.Output, to, 350), 1, 50))
					}
					m.loop(l)
					compare(t, m, 1, 0)
				})
			}
		}
	}
}

// TestWholeNumbers wants all bits of what is only moved.
func TestWholeNumbers(t *testing.T) {
	for _, typ := range []ir.DType{ir.Int64, ir.Int, ir.Int32} {
		m := &maker{}
		from := m.buffer(plan.Input, typ, 3, 5)
		to := m.buffer(plan.Output, typ, 5, 3)
		l := plan.Loop{Type: ir.F64, Dims: []int{3, 5}, Loads: []plan.Load{loadOf(from, 5, 1)},
			Stores: []plan.Store{storeOf(0, to, 1, 3)}}
		if typ == ir.Int32 {
			l.Type = ir.F32
		}
		m.loop(l)
		e, err := New().Compile(&m.p)
		if err != nil {
			t.Fatal(err)
		}
		x := e.(*executable)
		for i := range 15 {
			switch s := x.slices[from].(type) {
			case []int64:
				s[i] = math.MaxInt64 - int64(i)
			case []int:
				s[i] = math.MaxInt - i
			case []int32:
				s[i] = math.MaxInt32 - int32(i)
			}
		}
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		for i := range 15 {
			var got, want int64
			switch s := x.slices[to].(type) {
			case []int64:
				got, want = s[i], x.slices[from].([]int64)[i%3*5+i/3]
			case []int:
				got, want = int64(s[i]), int64(x.slices[from].([]int)[i%3*5+i/3])
			case []int32:
				got, want = int64(s[i]), int64(x.slices[from].([]int32)[i%3*5+i/3])
			}
			if got != want {
				t.Errorf("%v element %d is %d, want %d", typ, i, got, want)
			}
		}
	}
}

// TestDraws has every map of indices, of runs, steps and repetitions, beside loads that would let dimensions merge.
func TestDraws(t *testing.T) {
	dims := []int{6, 5, 8}
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, of := range []ir.DType{ir.F32, ir.F64} {
			for _, index := range [][]int{
				{40, 8, 1}, {0, 8, 1}, {8, 0, 1}, {1, 6, 30}, {0, 0, 1}, {0, 0, 3}, {5, 1, 0}, {7, 1, 0}, {1, 0, 0}, {0, 0, 0}, {80, 16, 2}, {100, 20, 1},
			} {
				for _, op := range []ir.Op{ir.Normal, ir.Uniform} {
					m := &maker{}
					run := m.buffer(plan.Input, ir.Int64)
					l := plan.Loop{Type: typ, Dims: dims, Loads: []plan.Load{loadOf(m.buffer(plan.Input, typ, dims...), 40, 8, 1)}}
					l.Body = []plan.Instr{
						{Op: op, Type: of, Run: run, Index: &plan.Load{Offset: 7, Strides: index}, Rand: ir.Rand{Seed: 3, Draw: 4}},
						instrOf(ir.Add, 0, 1),
					}
					l.Stores = []plan.Store{storeOf(2, m.buffer(plan.Output, typ, dims...), 40, 8, 1)}
					m.loop(l)
					sameForThreads(t, compare(t, m, 1, 0))
				}
			}
		}
	}
}
