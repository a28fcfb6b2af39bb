package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lml writes the loops of LML in float32 over rows, whose sums have 16 lanes: with AVX2 some go through a row twice, for
// the lower and the upper eight.
func lml(g *gen) {
	g.size = 4
	writeMoments(g)
	writePowers(g)
	writeCounted(g)
	writeQuick(g)
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

// As lmlEighths, lmlPoly and lmlFloor in internal/vec/lml.go.
var (
	lmlEighths = []float32{0.9576032757759094, 1.0442737340927124, 1.1387885808944702, 1.2418577671051025,
		1.3542555570602417, 1.4768260717391968, 1.610490322113037, 1.7562521696090698}
	lmlPoly = []float64{0.08664383739233017, 0.00375087046995759, 0.00011300414917059243}
)

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

// lmlTable is a register with the eight parts of an octave, less what the shift of lmlPower brings of their number.
func (g *gen) lmlTable() vector {
	m, ok := g.constants["lmlEighths"]
	if !ok {
		g.num(0) // that there are constants
		m = g.StaticGlobal("lmlEighths" + g.suffix)
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for range lmlBytes / 4 / len(lmlEighths) {
			for i, v := range lmlEighths {
				g.AppendDatum(operand.U32(math.Float32bits(v) - uint32(i)<<20))
			}
		}
		g.constants["lmlEighths"] = m
	}
	v := g.vec()
	g.load(m, v)
	return v
}

// lmlPower is 2^(t slope/8) by the operations of the function of that name in Go.
func (g *gen) lmlPower(t many, slope operand.Op, table vector) many {
	k := len(t)
	N := all(k, func(i int) vector { return g.addProduct(g.from(g.num(g.magic())), slope, t[i]) })
	n := all(k, func(i int) vector { return g.minus(N[i], g.num(g.magic())) })
	n = all(k, func(i int) vector { return g.minus(n[i], g.num(0.5)) })
	f := all(k, func(i int) vector { return g.productLess(n[i], slope, t[i]) })
	part := all(k, func(i int) vector {
		v := g.vec()
		g.VPERMPS(table, N[i], v)
		return v
	})
	whole := all(k, func(i int) vector { return g.shiftLeft(N[i], g.fraction()-3) })
	part = all(k, func(i int) vector { return g.intPlus(part[i], whole[i]) })
	q := all(k, func(i int) vector { return g.fma(f[i], g.from(g.num(lmlPoly[2])), g.num(lmlPoly[1])) })
	q = all(k, func(i int) vector { return g.fma(f[i], q[i], g.num(lmlPoly[0])) })
	q = all(k, func(i int) vector { return g.times(f[i], q[i]) })
	return all(k, func(i int) vector { return g.fma(part[i], q[i], part[i]) })
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
	each := g.halves()
	sum, square := g.accumulators(each), g.accumulators(each)
	l.both(func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
		t := all(k, func(i int) vector {
			lanes := rest(i)
			return g.keep(g.minus(g.read(at(x, i), lanes), c), lanes, g.zeros)
		})
		for i := range k {
			g.VADDPS(t[i], sum[i%each], sum[i%each])
			g.addProduct(square[i%each], t[i], t[i])
		}
	}, 2)
	total := []vector{g.joined(sum), g.joined(square)}
	g.foldSums(total[0], total[1], total[0], total[1], operand.Mem{Base: sums})
	g.ADDQ(stride, x)
	g.ADDQ(operand.U8(4), ref)
	g.ADDQ(operand.U8(16), sums)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

// A powerLoop sets odds = 2^((c - x) slope) of rows, and +Inf beyond their ends, and makes limit the larger of itself and the
// differences.
type powerLoop struct {
	x, odds, centre reg.GPVirtual // of the row at hand
	slope           operand.Op
	limit, table    vector
}

func (g *gen) powerLoop(x, odds reg.GPVirtual) *powerLoop {
	p := &powerLoop{x, odds, g.pointer("centre"), nil, g.zeros(), g.lmlTable()}
	slope := g.vec()
	g.broadcast(g.param("slope"), slope)
	p.slope = slope
	if !g.wide() { // registers are few
		m := g.AllocLocal(g.bytes)
		g.store(slope, m)
		p.slope = m
	}
	return p
}

// vectors writes the odds of vectors at hand.
func (p *powerLoop) vectors(g *gen, k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
	t := all(k, func(i int) vector {
		c, lanes := g.vec(), rest(i)
		g.broadcast(operand.Mem{Base: p.centre}, c)
		d := g.keep(g.minus(c, g.read(at(p.x, i), lanes)), lanes, g.zeros)
		g.most(p.limit, d)
		return d
	})
	v := g.lmlPower(t, p.slope, p.table)
	for i := range k {
		g.store(g.keep(v[i], rest(i), func() vector { return g.from(g.num(math.Inf(1))) }), at(p.odds, i))
	}
}

// over writes the odds of a row.
func (p *powerLoop) over(l *rowLoop) {
	l.both(func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
		p.vectors(l.g, k, at, rest)
	}, 2)
}

