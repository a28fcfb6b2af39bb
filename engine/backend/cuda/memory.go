//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// noRoom adds to an error that the device's memory is short what was needed and what there is.
func (d *device) noRoom(need int64, what string, err error) error {
	if !errors.Is(err, outOfMemory) {
		return err
	}
	free, total, e := cu.MemInfo()
	if e != nil {
		return fmt.Errorf("%w: %s need %s", err, what, size(need))
	}
	return fmt.Errorf("%w: %s need %s, %s are free of %s: use a smaller batch, engine.MemoryBudget, or another device",
		err, what, size(need), size(free), size(total))
}

// size is a number of bytes for people, with the exact one.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MiB (%d bytes)", float64(n)/(1<<20), n)
}

// allocate is cu.MemAlloc, of a byte at least. The context must be current.
func (d *device) allocate(n int, what string) (cu.DevicePtr, error) {
	at, err := cu.MemAlloc(int64(max(n, 1)))
	if err != nil {
		return 0, d.noRoom(int64(n), what, d.fail("allocating memory", err))
	}
	return at, nil
}

// A stager is pinned memory through which bytes pass. What goes to the device goes through two halves in turn: one is
// filled again when the copies out of it are done. What comes back goes through a part of its own.
type stager struct {
	mem  unsafe.Pointer // of the whole
	half [2]struct {
		done    cu.Event
		pending bool // done was recorded, and nobody has waited for it
	}
	size     int // of a half
	cur, at  int // the half that is being filled, and how far
	back     unsafe.Pointer
	backSize int
	counters unsafe.Pointer
}

const (
	leastStage = 64 << 10
	mostStage  = 16 << 20
)

// stageSize is the size of a part of the stager for that many bytes at once.
func stageSize(n int) int {
	return max(leastStage, min((n+plan.Align-1)/plan.Align*plan.Align, mostStage))
}

// newStager makes a stager for a program: all inputs fit a half, and all outputs the way back, where they are not too
// large; then they go in pieces.
func newStager(d *device, p *plan.Program, counters int) (s stager, err error) {
	in, out := 0, 0
	for i := range p.Buffers {
		switch b := &p.Buffers[i]; b.Role {
		case plan.Input:
			in += (b.Bytes() + plan.Align - 1) / plan.Align * plan.Align
		case plan.Output:
			out += (b.Bytes() + plan.Align - 1) / plan.Align * plan.Align
		}
	}
	s.size, s.backSize = stageSize(in), stageSize(out)
	all := 2*s.size + s.backSize + 8*counters
	if s.mem, err = pinnedMemory(all); err != nil {
		return s, d.fail(fmt.Sprintf("allocating %s of pinned memory of the host", size(int64(all))), err)
	}
	s.back = unsafe.Add(s.mem, 2*s.size)
	s.counters = unsafe.Add(s.back, s.backSize)
	for i := range s.half {
		if s.half[i].done, err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return s, d.fail("making an event", err)
		}
	}
	return s, nil
}

func (s *stager) free() (err error) {
	for i := range s.half {
		if s.half[i].done != (cu.Event{}) {
			err = errors.Join(err, cu.DestroyEvent(&s.half[i].done))
		}
	}
	if s.mem != nil {
		err = errors.Join(err, cu.MemFreeHost(s.mem))
	}
	*s = stager{}
	return err
}

// up puts a copy of src to the device into the stream. It returns when src may be changed.
func (s *stager) up(stream cu.Stream, to cu.DevicePtr, src []byte) error {
	for len(src) > 0 {
		if s.at > 0 && s.at+min(len(src), s.size) > s.size {
			if err := s.turn(stream); err != nil {
				return err
			}
		}
		n := min(len(src), s.size)
		at := unsafe.Add(s.mem, s.cur*s.size+s.at)
		vec.Copy(unsafe.Slice((*byte)(at), n), src[:n])
		if err := cu.MemcpyHtoDAsync(to, at, int64(n), stream); err != nil {
			return err
		}
		s.at += (n + plan.Align - 1) / plan.Align * plan.Align
		to, src = to+cu.DevicePtr(n), src[n:]
	}
	return nil
}

