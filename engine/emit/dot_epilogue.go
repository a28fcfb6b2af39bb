package emit

import (
	"fmt"

	"github.com/godcem/godcem/engine/plan"
)

// epilogue writes what is done with the product's elements c. Per row of a thread's elements all is loaded, then
// computed, then stored: neighbouring elements at once where they lie side by side.
func (w *dotWriter) epilogue(depth int) {
	d, l := w.d, &w.d.Epilogue
	c := ctype(l.Type)
	const rowBit, colBit = 1, 2
	w.b.stages(0, colBit, rowBit)
	w.WriteString(w.b.valuesOf(0, indent(depth), []string{"0", "0"}, ""))
	for s := range l.Stores {
		switch st := &l.Stores[s]; reachOf(st, l.Dims) {
		case column:
			w.line(depth, "%s<%s> s%d[G::COLS];", accumulators[st.Combine], c, s)
			w.line(depth, "for (unsigned j = 0; j < G::COLS; j++) s%d[j].clear();", s)
		case row:
			w.line(depth, "%s<%s> s%d[G::ROWS];", accumulators[st.Combine], c, s)
			w.line(depth, "for (unsigned j = 0; j < G::ROWS; j++) s%d[j].clear();", s)
		case all:
			w.line(depth, "%s<%s> s%d;", accumulators[st.Combine], c, s)
			w.line(depth, "s%d.clear();", s)
		}
	}
	var kept []int32 // values that depend on the column alone and are used with others
	for v := range w.b.stage {
		if w.b.stage[v] == 1 && w.b.needed[v] {
			kept = append(kept, int32(v))
			w.line(depth, "%s w%d[G::COLS];", c, v)
		}
	}
	if len(kept) > 0 {
		w.columns(depth, func(depth int) {
			w.WriteString(w.b.valuesOf(1, indent(depth), []string{"0", "i1"}, ""))
			for _, v := range kept {
				w.line(depth, "w%d[j] = v%d;", v, v)
			}
		})
	}
	w.line(depth, "#pragma unroll")
	w.line(depth, "for (unsigned i = 0; i < G::ROWS; i++) {")
	w.line(depth+1, "if (!G::holds() || m + G::row(i) >= %du) continue;", d.M)
	w.line(depth+1, "const %s i0 = batch * %du + m + G::row(i);", w.b.index, d.M)
	w.row(depth+1, c, kept)
	w.line(depth, "}")
	for s := range l.Stores {
		w.combine(depth, s)
	}
}

func indent(depth int) string { return fmt.Sprintf("%*s", 2*depth+4, "") }

// columns writes a loop over the columns of a thread's elements.
func (w *dotWriter) columns(depth int, do func(depth int)) {
	w.line(depth, "#pragma unroll")
	w.line(depth, "for (unsigned j = 0; j < G::COLS; j++) {")
	w.line(depth+1, "if (n + G::col(j) >= %du) continue;", w.d.N)
	w.line(depth+1, "const %s i1 = n + G::col(j);", w.b.index)
	do(depth + 1)
	w.line(depth, "}")
}

// row writes what is done with the elements of row i0.
func (w *dotWriter) row(depth int, c string, kept []int32) {
	l := &w.d.Epilogue
	at := []string{"i0", "i1"}
	w.WriteString(w.b.valuesOf(2, indent(depth), []string{"i0", "0"}, ""))
	var loads []int
	for v := range l.Loads {
		if l.Loads[v].Buf != plan.Acc && w.b.needed[v] && w.b.stage[v] == 3 {
			loads = append(loads, v)
			w.b.stage[v] = 4 // not with the values below
			w.line(depth, "%s l%d[G::COLS];", c, v)
		}
	}
	for _, v := range loads {
		w.line(depth, "#pragma unroll")
		if a := &l.Loads[v]; len(a.Guards) == 0 && w.b.bases == nil && w.wide(a.Buf, a.Offset, a.Strides) {
			w.line(depth, "for (unsigned j = 0; j < G::COLS; j += G::PACK) {")
			w.line(depth+1, "if (n + G::col(j) >= %du) continue;", w.d.N)
			w.line(depth+1, "const %s i1 = n + G::col(j);", w.b.index)
			w.line(depth+1, "const Pack<%s, G::PACK> x = *(const Pack<%s, G::PACK>*)&%s;", c, c, w.b.load(a, at, ""))
			w.line(depth+1, "for (unsigned v = 0; v < G::PACK; v++) l%d[j + v] = x.v[v];", v)
			w.line(depth, "}")
		} else {
			w.line(depth, "for (unsigned j = 0; j < G::COLS; j++) {")
			w.line(depth+1, "if (n + G::col(j) >= %du) continue;", w.d.N)
			w.line(depth+1, "const %s i1 = n + G::col(j);", w.b.index)
			w.line(depth+1, "l%d[j] = %s;", v, w.b.load(a, at, ""))
			w.line(depth, "}")
		}
	}
	var sets []int
	for s := range l.Stores {
		if reachOf(&l.Stores[s], l.Dims) == none {
			sets = append(sets, s)
			w.line(depth, "%s r%d[G::COLS];", c, s)
		}
	}
	w.columns(depth, func(depth int) {
		for _, v := range kept {
			w.line(depth, "const %s v%d = w%d[j];", c, v, v)
		}
		for _, v := range loads {
			w.line(depth, "const %s v%d = l%d[j];", c, v, v)
		}
		w.WriteString(w.b.valuesOf(3, indent(depth), at, "c[i][j]"))
		for s := range l.Stores {
			st := &l.Stores[s]
			x := w.b.value(st)
			switch reachOf(st, l.Dims) {
			case none:
				w.line(depth, "r%d[j] = %s;", s, x)
			case column:
				w.line(depth, "s%d[j].add(%s);", s, x)
			case row:
				w.line(depth, "s%d[i].add(%s);", s, x)
			case all:
				w.line(depth, "s%d.add(%s);", s, x)
			}
		}
	})
	for _, s := range sets {
		st := &l.Stores[s]
		w.line(depth, "#pragma unroll")
		if w.b.bases == nil && w.wide(st.Buf, st.Offset, st.Strides) {
			w.line(depth, "for (unsigned j = 0; j < G::COLS; j += G::PACK) {")
			w.line(depth+1, "if (n + G::col(j) >= %du) continue;", w.d.N)
			w.line(depth+1, "const %s i1 = n + G::col(j);", w.b.index)
			w.line(depth+1, "Pack<%s, G::PACK> x;", c)
			w.line(depth+1, "for (unsigned v = 0; v < G::PACK; v++) x.v[v] = r%d[j + v];", s)
			w.line(depth+1, "*(Pack<%s, G::PACK>*)&%s = x;", c, w.b.element(st.Buf, st.Offset, st.Strides, at))
			w.line(depth, "}")
		} else {
			w.line(depth, "for (unsigned j = 0; j < G::COLS; j++) {")
			w.line(depth+1, "if (n + G::col(j) >= %du) continue;", w.d.N)
			w.line(depth+1, "const %s i1 = n + G::col(j);", w.b.index)
			w.WriteString(indent(depth+1) + w.b.store(st, at, fmt.Sprintf("r%d[j]", s)))
			w.line(depth, "}")
		}
	}
}

