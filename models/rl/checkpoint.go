package rl

import (
	"errors"

	"github.com/godcem/godcem/internal/run"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
)

// wholly does a step of a task, which leaves the state as it was before where it fails or gives up.
func wholly(t run.Task, step int, do func() (run.StepMetrics, error)) (run.StepMetrics, error) {
	before := run.NewCheckpoint(t.Kind(), step-1)
	if err := t.Save(before); err != nil {
		return run.StepMetrics{}, err
	}
	before.Keep()
	m, err := do()
	if err != nil {
		if e := t.Load(before); e != nil {
			err = errors.Join(err, e)
		}
	}
	return m, err
}

// saveNets is train.Save under a name, for checkpoints with several optimisers.
func saveNets(c *run.Checkpoint, name string, s train.Stepper[float32], p nn.Params) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return err
	}
	for i, v := range nn.Values[float32](p) {
		of, shape := p[i].Name, p[i].Node.Shape()
		run.PutArray(c, name+"/params/"+of, v, shape...)
		if state.Steps > 0 {
			run.PutArray(c, name+"/adam/m/"+of, state.M[i], shape...)
			run.PutArray(c, name+"/adam/v/"+of, state.V[i], shape...)
		}
	}
	return c.Put(name+"/adam/steps", state.Steps)
}

// loadNets takes what saveNets has put there. An error leaves parameters and optimiser as they were.
func loadNets(c *run.Checkpoint, name string, s train.Stepper[float32], p nn.Params) error {
	state := kernels.OptimizerState[float32]{}
	if err := c.Get(name+"/adam/steps", &state.Steps); err != nil {
		return err
	}
	values, err := readNets(c, name+"/params/", p)
	if err != nil {
		return err
	}
	if state.Steps > 0 {
		if state.M, err = readNets(c, name+"/adam/m/", p); err != nil {
			return err
		}
		if state.V, err = readNets(c, name+"/adam/v/", p); err != nil {
			return err
		}
	}
	for i, own := range nn.Values[float32](p) {
		copy(own, values[i])
	}
	return s.Restore(state)
}

// readNets are arrays of the parameters' shapes, by their names behind a prefix.
func readNets(c *run.Checkpoint, prefix string, p nn.Params) (all [][]float32, err error) {
	for i, own := range nn.Values[float32](p) {
		v := make([]float32, len(own))
		if err := run.GetArray(c, prefix+p[i].Name, v, p[i].Node.Shape()...); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
