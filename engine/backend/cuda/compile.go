//go:build gpu

package cuda

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/nvrtc"
)

// A function is a loaded kernel.
type function struct{ fn cu.Function }

// batch is how many kernels are compiled as one text: enough that the common files are no matter, few enough that all
// cores have something to do.
const batch = 16

// baseOptions are NVRTC's. No contraction: elementwise arithmetic is one IEEE operation at a time. Numbers of lines, for
// compute-sanitizer and ncu, cost nothing when kernels run.
var baseOptions = []string{"--fmad=false", "--std=c++14", "-default-device", "-lineinfo"}

// resolve gives the kernels as functions. Those that the device has not yet are compiled, or taken from the cache.
func (d *device) resolve(ks []emit.Kernel) ([]function, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var missing []emit.Kernel
	for i := range ks {
		if err := d.limits.allow(&ks[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name(), err)
		}
		if _, ok := d.functions[ks[i].Name]; !ok {
			missing = append(missing, ks[i])
		}
	}
	if err := d.add(missing); err != nil {
		return nil, err
	}
	all := make([]function, len(ks))
	for i := range ks {
		all[i] = d.functions[ks[i].Name]
	}
	return all, nil
}

// allow checks a kernel against the device.
func (l *limits) allow(k *emit.Kernel) error {
	if k.Threads < 1 || k.Threads > l.threads {
		return fmt.Errorf("kernel %s: blocks of %d threads, want 1 to %d", k.Name, k.Threads, l.threads)
	}
	if k.Shared > l.shared {
		return fmt.Errorf("kernel %s: %d bytes of shared memory, want at most %d", k.Name, k.Shared, l.shared)
	}
	return nil
}

// add compiles and loads kernels.
func (d *device) add(ks []emit.Kernel) error {
	if len(ks) == 0 {
		return nil
	}
	c, err := d.compiler()
	if err != nil {
		return err
	}
	batches := slices.Collect(slices.Chunk(ks, batch))
	images, errs := make([]image, len(batches)), make([]error, len(batches))
	var wait sync.WaitGroup
	room := make(chan struct{}, max(1, min(8, runtime.GOMAXPROCS(0))))
	for i, b := range batches {
		wait.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			images[i], errs[i] = c.compile(b)
		})
	}
	wait.Wait()
	for i, b := range batches {
		if errs[i] != nil {
			return fmt.Errorf("%s: compiling kernels: %w", d.name(), errs[i])
		}
		if err := d.loadKernels(c, b, images[i]); err != nil {
			return err
		}
	}
	return nil
}

// loadKernels makes functions of compiled kernels. What the driver refuses of the cache is compiled again.
func (d *device) loadKernels(c *compiler, ks []emit.Kernel, m image) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	module, err := cu.LoadData(string(m.code))
	if err != nil && m.cached && d.broken.Load() == nil {
		if m.code, err = c.fresh(ks); err != nil {
			return fmt.Errorf("%s: compiling kernels: %w", d.name(), err)
		}
		module, err = cu.LoadData(string(m.code))
	}
	if err != nil {
		return d.noRoom(int64(len(m.code)), "compiled kernels", d.fail("loading compiled kernels", err))
	}
	d.modules = append(d.modules, module)
	for i := range ks {
		k := &ks[i]
		fn, err := module.Function(k.Name)
		if err != nil {
			return d.fail("looking up kernel "+k.Name, err)
		}
		threads, err := fn.Attribute(cu.FnMaxThreadsPerBlock)
		if err != nil {
			return d.fail("asking what kernel "+k.Name+" needs", err)
		}
		if threads < k.Threads {
			return fmt.Errorf("%s: kernel %s takes so many registers that a block has at most %d threads, want %d",
				d.name(), k.Name, threads, k.Threads)
		}
		d.functions[k.Name] = function{fn}
	}
	return nil
}

// A compiler is NVRTC with the options for a device.
type compiler struct {
	library *nvrtc.Library
	options []string
	virtual bool // to NVIDIA's intermediate language: the device is newer than the library
	cache   cache
}

// An image is what the driver loads.
type image struct {
	code   []byte
	cached bool
}

// compiler opens NVRTC.
func (d *device) compiler() (*compiler, error) {
	if d.library == nil {
		l, err := nvrtc.OpenFor(d.driver)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name(), err)
		}
		d.library = l
	}
	c := &compiler{library: d.library, cache: cacheFolder()}
	arch, virtual := chooseArch(d.limits.capability, d.library.Archs())
	c.virtual = virtual
	if virtual {
		c.options = append(c.options, fmt.Sprintf("-arch=compute_%d", arch))
	} else {
		c.options = append(c.options, fmt.Sprintf("-arch=sm_%d", arch))
	}
	c.options = append(c.options, baseOptions...)
	return c, nil
}

// chooseArch is for which capability to compile: the device's own, or, where the library does not know it, the newest
// before it, as intermediate language that the driver translates.
func chooseArch(own int, known []int) (arch int, virtual bool) {
	if len(known) == 0 || slices.Contains(known, own) {
		return own, false
	}
	for _, a := range known {
		if a < own {
			arch = max(arch, a)
		}
	}
	if arch == 0 {
		return own, false // NVRTC will say what it wants
	}
	return arch, true
}

// compile gives kernels as an image, of the cache if it has it.
func (c *compiler) compile(ks []emit.Kernel) (image, error) {
	text, err := emit.Text(ks)
	if err != nil {
		return image{}, err
	}
	key := c.key(text)
	if code := c.cache.get(key); code != nil {
		return image{code, true}, nil
	}
	code, err := c.run(ks, text)
	if err == nil {
		c.cache.put(key, code)
	}
	return image{code, false}, err
}

// fresh compiles kernels, whatever the cache has.
func (c *compiler) fresh(ks []emit.Kernel) ([]byte, error) {
	text, err := emit.Text(ks)
	if err != nil {
		return nil, err
	}
	code, err := c.run(ks, text)
	if err == nil {
		c.cache.put(c.key(text), code)
	}
	return code, err
}

// key is all that the compiled code depends on.
func (c *compiler) key(text string) string {
	return strings.Join(append([]string{c.library.Identity()}, c.options...), " ") + "\n" + text
}

func (c *compiler) run(ks []emit.Kernel, text string) (code []byte, err error) {
	name := ks[0].Name + ".cu"
	if c.virtual {
		code, _, err = c.library.PTX(name, text, c.options...)
		if err == nil {
			code = append(code, 0) // the driver takes it as text
		}
		return code, err
	}
	code, _, err = c.library.Compile(name, text, c.options...)
	return code, err
}
