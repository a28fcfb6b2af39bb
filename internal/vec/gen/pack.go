package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pack writes the copies that bring the operands into the strips and panels that the micro-kernels read.
func pack(g *gen) {
	for _, g.size = range []int{4, 8} {
		packPanels(g, "pack", 2)
		packPanels(g, "packNarrow", 1)
		if !g.wide() { // shuffles within 256 bits; machines with AVX-512 use it too
			packTransposed(g)
		}
	}
}

// loadPart loads the lanes that the remainder masks select, and zeros elsewhere.
func (g *gen) loadPart(m operand.Op, mask, dst reg.Register) {
	if g.wide() {
		pick(g, g.VMOVUPS_Z, g.VMOVUPD_Z)(m, mask, dst)
	} else {
		g.maskLoad(m, mask, dst)
	}
}

// masksFor returns some registers that can hold masks, the last of the vector registers or opmasks.
func (g *gen) masksFor(n int) []reg.Register {
	k := []reg.Register{reg.K1, reg.K2, reg.K3, reg.K4}
	if g.wide() {
		return k[:n]
	}
	m := make([]reg.Register, n)
	for i := range m {
		m[i] = g.registers[len(g.registers)-n+i]
	}
	return m
}

// setMasks makes the masks that select the first n lanes of some vectors. It spoils n, tmp and, for opmasks, CX.
func (g *gen) setMasks(n, tmp reg.GPPhysical, masks []reg.Register) {
	if g.wide() {
		g.MOVQ(n, reg.RCX)
		g.MOVQ(operand.U32(1), tmp)
		g.SHLQ(reg.CL, tmp)
		g.DECQ(tmp)
		for _, k := range masks {
			g.KMOVQ(tmp, k)
			g.SHRQ(operand.U8(g.lanes()), tmp)
		}
		return
	}
	g.SHLQ(operand.U8(g.size/4+1), n)
	g.NEGQ(n)
	g.LEAQ(g.laneTable(), tmp)
	g.ADDQ(n, tmp)
	for v, mask := range masks {
		g.VMOVUPS(operand.Mem{Base: tmp, Disp: maskOnes + v*g.bytes}, mask)
	}
}

