package embed

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// A Plan is what a search has found for a batch of initial states.
type Plan struct {
	Z      []float64   // the latents, (B,D)
	U      []float64   // the controls, (B,H,U)
	Cost   []float64   // of the rollouts, (B)
	States [][]float64 // x_0 to x_H, (B,S) each
	// Tried has, by iteration, the candidates (B,N,D) and for DCEM the refitted mu and sigma (B,D): where it was asked
	// for.
	Tried []Tried
}

// Tried is an iteration of a search.
type Tried struct{ X, Mu, Sigma []float64 }

// planner plans for B initial states with the parameters as they are. Those are shared with the training, so that the
// two must take turns.
type planner[T kernels.Float] struct {
	s       *search[T]
	vm      G.VM
	outputs G.Nodes // answer, u, cost, states, tried
}

func newPlanner[T kernels.Float](c Config, d *Decoder, batch int, trace bool) (*planner[T], error) {
	shared, err := d.Share(G.NewGraph())
	if err != nil {
		return nil, err
	}
	p := &planner[T]{}
	if p.s, err = newSearch[T](c, shared, batch, nil, false); err != nil {
		return nil, err
	}
	p.outputs = append(G.Nodes{p.s.answer, p.s.u, p.s.cost}, p.s.states...)
	for _, nodes := range p.s.tried {
		if trace {
			p.outputs = append(p.outputs, nodes...)
		}
	}
	for i, n := range p.outputs {
		if p.outputs[i], err = dcem.Keep(n); err != nil {
			return nil, err
		}
	}
	if !trace {
		p.s.tried = nil
	}
	p.vm, err = train.NewVM(c.Machine, p.s.cost.Graph(), p.outputs...)
	return p, err
}

// plan searches from the states x0 (B,S) with the noise of a run number.
func (p *planner[T]) plan(x0 []float64, run uint64) (*Plan, error) {
	if len(x0) != len(p.s.x0) {
		return nil, fmt.Errorf("embed: initial states of %d numbers, want %d", len(x0), len(p.s.x0))
	}
	copy(p.s.x0, train.Convert[T](x0))
	if p.s.run != nil {
		if err := G.Let(p.s.run, int64(run)); err != nil {
			return nil, err
		}
	}
	defer p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		return nil, err
	}
	var err error
	at := -1
	next := func() []float64 {
		at++
		v, e := nn.Slice[T](p.outputs[at].Value())
		err = errors.Join(err, e)
		return train.Convert[float64](v)
	}
	r := &Plan{Z: next(), U: next(), Cost: next()}
	for range p.s.states {
		r.States = append(r.States, next())
	}
	for _, nodes := range p.s.tried {
		t := Tried{X: next()}
		if len(nodes) == 3 {
			t.Mu, t.Sigma = next(), next()
		}
		r.Tried = append(r.Tried, t)
	}
	return r, err
}

func (p *planner[T]) close() error { return p.vm.Close() }

// surveyor evaluates the costs of a grid of latents from one initial state.
type surveyor[T kernels.Float] struct {
	x0, z []T
	costs *G.Node
	vm    G.VM
}

func newSurveyor[T kernels.Float](c Config, d *Decoder, z []float64) (s *surveyor[T], err error) {
	g := G.NewGraph()
	if d, err = d.Share(g); err != nil {
		return nil, err
	}
	size := c.system().StateDim()
	s = &surveyor[T]{x0: make([]T, size), z: train.Convert[T](z)}
	x := train.Input(g, "x0", s.x0, 1, size)
	if s.costs, err = d.Costs(x, train.Input(g, "z", s.z, 1, len(z)/c.Latent, c.Latent)); err != nil {
		return nil, err
	}
	s.vm, err = train.NewVM(c.Machine, g, s.costs)
	return s, err
}

func (s *surveyor[T]) survey(x0 []float64) ([]float64, error) {
	copy(s.x0, train.Convert[T](x0))
	defer s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		return nil, err
	}
	v, err := nn.Slice[T](s.costs.Value())
	return train.Convert[float64](v), err
}

func (s *surveyor[T]) close() error { return s.vm.Close() }
