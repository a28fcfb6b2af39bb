package dcem

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The golden files of single ops, through graphs: values, and gradients by package autodiff, on both machines.

var machines = map[string]func(g *G.ExprGraph, outputs ...*G.Node) (G.VM, error){
	"engine": func(g *G.ExprGraph, outputs ...*G.Node) (G.VM, error) {
		return engine.NewVM(g, engine.Outputs(outputs...))
	},
	"tape": func(g *G.ExprGraph, _ ...*G.Node) (G.VM, error) { return G.NewTapeMachine(g), nil },
}

// onMachines runs f on both machines in both types.
func onMachines(t *testing.T, f func(t *testing.T, machine string, dt tensor.Dtype)) {
	for machine := range machines {
		for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
			t.Run(machine+" "+dt.String(), func(t *testing.T) { f(t, machine, dt) })
		}
	}
}

// valuesOn runs the nodes' graph on a machine and returns the nodes' values.
func valuesOn(t *testing.T, machine string, nodes ...*G.Node) (values [][]float64) {
	t.Helper()
	read := make([]G.Value, len(nodes))
	for i, n := range nodes {
		G.Read(n, &read[i])
	}
	vm, err := machineOn(t, machine, nodes[0].Graph(), nodes...)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, v := range read {
		values = append(values, floats(t, v))
	}
	return values
}

// gradients are those of sum_i <outs[i], seeds[i]> with respect to wrt.
func gradients(t *testing.T, outs, seeds G.Nodes, wrt ...*G.Node) G.Nodes {
	t.Helper()
	grads, err := autodiff.VJP(outs, seeds, wrt...)
	if err != nil {
		t.Fatal(err)
	}
	return grads
}

func inputOf(g *G.ExprGraph, dt tensor.Dtype, name string, v []float64, shape ...int) *G.Node {
	return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(dt, v, shape...)))
}

type goldenLML struct {
	Batch, N, K int
	Scale       float64
	X, Y        check.Nested
	GradY       check.Nested `json:"grad_y"`
	GradX       check.Nested `json:"grad_x"`
}

func (c goldenLML) Name() string {
	return "n" + strconv.Itoa(c.N) + "k" + strconv.Itoa(c.K) + "scale" + strconv.FormatFloat(c.Scale, 'g', -1, 64)
}

func TestGoldenLML(t *testing.T) {
	check.Golden(t, "lml.json", func(t *testing.T, c goldenLML) {
		onMachines(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			tol := 1e-12 // what the file asks for
			if dt == tensor.Float32 {
				// Scores rounded to float32 move z by up to 1.2e-7 |x|, y and h by a quarter of that; results are
				// rounded to 6e-8.
				tol = 1e-7 * (1 + math.Max(slices.Max(c.X), -slices.Min(c.X)))
			}
			g := G.NewGraph()
			x, dy := inputOf(g, dt, "x", c.X, c.Batch, c.N), inputOf(g, dt, "dy", c.GradY, c.Batch, c.N)
			y := G.Must(LML(x, c.K))
			got := valuesOn(t, machine, y, gradients(t, G.Nodes{y}, G.Nodes{dy}, x)[0])
			check.Close(t, "y", got[0], c.Y, tol)
			check.Close(t, "dx", got[1], c.GradX, tol)
		})
	})
}

type goldenTopK struct {
	Batch, N, K    int
	F, Index, Mask check.Nested
}

func (c goldenTopK) Name() string { return fmt.Sprintf("n%dk%d", c.N, c.K) }

// The order of the elites, which the file has too, is the kernel's (package kernels).
func TestGoldenTopK(t *testing.T) {
	check.Golden(t, "topk.json", func(t *testing.T, c goldenTopK) {
		onMachines(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			g := G.NewGraph()
			f := inputOf(g, dt, "f", c.F, c.Batch, c.N)
			mask := valuesOn(t, machine, G.Must(TopK(f, c.K)))[0]
			check.Close(t, "mask", mask, c.Mask, 0)
			for i, at := range c.Index {
				if row := i / c.K * c.N; mask[row+int(at)] != 1 {
					t.Errorf("elite %d, element %v of its row, has weight %v, want 1", i, at, mask[row+int(at)])
				}
			}
		})
	})
}

type goldenMoments struct {
	Batch, N, D, K       int
	X, Weight, Mu, Sigma check.Nested
	GradMu               check.Nested `json:"grad_mu"`
	GradSigma            check.Nested `json:"grad_sigma"`
	GradX                check.Nested `json:"grad_x"`
	GradWeight           check.Nested `json:"grad_weight"`
}

func (c goldenMoments) Name() string { return fmt.Sprintf("b%dn%dd%dk%d", c.Batch, c.N, c.D, c.K) }

func TestGoldenMoments(t *testing.T) {
	check.Golden(t, "moments.json", func(t *testing.T, c goldenMoments) {
		onMachines(t, func(t *testing.T, machine string, dt tensor.Dtype) {
			tol, gradTol := 1e-12, 1e-12 // asked of float64
			if dt == tensor.Float32 {
				// Inputs rounded by 2^-24 of themselves, once more each output; gradients pass through mu rounded to
				// float32.
				tol, gradTol = 2e-7, 5e-7
			}
			g := G.NewGraph()
			x, w := inputOf(g, dt, "x", c.X, c.Batch, c.N, c.D), inputOf(g, dt, "w", c.Weight, c.Batch, c.N)
			mu, sigma, err := Refit(x, w, c.K, RefitOptions{})
			if err != nil {
				t.Fatal(err)
			}
			seeds := G.Nodes{inputOf(g, dt, "dmu", c.GradMu, c.Batch, c.D), inputOf(g, dt, "dsigma", c.GradSigma, c.Batch, c.D)}
			grads := gradients(t, G.Nodes{mu, sigma}, seeds, x, w)
			got := valuesOn(t, machine, mu, sigma, grads[0], grads[1])
			check.Close(t, "mu", got[0], c.Mu, tol)
			check.Close(t, "sigma", got[1], c.Sigma, tol)
			check.Close(t, "dx", got[2], c.GradX, gradTol)
			check.Close(t, "dw", got[3], c.GradWeight, gradTol)
		})
	})
}
