package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// What follows writes formulas over vectors, one instruction per call, on registers that avo allots. Both instruction
// sets and both element types share the formulas, and so the results' bits.

// lanes is a vector in a register.
type vector = reg.VecVirtual

// selection is the lanes that a comparison chose: an opmask, or a vector of ones and zeros.
type selection = reg.Register

func (g *gen) vec() vector {
	if g.wide() {
		return g.ZMM()
	}
	return g.YMM()
}

// bits is a constant of these bits in every lane.
func (g *gen) bits(b uint64) operand.Mem {
	if g.constants == nil {
		g.constants = map[string]operand.Mem{}
	}
	name := fmt.Sprintf("x%0*x%s", 2*g.size, b, g.suffix)
	if m, ok := g.constants[name]; ok {
		return m
	}
	m := g.StaticGlobal(name)
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	lanes := g.lanes()
	if g.wide() {
		lanes = 1 // instructions broadcast it
	}
	for range lanes {
		if g.size == 4 {
			g.AppendDatum(operand.U32(b))
		} else {
			g.AppendDatum(operand.U64(b))
		}
	}
	g.constants[name] = m
	return m
}

// num is a number in every lane.
func (g *gen) num(v float64) operand.Mem {
	if g.size == 4 {
		return g.bits(uint64(math.Float32bits(float32(v))))
	}
	return g.bits(math.Float64bits(v))
}

// sign is the sign bit.
func (g *gen) sign() operand.Mem { return g.num(math.Copysign(0, -1)) }

// inst is an instruction: for float32, for float64, and for both with a constant that AVX-512 broadcasts.
type inst [4]func(...operand.Op)

func (g *gen) do(i inst, a operand.Op, rest ...operand.Op) {
	f := i[g.size/4-1]
	if _, constant := a.(operand.Mem); constant && g.wide() {
		f = i[g.size/4+1]
	}
	f(append([]operand.Op{a}, rest...)...)
}

// op2 returns f(a, b), where a may be a constant.
func (g *gen) op2(f inst, a operand.Op, b vector) vector {
	d := g.vec()
	g.do(f, a, b, d)
	return d
}

func (g *gen) times(a operand.Op, b vector) vector {
	return g.op2(inst{g.VMULPS, g.VMULPD, g.VMULPS_BCST, g.VMULPD_BCST}, a, b)
}
func (g *gen) plus(a operand.Op, b vector) vector {
	return g.op2(inst{g.VADDPS, g.VADDPD, g.VADDPS_BCST, g.VADDPD_BCST}, a, b)
}

// minus is b - a.
func (g *gen) minus(b vector, a operand.Op) vector {
	return g.op2(inst{g.VSUBPS, g.VSUBPD, g.VSUBPS_BCST, g.VSUBPD_BCST}, a, b)
}

// over is b / a.
func (g *gen) over(b, a vector) vector {
	return g.op2(inst{g.VDIVPS, g.VDIVPD, g.VDIVPS_BCST, g.VDIVPD_BCST}, a, b)
}

// from is a register with the constant.
func (g *gen) from(m operand.Mem) vector {
	v := g.vec()
	if g.wide() {
		g.broadcast(m, v)
	} else {
		g.load(m, v)
	}
	return v
}

// atMost and atLeast clamp x, and let NaN through: min and max return their first operand here if either is NaN.
func (g *gen) atMost(x vector, limit float64) vector {
	return g.op2(inst{g.VMINPS, g.VMINPD, g.VMINPS_BCST, g.VMINPD_BCST}, x, g.from(g.num(limit)))
}

func (g *gen) atLeast(x vector, limit float64) vector {
	return g.op2(inst{g.VMAXPS, g.VMAXPD, g.VMAXPS_BCST, g.VMAXPD_BCST}, x, g.from(g.num(limit)))
}

