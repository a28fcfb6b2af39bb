package mujoco

import "math"

// The rewards are dm_control's, in its order of operations. Conversions to float64 keep products and sums apart,
// which some processors would fuse.

// cheetahReward grows linearly with the speed, in m/s, to 1 at 10 m/s.
func cheetahReward(speed float64) float64 { return linear(speed, 10, 10, 0) }

// walkerReward is that of a torso at that height (m), with upright the z-element of its z-axis, which moves at that
// speed (m/s): for standing at 1.2 m or higher, for being upright, and for walking at 1 m/s or faster.
func walkerReward(height, upright, speed float64) float64 {
	standing := 1.0
	if !(height >= 1.2) {
		d := (1.2 - height) / (1.2 / 2) * math.Sqrt(-2*math.Log(0.1))
		standing = math.Exp(-0.5 * (d * d))
	}
	posture := (float64(3*standing) + (1+upright)/2) / 4
	return posture * (float64(5*linear(speed, 1, 0.5, 0.5)) + 1) / 6
}

// linear is 1 where x is at least lower, and falls off to atMargin at lower - margin, and to 0.
func linear(x, lower, margin, atMargin float64) float64 {
	if x >= lower {
		return 1
	}
	if d := float64((lower - x) / margin * (1 - atMargin)); math.Abs(d) < 1 {
		return 1 - d
	}
	return 0
}
