package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// moments writes the weighted sums of samples, in float64: of one dimension with 16 lanes of samples, of more with
// lanes of dimensions.
func moments(g *gen) {
	for _, size := range []int{4, 8} {
		for _, squares := range []bool{false, true} {
			m := moment{g, size, squares}
			m.weighted()
			m.line()
		}
	}
}

const momentLanes = 16

type moment struct {
	*gen
	elem    int // bytes of an element
	squares bool
}

func (m moment) start(name, params, doc string) {
	if m.squares {
		name += "Squares"
	} else {
		name += "Sums"
	}
	m.size = m.elem
	m.begin(name, params, fmt.Sprintf("%s%d%s is %s.", name, 8*m.elem, m.suffix, doc))
	m.size = 8
}

// A momentSum is one of products: a compensated one in float64, a plain one of float32's exact products.
type momentSum struct{ hi, lo vector }

func (m moment) zero() (s momentSum) {
	s.hi = m.zeros()
	if m.elem == 8 {
		s.lo = m.zeros()
	}
	return s
}

// plus adds p to s, by the operations of twoSum in Go.
func (m moment) plus(s momentSum, p vector) {
	if m.elem == 4 {
		m.VADDPD(p, s.hi, s.hi)
		return
	}
	sum := m.gen.plus(p, s.hi)
	b := m.minus(sum, s.hi)
	rest := m.minus(s.hi, m.minus(sum, b))
	rest = m.gen.plus(m.minus(p, b), rest)
	m.VADDPD(rest, s.lo, s.lo)
	m.VMOVAPD(sum, s.hi)
}

// read is the vector there in float64, of the lanes in rest, or of all.
func (m moment) read(at operand.Mem, rest selection) vector {
	if m.elem == 8 {
		return m.gen.read(at, rest)
	}
	v := m.vec()
	switch {
	case rest == nil:
		m.VCVTPS2PD(at, v)
	case m.wide():
		y := m.YMM()
		m.VMOVUPS_Z(at, rest, y)
		m.VCVTPS2PD(y, v)
	default:
		x := m.XMM()
		m.VMASKMOVPS(at, rest.(vector).AsX(), x)
		m.VCVTPS2PD(x, v)
	}
	return v
}

// lanesOf selects the first n lanes for read.
func (m moment) lanesOf(n reg.GPVirtual) selection {
	m.size = m.elem
	defer func() { m.size = 8 }()
	return m.firstLanes(n)
}

// everywhere is the number there in every lane, in float64.
func (m moment) everywhere(at operand.Mem) vector {
	v := m.vec()
	if m.elem == 8 {
		m.VBROADCASTSD(at, v)
	} else {
		x := m.XMM()
		m.VMOVSS(at, x)
		m.VCVTSS2SD(x, x, x)
		m.VBROADCASTSD(x, v)
	}
	return v
}

