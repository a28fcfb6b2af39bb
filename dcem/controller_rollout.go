package dcem

import (
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// joinOp puts n controls of u elements side by side: n nodes (B, U) -> (B, n, U).
type joinOp[T kernels.Float] struct{ n, u int }

func (k joinOp[T]) String() string { return fmt.Sprintf("dcem.Join{n=%d, u=%d}", k.n, k.u) }
func (k joinOp[T]) Run(out any, in []any) {
	o := out.([]T)
	for t, x := range in {
		v := x.([]T)
		for b := range len(v) / k.u {
			copy(o[(b*k.n+t)*k.u:(b*k.n+t+1)*k.u], v[b*k.u:])
		}
	}
}
func (k joinOp[T]) Rules() []*graphop.Rule {
	rules := make([]*graphop.Rule, k.n)
	for t := range rules {
		rules[t] = graphop.By(blendOp[T]{blend{[]int{t}, []float64{1}}, k.u, k.n}, graphop.Gradient)
	}
	return rules
}
func (k joinOp[T]) Lower(b *ir.Builder, _ ir.DType, shape []int, in []ir.ID) ir.ID {
	return b.Reshape(b.Concat(1, in...), shape)
}

// rolled are the steps of a rollout.
type rolled struct {
	controls G.Nodes // (M, U) each, H of them
	states   G.Nodes // (B, S) each, H+1 of them, if they were asked for
}

// rollout adds the rollouts of free controls z (M, D), whose M is a multiple of B, and their costs (M), over
// particles their risk. iteration numbers the noise of particles.
func (p *planner) rollout(iteration int, z *G.Node, states bool) (r rolled, cost *G.Node, err error) {
	c, m := p.c, p.m
	rows := rowsOf(z)
	all := rows * c.Particles
	x, err := PerRow(p.x0, all)
	if err != nil {
		return r, nil, err
	}
	before := c.Previous
	if before != nil && c.RatePenalty != nil {
		if before, err = PerRow(before, rows); err != nil {
			return r, nil, err
		}
	}
	made := make([]*G.Node, c.free()) // where each free control is held
	var rate *G.Node
	for t := range c.Horizon {
		if states {
			if err = r.keep(p, x); err != nil {
				return r, nil, err
			}
		}
		var u *G.Node
		if u, err = p.control(t, z, made); err != nil {
			return r, nil, err
		}
		r.controls = append(r.controls, u)
		if c.RatePenalty != nil && before != nil && before != u {
			if rate, err = p.rate(rate, before, u); err != nil {
				return r, nil, err
			}
		}
		before = u
		if u, err = PerRow(u, all); err != nil {
			return r, nil, err
		}
		var stage *G.Node
		if stage, err = m.Cost(t, x, u); err != nil {
			return r, nil, fmt.Errorf("Model.Cost of step %d: %w", t, err)
		}
		if cost, err = p.sum(cost, stage, all, fmt.Sprintf("Model.Cost of step %d", t)); err != nil {
			return r, nil, err
		}
		if x, err = p.step(iteration, t, x, u, rows); err != nil {
			return r, nil, err
		}
	}
	if states {
		if err = r.keep(p, x); err != nil {
			return r, nil, err
		}
	}
	if m.Terminal != nil {
		var last *G.Node
		if last, err = m.Terminal(x); err != nil {
			return r, nil, fmt.Errorf("Model.Terminal: %w", err)
		}
		if cost, err = p.sum(cost, last, all, "Model.Terminal"); err != nil {
			return r, nil, err
		}
	}
	if c.Particles > 1 {
		if cost, err = autodiff.Reshape(cost, rows, c.Particles); err != nil {
			return r, nil, err
		}
		w := riskWeights(c.Risk, c.Level, c.Particles)
		f32, f64 := riskOp[float32]{c.Particles, w}, riskOp[float64]{c.Particles, w}
		if cost, err = p.typed(f32, f64, tensor.Shape{rows}, cost); err != nil {
			return r, nil, err
		}
	}
	if rate != nil {
		cost, err = G.Add(cost, rate)
	}
	return r, cost, err
}

// control is u_t of each row of free controls.
func (p *planner) control(t int, z *G.Node, made []*G.Node) (*G.Node, error) {
	c, u := p.c, p.m.Controls
	b := c.blendAt(float64(t))
	single := len(b.at) == 1
	if single && made[b.at[0]] != nil {
		return made[b.at[0]], nil
	}
	n, err := p.typed(blendOp[float32]{b, u, c.free()}, blendOp[float64]{b, u, c.free()}, tensor.Shape{rowsOf(z), u}, z)
	if err != nil {
		return nil, err
	}
	if !single { // cubic splines overshoot, and sums of weights that add up to 1 are rounded
		lower, upper := c.Lower, c.Upper
		if lower != nil {
			lower = lower[:u]
		}
		if upper != nil {
			upper = upper[:u]
		}
		return clamp(n, lower, upper)
	}
	made[b.at[0]] = n
	return n, nil
}

// rate adds the penalty on the change from one control to the next.
func (p *planner) rate(sum, before, u *G.Node) (*G.Node, error) {
	d, err := G.Sub(u, before)
	if err != nil {
		return nil, err
	}
	if d, err = G.Square(d); err != nil {
		return nil, err
	}
	w := p.c.RatePenalty
	d, err = p.typed(weighedSumOp[float32]{w}, weighedSumOp[float64]{w}, tensor.Shape{rowsOf(u)}, d)
	if err != nil || sum == nil {
		return d, err
	}
	return G.Add(sum, d)
}

// step is the next state of rows candidates' particles.
func (p *planner) step(iteration, t int, x, u *G.Node, rows int) (next *G.Node, err error) {
	c, m := p.c, p.m
	if m.Noisy == nil {
		next, err = m.Dynamics(t, x, u)
	} else {
		var w *G.Node
		// Behind the draws of the candidates, H for each iteration and the answer.
		draw := c.Draw + uint64(c.Iterations) + uint64(iteration*c.Horizon+t)
		if w, err = p.noise(draw, c.Particles, m.Noise); err != nil {
			return nil, err
		}
		if w, err = autodiff.Reshape(w, c.Batch, c.Particles*m.Noise); err != nil {
			return nil, err
		}
		if w, err = PerRow(w, rows); err != nil {
			return nil, err
		}
		if w, err = autodiff.Reshape(w, rows*c.Particles, m.Noise); err != nil {
			return nil, err
		}
		next, err = m.Noisy(t, x, u, w)
	}
	if err != nil {
		return nil, fmt.Errorf("the dynamics of step %d: %w", t, err)
	}
	if err = wantShape(p.fn, fmt.Sprintf("the state after step %d", t), next, rowsOf(x), m.States); err != nil {
		return nil, err
	}
	return next, p.same(next, fmt.Sprintf("the state after step %d", t))
}

// same checks the type and the graph of what a model made.
func (p *planner) same(n *G.Node, what string) error {
	if n.Dtype() != p.c.Dtype || n.Graph() != p.g {
		return fmt.Errorf("%s is %v of %v, want a node of the graph and of %v", what, n, n.Dtype(), p.c.Dtype)
	}
	return nil
}

// sum adds a cost (M) to what there is.
func (p *planner) sum(sum, cost *G.Node, rows int, what string) (*G.Node, error) {
	if err := wantShape(p.fn, what, cost, rows); err != nil {
		return nil, err
	}
	if err := p.same(cost, what); err != nil || sum == nil {
		return cost, err
	}
	return G.Add(sum, cost)
}

// keep appends the states x (B*P, S), of one problem the mean over its particles.
func (r *rolled) keep(p *planner, x *G.Node) (err error) {
	c, s := p.c, p.m.States
	if c.Particles > 1 {
		if x, err = autodiff.Reshape(x, c.Batch, c.Particles, s); err != nil {
			return err
		}
		k := size{c.Batch, c.Particles, s}
		if x, err = contract(k, 1/float64(c.Particles), kernels.BD, []kernels.Pattern{kernels.BND}, x); err != nil {
			return err
		}
	}
	r.states = append(r.states, x)
	return nil
}
