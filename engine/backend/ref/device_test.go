package ref_test

import (
	"testing"

	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/backend/ref"
)

func TestDevice(t *testing.T) { backendtest.Run(t, ref.New()) }

func TestPlanned(t *testing.T) { backendtest.Run(t, ref.Planned()) }

func BenchmarkDevice(b *testing.B) { backendtest.Bench(b, ref.New()) }
