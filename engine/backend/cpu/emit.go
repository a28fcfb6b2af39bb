package cpu

import (
	"fmt"
	"math"

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
	acc         plan.BufID // the buffer that the product is gathered in; -1: none of the program
	stored      int        // the store that the product needs not make; -1
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
	e := &emitter[T]{x: x, pl: pl, l: l, acc: o.acc, stored: o.stored}
	if !o.product {
		e.acc, e.stored = -1, -1
	}
	if err := e.check(); err != nil {
		return nil, err
	}
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
				return fmt.Errorf("load %d: guard with %d strides and step %d, want %d and at least 1", i, len(g.Strides), g.Step, len(e.pl.Dims))
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
			return fmt.Errorf("store %d: value %d of %d, %d strides of %d", i, s.Value, n+len(e.pl.Body), len(s.Strides), len(e.pl.Dims))
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

// order puts the rows' kept dimensions before those that a reduction reduces, for the first that needs it.
func (e *emitter[T]) order() {
	n := len(e.l.outer)
	if n < 2 {
		return
	}
	for i := range e.pl.Stores {
		s := &e.pl.Stores[i]
		if e.isPut(i) {
			continue
		}
		a := e.l.access(s.Offset, s.Strides)
		var kept, reduced []int
		sorted := true
		for d := range n {
			if a.outer[d] != 0 {
				sorted = sorted && len(reduced) == 0
				kept = append(kept, d)
			} else {
				reduced = append(reduced, d)
			}
		}
		if !sorted {
			e.l.reorder(append(kept, reduced...))
			return
		}
	}
}

// tiles chooses the tile by the number of values alive at once, so that they stay in the near caches.
func (e *emitter[T]) tiles() {
	l, n := e.l, len(e.pl.Loads)
	e.vals = make([]value, n+len(e.pl.Body))
	for v := range e.vals {
		e.vals[v] = value{same: int32(v), virt: -1, wide: -1, into: -1}
	}
	for i := range e.pl.Stores {
		e.vals[e.pl.Stores[i].Value].needed = true
	}
	l.cost = 2 * len(e.pl.Stores)
	for j := len(e.pl.Body) - 1; j >= 0; j-- {
		if in := &e.pl.Body[j]; e.vals[n+j].needed {
			for _, v := range operands(in) {
				e.vals[v].needed = true
			}
			l.cost += in.Op.Info().Flops
		}
	}
	for j := range e.pl.Body {
		if in := &e.pl.Body[j]; in.Op == ir.Cast && castTo[T](in.Type) == nil || in.Op == ir.Cast && !in.Round {
			e.vals[n+j].same = e.vals[in.A].same
		}
	}
	last := make([]int32, len(e.vals))
	for j := range e.pl.Body {
		if e.vals[n+j].needed {
			for _, v := range operands(&e.pl.Body[j]) {
				last[e.vals[v].same] = int32(j)
			}
		}
	}
	ends := make([]int32, len(e.pl.Body)+1)
	alive, most := 0, 0
	for j := range e.pl.Body {
		v := &e.vals[n+j]
		if !v.needed || int(v.same) != n+j || e.pl.Body[j].Op == ir.Const {
			continue
		}
		alive -= int(ends[j])
		alive++
		most = max(most, alive)
		ends[max(int(last[n+j]), j+1)]++
	}
	for v := range e.pl.Loads {
		if e.vals[v].needed {
			l.cost += 2
		}
	}
	size := 256
	bytes := typeOf[T]().Size()
	switch {
	case most*bytes <= 32:
		size = 1024
	case most*bytes <= 96:
		size = 512
	}
	if l.cols >= size {
		count := (l.cols + size - 1) / size
		l.high, l.wide = 1, min(l.cols, (((l.cols+count-1)/count)+15)&^15)
		return
	}
	l.high, l.wide = max(1, min(l.rows, size/max(1, l.cols))), l.cols
}

// classify finds what each value depends on.
func (e *emitter[T]) classify() {
	l, n := e.l, len(e.pl.Loads)
	classOf := func(byRow, byCol bool) class {
		switch {
		case l.points() == 1, byCol && (byRow || l.high == 1), byRow && l.cols == 1:
			return point
		case byCol:
			return col
		case byRow:
			return row
		}
		return unit
	}
	for i := range e.pl.Loads {
		x := &e.pl.Loads[i]
		if x.Buf == plan.Acc {
			e.vals[i].class = point
			continue
		}
		a := l.access(x.Offset, x.Strides)
		byRow, byCol := l.byRow(&a), l.byCol(&a)
		for _, g := range x.Guards {
			b := l.access(g.Start, g.Strides)
			byRow, byCol = byRow || l.byRow(&b), byCol || l.byCol(&b)
		}
		e.vals[i].class = classOf(byRow, byCol)
	}
	for j := range e.pl.Body {
		in := &e.pl.Body[j]
		v := &e.vals[n+j]
		if in.Op == ir.Normal || in.Op == ir.Uniform {
			a := l.access(in.Index.Offset, in.Index.Strides)
			v.class = classOf(l.byRow(&a), l.byCol(&a))
			continue
		}
		for _, a := range operands(in) {
			c := e.vals[a].class
			if c == row && v.class == col || c == col && v.class == row {
				c = point
			}
			v.class = max(v.class, c)
		}
	}
}

// moves finds the loads of whole numbers as long as T that are only stored as they are. They pass as bits, since T has
// not as many digits.
func (e *emitter[T]) moves() {
	n := len(e.pl.Loads)
	for i := range e.pl.Loads {
		if b := e.pl.Loads[i].Buf; b != plan.Acc {
			t := e.x.p.Buffers[b].Type
			e.vals[i].raw = (t == ir.Int64 || t == ir.Int || t == ir.Int32) && t.Size() == typeOf[T]().Size()
		}
	}
	for j := range e.pl.Body {
		for _, v := range operands(&e.pl.Body[j]) {
			e.vals[v].raw = false
		}
	}
	for i := range e.pl.Stores {
		s := &e.pl.Stores[i]
		if v := &e.vals[s.Value]; v.raw {
			v.raw = int(s.Value) < n && e.isPut(i) && e.x.p.Buffers[s.Buf].Type == e.x.p.Buffers[e.pl.Loads[s.Value].Buf].Type
		}
	}
}

// array is a buffer's memory as an array of T, whatever its type if it is raw; own is not nil if T can be read there.
func (e *emitter[T]) array(id plan.BufID, raw bool) (a array[T], own []T) {
	b := &e.x.p.Buffers[id]
	if raw {
		return arrayOf[T](e.x.mem, typeOf[T](), b.Offset, b.Count())
	}
	return arrayOf[T](e.x.mem, b.Type, b.Offset, b.Count())
}

// overlap reports whether two buffers share bytes.
func (e *emitter[T]) overlap(a, b plan.BufID) bool {
	if a < 0 || b < 0 {
		return false
	}
	x, y := &e.x.p.Buffers[a], &e.x.p.Buffers[b]
	return x.Offset < y.Offset+y.Bytes() && y.Offset < x.Offset+x.Bytes()
}

// loaded is the buffer that load i reads.
func (e *emitter[T]) loaded(i int) plan.BufID {
	if b := e.pl.Loads[i].Buf; b != plan.Acc {
		return b
	}
	return e.acc
}

// placeStores decides after which instruction each store comes, and which are computed in place: at their value's
// own, unless a load whose place it takes is read later.
func (e *emitter[T]) placeStores() {
	n := len(e.pl.Loads)
	e.after, e.next = make([]int32, len(e.pl.Body)+1), make([]int32, len(e.pl.Stores))
	for i := range e.after {
		e.after[i] = -1
	}
	last := make([]int32, n) // the last instruction that reads a load
	for v := range last {
		last[v] = -1
	}
	for j := range e.pl.Body {
		if e.vals[n+j].needed {
			for _, v := range operands(&e.pl.Body[j]) {
				if v = e.vals[v].same; int(v) < n {
					last[v] = int32(j)
				}
			}
		}
	}
	for i := len(e.pl.Stores) - 1; i >= 0; i-- {
		if i == e.stored {
			continue
		}
		s := &e.pl.Stores[i]
		v := e.vals[s.Value].same
		def := v - int32(n)
		at := max(def, -1)
		for k := range e.pl.Loads {
			if e.vals[k].needed && e.overlap(e.loaded(k), s.Buf) {
				at = max(at, last[k])
				if e.vals[k].class != point || e.storesLoad(k) {
					e.vals[k].copied = true
				}
			}
		}
		if e.isPut(i) && at == max(def, -1) && e.inPlace(s) && e.vals[v].class == point && e.vals[v].into < 0 {
			e.vals[v].into = int32(i)
		}
		e.next[i] = e.after[at+1]
		e.after[at+1] = int32(i)
	}
	for k := range e.pl.Loads {
		if e.vals[k].copied && e.vals[k].class == point {
			e.vals[k].into = -1
			e.early = append(e.early, int32(k))
		}
	}
}

// storesLoad reports whether a load is stored as it is.
func (e *emitter[T]) storesLoad(k int) bool {
	for i := range e.pl.Stores {
		if int(e.vals[e.pl.Stores[i].Value].same) == k {
			return true
		}
	}
	return false
}

// inPlace reports whether the points of a tile are consecutive elements of T.
func (e *emitter[T]) inPlace(s *plan.Store) bool {
	a := e.l.access(s.Offset, s.Strides)
	return (e.x.p.Buffers[s.Buf].Type == typeOf[T]() || e.vals[s.Value].raw) && e.tileStraight(&a)
}

func (e *emitter[T]) tileStraight(a *access) bool {
	return e.l.straight(a) || e.l.high == 1 && (a.cs == 1 || e.l.cols == 1)
}

// isPut reports whether store i only stores: a reduction of nothing does too.
func (e *emitter[T]) isPut(i int) bool {
	s := &e.pl.Stores[i]
	if s.Combine == plan.Set {
		return true
	}
	for d, n := range e.pl.Dims {
		if n != 1 && s.Strides[d] == 0 {
			return false
		}
	}
	return true
}

func (e *emitter[T]) newVirtual(c class) int32 {
	e.virt = append(e.virt, virtual{class: c, last: -1})
	return int32(len(e.virt) - 1)
}

// add appends an instruction of a class and notes what it reads.
func (e *emitter[T]) add(c class, in instr[T], reads ...int32) {
	at := int32(len(e.l.code[c]))
	for _, r := range reads {
		v := &e.virt[r]
		if v.class == c {
			v.last = max(v.last, at)
		} else {
			v.pinned = true
		}
	}
	e.l.code[c] = append(e.l.code[c], in)
}

// emit goes through the body.
func (e *emitter[T]) emit() error {
	n := len(e.pl.Loads)
	for _, v := range e.early {
		e.operand(v, point)
	}
	e.stores(-1)
	for j := range e.pl.Body {
		v := &e.vals[n+j]
		if v.needed && int(v.same) == n+j {
			if err := e.instr(j); err != nil {
				return err
			}
		}
		e.stores(j)
	}
	return nil
}

func (e *emitter[T]) stores(after int) {
	for i := e.after[after+1]; i >= 0; i = e.next[i] {
		e.store(int(i))
	}
}

// target is the virtual register that a value is computed in, the place of a store where it has one.
func (e *emitter[T]) target(v int32) int32 {
	val := &e.vals[v]
	if val.into < 0 {
		return e.newVirtual(val.class)
	}
	s := &e.pl.Stores[val.into]
	d := e.newVirtual(fixed)
	e.add(point, instr[T]{verb: doInto, d: d, at: e.put(s)})
	return d
}

func (e *emitter[T]) put(s *plan.Store) int32 {
	p := put[T]{access: e.l.access(s.Offset, s.Strides)}
	p.arr, p.mem = e.array(s.Buf, e.vals[s.Value].raw)
	e.l.walks = e.l.walks || !p.even
	e.l.puts = append(e.l.puts, p)
	return int32(len(e.l.puts) - 1)
}

func (e *emitter[T]) instr(j int) error {
	in := &e.pl.Body[j]
	v := int32(len(e.pl.Loads) + j)
	val := &e.vals[v]
	c := val.class
	f := &formsOf[T]()[in.Op]
	switch in.Op {
	case ir.Const:
		val.virt = e.constant(in.Imm)
	case ir.Normal, ir.Uniform:
		b := &e.x.p.Buffers[in.Run]
		d := draw[T]{access: e.l.access(in.Index.Offset, in.Index.Strides), class: c, normal: in.Op == ir.Normal,
			seed: in.Rand.Seed, draw: in.Rand.Draw, run: view[int64](e.x.mem, b.Offset, b.Count())}
		e.l.walks = e.l.walks || !d.even || !e.l.straight(&d.access)
		e.l.draws = append(e.l.draws, d)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doDraw, d: val.virt, at: int32(len(e.l.draws) - 1)})
	case ir.Cast:
		a := e.vector(in.A, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doUnary, d: val.virt, a: a, f1: castTo[T](in.Type)}, a)
	case ir.Where:
		a, x, y := e.vector(in.A, c), e.vector(in.B, c), e.vector(in.C, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doSelect, d: val.virt, a: a, b: x, c: y}, a, x, y)
	default:
		if f.unary != nil {
			a := e.vector(in.A, c)
			val.virt = e.target(v)
			e.add(c, instr[T]{verb: doUnary, d: val.virt, a: a, f1: f.unary}, a)
			return nil
		}
		if f.binary == nil {
			return fmt.Errorf("instruction %d: no code for %v", j, in.Op)
		}
		e.binary(v, in, f)
	}
	return nil
}

