package simcuda

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unsafe"
)

// A CompileError is the compiler's refusal.
type CompileError struct {
	Log    string
	Source string
}

func (e *CompileError) Error() string { return "simcuda: compile: " + strings.TrimSpace(e.Log) }

// A LaunchError is a launch that a GPU would not have done, or done wrong. Code is one of src/rt.h: SIM_ILLEGAL...
type LaunchError struct {
	Code int
	Text string
}

func (e *LaunchError) Error() string { return "simcuda: " + e.Text }

// The codes of a LaunchError.
const (
	Invalid    = 1 // limits and arguments; nothing has run
	Illegal    = 3 // an access outside of memory
	Misaligned = 4
	Barrier    = 5 // a barrier or shuffle that not all threads reach
	Trap       = 6
	Race       = 7 // checking mode
	Uninit     = 8 // checking mode
)

// A Kernel is a compiled __global__ function. It may be used by several goroutines; launches are done one at a time.
type Kernel struct {
	native  *native
	handle  uintptr
	Name    string
	Params  []uint32 // their sizes in bytes
	Shared  int      // bytes of static shared memory
	Threads int      // that a block may have
}

// A Module is a compiled source.
type Module struct {
	native  *native
	handle  uintptr
	Kernels []*Kernel
}

// Compile compiles CUDA C, which must need no headers. The error of a source that is wrong is a *CompileError.
func Compile(source string) (*Module, error) {
	n, err := open()
	if err != nil {
		return nil, err
	}
	image, err := n.compileSource(source, Checking())
	if err != nil {
		return nil, err
	}
	m := &Module{native: n}
	if m.handle, m.Kernels, err = n.loadImage(image); err != nil {
		return nil, err
	}
	return m, nil
}

// Kernel returns the kernel of that name.
func (m *Module) Kernel(name string) (*Kernel, error) {
	var names []string
	for _, k := range m.Kernels {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("simcuda: no kernel %q, there are: %s", name, strings.Join(names, ", "))
}

// Launch runs a kernel on blocks of threads, and returns when it has ended. Orders follow from seed. See
// [Kernel.Launch] for the arguments.
func (m *Module) Launch(kernel string, blocks, threads int, seed uint64, args ...any) error {
	k, err := m.Kernel(kernel)
	if err != nil {
		return err
	}
	return k.Launch(blocks, threads, seed, args...)
}

// Close unloads the module. Its kernels must not be used any more.
func (m *Module) Close() {
	if m.handle != 0 {
		m.native.closeImage(m.handle)
		m.handle, m.Kernels = 0, nil
	}
}

// Launch runs the kernel on blocks of threads, with an argument per parameter: a slice (a pointer to its first
// element), an unsafe.Pointer, or a number of the parameter's size (an int for a long long; an untyped constant is
// an int).
func (k *Kernel) Launch(blocks, threads int, seed uint64, args ...any) error {
	if len(args) != len(k.Params) {
		return fmt.Errorf("simcuda: kernel %s: %d arguments, want %d", k.Name, len(args), len(k.Params))
	}
	values := make([]uint64, len(args))
	for i, a := range args {
		var size uint32
		if values[i], size = bits(a); size != k.Params[i] {
			return fmt.Errorf("simcuda: kernel %s: argument %d is a %T, want one of %d bytes", k.Name, i, a, k.Params[i])
		}
	}
	return k.launch(blocks, threads, seed, values, args)
}

// LaunchBits is Launch with the bits of the arguments, 8 bytes each at most. In the steady state it allocates
// nothing.
func (k *Kernel) LaunchBits(blocks, threads int, seed uint64, args []uint64) error {
	if len(args) != len(k.Params) {
		return fmt.Errorf("simcuda: kernel %s: %d arguments, want %d", k.Name, len(args), len(k.Params))
	}
	for i, size := range k.Params {
		if size > 8 {
			return fmt.Errorf("simcuda: kernel %s: parameter %d has %d bytes, want at most 8", k.Name, i, size)
		}
	}
	return k.launch(blocks, threads, seed, args, nil)
}

func (k *Kernel) launch(blocks, threads int, seed uint64, values []uint64, keep []any) error {
	if k.handle == 0 {
		return errors.New("simcuda: a kernel that no module has")
	}
	if blocks < 1 || blocks > math.MaxInt32 || threads < 1 || threads > 1024 {
		return &LaunchError{Invalid, fmt.Sprintf("kernel %s: %d blocks of %d threads, want 1 to %d of 1 to 1024", k.Name,
			blocks, threads, math.MaxInt32)}
	}
	return k.native.launchKernel(k, blocks, threads, seed, values, keep)
}

// bits are an argument's bits and size; 0: it cannot be one.
func bits(a any) (v uint64, size uint32) {
	switch a := a.(type) {
	case unsafe.Pointer:
		return uint64(uintptr(a)), 8
	case int:
		return uint64(a), 8
	case int64:
		return uint64(a), 8
	case uint64:
		return a, 8
	case uintptr:
		return uint64(a), 8
	case int32:
		return uint64(uint32(a)), 4
	case uint32:
		return uint64(a), 4
	case uint8:
		return uint64(a), 1
	case bool:
		if a {
			return 1, 1
		}
		return 0, 1
	case float32:
		return uint64(math.Float32bits(a)), 4
	case float64:
		return math.Float64bits(a), 8
	}
	if r := reflect.ValueOf(a); r.Kind() == reflect.Slice {
		return uint64(r.Pointer()), 8
	}
	return 0, 0
}
