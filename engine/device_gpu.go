//go:build gpu

package engine

import "github.com/godcem/godcem/engine/backend/cuda"

// openCUDA opens a GPU.
func openCUDA(n int) (Device, error) { return cuda.New(n) }

// describeCUDA says what a GPU is, without opening it.
func describeCUDA(n int) (Info, error) { return cuda.Describe(n) }

// countCUDA is the number of GPUs.
func countCUDA() int {
	n, err := cuda.Count()
	if err != nil {
		return 0
	}
	return n
}
