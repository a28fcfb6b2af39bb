//go:build gpu

// Package probe ends a program that was built for GPUs, with advice, where there is none. gorgonia.org/cu would do so as
// well when it is initialised, but without saying why. Packages that are ready to be initialised are, in the order of their import
// paths: this one comes before cu because it imports nothing that cu has to wait for.
package probe

import (
	"fmt"
	"os"

	"github.com/godcem/godcem/internal/cudaprobe"
)

func init() {
	if _, err := cudaprobe.Probe(); err != nil {
		fmt.Fprintf(os.Stderr, "godcem (built with -tags gpu): %v\nThe program without the tag runs on the CPU; "+
			"its command `godcem doctor` says more.\n", err)
		os.Exit(1)
	}
}
