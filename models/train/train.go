// Package train runs training steps: the graph of a loss, its gradient and an optimiser's update, as one compiled step
// on the engine or node by node on Gorgonia's TapeMachine.
package train

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/autodiff"
	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The machines.
const (
	Engine = "engine"
	Tape   = "tape"
)

// Machines lists them.
var Machines = []string{Engine, Tape}

// NewVM is a machine for the graph. Only outputs, the graph's roots and what is read need have values after a run.
func NewVM(machine string, g *G.ExprGraph, outputs ...*G.Node) (G.VM, error) {
	switch machine {
	case Engine:
		return engine.NewVM(g, engine.Outputs(outputs...))
	case Tape:
		return G.NewTapeMachine(g), nil
	}
	return nil, unknown(machine)
}

func unknown(machine string) error {
	return fmt.Errorf("train: machine %q, want one of %q", machine, Machines)
}

// A Stepper takes training steps. Close it when done.
type Stepper[T kernels.Float] interface {
	// Step computes the loss and its gradient and moves the parameters by one update of that learning rate. Inputs are
	// set before, by gorgonia.Let or in their memory. A loss or gradient that is not finite skips the update; where it
	// is the loss, the gradient's norm is NaN.
	Step(rate float64) (loss float64, info kernels.StepInfo, err error)
	// Sync brings the values of the parameters' nodes up to date, in place.
	Sync() error
	// State is what the optimiser remembers. Its arrays are copies.
	State() (kernels.OptimizerState[T], error)
	// Restore goes on from the values that the parameters' nodes have now and a state.
	Restore(kernels.OptimizerState[T]) error
	Close() error
}

// New compiles the step that moves the input nodes params by o along the gradient of the scalar loss. The gradient is
// added to the graph. o.Rate is not used: each step has its own.
func New[T kernels.Float](machine string, o kernels.Optimizer, loss *G.Node, params ...*G.Node) (Stepper[T], error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	switch machine {
	case Engine:
		vm, err := engine.NewVM(loss.Graph(), engine.WithUpdate(o, loss, params...))
		if err != nil {
			return nil, err
		}
		return &compiled[T]{vm: vm, o: o, params: params}, nil
	case Tape:
		return newTaped[T](o, loss, params)
	}
	return nil, unknown(machine)
}

// compiled is a step on the engine.
type compiled[T kernels.Float] struct {
	vm     *engine.VM
	o      kernels.Optimizer
	params G.Nodes
}

func (s *compiled[T]) Step(rate float64) (loss float64, info kernels.StepInfo, err error) {
	if rate != s.vm.Rate() {
		if err := s.vm.SetRate(rate); err != nil {
			return 0, info, err
		}
	}
	if err := s.vm.RunAll(); err != nil {
		return 0, info, err
	}
	if loss, err = s.vm.Loss(); err != nil {
		return 0, info, err
	}
	if info, err = s.vm.Info(); err != nil {
		return 0, info, err
	}
	return loss, judged(loss, info), nil
}

// judged is info where the loss is finite.
func judged(loss float64, info kernels.StepInfo) kernels.StepInfo {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return kernels.StepInfo{GradNorm: math.NaN(), Skipped: true}
	}
	return info
}

// Memory is what the step takes, in bytes.
func (s *compiled[T]) Memory() int { return s.vm.Explain().Memory.Arena }

func (s *compiled[T]) Sync() error  { return s.vm.Sync() }
func (s *compiled[T]) Close() error { return s.vm.Close() }

func (s *compiled[T]) State() (state kernels.OptimizerState[T], err error) {
	v, err := s.vm.State()
	if err != nil {
		return state, err
	}
	state.Steps = uint64(v.Steps)
	if v.Steps > 0 {
		state.M, state.V, state.Buf = slicesOf[T](v.M), slicesOf[T](v.V), slicesOf[T](v.Velocity)
	}
	return state, nil
}

