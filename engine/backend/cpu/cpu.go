// Package cpu runs programs on the processor: fused loops as tile programs over package vec's slices, matrix products
// by row blocks with their epilogues while a block is in the cache, on all threads of vec.Parallel.
//
// A result depends on nothing but the program and its inputs: how points are cut into chunks, and in which order
// partial sums are added, follows from the shapes alone, so the bits are the same for any number of threads.
package cpu

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

type device struct{}

// New returns the processor. Its threads are those of vec.Parallel, which all programs share.
func New() backend.Device { return device{} }

var (
	_ backend.Device     = device{}
	_ backend.Executable = (*executable)(nil)
)

// Info implements backend.Device.
func (device) Info() backend.Info {
	return backend.Info{Name: "cpu", Model: model(), Memory: memory(), Threads: vec.Threads(), Detail: vec.ISA()}
}

// Compile implements backend.Device.
func (device) Compile(p *plan.Program) (backend.Executable, error) { return compile(p) }

// Close implements backend.Device.
func (device) Close() error { return nil }

// model is the processor's name where the system tells it.
func model() string {
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}

// memory is the machine's memory in bytes, 0 where the system does not tell it.
func memory() int64 {
	var kib int64
	for _, c := range strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB") {
		if c < '0' || c > '9' {
			return 0
		}
		kib = kib*10 + int64(c-'0')
	}
	return kib << 10
}

func procField(file, field string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
