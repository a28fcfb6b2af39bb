package train

import (
	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
)

// Save puts parameters and what their optimiser (Adam) remembers into a checkpoint.
func Save[T kernels.Float](c *run.Checkpoint, s Stepper[T], p nn.Params) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return err
	}
	for i, values := range nn.Values[T](p) {
		name, shape := p[i].Name, p[i].Node.Shape()
		run.PutArray(c, "params/"+name, values, shape...)
		if state.Steps > 0 {
			run.PutArray(c, "adam/m/"+name, state.M[i], shape...)
			run.PutArray(c, "adam/v/"+name, state.V[i], shape...)
		}
	}
	return c.Put("adam/steps", state.Steps)
}

// Load takes what Save has put there. An error leaves the parameters and the optimiser as they were.
func Load[T kernels.Float](c *run.Checkpoint, s Stepper[T], p nn.Params) error {
	state := kernels.OptimizerState[T]{}
	if err := c.Get("adam/steps", &state.Steps); err != nil {
		return err
	}
	own := nn.Values[T](p)
	read := func(prefix string) (all [][]T, err error) {
		for i := range p {
			v := make([]T, len(own[i]))
			if err := run.GetArray(c, prefix+p[i].Name, v, p[i].Node.Shape()...); err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
	values, err := read("params/")
	if err == nil && state.Steps > 0 {
		if state.M, err = read("adam/m/"); err == nil {
			state.V, err = read("adam/v/")
		}
	}
	if err != nil {
		return err
	}
	for i, v := range values {
		copy(own[i], v)
	}
	return s.Restore(state)
}
