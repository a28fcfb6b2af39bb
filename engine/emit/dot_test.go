package emit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/simcuda"
	"github.com/godcem/godcem/internal/simcuda/simtest"
)

// A dotTrial is a dot in a program of its own. All numbers are small and whole, so that every order of its sums has
// the same bits.
type dotTrial struct {
	p      *plan.Program
	d      *plan.Dot
	inputs int
}

func (r *dotTrial) buffer(role plan.Role, count, over int) plan.BufID {
	b := plan.Buffer{Role: role, Type: r.d.Type, Shape: []int{count}, Over: plan.BufID(over), Node: -1,
		Offset: r.p.Arena}
	if over >= 0 {
		b.Offset = r.p.Buffers[over].Offset
	} else {
		r.p.Arena += (b.Bytes() + plan.Align - 1) / plan.Align * plan.Align
	}
	r.p.Buffers = append(r.p.Buffers, b)
	return plan.BufID(len(r.p.Buffers) - 1)
}

// operand is one of rows x cols, in a buffer that may be wider and hold more.
func (r *dotTrial) operand(rng *rand.Rand, rows, cols int) plan.Operand {
	o := plan.Operand{Trans: rng.IntN(2) == 0}
	if o.Trans {
		rows, cols = cols, rows
	}
	o.Ld = cols + []int{0, 0, 4, 1}[rng.IntN(4)]
	o.Offset = []int{0, 0, 4, 3}[rng.IntN(4)]
	n := rows * o.Ld
	if r.d.Batch > 1 && rng.IntN(2) == 0 {
		o.Batch = n
		n *= r.d.Batch
	}
	o.Buf = r.buffer(plan.Input, o.Offset+n, -1)
	return o
}

func newDotTrial(seed uint64) *dotTrial {
	rng := rand.New(rand.NewPCG(seed, 2))
	size := func(sizes ...int) int { return sizes[rng.IntN(len(sizes))] }
	d := &plan.Dot{Type: []ir.DType{ir.F32, ir.F64}[rng.IntN(2)], Batch: size(1, 1, 1, 3),
		M: size(1, 2, 3, 4, 7, 16, 20, 33, 64, 100, 130), N: size(1, 2, 3, 4, 8, 12, 16, 33, 64, 100, 128),
		K: size(0, 1, 2, 5, 8, 16, 31, 64, 100, 128, 300, 600, 600)}
	r := &dotTrial{p: &plan.Program{}, d: d}
	d.A, d.B = r.operand(rng, d.M, d.K), r.operand(rng, d.K, d.N)
	rows := d.Batch * d.M
	l := &d.Epilogue
	l.Type, l.Dims = d.Type, []int{rows, d.N}
	l.Loads = append(l.Loads, plan.Load{Buf: plan.Acc, Strides: []int{d.N, 1}})
	full := plan.BufID(-1)
	for range rng.IntN(4) {
		a := plan.Load{}
		switch rng.IntN(5) {
		case 0:
			a.Buf, a.Strides = r.buffer(plan.Input, d.N, -1), []int{0, 1}
		case 1:
			a.Buf, a.Strides = r.buffer(plan.Input, rows, -1), []int{1, 0}
		case 2:
			a.Buf, a.Strides = r.buffer(plan.Input, rows*d.N, -1), []int{1, rows}
		case 3:
			a.Buf, a.Strides = r.buffer(plan.Input, 1, -1), []int{0, 0}
		case 4:
			a.Buf, a.Strides = r.buffer(plan.Input, rows*d.N, -1), []int{d.N, 1}
			full = a.Buf
			if rng.IntN(4) == 0 {
				a.Guards, full = []plan.Guard{{Start: -1, Strides: []int{0, 1}, Step: 1, Count: d.N - 1}}, -1
			}
		}
		l.Loads = append(l.Loads, a)
	}
	ops := []ir.Op{ir.Add, ir.Sub, ir.Max, ir.Min, ir.Neg}
	for range rng.IntN(4) {
		v := func() int32 { return int32(rng.IntN(len(l.Loads) + len(l.Body))) }
		l.Body = append(l.Body, plan.Instr{Op: ops[rng.IntN(len(ops))], A: v(), B: v(), C: -1, Type: d.Type, Node: -1})
	}
	r.inputs = len(r.p.Buffers)
	values := len(l.Loads) + len(l.Body)
	for i := range 1 + rng.IntN(3) {
		s := plan.Store{Value: int32(rng.IntN(values))}
		if i == 0 {
			s.Value = 0
		}
		over := -1
		if rng.IntN(2) == 0 {
			s.Combine = []plan.Combine{plan.Sum, plan.MaxOf, plan.MinOf}[rng.IntN(3)]
		}
		form := rng.IntN(4)
		if s.Combine == plan.Set {
			form = 3 - rng.IntN(2)
		}
		count := 1
		switch {
		case form == 0:
			s.Strides = []int{0, 0}
		case form == 1:
			s.Strides, count = []int{0, 1}, d.N
		case form == 2 && s.Combine != plan.Set:
			s.Strides, count = []int{1, 0}, rows
		case form == 2:
			s.Strides, count = []int{1, rows}, rows*d.N
		default:
			s.Strides, count = []int{d.N, 1}, rows*d.N
			if full >= 0 && s.Combine == plan.Set {
				over, full = int(full), -1
			}
		}
		s.Buf = r.buffer(plan.Output, count, over)
		l.Stores = append(l.Stores, s)
	}
	st := plan.Step{Name: fmt.Sprintf("#0 trial%d", seed), Dot: d}
	for i := range r.p.Buffers {
		if i < r.inputs {
			st.Reads = append(st.Reads, plan.BufID(i))
		} else {
			st.Writes = append(st.Writes, plan.BufID(i))
		}
	}
	r.p.Steps = []plan.Step{st}
	return r
}

