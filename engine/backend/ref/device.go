package ref

import (
	"fmt"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	"github.com/godcem/godcem/kernels"
)

// New returns the interpreter as a device. It computes what a program's Graph says, rounding as EvalRounded, and
// takes from the program only where values go: Buffers, Inputs, Outputs, the Nodes of each step and the Updates.
// Unlike other devices it allocates in every run, and no two of its buffers share memory.
func New() backend.Device { return device{} }

type device struct{}

func (device) Info() backend.Info {
	return backend.Info{Name: "ref", Model: "interpreter", Threads: 1, Detail: "float64, rounded to each node's type"}
}

func (device) Close() error { return nil }

// Compile implements backend.Device.
func (device) Compile(p *plan.Program) (backend.Executable, error) {
	if p == nil || p.Graph == nil {
		return nil, fmt.Errorf("ref: a program without a graph")
	}
	if err := p.Graph.Verify(); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	e := &executable{p: p, run: run{g: p.Graph, round: true}, buffers: make([]any, len(p.Buffers)),
		inputs: make([]plan.BufID, len(p.Graph.Nodes)), written: make([]bool, len(p.Outputs))}
	for i := range p.Buffers {
		b := &p.Buffers[i]
		switch b.Role {
		case plan.Temp:
			continue
		case plan.Const:
			if t, n := ir.DataType(b.Data); t != b.Type || n != b.Count() {
				return nil, fmt.Errorf("ref: constant buffer %d holds a %T of %d elements, want %v %v", i, b.Data, n, b.Type,
					b.Shape)
			}
		}
		e.buffers[i] = ir.MakeSlice(b.Type, b.Count())
		if b.Role == plan.Const {
			fromSlice(b.Data).store(e.buffers[i])
		}
	}
	for i := range e.inputs {
		e.inputs[i] = -1
	}
	for _, in := range p.Inputs {
		if err := e.bind("input", in); err != nil {
			return nil, err
		}
		e.inputs[in.Node] = in.Buf
	}
	for _, out := range p.Outputs {
		if err := e.bind("output", out); err != nil {
			return nil, err
		}
	}
	if err := e.bindUpdates(); err != nil {
		return nil, err
	}
	e.feed = func(id ir.ID) any {
		if b := e.inputs[id]; b >= 0 {
			return e.buffers[b]
		}
		if n := &e.g.Nodes[id]; n.Count() == 0 {
			return ir.MakeSlice(n.Type, 0)
		}
		return nil
	}
	return e, nil
}

type executable struct {
	run
	p       *plan.Program
	buffers []any        // by buffer; nil for a Temp
	inputs  []plan.BufID // by node; -1: none
	written []bool       // by output: stored in this run
	updates []update     // by step
	closed  bool
}

// An update is a step that is one.
type update struct {
	grads []ir.ID // the graph's nodes
	loss  ir.ID
	f32   kernels.OptimizerState[float32] // views of the State buffers
	f64   kernels.OptimizerState[float64]
}

func (e *executable) bind(what string, b plan.Binding) error {
	if b.Node < 0 || int(b.Node) >= len(e.g.Nodes) || b.Buf < -1 || int(b.Buf) >= len(e.buffers) {
		return fmt.Errorf("ref: %s of node %d in buffer %d, of a graph of %d nodes and %d buffers", what, b.Node, b.Buf,
			len(e.g.Nodes), len(e.buffers))
	}
	n := &e.g.Nodes[b.Node]
	if b.Buf == -1 {
		if n.Count() != 0 {
			return fmt.Errorf("ref: %s %s has no buffer", what, e.g.Label(b.Node))
		}
		return nil
	}
	if t, count := ir.DataType(e.buffers[b.Buf]); t != n.Type || count != n.Count() {
		return fmt.Errorf("ref: %s %s, %v %v, is bound to buffer %d of %d x %v", what, e.g.Label(b.Node), n.Type, n.Shape,
			b.Buf, count, t)
	}
	return nil
}

