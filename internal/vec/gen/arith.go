package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// arith writes the arithmetic of slices: one rounding per operation, as in Go.
func arith(g *gen) {
	for _, g.size = range []int{4, 8} {
		sqrt := inst{g.VSQRTPS, g.VSQRTPD, g.VSQRTPS_BCST, g.VSQRTPD_BCST}
		g.elementwise("add", "a[i] + b[i]", "a b", func(x []vector) vector { return g.plus(x[0], x[1]) })
		g.elementwise("sub", "a[i] - b[i]", "a b", func(x []vector) vector { return g.minus(x[0], x[1]) })
		g.elementwise("mul", "a[i] * b[i]", "a b", func(x []vector) vector { return g.times(x[0], x[1]) })
		g.elementwise("div", "a[i] / b[i]", "a b", func(x []vector) vector { return g.over(x[0], x[1]) })
		g.elementwise("max", "max(a[i], b[i])", "a b", func(x []vector) vector { return g.extreme(x[0], x[1], true) })
		g.elementwise("min", "min(a[i], b[i])", "a b", func(x []vector) vector { return g.extreme(x[0], x[1], false) })
		g.elementwise("addS", "a[i] + s", "a s", func(x []vector) vector { return g.plus(x[0], x[1]) })
		g.elementwise("rsubS", "s - a[i]", "a s", func(x []vector) vector { return g.minus(x[1], x[0]) })
		g.elementwise("mulS", "a[i] * s", "a s", func(x []vector) vector { return g.times(x[0], x[1]) })
		g.elementwise("divS", "a[i] / s", "a s", func(x []vector) vector { return g.over(x[0], x[1]) })
		g.elementwise("rdivS", "s / a[i]", "a s", func(x []vector) vector { return g.over(x[1], x[0]) })
		g.elementwise("maxS", "max(a[i], s)", "a s", func(x []vector) vector { return g.extreme(x[0], x[1], true) })
		g.elementwise("minS", "min(a[i], s)", "a s", func(x []vector) vector { return g.extreme(x[0], x[1], false) })
		g.elementwise("neg", "-a[i]", "a", func(x []vector) vector { return g.xor(g.sign(), x[0]) })
		g.elementwise("abs", "|a[i]|", "a", func(x []vector) vector { return g.abs(x[0]) })
		g.elementwise("sqrt", "sqrt(a[i])", "a", func(x []vector) vector {
			d := g.vec()
			g.do(sqrt, x[0], d)
			return d
		})
		g.elementwise("square", "a[i] * a[i]", "a", func(x []vector) vector { return g.times(x[0], x[0]) })
		g.elementwise("floor", "floor(a[i])", "a", func(x []vector) vector { return g.rounded(x[0], 0x09) })
		g.elementwise("ceil", "ceil(a[i])", "a", func(x []vector) vector { return g.rounded(x[0], 0x0a) })
		for _, c := range []struct {
			name, sign string
			predicate  int
		}{{"lt", "<", less}, {"le", "<=", atMost}, {"gt", ">", above}, {"ge", ">=", atLeast}, {"eq", "==", equal}, {"ne", "!=", notEqual}} {
			truth := func(x []vector) vector { return g.truth(g.compare(x[0], c.predicate, x[1])) }
			if c.name != "gt" && c.name != "ge" { // lt and le with the operands swapped
				g.elementwise(c.name, fmt.Sprintf("1 where a[i] %s b[i], else 0,", c.sign), "a b", truth)
			}
			g.elementwise(c.name+"S", fmt.Sprintf("1 where a[i] %s s, else 0,", c.sign), "a s", truth)
		}
		g.elementwise("choose", "a[i] where c[i] != 0, else b[i],", "c a b", func(x []vector) vector {
			return g.choose(g.compare(x[0], notEqual, g.zeros()), x[1], x[2])
		})
		mulAdd := func(x []vector) vector { return g.plus(x[2], g.times(x[0], x[1])) }
		g.elementwise("mulAdd", "a[i] * b[i] + c[i], the product rounded,", "a b c", mulAdd)
		g.elementwise("mulAddClamp", "a[i] * b[i] + c[i], the product rounded, clamped to lo[i] and hi[i],", "a b c lo hi",
			func(x []vector) vector { // max and min return their first operand here if either is NaN, or both are zeros
				v := g.op2(inst{g.VMAXPS, g.VMAXPD}, mulAdd(x), x[3])
				return g.op2(inst{g.VMINPS, g.VMINPD}, v, x[4])
			})
		g.elementwise("fill", "s", "s", func(x []vector) vector { return x[0] })
	}
}

