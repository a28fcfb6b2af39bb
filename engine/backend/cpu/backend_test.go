package cpu_test

import (
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/backend/cpu"
)

func TestBackend(t *testing.T) { backendtest.Run(t, cpu.New()) }
