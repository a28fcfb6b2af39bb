//go:build gpu

package cuda

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
)

// usable is the error with which a call is refused.
func (x *executable) usable() error {
	switch {
	case x.closed:
		return fmt.Errorf("%s: the program is closed", x.d.name())
	case x.err != nil:
		return fmt.Errorf("%s: refused after an earlier error: %w", x.d.name(), x.err)
	}
	return x.d.refused()
}

// broke makes an error of the driver the executable's first: what lies on the device is not to be trusted from then on.
func (x *executable) broke(doing string, err error) error {
	err = x.d.fail(doing, err)
	if x.err == nil {
		x.err = err
	}
	return err
}

// Run implements backend.Executable. Without watch it puts the work into the stream and returns; what goes wrong there
// is told by the next call that waits.
func (x *executable) Run(watch func(step int) error) error {
	if err := x.usable(); err != nil {
		return err
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if err := x.feed(); err != nil {
		return err
	}
	x.uncounted = true
	switch {
	case watch != nil:
		f, err := x.watchable()
		if err != nil {
			return err
		}
		return x.watched(f, watch)
	case x.careful:
		return x.watched(&x.form, func(int) error { return nil })
	}
	for i := range x.graphs {
		s := &x.graphs[i]
		if s.host != nil {
			if err := x.runHost(s.host); err != nil {
				return err
			}
			continue
		}
		x.started++
		if err := s.graph.launch(x.stream); err != nil {
			return x.broke("launching a graph", err)
		}
	}
	return nil
}

// watched runs launch by launch. A step is done when all launches that it takes part in are, and those of the steps
// before it.
func (x *executable) watched(f *form, watch func(step int) error) error {
	next := 0
	for i := range f.launches {
		l := &f.launches[i]
		if l.host != nil {
			if err := x.runHost(l.host); err != nil {
				return err
			}
		} else {
			if err := l.put(x.stream); err != nil {
				return x.broke("running launch by launch", err)
			}
			if err := x.settle(); err != nil {
				return x.broke("running "+l.Name, err)
			}
		}
		for ; next < len(f.last) && f.last[next] <= i; next++ {
			if err := watch(next); err != nil {
				return err
			}
		}
	}
	for ; next < len(f.last); next++ {
		if err := watch(next); err != nil {
			return err
		}
	}
	return nil
}

// runHost does a step that only the host can.
func (x *executable) runHost(h *hostStep) error {
	name := x.p.Steps[h.step].Name
	for i, b := range h.c.In {
		if err := x.down(ir.Bytes(h.in[i]), x.address(b)); err != nil {
			return x.broke("fetching what step "+name+" reads", err)
		}
	}
	if err := h.run(); err != nil {
		return fmt.Errorf("%s: step %s: %w", x.d.name(), name, err)
	}
	if err := x.stage.up(x.stream, x.address(h.c.Out), ir.Bytes(h.out)); err != nil {
		return x.broke("copying what step "+name+" wrote", err)
	}
	return nil
}

// run calls the kernel. A panic in it is its error.
func (h *hostStep) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v: panic: %v", h.c.Kernel, r)
		}
	}()
	if err := h.c.Kernel.Run(h.out, h.in); err != nil {
		return fmt.Errorf("%v: %w", h.c.Kernel, err)
	}
	return nil
}

// Sync implements backend.Executable.
func (x *executable) Sync() error {
	if err := x.usable(); err != nil {
		return err
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if err := x.flush(); err != nil {
		return err
	}
	if err := x.settle(); err != nil {
		return x.broke("the last run", err)
	}
	return nil
}
