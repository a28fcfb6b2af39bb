//go:build gpu

package cuda

// What gorgonia.org/cu does not have: pinned memory, capture, graphs that run, and the driver's words for its errors.

/*
#include <cuda.h>

static CUresult pinned(void **p, size_t n) { return cuMemHostAlloc(p, n, CU_MEMHOSTALLOC_PORTABLE); }

// Of the thread alone: other goroutines allocate and compile meanwhile.
static CUresult capture(CUstream s) { return cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL); }

static CUresult instantiate(CUstream s, CUgraphExec *exec) {
	CUgraph graph = 0;
	CUresult r = cuStreamEndCapture(s, &graph);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuGraphInstantiateWithFlags(exec, graph, 0);
	CUresult d = cuGraphDestroy(graph);
	return r != CUDA_SUCCESS ? r : d;
}

// cu's own gives the context back, by way of the heap.
static void pop(void) {
	CUcontext c;
	cuCtxPopCurrent(&c);
}

static void discard(CUstream s) {
	CUgraph graph = 0;
	if (cuStreamEndCapture(s, &graph) == CUDA_SUCCESS && graph)
		cuGraphDestroy(graph);
}

static const char *name(int r) {
	const char *s = 0;
	return cuGetErrorName((CUresult)r, &s) == CUDA_SUCCESS && s ? s : "";
}

static const char *text(int r) {
	const char *s = 0;
	return cuGetErrorString((CUresult)r, &s) == CUDA_SUCCESS && s ? s : "";
}
*/
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/godcem/godcem/internal/cudaprobe"
)

// A status is an answer of the driver that is not success.
type status int

func (s status) Error() string {
	name, text := C.GoString(C.name(C.int(s))), C.GoString(C.text(C.int(s)))
	if name == "" {
		return fmt.Sprintf("CUDA error %d", int(s))
	}
	if text == "" {
		return name
	}
	return fmt.Sprintf("%s (%s)", text, name)
}

// answer is the driver's answer as an error.
func answer(r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return status(r)
}

// known gives an error of package cu, which keeps its type to itself, as a status.
func known(err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return status(v.Int())
	}
	return err
}

// outOfMemory is told apart from all others.
const outOfMemory = status(C.CUDA_ERROR_OUT_OF_MEMORY)

const otherCompiler = "the driver cannot run what NVRTC compiled: update the driver, or use an NVRTC of its CUDA version or " +
	"an earlier one (GODCEM_NVRTC; `godcem doctor` names what is used)"

// advice is what can be done about errors that leave the context as it was.
var advice = map[status]string{
	C.CUDA_ERROR_NO_BINARY_FOR_GPU:       otherCompiler,
	C.CUDA_ERROR_INVALID_IMAGE:           otherCompiler,
	C.CUDA_ERROR_INVALID_PTX:             otherCompiler,
	C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION: otherCompiler,
	C.CUDA_ERROR_JIT_COMPILER_NOT_FOUND: "the GPU is newer than NVRTC, and the driver's library that translates for it is missing: install " +
		"libnvidia-ptxjitcompiler of the driver (in a container: NVIDIA_DRIVER_CAPABILITIES=compute,utility), or use a later NVRTC",
	46: "another process may have the GPU for itself: see `nvidia-smi -q -d COMPUTE` for the compute mode " +
		"(`nvidia-smi -c DEFAULT` shares it), and `nvidia-smi` for the processes", // CUDA_ERROR_DEVICE_UNAVAILABLE
	C.CUDA_ERROR_SYSTEM_NOT_READY: cudaprobe.AdviceNotReady,
	C.CUDA_ERROR_OPERATING_SYSTEM: cudaprobe.AdviceSystem,
}

// lasting are the errors after which nothing of the context is of use any more.
var lasting = map[status]bool{
	C.CUDA_ERROR_DEINITIALIZED:          true,
	C.CUDA_ERROR_CONTEXT_IS_DESTROYED:   true,
	C.CUDA_ERROR_ECC_UNCORRECTABLE:      true,
	C.CUDA_ERROR_NVLINK_UNCORRECTABLE:   true,
	C.CUDA_ERROR_ILLEGAL_ADDRESS:        true,
	C.CUDA_ERROR_LAUNCH_TIMEOUT:         true,
	C.CUDA_ERROR_ASSERT:                 true,
	C.CUDA_ERROR_HARDWARE_STACK_ERROR:   true,
	C.CUDA_ERROR_ILLEGAL_INSTRUCTION:    true,
	C.CUDA_ERROR_MISALIGNED_ADDRESS:     true,
	C.CUDA_ERROR_INVALID_ADDRESS_SPACE:  true,
	C.CUDA_ERROR_INVALID_PC:             true,
	C.CUDA_ERROR_LAUNCH_FAILED:          true,
	C.CUDA_ERROR_UNKNOWN:                true,
	C.CUDA_ERROR_INVALID_CONTEXT:        true,
	C.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: true,
	721:                                 true, // CUDA_ERROR_CONTAINED, not in every header
}

// kernelFaults are errors that a kernel caused.
var kernelFaults = map[status]bool{
	C.CUDA_ERROR_ILLEGAL_ADDRESS:       true,
	C.CUDA_ERROR_ASSERT:                true,
	C.CUDA_ERROR_HARDWARE_STACK_ERROR:  true,
	C.CUDA_ERROR_ILLEGAL_INSTRUCTION:   true,
	C.CUDA_ERROR_MISALIGNED_ADDRESS:    true,
	C.CUDA_ERROR_INVALID_ADDRESS_SPACE: true,
	C.CUDA_ERROR_INVALID_PC:            true,
	C.CUDA_ERROR_LAUNCH_FAILED:         true,
}

// pinnedMemory is n bytes of the host that do not move, for asynchronous copies. cu.MemFreeHost frees them.
func pinnedMemory(n int) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := answer(C.pinned(&p, C.size_t(n)))
	return p, err
}

// popContext undoes cu.PushCurrentCtx. It does not allocate.
func popContext() { C.pop() }

// A graph is a captured sequence of launches. The zero value is none.
type graph struct{ exec C.CUgraphExec }

// capture makes a graph of what f puts into a stream, without running it. f must not wait for anything.
func capture(s cu.Stream, f func() error) (g graph, err error) {
	if err := answer(C.capture(C.CUstream(unsafe.Pointer(s.C())))); err != nil {
		return graph{}, err
	}
	if err := f(); err != nil {
		C.discard(C.CUstream(unsafe.Pointer(s.C())))
		return graph{}, err
	}
	err = answer(C.instantiate(C.CUstream(unsafe.Pointer(s.C())), &g.exec))
	return g, err
}

// upload brings the graph to the device, so that the first launch does not.
func (g graph) upload(s cu.Stream) error {
	return answer(C.cuGraphUpload(g.exec, C.CUstream(unsafe.Pointer(s.C()))))
}

// launch puts the graph's work into a stream.
func (g graph) launch(s cu.Stream) error {
	return answer(C.cuGraphLaunch(g.exec, C.CUstream(unsafe.Pointer(s.C()))))
}

func (g graph) destroy() error {
	if g.exec == nil {
		return nil
	}
	return answer(C.cuGraphExecDestroy(g.exec))
}
