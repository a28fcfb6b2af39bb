package cpu

import (
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// leastBound is the size in bytes from which on an input is read where the host has it. Less is copied as soon.
var leastBound = 4096

// A reference is what a step holds of a buffer's place.
type reference interface {
	// bind makes it that of an array at mem, of the same size.
	bind(mem []byte)
}

// A binding is an input that may be read where the host has it, and all that refers to it.
type binding struct {
	refs  []reference
	mem   []byte // the host's; nil: the arena's
	fixed bool   // a step holds the arena's place for good
}

var _ backend.Binder = (*executable)(nil)

// prepareBindings finds the inputs that can be bound, and the outputs that are views of one.
func (x *executable) prepareBindings() {
	x.bindingOf = sized[int32](nil, len(x.p.Buffers), -1)
	for i := range x.p.Buffers {
		if b := &x.p.Buffers[i]; b.Role == plan.Input && b.Over < 0 && b.Bytes() >= max(1, leastBound) {
			x.bindingOf[i] = int32(len(x.bindings))
			x.bindings = append(x.bindings, binding{})
		}
	}
	if len(x.bindings) == 0 {
		return
	}
	for i := range x.p.Buffers {
		root := i
		for x.p.Buffers[root].Role == plan.Output && x.p.Buffers[root].Over >= 0 {
			root = int(x.p.Buffers[root].Over)
		}
		x.bindingOf[i] = x.bindingOf[root]
	}
}

// binding is that of a buffer, nil if its place never changes.
func (x *executable) binding(b plan.BufID) *binding {
	if k := x.bindingOf[b]; k >= 0 {
		return &x.bindings[k]
	}
	return nil
}

// refer notes a reference to a buffer.
func (x *executable) refer(b plan.BufID, r reference) {
	if in := x.binding(b); in != nil {
		in.refs = append(in.refs, r)
	}
}

// fix keeps a buffer in the arena: a step refers to it that cannot be told another place.
func (x *executable) fix(b plan.BufID) {
	if in := x.binding(b); in != nil {
		in.fixed = true
	}
}

// place is where a buffer's elements are.
func (x *executable) place(b plan.BufID) []byte {
	if in := x.binding(b); in != nil && in.mem != nil {
		return in.mem
	}
	return x.own(b)
}

// own is the buffer's place in the arena.
func (x *executable) own(b plan.BufID) []byte {
	buf := &x.p.Buffers[b]
	return x.mem[buf.Offset : buf.Offset+buf.Bytes()]
}

// Bind implements backend.Binder. It does not allocate, unless a kernel reads the buffer.
func (x *executable) Bind(b plan.BufID, mem []byte) bool {
	if x.closed || b < 0 || int(b) >= len(x.p.Buffers) {
		return false
	}
	in, buf := x.binding(b), &x.p.Buffers[b]
	if in == nil {
		return false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	if in.fixed || buf.Role != plan.Input || mem == nil || len(mem) != buf.Bytes() ||
		at%uintptr(buf.Type.Size()) != 0 || x.inArena(mem) {
		x.unbind(b)
		return false
	}
	if at != uintptr(unsafe.Pointer(unsafe.SliceData(in.mem))) {
		in.move(mem)
	}
	in.mem = mem
	return true
}

// unbind gives a buffer its place in the arena back.
func (x *executable) unbind(b plan.BufID) {
	if in := x.binding(b); in != nil && in.mem != nil {
		in.mem = nil
		in.move(x.own(b))
	}
}

func (in *binding) move(mem []byte) {
	for _, r := range in.refs {
		r.bind(mem)
	}
}

// inArena reports whether memory lies in the arena, where a run changes it: an output's value that was bound to an
// input.
func (x *executable) inArena(mem []byte) bool {
	lo, at := uintptr(unsafe.Pointer(unsafe.SliceData(x.mem))), uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	return at < lo+uintptr(len(x.mem)) && lo < at+uintptr(len(mem))
}

// A suffix is a slice of a step that begins at element off of a buffer.
type suffix[T any] struct {
	to  *[]T
	off int
}

func (s suffix[T]) bind(mem []byte) {
	var one T
	*s.to = view[T](mem, 0, len(mem)/int(unsafe.Sizeof(one)))[s.off:]
}

// A boxed is an operand of a kernel.
type boxed struct {
	to  *any
	typ ir.DType
}

func (s boxed) bind(mem []byte) { *s.to = slice(mem, s.typ, 0, len(mem)/s.typ.Size()) }
