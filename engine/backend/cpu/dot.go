package cpu

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// A dot is a batch of products with an epilogue. Where there are rows enough, each thread multiplies a block of rows
// and runs the epilogue on it while it is in the cache; else the product as a whole is vec.Gemm's, which finds other
// ways to share the work, and the epilogue comes after it.
//
// The product goes where the epilogue would only store it, else to the thread's memory.
type dot[T vec.Float] struct {
	plan.Dot             // a batch that is one matrix is one here
	tail     *loop[T]    // the epilogue
	a, b     []T         // the operands' buffers from their offsets on
	c        []T         // where the product goes; nil: nowhere in the arena
	whole    bool        // not by row blocks
	stretch  int         // then: rows at a time, whole blocks
	first    int         // of the stretch
	packing  *packing[T] // op(B) in strips; nil: it is read where it is
	kept     bool        // packing is for the run
	room     int         // of a block, in frame.mem
	onto     []T         // what the product is added to, all that the epilogue does; nil: nothing
	beside   []beside[T] // at most 2
}

const (
	blockBytes  = 1 << 18 // of the rows of A and C in a block: what a second-level cache holds beside B
	leastRows   = 28      // of a block
	panelRows   = 14      // that a kernel of package vec does at once; of others half are nearly as good
	fewPanels   = 4       // in which rows are better shared out alike than in whole panels
	closeRows   = 128     // of A, up to which package vec reads B better where it is than packed
	manyBlocks  = 16      // enough for the threads of most machines
	worthwhile  = 1 << 17 // multiplications that are worth another thread
	elementCost = 8       // of multiplications: to read or write an element
	deepTerms   = 800     // of k, from which on vec.Gemm shares the terms of
	smallSize   = 1 << 16 // elements of C
	leastTall   = 256     // rows: for each stretch vec.Gemm packs B again
)

func compileDot[T vec.Float](x *executable, d *plan.Dot) (step, error) {
	s := &dot[T]{Dot: *d}
	ep := &d.Epilogue
	if len(ep.Dims) != 2 || ep.Dims[0] != d.Batch*d.M || ep.Dims[1] != d.N || ep.Type != d.Type {
		return nil, fmt.Errorf("an epilogue of %v over %v for %d products (%d,%d) of %v",
			ep.Type, ep.Dims, d.Batch, d.M, d.N, d.Type)
	}
	var err error
	if s.a, s.b, err = operandsOf[T](x, d); err != nil {
		return nil, err
	}
	x.refer(d.A.Buf, suffix[T]{&s.a, d.A.Offset})
	x.refer(d.B.Buf, suffix[T]{&s.b, d.B.Offset})
	if s.Batch > 1 && s.B.Batch == 0 && !s.A.Trans && s.A.Batch == s.M*s.A.Ld {
		s.M *= s.Batch
		s.Batch = 1
	}
	o := options{product: true, acc: -1, stored: -1}
	s.plan(x, &o)
	if s.tail, err = compileLoop[T](x, ep, o); err != nil {
		return nil, err
	}
	switch {
	case s.onto != nil:
	case s.Batch == 1 && len(s.tail.code[point]) == 0:
		s.whole = true
	case !s.whole && s.c == nil:
		s.room = s.tail.mem
		s.tail.mem += padded(o.block * s.N)
		s.tail.need()
	case s.whole && s.c == nil:
		row := s.N * typeOf[T]().Size()
		if high := max(leastTall, stretchBytes/row); high < s.M { // alike, of whole blocks
			count := (s.M + high - 1) / high
			s.stretch = min(s.M, ((s.M+count-1)/count+s.tail.block-1)/s.tail.block*s.tail.block)
		}
		x.room = max(x.room, s.stretch*row)
	}
	if !s.whole && s.Batch == 1 && !s.A.Trans && s.K > 0 && (d.B.Trans || s.rows() > closeRows || lasts(x, d.B.Buf)) {
		s.packing, s.kept = packingOf[T](x, d)
		s.lookBeside()
	}
	return s, nil
}

// operandsOf are the operands from their offsets on.
func operandsOf[T vec.Float](x *executable, d *plan.Dot) (a, b []T, err error) {
	if a, err = typed[T](x, d.A.Buf, "operand A"); err != nil {
		return nil, nil, err
	}
	if b, err = typed[T](x, d.B.Buf, "operand B"); err != nil {
		return nil, nil, err
	}
	if d.A.Offset < 0 || d.A.Offset > len(a) || d.B.Offset < 0 || d.B.Offset > len(b) {
		return nil, nil, fmt.Errorf("operands from elements %d and %d of %d and %d on",
			d.A.Offset, d.B.Offset, len(a), len(b))
	}
	return a[d.A.Offset:], b[d.B.Offset:], nil
}

// beside is an array of the product's shape that the epilogue reads or writes.
type beside[T vec.Float] struct {
	own *plain[T]
	off int
}

