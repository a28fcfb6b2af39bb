package mpc

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/viz"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A sensitivity is how the controls of a plan change with one number, (H, U): by the gradient through the whole
// search.
type sensitivity struct {
	name string
	kind sensitivityKind
	du   []float64
}

type sensitivityKind int

const (
	ofDynamics sensitivityKind = iota // per share of the parameter: du / d log p
	ofCost
	ofState // per unit of the element
)

// What a plan's sensitivity is computed with: as many plans from the same state, each with noise of its own, whose mean
// it is of, and fewer samples than a plan may have.
const (
	sensitivityPlans   = 8
	sensitivitySamples = 500
	sensitivitySteps   = 60 // looked ahead at most: the graph, and the passes through it, grow with them
)

// sensitivityPlan is the plan, as far as it has derivatives and they do not take too long.
func (c Config) sensitivityPlan(e env.Env) dcem.PlanConfig {
	p := c.plan(e, sensitivityPlans)
	p.Hard, p.Dtype = false, tensor.Float64
	p.Particles, p.Risk, p.Populations, p.Answer = 0, dcem.RiskMean, nil, dcem.AnswerMean
	if p.Temperature == 0 {
		p.Temperature = 1
	}
	p.Samples = min(p.Samples, max(sensitivitySamples, p.Elites+p.KeepElites+2))
	if h := p.Horizon; h > sensitivitySteps {
		p.Horizon, p.Repeat = sensitivitySteps, min(p.Repeat, sensitivitySteps)
		if p.Knots > 0 { // as far apart
			p.Knots = max(2, p.Knots*sensitivitySteps/h)
		}
	}
	return p
}

// sensitivities are those of the plan from x0, to every parameter of the model and every element of the state. A hard
// choice of elites has no gradient to speak of: the plan is one by DCEM, with tau = 1 if there is none.
func (c Config) sensitivities(ctx context.Context, x0 []float64) (all []sensitivity, err error) {
	e, _, err := c.systems()
	if err != nil {
		return nil, err
	}
	p := c.sensitivityPlan(e)
	g := G.NewGraph()
	x := column(g, tensor.Float64, "x0", x0)
	params, wrt := env.ParamNodes{}, G.Nodes{x}
	for _, param := range e.Params() {
		n := G.NodeFromAny(g, tensor.New(tensor.WithShape(1), tensor.WithBacking([]float64{param.Value})),
			G.WithName(param.Name))
		params[param.Name], wrt = n, append(wrt, n)
		kind := ofDynamics
		if param.Cost {
			kind = ofCost
		}
		all = append(all, sensitivity{name: param.Name, kind: kind})
	}
	states, err := autodiff.Reshape(x, 1, len(x0))
	if err != nil {
		return nil, err
	}
	if states, err = dcem.PerRow(states, sensitivityPlans); err != nil {
		return nil, err
	}
	plan, err := dcem.Plan(g, states, modelOf(e, params), p)
	if err != nil {
		return nil, err
	}
	steps, u := p.Horizon, e.ControlDim()
	weight := make([]float64, steps*u)
	chosen, err := weighed(g, plan.Controls, weight)
	if err != nil {
		return nil, err
	}
	grads, err := autodiff.Gradients(chosen, wrt...)
	if err != nil {
		return nil, err
	}
	vm, err := engine.NewVM(g, engine.Outputs(grads...))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	for _, name := range e.States() {
		all = append(all, sensitivity{name: name, kind: ofState})
	}
	for i := range steps * u {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		clear(weight)
		weight[i] = 1.0 / sensitivityPlans
		if err := vm.SetRun(0); err != nil {
			return nil, err
		}
		if err := vm.RunAll(); err != nil {
			return nil, err
		}
		for k, param := range e.Params() {
			all[k].du = append(all[k].du, number(grads[1+k], 0)*param.Value)
		}
		for k := range e.States() {
			at := len(e.Params()) + k
			all[at].du = append(all[at].du, number(grads[0], k))
		}
	}
	return all, nil
}

// weighed is sum_b sum_i weight_i controls_bi, of controls (B, H, U).
func weighed(g *G.ExprGraph, controls *G.Node, weight []float64) (*G.Node, error) {
	w, err := dcem.PerRow(G.NodeFromAny(g, tensor.New(tensor.WithShape(1, len(weight)), tensor.WithBacking(weight)),
		G.WithName("weight")), controls.Shape()[0])
	if err != nil {
		return nil, err
	}
	flat, err := autodiff.Reshape(controls, controls.Shape()[0], len(weight))
	if err != nil {
		return nil, err
	}
	if flat, err = G.HadamardProd(flat, w); err != nil {
		return nil, err
	}
	return G.Sum(flat)
}

func number(n *G.Node, i int) float64 {
	switch v := n.Value().Data().(type) {
	case float64:
		return v
	case []float64:
		return v[i]
	}
	return math.NaN()
}

// sensitivityPlot is a panel for each kind and control; nil if nothing is finite.
func (s *study) sensitivityPlot() viz.Plot {
	controls, dt := s.plant.Controls(), s.plant.Dt()
	var plots []viz.Plot
	by := []struct{ title, y string }{ofDynamics: {"the dynamics' parameters p", "d%s / d log p"},
		ofCost: {"the cost's parameters p", "d%s / d log p"}, ofState: {"the state x it is made from", "d%s / dx"}}
	for kind, d := range by {
		for j, control := range controls {
			f := viz.Lines{Axes: viz.Axes{Title: fmt.Sprintf("Plan of %s by %s", control, d.title), X: "t, s",
				Y: fmt.Sprintf(d.y, control)}}
			for _, m := range s.moves {
				if m.kind != sensitivityKind(kind) {
					continue
				}
				series, zero := viz.Series{Name: m.name}, true
				for i := j; i < len(m.du); i += len(controls) {
					if v := m.du[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
						series.X, series.Y = append(series.X, float64(i/len(controls))*dt), append(series.Y, v)
						zero = zero && v == 0
					}
				}
				if !zero { // a goal of 0 has no share
					f.Series = append(f.Series, series)
				}
			}
			if len(f.Series) > 0 {
				plots = append(plots, f)
			}
		}
	}
	if plots == nil {
		return nil
	}
	g := viz.SideBySide("", plots...)
	g.Columns = len(controls)
	if len(controls) == 1 {
		g.Columns = len(plots)
	}
	g.Width, g.Height = 480*g.Columns, 380*((len(plots)+g.Columns-1)/g.Columns)
	return g
}