// bindUpdates pairs the Update steps with the graph's updates, in order.
func (e *executable) bindUpdates() error {
	e.updates = make([]update, len(e.p.Steps))
	next := 0
	for i := range e.p.Steps {
		s := e.p.Steps[i].Update
		if s == nil {
			continue
		}
		if next >= len(e.g.Updates) {
			return fmt.Errorf("ref: %s: the graph has %d updates only", e.p.Steps[i].Name, len(e.g.Updates))
		}
		u := &e.g.Updates[next]
		next++
		if _, err := optimizer(e.g, *u); err != nil {
			return fmt.Errorf("ref: %s: %w", e.p.Steps[i].Name, err)
		}
		up := update{f32: state[float32](e.buffers, s), f64: state[float64](e.buffers, s), loss: u.Loss}
		for j, id := range u.Params {
			if e.g.Nodes[id].Count() == 0 {
				continue // a program leaves out what has no elements
			}
			k := len(up.grads)
			if up.grads = append(up.grads, u.Grads[j]); k >= len(s.Params) || s.Params[k] != e.inputs[id] {
				return fmt.Errorf("ref: %s: parameters in buffers %d, want that of %s in place %d", e.p.Steps[i].Name, s.Params,
					e.g.Label(id), k)
			}
		}
		if len(s.Params) != len(up.grads) {
			return fmt.Errorf("ref: %s: %d parameters, the graph's update has %d", e.p.Steps[i].Name, len(s.Params),
				len(up.grads))
		}
		for _, b := range []plan.BufID{s.Rate, s.Steps, s.Info} {
			if b < 0 || int(b) >= len(e.buffers) || e.buffers[b] == nil {
				return fmt.Errorf("ref: %s: buffer %d is not one that lasts", e.p.Steps[i].Name, b)
			}
		}
		e.updates[i] = up
	}
	if next != len(e.g.Updates) {
		return fmt.Errorf("ref: %d update steps, the graph has %d updates", next, len(e.g.Updates))
	}
	return nil
}

// state gathers an update's moments of type T: those of another type are left out.
func state[T kernels.Float](buffers []any, u *plan.Update) (s kernels.OptimizerState[T]) {
	gather := func(ids []plan.BufID) (arrays [][]T) {
		for _, b := range ids {
			if a, ok := buffers[b].([]T); ok {
				arrays = append(arrays, a)
			}
		}
		return arrays
	}
	s.M, s.V, s.Buf = gather(u.M), gather(u.V), gather(u.Velocity)
	return s
}

// buffer checks that the host may name a buffer.
func (e *executable) buffer(what string, b plan.BufID, data any) error {
	if e.closed {
		return fmt.Errorf("ref: %s: the executable is closed", what)
	}
	if b < 0 || int(b) >= len(e.buffers) {
		return fmt.Errorf("ref: %s of buffer %d of %d", what, b, len(e.buffers))
	}
	if e.buffers[b] == nil {
		return fmt.Errorf("ref: %s of buffer %d, which does not outlive a run", what, b)
	}
	want := &e.p.Buffers[b]
	if t, n := ir.DataType(data); t != want.Type || n != want.Count() {
		return fmt.Errorf("ref: %s of buffer %d with a %T of %d elements, want %v %v", what, b, data, n, want.Type,
			want.Shape)
	}
	return nil
}

// Write implements backend.Executable.
func (e *executable) Write(b plan.BufID, src any) error {
	if err := e.buffer("write", b, src); err != nil {
		return err
	}
	fromSlice(src).store(e.buffers[b])
	return nil
}

// Read implements backend.Executable.
func (e *executable) Read(b plan.BufID, dst any) error {
	if err := e.buffer("read", b, dst); err != nil {
		return err
	}
	fromSlice(e.buffers[b]).store(dst)
	return nil
}

