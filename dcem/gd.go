package dcem

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// GDConfig configures [UnrollGD]. The zero value of every field but Dim is the setting of the method's paper.
type GDConfig struct {
	Batch      int     // number of independent problems B; 0 means 1
	Dim        int     // dimensions D; required
	Iterations int     // inner steps T; 0 means 10
	Rate       float64 // step length a, above 0; 0 means 0.1

	Y0     []float64    // start: B*D values, or D for every problem alike, or one; nil means 0
	Y0Node *G.Node      // takes the place of Y0, shape (B, D); gradients flow into it
	Dtype  tensor.Dtype // tensor.Float32 (the zero value means this) or tensor.Float64

	// Lower and Upper clamp y after every step: D values, or one for all; nil means none.
	Lower, Upper []float64
}

// UnrolledGD is a gradient descent in a graph.
type UnrolledGD struct {
	Answer *G.Node // y_T, shape (B, D)
	Y0     *G.Node // the start, (B, D)
	Y      G.Nodes // y_1 ... y_T
	Costs  G.Nodes // the objective at y_0 ... y_{T-1}, each (B, 1)
}

// UnrollGD adds the baseline, doc/equations.md (6), to g: T steps of gradient descent on the same kind of objective, y <- y - a dE/dy, whose
// gradients are nodes of the graph, so that the descent itself can be differentiated (second order). The objective
// sees y as candidates of shape (B, 1, D).
func UnrollGD(g *G.ExprGraph, objective Objective, c GDConfig) (_ *UnrolledGD, err error) {
	const fn = "UnrollGD"
	defer recovered(&err, fn)
	if g == nil || objective == nil {
		return nil, fmt.Errorf("dcem: %s: the graph and the objective must not be nil", fn)
	}
	if c.Rate == 0 {
		c.Rate = 0.1
	}
	// The rest is what Unroll checks too.
	cc, err := Config{Batch: c.Batch, Dim: c.Dim, Iterations: c.Iterations, Samples: 1, Elites: 1,
		Dtype: c.Dtype, Lower: c.Lower, Upper: c.Upper}.withDefaults(fn)
	if err != nil {
		return nil, err
	}
	if r := c.Rate; !(r > 0) || math.IsInf(r, 1) || cc.Dtype == tensor.Float32 && math.IsInf(float64(float32(r)), 1) {
		return nil, fmt.Errorf("dcem: %s: Rate = %v, want a finite %v above 0", fn, r, cc.Dtype)
	}
	y0, err := spreadStart(fn, "Y0", c.Y0, 0, cc.Batch, cc.Dim, cc.Dtype)
	if err != nil {
		return nil, err
	}
	if err := cc.checkNode(fn, "Y0Node", c.Y0Node, g, cc.Batch, cc.Dim); err != nil {
		return nil, err
	}
	u := &UnrolledGD{Y0: c.Y0Node}
	if u.Y0 == nil {
		u.Y0 = startNode(g, fmt.Sprintf("dcem.y0#%d", unrolls.Add(1)), cc, y0)
	}
	var rate *G.Node
	if cc.Dtype == tensor.Float32 {
		rate = G.NewConstant(float32(c.Rate))
	} else {
		rate = G.NewConstant(c.Rate)
	}
	y := u.Y0
	for t := range cc.Iterations {
		costs, next, err := descend(y, objective, rate, cc)
		if err != nil {
			return nil, fmt.Errorf("dcem: %s: iteration %d: %w", fn, t, err)
		}
		u.Costs, u.Y, y = append(u.Costs, costs), append(u.Y, next), next
	}
	u.Answer = y
	return u, nil
}

// descend adds one step y - rate * dE/dy and returns the costs at y too.
func descend(y *G.Node, objective Objective, rate *G.Node, c Config) (costs, next *G.Node, err error) {
	x, err := Expand(y, 1)
	if err != nil {
		return nil, nil, err
	}
	if costs, err = objective(x); err != nil {
		return nil, nil, fmt.Errorf("the objective: %w", err)
	}
	if err = wantShape("UnrollGD", "the objective's result", costs, c.Batch, 1); err != nil {
		return nil, nil, err
	}
	total, err := G.Sum(costs)
	if err != nil {
		return nil, nil, err
	}
	grads, err := autodiff.Gradients(total, y)
	if err != nil {
		return nil, nil, err
	}
	step, err := G.Mul(grads[0], rate)
	if err != nil {
		return nil, nil, err
	}
	if next, err = G.Sub(y, step); err != nil {
		return nil, nil, err
	}
	next, err = clamp(next, c.Lower, c.Upper)
	return costs, next, err
}
