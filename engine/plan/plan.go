package plan

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// switches are the names that Options.Disable may hold.
var switches = []string{"fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat", "reuse"}

// New plans a graph, which must be valid (ir.Graph.Verify) and stays the program's: it must not be changed
// afterwards. The program's own graph may have copies at its end, see early.
//
// An error names what cannot be planned: an unknown name in o.Disable, a negative budget or slack, an update whose optimiser
// is not a valid kernels.Optimizer.
func New(g *ir.Graph, o Options) (*Program, error) {
	for _, name := range o.Disable {
		if !slices.Contains(switches, name) {
			return nil, fmt.Errorf("plan: Options.Disable has %q, want names of %q", name, switches)
		}
	}
	if o.Budget < 0 {
		return nil, fmt.Errorf("plan: Options.Budget = %d bytes, want at least 0", o.Budget)
	}
	if o.Slack < 0 {
		return nil, fmt.Errorf("plan: Options.Slack = %d steps, want at least 0", o.Slack)
	}
	l := newPlanner(early(g), o)
	if err := l.optimizers(); err != nil {
		return nil, err
	}
	if err := l.plan(); err != nil {
		return nil, err
	}
	p := l.p
	if !o.off("schedule") {
		schedule(p, o)
	}
	if !o.off("remat") {
		if err := remat(p, o.Budget); err != nil {
			return nil, err
		}
	}
	if err := place(p, o); err != nil {
		return nil, err
	}
	return p, nil
}

// A planner turns a graph into a program.
type planner struct {
	g    *ir.Graph
	o    Options
	p    *Program
	live []bool  // per node: something wanted needs it
	buf  []BufID // per node: the buffer that holds its value in row-major order; -1: none
}

func newPlanner(g *ir.Graph, o Options) *planner {
	l := &planner{g: g, o: o, p: &Program{Graph: g}, live: live(g), buf: make([]BufID, len(g.Nodes))}
	for i := range l.buf {
		l.buf[i] = -1
	}
	return l
}

// reset forgets the program.
func (l *planner) reset() {
	l.p.Buffers, l.p.Steps, l.p.Inputs, l.p.Outputs = nil, nil, nil, nil
	for i := range l.buf {
		l.buf[i] = -1
	}
}

// live marks what the outputs and the updates need; a kernel with effects is no reason to run what is before it.
func live(g *ir.Graph) []bool {
	live := make([]bool, len(g.Nodes))
	mark := func(ids ...ir.ID) {
		for _, id := range ids {
			if id >= 0 {
				live[id] = true
			}
		}
	}
	mark(g.Outputs...)
	for _, u := range g.Updates {
		mark(u.Params...)
		mark(u.Grads...)
		mark(u.Loss)
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if live[i] {
			mark(g.Nodes[i].In...)
		}
	}
	return live
}

// optimizers checks what the updates carry.
func (l *planner) optimizers() error {
	for i, u := range l.g.Updates {
		o, ok := u.Optimizer.(kernels.Optimizer)
		if !ok {
			return fmt.Errorf("plan: update %d carries a %T, want a kernels.Optimizer", i, u.Optimizer)
		}
		if err := o.Validate(); err != nil {
			return fmt.Errorf("plan: update %d: %w", i, err)
		}
		for _, id := range u.Params {
			if t, want := l.g.Nodes[id].Type, l.g.Nodes[u.Params[0]].Type; t != want || !t.Float() {
				return fmt.Errorf("plan: update %d: %s is %v, the first parameter %v, want one float type",
					i, l.g.Label(id), t, want)
			}
		}
		if u.Loss >= 0 && l.g.Nodes[u.Loss].Count() != 1 {
			return fmt.Errorf("plan: update %d: the loss %s has shape %v, want one element",
				i, l.g.Label(u.Loss), l.g.Nodes[u.Loss].Shape)
		}
	}
	return nil
}

// newBuffer appends a buffer.
func (l *planner) newBuffer(b Buffer) BufID {
	b.Over = -1
	l.p.Buffers = append(l.p.Buffers, b)
	return BufID(len(l.p.Buffers) - 1)
}

