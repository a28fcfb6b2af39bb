//go:build gpu

package energy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/energy"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// steps is what training steps of the regression gave on a device: by step, the arrays by name.
type steps []map[string][]float64

// stepsOf does training steps of the regression on a device.
func stepsOf(t *testing.T, d engine.Device, dt tensor.Dtype, iterations, runs int) steps {
	t.Helper()
	const batch = 5
	g := G.NewGraph()
	m, err := energy.NewMLP(g, energy.Config{InputDim: 1, OutputDim: 1, Hidden: []int{24, 16}, Seed: 3, Dtype: dt})
	if err != nil {
		t.Fatal(err)
	}
	input := func(name string, f func(i int) float64) *G.Node {
		v := tensor.New(tensor.Of(dt), tensor.WithShape(batch, 1))
		for i := range batch {
			if dt == tensor.Float32 {
				v.Float32s()[i] = float32(f(i))
			} else {
				v.Float64s()[i] = f(i)
			}
		}
		return G.NewMatrix(g, dt, G.WithShape(batch, 1), G.WithName(name), G.WithValue(v))
	}
	x := input("x", func(i int) float64 { return float64(i) })
	truth := input("truth", func(i int) float64 { return float64(i) * math.Sin(float64(i)) })
	u, err := dcem.Unroll(g, energy.Objective(m, x), dcem.Config{Batch: batch, Dim: 1, Samples: 40, Elites: 6,
		Iterations: iterations, Sigma: []float64{7}, Dtype: dt, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	off := G.Must(G.Sub(u.Answer, truth))
	loss := G.Must(G.Mean(G.Must(G.HadamardProd(off, off))))
	var params G.Nodes
	for _, p := range m.Params() {
		params = append(params, p.Node)
	}
	grads, err := autodiff.Gradients(loss, params...)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := engine.NewVM(g, engine.On(d), engine.Outputs(append(G.Nodes{u.Answer, loss}, grads...)...),
		engine.WithUpdate(kernels.Optimizer{Rate: 1e-3, ClipNorm: 1}, loss, params...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := vm.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if l := vm.Explain().Launches; d.Info().Name == "cpu" {
		if l != nil {
			t.Errorf("launches on the CPU: %+v", l)
		}
	} else if l == nil || l.Graphs != 1 || l.HostSteps != 0 {
		t.Errorf("launches %+v, want one graph of them and no step on the host", l)
	}
	var all steps
	for range runs {
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		if err := vm.Sync(); err != nil {
			t.Fatal(err)
		}
		s := map[string][]float64{"answer": flat(u.Answer), "loss": flat(loss)}
		for i, p := range params {
			s["gradient of "+m.Params()[i].Name] = flat(grads[i])
			s["parameter "+m.Params()[i].Name] = flat(p)
		}
		all = append(all, s)
	}
	return all
}

// flat is a copy of a node's value.
func flat(n *G.Node) []float64 {
	switch v := n.Value().Data().(type) {
	case []float64:
		return append([]float64(nil), v...)
	case []float32:
		out := make([]float64, len(v))
		for i := range v {
			out[i] = float64(v[i])
		}
		return out
	case float64:
		return []float64{v}
	case float32:
		return []float64{float64(v)}
	}
	panic(fmt.Sprintf("a value of %T", n.Value().Data()))
}

// offset is the parameter that adds to all energies alike: normalised costs do not depend on it, so its gradient is
// rounding, by whose sign Adam moves it.
const offset = "energy/2/b"

func isGradient(name string) bool { return strings.HasPrefix(name, "gradient") }

// TestStepsOnDevices: whole training steps, noise drawn, on the CPU and on the GPU, simulated or not, agree. Sums have
// another order there, and functions other last bits. The bounds for float32 are what the golden files' README says of it
// for up to four iterations, 5e-5, and twice that for the gradients of ten, which magnify more; they, and those for float64, are
// 100 to 400 times what the simulated GPU is off by here, 6e-7 and 3e-15.
func TestStepsOnDevices(t *testing.T) {
	cpu, err := engine.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	gpu, err := engine.Open("cuda:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gpu.Close()
	for _, c := range []struct {
		dt         tensor.Dtype
		iterations int
		values     float64 // of answers, losses and parameters
		gradients  float64
	}{
		{tensor.Float64, 1, 5e-13, 5e-13}, {tensor.Float64, 4, 5e-13, 5e-13}, {tensor.Float64, 10, 5e-13, 1e-12},
		{tensor.Float32, 1, 5e-5, 5e-5}, {tensor.Float32, 4, 5e-5, 5e-5}, {tensor.Float32, 10, 5e-5, 1e-4},
	} {
		t.Run(fmt.Sprintf("%v/T=%d", c.dt, c.iterations), func(t *testing.T) {
			const runs = 3
			want, got := stepsOf(t, cpu, c.dt, c.iterations, runs), stepsOf(t, gpu, c.dt, c.iterations, runs)
			again := stepsOf(t, gpu, c.dt, c.iterations, runs)
			worst := map[bool]float64{}
			for i := range runs {
				largest := map[bool]float64{} // of the gradients, and of each other array
				for name, w := range want[i] {
					for _, v := range w {
						if isGradient(name) {
							largest[true] = max(largest[true], math.Abs(v))
						}
					}
				}
				for name, w := range want[i] {
					tol, most := c.gradients, largest[true]
					if !isGradient(name) {
						tol, most = c.values, 0
						for _, v := range w {
							most = max(most, math.Abs(v))
						}
					}
					for k := range w {
						if got[i][name][k] != again[i][name][k] {
							t.Fatalf("step %d: %s[%d] = %v, and in another VM %v", i, name, k, got[i][name][k], again[i][name][k])
						}
						if name == "parameter "+offset {
							continue
						}
						off := math.Abs(got[i][name][k] - w[k])
						if !(off <= tol*most) {
							t.Fatalf("step %d: %s[%d] = %v, on the CPU %v: %.1e of the largest, want at most %.1e",
								i, name, k, got[i][name][k], w[k], off/most, tol)
						}
						worst[isGradient(name)] = max(worst[isGradient(name)], off/most)
					}
				}
			}
			t.Logf("off by at most %.1e of the largest entry, gradients by %.1e", worst[false], worst[true])
		})
	}
}
