package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakSums is how many sums the multiply-adds of peak go to: two units of four cycles' latency need 8.
const peakSums = 12

// peak writes what the rate of multiply-adds is measured with: none of them waits for another or for memory.
func peak(g *gen) {
	for _, g.size = range []int{4, 8} {
		g.begin("fmaPeak", "turns int",
			fmt.Sprintf("fmaPeak%d%s does turns >= 1 times %d multiply-adds of vectors of %d, in registers.", 8*g.size, g.suffix,
				peakSums, g.lanes()))
		n := reg.RAX
		g.MOVQ(g.param("turns"), n)
		for i := range peakSums + 2 {
			g.zero(g.registers[i])
		}
		g.Label("turn")
		for i := range peakSums {
			g.fma231(g.registers[peakSums], g.registers[peakSums+1], g.registers[i])
		}
		g.DECQ(n)
		g.JNE(operand.LabelRef("turn"))
		g.VZEROUPPER()
		g.RET()
	}
}