// binary emits an instruction of two operands, of which one may be a number.
func (e *emitter[T]) binary(v int32, in *plan.Instr, f *forms[T]) {
	val := &e.vals[v]
	c := val.class
	if c == unit { // both are: any form will do
		a, b := e.vector(in.A, c), e.vector(in.B, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doBinary, d: val.virt, a: a, b: b, f2: f.binary}, a, b)
		return
	}
	switch {
	case f.right != nil && e.scalar(in.B, c) && !e.scalar(in.A, c):
		a, s := e.vector(in.A, c), e.operand(in.B, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doScalar, d: val.virt, a: a, b: s, fs: f.right}, a, s)
	case f.left != nil && e.scalar(in.A, c) && !e.scalar(in.B, c):
		a, s := e.vector(in.B, c), e.operand(in.A, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doScalar, d: val.virt, a: a, b: s, fs: f.left}, a, s)
	default:
		a, b := e.vector(in.A, c), e.vector(in.B, c)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doBinary, d: val.virt, a: a, b: b, f2: f.binary}, a, b)
	}
}

// constant is the register of a number.
func (e *emitter[T]) constant(v float64) int32 {
	key := math.Float64bits(v)
	if r, ok := e.consts[key]; ok {
		return r
	}
	if e.consts == nil {
		e.consts = map[uint64]int32{}
	}
	r := e.newVirtual(fixed)
	e.consts[key] = r
	e.l.fixed = append(e.l.fixed, bound[T]{r, []T{T(v)}})
	return r
}

