//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/cudaprobe"
	"github.com/godcem/godcem/internal/nvrtc"
)

// A device is a GPU's primary context, and the kernels that were loaded into it.
type device struct {
	ordinal int
	dev     cu.Device
	ctx     cu.CUContext
	info    backend.Info
	limits  limits
	driver  int // version, 12040 is 12.4
	broken  atomic.Pointer[broken]

	mu        sync.Mutex
	library   *nvrtc.Library
	functions map[string]function // by the kernels' names
	modules   []cu.Module
	programs  int // loaded
	closed    bool
}

// limits are what the device can do.
type limits struct {
	capability int // 75 is 7.5
	sms        int
	threads    int // of a block
	shared     int // static bytes of a block
	blocks     int // of a grid
}

var (
	_ backend.Device = (*device)(nil)
	_ backend.Tuner  = (*device)(nil)
)

// Count is the number of GPUs that the driver shows.
func Count() (int, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return 0, fmt.Errorf("cuda: counting devices: %w", known(err))
	}
	return n, nil
}

// Describe says what a GPU is, by its number, without making a context on it. Of one that godcem does not run on there
// is an error too, beside what is known.
func Describe(ordinal int) (backend.Info, error) {
	d, err := find(ordinal)
	if d == nil {
		return backend.Info{}, err
	}
	return d.info, err
}

// New opens a GPU by its number, from 0. It has the driver's order, which the variable CUDA_VISIBLE_DEVICES changes.
//
// After an error that ended the context, of a kernel for example, CUDA promises nothing to the process; to open the device
// again is an attempt, and an error says so.
func New(ordinal int) (backend.Device, error) {
	d, err := find(ordinal)
	if err != nil {
		return nil, again(err)
	}
	if d.ctx, err = d.dev.RetainPrimaryCtx(); err != nil {
		return nil, again(d.fail("making a context", err))
	}
	if earlier.Load() != nil {
		if err := d.answers(); err != nil {
			_ = d.dev.ReleasePrimaryCtx() // the error is the news
			return nil, again(err)
		}
	}
	return d, nil
}

// answers reports whether the device does what it is told, in a process in which one has not.
func (d *device) answers() error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	return d.fail("waiting for it", cu.Synchronize())
}

// find describes a GPU. The error is why it cannot be used.
func find(ordinal int) (*device, error) {
	n, err := Count()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("cuda: the driver shows no GPU: see `nvidia-smi`, and whether CUDA_VISIBLE_DEVICES hides them")
	}
	if ordinal < 0 || ordinal >= n {
		return nil, fmt.Errorf("cuda: device %d, want one of 0 to %d: the driver shows %d", ordinal, n-1, n)
	}
	d := &device{ordinal: ordinal, driver: cu.Version(), functions: map[string]function{}}
	if d.driver < cudaprobe.MinDriver {
		return nil, fmt.Errorf("cuda: the driver is for CUDA %s, want %s or later: update it",
			cudaprobe.Version(d.driver), cudaprobe.Version(cudaprobe.MinDriver))
	}
	if d.dev, err = cu.GetDevice(ordinal); err != nil {
		return nil, d.fail("opening the device", err)
	}
	return d, d.describe()
}

// describe asks the driver what the device is.
func (d *device) describe() error {
	model, err := d.dev.Name()
	if err != nil {
		return d.fail("asking its name", err)
	}
	memory, err := d.dev.TotalMem()
	if err != nil {
		return d.fail("asking its memory", err)
	}
	var major, minor int
	l := &d.limits
	for _, a := range []struct {
		of   cu.DeviceAttribute
		into *int
	}{
		{cu.ComputeCapabilityMajor, &major}, {cu.ComputeCapabilityMinor, &minor}, {cu.MultiprocessorCount, &l.sms},
		{cu.MaxThreadsPerBlock, &l.threads}, {cu.MaxSharedMemoryPerBlock, &l.shared}, {cu.MaxGridDimX, &l.blocks},
	} {
		if *a.into, err = d.dev.Attribute(a.of); err != nil {
			return d.fail(fmt.Sprintf("asking its attribute %d", a.of), err)
		}
	}
	l.capability = 10*major + minor
	d.info = backend.Info{Name: d.name(), Model: model, Memory: memory, Compute: fmt.Sprintf("%d.%d", major, minor),
		Detail: fmt.Sprintf("compute capability %d.%d, %d multiprocessors, driver for CUDA %d.%d", major, minor, l.sms,
			d.driver/1000, d.driver%1000/10)}
	if l.capability < cudaprobe.MinCompute {
		return fmt.Errorf("%s: %s has compute capability %d.%d, want at least %d.%d", d.name(), model, major, minor,
			cudaprobe.MinCompute/10, cudaprobe.MinCompute%10)
	}
	return nil
}

func (d *device) name() string { return fmt.Sprintf("cuda:%d", d.ordinal) }

// Info implements backend.Device.
func (d *device) Info() backend.Info { return d.info }

// enter makes the context current on the goroutine's thread, until leave. It does not allocate.
func (d *device) enter() error {
	runtime.LockOSThread()
	if err := cu.PushCurrentCtx(d.ctx); err != nil {
		runtime.UnlockOSThread()
		return d.fail("making its context current", err)
	}
	return nil
}

// leave gives the thread back as it was. What was done is done or has its error: this one says nothing new.
func (d *device) leave() {
	popContext()
	runtime.UnlockOSThread()
}

// Tune implements backend.Tuner: neighbouring steps can share a kernel.
func (d *device) Tune(o *plan.Options) { o.Slack = emit.Slack }

// Compile implements backend.Device.
func (d *device) Compile(p *plan.Program) (backend.Executable, error) {
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.programs++
	}
	d.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("%s: the device is closed", d.name())
	}
	x, err := d.load(p)
	if err != nil {
		d.released()
		return nil, err
	}
	return x, nil
}

// load is load without panics, of what writes kernels for example.
func (d *device) load(p *plan.Program) (x *executable, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: compile: panic: %v\n%s", d.name(), r, debug.Stack())
		}
	}()
	return load(d, p)
}

// released notes that a program has gone.
func (d *device) released() {
	d.mu.Lock()
	d.programs--
	d.mu.Unlock()
}

// Close implements backend.Device. It is an error to close it before the programs on it.
func (d *device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	if d.programs > 0 {
		return fmt.Errorf("%s: close: %d programs are still loaded: close the VMs first", d.name(), d.programs)
	}
	d.closed = true
	var err error
	if e := d.enter(); e == nil {
		for _, m := range d.modules {
			if e := m.Unload(); e != nil && d.broken.Load() == nil {
				err = errors.Join(err, d.fail("unloading kernels", e))
			}
		}
		d.leave()
	} else if d.broken.Load() == nil {
		err = e
	}
	d.modules, d.functions = nil, nil
	if e := d.dev.ReleasePrimaryCtx(); e != nil && d.broken.Load() == nil {
		err = errors.Join(err, d.fail("releasing its context", e))
	}
	return err
}
