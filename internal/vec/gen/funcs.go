package main

import "math"

// funcs writes the elementary functions.
func funcs(g *gen) {
	for _, g.size = range []int{4, 8} {
		g.unary("exp", "exp(src[i])", g.exp)
		g.unary("expm1", "exp(src[i]) - 1", g.expm1)
		g.unary("log", "log(src[i])", g.log)
		g.unary("log1p", "log(1 + src[i])", g.log1p)
		g.unary("tanh", "tanh(src[i])", g.tanh)
		g.unary("sigmoid", "1 / (1 + exp(-src[i]))", g.sigmoid)
		g.unary("softplus", "log(1 + exp(src[i]))", g.softplus)
		g.unary("log2", "log2(src[i])", g.log2)
		g.unary("elu", "src[i] where it is above 0, else exp(src[i]) - 1", func(x vector) vector {
			above := g.compare(x, above, g.num(0))
			return g.choose(above, x, g.expm1(g.copied(x)))
		})
		g.unary("eluSlope", "exp(min(src[i], 0))", func(x vector) vector { return g.exp(g.atMost(x, 0)) })
		g.unary("expc", "1 - exp(-src[i])", func(x vector) vector { return g.xor(g.sign(), g.expm1(g.xor(g.sign(), x))) })
		g.unaryWithin("sin", "sin(src[i])", pick(g, 1e6, 1e8), func(x vector) vector { return g.sine(x, false) })
		g.unaryWithin("cos", "cos(src[i])", pick(g, 1e6, 1e8), func(x vector) vector { return g.sine(x, true) })
	}
}

// The polynomials are minimax fits by Remez' exchange, their coefficients rounded to the element type.
var (
	// (e^r - 1 - r) / r^2 on |r| <= ln(2)/2: with r^2 it errs by 2^-29 of e^r - 1, in float64 by 2^-60.
	expPoly32 = []float64{0.5, 0.1666666716337204, 0.041666463017463684, 0.00833328627049923, 0.001393368816934526, 0.00019907641399186105}
	expPoly64 = []float64{0.5, 0.1666666666666667, 0.041666666666666685, 0.008333333333326112, 0.0013888888888874348,
		0.00019841269874902598, 2.4801587347456775e-05, 2.755725529650138e-06, 2.75572527997525e-07, 2.5105260078061172e-08,
		2.092162726664578e-09}

	// (log(1+f) - f + f^2/2) / f^3 on |f| <= 1/3: the whole errs by 2^-28.3 of the logarithm.
	logPoly32 = []float64{0.3333333432674408, -0.24999943375587463, 0.19999748468399048, -0.1667339950799942, 0.14300866425037384,
		-0.12287227064371109, 0.10785788297653198, -0.12429913878440857, 0.11915939301252365}
	// (log((1+s)/(1-s))/s - 2) / s^2 in z = s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1): the whole errs by 2^-57.6.
	logPoly64 = []float64{0.666666666666667, 0.39999999999898506, 0.2857142862637136, 0.22222211077386914, 0.1818289288782148,
		0.1533160795028275, 0.14617736939412593}

	// (log(1+e) - e) / e^2 on 0 <= e <= 1: the whole errs by 2^-28.7 of the logarithm.
	softPoly32 = []float64{-0.49999988079071045, 0.33332711458206177, -0.24988803267478943, 0.1989915370941162, -0.16133297979831696,
		0.12474990636110306, -0.08316607028245926, 0.042037926614284515, -0.013644334860146046, 0.002071992726996541}
	// As logPoly64 on 0 <= s <= 1/3: the whole errs by 2^-58.5.
	softPoly64 = []float64{0.6666666666666631, 0.40000000000155117, 0.28571428548114086, 0.22222223954034553, 0.18181744462390817,
		0.15386548784522655, 0.13301115979140235, 0.12104988553778817, 0.0834477964336324, 0.17010110926361285}

	// (tanh(x) - x) / x^3 in z = x^2, x <= 0.55: the whole errs by 2^-27.4.
	tanhPoly32 = []float64{-0.3333333134651184, 0.13333120942115784, -0.05391069874167442, 0.02131609059870243, -0.0066212862730026245}
	// The same in float64 as a quotient, x <= 0.625, after Cephes.
	tanhP64 = []float64{-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1}
	tanhQ64 = []float64{4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1}
)