// weighted is for samples of d dimensions.
func (m moment) weighted() {
	most, lanes := 4, m.lanes8()
	if !m.wide() && m.elem == 8 {
		most = 3
	}
	m.start("weighted", "x, w, mu *T, n, d int, hi, lo *float64",
		"WeightedSums of samples of more than one dimension, or WeightedSquares")
	x, d, mu := m.pointer("x"), m.pointer("d"), m.pointer("mu")
	hi, lo, stride := m.pointer("hi"), m.pointer("lo"), m.GP64()
	m.MOVQ(d, stride)
	m.SHLQ(operand.U8(m.elem/4+1), stride)
	m.Label("block")
	for k := most; k > 0; k-- {
		label := func(s string) string { return fmt.Sprintf("%s%d", s, k) }
		m.CMPQ(d, operand.U8((k-1)*lanes))
		m.JLE(operand.LabelRef(label("fewer")))
		last, full := m.GP64(), m.GP64()
		m.MOVQ(d, last)
		m.SUBQ(operand.U8((k-1)*lanes), last)
		m.MOVQ(operand.U32(lanes), full)
		m.CMPQ(last, full)
		m.CMOVQGT(full, last)
		rest := m.lanesOf(last)
		at := func(base reg.Register, i, size int) operand.Mem {
			return operand.Mem{Base: base, Disp: i * lanes * size}
		}
		lanesAt := func(i int) selection {
			if i == k-1 {
				return rest
			}
			return nil
		}
		var centre []vector
		var sums []momentSum
		for i := range k {
			sums = append(sums, m.zero())
			if m.squares {
				centre = append(centre, m.read(at(mu, i, m.elem), lanesAt(i)))
			}
		}
		xi, wi, left, bits := m.GP64(), m.pointer("w"), m.pointer("n"), m.GP64()
		m.MOVQ(x, xi)
		m.Label(label("sample"))
		if m.elem == 4 { // of weight 0, whatever the sign
			m.MOVL(operand.Mem{Base: wi}, bits.As32())
			m.ADDL(bits.As32(), bits.As32())
		} else {
			m.MOVQ(operand.Mem{Base: wi}, bits)
			m.ADDQ(bits, bits)
		}
		m.JEQ(operand.LabelRef(label("next")))
		w := m.everywhere(operand.Mem{Base: wi})
		for i := range k {
			v := m.read(at(xi, i, m.elem), lanesAt(i))
			switch {
			case m.squares:
				t := m.minus(v, centre[i])
				m.plus(sums[i], m.times(w, m.times(t, t)))
			case m.elem == 4: // the product is exact
				m.addProduct(sums[i].hi, w, v)
			default:
				m.plus(sums[i], m.times(w, v))
			}
		}
		m.Label(label("next"))
		m.ADDQ(stride, xi)
		m.ADDQ(operand.U8(m.elem), wi)
		m.DECQ(left)
		m.JNE(operand.LabelRef(label("sample")))
		if m.elem == 4 && !m.wide() {
			m.size = 8
			rest = m.firstLanes(last)
		}
		for i, s := range sums {
			m.write(s.hi, lanesAt(i), at(hi, i, 8))
			if m.elem == 8 {
				m.write(s.lo, lanesAt(i), at(lo, i, 8))
			}
		}
		if k == most {
			for _, p := range []struct {
				r    reg.GPVirtual
				size int
			}{{x, m.elem}, {mu, m.elem}, {hi, 8}, {lo, 8}} {
				m.ADDQ(operand.U32(k*lanes*p.size), p.r)
			}
			m.SUBQ(operand.U8(k*lanes), d)
			m.JGT(operand.LabelRef("block"))
		}
		m.JMP(operand.LabelRef("done"))
		m.Label(label("fewer"))
	}
	m.Label("done")
	m.VZEROUPPER()
	m.RET()
}

func (m moment) lanes8() int { return m.bytes / 8 }

// line is for samples of one dimension: lanes of samples.
func (m moment) line() {
	lanes := m.lanes8()
	m.start("line", "x, w, mu *T, n int, hi, lo *float64",
		"WeightedSums of samples of one dimension, or WeightedSquares, by lane")
	x, w, n := m.pointer("x"), m.pointer("w"), m.pointer("n")
	var centre vector
	if m.squares {
		centre = m.everywhere(operand.Mem{Base: m.pointer("mu")})
	}
	var sums []momentSum
	for range momentLanes / lanes {
		sums = append(sums, m.zero())
	}
	add := func(i int, rest selection) {
		at := func(base reg.Register) operand.Mem { return operand.Mem{Base: base, Disp: i * lanes * m.elem} }
		weight, v := m.read(at(w), rest), m.read(at(x), rest)
		if m.squares {
			t := m.minus(v, centre)
			v = m.times(t, t)
		}
		counts := m.compare(weight, notEqual, m.num(0))
		m.plus(sums[i], m.choose(counts, m.times(weight, v), m.zeros()))
	}
	m.Label("loop")
	m.CMPQ(n, operand.U8(momentLanes))
	m.JLT(operand.LabelRef("rest"))
	for i := range sums {
		add(i, nil)
	}
	m.ADDQ(operand.U32(momentLanes*m.elem), x)
	m.ADDQ(operand.U32(momentLanes*m.elem), w)
	m.SUBQ(operand.U8(momentLanes), n)
	m.JMP(operand.LabelRef("loop"))
	m.Label("rest")
	for i := range sums {
		m.TESTQ(n, n)
		m.JLE(operand.LabelRef("done"))
		part, full := m.GP64(), m.GP64()
		m.MOVQ(n, part)
		m.MOVQ(operand.U32(lanes), full)
		m.CMPQ(part, full)
		m.CMOVQGT(full, part)
		add(i, m.lanesOf(part))
		m.SUBQ(operand.U8(lanes), n)
	}
	m.Label("done")
	hi, lo := m.pointer("hi"), m.pointer("lo")
	for i, s := range sums {
		m.store(s.hi, operand.Mem{Base: hi, Disp: i * m.bytes})
		if m.elem == 8 {
			m.store(s.lo, operand.Mem{Base: lo, Disp: i * m.bytes})
		}
	}
	m.VZEROUPPER()
	m.RET()
}
