package cpu

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

func (e *emitter[T]) newVirtual(c class) int32 {
	e.virt = append(e.virt, virtual{class: c, last: -1})
	return int32(len(e.virt) - 1)
}

// add appends an instruction of a class and notes what it reads.
func (e *emitter[T]) add(c class, in instr[T], reads ...int32) {
	at := int32(len(e.code[c]))
	for _, r := range reads {
		v := &e.virt[r]
		if v.class == c {
			v.last = max(v.last, at)
		} else {
			v.pinned = true
		}
	}
	e.code[c] = append(e.code[c], in)
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
	arr, own := e.array(s.Buf, e.vals[s.Value].raw)
	if p.arr = arr; own != nil {
		p.mem = own.mem
	}
	e.l.walks = e.l.walks || !p.even
	e.puts = append(e.puts, p)
	return int32(len(e.puts) - 1)
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
			other: in.Type.Float() && in.Type != typeOf[T](),
			seed:  in.Rand.Seed, draw: in.Rand.Draw, run: view[int64](e.x.mem, b.Offset, b.Count())}
		e.x.fix(in.Run)
		e.l.walks = e.l.walks || !d.even || !e.l.straight(&d.access)
		e.draws = append(e.draws, d)
		val.virt = e.target(v)
		e.add(c, instr[T]{verb: doDraw, d: val.virt, at: int32(len(e.draws) - 1)})
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
			f1 := f.unary
			if g := e.once[int32(j)]; g != nil {
				f1 = g
			}
			a := e.vector(in.A, c)
			val.virt = e.target(v)
			e.add(c, instr[T]{verb: doUnary, d: val.virt, a: a, f1: f1}, a)
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
	e.fixed = append(e.fixed, bound[T]{r, []T{T(v)}})
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
	ld.arr, ld.own = e.array(x.Buf, val.raw)
	for _, g := range x.Guards {
		ld.guards = append(ld.guards, guard{e.l.access(g.Start, g.Strides), g.Step, g.Count})
	}
	e.l.walks = e.l.walks || !ld.even || len(ld.guards) > 0
	here := ld.own != nil && len(ld.guards) == 0
	switch c {
	case unit:
		if here = here && !val.copied; here && e.x.binding(x.Buf) == nil {
			val.virt = e.newVirtual(fixed)
			e.fixed = append(e.fixed, bound[T]{val.virt, ld.own.mem[ld.off : ld.off+1]})
			return
		}
	case col:
		here = here && ld.cs == 1
	case row:
		here = here && ld.even && ld.rs == 1
	case point:
		here = here && e.tileStraight(&ld.access)
	}
	e.loads = append(e.loads, ld)
	at := int32(len(e.loads) - 1)
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
