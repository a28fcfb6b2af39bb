package frontend

import (
	"io"
	"log"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // Gorgonia's group normalisation prints its operands
	os.Exit(m.Run())
}
