package env

import "math"

// Turn is the angle whose cosine and sine are given, turned by a further angle. As the arc tangent would, it does not
// see the length of (cos, sin), which rounding changes from step to step, and it is not defined at (0, 0): NaN.
func (b *Builder) Turn(cos, sin, angle Expr) (Expr, Expr) {
	r := b.Sqrt(b.Add(b.Square(cos), b.Square(sin)))
	cos, sin = b.Div(cos, r), b.Div(sin, r)
	c, s := b.Cos(angle), b.Sin(angle)
	return b.Sub(b.Mul(cos, c), b.Mul(sin, s)), b.Add(b.Mul(sin, c), b.Mul(cos, s))
}

// Turn is Builder.Turn of numbers.
func Turn(cos, sin, angle float64) (float64, float64) {
	r := math.Sqrt(cos*cos + sin*sin)
	cos, sin = cos/r, sin/r
	s, c := math.Sincos(angle)
	return cos*c - sin*s, sin*c + cos*s
}