// scalar reports whether a value is one number for all points that class c computes at once.
func (e *emitter[T]) scalar(v int32, c class) bool {
	k := e.vals[e.vals[v].same].class
	return k != c && (k == unit || k == row && e.l.high == 1)
}

// operand is the register of a value as it is, for class c.
func (e *emitter[T]) operand(v int32, c class) int32 {
	v = e.vals[v].same
	if e.vals[v].virt < 0 {
		e.load(v)
	}
	return e.vals[v].virt
}

// vector is the register of a value for class c, element by element.
func (e *emitter[T]) vector(v int32, c class) int32 {
	v = e.vals[v].same
	r := e.operand(v, c)
	val := &e.vals[v]
	if val.class == c {
		return r
	}
	if c != point { // a number for all rows or columns
		d := e.newVirtual(c)
		e.add(c, instr[T]{verb: doFill, d: d, a: r}, r)
		return d
	}
	if val.wide >= 0 {
		return val.wide
	}
	d := e.newVirtual(point)
	val.wide = d
	switch {
	case val.class == row && e.l.high > 1:
		e.add(point, instr[T]{verb: doExpand, d: d, a: r}, r)
	case val.class == row:
		e.add(point, instr[T]{verb: doFill, d: d, a: r}, r)
	default: // once, for all tiles
		verb := doFill
		if val.class == col {
			verb = doRepeat
		}
		e.virt[d].pinned = true
		e.add(col, instr[T]{verb: verb, d: d, a: r}, r)
	}
	return d
}

