package dcem

import "fmt"

// A Spline makes the controls of a horizon H of K knots (PlanConfig.Knots). Knot i lies at the time i*(H-1)/(K-1), in
// steps, so that the first and the last lie on the first and the last step; SplineZero has times of its own. Controls
// are linear in the knots, so that gradients flow to the knots by the same weights.
type Spline uint8

const (
	// SplineZero holds each knot until the next: knot i takes effect at step ceil(i*H/K).
	SplineZero Spline = iota
	// SplineLinear draws straight lines between the knots.
	SplineLinear
	// SplineCubic is the cubic Hermite spline with the slopes of central differences between neighbouring knots
	// (Catmull-Rom; Catmull and Rom, A class of local interpolating splines, 1974), one-sided at the ends. It may
	// overshoot its knots: controls are clamped to the bounds, with gradient 0 outside.
	SplineCubic
)

var splines = [...]string{"zero", "linear", "cubic"}

// String returns the name, as in "cubic".
func (s Spline) String() string {
	if int(s) < len(splines) {
		return splines[s]
	}
	return fmt.Sprintf("Spline(%d)", uint8(s))
}

// blend is a control as a weighted sum of free controls: weight w[i] on number at[i].
type blend struct {
	at []int
	w  []float64
}

// blendAt is the control at the time t, in steps, of c's plan: beyond the horizon the last one is held.
func (c PlanConfig) blendAt(t float64) blend {
	one := func(i int) blend { return blend{[]int{i}, []float64{1}} }
	k, h := c.free(), c.Horizon
	t = min(max(t, 0), float64(h-1))
	switch {
	case k == 1:
		return one(0)
	case c.Knots == 0:
		return one(min(int(t)/c.Repeat, k-1))
	case c.Spline == SplineZero:
		return one(min(int(t)*k/h, k-1))
	}
	s := t * float64(k-1) / float64(h-1) // in units of the knots' distance
	i := min(int(s), k-2)
	f := s - float64(i)
	if f == 0 {
		return one(i)
	}
	if f == 1 {
		return one(i + 1)
	}
	if c.Spline == SplineLinear {
		return blend{[]int{i, i + 1}, []float64{1 - f, f}}
	}
	return hermite(i, k, f)
}

// hermite is the cubic Hermite spline at the share f of the way from knot i to knot i+1 of k.
func hermite(i, k int, f float64) blend {
	f2, f3 := f*f, f*f*f
	start, end := f3-2*f2+f, f3-f2 // weights of the slopes at both knots
	w := [4]float64{1: 2*f3 - 3*f2 + 1, 2: 3*f2 - 2*f3}
	if i > 0 { // (p[i+1] - p[i-1])/2
		w[2] += start / 2
		w[0] -= start / 2
	} else { // p[1] - p[0]
		w[2] += start
		w[1] -= start
	}
	if i+2 < k {
		w[3] += end / 2
		w[1] -= end / 2
	} else {
		w[2] += end
		w[1] -= end
	}
	var b blend
	for j, v := range w {
		if at := i - 1 + j; at >= 0 && at < k {
			b.at, b.w = append(b.at, at), append(b.w, v)
		}
	}
	return b
}

// knotTime is the time, in steps, at which free control i takes effect.
func (c PlanConfig) knotTime(i int) float64 {
	k, h := c.free(), c.Horizon
	switch {
	case c.Knots == 0:
		return float64(i * c.Repeat)
	case c.Spline == SplineZero || k == 1:
		return float64((i*h + k - 1) / k)
	}
	return float64(i) * float64(h-1) / float64(k-1)
}

// shift moves a plan on by steps in time: row, of u values per free control, becomes the plan that continues it, with
// the last control held. tmp is of row's length.
func shift[T float32 | float64](row, tmp []T, blends []blend, u int) {
	for i, b := range blends {
		for j := range u {
			var v float64
			for n, at := range b.at {
				v += b.w[n] * float64(row[at*u+j])
			}
			tmp[i*u+j] = T(v)
		}
	}
	copy(row, tmp)
}

// shifts are the blends of a plan moved on by steps.
func (c PlanConfig) shifts(steps int) []blend {
	blends := make([]blend, c.free())
	for i := range blends {
		blends[i] = c.blendAt(c.knotTime(i) + float64(steps))
	}
	return blends
}
