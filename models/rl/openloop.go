package rl

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// Prediction says how well a model predicts, by how many steps ahead: entry t is for t+1 steps. All are mean squared
// errors of observations as the model sees them, standardised, over their elements.
type Prediction struct {
	Model []float64 // of the model, from the state filtered so far and the actions that followed, without observations
	Still []float64 // of saying that nothing changes
}

// Predict judges the model on episodes, which should be none that it has learnt from: from every fifth step on, it
// predicts the observations of the next ones.
func (t *Agent) Predict(episodes []*Episode, horizon int) (p *Prediction, err error) {
	const every, from = 5, 5
	for _, e := range episodes {
		if e.Steps() < from+horizon {
			return nil, fmt.Errorf("rl: Predict: an episode has %d steps, want at least %d", e.Steps(), from+horizon)
		}
	}
	n, o := len(episodes), t.model.c.Obs
	seen := make([][]float32, n) // standardised
	for i, e := range episodes {
		seen[i] = make([]float32, len(e.Obs))
		t.scale(seen[i], train.Convert[float64](e.Obs))
	}
	p = &Prediction{Model: make([]float64, max(horizon, 0)), Still: make([]float64, max(horizon, 0))}
	count := 0
	err = t.openLoop(episodes, horizon, func(at int, guess []float32) {
		if at < from || at%every != 0 {
			return
		}
		count += n * o
		for k := range horizon {
			for i := range n {
				for j := range o {
					truth := float64(seen[i][(at+k+1)*o+j])
					off, still := float64(guess[(k*n+i)*o+j])-truth, float64(seen[i][at*o+j])-truth
					p.Model[k] += off * off
					p.Still[k] += still * still
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for k := range horizon {
		p.Model[k] /= float64(count)
		p.Still[k] /= float64(count)
	}
	return p, nil
}

// openLoop shows for each step of the episodes, up to horizon before the end of the shortest, what the model says of
// the next observations under the actions that followed, as it sees them: row k*n+i is of episode i in k+1 steps.
func (t *Agent) openLoop(episodes []*Episode, horizon int, see func(at int, guess []float32)) (err error) {
	if len(episodes) == 0 || horizon < 1 {
		return fmt.Errorf("rl: Predict: %d episodes and horizon %d, want at least 1", len(episodes), horizon)
	}
	n, o, a, size := len(episodes), t.model.c.Obs, t.model.c.Act, t.model.StateDim()
	shortest := episodes[0].Steps()
	for _, e := range episodes {
		if err := e.check(o, a); err != nil {
			return fmt.Errorf("rl: Predict: %w", err)
		}
		shortest = min(shortest, e.Steps())
	}
	if err := t.sync(); err != nil {
		return err
	}
	f, err := newFilter(t.c.Machine, t.model, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.vm.Close()) }()
	g := G.NewGraph()
	m, err := t.model.Share(g)
	if err != nil {
		return err
	}
	u := make([]float32, n*horizon*a)
	states, _, err := m.Imagined(train.Input(g, "x", f.x, n, size), train.Input(g, "u", u, n, horizon*a))
	if err != nil {
		return err
	}
	b := build(states[0])
	guesses, err := m.Observe(b.below(states...)) // row t*n+i
	if err = errors.Join(b.err, err); err != nil {
		return err
	}
	vm, err := train.NewVM(t.c.Machine, g, guesses)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	for at := 0; at+horizon <= shortest; at++ {
		for i, e := range episodes {
			t.scale(f.o[i*o:(i+1)*o], train.Convert[float64](e.Obs[at*o:(at+1)*o]))
			if at > 0 {
				copy(f.a[i*a:(i+1)*a], e.Action[(at-1)*a:])
			}
			copy(u[i*horizon*a:(i+1)*horizon*a], e.Action[at*a:])
		}
		if err := f.step(); err != nil {
			return err
		}
		vm.Reset()
		if err := vm.RunAll(); err != nil {
			return err
		}
		guess, err := nn.Slice[float32](guesses.Value())
		if err != nil {
			return err
		}
		see(at, guess)
	}
	return nil
}
