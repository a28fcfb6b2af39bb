package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set with its vector registers.
type isa struct {
	name      string // in file names
	suffix    string // in function names
	bytes     int    // of a vector
	registers []reg.VecPhysical
}

var (
	avx2 = isa{"avx2", "AVX2", 32, []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}}
	avx512 = isa{"avx512", "AVX512", 64, []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}}
)

// gen writes one file for one instruction set. size is the bytes of an element of the function at hand, 4 or 8.
type gen struct {
	*build.Context
	isa
	size    int
	tabled  bool
	lanesAt operand.Mem

	constants map[string]operand.Mem
}

// lanes is the number of elements in a vector.
func (g *gen) lanes() int { return g.bytes / g.size }

func (g *gen) elem() string { return fmt.Sprintf("float%d", 8*g.size) }

func (g *gen) wide() bool { return g.bytes == 64 }

// pick returns the instruction for float32 or for float64.
func pick[F any](g *gen, single, double F) F {
	if g.size == 4 {
		return single
	}
	return double
}

// begin starts a function NAME32AVX2 or the like, of the parameters given in terms of T.
func (g *gen) begin(name, params string, doc ...string) { g.beginResult(name, params, "", doc...) }

func (g *gen) beginResult(name, params, result string, doc ...string) {
	g.Function(fmt.Sprintf("%s%d%s", name, 8*g.size, g.suffix))
	g.Attributes(build.NOSPLIT)
	expr := "func(" + params + ")"
	if result != "" {
		expr += " (" + result + ")"
	}
	g.SignatureExpr(strings.ReplaceAll(expr, "T", g.elem()))
	g.Doc(doc...)
	g.Pragma("noescape")
}

func (g *gen) param(name string) operand.Mem {
	b, err := g.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// result is the address of the only result.
func (g *gen) result() operand.Mem {
	b, err := g.ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// bytesOf loads a parameter that counts elements, as bytes.
func (g *gen) bytesOf(name string, r reg.GPPhysical) {
	g.MOVQ(g.param(name), r)
	g.SHLQ(operand.Imm(uint64(g.size/4+1)), r)
}

func (g *gen) load(m, v operand.Op)         { pick(g, g.VMOVUPS, g.VMOVUPD)(m, v) }
func (g *gen) store(v, m operand.Op)        { pick(g, g.VMOVUPS, g.VMOVUPD)(v, m) }
func (g *gen) broadcast(m, v operand.Op)    { pick(g, g.VBROADCASTSS, g.VBROADCASTSD)(m, v) }
func (g *gen) mul(a, b, dst operand.Op)     { pick(g, g.VMULPS, g.VMULPD)(a, b, dst) }
func (g *gen) add(a, b, dst operand.Op)     { pick(g, g.VADDPS, g.VADDPD)(a, b, dst) }
func (g *gen) fma231(a, b, acc operand.Op)  { pick(g, g.VFMADD231PS, g.VFMADD231PD)(a, b, acc) }
func (g *gen) maskLoad(m, k, v operand.Op)  { pick(g, g.VMASKMOVPS, g.VMASKMOVPD)(m, k, v) }
func (g *gen) maskStore(v, k, m operand.Op) { pick(g, g.VMASKMOVPS, g.VMASKMOVPD)(v, k, m) }

func (g *gen) zero(v reg.VecPhysical) {
	if g.wide() {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
}

// maskOnes is the size of the first half of the table of lane masks: ones, then as many zeros. A vector loaded n
// elements before its middle selects n lanes.
const maskOnes = 64

// laneTable is the address of that table, written once per file.
func (g *gen) laneTable() operand.Mem {
	if !g.tabled {
		g.lanesAt = g.StaticGlobal("laneMask" + g.suffix)
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 2 * maskOnes / 8 {
			ones := operand.U64(0)
			if i < maskOnes/8 {
				ones--
			}
			g.AppendDatum(ones)
		}
		g.tabled = true
	}
	return g.lanesAt
}
