package env

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/internal/graphop"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Options change what a rollout sums up. The zero value is sum_{t<H} c(x_t, u_t). Each hook has a twin in plain Go;
// a rollout uses the one of its kind.
type Options struct {
	// Discount multiplies the costs of step t by its t-th power, the final one's by its H-th. 0: 1.
	Discount float64
	// Final adds that many times c(x_H, 0), the cost of the last state.
	Final float64
	// Terminal adds a cost of the last state: x (B,S) -> (B).
	Terminal   func(x *G.Node, p ParamNodes) (*G.Node, error)
	TerminalGo func(x, params []float64) float64
	// Stage is the cost of step t in the place of cost (B), which is Env.Cost of x (B,S) and u (B,U): for weights,
	// goals and constraints that depend on time. It is not discounted further down than Options.Discount says.
	Stage   func(t int, x, u, cost *G.Node) (*G.Node, error)
	StageGo func(t int, x, u []float64, cost float64) float64
	// Dynamics takes the place of Env.Step: learnt, disturbed or time-dependent.
	Dynamics   func(t int, x, u *G.Node, p ParamNodes) (*G.Node, error)
	DynamicsGo func(t int, next, x, u, params []float64)
}

func (o *Options) check() error {
	if o.Discount == 0 {
		o.Discount = 1
	}
	if !(o.Discount > 0 && o.Discount <= 1) {
		return fmt.Errorf("env: discount %v, want one in (0, 1], or 0 for 1", o.Discount)
	}
	if math.IsNaN(o.Final) || math.IsInf(o.Final, 0) {
		return fmt.Errorf("env: weight %v of the final cost, want a finite number", o.Final)
	}
	return nil
}

// Rollout adds H steps of e to the graph, from the states x0 (B,S) under the controls u (B,H,U), with H of u's shape
// and at least 1. It returns the states x_0 to x_H, each (B,S), and the cost of each rollout (B).
//
// On the engine the steps of an elementwise Env become one loop over the batch, and so do their gradients.
func Rollout(e Env, x0, u *G.Node, p ParamNodes, o Options) (states []*G.Node, cost *G.Node, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	if err := checkMatrix(e, "x0", x0, e.StateDim()); err != nil {
		return nil, nil, err
	}
	batch, width, dt := x0.Shape()[0], e.ControlDim(), x0.Dtype()
	if u == nil {
		return nil, nil, fmt.Errorf("env: %s: u is nil, want a node (%d,H,%d)", e.Name(), batch, width)
	}
	if s := u.Shape(); len(s) != 3 || s[0] != batch || s[1] < 1 || s[2] != width {
		return nil, nil, fmt.Errorf("env: %s: u has shape %v, want (%d,H,%d) with H of at least 1",
			e.Name(), s, batch, width)
	}
	if u.Dtype() != dt {
		return nil, nil, fmt.Errorf("env: %s: x0 holds %v and u %v, want one type", e.Name(), dt, u.Dtype())
	}
	if p, err = p.expand(e, batch, dt); err != nil {
		return nil, nil, err
	}
	r := roller{e: e, p: p, o: o, batch: batch, dtype: dt, scale: 1}
	horizon := u.Shape()[1]
	x := x0
	states = append(make([]*G.Node, 0, horizon+1), x)
	for t := range horizon {
		now, err := graphop.Apply(take{t * width, width, horizon * width}, dt, tensor.Shape{batch, width}, u)
		if err != nil {
			return nil, nil, fmt.Errorf("env: %s: controls of step %d: %w", e.Name(), t, err)
		}
		if err := r.stage(t, x, now); err != nil {
			return nil, nil, err
		}
		if o.Dynamics != nil {
			x, err = o.Dynamics(t, x, now, p)
		} else {
			x, err = e.Step(x, now, p)
		}
		if err == nil {
			err = checkMatrix(e, fmt.Sprintf("the state after step %d", t), x, e.StateDim())
		}
		if err != nil {
			return nil, nil, err
		}
		states = append(states, x)
	}
	if err := r.final(x); err != nil {
		return nil, nil, err
	}
	return states, r.cost, nil
}

// expand is p with every node a (B), or a constant, so that a gradient is summed over the batch but once.
func (p ParamNodes) expand(e Env, batch int, dt tensor.Dtype) (ParamNodes, error) {
	if err := p.check(e); err != nil {
		return nil, err
	}
	full := make(ParamNodes, len(p))
	for _, param := range e.Params() {
		n := p[param.Name]
		if n == nil {
			continue
		}
		if _, ok := constantOf(n); !ok {
			var err error
			if n, err = expand(e, param.Name, n, batch, dt); err != nil {
				return nil, err
			}
		}
		full[param.Name] = n
	}
	return full, nil
}

// roller sums costs up.
type roller struct {
	e     Env
	p     ParamNodes
	o     Options
	batch int
	dtype tensor.Dtype
	scale float64 // of the step: the discount so far
	cost  *G.Node
}

func (r *roller) stage(t int, x, u *G.Node) error {
	c, err := r.e.Cost(x, u, r.p)
	if err == nil && r.o.Stage != nil {
		c, err = r.o.Stage(t, x, u, c)
	}
	if err == nil {
		err = r.add(fmt.Sprintf("the cost of step %d", t), r.scale, c)
	}
	r.scale *= r.o.Discount
	return err
}

func (r *roller) final(x *G.Node) error {
	if r.o.Final != 0 {
		zero, err := repeated(x, 0, r.batch, r.e.ControlDim())
		if err != nil {
			return fmt.Errorf("env: %s: no control: %w", r.e.Name(), err)
		}
		c, err := r.e.Cost(x, zero, r.p)
		if err != nil {
			return err
		}
		if err := r.add("the final cost", r.scale*r.o.Final, c); err != nil {
			return err
		}
	}
	if r.o.Terminal != nil {
		c, err := r.o.Terminal(x, r.p)
		if err != nil {
			return err
		}
		return r.add("the terminal cost", r.scale, c)
	}
	return nil
}

// add adds scale times c (B).
func (r *roller) add(what string, scale float64, c *G.Node) (err error) {
	batch, dt := r.batch, r.dtype
	if c == nil || len(c.Shape()) != 1 || c.Shape()[0] != batch || c.Dtype() != dt {
		return fmt.Errorf("env: %s: %s is %v, want a (%d) of %v", r.e.Name(), what, describe(c), batch, dt)
	}
	if scale != 1 {
		if c, err = G.Mul(constant(dt, scale), c); err != nil {
			return fmt.Errorf("env: %s: %s: %w", r.e.Name(), what, err)
		}
	}
	if r.cost != nil {
		if c, err = G.Add(r.cost, c); err != nil {
			return fmt.Errorf("env: %s: %s: %w", r.e.Name(), what, err)
		}
	}
	r.cost = c
	return nil
}

func describe(n *G.Node) string {
	if n == nil {
		return "nil"
	}
	return fmt.Sprintf("a %v of %v", n.Shape(), n.Dtype())
}
