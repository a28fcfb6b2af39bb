//go:build !(linux && (amd64 || arm64))

package simcuda

import (
	"fmt"
	"runtime"
	"unsafe"
)

type native struct{ add, remove, written, unknown uintptr }

func open() (*native, error) {
	return nil, fmt.Errorf("%w: it needs linux on amd64 or arm64, this is %s on %s", ErrUnavailable, runtime.GOOS,
		runtime.GOARCH)
}

func (*native) compileSource(string, bool) ([]byte, error)   { return nil, ErrUnavailable }
func (*native) loadImage([]byte) (uintptr, []*Kernel, error) { return 0, nil, ErrUnavailable }
func (*native) closeImage(uintptr)                           {}
func (*native) memory(uintptr, unsafe.Pointer, int)          {}
func (*native) launchKernel(*Kernel, int, int, uint64, []uint64, []any) error {
	return ErrUnavailable
}
