//go:build gpu

package cuda

import (
	"bytes"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

var _ backend.Gatherer = (*executable)(nil)

// smallInput is the size in bytes up to which an input is put into the image.
const smallInput = 16 << 10

// A staged is an image of what the host wants the small inputs to hold. They lie next to each other in the arena, so that those
// that have changed, and what lies between them, are one copy.
type staged struct {
	mem   []byte
	parts []part // in the order of the arena
	of    []int  // by buffer: its part; -1: it has none
	dirty bool   // a part is
}

// A part is an input's.
type part struct {
	buf    plan.BufID
	place  int  // in the arena
	at, n  int  // bytes of the image
	joined bool // it lies behind the part before it in the arena as it does in the image
	known  bool // dirty, or what the device has
	dirty  bool // to be copied
}

// newImage makes the image of a program's inputs. One that a step writes has no part in it.
func newImage(p *plan.Program) staged {
	m := staged{of: make([]int, len(p.Buffers))}
	written := make([]bool, len(p.Buffers))
	for i := range p.Steps {
		for _, b := range p.Steps[i].Writes {
			written[b] = true
		}
	}
	for i := range p.Buffers { // the arena has the inputs in the order of their numbers
		b := &p.Buffers[i]
		m.of[i] = -1
		if n := b.Bytes(); b.Role == plan.Input && b.Over < 0 && n > 0 && n <= smallInput && !written[i] {
			q := part{buf: plan.BufID(i), place: b.Offset, at: len(m.mem), n: n}
			if k := len(m.parts) - 1; k >= 0 {
				q.joined = q.place-m.parts[k].place == q.at-m.parts[k].at
			}
			m.of[i] = len(m.parts)
			m.parts = append(m.parts, q)
			m.mem = append(m.mem, make([]byte, (n+plan.Align-1)/plan.Align*plan.Align)...)
		}
	}
	return m
}

// set notes what an input is to hold; false: it is not of the image.
func (m *staged) set(b plan.BufID, src []byte) bool {
	if m.of[b] < 0 {
		return false
	}
	q := &m.parts[m.of[b]]
	mem := m.mem[q.at : q.at+q.n]
	if q.known && bytes.Equal(mem, src) {
		return true
	}
	copy(mem, src)
	q.known, q.dirty, m.dirty = true, true, true
	return true
}

// forget notes that the device has something else in an input.
func (m *staged) forget(b plan.BufID) {
	if m.of[b] >= 0 {
		q := &m.parts[m.of[b]]
		q.known, q.dirty = false, false
	}
}

// next is the bytes of the image from the first changed part to the last that one copy reaches, and where they go.
func (m *staged) next() (src []byte, place int) {
	for i := range m.parts {
		if !m.parts[i].dirty {
			continue
		}
		last := i
		for k := i; k < len(m.parts) && (k == i || m.parts[k].joined && m.parts[k].known); k++ {
			if m.parts[k].dirty {
				m.parts[k].dirty, last = false, k
			}
		}
		return m.mem[m.parts[i].at : m.parts[last].at+m.parts[last].n], m.parts[i].place
	}
	m.dirty = false
	return nil, 0
}

// flush puts what has changed of the image into the stream. The device must have been entered.
func (x *executable) flush() error {
	for x.image.dirty {
		src, place := x.image.next()
		if err := x.stage.up(x.stream, x.arena+cu.DevicePtr(place), src); err != nil {
			return x.broke("copying inputs", err)
		}
	}
	return nil
}

// feed copies what is bound, and what was written to small inputs.
func (x *executable) feed() error {
	for _, b := range x.binds {
		if x.image.set(b, x.bound[b]) {
			continue
		}
		if err := x.stage.up(x.stream, x.address(b), x.bound[b]); err != nil {
			return x.broke("copying to buffer "+x.label(b), err)
		}
	}
	return x.flush()
}

// Gather implements backend.Gatherer: as far as the pinned memory has room for, there is one wait.
func (x *executable) Gather(bufs []plan.BufID, dsts []any) error {
	if len(bufs) != len(dsts) {
		return fmt.Errorf("%s: %d slices for %d buffers", x.d.name(), len(dsts), len(bufs))
	}
	for i, b := range bufs {
		if err := x.host("read", b); err != nil {
			return err
		}
		if _, err := x.checked("read", b, dsts[i]); err != nil {
			return err
		}
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if err := x.flush(); err != nil {
		return err
	}
	first, at := 0, 0 // of those on their way, and how much of the pinned memory they take
	for i, b := range bufs {
		dst := ir.Bytes(dsts[i])
		n := (len(dst) + plan.Align - 1) / plan.Align * plan.Align
		if at+n > x.stage.backSize {
			if err := x.gathered(bufs[first:i], dsts[first:i]); err != nil {
				return err
			}
			first, at = i, 0
		}
		if bound := x.bound[b]; bound != nil || n > x.stage.backSize {
			// What is on its way is taken before the pinned memory is used for another thing.
			if err := x.gathered(bufs[first:i], dsts[first:i]); err != nil {
				return err
			}
			first, at = i+1, 0
			if bound != nil {
				vec.Copy(dst, bound)
			} else if err := x.down(dst, x.address(b)); err != nil {
				return x.spoil("reading buffer", b, err)
			}
			continue
		}
		if n > 0 {
			err := cu.MemcpyDtoHAsync(unsafe.Add(x.stage.back, at), x.address(b), int64(len(dst)), x.stream)
			if err != nil {
				return x.spoil("reading buffer", b, err)
			}
		}
		at += n
	}
	return x.gathered(bufs[first:], dsts[first:])
}

// gathered waits for buffers that are on their way, and copies them out of the pinned memory.
func (x *executable) gathered(bufs []plan.BufID, dsts []any) error {
	if len(bufs) == 0 {
		return nil
	}
	if err := x.settle(); err != nil {
		return x.spoil("reading buffer", bufs[0], err)
	}
	at := 0
	for i := range bufs {
		dst := ir.Bytes(dsts[i])
		copy(dst, unsafe.Slice((*byte)(unsafe.Add(x.stage.back, at)), len(dst)))
		at += (len(dst) + plan.Align - 1) / plan.Align * plan.Align
	}
	return nil
}
