package main

import "math"

// pairs writes the functions of two slices.
func pairs(g *gen) {
	for _, g.size = range []int{4, 8} {
		g.elementwiseBy(1, "atan2", "the angle of the point (b[i], a[i])", "a b", func(x []vector) vector { return g.atan2(x[0], x[1]) })
	}
	g.elementwiseBy(1, "pow", "a[i] ** b[i] of finite a[i] > 0 and b[i]", "a b", func(x []vector) vector { return g.pow(x[0], x[1]) })
}

// Minimax fits by Remez' exchange, their coefficients rounded to the element type.
var (
	// (atan(q)/q - 1) / z in z = q^2 on |q| <= 1: the whole errs by 2^-28.1 of the arc tangent, in float64 by 2^-56.
	atanPoly32 = []float64{-0.33333298563957214, 0.1999852955341339, -0.14264020323753357, 0.10951074957847595, -0.08400929719209671,
		0.057934995740652084, -0.031181029975414276, 0.010931560769677162, -0.0018009247723966837}
	atanPoly64 = []float64{-0.33333333333333287, 0.19999999999990442, -0.1428571428503642, 0.11111111086441929, -0.09090908547169405,
		0.0769229971086314, -0.06666583715899828, 0.058817161157596914, -0.05259433629664407, 0.04744925615720581,
		-0.04286389713423424, 0.03821004184903742, -0.0327853983737873, 0.026151637481958857, -0.018614182727584503,
		0.011317651115027774, -0.0056123972355597304, 0.0021515971967610553, -0.0005928976809931317, 0.00010387307225677683,
		-8.654342159057654e-06}

	// (log((1+s)/(1-s)) - 2s - 2/3 s^3) / s^5 in z = s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1): the whole errs by 2^-66 of the
	// logarithm. The same in internal/vec/pow_go.go.
	powPoly = []float64{0.3999999999999998, 0.28571428571445057, 0.22222222217549262, 0.18181818868838892, 0.15384556966128515,
		0.13336313942519779, 0.1167488586501823, 0.11988475459315025}
)

// atan2 is atan(q) of the quotient q <= 1 of the lesser by the greater of |x| and |y|, taken off or added to the
// multiple of pi/2 that belongs to the octant.
func (g *gen) atan2(y, x vector) vector {
	ax, ay := g.abs(x), g.abs(y)
	steep, left := g.compare(ay, above, ax), g.signBit(x)
	num, den := g.choose(steep, ax, ay), g.choose(steep, ay, ax)
	q := g.over(num, den)
	q = g.choose(g.compare(den, equal, g.num(0)), g.from(g.num(0)), q)           // 0/0
	q = g.choose(g.compare(num, equal, g.num(math.Inf(1))), g.from(g.num(1)), q) // Inf/Inf
	z := g.times(q, q)
	r := g.addProduct(g.copied(q), g.times(z, q), g.poly(z, pick(g, atanPoly32, atanPoly64)...))
	// It is taken off in the second octant and the fourth.
	off := g.xor(g.and(g.sign(), x), g.choose(steep, g.from(g.sign()), g.from(g.num(0))))
	r = g.xor(off, r)
	hi, lo := math.Pi, 1.2246467991473532e-16
	if g.size == 4 {
		hi, lo = 3.1415927410125732, -8.742277657347586e-08
	}
	multiple := func(pi float64) vector {
		return g.choose(steep, g.from(g.num(pi/2)), g.choose(left, g.from(g.num(pi)), g.from(g.num(0))))
	}
	r = g.plus(multiple(hi), g.plus(multiple(lo), r))
	r = g.choose(g.compare(x, unordered, y), g.plus(x, y), r)
	return g.or(g.and(g.sign(), y), r)
}

// pow is e^(y log x), the logarithm and the product in two numbers: the operations of internal/vec/pow_go.go in its order,
// and so its bits.
func (g *gen) pow(x, y vector) vector {
	k, f := g.logParts(x)
	// s = f/(2+f), and what it lost.
	d := g.plus(g.num(2), f)
	lost := g.minus(f, g.minus(d, g.num(2)))
	inverse := g.over(g.from(g.num(1)), d)
	s := g.times(inverse, f)
	sl := g.lessProduct(g.copied(f), s, d)
	sl = g.times(inverse, g.lessProduct(sl, s, lost))
	// z = s^2
	z := g.times(s, s)
	zl := g.addProduct(g.productLess(g.copied(z), s, s), g.plus(s, s), sl)
	// h = 2/3 + z (2/5 + ...)
	t := g.times(z, g.poly(z, powPoly...))
	h := g.plus(g.num(2./3), t)
	hl := g.plus(g.num(3.700743415417188e-17), g.plus(t, g.minus(g.from(g.num(2./3)), h)))
	// w = z h, c = s w
	w := g.times(z, h)
	wl := g.addProduct(g.addProduct(g.productLess(g.copied(w), z, h), z, hl), zl, h)
	c := g.times(s, w)
	cl := g.addProduct(g.addProduct(g.productLess(g.copied(c), s, w), s, wl), sl, w)
	// a = 2s + c, and then the logarithm a + k ln 2 = l + ll.
	s, sl = g.plus(s, s), g.plus(sl, sl)
	a := g.plus(s, c)
	al := g.plus(g.plus(c, g.minus(s, a)), g.plus(sl, cl))
	const ln2, ln2l = 0.6931471805598903, 5.497923018708371e-14 // k*ln2 is exact
	n := g.times(g.num(ln2), k)
	b := g.plus(n, a)
	al = g.plus(al, g.plus(a, g.minus(n, b)))
	al = g.addProduct(al, g.num(ln2l), k)
	l := g.plus(b, al)
	ll := g.plus(al, g.minus(b, l))
	// p + pl is the exponent; where p is beyond all numbers, pl may be none.
	p := g.times(y, l)
	pl := g.addProduct(g.productLess(g.copied(p), y, l), y, ll)
	pl = g.choose(g.compare(g.abs(p), atMost, g.num(1000)), pl, g.from(g.num(0)))
	p = g.expRange(p)
	N := g.addProduct(g.from(g.num(g.magic())), g.num(math.Log2E), p)
	n = g.minus(N, g.num(g.magic()))
	p = g.lessProduct(p, g.num(math.Ln2), n)
	pl = g.lessProduct(pl, g.num(2.3190468138462996e-17), n)
	r := g.plus(p, pl)
	rl := g.plus(pl, g.minus(p, r))
	// 1 + r is carried with what it lost.
	u := g.plus(g.num(1), r)
	rl = g.plus(rl, g.plus(r, g.minus(g.from(g.num(1)), u)))
	rl = g.addProduct(rl, g.times(r, r), g.poly(r, expPoly64...))
	return g.scaled(g.plus(u, rl), n, N)
}
