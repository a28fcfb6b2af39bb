package emit

import (
	"fmt"

	"github.com/godcem/godcem/engine/plan"
)

// How the results of combining stores are shared out, and their terms. Threads that share a result combine what they
// have by shuffles or in shared memory; blocks that share one leave partial results in scratch memory, which the last
// of them combines. Which terms a thread takes, and in which order they are combined, follows from the shapes alone.
type sharing uint8

const (
	byThread sharing = iota // a result per thread, term after term
	byWarp                  // lanes of a warp, 1 to 32, share a result: terms lie side by side
	byBlock                 // a block shares a result, or several do
	byColumn                // a block has 32 results that lie side by side; its warps, or several blocks, share terms
)

// minTerms is how many terms a block has at least if several share a result, in rows of its threads.
const minTerms = 8

// choose says how to share out, on a grid of blocks of their own or, with rows, in a block.
func (g *generator) choose() sharing {
	beside := 1 // results that lie side by side
	for i := len(g.kept) - 1; i >= 0 && (len(g.reduced) == 0 || g.kept[i] > g.reduced[len(g.reduced)-1]); i-- {
		beside *= g.l.Dims[g.kept[i]]
	}
	keptLast := beside >= 8 || len(g.reduced) == 0
	threads := g.e.o.SMs * 256
	if g.rows > 0 {
		threads = 256
	}
	switch {
	case keptLast && (g.terms <= 16 || g.results >= threads):
		return byThread
	case keptLast:
		return byColumn
	case g.terms <= 4:
		return byThread
	case g.terms <= 1024 && 32*g.results >= threads || g.terms <= 128:
		return byWarp
	}
	return byBlock
}

// reduction writes a sweep with combining stores for blocks of their own.
func (g *generator) reduction() {
	g.q.width = 256
	fill := 2 * g.e.o.SMs // blocks
	switch g.choose() {
	case byThread:
		for g.q.width > 64 && g.results < g.e.o.SMs*g.q.width {
			g.q.width /= 2
		}
		g.q.blocks = (g.results + g.q.width - 1) / g.q.width
		g.perThread(g.thread("1"), fmt.Sprintf("(%s)%d * THREADS", g.count(), g.q.blocks))
	case byWarp:
		y := g.warpLanes()
		g.q.blocks = (g.results*y + g.q.width - 1) / g.q.width
		g.perWarp(y, g.thread("32"), fmt.Sprintf("(%s)%d * (THREADS / 32)", g.count(), g.q.blocks))
	case byBlock:
		g.chooseLanes(256)
		s := max(1, min(fill/g.results, g.terms/g.lanes/(256*minTerms)))
		g.q.blocks = g.results * s
		g.printf("    const %s r = block / %du;\n    const unsigned chunk = block %% %du;\n", g.count(), s, s)
		g.perBlock(s, "")
	case byColumn:
		tiles := (g.results + 31) / 32
		s := max(1, min(fill/tiles, g.terms/(8*2*minTerms)))
		g.q.blocks = tiles * s
		g.printf("    const unsigned tile = block / %du, chunk = block %% %du;\n", s, s)
		g.perColumn(s, "")
	}
}

// rowReduction writes a sweep with combining stores for a block that is a row.
func (g *generator) rowReduction() {
	g.rowIndices()
	switch g.choose() {
	case byThread:
		g.q.width = max(g.q.width, min(g.results, 256))
		g.perThread("threadIdx.x", "THREADS")
	case byWarp:
		y := g.warpLanes()
		g.q.width = max(g.q.width, min(g.results*y, 256))
		g.perWarp(y, "threadIdx.x / 32", "THREADS / 32")
	case byBlock:
		g.chooseLanes(256)
		g.q.width = max(g.q.width, min(g.terms/g.lanes, 256))
		g.printf("    for (unsigned r = 0; r < %du; r++) {\n", g.results)
		g.perBlock(1, "  ")
		g.printf("    }\n")
	case byColumn:
		g.q.width = 256
		g.printf("    for (unsigned tile = 0; tile < %du; tile++) {\n", (g.results+31)/32)
		g.perColumn(1, "  ")
		g.printf("    }\n")
	}
}

// warpLanes is how many lanes of a warp share a result.
func (g *generator) warpLanes() int {
	g.chooseLanes(256)
	y := 1
	for y < 32 && y < g.terms/g.lanes {
		y *= 2
	}
	return y
}

// keptBits are the dimensions whose indices fix a result.
func (g *generator) keptBits() uint64 {
	bits := uint64(1)<<g.rows - 1
	for _, d := range g.kept {
		bits |= 1 << d
	}
	for d, n := range g.l.Dims {
		if n == 1 {
			bits |= 1 << d
		}
	}
	return bits
}

