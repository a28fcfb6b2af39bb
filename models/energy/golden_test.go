package energy_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/models/energy"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// goldenCase is one case of regression.json: energy net [2,h,h,h,1] with softplus, loss = mean (pred - y)^2.
type goldenCase struct {
	Method    string         `json:"method"`
	Hidden    int            `json:"hidden"`
	Batch     int            `json:"batch"`
	N         int            `json:"n"`
	K         int            `json:"k"`
	Iters     int            `json:"iters"`
	X         check.Nested   `json:"x"`
	Y         check.Nested   `json:"y"`
	Sigma0    float64        `json:"sigma0"`
	Temp      float64        `json:"temp"`
	LR        float64        `json:"lr"`
	Eps       []check.Nested `json:"eps"`
	Mus       []check.Nested `json:"mus"`
	Sigmas    []check.Nested `json:"sigmas"`
	Pred      check.Nested   `json:"pred"`
	Loss      float64        `json:"loss"`
	GradW     []check.Nested `json:"grad_w"`
	GradB     []check.Nested `json:"grad_b"`
	GradNorm  check.Nested   `json:"grad_norm"` // of each w, then of each b
	GradFirst []check.Nested `json:"grad_first"`
}

func (c goldenCase) Name() string { return fmt.Sprintf("%s,h=%d,T=%d", c.Method, c.Hidden, c.Iters) }

// tolerance is what each type must hold. In float64 the golden files' own. In float32 three times what a plain
// float32 implementation was seen to lose (golden/README.md): T nested solves amplify the rounding of the energies.
func (c goldenCase) tolerance(dt tensor.Dtype) (values, gradients float64) {
	switch {
	case dt == tensor.Float64:
		return 1e-8, 1e-8
	case c.Iters <= 4:
		return 1.5e-4, 1.5e-4
	}
	return 2.1e-3, 0.18
}

func TestGoldenRegression(t *testing.T) {
	check.Golden(t, "regression.json", func(t *testing.T, c goldenCase) {
		for _, machine := range train.Machines {
			for _, dt := range []tensor.Dtype{tensor.Float64, tensor.Float32} {
				t.Run(machine+" "+dt.String(), func(t *testing.T) { c.run(t, machine, dt) })
			}
		}
	})
}

func (c goldenCase) run(t *testing.T, machine string, dt tensor.Dtype) {
	g := G.NewGraph()
	model, err := energy.NewMLP(g, energy.Config{InputDim: 1, OutputDim: 1, Hidden: []int{c.Hidden, c.Hidden, c.Hidden},
		Activation: nn.Softplus, Dtype: dt})
	if err != nil {
		t.Fatal(err)
	}
	setGoldenWeights(t, model.Params())
	input := func(name string, v []float64, shape ...int) *G.Node {
		return G.NewTensor(g, dt, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(dense(dt, v, shape...)))
	}
	x, y := input("x", c.X, c.Batch, 1), input("y", c.Y, c.Batch, 1)
	objective := energy.Objective(model, x)

	var pred *G.Node
	var kept []dcem.Iterate
	if c.Method == "gd" {
		u, err := dcem.UnrollGD(g, objective, dcem.GDConfig{Batch: c.Batch, Dim: 1, Iterations: c.Iters, Rate: c.LR, Dtype: dt})
		if err != nil {
			t.Fatal(err)
		}
		pred = u.Answer
	} else {
		var noise G.Nodes
		for i, e := range c.Eps {
			noise = append(noise, input(fmt.Sprint("eps", i), e, c.Batch, c.N, 1))
		}
		u, err := dcem.Unroll(g, objective, dcem.Config{Batch: c.Batch, Dim: 1, Samples: c.N, Elites: c.K, Iterations: c.Iters,
			Temperature: 1 / c.Temp, Sigma: []float64{c.Sigma0}, Noise: noise, Dtype: dt})
		if err != nil {
			t.Fatal(err)
		}
		pred = u.Answer
		if kept, err = u.Keep(); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := dcem.Keep(pred)
	if err != nil {
		t.Fatal(err)
	}
	diff := G.Must(G.Sub(pred, y))
	loss := G.Must(G.Mean(G.Must(G.HadamardProd(diff, diff))))
	grads, err := autodiff.Gradients(loss, model.Params().Nodes()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := autodiff.Check(g); err != nil { // what the TapeMachine would get wrong without saying so
		t.Error(err)
	}
	outputs := append(G.Nodes{answer, loss}, grads...)
	for _, it := range kept {
		outputs = append(outputs, it.Mu, it.Sigma)
	}
	vm, err := train.NewVM(machine, g, outputs...)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}

	values, gradients := c.tolerance(dt)
	for i, it := range kept {
		check.Close(t, fmt.Sprint("mu ", i), floats(t, it.Mu), c.Mus[i], values)
		check.Close(t, fmt.Sprint("sigma ", i), floats(t, it.Sigma), c.Sigmas[i], values)
	}
	check.Close(t, "pred", floats(t, answer), c.Pred, values)
	check.Close(t, "loss", floats(t, loss), []float64{c.Loss}, values)
	var norms []float64
	layers := len(grads) / 2
	for l := range layers {
		w, b := floats(t, grads[2*l]), floats(t, grads[2*l+1])
		if c.GradW != nil {
			check.Close(t, fmt.Sprint("grad w", l), w, c.GradW[l], gradients)
			check.Close(t, fmt.Sprint("grad b", l), b, c.GradB[l], gradients)
		}
		if c.GradFirst != nil {
			shape := grads[2*l].Shape()
			var corner []float64
			for i := range min(3, shape[0]) {
				for j := range min(3, shape[1]) {
					corner = append(corner, w[i*shape[1]+j])
				}
			}
			check.Close(t, fmt.Sprint("grad w corner ", l), corner, c.GradFirst[l], gradients)
		}
		norms = append(norms, norm(w))
	}
	for l := range layers {
		norms = append(norms, norm(floats(t, grads[2*l+1])))
	}
	if c.GradNorm != nil {
		check.Close(t, "gradient norms", norms, c.GradNorm, gradients)
	} else if c.GradW == nil {
		t.Error("the case holds no gradients: nothing was compared")
	}
}

// setGoldenWeights gives a net the golden files' weights.
func setGoldenWeights(t *testing.T, p nn.Params) {
	t.Helper()
	for l := range len(p) / 2 {
		w, b := p[2*l], p[2*l+1]
		in, out := w.Node.Shape()[0], w.Node.Shape()[1]
		wv, bv := make([]float64, in*out), make([]float64, out)
		for i := range in {
			for j := range out {
				wv[i*out+j] = math.Sin(1+0.7*float64(i)+1.3*float64(j)+2.1*float64(l)) * math.Sqrt(2/float64(in+out))
			}
		}
		for j := range bv {
			bv[j] = 0.1 * math.Cos(float64(j+l))
		}
		for name, v := range map[string][]float64{w.Name: wv, b.Name: bv} {
			if err := p.Set(name, v); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func norm(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x * x
	}
	return math.Sqrt(s)
}

func dense(dt tensor.Dtype, v []float64, shape ...int) *tensor.Dense {
	if dt == tensor.Float32 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(check.Copy[float32](v)))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(check.Copy[float64](v)))
}

// floats returns a node's value as float64.
func floats(t *testing.T, n *G.Node) []float64 {
	t.Helper()
	if s, err := nn.Slice[float32](n.Value()); err == nil {
		return check.Copy[float64](s)
	}
	s, err := nn.Slice[float64](n.Value())
	if err != nil {
		t.Fatal(err)
	}
	return check.Copy[float64](s)
}
