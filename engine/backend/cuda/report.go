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
)

// reports are copies of a buffer after the last runs, in pinned memory, the oldest first.
type reports struct {
	mem   unsafe.Pointer
	size  int // of one
	typ   ir.DType
	done  [backend.Reports]cu.Event
	first int
	count int
}

// open makes room for reports of size bytes.
func (r *reports) open(size int, typ ir.DType) (err error) {
	if r.mem != nil && r.size == size {
		r.typ = typ
		return nil
	}
	if err := r.free(); err != nil {
		return err
	}
	r.size, r.typ = size, typ
	if r.mem, err = pinnedMemory(backend.Reports * size); err != nil {
		return err
	}
	for i := range r.done {
		if r.done[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	return nil
}

func (r *reports) free() (err error) {
	for i := range r.done {
		if r.done[i] != (cu.Event{}) {
			err = errors.Join(err, cu.DestroyEvent(&r.done[i]))
		}
	}
	if r.mem != nil {
		err = errors.Join(err, cu.MemFreeHost(r.mem))
	}
	*r = reports{}
	return err
}

// Report implements backend.Reporter.
func (x *executable) Report(b plan.BufID) error {
	if err := x.host("report", b); err != nil {
		return err
	}
	r, buf := &x.reports, &x.p.Buffers[b]
	if r.count == backend.Reports {
		return fmt.Errorf("%s: report of buffer %s: %d reports wait", x.d.name(), x.label(b), r.count)
	}
	if buf.Bytes() == 0 || r.count > 0 && (buf.Bytes() != r.size || buf.Type != r.typ) {
		return fmt.Errorf("%s: report of buffer %s: %d bytes of %v, want %d of %v as those that wait", x.d.name(),
			x.label(b), buf.Bytes(), buf.Type, r.size, r.typ)
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	if r.count == 0 {
		if err := r.open(buf.Bytes(), buf.Type); err != nil {
			return x.broke("making room for reports", err)
		}
	}
	i := (r.first + r.count) % backend.Reports
	err := cu.MemcpyDtoHAsync(unsafe.Add(r.mem, i*r.size), x.address(b), int64(r.size), x.stream)
	if err == nil {
		err = r.done[i].Record(x.stream)
	}
	r.count++
	return x.spoil("keeping buffer", b, err)
}

// NextReport implements backend.Reporter.
func (x *executable) NextReport(dst any) error {
	if err := x.usable(); err != nil {
		return err
	}
	r := &x.reports
	if r.count == 0 {
		return fmt.Errorf("%s: no report waits", x.d.name())
	}
	if t, n := ir.DataType(dst); t != r.typ || n*t.Size() != r.size {
		return fmt.Errorf("%s: a report into a %T of %d elements, want %v of %d bytes", x.d.name(), dst, n, r.typ, r.size)
	}
	if err := x.d.enter(); err != nil {
		return err
	}
	defer x.d.leave()
	i := r.first
	r.first, r.count = (i+1)%backend.Reports, r.count-1
	if err := r.done[i].Synchronize(); err != nil {
		return x.broke("the last runs", err)
	}
	copy(ir.Bytes(dst), unsafe.Slice((*byte)(unsafe.Add(r.mem, i*r.size)), r.size))
	return nil
}
