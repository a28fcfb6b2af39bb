package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm writes the micro-kernels of the matrix product.
func gemm(g *gen) {
	for _, g.size = range []int{4, 8} {
		for _, k := range stripKernels(g) {
			k.write(g)
		}
	}
}

// strip is a kernel that multiplies a strip of B, as wide as some vectors, by up to `rows` rows of A at a time. The
// accumulators, one strip of B and two broadcast elements of A fill the vector registers.
type strip struct {
	name    string
	vectors int
	rows    int
}

func stripKernels(g *gen) []strip {
	if g.wide() {
		return []strip{{"gemm", 2, 14}, {"gemmNarrow", 1, 14}, {"gemmWide", 4, 6}}
	}
	return []strip{{"gemm", 2, 6}, {"gemmNarrow", 1, 12}, {"gemmWide", 4, 2}}
}

// The general registers of a strip kernel. Of A there are two pointers, to rows 0 and 7 of the panel: with the strides
// rs, 3rs and 5rs every row is one address.
var (
	rA, rA0, rA7   = reg.RAX, reg.RSI, reg.RDI
	rS, r3S, r5S   = reg.R8, reg.R9, reg.R10
	rKS            = reg.R11
	rB, rBS        = reg.RBX, reg.R12
	rC, rCS        = reg.RDX, reg.R13
	rLeft, rPanel  = reg.R14, reg.R15
	rCount, rStore = reg.RCX, reg.RCX
)

// rowOfA is the address of row i's element.
func (g *gen) rowOfA(i int) operand.Mem {
	base := rA0
	if i == 7 || i == 9 || i == 11 || i == 13 {
		base, i = rA7, i-7
	}
	m := operand.Mem{Base: base}
	switch i {
	case 0:
	case 1, 2, 4, 8:
		m.Index, m.Scale = rS, uint8(i)
	case 3, 6, 12:
		m.Index, m.Scale = r3S, uint8(i/3)
	case 5, 10:
		m.Index, m.Scale = r5S, uint8(i/5)
	default:
		panic("no address for this row")
	}
	return m
}

func (s strip) write(g *gen) {
	width := s.vectors * g.lanes()
	masked := s.vectors < 4
	g.begin(s.name, "m, mr, k int, a *T, rs, ks, ps int, next *T, ahead int, b *T, bs int, c *T, ldc, n int, alpha, beta T",
		fmt.Sprintf("%s%d%s is C = alpha*A*B + beta*C for n <= %d columns (beta = 0: C is not read), mr <= %d rows at a time.",
			s.name, 8*g.size, g.suffix, width, s.rows),
		"",
		"\tfor i := range m { for j := range n {",
		"\t\tsum := 0.0",
		"\t\tfor l := range k { sum = fma(a[i/mr*ps+i%mr*rs+l*ks], b[l*bs+j], sum) }",
		"\t\tc[i*ldc+j] = fma(beta, c[i*ldc+j], alpha*sum)",
		"\t}}",
		"",
		fmt.Sprintf("%d elements of each row of b are read, whatever n is. m, mr, k and n are at least 1. Meanwhile each step of each", width),
		"panel prefetches what next points to, which then advances by ahead bytes.")
	if !masked {
		g.Doc(fmt.Sprintf("%s%d%s is gemm%d%s for %d columns, no fewer, and mr <= %d.",
			s.name, 8*g.size, g.suffix, 8*g.size, g.suffix, width, s.rows))
	}
	acc := func(i, v int) reg.VecPhysical { return g.registers[i*s.vectors+v] }
	free := g.registers[s.rows*s.vectors:]
	bReg, aReg := free[:s.vectors], free[s.vectors:]
	if len(aReg) > 2 {
		aReg = aReg[:2]
	}

	for _, l := range []struct {
		name string
		r    reg.GPPhysical
	}{{"rs", rS}, {"ks", rKS}, {"bs", rBS}, {"ldc", rCS}} {
		g.bytesOf(l.name, l.r)
	}
	g.LEAQ(operand.Mem{Base: rS, Index: rS, Scale: 2}, r3S)
	g.LEAQ(operand.Mem{Base: rS, Index: rS, Scale: 4}, r5S)
	g.MOVQ(g.param("a"), rA)
	g.MOVQ(g.param("c"), rC)
	g.MOVQ(g.param("m"), rLeft)
	if g.wide() && masked {
		g.MOVQ(g.param("n"), rB)
		g.setMasks(rB, rA0, g.masksFor(s.vectors))
	}

	base, next := g.AllocLocal(8), g.AllocLocal(8)
	g.MOVQ(g.param("next"), rPanel)
	g.MOVQ(rPanel, next)
	g.Label("panel")
	g.MOVQ(g.param("mr"), rPanel)
	g.CMPQ(rLeft, rPanel)
	g.CMOVQLT(rLeft, rPanel)
	g.MOVQ(rA, rA0)
	if s.rows > 7 {
		g.LEAQ(operand.Mem{Base: rA, Index: rS, Scale: 8}, rA7)
		g.SUBQ(rS, rA7)
	}
	// Few terms: the stores take longest, and gain from rows of C that are on their way.
	g.MOVQ(g.param("k"), rCount)
	g.CMPQ(rCount, operand.U8(32))
	g.JGE(operand.LabelRef("multiply"))
	g.MOVQ(rC, rStore)
	g.MOVQ(rPanel, rB)
	g.Label("prefetch")
	for v := 0; v < s.vectors*g.bytes; v += 64 {
		g.PREFETCHT0(operand.Mem{Base: rStore, Disp: v})
	}
	g.ADDQ(rCS, rStore)
	g.DECQ(rB)
	g.JNE(operand.LabelRef("prefetch"))
	g.MOVQ(g.param("k"), rCount)
	g.Label("multiply")
	g.MOVQ(g.param("b"), rB)
	for r := s.rows; r > 1; r-- {
		g.CMPQ(rPanel, operand.Imm(uint64(r)))
		g.JEQ(operand.LabelRef(fmt.Sprintf("rows%d", r)))
	}
	for r := 1; r <= s.rows; r++ {
		g.Label(fmt.Sprintf("rows%d", r))
		g.MOVQ(rA, base)
		g.MOVQ(next, rPanel)
		g.MOVQ(g.param("ahead"), rA)
		for i := range r {
			for v := range s.vectors {
				g.zero(acc(i, v))
			}
		}
		g.Label(fmt.Sprintf("step%d", r))
		for v, b := range bReg {
			g.load(operand.Mem{Base: rB, Disp: v * g.bytes}, b)
		}
		g.PREFETCHT1(operand.Mem{Base: rPanel})
		if g.size == 8 && s.rows*g.size > 64 {
			g.PREFETCHT1(operand.Mem{Base: rPanel, Disp: 64})
		}
		g.ADDQ(rA, rPanel)
		for i := range r {
			a := aReg[i%len(aReg)]
			g.broadcast(g.rowOfA(i), a)
			for v, b := range bReg {
				g.fma231(b, a, acc(i, v))
			}
		}
		g.ADDQ(rBS, rB)
		g.ADDQ(rKS, rA0)
		if r > 7 {
			g.ADDQ(rKS, rA7)
		}
		g.DECQ(rCount)
		g.JNE(operand.LabelRef(fmt.Sprintf("step%d", r)))

		g.MOVQ(rPanel, next)
		g.broadcast(g.param("alpha"), free[0])
		for i := range r {
			for v := range s.vectors {
				g.mul(free[0], acc(i, v), acc(i, v))
			}
		}
		g.IMUL3Q(operand.Imm(uint64(r-1)), rCS, rStore)
		g.ADDQ(rC, rStore)
		g.storePath(masked, width, r-1, free)
	}

	modes := []string{"Set", "Add"}
	if masked && !g.wide() {
		modes = append(modes, "SetPart", "AddPart")
	}
	for _, mode := range modes {
		for i := s.rows - 1; i >= 0; i-- {
			g.Label(fmt.Sprintf("row%d%s", i, mode))
			for v := range s.vectors {
				g.storeRow(mode, masked, v, acc(i, v), free)
			}
			if i > 0 {
				g.SUBQ(rCS, rStore)
			}
		}
		g.JMP(operand.LabelRef("next"))
	}

	g.Label("next")
	g.MOVQ(g.param("mr"), rPanel)
	g.CMPQ(rLeft, rPanel)
	g.CMOVQLT(rLeft, rPanel)
	g.bytesOf("ps", rA)
	g.ADDQ(base, rA)
	g.MOVQ(rPanel, rCount)
	g.IMULQ(rCS, rCount)
	g.ADDQ(rCount, rC)
	g.SUBQ(rPanel, rLeft)
	g.JNE(operand.LabelRef("panel"))
	g.VZEROUPPER()
	g.RET()
}