// turn goes on to the other half, when its copies are done.
func (s *stager) turn(stream cu.Stream) error {
	old := &s.half[s.cur]
	if err := old.done.Record(stream); err != nil {
		return err
	}
	old.pending = true
	s.cur, s.at = 1-s.cur, 0
	if h := &s.half[s.cur]; h.pending {
		h.pending = false
		return h.done.Synchronize()
	}
	return nil
}

// settled notes that all that was in the stream is done.
func (s *stager) settled() {
	s.at = 0
	s.half[0].pending, s.half[1].pending = false, false
}

// checked is the memory of the host's data for a buffer.
func (x *executable) checked(what string, b plan.BufID, data any) ([]byte, error) {
	want := &x.p.Buffers[b]
	if t, n := ir.DataType(data); t != want.Type || n != want.Count() {
		return nil, fmt.Errorf("%s: %s of buffer %s with a %T of %d elements, want %d of %v (shape %v)",
			x.d.name(), what, x.label(b), data, n, want.Count(), want.Type, want.Shape)
	}
	return ir.Bytes(data), nil
}

// label is how messages call a buffer: its number and the node whose value it is.
func (x *executable) label(b plan.BufID) string {
	n := x.p.Buffers[b].Node
	if x.p.Graph == nil || n < 0 || int(n) >= len(x.p.Graph.Nodes) {
		return fmt.Sprint(b)
	}
	return fmt.Sprintf("%d of %s", b, x.p.Graph.Label(n))
}

// host checks what the host wants of a buffer.
func (x *executable) host(what string, b plan.BufID) error {
	if err := x.usable(); err != nil {
		return err
	}
	if b < 0 || int(b) >= len(x.p.Buffers) {
		return fmt.Errorf("%s: %s of buffer %d, want one of %d", x.d.name(), what, b, len(x.p.Buffers))
	}
	if x.p.Buffers[b].Role == plan.Temp {
		return fmt.Errorf("%s: %s of buffer %s, which no run leaves behind", x.d.name(), what, x.label(b))
	}
	return nil
}

// address is where a buffer lies.
func (x *executable) address(b plan.BufID) cu.DevicePtr {
	return x.arena + cu.DevicePtr(x.p.Buffers[b].Offset)
}

