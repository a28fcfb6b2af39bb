package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lml writes the loops of LML in float32 over rows, whose sums have 16 lanes: with AVX2 a row is gone through twice, for
// the lower and the upper eight.
func lml(g *gen) {
	g.size = 4
	writeMoments(g)
	writeOdds(g)
	writeWeights(g)
	writeSlopes(g)
	writeGrad(g)
	if !g.wide() { // AVX-512's few rows at a time would gain nothing from wider vectors
		writeStart(g)
		writeSteps(g)
	}
	g.size = 4
}

const lmlBytes = 64 // of all lanes

// As lmlExp2, lmlMagic and lmlFloor in internal/vec/lml.go.
var lmlExp2 = []float64{0.7071067690849304, 0.4901289641857147, 0.16986781358718872, 0.03923378139734268,
	0.00684221088886261, 0.0008808159618638456, 0.00015318435907829553}

const lmlFloor = 0x1p-40

// many are vectors on which the same is done side by side: a chain of operations alone would wait for each of them.
type many []vector

// all makes a vector for each of k.
func all(k int, f func(i int) vector) many {
	v := make(many, k)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

// lmlPower is 2^(t slope) by the operations of the function of that name in Go.
func (g *gen) lmlPower(t many, slope vector) many {
	k := len(t)
	N := all(k, func(i int) vector { return g.addProduct(g.from(g.num(g.magic())), t[i], slope) })
	n := all(k, func(i int) vector { return g.minus(N[i], g.num(g.magic())) })
	n = all(k, func(i int) vector { return g.minus(n[i], g.num(0.5)) })
	f := all(k, func(i int) vector { return g.productLess(n[i], t[i], slope) })
	p := all(k, func(int) vector { return g.from(g.num(lmlExp2[len(lmlExp2)-1])) })
	for j := len(lmlExp2) - 2; j >= 0; j-- {
		p = all(k, func(i int) vector { return g.fma(f[i], p[i], g.num(lmlExp2[j])) })
	}
	e := all(k, func(i int) vector { return g.shiftLeft(N[i], g.fraction()) })
	return all(k, func(i int) vector { return g.intPlus(e[i], p[i]) })
}

func writeMoments(g *gen) {
	g.begin("lmlMoments", "x *T, stride, rows, n int, ref, sums *T",
		fmt.Sprintf("lmlMoments32%s is LMLMoments.", g.suffix))
	x, stride := g.pointer("x"), g.count("stride")
	ref, sums := g.pointer("ref"), g.pointer("sums")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	g.Label("row")
	c := g.vec()
	g.broadcast(operand.Mem{Base: ref}, c)
	acc := l.overHalves(2, func(half int, acc []vector) {
		l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) {
			t := all(k, func(i int) vector { return g.keep(g.minus(g.read(at(x, i), rest), c), rest, g.zeros) })
			g.addAll(acc[0], t)
			g.addProducts(acc[1], t, t)
		}, 2)
	})
	g.foldSums(acc[0], acc[1], acc[0], acc[1], operand.Mem{Base: sums})
	g.ADDQ(stride, x)
	g.ADDQ(operand.U8(4), ref)
	g.ADDQ(operand.U8(16), sums)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

func writeOdds(g *gen) {
	g.beginResult("lmlOdds", "x *T, stride, rows, n int, slope T, centre, odds *T, pad int, sums *T, count *int32", "limit uint32",
		fmt.Sprintf("lmlOdds32%s is LMLOdds.", g.suffix))
	x, stride := g.pointer("x"), g.count("stride")
	odds, pad := g.pointer("odds"), g.count("pad")
	sums, r := g.pointer("sums"), g.GP64()
	l := rowLoop{g, g.pointer("n"), nil, g.GP64(), 0}
	slope, limit, count := g.vec(), g.zeros(), g.GP32()
	g.broadcast(g.param("slope"), slope)
	g.XORQ(r, r)
	g.Label("row")
	c := g.broadcastAt("centre", r)
	g.XORL(count, count)
	for half := range g.halves() {
		l.power(half, x, odds, c, slope, limit)
	}
	acc := l.overHalves(4, func(half int, acc []vector) {
		l.whole(half, func(k int, at func(reg.Register, int) operand.Mem) {
			v := all(k, func(i int) vector { return g.read(at(odds, i), nil) })
			d := all(k, func(i int) vector { return g.plus(g.num(1), v[i]) })
			s := all(k, func(i int) vector { return g.op2(inst{g.VMINPS, nil, g.VMINPS_BCST, nil}, g.num(1), v[i]) })
			s = all(k, func(i int) vector { return g.over(s[i], d[i]) })
			signed := all(k, func(i int) vector { return g.negated(s[i], g.compare(v[i], less, g.num(1)), count) })
			h := all(k, func(i int) vector { return g.lessProduct(g.copied(s[i]), s[i], s[i]) })
			g.addAll(acc[0], signed)
			g.addAll(acc[1], h)
			h = all(k, func(i int) vector { return g.op2(inst{g.VMAXPS, nil, g.VMAXPS_BCST, nil}, g.num(lmlFloor), h[i]) })
			s = all(k, func(i int) vector { return g.addProduct(s[i], g.num(2), h[i]) })
			g.addProducts(acc[2], signed, s)
			g.addProducts(acc[3], h, h)
		}, 2)
	})
	g.foldSums(acc[0], acc[1], acc[2], acc[3], operand.Mem{Base: sums})
	counts := g.pointer("count")
	g.MOVL(count, operand.Mem{Base: counts, Index: r, Scale: 4})
	g.ADDQ(stride, x)
	g.ADDQ(pad, odds)
	g.ADDQ(operand.U8(16), sums)
	g.INCQ(r)
	g.CMPQ(r, g.param("rows"))
	g.JLT(operand.LabelRef("row"))
	g.foldMost(limit, g.result())
	g.VZEROUPPER()
	g.RET()
}