// packPanels cuts rows into panels of one or two vectors each.
func packPanels(g *gen, name string, vectors int) {
	width := vectors * g.lanes()
	g.begin(name, "k, m, mr int, src *T, ld int, dst *T, ps int",
		fmt.Sprintf("%s%d%s cuts k >= 1 rows of m >= 1 elements into panels of mr <= %d, whose rows of %d end in zeros:",
			name, 8*g.size, g.suffix, width, width),
		fmt.Sprintf("dst[i/mr*ps+l*%d+i%%mr] = src[l*ld+i].", width))
	src, ld, dst, k := reg.RSI, reg.R8, reg.RDI, reg.RDX
	s, d, left, mr, ps := reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	v, masks := g.registers[:vectors], g.masksFor(2*vectors)
	// The last panel's width is m - mr*((m-1)/mr).
	g.MOVQ(g.param("m"), reg.RAX)
	g.DECQ(reg.RAX)
	g.XORQ(reg.RDX, reg.RDX)
	g.DIVQ(g.param("mr"))
	g.MOVQ(reg.RAX, left)
	g.LEAQ(operand.Mem{Base: reg.RDX, Disp: 1}, reg.RAX)
	g.setMasks(reg.RAX, reg.RBX, masks[vectors:])
	g.MOVQ(g.param("mr"), reg.RAX)
	g.setMasks(reg.RAX, reg.RBX, masks[:vectors])
	g.MOVQ(g.param("src"), src)
	g.bytesOf("ld", ld)
	g.bytesOf("mr", mr)
	g.bytesOf("ps", ps)
	g.MOVQ(g.param("dst"), dst)
	g.MOVQ(g.param("k"), k)
	copyRow := func(masks []reg.Register) {
		for i := range vectors {
			g.loadPart(operand.Mem{Base: s, Disp: i * g.bytes}, masks[i], v[i])
		}
		for i := range vectors {
			g.store(v[i], operand.Mem{Base: d, Disp: i * g.bytes})
		}
	}
	g.Label("row")
	g.MOVQ(src, s)
	g.MOVQ(dst, d)
	g.MOVQ(left, reg.RCX)
	g.TESTQ(reg.RCX, reg.RCX)
	g.JEQ(operand.LabelRef("last"))
	g.Label("panel")
	copyRow(masks[:vectors])
	g.ADDQ(mr, s)
	g.ADDQ(ps, d)
	g.DECQ(reg.RCX)
	g.JNE(operand.LabelRef("panel"))
	g.Label("last")
	copyRow(masks[vectors:])
	g.ADDQ(ld, src)
	g.ADDQ(operand.U32(vectors*g.bytes), dst)
	g.DECQ(k)
	g.JNE(operand.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}

// packTransposed transposes squares of one vector by one vector, held in as many registers.
func packTransposed(g *gen) {
	n := g.lanes()
	g.begin("packT", "tiles int, src *T, ld int, dst *T, width int",
		fmt.Sprintf("packT%d%s transposes %d rows of %d*tiles elements, tiles >= 1: dst[l*width+j] = src[j*ld+l].",
			8*g.size, g.suffix, n, n))
	g.bytesOf("ld", rS)
	g.LEAQ(operand.Mem{Base: rS, Index: rS, Scale: 2}, r3S)
	g.LEAQ(operand.Mem{Base: rS, Index: rS, Scale: 4}, r5S)
	g.MOVQ(g.param("src"), rA0)
	g.LEAQ(operand.Mem{Base: rA0, Index: rS, Scale: 8}, rA7)
	g.SUBQ(rS, rA7)
	dst, width, tiles := reg.RDX, reg.R12, reg.RCX
	g.MOVQ(g.param("dst"), dst)
	g.bytesOf("width", width)
	g.MOVQ(g.param("tiles"), tiles)
	g.Label("tile")
	r := g.registers
	for i := range n {
		g.load(g.rowOfA(i), r[i])
	}
	columns := r[:4]
	if g.size == 4 {
		for i := range 4 { // pairs of rows
			g.VUNPCKLPS(r[2*i+1], r[2*i], r[8+2*i])
			g.VUNPCKHPS(r[2*i+1], r[2*i], r[9+2*i])
		}
		for i := range 2 { // fours of rows: column c of the lower half, c+4 of the upper
			for j := range 2 {
				lo, hi := r[8+4*i+j], r[10+4*i+j]
				g.VSHUFPS(operand.U8(0x44), hi, lo, r[4*i+2*j])
				g.VSHUFPS(operand.U8(0xEE), hi, lo, r[4*i+2*j+1])
			}
		}
		for c := range 4 {
			g.VPERM2F128(operand.U8(0x20), r[4+c], r[c], r[8+c])
			g.VPERM2F128(operand.U8(0x31), r[4+c], r[c], r[12+c])
		}
		columns = r[8:16]
	} else {
		for i := range 2 {
			g.VUNPCKLPD(r[2*i+1], r[2*i], r[4+2*i])
			g.VUNPCKHPD(r[2*i+1], r[2*i], r[5+2*i])
		}
		for c := range 2 {
			g.VPERM2F128(operand.U8(0x20), r[6+c], r[4+c], r[c])
			g.VPERM2F128(operand.U8(0x31), r[6+c], r[4+c], r[2+c])
		}
	}
	for _, c := range columns {
		g.store(c, operand.Mem{Base: dst})
		g.ADDQ(width, dst)
	}
	g.ADDQ(operand.U32(g.bytes), rA0)
	g.ADDQ(operand.U32(g.bytes), rA7)
	g.DECQ(tiles)
	g.JNE(operand.LabelRef("tile"))
	g.VZEROUPPER()
	g.RET()
}