// next moves on by a row.
func (p *powerLoop) next(g *gen, stride, pad operand.Op) {
	g.ADDQ(stride, p.x)
	g.ADDQ(pad, p.odds)
	g.ADDQ(operand.U8(4), p.centre)
}

func writePowers(g *gen) {
	g.beginResult("lmlPowers", "x *T, stride, rows, n int, slope T, centre, odds *T, pad int", "limit uint32",
		fmt.Sprintf("lmlPowers32%s is LMLPowers, of eight times the slope.", g.suffix))
	x, stride := g.pointer("x"), g.count("stride")
	odds, pad := g.pointer("odds"), g.count("pad")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	p := g.powerLoop(x, odds)
	g.Label("row")
	p.over(&l)
	p.next(g, stride, pad)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
	g.foldMost(p.limit, g.result())
	g.VZEROUPPER()
	g.RET()
}

func writeCounted(g *gen) {
	g.begin("lmlCounted", "odds *T, pad, rows, n int, sums *T, count *int32",
		fmt.Sprintf("lmlCounted32%s is LMLCounted.", g.suffix))
	odds, pad := g.pointer("odds"), g.count("pad")
	sums, counts := g.pointer("sums"), g.pointer("count")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	count := g.GP32()
	g.Label("row")
	g.XORL(count, count)
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
			for i := range k {
				g.lessProduct(acc[2], signed[i], s[i])
			}
			g.addProducts(acc[3], h, h)
		}, 2)
		g.VADDPS(acc[0], acc[2], acc[2])
	})
	g.foldSums(acc[0], acc[1], acc[2], acc[3], operand.Mem{Base: sums})
	g.MOVL(count, operand.Mem{Base: counts})
	g.ADDQ(pad, odds)
	g.ADDQ(operand.U8(16), sums)
	g.ADDQ(operand.U8(4), counts)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

// ahead writes then for the vectors of every row, k at a time, beside the odds of the row that comes after it: the divisions of
// the one and the products of the other would each by themselves leave the other's ports idle.
func (p *powerLoop) ahead(l *rowLoop, stride, pad operand.Op, first, last func(), then func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection)) {
	g := l.g
	p.over(l)
	p.next(g, stride, pad)
	g.Label("row")
	first()
	g.CMPQ(l.left, operand.U8(1))
	g.JEQ(operand.LabelRef("lastRow"))
	l.both(func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
		for j := range k { // one by one: registers are few
			p.vectors(g, 1, func(base reg.Register, _ int) operand.Mem { return at(base, j) }, func(int) selection { return rest(j) })
		}
		then(k, at, rest)
	}, 1)
	g.JMP(operand.LabelRef("rowDone"))
	g.Label("lastRow")
	l.both(then, 1)
	g.Label("rowDone")
	last()
	p.next(g, stride, pad)
	g.DECQ(l.left)
	g.JNE(operand.LabelRef("row"))
}