// (sin(r)/r - 1) / r^2 and (cos(r) - 1 + r^2/2) / r^4 in r^2 on |r| <= pi/4, after Cephes.
var (
	sinPoly32 = []float64{-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4}
	cosPoly32 = []float64{4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5}
	sinPoly64 = []float64{-1.66666666666666307295e-1, 8.33333333332211858878e-3, -1.98412698295895385996e-4, 2.75573136213857245213e-6,
		-2.50507477628578072866e-8, 1.58962301576546568060e-10}
	cosPoly64 = []float64{4.16666666666665929218e-2, -1.38888888888730564116e-3, 2.48015872888517045348e-5, -2.75573141792967388112e-7,
		2.08757008419747316778e-9, -1.13585365213876817300e-11}

	// pi/2 in three parts, none rounded up: with all of one sign, -0 stays what it is.
	halfPi32 = []float64{1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15}
	halfPi64 = []float64{1.5707963267948966, 6.123233995736765e-17, 1.0828566739219139e-32}
)

func (g *gen) expPoly() []float64 { return pick(g, expPoly32, expPoly64) }

// The format of the element type: the bits of a fraction, and the exponent's bias.
func (g *gen) fraction() int { return pick(g, 23, 52) }
func (g *gen) bias() int     { return pick(g, 127, 1023) }

// magic is 1.5 * 2^fraction: a small number plus it is rounded to an integer, which the low bits hold.
func (g *gen) magic() float64 { return math.Ldexp(1.5, g.fraction()) }

// split spoils x: it is x = n*ln(2) + r, n an integer and |r| <= ln(2)/2; N is n + magic.
func (g *gen) split(x vector) (n, N, r vector) {
	N = g.addProduct(g.from(g.num(g.magic())), g.num(math.Log2E), x)
	n = g.minus(N, g.num(g.magic()))
	hi := math.Ln2
	if g.size == 4 {
		hi = float64(float32(math.Ln2))
	}
	lo := 2.3190468138462996e-17 // ln(2) - hi
	if g.size == 4 {
		lo = -1.9046542121259336e-09
	}
	// n*hi is exact within the fused operation, and so is the difference.
	r = g.lessProduct(x, g.num(hi), n)
	return n, N, g.lessProduct(r, g.num(lo), n)
}

// power is 2^(n+add) for N = n + magic, if that is a normal number.
func (g *gen) power(N vector, add int) vector {
	return g.shiftLeft(g.intPlus(g.bits(uint64(g.bias()+add)), N), g.fraction())
}

// expm1Of spoils r: it is e^r - 1 for |r| <= ln(2)/2.
func (g *gen) expm1Of(r vector) vector {
	square, q := g.times(r, r), g.poly(r, g.expPoly()...)
	return g.addProduct(r, q, square)
}

// exp is 2^n (1 + (e^r - 1)).
func (g *gen) exp(x vector) vector {
	n, N, r := g.split(g.expRange(x))
	return g.scaled(g.plus(g.num(1), g.expm1Of(r)), n, N)
}

// expClose is exp to a bit more than half an ulp: 1 + r is carried with its error.
func (g *gen) expClose(x vector) vector {
	n, N, r := g.split(g.expRange(x))
	square, q := g.times(r, r), g.poly(r, g.expPoly()...)
	s := g.plus(g.num(1), r)
	rest := g.plus(r, g.minus(g.from(g.num(1)), s))
	return g.scaled(g.plus(g.addProduct(rest, q, square), s), n, N)
}

// expRange clamps x to where exp is neither 0 nor Inf, and a bit beyond.
func (g *gen) expRange(x vector) vector {
	low, high := -105.0, 89.0
	if g.size == 8 {
		low, high = -746, 710
	}
	return g.atMost(g.atLeast(x, low), high)
}

// scaled is 2^n y, where 2^n itself may be no number and the result subnormal: in two steps, of which only the last
// can round, and so the same bits as AVX-512's own instruction.
func (g *gen) scaled(y, n, N vector) vector {
	if g.wide() {
		return g.op2(inst{g.VSCALEFPS, g.VSCALEFPD}, n, y)
	}
	half := g.addProduct(g.from(g.num(g.magic())), g.num(0.5), n)
	rest := g.minus(N, g.minus(half, g.num(g.magic())))
	return g.times(g.power(rest, 0), g.times(g.power(half, 0), y))
}

// expm1 is 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)); for n = 0 it is e^r - 1 itself, to the last subnormal bit.
func (g *gen) expm1(x vector) vector {
	low, high := -30.0, 88.8 // beyond which the result is -1 or Inf
	if g.size == 8 {
		low, high = -50, 709.9
	}
	n, N, r := g.split(g.atMost(g.atLeast(x, low), high))
	p := g.expm1Of(r)
	t := g.power(N, -1)
	y := g.fma(t, g.copied(p), g.minus(t, g.num(0.5)))
	y = g.plus(y, y)
	y = g.choose(g.compare(n, equal, g.num(0)), p, y)
	return g.or(g.and(g.sign(), x), y) // expm1(-0) = -0
}

