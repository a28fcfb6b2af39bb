// Package simtest is for tests that run kernels on the simulator.
package simtest

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/godcem/godcem/internal/simcuda"
)

// Need ends the test if err, the simulator's, is not nil: where there is no C++ compiler the test is skipped, and says
// how to get one; it fails for any other reason.
func Need(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, missing := exec.LookPath("g++"); missing != nil && errors.Is(err, simcuda.ErrUnavailable) {
		t.Skip(err)
	}
	t.Fatal(err)
}