func (s *compiled[T]) Restore(state kernels.OptimizerState[T]) error {
	v, err := s.vm.State()
	if err != nil {
		return err
	}
	v.Steps = int64(state.Steps)
	values, err := valuesOf[T](s.params)
	if err != nil {
		return err
	}
	for _, group := range []struct {
		arrays []engine.Array
		from   [][]T
	}{{v.Params, values}, {v.M, state.M}, {v.V, state.V}, {v.Velocity, state.Buf}} {
		if len(group.from) != 0 && len(group.from) != len(group.arrays) {
			return fmt.Errorf("train: a state of %d arrays, want %d", len(group.from), len(group.arrays))
		}
		for i := range group.arrays {
			a := &group.arrays[i]
			n := max(len(a.F32), len(a.F64))
			from := make([]T, n) // no step was taken: moments are 0
			if len(group.from) > 0 {
				if len(group.from[i]) != n {
					return fmt.Errorf("train: a state with %d values of %s, want %d", len(group.from[i]), a.Name, n)
				}
				copy(from, group.from[i])
			}
			switch from := any(from).(type) {
			case []float32:
				a.F32 = from
			case []float64:
				a.F64 = from
			}
		}
	}
	return s.vm.Restore(v)
}

func slicesOf[T kernels.Float](arrays []engine.Array) [][]T {
	var s [][]T
	for _, a := range arrays {
		if v, ok := any(a.F32).([]T); ok {
			s = append(s, v)
		} else {
			s = append(s, any(a.F64).([]T))
		}
	}
	return s
}

// valuesOf is the memory of the nodes' values.
func valuesOf[T kernels.Float](nodes G.Nodes) ([][]T, error) {
	var s [][]T
	for _, n := range nodes {
		t, ok := n.Value().(*tensor.Dense)
		if !ok {
			return nil, fmt.Errorf("train: %v has a value of type %T, want a dense tensor", n, n.Value())
		}
		v, ok := t.Data().([]T)
		if !ok || t.RequiresIterator() {
			return nil, fmt.Errorf("train: %v holds %v, want contiguous %T", n, t.Dtype(), *new(T))
		}
		s = append(s, v)
	}
	return s, nil
}

// taped is a step on the TapeMachine, with the update on the host.
type taped[T kernels.Float] struct {
	vm     G.VM
	o      kernels.Optimizer
	loss   *G.Node
	grads  G.Nodes
	values [][]T
	state  kernels.OptimizerState[T]
}

func newTaped[T kernels.Float](o kernels.Optimizer, loss *G.Node, params G.Nodes) (*taped[T], error) {
	s := &taped[T]{o: o, loss: loss}
	var err error
	if s.values, err = valuesOf[T](params); err != nil {
		return nil, err
	}
	if s.grads, err = autodiff.Gradients(loss, params...); err != nil {
		return nil, err
	}
	s.vm = G.NewTapeMachine(loss.Graph())
	return s, nil
}

func (s *taped[T]) Step(rate float64) (loss float64, info kernels.StepInfo, err error) {
	defer s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		return 0, info, err
	}
	switch d := s.loss.Value().Data().(type) {
	case T:
		loss = float64(d)
	case []T:
		loss = float64(d[0])
	}
	if info = judged(loss, info); info.Skipped {
		return loss, info, nil
	}
	grads, err := valuesOf[T](s.grads)
	if err != nil {
		return 0, info, err
	}
	o := s.o
	o.Rate = rate
	return loss, kernels.OptimizerStep(o, &s.state, s.values, grads), nil
}

func (s *taped[T]) Sync() error  { return nil }
func (s *taped[T]) Close() error { return s.vm.Close() }

func (s *taped[T]) State() (kernels.OptimizerState[T], error) { return s.state.Clone(), nil }

func (s *taped[T]) Restore(state kernels.OptimizerState[T]) error {
	s.state = state.Clone()
	return nil
}
