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
var lmlExp2 = []float64{0.6931471824645996, 0.24022650718688965, 0.055503569543361664, 0.009618083015084267,
	0.0013390863314270973, 0.00015453163359779865}

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
	f := all(k, func(i int) vector { return g.productLess(n[i], t[i], slope) })
	f2 := all(k, func(i int) vector { return g.times(f[i], f[i]) })
	c := func(j int) operand.Mem { return g.num(lmlExp2[j]) }
	pair := func(low, high operand.Mem, x many) many { // low + high x
		return all(k, func(i int) vector { return g.addProduct(g.from(low), high, x[i]) })
	}
	p := pair(c(3), c(4), f)
	p = all(k, func(i int) vector { return g.addProduct(p[i], c(5), f2[i]) })
	q := pair(c(1), c(2), f)
	p = all(k, func(i int) vector { return g.addProduct(q[i], p[i], f2[i]) })
	q = pair(g.num(1), c(0), f)
	p = all(k, func(i int) vector { return g.addProduct(q[i], p[i], f2[i]) })
	e := all(k, func(i int) vector { return g.shiftLeft(N[i], g.fraction()) })
	return all(k, func(i int) vector { return g.intPlus(e[i], p[i]) })
}

// A rowLoop goes over rows: row has what is next in each array.
type rowLoop struct {
	g    *gen
	n    reg.GPVirtual // elements of a row
	left reg.GPVirtual // rows
	off  reg.GPVirtual // bytes of the row that are done

	loops int // that were written
}

func (g *gen) pointer(name string) reg.GPVirtual {
	p := g.GP64()
	g.MOVQ(g.param(name), p)
	return p
}

// count loads a number of elements, as bytes.
func (g *gen) count(name string) reg.GPVirtual {
	p := g.pointer(name)
	g.SHLQ(operand.U8(2), p)
	return p
}

// broadcastAt is element i of the array that the parameter points to, in every lane.
func (g *gen) broadcastAt(name string, i reg.GPVirtual) vector {
	p, v := g.GP64(), g.vec()
	g.MOVQ(g.param(name), p)
	g.broadcast(operand.Mem{Base: p, Index: i, Scale: 4}, v)
	return v
}

// halves is how often a row is gone through.
func (g *gen) halves() int { return lmlBytes / g.bytes }

// vectors writes f for the vectors of a row in one half, some at a time, most first; at is the address of the i-th of
// those at hand in an array, and rest selects the lanes before the row's end where the one vector at hand is the last of
// 16 lanes and not whole, else it is nil.
func (l *rowLoop) vectors(half int, f func(k int, at func(base reg.Register, i int) operand.Mem, rest selection), most ...int) {
	g, count := l.g, l.g.GP64()
	at := func(base reg.Register, i int) operand.Mem {
		return operand.Mem{Base: base, Index: l.off, Scale: 1, Disp: half*g.bytes + i*lmlBytes}
	}
	l.loops++
	name := fmt.Sprintf("loop%d", l.loops)
	g.XORQ(l.off, l.off)
	g.MOVQ(l.n, count)
	g.SHRQ(operand.U8(4), count)
	for _, k := range append(most, 1) {
		by := fmt.Sprintf("%sBy%d", name, k)
		g.SUBQ(operand.U8(k), count)
		g.JLT(operand.LabelRef(by + "Done"))
		g.Label(by)
		f(k, at, nil)
		g.ADDQ(operand.U32(k*lmlBytes), l.off)
		g.SUBQ(operand.U8(k), count)
		g.JGE(operand.LabelRef(by))
		g.Label(by + "Done")
		g.ADDQ(operand.U8(k), count)
	}
	rest := g.GP64()
	g.MOVQ(l.n, rest)
	g.ANDQ(operand.U8(15), rest)
	g.JEQ(operand.LabelRef(name + "Done"))
	if !g.wide() {
		bound := g.GP64()
		if half == 0 {
			g.MOVQ(operand.U32(8), bound)
			g.CMPQ(rest, bound)
			g.CMOVQGT(bound, rest)
		} else {
			g.XORQ(bound, bound)
			g.SUBQ(operand.U8(8), rest)
			g.CMOVQLT(bound, rest)
		}
	}
	f(1, at, g.firstLanes(rest))
	g.Label(name + "Done")
}

// read is the vector there, with zeros in lanes that are not in rest.
func (g *gen) read(m operand.Mem, rest selection) vector {
	v := g.vec()
	if rest == nil {
		g.load(m, v)
	} else {
		g.loadPart(m, rest, v)
	}
	return v
}

