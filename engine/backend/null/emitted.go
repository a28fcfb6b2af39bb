package null

import (
	"errors"
	"fmt"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/plan"
)

// Emitted returns a device that plans as for a GPU, writes the kernels and their launches (see emit.Launcher), and
// runs nothing. o says what the GPU is like.
func Emitted(o emit.Options) backend.Device { return emitted{o: o} }

type emitted struct {
	device
	o emit.Options
}

var (
	_ backend.Tuner = emitted{}
	_ emit.Launcher = (*EmittedExecutable)(nil)
)

func (emitted) Info() backend.Info {
	return backend.Info{Name: "null:cuda", Model: "plans and writes kernels, runs nothing"}
}

// Tune implements backend.Tuner.
func (emitted) Tune(o *plan.Options) { o.Slack = emit.Slack }

// Compile returns an *EmittedExecutable.
func (d emitted) Compile(p *plan.Program) (backend.Executable, error) {
	if p == nil {
		return nil, errors.New("null: Compile: no program")
	}
	x, err := d.device.Compile(p)
	if err != nil {
		return nil, err
	}
	e := &EmittedExecutable{Executable: x.(*Executable)}
	if e.program, err = emit.New(p, d.o); err != nil {
		return nil, fmt.Errorf("null: Compile: %w", err)
	}
	e.Stats.Launches, e.Stats.Host = 0, 0
	for _, l := range e.program.Launches {
		if l.Kernel < 0 {
			e.Stats.Host++
		} else {
			e.Stats.Launches++
		}
	}
	return e, nil
}

// An EmittedExecutable is a program whose kernels are written. Its Stats count launches.
type EmittedExecutable struct {
	*Executable
	program *emit.Program
}

// Launches implements emit.Launcher.
func (e *EmittedExecutable) Launches() (*emit.Program, int) { return e.program, e.program.Graphs() }