// masksOf returns the registers that hold AVX2's masks when C is stored.
func masksOf(free []reg.VecPhysical, n int) []reg.Register {
	var m []reg.Register
	for _, f := range free[2 : 2+n] {
		m = append(m, f)
	}
	return m
}

// storePath jumps to the code that stores rows i..0: over C or added to it, whole or part of the strip's width.
// free[0] is left as scratch, free[1] holds beta, free[2:] the masks of AVX2.
func (g *gen) storePath(masked bool, width, i int, free []reg.VecPhysical) {
	g.broadcast(g.param("beta"), free[1])
	to := func(mode string) operand.LabelRef { return operand.LabelRef(fmt.Sprintf("row%d%s", i, mode)) }
	// beta = +-0 to the bit: a NaN must reach C.
	beta := func() {
		if g.size == 4 {
			g.MOVL(g.param("beta"), reg.EBX)
			g.ADDL(reg.EBX, reg.EBX)
		} else {
			g.MOVQ(g.param("beta"), rB)
			g.ADDQ(rB, rB)
		}
	}
	if masked && !g.wide() {
		part := operand.LabelRef(fmt.Sprintf("part%d", i))
		g.MOVQ(g.param("n"), rB)
		g.CMPQ(rB, operand.Imm(uint64(width)))
		g.JNE(part)
		beta()
		g.JNE(to("Add"))
		g.JMP(to("Set"))
		g.Label(string(part))
		g.setMasks(rB, rA0, masksOf(free, width/g.lanes()))
		beta()
		g.JNE(to("AddPart"))
		g.JMP(to("SetPart"))
		return
	}
	beta()
	g.JNE(to("Add"))
	g.JMP(to("Set"))
}

func (g *gen) storeRow(mode string, masked bool, v int, acc reg.VecPhysical, free []reg.VecPhysical) {
	m := operand.Mem{Base: rStore, Disp: v * g.bytes}
	if g.wide() && masked {
		if mode == "Add" {
			pick(g, g.VFMADD231PS, g.VFMADD231PD)(m, free[1], g.masksFor(2)[v], acc)
		}
		pick(g, g.VMOVUPS, g.VMOVUPD)(acc, g.masksFor(2)[v], m)
		return
	}
	switch mode {
	case "Add":
		g.fma231(m, free[1], acc)
		fallthrough
	case "Set":
		g.store(acc, m)
	case "AddPart":
		g.maskLoad(m, free[2+v], free[0])
		g.fma231(free[0], free[1], acc)
		fallthrough
	case "SetPart":
		g.maskStore(acc, free[2+v], m)
	}
}
