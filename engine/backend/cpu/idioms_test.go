package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// TestIdioms: what is said in several instructions is found, is one instruction, and has the bits of the several, which
// are computed beside it from values that are stored in between.
func TestIdioms(t *testing.T) {
	t.Run("f32", testIdioms[float32])
	t.Run("f64", testIdioms[float64])
}

func testIdioms[T vec.Float](t *testing.T) {
	const n = 1000
	typ := typeOf[T]()
	zero, one := plan.Instr{Op: ir.Const, A: -1, B: -1, C: -1}, plan.Instr{Op: ir.Const, A: -1, B: -1, C: -1, Imm: 1}
	for _, c := range []struct {
		name  string
		body  []plan.Instr // on load 0; the last one is the idiom
		apart func(dst, x []T)
	}{
		{"softplus' derivative", []plan.Instr{instrOf(ir.Neg, 0), instrOf(ir.Expm1, 1), instrOf(ir.Neg, 2)}, func(dst, x []T) {
			vec.Neg(dst, x)
			vec.Expm1(dst, dst)
			vec.Neg(dst, dst)
		}},
		{"elu", []plan.Instr{zero, instrOf(ir.Gt, 0, 1), instrOf(ir.Expm1, 0), instrOf(ir.Where, 2, 0, 3)}, func(dst, x []T) {
			vec.Expm1(dst, x)
			above := make([]T, n)
			vec.GtS(above, x, 0)
			vec.Select(dst, above, x, dst)
		}},
		{"elu's derivative", []plan.Instr{zero, instrOf(ir.Gt, 0, 1), one, instrOf(ir.Exp, 0), instrOf(ir.Where, 2, 3, 4)}, func(dst, x []T) {
			vec.Exp(dst, x)
			above, ones := make([]T, n), make([]T, n)
			vec.GtS(above, x, 0)
			vec.Fill(ones, 1)
			vec.Select(dst, above, ones, dst)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &maker{}
			in, out := m.buffer(plan.Input, typ, n), m.buffer(plan.Output, typ, n)
			m.loop(plan.Loop{Type: typ, Dims: []int{n}, Loads: []plan.Load{loadOf(in, 1)}, Body: c.body,
				Stores: []plan.Store{storeOf(int32(len(c.body)), out, 1)}})
			e, err := New().Compile(&m.p)
			if err != nil {
				t.Fatal(err)
			}
			x := e.(*executable)
			verbs := 0
			for _, in := range x.steps[0].(*loop[T]).code[point] {
				if in.verb == doUnary || in.verb == doBinary || in.verb == doScalar || in.verb == doSelect {
					verbs++
				}
			}
			if verbs != 1 {
				t.Errorf("%d instructions, want 1", verbs)
			}
			src, want, got := make([]T, n), make([]T, n), make([]T, n)
			special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1e-30, -1e-30, 88, -88, 710, -745}
			for i := range src {
				if src[i] = T(float64(i-n/2) / 37); i < len(special) {
					src[i] = T(special[i])
				}
			}
			c.apart(want, src)
			if err := x.Write(in, src); err != nil {
				t.Fatal(err)
			}
			if err := x.Run(nil); err != nil {
				t.Fatal(err)
			}
			if err := x.Read(out, got); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				// NaN has many bits, all of them equal here.
				if math.Float64bits(float64(got[i])) != math.Float64bits(float64(want[i])) && !(got[i] != got[i] && want[i] != want[i]) {
					t.Fatalf("of %v: %v, want %v", src[i], got[i], want[i])
				}
			}
		})
	}
}

// TestAdds: a product of which the epilogue adds an array is added to it where the sum goes, in place or not; so it is
// with few terms, with many (whose partial sums come in between) and with none.
func TestAdds(t *testing.T) {
	for _, typ := range []ir.DType{ir.F32, ir.F64} {
		for _, k := range []int{0, 1, 100, 300, 2500} {
			for _, over := range []bool{false, true} {
				for _, first := range []bool{false, true} {
					t.Run(fmt.Sprint(typ, " ", k, " in place ", over, " product first ", first), func(t *testing.T) {
						m := &maker{}
						d := plan.Dot{Type: typ, Batch: 1, M: 40, N: 33, K: k}
						d.A = plan.Operand{Buf: m.buffer(plan.Input, typ, max(1, k*d.M)), Ld: d.M, Trans: true, Batch: k * d.M}
						d.B = plan.Operand{Buf: m.buffer(plan.Input, typ, max(1, k*d.N)), Ld: d.N, Batch: k * d.N}
						d.Epilogue = plan.Loop{Type: typ, Dims: []int{d.M, d.N}}
						x := m.buffer(plan.Temp, typ, d.M, d.N)
						from := m.buffer(plan.Input, typ, d.M, d.N)
						m.loop(plan.Loop{Type: typ, Dims: []int{d.M * d.N}, Loads: []plan.Load{loadOf(from, 1)},
							Stores: []plan.Store{storeOf(0, x, 1)}})
						e := &d.Epilogue
						e.Loads = []plan.Load{loadOf(x, d.N, 1), loadOf(plan.Acc, d.N, 1)}
						if first {
							e.Loads[0], e.Loads[1] = e.Loads[1], e.Loads[0]
						}
						e.Body = []plan.Instr{instrOf(ir.Add, 0, 1)}
						if over {
							e.Stores = []plan.Store{storeOf(2, m.over(x, typ), d.N, 1)}
						} else {
							e.Stores = []plan.Store{m.all(&d, 2)}
						}
						m.dot(d)
						tol := 1e-5 // as in TestDot
						if typ == ir.F64 {
							tol = 2e-14
						}
						ex := compare(t, m, 1, tol)
						var found bool
						switch s := ex.steps[1].(type) {
						case *dot[float32]:
							found = s.onto != nil
						case *dot[float64]:
							found = s.onto != nil
						}
						if want := k > 0; found != want {
							t.Errorf("added where the sum goes: %v, want %v", found, want)
						}
						sameForThreads(t, ex)
					})
				}
			}
		}
	}
}
