package cpu

import (
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// executable is a loaded program. The arena is one slice that never moves; everything that a step needs of it is
// resolved when the program is loaded.
type executable struct {
	p      *plan.Program
	mem    []byte
	slices []any // per buffer that is not Temp, its memory
	steps  []step

	bindings  []binding
	bindingOf []int32 // per buffer; -1: none

	frames32 frames[float32]
	frames64 frames[float64]
	// While the program is loaded:
	packings  *packings
	emitter32 *emitter[float32]
	emitter64 *emitter[float64]

	runs    uint64 // done or begun
	scratch []byte // for whole products that no buffer takes
	room    int    // its size

	closed bool
}

// A step is one compiled kernel.
type step interface{ run() error }

var errClosed = errors.New("cpu: the executable is closed")

// aligned returns s from its first element on that starts a cache line.
func aligned[S any](s []S) []S {
	var one S
	at := uintptr(unsafe.Pointer(unsafe.SliceData(s))) % plan.Align
	if at == 0 {
		return s
	}
	return s[(plan.Align-at)/unsafe.Sizeof(one):]
}

func compile(p *plan.Program) (x *executable, err error) {
	x = &executable{p: p, packings: newPackings(p)}
	x.slices, x.steps = make([]any, len(p.Buffers)), make([]step, len(p.Steps))
	if err := x.buffers(); err != nil {
		return nil, err
	}
	x.prepareBindings()
	links := x.chains()
	current := -1
	defer func() {
		if r := recover(); r != nil {
			x, err = nil, fmt.Errorf("cpu: %s: panic: %v\n%s", x.label(current), r, debug.Stack())
		}
	}()
	for i := range p.Steps {
		current = i
		if x.steps[i], err = x.compileStep(&p.Steps[i], links[i]); err != nil {
			return nil, fmt.Errorf("cpu: %s: %w", x.label(i), err)
		}
	}
	x.packings, x.emitter32, x.emitter64 = nil, nil, nil
	x.frames32.prepare()
	x.frames64.prepare()
	x.scratch = aligned(make([]byte, x.room+plan.Align))
	return x, nil
}

// buffers makes the arena with constants and zeros.
func (x *executable) buffers() error {
	p := x.p
	if p.Arena < 0 {
		return fmt.Errorf("cpu: an arena of %d bytes", p.Arena)
	}
	x.mem = aligned(make([]byte, p.Arena+plan.Align))[:p.Arena:p.Arena]
	hugePages(x.mem)
	for i := range p.Buffers {
		b := &p.Buffers[i]
		if b.Type == ir.NoType || b.Type > ir.Bool {
			return fmt.Errorf("cpu: buffer %s: element type %v", x.name(plan.BufID(i)), b.Type)
		}
		if b.Offset < 0 || b.Offset%plan.Align != 0 || b.Bytes() < 0 || b.Offset+b.Bytes() > p.Arena {
			return fmt.Errorf("cpu: buffer %s: %d bytes at %d, want a multiple of %d within the arena's %d",
				x.name(plan.BufID(i)), b.Bytes(), b.Offset, plan.Align, p.Arena)
		}
		if b.Role == plan.Temp {
			continue
		}
		x.slices[i] = slice(x.mem, b.Type, b.Offset, b.Count())
		if b.Role == plan.Const {
			data, err := x.checked("constant", plan.BufID(i), b.Data)
			if err != nil {
				return err
			}
			copy(x.own(plan.BufID(i)), data)
		}
	}
	return nil
}

func (x *executable) compileStep(s *plan.Step, l link) (step, error) {
	switch {
	case s.Loop != nil:
		if s.Loop.Points() == 0 {
			return nothing{x, s.Loop}, nil
		}
		switch s.Loop.Type {
		case ir.F32:
			return compileLoop[float32](x, s.Loop, options{})
		case ir.F64:
			return compileLoop[float64](x, s.Loop, options{})
		}
		return nil, fmt.Errorf("a loop of type %v, want f32 or f64", s.Loop.Type)
	case s.Dot != nil:
		if s.Dot.Epilogue.Points() == 0 {
			return nothing{x, &s.Dot.Epilogue}, nil
		}
		switch {
		case l.chain != nil && s.Dot.Type == ir.F32:
			return compileAddend[float32](x, s.Dot, l)
		case l.chain != nil && s.Dot.Type == ir.F64:
			return compileAddend[float64](x, s.Dot, l)
		}
		switch s.Dot.Type {
		case ir.F32:
			return compileDot[float32](x, s.Dot)
		case ir.F64:
			return compileDot[float64](x, s.Dot)
		}
		return nil, fmt.Errorf("a product of type %v, want f32 or f64", s.Dot.Type)
	case s.Custom != nil:
		return compileCustom(x, s.Custom)
	case s.Update != nil:
		return compileUpdate(x, s.Update)
	}
	return nil, errors.New("none of Loop, Dot, Custom and Update")
}

// nothing is a loop without points.
type nothing struct {
	x *executable
	l *plan.Loop
}

func (n nothing) run() error {
	identities(n.x, n.l)
	return nil
}

// label is how messages call a step: its name and the last node that it computes.
func (x *executable) label(i int) string {
	s := &x.p.Steps[i]
	if n := len(s.Nodes); n > 0 && x.p.Graph != nil {
		return fmt.Sprintf("step %s, %s", s.Name, x.p.Graph.Label(s.Nodes[n-1]))
	}
	return "step " + s.Name
}

// name is how messages call a buffer: its number and the node whose value it is.
func (x *executable) name(b plan.BufID) string {
	n := x.p.Buffers[b].Node
	if x.p.Graph == nil || n < 0 || int(n) >= len(x.p.Graph.Nodes) {
		return fmt.Sprint(b)
	}
	return fmt.Sprintf("%d of %s", b, x.p.Graph.Label(n))
}

// host returns the buffer that the host names.
func (x *executable) host(what string, b plan.BufID) error {
	if x.closed {
		return errClosed
	}
	if b < 0 || int(b) >= len(x.p.Buffers) {
		return fmt.Errorf("cpu: %s of buffer %d, want one of %d", what, b, len(x.p.Buffers))
	}
	if x.slices[b] == nil {
		return fmt.Errorf("cpu: %s of buffer %s, which no run leaves behind", what, x.name(b))
	}
	return nil
}

// checked is the memory of the host's data for a buffer.
func (x *executable) checked(what string, b plan.BufID, data any) ([]byte, error) {
	want := &x.p.Buffers[b]
	if t, n := ir.DataType(data); t != want.Type || n != want.Count() {
		return nil, fmt.Errorf("cpu: %s of buffer %s with a %T of %d elements, want %d of %v (shape %v)",
			what, x.name(b), data, n, want.Count(), want.Type, want.Shape)
	}
	return ir.Bytes(data), nil
}

// Write implements backend.Executable.
func (x *executable) Write(b plan.BufID, src any) error {
	if err := x.host("write", b); err != nil {
		return err
	}
	mem, err := x.checked("write", b, src)
	if err != nil {
		return err
	}
	x.unbind(b)
	vec.Copy(x.own(b), mem)
	return nil
}

// Read implements backend.Executable.
func (x *executable) Read(b plan.BufID, dst any) error {
	if err := x.host("read", b); err != nil {
		return err
	}
	mem, err := x.checked("read", b, dst)
	if err != nil {
		return err
	}
	vec.Copy(mem, x.place(b))
	return nil
}

// Memory implements backend.Executable.
func (x *executable) Memory(b plan.BufID) any {
	if x.closed || b < 0 || int(b) >= len(x.slices) {
		return nil
	}
	return x.slices[b]
}

// Run implements backend.Executable.
func (x *executable) Run(watch func(step int) error) error {
	if x.closed {
		return errClosed
	}
	x.runs++
	if watch == nil {
		return x.do(0, len(x.steps))
	}
	for i := range x.steps {
		if err := x.do(i, i+1); err != nil {
			return err
		}
		if err := watch(i); err != nil {
			return err
		}
	}
	return nil
}

// do runs steps lo.. < hi. A panic in one is its error.
func (x *executable) do(lo, hi int) (err error) {
	i := lo
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cpu: %s: panic: %v", x.label(i), r)
		}
	}()
	for ; i < hi; i++ {
		if err := x.steps[i].run(); err != nil {
			return fmt.Errorf("cpu: %s: %w", x.label(i), err)
		}
	}
	return nil
}

// Sync implements backend.Executable: Run returns when it is done.
func (x *executable) Sync() error {
	if x.closed {
		return errClosed
	}
	return nil
}

// Close implements backend.Executable.
func (x *executable) Close() error {
	*x = executable{closed: true}
	return nil
}

// typed is a buffer as a slice of float type T; it is an error if it is of another.
func typed[T vec.Float](x *executable, b plan.BufID, what string) ([]T, error) {
	if b < 0 || int(b) >= len(x.p.Buffers) {
		return nil, fmt.Errorf("%s in buffer %d, want one of %d", what, b, len(x.p.Buffers))
	}
	buf := &x.p.Buffers[b]
	if buf.Type != typeOf[T]() {
		return nil, fmt.Errorf("%s in buffer %s of %v, want %v", what, x.name(b), buf.Type, typeOf[T]())
	}
	return view[T](x.mem, buf.Offset, buf.Count()), nil
}
