//go:build linux && (amd64 || arm64)

package simcuda

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// native is the executor's functions.
type native struct {
	compile, copy, free, load, unload, count, at, describe, launch uintptr
	add, remove, written, unknown                                  uintptr
}

var open = sync.OnceValues(func() (*native, error) {
	dir, err := build([]library{runtimeLibrary()}, false)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // errors of the loader are kept per thread
	defer runtime.UnlockOSThread()
	h, err := purego.Dlopen(filepath.Join(dir, "libsimrt.so"), purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	n := &native{}
	for name, f := range map[string]*uintptr{
		"sim_go_compile": &n.compile, "sim_go_copy": &n.copy, "sim_go_free": &n.free, "sim_module_load": &n.load,
		"sim_module_unload": &n.unload, "sim_module_count": &n.count, "sim_module_at": &n.at,
		"sim_go_describe": &n.describe, "sim_go_launch": &n.launch, "sim_memory_add": &n.add,
		"sim_memory_remove": &n.remove, "sim_memory_written": &n.written, "sim_memory_unknown": &n.unknown,
	} {
		if *f, err = purego.Dlsym(h, name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return n, nil
})

// compileSource gives the image of a source, or the compiler's messages as an error.
func (n *native) compileSource(source string, checked bool) ([]byte, error) {
	var out, size uintptr
	check := uintptr(0)
	if checked {
		check = 1
	}
	src := []byte(source)
	r, _, _ := purego.SyscallN(n.compile, uintptr(unsafe.Pointer(unsafe.SliceData(src))), uintptr(len(src)), check,
		uintptr(unsafe.Pointer(&out)), uintptr(unsafe.Pointer(&size)))
	runtime.KeepAlive(src)
	if int32(r) < 0 {
		return nil, fmt.Errorf("simcuda: no memory for an image of %d bytes", size)
	}
	data := make([]byte, size)
	if size > 0 {
		purego.SyscallN(n.copy, uintptr(unsafe.Pointer(unsafe.SliceData(data))), out, size)
	}
	purego.SyscallN(n.free, out)
	if int32(r) != 0 {
		return nil, &CompileError{Log: string(data), Source: source}
	}
	return data, nil
}

// loadImage loads an image and lists its kernels.
func (n *native) loadImage(image []byte) (handle uintptr, kernels []*Kernel, err error) {
	var text [1024]byte
	r, _, _ := purego.SyscallN(n.load, uintptr(unsafe.Pointer(unsafe.SliceData(image))), uintptr(len(image)),
		uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(&text)), uintptr(len(text)))
	runtime.KeepAlive(image)
	if int32(r) != 0 {
		return 0, nil, fmt.Errorf("simcuda: %s", cstring(text[:]))
	}
	count, _, _ := purego.SyscallN(n.count, handle)
	for i := range int(int32(count)) {
		k, _, _ := purego.SyscallN(n.at, handle, uintptr(i))
		var d struct {
			shared, params, threads uint64
			name                    [256]byte
			sizes                   [512]uint32
		}
		purego.SyscallN(n.describe, k, uintptr(unsafe.Pointer(&d)))
		kernels = append(kernels, &Kernel{native: n, handle: k, Name: cstring(d.name[:]), Shared: int(d.shared),
			Threads: int(d.threads), Params: append([]uint32(nil), d.sizes[:min(d.params, uint64(len(d.sizes)))]...)})
	}
	return handle, kernels, nil
}

func (n *native) closeImage(handle uintptr) { purego.SyscallN(n.unload, handle) }

// A call is what a launch hands over, with the places for its answers.
type call struct {
	kernel                         uintptr
	blocks, threads, dynamic, seed uint64
	params                         *unsafe.Pointer
	text                           *byte
	size                           uint64
	values                         []uint64
	pointers                       []unsafe.Pointer
	message                        [1024]byte
	keep                           []any
	two                            [2]uintptr
	self                           [1]uintptr
}

var calls = sync.Pool{New: func() any { return new(call) }}

// launch runs a kernel. values are its arguments' bits. keep is what must stay where it is meanwhile.
func (n *native) launchKernel(k *Kernel, blocks, threads int, seed uint64, values []uint64, keep []any) error {
	c := calls.Get().(*call)
	defer calls.Put(c)
	c.kernel, c.blocks, c.threads, c.dynamic, c.seed = k.handle, uint64(blocks), uint64(threads), 0, seed
	c.values = append(append(c.values[:0], values...), 0)
	c.pointers = c.pointers[:0]
	for i := range c.values {
		c.pointers = append(c.pointers, unsafe.Pointer(&c.values[i]))
	}
	c.params, c.text, c.size = &c.pointers[0], &c.message[0], uint64(len(c.message))
	c.message[0] = 0
	c.keep = keep
	c.self[0] = uintptr(unsafe.Pointer(c))
	r, _, _ := purego.SyscallN(n.launch, c.self[:]...) // a list of its own, so that the call allocates none
	c.keep = nil
	if int32(r) != 0 {
		return &LaunchError{Code: int(int32(r)), Text: cstring(c.message[:])}
	}
	return nil
}

// memory tells the checking mode of memory.
func (n *native) memory(f uintptr, p unsafe.Pointer, size int) {
	if !Checking() {
		return
	}
	c := calls.Get().(*call)
	c.two = [2]uintptr{uintptr(p), uintptr(size)}
	purego.SyscallN(f, c.two[:]...)
	calls.Put(c)
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.Clone(string(b))
}