// zeros is +0 in every lane.
func (g *gen) zeros() vector {
	v := g.vec()
	if g.wide() {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
	return v
}

func (g *gen) xor(a operand.Op, b vector) vector {
	return g.op2(inst{g.VXORPS, g.VXORPD, g.VXORPS_BCST, g.VXORPD_BCST}, a, b)
}

// extreme is Go's max or min of x and y: NaN if either is, and -0 < +0. The instructions return their second operand
// (here the first) if either is NaN or both are zeros.
func (g *gen) extreme(x, y vector, most bool) vector {
	nan := g.compare(x, unordered, y)
	if g.wide() {
		d, how := g.vec(), operand.U8(0x04) // the lesser, -0 less than +0, NaN ignored
		if most {
			how++
		}
		pick(g, g.VRANGEPS, g.VRANGEPD)(how, y, x, d)
		pick(g, g.VADDPS, g.VADDPD)(x, y, nan, d)
		return d
	}
	both := func(f inst) (vector, vector) { return g.op2(f, x, y), g.op2(f, y, x) }
	var d vector
	if most {
		p, q := both(inst{g.VMAXPS, g.VMAXPD})
		d = g.and(p, q)
	} else {
		p, q := both(inst{g.VMINPS, g.VMINPD})
		d = g.or(p, q)
	}
	return g.choose(nan, g.plus(x, y), d)
}

// rounded is x as an integer: down for how = 0x09, up for 0x0a.
func (g *gen) rounded(x vector, how int) vector {
	d := g.vec()
	if g.wide() {
		pick(g, g.VRNDSCALEPS, g.VRNDSCALEPD)(operand.U8(how), x, d)
	} else {
		pick(g, g.VROUNDPS, g.VROUNDPD)(operand.U8(how), x, d)
	}
	return d
}

// truth is 1 in the selected lanes, else 0.
func (g *gen) truth(s selection) vector {
	if !g.wide() {
		return g.and(g.num(1), s.(vector))
	}
	d := g.vec()
	pick(g, g.VBROADCASTSS_Z, g.VBROADCASTSD_Z)(g.num(1), s, d)
	return d
}

// elementwise writes the function NAME of slices around the formula of their vectors. Of the operands, s is a number,
// the others are slices. Lanes beyond the slices' ends hold 0.
func (g *gen) elementwise(name, doc, operands string, formula func(x []vector) vector) {
	g.elementwiseBy(4, name, doc, operands, formula)
}

// elementwiseBy is elementwise of that many vectors at a time.
func (g *gen) elementwiseBy(unrolled int, name, doc, operands string, formula func(x []vector) vector) {
	names := strings.Fields(operands)
	params, slices := "dst", 0
	for _, o := range names {
		if o != "s" {
			params += ", " + o
			slices++
		}
	}
	params += " *T"
	if slices < len(names) {
		params += ", s T"
	}
	whole := fmt.Sprintf("%s%d%s is dst[i] = %s for n elements", name, 8*g.size, g.suffix, strings.TrimSuffix(doc, ","))
	if slices > 0 {
		whole += "; dst may be any of the slices"
	}
	g.begin(name, params+", n int", whole+".")
	dst, n := g.GP64(), g.GP64()
	g.MOVQ(g.param("dst"), dst)
	from, x := make([]reg.GPVirtual, len(names)), make([]vector, len(names))
	for i, o := range names {
		if o == "s" {
			x[i] = g.vec()
			g.broadcast(g.param("s"), x[i])
			continue
		}
		from[i] = g.GP64()
		g.MOVQ(g.param(o), from[i])
	}
	g.MOVQ(g.param("n"), n)
	do := func(load func(i, disp int) vector, disp int) vector {
		in := make([]vector, len(x))
		for i := range x {
			in[i] = x[i]
			if from[i] != nil {
				in[i] = load(i, disp)
			}
		}
		return formula(in)
	}
	whole1 := func(i, disp int) vector {
		v := g.vec()
		g.load(operand.Mem{Base: from[i], Disp: disp}, v)
		return v
	}
	forward := func(bytes int) {
		for _, f := range from {
			if f != nil {
				g.ADDQ(operand.U32(bytes), f)
			}
		}
		g.ADDQ(operand.U32(bytes), dst)
	}
	g.SUBQ(operand.U8(unrolled*g.lanes()), n)
	g.JLT(operand.LabelRef("fewer"))
	g.Label("loop")
	for u := range unrolled {
		g.store(do(whole1, u*g.bytes), operand.Mem{Base: dst, Disp: u * g.bytes})
	}
	forward(unrolled * g.bytes)
	g.SUBQ(operand.U8(unrolled*g.lanes()), n)
	g.JGE(operand.LabelRef("loop"))
	g.Label("fewer")
	if unrolled > 1 {
		g.ADDQ(operand.U8((unrolled-1)*g.lanes()), n)
		g.JLT(operand.LabelRef("part"))
		g.Label("one")
		g.store(do(whole1, 0), operand.Mem{Base: dst})
		forward(g.bytes)
		g.SUBQ(operand.U8(g.lanes()), n)
		g.JGE(operand.LabelRef("one"))
	}
	g.Label("part")
	g.ADDQ(operand.U8(g.lanes()), n)
	g.JEQ(operand.LabelRef("done"))
	rest := g.firstLanes(n)
	y := do(func(i, disp int) vector {
		v := g.vec()
		g.loadPart(operand.Mem{Base: from[i], Disp: disp}, rest, v)
		return v
	}, 0)
	g.storePart(y, rest, operand.Mem{Base: dst})
	g.Label("done")
	g.VZEROUPPER()
	g.RET()
}

// firstLanes selects the first n lanes.
func (g *gen) firstLanes(n reg.GPVirtual) selection {
	if g.wide() {
		k, t := g.K(), g.GP64()
		g.MOVQ(operand.I32(-1), t)
		g.BZHIQ(n, t, t)
		g.KMOVQ(t, k)
		return k
	}
	m, t, at := g.vec(), g.GP64(), g.GP64()
	g.LEAQ(g.laneTable(), t)
	g.MOVQ(n, at)
	g.SHLQ(operand.U8(g.size/4+1), at)
	g.SUBQ(at, t)
	g.VMOVUPS(operand.Mem{Base: t, Disp: maskOnes}, m)
	return m
}

func (g *gen) storePart(v vector, rest selection, m operand.Mem) {
	if g.wide() {
		pick(g, g.VMOVUPS, g.VMOVUPD)(v, rest, m)
	} else {
		g.maskStore(v, rest, m)
	}
}
