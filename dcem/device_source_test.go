package dcem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/kernels"
)

// emulator opens the device that runs CUDA C on the CPU; where there is no C++ compiler the test is skipped.
func emulator(t *testing.T, o emulated.Options) backend.Device {
	t.Helper()
	d, err := emulated.NewWith(o)
	simtest.Need(t, err)
	return d
}

func TestSourcedKernels(t *testing.T) {
	t.Run("float32", testSourcedKernels[float32])
	t.Run("float64", testSourcedKernels[float64])
}

// All kernels are one program, so that they share kernels where they can; and again each by itself.
func testSourcedKernels[T kernels.Float](t *testing.T) {
	dt := ir.F32
	if cType[T]() == "double" {
		dt = ir.F64
	}
	var cases []deviceCase
	b := ir.NewBuilder()
	bind := map[string]ir.ID{}
	var inputs []ir.ID
	for _, c := range deviceCases[T]() {
		if c.words {
			continue
		}
		var in []ir.ID
		for i, s := range c.in {
			name := fmt.Sprint(i, s)
			if _, ok := bind[name]; !ok {
				bind[name] = b.Input(dt, s, ir.InputAttr{Name: name})
				inputs = append(inputs, bind[name])
			}
			in = append(in, bind[name])
		}
		b.Output(graphop.Custom(b, c.k, dt, c.out, in))
		cases = append(cases, c)
	}
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(b.G, plan.Options{Slack: emit.Slack})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []emit.Options{{}, {Disable: emit.Switches}} {
		x, err := emulator(t, emulated.Options{Emit: o}).Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 2))
			feeds := map[ir.ID]any{}
			for _, id := range inputs {
				feeds[id] = edgy[T](r, b.Node(id).Count())
			}
			for _, in := range p.Inputs {
				if err := x.Write(in.Buf, feeds[in.Node]); err != nil {
					t.Fatal(err)
				}
			}
			counted := cases[0].k.(gateGradOp[T]).state.count
			counted.lost.Store(0)
			counted.excluded.Store(0)
			if err := x.Run(nil); err != nil {
				t.Fatal(err)
			}
			if err := x.Sync(); err != nil {
				t.Fatal(err)
			}
			lost, excluded := counted.lost.Swap(0), counted.excluded.Swap(0)
			for i, c := range cases {
				var in []any
				for j, s := range c.in {
					in = append(in, feeds[bind[fmt.Sprint(j, s)]])
				}
				want, got := make([]T, ir.Count(c.out)), make([]T, ir.Count(c.out))
				c.k.Run(want, in)
				if err := x.Read(p.Outputs[i].Buf, got); err != nil {
					t.Fatal(err)
				}
				for e := range want {
					// Sums cancel: what rounds off is of the terms' size, at most a few units here.
					if !alike(got[e], want[e], c.ulp) && !(c.ulp > 0 && nearSum(got[e], want[e])) {
						t.Fatalf("seed %d: %v: element %d is %v, want %v of %v", seed, c.k, e, got[e], want[e], in)
					}
				}
			}
			if counted.lost.Load() != lost || counted.excluded.Load() != excluded {
				t.Fatalf("seed %d: %d gradients lost and %d samples excluded, want %d and %d", seed, lost, excluded,
					counted.lost.Load(), counted.excluded.Load())
			}
		}
	}
}

// nearSum reports whether sums of a few terms of size 1 agree.
func nearSum[T kernels.Float](x, y T) bool {
	tol := 1e-15
	if cType[T]() == "float" {
		tol = 5e-7
	}
	return math.Abs(float64(x)-float64(y)) <= tol
}
