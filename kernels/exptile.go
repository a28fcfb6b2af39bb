package kernels

import "math"

// softTile is how many elements the soft top-k kernels take at a time: two or three such buffers stay in the
// first-level cache.
const softTile = 256

// pow2 holds 2^(i/32).
var pow2 = [32]float64{
	0x1.0000000000000p+0, 0x1.059b0d3158574p+0, 0x1.0b5586cf9890fp+0, 0x1.11301d0125b51p+0,
	0x1.172b83c7d517bp+0, 0x1.1d4873168b9aap+0, 0x1.2387a6e756238p+0, 0x1.29e9df51fdee1p+0,
	0x1.306fe0a31b715p+0, 0x1.371a7373aa9cbp+0, 0x1.3dea64c123422p+0, 0x1.44e086061892dp+0,
	0x1.4bfdad5362a27p+0, 0x1.5342b569d4f82p+0, 0x1.5ab07dd485429p+0, 0x1.6247eb03a5585p+0,
	0x1.6a09e667f3bcdp+0, 0x1.71f75e8ec5f74p+0, 0x1.7a11473eb0187p+0, 0x1.82589994cce13p+0,
	0x1.8ace5422aa0dbp+0, 0x1.93737b0cdc5e5p+0, 0x1.9c49182a3f090p+0, 0x1.a5503b23e255dp+0,
	0x1.ae89f995ad3adp+0, 0x1.b7f76f2fb5e47p+0, 0x1.c199bdd85529cp+0, 0x1.cb720dcef9069p+0,
	0x1.d5818dcfba487p+0, 0x1.dfc97337b9b5fp+0, 0x1.ea4afa2a490dap+0, 0x1.f50765b6e4540p+0,
}

// expTile sets dst[i] = e^src[i] to within 1.3 units in the last place: 0 below -708, +Inf above 708, NaN for NaN. One
// loop without calls or division, so that neighbouring elements overlap: x = n ln2/32 + r, e^x = 2^(n/32) e^r, |r| <=
// ln2/64. No multiply-add is fused, so the bits are the same everywhere. dst may be src.
func expTile(dst, src []float64) {
	const (
		perLn2 = 32 * 1.44269504088896338700e+00
		ln2hi  = 6.93147180369123816490e-01 / 32 // few enough bits that n*ln2hi is exact
		ln2lo  = 1.90821492927058770002e-10 / 32
		magic  = 0x1.8p52 // adding it leaves the nearest integer in the low bits
	)
	dst = dst[:len(src)]
	for i, x := range src {
		if !(math.Abs(x) <= 708) {
			dst[i] = expEnd(x)
			continue
		}
		m := float64(x*perLn2) + magic
		n := m - magic
		bits := math.Float64bits(m)
		s := math.Float64frombits(math.Float64bits(pow2[bits%32]) + bits>>5<<52)
		r := (x - float64(n*ln2hi)) - float64(n*ln2lo)
		r2 := r * r
		low := 1./2 + float64(r*(1./6))
		high := 1./24 + float64(r*(1./120)) + float64(r2*(1./720))
		p := r + float64(r2*(low+float64(r2*high)))
		dst[i] = s + float64(s*p)
	}
}

// expEnd is e^x where expTile's scaling by 2^n would leave the normal numbers.
func expEnd(x float64) float64 {
	switch {
	case x < 0:
		return 0
	case x > 0:
		return math.Inf(1)
	}
	return x
}
