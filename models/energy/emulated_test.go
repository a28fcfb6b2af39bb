package energy_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestStepAsCUDA: two training steps of a small regression as CUDA C, on the emulator, come to what the CPU comes to;
// and which steps share kernels does not change a bit.
func TestStepAsCUDA(t *testing.T) {
	for _, c := range []struct {
		dt              tensor.Dtype
		iterations      int
		tol             float64 // relative to the largest entry
		samples, hidden int
	}{
		// What rounds off differently grows with each iteration that follows.
		{tensor.Float64, 1, 1e-11, 20, 8},
		{tensor.Float64, 4, 1e-11, 40, 16},
		{tensor.Float32, 2, 2e-3, 20, 8},
	} {
		t.Run(fmt.Sprint(c.dt, c.iterations), func(t *testing.T) {
			run := func(on ...engine.Option) map[string][]float64 {
				loss, params := stepOf(t, 3, c.samples, c.iterations, c.dt, c.hidden, c.hidden)
				return trained(t, loss, params, on...)
			}
			want := run()
			device := func(off ...string) engine.Option {
				d, err := emulated.NewWith(emulated.Options{Emit: emit.Options{Disable: off}})
				simtest.Need(t, err)
				return engine.On(d)
			}
			got, apart := run(device()), run(device(emit.Switches...))
			for name, w := range want {
				worst, size := 0.0, 0.0
				for i := range w {
					worst, size = max(worst, math.Abs(got[name][i]-w[i])), max(size, math.Abs(w[i]))
					if x, y := got[name][i], apart[name][i]; math.Float64bits(x) != math.Float64bits(y) {
						t.Fatalf("%s: element %d is %v, and %v with a kernel per step", name, i, x, y)
					}
				}
				if !(worst <= c.tol*size) {
					t.Errorf("%s: off by %g of %g, %g allowed", name, worst, size, c.tol)
				}
			}
		})
	}
}

// trained runs two steps and returns the losses and the parameters.
func trained(t *testing.T, loss *G.Node, params G.Nodes, on ...engine.Option) map[string][]float64 {
	t.Helper()
	// Not Adam, which would divide what rounding leaves of the last bias's gradient, 0, by its own size.
	o := kernels.Optimizer{Method: kernels.Momentum, Momentum: 0.9, Rate: 1e-2, ClipNorm: 1}
	vm, err := engine.NewVM(loss.Graph(), append(on, engine.Outputs(loss), engine.WithUpdate(o, loss, params...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	out := map[string][]float64{}
	for i := range 2 {
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint("loss ", i)] = wide(loss.Value().Data())
	}
	if err := vm.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		out[p.Name()] = wide(p.Value().Data())
	}
	return out
}

// wide is a copy of numbers in float64.
func wide(data any) (out []float64) {
	switch v := data.(type) {
	case float32:
		return []float64{float64(v)}
	case float64:
		return []float64{v}
	case []float32:
		for _, x := range v {
			out = append(out, float64(x))
		}
	case []float64:
		out = append(out, v...)
	}
	return out
}
