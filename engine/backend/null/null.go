// Package null is a device that plans and counts and runs nothing: what a program would do can be looked at on any
// machine, however large it is.
package null

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// ErrNoValues is what Read returns: the device keeps no values.
var ErrNoValues = errors.New("the null device computes nothing and has no values")

// New returns the device.
func New() backend.Device { return device{} }

type device struct{}

var _ backend.Device = device{}

func (device) Info() backend.Info {
	return backend.Info{Name: "null", Model: "plans and counts, runs nothing"}
}

func (device) Close() error { return nil }

// Compile returns an *Executable. It allocates nothing of the program's size.
func (device) Compile(p *plan.Program) (backend.Executable, error) {
	if p == nil {
		return nil, errors.New("null: Compile: no program")
	}
	e := &Executable{p: p, Stats: Stats{Steps: len(p.Steps), Arena: int64(p.Arena), Peak: int64(p.Peak)}}
	for i := range p.Steps {
		s := &p.Steps[i]
		e.Stats.Flops += s.Flops
		e.Stats.Bytes += s.Bytes
		if s.Custom != nil && ir.IsHost(s.Custom.Kernel) {
			e.Stats.Host++
		} else {
			e.Stats.Launches++
		}
		if s.Again {
			e.Stats.Recomputed++
		}
	}
	return e, nil
}

// Stats counts what one run would do.
type Stats struct {
	Steps      int   // all
	Launches   int   // of them on the device
	Host       int   // of them on the host
	Recomputed int   // of them that compute a value again
	Flops      int64 // arithmetic
	Bytes      int64 // read and written
	Arena      int64 // bytes of memory
	Peak       int64 // largest bytes of temporary values at once
}

// An Executable is a program that is counted.
type Executable struct {
	Stats  Stats
	Runs   int // done so far
	p      *plan.Program
	closed bool
}

var _ backend.Executable = (*Executable)(nil)

// buffer checks that b may be named and that data is a slice of its type and length.
func (e *Executable) buffer(what string, b plan.BufID, data any) error {
	if e.closed {
		return fmt.Errorf("null: %s: the executable is closed", what)
	}
	if b < 0 || int(b) >= len(e.p.Buffers) {
		return fmt.Errorf("null: %s: buffer %d of a program of %d", what, b, len(e.p.Buffers))
	}
	x := &e.p.Buffers[b]
	if x.Role == plan.Temp {
		return fmt.Errorf("null: %s: buffer %d is temporary", what, b)
	}
	if t, n := ir.DataType(data); t != x.Type || n != x.Count() {
		return fmt.Errorf("null: %s: %d x %v for buffer %d, want %d x %v", what, n, t, b, x.Count(), x.Type)
	}
	return nil
}

// Write checks its arguments and drops the values.
func (e *Executable) Write(b plan.BufID, src any) error { return e.buffer("Write", b, src) }

// Read checks its arguments and fails with ErrNoValues.
func (e *Executable) Read(b plan.BufID, dst any) error {
	if err := e.buffer("Read", b, dst); err != nil {
		return err
	}
	return fmt.Errorf("null: Read of buffer %d: %w", b, ErrNoValues)
}

// Memory is nil: there is none.
func (e *Executable) Memory(plan.BufID) any { return nil }

// Run counts a run and calls watch after each step that it does not do.
func (e *Executable) Run(watch func(step int) error) error {
	if e.closed {
		return errors.New("null: Run: the executable is closed")
	}
	e.Runs++
	if watch == nil {
		return nil
	}
	for i := range e.p.Steps {
		if err := watch(i); err != nil {
			return err
		}
	}
	return nil
}

// Sync returns at once.
func (e *Executable) Sync() error { return nil }

// Close makes the executable unusable. It may be called again.
func (e *Executable) Close() error { e.closed = true; return nil }