// logOf spoils f: it is log(2^k (1+f)) for k from u's bits and f that belongs to it; see exponent.
func (g *gen) logOf(k, f vector) vector {
	if g.size == 4 {
		return g.addProduct(g.log1pPoly(f), g.num(float64(float32(math.Ln2))), k)
	}
	// As in FreeBSD's e_log.c: log(1+f) = f - (f^2/2 - s (f^2/2 + R)), s = f/(2+f); k*hi is exact.
	const hi, lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	s := g.over(f, g.plus(g.num(2), f))
	z := g.times(s, s)
	R := g.times(z, g.poly(z, logPoly64...))
	h := g.times(g.num(0.5), g.times(f, f))
	y := g.addProduct(g.times(g.num(lo), k), s, g.plus(h, R))
	y = g.minus(g.minus(h, y), f)
	return g.minus(g.times(g.num(hi), k), y)
}

// log1pPoly spoils f: it is log(1+f) in float32.
func (g *gen) log1pPoly(f vector) vector {
	p := g.poly(f, logPoly32...)
	p = g.fma(f, p, g.num(-0.5))
	return g.addProduct(f, g.times(f, f), p)
}

// exponent splits u > 0 in 2^k m: m is in [2/3, 4/3), in float64 in [sqrt(1/2), sqrt(2)). biased is k + bias.
func (g *gen) exponent(u vector) (biased, k, m vector) {
	one, least := uint64(0x3f800000), uint64(0x3f2aaaab)
	magic := uint64(0x4b000000) // 2^fraction
	if g.size == 8 {
		one, least, magic = 0x3ff0000000000000, 0x3fe6a09e667f3bcd, 0x4330000000000000
	}
	shifted := g.intPlus(g.bits(one-least), u)
	biased = g.shiftRight(shifted, g.fraction())
	k = g.minus(g.or(g.bits(magic), biased), g.num(math.Ldexp(1, g.fraction())+float64(g.bias())))
	m = g.intPlus(g.bits(least), g.and(g.bits(1<<g.fraction()-1), shifted))
	return biased, k, m
}

// logEnds puts in y what the logarithm of u = 0, u < 0, u = Inf and NaN is.
func (g *gen) logEnds(y, u vector) vector {
	inf := g.num(math.Inf(1))
	y = g.choose(g.compare(u, notBelow, inf), g.plus(u, u), y)
	y = g.choose(g.compare(u, less, g.num(0)), g.num(math.NaN()), y)
	return g.choose(g.compare(u, equal, g.num(0)), g.num(math.Inf(-1)), y)
}

func (g *gen) log(x vector) vector {
	k, f := g.logParts(x)
	return g.logEnds(g.logOf(k, f), x)
}

// log2 is k + log(1+f) log2(e).
func (g *gen) log2(x vector) vector {
	k, f := g.logParts(x)
	var y vector
	if g.size == 4 {
		y = g.log1pPoly(f)
	} else {
		s := g.over(f, g.plus(g.num(2), f))
		z := g.times(s, s)
		R := g.times(z, g.poly(z, logPoly64...))
		h := g.times(g.num(0.5), g.times(f, f))
		y = g.minus(f, g.lessProduct(h, s, g.plus(h, R)))
	}
	return g.logEnds(g.addProduct(k, g.num(math.Log2E), y), x)
}

// logParts splits x > 0 in 2^k (1+f), subnormal numbers too.
func (g *gen) logParts(x vector) (k, f vector) {
	tiny, shift := 0x1p-126, 23
	if g.size == 8 {
		tiny, shift = 0x1p-1022, 52
	}
	isTiny := g.compare(x, less, g.num(tiny))
	u := g.choose(isTiny, g.times(g.num(math.Ldexp(1, shift)), x), x)
	_, k, m := g.exponent(u)
	k = g.choose(isTiny, g.minus(k, g.num(float64(shift))), k)
	return k, g.minus(m, g.num(1))
}

// log1pOf is log(1+x) for x > -1, for x = 0 with either sign +0.
func (g *gen) log1pOf(x, u vector) vector {
	biased, k, _ := g.exponent(u)
	// f = 2^-k (1+x) - 1 from x itself, u = 1+x being rounded; 2^-k in two steps, for it may be subnormal.
	t := g.shiftLeft(g.intMinus(g.from(g.bits(uint64(2*g.bias()+2))), biased), g.fraction())
	t = g.times(g.num(0.25), t)
	f := g.addProduct(g.minus(t, g.num(1)), t, x)
	return g.logOf(k, f)
}

