package env

import (
	"image/draw"
	"math"
)

// A Capsule is a rod with round ends in a plane: from (X0, Z0) to (X1, Z1), with radius R, all in metres, z upwards.
type Capsule struct {
	X0, Z0, X1, Z1, R float64
	Far               bool // drawn lighter: on the far side of a body
}

// DrawCapsules fills img with a picture of bodies made of capsules, later ones in front, on a floor at z = 0 that is
// marked at every metre. The picture follows x. Without capsules, or where a number is not one, it has a cross in
// their place.
func DrawCapsules(img draw.Image, parts []Capsule, x float64) {
	s := newSketch(img, 3.4, 2.3)
	defer s.show(img)
	good := len(parts) > 0 && drawable([]float64{x})
	for _, p := range parts {
		good = good && drawable([]float64{p.X0, p.Z0, p.X1, p.Z1, p.R})
	}
	s.centre = point{0, 0.85}
	if good {
		s.centre.x = x
	}
	const wide = 40 // beyond the edges of any picture
	s.fill(grid, []point{{s.centre.x - wide, 0}, {s.centre.x + wide, 0}, {s.centre.x + wide, -wide},
		{s.centre.x - wide, -wide}})
	s.line(0.02, stone, point{s.centre.x - wide, 0}, point{s.centre.x + wide, 0})
	for m := math.Ceil(s.centre.x) - 9; m <= s.centre.x+9; m++ {
		depth := 0.09
		if math.Mod(m, 5) == 0 {
			depth = 0.18
		}
		s.line(0.02, stone, point{m, -0.02}, point{m, -depth})
	}
	if !good {
		s.lost()
		return
	}
	for _, far := range []bool{true, false} {
		for _, p := range parts {
			if p.Far == far {
				c := blue
				if far {
					c = sky
				}
				a, b := point{p.X0, p.Z0}, point{p.X1, p.Z1}
				s.line(2*p.R+0.024, paper, a, b) // an edge, that sets it off
				s.line(2*p.R, c, a, b)
			}
		}
	}
}
