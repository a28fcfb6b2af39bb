package engine_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
)

// device is one made of a function, for tests.
type device struct {
	name    string
	compile func(p *plan.Program) (backend.Executable, error)
}

func (d device) Info() backend.Info                                  { return backend.Info{Name: d.name} }
func (d device) Compile(p *plan.Program) (backend.Executable, error) { return d.compile(p) }
func (d device) Close() error                                        { return nil }

// far is the interpreter behind a wall: the host cannot address its memory.
func far() engine.Device {
	ref, err := engine.Open("ref")
	if err != nil {
		panic(err)
	}
	return device{"far", func(p *plan.Program) (backend.Executable, error) {
		e, err := ref.Compile(p)
		return walled{e}, err
	}}
}

type walled struct{ backend.Executable }

func (walled) Memory(plan.BufID) any { return nil }

// still has memory and does nothing, without allocating: what remains is the VM's work.
func still(near bool) engine.Device {
	return device{"still", func(p *plan.Program) (backend.Executable, error) {
		e := &stillExecutable{near: near}
		for i := range p.Buffers {
			b := &p.Buffers[i]
			s := reflect.MakeSlice(reflect.SliceOf(goTypes[b.Type]), b.Count(), b.Count())
			e.buffers = append(e.buffers, s.Interface())
		}
		return e, nil
	}}
}

var goTypes = map[ir.DType]reflect.Type{ir.F32: reflect.TypeFor[float32](), ir.F64: reflect.TypeFor[float64](),
	ir.Int64: reflect.TypeFor[int64](), ir.Bool: reflect.TypeFor[bool]()}

type stillExecutable struct {
	near    bool
	buffers []any
}

func (e *stillExecutable) Write(b plan.BufID, src any) error { return transfer(e.buffers[b], src) }
func (e *stillExecutable) Read(b plan.BufID, dst any) error  { return transfer(dst, e.buffers[b]) }
func (e *stillExecutable) Run(func(int) error) error         { return nil }
func (e *stillExecutable) Sync() error                       { return nil }
func (e *stillExecutable) Close() error                      { return nil }
func (e *stillExecutable) Memory(b plan.BufID) any {
	if e.near {
		return e.buffers[b]
	}
	return nil
}

func transfer(dst, src any) error {
	switch d := dst.(type) {
	case []float64:
		copy(d, src.([]float64))
	case []float32:
		copy(d, src.([]float32))
	case []int64:
		copy(d, src.([]int64))
	default:
		return fmt.Errorf("a transfer of %T to %T", src, dst)
	}
	return nil
}

// RunAll does not allocate in the steady state: with every node's value, bound gradients, a Read, a view as input and
// noise; and with an update and fresh data in every run.
func TestRunAllDoesNotAllocate(t *testing.T) {
	devices := map[string]engine.Device{"near": still(true), "far": still(false)}
	for _, i := range engine.Devices() {
		if i.Name == "cpu" {
			d, err := engine.Open("cpu")
			if err != nil {
				t.Fatal(err)
			}
			devices["cpu"] = d
		}
	}
	for name, d := range devices {
		m, _ := noisy(t)
		if _, err := G.Grad(m.loss, m.w...); err != nil {
			t.Fatal(err)
		}
		var into G.Value
		G.Read(m.out, &into)
		view := normals(3, 5, 3)
		if err := view.T(); err != nil {
			t.Fatal(err)
		}
		if err := G.Let(m.w[0], view); err != nil {
			t.Fatal(err)
		}
		vm := newVM(t, m.g, engine.On(d), engine.BindDualValues())
		run(t, vm)
		check.NoAllocs(t, name+", every node", func() { run(t, vm) })

		m, _ = noisy(t)
		updating := newVM(t, m.g, engine.On(d), engine.WithUpdate(kernels.Optimizer{ClipNorm: 1}, m.loss, m.w...))
		x := m.x.Value().Data().([]float64)
		run(t, updating)
		check.NoAllocs(t, name+", an update", func() {
			x[0]++
			run(t, updating)
		})
	}
}

func TestSetThreads(t *testing.T) {
	engine.OnCPU(t)
	old := engine.SetThreads(0)
	if old < 1 {
		t.Fatalf("%d threads", old)
	}
	defer func() { engine.SetThreads(old) }()
	var want []float64
	for i, n := range []int{1, 3, 2} {
		engine.SetThreads(n)
		if got := engine.SetThreads(-1); got != n {
			t.Errorf("%d threads, want %d", got, n)
		}
		m := mlp(t, false)
		vm := newVM(t, m.g)
		if got := vm.Explain().Device.Threads; got != n {
			t.Errorf("the device has %d threads, want %d", got, n)
		}
		run(t, vm)
		engine.SetThreads(4 - n) // more and fewer than when it was compiled
		run(t, vm)
		if got := floats(t, m.out.Value()); i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("%d threads: %v, want %v", n, got, want)
		}
	}
}
