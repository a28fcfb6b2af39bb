//go:build gpu

package cuda

import (
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
)

// open is the first GPU, closed at the end of the test.
func open(t *testing.T) backend.Device {
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
	return d
}

func TestBackend(t *testing.T) { backendtest.Run(t, open(t)) }