// fma spoils x: it returns a*x + c.
func (g *gen) fma(a, x vector, c operand.Op) vector {
	g.do(inst{g.VFMADD213PS, g.VFMADD213PD, g.VFMADD213PS_BCST, g.VFMADD213PD_BCST}, c, a, x)
	return x
}

// addProduct spoils c: it returns a*b + c, lessProduct c - a*b, productLess a*b - c. a may be memory.
func (g *gen) addProduct(c vector, a operand.Op, b vector) vector {
	g.do(inst{g.VFMADD231PS, g.VFMADD231PD, g.VFMADD231PS_BCST, g.VFMADD231PD_BCST}, a, b, c)
	return c
}

func (g *gen) lessProduct(c vector, a operand.Op, b vector) vector {
	g.do(inst{g.VFNMADD231PS, g.VFNMADD231PD, g.VFNMADD231PS_BCST, g.VFNMADD231PD_BCST}, a, b, c)
	return c
}

func (g *gen) productLess(c vector, a operand.Op, b vector) vector {
	g.do(inst{g.VFMSUB231PS, g.VFMSUB231PD, g.VFMSUB231PS_BCST, g.VFMSUB231PD_BCST}, a, b, c)
	return c
}

// copied is a copy of a register that is yet needed.
func (g *gen) copied(v vector) vector {
	d := g.vec()
	pick(g, g.VMOVAPS, g.VMOVAPD)(v, d)
	return d
}

