package emit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda"
)

// A trial is a loop in a program of its own. Its buffers: the run number, what it loads, what it stores.
type trial struct {
	p      *plan.Program
	l      *plan.Loop
	stores int // the first of the buffers stored
	sms    int
}

// buffer appends a buffer, in the place of another if over is not negative, and returns it.
func (r *trial) buffer(role plan.Role, t ir.DType, count, over int) plan.BufID {
	b := plan.Buffer{Role: role, Type: t, Shape: []int{count}, Over: plan.BufID(over), Node: -1, Offset: r.p.Arena}
	if over >= 0 {
		b.Offset = r.p.Buffers[over].Offset
	} else {
		r.p.Arena += (b.Bytes() + plan.Align - 1) / plan.Align * plan.Align
	}
	r.p.Buffers = append(r.p.Buffers, b)
	return plan.BufID(len(r.p.Buffers) - 1)
}

// spread gives strides of an array that has the dimensions in set, in some order, and its size.
func (r *trial) spread(rng *rand.Rand, set uint64, inOrder bool) (strides []int, count int) {
	strides, count = make([]int, len(r.l.Dims)), 1
	order := rng.Perm(len(r.l.Dims))
	if inOrder {
		slices.Sort(order)
	}
	for _, d := range slices.Backward(order) {
		if set>>d&1 == 1 {
			strides[d] = count
			count *= r.l.Dims[d]
		}
	}
	return strides, count
}

// exactOps have the same bits everywhere.
var exactOps = []ir.Op{ir.Neg, ir.Abs, ir.Sign, ir.Floor, ir.Ceil, ir.Square, ir.Recip, ir.Sqrt, ir.Add, ir.Sub,
	ir.Mul, ir.Max, ir.Min, ir.Lt, ir.Ge, ir.Eq, ir.And, ir.Or, ir.Not, ir.Where, ir.Cast, ir.Const, ir.Normal,
	ir.Uniform}

func newTrial(seed uint64) *trial {
	rng := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{1, 2, 3, 4, 5, 8, 12, 16, 17, 31, 32, 33, 64, 100, 128, 300, 1000, 5000, 20000}
	t := []ir.DType{ir.F32, ir.F64}[rng.IntN(2)]
	r := &trial{p: &plan.Program{}, l: &plan.Loop{Type: t}, sms: []int{132, 2}[rng.IntN(2)]}
	points := 1
	for range rng.IntN(5) {
		if n := sizes[rng.IntN(len(sizes))]; points*n <= 40000 {
			r.l.Dims = append(r.l.Dims, n)
			points *= n
		}
	}
	if n := 4; len(r.l.Dims) > 0 && rng.IntN(3) == 0 { // few neighbours, which a thread may take at once
		r.l.Dims = append(r.l.Dims, n)
		points *= n
	}
	all := uint64(1)<<len(r.l.Dims) - 1
	run := r.buffer(plan.Input, ir.Int64, 1, -1)
	full := -1
	for range 1 + rng.IntN(3) {
		t := r.l.Type
		if rng.IntN(5) == 0 {
			t = []ir.DType{ir.F32, ir.F64, ir.Int32, ir.Bool, ir.Int64, ir.Uint8}[rng.IntN(6)]
		}
		set := all
		if rng.IntN(2) == 0 {
			set &= rng.Uint64()
		}
		a := plan.Load{}
		var count int
		a.Strides, count = r.spread(rng, set, rng.IntN(4) > 0)
		switch rng.IntN(4) {
		case 0:
			a.Offset = rng.IntN(9)
			count += a.Offset + rng.IntN(4)
		case 1: // what a pad in front leaves out; or one element of so many
			if len(r.l.Dims) == 0 {
				break
			}
			d := rng.IntN(len(r.l.Dims))
			n := r.l.Dims[d]
			g := plan.Guard{Start: -rng.IntN(n), Strides: make([]int, len(r.l.Dims)), Step: 1 + rng.IntN(2), Count: n}
			g.Strides[d] = 1
			if g.Step == 1 {
				a.Offset = a.Strides[d] * g.Start
				g.Count = n + g.Start - rng.IntN(2)
			}
			a.Guards = append(a.Guards, g)
		}
		a.Buf = r.buffer(plan.Input, t, count, -1)
		if set == all && a.Guards == nil && a.Offset == 0 && count == points && t == r.l.Type {
			full = len(r.l.Loads)
		}
		r.l.Loads = append(r.l.Loads, a)
	}
	for range rng.IntN(8) {
		v := func() int32 { return int32(rng.IntN(len(r.l.Loads) + len(r.l.Body))) }
		n := plan.Instr{Op: exactOps[rng.IntN(len(exactOps))], A: v(), B: v(), C: v(), Type: r.l.Type, Node: -1}
		switch n.Op {
		case ir.Const:
			n.Imm = []float64{0, math.Copysign(0, -1), 0.1, -3, 1e30, math.Inf(-1), math.NaN(), 1e-42}[rng.IntN(8)]
		case ir.Cast:
			n.Round, n.Type = true, []ir.DType{ir.F32, ir.F64, ir.Int64, ir.Int32, ir.Uint8, ir.Bool}[rng.IntN(6)]
		case ir.Normal, ir.Uniform:
			n.Rand, n.Run = ir.Rand{Seed: rng.Uint64(), Draw: rng.Uint64()}, run
			n.Index = &plan.Load{Buf: -1, Offset: []int{0, 4, 1, 1 << 34}[rng.IntN(4)]}
			n.Index.Strides, _ = r.spread(rng, all, rng.IntN(4) > 0)
		}
		r.l.Body = append(r.l.Body, n)
	}
	r.stores = len(r.p.Buffers)
	values := len(r.l.Loads) + len(r.l.Body)
	for range 1 + rng.IntN(3) {
		s := plan.Store{Value: int32(values - 1 - rng.IntN(min(3, values)))}
		t, set, over := r.l.Type, all, -1
		if rng.IntN(2) == 0 {
			s.Combine = plan.Combine(1 + rng.IntN(4))
			set &^= 1 << rng.IntN(len(r.l.Dims)+1)
			if rng.IntN(2) == 0 {
				set &= rng.Uint64() | rng.Uint64()
			}
		}
		var count int
		s.Strides, count = r.spread(rng, set, rng.IntN(4) > 0)
		switch {
		case s.Combine != plan.Set:
		case full >= 0 && rng.IntN(2) == 0:
			s.Strides, over, full = r.l.Loads[full].Strides, int(r.l.Loads[full].Buf), -1
		case rng.IntN(4) == 0:
			t = []ir.DType{ir.F32, ir.F64, ir.Int32, ir.Bool, ir.Int64, ir.Uint8}[rng.IntN(6)]
		}
		if over < 0 && rng.IntN(4) == 0 {
			s.Offset = rng.IntN(9)
			count += s.Offset + rng.IntN(4)
		}
		s.Buf = r.buffer(plan.Output, t, count, over)
		r.l.Stores = append(r.l.Stores, s)
	}
	st := plan.Step{Name: fmt.Sprintf("#0 trial%d", seed), Loop: r.l}
	for i := range r.p.Buffers {
		if i < r.stores {
			st.Reads = append(st.Reads, plan.BufID(i))
		} else {
			st.Writes = append(st.Writes, plan.BufID(i))
		}
	}
	r.p.Steps = []plan.Step{st}
	return r
}

