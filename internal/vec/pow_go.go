package vec

import "math"

// powPoly are the coefficients of internal/vec/gen/pairs.go; expPoly those of gen/funcs.go.
var (
	powPoly = [...]float64{0.3999999999999998, 0.28571428571445057, 0.22222222217549262, 0.18181818868838892, 0.15384556966128515,
		0.13336313942519779, 0.1167488586501823, 0.11988475459315025}
	expPoly = [...]float64{0.5, 0.1666666666666667, 0.041666666666666685, 0.008333333333326112, 0.0013888888888874348,
		0.00019841269874902598, 2.4801587347456775e-05, 2.755725529650138e-06, 2.75572527997525e-07, 2.5105260078061172e-08,
		2.092162726664578e-09}
)

// powOf is x**y of finite x > 0 and y: e^(y log x), the logarithm and the product in two numbers each. Products are
// converted where Go could fuse them with a sum, so that the bits are those of the assembly.
func powOf(x, y float64) float64 {
	const ln2, ln2Low = 0.6931471805598903, 5.497923018708371e-14 // k*ln2 is exact
	k := -1023.
	if x < 0x1p-1022 {
		x, k = 0x1p52*x, k-52
	}
	// x = 2^k (1+f), 1+f in [sqrt 1/2, sqrt 2)
	const one, least = 0x3ff0000000000000, 0x3fe6a09e667f3bcd
	shifted := math.Float64bits(x) + (one - least)
	k += float64(shifted >> 52)
	f := math.Float64frombits(shifted&(1<<52-1)+least) - 1
	// s = f/(2+f), and what it lost.
	d := 2 + f
	lost := f - (d - 2)
	inverse := 1 / d
	s := float64(inverse * f)
	sl := float64(inverse * math.FMA(-s, lost, math.FMA(-s, d, f)))
	// z = s^2
	z := float64(s * s)
	zl := math.FMA(s+s, sl, math.FMA(s, s, -z))
	// h = 2/3 + z (2/5 + ...)
	t := float64(z * horner(z, powPoly[:]))
	h := 2./3 + t
	hl := 3.700743415417188e-17 + (t + (2./3 - h))
	// w = z h, c = s w
	w := float64(z * h)
	wl := math.FMA(zl, h, math.FMA(z, hl, math.FMA(z, h, -w)))
	c := float64(s * w)
	cl := math.FMA(sl, w, math.FMA(s, wl, math.FMA(s, w, -c)))
	// a = 2s + c, and then the logarithm a + k ln 2 = l + ll.
	s, sl = s+s, sl+sl
	a := s + c
	al := (c + (s - a)) + (sl + cl)
	n := float64(ln2 * k)
	b := n + a
	al += a + (n - b)
	al = math.FMA(ln2Low, k, al)
	l := b + al
	ll := al + (b - l)
	// p + pl is the exponent; where p is beyond all numbers, pl may be none.
	p := float64(y * l)
	pl := math.FMA(y, ll, math.FMA(y, l, -p))
	if !(math.Abs(p) <= 1000) {
		pl = 0
	}
	p = min(max(p, -746), 710)
	n = math.FMA(math.Log2E, p, 0x1.8p52) - 0x1.8p52
	p = math.FMA(-math.Ln2, n, p)
	pl = math.FMA(-2.3190468138462996e-17, n, pl)
	r := p + pl
	rl := pl + (p - r)
	// 1 + r is carried with what it lost.
	u := 1 + r
	rl += r + (1 - u)
	rl = math.FMA(float64(r*r), horner(r, expPoly[:]), rl)
	return math.Ldexp(u+rl, int(n))
}

// horner is c[0] + x (c[1] + x (c[2] + ...)), fused.
func horner(x float64, c []float64) float64 {
	p := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		p = math.FMA(x, p, c[i])
	}
	return p
}
