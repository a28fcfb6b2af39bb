package engine

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/backend/null"
	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/pass"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
)

// compiled is a program on a device and what ties it to the nodes of the graph.
type compiled struct {
	module  *frontend.Module
	program *plan.Program
	reports []pass.Report
	stages  []Stage
	exec    backend.Executable
	blind   bool // the device only counts: it takes no values and has none
	near    bool // the host works in the device's memory, and must not do so during a run

	fed      []*G.Node // inputs that must have a value, whether or not the program reads it
	direct   []input   // inputs whose values ops on the host take: without buffers
	inputs   []input
	counters []counter
	params   []param
	outputs  []output // ascending by src
	reads    []read
	sets     []set
	duals    []dual
	gather   gathering

	update      *plan.Update // nil: none
	lastCompute int          // the last step before the updates; -1: there is none
}

// planSwitches are the abilities of the planner that can be switched off.
var planSwitches = []string{"fuse", "epilogue", "siblings", "recompute", "schedule", "in-place", "remat", "reuse"}

// Switches lists the names that [Disable] takes: passes over the graph, then abilities of the planner.
func Switches() []string { return append(pass.Names(), planSwitches...) }

// verify makes every compilation check the graph after each pass, and the plan (in tests).
var verify = false

// A pipeline is a graph on its way to a program.
type pipeline struct {
	config *config
	module *frontend.Module
	wants  []int32 // source numbers of the graph's outputs
	binds  []bool  // by output: its node gets the value
	stages []Stage
	last   time.Time
}

// done notes the time that a stage took.
func (p *pipeline) done(stage string) {
	now := time.Now()
	p.stages = append(p.stages, Stage{Name: stage, Seconds: now.Sub(p.last).Seconds()})
	p.last = now
}

// lower brings the graph into the engine's representation, says what is wanted and adds the update.
func (vm *VM) lower(stale *frontend.Module) (*pipeline, error) {
	c := vm.config
	p := &pipeline{config: c, last: time.Now()}
	o := frontend.Options{All: vm.all(), Seed: c.seed, Stale: stale}
	if !o.All {
		for _, n := range c.outputs {
			if !isLeaf(n) {
				o.Wanted = append(o.Wanted, n)
			}
		}
		for _, n := range vm.gradients() {
			if !isLeaf(n) {
				o.Wanted = append(o.Wanted, n)
			}
		}
		for _, ab := range sets(vm.g) {
			if !isLeaf(ab[1]) {
				o.Wanted = append(o.Wanted, ab[1])
			}
		}
		if c.update != nil {
			o.Wanted = append(append(o.Wanted, c.update.loss), c.update.grads...)
		}
	}
	if c.update != nil {
		o.Resident = c.update.params
	}
	m, err := frontend.Import(vm.g, o)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	p.module = m
	p.choose(vm)
	if err := p.addUpdate(); err != nil {
		return nil, err
	}
	p.done("import")
	return p, nil
}

// gradients lists the gradient nodes that BindDualValues names.
func (vm *VM) gradients() (grads G.Nodes) {
	if !vm.config.dual {
		return nil
	}
	if len(vm.config.duals) > 0 {
		for _, n := range vm.config.duals {
			if d := n.Deriv(); d != nil {
				grads = append(grads, d)
			}
		}
		return grads
	}
	for _, n := range vm.g.AllNodes() {
		if d := n.Deriv(); d != nil && isInput(n) {
			grads = append(grads, d)
		}
	}
	return grads
}

// choose decides which of the nodes that the front end lists are outputs of the program, and which of those give
// their value to their node. The gradients and the loss of an update are listed because they were asked for; they
// count if they are roots of the graph as it was given, or are named, and so do gradients of other updates.
func (p *pipeline) choose(vm *VM) {
	m, c := p.module, p.config
	bind := make([]bool, len(m.Nodes))
	for _, src := range m.Wants {
		bind[src] = vm.all() || !vm.owner.foreign(m.Nodes[src])
	}
	if u := c.update; u != nil && !vm.lossIsRoot {
		bind[m.Number(u.loss)] = false
	}
	for _, nodes := range []G.Nodes{c.outputs, vm.gradients()} {
		for _, n := range nodes {
			bind[m.Number(n)] = true
		}
	}
	for _, r := range m.Reads {
		bind[r.Src] = true
	}
	for _, ab := range sets(vm.g) {
		bind[m.Number(ab[1])] = true
	}
	m.Graph.Outputs = m.Graph.Outputs[:0]
	for i, n := range m.Nodes {
		if m.IDs[i] < 0 || !bind[i] && !c.numerics || isLeaf(n) {
			continue
		}
		p.wants = append(p.wants, int32(i))
		p.binds = append(p.binds, bind[i])
		m.Graph.Outputs = append(m.Graph.Outputs, m.IDs[i])
	}
}

