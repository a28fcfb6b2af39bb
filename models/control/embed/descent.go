package embed

import (
	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	G "gorgonia.org/gorgonia"
)

// A descent is unrolled gradient descent in the latent space, from the middle: eq. (6) with steps of bounded length,
//
//	z <- z - r g / sqrt(1 + (r |g| / m)^2)
//
// with the gradient g of a problem's cost, the rate r and the longest step m. The slopes of costs over the square are
// below 1 in some places and far above 1000 in others: no rate alone makes steps of both.
type descent struct {
	z      G.Nodes // z_0 ... z_T, (B,D) each
	answer *G.Node
}

// descend adds T steps.
func descend(g *G.ExprGraph, objective dcem.Objective, c Config, batch int) (*descent, error) {
	z := G.NodeFromAny(g, dense(c.dtype(), make([]float64, batch*c.Latent), batch, c.Latent), G.WithName("z0"))
	d := &descent{z: G.Nodes{z}}
	for t := range c.Iterations {
		if c.GDBackprop > 0 && t == c.Iterations-c.GDBackprop {
			detached, err := dcem.Detach(z)
			if err != nil {
				return nil, err
			}
			z = detached
		}
		slope, err := slopes(objective, z)
		if err != nil {
			return nil, err
		}
		step, err := c.bounded(slope)
		if err != nil {
			return nil, err
		}
		if z, err = G.Sub(z, step); err != nil {
			return nil, err
		}
		d.z = append(d.z, z)
	}
	d.answer = z
	return d, nil
}

// slopes are the gradients (B,D) of the costs at z (B,D).
func slopes(objective dcem.Objective, z *G.Node) (*G.Node, error) {
	x, err := dcem.Expand(z, 1)
	if err != nil {
		return nil, err
	}
	costs, err := objective(x)
	if err != nil {
		return nil, err
	}
	total, err := G.Sum(costs)
	if err != nil {
		return nil, err
	}
	grads, err := autodiff.Gradients(total, z)
	if err != nil {
		return nil, err
	}
	return grads[0], nil
}

// bounded makes steps (B,D) of the slopes (B,D): with v = r g, v / sqrt(1 + |v|^2/m^2).
func (c Config) bounded(slope *G.Node) (*G.Node, error) {
	dt := c.dtype()
	v, err := G.Mul(slope, constant(dt, c.GDRate))
	if err != nil {
		return nil, err
	}
	short, err := G.Mul(v, constant(dt, 1/c.GDStep))
	if err != nil {
		return nil, err
	}
	if short, err = G.Square(short); err != nil {
		return nil, err
	}
	if short, err = G.Sum(short, 1); err != nil {
		return nil, err
	}
	if short, err = G.Add(short, constant(dt, 1)); err != nil {
		return nil, err
	}
	if short, err = G.Sqrt(short); err != nil {
		return nil, err
	}
	if short, err = G.Reshape(short, []int{short.Shape()[0], 1}); err != nil {
		return nil, err
	}
	return G.BroadcastHadamardDiv(v, short, nil, []byte{1})
}
