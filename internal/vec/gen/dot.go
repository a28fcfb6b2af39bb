package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot writes the product of a row-major matrix with a few vectors. A sum runs in 64 bytes of lanes, one vector of
// AVX-512 or two of AVX2, so that both give the same bits.
func dot(g *gen) {
	for _, g.size = range []int{4, 8} {
		writeDot(g)
	}
}

const dotBytes = 64

// dotRows is the number of rows done at once for 1, 2, ... vectors: what the registers hold.
func dotRows(g *gen) []int {
	if g.wide() {
		return []int{4, 4, 4, 4}
	}
	return []int{4, 2}
}

// The general registers of dot.
var (
	dA, dB, dOut         = reg.RAX, reg.RBX, reg.RDX
	dA0, dB0             = reg.RSI, reg.RDI
	dAS, d3AS, dBS, d3BS = reg.R8, reg.R9, reg.R10, reg.R11
	dOutS, dLeft         = reg.R12, reg.R13
)

func strided(base, stride, stride3 reg.GPPhysical, i, disp int) operand.Mem {
	m := operand.Mem{Base: base, Disp: disp}
	switch i {
	case 1, 2:
		m.Index, m.Scale = stride, uint8(i)
	case 3:
		m.Index, m.Scale = stride3, 1
	}
	return m
}

func writeDot(g *gen) {
	rows := dotRows(g)
	lanes := dotBytes / g.size
	g.begin("dot", "m, k int, a *T, lda int, n int, b *T, ldb int, dst *T, ldd int",
		fmt.Sprintf("dot%d%s multiplies the rows of a by n <= %d vectors, b[j*ldb:]: dst[j*ldd+i] = sum_l a[i*lda+l]*b[j*ldb+l].",
			8*g.size, g.suffix, len(rows)),
		fmt.Sprintf("%d sums, of every %d-th product, are added at the end as a tree. m, k and n are at least 1.", lanes, lanes))
	g.bytesOf("lda", dAS)
	g.LEAQ(operand.Mem{Base: dAS, Index: dAS, Scale: 2}, d3AS)
	g.bytesOf("ldb", dBS)
	g.LEAQ(operand.Mem{Base: dBS, Index: dBS, Scale: 2}, d3BS)
	g.bytesOf("ldd", dOutS)
	masks := g.masksFor(dotBytes / g.bytes)
	g.MOVQ(g.param("k"), reg.RAX)
	g.ANDQ(operand.U32(lanes-1), reg.RAX)
	g.setMasks(reg.RAX, reg.RBX, masks)
	g.MOVQ(g.param("a"), dA)
	g.MOVQ(g.param("b"), dB)
	g.MOVQ(g.param("dst"), dOut)
	g.MOVQ(g.param("m"), dLeft)
	g.MOVQ(g.param("n"), reg.RCX)
	for n := len(rows); n > 1; n-- {
		g.CMPQ(reg.RCX, operand.U8(n))
		g.JEQ(operand.LabelRef(fmt.Sprintf("vectors%d", n)))
	}
	for i, r := range rows {
		n := i + 1
		g.Label(fmt.Sprintf("vectors%d", n))
		g.dotLoop(n, r, masks)
		g.dotLoop(n, 1, masks)
		g.VZEROUPPER()
		g.RET()
	}
}

