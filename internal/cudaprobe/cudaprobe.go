// Package cudaprobe says which NVIDIA GPUs there are, and if there are none, why and what to do. It asks the driver's
// library, opened at run time, so it works in programs that are built without cgo and CUDA. Only Linux is looked at.
package cudaprobe

import (
	"errors"
	"fmt"
)

// MinDriver is the earliest driver that godcem runs on, as the driver counts: 11040 serves CUDA 11.4. It is the first
// that has every call which the CUDA backend makes.
const MinDriver = 11040

// MinCompute is the least compute capability that godcem's kernels are compiled for: 75 is 7.5.
const MinCompute = 75

// What can be done about errors of the driver, by what they are called.
const (
	AdviceNotReady = "the GPUs' fabric is not ready: on machines with NVSwitch (HGX, DGX) the service nvidia-fabricmanager must run, " +
		"of the driver's version (`systemctl status nvidia-fabricmanager`)"
	AdviceSystem = "the operating system refused the driver something: the devices /dev/nvidia* must be there and open to this user; " +
		"a container is started with --gpus all"
	AdviceUnknown = "often /dev/nvidia-uvm is missing, in containers above all (start it with --gpus all; on the host `nvidia-modprobe -u`); " +
		"else `nvidia-smi` and the kernel's log (`dmesg`) may say more"
)

// A GPU is a device as the driver describes it.
type GPU struct {
	Index  int    `json:"index"` // "cuda:0" has index 0
	Name   string `json:"name"`
	Memory int64  `json:"memory"` // bytes
	Major  int    `json:"major"`  // of the compute capability
	Minor  int    `json:"minor"`
	SMs    int    `json:"sms"` // multiprocessors
}

// Compute is the compute capability as one number: 90 is 9.0.
func (g GPU) Compute() int { return 10*g.Major + g.Minor }

// A Report is what was found.
type Report struct {
	Library string // the driver's library
	Driver  int    // latest CUDA version that it serves: 12040 is 12.4; 0: unknown
	GPUs    []GPU
}

// Version is a CUDA version as people write it.
func Version(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Why there are no GPUs: the errors of Probe wrap one of these.
var (
	ErrPlatform = errors.New("CUDA is used on linux/amd64 and linux/arm64 alone")
	ErrNoDriver = errors.New("no NVIDIA driver (libcuda.so.1) found")
	ErrOld      = errors.New("the NVIDIA driver is too old")
	ErrNoDevice = errors.New("the NVIDIA driver finds no GPU")
	ErrFailed   = errors.New("the NVIDIA driver does not start")
)

// Probe asks the driver. Where the error is not nil the report has what is known all the same. The error says what to
// do.
func Probe() (Report, error) { return probe() }

// Check says whether device index can be used, as the report and the error of Probe have it.
func Check(r Report, err error, index int) error {
	if err != nil {
		return err
	}
	if index < 0 || index >= len(r.GPUs) {
		return fmt.Errorf("no device cuda:%d: the driver has %d, cuda:0 to cuda:%d", index, len(r.GPUs), len(r.GPUs)-1)
	}
	return r.GPUs[index].Usable()
}

// Usable is why godcem does not run on a GPU.
func (g GPU) Usable() error {
	if g.Compute() < MinCompute {
		return fmt.Errorf("cuda:%d (%s) has compute capability %d.%d, want at least %d.%d", g.Index, g.Name, g.Major, g.Minor, MinCompute/10, MinCompute%10)
	}
	return nil
}