// fill gives a buffer its input.
func fill(rng *rand.Rand, t ir.DType, n int) any {
	x := ir.MakeSlice(t, n)
	special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.NaN(), 0x1p-149, 2.5}
	for i := range n {
		v := rng.NormFloat64()
		if rng.IntN(50) == 0 && n < 200 {
			v = special[rng.IntN(len(special))]
		}
		switch x := x.(type) {
		case []float32:
			x[i] = float32(v)
		case []float64:
			x[i] = v
		case []int64:
			x[i] = int64(1000 * rng.NormFloat64())
		case []int32:
			x[i] = int32(1000 * rng.NormFloat64())
		case []uint8:
			x[i] = uint8(rng.IntN(256))
		case []bool:
			x[i] = rng.IntN(2) == 0
		}
	}
	return x
}

// bytesOf are a slice's bytes.
func bytesOf(x any) []byte {
	switch x := x.(type) {
	case []float32:
		return view(x)
	case []float64:
		return view(x)
	case []int64:
		return view(x)
	case []int32:
		return view(x)
	case []uint8:
		return view(x)
	case []bool:
		return view(x)
	}
	panic(fmt.Sprintf("%T", x))
}

func view[T any](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(*new(T))))
}

func TestRandomLoops(t *testing.T) {
	needSimulator(t)
	count := uint64(60)
	if testing.Short() {
		count = 12
	}
	rows, sweeps := 0, 0
	for seed := range count {
		r := newTrial(seed)
		var forms [][]part
		var names []string
		e := &emitter{p: r.p, o: Options{SMs: r.sms, Shared: 48 << 10}, wide: seed%5 == 4}
		parts, err := e.loop(0, r.l)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(parts) > 1 {
			sweeps++
		}
		forms, names = append(forms, parts), append(names, "grid")
		n := 1
		for _, d := range r.l.Dims {
			for _, m := range []int{n, n * 2, n * d} {
				if q, ok := e.loopRows(0, r.l, m); ok && m <= 1000 && !slices.Contains(names, fmt.Sprint("rows ", m)) {
					forms, names = append(forms, []part{q}), append(names, fmt.Sprint("rows ", m))
					rows++
				}
			}
			n *= d
		}
		for i := range forms {
			if err := r.run(e, forms[i], seed); err != nil {
				t.Errorf("seed %d, %s, %v, %+v: %v\n%s", seed, names[i], r.l.Dims, r.l.Stores, err, forms[i][0].body)
			}
		}
	}
	t.Logf("%d loops, %d of them in several sweeps, and %d by rows", count, sweeps, rows)
	if !testing.Short() && (rows < 20 || sweeps < 5) {
		t.Errorf("%d by rows, %d in sweeps: too few to tell", rows, sweeps)
	}
}