// lookBeside finds such arrays: they are brought nearer during the product.
func (s *dot[T]) lookBeside() {
	add := func(a *access, own *plain[T]) {
		if own == nil || !a.even || a.rs != s.N || a.cs != 1 && s.N > 1 || len(s.beside) == 2 {
			return
		}
		for _, b := range s.beside {
			if &b.own.mem[b.off] == &own.mem[a.off] {
				return
			}
		}
		s.beside = append(s.beside, beside[T]{own, a.off})
	}
	l := s.tail
	for i := range l.loads {
		if x := &l.loads[i]; x.class == point && len(x.guards) == 0 {
			add(&x.access, x.own)
		}
	}
	for i := range l.puts {
		x := &l.puts[i]
		own, _ := x.arr.(*plain[T])
		add(&x.access, own)
	}
}

func (s *dot[T]) rows() int { return s.Batch * s.M }

// plan chooses the way, the blocks and where the product goes.
func (s *dot[T]) plan(x *executable, o *options) {
	ep := &s.Epilogue
	o.unit = s.rows()
	o.block = max(leastRows, blockBytes/(typeOf[T]().Size()*(s.N+s.K)))
	o.block = max(leastRows, min(o.block, (s.rows()+manyBlocks-1)/manyBlocks))
	s.stretch = s.rows()
	s.whole = s.Batch == 1 && (s.M < 2*leastRows || s.A.Trans && s.M*s.N <= smallSize && (s.K >= deepTerms || s.M*s.N <= smallSize/4) ||
		s.K*s.N*typeOf[T]().Size() > packedBytes)
	switch {
	case s.M < o.block: // whole matrices
		o.block = o.block / s.M * s.M
	case s.Batch > 1:
		o.unit = s.M
	}
	count := (o.unit + o.block - 1) / max(1, o.block)
	if s.M >= o.block {
		o.block = (o.unit + count - 1) / count // alike,
		if o.block >= fewPanels*panelRows {
			o.block = (o.block + panelRows - 1) / panelRows * panelRows
		}
	}
	o.block = min(o.block, o.unit)
	if s.whole && s.adds(x) {
		return
	}
	for pass := range 2 {
		for i := range ep.Stores {
			st := &ep.Stores[i]
			plain := int(st.Value) < len(ep.Loads) && st.Value >= 0 && ep.Loads[st.Value].Buf == plan.Acc
			if pass == 0 && !plain || pass == 1 && !s.whole || !s.takes(x, st) {
				continue
			}
			buf := &x.p.Buffers[st.Buf]
			s.c = view[T](x.mem, buf.Offset, buf.Count())[st.Offset:]
			o.acc = st.Buf
			if plain {
				o.stored = i
			}
			return
		}
	}
}

// adds finds an epilogue that only adds an array of the product's shape, as the gradient of what an unrolled method uses
// in every iteration is summed: the product is then added where the sum goes, which has the same bits wherever that is.
func (s *dot[T]) adds(x *executable) bool {
	ep := &s.Epilogue
	if len(ep.Loads) != 2 || len(ep.Body) != 1 || len(ep.Stores) != 1 || ep.Body[0].Op != ir.Add || s.K == 0 {
		return false
	}
	in, st := &ep.Body[0], &ep.Stores[0]
	a, b := in.A, in.B
	if a > b {
		a, b = b, a
	}
	if a != 0 || b != 1 || st.Value != 2 || st.Combine != plan.Set {
		return false
	}
	from := &ep.Loads[0]
	if from.Buf == plan.Acc {
		from = &ep.Loads[1]
	}
	straight := func(b plan.BufID, off int, strides []int) []T {
		if b < 0 || int(b) >= len(x.p.Buffers) || len(strides) != 2 || s.N > 1 && strides[1] != 1 || strides[0] != s.N {
			return nil
		}
		buf := &x.p.Buffers[b]
		if buf.Type != typeOf[T]() || x.binding(b) != nil || off < 0 || off+s.M*s.N > buf.Count() {
			return nil
		}
		return view[T](x.mem, buf.Offset, buf.Count())[off:][:s.M*s.N]
	}
	onto, c := straight(from.Buf, from.Offset, from.Strides), straight(st.Buf, st.Offset, st.Strides)
	e := emitter[T]{x: x}
	if len(from.Guards) > 0 || onto == nil || c == nil || e.overlap(st.Buf, s.A.Buf) || e.overlap(st.Buf, s.B.Buf) ||
		&onto[0] != &c[0] && e.overlap(st.Buf, from.Buf) {
		return false
	}
	s.onto, s.c = onto, c
	return true
}

