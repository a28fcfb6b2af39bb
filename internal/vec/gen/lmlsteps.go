package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Four rows at a time, in float64, by the operations of the functions in Go: none is fused.

// constants loads the numbers at the parameter p into vectors.
func (g *gen) constantsAt(n int) []vector {
	p := g.pointer("p")
	return all(n, func(i int) vector {
		v := g.vec()
		g.broadcast(operand.Mem{Base: p, Disp: 8 * i}, v)
		return v
	})
}

// fourRows reads four numbers in float32 of each of four rows, and returns them in float64 by number.
func (g *gen) fourRows(base reg.Register) []vector {
	x := make([]reg.VecVirtual, 4)
	for i := range x {
		x[i] = g.XMM()
		g.VMOVUPS(operand.Mem{Base: base, Disp: 16 * i}, x[i])
	}
	lo01, hi01, lo23, hi23 := g.XMM(), g.XMM(), g.XMM(), g.XMM()
	g.VUNPCKLPS(x[1], x[0], lo01)
	g.VUNPCKHPS(x[1], x[0], hi01)
	g.VUNPCKLPS(x[3], x[2], lo23)
	g.VUNPCKHPS(x[3], x[2], hi23)
	out := make([]vector, 4)
	for i, pair := range [][2]reg.VecVirtual{{lo01, lo23}, {hi01, hi23}} {
		even, odd := g.XMM(), g.XMM()
		g.VMOVLHPS(pair[1], pair[0], even)
		g.VMOVHLPS(pair[0], pair[1], odd)
		out[2*i], out[2*i+1] = g.vec(), g.vec()
		g.VCVTPS2PD(even, out[2*i])
		g.VCVTPS2PD(odd, out[2*i+1])
	}
	return out
}