// each calls f with every combining store of the sweep, its accumulator's name and type.
func (g *generator) each(f func(s *plan.Store, name, kind string)) {
	for _, i := range g.p.stores {
		s := &g.l.Stores[i]
		f(s, fmt.Sprintf("a%d", i), kindOf(s.Combine, g.l.Type))
	}
}

// clear declares the accumulators.
func (g *generator) clear(indent string) {
	g.each(func(_ *plan.Store, a, kind string) { g.printf("%s%s %s;\n%s%s.clear();\n", indent, kind, a, indent, a) })
}

// merge combines the accumulators of several threads by a function of common.cu.
func (g *generator) merge(indent, call string) {
	g.each(func(_ *plan.Store, a, kind string) { g.printf("%s%s = %s;\n", indent, a, fmt.Sprintf(call, a)) })
}

// finish stores the results, if the condition holds.
func (g *generator) finish(indent, cond string) {
	if cond != "" {
		g.printf("%sif (%s) {\n", indent, cond)
		g.split(indent+"  ", "r", g.kept)
	}
	g.each(func(s *plan.Store, a, _ string) { g.w.WriteString(indent + "  " + g.b.store(s, g.at, a+".value()")) })
	if cond != "" {
		g.printf("%s}\n", indent)
	}
}

// take writes what is done of a term, whose indices are declared: the last stages, the Sets and the accumulators.
func (g *generator) take(indent string) {
	g.w.WriteString(g.b.valuesOf(1, indent, g.at, ""))
	in := indent
	if g.lanes > 1 {
		in += "  "
	}
	more := ""
	g.each(func(s *plan.Store, a, _ string) { more += fmt.Sprintf("%s%s.add(%s);\n", in, a, g.b.value(s)) })
	g.points(indent, 2, more)
}

// strided writes the loop over the terms of result r from first to end by step.
func (g *generator) strided(indent, first, end, step string) {
	g.b.stages(g.keptBits(), g.outer())
	g.split(indent, "r", g.kept)
	g.w.WriteString(g.b.valuesOf(0, indent, g.at, ""))
	g.printf("%sfor (%s m = %s; m < %s; m += %s) {\n", indent, g.count(), first, end, step)
	g.split(indent+"  ", "m", g.reduced)
	g.take(indent + "  ")
	g.printf("%s}\n", indent)
}

// perThread: results are numbered from first by step.
func (g *generator) perThread(first, step string) {
	g.b.stages(g.keptBits(), g.outer())
	g.printf("    for (%s r = %s; r < %s; r += %s) {\n", g.count(), first, g.number(g.results), step)
	g.split("      ", "r", g.kept)
	g.clear("      ")
	g.w.WriteString(g.b.valuesOf(0, "      ", g.at, ""))
	indent := "      "
	for _, d := range g.reduced {
		g.printf("%sfor (%s i%d = 0; i%d < %d; i%d++) {\n", indent, g.b.index, d, d, g.l.Dims[d], d)
		indent += "  "
	}
	g.take(indent)
	for range g.reduced {
		indent = indent[2:]
		g.printf("%s}\n", indent)
	}
	g.finish("    ", "")
	g.printf("    }\n")
}

// perWarp: y lanes of a warp share a result; warps are numbered from first by step.
func (g *generator) perWarp(y int, first, step string) {
	each := 32 / y
	g.printf("    for (%s base = %s * %d; base < %s; base += %s * %d) {\n", g.count(), first, each, g.number(g.results),
		step, each)
	g.printf("      const %s r = base + threadIdx.x %% 32 / %d;\n", g.count(), y)
	g.clear("      ")
	in := fmt.Sprintf("r < %s", g.number(g.results))
	g.printf("      if (%s) {\n", in)
	g.strided("        ", fmt.Sprintf("threadIdx.x %% %d", y), g.number(g.terms/g.lanes), fmt.Sprint(y))
	g.printf("      }\n")
	g.merge("      ", fmt.Sprintf("warp_merge<%d>(%%s)", y))
	g.finish("      ", fmt.Sprintf("%s && threadIdx.x %% %d == 0", in, y))
	g.printf("    }\n")
}

// chunk is the range of terms of the block's chunk of s.
func (g *generator) chunk(indent string, s int) (lo, hi string) {
	n := g.terms / g.lanes
	if s == 1 {
		return "0", g.number(n)
	}
	per := (n + s - 1) / s
	g.printf("%sconst %s lo = (%s)chunk * %d, hi = lo + %d < %s ? lo + %d : %s;\n", indent, g.count(), g.count(), per,
		per, g.number(n), per, g.number(n))
	return "lo", "hi"
}

