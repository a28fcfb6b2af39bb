package embed

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/simcuda/simtest"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// goldenEmbedded is a search over the latent space of a decoder, and the gradients of the cost of what it finds.
type goldenEmbedded struct {
	Hidden, Batch, N, K, Iters, Horizon int
	Sigma0, Temp, Lb, Ub, Loss          float64
	State, Eps, Mus, Z                  check.Nested
	GradW                               []check.Nested `json:"grad_w"`
	GradB                               []check.Nested `json:"grad_b"`
	GradNorm                            []float64      `json:"grad_norm"`
	GradFirst                           []check.Nested `json:"grad_first"`
}

func TestGoldenEmbedded(t *testing.T) {
	type file struct{ Embedded []goldenEmbedded }
	check.Golden(t, "cartpole.json", func(t *testing.T, f file) {
		if len(f.Embedded) == 0 {
			t.Fatal("no case")
		}
		for _, c := range f.Embedded {
			machines := train.Machines
			if c.Iters <= 3 && len(c.GradW) > 0 { // of small nets: loop by loop the others take minutes
				machines = append([]string{emulator, reference}, machines...)
			}
			for _, machine := range machines {
				for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
					t.Run(fmt.Sprintf("T%d/%s/%v", c.Iters, machine, dt), func(t *testing.T) { c.run(t, machine, dt) })
				}
			}
		}
	})
}

func (c goldenEmbedded) run(t *testing.T, machine string, dt tensor.Dtype) {
	tol, gradTol := 1e-8, 1e-8 // what the file asks for
	if dt == tensor.Float32 {
		// Each iteration multiplies roundings of 6e-8; gradients of ten were seen to be off by 2e-3 to 4e-3.
		tol, gradTol = 2e-5, 1.5e-4
		if c.Iters > 4 {
			tol, gradTol = 2e-3, 1.2e-2
		}
	}
	g := G.NewGraph()
	d, err := NewDecoder(g, DecoderConfig{Env: env.Cartpole{}, Latent: 2, Hidden: []int{c.Hidden, c.Hidden, c.Hidden},
		Horizon: c.Horizon, Dtype: dt})
	noError(t, err)
	for l, layer := range d.net.Layers {
		s := layer.W.Shape()
		w, b := make([]float64, s[0]*s[1]), make([]float64, s[1])
		for i := range s[0] {
			for j := range s[1] {
				w[i*s[1]+j] = math.Sin(1+0.7*float64(i)+1.3*float64(j)+2.1*float64(l)) * math.Sqrt(2/float64(s[0]+s[1]))
			}
		}
		for j := range b {
			b[j] = 0.1 * math.Cos(float64(j+l))
		}
		for i, v := range [][]float64{w, b} {
			p := layer.Params()
			noError(t, p.Set(p[i].Name, v))
		}
	}
	x := G.NodeFromAny(g, dense(dt, c.State, c.Batch, 5), G.WithName("x0"))
	var noise G.Nodes
	size := c.Batch * c.N * 2
	for i := range c.Iters {
		eps := dense(dt, c.Eps[i*size:(i+1)*size], c.Batch, c.N, 2)
		noise = append(noise, G.NodeFromAny(g, eps, G.WithName(fmt.Sprint("eps", i))))
	}
	solve, err := dcem.Unroll(g, func(z *G.Node) (*G.Node, error) { return d.Costs(x, z) }, dcem.Config{
		Batch: c.Batch, Dim: 2, Samples: c.N, Elites: c.K, Iterations: c.Iters, Temperature: 1 / c.Temp, Dtype: dt,
		Sigma: []float64{c.Sigma0}, Lower: []float64{c.Lb}, Upper: []float64{c.Ub}, Noise: noise,
	})
	noError(t, err)
	u, err := d.Decode(solve.Answer)
	noError(t, err)
	_, cost, err := env.Rollout(env.Cartpole{}, x, u, nil, env.Options{})
	noError(t, err)
	loss, err := G.Sum(cost)
	noError(t, err)
	// Compiling the gradient of ten iterations takes the TapeMachine a minute: there the values must do.
	gradients := machine != train.Tape || c.Iters <= 3
	var grads G.Nodes
	if gradients {
		grads, err = autodiff.Gradients(loss, d.Params().Nodes()...)
		noError(t, err)
	}
	outputs := G.Nodes{loss, solve.Answer}
	for _, it := range solve.Iterates {
		outputs = append(outputs, it.Mu)
	}
	outputs = append(outputs, grads...)
	read := make([]G.Value, len(outputs))
	for i, n := range outputs {
		G.Read(n, &read[i])
	}
	vm := machineFor(t, machine, g, outputs)
	defer vm.Close()
	noError(t, vm.RunAll())
	check.Close(t, "loss", floats(read[0]), []float64{c.Loss}, tol)
	check.Close(t, "z", floats(read[1]), c.Z, tol)
	for i := range c.Iters {
		check.Close(t, fmt.Sprint("mu", i), floats(read[2+i]), c.Mus[i*c.Batch*2:(i+1)*c.Batch*2], tol)
	}
	if !gradients {
		return
	}
	compared := 0
	for l, layer := range d.net.Layers {
		dw, db := floats(read[2+c.Iters+2*l]), floats(read[3+c.Iters+2*l])
		if len(c.GradW) > 0 {
			check.Close(t, fmt.Sprint("dw", l), dw, c.GradW[l], gradTol)
			check.Close(t, fmt.Sprint("db", l), db, c.GradB[l], gradTol)
			compared++
		}
		if len(c.GradFirst) > 0 { // of a large net: norms, and the first 3 rows and columns
			norms := []float64{norm(dw), norm(db)}
			check.Close(t, fmt.Sprint("norms", l), norms, []float64{c.GradNorm[l], c.GradNorm[len(d.net.Layers)+l]}, gradTol)
			var first []float64
			columns := layer.W.Shape()[1]
			for i := range min(3, layer.W.Shape()[0]) {
				first = append(first, dw[i*columns:][:3]...)
			}
			check.Close(t, fmt.Sprint("first of dw", l), first, c.GradFirst[l], gradTol)
			compared++
		}
	}
	if compared != len(d.net.Layers) {
		t.Errorf("gradients of %d layers were compared, want %d", compared, len(d.net.Layers))
	}
}

// emulator is the machine that runs the kernels as CUDA C on the processor, reference the engine's loop by loop. (Tests
// run on a GPU, or a simulated driver, where GODCEM_DEVICE says so.)
const (
	emulator  = "emulator"
	reference = "ref"
)

func machineFor(t *testing.T, machine string, g *G.ExprGraph, outputs G.Nodes) G.VM {
	var device engine.Device
	var err error
	switch machine {
	case emulator:
		device, err = emulated.NewWith(emulated.Options{})
		simtest.Need(t, err)
	case reference:
		device, err = engine.Open(reference)
	default:
		vm, err := train.NewVM(machine, g, outputs...)
		noError(t, err)
		return vm
	}
	noError(t, err)
	vm, err := engine.NewVM(g, engine.Outputs(outputs...), engine.On(device))
	noError(t, err)
	return vm
}

func norm(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func floats(v G.Value) []float64 {
	switch v := v.Data().(type) {
	case []float64:
		return v
	case []float32:
		return train.Convert[float64](v)
	case float64:
		return []float64{v}
	case float32:
		return []float64{float64(v)}
	}
	return nil
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