func (p *pipeline) addUpdate() error {
	u, m := p.config.update, p.module
	if u == nil {
		return nil
	}
	id := func(n *G.Node) ir.ID { return m.IDs[m.Number(n)] }
	step := ir.Update{Optimizer: u.optimizer, Loss: id(u.loss)}
	for i, n := range u.params {
		step.Params = append(step.Params, id(n))
		step.Grads = append(step.Grads, id(u.grads[i]))
	}
	m.Graph.Updates = append(m.Graph.Updates, step)
	return nil
}

// passes improves the graph. watch, if not nil, sees it after every pass.
func (p *pipeline) passes(watch func(string, *ir.Graph)) (*ir.Graph, []pass.Report, error) {
	off := func(names []string) (chosen []string) {
		for _, n := range p.config.disable {
			if slices.Contains(names, n) {
				chosen = append(chosen, n)
			}
		}
		return chosen
	}
	g, reports, err := pass.Run(p.module.Graph, pass.Options{Disable: off(pass.Names()), Verify: verify, Watch: watch})
	if err != nil {
		return nil, nil, fmt.Errorf("engine: %w", err)
	}
	p.done("passes")
	return g, reports, nil
}

func (p *pipeline) plan(g *ir.Graph, d Device) (*plan.Program, error) {
	var off []string
	for _, n := range p.config.disable {
		if slices.Contains(planSwitches, n) {
			off = append(off, n)
		}
	}
	o := plan.Options{Disable: off, Budget: p.config.budget}
	if t, ok := d.(backend.Tuner); ok {
		t.Tune(&o)
	}
	prog, err := plan.New(g, o)
	if err == nil && verify {
		err = prog.Verify()
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	p.done("plan")
	return prog, nil
}

// compile takes the graph through all stages. stale is the module that this one replaces, or nil.
func (vm *VM) compile(stale *frontend.Module) (c *compiled, err error) {
	p, err := vm.lower(stale)
	if err != nil {
		return nil, err
	}
	g, reports, err := p.passes(nil)
	if err != nil {
		return nil, err
	}
	prog, err := p.plan(g, vm.device)
	if err != nil {
		return nil, err
	}
	exec, err := vm.device.Compile(prog)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	p.done("device")
	defer func() {
		if err != nil {
			exec.Close()
		}
	}()
	c = &compiled{module: p.module, program: prog, reports: reports, exec: exec, lastCompute: -1}
	switch exec.(type) {
	case *null.Executable, *null.EmittedExecutable:
		c.blind = true
	}
	for i := range prog.Steps {
		if u := prog.Steps[i].Update; u != nil {
			c.update = u
		} else {
			c.lastCompute = i
		}
	}
	if err := c.bindInputs(vm); err != nil {
		return nil, err
	}
	c.bindDirect()
	c.bindOutputs(vm, p)
	c.bindReads()
	if err := c.bindSets(vm.g); err != nil {
		return nil, err
	}
	c.bindDuals(vm.config)
	c.keep(vm.config)
	c.bindGather()
	p.done("bind")
	c.stages = p.stages
	return c, nil
}

// slot is a buffer and the memory in which the host sees it.
type slot struct {
	layout
	buf    plan.BufID
	memory []byte // of the buffer; nil: the host cannot address it
	host   any    // a slice on the host that is copied; nil: the memory is used itself
	copied []byte // host's memory
}

func (c *compiled) slot(buf plan.BufID, n *G.Node) slot {
	s := slot{buf: buf}
	b := &c.program.Buffers[buf]
	s.typ, s.shape, s.count = b.Type, n.Shape(), b.Count()
	switch m := c.exec.Memory(buf); {
	case m != nil:
		s.memory, c.near = bytesOf(m), true
	case !c.blind:
		s.stage()
	}
	return s
}

// stage gives the slot memory of its own.
func (s *slot) stage() {
	s.host = ir.MakeSlice(s.typ, s.count)
	s.copied = bytesOf(s.host)
}

// settle waits for the last run where the host is about to work in the device's memory. Elsewhere transfers wait.
func (c *compiled) settle() error {
	if !c.near {
		return nil
	}
	return c.exec.Sync()
}

// fetch brings the buffer's content into the slot's own memory, where it has some.
func (s *slot) fetch(exec backend.Executable) error {
	switch {
	case s.host == nil:
		return nil
	case s.memory != nil:
		copy(s.copied, s.memory)
		return nil
	}
	return exec.Read(s.buf, s.host)
}

// bytes is where the host finds the content after fetch.
func (s *slot) bytes() []byte {
	if s.host != nil {
		return s.copied
	}
	return s.memory
}

// address tells slots of one place from others.
func (s *slot) address() *byte { return unsafe.SliceData(s.memory) }
