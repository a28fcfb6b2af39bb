package vec

import "math"

// Coefficients of normals32: minimax fits of the relative error (which is in brackets), rounded to float32 one after
// the other, the rest being fitted again each time. The comments name them as the sequences below do.
const (
	// -2 ln(1+f) = -2f + f^2 + f^3 (a0 + a1 f + ... + a7 f^7) on |f| <= 1/3 [2^-27.5]
	lnA0 = -0x1.555520p-1
	lnA1 = 0x1.fffc02p-2
	lnA2 = -0x1.99ca6ep-2
	lnA3 = 0x1.561d98p-2
	lnA4 = -0x1.1f0102p-2
	lnA5 = 0x1.e577ecp-3
	lnA6 = -0x1.1e3af8p-2
	lnA7 = 0x1.2563b2p-2
	// 2 ln 2 = hi + lo, hi so short that n hi is exact for n <= 33
	lnHi32 = 0x1.62e400p+0
	lnLo32 = 0x1.7f7d1cp-19
	// sin t = t + t x (s0 + s1 x + s2 x^2), x = t^2, |t| <= pi/4 [2^-27.9]
	sinA0 = -0x1.555546p-3
	sinA1 = 0x1.110778p-7
	sinA2 = -0x1.995408p-13
	// cos t = 1 + x (-1/2 + x (c0 + c1 x + c2 x^2)) [2^-33.0]
	cosA0 = 0x1.55554ap-5
	cosA1 = -0x1.6c0c28p-10
	cosA2 = 0x1.99e80cp-16
	// 2 pi / 2^32
	turn32 = 0x1.921fb6p-30
)

// normals32 turns each pair of words into two normals. len(dst) = len(words) is even. The sequence for a pair (w0,
// w1):
//
//	u = float32(w0)*2^-32 + 2^-33              w0 rounded to nearest; u in [2^-33, 1]
//	i = bits(u), e = int32(i - 0x3f2aaaab)>>23  u = 2^e m with m in [2/3, 4/3); e in [-33, 0]
//	f = float(i - e<<23) - 1, n = float32(-e)
//	y = f f
//	p = ((a7 y + a5) y + a3) y + a1,  q = ((a6 y + a4) y + a2) y + a0
//	r = sqrt(n hi + ((n lo + (((p y) + (q f)) y + y)) - 2f))
//	h = w1 + 2^29                              the quadrant is h>>30
//	t = float32(int32(w1 - h&0xc0000000)) * (2 pi 2^-32), x = t t
//	s = (((s2 x + s1) x + s0) x) t + t
//	c = (((c2 x + c1) x + c0) x - 1/2) x + 1
//	if h & 2^30: swap c and s;  flip c's sign if (h + 2^30) & 2^31, and s's if h & 2^31
//	z0 = r c, z1 = r s
//
// u = 1 gives r = +0: -2f is then added to +0. No step underflows, so it does not matter how subnormals are treated.
// Every product is converted explicitly, since Go may fuse it with a sum otherwise.
func normals32(dst []float32, words []uint32) {
	dst = dst[:len(words)]
	for i := 0; i+1 < len(words); i += 2 {
		u := float32(float32(words[i])*0x1p-32) + 0x1p-33
		b := math.Float32bits(u)
		e := int32(b-0x3f2aaaab) >> 23
		f := math.Float32frombits(b-uint32(e<<23)) - 1
		n := float32(-e)
		y := float32(f * f)
		p := float32(lnA7*y) + lnA5
		q := float32(lnA6*y) + lnA4
		p = float32(p*y) + lnA3
		q = float32(q*y) + lnA2
		p = float32(p*y) + lnA1
		q = float32(q*y) + lnA0
		p = float32(p*y) + float32(q*f)
		l := float32(p*y) + y
		l = float32(n*lnLo32) + l
		l = l - float32(2*f)
		l = float32(n*lnHi32) + l
		r := float32(math.Sqrt(float64(l))) // one float32 square root to the compiler, and the same number if done in float64

		h := words[i+1] + 1<<29
		t := float32(float32(int32(words[i+1]-h&(3<<30))) * turn32)
		x := float32(t * t)
		s := float32(sinA2*x) + sinA1
		c := float32(cosA2*x) + cosA1
		s = float32(s*x) + sinA0
		c = float32(c*x) + cosA0
		c = float32(c*x) - 0.5
		s = float32(float32(s*x)*t) + t
		c = float32(c*x) + 1
		sb, cb := math.Float32bits(s), math.Float32bits(c)
		if h&(1<<30) != 0 {
			sb, cb = cb, sb
		}
		cb ^= (h + 1<<30) & (1 << 31)
		sb ^= h & (1 << 31)
		dst[i] = float32(r * math.Float32frombits(cb))
		dst[i+1] = float32(r * math.Float32frombits(sb))
	}
}

