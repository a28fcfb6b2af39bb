package step

import (
	"fmt"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The planner's sizes; horizon and iterations are those of the other cases.
const (
	PlannerSamples = 1000
	PlannerElites  = 100
)

// A Planner is a plan for one cartpole by the cross-entropy method over its forces, without gradients.
type Planner struct{ Dtype tensor.Dtype }

// Build makes the graph; its loss is the plan's cost. With noise, T arrays, it takes that instead of drawing.
func (c Planner) Build(noise [][]float64) (*Graph, error) {
	s := &Graph{G: G.NewGraph()}
	x0 := Array(s.G, "x0", c.Dtype, states(1), 1, stateDim)
	s.Data = append(s.Data, x0)
	config := dcem.Config{Batch: 1, Dim: Horizon, Samples: PlannerSamples, Elites: PlannerElites, Iterations: Iterations, Hard: true,
		Sigma: []float64{100}, Lower: []float64{-100}, Upper: []float64{100}, Dtype: c.Dtype, Seed: NoiseSeed}
	for t, v := range noise {
		config.Noise = append(config.Noise, Array(s.G, fmt.Sprintf("noise%d", t), c.Dtype, v, 1, PlannerSamples, Horizon).Node)
	}
	costs := func(u *G.Node) (*G.Node, error) { // (1, n, H) -> (1, n)
		n := u.Shape()[1]
		x, err := dcem.Expand(x0.Node, n)
		if err != nil {
			return nil, err
		}
		if x, err = G.Reshape(x, tensor.Shape{n, stateDim}); err != nil {
			return nil, err
		}
		if u, err = G.Reshape(u, tensor.Shape{n, Horizon, 1}); err != nil {
			return nil, err
		}
		_, cost, err := env.Rollout(env.Cartpole{}, x, u, nil, env.Options{})
		if err != nil {
			return nil, err
		}
		return G.Reshape(cost, tensor.Shape{1, n})
	}
	u, err := dcem.Unroll(s.G, costs, config)
	if err != nil {
		return nil, err
	}
	s.Run = u.Run
	plan, err := G.Reshape(u.Answer, tensor.Shape{1, 1, Horizon})
	if err != nil {
		return nil, err
	}
	cost, err := costs(plan)
	if err != nil {
		return nil, err
	}
	s.Loss, err = G.Mean(cost)
	return s, err
}

// Noise is what run 0 draws: T arrays (N, H).
func (c Planner) Noise() [][]float64 {
	noise := make([][]float64, Iterations)
	for t := range noise {
		single := make([]float32, PlannerSamples*Horizon)
		kernels.Normal(single, NoiseSeed, uint64(t), 0, 0)
		noise[t] = Widen(single)
	}
	return noise
}
