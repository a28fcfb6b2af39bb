package backendtest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"testing"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/check"
	"github.com/godcem/godcem/internal/vec"
)

// interpreters allocate in every run, and say so.
var interpreters = map[string]bool{"ref": true, "planned": true}

// contract tests what a device promises besides values.
func contract(t *testing.T, d backend.Device) {
	t.Run("contract/errors", func(t *testing.T) { contractErrors(t, d) })
	t.Run("contract/watch", func(t *testing.T) { contractWatch(t, d) })
	t.Run("contract/memory", func(t *testing.T) { contractMemory(t, d) })
	t.Run("contract/bind", func(t *testing.T) { contractBind(t, d) })
	t.Run("contract/two at once", func(t *testing.T) { contractTwo(t, d) })
	t.Run("contract/state", func(t *testing.T) { contractState(t, d) })
	t.Run("contract/allocations", func(t *testing.T) {
		if interpreters[d.Info().Name] {
			t.Logf("%s allocates", d.Info().Name)
			return
		}
		contractAllocations(t, d)
	})
}

func compiled(t *testing.T, d backend.Device, c *Case) (*plan.Program, backend.Executable, *subject) {
	t.Helper()
	s, err := c.reference(ir.F32)
	if err != nil {
		t.Fatal(err)
	}
	p, e, err := s.compile(d, variant{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, e, s
}

// find returns the case of that name.
func find(name string) *Case {
	for _, c := range Cases() {
		if c.Name == name {
			return &c
		}
	}
	panic(fmt.Sprintf("backendtest: no case %q", name))
}

// contractErrors: what the host may not do is refused by an error, without a panic, and does no harm.
func contractErrors(t *testing.T, d backend.Device) {
	p, e, s := compiled(t, d, find("update/adam"))
	if _, err := s.runOnce(p, e, 0); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, f func() error) {
		t.Helper()
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("%s: panic: %v", what, r)
			}
		}()
		if err := f(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for _, b := range []plan.BufID{-1, -7, plan.BufID(len(p.Buffers)), math.MaxInt32} {
		refused(fmt.Sprintf("write of buffer %d of %d", b, len(p.Buffers)),
			func() error { return e.Write(b, []float32{1}) })
		refused(fmt.Sprintf("read of buffer %d of %d", b, len(p.Buffers)), func() error { return e.Read(b, []float32{1}) })
	}
	temps := 0
	for i := range p.Buffers {
		b, id := &p.Buffers[i], plan.BufID(i)
		if b.Role == plan.Temp {
			temps++
			refused("write of a Temp", func() error { return e.Write(id, blank(b.Type, b.Count())) })
			refused("read of a Temp", func() error { return e.Read(id, blank(b.Type, b.Count())) })
			if m := e.Memory(id); m != nil {
				t.Errorf("memory of a Temp: a %T", m)
			}
			continue
		}
		refused("write of a slice too long", func() error { return e.Write(id, blank(b.Type, b.Count()+1)) })
		refused("read of a slice too long", func() error { return e.Read(id, blank(b.Type, b.Count()+1)) })
		refused("read of a slice too short", func() error { return e.Read(id, blank(b.Type, b.Count()-1)) })
		other := ir.F64
		if b.Type == ir.F64 {
			other = ir.F32
		}
		refused("write of another type", func() error { return e.Write(id, blank(other, b.Count())) })
		refused("read of another type", func() error { return e.Read(id, blank(other, b.Count())) })
		refused("write of nil", func() error { return e.Write(id, nil) })
		refused("write of a number", func() error { return e.Write(id, 3) })
		refused("read into a pointer", func() error { return e.Read(id, new(float32)) })
	}
	if temps == 0 {
		t.Error("the program has no Temp buffers")
	}
	if _, err := s.runOnce(p, e, 1); err != nil {
		t.Errorf("after the errors: %v", err)
	}
}

// contractWatch: watch is called after each step, in order; its error stops the run and comes out of it.
func contractWatch(t *testing.T, d backend.Device) {
	p, e, s := compiled(t, d, find("model/net forward and backward"))
	if len(p.Steps) < 3 {
		t.Fatalf("%d steps, want some", len(p.Steps))
	}
	if _, err := s.runOnce(p, e, 0); err != nil {
		t.Fatal(err)
	}
	var seen []int
	if err := e.Run(func(step int) error { seen = append(seen, step); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, k := range seen {
		if k != i {
			t.Fatalf("watch saw the steps %v", seen)
		}
	}
	if len(seen) != len(p.Steps) {
		t.Errorf("watch saw %d steps of %d", len(seen), len(p.Steps))
	}
	own := errors.New("enough")
	calls := 0
	err := e.Run(func(step int) error {
		if calls++; step == 1 {
			return own
		}
		return nil
	})
	if !errors.Is(err, own) || calls != 2 {
		t.Errorf("a watch that fails after step 1: %d calls, error %v", calls, err)
	}
	if _, err := s.runOnce(p, e, 1); err != nil {
		t.Errorf("the run after one that was stopped: %v", err)
	}
}

// contractMemory: where the host can address a buffer, it is the same memory that Write and Read mean, and stays.
func contractMemory(t *testing.T, d backend.Device) {
	p, e, s := compiled(t, d, find("outputs/interior values"))
	if _, err := s.runOnce(p, e, 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []plan.BufID{-1, plan.BufID(len(p.Buffers))} {
		if m := e.Memory(id); m != nil {
			t.Errorf("memory of buffer %d of %d: a %T", id, len(p.Buffers), m)
		}
	}
	addressed := 0
	for i := range p.Buffers {
		b, id := &p.Buffers[i], plan.BufID(i)
		m := e.Memory(id)
		if m == nil || b.Role == plan.Temp || b.Count() == 0 {
			continue
		}
		addressed++
		if dt, n := ir.DataType(m); dt != b.Type || n != b.Count() {
			t.Errorf("memory of buffer %d: a %T of %d, want %v %v", i, m, n, b.Type, b.Shape)
			continue
		}
		data := blank(b.Type, b.Count())
		if err := e.Read(id, data); err != nil {
			t.Fatal(err)
		}
		if err := identical(m, data); err != nil {
			t.Errorf("memory of buffer %d is not what Read gives: %v", i, err)
		}
		if again := e.Memory(id); reflect.ValueOf(again).Pointer() != reflect.ValueOf(m).Pointer() {
			t.Errorf("buffer %d: Memory moved", i)
		}
	}
	// An input written through its memory takes effect.
	for _, in := range p.Inputs {
		if m := e.Memory(in.Buf); m != nil {
			copyAny(m, s.values(&p.Graph.Nodes[in.Node], 2))
		}
	}
	if addressed == 0 {
		t.Logf("%s: the host can address no buffer", d.Info().Name)
		return
	}
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	for i, out := range p.Outputs {
		if err := s.compare(e.Memory(out.Buf), s.wants[2].outputs[i], s.coarse); err != nil {
			t.Errorf("inputs written through Memory: output %d: %v", i, err)
		}
	}
}

// contractBind: memory bound to inputs is read and stays as it is; unbound and written, a buffer has its own again.
func contractBind(t *testing.T, d backend.Device) {
	p, e, s := compiled(t, d, find("chain/length 70001"))
	b, ok := e.(backend.Binder)
	if !ok {
		t.Logf("%s cannot read inputs where the host has them", d.Info().Name)
		return
	}
	bound := 0
	for _, in := range p.Inputs {
		mem, bytes := placed(s.values(&p.Graph.Nodes[in.Node], 2))
		if b.Bind(in.Buf, bytes[:len(bytes)-1]) {
			t.Error("memory too short was bound")
		}
		if b.Bind(in.Buf, bytes) {
			bound++
		} else if err := e.Write(in.Buf, mem); err != nil {
			t.Fatal(err)
		}
		defer runtime.KeepAlive(mem)
	}
	t.Logf("%d of %d inputs bound", bound, len(p.Inputs))
	run := func(want []any) {
		t.Helper()
		if err := e.Run(nil); err != nil {
			t.Fatal(err)
		}
		for i, out := range p.Outputs {
			data := blank(p.Buffers[out.Buf].Type, p.Buffers[out.Buf].Count())
			if err := e.Read(out.Buf, data); err != nil {
				t.Fatal(err)
			}
			if err := s.compare(data, want[i], s.coarse); err != nil {
				t.Errorf("output %d: %v", i, err)
			}
		}
	}
	run(s.wants[2].outputs)
	for i, in := range p.Inputs {
		if i == 0 && b.Bind(in.Buf, nil) {
			t.Error("nil was bound")
		}
		if err := e.Write(in.Buf, s.values(&p.Graph.Nodes[in.Node], 1)); err != nil { // unbinds the others
			t.Fatal(err)
		}
	}
	run(s.wants[0].outputs)
	for _, id := range []plan.BufID{-1, plan.BufID(len(p.Buffers)), p.Outputs[0].Buf} {
		if b.Bind(id, make([]byte, 70001*4)) {
			t.Errorf("memory was bound to buffer %d, which is no input", id)
		}
	}
}

// contractTwo: two executables of one device, of one program and of another, run in goroutines of their own.
func contractTwo(t *testing.T, d backend.Device) {
	defer vec.SetThreads(vec.Threads())
	var wait sync.WaitGroup
	for _, name := range []string{"model/net forward and backward", "model/net forward and backward", "update/adam",
		"noise/sample"} {
		c := find(name)
		wait.Go(func() {
			for range 4 {
				if _, err := c.test(d, ir.F32, false); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// contractState: State begins as zero, moves, and can be written back: the steps then repeat bit for bit.
func contractState(t *testing.T, d backend.Device) {
	p, e, s := compiled(t, d, find("update/adam, decay and clipping"))
	kept := map[plan.BufID]any{}
	lasting := func(f func(id plan.BufID, b *plan.Buffer)) {
		for i := range p.Buffers {
			if b := &p.Buffers[i]; b.Role == plan.State || b.Role == plan.Param {
				f(plan.BufID(i), b)
			}
		}
	}
	read := func(id plan.BufID, b *plan.Buffer) any {
		data := blank(b.Type, b.Count())
		if err := e.Read(id, data); err != nil {
			t.Fatal(err)
		}
		return data
	}
	states := 0
	lasting(func(id plan.BufID, b *plan.Buffer) {
		if b.Role == plan.State {
			states++
			if err := identical(read(id, b), blank(b.Type, b.Count())); err != nil {
				t.Errorf("state buffer %d is not 0 at first: %v", id, err)
			}
		}
	})
	if states == 0 {
		t.Error("the program has no State")
	}
	for k := range 3 {
		if _, err := s.runOnce(p, e, k); err != nil {
			t.Fatal(err)
		}
	}
	lasting(func(id plan.BufID, b *plan.Buffer) { kept[id] = read(id, b) })
	step := func() []any {
		if _, err := s.runOnce(p, e, 3); err != nil {
			t.Fatal(err)
		}
		var after []any
		lasting(func(id plan.BufID, b *plan.Buffer) { after = append(after, read(id, b)) })
		return after
	}
	first := step()
	lasting(func(id plan.BufID, _ *plan.Buffer) {
		if err := e.Write(id, kept[id]); err != nil {
			t.Fatal(err)
		}
	})
	for i, again := range step() {
		if err := identical(again, first[i]); err != nil {
			t.Errorf("the step after restoring the state differs: %v", err)
		}
	}
	// The learning rate can be set between runs: an infinitesimal one moves nothing.
	for i := range p.Steps {
		if u := p.Steps[i].Update; u != nil {
			if err := e.Write(u.Rate, []float64{1e-30}); err != nil {
				t.Fatal(err)
			}
			before := read(u.Params[0], &p.Buffers[u.Params[0]])
			if err := e.Run(nil); err != nil {
				t.Fatal(err)
			}
			if err := identical(read(u.Params[0], &p.Buffers[u.Params[0]]), before); err != nil {
				t.Errorf("a rate of 1e-30 moved a parameter: %v", err)
			}
		}
	}
}

// contractAllocations: a run in the steady state allocates nothing.
func contractAllocations(t *testing.T, d backend.Device) {
	for _, name := range []string{"model/net forward and backward", "update/adam", "noise/used again", "reduce/large",
		"chain/length 70001",
		"movement/sum of pads", "dot/batch [2 3]", "custom/scan", "model/softmax", "outputs/every node of a net"} {
		p, e, s := compiled(t, d, find(name))
		if _, err := s.runOnce(p, e, 0); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		check.NoAllocs(t, name, func() {
			if err := e.Run(nil); err != nil {
				t.Error(err)
			}
		})
	}
}
