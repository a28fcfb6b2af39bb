package vec

import (
	"math"
	"math/bits"
)

// sineLimit is the largest number that the vectors' reduction is for, which is sineOf's first.
const sineLimit = 1e8

// The coefficients of gen/funcs.go.
var (
	sinPoly = [...]float64{-1.66666666666666307295e-1, 8.33333333332211858878e-3, -1.98412698295895385996e-4, 2.75573136213857245213e-6,
		-2.50507477628578072866e-8, 1.58962301576546568060e-10}
	cosPoly = [...]float64{4.16666666666665929218e-2, -1.38888888888730564116e-3, 2.48015872888517045348e-5, -2.75573141792967388112e-7,
		2.08757008419747316778e-9, -1.13585365213876817300e-11}
)

// sineOf is the sine of the sum of x and that many quarter turns, with the operations of the assembly up to sineLimit.
// math.Sin is no use: beyond a few thousand it loses digits next to multiples of pi, all of them in the end.
func sineOf(x float64, turn uint64) float64 {
	var r, rest float64
	if math.Abs(x) <= sineLimit {
		N := math.FMA(2/math.Pi, x, 0x1.8p52)
		n := N - 0x1.8p52
		turn += math.Float64bits(N)
		x1 := math.FMA(-1.5707963267948966, n, x)
		r = x1 - float64(6.123233995736765e-17*n)
		lost := math.FMA(6.123233995736765e-17, n, -(x1 - r))
		r -= math.FMA(1.0828566739219139e-32, n, lost)
	} else {
		if x-x != 0 {
			return math.NaN()
		}
		var n uint64
		n, r, rest = quarterTurns(math.Abs(x))
		if x < 0 {
			n, r, rest = -n, -r, -rest
		}
		turn += n
	}
	z := float64(r * r)
	var y float64
	if turn&1 != 0 {
		y = math.FMA(z, math.FMA(z, horner(z, cosPoly[:]), -0.5), 1) - float64(r*rest)
	} else {
		y = math.FMA(float64(z*r), horner(z, sinPoly[:]), r) + rest
		y = math.Copysign(y, r)
	}
	if turn&2 != 0 {
		return -y
	}
	return y
}

// quarterTurns is x = n pi/2 + r + rest for x > 2^26, n modulo 4: the reduction of Payne and Hanek. The digits of 2/pi
// that make multiples of 4 with x are left out; 192 follow, and what is left of r after cancelling has 128 or so.
func quarterTurns(x float64) (n uint64, r, rest float64) {
	b := math.Float64bits(x)
	m := b&(1<<52-1) | 1<<52
	from := b>>52 - 1075 + 62 // the first digit, of weight 2 in x = m 2^e
	word := func(i uint64) uint64 {
		i += from / 64
		return twoOverPi[i]<<(from%64) | twoOverPi[i+1]>>(64-from%64)
	}
	h2, p2 := bits.Mul64(m, word(2))
	h1, p1 := bits.Mul64(m, word(1))
	p1, carry := bits.Add64(p1, h2, 0)
	p0, _ := bits.Add64(m*word(0), h1, carry)
	// Two digits of whole quarters, then their fraction; from a half on, the next quarter less the rest.
	n = p0 >> 62
	p0, p1, p2 = p0<<2|p1>>62, p1<<2|p2>>62, p2<<2
	negative := p0>>63 != 0
	if negative {
		n++
		p2, carry = bits.Sub64(0, p2, 0)
		p1, carry = bits.Sub64(0, p1, carry)
		p0, _ = bits.Sub64(0, p0, carry)
	}
	scale := -64
	if p0 == 0 { // 2^-62 is the least that there is
		p0, p1, p2, scale = p1, p2, 0, scale-64
	}
	if zeros := bits.LeadingZeros64(p0); zeros > 0 {
		p0, p1 = p0<<zeros|p1>>(64-zeros), p1<<zeros|p2>>(64-zeros)
		scale -= zeros
	}
	hi := float64(p0 >> 11)
	lo := float64(p0&(1<<11-1)) + float64(p1)*0x1p-64
	hi, lo = math.Ldexp(hi, scale+11), math.Ldexp(lo, scale)
	if negative {
		hi, lo = -hi, -lo
	}
	const half, halfLow = math.Pi / 2, 6.123233995736766e-17
	r = float64(hi * half)
	rest = math.FMA(hi, half, -r) + (float64(hi*halfLow) + float64(lo*half))
	return n, r, rest
}

// twoOverPi is 2/pi to 1280 binary digits, after 64 zeros.
var twoOverPi = [...]uint64{
	0,
	0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
	0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
	0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
	0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b,
	0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d,
}
