//go:build !linux || !(amd64 || arm64)

package cudaprobe

import (
	"fmt"
	"runtime"
)

func probe() (Report, error) {
	return Report{}, fmt.Errorf("%w, this is %s/%s; the CPU runs everything", ErrPlatform, runtime.GOOS, runtime.GOARCH)
}
