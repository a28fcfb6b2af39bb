package dcem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
)

func TestDenseSource(t *testing.T) {
	t.Run("float32", testDenseSource[float32])
	t.Run("float64", testDenseSource[float64])
	if (denseOp[float64]{1, denseMost + 1}).Source(0, nil) != nil {
		t.Error("a system that shared memory does not hold has a source")
	}
}

func testDenseSource[T kernels.Float](t *testing.T) {
	dt, tol := ir.F64, 1e-11 // conditions are some hundreds
	if cType[T]() == "float" {
		dt, tol = ir.F32, 1e-6 // computed in double
	}
	const batch = 6
	for _, d := range []int{1, 3, 33, denseMost} {
		k := denseOp[T]{batch, d}
		b := ir.NewBuilder()
		var in []ir.ID
		for i := range 4 + d {
			in = append(in, b.Input(dt, []int{batch, d}, ir.InputAttr{Name: fmt.Sprint("in", i)}))
		}
		b.Output(graphop.Custom(b, k, dt, []int{batch, d + 3, 1}, in))
		p, err := plan.New(b.G, plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		x, err := emulator(t, emulated.Options{}).Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		r := rand.New(rand.NewPCG(uint64(d), 5))
		feeds := make([]any, 4+d)
		for i := range feeds {
			v := make([]T, batch*d)
			for j := range v {
				if v[j] = T(r.NormFloat64()); i == 3 { // which are free
					v[j] = T(r.IntN(4) & 1)
				}
				if i >= 4 && j%d == i-4 {
					v[j] += T(2 * math.Sqrt(float64(d)))
				}
			}
			feeds[i] = v
		}
		of := func(i, problem int) []T { return feeds[i].([]T)[problem*d : (problem+1)*d] }
		for i := range d { // 1: no row counts; 2: singular, if there is more than one; 3: v is not finite; 4: J is not
			of(3, 1)[i], of(3, 2)[i], of(3, 3)[i], of(3, 4)[i] = 0, 1, 1, 1
			copy(of(4+i, 2), of(4, 2))
		}
		of(0, 3)[d-1] = T(math.NaN())
		of(3+d, 4)[0] = T(math.Inf(-1))
		for i, in := range p.Inputs {
			if err := x.Write(in.Buf, feeds[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Run(nil); err != nil {
			t.Fatal(err)
		}
		got, want := make([]T, batch*(d+3)), make([]T, batch*(d+3))
		if err := x.Read(p.Outputs[0].Buf, got); err != nil {
			t.Fatal(err)
		}
		k.Run(want, feeds)
		for i := range got {
			g, w := float64(got[i]), float64(want[i])
			at := i % (d + 3)
			switch {
			case g == w || g != g && w != w:
			case at == d: // gonum estimates the norm of the inverse, from below
				if !(g <= w*(1+tol) && g >= w/3) {
					t.Errorf("d = %d, problem %d: reciprocal condition %v, want %v or a little less", d, i/(d+3), g, w)
				}
			case at == d+2: // what rounding leaves
				if !(g < 100*tol && w < 100*tol) {
					t.Errorf("d = %d, problem %d: residuals %v and %v", d, i/(d+3), g, w)
				}
			case !(math.Abs(g-w) <= tol*(1+math.Abs(w))):
				t.Errorf("d = %d, problem %d: element %d is %v, want %v", d, i/(d+3), at, g, w)
			}
		}
	}
}
