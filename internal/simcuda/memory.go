package simcuda

import (
	"unsafe"
)

// Memory is memory for kernels, aligned to 512 bytes as a device's is. In the checking mode accesses to it are
// checked, and it begins with content that nobody has written.
type Memory struct {
	native *native
	bytes  []byte
	mapped []byte // with the guard pages
}

// NewMemory allocates n bytes between pages that nothing may touch: an access of up to a page beyond the end, or
// before the beginning, is an error. They hold 0xff at first, which is NaN.
func NewMemory(n int) (*Memory, error) {
	nat, err := open()
	if err != nil {
		return nil, err
	}
	m := &Memory{native: nat}
	if m.mapped, m.bytes, err = guarded(n); err != nil {
		return nil, err
	}
	for i := range m.bytes {
		m.bytes[i] = 0xff
	}
	if n > 0 {
		nat.memory(nat.add, m.Pointer(), n)
	}
	return m, nil
}

// Bytes is the memory itself.
func (m *Memory) Bytes() []byte { return m.bytes }

// Pointer is its address.
func (m *Memory) Pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.bytes)) }

// Written tells the checking mode that the host has written bytes lo.. < hi, Unknown that what they hold no longer
// means anything.
func (m *Memory) Written(lo, hi int) { m.tell(m.native.written, lo, hi) }

// Unknown is the opposite of Written.
func (m *Memory) Unknown(lo, hi int) { m.tell(m.native.unknown, lo, hi) }

func (m *Memory) tell(f uintptr, lo, hi int) {
	if lo < hi && hi <= len(m.bytes) {
		m.native.memory(f, unsafe.Pointer(&m.bytes[lo]), hi-lo)
	}
}

// Free gives the memory back.
func (m *Memory) Free() {
	if m.mapped == nil {
		return
	}
	if len(m.bytes) > 0 {
		m.native.memory(m.native.remove, m.Pointer(), 0)
	}
	release(m.mapped)
	m.mapped, m.bytes = nil, nil
}