// dotLoop does `rows` rows at a time by n vectors, as long as there are so many.
func (g *gen) dotLoop(n, rows int, masks []reg.Register) {
	label := func(s string) string { return fmt.Sprintf("%s%dx%d", s, rows, n) }
	to := func(s string) operand.LabelRef { return operand.LabelRef(label(s)) }
	halves := dotBytes / g.bytes
	acc := func(i, j, h int) reg.VecPhysical { return g.registers[(i*n+j)*halves+h] }
	free := g.registers[rows*n*halves : len(g.registers)-2]
	b := func(j, h int) reg.VecPhysical { return free[1+j*halves+h] }

	g.Label(label("block"))
	g.CMPQ(dLeft, operand.U8(rows))
	g.JLT(to("done"))
	for i := range rows * n * halves {
		g.zero(g.registers[i])
	}
	g.MOVQ(dA, dA0)
	g.MOVQ(dB, dB0)
	g.MOVQ(g.param("k"), reg.RCX)
	g.SUBQ(operand.U8(dotBytes/g.size), reg.RCX)
	g.JLT(to("tail"))
	g.Label(label("step"))
	for j := range n {
		for h := range halves {
			g.load(strided(dB0, dBS, d3BS, j, h*g.bytes), b(j, h))
		}
	}
	for i := range rows {
		for h := range halves {
			m := strided(dA0, dAS, d3AS, i, h*g.bytes)
			if n == 1 {
				g.fma231(m, b(0, h), acc(i, 0, h))
				continue
			}
			g.load(m, free[0])
			for j := range n {
				g.fma231(free[0], b(j, h), acc(i, j, h))
			}
		}
	}
	g.ADDQ(operand.U8(dotBytes), dA0)
	g.ADDQ(operand.U8(dotBytes), dB0)
	g.SUBQ(operand.U8(dotBytes/g.size), reg.RCX)
	g.JGE(to("step"))

	g.Label(label("tail"))
	g.ADDQ(operand.U8(dotBytes/g.size), reg.RCX)
	g.JEQ(to("sum"))
	for j := range n {
		for h := range halves {
			g.loadPart(strided(dB0, dBS, d3BS, j, h*g.bytes), masks[h], b(j, h))
		}
	}
	for i := range rows {
		for h := range halves {
			g.loadPart(strided(dA0, dAS, d3AS, i, h*g.bytes), masks[h], free[0])
			for j := range n {
				g.fma231(free[0], b(j, h), acc(i, j, h))
			}
		}
	}

	g.Label(label("sum"))
	for j := range n {
		x := make([]reg.Register, rows)
		for i := range rows {
			x[i] = g.fold(acc(i, j, 0), acc(i, j, halves-1), free[0])
		}
		g.storeSums(x, strided(dOut, dOutS, dOutS, j&1, 0))
		if j&1 == 1 && j+1 < n {
			g.LEAQ(operand.Mem{Base: dOut, Index: dOutS, Scale: 2}, dOut)
		}
	}
	if n > 2 {
		g.SUBQ(dOutS, dOut)
		g.SUBQ(dOutS, dOut)
	}
	g.ADDQ(operand.U8(rows*g.size), dOut)
	if rows == 4 {
		g.LEAQ(operand.Mem{Base: dA, Index: dAS, Scale: 4}, dA)
	} else {
		g.LEAQ(operand.Mem{Base: dA, Index: dAS, Scale: uint8(rows)}, dA)
	}
	g.SUBQ(operand.U8(rows), dLeft)
	g.JMP(to("block"))
	g.Label(label("done"))
}

// fold adds 64 bytes of lanes, in lo alone or in lo and hi, down to 16.
func (g *gen) fold(lo, hi, tmp reg.VecPhysical) reg.Register {
	x, y, xt, yt := lo.AsX(), lo.AsY(), tmp.AsX(), tmp.AsY()
	if g.wide() {
		g.VEXTRACTF64X4(operand.U8(1), lo, yt)
		g.add(yt, y, y)
		g.VEXTRACTF32X4(operand.U8(1), y, xt)
	} else {
		g.add(hi, lo, lo)
		g.VEXTRACTF128(operand.U8(1), y, xt)
	}
	g.add(xt, x, x)
	return x
}

// storeSums adds the lanes of each x and stores the 1, 2 or 4 sums.
func (g *gen) storeSums(x []reg.Register, m operand.Mem) {
	hadd := pick(g, g.VHADDPS, g.VHADDPD)
	second := m
	second.Disp += 16
	switch {
	case g.size == 8 && len(x) == 4:
		hadd(x[1], x[0], x[0])
		hadd(x[3], x[2], x[2])
		g.VMOVUPD(x[0], m)
		g.VMOVUPD(x[2], second)
	case g.size == 8 && len(x) == 2:
		hadd(x[1], x[0], x[0])
		g.VMOVUPD(x[0], m)
	case g.size == 8:
		hadd(x[0], x[0], x[0])
		g.VMOVSD(x[0], m)
	case len(x) == 4:
		hadd(x[1], x[0], x[0])
		hadd(x[3], x[2], x[2])
		hadd(x[2], x[0], x[0])
		g.VMOVUPS(x[0], m)
	case len(x) == 2:
		hadd(x[1], x[0], x[0])
		hadd(x[0], x[0], x[0])
		g.VMOVSD(x[0], m)
	default:
		hadd(x[0], x[0], x[0])
		hadd(x[0], x[0], x[0])
		g.VMOVSS(x[0], m)
	}
}
