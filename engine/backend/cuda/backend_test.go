//go:build gpu

package cuda

import (
	"sync"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/plan"
)

// open is the first GPU, closed at the end of the test.
func open(t *testing.T) *device {
	t.Helper()
	d, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d.(*device)
}

// reopened is a device that is opened again after an error that ended its context, so that one faulty kernel fails one
// case and not all that follow. That is an attempt: where the process is lost with the context all that follow fail, and
// say so.
type reopened struct {
	t *testing.T
	sync.Mutex
	backend.Device
}

func (r *reopened) Compile(p *plan.Program) (backend.Executable, error) {
	r.Lock()
	defer r.Unlock()
	if d := r.Device.(*device); d.broken.Load() != nil {
		if err := d.Close(); err != nil {
			r.t.Errorf("close of a broken device: %v", err)
		}
		again, err := New(0)
		if err != nil {
			return nil, err
		}
		r.t.Cleanup(func() {
			if err := again.Close(); err != nil {
				r.t.Errorf("close: %v", err)
			}
		})
		r.Device = again
	}
	return r.Device.Compile(p)
}

func (r *reopened) Tune(o *plan.Options) { r.Device.(*device).Tune(o) }

func TestBackend(t *testing.T) { backendtest.Run(t, &reopened{t: t, Device: open(t)}) }