func (g *gen) log1p(x vector) vector {
	u := g.plus(g.num(1), x)
	return g.or(g.and(g.sign(), x), g.logEnds(g.log1pOf(x, u), u))
}

// tanh is 1 - 2/(e^2x + 1), and x + x^3 P(x^2) where that would cancel; x < 0 by its symmetry.
func (g *gen) tanh(x vector) vector {
	high, border := 20.0, 0.55
	if g.size == 8 {
		high, border = 40, 0.625
	}
	a := g.abs(x)
	small := g.compare(a, less, g.num(border))
	_, N, r := g.split(g.atMost(g.plus(a, a), high))
	e := g.times(g.power(N, 0), g.plus(g.num(1), g.expm1Of(r)))
	d := g.plus(g.num(1), e)
	z := g.times(a, a)
	if g.size == 4 {
		p := g.addProduct(g.copied(a), g.times(z, a), g.poly(z, tanhPoly32...))
		y := g.minus(g.from(g.num(1)), g.over(g.from(g.num(2)), d))
		return g.signed(g.choose(small, p, y), x)
	}
	// One division serves both.
	d = g.choose(small, g.poly(z, tanhQ64...), d)
	p := g.times(g.times(z, a), g.poly(z, tanhP64...))
	n := g.choose(small, p, g.from(g.num(-2)))
	y := g.plus(g.over(n, d), g.choose(small, a, g.from(g.num(1))))
	return g.signed(y, x)
}

// sigmoid is e/(1+e) with e = exp(-|x|), for x > 0 1/(1+e). The quotient is corrected by what the sum and the division
// lost: with e's error theirs would be more than two units.
func (g *gen) sigmoid(x vector) vector {
	e := g.expClose(g.or(g.sign(), x))
	n := g.choose(g.compare(x, less, g.num(0)), e, g.from(g.num(1)))
	d := g.plus(g.num(1), e)
	lost := g.minus(e, g.minus(d, g.num(1)))
	inverse := g.over(g.from(g.num(1)), d)
	q := g.times(inverse, n)
	rest := g.lessProduct(g.lessProduct(n, q, d), q, lost)
	return g.addProduct(q, rest, inverse)
}

// softplus is max(x, 0) + log(1+e) with e = exp(-|x|), the logarithm without an exponent to take out.
func (g *gen) softplus(x vector) vector {
	low := pick(g, -105., -746.)
	n, N, r := g.split(g.atLeast(g.or(g.sign(), x), low))
	e := g.scaled(g.plus(g.num(1), g.expm1Of(r)), n, N)
	var y vector
	if g.size == 4 {
		y = g.addProduct(g.copied(e), g.times(e, e), g.poly(e, softPoly32...))
	} else { // as in logOf
		s := g.over(e, g.plus(g.num(2), e))
		z := g.times(s, s)
		R := g.times(z, g.poly(z, softPoly64...))
		h := g.times(g.num(0.5), g.times(e, e))
		y = g.minus(e, g.lessProduct(g.copied(h), s, g.plus(h, R)))
	}
	return g.plus(g.atLeast(x, 0), y)
}

// sine spoils x: it is sin(x), or cos(x), from the quarter turn n next to x and the rest r. n*halfPi[0] and its
// difference from x are exact within the fused operation; what the next part loses is known, and subtracted with the last.
func (g *gen) sine(x vector, cosine bool) vector {
	N := g.addProduct(g.from(g.num(g.magic())), g.num(2/math.Pi), x)
	n := g.minus(N, g.num(g.magic()))
	p := pick(g, halfPi32, halfPi64)
	x = g.lessProduct(x, g.num(p[0]), n)
	r := g.minus(x, g.times(g.num(p[1]), n))
	lost := g.productLess(g.minus(x, r), g.num(p[1]), n)
	r = g.minus(r, g.addProduct(lost, g.num(p[2]), n))
	z := g.times(r, r)
	c := g.fma(z, g.poly(z, pick(g, cosPoly32, cosPoly64)...), g.num(-0.5))
	c = g.fma(z, c, g.num(1))
	s := g.addProduct(g.copied(r), g.times(z, r), g.poly(z, pick(g, sinPoly32, sinPoly64)...))
	if cosine {
		N = g.intPlus(g.bits(1), N)
	} else {
		s = g.signed(s, r) // sin(-0) = -0
	}
	y := g.choose(g.lowBit(N), c, s)
	return g.xor(g.and(g.sign(), g.shiftLeft(N, 8*g.size-2)), y)
}
