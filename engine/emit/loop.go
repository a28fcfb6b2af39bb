package emit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// loop emits a loop. Without combining stores every thread takes a point, or some neighbouring ones. Combining stores
// that keep the same dimensions go together; those that keep others follow, as parts that do the work again. What
// overwrites (Set) is in the last.
func (e *emitter) loop(i int, l *plan.Loop) ([]part, error) {
	if l.Points() == 0 {
		return nil, nil // sums of nothing are constants
	}
	var parts []part
	for _, p := range sweepsOf(l, 0) {
		q := e.loopPart(i)
		g := newGenerator(e, &q, l, &p, 0)
		q.body = g.grid()
		parts = append(parts, q)
	}
	return spread(parts), nil
}

// loopPart is a part of a loop's step without code.
func (e *emitter) loopPart(i int) part {
	s := &e.p.Steps[i]
	name := s.Name
	if _, after, ok := strings.Cut(name, " "); ok {
		name = after
	}
	return part{name: name, step: i, reads: s.Reads, writes: s.Writes, flops: s.Flops, bytes: s.Bytes}
}

// spread divides a step's costs among its parts.
func spread(parts []part) []part {
	for i := range parts {
		parts[i].flops /= int64(len(parts))
		parts[i].bytes /= int64(len(parts))
	}
	return parts
}

// A sweep is the stores of a loop that are done together: those that combine over the same dimensions, and the Sets.
type sweep struct {
	kept   uint64 // the dimensions of which the combining stores keep all indices, as bits
	stores []int  // combining
	sets   bool
}

func (p *sweep) has(l *plan.Loop, s *plan.Store) bool {
	if s.Combine == plan.Set {
		return p.sets
	}
	return slices.ContainsFunc(p.stores, func(i int) bool { return &l.Stores[i] == s })
}

// sweepsOf are a loop's sweeps. Dimensions below rows are kept by all stores.
func sweepsOf(l *plan.Loop, rows int) []sweep {
	var sweeps []sweep
	sets := false
	for i := range l.Stores {
		s := &l.Stores[i]
		if s.Combine == plan.Set {
			sets = true
			continue
		}
		kept := uint64(1)<<rows - 1
		for d, n := range l.Dims {
			if s.Strides[d] != 0 || n == 1 {
				kept |= 1 << d
			}
		}
		at := slices.IndexFunc(sweeps, func(p sweep) bool { return p.kept == kept })
		if at < 0 {
			at = len(sweeps)
			sweeps = append(sweeps, sweep{kept: kept})
		}
		sweeps[at].stores = append(sweeps[at].stores, i)
	}
	switch {
	case len(sweeps) == 0:
		sweeps = []sweep{{kept: 1<<len(l.Dims) - 1, sets: true}}
	case sets:
		sweeps[len(sweeps)-1].sets = true
	}
	return sweeps
}

// A generator writes the code of a sweep.
type generator struct {
	e *emitter
	q *part
	l *plan.Loop
	p *sweep
	b *body
	w strings.Builder
	// at are the variables of the indices: i0, i1, ...
	at []string
	// rows is how many leading dimensions are the block's row; kept and reduced are the others, in order.
	rows           int
	kept, reduced  []int
	results, terms int // products of their sizes
	lanes          int // neighbouring points of the last dimension that a thread takes at once
	packs          packs
}

func newGenerator(e *emitter, q *part, l *plan.Loop, p *sweep, rows int) *generator {
	g := &generator{e: e, q: q, l: l, p: p, rows: rows, results: 1, terms: 1, lanes: 1}
	g.b = newBodyOf(e, q, l, func(s *plan.Store) bool { return p.has(l, s) })
	for d, n := range l.Dims {
		g.at = append(g.at, fmt.Sprintf("i%d", d))
		switch {
		case d < rows || n == 1:
		case p.kept>>d&1 == 1:
			g.kept = append(g.kept, d)
			g.results *= n
		default:
			g.reduced = append(g.reduced, d)
			g.terms *= n
		}
	}
	return g
}

func (g *generator) printf(format string, args ...any) { fmt.Fprintf(&g.w, format, args...) }

// count is the type of numbers of points.
func (g *generator) count() string {
	if g.b.wide {
		return "unsigned long long"
	}
	return "unsigned"
}

// number is a constant of that type.
func (g *generator) number(n int) string {
	if g.b.wide {
		return fmt.Sprintf("%dull", n)
	}
	return fmt.Sprintf("%du", n)
}

