package emulated

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// slice is a buffer as a slice of its element type.
func (x *executable) slice(b plan.BufID) any {
	buf := &x.p.Buffers[b]
	mem := x.memory(b)
	switch buf.Type {
	case ir.F32:
		return typed[float32](mem, buf.Count())
	case ir.F64:
		return typed[float64](mem, buf.Count())
	case ir.Int64:
		return typed[int64](mem, buf.Count())
	case ir.Int:
		return typed[int](mem, buf.Count())
	case ir.Int32:
		return typed[int32](mem, buf.Count())
	case ir.Bool:
		return typed[bool](mem, buf.Count())
	}
	return typed[uint8](mem, buf.Count())
}

func typed[T any](mem []byte, n int) []T {
	if n == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}

// memory is a buffer's bytes.
func (x *executable) memory(b plan.BufID) []byte {
	buf := &x.p.Buffers[b]
	return x.arena.Bytes()[buf.Offset:][:buf.Bytes()]
}

// checked is the memory of the host's data for a buffer that the host may name.
func (x *executable) checked(what string, b plan.BufID, data any) ([]byte, error) {
	if x.closed {
		return nil, errClosed
	}
	if b < 0 || int(b) >= len(x.p.Buffers) {
		return nil, fmt.Errorf("emulated: %s of buffer %d, want one of %d", what, b, len(x.p.Buffers))
	}
	want := &x.p.Buffers[b]
	if want.Role == plan.Temp {
		return nil, fmt.Errorf("emulated: %s of buffer %d, which no run leaves behind", what, b)
	}
	if t, n := ir.DataType(data); t != want.Type || n != want.Count() {
		return nil, fmt.Errorf("emulated: %s of buffer %d with a %T of %d elements, want %d of %v (shape %v)", what, b,
			data, n, want.Count(), want.Type, want.Shape)
	}
	return ir.Bytes(data), nil
}

// Write implements backend.Executable.
func (x *executable) Write(b plan.BufID, src any) error {
	data, err := x.checked("write", b, src)
	if err != nil {
		return err
	}
	copy(x.memory(b), data)
	x.written(b)
	return nil
}

// written tells the checking mode that the host has written a buffer.
func (x *executable) written(b plan.BufID) {
	buf := &x.p.Buffers[b]
	x.arena.Written(buf.Offset, buf.Offset+buf.Bytes())
}

// Read implements backend.Executable.
func (x *executable) Read(b plan.BufID, dst any) error {
	data, err := x.checked("read", b, dst)
	if err != nil {
		return err
	}
	x.count()
	copy(data, x.memory(b))
	return nil
}

// Memory implements backend.Executable: as with a GPU, the host can address nothing.
func (x *executable) Memory(plan.BufID) any { return nil }

// Address implements backend.Remote.
func (x *executable) Address(b plan.BufID) uintptr {
	if x.closed || b < 0 || int(b) >= len(x.p.Buffers) {
		return 0
	}
	if buf := &x.p.Buffers[b]; buf.Role == plan.Temp || buf.Count() == 0 {
		return 0
	}
	return uintptr(x.arena.Pointer()) + uintptr(x.p.Buffers[b].Offset)
}

// Fetch implements backend.Remote.
func (x *executable) Fetch(dst []byte, from uintptr) error {
	if x.closed {
		return errClosed
	}
	at := from - uintptr(x.arena.Pointer())
	if n := uintptr(x.p.Arena); at > n || uintptr(len(dst)) > n-at {
		return fmt.Errorf("emulated: fetch of %d bytes at %#x, which is not the program's memory", len(dst), from)
	}
	copy(dst, x.arena.Bytes()[at:])
	return nil
}

// Take implements backend.Remote.
func (x *executable) Take(b plan.BufID, other backend.Executable, from uintptr) (bool, error) {
	o, ok := other.(*executable)
	if !ok {
		return false, nil
	}
	if x.closed || o.closed {
		return true, errClosed
	}
	if b < 0 || int(b) >= len(x.p.Buffers) || x.p.Buffers[b].Role == plan.Temp {
		return true, fmt.Errorf("emulated: take into buffer %d, which the host cannot name", b)
	}
	mem := make([]byte, x.p.Buffers[b].Bytes())
	if err := o.Fetch(mem, from); err != nil {
		return true, err
	}
	copy(x.memory(b), mem)
	x.written(b)
	return true, nil
}

// Scratch implements backend.Scratcher.
func (x *executable) Scratch() int64 {
	if x.closed {
		return 0
	}
	return int64(len(x.scratch.Bytes()))
}

// A count is a counter on the device and the one that it is added to.
type count struct {
	counter *atomic.Int64
	seen    int64
}

// counterOf finds the counter that the kernel of a step names; nil: none.
func (x *executable) counterOf(c emit.Count) *atomic.Int64 {
	s := x.p.Steps[c.Step].Custom
	if s == nil {
		return nil
	}
	k, ok := s.Kernel.(ir.Sourcer)
	if !ok {
		return nil
	}
	in := make([]int, len(s.In))
	for i, b := range s.In {
		in[i] = x.p.Buffers[b].Count()
	}
	if src := k.Source(x.p.Buffers[s.Out].Count(), in); src != nil && c.Index < len(src.Counts) {
		return src.Counts[c.Index]
	}
	return nil
}

// count adds what kernels have counted since the last time.
func (x *executable) count() {
	now := typed[int64](x.counters.Bytes(), len(x.counts))
	for i := range x.counts {
		if c := &x.counts[i]; c.counter != nil && now[i] != c.seen {
			c.counter.Add(now[i] - c.seen)
			c.seen = now[i]
		}
	}
}
