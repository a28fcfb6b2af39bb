package engine

import (
	"fmt"
	"os"
	"sync"
)

// DeviceEnv names the variable with the name of the device that VMs without [On] run on, as [Open] takes it; without it,
// that is the CPU.
const DeviceEnv = "GODCEM_DEVICE"

var defaults struct {
	sync.Mutex
	device Device
}

// SetDefault makes d the device of VMs without [On], from the next NewVM on, and returns the one that was set before; nil
// stands for what the environment says (see [DeviceEnv]), or the CPU. It holds for the whole process. The caller
// closes d, after the VMs on it.
func SetDefault(d Device) (old Device) {
	defaults.Lock()
	defer defaults.Unlock()
	old, defaults.device = defaults.device, d
	return old
}

// defaultDevice is what a VM runs on without On.
func defaultDevice() (Device, error) {
	defaults.Lock()
	d := defaults.device
	defaults.Unlock()
	if d != nil {
		return d, nil
	}
	return environment()
}

// environment is the device that the environment names: one for the process, never closed.
var environment = sync.OnceValues(func() (Device, error) {
	name := os.Getenv(DeviceEnv)
	if name == "" {
		name = openers[0].name
	}
	d, err := Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w (%s in the environment says so)", err, DeviceEnv)
	}
	return d, nil
})
