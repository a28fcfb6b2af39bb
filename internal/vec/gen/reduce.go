package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reduce writes what makes one number of a slice, and the conversions.
func reduce(g *gen) {
	for _, g.size = range []int{4, 8} {
		writeTotal(g, false)
		writeExtreme(g, true)
		writeExtreme(g, false)
	}
	writeTotal(g, true)
	writeConversion(g, true)
	writeConversion(g, false)
}

// totalBytes of lanes, of four vectors or eight, run at once in a sum.
const totalBytes = 256

// writeTotal writes the sum of a slice; wide is float64's of float32, of g.size 8.
func writeTotal(g *gen, wide bool) {
	name, elem := "total", g.size
	lanes, count := totalBytes/g.size, totalBytes/g.bytes
	doc := "of src"
	if wide {
		name, elem, doc = "totalWide", 4, "in float64 of src"
	}
	params := "src *T, n int"
	if wide {
		params = "src *float32, n int"
	}
	g.beginResult(name, params, "sum T",
		fmt.Sprintf("%s%d%s is the sum %s: %d sums, of every %d-th element, are added at the end as a tree.",
			name, 8*g.size, g.suffix, doc, lanes, lanes))
	src, n := g.GP64(), g.GP64()
	acc, x := g.registers[:count], g.registers[count]
	from := func(v int) operand.Mem { return operand.Mem{Base: src, Disp: v * g.lanes() * elem} }
	load := func(v int) {
		if wide {
			g.VCVTPS2PD(from(v), x)
		} else {
			g.load(from(v), x)
		}
	}
	g.MOVQ(g.param("src"), src)
	g.MOVQ(g.param("n"), n)
	for _, a := range acc {
		g.zero(a)
	}
	g.SUBQ(operand.U8(lanes), n)
	g.JLT(operand.LabelRef("rest"))
	g.Label("loop")
	for v, a := range acc {
		load(v)
		g.add(x, a, a)
	}
	g.ADDQ(operand.U32(lanes*elem), src)
	g.SUBQ(operand.U8(lanes), n)
	g.JGE(operand.LabelRef("loop"))
	// A lane beyond the end adds +0, which changes no sum that began as +0.
	g.Label("rest")
	g.ADDQ(operand.U8(lanes), n)
	for v, a := range acc {
		if v < count-1 {
			g.CMPQ(n, operand.U8(g.lanes()))
			g.JLT(operand.LabelRef(fmt.Sprintf("part%d", v)))
			load(v)
			g.add(x, a, a)
			g.SUBQ(operand.U8(g.lanes()), n)
			continue
		}
		for v := count - 1; v >= 0; v-- {
			g.Label(fmt.Sprintf("part%d", v))
			g.TESTQ(n, n)
			g.JEQ(operand.LabelRef("fold"))
			if wide {
				g.size = 4
				mask := g.firstLanes(n)
				g.size = 8
				if g.wide() {
					g.VMOVUPS_Z(from(v), mask, x.AsY())
					g.VCVTPS2PD(x.AsY(), x)
				} else {
					g.VMASKMOVPS(from(v), mask.(vector).AsX(), x.AsX())
					g.VCVTPS2PD(x.AsX(), x)
				}
			} else {
				g.loadPart(from(v), g.firstLanes(n), x)
			}
			g.add(x, acc[v], acc[v])
			if v > 0 {
				g.JMP(operand.LabelRef("fold"))
			}
		}
	}
	g.Label("fold")
	each := count / (totalBytes / dotBytes) // vectors in 64 bytes
	for h := range each {
		g.add(acc[each+h], acc[h], acc[h])
		g.add(acc[3*each+h], acc[2*each+h], acc[2*each+h])
		g.add(acc[2*each+h], acc[h], acc[h])
	}
	s := g.fold(acc[0], acc[each-1], x)
	hadd := pick(g, g.VHADDPS, g.VHADDPD)
	hadd(s, s, s)
	if g.size == 4 {
		hadd(s, s, s)
	}
	pick(g, g.VMOVSS, g.VMOVSD)(s, g.result())
	g.VZEROUPPER()
	g.RET()
}