// Memory implements backend.Executable.
func (e *executable) Memory(b plan.BufID) any {
	if e.closed || b < 0 || int(b) >= len(e.buffers) {
		return nil
	}
	return e.buffers[b]
}

// Run implements backend.Executable.
func (e *executable) Run(watch func(step int) error) error {
	if e.closed {
		return fmt.Errorf("ref: run: the executable is closed")
	}
	e.reset()
	clear(e.written)
	for i := range e.p.Steps {
		s := &e.p.Steps[i]
		if s.Update != nil {
			// What the outputs and the other updates need is known before a parameter moves.
			if err := e.finish(); err != nil {
				return err
			}
			if err := e.update(i); err != nil {
				return fmt.Errorf("ref: %s: %w", s.Name, err)
			}
		}
		for _, id := range s.Nodes {
			if _, err := e.get(id); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		e.store()
		if watch != nil {
			if err := watch(i); err != nil {
				return err
			}
		}
	}
	return e.finish()
}

// finish computes what no step named.
func (e *executable) finish() error {
	for _, out := range e.p.Outputs {
		if _, err := e.get(out.Node); err != nil {
			return err
		}
	}
	for _, u := range e.g.Updates {
		for _, id := range u.Grads {
			if _, err := e.get(id); err != nil {
				return err
			}
		}
		if u.Loss >= 0 {
			if _, err := e.get(u.Loss); err != nil {
				return err
			}
		}
	}
	e.store()
	return nil
}

// store puts the outputs that are known in their buffers.
func (e *executable) store() {
	for i, out := range e.p.Outputs {
		if v := e.values[out.Node]; v != nil && !e.written[i] && out.Buf >= 0 {
			if e.p.Buffers[out.Buf].Role == plan.Output {
				v.store(e.buffers[out.Buf])
			}
			e.written[i] = true
		}
	}
}

func (e *executable) update(i int) error {
	u, s := &e.updates[i], e.p.Steps[i].Update
	var params, grads []any
	for j, id := range u.grads {
		params = append(params, e.buffers[s.Params[j]])
		grads = append(grads, e.values[id].slice())
	}
	loss := 0.0
	if u.loss >= 0 {
		loss = e.values[u.loss].at(0)
	}
	return u.step(s, e.buffers, loss, params, grads)
}

// step moves the parameters and what s says of them.
func (u *update) step(s *plan.Update, buffers []any, loss float64, params, grads []any) (err error) {
	defer func() {
		if p := recover(); p != nil { // kernels panic where the moments do not fit the parameters
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	rate, ok1 := buffers[s.Rate].([]float64)
	steps, ok2 := buffers[s.Steps].([]int64)
	report, ok3 := buffers[s.Info].([]float64)
	if !ok1 || !ok2 || !ok3 || len(rate) < 1 || len(steps) < 1 || len(report) < 4 {
		return fmt.Errorf("buffers %d, %d and %d, want f64, i64 and 4 x f64", s.Rate, s.Steps, s.Info)
	}
	by := rate[0]
	if by == 0 {
		by = s.Optimizer.Rate // the buffer was never written
	}
	u.f32.Steps, u.f64.Steps = uint64(steps[0]), uint64(steps[0])
	var info UpdateInfo
	single := false
	if len(params) > 0 {
		_, single = params[0].([]float32)
	}
	if single {
		info = step(s.Optimizer, by, loss, &u.f32, params, grads)
		steps[0] = int64(u.f32.Steps)
	} else {
		info = step(s.Optimizer, by, loss, &u.f64, params, grads)
		steps[0] = int64(u.f64.Steps)
	}
	report[0], report[1], report[2], report[3] = info.GradNorm, number01(info.Clipped), number01(info.Skipped), loss
	return nil
}

func number01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Sync implements backend.Executable.
func (e *executable) Sync() error { return nil }

// Close implements backend.Executable.
func (e *executable) Close() error {
	e.closed = true
	return nil
}
