package backendtest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/ref"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/internal/vec"
)

// A faulty device is package ref's with an error planted around every run.
type faulty struct {
	backend.Device
	before, after func(e *faultyRun)
	compiled      int
	write         func(e *faultyRun, b plan.BufID) bool // whether a Write is done
}

type faultyRun struct {
	backend.Executable
	d    *faulty
	p    *plan.Program
	runs int
	kept map[plan.BufID]any
}

func (d *faulty) Compile(p *plan.Program) (backend.Executable, error) {
	e, err := d.Device.Compile(p)
	d.compiled++
	return &faultyRun{Executable: e, d: d, p: p, kept: map[plan.BufID]any{}}, err
}

func (e *faultyRun) Write(b plan.BufID, src any) error {
	if e.d.write != nil && !e.d.write(e, b) {
		return nil
	}
	return e.Executable.Write(b, src)
}

func (e *faultyRun) Run(watch func(int) error) error {
	if e.d.before != nil {
		e.d.before(e)
	}
	err := e.Executable.Run(watch)
	if e.d.after != nil {
		e.d.after(e)
	}
	e.runs++
	return err
}

// outputs calls f with the Output buffers that have elements.
func (e *faultyRun) outputs(f func(b plan.BufID, data reflect.Value)) {
	for i := range e.p.Buffers {
		if b := &e.p.Buffers[i]; b.Role == plan.Output && b.Count() > 0 {
			f(plan.BufID(i), reflect.ValueOf(e.Memory(plan.BufID(i))))
		}
	}
}

// nudge moves the last finite number of a slice by some units in its last place, or of 1 if that is more and far is
// true. Others are changed altogether.
func nudge(v reflect.Value, ulps float64, far bool) {
	least32, least64 := 0x1p-149, 0x1p-1074
	if far {
		least32, least64 = 0x1p-24, 0x1p-53
	}
	for i := v.Len() - 1; i >= 0; i-- {
		x := v.Index(i)
		switch x.Kind() {
		case reflect.Float32:
			if f := x.Float(); f-f == 0 {
				x.SetFloat(f + math.Copysign(ulps*max(0x1p-24*math.Abs(f), least32), f))
				return
			}
		case reflect.Float64:
			if f := x.Float(); f-f == 0 {
				x.SetFloat(f + math.Copysign(ulps*max(0x1p-53*math.Abs(f), least64), f))
				return
			}
		case reflect.Bool:
			x.SetBool(!x.Bool())
			return
		case reflect.Uint8:
			x.SetUint(x.Uint() ^ 1)
			return
		default:
			x.SetInt(x.Int() ^ 1)
			return
		}
	}
}

