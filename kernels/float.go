// Package kernels holds the numerical kernels of the cross-entropy method: counter-based sampling, soft and hard
// top-k, cost normalisation, weighted moments and the optimisers' update rules. Each kernel states its equation, its
// naive float64 reference loop and a good CPU loop, forward and backward, over a batch of independent problems. Numbers
// of equations are those of doc/equations.md.
//
// Arrays are row-major slices owned by the caller; b counts problems, n samples, d dimensions and k elites. Kernels
// allocate nothing and give the same bits for any number of threads. A caller's mistake panics before any work
// starts; what the mathematics does to a row is a status of that row.
package kernels

import "github.com/godcem/godcem/internal/vec"

// Float is an element type of the kernels' arrays.
type Float = vec.Float

// isSingle reports whether T is float32.
func isSingle[T Float]() bool {
	_, ok := any(T(0)).(float32)
	return ok
}

// isFinite reports whether v is neither NaN nor infinite.
func isFinite[T Float](v T) bool { return v-v == 0 }
