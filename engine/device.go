package engine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/emit"
	"github.com/godcem/godcem/internal/vec"
)

// What errors of RunAll and NewVM wrap where the device is at fault.
var (
	// ErrOutOfMemory: the device has not the memory that a graph needs. Nothing else has changed.
	ErrOutOfMemory = backend.ErrOutOfMemory
	// ErrDeviceLost: what was on the device is gone. Its VMs can only be closed. Of a GPU the process is best ended, and
	// another resumes from the last checkpoint: see doc/gpu.md.
	ErrDeviceLost = backend.ErrDeviceLost
)

// An opener is a kind of device.
type opener struct {
	name string
	open func() Device
}

// openers lists the kinds of device of which there is one, the default first.
var openers = []opener{
	{"cpu", cpu.New},
	{"ref", ref.New},
	{"null", null.New},
	{"null:cuda", func() Device { return null.Emitted(emit.Options{}) }},
}

// Open returns a device by name: "cpu", "cuda:0" (an NVIDIA GPU by its number, in a program built with the tag gpu), or
// "ref" (the meaning of everything, slow) or "null" (plans and computes nothing), which are for tests, or "null:cuda"
// (writes the kernels and launches for an H200, for Explain, and computes nothing). The caller closes it, after the VMs
// on it.
func Open(name string) (Device, error) {
	var names []string
	for _, o := range openers {
		if o.name == name {
			return o.open(), nil
		}
		names = append(names, o.name)
	}
	if number, ok := strings.CutPrefix(name, "cuda:"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || strconv.Itoa(n) != number {
			return nil, fmt.Errorf("engine: the device %q: want cuda: and the GPU's number, from 0", name)
		}
		d, err := openCUDA(n)
		if err != nil {
			return nil, fmt.Errorf("engine: the device %q: %w", name, err)
		}
		return d, nil
	}
	return nil, fmt.Errorf("engine: no device %q, want one of %s, or cuda:0", name, strings.Join(names, ", "))
}

// Devices describes the devices that Open can open here. GPUs are among them in a program built with the tag gpu; one
// that is too old has the reason as its Detail. They are not opened, so nothing of them is taken; whether another process
// has one for itself is seen by Open alone.
func Devices() []Info {
	var infos []Info
	for _, o := range openers {
		d := o.open()
		infos = append(infos, d.Info())
		d.Close()
	}
	for n := range countCUDA() {
		i, err := describeCUDA(n)
		if err != nil {
			i.Name, i.Detail = fmt.Sprintf("cuda:%d", n), err.Error()
		}
		infos = append(infos, i)
	}
	return infos
}

// SetThreads sets how many threads the CPU's kernels use, at least 1 (at first runtime.GOMAXPROCS), and returns the old
// number; of less than 1 it only returns that. The threads are a pool of the process: it holds for all VMs, from their
// next RunAll on, and for the package's other users in it. Results do not depend on it.
func SetThreads(n int) (old int) {
	if n < 1 {
		return vec.Threads()
	}
	return vec.SetThreads(n)
}
