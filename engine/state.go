package engine

import (
	"fmt"
	"math"
	"slices"

	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// stateVersion is that of State's fields.
const stateVersion = 1

// A State is all that a VM carries from one RunAll to the next. Encoded as JSON or gob and decoded again it is the
// same to the bit (but JSON knows no NaN and no infinity, which parameters never become by updates).
type State struct {
	Version int     `json:"version"`
	Steps   int64   `json:"steps"`          // updates done, without skipped ones
	Rate    float64 `json:"rate,omitempty"` // learning rate
	// Runs are the numbers of the next RunAll's noise, by the name of the run-number node.
	Runs []RunState `json:"runs,omitempty"`
	// Params are the parameters, and M, V and Velocity those moments that the optimiser has, in the same order.
	Params   []Array `json:"params,omitempty"`
	M        []Array `json:"m,omitempty"`
	V        []Array `json:"v,omitempty"`
	Velocity []Array `json:"velocity,omitempty"`
}

// A RunState is the number of a run-number node.
type RunState struct {
	Name string `json:"name"`
	Next int64  `json:"next"`
}

// An Array is a named array: one of F32 and F64 holds its elements in row-major order.
type Array struct {
	Name  string    `json:"name"` // of the parameter's node; a second one of that name is "name#2"
	Shape []int     `json:"shape"`
	F32   []float32 `json:"f32,omitempty"`
	F64   []float64 `json:"f64,omitempty"`
}

func (a *Array) elements() any {
	if a.F32 != nil {
		return a.F32
	}
	return a.F64
}

// State waits for the last RunAll and returns the VM's state.
func (vm *VM) State() (*State, error) {
	if err := vm.enter("State"); err != nil {
		return nil, err
	}
	defer vm.leave()
	return vm.snapshot()
}

// Restore makes s the VM's state: with the same inputs, what follows has the same bits as what followed State. The
// values of the parameters' nodes are as they were until the next Sync. A value bound to a parameter or to a
// run-number node after Restore counts as always; one bound before does not. If s does not fit the VM, the error says
// what, and nothing is changed.
func (vm *VM) Restore(s *State) error {
	if err := vm.enter("Restore"); err != nil {
		return err
	}
	defer vm.leave()
	if s == nil {
		return fmt.Errorf("engine: Restore: the state is nil")
	}
	if err := vm.validate(s); err != nil {
		return fmt.Errorf("engine: Restore: %w", err)
	}
	return vm.restore(s)
}

// moments are the groups of arrays of a state with the buffers that they are in.
func (vm *VM) moments(s *State) []struct {
	name   string
	arrays *[]Array
	bufs   []plan.BufID
} {
	return []struct {
		name   string
		arrays *[]Array
		bufs   []plan.BufID
	}{
		{"Params", &s.Params, vm.update.Params},
		{"M", &s.M, vm.update.M},
		{"V", &s.V, vm.update.V},
		{"Velocity", &s.Velocity, vm.update.Velocity},
	}
}

func (vm *VM) snapshot() (*State, error) {
	if err := vm.exec.Sync(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	s := &State{Version: stateVersion, Rate: vm.rate}
	for i := range vm.counters {
		c := &vm.counters[i]
		next := c.next
		if v := c.node.Value(); v != nil && c.load(raw(c.word), v) && (v != c.seen || c.word[0] != c.base) {
			next = c.word[0]
		}
		s.Runs = append(s.Runs, RunState{Name: c.node.Name(), Next: next})
	}
	if vm.update == nil {
		return s, nil
	}
	steps := make([]int64, 1)
	if err := vm.exec.Read(vm.update.Steps, steps); err != nil {
		return nil, fmt.Errorf("engine: the update's step: %w", err)
	}
	s.Steps = steps[0]
	for _, group := range vm.moments(s) {
		for i, buf := range group.bufs {
			p := &vm.params[i]
			a := Array{Name: p.name, Shape: slices.Clone([]int(p.shape))}
			data := ir.MakeSlice(p.typ, p.count)
			if err := vm.exec.Read(buf, data); err != nil {
				return nil, fmt.Errorf("engine: %s of %s: %w", group.name, describe(p.node), err)
			}
			switch d := data.(type) {
			case []float32:
				a.F32 = d
			case []float64:
				a.F64 = d
			}
			*group.arrays = append(*group.arrays, a)
		}
	}
	return s, nil
}

// validate checks a state against the VM.
func (vm *VM) validate(s *State) error {
	if s.Version != stateVersion {
		return fmt.Errorf("the state has version %d, want %d", s.Version, stateVersion)
	}
	if len(s.Runs) != len(vm.counters) {
		return fmt.Errorf("the state has %d run numbers, want %d", len(s.Runs), len(vm.counters))
	}
	for i := range vm.counters {
		if got, want := s.Runs[i].Name, vm.counters[i].node.Name(); got != want {
			return fmt.Errorf("run number %d is of the node %q, want %q", i, got, want)
		}
	}
	if vm.update == nil {
		if len(s.Params) > 0 {
			return fmt.Errorf("the state has %d parameters: %w", len(s.Params), errNoUpdate)
		}
		return nil
	}
	if s.Steps < 0 {
		return fmt.Errorf("the state has %d steps, want at least 0", s.Steps)
	}
	if !(s.Rate > 0 && s.Rate <= math.MaxFloat64) {
		return fmt.Errorf("the state's learning rate is %v, want a finite number above 0", s.Rate)
	}
	for _, group := range vm.moments(s) {
		if got, want := len(*group.arrays), len(group.bufs); got != want {
			return fmt.Errorf("%s has %d arrays, want %d", group.name, got, want)
		}
		for i := range *group.arrays {
			a, p := &(*group.arrays)[i], &vm.params[i]
			if a.Name != p.name {
				return fmt.Errorf("%s[%d] is of %q, want %q", group.name, i, a.Name, p.name)
			}
			if !slices.Equal(a.Shape, []int(p.shape)) {
				return fmt.Errorf("%s of %q has shape %v, want %v", group.name, a.Name, a.Shape, []int(p.shape))
			}
			got, want := len(a.F32), len(a.F64)
			if p.typ == ir.F64 {
				got, want = want, got
			}
			if got != p.count || want != 0 {
				return fmt.Errorf("%s of %q has %d float32 and %d float64, want %d of %v",
					group.name, a.Name, len(a.F32), len(a.F64), p.count, frontend.Dtype(p.typ))
			}
		}
	}
	return nil
}

// restore writes a valid state.
func (vm *VM) restore(s *State) error {
	for i := range vm.counters {
		vm.counters[i].set(s.Runs[i].Next)
	}
	return vm.restoreUpdate(s)
}

func (vm *VM) restoreUpdate(s *State) error {
	if vm.update == nil {
		return nil
	}
	if err := vm.writeRate(s.Rate); err != nil {
		return err
	}
	if err := vm.exec.Write(vm.update.Steps, []int64{s.Steps}); err != nil {
		return fmt.Errorf("engine: the update's step: %w", err)
	}
	for _, group := range vm.moments(s) {
		for i, buf := range group.bufs {
			if err := vm.exec.Write(buf, (*group.arrays)[i].elements()); err != nil {
				return fmt.Errorf("engine: %s of %s: %w", group.name, describe(vm.params[i].node), err)
			}
		}
	}
	for i := range vm.params {
		p := &vm.params[i]
		p.seen, p.loaded = p.node.Value(), true
	}
	return nil
}
