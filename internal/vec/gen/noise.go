package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// noise writes the random words and what is made of them: the operations of noise_go.go in its order, none fused, so
// that every bit is the same.
func noise(g *gen) {
	g.size = 8
	g.philox()
	for _, g.size = range []int{4, 8} {
		g.ofWords("normals", g.normal)
		g.ofWords("uniforms", func(v, w vector) (vector, vector) { return g.uniform(v), g.uniform(w) })
	}
}

// lanesOf64 is a constant of these lanes of 64 bits.
func (g *gen) lanesOf64(name string, lane func(i int) uint64) operand.Mem {
	m := g.StaticGlobal(name + g.suffix)
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range g.bytes / 8 {
		g.AppendDatum(operand.U64(lane(i)))
	}
	return m
}

// philox keeps a word of a block in the low half of a lane of 64 bits; what the high half has does not matter, for
// VPMULUDQ reads the low one alone.
func (g *gen) philox() {
	lanes := g.bytes / 8
	g.Function("philox" + g.suffix)
	g.Attributes(build.NOSPLIT)
	g.SignatureExpr("func(words *uint32, keys *[20]uint32, run, block uint64, n int)")
	g.Doc("philox"+g.suffix+" writes the words of n blocks from block on, given the keys of the ten rounds.",
		fmt.Sprintf("n > 0 is a multiple of %d.", g.bytes/8))
	g.Pragma("noescape")
	words, keys, n := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(g.param("words"), words)
	g.MOVQ(g.param("keys"), keys)
	run, block := g.vec(), g.vec()
	g.VPBROADCASTQ(g.param("run"), run)
	g.VPBROADCASTQ(g.param("block"), block)
	// Lanes in the order in which the two halves of a vector leave them below.
	order := g.lanesOf64("blockOrder", func(i int) uint64 { return uint64(i/2 + i%2*(lanes/2)) })
	g.VPADDQ(order, block, block)
	g.MOVQ(g.param("n"), n)
	m0, m1 := g.from(g.bits(0xD2511F53)), g.from(g.bits(0xCD9E8D57))
	runHigh, step := g.shiftRight(run, 32), g.from(g.bits(uint64(lanes)))
	odd := g.K()
	if g.wide() {
		t := g.GP32()
		g.MOVL(operand.U32(0xaaaa), t)
		g.KMOVW(t, odd)
	}
	times := func(a, b vector) vector {
		d := g.vec()
		g.VPMULUDQ(a, b, d)
		return d
	}
	// both puts the low halves of v into the high ones of u's.
	both := func(u, v vector) vector {
		if g.wide() {
			g.VMOVSLDUP(v, odd, u)
			return u
		}
		d := g.vec()
		g.VPBLENDD(operand.U8(0xaa), g.shiftLeft(v, 32), u, d)
		return d
	}
	g.Label("loop")
	a, b, c, d := run, runHigh, block, g.shiftRight(block, 32)
	for round := range 10 {
		p, q := times(m0, a), times(m1, c)
		key := func(i int) operand.Mem { return operand.Mem{Base: keys, Disp: 4 * (2*round + i)} }
		a, b, c, d = g.xorKey(g.shiftRight(q, 32), b, key(0)), q, g.xorKey(g.shiftRight(p, 32), d, key(1)), p
	}
	ab, cd := both(a, b), both(c, d)
	lo, hi := g.vec(), g.vec()
	g.VPUNPCKLQDQ(cd, ab, lo)
	g.VPUNPCKHQDQ(cd, ab, hi)
	g.VMOVUPD(lo, operand.Mem{Base: words})
	g.VMOVUPD(hi, operand.Mem{Base: words, Disp: g.bytes})
	g.VPADDQ(step, block, block)
	g.ADDQ(operand.U32(2*g.bytes), words)
	g.SUBQ(operand.U8(lanes), n)
	g.JNE(operand.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()
}

// xorKey spoils h: it is h ^ w ^ the number at key.
func (g *gen) xorKey(h, w vector, key operand.Mem) vector {
	if g.wide() {
		g.VPTERNLOGD_BCST(operand.U8(0x96), key, w, h)
		return h
	}
	k := g.vec()
	g.VPBROADCASTD(key, k)
	g.VPXOR(w, h, h)
	g.VPXOR(k, h, h)
	return h
}

// ofWords writes the function NAME of slices around the formula, which makes of the even and of the odd words (in
// float64 pairs of words) as many numbers of even and of odd index.
func (g *gen) ofWords(name string, formula func(even, odd vector) (vector, vector)) {
	g.begin(name, "dst *T, words *uint32, n int", fmt.Sprintf("%s%d%s makes n numbers, n > 0 a multiple of %d. dst may be words.",
		name, 8*g.size, g.suffix, 2*g.lanes()))
	dst, words, n := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(g.param("dst"), dst)
	g.MOVQ(g.param("words"), words)
	g.MOVQ(g.param("n"), n)
	g.Label("loop")
	first, second := g.vec(), g.vec()
	g.load(operand.Mem{Base: words}, first)
	g.load(operand.Mem{Base: words, Disp: g.bytes}, second)
	even, odd := g.vec(), g.vec()
	if g.size == 4 {
		g.VSHUFPS(operand.U8(0x88), second, first, even)
		g.VSHUFPS(operand.U8(0xdd), second, first, odd)
	} else {
		g.VUNPCKLPD(second, first, even)
		g.VUNPCKHPD(second, first, odd)
	}
	x, y := formula(even, odd)
	lo, hi := g.vec(), g.vec()
	pick(g, g.VUNPCKLPS, g.VUNPCKLPD)(y, x, lo)
	pick(g, g.VUNPCKHPS, g.VUNPCKHPD)(y, x, hi)
	g.store(lo, operand.Mem{Base: dst})
	g.store(hi, operand.Mem{Base: dst, Disp: g.bytes})
	g.ADDQ(operand.U32(2*g.bytes), words)
	g.ADDQ(operand.U32(2*g.bytes), dst)
	g.SUBQ(operand.U8(2*g.lanes()), n)
	g.JNE(operand.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()
}

// rounded product and sum, as a*b + c in two operations.
func (g *gen) timesPlus(a operand.Op, b vector, c operand.Op) vector { return g.plus(c, g.times(a, b)) }

// horner is (... ((c[n-1] x + c[n-2]) x + ...) x + c[0]), each operation rounded.
func (g *gen) horner(x vector, c ...float64) vector {
	p := g.from(g.num(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		p = g.timesPlus(p, x, g.num(c[i]))
	}
	return p
}

// The coefficients of noise_go.go.
var (
	lnEven32 = []float64{-0x1.555520p-1, -0x1.99ca6ep-2, -0x1.1f0102p-2, -0x1.1e3af8p-2}
	lnOdd32  = []float64{0x1.fffc02p-2, 0x1.561d98p-2, 0x1.e577ecp-3, 0x1.2563b2p-2}
	lnEven64 = []float64{0x1.5555555555592p+0, 0x1.24924941db47cp-1, 0x1.74663ba2d257ep-2, 0x1.2f0250cbe02fbp-2}
	lnOdd64  = []float64{0x1.999999997ff63p-1, 0x1.c71c521a1b118p-2, 0x1.39a20bb40d865p-2}

	turnSin32 = []float64{-0x1.555546p-3, 0x1.110778p-7, -0x1.995408p-13}
	turnCos32 = []float64{-0.5, 0x1.55554ap-5, -0x1.6c0c28p-10, 0x1.99e80cp-16}
	turnSin64 = []float64{-0x1.5555555555548p-3, 0x1.111111110f730p-7, -0x1.a01a019be9217p-13, 0x1.71de35552b565p-19,
		-0x1.ae5e4b83ead9fp-26, 0x1.5d8b559759c24p-33}
	turnCos64 = []float64{-0.5, 0x1.555555555554bp-5, -0x1.6c16c16c15015p-10, 0x1.a01a019c8f255p-16, -0x1.27e4f7f191627p-22,
		0x1.1ee9dbcf17062p-29, -0x1.8fa6849a0a072p-37}
)

// normal is the pair r cos a and r sin a for the words that r and a are made of.
func (g *gen) normal(w0, w1 vector) (vector, vector) {
	r := g.radius(w0)
	s, c := g.turnSine(w1)
	return g.times(r, c), g.times(r, s)
}

// radius is sqrt(-2 ln u) for u of the word.
func (g *gen) radius(w vector) vector {
	var u vector
	if g.size == 4 {
		u = g.timesPlus(g.num(0x1p-32), g.unsigned32(w), g.num(0x1p-33))
	} else { // (2 (w>>12) + 1) 2^-53, exact in every step
		u = g.timesPlus(g.num(0x1p-52), g.small(g.shiftRight(w, 12)), g.num(0x1p-53))
	}
	least := uint64(0x3f2aaaab)
	one, fraction, magic := uint64(0x3f800000), uint64(1<<23-1), uint64(0x4b000000) // magic is 2^23, 2^52
	if g.size == 8 {
		least, one, fraction, magic = 0x3fe6a09e667f3bcd, 0x3ff0000000000000, 1<<52-1, 0x4330000000000000
	}
	shifted := g.intMinus(u, g.bits(least))
	top := g.and(g.bits(^fraction&(1<<(8*g.size-1)*2-1)), shifted)
	f := g.minus(g.intMinus(u, top), g.num(1))
	biased := g.or(g.bits(magic), g.shiftRight(g.intPlus(g.bits(one), shifted), g.fraction()))
	n := g.minus(g.from(g.num(math.Ldexp(1, g.fraction())+float64(g.bias()))), biased)
	var l vector
	y := g.times(f, f)
	lo, hi := pick(g, 0x1.7f7d1cp-19, -0x1.0ca86c3898d00p-48), pick(g, 0x1.62e400p+0, 0x1.62e42fefa3a00p+0)
	if g.size == 4 {
		p, q := g.horner(y, lnOdd32...), g.horner(y, lnEven32...)
		p = g.timesPlus(p, y, g.times(q, f))
		l = g.timesPlus(p, y, y)
	} else {
		s := g.over(f, g.plus(g.num(2), f))
		z := g.times(s, s)
		w := g.times(z, z)
		p, q := g.horner(w, lnOdd64...), g.horner(w, lnEven64...)
		l = g.timesPlus(p, w, g.times(q, z))
		l = g.minus(y, g.times(s, g.plus(y, l)))
	}
	l = g.timesPlus(g.num(lo), n, l)
	l = g.minus(l, g.times(g.num(2), f))
	l = g.timesPlus(g.num(hi), n, l)
	d := g.vec()
	pick(g, g.VSQRTPS, g.VSQRTPD)(l, d)
	return d
}

// turnSine is the sine and the cosine of the angle of the word.
func (g *gen) turnSine(w vector) (s, c vector) {
	var h, t vector // the quadrant's bits at the top of h
	sinOf, cosOf := turnSin32, turnCos32
	if g.size == 4 {
		h = g.intPlus(g.bits(1<<29), w)
		n := g.vec()
		g.VCVTDQ2PS(g.intMinus(w, g.and(g.bits(3<<30), h)), n)
		t = g.times(g.num(0x1.921fb6p-30), n)
	} else {
		sinOf, cosOf = turnSin64, turnCos64
		a := g.shiftRight(w, 12)
		h = g.intPlus(g.bits(1<<49), a)
		n := g.intMinus(a, g.and(g.bits(1<<64-1<<50), h))
		n = g.minus(g.intPlus(g.num(0x1.8p52), n), g.num(0x1.8p52)) // |n| <= 2^49
		t = g.times(g.num(0x1.921fb54442d18p-50), n)
		h = g.shiftLeft(h, 12)
	}
	x := g.times(t, t)
	s, c = g.horner(x, sinOf...), g.horner(x, cosOf...)
	s = g.timesPlus(g.times(s, x), t, t)
	c = g.timesPlus(c, x, g.num(1))
	swap := g.signBit(g.shiftLeft(h, 1))
	cos, sin := g.choose(swap, s, c), g.choose(swap, c, s)
	quarter := g.bits(1 << (8*g.size - 2))
	cos = g.xor(g.and(g.sign(), g.intPlus(quarter, h)), cos)
	return g.xor(g.and(g.sign(), h), sin), cos
}

// uniform is the word's highest 24 or 53 bits as a number in [0, 1), exact in every step.
func (g *gen) uniform(w vector) vector {
	if g.size == 4 {
		n := g.vec()
		g.VCVTDQ2PS(g.shiftRight(w, 8), n)
		return g.times(g.num(0x1p-24), n)
	}
	last := g.intMinus(g.zeros(), g.and(g.bits(1), g.shiftRight(w, 11))) // ones or zeros
	return g.timesPlus(g.num(0x1p-52), g.small(g.shiftRight(w, 12)), g.and(g.num(0x1p-53), last))
}

// small is the number of an integer below 2^52.
func (g *gen) small(v vector) vector { return g.minus(g.or(g.num(0x1p52), v), g.num(0x1p52)) }

// unsigned32 is a word rounded to float32.
func (g *gen) unsigned32(w vector) vector {
	d := g.vec()
	if g.wide() {
		g.VCVTUDQ2PS(w, d)
		return d
	}
	// The halves and the product are exact.
	hi := g.vec()
	g.VCVTDQ2PS(g.shiftRight(w, 16), hi)
	g.VCVTDQ2PS(g.and(g.bits(0xffff), w), d)
	return g.timesPlus(g.num(0x1p16), hi, d)
}

// signBit selects the lanes whose highest bit is set.
func (g *gen) signBit(v vector) selection {
	if !g.wide() {
		return v
	}
	k := g.K()
	pick(g, g.VPMOVD2M, g.VPMOVQ2M)(v, k)
	return k
}
