package cpu

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// An emitter turns the straight line of a plan.Loop into instructions by class. It numbers virtual registers, as many
// as there are values, and gives them registers at the end. Loads come as late, stores as early as they can.
type emitter[T vec.Float] struct {
	x    *executable
	pl   *plan.Loop
	l    *loop[T]
	vals []value
	virt []virtual
	// after[j+1] is the first of the stores that come after instruction j, -1 before all of them; next the one that
	// follows, -1 none.
	after, next []int32
	early       []int32 // loads that are copied before anything is stored
	consts      map[uint64]int32
	once        map[int32]func(dst, a []T) // by instruction: what it is in one pass
	acc         plan.BufID                 // the buffer that the product is gathered in; -1: none of the program
	stored      int                        // the store that the product needs not make; -1
	last, ends  []int32

	// What the next loop's parts are appended to; a loop keeps copies in slabs, which many loops share.
	code   [4][]instr[T]
	loads  []load[T]
	puts   []put[T]
	draws  []draw[T]
	fixed  []bound[T]
	arrays []arrayAs[T] // by buffer, once asked for
	slabs  struct {
		code  slab[instr[T]]
		loads slab[load[T]]
		puts  slab[put[T]]
		draws slab[draw[T]]
		fixed slab[bound[T]]
	}
}

// arrayAs is a buffer as an array of T; own is not nil if T is its own type.
type arrayAs[T vec.Float] struct {
	array[T]
	own *plain[T]
}

// A slab is memory for many short slices.
type slab[X any] struct{ free []X }

// keep returns a copy of s.
func (b *slab[X]) keep(s []X) []X {
	if len(s) == 0 {
		return nil
	}
	if len(b.free) < len(s) {
		b.free = make([]X, max(len(s), 64))
	}
	c := b.free[:len(s):len(s)]
	b.free = b.free[len(s):]
	copy(c, s)
	return c
}

// sized is s with n elements, all of them v.
func sized[X any](s []X, n int, v X) []X {
	if cap(s) < n {
		s = make([]X, n+n/2)
	}
	s = s[:n]
	for i := range s {
		s[i] = v
	}
	return s
}

// emitterOf is the executable's emitter of loops of T.
func emitterOf[T vec.Float](x *executable) *emitter[T] {
	var e any = &x.emitter64
	if typeOf[T]() == ir.F32 {
		e = &x.emitter32
	}
	p := e.(**emitter[T])
	if *p == nil {
		*p = &emitter[T]{x: x, arrays: make([]arrayAs[T], len(x.p.Buffers))}
	}
	return *p
}

// keep hands what was emitted to the loop.
func (e *emitter[T]) keep() {
	l := e.l
	for c := range e.code {
		l.code[c] = e.slabs.code.keep(e.code[c])
		e.code[c] = e.code[c][:0]
	}
	l.loads, l.puts = e.slabs.loads.keep(e.loads), e.slabs.puts.keep(e.puts)
	l.draws, l.fixed = e.slabs.draws.keep(e.draws), e.slabs.fixed.keep(e.fixed)
	e.loads, e.puts, e.draws, e.fixed = e.loads[:0], e.puts[:0], e.draws[:0], e.fixed[:0]
	e.virt, e.early = e.virt[:0], e.early[:0]
	clear(e.consts)
}

// A value is a load or an instruction of the loop.
type value struct {
	class  class
	needed bool
	copied bool  // a load: not to be read in place
	raw    bool  // a load: whole numbers that are only moved, as bits
	same   int32 // the value that it is another name of, or itself
	virt   int32 // -1: not emitted yet
	wide   int32 // the virtual register of its copies for class point; -1: none
	into   int32 // the store in whose place it is computed; -1: none
}

// A virtual is a virtual register: last is the last instruction of its class that reads it.
type virtual struct {
	class  class
	pinned bool // read in another class, or in all tiles
	last   int32
	slot   int32
}