// Coefficients of normals64, as those of normals32.
const (
	// -2 ln(1+f) = -2f + f^2 - s (f^2 + R), s = f/(2+f), z = s^2, R = z (b0 + b1 z + ... + b6 z^6), |s| <= 0.1716
	// [2^-59.5]
	lnB0 = 0x1.5555555555592p+0
	lnB1 = 0x1.999999997ff63p-1
	lnB2 = 0x1.24924941db47cp-1
	lnB3 = 0x1.c71c521a1b118p-2
	lnB4 = 0x1.74663ba2d257ep-2
	lnB5 = 0x1.39a20bb40d865p-2
	lnB6 = 0x1.2f0250cbe02fbp-2
	// 2 ln 2 = hi + lo, n hi exact for n <= 53
	lnHi64 = 0x1.62e42fefa3a00p+0
	lnLo64 = -0x1.0ca86c3898d00p-48
	// sin t = t + t x (s0 + s1 x + ... + s5 x^5), x = t^2, |t| <= pi/4 [2^-57.9]
	sinB0 = -0x1.5555555555548p-3
	sinB1 = 0x1.111111110f730p-7
	sinB2 = -0x1.a01a019be9217p-13
	sinB3 = 0x1.71de35552b565p-19
	sinB4 = -0x1.ae5e4b83ead9fp-26
	sinB5 = 0x1.5d8b559759c24p-33
	// cos t = 1 + x (-1/2 + x (c0 + c1 x + ... + c5 x^5)) [2^-63.9]
	cosB0 = 0x1.555555555554bp-5
	cosB1 = -0x1.6c16c16c15015p-10
	cosB2 = 0x1.a01a019c8f255p-16
	cosB3 = -0x1.27e4f7f191627p-22
	cosB4 = 0x1.1ee9dbcf17062p-29
	cosB5 = -0x1.8fa6849a0a072p-37
	// 2 pi / 2^52
	turn64 = 0x1.921fb54442d18p-50
)

