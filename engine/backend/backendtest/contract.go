package backendtest

import (
	"testing"

	"github.com/godcem/godcem/engine/backend"
)

func contract(t *testing.T, d backend.Device) {}
