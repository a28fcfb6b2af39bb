// Package emulated is a device for tests that runs emitted CUDA C on the CPU (see internal/simcuda): it proves what
// engine/emit writes where there is neither a GPU nor a driver. It is slow. With GODCEM_SIM_SOURCE=1 the error of a
// kernel shows its source.
package emulated

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda"
)

// Options say how to emulate.
type Options struct {
	Emit emit.Options
	// Seed chooses the orders of blocks and threads, which differ from launch to launch.
	Seed uint64
}

// New returns the device, or an error that wraps simcuda.ErrUnavailable where there is no C++ compiler.
func New() (backend.Device, error) { return NewWith(Options{}) }

// NewWith returns the device with options.
func NewWith(o Options) (backend.Device, error) {
	if err := simcuda.Available(); err != nil {
		return nil, fmt.Errorf("emulated: %w", err)
	}
	return &device{o}, nil
}

type device struct{ o Options }

// Info implements backend.Device.
func (d *device) Info() backend.Info {
	return backend.Info{Name: "emulated", Model: "CUDA C on the CPU", Threads: 1, Detail: "fibers"}
}

// Tune implements backend.Tuner.
func (d *device) Tune(o *plan.Options) { o.Slack = emit.Slack }

// Close implements backend.Device.
func (d *device) Close() error { return nil }

// Compile implements backend.Device.
func (d *device) Compile(p *plan.Program) (backend.Executable, error) {
	if p == nil {
		return nil, errors.New("emulated: Compile: no program")
	}
	x := &executable{p: p, seed: d.o.Seed}
	if err := x.compile(d.o); err != nil {
		return nil, errors.Join(fmt.Errorf("emulated: %w", err), x.Close())
	}
	return x, nil
}

// executable is a loaded program.
type executable struct {
	p        *plan.Program
	e        *emit.Program
	launches []launch
	// arena, scratch and counters are the device's memory.
	arena, scratch, counters *simcuda.Memory
	counts                   []count
	seed, runs               uint64
	closed                   bool
}

// A launch is what Run does, one after the other.
type launch struct {
	name    string
	kernel  *simcuda.Kernel
	blocks  int
	threads int
	args    []uint64
	host    func() error
	steps   []int
	ends    int      // after it, all steps below are done
	begins  [][2]int // bytes of the arena where values begin, which nobody may read before they are written
}

var (
	_ backend.Remote    = (*executable)(nil)
	_ backend.Scratcher = (*executable)(nil)
	_ emit.Launcher     = (*executable)(nil)
)

var errClosed = errors.New("emulated: the executable is closed")

func (x *executable) compile(o Options) (err error) {
	p := x.p
	if x.e, err = emit.New(p, o.Emit); err != nil {
		return err
	}
	if x.arena, err = simcuda.NewMemory(p.Arena); err != nil {
		return err
	}
	if x.scratch, err = zeroed(x.e.Scratch); err != nil {
		return err
	}
	if x.counters, err = zeroed(8 * len(x.e.Counts)); err != nil {
		return err
	}
	if err := x.fill(); err != nil {
		return err
	}
	if err := x.load(); err != nil {
		return err
	}
	x.finishLaunches()
	return nil
}

func zeroed(n int) (*simcuda.Memory, error) {
	m, err := simcuda.NewMemory(n)
	if err == nil {
		clear(m.Bytes())
		m.Written(0, n)
	}
	return m, err
}

// fill writes constants and zeros.
func (x *executable) fill() error {
	for i := range x.p.Buffers {
		b, id := &x.p.Buffers[i], plan.BufID(i)
		if b.Offset < 0 || b.Bytes() < 0 || b.Offset+b.Bytes() > x.p.Arena {
			return fmt.Errorf("buffer %d: %d bytes at %d of an arena of %d", i, b.Bytes(), b.Offset, x.p.Arena)
		}
		switch b.Role {
		case plan.Const:
			if err := x.Write(id, b.Data); err != nil {
				return err
			}
		case plan.Input, plan.Param, plan.Output, plan.State:
			if err := x.Write(id, ir.MakeSlice(b.Type, b.Count())); err != nil {
				return err
			}
		}
	}
	return nil
}