// wholes are small whole numbers of a type.
func wholes(rng *rand.Rand, t ir.DType, n int) any {
	x := ir.MakeSlice(t, n)
	for i := range n {
		v := rng.IntN(7) - 3
		switch x := x.(type) {
		case []float32:
			x[i] = float32(v)
		case []float64:
			x[i] = float64(v)
		}
	}
	return x
}

// dotKinds are what tilings do differently.
var dotKinds = []struct {
	name string
	is   func(t *tiling) bool
}{
	{"one group", func(t *tiling) bool { return t.sk == 1 }},
	{"groups", func(t *tiling) bool { return t.sk > 1 }},
	{"few slices", func(t *tiling) bool { return t.slices > 1 && t.slices <= 8 }},
	{"many slices", func(t *tiling) bool { return t.slices > 8 }},
	{"cut chains", func(t *tiling) bool { return t.long }},
}

// needSimulation skips where there is no C++ compiler.
func needSimulation(t *testing.T) {
	simtest.Need(t, simcuda.Available())
}

// TestLargeProducts: what 32-bit numbers do not count is refused, not done wrongly.
func TestLargeProducts(t *testing.T) {
	const large = 1<<32 + 128
	for _, c := range []struct {
		batch, m, n, k int
		want           string // "": it passes
	}{
		{1, 1, 1, large, "4294967424 terms"},
		{1, large, 1, 1, "4294967424 rows"},
		{1, 1, large, 1, "4294967424 columns"},
		{large, 1, 1, 1, "4294967424 matrices"},
		{1 << 16, 1 << 16, 1, 1, "4294967296 rows"},
		{1, 1 << 20, 1 << 20, 1 << 20, ""},
		{1, 1 << 30, 1 << 30, 1, "tiles, want at most 2147483647"},
		{1, 1, 1, 1<<31 - 2048, ""},
	} {
		d := &plan.Dot{Type: ir.F32, Batch: c.batch, M: c.m, N: c.n, K: c.k}
		d.A.Ld, d.B.Ld, d.B.Buf = c.k, c.n, 1
		d.Epilogue = plan.Loop{Type: ir.F32, Dims: []int{c.batch * c.m, c.n},
			Loads:  []plan.Load{{Buf: plan.Acc, Strides: []int{c.n, 1}}},
			Stores: []plan.Store{{Buf: 2, Strides: []int{c.n, 1}}}}
		buffer := func(n int) plan.Buffer { return plan.Buffer{Type: ir.F32, Shape: []int{n}, Over: -1, Node: -1} }
		p := &plan.Program{Buffers: []plan.Buffer{buffer(c.batch * c.m * c.k), buffer(c.batch * c.k * c.n),
			buffer(c.batch * c.m * c.n)},
			Steps: []plan.Step{{Name: "#0 dot", Dot: d, Reads: []plan.BufID{0, 1}, Writes: []plan.BufID{2}}}}
		_, err := New(p, Options{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d x (%d,%d,%d): %v, want %q", c.batch, c.m, c.k, c.n, err, c.want)
		}
	}
}

// TestTilings runs random products in random tilings, far from all of which would be chosen for them.
func TestTilings(t *testing.T) {
	needSimulation(t)
	count := uint64(60)
	if testing.Short() {
		count = 6
	}
	seen := map[string]int{}
	for seed := range count {
		r := newDotTrial(seed)
		e := &emitter{p: r.p, o: Options{SMs: 132, Shared: 48 << 10}, wide: seed%5 == 4}
		if err := e.checkDot(r.d); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		all := slices.Collect(e.tilingsOf(r.d, 128))
		all = append(all, slices.Collect(e.tilingsOf(r.d, 256))...)
		chosen := []tiling{e.tilingFor(r.d, dotThreads)}
		for _, kind := range dotKinds {
			if of := slices.DeleteFunc(slices.Clone(all), func(t tiling) bool { return !kind.is(&t) }); len(of) > 0 {
				chosen = append(chosen, of[rng.IntN(len(of))])
			}
		}
		var parts []part
		for _, c := range chosen {
			parts = append(parts, e.dotPart(0, r.d, c))
			for _, kind := range dotKinds {
				if kind.is(&c) {
					seen[kind.name]++
				}
			}
		}
		if i, err := r.run(e, parts, seed); err != nil {
			t.Errorf("seed %d, %d x (%d,%d,%d), %+v: %v\n%+v\n%s", seed, r.d.Batch, r.d.M, r.d.K, r.d.N, chosen[i], err,
				r.d.Epilogue.Stores, parts[i].body)
		}
	}
	t.Log(seen)
	for _, kind := range dotKinds {
		if seen[kind.name] == 0 {
			t.Errorf("no tiling with %s", kind.name)
		}
	}
}

// run runs each of the parts, which all do the same, and compares their results with the interpreter's. It returns
// the number of the one that fails.
func (r *dotTrial) run(e *emitter, parts []part, seed uint64) (int, error) {
	var sources []simcuda.Source
	var args [][]Arg
	for i := range parts {
		g := group{lanes: []lane{{parts: parts[i : i+1]}}}
		k, a := g.kernel()
		text, err := Text([]Kernel{{Files: k.Files}})
		if err != nil {
			return i, err
		}
		sources = append(sources, simcuda.Source{Name: k.Name, Text: k.Source,
			Files: []simcuda.File{{Name: fmt.Sprint(k.Files), Text: text}}})
		args = append(args, a)
	}
	kernels, err := simcuda.Build(sources)
	if err != nil {
		return 0, err
	}
	x, err := ref.Planned().Compile(r.p)
	if err != nil {
		return 0, err
	}
	defer x.Close()
	rng := rand.New(rand.NewPCG(seed, 4))
	var inputs []any
	for i := range r.p.Buffers[:r.inputs] {
		b := &r.p.Buffers[i]
		inputs = append(inputs, wholes(rng, b.Type, b.Count()))
		if err := x.Write(plan.BufID(i), inputs[i]); err != nil {
			return 0, err
		}
	}
	if err := x.Run(nil); err != nil {
		return 0, err
	}
	scratch, err := simcuda.NewMemory(max(e.scratch, 8))
	if err != nil {
		return 0, err
	}
	defer scratch.Free()
	clear(scratch.Bytes())
	scratch.Written(0, len(scratch.Bytes()))
	for i, k := range kernels {
		for run := range uint64(2) { // the second finds the scratch memory as the first left it
			if err := r.launch(k, parts[i], args[i], scratch, inputs, x.Read, seed+run); err != nil {
				return i, fmt.Errorf("run %d: %w", run, err)
			}
		}
	}
	return 0, nil
}

// launch runs one kernel in new memory.
func (r *dotTrial) launch(k *simcuda.Kernel, q part, args []Arg, scratch *simcuda.Memory, inputs []any,
	read func(plan.BufID, any) error, seed uint64) error {
	arena, err := simcuda.NewMemory(r.p.Arena)
	if err != nil {
		return err
	}
	defer arena.Free()
	for i, v := range inputs {
		b := &r.p.Buffers[i]
		copy(arena.Bytes()[b.Offset:], bytesOf(v))
		arena.Written(b.Offset, b.Offset+b.Bytes())
	}
	var bits []uint64
	for _, a := range args {
		switch a.Kind {
		case Buffer:
			bits = append(bits, uint64(uintptr(arena.Pointer()))+uint64(r.p.Buffers[a.Buf].Offset+a.Offset))
		case Scratch:
			bits = append(bits, uint64(uintptr(scratch.Pointer()))+uint64(a.Offset))
		case Value:
			bits = append(bits, a.Value)
		}
	}
	if err := k.LaunchBits(q.blocks, q.threads, seed, bits); err != nil {
		return err
	}
	for i := r.inputs; i < len(r.p.Buffers); i++ {
		b := &r.p.Buffers[i]
		want, got := ir.MakeSlice(b.Type, b.Count()), ir.MakeSlice(b.Type, b.Count())
		if err := read(plan.BufID(i), want); err != nil {
			return err
		}
		copy(bytesOf(got), arena.Bytes()[b.Offset:])
		for k := range b.Count() {
			if w, g := element(want, k), element(got, k); !(w == g) {
				return fmt.Errorf("store %d: element %d is %v, want %v", i-r.inputs, k, g, w)
			}
		}
	}
	return nil
}

func element(x any, k int) float64 {
	if f, ok := x.([]float32); ok {
		return float64(f[k])
	}
	return x.([]float64)[k]
}
