//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// SyncEnv names the variable that, if not empty, makes every run wait after each launch, so that an error names the
// kernel at fault.
const SyncEnv = "GODCEM_CUDA_SYNC"

// executable is a loaded program.
type executable struct {
	d        *device
	p        *plan.Program
	stream   cu.Stream
	arena    cu.DevicePtr
	counters cu.DevicePtr
	stage    stager
	reports  reports
	blas     *products // nil: no launch is a library's

	form         // what Run does
	single *form // what it does for a watch: a launch is of one step; nil: nobody has watched yet
	graphs []segment
	perRun int // graphs of launches among them

	image     staged   // of the small inputs
	bound     [][]byte // by buffer: an input's memory on the host
	binds     []plan.BufID
	counts    []count
	uncounted bool  // a run has counted since the counters were read
	careful   bool  // wait after each launch
	started   int64 // graphs

	err    error // the first of the driver in this program
	closed bool
}

var (
	_ backend.Executable = (*executable)(nil)
	_ backend.Binder     = (*executable)(nil)
	_ backend.Scratcher  = (*executable)(nil)
	_ backend.Remote     = (*executable)(nil)
	_ backend.Reporter   = (*executable)(nil)
	_ emit.Launcher      = (*executable)(nil)
)

// A form is a way to do the program.
type form struct {
	e        *emit.Program
	scratch  cu.DevicePtr
	launches []launch
	last     []int // by step: its last launch; -1: none
}

// A launch is a kernel with its arguments, or a step of the host.
type launch struct {
	*emit.Launch
	threads int
	fn      function
	params  []unsafe.Pointer // to values
	values  []uint64
	host    *hostStep
	product func() error // puts a library's product into the executable's stream
}

// A hostStep is a kernel of the host, with memory of its own there.
type hostStep struct {
	step int
	c    *plan.Custom
	out  any
	in   []any
}

// A segment is a part of a run that is one graph, or one step of the host.
type segment struct {
	first, end int // of launches
	graph      graph
	host       *hostStep
}

// A count is a counter and what of it was added to its sum.
type count struct {
	sum  *atomic.Int64
	seen int64
}

// load brings a program to the device.
func load(d *device, p *plan.Program) (loaded *executable, err error) {
	if err := d.refused(); err != nil {
		return nil, err
	}
	x := &executable{d: d, p: p, image: newImage(p), bound: make([][]byte, len(p.Buffers)), careful: os.Getenv(SyncEnv) != ""}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name(), err)
	}
	functions, err := x.form.emit(x, emit.Options{})
	if err != nil {
		return nil, err
	}
	for _, c := range x.e.Counts {
		sum, err := x.counter(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name(), err)
		}
		x.counts = append(x.counts, count{sum: sum})
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	defer func() {
		if err != nil {
			_ = x.free() // the error is the one before
		}
	}()
	if err := x.place(); err != nil {
		return nil, err
	}
	if err := x.form.prepare(x, functions); err != nil {
		return nil, err
	}
	if err := x.capture(); err != nil {
		return nil, err
	}
	if err := x.settle(); err != nil {
		return nil, d.fail("loading the program", err)
	}
	return x, nil
}

// check looks at the program's places.
func (x *executable) check() error {
	for i := range x.p.Buffers {
		b := &x.p.Buffers[i]
		if b.Offset < 0 || b.Offset%plan.Align != 0 || b.Bytes() < 0 || b.Offset+b.Bytes() > x.p.Arena {
			return fmt.Errorf("buffer %s: %d bytes at %d, want a multiple of %d within the arena's %d",
				x.label(plan.BufID(i)), b.Bytes(), b.Offset, plan.Align, x.p.Arena)
		}
	}
	return nil
}

// emit makes the form's launches, and its kernels.
func (f *form) emit(x *executable, o emit.Options) (functions []function, err error) {
	d := x.d
	o.SMs, o.Shared, o.Library = d.limits.sms, d.limits.shared, libraryFlops()
	if f.e, err = emit.New(x.p, o); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name(), err)
	}
	f.last = make([]int, len(x.p.Steps))
	for i := range f.last {
		f.last[i] = -1
	}
	for i := range f.e.Launches {
		l := &f.e.Launches[i]
		if l.Kernel >= 0 && (l.Blocks < 1 || l.Blocks > d.limits.blocks) {
			return nil, fmt.Errorf("%s: launch %s: %d blocks, want 1 to %d", d.name(), l.Name, l.Blocks, d.limits.blocks)
		}
		for _, s := range l.Steps {
			f.last[s] = i
		}
	}
	return d.resolve(f.e.Kernels)
}