// load compiles the kernels and resolves the launches.
func (x *executable) load() error {
	e := x.e
	var sources []simcuda.Source
	for i := range e.Kernels {
		k := &e.Kernels[i]
		files, err := preludes(k.Files)
		if err != nil {
			return fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		sources = append(sources, simcuda.Source{Name: k.Name, Files: files, Text: k.Source})
	}
	kernels, err := simcuda.Build(sources)
	if err != nil {
		return err
	}
	for _, c := range e.Counts {
		x.counts = append(x.counts, count{counter: x.counterOf(c)})
	}
	begun := map[int]bool{}
	for i := range e.Launches {
		l := &e.Launches[i]
		for _, s := range l.Steps {
			if s < 0 || s >= len(x.p.Steps) {
				return fmt.Errorf("launch %s: step %d of %d", l.Name, s, len(x.p.Steps))
			}
		}
		n := launch{name: l.Name, blocks: l.Blocks, steps: l.Steps, begins: x.beginnings(l.Steps, begun)}
		if l.Kernel < 0 {
			if len(l.Steps) != 1 || x.p.Steps[l.Steps[0]].Custom == nil {
				return fmt.Errorf("launch %s: the host runs one custom kernel, not steps %d", l.Name, l.Steps)
			}
			n.host = x.hostCustom(x.p.Steps[l.Steps[0]].Custom)
		} else {
			n.kernel, n.threads = kernels[l.Kernel], e.Kernels[l.Kernel].Threads
			if got := n.kernel.Shared; got < e.Kernels[l.Kernel].Shared {
				return fmt.Errorf("kernel %s: %d bytes of shared memory, the program says %d", n.kernel.Name, got,
					e.Kernels[l.Kernel].Shared)
			}
			if n.args, err = x.arguments(l); err != nil {
				return fmt.Errorf("launch %s: %w", l.Name, err)
			}
		}
		x.launches = append(x.launches, n)
	}
	return nil
}

// arguments resolves addresses.
func (x *executable) arguments(l *emit.Launch) ([]uint64, error) {
	args := make([]uint64, len(l.Args))
	for i, a := range l.Args {
		switch a.Kind {
		case emit.Buffer:
			if a.Buf < 0 || int(a.Buf) >= len(x.p.Buffers) {
				return nil, fmt.Errorf("argument %d: buffer %d of %d", i, a.Buf, len(x.p.Buffers))
			}
			args[i] = uint64(uintptr(x.arena.Pointer())) + uint64(x.p.Buffers[a.Buf].Offset+a.Offset)
		case emit.Scratch:
			args[i] = uint64(uintptr(x.scratch.Pointer())) + uint64(a.Offset)
		case emit.Counter:
			args[i] = uint64(uintptr(x.counters.Pointer())) + uint64(a.Offset)
		case emit.Value:
			args[i] = a.Value
		default:
			return nil, fmt.Errorf("argument %d of kind %d", i, a.Kind)
		}
	}
	return args, nil
}

// Run implements backend.Executable.
func (x *executable) Run(watch func(step int) error) error {
	if x.closed {
		return errClosed
	}
	x.runs++
	next := 0
	for i := range x.launches {
		l := &x.launches[i]
		if err := x.do(i, l); err != nil {
			return fmt.Errorf("emulated: %s: %w", x.label(l), err)
		}
		for ; watch != nil && next < l.ends; next++ {
			if err := watch(next); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *executable) do(i int, l *launch) (err error) {
	x.begin(l)
	if l.host != nil {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return l.host()
	}
	seed := (x.seed<<20 ^ x.runs<<10 ^ uint64(i)) * 0x9e3779b97f4a7c15
	if err = l.kernel.LaunchBits(l.blocks, l.threads, seed, l.args); err != nil && os.Getenv("GODCEM_SIM_SOURCE") != "" {
		for k := range x.e.Kernels {
			if x.e.Kernels[k].Name == l.kernel.Name {
				err = fmt.Errorf("%w\n%s", err, x.e.Kernels[k].Source)
			}
		}
	}
	return err
}

// label is how messages call a launch: by its steps.
func (x *executable) label(l *launch) string {
	var names []string
	for _, s := range l.steps {
		names = append(names, x.p.Steps[s].Name)
	}
	return fmt.Sprintf("launch %s (step %s)", l.name, strings.Join(names, ", "))
}

// Sync implements backend.Executable: Run returns when it is done.
func (x *executable) Sync() error {
	if x.closed {
		return errClosed
	}
	x.count()
	return nil
}

// Close implements backend.Executable.
func (x *executable) Close() error {
	if x.closed {
		return nil
	}
	for _, m := range []*simcuda.Memory{x.arena, x.scratch, x.counters} {
		if m != nil {
			m.Free()
		}
	}
	*x = executable{closed: true}
	return nil
}

// Launches implements emit.Launcher.
func (x *executable) Launches() (*emit.Program, int) { return x.e, 1 }
