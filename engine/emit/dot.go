package emit

import (
	"fmt"
	"math"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// dot is one part for a batch of products and all that its epilogue does: the block that finishes a tile does the
// epilogue on it, and combining stores are finished by the last block that has something to combine.
func (e *emitter) dot(i int, d *plan.Dot) ([]part, error) {
	if err := e.checkDot(d); err != nil {
		return nil, err
	}
	if d.Epilogue.Points() == 0 {
		return e.loop(i, emptyEpilogue(&d.Epilogue))
	}
	if q := e.libraryProduct(i, d); q != nil {
		return []part{*q}, nil
	}
	q := e.dotPart(i, d, e.tilingFor(d, dotThreads))
	if q.blocks > math.MaxInt32 {
		return nil, fmt.Errorf("a product of %d tiles, want at most %d", q.blocks, math.MaxInt32)
	}
	return []part{q}, nil
}

// dotPart is the dot in a given tiling.
func (e *emitter) dotPart(i int, d *plan.Dot, t tiling) part {
	s := &e.p.Steps[i]
	w := &dotWriter{e: e, d: d, t: t, q: part{name: dotName(s.Name), step: i, reads: s.Reads, writes: s.Writes,
		flops: s.Flops, bytes: s.Bytes, threads: t.threads, files: []string{"gemm.cu"}}}
	w.q.blocks = d.Batch * t.tilesM * t.tilesN * t.slices
	w.q.shared = e.dotShared(d, &t)
	w.write()
	return w.q
}

// dotThreads is one number for all products, so that any of them can share a kernel.
const dotThreads = 128

// checkDot refuses what the kernels do not do: no plan has it.
func (e *emitter) checkDot(d *plan.Dot) error {
	ep := &d.Epilogue
	if !d.Type.Float() || ep.Type != d.Type || len(ep.Dims) != 2 || ep.Dims[0] != d.Batch*d.M || ep.Dims[1] != d.N {
		return fmt.Errorf("an epilogue of %v over %v for %d products (%d,%d) of %v, want the product's", ep.Type, ep.Dims,
			d.Batch, d.M, d.N, d.Type)
	}
	// Kernels count rows, columns, terms and tiles in 32 bits, a tile beyond the end at most.
	const most = math.MaxInt32 - 1<<10
	for _, n := range []struct {
		name string
		size int
	}{
		{"matrices", d.Batch}, {"rows", d.Batch * d.M}, {"columns", d.N}, {"terms", d.K},
	} {
		if n.size > most {
			return fmt.Errorf("a product of %d %s, want at most %d", n.size, n.name, most)
		}
	}
	for _, o := range []plan.Operand{d.A, d.B} {
		if t := e.p.Buffers[o.Buf].Type; t != d.Type {
			return fmt.Errorf("an operand of %v for a product of %v", t, d.Type)
		}
	}
	return nil
}

// emptyEpilogue is a loop that writes what combining stores of no points hold.
func emptyEpilogue(l *plan.Loop) *plan.Loop {
	empty := &plan.Loop{Type: l.Type, Dims: l.Dims, Body: []plan.Instr{{Op: ir.Const, A: -1, B: -1, C: -1}}}
	for _, s := range l.Stores {
		if s.Combine != plan.Set {
			s.Value = 0
			empty.Stores = append(empty.Stores, s)
		}
	}
	return empty
}

// dotName is a step's name without its number.
func dotName(step string) string {
	if _, after, ok := strings.Cut(step, " "); ok && strings.HasPrefix(step, "#") {
		return after
	}
	return step
}

// accumulators are the types of common.cu.
var accumulators = map[plan.Combine]string{plan.Sum: "Sum", plan.MaxOf: "MaxOf", plan.MinOf: "MinOf",
	plan.ProdOf: "ProdOf"}

// accumulatorSize is the size of any of them at most.
func accumulatorSize(t ir.DType) int { return max(8, 2*t.Size()) }

// A reach is which elements of a tile a combining store combines.
type reach uint8

const (
	column reach = iota
	row
	all
	none // an element is a result of its own
)

func reachOf(s *plan.Store, dims []int) reach {
	m, n := s.Strides[0] != 0 && dims[0] > 1, s.Strides[1] != 0 && dims[1] > 1
	switch {
	case s.Combine == plan.Set || m && n:
		return none
	case m:
		return row
	case n:
		return column
	}
	return all
}

// dotShared is the shared memory of a block, in bytes.
func (e *emitter) dotShared(d *plan.Dot, t *tiling) int {
	n := t.operands(d)
	pile, line := t.bm/t.tm, t.bn/t.tn // as in gemm.cu
	if t.sk > 1 {
		pile, line = min(t.bm, t.threads/t.bn), t.bn
	}
	for i := range d.Epilogue.Stores {
		count := t.threads
		switch reachOf(&d.Epilogue.Stores[i], d.Epilogue.Dims) {
		case none:
			continue
		case column:
			count = max(count, pile*t.bn)
		case row:
			count = max(count, line*t.bm)
		}
		n = max(n, count*accumulatorSize(d.Type))
	}
	return n
}

// A dotWriter writes the code of a dot.
type dotWriter struct {
	e *emitter
	d *plan.Dot
	t tiling
	q part
	b *body
	strings.Builder
}

// line writes a line of code, indented.
func (w *dotWriter) line(depth int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", depth+2))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// param adds a parameter and returns its name.
func (w *dotWriter) param(p param) string {
	w.q.params = append(w.q.params, p)
	return fmt.Sprintf("$%d", len(w.q.params)-1)
}

// scratch is a parameter for scratch memory.
func (w *dotWriter) scratch(ctype string, offset int) string {
	return w.param(param{ctype + "*", Arg{Kind: Scratch, Offset: offset}})
}

func (w *dotWriter) write() {
	d, t := w.d, &w.t
	c := ctype(d.Type)
	w.operands(c)
	w.b = newBody(w.e, &w.q, &d.Epilogue)
	depth := 0
	if t.slices > 1 {
		tiles, groups := d.Batch*t.tilesM*t.tilesN, ceilDiv(t.slices, 8)
		room := w.scratch(c, w.e.reserve(d.Type.Size()*tiles*(t.slices+groups)*t.held()))
		tickets := w.scratch("unsigned", w.e.reserve(4*tiles*(groups+1)))
		w.line(0, "if (G::gather(c, %s + tile * %dull, %s + tile * %du, slice, %du, shared)) {", room,
			(t.slices+groups)*t.held(), tickets, groups+1, t.slices)
		depth = 1
	}
	w.epilogue(depth)
	if depth > 0 {
		w.line(0, "}")
	}
	w.q.body = w.String()
}

// operands multiplies.
func (w *dotWriter) operands(c string) {
	d, t := w.d, &w.t
	yes := map[bool]int{true: 1}
	w.line(0, "typedef Gemm<%s, THREADS, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d> G;", c, t.bm, t.bn,
		t.bk,
		t.tm, t.tn, t.sk, yes[d.A.Trans], d.A.Ld, vector(d, &d.A, d.A.Trans, d.M, t.bm, t.bk), yes[!d.B.Trans], d.B.Ld,
		vector(d, &d.B, !d.B.Trans, d.N, t.bn, t.bk), yes[t.double], yes[t.long])
	a := w.param(w.e.pointer(d.A.Buf, d.A.Offset, false))
	b := w.param(w.e.pointer(d.B.Buf, d.B.Offset, false))
	w.line(0, "const unsigned tile = block / %du, slice = block %% %du;", t.slices, t.slices)
	w.line(0, "const unsigned batch = tile / %du;", t.tilesM*t.tilesN)
	w.line(0, "const unsigned m = tile / %du %% %du * %du, n = tile %% %du * %du;", t.tilesN, t.tilesM, t.bm, t.tilesN,
		t.bn)
	w.line(0, "const unsigned k = slice * %du;", t.depth)
	w.line(0, "%s c[G::ROWS][G::COLS];", c)
	w.line(0, "G::multiply(c, %s + batch * %dull, %s + batch * %dull, m, %du, n, %du, k, least(k + %du, %du), shared);",
		a, d.A.Batch, b, d.B.Batch, d.M, d.N, t.depth, d.K)
}

// vector is how many elements of an operand's tile are moved at once: side says whether neighbours of the matrix's
// extent lie side by side, else those of the terms.
func vector(d *plan.Dot, o *plan.Operand, side bool, extent, tile, bk int) int {
	v := 16 / d.Type.Size()
	for ; v > 1; v /= 2 {
		fits := func(n int) bool { return n%v == 0 }
		if !side {
			extent, tile = d.K, bk
		}
		if fits(extent) && fits(tile) && fits(o.Ld) && fits(o.Offset) && fits(o.Batch) {
			break
		}
	}
	return v
}

// held is the number of elements that a tile's threads keep of it.
func (t *tiling) held() int { return max(t.bm*t.bn, t.threads) }

// sharers is how many tiles combine to the same results of a store, and how many results there are in all.
func (t *tiling) sharers(d *plan.Dot, s *plan.Store) (tiles, results int) {
	switch reachOf(s, d.Epilogue.Dims) {
	case column:
		return d.Batch * t.tilesM, d.N
	case row:
		return t.tilesN, d.Batch * d.M
	case all:
		return d.Batch * t.tilesM * t.tilesN, 1
	}
	return 1, 0
}