// normals64 turns each four words into two normals. len(dst) = len(words)/2 is even. The sequence for W0 = w1<<32 |
// w0, W1 = w3<<32 | w2:
//
//	u = float64(2(W0>>12) + 1) * 2^-53           exact; u in [2^-53, 1-2^-53]
//	i = bits(u), e = int64(i - 0x3fe6a09e667f3bcd)>>52  u = 2^e m with m in [sqrt 1/2, sqrt 2); e in [-53, 0]
//	f = float(i - e<<52) - 1, n = float64(-e)
//	s = f / (2 + f), z = s s, w = z z, y = f f
//	R = (((b5 w + b3) w + b1) w) + ((((b6 w + b4) w + b2) w + b0) z)
//	r = sqrt(n hi + ((n lo + (y - s (y + R))) - 2f))
//	a = W1>>12, h = a + 2^49                      the quadrant is h>>50, modulo 4
//	t = float64(int64(a - h & -2^50)) * (2 pi 2^-52), x = t t
//	s = ((((((s5 x + s4) x + s3) x + s2) x + s1) x + s0) x) t + t
//	c = ((((((c5 x + c4) x + c3) x + c2) x + c1) x + c0) x - 1/2) x + 1
//	if h & 2^50: swap c and s;  flip c's sign if (h + 2^50) & 2^51, and s's if h & 2^51
//	z0 = r c, z1 = r s
func normals64(dst []float64, words []uint32) {
	dst = dst[:len(words)/2]
	for i := 0; i+1 < len(dst); i += 2 {
		u := float64(float64(int64(word64(words, i)>>12<<1|1)) * 0x1p-53)
		b := math.Float64bits(u)
		e := int64(b-0x3fe6a09e667f3bcd) >> 52
		f := math.Float64frombits(b-uint64(e<<52)) - 1
		n := float64(-e)
		s := f / (2 + f)
		z := float64(s * s)
		w := float64(z * z)
		y := float64(f * f)
		p := float64(lnB5*w) + lnB3
		q := float64(lnB6*w) + lnB4
		p = float64(p*w) + lnB1
		q = float64(q*w) + lnB2
		q = float64(q*w) + lnB0
		l := float64(p*w) + float64(q*z)
		l = y - float64(s*(y+l))
		l = float64(n*lnLo64) + l
		l = l - float64(2*f)
		l = float64(n*lnHi64) + l
		r := math.Sqrt(l)

		a := word64(words, i+1) >> 12
		h := a + 1<<49
		t := float64(float64(int64(a-h&^(1<<50-1))) * turn64)
		x := float64(t * t)
		s = float64(sinB5*x) + sinB4
		c := float64(cosB5*x) + cosB4
		s = float64(s*x) + sinB3
		c = float64(c*x) + cosB3
		s = float64(s*x) + sinB2
		c = float64(c*x) + cosB2
		s = float64(s*x) + sinB1
		c = float64(c*x) + cosB1
		s = float64(s*x) + sinB0
		c = float64(c*x) + cosB0
		c = float64(c*x) - 0.5
		s = float64(float64(s*x)*t) + t
		c = float64(c*x) + 1
		sb, cb := math.Float64bits(s), math.Float64bits(c)
		if h&(1<<50) != 0 {
			sb, cb = cb, sb
		}
		cb ^= (h + 1<<50) << 12 & (1 << 63)
		sb ^= h << 12 & (1 << 63)
		dst[i] = float64(r * math.Float64frombits(cb))
		dst[i+1] = float64(r * math.Float64frombits(sb))
	}
}

// uniforms32 turns each word into a number.
func uniforms32(dst []float32, words []uint32) {
	words = words[:len(dst)]
	for i := range dst {
		dst[i] = float32(int32(words[i]>>8)) * 0x1p-24
	}
}

// uniforms64 turns each pair of words, low one first, into a number.
func uniforms64(dst []float64, words []uint32) {
	words = words[:2*len(dst)]
	for i := range dst {
		dst[i] = float64(int64(word64(words, i)>>11)) * 0x1p-53
	}
}

// word64 returns the i-th pair of words, low one first.
func word64(words []uint32, i int) uint64 {
	return uint64(words[2*i+1])<<32 | uint64(words[2*i])
}

// philoxGo writes whole blocks. The rounds are written out, which is worth a third of the time.
func philoxGo(words []uint32, k *[20]uint32, run, block uint64) {
	for ; len(words) >= 4; block++ {
		a, b, c, d := uint32(run), uint32(run>>32), uint32(block), uint32(block>>32)
		var p, q uint64
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[0], uint32(q), uint32(p>>32)^d^k[1], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[2], uint32(q), uint32(p>>32)^d^k[3], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[4], uint32(q), uint32(p>>32)^d^k[5], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[6], uint32(q), uint32(p>>32)^d^k[7], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[8], uint32(q), uint32(p>>32)^d^k[9], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[10], uint32(q), uint32(p>>32)^d^k[11], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[12], uint32(q), uint32(p>>32)^d^k[13], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[14], uint32(q), uint32(p>>32)^d^k[15], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		a, b, c, d = uint32(q>>32)^b^k[16], uint32(q), uint32(p>>32)^d^k[17], uint32(p)
		p, q = uint64(a)*philoxM0, uint64(c)*philoxM1
		words[0], words[1] = uint32(q>>32)^b^k[18], uint32(q)
		words[2], words[3] = uint32(p>>32)^d^k[19], uint32(p)
		words = words[4:]
	}
}
