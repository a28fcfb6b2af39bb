package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// bench times runs of a program; flops and bytes are of one.
func bench(b *testing.B, m *maker, bytes int) {
	e, err := New().Compile(&m.p)
	if err != nil {
		b.Fatal(err)
	}
	x := e.(*executable)
	for i := range m.p.Buffers {
		if m.p.Buffers[i].Role == plan.Input {
			fill(x.slices[i], rand.New(rand.NewPCG(1, 2)))
		}
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	least(b, func() {
		if err := x.Run(nil); err != nil {
			b.Fatal(err)
		}
	})
}

// least reports the least time of a call too: what others do on the machine lengthens the mean more.
func least(b *testing.B, f func()) {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(best.Nanoseconds()), "least-ns/op")
}

const benchRows, benchCols = 10000, 128

func biasSoftplus(d *plan.Loop, acc plan.BufID, m *maker) {
	d.Loads = []plan.Load{loadOf(acc, benchCols, 1), loadOf(m.buffer(plan.Input, ir.F32, benchCols), 0, 1)}
	d.Body = []plan.Instr{instrOf(ir.Add, 0, 1), instrOf(ir.Softplus, 2)}
	for v := range int32(2) {
		d.Stores = append(d.Stores, storeOf(2+v, m.buffer(plan.Output, ir.F32, benchRows, benchCols), benchCols, 1))
	}
}

func BenchmarkBiasSoftplus(b *testing.B) {
	m := &maker{}
	l := plan.Loop{Type: ir.F32, Dims: []int{benchRows, benchCols}}
	biasSoftplus(&l, m.buffer(plan.Input, ir.F32, benchRows, benchCols), m)
	m.loop(l)
	bench(b, m, 3*4*benchRows*benchCols)
}

// BenchmarkSoftplusAlone is the floor of the one above: the function over tiles.
func BenchmarkSoftplusAlone(b *testing.B) {
	x, y := make([]float32, 1024), make([]float32, 1024)
	fill(x, rand.New(rand.NewPCG(1, 2)))
	b.SetBytes(4 * benchRows * benchCols)
	least(b, func() {
		for range benchRows * benchCols / 1024 {
			vec.Softplus(y, x)
		}
	})
}

func BenchmarkSample(b *testing.B) { // X = clamp(mu + sigma*eps)
	m := &maker{}
	run := m.buffer(plan.Input, ir.Int64)
	dims := []int{100, 100, 20}
	l := plan.Loop{Type: ir.F32, Dims: dims, Loads: []plan.Load{
		loadOf(m.buffer(plan.Input, ir.F32, 100, 20), 20, 0, 1), loadOf(m.buffer(plan.Input, ir.F32, 100, 20), 20, 0, 1)},
		Body: []plan.Instr{
			{Op: ir.Normal, Run: run, Index: &plan.Load{Strides: []int{2000, 20, 1}}, Rand: ir.Rand{Seed: 1, Draw: 2}},
			instrOf(ir.Mul, 1, 2), instrOf(ir.Add, 0, 3), {Op: ir.Const, Imm: -2}, {Op: ir.Const, Imm: 2},
			instrOf(ir.Max, 4, 5), instrOf(ir.Min, 7, 6)},
		Stores: []plan.Store{storeOf(8, m.buffer(plan.Output, ir.F32, dims...), 2000, 20, 1)}}
	m.loop(l)
	bench(b, m, 4*200000)
}

func benchSum(b *testing.B, strides ...int) {
	m := &maker{}
	size := benchCols
	if strides[1] == 0 {
		size = benchRows
	}
	m.loop(plan.Loop{Type: ir.F32, Dims: []int{benchRows, benchCols},
		Loads:  []plan.Load{loadOf(m.buffer(plan.Input, ir.F32, benchRows, benchCols), benchCols, 1)},
		Stores: []plan.Store{reduceTo(plan.Sum, 0, m.buffer(plan.Output, ir.F32, size), strides...)}})
	bench(b, m, 4*benchRows*benchCols)
}

func BenchmarkColumnSums(b *testing.B) { benchSum(b, 0, 1) }
func BenchmarkRowSums(b *testing.B)    { benchSum(b, 1, 0) }

func dotSoftplus(b *testing.B, k int, transB bool, epilogue bool) {
	m := &maker{}
	d := plan.Dot{Type: ir.F32, Batch: 1, M: benchRows, N: benchCols, K: k,
		A: plan.Operand{Buf: m.buffer(plan.Input, ir.F32, benchRows, k), Ld: k},
		B: plan.Operand{Buf: m.buffer(plan.Input, ir.F32, k, benchCols), Ld: benchCols}}
	if transB {
		d.B = plan.Operand{Buf: m.buffer(plan.Input, ir.F32, benchCols, k), Ld: k, Trans: true}
	}
	d.Epilogue = plan.Loop{Type: ir.F32, Dims: []int{benchRows, benchCols}}
	if epilogue {
		biasSoftplus(&d.Epilogue, plan.Acc, m)
	} else {
		d.Epilogue.Loads = []plan.Load{loadOf(plan.Acc, benchCols, 1)}
		d.Epilogue.Stores = []plan.Store{m.all(&d, 0)}
	}
	m.dot(d)
	bench(b, m, 0)
}

func BenchmarkDot(b *testing.B) {
	for _, c := range []struct {
		name string
		k    int
		t, e bool
	}{
		{"128", 128, false, false}, {"128/softplus", 128, false, true}, {"128T", 128, true, false},
		{"128T/softplus", 128, true, true}, {"2", 2, false, false}, {"2/softplus", 2, false, true},
	} {
		b.Run(c.name, func(b *testing.B) { dotSoftplus(b, c.k, c.t, c.e) })
	}
}