func writeQuick(g *gen) {
	g.beginResult("lmlQuick", "x *T, stride, rows, n int, slope T, centre, odds *T, pad int, bias T, sums *T", "limit uint32",
		fmt.Sprintf("lmlQuick32%s is LMLQuick, of eight times the slope.", g.suffix))
	stride, pad := g.count("stride"), g.count("pad")
	odds, sums := g.pointer("odds"), g.pointer("sums")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	p, each := g.powerLoop(g.pointer("x"), g.pointer("odds")), g.halves()
	acc := make([][]vector, 4)
	for i := range acc {
		acc[i] = all(each, func(int) vector { return g.vec() })
	}
	p.ahead(&l, stride, pad, func() {
		for half := range each {
			g.broadcast(g.param("bias"), acc[0][half])
			pick(g, g.VXORPS, g.VXORPD)(acc[1][half], acc[1][half], acc[1][half])
			for _, a := range acc[2:] {
				g.broadcast(g.num(lmlFloor), a[half])
			}
		}
	}, func() {
		for half := range each {
			g.do(inst{g.VFNMADD132PS, nil, g.VFNMADD132PS_BCST, nil}, g.num(2), acc[1][half], acc[2][half])
		}
		total := all(4, func(i int) vector { return g.joined(acc[i]) })
		g.foldSums(total[0], total[1], total[2], total[3], operand.Mem{Base: sums})
		g.ADDQ(pad, odds)
		g.ADDQ(operand.U8(16), sums)
	}, func(k int, at func(reg.Register, int) operand.Mem, _ func(int) selection) {
		for i := range k {
			one := g.from(g.num(1))
			y := g.over(one, g.plus(one, g.read(at(odds, i), nil)))
			h, half := g.lessProduct(g.copied(y), y, y), i%each
			g.VADDPS(y, acc[0][half], acc[0][half])
			g.VADDPS(h, acc[1][half], acc[1][half])
			g.addProduct(acc[2][half], h, y)
			g.addProduct(acc[3][half], h, h)
		}
	})
	g.foldMost(p.limit, g.result())
	g.VZEROUPPER()
	g.RET()
}

// joined is the sum of a row's halves, if there are two.
func (g *gen) joined(halves []vector) vector {
	if len(halves) == 1 {
		return halves[0]
	}
	return g.plus(halves[0], halves[1])
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
		fmt.Sprintf("lmlSlopes32%s is LMLSlopes, of eight times the slope.", g.suffix))
	grad, stride := g.pointer("grad"), g.count("stride")
	h, pad := g.pointer("h"), g.count("pad")
	sums := g.pointer("sums")
	l := rowLoop{g, g.pointer("n"), g.pointer("rows"), g.GP64(), 0}
	p, most, each := g.powerLoop(g.pointer("x"), g.pointer("h")), g.zeros(), g.halves()
	u, ref := g.vec(), g.vec()
	broadcast := func(name string, v vector) {
		t, row := g.GP64(), g.GP64()
		g.MOVQ(g.param(name), t)
		g.MOVQ(g.param("rows"), row)
		g.SUBQ(l.left, row)
		g.broadcast(operand.Mem{Base: t, Index: row, Scale: 4}, v)
	}
	H, G := all(each, func(int) vector { return g.vec() }), all(each, func(int) vector { return g.vec() })
	p.ahead(&l, stride, pad, func() {
		broadcast("factor", u)
		broadcast("ref", ref)
		for _, v := range append(H[:each:each], G...) {
			pick(g, g.VXORPS, g.VXORPD)(v, v, v)
		}
	}, func() {
		a, b := g.joined(H), g.joined(G)
		g.foldSums(a, b, a, b, operand.Mem{Base: sums})
		g.ADDQ(stride, grad)
		g.ADDQ(pad, h)
		g.ADDQ(operand.U8(16), sums)
	}, func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
		for i := range k {
			one := g.from(g.num(1))
			v := g.read(at(h, i), nil)
			y := g.over(one, g.addProduct(g.copied(one), v, u))
			v = g.times(y, g.times(y, g.times(u, v)))
			lanes := rest(i)
			v = g.keep(v, lanes, g.zeros)
			d := g.keep(g.minus(g.read(at(grad, i), lanes), ref), lanes, g.zeros)
			g.store(v, at(h, i))
			g.VADDPS(v, H[i%each], H[i%each])
			g.addProduct(G[i%each], v, d)
			g.most(most, d)
		}
	})
	g.foldMost(p.limit, g.result())
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
	l.both(func(k int, at func(reg.Register, int) operand.Mem, rest func(int) selection) {
		d := all(k, func(i int) vector { return g.minus(g.read(at(grad, i), rest(i)), ref) })
		d = all(k, func(i int) vector { return g.minus(d[i], mean) })
		d = all(k, func(i int) vector { return g.times(d[i], g.read(at(h, i), nil)) })
		d = all(k, func(i int) vector { return g.times(d[i], scale) })
		for i := range k {
			g.write(d[i], rest(i), at(dx, i))
		}
	}, 2)
	g.ADDQ(stride, dx)
	g.ADDQ(stride, grad)
	g.ADDQ(pad, h)
	g.INCQ(r)
	g.CMPQ(r, g.param("rows"))
	g.JLT(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}