// split declares the indices of dimensions, given the number of their point, an expression. Of the last dimension
// there are lanes at once.
func (g *generator) split(indent, n string, dims []int) {
	after := 1
	for k := len(dims) - 1; k >= 0; k-- {
		d := dims[k]
		size, times := g.l.Dims[d], ""
		if d == g.last() && g.lanes > 1 {
			size, times = size/g.lanes, fmt.Sprintf(" * %d", g.lanes)
		}
		x := n
		if after > 1 {
			x += " / " + g.number(after)
		}
		if k > 0 {
			x += " % " + g.number(size)
		}
		g.printf("%sconst %s i%d = (%s)(%s)%s;\n", indent, g.b.index, d, g.b.index, x, times)
		after *= size
	}
}

// last is the innermost dimension of more than one index, or -1.
func (g *generator) last() int {
	for d := len(g.l.Dims) - 1; d >= g.rows; d-- {
		if g.l.Dims[d] > 1 {
			return d
		}
	}
	return -1
}

// elementwise writes a sweep without combining stores: items are numbered from first by step, expressions of THREADS.
func (g *generator) elementwise(first, step string) {
	g.b.stages(1<<g.rows-1, g.outer())
	g.rowIndices()
	common := g.b.valuesOf(0, "    ", g.at, "")
	if g.results > 1 { // else all threads would read what one may overwrite
		g.w.WriteString(common)
		common = ""
	}
	g.printf("    for (%s n = %s; n < %s; n += %s) {\n", g.count(), first, g.number(g.results/g.lanes), step)
	g.w.WriteString(common)
	g.split("      ", "n", g.kept)
	g.w.WriteString(g.b.valuesOf(1, "      ", g.at, ""))
	g.points("      ", 2, "")
	g.printf("    }\n")
}

// outer are the dimensions but the last, as bits; all without lanes.
func (g *generator) outer() uint64 {
	all := uint64(1)<<len(g.l.Dims) - 1
	if g.lanes > 1 {
		all &^= 1 << g.last()
	}
	return all
}

// points writes the last stage and the stores of a point, or of lanes neighbouring points; more follows for each.
func (g *generator) points(indent string, stage int, more string) {
	if g.lanes == 1 {
		g.w.WriteString(g.b.valuesOf(stage, indent, g.at, ""))
		g.w.WriteString(g.b.sets(indent, g.at))
		g.w.WriteString(more)
		return
	}
	g.packed(indent, stage, more)
}

// grid writes a sweep for blocks of their own.
func (g *generator) grid() string {
	if len(g.p.stores) > 0 {
		g.reduction()
		return g.w.String()
	}
	g.chooseLanes(g.e.o.SMs * 256)
	items := g.results / g.lanes
	g.q.width = 256
	for g.q.width > 64 && items < g.e.o.SMs*g.q.width {
		g.q.width /= 2
	}
	g.q.blocks = min((items+g.q.width-1)/g.q.width, 1<<30)
	g.elementwise(g.thread("1"), fmt.Sprintf("(%s)%d * THREADS", g.count(), g.q.blocks))
	return g.w.String()
}

// thread is the number of a thread in the part, in units of so many.
func (g *generator) thread(unit string) string {
	if unit == "1" {
		return fmt.Sprintf("(%s)block * THREADS + threadIdx.x", g.count())
	}
	return fmt.Sprintf("((%s)block * THREADS + threadIdx.x) / %s", g.count(), unit)
}

// loopRows emits a loop with a block per row, if it works on each of so many equal parts of what it stores by itself.
func (e *emitter) loopRows(i int, l *plan.Loop, rows int) (part, bool) {
	if l.Points() == 0 || rows < 1 {
		return part{}, false
	}
	l, lead, ok := rowDims(l, rows)
	if !ok {
		return part{}, false
	}
	q := e.loopPart(i)
	local := map[plan.BufID]bool{}
	for k := range l.Loads {
		a := &l.Loads[k]
		if e.rowLocal(l, lead, rows, a.Buf, a.Offset, a.Strides) {
			local[a.Buf] = true
		}
	}
	for k := range l.Loads { // one access elsewhere is enough
		a := &l.Loads[k]
		if !e.rowLocal(l, lead, rows, a.Buf, a.Offset, a.Strides) {
			delete(local, a.Buf)
		}
	}
	for k := range l.Stores {
		s := &l.Stores[k]
		if !e.rowLocal(l, lead, rows, s.Buf, s.Offset, s.Strides) {
			return part{}, false
		}
		local[s.Buf] = true
	}
	for k := range l.Loads {
		if a := &l.Loads[k]; local[a.Buf] && !e.rowLocal(l, lead, rows, a.Buf, a.Offset, a.Strides) {
			return part{}, false // reads other rows of what it writes
		}
	}
	q.rows, q.blocks = rows, rows
	for b := range local {
		q.local = append(q.local, b)
	}
	slices.Sort(q.local)
	sweeps := sweepsOf(l, lead)
	for k := range sweeps {
		g := newGenerator(e, &q, l, &sweeps[k], lead)
		if k > 0 {
			q.body += "    __syncthreads();\n"
		}
		q.body += "    {\n" + g.row() + "    }\n"
	}
	return q, true
}