func BenchmarkGemm(b *testing.B) {
	x, w, y := make([]float32, benchRows*128), make([]float32, 128*128), make([]float32, benchRows*128)
	fill(x, rand.New(rand.NewPCG(1, 2)))
	fill(w, rand.New(rand.NewPCG(1, 2)))
	least(b, func() { vec.Gemm(false, false, benchRows, 128, 128, 1, x, 128, w, 128, 0, y, 128) })
}

func BenchmarkTranspose(b *testing.B) {
	for name, s := range map[string][2][]int{
		"load": {{1, benchCols}, {benchRows, 1}}, "store": {{benchRows, 1}, {1, benchCols}},
	} {
		b.Run(name, func(b *testing.B) {
			m := &maker{}
			m.loop(plan.Loop{Type: ir.F32, Dims: []int{benchCols, benchRows},
				Loads:  []plan.Load{{Buf: m.buffer(plan.Input, ir.F32, benchRows*benchCols), Strides: s[0]}},
				Stores: []plan.Store{{Buf: m.buffer(plan.Output, ir.F32, benchRows*benchCols), Strides: s[1]}}})
			bench(b, m, 8*benchRows*benchCols)
		})
	}
}

// BenchmarkStep is the cost of a step: a program of a hundred loops of 100 elements.
func BenchmarkStep(b *testing.B) {
	m := &maker{}
	from := m.buffer(plan.Input, ir.F32, 100)
	for range 100 {
		to := m.buffer(plan.Output, ir.F32, 100)
		m.loop(plan.Loop{Type: ir.F32, Dims: []int{100}, Loads: []plan.Load{loadOf(from, 1)},
			Body: []plan.Instr{instrOf(ir.Square, 0)}, Stores: []plan.Store{storeOf(1, to, 1)}})
		from = to
	}
	bench(b, m, 0)
}

// BenchmarkCompile loads programs of 30000 instructions, in one loop and in as many.
func BenchmarkCompile(b *testing.B) {
	const n = 30000
	chain := func(l *plan.Loop, count int) {
		for j := range count {
			op := []ir.Op{ir.Mul, ir.Add, ir.Tanh}[j%3]
			l.Body = append(l.Body, instrOf(op, int32(j+1), int32(j%2)))
		}
	}
	one, many := &maker{}, &maker{}
	x, y := one.buffer(plan.Input, ir.F32, 16), one.buffer(plan.Output, ir.F32, 16)
	loads := []plan.Load{loadOf(x, 1), loadOf(x, 1)}
	l := plan.Loop{Type: ir.F32, Dims: []int{16}, Loads: loads, Stores: []plan.Store{storeOf(n+1, y, 1)}}
	chain(&l, n)
	one.loop(l)
	many.p.Buffers, many.p.Arena = one.p.Buffers, one.p.Arena
	for range n {
		l := plan.Loop{Type: ir.F32, Dims: []int{16}, Loads: loads, Stores: []plan.Store{storeOf(2, y, 1)}}
		chain(&l, 1)
		many.loop(l)
	}
	for name, m := range map[string]*maker{"one": one, "many": many} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			least(b, func() {
				if _, err := New().Compile(&m.p); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkRollout is 20 steps of some dynamics of 2000 problems in one loop: 4 state variables, a control per step
// that lies 20 elements from the next problem's, a cost.
func BenchmarkRollout(b *testing.B) {
	const steps, problems = 20, 2000
	m := &maker{}
	controls := m.buffer(plan.Input, ir.F32, problems, steps)
	l := plan.Loop{Type: ir.F32, Dims: []int{problems}}
	for t := range steps {
		l.Loads = append(l.Loads, plan.Load{Buf: controls, Offset: t, Strides: []int{steps}})
	}
	first := m.buffer(plan.Input, ir.F32, 4)
	for i := range 4 {
		l.Loads = append(l.Loads, plan.Load{Buf: first, Offset: i, Strides: []int{0}})
	}
	op := func(o ir.Op, args ...int32) int32 {
		l.Body = append(l.Body, instrOf(o, args...))
		return int32(len(l.Loads) + len(l.Body) - 1)
	}
	number := func(v float64) int32 {
		l.Body = append(l.Body, plan.Instr{Op: ir.Const, Imm: v})
		return int32(len(l.Loads) + len(l.Body) - 1)
	}
	x, v, a, w := int32(steps), int32(steps+1), int32(steps+2), int32(steps+3)
	cost := number(0)
	for t := range int32(steps) {
		sin, cos := op(ir.Sin, a), op(ir.Cos, a)
		force := op(ir.Add, op(ir.Mul, t, number(10)), op(ir.Mul, op(ir.Square, w), op(ir.Mul, sin, number(0.05))))
		acc := op(ir.Sub, op(ir.Mul, sin, number(9.8)), op(ir.Mul, cos, force))
		acc = op(ir.Div, acc, op(ir.Sub, number(1.33), op(ir.Square, cos)))
		x, v = op(ir.Add, x, op(ir.Mul, v, number(0.02))), op(ir.Add, v, op(ir.Mul, force, number(0.02)))
		a, w = op(ir.Add, a, op(ir.Mul, w, number(0.02))), op(ir.Add, w, op(ir.Mul, acc, number(0.02)))
		cost = op(ir.Add, cost, op(ir.Add, op(ir.Square, x), op(ir.Square, a)))
	}
	l.Stores = []plan.Store{storeOf(cost, m.buffer(plan.Output, ir.F32, problems), 1)}
	m.loop(l)
	b.Logf("%d instructions", len(l.Body))
	bench(b, m, 0)
}
