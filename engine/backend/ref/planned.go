package ref

import (
	"fmt"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

// Planned returns a device that does a program's steps as the comments of package plan's types say, one point after
// the other, in one arena with the planned places: where New is the meaning of a graph, this is that of a program.
// What it does not compute right while New does was planned wrongly. Before every run NaN goes into all Temp buffers.
func Planned() backend.Device { return planned{} }

type planned struct{}

func (planned) Info() backend.Info {
	return backend.Info{Name: "planned", Model: "interpreter of steps", Threads: 1,
		Detail: "float64, rounded to each step's type"}
}

func (planned) Close() error { return nil }

// Compile implements backend.Device.
func (planned) Compile(p *plan.Program) (backend.Executable, error) {
	e := &stepper{p: p, arena: make([]uint64, p.Arena/8+1), optimizers: make([]update, len(p.Steps))}
	e.buffers = make([]any, len(p.Buffers))
	for i := range p.Buffers {
		b := &p.Buffers[i]
		if b.Offset < 0 || b.Offset%plan.Align != 0 || b.Offset+b.Bytes() > p.Arena {
			return nil, fmt.Errorf("planned: buffer %d of %d bytes at %d of an arena of %d", i, b.Bytes(), b.Offset, p.Arena)
		}
		e.buffers[i] = view(e.arena, b.Offset, b.Type, b.Count())
		if b.Role == plan.Const {
			fromSlice(b.Data).store(e.buffers[i])
		}
	}
	for i := range p.Steps {
		if u := p.Steps[i].Update; u != nil {
			e.optimizers[i] = update{f32: state[float32](e.buffers, u), f64: state[float64](e.buffers, u)}
		}
	}
	return e, nil
}

// view is a part of an arena as a slice.
func view(arena []uint64, offset int, t ir.DType, n int) any {
	at := unsafe.Add(unsafe.Pointer(&arena[0]), offset)
	switch t {
	case ir.F32:
		return unsafe.Slice((*float32)(at), n)
	case ir.F64:
		return unsafe.Slice((*float64)(at), n)
	case ir.Int64:
		return unsafe.Slice((*int64)(at), n)
	case ir.Int:
		return unsafe.Slice((*int)(at), n)
	case ir.Int32:
		return unsafe.Slice((*int32)(at), n)
	case ir.Uint8:
		return unsafe.Slice((*uint8)(at), n)
	case ir.Bool:
		return unsafe.Slice((*bool)(at), n)
	}
	panic(fmt.Sprintf("ref: element type %v", t))
}

type stepper struct {
	p          *plan.Program
	arena      []uint64
	buffers    []any    // views of the arena
	optimizers []update // by step
	closed     bool
}

// load is element k of a buffer as a number.
func load(buffer any, k int) float64 {
	switch d := buffer.(type) {
	case []float32:
		return float64(d[k])
	case []float64:
		return d[k]
	case []int64:
		return float64(d[k])
	case []int:
		return float64(d[k])
	case []int32:
		return float64(d[k])
	case []uint8:
		return float64(d[k])
	case []bool:
		return number01(d[k])
	}
	panic(fmt.Sprintf("ref: load from a %T", buffer))
}

// put stores a number as element k of a buffer.
func put(buffer any, k int, x float64) {
	switch d := buffer.(type) {
	case []float32:
		d[k] = float32(x)
	case []float64:
		d[k] = x
	case []int64:
		d[k] = int64(x)
	case []int:
		d[k] = int(x)
	case []int32:
		d[k] = int32(int64(x))
	case []uint8:
		d[k] = uint8(int64(x))
	case []bool:
		d[k] = x != 0
	default:
		panic(fmt.Sprintf("ref: store to a %T", buffer))
	}
}

// Run implements backend.Executable.
func (e *stepper) Run(watch func(step int) error) error {
	if e.closed {
		return fmt.Errorf("planned: run: the executable is closed")
	}
	for i := range e.p.Buffers {
		if b := &e.p.Buffers[i]; b.Role == plan.Temp {
			words := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&e.arena[0]), b.Offset)), b.Bytes())
			for k := range words {
				words[k] = 0xff // a NaN of either type
			}
		}
	}
	for i := range e.p.Steps {
		if err := e.step(i); err != nil {
			return fmt.Errorf("planned: %s: %w", e.p.Steps[i].Name, err)
		}
		if watch != nil {
			if err := watch(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *stepper) step(i int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s := &e.p.Steps[i]
	switch {
	case s.Loop != nil:
		e.loop(s.Loop, nil)
	case s.Dot != nil:
		e.loop(&s.Dot.Epilogue, s.Dot)
	case s.Custom != nil:
		in := make([]any, len(s.Custom.In))
		for k, b := range s.Custom.In {
			in[k] = e.buffers[b]
		}
		return s.Custom.Kernel.Run(e.buffers[s.Custom.Out], in)
	case s.Update != nil:
		return e.update(s.Update, &e.optimizers[i])
	default:
		return fmt.Errorf("a step without a kernel")
	}
	return nil
}

func at(offset int, strides, index []int) int {
	for d, s := range strides {
		offset += s * index[d]
	}
	return offset
}

func holds(guards []plan.Guard, index []int) bool {
	for _, g := range guards {
		x := at(g.Start, g.Strides, index)
		if x < 0 || x%g.Step != 0 || x/g.Step >= g.Count {
			return false
		}
	}
	return true
}

// An accumulator is an element of a combining store.
type accumulator struct {
	begun bool
	sum   sum
	x     float64 // of the other ways
}

func (a *accumulator) add(how plan.Combine, x float64) {
	switch {
	case how == plan.Sum:
		a.sum.add(x)
		a.x = a.sum.value()
	case !a.begun:
		a.x = x
	case how == plan.MaxOf:
		a.x = max(a.x, x)
	case how == plan.MinOf:
		a.x = min(a.x, x)
	case how == plan.ProdOf:
		a.x *= x
	}
	a.begun = true
}

// loop does a loop; of d, if not nil, it is the epilogue, whose products are computed point by point.
func (e *stepper) loop(l *plan.Loop, d *plan.Dot) {
	v := make([]float64, len(l.Loads)+len(l.Body))
	parts := make([][]accumulator, len(l.Stores))
	for i, s := range l.Stores {
		if s.Combine != plan.Set {
			parts[i] = make([]accumulator, e.p.Buffers[s.Buf].Count())
		}
	}
	round := func(x float64) float64 {
		if l.Type == ir.F32 {
			return float64(float32(x))
		}
		return x
	}
	operand := func(k int32) float64 {
		if k < 0 {
			return 0
		}
		return v[k]
	}
	each(l.Dims, func(index []int, _ int) {
		for i := range l.Loads {
			a := &l.Loads[i]
			switch {
			case !holds(a.Guards, index):
				v[i] = 0
			case a.Buf == plan.Acc:
				v[i] = round(e.product(d, at(a.Offset, a.Strides, index)))
			default:
				v[i] = round(load(e.buffers[a.Buf], at(a.Offset, a.Strides, index)))
			}
		}
		for i := range l.Body {
			n := &l.Body[i]
			r := &v[len(l.Loads)+i]
			switch n.Op {
			case ir.Const:
				*r = round(n.Imm)
			case ir.Normal, ir.Uniform:
				*r = round(element(n, uint64(load(e.buffers[n.Run], 0)), at(n.Index.Offset, n.Index.Strides, index)))
			case ir.Cast:
				one := newValue(n.Type, 1)
				one.set(0, operand(n.A), true)
				*r = round(one.at(0))
			default:
				*r = round(n.Op.Info().F(operand(n.A), operand(n.B), operand(n.C)))
			}
		}
		for i, s := range l.Stores {
			k := at(s.Offset, s.Strides, index)
			if s.Combine == plan.Set {
				put(e.buffers[s.Buf], k, v[s.Value])
			} else {
				parts[i][k].add(s.Combine, v[s.Value])
			}
		}
	})
	for i, s := range l.Stores {
		for k := range parts[i] {
			if parts[i][k].begun {
				put(e.buffers[s.Buf], k, round(parts[i][k].x))
			}
		}
	}
}

// product is element k, row-major in (Batch*M, N), of a dot.
func (e *stepper) product(d *plan.Dot, k int) float64 {
	b, i, j := k/(d.M*d.N), k/d.N%d.M, k%d.N
	from := func(o plan.Operand, r, c int) float64 {
		if o.Trans {
			r, c = c, r
		}
		return load(e.buffers[o.Buf], o.Offset+b*o.Batch+r*o.Ld+c)
	}
	var acc sum
	for k := range d.K {
		acc.addProduct(from(d.A, i, k), from(d.B, k, j))
	}
	return acc.value()
}

// element is one of a draw.
func element(n *plan.Instr, run uint64, k int) float64 {
	fill := func(x any) {
		switch x := x.(type) {
		case []float32:
			if n.Op == ir.Normal {
				kernels.Normal(x, n.Rand.Seed, n.Rand.Draw, run, k)
			} else {
				kernels.Uniform(x, n.Rand.Seed, n.Rand.Draw, run, k)
			}
		case []float64:
			if n.Op == ir.Normal {
				kernels.Normal(x, n.Rand.Seed, n.Rand.Draw, run, k)
			} else {
				kernels.Uniform(x, n.Rand.Seed, n.Rand.Draw, run, k)
			}
		}
	}
	x := ir.MakeSlice(n.Type, 1)
	fill(x)
	return load(x, 0)
}

func (e *stepper) update(s *plan.Update, u *update) error {
	loss := 0.0
	if s.Loss >= 0 {
		loss = load(e.buffers[s.Loss], 0)
	}
	pick := func(ids []plan.BufID) (arrays []any) {
		for _, b := range ids {
			arrays = append(arrays, e.buffers[b])
		}
		return arrays
	}
	return u.step(s, e.buffers, loss, pick(s.Params), pick(s.Grads))
}

// buffer checks that the host may name a buffer.
func (e *stepper) buffer(what string, b plan.BufID, data any) error {
	if e.closed {
		return fmt.Errorf("planned: %s: the executable is closed", what)
	}
	if b < 0 || int(b) >= len(e.buffers) || e.p.Buffers[b].Role == plan.Temp {
		return fmt.Errorf("planned: %s of buffer %d of %d, which is none or does not outlive a run", what, b,
			len(e.buffers))
	}
	want := &e.p.Buffers[b]
	if t, n := ir.DataType(data); t != want.Type || n != want.Count() {
		return fmt.Errorf("planned: %s of buffer %d with a %T of %d elements, want %v %v", what, b, data, n, want.Type,
			want.Shape)
	}
	return nil
}

// Write implements backend.Executable.
func (e *stepper) Write(b plan.BufID, src any) error {
	if err := e.buffer("write", b, src); err != nil {
		return err
	}
	fromSlice(src).store(e.buffers[b])
	return nil
}

// Read implements backend.Executable.
func (e *stepper) Read(b plan.BufID, dst any) error {
	if err := e.buffer("read", b, dst); err != nil {
		return err
	}
	fromSlice(e.buffers[b]).store(dst)
	return nil
}

// Memory implements backend.Executable.
func (e *stepper) Memory(b plan.BufID) any {
	if e.closed || b < 0 || int(b) >= len(e.buffers) || e.p.Buffers[b].Role == plan.Temp {
		return nil
	}
	return e.buffers[b]
}

// Sync implements backend.Executable.
func (e *stepper) Sync() error { return nil }

// Close implements backend.Executable.
func (e *stepper) Close() error {
	e.closed = true
	return nil
}
