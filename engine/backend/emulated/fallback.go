package emulated

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/plan"
)

// A fallback is a step that another device runs, in memory of its own.
type fallback struct {
	x             backend.Executable
	reads, writes []plan.BufID
}

// emitSteps emits each step by itself. For those that cannot be emitted it appends a launch of the fallback device.
func (x *executable) emitSteps(o Options) ([]*emit.Program, error) {
	all := make([]*emit.Program, 0, len(x.p.Steps))
	for i := range x.p.Steps {
		one := *x.p
		one.Steps = x.p.Steps[i : i+1]
		e, err := emit.New(&one, o.Emit)
		if err != nil {
			if e, err = x.fallBack(i, o.Fallback); err != nil {
				return nil, err
			}
		}
		for j := range e.Launches {
			e.Launches[j].Steps = []int{i}
		}
		for j := range e.Counts {
			e.Counts[j].Step = i
		}
		all = append(all, e)
	}
	return all, nil
}

// fallBack compiles a step for another device: what it touches are inputs and outputs there.
func (x *executable) fallBack(i int, d backend.Device) (*emit.Program, error) {
	one := *x.p
	one.Steps = x.p.Steps[i : i+1]
	one.Buffers = slices.Clone(x.p.Buffers)
	for b := range one.Buffers {
		if one.Buffers[b].Role == plan.Temp {
			one.Buffers[b].Role = plan.Output
		}
	}
	e, err := d.Compile(&one)
	if err != nil {
		return nil, fmt.Errorf("step %s: %w", x.p.Steps[i].Name, err)
	}
	x.fallbacks = append(x.fallbacks, &fallback{e, x.p.Steps[i].Reads, x.p.Steps[i].Writes})
	return &emit.Program{Launches: []emit.Launch{{Name: "fallback " + x.p.Steps[i].Name, Kernel: -len(x.fallbacks) - 1}}}, nil
}

// run runs the step: what it reads goes there, what it writes comes back.
func (x *executable) runFallback(f *fallback) error {
	for _, b := range slices.Concat(f.reads, f.writes) {
		if err := f.x.Write(b, x.slice(b)); err != nil {
			return err
		}
	}
	if err := f.x.Run(nil); err != nil {
		return err
	}
	for _, b := range f.writes {
		if err := f.x.Read(b, x.slice(b)); err != nil {
			return err
		}
		x.written(b)
	}
	return nil
}