// run runs parts one after the other, with the interpreter of steps as the measure.
func (r *trial) run(e *emitter, parts []part, seed uint64) error {
	var sources []simcuda.Source
	var launches []Launch
	var threads []int
	for i := range parts {
		g := group{lanes: []lane{{parts: parts[i : i+1]}}}
		k, args := g.kernel()
		text, err := Text([]Kernel{{Files: k.Files}})
		if err != nil {
			return err
		}
		sources = append(sources, simcuda.Source{Name: k.Name, Text: k.Source,
			Files: []simcuda.File{{Name: fmt.Sprint(k.Files), Text: text}}})
		launches, threads = append(launches, Launch{Blocks: g.blocks(), Args: args}), append(threads, k.Threads)
	}
	kernels, err := simcuda.Build(sources)
	if err != nil {
		return err
	}
	x, err := ref.Planned().Compile(r.p)
	if err != nil {
		return err
	}
	defer x.Close()
	arena, err := simcuda.NewMemory(r.p.Arena)
	if err != nil {
		return err
	}
	defer arena.Free()
	scratch, err := simcuda.NewMemory(max(e.scratch, 8))
	if err != nil {
		return err
	}
	defer scratch.Free()
	clear(scratch.Bytes())
	scratch.Written(0, len(scratch.Bytes()))
	rng := rand.New(rand.NewPCG(seed, 1))
	for run := range 2 {
		for i := range r.p.Buffers[:r.stores] {
			b := &r.p.Buffers[i]
			v := fill(rng, b.Type, b.Count())
			if err := x.Write(plan.BufID(i), v); err != nil {
				return err
			}
			copy(arena.Bytes()[b.Offset:], bytesOf(v))
			arena.Written(b.Offset, b.Offset+b.Bytes())
		}
		if err := x.Run(nil); err != nil {
			return err
		}
		for i, k := range kernels {
			var bits []uint64
			for _, a := range launches[i].Args {
				switch a.Kind {
				case Buffer:
					bits = append(bits, uint64(uintptr(arena.Pointer()))+uint64(r.p.Buffers[a.Buf].Offset+a.Offset))
				case Scratch:
					bits = append(bits, uint64(uintptr(scratch.Pointer()))+uint64(a.Offset))
				case Value:
					bits = append(bits, a.Value)
				}
			}
			if err := k.LaunchBits(launches[i].Blocks, threads[i], seed+uint64(run), bits); err != nil {
				return err
			}
		}
		for i := range r.l.Stores {
			if err := r.compare(x.Read, arena.Bytes(), &r.l.Stores[i]); err != nil {
				return fmt.Errorf("run %d, store %d: %w", run, i, err)
			}
		}
	}
	return nil
}

// compare compares what a store wrote: bits, but for sums and products, which are rounded once or a few times.
func (r *trial) compare(read func(b plan.BufID, dst any) error, arena []byte, s *plan.Store) error {
	b := &r.p.Buffers[s.Buf]
	want, got := ir.MakeSlice(b.Type, b.Count()), ir.MakeSlice(b.Type, b.Count())
	if err := read(s.Buf, want); err != nil {
		return err
	}
	copy(bytesOf(got), arena[b.Offset:])
	terms, results := 1, []int{s.Offset}
	for d, n := range r.l.Dims {
		if s.Strides[d] == 0 {
			terms *= n
			continue
		}
		var next []int
		for _, k := range results {
			for i := range n {
				next = append(next, k+i*s.Strides[d])
			}
		}
		results = next
	}
	eps := 0.0
	switch s.Combine {
	case plan.Sum:
		eps = 1
	case plan.ProdOf:
		eps = 1
		if r.l.Type == ir.F64 {
			eps = float64(terms) // in double, with a rounding per factor
		}
	}
	for _, k := range results {
		var w, g float64
		unit := 0x1p-52
		switch want := want.(type) {
		case []float32:
			w, g, unit = float64(want[k]), float64(got.([]float32)[k]), 0x1p-23
		case []float64:
			w, g = want[k], got.([]float64)[k]
		default:
			size := b.Type.Size()
			if x, y := bytesOf(want)[k*size:(k+1)*size], bytesOf(got)[k*size:(k+1)*size]; !slices.Equal(x, y) {
				return fmt.Errorf("element %d is %v, want %v", k, y, x)
			}
			continue
		}
		tol := eps * (unit*math.Abs(w) + unit*unit*float64(terms)*1e4)
		switch {
		case w != w || g != g:
			if w != w && g != g {
				continue
			}
		case eps == 0 && math.Float64bits(w) == math.Float64bits(g), eps > 0 && (w == g || math.Abs(w-g) <= tol):
			continue
		}
		return fmt.Errorf("element %d is %v, want %v", k, g, w)
	}
	return nil
}
