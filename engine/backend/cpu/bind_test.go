package cpu

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/backendtest"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
)

// binding devices write inputs into memory of their own, which they bind.
type bindingDevice struct{ backend.Device }

func (d bindingDevice) Compile(p *plan.Program) (backend.Executable, error) {
	e, err := d.Device.Compile(p)
	if err != nil {
		return nil, err
	}
	return &bindingExecutable{executable: e.(*executable), inputs: make([]hostInput, len(p.Buffers))}, nil
}

type bindingExecutable struct {
	*executable
	inputs []hostInput
}

// A hostInput is an input's memory on the host, and what it must hold.
type hostInput struct{ mem, want []byte }

// Write binds memory that begins at another place each time, after one element of a line, and fills the buffer's own
// place with bits that are NaN: nothing may read it.
func (e *bindingExecutable) Write(b plan.BufID, src any) error {
	if err := e.executable.Write(b, src); err != nil {
		return err
	}
	if e.p.Buffers[b].Role != plan.Input {
		return nil
	}
	data := ir.Bytes(src)
	line := aligned(make([]byte, len(data)+2*plan.Align))
	at := e.p.Buffers[b].Type.Size()
	in := hostInput{line[at : at+len(data) : at+len(data)], slices.Clone(data)}
	copy(in.mem, data)
	if e.Bind(b, in.mem) {
		e.inputs[b] = in
		for i := range e.own(b) {
			e.own(b)[i] = 0xff
		}
	}
	return nil
}

// Memory gives the buffer its place in the arena back, since callers write there.
func (e *bindingExecutable) Memory(b plan.BufID) any {
	if b >= 0 && int(b) < len(e.bindingOf) && e.binding(b) != nil && e.binding(b).mem != nil {
		copy(e.own(b), e.place(b))
		e.unbind(b)
	}
	return e.executable.Memory(b)
}

func (e *bindingExecutable) Run(watch func(int) error) error {
	err := e.executable.Run(watch)
	for b, in := range e.inputs {
		if !bytes.Equal(in.mem, in.want) {
			return fmt.Errorf("the run wrote to the host's memory that is bound to buffer %s", e.name(plan.BufID(b)))
		}
	}
	return err
}

// Programs give the same results where inputs are read on the host, and never write there.
func TestBackendBound(t *testing.T) {
	defer func(n int) { leastBound = n }(leastBound)
	leastBound = 0
	backendtest.Run(t, bindingDevice{New()})
}

// rowSum is a program that sums the rows of x, and has x itself as a view.
func rowSum(rows, cols int) (m *maker, x, sum, same plan.BufID) {
	m = &maker{}
	x = m.buffer(plan.Input, ir.F64, rows, cols)
	sum = m.buffer(plan.Output, ir.F64, rows)
	same = m.buffer(plan.Output, ir.F64, rows*cols)
	m.p.Buffers[same].Over, m.p.Buffers[same].Offset = x, m.p.Buffers[x].Offset
	s := storeOf(0, sum, 1, 0)
	s.Combine = plan.Sum
	m.loop(plan.Loop{Type: ir.F64, Dims: []int{rows, cols}, Loads: []plan.Load{loadOf(x, cols, 1)},
		Stores: []plan.Store{s}})
	return m, x, sum, same
}

func loaded(t *testing.T, m *maker) *executable {
	t.Helper()
	e, err := New().Compile(&m.p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e.(*executable)
}

// What is bound is what runs see, also after it was changed; it comes and goes by Bind and Write; what is of no use is
// refused.
func TestBind(t *testing.T) {
	const rows, cols = 8, 100
	m, x, sum, same := rowSum(rows, cols)
	e := loaded(t, m)
	check := func(what string, each float64) {
		t.Helper()
		if err := e.Run(nil); err != nil {
			t.Fatal(err)
		}
		got, all := make([]float64, rows), make([]float64, rows*cols)
		for i, b := range []plan.BufID{sum, same, x} {
			to := [][]float64{got, all, all}[i]
			if err := e.Read(b, to); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range got {
			if v != cols*each || all[i] != each {
				t.Fatalf("%s: row %d of %v has sum %v, want %v", what, i, all[i], v, cols*each)
			}
		}
	}
	array := func(v float64) []float64 { return slices.Repeat([]float64{v}, rows*cols) }
	bind := func(a []float64) bool { return e.Bind(x, ir.Bytes(a)) }
	if err := e.Write(x, array(1)); err != nil {
		t.Fatal(err)
	}
	check("written", 1)
	a, b := array(2), array(3)
	if !bind(a) {
		t.Fatal("an array is not bound")
	}
	check("bound", 2)
	copy(a, array(4))
	check("changed", 4)
	if !bind(b) || loadedAt(e) != &b[0] {
		t.Fatal("another array is not used where it is")
	}
	check("another", 3)
	if n := testing.AllocsPerRun(10, func() { bind(a); bind(b) }); n != 0 {
		t.Errorf("Bind: %v allocations", n)
	}
	if err := e.Write(x, array(5)); err != nil {
		t.Fatal(err)
	}
	check("written again", 5)
	if bind(b); b[0] != 3 {
		t.Error("Write changed what was bound")
	}
	for what, mem := range map[string][]byte{"nil": nil, "short": ir.Bytes(a[1:]), "odd": ir.Bytes(append(a, 0))[4 : 4+8*len(a)],
		"the arena": e.own(x)} {
		if bind(b); e.Bind(x, mem) {
			t.Errorf("%s: bound", what)
		}
		check(what, 5)
	}
	for _, id := range []plan.BufID{sum, same, -1, 99} {
		if e.Bind(id, ir.Bytes(a)) {
			t.Errorf("buffer %d: bound", id)
		}
	}
	small, y, _, _ := rowSum(2, 3)
	if loaded(t, small).Bind(y, ir.Bytes(make([]float64, 6))) {
		t.Error("a small array is bound")
	}
}

// loadedAt is where the first step's first load begins.
func loadedAt(x *executable) *float64 {
	return unsafe.SliceData(x.steps[0].(*loop[float64]).loads[0].own.mem)
}

// Executables read the same memory at the same time.
func TestBindShared(t *testing.T) {
	const rows, cols = 300, 1000
	a := slices.Repeat([]float64{1}, rows*cols)
	var wg sync.WaitGroup
	for range 3 {
		m, x, sum, _ := rowSum(rows, cols)
		e := loaded(t, m)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				if !e.Bind(x, ir.Bytes(a)) || e.Run(nil) != nil || e.Memory(sum).([]float64)[rows-1] != cols {
					t.Error("a run went wrong")
				}
			}
		}()
	}
	wg.Wait()
}
