//go:build gpu

package engine

import "github.com/godcem/godcem/engine/backend/cuda"

// openCUDA opens a GPU.
func openCUDA(n int) (Device, error) { return cuda.New(n) }

// countCUDA is the number of GPUs.
func countCUDA() int {
	n, err := cuda.Count()
	if err != nil {
		return 0
	}
	return n
}