func writeStart(g *gen) {
	g.size = 8
	g.begin("lmlStart", "rows int, p *T, moments, ref, centre *float32, width *T",
		fmt.Sprintf("lmlStart64%s is LMLStart, of whole fours of rows.", g.suffix))
	moments, ref := g.pointer("moments"), g.pointer("ref")
	centre, width, rows := g.pointer("centre"), g.pointer("width"), g.pointer("rows")
	p := g.constantsAt(3)
	g.Label("row")
	m := g.fourRows(moments)
	mean := g.times(m[0], p[0])
	v := g.minus(g.times(m[1], p[0]), g.times(mean, mean))
	v = g.op2(inst{nil, g.VMAXPD, nil, g.VMAXPD_BCST}, g.num(0), v)
	w := g.vec()
	g.VSQRTPD(g.plus(g.num(1), g.times(v, p[1])), w)
	g.store(w, operand.Mem{Base: width})
	at, c := g.vec(), g.XMM()
	g.VCVTPS2PD(operand.Mem{Base: ref}, at)
	g.VCVTPD2PSY(g.plus(g.minus(mean, g.times(w, p[2])), at), c)
	g.VMOVUPS(c, operand.Mem{Base: centre})
	g.ADDQ(operand.U8(64), moments)
	g.ADDQ(operand.U8(16), ref)
	g.ADDQ(operand.U8(16), centre)
	g.ADDQ(operand.U8(32), width)
	g.SUBQ(operand.U8(4), rows)
	g.JGT(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

// lmlFactor is as in internal/vec/lml.go.
var lmlFactor = []float64{1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040}

func writeSteps(g *gen) {
	g.size = 8
	g.begin("lmlSteps", "rows int, p *T, sums *float32, count *int32, width, step *T, factor *float32",
		fmt.Sprintf("lmlSteps64%s is LMLSteps, of whole fours of rows.", g.suffix))
	sums, count, width := g.pointer("sums"), g.pointer("count"), g.pointer("width")
	step, factor, rows := g.pointer("step"), g.pointer("factor"), g.pointer("rows")
	p := g.pointer("p")
	constant := func(i int) vector {
		v := g.vec()
		g.broadcast(operand.Mem{Base: p, Disp: 8 * i}, v)
		return v
	}
	k := func() vector { return constant(0) }
	others := func() vector { return constant(1) }
	n := func() vector { return constant(2) }
	g.Label("row")
	t := g.fourRows(sums)
	S, H, C, D := t[0], t[1], t[2], t[3]
	m := g.vec()
	g.VCVTDQ2PD(operand.Mem{Base: count}, m)
	e := g.plus(g.minus(m, k()), S)
	sum, rest := g.plus(k(), e), g.minus(others(), e)
	zero := g.zeros()
	ok := g.and(g.compare(sum, above, zero).(vector), g.compare(rest, above, zero).(vector))
	ok = g.and(ok, g.compare(H, above, zero).(vector))
	inv := g.over(g.from(g.num(1)), g.times(sum, rest))
	a, b := g.times(rest, inv), g.times(sum, inv)
	q := g.over(g.times(e, n()), g.plus(g.times(sum, others()), g.times(k(), rest)))
	q2 := g.times(q, q)
	f := g.plus(g.num(1./5), g.times(q2, g.from(g.num(1./7))))
	f = g.plus(g.num(1./3), g.times(q2, f))
	f = g.plus(g.num(1), g.times(q2, f))
	f = g.times(g.plus(q, q), f)
	ab := g.plus(a, b)
	aa, bb := g.times(a, a), g.times(b, b)
	diff := g.minus(aa, bb)
	cubes := g.plus(g.times(aa, a), g.times(bb, b))
	h2 := g.times(H, H)
	s2 := C
	s3 := g.minus(H, g.times(g.num(6), D))
	f1 := g.times(H, ab)
	f2 := g.minus(g.times(s2, ab), g.times(h2, diff))
	f3 := g.minus(g.times(s3, ab), g.times(g.times(g.num(3), s2), g.times(H, diff)))
	f3 = g.plus(f3, g.times(g.times(h2, g.plus(H, H)), cubes))
	inv = g.over(g.from(g.num(1)), f1)
	u := g.xor(g.sign(), g.times(f, inv))
	c2 := g.times(g.times(g.num(0.5), f2), inv)
	c3 := g.times(g.times(g.num(1./6), f3), inv)
	far := g.compare(g.abs(g.times(u, c2)), notBelow, g.num(0.3))
	w := g.minus(g.times(g.plus(c2, c2), c2), c3)
	w = g.minus(c2, g.times(u, w))
	w = g.minus(g.from(g.num(1)), g.times(u, w))
	u = g.choose(far, u, g.times(u, w))
	bound := g.vec()
	g.load(operand.Mem{Base: width}, bound)
	u = g.op2(inst{nil, g.VMINPD, nil, nil}, bound, u)
	u = g.op2(inst{nil, g.VMAXPD, nil, nil}, g.xor(g.sign(), bound), u)
	u = g.choose(ok, u, g.from(g.num(math.NaN())))
	// The step in float32, and its factor.
	single := g.XMM()
	g.VCVTPD2PSY(u, single)
	g.VCVTPS2PD(single, u)
	g.store(u, operand.Mem{Base: step})
	x := g.xor(g.sign(), u)
	y := g.from(g.num(lmlFactor[len(lmlFactor)-1]))
	for i := len(lmlFactor) - 2; i >= 0; i-- {
		y = g.plus(g.num(lmlFactor[i]), g.times(y, x))
	}
	g.VCVTPD2PSY(y, single)
	g.VMOVUPS(single, operand.Mem{Base: factor})
	g.ADDQ(operand.U8(64), sums)
	g.ADDQ(operand.U8(16), count)
	g.ADDQ(operand.U8(32), width)
	g.ADDQ(operand.U8(32), step)
	g.ADDQ(operand.U8(16), factor)
	g.SUBQ(operand.U8(4), rows)
	g.JGT(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}
