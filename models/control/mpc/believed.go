package mpc

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func dtypeOf[T kernels.Float]() tensor.Dtype {
	if _, double := any(T(0)).(float64); double {
		return tensor.Float64
	}
	return tensor.Float32
}

// model is what the planner believes in as the controller takes it: an environment, or an ensemble of those that
// differ in their dynamics.
func (c Config) model(g *G.ExprGraph, e env.Env, dt tensor.Dtype) dcem.Model {
	m := modelOf(e, nil)
	members := c.members(e)
	if members == nil {
		return m
	}
	each := env.ParamNodes{}
	for name, values := range members {
		each[name] = column(g, dt, "ensemble_"+name, values)
	}
	m.Dynamics = func(_ int, x, u *G.Node) (*G.Node, error) {
		rows := env.ParamNodes{}
		for name, n := range each {
			v, err := dcem.PerParticle(n, x.Shape()[0])
			if err != nil {
				return nil, err
			}
			if rows[name], err = autodiff.Reshape(v, x.Shape()[0]); err != nil {
				return nil, err
			}
		}
		return e.Step(x, u, rows)
	}
	return m
}

// modelOf is an environment with nodes in the place of some of its parameters.
func modelOf(e env.Env, p env.ParamNodes) dcem.Model {
	return dcem.Model{
		States: e.StateDim(), Controls: e.ControlDim(),
		Dynamics: func(_ int, x, u *G.Node) (*G.Node, error) { return e.Step(x, u, p) },
		Cost:     func(_ int, x, u *G.Node) (*G.Node, error) { return e.Cost(x, u, p) },
	}
}

// column is an input (n, 1).
func column(g *G.ExprGraph, dt tensor.Dtype, name string, values []float64) *G.Node {
	var backing any = slices.Clone(values)
	if dt == tensor.Float32 {
		v := make([]float32, len(values))
		for i := range v {
			v[i] = float32(values[i])
		}
		backing = v
	}
	return G.NodeFromAny(g, tensor.New(tensor.WithShape(len(values), 1), tensor.WithBacking(backing)), G.WithName(name))
}

// members are the dynamics' parameters of the ensemble, by name; nil without one. The first member is what the planner
// would believe in without it; the others' logarithms are normal about that.
func (c Config) members(e env.Env) map[string][]float64 {
	if c.Ensemble < 2 {
		return nil
	}
	members := map[string][]float64{}
	r := rand.New(rand.NewPCG(c.Seed, 0xe45))
	for _, p := range e.Params() {
		if p.Cost {
			continue
		}
		values := []float64{p.Value}
		for range c.Ensemble - 1 {
			values = append(values, p.Value*math.Exp(c.Spread*r.NormFloat64()))
		}
		members[p.Name] = values
	}
	return members
}