// nodeBuffer returns the buffer of a node's value; it makes one if there is none.
func (l *planner) nodeBuffer(id ir.ID, r Role) BufID {
	if l.buf[id] < 0 {
		n := &l.g.Nodes[id]
		b := Buffer{Role: r, Type: n.Type, Shape: n.Shape, Node: id}
		if r == Const {
			b.Data = n.Attr.(*ir.Tensor).Data
		}
		l.buf[id] = l.newBuffer(b)
	}
	return l.buf[id]
}

// leaves makes the buffers of the inputs.
func (l *planner) leaves() {
	for i := range l.g.Nodes {
		n := &l.g.Nodes[i]
		if n.Op != ir.Input || !l.live[i] || n.Count() == 0 {
			continue
		}
		r := Input
		if n.Attr.(ir.InputAttr).Resident {
			r = Param
		}
		l.p.Inputs = append(l.p.Inputs, Binding{ir.ID(i), l.nodeBuffer(ir.ID(i), r)})
	}
}

// outputs ties the wanted nodes to their buffers, which exist.
func (l *planner) outputs() {
	for _, id := range l.g.Outputs {
		b := Binding{id, -1}
		if l.g.Nodes[id].Count() > 0 {
			b.Buf = l.buf[id]
		}
		l.p.Outputs = append(l.p.Outputs, b)
	}
}

// updates appends the optimiser's steps.
func (l *planner) updates(value func(ir.ID) BufID) {
	for i, u := range l.g.Updates {
		o := u.Optimizer.(kernels.Optimizer)
		up := &Update{Optimizer: o, Loss: -1}
		s := Step{Update: up}
		state := func(t ir.DType, shape []int) BufID {
			b := l.newBuffer(Buffer{Role: State, Type: t, Shape: shape, Node: -1})
			s.Reads, s.Writes = append(s.Reads, b), append(s.Writes, b)
			return b
		}
		for j, id := range u.Params {
			n := &l.g.Nodes[id]
			if n.Count() == 0 {
				continue
			}
			p, g := value(id), value(u.Grads[j])
			up.Params, up.Grads = append(up.Params, p), append(up.Grads, g)
			s.Reads, s.Writes = append(s.Reads, p, g), append(s.Writes, p)
			if o.Method == kernels.Adam {
				up.M = append(up.M, state(n.Type, n.Shape))
			}
			if o.Method != kernels.Momentum {
				up.V = append(up.V, state(n.Type, n.Shape))
			}
			if o.Method != kernels.Adam && o.Momentum != 0 {
				up.Velocity = append(up.Velocity, state(n.Type, n.Shape))
			}
			s.Flops += 12 * int64(n.Count())
		}
		up.Rate = l.newBuffer(Buffer{Role: State, Type: ir.F64, Node: -1})
		s.Reads = append(s.Reads, up.Rate)
		up.Steps = state(ir.Int64, nil)
		if u.Loss >= 0 {
			up.Loss = value(u.Loss)
			s.Reads = append(s.Reads, up.Loss)
		}
		up.Info = l.newBuffer(Buffer{Role: Output, Type: ir.F64, Shape: []int{4}, Node: -1})
		s.Writes = append(s.Writes, up.Info)
		s.Reads, s.Writes = distinct(s.Reads), distinct(s.Writes)
		s.Bytes = l.bytes(s.Reads) + l.bytes(s.Writes)
		s.Name = fmt.Sprintf("#%d %v", len(l.p.Steps), o.Method)
		if i > 0 {
			s.Name += fmt.Sprintf(" (update %d)", i)
		}
		l.p.Steps = append(l.p.Steps, s)
	}
}

// distinct sorts and drops what repeats.
func distinct(b []BufID) []BufID { slices.Sort(b); return slices.Compact(b) }

func (l *planner) bytes(b []BufID) (n int64) {
	for _, id := range b {
		n += int64(l.p.Buffers[id].Bytes())
	}
	return n
}
