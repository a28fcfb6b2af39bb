package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pack writes the copies that bring operand B into the strips that the micro-kernels read.
func pack(g *gen) {
	for _, g.size = range []int{4, 8} {
		packRows(g, "pack", 2)
		packRows(g, "packNarrow", 1)
		if !g.wide() { // shuffles within 256 bits; machines with AVX-512 use it too
			packTransposed(g)
		}
	}
}

// loadPart loads the lanes that the remainder masks select, and zeros elsewhere.
func (g *gen) loadPart(m operand.Op, v int, masks []reg.VecPhysical, dst reg.VecPhysical) {
	if g.wide() {
		pick(g, g.VMOVUPS_Z, g.VMOVUPD_Z)(m, kMask[v], dst)
	} else {
		g.maskLoad(m, masks[v], dst)
	}
}

// setMasks makes the masks that select the first n lanes of some vectors. It spoils CX, n and tmp.
func (g *gen) setMasks(n, tmp reg.GPPhysical, vectors int, masks []reg.VecPhysical) {
	if g.wide() {
		g.MOVQ(n, reg.RCX)
		g.MOVQ(operand.U32(1), tmp)
		g.SHLQ(reg.CL, tmp)
		g.DECQ(tmp)
		for v := range vectors {
			g.KMOVQ(tmp, kMask[v])
			g.SHRQ(operand.U8(g.lanes()), tmp)
		}
		return
	}
	g.SHLQ(operand.U8(g.size/4+1), n)
	g.NEGQ(n)
	g.LEAQ(g.laneTable(), tmp)
	g.ADDQ(n, tmp)
	for v := range vectors {
		g.VMOVUPS(operand.Mem{Base: tmp, Disp: maskOnes + v*g.bytes}, masks[v])
	}
}

func packRows(g *gen, name string, vectors int) {
	width := vectors * g.lanes()
	g.begin(name, "k, n int, src *T, ld int, dst *T",
		fmt.Sprintf("%s%d%s copies k >= 1 rows of n <= %d elements to rows of %d, with zeros behind them:",
			name, 8*g.size, g.suffix, width, width),
		fmt.Sprintf("dst[l*%d+j] = src[l*ld+j].", width))
	src, ld, dst, k := reg.RSI, reg.R8, reg.RDI, reg.RDX
	v, masks := g.registers[:vectors], g.registers[vectors:2*vectors]
	g.MOVQ(g.param("n"), reg.RAX)
	g.setMasks(reg.RAX, reg.RBX, vectors, masks)
	g.MOVQ(g.param("src"), src)
	g.bytesOf("ld", ld)
	g.MOVQ(g.param("dst"), dst)
	g.MOVQ(g.param("k"), k)
	g.Label("row")
	for i := range vectors {
		g.loadPart(operand.Mem{Base: src, Disp: i * g.bytes}, i, masks, v[i])
	}
	for i := range vectors {
		g.store(v[i], operand.Mem{Base: dst, Disp: i * g.bytes})
	}
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