// A harness that passes everything is worth nothing: each planted fault must be seen by the cases that it concerns.
func TestFaultsAreSeen(t *testing.T) {
	hasOutput := func(p *plan.Program) bool {
		return slices.ContainsFunc(p.Outputs, func(o plan.Binding) bool {
			return o.Buf >= 0 && p.Buffers[o.Buf].Role == plan.Output
		})
	}
	faults := []struct {
		name string
		d    faulty
		// everywhere says for which programs the fault must be seen; nil: at least in some cases, number of which is
		// min.
		everywhere func(c *Case, p *plan.Program) bool
		min        int
	}{
		{name: "none", min: 0},
		{name: "an element far off", everywhere: func(c *Case, p *plan.Program) bool { return hasOutput(p) },
			d: faulty{after: func(e *faultyRun) {
				e.outputs(func(_ plan.BufID, v reflect.Value) { nudge(v, 1e6, true) })
			}}, min: 100},
		{name: "an element's last bit", everywhere: func(c *Case, p *plan.Program) bool { return c.Tol == 0 && hasOutput(p) },
			d: faulty{after: func(e *faultyRun) {
				e.outputs(func(_ plan.BufID, v reflect.Value) { nudge(v, 2, false) })
			}}, min: 50},
		{name: "an element not written", everywhere: func(c *Case, p *plan.Program) bool { return hasOutput(p) },
			d: faulty{before: func(e *faultyRun) {
				e.outputs(func(b plan.BufID, v reflect.Value) { e.kept[b] = clone(v.Interface()) })
			}, after: func(e *faultyRun) {
				e.outputs(func(b plan.BufID, v reflect.Value) {
					v.Index(v.Len() / 2).Set(reflect.ValueOf(e.kept[b]).Index(v.Len() / 2))
				})
			}}, min: 100},
		{name: "other bits in the second run", everywhere: func(c *Case, p *plan.Program) bool {
			return c.Tol > 0 && c.Seeds == nil && hasOutput(p) && len(p.Graph.Updates) == 0
		},
			d: faulty{after: func(e *faultyRun) {
				if e.runs == 1 {
					e.outputs(func(_ plan.BufID, v reflect.Value) { nudge(v, 2, false) })
				}
			}}, min: 20},
		{name: "other bits on one thread", d: faulty{after: func(e *faultyRun) {
			if vec.Threads() == 1 {
				e.outputs(func(_ plan.BufID, v reflect.Value) { nudge(v, 2, false) })
			}
		}}, min: 200},
		{name: "other bits of one program in two", min: 20, d: faulty{after: func(e *faultyRun) {
			if e.d.compiled%2 == 0 && len(e.p.Graph.Updates) > 0 {
				e.outputs(func(_ plan.BufID, v reflect.Value) { nudge(v, 2, false) })
			}
		}}},
		{name: "NaN for infinity", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.CanFloat() && math.IsInf(x.Float(), 0) {
						x.SetFloat(math.NaN())
					}
				}
			})
		}}, min: 20},
		{name: "the other infinity", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.CanFloat() && math.IsInf(x.Float(), 0) {
						x.SetFloat(-x.Float())
					}
				}
			})
		}}, min: 20},
		{name: "a number for NaN", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.CanFloat() && math.IsNaN(x.Float()) {
						x.SetFloat(1)
					}
				}
			})
		}}, min: 20},
		{name: "zeros of the other sign", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.CanFloat() && x.Float() == 0 {
						x.SetFloat(math.Copysign(0, -math.Copysign(1, x.Float())))
					}
				}
			})
		}}, min: 40},
		{name: "negative zeros lost", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.CanFloat() && x.Float() == 0 {
						x.SetFloat(0)
					}
				}
			})
		}}, min: 20},
		{name: "subnormal numbers flushed", d: faulty{after: func(e *faultyRun) {
			e.outputs(func(_ plan.BufID, v reflect.Value) {
				for i := range v.Len() {
					if x := v.Index(i); x.Kind() == reflect.Float32 && math.Abs(x.Float()) < 0x1p-126 {
						x.SetFloat(math.Copysign(0, x.Float()))
					}
				}
			})
		}}, min: 10},
		{name: "an input overwritten", d: faulty{after: func(e *faultyRun) {
			for _, in := range e.p.Inputs {
				if in.Buf >= 0 && e.p.Buffers[in.Buf].Role == plan.Input && e.p.Buffers[in.Buf].Count() > 0 {
					nudge(reflect.ValueOf(e.Memory(in.Buf)), 2, false)
					return
				}
			}
		}}, min: 100},
		{name: "inputs written once only", d: faulty{write: func(e *faultyRun, b plan.BufID) bool {
			return e.runs == 0 || e.p.Buffers[b].Role == plan.Output
		}}, min: 100},
		{name: "the run number stands still", d: faulty{write: func(e *faultyRun, b plan.BufID) bool {
			n := e.p.Buffers[b].Node
			if n < 0 || e.runs == 0 {
				return true
			}
			a, ok := e.p.Graph.Nodes[n].Attr.(ir.InputAttr)
			return !ok || !a.RunNumber
		}}, min: 10},
		{name: "everything run twice", d: faulty{before: func(e *faultyRun) { _ = e.Executable.Run(nil) }}, min: 5},
		{name: "parameters that stand still", d: faulty{before: func(e *faultyRun) {
			for i := range e.p.Buffers {
				if e.p.Buffers[i].Role == plan.Param {
					e.kept[plan.BufID(i)] = clone(e.Memory(plan.BufID(i)))
				}
			}
		}, after: func(e *faultyRun) {
			for b, data := range e.kept {
				copyAny(e.Memory(b), data)
			}
		}}, min: 10},
		{name: "moments forgotten", d: faulty{after: func(e *faultyRun) {
			for i := range e.p.Steps {
				if u := e.p.Steps[i].Update; u != nil {
					for _, ids := range [][]plan.BufID{u.M, u.V, u.Velocity} {
						for _, b := range ids {
							reflect.ValueOf(e.Memory(b)).Clear()
						}
					}
				}
			}
		}}, min: 5},
		{name: "what an update says", d: faulty{after: func(e *faultyRun) {
			for i := range e.p.Steps {
				if u := e.p.Steps[i].Update; u != nil {
					e.Memory(u.Info).([]float64)[2]++
				}
			}
		}}, min: 10},
		{name: "errors kept to itself", min: 2},
	}
	var subjects []*subject
	for _, c := range Cases() {
		if slices.ContainsFunc([]string{"128", "large", "long sums", "70001", "4097", "random large", "20 steps"},
			func(s string) bool { return strings.Contains(c.Name, s) }) {
			continue // the same again, slowly
		}
		for _, dt := range c.types() {
			s, err := c.reference(dt)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			subjects = append(subjects, s)
		}
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			var d backend.Device = &f.d
			f.d.Device = ref.New()
			if f.name == "errors kept to itself" {
				d = silent{ref.New()}
			}
			seen := 0
			for _, s := range subjects {
				err := s.run(d, variant{})
				if err != nil {
					seen++
					if f.name == "none" {
						t.Errorf("%s: %v", s.Name, err)
					}
					continue
				}
				if f.everywhere != nil && s.Fails == "" {
					p, e, err := s.compile(ref.New(), variant{})
					if err != nil {
						t.Fatal(err)
					}
					e.Close()
					if f.everywhere(s.Case, p) {
						t.Errorf("%s: not seen", s.Name)
					}
				}
			}
			if t.Logf("seen by %d of %d", seen, len(subjects)); seen < f.min {
				t.Errorf("seen by %d cases, want at least %d", seen, f.min)
			}
		})
	}
}

