package cpu

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
)

func TestInfo(t *testing.T) {
	d := New()
	i := d.Info()
	if i.Name != "cpu" || i.Model == "" || i.Threads < 1 || i.Detail == "" {
		t.Errorf("%+v", i)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestInPlace stores over what the loop reads: at once, later, swapped, and by reductions.
func TestInPlace(t *testing.T) {
	f := ir.F32
	for _, dims := range [][]int{{1}, {7}, {5000}, {30, 40}, {300, 7}} {
		strides, _ := stridesOf(dims, func() (all []int) {
			for d := range dims {
				all = append(all, d)
			}
			return
		}()...)
		n := ir.Count(dims)
		for name, body := range map[string]func(l *plan.Loop, m *maker, a, b plan.BufID){
			"at once": func(l *plan.Loop, m *maker, a, b plan.BufID) { // a += b
				l.Body = []plan.Instr{instrOf(ir.Add, 0, 1)}
				l.Stores = []plan.Store{storeOf(2, m.over(a, f), strides...)}
			},
			"later": func(l *plan.Loop, m *maker, a, b plan.BufID) { // over a, which a later instruction reads
				l.Body = []plan.Instr{instrOf(ir.Add, 0, 1), instrOf(ir.Mul, 2, 0), instrOf(ir.Sub, 3, 1)}
				l.Stores = []plan.Store{storeOf(2, m.over(a, f), strides...), storeOf(4, m.over(b, f), strides...)}
			},
			"swap": func(l *plan.Loop, m *maker, a, b plan.BufID) {
				l.Stores = []plan.Store{storeOf(0, m.over(b, f), strides...), storeOf(1, m.over(a, f), strides...)}
			},
			"type": func(l *plan.Loop, m *maker, a, b plan.BufID) { // whole numbers over floats
				l.Body = []plan.Instr{instrOf(ir.Floor, 0), instrOf(ir.Mul, 2, 0)}
				l.Stores = []plan.Store{storeOf(2, m.over(a, ir.Int32), strides...), storeOf(3, m.over(b, f), strides...)}
			},
			"kept": func(l *plan.Loop, m *maker, a, b plan.BufID) { // a is stored elsewhere too
				l.Body = []plan.Instr{instrOf(ir.Neg, 1)}
				l.Stores = []plan.Store{storeOf(2, m.over(a, f), strides...), storeOf(0, m.buffer(plan.Output, f, n), strides...)}
			},
		} {
			t.Run(fmt.Sprint(name, dims), func(t *testing.T) {
				m := &maker{}
				l := plan.Loop{Type: f, Dims: dims}
				var bufs [2]plan.BufID
				for k := range bufs {
					bufs[k] = m.buffer(plan.Temp, f, n)
					m.loop(plan.Loop{Type: f, Dims: []int{n}, Loads: []plan.Load{loadOf(m.buffer(plan.Input, f, n), 1)},
						Stores: []plan.Store{storeOf(0, bufs[k], 1)}})
					l.Loads = append(l.Loads, loadOf(bufs[k], strides...))
				}
				body(&l, m, bufs[0], bufs[1])
				m.loop(l)
				sameForThreads(t, compare(t, m, 1, 0))
			})
		}
	}
}

type kernel struct {
	run  func(out any, in []any) error
	name string
}

func (k kernel) String() string              { return k.name }
func (k kernel) Run(out any, in []any) error { return k.run(out, in) }
func double(out any, in []any) error {
	for i, v := range in[0].([]float64) {
		out.([]float64)[i] = 2 * v
	}
	return nil
}

// customProgram is in -> kernel -> out, with names.
func customProgram(k ir.Kernel) (*maker, plan.BufID, plan.BufID) {
	m := &maker{}
	b := ir.NewBuilder()
	b.G.Name = func(int32) string { return "volume" }
	id := b.Input(ir.F64, []int{3}, ir.InputAttr{Name: "x"})
	b.Src = 5
	out := b.Add(ir.Custom, ir.F64, []int{3}, k, id)
	m.p.Graph = b.G
	x, y := m.buffer(plan.Input, ir.F64, 3), m.buffer(plan.Output, ir.F64, 3)
	m.p.Buffers[x].Node, m.p.Buffers[y].Node = id, out
	c := plan.Custom{Kernel: k, In: []plan.BufID{x}, Out: y}
	m.p.Steps = []plan.Step{{Name: "#0 twice", Custom: &c, Nodes: []ir.ID{out}}}
	return m, x, y
}

func TestCustom(t *testing.T) {
	var mode string
	failure := errors.New("out of luck")
	m, in, out := customProgram(kernel{func(out any, in []any) error {
		switch mode {
		case "error":
			return failure
		case "panic":
			panic("no such tensor")
		}
		return double(out, in)
	}, "twice"})
	x, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, 3)
	ok := func() {
		t.Helper()
		check.Poison(got)
		if err := errors.Join(x.Write(in, []float64{1, 2, 3}), x.Run(nil), x.Read(out, got), x.Sync()); err != nil {
			t.Error(err)
		}
		check.Close(t, "result", got, []float64{2, 4, 6}, 0)
	}
	ok()
	mode = "error"
	if err := x.Run(nil); !errors.Is(err, failure) || !strings.Contains(err.Error(), "#0 twice, %1 custom (volume)") {
		t.Error(err)
	}
	mode = "panic"
	if err := x.Run(nil); err == nil || !strings.Contains(err.Error(), "%1 custom (volume): panic: no such tensor") {
		t.Error(err)
	}
	mode = ""
	ok()
	stop := errors.New("enough")
	if err := x.Run(func(int) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	calls := 0
	if err := x.Run(func(step int) error { calls += 1 + step; return nil }); err != nil || calls != 1 {
		t.Error(err, calls)
	}
	if mem := x.Memory(out).([]float64); &mem[0] != &x.Memory(out).([]float64)[0] || mem[2] != 6 {
		t.Error("Memory is not the buffer")
	}
}

func TestHostErrors(t *testing.T) {
	m, in, out := customProgram(kernel{double, "twice"})
	temp := m.buffer(plan.Temp, ir.F32, 2)
	x, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{x.Write(in, []float32{1, 2, 3}), "buffer 0 of %0 input with a []float32 of 3 elements, want 3 of f64"},
		{x.Write(in, []float64{1}), "want 3 of f64"},
		{x.Write(in, nil), "want 3 of f64"},
		{x.Read(out, make([]int, 3)), "read of buffer 1 of %1 custom (volume)"},
		{x.Write(-1, nil), "buffer -1"},
		{x.Read(9, nil), "buffer 9, want one of 3"},
		{x.Read(temp, make([]float32, 2)), "which no run leaves behind"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v, want ... %s ...", c.err, c.want)
		}
	}
	if x.Memory(temp) != nil || x.Memory(-1) != nil || x.Memory(7) != nil {
		t.Error("memory of what is none")
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	data := make([]float64, 3)
	for _, err := range []error{x.Run(nil), x.Write(in, data), x.Read(out, data), x.Sync()} {
		if !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if x.Memory(in) != nil {
		t.Error("memory after Close")
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

// TestBadPrograms wants errors of Compile, not panics.
func TestBadPrograms(t *testing.T) {
	for want, spoil := range map[string]func(p *plan.Program){
		"load 0: buffer 99":       func(p *plan.Program) { p.Steps[0].Loop.Loads[0].Buf = 99 },
		"load 0: 0 strides":       func(p *plan.Program) { p.Steps[0].Loop.Loads[0].Strides = nil },
		"store 0: buffer -2":      func(p *plan.Program) { p.Steps[0].Loop.Stores[0].Buf = -2 },
		"store 0: value 7":        func(p *plan.Program) { p.Steps[0].Loop.Stores[0].Value = 7 },
		"operand 1 of 1 values":   func(p *plan.Program) { p.Steps[0].Loop.Body[0].A = 1 },
		"dot is not elementwise":  func(p *plan.Program) { p.Steps[0].Loop.Body[0].Op = ir.Dot },
		"want f32 or f64":         func(p *plan.Program) { p.Steps[0].Loop.Type = ir.Bool },
		"none of Loop":            func(p *plan.Program) { p.Steps[0].Loop = nil },
		"run number":              func(p *plan.Program) { p.Steps[0].Loop.Body[0] = plan.Instr{Op: ir.Normal, Run: 0} },
		"a multiple of 64 within": func(p *plan.Program) { p.Buffers[1].Offset = 4 },
		"element type":            func(p *plan.Program) { p.Buffers[1].Type = ir.NoType },
		"an arena of -1":          func(p *plan.Program) { p.Arena = -1 },
		"constant of buffer":      func(p *plan.Program) { p.Buffers[0].Role, p.Buffers[0].Data = plan.Const, []float64{1} },
		"guard with":              func(p *plan.Program) { p.Steps[0].Loop.Loads[0].Guards = []plan.Guard{{}} },
		"no kernel":               func(p *plan.Program) { p.Steps[0] = plan.Step{Name: "c", Custom: &plan.Custom{}} },
		"kernel: buffer 4": func(p *plan.Program) {
			p.Steps[0] = plan.Step{Name: "c", Custom: &plan.Custom{Kernel: kernel{name: "kernel"}, Out: 4}}
		},
		"operand B in buffer 5": func(p *plan.Program) {
			l := p.Steps[0].Loop
			l.Dims = []int{2, 2}
			d := plan.Dot{Type: ir.F32, Batch: 1, M: 2, N: 2, K: 2, B: plan.Operand{Buf: 5}, Epilogue: *l}
			p.Steps[0] = plan.Step{Name: "d", Dot: &d}
		},
		"an epilogue of": func(p *plan.Program) {
			d := plan.Dot{Type: ir.F32, Batch: 1, M: 2, N: 2, K: 2, Epilogue: *p.Steps[0].Loop}
			p.Steps[0] = plan.Step{Name: "d", Dot: &d}
		},
		"learning rate in buffer 0": func(p *plan.Program) {
			one := []plan.BufID{1}
			p.Steps[0] = plan.Step{Name: "u", Update: &plan.Update{Params: []plan.BufID{0}, Grads: one, M: one, V: one}}
		},
		"adam without buffers of M": func(p *plan.Program) {
			p.Steps[0] = plan.Step{Name: "u", Update: &plan.Update{Params: []plan.BufID{0}, Grads: []plan.BufID{1}}}
		},
	} {
		m := &maker{}
		a, b := m.buffer(plan.Input, ir.F32, 4), m.buffer(plan.Output, ir.F32, 4)
		m.loop(plan.Loop{Type: ir.F32, Dims: []int{4}, Loads: []plan.Load{loadOf(a, 1)},
			Body: []plan.Instr{{Op: ir.Neg, A: 0}}, Stores: []plan.Store{storeOf(1, b, 1)}})
		spoil(&m.p)
		_, err := New().Compile(&m.p)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "panic") {
			t.Errorf("%v, want ... %s ...", err, want)
		}
	}
}

// TestOutOfBounds: what a planner got wrong is an error of the run, and the executable is usable afterwards.
func TestOutOfBounds(t *testing.T) {
	m := &maker{}
	a, b := m.buffer(plan.Input, ir.F32, 3000), m.buffer(plan.Output, ir.F32, 4000)
	m.loop(plan.Loop{Type: ir.F32, Dims: []int{4000}, Loads: []plan.Load{loadOf(a, 1)},
		Stores: []plan.Store{storeOf(0, b, 1)}})
	x, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := x.Run(nil); err == nil || !strings.Contains(err.Error(), "step #0: panic") {
			t.Error(err)
		}
	}
}

func TestNoPoints(t *testing.T) {
	m := &maker{}
	in := m.buffer(plan.Input, ir.F64, 3, 0)
	sum, product := m.buffer(plan.Output, ir.F64, 3), m.buffer(plan.Output, ir.F64, 3)
	least := m.buffer(plan.Output, ir.F32)
	m.loop(plan.Loop{Type: ir.F64, Dims: []int{3, 0}, Loads: []plan.Load{loadOf(in, 0, 1)}, Stores: []plan.Store{
		reduceTo(plan.Sum, 0, sum, 1, 0), reduceTo(plan.ProdOf, 0, product, 1, 0),
		reduceTo(plan.MinOf, 0, least, 0, 0), storeOf(0, m.buffer(plan.Output, ir.F64, 3, 0), 0, 1),
	}})
	x := compare(t, m, 1, 0)
	if got := x.slices[least].([]float32)[0]; !math.IsInf(float64(got), 1) {
		t.Errorf("least of none is %v", got)
	}
}

// TestUpdate takes steps as kernels.OptimizerStep does.
func TestUpdate(t *testing.T) {
	t.Run("f32", func(t *testing.T) { testUpdate[float32](t, ir.F32) })
	t.Run("f64", func(t *testing.T) { testUpdate[float64](t, ir.F64) })
}

func testUpdate[T kernels.Float](t *testing.T, typ ir.DType) {
	for _, o := range []kernels.Optimizer{
		{}, {ClipNorm: 0.5, WeightDecay: 0.1, Rate: 0.01},
		{Method: kernels.RMSProp}, {Method: kernels.RMSProp, Momentum: 0.9},
		{Method: kernels.Momentum, Rate: 0.1}, {Method: kernels.Momentum, Momentum: 0.5},
	} {
		m := &maker{}
		u := plan.Update{Optimizer: o, Loss: m.buffer(plan.Input, ir.F32), Rate: m.buffer(plan.State, ir.F64, 1),
			Steps: m.buffer(plan.State, ir.Int64, 1), Info: m.buffer(plan.Output, ir.F64, 4)}
		sizes := []int{5, 3000}
		for _, n := range sizes {
			u.Params = append(u.Params, m.buffer(plan.Param, typ, n))
			u.Grads = append(u.Grads, m.buffer(plan.Input, typ, n))
			if o.Method == kernels.Adam {
				u.M = append(u.M, m.buffer(plan.State, typ, n))
			}
			if o.Method != kernels.Momentum {
				u.V = append(u.V, m.buffer(plan.State, typ, n))
			}
			if o.Method != kernels.Adam && o.Momentum != 0 {
				u.Velocity = append(u.Velocity, m.buffer(plan.State, typ, n))
			}
		}
		m.p.Steps = []plan.Step{{Name: "#0 update", Update: &u}}
		e, err := New().Compile(&m.p)
		if err != nil {
			t.Fatal(err)
		}
		x := e.(*executable)
		var state kernels.OptimizerState[T]
		params, grads := make([][]T, 2), make([][]T, 2)
		for i, n := range sizes {
			params[i], grads[i] = make([]T, n), make([]T, n)
			for k := range n {
				params[i][k], grads[i][k] = T(k)/7, T(math.Sin(float64(k)))
			}
			if err := errors.Join(x.Write(u.Params[i], params[i]), x.Write(u.Grads[i], grads[i])); err != nil {
				t.Fatal(err)
			}
		}
		bad := float32(math.Inf(1))
		for step, rate := range []float64{0, 0, 0.5, 0, 0} {
			want := o
			if rate != 0 {
				want.Rate = rate
			}
			loss := float32(step)
			if step == 3 {
				loss = bad
			}
			err := errors.Join(x.Write(u.Rate, []float64{rate}), x.Write(u.Loss, []float32{loss}), x.Run(nil))
			if err != nil {
				t.Fatal(err)
			}
			info := make([]float64, 4)
			if err := x.Read(u.Info, info); err != nil {
				t.Fatal(err)
			}
			if step == 3 {
				if info[2] != 1 || info[3] != float64(bad) || !(info[0] > 1) {
					t.Errorf("an infinite loss gives %v", info)
				}
			} else {
				i := kernels.OptimizerStep(want, &state, params, grads)
				check.Close(t, "report", info, []float64{i.GradNorm, number[float64](i.Clipped), 0, float64(loss)}, 0)
			}
			for i := range params {
				got := make([]T, sizes[i])
				if err := x.Read(u.Params[i], got); err != nil {
					t.Fatal(err)
				}
				check.Close(t, "parameters", got, params[i], 0)
			}
		}
		if got := x.slices[u.Steps].([]int64)[0]; got != 4 {
			t.Errorf("%d steps, want 4", got)
		}
		check.NoAllocs(t, "update", func() {
			if err := x.Run(nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNoAllocs runs a program of every kind of step.
func TestNoAllocs(t *testing.T) {
	m := &maker{}
	run := m.buffer(plan.Input, ir.Int64)
	const n = 20000
	x, y, out := m.buffer(plan.Input, ir.F32, n), m.buffer(plan.Output, ir.F32, n), m.buffer(plan.Output, ir.F32, 100)
	out32 := func(shape ...int) plan.BufID { return m.buffer(plan.Output, ir.F32, shape...) }
	guarded := loadOf(x, 1, 200)
	guarded.Guards = []plan.Guard{{Start: -3, Strides: []int{1, 0}, Step: 1, Count: 50}}
	m.loop(plan.Loop{Type: ir.F32, Dims: []int{200, 100}, Loads: []plan.Load{loadOf(x, 100, 1), guarded},
		Body: []plan.Instr{
			{Op: ir.Normal, Run: run, Index: &plan.Load{Strides: []int{100, 1}}},
			instrOf(ir.Mul, 0, 2), instrOf(ir.Add, 3, 1), instrOf(ir.Tanh, 4),
			{Op: ir.Uniform, Type: ir.F64, Run: run, Index: &plan.Load{Strides: []int{1, 200}}}, instrOf(ir.Max, 5, 6),
		},
		Stores: []plan.Store{
			storeOf(7, y, 1, 200), reduceTo(plan.Sum, 5, out, 0, 1),
			reduceTo(plan.Sum, 5, m.buffer(plan.Output, ir.F64), 0, 0), reduceTo(plan.MinOf, 3, out32(200), 1, 0),
		}})
	m.loop(plan.Loop{Type: ir.F32, Dims: []int{20, 10, 20, 5}, Loads: []plan.Load{loadOf(x, 1, 20, 1000, 200)}, // a mixed one
		Stores: []plan.Store{reduceTo(plan.Sum, 0, out32(10), 0, 1, 0, 0), reduceTo(plan.Sum, 0, out32(20), 0, 0, 1, 0)}})
	d := plan.Dot{Type: ir.F32, Batch: 1, M: 200, N: 100, K: 100, A: plan.Operand{Buf: x, Ld: 100},
		B: plan.Operand{Buf: y, Ld: 100}, Epilogue: plan.Loop{Type: ir.F32, Dims: []int{200, 100}}}
	epilogues[1].make(m, &d)
	m.dot(d)
	w := plan.Dot{Type: ir.F32, Batch: 1, M: 4, N: 3, K: 5000, A: plan.Operand{Buf: x, Ld: 4, Trans: true},
		B: plan.Operand{Buf: y, Ld: 4}, Epilogue: plan.Loop{Type: ir.F32, Dims: []int{4, 3}}}
	epilogues[3].make(m, &w)
	m.dot(w)
	k := kernel{func(out any, in []any) error { copy(out.([]float32), in[0].([]float32)); return nil }, "copy"}
	c := plan.Custom{Kernel: k, In: []plan.BufID{x}, Out: out32(n)}
	m.p.Steps = append(m.p.Steps, plan.Step{Name: "copy", Custom: &c})
	e := compileFor(t, m)
	check.NoAllocs(t, "a run", func() {
		if err := e.Run(nil); err != nil {
			t.Fatal(err)
		}
	})
}

func compileFor(t *testing.T, m *maker) backend.Executable {
	t.Helper()
	x, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
