package vec

import "math"

// Pow is a^b, with math.Pow's special values. In float32 it is computed in float64, by logarithm and exponential, and
// errs little more than half an ulp; in float64, and everywhere in plain Go, it is math.Pow of each.
func Pow[T Float](dst, a, b []T) { apply2("Pow", pow[T], dst, a, b) }

// PowS is a^s, with math.Pow's special values: for s = -1, 1, 2 and 3 by products or a quotient, each rounded, else as
// Pow.
func PowS[T Float](dst, a []T, s T) {
	checkLengths("PowS", len(dst), len(a))
	switch s {
	case -1:
		RDivS(dst, a, 1)
		return
	case 1:
		copy(dst, a)
		return
	case 2:
		Square(dst, a)
		return
	}
	buf := buffers[T]().get()
	tile := aligned(&buf.a, powTile)
	for len(a) > 0 {
		n := min(powTile, len(a))
		if tile := tile[:n]; s == 3 {
			Square(tile, a[:n])
			Mul(dst[:n], tile, a[:n])
		} else {
			Fill(tile, s)
			Pow(dst[:n], a[:n], tile)
		}
		dst, a = dst[n:], a[n:]
	}
	buffers[T]().put(buf)
}

// powTile is the number of elements at a time.
const powTile = 128

func pow[T Float](dst, a, b *T, n int) {
	x, y, d := from(a, n), from(b, n), from(dst, n)
	if x, ok := any(x).([]float32); ok && current != isaGo {
		pow32(any(d).([]float32), x, any(y).([]float32))
		return
	}
	// As in viaFloat64.
	var p, q [powTile]float64
	for len(x) > 0 {
		n := min(powTile, len(x))
		for i := range n {
			p[i], q[i] = float64(x[i]), float64(y[i])
		}
		for i, v := range p[:n] {
			p[i] = math.Pow(v, q[i])
		}
		for i, v := range p[:n] {
			d[i] = T(v)
		}
		x, y, d = x[n:], y[n:], d[n:]
	}
}

// pow32 is e^(b log|a|), with the sign for a < 0; math.Pow has the rest.
func pow32(dst, a, b []float32) {
	buf := buffers[float64]().get()
	tiles := aligned(&buf.a, 2*powTile)
	for len(a) > 0 {
		n := min(powTile, len(a))
		p, q := tiles[:n], tiles[powTile:][:n]
		Widen(p, a[:n])
		Widen(q, b[:n])
		Abs(p, p)
		Log(p, p)
		Mul(p, p, q)
		Exp(p, p)
		for i, x := range a[:n] {
			y := b[i]
			switch size := math.Abs(float64(x)); {
			case x == 0 || !(size <= math.MaxFloat32) || !(math.Abs(float64(y)) <= math.MaxFloat32):
				p[i] = math.Pow(float64(x), float64(y))
			case x > 0:
			case !(y > -1<<24 && y < 1<<24): // even
			case float32(int64(y)) != y:
				p[i] = math.NaN()
			case int64(y)&1 == 1:
				p[i] = -p[i]
			}
		}
		Narrow(dst[:n], p)
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	buffers[float64]().put(buf)
}
