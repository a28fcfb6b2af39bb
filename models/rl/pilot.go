package rl

import (
	"context"
	"errors"
	"math"

	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/env"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// filter computes what is known of the states of n environments after each observation.
type filter struct {
	x, a, o []float32 // the state before, (n,StateDim), the action that followed, (n,A), the observation, (n,O)
	next    *G.Node
	vm      G.VM
}

func newFilter(machine string, m *RSSM, n int) (*filter, error) {
	g := G.NewGraph()
	m, err := m.Share(g)
	if err != nil {
		return nil, err
	}
	f := &filter{x: make([]float32, n*m.StateDim()), a: make([]float32, n*m.c.Act), o: make([]float32, n*m.c.Obs)}
	if f.next, err = m.Filter(train.Input(g, "x", f.x, n, m.StateDim()), train.Input(g, "a", f.a, n, m.c.Act),
		train.Input(g, "o", f.o, n, m.c.Obs)); err != nil {
		return nil, err
	}
	if f.next, err = dcem.Keep(f.next); err != nil {
		return nil, err
	}
	f.vm, err = train.NewVM(machine, g, f.next)
	return f, err
}

// step moves x on.
func (f *filter) step() error {
	defer f.vm.Reset()
	if err := f.vm.RunAll(); err != nil {
		return err
	}
	v, err := nn.Slice[float32](f.next.Value())
	copy(f.x, v)
	return err
}

// forget sets the state of environment i of n, and the action before it, to those at the start of an episode.
func (f *filter) forget(i, n int) {
	clear(f.x[i*len(f.x)/n : (i+1)*len(f.x)/n])
	clear(f.a[i*len(f.a)/n : (i+1)*len(f.a)/n])
}

// pilot acts by planning over a model of which it has a copy of its own: it may act while the original learns.
type pilot struct {
	params  nn.Params // the copy's
	worlds  *Worlds
	filter  *filter
	planner *planner
	scale   func(out []float32, obs []float64)
	noise   float64 // standard deviation of what is added to the actions
	seed    uint64
	run     uint64 // of step 0
	drawn   []float32
}

// newPilot copies the model and the decoder (nil for FullCEM).
func newPilot(machine string, c PlannerConfig, m *RSSM, d *ActionDecoder, w *Worlds, seed uint64) (p *pilot,
	err error) {
	g := G.NewGraph()
	own, err := NewRSSM(g, m.c)
	if err != nil {
		return nil, err
	}
	p = &pilot{params: own.Params(), worlds: w, seed: seed, drawn: make([]float32, w.Size()*w.ActDim())}
	var decoder *ActionDecoder
	if c.Kind == LatentDCEM {
		if decoder, err = NewActionDecoder(g, c, d.actions, m.c.Dtype, 0); err != nil {
			return nil, err
		}
		p.params = append(p.params, decoder.Params()...)
	}
	if p.filter, err = newFilter(machine, own, w.Size()); err != nil {
		return nil, err
	}
	if p.planner, err = newPlanner(machine, c, own, decoder, w.Size(), seed, 0); err != nil {
		return nil, errors.Join(err, p.filter.vm.Close())
	}
	return p, nil
}

func (p *pilot) close() error { return errors.Join(p.filter.vm.Close(), p.planner.vm.Close()) }

// load copies parameters of the same names.
func (p *pilot) load(params nn.Params) {
	for _, own := range p.params {
		copy(nn.Values[float32](nn.Params{own})[0], nn.Values[float32](nn.Params{params.Get(own.Name)})[0])
	}
}

// Act implements Batch.
func (p *pilot) Act(_ context.Context, step int, obs []float64, action []float32) error {
	f, n := p.filter, p.worlds.Size()
	for i := range n {
		if step == 0 || p.worlds.Status[i].Over() {
			f.forget(i, n)
		}
	}
	p.scale(f.o, obs)
	if err := f.step(); err != nil {
		return err
	}
	copy(p.planner.x, f.x)
	run := p.run + uint64(step)
	if err := p.planner.plan(run, action); err != nil {
		return err
	}
	if p.noise > 0 {
		kernels.Normal(p.drawn, p.seed, actionDraw, run, 0)
		for i := range action {
			action[i] += float32(p.noise) * p.drawn[i]
		}
	}
	for i, a := range action {
		action[i] = float32(math.Max(-1, math.Min(1, float64(a))))
	}
	copy(f.a, action)
	return nil
}

// random acts uniformly.
func random(seed, run uint64) Batch {
	return BatchFunc(func(_ context.Context, step int, _ []float64, action []float32) error {
		kernels.Uniform(action, seed, actionDraw, run+uint64(step), 0)
		for i, u := range action {
			action[i] = 2*u - 1
		}
		return nil
	})
}

// episodes are those of a rollout that came to their end, in the order of environments and time, and their cut
// remainders with them. A step that failed is none.
func (r *Rollout) episodes(obs, act int, seed uint64) (all []*Episode) {
	for i := range r.Worlds {
		e := &Episode{Seed: seed}
		for t := range r.Length {
			row := i*r.Length + t
			if r.Status[row] != env.Failed {
				e.Obs = append(e.Obs, train.Convert[float32](r.Obs[row*obs:(row+1)*obs])...)
				for _, a := range r.Action[row*act : (row+1)*act] {
					e.Action = append(e.Action, float32(math.Max(-1, math.Min(1, float64(a)))))
				}
				e.Reward = append(e.Reward, float32(r.Reward[row]))
			}
			if last := t == r.Length-1; last || r.Status[row].Over() {
				if e.Status = r.Status[row]; e.Steps() > 0 {
					e.Obs = append(e.Obs, train.Convert[float32](r.Next[row*obs:(row+1)*obs])...)
					all = append(all, e)
				}
				e = &Episode{Seed: seed}
			}
		}
	}
	return all
}
