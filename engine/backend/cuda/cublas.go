//go:build gpu

package cuda

// cuBLAS, opened at run time: no build needs it.

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef struct {
	int (*create)(void **);
	int (*destroy)(void *);
	int (*stream)(void *, void *);
	int (*workspace)(void *, void *, size_t);
	int (*math)(void *, int);
	int (*sgemm)(void *, int, int, int, int, int, const float *, const float *, int, long long, const float *, int,
	             long long, const float *, float *, int, long long, int);
	int (*dgemm)(void *, int, int, int, int, int, const double *, const double *, int, long long, const double *, int,
	             long long, const double *, double *, int, long long, int);
} blas;

// load returns what was not found: NULL if nothing.
static const char *load(blas *b, const char *name, const char **why) {
	void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		*why = dlerror();
		return name;
	}
	const struct {
		const char *name;
		void **at;
	} all[] = {
		{"cublasCreate_v2", (void **)&b->create}, {"cublasDestroy_v2", (void **)&b->destroy},
		{"cublasSetStream_v2", (void **)&b->stream}, {"cublasSetWorkspace_v2", (void **)&b->workspace},
		{"cublasSetMathMode", (void **)&b->math}, {"cublasSgemmStridedBatched", (void **)&b->sgemm},
		{"cublasDgemmStridedBatched", (void **)&b->dgemm},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (!(*all[i].at = dlsym(lib, all[i].name))) {
			*why = dlerror();
			return all[i].name;
		}
	return 0;
}

static int create(blas *b, void **h) { return b->create(h); }
static int destroy(blas *b, void *h) { return b->destroy(h); }
typedef unsigned long long address; // of the device
static int prepare(blas *b, void *h, void *stream, address room, size_t n) {
	int r = b->stream(h, stream);
	if (!r)
		r = b->workspace(h, (void *)room, n);
	return r ? r : b->math(h, 2); // CUBLAS_PEDANTIC_MATH: no TF32
}
static int sgemm(blas *b, void *h, int ta, int tb, int m, int n, int k, address x, int ldx, long long dx, address y,
                 int ldy, long long dy, address z, int ldz, long long dz, int batch) {
	float one = 1, zero = 0;
	return b->sgemm(h, ta, tb, m, n, k, &one, (float *)x, ldx, dx, (float *)y, ldy, dy, &zero,
	                (float *)z, ldz, dz, batch);
}
static int dgemm(blas *b, void *h, int ta, int tb, int m, int n, int k, address x, int ldx, long long dx, address y,
                 int ldy, long long dy, address z, int ldz, long long dz, int batch) {
	double one = 1, zero = 0;
	return b->dgemm(h, ta, tb, m, n, k, &one, (double *)x, ldx, dx, (double *)y, ldy, dy, &zero,
	                (double *)z, ldz, dz, batch);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/engine/ir"
)

// CuBLASEnv names the variable that gives big plain products to cuBLAS: 1, or the path of the library. Their bits
// then depend on its version. If empty, the kernels of package emit do all products.
const CuBLASEnv = "GODCEM_CUBLAS"

// blasRoom is the memory that the library may use, as its documentation advises for Hopper; of its own it would take
// some while a graph is captured.
const blasRoom = 32 << 20

// library is cuBLAS, opened once in a process. Its C structure lives as long.
var library = sync.OnceValues(func() (*C.blas, error) {
	names := []string{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"}
	if v := os.Getenv(CuBLASEnv); v != "1" {
		names = []string{v}
	}
	b := (*C.blas)(C.calloc(1, C.sizeof_blas))
	var failed []string
	for _, name := range names {
		c := C.CString(name)
		var why *C.char
		missing := C.load(b, c, &why)
		C.free(unsafe.Pointer(c))
		if missing == nil {
			return b, nil
		}
		failed = append(failed, C.GoString(why))
	}
	C.free(unsafe.Pointer(b))
	return nil, fmt.Errorf("%s is set and cuBLAS cannot be opened: install it, name the library in the variable, "+
		"or unset it: %s", CuBLASEnv, strings.Join(failed, "; "))
})

// A products is cuBLAS for one program's stream.
type products struct {
	b      *C.blas
	handle unsafe.Pointer
	room   cu.DevicePtr
}

// bigProduct is how many flops a product has, some tens of microseconds, from which on cuBLAS may do it.
var bigProduct = int64(2e9)

// libraryFlops is emit.Options.Library.
func libraryFlops() int64 {
	if os.Getenv(CuBLASEnv) == "" {
		return 0
	}
	return bigProduct
}

// newProducts opens the library for a stream. The device's context is current.
func (d *device) newProducts(stream cu.Stream) (*products, error) {
	b, err := library()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name(), err)
	}
	p := &products{b: b}
	if p.room, err = d.allocate(blasRoom, "cuBLAS's workspace"); err != nil {
		return nil, err
	}
	r := C.create(b, &p.handle)
	if r == 0 {
		r = C.prepare(b, p.handle, unsafe.Pointer(stream.C()), C.address(p.room), blasRoom)
	}
	if r != 0 {
		return nil, errors.Join(fmt.Errorf("%s: cuBLAS: cannot begin: status %d", d.name(), int(r)), p.free())
	}
	return p, nil
}

// free gives back what newProducts took. The stream is idle.
func (p *products) free() error {
	if p == nil {
		return nil
	}
	var errs []error
	if p.handle != nil {
		if r := C.destroy(p.b, p.handle); r != 0 {
			errs = append(errs, fmt.Errorf("cuBLAS: cannot end: status %d", int(r)))
		}
	}
	if p.room != 0 {
		errs = append(errs, cu.MemFree(p.room))
	}
	*p = products{}
	return errors.Join(errs...)
}

// launch gives what puts a product into the stream. The library's matrices are column-major, so that it is asked for
// the transposed product.
func (p *products) launch(x *executable, m *emit.Product) (func() error, error) {
	for _, n := range []int{m.Batch, m.M, m.N, m.K, m.A.Ld, m.B.Ld, m.C.Ld} {
		if n > math.MaxInt32 {
			return nil, fmt.Errorf("a product with a size of %d, of which cuBLAS takes at most %d", n, math.MaxInt32)
		}
	}
	size := m.Type.Size()
	at := func(o emit.Matrix) C.address { return C.address(x.address(o.Buf)) + C.address(o.Offset*size) }
	op := func(o emit.Matrix) C.int {
		if o.Trans {
			return 1
		}
		return 0
	}
	return func() error {
		var r C.int
		if m.Type == ir.F32 {
			r = C.sgemm(p.b, p.handle, op(m.B), op(m.A), C.int(m.N), C.int(m.M), C.int(m.K), at(m.B), C.int(m.B.Ld),
				C.longlong(m.B.Batch), at(m.A), C.int(m.A.Ld), C.longlong(m.A.Batch), at(m.C), C.int(m.C.Ld),
				C.longlong(m.C.Batch), C.int(m.Batch))
		} else {
			r = C.dgemm(p.b, p.handle, op(m.B), op(m.A), C.int(m.N), C.int(m.M), C.int(m.K), at(m.B), C.int(m.B.Ld),
				C.longlong(m.B.Batch), at(m.A), C.int(m.A.Ld), C.longlong(m.A.Batch), at(m.C), C.int(m.C.Ld),
				C.longlong(m.C.Batch), C.int(m.Batch))
		}
		if r != 0 {
			return fmt.Errorf("cuBLAS: status %d", int(r))
		}
		return nil
	}, nil
}