// negated is x >= 0 with a sign in the selected lanes, whose number it adds to count.
func (g *gen) negated(x vector, lanes selection, count reg.GPVirtual) vector {
	t, y := g.GP32(), g.copied(x)
	if g.wide() {
		g.KMOVW(lanes, t)
		g.VORPS_BCST(g.sign(), y, lanes, y)
	} else {
		g.VMOVMSKPS(lanes, t)
		y = g.or(y, g.and(g.sign(), lanes.(vector)))
	}
	g.POPCNTL(t, t)
	g.ADDL(t, count)
	return y
}

// power writes odds = 2^((centre - x) slope), and +Inf beyond the row's end, and makes limit the larger of itself and the
// differences.
func (l *rowLoop) power(half int, x, odds reg.Register, centre, slope, limit vector) {
	g := l.g
	l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) {
		t := all(k, func(i int) vector { return g.keep(g.minus(centre, g.read(at(x, i), rest)), rest, g.zeros) })
		v := g.lmlPower(t, slope)
		for i := range k {
			g.most(limit, t[i])
			g.store(g.keep(v[i], rest, func() vector { return g.from(g.num(math.Inf(1))) }), at(odds, i))
		}
	}, 2)
}

// whole writes f for the vectors of a padded row.
func (l *rowLoop) whole(half int, f func(k int, at func(base reg.Register, i int) operand.Mem), most ...int) {
	old := l.n
	l.n = l.g.GP64()
	l.g.LEAQ(operand.Mem{Base: old, Disp: 15}, l.n)
	l.g.ANDQ(operand.I8(-16), l.n)
	l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) { f(k, at) }, most...)
	l.n = old
}

func writeWeights(g *gen) {
	g.begin("lmlWeights", "y *T, stride, rows, n int, odds *T, pad int, factor *T, sums *float64",
		fmt.Sprintf("lmlWeights32%s is LMLWeights.", g.suffix))
	y, stride := g.pointer("y"), g.count("stride")
	odds, pad := g.pointer("odds"), g.count("pad")
	factor, sums := g.pointer("factor"), g.pointer("sums")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	u, one := g.vec(), g.from(g.num(1))
	var saved operand.Mem
	if !g.wide() {
		saved = g.AllocLocal(64)
	}
	g.Label("row")
	g.broadcast(operand.Mem{Base: factor}, u)
	acc := g.accumulators(2)
	for half := range g.halves() {
		if half > 0 {
			for i, a := range acc {
				g.VMOVUPD(a, saved.Offset(32*i))
			}
			acc = g.accumulators(2)
		}
		l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) {
			w := all(k, func(i int) vector { return g.addProduct(g.copied(one), g.read(at(odds, i), nil), u) })
			w = all(k, func(i int) vector { return g.over(one, w[i]) })
			for i := range k {
				g.write(w[i], rest, at(y, i))
			}
			if k == 2 {
				w[0] = g.plus(w[0], w[1])
			}
			lo, hi := g.vec(), g.vec()
			if g.wide() {
				top := g.YMM()
				g.VEXTRACTF32X8(operand.U8(1), w[0], top)
				g.VCVTPS2PD(w[0].AsY(), lo)
				g.VCVTPS2PD(top, hi)
			} else {
				top := g.XMM()
				g.VEXTRACTF128(operand.U8(1), w[0], top)
				g.VCVTPS2PD(w[0].AsX(), lo)
				g.VCVTPS2PD(top, hi)
			}
			g.VADDPD(lo, acc[0], acc[0])
			g.VADDPD(hi, acc[1], acc[1])
		}, 2)
	}
	if g.wide() {
		g.VADDPD(acc[1], acc[0], acc[0])
		t := g.YMM()
		g.VEXTRACTF64X4(operand.U8(1), acc[0], t)
		g.VADDPD(t, acc[0].AsY(), acc[0].AsY())
	} else {
		for i, a := range acc {
			g.VADDPD(saved.Offset(32*i), a, a)
		}
		g.VADDPD(acc[1], acc[0], acc[0])
	}
	t := g.XMM()
	g.VEXTRACTF128(operand.U8(1), acc[0].AsY(), t)
	g.VADDPD(t, acc[0].AsX(), acc[0].AsX())
	g.VHADDPD(acc[0].AsX(), acc[0].AsX(), acc[0].AsX())
	g.VMOVSD(acc[0].AsX(), operand.Mem{Base: sums})
	g.ADDQ(stride, y)
	g.ADDQ(pad, odds)
	g.ADDQ(operand.U8(4), factor)
	g.ADDQ(operand.U8(8), sums)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

