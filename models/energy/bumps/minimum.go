package bumps

import (
	"math"

	"github.com/godcem/godcem/internal/viz"
)

// window is the part of the plane that the figures show and [Least] looks at. Beyond it, far to the left, the tilted
// plane falls for ever.
var window = struct{ x0, x1, y0, y1 float64 }{-3, 1.5, -1.25, 3}

// Minimum returns the local minimum of Z downhill of (x, y), to some 1e-8: a compass search, which tries a step in
// each direction and halves it where none leads down. It does not follow the plane's endless slope farther than 10.
func Minimum(params []float64, x, y float64) (mx, my float64) {
	best, x0, y0 := Value(params, x, y), x, y
	for step := 0.05; step > 1e-9; {
		down := false
		for _, d := range [][2]float64{{step, 0}, {-step, 0}, {0, step}, {0, -step}} {
			if z := Value(params, x+d[0], y+d[1]); z < best {
				best, x, y, down = z, x+d[0], y+d[1], true
			}
		}
		if math.Hypot(x-x0, y-y0) > 10 {
			break
		}
		if !down {
			step /= 2
		}
	}
	return x, y
}

// Least returns the least minimum of Z within the figures' window.
func Least(params []float64) (x, y float64) {
	best := math.Inf(1)
	f := field(params, 181)
	for i, u := range f.X {
		for j, v := range f.Y {
			if z := f.Z[i*len(f.Y)+j]; z < best {
				best, x, y = z, u, v
			}
		}
	}
	return Minimum(params, x, y)
}

// field is Z over the window on a grid of n by n points.
func field(params []float64, n int) viz.Field {
	return viz.NewField(window.x0, window.x1, n, window.y0, window.y1, n,
		func(x, y float64) float64 { return Value(params, x, y) })
}
