package vec

import "math"

// Pow is a^b, with math.Pow's special values, for any two slices by logarithm and exponential: in float32 computed in
// float64, which errs little more than half an ulp, in float64 with a logarithm of two numbers, within an ulp. In
// float64 the bits are the same with every instruction set.
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
	x, y := from(a, n), from(b, n)
	switch d := any(from(dst, n)).(type) {
	case []float32:
		pow32(d, any(x).([]float32), any(y).([]float32))
	case []float64:
		pow64(d, any(x).([]float64), any(y).([]float64))
	}
}

// pow32 goes by float64.
func pow32(dst, a, b []float32) {
	if current == isaGo {
		viaFloat64s[float32](math.Pow)(&dst[0], &a[0], &b[0], len(a))
		return
	}
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
		powEnds(p, a[:n], b[:n], math.MaxFloat32, 1<<24)
		Narrow(dst[:n], p)
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	buffers[float64]().put(buf)
}

func pow64(dst, a, b []float64) {
	buf := buffers[float64]().get()
	tile := aligned(&buf.a, powTile)
	for len(a) > 0 {
		n := min(powTile, len(a))
		p := tile[:n]
		Abs(p, a[:n])
		pairKernelsOf[float64]().pow(&p[0], &p[0], &b[0], n)
		powEnds(p, a[:n], b[:n], math.MaxFloat64, 1<<53)
		copy(dst, p)
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	buffers[float64]().put(buf)
}

// powEnds puts into p, |a|**b, the sign for a < 0, and what is not of finite numbers, up to most, or of 0. From even on
// all numbers are.
func powEnds[T Float](p []float64, a, b []T, most, even T) {
	p, b = p[:len(a)], b[:len(a)]
	for i, x := range a {
		y := b[i]
		if x > 0 && x <= most && y >= -most && y <= most {
			continue
		}
		switch {
		case x == 0 || !(x >= -most && x <= most && y >= -most && y <= most):
			p[i] = math.Pow(float64(x), float64(y))
		case !(y > -even && y < even):
		case T(int64(y)) != y:
			p[i] = math.NaN()
		case int64(y)&1 == 1:
			p[i] = -p[i]
		}
	}
}
