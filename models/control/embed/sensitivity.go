package embed

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/kernels"
	"github.com/godcem/godcem/models/nn"
	"github.com/godcem/godcem/models/train"
	G "gorgonia.org/gorgonia"
)

// Sensitivity implements Task. The search is done once for each control, side by side on the same noise, so that one
// backward pass from the diagonal of (controls, controls) gives the whole Jacobian.
func (t *task[T]) Sensitivity(x0 []float64, run uint64) (u, du []float64, err error) {
	c := t.c
	c.Backprop, c.GDBackprop = 0, 0 // the plan's own derivative, whatever the training cut off
	size, controls := c.system().StateDim(), c.Horizon*c.system().ControlDim()
	if len(x0) != size {
		return nil, nil, fmt.Errorf("embed: Sensitivity: x0 has %d numbers, want %d", len(x0), size)
	}
	if err := t.stepper.Sync(); err != nil {
		return nil, nil, err
	}
	g := G.NewGraph()
	d, err := t.decoder.Share(g)
	if err != nil {
		return nil, nil, err
	}
	s, err := newSearch[T](c, d, controls, sameNoise[T](g, c, controls, run), false)
	if err != nil {
		return nil, nil, err
	}
	diagonal := make([]T, controls*controls)
	for i := range controls {
		copy(s.x0[i*size:(i+1)*size], train.Convert[T](x0))
		diagonal[i*controls+i] = 1
	}
	flat, err := G.Reshape(s.u, []int{controls, controls})
	if err != nil {
		return nil, nil, err
	}
	picked, err := G.HadamardProd(flat, train.Input(g, "diagonal", diagonal, controls, controls))
	if err != nil {
		return nil, nil, err
	}
	total, err := G.Sum(picked)
	if err != nil {
		return nil, nil, err
	}
	grads, err := autodiff.Gradients(total, s.x)
	if err != nil {
		return nil, nil, err
	}
	if flat, err = dcem.Keep(flat); err != nil {
		return nil, nil, err
	}
	vm, err := train.NewVM(c.Machine, g, flat, grads[0])
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	if err := vm.RunAll(); err != nil {
		return nil, nil, err
	}
	plans, err := nn.Slice[T](flat.Value())
	if err != nil {
		return nil, nil, err
	}
	jacobian, err := nn.Slice[T](grads[0].Value())
	if err != nil {
		return nil, nil, err
	}
	return train.Convert[float64](plans[:controls]), train.Convert[float64](jacobian), nil
}

// sameNoise is the noise of a search from a single state, the same for every problem of a batch.
func sameNoise[T kernels.Float](g *G.ExprGraph, c Config, batch int, run uint64) G.Nodes {
	if c.Method != DCEM {
		return nil
	}
	one := c.solve(1)
	eps := make([]T, c.Samples*c.Latent)
	nodes := make(G.Nodes, c.Iterations)
	for i := range nodes {
		kernels.Normal(eps, one.Seed, one.Draw+uint64(i), run, 0)
		all := make([]T, 0, batch*len(eps))
		for range batch {
			all = append(all, eps...)
		}
		nodes[i] = train.Input(g, fmt.Sprint("noise", i), all, batch, c.Samples, c.Latent)
	}
	return nodes
}