func (g *gen) write(v vector, rest selection, m operand.Mem) {
	if rest == nil {
		g.store(v, m)
	} else {
		g.storePart(v, rest, m)
	}
}

// keep is v, and with lanes that are not in rest something else.
func (g *gen) keep(v vector, rest selection, other func() vector) vector {
	if rest == nil {
		return v
	}
	return g.choose(rest, v, other())
}

func (g *gen) accumulators(n int) []vector {
	v := make([]vector, n)
	for i := range v {
		v[i] = g.zeros()
	}
	return v
}

func (g *gen) addAll(acc vector, x many) {
	for _, v := range x {
		g.VADDPS(v, acc, acc)
	}
}

func (g *gen) addProducts(acc vector, x, y many) {
	for i := range x {
		g.addProduct(acc, x[i], y[i])
	}
}

// most makes acc the larger, as integers, of it and |x|.
func (g *gen) most(acc, x vector) { g.VPMAXSD(g.abs(x), acc, acc) }

// lower adds the upper half of a register's lanes to the lower one, down to 128 bits, by op.
func (g *gen) lower(v vector, op func(...operand.Op)) {
	x := g.XMM()
	if g.wide() {
		y := g.YMM()
		g.VEXTRACTF64X4(operand.U8(1), v, y)
		op(y, v.AsY(), v.AsY())
	}
	g.VEXTRACTF128(operand.U8(1), v.AsY(), x)
	op(x, v.AsX(), v.AsX())
}

// foldSums stores four sums of lanes next to each other at m.
func (g *gen) foldSums(a, b, c, d vector, m operand.Mem) {
	if !g.wide() {
		halves := func(a, b vector) vector {
			lo, hi := g.vec(), g.vec()
			g.VPERM2F128(operand.U8(0x20), b, a, lo)
			g.VPERM2F128(operand.U8(0x31), b, a, hi)
			return g.plus(hi, lo)
		}
		x, top := halves(a, b), g.XMM()
		g.VHADDPS(halves(c, d), x, x) // a01 a23 c01 c23, b01 b23 d01 d23
		g.VHADDPS(x, x, x)
		g.VEXTRACTF128(operand.U8(1), x, top)
		g.VUNPCKLPS(top, x.AsX(), x.AsX())
		g.VMOVUPS(x.AsX(), m)
		return
	}
	// With the quarters of a register as digits: a0 a1 b0 b1 from a0 a1 a2 a3 and b0 b1 b2 b3, then a b c d.
	merged := func(a, b vector, low, high uint8) vector {
		lo, hi := g.vec(), g.vec()
		g.VSHUFF64X2(operand.U8(low), b, a, lo)
		g.VSHUFF64X2(operand.U8(high), b, a, hi)
		return g.plus(hi, lo)
	}
	x := merged(merged(a, b, 0x44, 0xee), merged(c, d, 0x44, 0xee), 0x88, 0xdd)
	for _, order := range []uint8{0xb1, 0x4e} {
		t := g.vec()
		g.VPERMILPS(operand.U8(order), x, t)
		x = g.plus(t, x)
	}
	k, t := g.K(), g.GP32()
	g.MOVL(operand.U32(0x1111), t)
	g.KMOVW(t, k)
	g.VCOMPRESSPS_Z(x, k, x)
	g.VMOVUPS(x.AsX(), m)
}

// foldMost stores the largest lane, as an integer.
func (g *gen) foldMost(acc vector, m operand.Mem) {
	g.lower(acc, g.VPMAXSD)
	t := g.XMM()
	for _, order := range []uint8{0x4e, 0xb1} {
		g.VPSHUFD(operand.U8(order), acc.AsX(), t)
		g.VPMAXSD(t, acc.AsX(), acc.AsX())
	}
	r := g.GP32()
	g.VMOVD(acc.AsX(), r)
	g.MOVL(r, m)
}

// overHalves writes a row's passes: each starts with fresh accumulators, and the sums of the lower half's are added to
// the upper one's.
func (l *rowLoop) overHalves(sums int, f func(half int, acc []vector)) []vector {
	g := l.g
	if g.wide() {
		acc := g.accumulators(sums)
		f(0, acc)
		return acc
	}
	saved := g.AllocLocal(32 * sums)
	acc := g.accumulators(sums)
	f(0, acc)
	for i, a := range acc {
		g.VMOVUPS(a, saved.Offset(32*i))
	}
	acc = g.accumulators(sums)
	f(1, acc)
	for i, a := range acc {
		g.VADDPS(saved.Offset(32*i), a, a)
	}
	return acc
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
	s2 := g.minus(S, C)
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