// options of a loop that is the epilogue of a product.
type options struct {
	product bool
	acc     plan.BufID
	stored  int
	unit    int // rows are cut in these units and blocks
	block   int
}

// compileLoop compiles a loop. Errors are of a program that no planner makes.
func compileLoop[T vec.Float](x *executable, pl *plan.Loop, o options) (*loop[T], error) {
	l := &loop[T]{x: x}
	l.space = newSpace(pl, o.product)
	e := emitterOf[T](x)
	e.pl, e.l, e.acc, e.stored = pl, l, o.acc, o.stored
	defer e.keep()
	if !o.product {
		e.acc, e.stored = -1, -1
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	e.pl = e.idioms(pl)
	e.order()
	e.tiles()
	e.classify()
	e.moves()
	if err := e.reductions(o); err != nil {
		return nil, err
	}
	e.placeStores()
	if err := e.emit(); err != nil {
		return nil, err
	}
	e.allocate()
	l.need()
	return l, nil
}

// check looks at every number that is used as an index.
func (e *emitter[T]) check() error {
	n := len(e.pl.Loads)
	buf := func(b plan.BufID) error {
		if b < 0 || int(b) >= len(e.x.p.Buffers) {
			return fmt.Errorf("buffer %d of %d", b, len(e.x.p.Buffers))
		}
		return nil
	}
	for i := range e.pl.Loads {
		x := &e.pl.Loads[i]
		if x.Buf != plan.Acc {
			if err := buf(x.Buf); err != nil {
				return fmt.Errorf("load %d: %w", i, err)
			}
			if len(x.Strides) != len(e.pl.Dims) {
				return fmt.Errorf("load %d: %d strides, want %d", i, len(x.Strides), len(e.pl.Dims))
			}
		}
		for _, g := range x.Guards {
			if len(g.Strides) != len(e.pl.Dims) || g.Step < 1 {
				return fmt.Errorf("load %d: guard with %d strides and step %d, want %d and at least 1",
					i, len(g.Strides), g.Step, len(e.pl.Dims))
			}
		}
	}
	for j := range e.pl.Body {
		in := &e.pl.Body[j]
		if in.Op == ir.Normal || in.Op == ir.Uniform {
			if err := buf(in.Run); err != nil {
				return fmt.Errorf("instruction %d: run number: %w", j, err)
			}
			if b := &e.x.p.Buffers[in.Run]; b.Type != ir.Int64 || b.Count() < 1 {
				return fmt.Errorf("instruction %d: run number in buffer %d, %v %v, want i64", j, in.Run, b.Type, b.Shape)
			}
			if in.Index == nil || len(in.Index.Strides) != len(e.pl.Dims) {
				return fmt.Errorf("instruction %d: no index over %d dimensions", j, len(e.pl.Dims))
			}
			continue
		}
		if in.Op != ir.Const && in.Op.Class() != ir.Elementwise {
			return fmt.Errorf("instruction %d: %v is not elementwise", j, in.Op)
		}
		for _, v := range operands(in) {
			if v < 0 || int(v) >= n+j {
				return fmt.Errorf("instruction %d: operand %d of %d values before it", j, v, n+j)
			}
		}
	}
	for i := range e.pl.Stores {
		s := &e.pl.Stores[i]
		if err := buf(s.Buf); err != nil {
			return fmt.Errorf("store %d: %w", i, err)
		}
		if s.Value < 0 || int(s.Value) >= n+len(e.pl.Body) || len(s.Strides) != len(e.pl.Dims) {
			return fmt.Errorf("store %d: value %d of %d, %d strides of %d",
				i, s.Value, n+len(e.pl.Body), len(s.Strides), len(e.pl.Dims))
		}
	}
	return nil
}

// operands are the values that an instruction reads.
func operands(in *plan.Instr) []int32 {
	if in.Op == ir.Normal || in.Op == ir.Uniform || in.Op == ir.Const {
		return nil
	}
	all := [3]int32{in.A, in.B, in.C}
	return all[:in.Op.Info().Arity:3]
}
