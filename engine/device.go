package engine

import (
	"fmt"
	"strings"
	"sync"

	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/backend/ref"
)

// An opener is a kind of device.
type opener struct {
	name string
	open func() Device
}

// openers lists the kinds of device, the default first.
var openers = []opener{
	{"cpu", cpu.New},
	{"ref", ref.New},
	{"null", null.New},
}

// Open returns a device by name: "cpu", or "ref" (the meaning of everything, slow) or "null" (plans and computes
// nothing), which are for tests. The caller closes it, after the VMs on it.
func Open(name string) (Device, error) {
	var names []string
	for _, o := range openers {
		if o.name == name {
			return o.open(), nil
		}
		names = append(names, o.name)
	}
	return nil, fmt.Errorf("engine: no device %q, want one of %s", name, strings.Join(names, ", "))
}

// Devices describes the devices that Open can open here.
func Devices() []Info {
	var infos []Info
	for _, o := range openers {
		d := o.open()
		infos = append(infos, d.Info())
		d.Close()
	}
	return infos
}

// defaultDevice is what a VM runs on without On: one for the process, never closed.
var defaultDevice = sync.OnceValue(func() Device { return openers[0].open() })
