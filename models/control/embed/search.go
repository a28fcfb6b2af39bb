package embed

import (
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// search is the graph of a search over the latent space, a problem for each of B initial states, and of the rollout
// of what it finds.
type search[T kernels.Float] struct {
	x0 []T     // memory of the initial states, (B,S)
	x  *G.Node // their node

	run    *G.Node     // run number of the noise; nil without noise
	tried  [](G.Nodes) // by iteration: the candidates, (B,N,D), and for DCEM mu and sigma, (B,D)
	answer *G.Node     // (B,D)
	u      *G.Node     // its plan, (B,H,U)
	states G.Nodes     // x_0 to x_H under the plan, (B,S) each
	cost   *G.Node     // (B)

	counter func() int64 // gradients lost by this graph
}

// newSearch adds the search of a method to the decoder's graph. noise, one node (B,N,D) an iteration, takes the place
// of DCEM's own; nil: its own. Where held is set, no gradient flows from the plans into the search.
func newSearch[T kernels.Float](c Config, d *Decoder, batch int, noise G.Nodes, held bool) (s *search[T], err error) {
	g, e := d.net.Layers[0].W.Graph(), c.system()
	s = &search[T]{x0: make([]T, batch*e.StateDim()), counter: func() int64 { return 0 }}
	s.x = train.Input(g, "x0", s.x0, batch, e.StateDim())
	objective := func(z *G.Node) (*G.Node, error) { return d.Costs(s.x, z) }
	if c.Method == GD {
		d, err := descend(g, objective, c, batch)
		if err != nil {
			return nil, err
		}
		s.answer = d.answer
		for _, z := range d.z {
			s.tried = append(s.tried, G.Nodes{z})
		}
	} else {
		solve := c.solve(batch)
		solve.Noise = noise
		u, err := dcem.Unroll(g, objective, solve)
		if err != nil {
			return nil, err
		}
		s.answer, s.run, s.counter = u.Answer, u.Run, u.LostGradients
		if c.Answer == Best {
			if s.answer, err = best(u.Iterates); err != nil {
				return nil, err
			}
		}
		for _, it := range u.Iterates {
			s.tried = append(s.tried, G.Nodes{it.X, it.Mu, it.Sigma})
		}
	}
	if held {
		if s.answer, err = dcem.Detach(s.answer); err != nil {
			return nil, err
		}
	}
	if s.u, err = d.Decode(s.answer); err != nil {
		return nil, err
	}
	s.states, s.cost, err = env.Rollout(e, s.x, s.u, nil, env.Options{})
	return s, err
}

// loss is the mean cost of the plans.
func (s *search[T]) loss() (*G.Node, error) { return G.Mean(s.cost) }

// best is the candidate (B,D) of least cost of all iterations. Where none has a finite cost it is 0, the middle.
func best(iterates []dcem.Iterate) (*G.Node, error) {
	var x, f G.Nodes
	for _, it := range iterates {
		x, f = append(x, it.X), append(f, it.F)
	}
	candidates, err := G.Concat(1, x...)
	if err != nil {
		return nil, err
	}
	costs, err := G.Concat(1, f...)
	if err != nil {
		return nil, err
	}
	chosen, err := dcem.TopK(costs, 1)
	if err != nil {
		return nil, err
	}
	z, _, err := dcem.Refit(candidates, chosen, 1, dcem.RefitOptions{}) // the mean of one
	return z, err
}
