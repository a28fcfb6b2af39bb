package step

import (
	"math"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/godcem/godcem/models/env"
	"gorgonia.org/tensor"
)

// The benchmark's cartpole is the program's: the same loss with the same states, parameters and noise.
func TestCartpoleIsTheProgram(t *testing.T) {
	c := embed.Default()
	if c.Horizon != Horizon || c.Latent != Latent || c.Sigma != LatentSigma || c.Rate != CartpoleRate || c.Samples != Samples ||
		c.Elites != Elites || c.Iterations != Iterations || c.Clip != 1 || len(c.Hidden) != len(decoderHidden) {
		t.Fatalf("the program's defaults are %+v", c)
	}
	// The benchmark differentiates through all iterations, at the paper's temperature.
	c.Temperature, c.Backprop, c.Updates, c.Patience = 1, 0, 1, 0
	for i, h := range c.Hidden {
		if h != decoderHidden[i] {
			t.Fatalf("the program's decoder is %v", c.Hidden)
		}
	}
	c.Batch, c.Float64, c.Seed = 2, true, NoiseSeed
	loss, params, _, err := embed.StepGraph(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Case{Model: Cartpole, Batch: 2, Dtype: tensor.Float64}.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(params) != len(s.Params) {
		t.Fatalf("%d parameters, want %d", len(s.Params), len(params))
	}
	for i, p := range s.Params { // the program's of another seed
		copy(p.Node.Value().Data().([]float64), params[i].Value().Data().([]float64))
	}
	copy(s.Data.Get("x0").Node.Value().Data().([]float64), embed.States(env.Cartpole{}, 2, NoiseSeed, stateDraw, 1))
	theirs, err := engine.NewVM(loss.Graph(), engine.Outputs(loss))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours, err := engine.NewVM(s.G, engine.Outputs(s.Loss))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := theirs.RunAll(); err != nil {
		t.Fatal(err)
	}
	if err := ours.RunAll(); err != nil {
		t.Fatal(err)
	}
	want, got := loss.Value().Data().(float64), s.Loss.Value().Data().(float64)
	if !(math.Abs(got-want) <= 1e-12*math.Abs(want)) {
		t.Errorf("loss %v, the program's is %v", got, want)
	}
}

func TestName(t *testing.T) {
	for want, c := range map[string]Case{
		"regression B=3 float32":            {Batch: 3, Dtype: tensor.Float32},
		"regression N=50 B=3 float32":       {Batch: 3, Dtype: tensor.Float32, Samples: 50},
		"cartpole T=5 H=10 D=4 B=1 float64": {Model: Cartpole, Batch: 1, Dtype: tensor.Float64, Iterations: 5, Horizon: 10, Dim: 4},
	} {
		if c.String() != want {
			t.Errorf("%q, want %q", c, want)
		}
	}
}
