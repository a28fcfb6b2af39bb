package emit

import (
	"fmt"
	"math"
	"strings"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

// A body prints what a plan.Loop does at a point as CUDA C. Value k of the loop is the variable vk. Addresses,
// offsets and keys of draws are parameters, which it adds to its part; strides and constants are text.
//
// The simplest use, of all there is to do at the point whose indices are the variables i0 and i1:
//
//	b := newBody(e, &q, loop)
//	text := b.valuesOf(0, indent, []string{"i0", "i1"}, "acc") + b.sets(indent, []string{"i0", "i1"})
//	b.value(&loop.Stores[s]) // "v7": what combining store s takes
type body struct {
	e *emitter
	q *part
	l *plan.Loop
	// index is the type of indices and element numbers, int or long long: what they are computed in must be of it.
	index  string
	wide   bool
	needed []bool   // values that a chosen store depends on
	dims   []uint64 // by value: the loop's dimensions that it depends on, as bits
	stage  []int    // by value: see stages
	chosen func(s *plan.Store) bool
	params map[place]int
	bases  map[plan.BufID]int // where a buffer's only parameter points, if there are too many accesses for one each
	given  map[int]string     // values that are there already, as expressions
}

// maxPointers is how many accesses of a loop have parameters of their own. They take 4 KB at most in all.
const maxPointers = 48

// A place is where an access begins.
type place struct {
	buf    plan.BufID
	offset int
	value  uint64 // of a parameter that is a number
}

// newBody returns the printer of a loop for a part.
func newBody(e *emitter, q *part, l *plan.Loop) *body { return newBodyOf(e, q, l, nil) }

// newBodyOf prints only what the chosen stores need.
func newBodyOf(e *emitter, q *part, l *plan.Loop, chosen func(s *plan.Store) bool) *body {
	b := &body{e: e, q: q, l: l, index: "int", chosen: chosen, params: map[place]int{}}
	if chosen == nil {
		b.chosen = func(*plan.Store) bool { return true }
	}
	if b.wide = e.wide || !fits(l); b.wide {
		b.index = "long long"
	}
	n := len(l.Loads)
	b.needed, b.dims = make([]bool, n+len(l.Body)), make([]uint64, n+len(l.Body))
	b.stage = make([]int, n+len(l.Body))
	for i := range l.Stores {
		if s := &l.Stores[i]; b.chosen(s) {
			b.needed[s.Value] = true
		}
	}
	b.findBases()
	q.files = append(q.files, "math.cu")
	for i := len(l.Body) - 1; i >= 0; i-- {
		if in := &l.Body[i]; b.needed[n+i] {
			for _, x := range operands(in) {
				b.needed[x] = true
			}
			if in.Op == ir.Normal || in.Op == ir.Uniform {
				q.files = append(q.files, "philox.cu")
			}
		}
	}
	for i := range l.Loads {
		b.dims[i] = dimsOf(&l.Loads[i])
		if l.Loads[i].Buf == plan.Acc {
			b.dims[i] = 1<<len(l.Dims) - 1
		}
	}
	for i := range l.Body {
		in := &l.Body[i]
		if in.Index != nil {
			b.dims[n+i] |= dimsOf(in.Index)
		}
		for _, x := range operands(in) {
			b.dims[n+i] |= b.dims[x]
		}
	}
	return b
}

// findBases gives every buffer one parameter, for its lowest offset, if one per access were too many.
func (b *body) findBases() {
	places := map[place]bool{}
	bases := map[plan.BufID]int{}
	access := func(buf plan.BufID, offset int) {
		places[place{buf: buf, offset: offset}] = true
		if base, ok := bases[buf]; !ok || offset < base {
			bases[buf] = offset
		}
	}
	for i := range b.l.Loads {
		access(b.l.Loads[i].Buf, b.l.Loads[i].Offset)
	}
	for i := range b.l.Stores {
		access(b.l.Stores[i].Buf, b.l.Stores[i].Offset)
	}
	if len(places) > maxPointers {
		b.bases = bases
	}
}

// operands are the values that an instruction takes.
func operands(n *plan.Instr) []int32 {
	if n.Op == ir.Const || n.Op == ir.Normal || n.Op == ir.Uniform {
		return nil
	}
	return []int32{n.A, n.B, n.C}[:n.Op.Info().Arity]
}

// dimsOf are the dimensions that a load's value may change along.
func dimsOf(l *plan.Load) (bits uint64) {
	add := func(strides []int) {
		for d, s := range strides {
			if s != 0 {
				bits |= 1 << d
			}
		}
	}
	add(l.Strides)
	for i := range l.Guards {
		add(l.Guards[i].Strides)
	}
	return bits
}

// fits reports whether all numbers of points, and of elements and guards, are well inside 32 bits.
func fits(l *plan.Loop) bool {
	small := func(offset int, strides []int) bool { // offsets of accesses are in pointers, but see findBases
		sum := abs(offset)
		for d, s := range strides {
			sum += abs(s) * l.Dims[d]
		}
		return sum < math.MaxInt32/2
	}
	if l.Points() >= math.MaxInt32/2 {
		return false
	}
	for i := range l.Loads {
		a := &l.Loads[i]
		if !small(a.Offset, a.Strides) {
			return false
		}
		for j := range a.Guards {
			if g := &a.Guards[j]; !small(g.Start, g.Strides) {
				return false
			}
		}
	}
	for i := range l.Stores {
		if !small(l.Stores[i].Offset, l.Stores[i].Strides) {
			return false
		}
	}
	return true
}

func abs(x int) int { return max(x, -x) }

// stages splits the work: values that depend only on the dimensions known[0] are of stage 0, those of the others that
// depend only on known[1] are of stage 1, and so on; the last stage has all dimensions.
func (b *body) stages(known ...uint64) {
	for v, dims := range b.dims {
		s := 0
		for s < len(known) && dims&^known[s] != 0 {
			s++
		}
		b.stage[v] = s
	}
}

// name is the variable of a value.
func (b *body) name(v int32) string { return fmt.Sprintf("v%d", v) }

// value is the variable that a store takes.
func (b *body) value(s *plan.Store) string { return b.name(s.Value) }

// valuesOf declares the variables of the values of one stage at a point, with at the indices, expressions of type
// index; those of the stages before must be in scope. acc is the product's element, if the loop is the epilogue of a
// Dot.
func (b *body) valuesOf(stage int, indent string, at []string, acc string) string {
	var w strings.Builder
	t := ctype(b.l.Type)
	for i := range b.l.Loads {
		if b.needed[i] && b.stage[i] == stage {
			x, ok := b.given[i]
			if !ok {
				x = b.load(&b.l.Loads[i], at, acc)
			}
			fmt.Fprintf(&w, "%sconst %s v%d = %s;\n", indent, t, i, x)
		}
	}
	n := len(b.l.Loads)
	for i := range b.l.Body {
		if b.needed[n+i] && b.stage[n+i] == stage {
			x, ok := b.given[n+i]
			if !ok {
				x = b.instr(&b.l.Body[i], at)
			}
			fmt.Fprintf(&w, "%sconst %s v%d = %s;\n", indent, t, n+i, x)
		}
	}
	return w.String()
}

// load is the value of a load.
func (b *body) load(a *plan.Load, at []string, acc string) string {
	if a.Buf == plan.Acc {
		return acc
	}
	x := b.element(a.Buf, a.Offset, a.Strides, at)
	if b.e.p.Buffers[a.Buf].Type != b.l.Type {
		x = fmt.Sprintf("(%s)%s", ctype(b.l.Type), x)
	}
	holds, never := b.guards(a.Guards, at)
	switch {
	case never:
		return literal(0, b.l.Type)
	case holds != "":
		return fmt.Sprintf("%s ? %s : %s", holds, x, literal(0, b.l.Type))
	}
	return x
}

// element is an element of a buffer, as something to read or write.
func (b *body) element(buf plan.BufID, offset int, strides []int, at []string) string {
	start := 0
	if base, ok := b.bases[buf]; ok {
		offset, start = base, offset-base
	}
	return fmt.Sprintf("%s[%s]", b.pointer(buf, offset), b.affine(start, strides, at))
}

// pointer is the parameter for a buffer from an element on.
func (b *body) pointer(buf plan.BufID, offset int) string {
	at := place{buf: buf, offset: offset}
	k, ok := b.params[at]
	if !ok {
		k = len(b.q.params)
		b.params[at] = k
		write := false
		for i := range b.l.Stores {
			write = write || b.l.Stores[i].Buf == buf
		}
		b.q.params = append(b.q.params, b.e.pointer(buf, offset, write))
	}
	return fmt.Sprintf("$%d", k)
}

// number is a parameter that is a number.
func (b *body) number(x uint64) string {
	at := place{buf: -1, value: x}
	k, ok := b.params[at]
	if !ok {
		k = len(b.q.params)
		b.params[at] = k
		b.q.params = append(b.q.params, param{"unsigned long long", Arg{Kind: Value, Value: x}})
	}
	return fmt.Sprintf("$%d", k)
}

// affine is start + sum(strides*at).
func (b *body) affine(start int, strides []int, at []string) string {
	var terms []string
	for d, s := range strides {
		switch {
		case s == 0 || b.l.Dims[d] == 1:
		case s == 1:
			terms = append(terms, at[d])
		default:
			terms = append(terms, fmt.Sprintf("%s * %d", at[d], s))
		}
	}
	if start != 0 || len(terms) == 0 {
		terms = append(terms, fmt.Sprint(start))
	}
	return strings.Join(terms, " + ")
}

// guards is the condition that they hold; empty: always. never: they never do.
func (b *body) guards(guards []plan.Guard, at []string) (cond string, never bool) {
	var terms []string
	for i := range guards {
		g := &guards[i]
		lo, hi := g.Start, g.Start
		for d, s := range g.Strides {
			if s > 0 {
				hi += s * (b.l.Dims[d] - 1)
			} else {
				lo += s * (b.l.Dims[d] - 1)
			}
		}
		end := g.Step * g.Count
		if hi < 0 || lo >= end {
			return "", true
		}
		x := b.affine(g.Start, g.Strides, at)
		if lo < 0 {
			terms = append(terms, fmt.Sprintf("(%s) >= 0", x))
		}
		if hi >= end {
			terms = append(terms, fmt.Sprintf("(%s) < %d", x, end))
		}
		if g.Step > 1 {
			terms = append(terms, fmt.Sprintf("(%s) %% %d == 0", x, g.Step))
		}
	}
	return strings.Join(terms, " && "), false
}

// instr is the value of an instruction.
func (b *body) instr(n *plan.Instr, at []string) string {
	if n.Op != ir.Normal && n.Op != ir.Uniform {
		return primitive(n, b.l.Type, b.name)
	}
	return b.drawn(n, n.Op.String(), b.drawIndex(n, at))
}

// drawIndex is the number of an element of a draw. It may be beyond 32 bits where nothing else is.
func (b *body) drawIndex(n *plan.Instr, at []string) string {
	wide := make([]string, len(at))
	for d := range at {
		wide[d] = "(unsigned long long)(" + at[d] + ")"
	}
	x := b.affine(0, n.Index.Strides, wide)
	if n.Index.Offset != 0 {
		x = fmt.Sprintf("%s + %s", b.number(uint64(n.Index.Offset)), x)
	}
	return x
}

// drawn calls a function of philox.cu for an element or a block of a draw.
func (b *body) drawn(n *plan.Instr, name, index string) string {
	t := b.l.Type
	if n.Type.Float() {
		t = n.Type
	}
	key := kernels.Key(n.Rand.Seed, n.Rand.Draw)
	return fmt.Sprintf("%s<%s>((unsigned long long)%s[0], %s, %s)", name, ctype(t), b.pointer(n.Run, 0), index,
		b.number(uint64(key[1])<<32|uint64(key[0])))
}

// sets writes the stores that combine nothing, of those chosen.
func (b *body) sets(indent string, at []string) string {
	var w strings.Builder
	for i := range b.l.Stores {
		if s := &b.l.Stores[i]; s.Combine == plan.Set && b.chosen(s) {
			w.WriteString(indent + b.store(s, at, b.value(s)))
		}
	}
	return w.String()
}

// store is the statement that stores x, a value of the loop's type, where s does at a point.
func (b *body) store(s *plan.Store, at []string, x string) string {
	return fmt.Sprintf("%s = %s;\n", b.element(s.Buf, s.Offset, s.Strides, at),
		stored(b.e.p.Buffers[s.Buf].Type, b.l.Type, x))
}