// takes reports whether the product can be gathered where a store goes: of its type and shape, and apart from all
// that is read.
func (s *dot[T]) takes(x *executable, st *plan.Store) bool {
	ep := &s.Epilogue
	if st.Buf < 0 || int(st.Buf) >= len(x.p.Buffers) || len(st.Strides) != 2 || st.Combine != plan.Set {
		return false
	}
	buf := &x.p.Buffers[st.Buf]
	if buf.Type != typeOf[T]() || st.Offset < 0 || st.Offset+s.rows()*s.N > buf.Count() ||
		s.N > 1 && st.Strides[1] != 1 || s.rows() > 1 && st.Strides[0] != s.N {
		return false
	}
	e := emitter[T]{x: x}
	if e.overlap(st.Buf, s.A.Buf) || e.overlap(st.Buf, s.B.Buf) {
		return false
	}
	for i := range ep.Loads {
		if b := ep.Loads[i].Buf; int(b) < len(x.p.Buffers) && e.overlap(st.Buf, b) {
			return false
		}
	}
	for i := range ep.Body {
		if in := &ep.Body[i]; in.Op == ir.Normal || in.Op == ir.Uniform {
			if int(in.Run) < len(x.p.Buffers) && e.overlap(st.Buf, in.Run) {
				return false
			}
		}
	}
	return true
}

// run multiplies and runs the epilogue.
func (s *dot[T]) run() error {
	l := s.tail
	if s.whole {
		s.runWhole()
		return nil
	}
	s.pack()
	each := l.block * (s.N*(s.K+l.cost/8) + elementCost*(s.N+s.K))
	vec.Parallel(l.chunks(), worthwhile/max(1, each)+1, s)
	l.finish()
	return nil
}

func (s *dot[T]) runWhole() {
	l := s.tail
	if s.onto != nil {
		if &s.onto[0] != &s.c[0] {
			copy(s.c, s.onto)
		}
		vec.Gemm(s.A.Trans, s.B.Trans, s.M, s.N, s.K, 1, s.a, s.A.Ld, s.b, s.B.Ld, 1, s.c, s.N)
		return
	}
	c := s.c
	if c == nil {
		c = view[T](l.x.scratch, 0, s.stretch*s.N)
	}
	l.product = c
	for s.first = 0; s.first < s.M; s.first += s.stretch {
		m, a := min(s.stretch, s.M-s.first), s.a
		switch {
		case s.K == 0:
		case s.A.Trans:
			a = a[s.first:]
		default:
			a = a[s.first*s.A.Ld:]
		}
		vec.Gemm(s.A.Trans, s.B.Trans, m, s.N, s.K, 1, a, s.A.Ld, s.b, s.B.Ld, 0, c, s.N)
		if len(l.code[point]) == 0 {
			continue
		}
		vec.Parallel((m+l.block-1)/l.block, l.grain(l.chunks(), l.cost), (*wholeTail[T])(s))
	}
	if len(l.code[point]) > 0 {
		l.finish()
	}
}

// wholeTail is the epilogue of a stretch.
type wholeTail[T vec.Float] dot[T]

// Run implements vec.Job on the stretch's blocks.
func (s *wholeTail[T]) Run(lo, hi int) { s.RunOn(0, lo, hi) }

// RunOn implements vec.ThreadJob.
func (s *wholeTail[T]) RunOn(thread, lo, hi int) {
	l := s.tail
	frames := framesOf[T](l.x)
	f := frames.get(thread)
	l.begin(f)
	f.accRow = s.first
	for block := lo; block < hi; block++ {
		l.do(f, s.first/l.block+block)
	}
	frames.put(f)
}

// Run implements vec.Job on blocks.
func (s *dot[T]) Run(lo, hi int) { s.RunOn(0, lo, hi) }

// RunOn implements vec.ThreadJob.
func (s *dot[T]) RunOn(thread, lo, hi int) {
	l := s.tail
	frames := framesOf[T](l.x)
	f := frames.get(thread)
	l.begin(f)
	for block := lo; block < hi; block++ {
		r0, r1 := l.rowsOf(block)
		f.accRow = r0
		if s.c != nil {
			f.acc = s.c[r0*s.N:]
		} else {
			f.acc = f.mem[s.room:]
		}
		next := 0
		if block+1 < hi {
			n0, n1 := l.rowsOf(block + 1)
			next = n1 - n0
		}
		s.multiply(f.acc, r0, r1, next)
		l.do(f, block)
	}
	frames.put(f)
}

// multiply computes rows r0.. < r1 of the batch into c; some next ones follow.
func (s *dot[T]) multiply(c []T, r0, r1, next int) {
	if s.packing != nil {
		var soon [2][]T
		for i, b := range s.beside {
			soon[i] = b.own.mem[b.off+r0*s.N:][:(r1-r0)*s.N]
		}
		vec.GemmPackedNext(r1-r0, next, soon, 1, s.a[r0*s.A.Ld:], s.A.Ld, &s.packing.packed, 0, c, s.N)
		return
	}
	for r := r0; r < r1; {
		i, first := r/s.M, r%s.M
		m := min(s.M-first, r1-r)
		a := s.a[i*s.A.Batch:]
		if s.K > 0 {
			if s.A.Trans {
				a = a[first:]
			} else {
				a = a[first*s.A.Ld:]
			}
		}
		b, c := s.b[i*s.B.Batch:], c[(r-r0)*s.N:]
		vec.GemmSerial(s.A.Trans, s.B.Trans, m, s.N, s.K, 1, a, s.A.Ld, b, s.B.Ld, 0, c, s.N)
		r += m
	}
}
