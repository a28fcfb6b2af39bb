//go:build linux && (amd64 || arm64)

package cudaprobe

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// The driver's numbers that mean something to people.
const (
	errNoDevice    = 100
	errMismatch    = 803 // the library and the kernel module are of different versions
	errUnsupported = 804 // of a compatibility package
	errNotReady    = 802 // machines with NVSwitch
	errSystem      = 304 // a call of the operating system failed
	errUnknown     = 999
	attrSMs        = 16
	attrMajor      = 75
	attrMinor      = 76
)

// driver is the part of the driver's interface that is needed.
type driver struct {
	init      func(flags uint32) int32
	version   func(v *int32) int32
	count     func(n *int32) int32
	get       func(device *int32, ordinal int32) int32
	name      func(name unsafe.Pointer, n, device int32) int32
	memory    func(bytes *uintptr, device int32) int32
	attribute func(v *int32, attribute, device int32) int32
	errorName func(status int32, name **byte) int32
}

// library is loaded once: the driver does not like to be unloaded.
var library = sync.OnceValues(func() (*driver, error) {
	runtime.LockOSThread() // the loader keeps its words for an error by thread
	defer runtime.UnlockOSThread()
	handle, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	d := &driver{}
	for name, into := range map[string]any{"cuInit": &d.init, "cuDriverGetVersion": &d.version, "cuDeviceGetCount": &d.count,
		"cuDeviceGet": &d.get, "cuDeviceGetName": &d.name, "cuDeviceTotalMem_v2": &d.memory, "cuDeviceGetAttribute": &d.attribute,
		"cuGetErrorName": &d.errorName} {
		at, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, err
		}
		purego.RegisterFunc(into, at)
	}
	return d, nil
})

func probe() (r Report, err error) {
	d, err := library()
	if err != nil {
		if strings.Contains(err.Error(), "libcuda.so.1: cannot open shared object file") {
			return r, fmt.Errorf("%w; %s", ErrNoDriver, adviceNoDriver())
		}
		return r, fmt.Errorf("%w: %w; reinstall the driver, or see LD_LIBRARY_PATH", ErrFailed, err)
	}
	r.Library = loadedFrom("libcuda.so")
	var version int32
	if d.version(&version) == 0 {
		r.Driver = int(version)
	}
	if status := d.init(0); status != 0 {
		return r, d.failure(status)
	}
	if r.Driver < MinDriver {
		return r, fmt.Errorf("%w: it serves CUDA %s, want at least %s; update it", ErrOld, Version(r.Driver), Version(MinDriver))
	}
	var n int32
	if status := d.count(&n); status != 0 {
		return r, d.failure(status)
	}
	if n == 0 {
		return r, d.failure(errNoDevice)
	}
	for i := range n {
		g, status := d.describe(i)
		if status != 0 {
			return r, fmt.Errorf("device %d: %w", i, d.failure(status))
		}
		r.GPUs = append(r.GPUs, g)
	}
	return r, nil
}

// describe asks about one device.
func (d *driver) describe(i int32) (g GPU, status int32) {
	var device int32
	if status = d.get(&device, i); status != 0 {
		return g, status
	}
	g.Index = int(i)
	var name [256]byte
	if status = d.name(unsafe.Pointer(&name[0]), int32(len(name)), device); status != 0 {
		return g, status
	}
	text, _, _ := strings.Cut(string(name[:]), "\x00")
	g.Name = strings.TrimSpace(text)
	var bytes uintptr
	if status = d.memory(&bytes, device); status != 0 {
		return g, status
	}
	g.Memory = int64(bytes)
	for _, a := range []struct {
		attribute int32
		into      *int
	}{{attrMajor, &g.Major}, {attrMinor, &g.Minor}, {attrSMs, &g.SMs}} {
		var v int32
		if status = d.attribute(&v, a.attribute, device); status != 0 {
			return g, status
		}
		*a.into = int(v)
	}
	return g, 0
}

// failure is the error for an answer of the driver.
func (d *driver) failure(status int32) error {
	what := fmt.Sprintf("error %d", status)
	var name *byte
	if d.errorName(status, &name) == 0 && name != nil {
		what = fmt.Sprintf("%s (%d)", text(name), status)
	}
	switch status {
	case errNoDevice:
		return fmt.Errorf("%w (%s); %s", ErrNoDevice, what, adviceNoDevice())
	case errMismatch:
		return fmt.Errorf("%w: %s: its library and its kernel module are of different versions; restart the machine after an update of the driver", ErrFailed, what)
	case errUnsupported:
		return fmt.Errorf("%w: %s: a CUDA compatibility package stands before the driver's own library, on a GPU that it does not serve; "+
			"take its folder out of LD_LIBRARY_PATH", ErrFailed, what)
	}
	advice := map[int32]string{errNotReady: AdviceNotReady, errSystem: AdviceSystem, errUnknown: AdviceUnknown}
	if a := advice[status]; a != "" {
		return fmt.Errorf("%w: %s: %s", ErrFailed, what, a)
	}
	return fmt.Errorf("%w: %s; `nvidia-smi` and the kernel's log (`dmesg`) may say more", ErrFailed, what)
}

// text is a C string.
func text(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// Where Linux tells of hardware; tests have other folders.
var (
	pciDevices = "/sys/bus/pci/devices"
	procDriver = "/proc/driver/nvidia/version"
	wslLibrary = "/usr/lib/wsl/lib/libcuda.so.1"
)

// hasGPU reports whether the PCI bus has a display controller of NVIDIA's.
func hasGPU() bool {
	vendors, _ := filepath.Glob(filepath.Join(pciDevices, "*", "vendor")) // its pattern has no mistake
	for _, v := range vendors {
		id, _ := os.ReadFile(v)
		class, _ := os.ReadFile(filepath.Join(filepath.Dir(v), "class"))
		if strings.TrimSpace(string(id)) == "0x10de" && strings.HasPrefix(string(class), "0x03") {
			return true
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func adviceNoDriver() string {
	switch {
	case exists(wslLibrary):
		return "it is in /usr/lib/wsl/lib: add that folder to LD_LIBRARY_PATH"
	case exists(procDriver):
		return "the kernel has the driver but its library is not visible: in a container, start it with --gpus all; else install the libcuda package of the driver"
	case hasGPU():
		return fmt.Sprintf("the machine has an NVIDIA GPU: install its driver, for CUDA %s or later", Version(MinDriver))
	}
	return "this machine shows no NVIDIA GPU; the CPU runs everything"
}

func adviceNoDevice() string {
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return fmt.Sprintf("CUDA_VISIBLE_DEVICES=%q hides some or all of them", v)
	}
	if hasGPU() {
		return "the machine has one: in a container, start it with --gpus all; else see `nvidia-smi`"
	}
	return "this machine shows none; the CPU runs everything"
}

// loadedFrom is the file of a loaded library.
func loadedFrom(prefix string) string {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return prefix
	}
	for line := range strings.Lines(string(maps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 {
			if file := strings.TrimSpace(line[at:]); strings.HasPrefix(filepath.Base(file), prefix) {
				return file
			}
		}
	}
	return prefix
}