// silent says that every run went well.
type silent struct{ backend.Device }

type silentRun struct{ backend.Executable }

func (d silent) Compile(p *plan.Program) (backend.Executable, error) {
	e, err := d.Device.Compile(p)
	return silentRun{e}, err
}

func (e silentRun) Run(watch func(int) error) error {
	_ = e.Executable.Run(watch)
	return nil
}

// A device that cannot do a case, or loses one, is not passed over.
func TestUnsupportedIsSeen(t *testing.T) {
	c := find("model/softmax")
	_, err := c.test(unable{ref.New()}, ir.F32, false)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}

type unable struct{ backend.Device }

func (unable) Compile(*plan.Program) (backend.Executable, error) {
	return nil, fmt.Errorf("no such kernel: %w", errors.ErrUnsupported)
}

func TestCompare(t *testing.T) {
	inf, nan, minus := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	exact, scaled, each := &Case{}, &Case{Tol: 2}, &Case{Tol: 2, Each: true}
	for _, c := range []struct {
		c         *Case
		got, want any
		ok        bool
	}{
		{exact, []float64{1, nan, inf, minus}, []float64{1, nan, inf, minus}, true},
		{exact, []float64{0}, []float64{minus}, false},
		{exact, []float64{1}, []float64{1 + 0x1p-52}, false},
		{exact, []float64{nan}, []float64{1}, false},
		{exact, []float64{1}, []float64{nan}, false},
		{exact, []float64{inf}, []float64{-inf}, false},
		{exact, []float64{inf}, []float64{1}, false},
		{exact, []float64{1}, []float64{inf}, false},
		{exact, []float64{1}, []float64{1, 2}, false},
		{exact, []float64{}, []float64{}, true},
		{exact, []float32{1}, []float64{1}, false},
		{exact, []int64{1, 2}, []int64{1, 2}, true},
		{exact, []int64{1, 2}, []int64{1, 3}, false},
		{exact, []bool{true}, []bool{false}, false},
		{scaled, []float64{100, 1 + 100*0x1p-52}, []float64{100, 1}, true},
		{scaled, []float64{100, 1 + 300*0x1p-52}, []float64{100, 1}, false},
		{scaled, []float64{inf, 1 + 3*0x1p-52}, []float64{inf, 1}, false}, // an infinity does not widen the tolerance
		{scaled, []float64{0}, []float64{minus}, true},
		{scaled, []float64{nan}, []float64{0}, false},
		{scaled, []int64{2}, []int64{1}, false},
		{scaled, []float32{1 + 0x1p-22}, []float32{1}, true},
		{scaled, []float32{1 + 0x1p-20}, []float32{1}, false},
		{each, []float64{100, 1 + 3*0x1p-52}, []float64{100, 1}, false},
		{each, []float64{100, 1 + 0x1p-51}, []float64{100, 1}, true},
		{each, []float64{0}, []float64{minus}, false},
		{each, []float32{0x1p-149}, []float32{0}, true},
		{each, []float32{0x1p-140}, []float32{0}, false},
		{each, []float32{0}, []float32{0x1p-126}, false},
	} {
		if err := c.c.compare(c.got, c.want, false); (err == nil) != c.ok {
			t.Errorf("compare(%v, %v) with %+v: %v, want ok = %v", c.got, c.want, c.c.Tol, err, c.ok)
		}
	}
	if err := scaled.compare([]float64{1 + 0x1p-23}, []float64{1}, true); err != nil {
		t.Errorf("a float64 that came of float32: %v", err)
	}
}