// Write implements backend.Executable. It returns when src may be changed; the copy takes its turn in the stream, that of
// a small input when something needs it.
func (x *executable) Write(b plan.BufID, src any) error {
	if err := x.host("write", b); err != nil {
		return err
	}
	mem, err := x.checked("write", b, src)
	if err != nil {
		return err
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	x.unbind(b)
	if x.image.set(b, mem) {
		return nil
	}
	return x.spoil("copying to buffer", b, x.stage.up(x.stream, x.address(b), mem))
}

// spoil makes an error of the driver the executable's: later calls are refused with it.
func (x *executable) spoil(doing string, b plan.BufID, err error) error {
	if err == nil {
		return nil
	}
	return x.broke(doing+" "+x.label(b), err)
}

// Read implements backend.Executable: it waits for the last Run.
func (x *executable) Read(b plan.BufID, dst any) error {
	if err := x.host("read", b); err != nil {
		return err
	}
	mem, err := x.checked("read", b, dst)
	if err != nil {
		return err
	}
	if bound := x.bound[b]; bound != nil {
		vec.Copy(mem, bound)
		return nil
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if err := x.flush(); err != nil {
		return err
	}
	return x.spoil("reading buffer", b, x.down(mem, x.address(b)))
}

// down copies from the device, after all that is in the stream.
func (x *executable) down(dst []byte, from cu.DevicePtr) error {
	for len(dst) > 0 {
		n := min(len(dst), x.stage.backSize)
		if err := cu.MemcpyDtoHAsync(x.stage.back, from, int64(n), x.stream); err != nil {
			return err
		}
		if err := x.settle(); err != nil {
			return err
		}
		vec.Copy(dst[:n], unsafe.Slice((*byte)(x.stage.back), n))
		from, dst = from+cu.DevicePtr(n), dst[n:]
	}
	return nil
}

// settle waits for the stream, and takes the counters along.
func (x *executable) settle() error {
	count := x.uncounted && len(x.counts) > 0
	if count {
		if err := cu.MemcpyDtoHAsync(x.stage.counters, x.counters, int64(8*len(x.counts)), x.stream); err != nil {
			return err
		}
	}
	if err := x.stream.Synchronize(); err != nil {
		return err
	}
	x.stage.settled()
	if count {
		x.uncounted = false
		for i, now := range unsafe.Slice((*int64)(x.stage.counters), len(x.counts)) {
			c := &x.counts[i]
			c.sum.Add(now - c.seen)
			c.seen = now
		}
	}
	return nil
}

// Memory implements backend.Executable: the host can address nothing.
func (x *executable) Memory(plan.BufID) any { return nil }

// Bind implements backend.Binder: every run copies the bound memory to the device, which saves a copy on the host.
func (x *executable) Bind(b plan.BufID, mem []byte) bool {
	if x.usable() != nil || b < 0 || int(b) >= len(x.p.Buffers) {
		return false
	}
	buf := &x.p.Buffers[b]
	if mem == nil || buf.Role != plan.Input || buf.Bytes() == 0 || len(mem) != buf.Bytes() {
		x.unbind(b)
		return false
	}
	if x.bound[b] == nil {
		x.binds = append(x.binds, b)
	}
	x.bound[b] = mem
	return true
}

func (x *executable) unbind(b plan.BufID) {
	if x.bound[b] == nil {
		return
	}
	x.bound[b] = nil
	for i, other := range x.binds {
		if other == b {
			x.binds = append(x.binds[:i], x.binds[i+1:]...)
			return
		}
	}
}

// Address implements backend.Remote.
func (x *executable) Address(b plan.BufID) uintptr {
	if x.host("address", b) != nil {
		return 0
	}
	return uintptr(x.address(b))
}

// within wants n bytes at an address to be of the arena.
func (x *executable) within(at uintptr, n int) error {
	if err := x.usable(); err != nil {
		return err
	}
	if lo := uintptr(x.arena); at < lo || at-lo > uintptr(x.p.Arena) || n > x.p.Arena-int(at-lo) {
		return fmt.Errorf("%s: %d bytes at %#x are not the program's", x.d.name(), n, at)
	}
	return nil
}

// Fetch implements backend.Remote.
func (x *executable) Fetch(dst []byte, from uintptr) error {
	if err := x.within(from, len(dst)); err != nil {
		return err
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if err := x.flush(); err != nil {
		return err
	}
	if err := x.down(dst, cu.DevicePtr(from)); err != nil {
		return x.broke("copying from the device", err)
	}
	return nil
}

// Take implements backend.Remote.
func (x *executable) Take(b plan.BufID, other backend.Executable, from uintptr) (bool, error) {
	o, ok := other.(*executable)
	if !ok || o.d.ordinal != x.d.ordinal {
		return false, nil
	}
	if err := x.host("write", b); err != nil {
		return true, err
	}
	n := x.p.Buffers[b].Bytes()
	if err := o.within(from, n); err != nil {
		return true, err
	}
	if o != x {
		if err := o.Sync(); err != nil {
			return true, err
		}
	}
	if err := x.d.enter(); err != nil {
		return true, err
	}
	defer x.d.leave()
	x.unbind(b)
	if err := x.flush(); err != nil { // of what is copied, and of b, which is not to be overwritten later
		return true, err
	}
	x.image.forget(b)
	err := cu.MemcpyDtoDAsync(x.address(b), cu.DevicePtr(from), int64(n), x.stream)
	if err == nil && o != x {
		err = x.settle() // its next run may change what is copied
	}
	return true, x.spoil("copying on the device to buffer", b, err)
}