// prepare gives the form its scratch memory, and the launches their arguments.
func (f *form) prepare(x *executable, functions []function) (err error) {
	what := fmt.Sprintf("kernels' scratch memory, %s,", size(int64(f.e.Scratch)))
	if f.scratch, err = x.d.allocate(f.e.Scratch, what); err != nil {
		return err
	}
	if f.e.Scratch > 0 {
		if err := cu.MemsetD8Async(f.scratch, 0, int64(f.e.Scratch), x.stream); err != nil {
			return x.d.fail("clearing scratch memory", err)
		}
	}
	f.launches = make([]launch, len(f.e.Launches))
	for i := range f.e.Launches {
		from, l := &f.e.Launches[i], &f.launches[i]
		l.Launch = from
		if from.Product != nil {
			if x.blas == nil {
				if x.blas, err = x.d.newProducts(x.stream); err != nil {
					return err
				}
			}
			if l.product, err = x.blas.launch(x, from.Product); err != nil {
				return fmt.Errorf("%s: launch %s: %w", x.d.name(), from.Name, err)
			}
			continue
		}
		if from.Kernel < 0 {
			l.host = x.onHost(from.Steps[0])
			continue
		}
		l.fn, l.threads = functions[from.Kernel], f.e.Kernels[from.Kernel].Threads
		l.values = make([]uint64, len(from.Args))
		l.params = make([]unsafe.Pointer, len(from.Args))
		for j, a := range from.Args {
			switch a.Kind {
			case emit.Buffer:
				l.values[j] = uint64(x.address(a.Buf)) + uint64(a.Offset)
			case emit.Scratch:
				l.values[j] = uint64(f.scratch) + uint64(a.Offset)
			case emit.Counter:
				l.values[j] = uint64(x.counters) + uint64(a.Offset)
			default:
				l.values[j] = a.Value
			}
			l.params[j] = unsafe.Pointer(&l.values[j])
		}
	}
	return nil
}

// watchable makes the form for a watch, the first time.
func (x *executable) watchable() (*form, error) {
	if x.single != nil {
		return x.single, nil
	}
	f := &form{}
	functions, err := f.emit(x, emit.Options{Disable: emit.Switches})
	if err != nil {
		return nil, err
	}
	if !slices.Equal(f.e.Counts, x.e.Counts) {
		return nil, fmt.Errorf("%s: step by step the program counts otherwise", x.d.name())
	}
	if err := f.prepare(x, functions); err != nil {
		return nil, err
	}
	x.single = f
	return f, nil
}

// counter finds the sum that a counter is added to.
func (x *executable) counter(c emit.Count) (*atomic.Int64, error) {
	custom := x.p.Steps[c.Step].Custom
	if custom == nil {
		return nil, fmt.Errorf("step %s counts and is no kernel", x.p.Steps[c.Step].Name)
	}
	s, ok := custom.Kernel.(ir.Sourcer)
	if !ok {
		return nil, fmt.Errorf("step %s counts and has no source", x.p.Steps[c.Step].Name)
	}
	in := make([]int, len(custom.In))
	for i, b := range custom.In {
		in[i] = x.p.Buffers[b].Count()
	}
	src := s.Source(x.p.Buffers[custom.Out].Count(), in)
	if src == nil || c.Index < 0 || c.Index >= len(src.Counts) {
		return nil, fmt.Errorf("step %s has no counter %d", x.p.Steps[c.Step].Name, c.Index)
	}
	return src.Counts[c.Index], nil
}