// poly is c[0] + x*(c[1] + x*(c[2] + ...)).
func (g *gen) poly(x vector, c ...float64) vector {
	p := g.from(g.num(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		p = g.fma(x, p, g.num(c[i]))
	}
	return p
}

// Of the bits of numbers.
func (g *gen) and(a operand.Op, b vector) vector {
	return g.op2(inst{g.VANDPS, g.VANDPD, g.VANDPS_BCST, g.VANDPD_BCST}, a, b)
}

func (g *gen) or(a operand.Op, b vector) vector {
	return g.op2(inst{g.VORPS, g.VORPD, g.VORPS_BCST, g.VORPD_BCST}, a, b)
}

func (g *gen) intPlus(a operand.Op, b vector) vector {
	return g.op2(inst{g.VPADDD, g.VPADDQ, g.VPADDD_BCST, g.VPADDQ_BCST}, a, b)
}

// intMinus is b - a.
func (g *gen) intMinus(b vector, a operand.Op) vector {
	return g.op2(inst{g.VPSUBD, g.VPSUBQ, g.VPSUBD_BCST, g.VPSUBQ_BCST}, a, b)
}

func (g *gen) shiftLeft(v vector, n int) vector {
	d := g.vec()
	pick(g, g.VPSLLD, g.VPSLLQ)(operand.U8(n), v, d)
	return d
}

func (g *gen) shiftRight(v vector, n int) vector {
	d := g.vec()
	pick(g, g.VPSRLD, g.VPSRLQ)(operand.U8(n), v, d)
	return d
}

func (g *gen) abs(x vector) vector { return g.and(g.bits(1<<(8*g.size-1)-1), x) }

// signed is |y| with x's sign, for y >= 0 or NaN.
func (g *gen) signed(y, x vector) vector { return g.or(g.and(g.sign(), x), y) }

// Predicates of a comparison; they do not signal.
const (
	equal     = 0x00
	less      = 0x11
	notBelow  = 0x15 // or NaN
	unordered = 0x03
	notEqual  = 0x04 // or NaN
	atMost    = 0x12
	atLeast   = 0x1d
	above     = 0x1e
)

// compare selects the lanes where x and y stand so.
func (g *gen) compare(x vector, predicate int, y operand.Op) selection {
	var s selection = g.K()
	if !g.wide() {
		s = g.vec()
	}
	// The constant comes second here.
	first := func(f func(...operand.Op)) func(...operand.Op) {
		return func(ops ...operand.Op) { f(append([]operand.Op{operand.U8(predicate)}, ops...)...) }
	}
	g.do(inst{first(g.VCMPPS), first(g.VCMPPD), first(g.VCMPPS_BCST), first(g.VCMPPD_BCST)}, y, x, s)
	return s
}

// choose is a in the selected lanes, else b. a may be memory.
func (g *gen) choose(s selection, a operand.Op, b vector) vector {
	d := g.vec()
	if g.wide() {
		g.do(inst{g.VBLENDMPS, g.VBLENDMPD, g.VBLENDMPS_BCST, g.VBLENDMPD_BCST}, a, b, s, d)
	} else {
		pick(g, g.VBLENDVPS, g.VBLENDVPD)(s, a, b, d)
	}
	return d
}

// lowBit selects the lanes whose lowest bit is set.
func (g *gen) lowBit(v vector) selection {
	s := g.shiftLeft(v, 8*g.size-1)
	if !g.wide() {
		return s
	}
	k := g.K()
	pick(g, g.VPMOVD2M, g.VPMOVQ2M)(s, k)
	return k
}

// unary writes the function NAME of slices around the formula of one vector. Lanes beyond the slices' ends hold 0.
func (g *gen) unary(name, doc string, formula func(x vector) vector) {
	g.unaryWithin(name, doc, 0, formula)
}

// unaryWithin is unary for |x| <= limit, unless that is 0: the function returns the number of elements that are done, all or
// those before the vector with the first that is beyond.
func (g *gen) unaryWithin(name, doc string, limit float64, formula func(x vector) vector) {
	whole := fmt.Sprintf("%s%d%s is dst[i] = %s for n elements", name, 8*g.size, g.suffix, doc)
	if limit == 0 {
		g.begin(name, "dst, src *T, n int", whole+"; dst may be src.")
	} else {
		g.beginResult(name, "dst, src *T, n int", "done int", whole+", done of them: it stops before a vector with",
			fmt.Sprintf("|src[i]| > %g. dst may be src.", limit))
	}
	dst, src, n := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(g.param("dst"), dst)
	g.MOVQ(g.param("src"), src)
	g.MOVQ(g.param("n"), n)
	x := g.vec()
	full := operand.U8(g.lanes())
	g.Label("loop")
	g.CMPQ(n, full)
	g.JLT(operand.LabelRef("part"))
	g.load(operand.Mem{Base: src}, x)
	g.Label("formula")
	if limit != 0 {
		beyond := g.compare(g.abs(x), above, g.num(limit))
		if t := g.GP64(); g.wide() {
			g.KORTESTW(beyond, beyond)
		} else {
			pick(g, g.VMOVMSKPS, g.VMOVMSKPD)(beyond, t.As32())
			g.TESTL(t.As32(), t.As32())
		}
		g.JNE(operand.LabelRef("stop"))
	}
	y := formula(x)
	g.CMPQ(n, full)
	g.JLT(operand.LabelRef("storePart"))
	g.store(y, operand.Mem{Base: dst})
	g.ADDQ(operand.U32(g.bytes), src)
	g.ADDQ(operand.U32(g.bytes), dst)
	g.SUBQ(full, n)
	g.JMP(operand.LabelRef("loop"))
	g.Label("part")
	g.TESTQ(n, n)
	g.JEQ(operand.LabelRef("done"))
	g.loadPart(operand.Mem{Base: src}, g.firstLanes(n), x)
	g.JMP(operand.LabelRef("formula"))
	g.Label("storePart")
	g.storePart(y, g.firstLanes(n), operand.Mem{Base: dst})
	g.Label("done")
	if limit != 0 {
		g.XORQ(n, n)
		g.Label("stop")
		done := g.GP64()
		g.MOVQ(g.param("n"), done)
		g.SUBQ(n, done)
		g.MOVQ(done, g.result())
	}
	g.VZEROUPPER()
	g.RET()
}