// wide reports whether the elements that a thread has side by side in the product lie so in a buffer too, aligned.
func (w *dotWriter) wide(b plan.BufID, offset int, strides []int) bool {
	v := 16 / w.d.Type.Size()
	if w.t.sk > 1 || w.t.tn < 2 {
		return false
	}
	v = min(v, w.t.tn)
	return w.e.p.Buffers[b].Type == w.d.Type && strides[1] == 1 && strides[0]%v == 0 && offset%v == 0 && w.d.N%v == 0
}

// combine finishes a combining store: of the block, and then of all blocks that share its results.
func (w *dotWriter) combine(depth, s int) {
	d, t, l := w.d, &w.t, &w.d.Epilogue
	st := &l.Stores[s]
	acc := fmt.Sprintf("%s<%s>", accumulators[st.Combine], ctype(l.Type))
	sharers, pitch := t.sharers(d, st)
	var own, first, set, width, call string
	size, results := 1, 1 // of a block's results at most; sets of them
	at := []string{"0", "0"}
	switch reachOf(st, l.Dims) {
	case none:
		return
	case column:
		call, size, at[1], results = "columns", t.bn, "x", t.tilesN
		own, first = fmt.Sprintf("(tile / %du)", t.tilesN), "n"
		set, width = fmt.Sprintf("(tile %% %du)", t.tilesN), fmt.Sprintf("least(%du, %du - n)", t.bn, d.N)
	case row:
		call, size, at[0], results = "rows", t.bm, "x", d.Batch*t.tilesM
		own, first = fmt.Sprintf("(tile %% %du)", t.tilesN), fmt.Sprintf("(batch * %du + m)", d.M)
		set, width = fmt.Sprintf("(tile / %du)", t.tilesN), fmt.Sprintf("least(%du, %du - m)", t.bm, d.M)
	case all:
		call = "whole"
		own, first, set, width = "tile", "0", "0", "1u"
	}
	finish := func(depth int) {
		w.line(depth, "if (threadIdx.x < %s) {", width)
		if call != "whole" {
			w.line(depth+1, "const %s x = %s + threadIdx.x;", w.b.index, first)
		}
		w.line(depth+1, "const %s r = ((%s*)shared)[threadIdx.x].value();", ctype(l.Type), acc)
		w.WriteString(indent(depth+1) + w.b.store(st, at, "r"))
		w.line(depth, "}")
	}
	w.line(depth, "G::%s(s%d, shared);", call, s)
	if sharers == 1 {
		finish(depth)
		return
	}
	group := joined(sharers)
	groups := ceilDiv(sharers, group)
	room := w.scratch(acc, w.e.reserve((sharers+groups)*pitch*accumulatorSize(d.Type)))
	tickets := w.scratch("unsigned", w.e.reserve(4*results*(groups+1)))
	w.line(depth, "if (G::join<%d>(%s, %s + %s * %du, %s, %du, %du, %dull, %s, %s, shared)) {", size, room, tickets, set,
		groups+1, own, sharers, group, pitch, first, width)
	finish(depth + 1)
	w.line(depth, "}")
}

// joined is how many blocks' results are combined at a time.
func joined(blocks int) int {
	if blocks <= 8 {
		return blocks
	}
	n := 1
	for n*n < blocks {
		n++
	}
	return n
}
