package emit_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/kernels"
)

// An updateCase is an update of parameters whose gradients are inputs.
type updateCase struct {
	name   string
	o      kernels.Optimizer
	counts []int
	scale  float64 // of the gradients
	kernel int     // how many are expected
}

func updateCases() []updateCase {
	many := make([]int, 300)
	for i := range many {
		many[i] = 1 + i%7
	}
	adam := kernels.Optimizer{Epsilon: 1e-3, WeightDecay: 0.01}
	rms := kernels.Optimizer{Method: kernels.RMSProp, Momentum: 0.5, Epsilon: 1e-3}
	sgd := kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1}
	clipped := kernels.Optimizer{Method: kernels.Momentum, Rate: 0.1, Momentum: 0.9, ClipNorm: 1}
	return []updateCase{
		{"odd sizes", adam, []int{1, 3, 1024, 1025, 4097, 0, 2}, 1, 2},
		{"odd sizes", rms, []int{1, 3, 1024, 1025, 4097, 0, 2}, 1, 2},
		{"odd sizes", sgd, []int{1, 3, 1024, 1025, 4097, 0, 2}, 1, 2},
		{"more parameters than a kernel takes", adam, many, 1, 4},
		{"more parameters than a kernel takes", clipped, many, 1, 3},
		{"large", rms, []int{1 << 20, 77}, 1, 2},
		{"squares overflow", clipped, []int{5, 2000}, 1e200, 2},
		{"squares vanish", clipped, []int{5, 2000}, 1e-200, 2},
		{"zeros", clipped, []int{5, 2000}, 0, 2},
		{"nothing", adam, []int{0, 0}, 1, 1},
	}
}

// TestUpdates compares updates with the CPU's: all that does not depend on the order of the norm's sum to the bit.
func TestUpdates(t *testing.T) {
	d, err := emulated.New()
	simtest.Need(t, err)
	for _, c := range updateCases() {
		for _, typ := range []ir.DType{ir.F32, ir.F64} {
			if typ == ir.F32 && (c.scale > 1e30 || c.scale > 0 && c.scale < 1e-30) {
				continue // no such numbers
			}
			t.Run(fmt.Sprintf("%s/%v/%v", c.name, c.o.Method, typ), func(t *testing.T) {
				want, _ := c.run(t, cpu.New(), typ)
				got, p := c.run(t, d, typ)
				e, err := emit.New(p, emit.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if len(e.Launches) != c.kernel {
					t.Errorf("%d launches, want %d", len(e.Launches), c.kernel)
				}
				// The rate of Adam takes a power, and the norm a sum, that may be rounded otherwise; without them no bit differs.
				tol := 0.0
				if c.o.Method == kernels.Adam || c.o.ClipNorm != 0 {
					tol = map[ir.DType]float64{ir.F32: 4e-7, ir.F64: 1e-14}[typ]
				}
				for i := range want {
					for k := range want[i] {
						if w, g := want[i][k], got[i][k]; w != g && !(math.Abs(w-g) <= tol*math.Abs(w)) {
							t.Fatalf("array %d, element %d is %v, want %v", i, k, g, w)
						}
					}
				}
			})
		}
	}
}

// run does three steps and returns the parameters, and the first numbers of what is reported: the norm, with the
// digits that any order of its sum gives, clipped and skipped.
func (c *updateCase) run(t *testing.T, d backend.Device, typ ir.DType) ([][]float64, *plan.Program) {
	b := ir.NewBuilder()
	u := ir.Update{Optimizer: c.o, Loss: -1}
	for i, n := range c.counts {
		u.Params = append(u.Params, b.Input(typ, []int{n}, ir.InputAttr{Name: fmt.Sprint("p", i), Resident: true}))
		u.Grads = append(u.Grads, b.Input(typ, []int{n}, ir.InputAttr{Name: fmt.Sprint("g", i)}))
	}
	b.G.Updates = []ir.Update{u}
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(b.G, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var out [][]float64
	for step := range 3 {
		for _, in := range p.Inputs {
			if in.Buf < 0 {
				continue
			}
			n := p.Buffers[in.Buf].Count()
			v := make([]float64, n)
			for k := range v {
				v[k] = rng.NormFloat64()
				if p.Buffers[in.Buf].Role == plan.Input {
					v[k] *= c.scale
				}
			}
			if p.Buffers[in.Buf].Role == plan.Param && step > 0 {
				continue
			}
			if err := x.Write(in.Buf, typed(typ, v)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(x.Run(nil), x.Sync()); err != nil {
			t.Fatal(err)
		}
		for _, in := range p.Inputs {
			if in.Buf < 0 || p.Buffers[in.Buf].Role != plan.Param {
				continue
			}
			data := ir.MakeSlice(typ, p.Buffers[in.Buf].Count())
			if err := x.Read(in.Buf, data); err != nil {
				t.Fatal(err)
			}
			out = append(out, numbers(data))
		}
		info := make([]float64, 4)
		if err := x.Read(p.Steps[len(p.Steps)-1].Update.Info, info); err != nil {
			t.Fatal(err)
		}
		f, e := math.Frexp(info[0])
		out = append(out, []float64{math.Round(f * 1e12), float64(e), info[1], info[2]})
	}
	return out, p
}

func typed(t ir.DType, v []float64) any {
	if t == ir.F64 {
		return v
	}
	f := make([]float32, len(v))
	for i, x := range v {
		f[i] = float32(x)
	}
	return f
}

func numbers(x any) []float64 {
	if v, ok := x.([]float64); ok {
		return v
	}
	var v []float64
	for _, f := range x.([]float32) {
		v = append(v, float64(f))
	}
	return v
}
