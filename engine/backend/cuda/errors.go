//go:build gpu

package cuda

import (
	"errors"
	"fmt"

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
	case s == noBinary || s == invalidImage:
		f.advice = "the driver cannot run what NVRTC compiled: update the driver, or use an NVRTC of its CUDA version " +
			"(see `godcem doctor`)"
	case kernelFaults[s]:
		f.kind = backend.ErrDeviceLost
		f.advice = "a kernel of this program or of another on the device did what it must not do; close the VMs and the " +
			"device and open it again; run under compute-sanitizer to find the kernel"
	case lasting[s]:
		f.kind = backend.ErrDeviceLost
		f.advice = "the device is lost to this process; close the VMs and the device and open it again, and if that fails " +
			"look at nvidia-smi and at the system's log (dmesg, Xid)"
	}
	if lasting[s] {
		d.broken.CompareAndSwap(nil, &broken{f})
	}
	return f
}

// A broken is the first error that ended the context.
type broken struct{ err error }

// refused is the error of every call after one that ended the context.
func (d *device) refused() error {
	if b := d.broken.Load(); b != nil {
		return fmt.Errorf("%s: refused after an earlier error: %w", d.name(), b.err)
	}
	return nil
}