// row writes a sweep for a block of its own per row.
func (g *generator) row() string {
	if len(g.p.stores) > 0 {
		g.rowReduction()
		return g.w.String()
	}
	g.chooseLanes(256)
	g.q.width = max(g.q.width, min(g.results/g.lanes, 256))
	g.elementwise("threadIdx.x", "THREADS")
	return g.w.String()
}

// rowIndices declares the indices that the block's number fixes.
func (g *generator) rowIndices() {
	after := 1
	for d := g.rows - 1; d >= 0; d-- {
		x := "block"
		if after > 1 {
			x += fmt.Sprintf(" / %du", after)
		}
		if d > 0 {
			x += fmt.Sprintf(" %% %du", g.l.Dims[d])
		}
		g.printf("    const %s i%d = (%s)(%s);\n", g.b.index, d, g.b.index, x)
		after *= g.l.Dims[d]
	}
}

// rowDims returns the loop with leading dimensions, lead in number, of so many points; a dimension is split for it.
func rowDims(l *plan.Loop, rows int) (rl *plan.Loop, lead int, ok bool) {
	n := 1
	for lead < len(l.Dims) && n*l.Dims[lead] <= rows && rows%(n*l.Dims[lead]) == 0 {
		n *= l.Dims[lead]
		lead++
	}
	if n == rows {
		return l, lead, true
	}
	if lead == len(l.Dims) || l.Dims[lead]%(rows/n) != 0 {
		return nil, 0, false
	}
	c := *l
	part := l.Dims[lead] / (rows / n)
	c.Dims = slices.Replace(slices.Clone(l.Dims), lead, lead+1, rows/n, part)
	cut := func(s []int) []int { return slices.Replace(slices.Clone(s), lead, lead+1, s[lead]*part, s[lead]) }
	access := func(a plan.Load) plan.Load {
		a.Strides = cut(a.Strides)
		a.Guards = slices.Clone(a.Guards)
		for i := range a.Guards {
			a.Guards[i].Strides = cut(a.Guards[i].Strides)
		}
		return a
	}
	c.Loads, c.Body, c.Stores = slices.Clone(l.Loads), slices.Clone(l.Body), slices.Clone(l.Stores)
	for i := range c.Loads {
		c.Loads[i] = access(c.Loads[i])
	}
	for i := range c.Body {
		if x := c.Body[i].Index; x != nil {
			a := access(*x)
			c.Body[i].Index = &a
		}
	}
	for i := range c.Stores {
		c.Stores[i].Strides = cut(c.Stores[i].Strides)
	}
	return &c, lead + 1, true
}

// rowLocal reports whether an access in row r is of the r-th of rows equal parts of its buffer.
func (e *emitter) rowLocal(l *plan.Loop, lead, rows int, buf plan.BufID, offset int, strides []int) bool {
	count := e.p.Buffers[buf].Count()
	if count == 0 || count%rows != 0 {
		return false
	}
	want := count / rows
	for d := lead - 1; d >= 0; d-- {
		if l.Dims[d] > 1 && strides[d] != want {
			return false
		}
		want *= l.Dims[d]
	}
	lo, hi := offset, offset
	for d := lead; d < len(l.Dims); d++ {
		if s := strides[d] * (l.Dims[d] - 1); s > 0 {
			hi += s
		} else {
			lo += s
		}
	}
	return lo >= 0 && hi < count/rows
}

// kindOf is the type of an accumulator.
func kindOf(c plan.Combine, t ir.DType) string {
	return [...]string{plan.Sum: "Sum", plan.MaxOf: "MaxOf", plan.MinOf: "MinOf", plan.ProdOf: "ProdOf"}[c] +
		"<" + ctype(t) + ">"
}
