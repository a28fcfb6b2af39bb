package backendtest_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/backend/cpu"
	"github.com/godcem/godcem/engine/backend/ref"
)

// TestSoakGraphs runs random graphs through the pipeline: GODCEM_GRAPHS of them from seed GODCEM_SEED on (1000), else
// a few.
func TestSoakGraphs(t *testing.T) {
	seeds, first := uint64(60), uint64(1000)
	for name, v := range map[string]*uint64{"GODCEM_GRAPHS": &seeds, "GODCEM_SEED": &first} {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				t.Fatalf("%s = %q, want a number", name, s)
			}
			*v = n
		}
	}
	t.Run("planned", func(t *testing.T) { backendtest.Soak(t, ref.Planned(), first, seeds) })
	t.Run("cpu", func(t *testing.T) { backendtest.Soak(t, cpu.New(), first, seeds) })
}
