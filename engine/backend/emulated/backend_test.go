package emulated_test

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/emulated"
	"github.com/godcem/godcem/internal/simcuda"
)

// open returns the device. Where there is no C++ compiler it skips, and says how to get one.
func open(t *testing.T, o emulated.Options) backend.Device {
	t.Helper()
	d, err := emulated.NewWith(o)
	if err != nil {
		if _, missing := exec.LookPath("g++"); missing != nil && errors.Is(err, simcuda.ErrUnavailable) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return d
}

func TestBackend(t *testing.T) { backendtest.Run(t, open(t, emulated.Options{Fallback: cpu.New()})) }
