package regression

import (
	"math"

	"github.com/godcem/godcem/kernels"
)

// Points returns the n points to learn from: x evenly over [0, 2 pi] with both ends, y = x sin x.
func Points(n int) (x, y []float64) {
	x, y = make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = 2 * math.Pi * (float64(i) / float64(n-1))
		y[i] = x[i] * math.Sin(x[i])
	}
	return x, y
}

// pointDraw is the draw number of the points' order. The solver's noise has the draws from 0, one an iteration, and
// the net's start values have hashes of names.
const pointDraw = 1 << 20

// pointOf returns which of n points update number step learns from: uniform, a function of seed and step alone.
func pointOf(seed uint64, step, n int) int {
	var u [1]float64
	kernels.Uniform(u[:], seed, pointDraw, uint64(step), 0)
	return min(int(u[0]*float64(n)), n-1)
}
