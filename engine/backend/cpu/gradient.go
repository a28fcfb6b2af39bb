package cpu

import (
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// The gradient of what an unrolled method uses in each iteration is a sum of products A'B, each over the rows of an
// iteration. In a program it is a chain of steps, of which each adds its product to the sum of those before. Here
// the rows are cut in parts, and each part has a sum of its own until the chain ends: a thread adds what it has
// computed itself to what it has in its cache, while rows that another has written would take longer to come than
// to be multiplied.

const (
	fewTerms  = 32      // rows, fewer of which are one part; else
	partTerms = 800     // rows make a part, if
	leastPart = 2       // parts at least and
	mostParts = 8       // at most come of it
	partsSize = 1 << 18 // elements of a sum at most

	stripColumns = 32 // that a kernel of package vec does at once
)

// partsOf is the number of parts of k rows.
func partsOf(k int) int {
	if k < fewTerms {
		return 1
	}
	return max(leastPart, min(mostParts, k/partTerms))
}

// A link is a chain's place for a step: which chain, and where in it.
type link struct {
	chain       *chain
	first, last bool
	begun       int // of its parts, by the steps before
}

// A chain is the sum of the products of some steps.
type chain struct {
	m, n  int
	parts int // the most of a step
	mem   any // []T: the sums of the parts, C or, if swapped, its transpose
}

// swapped reports whether the chain computes B'A: n columns fill vectors badly.
func (c *chain) swapped() bool { return c.n%stripColumns != 0 && c.n < c.m }

// chains finds the chains of at least two steps.
func (x *executable) chains() []link {
	p := x.p
	links := make([]link, len(p.Steps))
	writer := sized[int32](nil, len(p.Buffers), -1)
	readers := make([]int32, len(p.Buffers))
	over := make([]int32, len(p.Buffers))
	for i := range p.Steps {
		for _, b := range p.Steps[i].Writes {
			writer[b] = int32(i)
		}
		for _, b := range p.Steps[i].Reads {
			readers[b]++
		}
	}
	for i := range p.Buffers {
		if o := p.Buffers[i].Over; o >= 0 {
			over[o]++
		}
	}
	for i := range p.Steps {
		to := product(&p.Steps[i])
		if to == nil {
			continue
		}
		from, ok := added(p, to)
		if !ok || p.Buffers[from].Role != plan.Temp || writer[from] < 0 || int(writer[from]) >= i || readers[from] != 1 {
			continue
		}
		if o := to.Epilogue.Stores[0].Buf; over[from] > 1 || over[from] == 1 && p.Buffers[o].Over != from {
			continue // another name of the sum so far
		}
		before := int(writer[from])
		d := product(&p.Steps[before])
		if d == nil || d.M != to.M || d.N != to.N || d.Type != to.Type || d.Epilogue.Stores[0].Buf != from {
			continue
		}
		if _, adds := added(p, d); !adds && !stored(p, d) {
			continue
		}
		if links[before].chain == nil {
			links[before] = link{chain: &chain{m: d.M, n: d.N, parts: partsOf(d.K)}, first: true}
			if _, adds := added(p, d); adds {
				links[before].begun = 1
			}
		}
		c := links[before].chain
		links[before].last = false
		links[i] = link{chain: c, last: true, begun: c.parts}
		c.parts = max(c.parts, partsOf(to.K))
	}
	return links
}

// product is the step's product, if it is A'B of few enough elements and its epilogue has one store.
func product(s *plan.Step) *plan.Dot {
	d := s.Dot
	if d == nil || d.Batch != 1 || !d.A.Trans || d.B.Trans || d.K < 1 || d.M < 1 || d.N < 1 ||
		d.M*d.N > partsSize || len(d.Epilogue.Stores) != 1 {
		return nil
	}
	return d
}

// straight reports whether an access is all of a buffer of the product's type and shape.
func straight(p *plan.Program, d *plan.Dot, b plan.BufID, off int, strides []int) bool {
	if b < 0 || int(b) >= len(p.Buffers) || off != 0 || len(strides) != 2 {
		return false
	}
	buf := &p.Buffers[b]
	return buf.Type == d.Type && buf.Count() == d.M*d.N &&
		(strides[0] == d.N || d.M == 1) && (strides[1] == 1 || d.N == 1)
}

// stored reports whether the epilogue only stores the product.
func stored(p *plan.Program, d *plan.Dot) bool {
	ep, st := &d.Epilogue, &d.Epilogue.Stores[0]
	return len(ep.Loads) == 1 && ep.Loads[0].Buf == plan.Acc && len(ep.Body) == 0 &&
		st.Value == 0 && st.Combine == plan.Set && straight(p, d, st.Buf, st.Offset, st.Strides) &&
		!slices.Contains([]plan.BufID{d.A.Buf, d.B.Buf}, st.Buf)
}

// added returns what the epilogue adds to the product, if it does nothing else.
func added(p *plan.Program, d *plan.Dot) (from plan.BufID, ok bool) {
	ep, st := &d.Epilogue, &d.Epilogue.Stores[0]
	if len(ep.Loads) != 2 || len(ep.Body) != 1 || ep.Body[0].Op != ir.Add || ep.Body[0].A+ep.Body[0].B != 1 ||
		st.Value != 2 || st.Combine != plan.Set || !straight(p, d, st.Buf, st.Offset, st.Strides) {
		return -1, false
	}
	l := &ep.Loads[0]
	if l.Buf == plan.Acc {
		l = &ep.Loads[1]
	}
	if len(l.Guards) > 0 || !straight(p, d, l.Buf, l.Offset, l.Strides) {
		return -1, false
	}
	for _, b := range []plan.BufID{d.A.Buf, d.B.Buf} {
		if b == l.Buf || b == st.Buf {
			return -1, false
		}
	}
	return l.Buf, true
}

// addend is a step of a chain.
type addend[T vec.Float] struct {
	link
	a, b     []T
	lda, ldb int
	m, n, k  int
	parts    int
	mem      []T
	onto, c  []T // what a first step adds to, if anything; where a last step leaves the sum
}

func compileAddend[T vec.Float](x *executable, d *plan.Dot, l link) (step, error) {
	s := &addend[T]{link: l, lda: d.A.Ld, ldb: d.B.Ld, m: d.M, n: d.N, k: d.K, parts: partsOf(d.K)}
	var err error
	if s.a, s.b, err = operandsOf[T](x, d); err != nil {
		return nil, err
	}
	x.refer(d.A.Buf, suffix[T]{&s.a, d.A.Offset})
	x.refer(d.B.Buf, suffix[T]{&s.b, d.B.Offset})
	if l.chain.mem == nil {
		l.chain.mem = aligned(make([]T, l.chain.parts*d.M*d.N+plan.Align))
	}
	s.mem = l.chain.mem.([]T)[:l.chain.parts*d.M*d.N]
	if from, ok := added(x.p, d); ok && l.first {
		if s.onto, err = typed[T](x, from, "sum"); err != nil {
			return nil, err
		}
		x.refer(from, suffix[T]{&s.onto, 0})
	}
	if l.last {
		if s.c, err = typed[T](x, d.Epilogue.Stores[0].Buf, "result"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *addend[T]) run() error {
	size := s.m * s.n
	if s.onto != nil {
		s.place(s.mem, s.onto, s.m, s.n)
	}
	if s.chain.swapped() {
		vec.GemmParts(s.parts, s.begun, s.n, s.m, s.k, s.b, s.ldb, s.a, s.lda, s.mem)
	} else {
		vec.GemmParts(s.parts, s.begun, s.m, s.n, s.k, s.a, s.lda, s.b, s.ldb, s.mem)
	}
	switch {
	case !s.last:
	case s.chain.swapped():
		vec.SumParts(s.chain.parts, size, s.mem, s.mem)
		s.place(s.c, s.mem, s.n, s.m)
	default:
		vec.SumParts(s.chain.parts, size, s.mem, s.c)
	}
	return nil
}

// place copies src, (m,n), to dst, transposed if the chain is.
func (s *addend[T]) place(dst, src []T, m, n int) {
	if !s.chain.swapped() {
		copy(dst, src[:m*n])
		return
	}
	for i := range m {
		row := src[i*n:][:n]
		for j, v := range row {
			dst[j*m+i] = v
		}
	}
}

func (s *addend[T]) bytes(seen map[any]bool) int {
	if seen[s.chain] {
		return 0
	}
	seen[s.chain] = true
	return cap(s.mem) * typeOf[T]().Size()
}
