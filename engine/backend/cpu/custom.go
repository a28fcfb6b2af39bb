package cpu

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// custom is a kernel with its slices.
type custom struct {
	kernel ir.Kernel
	out    any
	in     []any
}

func compileCustom(x *executable, c *plan.Custom) (step, error) {
	if c.Kernel == nil {
		return nil, fmt.Errorf("no kernel")
	}
	slice := func(b plan.BufID) (any, error) {
		if b < 0 || int(b) >= len(x.p.Buffers) {
			return nil, fmt.Errorf("%v: buffer %d, want one of %d", c.Kernel, b, len(x.p.Buffers))
		}
		buf := &x.p.Buffers[b]
		return slice(x.mem, buf.Type, buf.Offset, buf.Count()), nil
	}
	s := &custom{kernel: c.Kernel, in: make([]any, len(c.In))}
	for i, b := range c.In {
		var err error
		if s.in[i], err = slice(b); err != nil {
			return nil, err
		}
		x.refer(b, boxed{&s.in[i], x.p.Buffers[b].Type})
	}
	var err error
	s.out, err = slice(c.Out)
	return s, err
}

func (s *custom) run() error {
	if err := s.kernel.Run(s.out, s.in); err != nil {
		return fmt.Errorf("%v: %w", s.kernel, err)
	}
	return nil
}
