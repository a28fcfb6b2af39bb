package mujoco

import (
	"image/draw"

	"github.com/godcem/godcem/models/env"
)

// A capsule is a rod with round ends, fixed to a body: its ends are (x, z, x, z) in the body's frame, in metres.
type capsule struct {
	body int
	r    float64
	ends [4]float64
	far  bool // on the far side, drawn lighter
}

// drawBodies draws a pose from the side; nil: one that there is nothing to draw of.
func drawBodies(img draw.Image, s *spec, p *pose) {
	if s == nil {
		env.DrawCapsules(img, nil, 0)
		return
	}
	parts := make([]env.Capsule, len(s.capsules))
	for i, c := range s.capsules {
		at, axes := p.xpos[c.body], p.xmat[c.body]
		place := func(x, z float64) (float64, float64) {
			return at[0] + axes[0]*x + axes[2]*z, at[2] + axes[6]*x + axes[8]*z
		}
		part := env.Capsule{R: c.r, Far: c.far}
		part.X0, part.Z0 = place(c.ends[0], c.ends[1])
		part.X1, part.Z1 = place(c.ends[2], c.ends[3])
		parts[i] = part
	}
	env.DrawCapsules(img, parts, p.xpos[0][0])
}
