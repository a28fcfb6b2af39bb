package vec

import "math"

// pairKernels is what an instruction set has for an element type; pow is of finite a > 0 and b, in float64 alone.
type pairKernels[T Float] struct{ atan2, pow binary[T] }

func pairKernelsOf[T Float]() *pairKernels[T] {
	return of[T](&pairSets32[current], &pairSets64[current]).(*pairKernels[T])
}

// Atan2 is the angle of the point (x, y) in [-pi, pi], with math.Atan2's special values; dst may be any of the slices.
// It errs like the functions of one slice.
func Atan2[T Float](dst, y, x []T) { apply2("Atan2", pairKernelsOf[T]().atan2, dst, y, x) }

var (
	pairsGo32 = pairKernels[float32]{atan2: viaFloat64s[float32](atan2)}
	pairsGo64 = pairKernels[float64]{atan2: viaFloat64s[float64](atan2), pow: viaFloat64s[float64](powOf)}
)

// atan2 is math.Atan2 without its wrong sign where y/x underflows and x < 0.
func atan2(y, x float64) float64 { return math.Copysign(math.Atan2(math.Abs(y), x), y) }

// viaFloat64s is plain Go's loop over two slices, with a buffer for viaFloat64's reason.
func viaFloat64s[T Float](f func(x, y float64) float64) binary[T] {
	return func(dst, a, b *T, n int) {
		x, y, d := from(a, n), from(b, n), from(dst, n)
		var p, q [64]float64
		for len(x) > 0 {
			n := min(len(p), len(x))
			for i := range n {
				p[i], q[i] = float64(x[i]), float64(y[i])
			}
			for i, v := range p[:n] {
				p[i] = f(v, q[i])
			}
			for i, v := range p[:n] {
				d[i] = T(v)
			}
			x, y, d = x[n:], y[n:], d[n:]
		}
	}
}
