//go:build !linux || !(amd64 || arm64)

package nvrtc

import (
	"fmt"
	"runtime"
)

// A Library is a loaded NVRTC: never, on this platform.
type Library struct{}

func open(int) (*Library, error) {
	return nil, fmt.Errorf("nvrtc: %w: godcem opens it on linux/amd64 and linux/arm64 alone, this is %s/%s", ErrMissing, runtime.GOOS, runtime.GOARCH)
}

// Version is 0, 0.
func (l *Library) Version() (major, minor int) { return 0, 0 }

// Path is empty.
func (l *Library) Path() string { return "" }

// Identity is empty.
func (l *Library) Identity() string { return "" }

// Archs is empty.
func (l *Library) Archs() []int { return nil }

// Compile returns an error.
func (l *Library) Compile(name, source string, options ...string) (cubin []byte, log string, err error) {
	_, err = open(0)
	return nil, "", err
}

// PTX returns an error.
func (l *Library) PTX(name, source string, options ...string) (ptx []byte, log string, err error) {
	return l.Compile(name, source, options...)
}