// load emits load v.
func (e *emitter[T]) load(v int32) {
	x := &e.pl.Loads[v]
	val := &e.vals[v]
	c := val.class
	if x.Buf == plan.Acc {
		val.virt = e.newVirtual(fixed)
		e.add(c, instr[T]{verb: doAcc, d: val.virt})
		e.copyIf(v)
		return
	}
	ld := load[T]{access: e.l.access(x.Offset, x.Strides), class: c}
	ld.arr, ld.mem = e.array(x.Buf, val.raw)
	for _, g := range x.Guards {
		ld.guards = append(ld.guards, guard{e.l.access(g.Start, g.Strides), g.Step, g.Count})
	}
	e.l.walks = e.l.walks || !ld.even || len(ld.guards) > 0
	here := ld.mem != nil && len(ld.guards) == 0
	switch c {
	case unit:
		if here = here && !val.copied; here {
			val.virt = e.newVirtual(fixed)
			e.l.fixed = append(e.l.fixed, bound[T]{val.virt, ld.mem[ld.off : ld.off+1]})
			return
		}
	case col:
		here = here && ld.cs == 1
	case row:
		here = here && ld.even && ld.rs == 1
	case point:
		here = here && e.tileStraight(&ld.access)
	}
	e.l.loads = append(e.l.loads, ld)
	at := int32(len(e.l.loads) - 1)
	if !here {
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doLoad, d: val.virt, at: at})
		return
	}
	val.virt = e.newVirtual(fixed)
	e.add(c, instr[T]{verb: doHere, d: val.virt, at: at})
	e.copyIf(v)
}

// copyIf copies what is read in place and may not be, or is to be stored.
func (e *emitter[T]) copyIf(v int32) {
	val := &e.vals[v]
	if !val.copied && val.into < 0 {
		return
	}
	from := val.virt
	val.virt = e.target(v)
	e.add(val.class, instr[T]{verb: doUnary, d: val.virt, a: from, f1: func(dst, a []T) { copy(dst, a) }}, from)
}

// store emits store i, unless its value is computed in place.
func (e *emitter[T]) store(i int) {
	s := &e.pl.Stores[i]
	v := e.vals[s.Value].same
	if e.isPut(i) {
		r := e.vector(v, point)
		if int(e.vals[v].into) != i {
			e.add(point, instr[T]{verb: doPut, a: r, at: e.put(s)}, r)
		}
		return
	}
	for k := range e.l.reds {
		if e.l.reds[k].store == i {
			r := e.vector(v, point)
			e.add(point, instr[T]{verb: doReduce, a: r, at: int32(k)}, r)
		}
	}
}