// place makes the stream and the memory, with constants and zeros.
func (x *executable) place() (err error) {
	d := x.d
	if x.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return d.fail("making a stream", err)
	}
	what := fmt.Sprintf("the program's arena, %s,", size(int64(x.p.Arena)))
	if x.arena, err = d.allocate(x.p.Arena, what); err != nil {
		return err
	}
	if x.counters, err = d.allocate(8*len(x.counts), "counters"); err != nil {
		return err
	}
	if x.stage, err = newStager(d, x.p, len(x.counts)); err != nil {
		return err
	}
	zero := func(at cu.DevicePtr, n int) {
		if err == nil && n > 0 {
			err = cu.MemsetD8Async(at, 0, int64(n), x.stream)
		}
	}
	zero(x.counters, 8*len(x.counts))
	for i := range x.p.Buffers {
		b, id := &x.p.Buffers[i], plan.BufID(i)
		switch b.Role {
		case plan.State:
			zero(x.address(id), b.Bytes())
		case plan.Const:
			data, e := x.checked("constant", id, b.Data)
			if e != nil {
				return e
			}
			if err == nil {
				err = x.stage.up(x.stream, x.address(id), data)
			}
		}
	}
	return d.fail("writing constants", err)
}

func (x *executable) onHost(step int) *hostStep {
	h := &hostStep{step: step, c: x.p.Steps[step].Custom}
	slice := func(b plan.BufID) any { return ir.MakeSlice(x.p.Buffers[b].Type, x.p.Buffers[b].Count()) }
	for _, b := range h.c.In {
		h.in = append(h.in, slice(b))
	}
	h.out = slice(h.c.Out)
	return h
}

// capture makes the graphs.
func (x *executable) capture() error {
	for i := 0; i < len(x.launches); {
		s := segment{first: i, host: x.launches[i].host}
		for i++; s.host == nil && i < len(x.launches) && x.launches[i].host == nil; i++ {
		}
		s.end = i
		x.graphs = append(x.graphs, s)
		if s.host == nil {
			x.perRun++
		}
	}
	for i := range x.graphs {
		s := &x.graphs[i]
		if s.host != nil {
			continue
		}
		var err error
		s.graph, err = capture(x.stream, func() error {
			for k := s.first; k < s.end; k++ {
				if err := x.launches[k].put(x.stream); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = s.graph.upload(x.stream)
		}
		if err != nil {
			doing := fmt.Sprintf("making a graph of %d launches, %s to %s", s.end-s.first, x.launches[s.first].Name,
				x.launches[s.end-1].Name)
			return x.d.noRoom(0, "graphs", x.d.fail(doing, err))
		}
	}
	return nil
}

// put puts the launch into a stream.
func (l *launch) put(stream cu.Stream) error {
	if l.product != nil {
		if err := l.product(); err != nil {
			return fmt.Errorf("launch %s: %w", l.Name, err)
		}
		return nil
	}
	if err := l.fn.fn.Launch(l.Blocks, 1, 1, l.threads, 1, 1, 0, stream, l.params); err != nil {
		return fmt.Errorf("launch %s: %w", l.Name, known(err))
	}
	return nil
}

// Launches implements emit.Launcher.
func (x *executable) Launches() (p *emit.Program, graphs int) {
	return x.e, x.perRun
}

// Scratch implements backend.Scratcher.
func (x *executable) Scratch() int64 { return int64(x.e.Scratch + 8*len(x.counts)) }

// Close implements backend.Executable.
func (x *executable) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	if err := x.d.enter(); err != nil {
		x.d.released()
		if x.d.broken.Load() != nil {
			return nil
		}
		return err
	}
	defer x.d.leave()
	defer x.d.released()
	err := x.free()
	if err == nil || x.d.broken.Load() != nil {
		return nil
	}
	return x.d.fail("unloading a program", err)
}

// free gives everything back, as far as there is something. Of a lost device too: the host's memory, at least.
func (x *executable) free() error {
	var errs []error
	if x.stream != (cu.Stream{}) {
		if x.err == nil {
			errs = append(errs, x.stream.Synchronize())
		}
		for i := range x.graphs {
			errs = append(errs, x.graphs[i].graph.destroy())
		}
		errs = append(errs, x.blas.free(), x.stream.Destroy())
	}
	errs = append(errs, x.stage.free(), x.reports.free())
	places := []cu.DevicePtr{x.arena, x.scratch, x.counters}
	if x.single != nil {
		places = append(places, x.single.scratch)
	}
	for _, at := range places {
		if at != 0 {
			errs = append(errs, cu.MemFree(at))
		}
	}
	x.blas = nil
	x.graphs, x.form, x.single, x.bound = nil, form{e: x.e}, nil, nil
	return errors.Join(errs...)
}