func TestCases(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Cases() {
		if names[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		names[c.Name] = true
		if c.Tol > 0 && strings.TrimSpace(c.Why) == "" {
			t.Errorf("%s: a tolerance of %v without a reason", c.Name, c.Tol)
		}
		if c.Each && c.Feed == nil {
			t.Errorf("%s: relative to each element, but without its own values", c.Name)
		}
	}
	// Every kind of node is in the table, in every class's own cases and not only in random graphs.
	kinds := map[ir.Op]bool{}
	for _, c := range Cases() {
		if strings.HasPrefix(c.Name, "random") {
			continue
		}
		g, err := c.graph(ir.F32)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for i := range g.Nodes {
			kinds[g.Nodes[i].Op] = true
		}
	}
	for op := ir.Input; op.Info().Name != "invalid"; op++ {
		if !kinds[op] {
			t.Errorf("no case has a node of kind %v", op)
		}
	}
}

// PlanFeatures are all that the planner knows: it lists them where one is unknown.
func TestPlanFeatures(t *testing.T) {
	b := ir.NewBuilder()
	b.Output(b.Scalar(ir.F32, 1))
	_, err := plan.New(b.G, plan.Options{Disable: []string{"nothing like it"}})
	if want := fmt.Sprintf("%q", PlanFeatures); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s in it", err, want)
	}
}

// copying is package ref's device with a Bind that copies: before every run, or once, so that what changes in the
// bound memory is not seen.
type copying struct {
	backend.Device
	once bool
}

type copyingRun struct {
	backend.Executable
	p     *plan.Program
	once  bool
	bound map[plan.BufID][]byte
}

func (d copying) Compile(p *plan.Program) (backend.Executable, error) {
	e, err := d.Device.Compile(p)
	return &copyingRun{e, p, d.once, map[plan.BufID][]byte{}}, err
}

func (e *copyingRun) copyIn(b plan.BufID) {
	v := reflect.ValueOf(e.Executable.Memory(b))
	copy(unsafe.Slice((*byte)(v.UnsafePointer()), len(e.bound[b])), e.bound[b])
}

func (e *copyingRun) Bind(b plan.BufID, mem []byte) bool {
	if delete(e.bound, b); mem == nil || e.p.Buffers[b].Role != plan.Input || len(mem) != e.p.Buffers[b].Bytes() {
		return false
	}
	e.bound[b] = mem
	e.copyIn(b)
	return true
}

func (e *copyingRun) Run(watch func(int) error) error {
	for i := range e.p.Buffers { // in order
		if b := plan.BufID(i); e.bound[b] != nil && !e.once {
			e.copyIn(b)
		}
	}
	return e.Executable.Run(watch)
}

func TestBoundInputs(t *testing.T) {
	seen := 0
	for _, name := range []string{"chain/length 257", "model/softmax", "noise/sample", "update/adam", "movement/of u8"} {
		c := find(name)
		for _, once := range []bool{false, true} {
			s, err := c.reference(c.types()[0])
			if err != nil {
				t.Fatal(err)
			}
			err = s.run(copying{ref.New(), once}, variant{bind: true})
			if !s.binder {
				t.Fatal("not a Binder")
			}
			if !once && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if once && err != nil {
				seen++
			}
		}
	}
	if seen < 3 {
		t.Errorf("a Bind that copies once is seen by %d cases of 5", seen)
	}
}
