package emit

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// packs are what a thread that takes neighbouring points does for all of them at once.
type packs struct {
	loads, draws, stores []int
}

// maxPacked is how long a loop's body may be for a thread to take several points: they need registers at once.
const maxPacked = 48

// chooseLanes lets threads take 16 bytes of neighbouring points where that makes wide accesses, or blocks of noise,
// and leaves enough to do for so many threads.
func (g *generator) chooseLanes(threads int) {
	last := g.last()
	v := 16 / g.l.Type.Size()
	if last < 0 || g.l.Dims[last]%v != 0 || len(g.l.Body) > maxPacked {
		return
	}
	if len(g.p.stores) > 0 && !slices.Contains(g.reduced, last) {
		return // neighbours belong to different results
	}
	var p packs
	single := 0
	for i := range g.l.Loads {
		a := &g.l.Loads[i]
		switch {
		case !g.b.needed[i] || a.Buf == plan.Acc || g.b.dims[i]>>last&1 == 0:
		case g.wide(a.Buf, a.Offset, a.Strides, v) && guardsAlong(a, last) == 0:
			p.loads = append(p.loads, i)
		default:
			single++
		}
	}
	for i := range g.l.Body {
		n := &g.l.Body[i]
		if !g.b.needed[len(g.l.Loads)+i] || n.Index == nil || n.Index.Strides[last] == 0 {
			continue
		}
		if aligned(n.Index.Offset, n.Index.Strides, last, v) && (n.Type == g.l.Type || !n.Type.Float()) {
			p.draws = append(p.draws, i)
		} else {
			single++
		}
	}
	for i := range g.l.Stores {
		s := &g.l.Stores[i]
		switch {
		case s.Combine != plan.Set || !g.p.sets:
		case g.wide(s.Buf, s.Offset, s.Strides, v):
			p.stores = append(p.stores, i)
		default:
			single++
		}
	}
	points := g.results * g.terms
	if len(p.draws) == 0 && (single > 0 || points/v < threads) {
		return
	}
	g.lanes, g.packs = v, p
}

// wide reports whether v elements along the last dimension are one aligned piece of a buffer.
func (g *generator) wide(buf plan.BufID, offset int, strides []int, v int) bool {
	last := g.last()
	if g.b.bases != nil || !aligned(offset, strides, last, v) {
		return false
	}
	return v*g.e.p.Buffers[buf].Type.Size() <= plan.Align
}

func aligned(offset int, strides []int, last, v int) bool {
	for d, s := range strides {
		if d != last && s%v != 0 {
			return false
		}
	}
	return strides[last] == 1 && offset%v == 0
}

// guardsAlong is the number of a load's guards that change along a dimension.
func guardsAlong(a *plan.Load, dim int) (n int) {
	for i := range a.Guards {
		if a.Guards[i].Strides[dim] != 0 {
			n++
		}
	}
	return n
}

// packed writes the last stage for lanes points.
func (g *generator) packed(indent string, stage int, more string) {
	b, v := g.b, g.lanes
	pack := func(t ir.DType) string { return fmt.Sprintf("Pack<%s, %d>", ctype(t), v) }
	given := map[int]string{}
	for _, i := range g.packs.loads {
		a := &g.l.Loads[i]
		t := g.e.p.Buffers[a.Buf].Type
		x := fmt.Sprintf("*(const %s*)&%s", pack(t), b.element(a.Buf, a.Offset, a.Strides, g.at))
		holds, never := b.guards(a.Guards, g.at)
		switch {
		case never:
			x = pack(t) + "{}"
		case holds != "":
			x = fmt.Sprintf("%s ? %s : %s{}", holds, x, pack(t))
		}
		g.printf("%sconst %s l%d = %s;\n", indent, pack(t), i, x)
		given[i] = fmt.Sprintf("l%d.v[k]", i)
		if t != g.l.Type {
			given[i] = fmt.Sprintf("(%s)l%d.v[k]", ctype(g.l.Type), i)
		}
	}
	for _, i := range g.packs.draws {
		n, k := &g.l.Body[i], len(g.l.Loads)+i
		x := b.drawn(n, n.Op.String()+"s", fmt.Sprintf("(%s) / %d", b.drawIndex(n, g.at), v))
		g.printf("%sconst %s l%d = %s;\n", indent, pack(g.l.Type), k, x)
		given[k] = fmt.Sprintf("l%d.v[k]", k)
	}
	for _, i := range g.packs.stores {
		g.printf("%s%s s%d;\n", indent, pack(g.e.p.Buffers[g.l.Stores[i].Buf].Type), i)
	}
	at := append([]string(nil), g.at...)
	at[g.last()] = fmt.Sprintf("(i%d + k)", g.last())
	g.printf("#pragma unroll\n%sfor (int k = 0; k < %d; k++) {\n", indent, v)
	b.given = given
	g.w.WriteString(b.valuesOf(stage, indent+"  ", at, ""))
	b.given = nil
	wide := map[int]bool{}
	for _, i := range g.packs.stores {
		s := &g.l.Stores[i]
		wide[i] = true
		g.printf("%s  s%d.v[k] = %s;\n", indent, i, stored(g.e.p.Buffers[s.Buf].Type, g.l.Type, b.value(s)))
	}
	for i := range g.l.Stores {
		if s := &g.l.Stores[i]; s.Combine == plan.Set && g.p.sets && !wide[i] {
			g.w.WriteString(indent + "  " + b.store(s, at, b.value(s)))
		}
	}
	g.w.WriteString(more)
	g.printf("%s}\n", indent)
	for _, i := range g.packs.stores {
		s := &g.l.Stores[i]
		g.printf("%s*(%s*)&%s = s%d;\n", indent, pack(g.e.p.Buffers[s.Buf].Type),
			b.element(s.Buf, s.Offset, s.Strides, g.at), i)
	}
}
