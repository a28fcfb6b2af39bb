package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sum writes the sum of equal slices.
func sum(g *gen) {
	for _, g.size = range []int{4, 8} {
		writeSum(g)
	}
}

func writeSum(g *gen) {
	const vectors = 4
	g.begin("sum", "n, count int, src *T, stride int, dst *T",
		fmt.Sprintf("sum%d%s adds count >= 1 slices of n elements, in their order: dst[i] = sum_c src[c*stride+i].", 8*g.size, g.suffix))
	n, count, src, s, stride, dst := reg.RAX, reg.RCX, reg.RSI, reg.RBX, reg.R8, reg.RDI
	v := g.registers[:vectors]
	masks := g.masksFor(1)
	g.MOVQ(g.param("n"), reg.RAX)
	g.ANDQ(operand.U8(g.lanes()-1), reg.RAX)
	g.setMasks(reg.RAX, reg.RBX, masks)
	g.MOVQ(g.param("n"), n)
	g.MOVQ(g.param("src"), src)
	g.bytesOf("stride", stride)
	g.MOVQ(g.param("dst"), dst)
	// loop does k vectors at a time while there are that many elements, or the last few.
	loop := func(name string, k int, part bool) {
		done := operand.LabelRef(name + "Done")
		each := k * g.lanes()
		load := func(i int, to reg.VecPhysical) {
			m := operand.Mem{Base: s, Disp: i * g.bytes}
			if part {
				g.loadPart(m, masks[0], to)
			} else {
				g.load(m, to)
			}
		}
		g.Label(name)
		if part {
			g.TESTQ(n, n)
			g.JEQ(done)
		} else {
			g.CMPQ(n, operand.U8(each))
			g.JLT(done)
		}
		g.MOVQ(src, s)
		g.MOVQ(g.param("count"), count)
		for i := range k {
			load(i, v[i])
		}
		g.JMP(operand.LabelRef(name + "Next"))
		g.Label(name + "Add")
		for i := range k {
			load(i, g.registers[vectors])
			g.add(g.registers[vectors], v[i], v[i])
		}
		g.Label(name + "Next")
		g.ADDQ(stride, s)
		g.DECQ(count)
		g.JNE(operand.LabelRef(name + "Add"))
		for i := range k {
			m := operand.Mem{Base: dst, Disp: i * g.bytes}
			switch {
			case !part:
				g.store(v[i], m)
			case g.wide():
				pick(g, g.VMOVUPS, g.VMOVUPD)(v[i], masks[0], m)
			default:
				g.maskStore(v[i], masks[0], m)
			}
		}
		if !part {
			g.ADDQ(operand.U32(k*g.bytes), src)
			g.ADDQ(operand.U32(k*g.bytes), dst)
			g.SUBQ(operand.U8(each), n)
			g.JMP(operand.LabelRef(name))
		}
		g.Label(name + "Done")
	}
	loop("four", vectors, false)
	loop("one", 1, false)
	loop("rest", 1, true)
	g.VZEROUPPER()
	g.RET()
}