// writeExtreme writes the greatest or the least of at least one vector's elements; the last vector overlaps.
func writeExtreme(g *gen, most bool) {
	const count = 4
	name, doc := "least", "least"
	if most {
		name, doc = "greatest", "greatest"
	}
	g.beginResult(name, "src *T, n int", "extreme T",
		fmt.Sprintf("%s%d%s is the %s of n >= %d elements, NaN if one is.", name, 8*g.size, g.suffix, doc, g.lanes()))
	src, n, last := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(g.param("src"), src)
	g.MOVQ(g.param("n"), n)
	g.LEAQ(operand.Mem{Base: src, Index: n, Scale: uint8(g.size), Disp: -g.bytes}, last)
	var acc [count]vector
	for v := range acc {
		acc[v] = g.vec()
		g.load(operand.Mem{Base: src}, acc[v])
	}
	into := func(v int, x vector) { pick(g, g.VMOVAPS, g.VMOVAPD)(g.extreme(acc[v], x, most), acc[v]) }
	load := func(m operand.Mem) vector {
		x := g.vec()
		g.load(m, x)
		return x
	}
	g.SUBQ(operand.U8(count*g.lanes()), n)
	g.JLT(operand.LabelRef("fewer"))
	g.Label("loop")
	for v := range acc {
		into(v, load(operand.Mem{Base: src, Disp: v * g.bytes}))
	}
	g.ADDQ(operand.U32(count*g.bytes), src)
	g.SUBQ(operand.U8(count*g.lanes()), n)
	g.JGE(operand.LabelRef("loop"))
	g.Label("fewer")
	g.ADDQ(operand.U8((count-1)*g.lanes()), n)
	g.JLT(operand.LabelRef("fold"))
	g.Label("one")
	into(0, load(operand.Mem{Base: src}))
	g.ADDQ(operand.U32(g.bytes), src)
	g.SUBQ(operand.U8(g.lanes()), n)
	g.JGE(operand.LabelRef("one"))
	g.Label("fold")
	into(1, load(operand.Mem{Base: last}))
	into(0, acc[1])
	into(2, acc[3])
	into(0, acc[2])
	// Lanes meet those of the other half, quarter and so on.
	for bytes := g.bytes / 2; bytes >= g.size; bytes /= 2 {
		x := g.vec()
		switch {
		case bytes == 32:
			g.VSHUFF64X2(operand.U8(0x4e), acc[0], acc[0], x)
		case bytes == 16 && g.wide():
			g.VSHUFF64X2(operand.U8(0xb1), acc[0], acc[0], x)
		case bytes == 16:
			g.VPERM2F128(operand.U8(1), acc[0], acc[0], x)
		case bytes == 8:
			g.VPERMILPS(operand.U8(0x4e), acc[0], x)
		default:
			g.VPERMILPS(operand.U8(0xb1), acc[0], x)
		}
		into(0, x)
	}
	pick(g, g.VMOVSS, g.VMOVSD)(acc[0].AsX(), g.result())
	g.VZEROUPPER()
	g.RET()
}

// writeConversion writes float32 to float64 or back.
func writeConversion(g *gen, widen bool) {
	const unrolled = 4
	g.size = 8
	half := func(v vector) reg.Register {
		if g.wide() {
			return v.AsY()
		}
		return v.AsX()
	}
	if widen {
		g.begin("widen", "dst *T, src *float32, n int", fmt.Sprintf("widen%d%s is dst[i] = float64(src[i]) for n elements.", 8*g.size, g.suffix))
	} else {
		g.begin("narrow", "dst *float32, src *T, n int", fmt.Sprintf("narrow%d%s is dst[i] = float32(src[i]) for n elements.", 8*g.size, g.suffix))
	}
	dst, src, n := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(g.param("dst"), dst)
	g.MOVQ(g.param("src"), src)
	g.MOVQ(g.param("n"), n)
	convert := func(vectors int) {
		for u := range vectors {
			v := g.vec()
			small, large := operand.Mem{Base: src, Disp: u * g.bytes / 2}, operand.Mem{Base: src, Disp: u * g.bytes}
			if widen {
				g.VCVTPS2PD(small, v)
				g.store(v, operand.Mem{Base: dst, Disp: u * g.bytes})
				continue
			}
			g.load(large, v)
			if g.wide() {
				g.VCVTPD2PS(v, half(v))
			} else {
				g.VCVTPD2PSY(v, half(v))
			}
			g.VMOVUPS(half(v), operand.Mem{Base: dst, Disp: u * g.bytes / 2})
		}
		to, by := vectors*g.bytes, vectors*g.bytes/2
		if !widen {
			to, by = by, to
		}
		g.ADDQ(operand.U32(to), dst)
		g.ADDQ(operand.U32(by), src)
	}
	for _, vectors := range []int{unrolled, 1} {
		label, each := fmt.Sprintf("by%d", vectors), vectors*g.lanes()
		g.SUBQ(operand.U8(each), n)
		g.JLT(operand.LabelRef(label + "Done"))
		g.Label(label)
		convert(vectors)
		g.SUBQ(operand.U8(each), n)
		g.JGE(operand.LabelRef(label))
		g.Label(label + "Done")
		g.ADDQ(operand.U8(each), n)
	}
	g.JEQ(operand.LabelRef("done"))
	x := g.XMM()
	g.VXORPS(x, x, x)
	g.Label("scalar")
	if widen {
		g.VCVTSS2SD(operand.Mem{Base: src}, x, x)
		g.VMOVSD(x, operand.Mem{Base: dst})
		g.ADDQ(operand.U8(4), src)
		g.ADDQ(operand.U8(8), dst)
	} else {
		g.VCVTSD2SS(operand.Mem{Base: src}, x, x)
		g.VMOVSS(x, operand.Mem{Base: dst})
		g.ADDQ(operand.U8(8), src)
		g.ADDQ(operand.U8(4), dst)
	}
	g.DECQ(n)
	g.JNE(operand.LabelRef("scalar"))
	g.Label("done")
	g.VZEROUPPER()
	g.RET()
}
