package simcuda

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

type launchFunc func(f uintptr, gx, gy, gz, bx, by, bz, shared uint32, stream uintptr,
	params, extra unsafe.Pointer) int32

// A goDriver is the simulated driver in this process.
type goDriver struct {
	init        func(flags uint32) int32
	create      func(ctx *uintptr, flags uint32, device int32) int32
	destroy     func(ctx uintptr) int32
	alloc       func(p *uintptr, size uintptr) int32
	set         func(p uintptr, v uint32, n uintptr) int32
	read        func(dst unsafe.Pointer, src uintptr, n uintptr) int32
	load        func(m *uintptr, image unsafe.Pointer) int32
	function    func(f *uintptr, m uintptr, name string) int32
	launch      launchFunc
	synchronize func() int32
	fault       func(text *byte, n uintptr) uintptr
	image       []byte
}

func openDriver(t *testing.T) *goDriver {
	t.Helper()
	needCompiler(t)
	n, err := open()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := build([]library{driverLibrary()}, false)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := purego.Dlopen(filepath.Join(dir, "libcuda.so.1"), purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		t.Fatal(err)
	}
	d := &goDriver{}
	for name, f := range map[string]any{"cuInit": &d.init, "cuCtxCreate_v2": &d.create, "cuCtxDestroy_v2": &d.destroy,
		"cuMemAlloc_v2": &d.alloc, "cuMemsetD32_v2": &d.set, "cuMemcpyDtoH_v2": &d.read, "cuModuleLoadData": &d.load,
		"cuModuleGetFunction": &d.function, "cuLaunchKernel": &d.launch, "cuCtxSynchronize": &d.synchronize,
		"simcudaFault": &d.fault} {
		purego.RegisterLibFunc(f, lib, name)
	}
	text, err := os.ReadFile("testdata/driver/kernels.cu")
	if err != nil {
		t.Fatal(err)
	}
	if d.image, err = n.compileSource(string(text), Checking()); err != nil {
		t.Fatal(err)
	}
	return d
}

// poke has a kernel write a byte at an offset of 1000 bytes, and returns what waiting for it says.
func (d *goDriver) poke(t *testing.T, at int) int32 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ctx, p, m, f uintptr
	ok := func(what string, r int32) {
		if r != 0 {
			t.Errorf("%s: error %d", what, r)
		}
	}
	ok("cuInit", d.init(0))
	ok("cuCtxCreate", d.create(&ctx, 0, 0))
	ok("cuMemAlloc", d.alloc(&p, 1000))
	ok("cuMemsetD32", d.set(p, 7, 250))
	ok("cuModuleLoadData", d.load(&m, unsafe.Pointer(unsafe.SliceData(d.image))))
	ok("cuModuleGetFunction", d.function(&f, m, "poke"))
	values := [3]uint64{uint64(p), uint64(at), 9}
	params := [3]unsafe.Pointer{unsafe.Pointer(&values[0]), unsafe.Pointer(&values[1]), unsafe.Pointer(&values[2])}
	var pin runtime.Pinner
	pin.Pin(&values)
	ok("cuLaunchKernel", d.launch(f, 1, 1, 1, 32, 1, 1, 0, 0, unsafe.Pointer(&params), nil))
	pin.Unpin()
	r := d.synchronize()
	if r == 0 {
		back := make([]byte, 1000)
		ok("cuMemcpyDtoH", d.read(unsafe.Pointer(&back[0]), p, 1000))
		if back[at] != 9 || back[(at+4)%1000] != 7 && back[(at+4)%1000] != 0 {
			t.Errorf("byte %d is %d", at, back[at])
		}
	}
	ok("cuCtxDestroy", d.destroy(ctx))
	return r
}

// TestDriverInGo has faults of kernels in a Go process, which must live on, with goroutines that fault and recover
// meanwhile: the runtime and the simulator both handle SIGSEGV.
func TestDriverInGo(t *testing.T) {
	t.Setenv("GODCEM_SIM_QUIET", "1")
	d := openDriver(t)
	const illegal = 700
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5 {
				if (g+i)%2 == 0 {
					if r := d.poke(t, 4*i); r != 0 {
						t.Errorf("error %d of a kernel without one", r)
					}
				} else if r := d.poke(t, 1<<20+i); r != illegal {
					t.Errorf("error %d of a kernel that writes beyond its memory, want %d", r, illegal)
				}
				func() {
					defer func() {
						if recover() == nil {
							t.Error("no panic of a nil dereference")
						}
					}()
					var p *[4]int
					p[i%4] = 1
				}()
			}
		})
	}
	wg.Wait()
	text := make([]byte, 1024)
	n := d.fault(&text[0], uintptr(len(text)))
	if s := string(text[:min(n, 1023)]); !strings.Contains(s, "poke") {
		t.Errorf("the fault is %q, want one that names the kernel", s)
	}
}
