//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/godcem/godcem/engine/backend"
)

// A failure is an error of the driver in what was being done, with what can be done about it.
type failure struct {
	device string
	doing  string
	cause  error
	advice string
	kind   error // backend.ErrOutOfMemory, backend.ErrDeviceLost; nil: neither
}

func (f *failure) Error() string {
	s := fmt.Sprintf("%s: %s: %v", f.device, f.doing, f.cause)
	if f.advice != "" {
		s += ": " + f.advice
	}
	return s
}

func (f *failure) Unwrap() []error {
	if f.kind == nil {
		return []error{f.cause}
	}
	return []error{f.kind, f.cause}
}

// fail wraps an error of the driver. If it ends the context, all later calls on the device will be refused with it.
func (d *device) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	f := &failure{device: d.name(), doing: doing, cause: known(err)}
	var s status
	if !errors.As(f.cause, &s) {
		return f
	}
	switch {
	case s == outOfMemory:
		f.kind = backend.ErrOutOfMemory
	case kernelFaults[s]:
		f.kind = backend.ErrDeviceLost
		f.advice = "a kernel of this process did what it must not do, and CUDA promises nothing to a process after that: end " +
			"it, and resume from the last checkpoint; GODCEM_CUDA_SYNC=1 names the kernel, compute-sanitizer the access"
	case lasting[s]:
		f.kind = backend.ErrDeviceLost
		f.advice = "the device is lost to this process: end it, and resume from the last checkpoint; if the device does not " +
			"open then either, look at nvidia-smi and at the system's log (dmesg, Xid)"
	default:
		f.advice = advice[s]
	}
	if lasting[s] {
		d.broken.CompareAndSwap(nil, &broken{f})
		earlier.CompareAndSwap(nil, &broken{f})
	}
	return f
}

// A broken is the first error that ended the context.
type broken struct{ err error }

// earlier is the first error in the process that ended a context.
var earlier atomic.Pointer[broken]

// again adds to an error of opening a device what went before it.
func again(err error) error {
	if b := earlier.Load(); b != nil && err != nil {
		return fmt.Errorf("%w; opening a device after an earlier error in the same process is an attempt only: end the "+
			"process, and resume from the last checkpoint; the earlier error: %w", err, b.err)
	}
	return err
}

// refused is the error of every call after one that ended the context.
func (d *device) refused() error {
	if b := d.broken.Load(); b != nil {
		return fmt.Errorf("%s: refused after an earlier error: %w", d.name(), b.err)
	}
	return nil
}