// perBlock: a block shares result r, or s blocks do, of which it is the chunk-th.
func (g *generator) perBlock(s int, indent string) {
	indent += "    "
	g.needs("THREADS / 32")
	g.clear(indent)
	g.printf("%s{\n", indent)
	lo, hi := g.chunk(indent+"  ", s)
	g.strided(indent+"  ", lo+" + threadIdx.x", hi, "THREADS")
	g.printf("%s}\n", indent)
	g.merge(indent, "block_merge<THREADS>(%s, shared)")
	if s == 1 {
		g.finish(indent, "threadIdx.x == 0")
		return
	}
	parts := g.partials(g.results * s)
	g.printf("%sif (threadIdx.x == 0) {\n", indent)
	g.each(func(_ *plan.Store, a, _ string) { g.printf("%s  %s[block] = %s;\n", indent, parts[a], a) })
	g.printf("%s}\n", indent)
	g.printf("%sif (last_block(%s + r, %d, shared)) {\n", indent, g.tickets(g.results), s)
	g.each(func(_ *plan.Store, a, _ string) {
		g.printf("%s  %s.clear();\n", indent, a)
		g.printf("%s  for (unsigned c = threadIdx.x; c < %du; c += THREADS) %s.merge(%s[block - chunk + c]);\n",
			indent, s, a, parts[a])
	})
	g.merge(indent+"  ", "block_merge<THREADS>(%s, shared)")
	g.finish(indent+"  ", "threadIdx.x == 0")
	g.printf("%s}\n", indent)
}

// perColumn: a block shares 32 results, or s blocks do, of which it is the chunk-th.
func (g *generator) perColumn(s int, indent string) {
	indent += "    "
	g.needs("THREADS")
	in := fmt.Sprintf("r < %s", g.number(g.results))
	g.printf("%sconst %s r = (%s)tile * 32 + threadIdx.x %% 32;\n", indent, g.count(), g.count())
	g.clear(indent)
	g.printf("%sif (%s) {\n", indent, in)
	lo, hi := g.chunk(indent+"  ", s)
	g.strided(indent+"  ", lo+" + threadIdx.x / 32", hi, "THREADS / 32")
	g.printf("%s}\n", indent)
	g.merge(indent, "column_merge<THREADS>(%s, shared)")
	if s == 1 {
		g.finish(indent, in+" && threadIdx.x < 32")
		return
	}
	tiles := (g.results + 31) / 32
	parts := g.partials(tiles * s * 32)
	g.printf("%sif (threadIdx.x < 32) {\n", indent)
	g.each(func(_ *plan.Store, a, _ string) {
		g.printf("%s  %s[block * 32 + threadIdx.x] = %s;\n", indent, parts[a], a)
	})
	g.printf("%s}\n", indent)
	g.printf("%sif (last_block(%s + tile, %d, shared)) {\n", indent, g.tickets(tiles), s)
	g.each(func(_ *plan.Store, a, _ string) {
		g.printf("%s  %s.clear();\n", indent, a)
		g.printf("%s  for (unsigned c = threadIdx.x / 32; c < %du; c += THREADS / 32)\n"+
			"%s    %s.merge(%s[(block - chunk + c) * 32 + threadIdx.x %% 32]);\n", indent, s, indent, a, parts[a])
	})
	g.merge(indent+"  ", "column_merge<THREADS>(%s, shared)")
	g.finish(indent+"  ", in+" && threadIdx.x < 32")
	g.printf("%s}\n", indent)
}

// mostThreads is how many threads a block may have that combines in shared memory.
const mostThreads = 256

// needs makes room in shared memory for so many accumulators, an expression of THREADS.
func (g *generator) needs(accumulators string) {
	n := mostThreads
	if accumulators != "THREADS" {
		n /= 32
	}
	g.q.shared = max(g.q.shared, 16*n)
	g.printf("    static_assert(THREADS <= %d, \"shared memory for accumulators\");\n", mostThreads)
}

// partials reserves scratch memory for n accumulators of each combining store: the parameters by accumulator.
func (g *generator) partials(n int) map[string]string {
	parts := map[string]string{}
	g.each(func(_ *plan.Store, a, kind string) {
		parts[a] = fmt.Sprintf("$%d", len(g.q.params))
		g.q.params = append(g.q.params, param{kind + "*", Arg{Kind: Scratch, Offset: g.e.reserve(16 * n)}})
	})
	return parts
}

// tickets reserves n tickets for last_block.
func (g *generator) tickets(n int) string {
	g.q.params = append(g.q.params, param{"unsigned*", Arg{Kind: Scratch, Offset: g.e.reserve(4 * n)}})
	return fmt.Sprintf("$%d", len(g.q.params)-1)
}