func writeSlopes(g *gen) {
	g.beginResult("lmlSlopes", "x, grad *T, stride, rows, n int, slope T, centre, factor, ref, h *T, pad int, sums *T, most *uint32", "limit uint32",
		fmt.Sprintf("lmlSlopes32%s is LMLSlopes.", g.suffix))
	x, grad, stride := g.pointer("x"), g.pointer("grad"), g.count("stride")
	h, pad := g.pointer("h"), g.count("pad")
	sums, r := g.pointer("sums"), g.GP64()
	l := rowLoop{g, g.pointer("n"), nil, g.GP64(), 0}
	slope, limit, most, one := g.vec(), g.zeros(), g.zeros(), g.from(g.num(1))
	g.broadcast(g.param("slope"), slope)
	g.XORQ(r, r)
	g.Label("row")
	c, u, ref := g.broadcastAt("centre", r), g.broadcastAt("factor", r), g.broadcastAt("ref", r)
	for half := range g.halves() {
		l.power(half, x, h, c, slope, limit)
	}
	acc := l.overHalves(2, func(half int, acc []vector) {
		l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) {
			v := all(k, func(i int) vector { return g.read(at(h, i), nil) })
			y := all(k, func(i int) vector { return g.addProduct(g.copied(one), v[i], u) })
			y = all(k, func(i int) vector { return g.over(one, y[i]) })
			v = all(k, func(i int) vector { return g.times(v[i], u) })
			d := all(k, func(i int) vector { return g.keep(g.minus(g.read(at(grad, i), rest), ref), rest, g.zeros) })
			v = all(k, func(i int) vector { return g.op2(inst{g.VMINPS, nil, g.VMINPS_BCST, nil}, g.num(1), v[i]) })
			v = all(k, func(i int) vector { return g.times(v[i], y[i]) })
			v = all(k, func(i int) vector { return g.keep(g.lessProduct(g.copied(v[i]), v[i], v[i]), rest, g.zeros) })
			for i := range k {
				g.most(most, d[i])
				g.store(v[i], at(h, i))
			}
			g.addAll(acc[0], v)
			g.addProducts(acc[1], v, d)
		}, 2)
	})
	g.foldSums(acc[0], acc[1], acc[0], acc[1], operand.Mem{Base: sums})
	g.ADDQ(stride, x)
	g.ADDQ(stride, grad)
	g.ADDQ(pad, h)
	g.ADDQ(operand.U8(16), sums)
	g.INCQ(r)
	g.CMPQ(r, g.param("rows"))
	g.JLT(operand.LabelRef("row"))
	g.foldMost(limit, g.result())
	g.foldMost(most, operand.Mem{Base: g.pointer("most")})
	g.VZEROUPPER()
	g.RET()
}

func writeGrad(g *gen) {
	g.begin("lmlGrad", "dx, grad *T, stride, rows, n int, h *T, pad int, ref, mean *T, scale T",
		fmt.Sprintf("lmlGrad32%s is LMLGrad.", g.suffix))
	dx, grad, stride := g.pointer("dx"), g.pointer("grad"), g.count("stride")
	h, pad := g.pointer("h"), g.count("pad")
	r := g.GP64()
	l := rowLoop{g, g.pointer("n"), nil, g.GP64(), 0}
	scale := g.vec()
	g.broadcast(g.param("scale"), scale)
	g.XORQ(r, r)
	g.Label("row")
	ref, mean := g.broadcastAt("ref", r), g.broadcastAt("mean", r)
	for half := range g.halves() {
		l.vectors(half, func(k int, at func(reg.Register, int) operand.Mem, rest selection) {
			d := all(k, func(i int) vector { return g.minus(g.read(at(grad, i), rest), ref) })
			d = all(k, func(i int) vector { return g.minus(d[i], mean) })
			d = all(k, func(i int) vector { return g.times(d[i], g.read(at(h, i), nil)) })
			d = all(k, func(i int) vector { return g.times(d[i], scale) })
			for i := range k {
				g.write(d[i], rest, at(dx, i))
			}
		}, 2)
	}
	g.ADDQ(stride, dx)
	g.ADDQ(stride, grad)
	g.ADDQ(pad, h)
	g.INCQ(r)
	g.CMPQ(r, g.param("rows"))
	g.JLT(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}
