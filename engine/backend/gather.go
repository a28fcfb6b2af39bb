package backend

import "github.com/godcem/godcem/engine/plan"

// A Gatherer is an Executable that reads several buffers with one wait.
type Gatherer interface {
	// Gather is Read of every buffer into its slice.
	Gather(bufs []plan.BufID, dsts []any) error
}
