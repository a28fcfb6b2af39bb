package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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

// both is vectors for the vectors of both halves, those of 16 lanes next to each other; most counts 16 lanes, and rest is by
// vector, made when it is asked for.
func (l *rowLoop) both(f func(k int, at func(base reg.Register, i int) operand.Mem, rest func(i int) selection), most int) {
	g, each := l.g, l.g.halves()
	name := l.sixteens(l.n, func(k int, at func(base reg.Register, i int) operand.Mem) {
		f(k, at, func(int) selection { return nil })
	}, most)
	rest := g.GP64()
	g.MOVQ(l.n, rest)
	g.ANDQ(operand.U8(15), rest)
	g.JEQ(operand.LabelRef(name + "Done"))
	counts := []reg.GPVirtual{rest}
	if !g.wide() {
		bound, low := g.GP64(), g.GP64()
		g.MOVQ(operand.U32(8), bound)
		g.MOVQ(rest, low)
		g.CMPQ(rest, bound)
		g.CMOVQGT(bound, low)
		g.SUBQ(low, rest)
		counts = []reg.GPVirtual{low, rest}
	}
	f(each, l.at(), func(i int) selection { return g.firstLanes(counts[i]) })
	g.Label(name + "Done")
}

// sixteens writes f for n/16 times 16 lanes, most at a time first, and returns the loops' name.
func (l *rowLoop) sixteens(n reg.GPVirtual, f func(k int, at func(base reg.Register, i int) operand.Mem), most int) (name string) {
	g, count, each := l.g, l.g.GP64(), l.g.halves()
	l.loops++
	name = fmt.Sprintf("loop%d", l.loops)
	g.XORQ(l.off, l.off)
	g.MOVQ(n, count)
	g.SHRQ(operand.U8(4), count)
	for k := max(1, most/each); ; k = 1 { // there are half as many registers
		by := fmt.Sprintf("%sBy%d", name, k)
		g.SUBQ(operand.U8(k), count)
		g.JLT(operand.LabelRef(by + "Done"))
		g.Label(by)
		f(k*each, l.at())
		g.ADDQ(operand.U32(k*lmlBytes), l.off)
		g.SUBQ(operand.U8(k), count)
		g.JGE(operand.LabelRef(by))
		g.Label(by + "Done")
		if k == 1 {
			return name
		}
		g.ADDQ(operand.U8(k), count)
	}
}

// at is the address of the i-th vector at hand.
func (l *rowLoop) at() func(base reg.Register, i int) operand.Mem {
	return func(base reg.Register, i int) operand.Mem {
		return operand.Mem{Base: base, Index: l.off, Scale: 1, Disp: i * l.g.bytes}
	}
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
