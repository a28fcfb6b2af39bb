package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/godcem/godcem/autodiff"
	G "gorgonia.org/gorgonia"
)

// A VM is a compiled graph on a device. It implements gorgonia.VM.
//
// A VM may be used by one goroutine at a time: a call that meets another returns an error. VMs of different graphs
// are independent of each other. Of several VMs on one graph, not to be used at once either, the last that was made
// or ran without error has set the nodes' values and taken away those that it does not keep. (A TapeMachine beside
// them is not noticed.)
type VM struct {
	g          *G.ExprGraph
	config     *config
	device     Device
	lossIsRoot bool // not counting what a NewVM added to the graph

	*compiled
	runs   int64 // RunAll calls that succeeded
	tracer *tracer
	rate   float64
	losses losses
	watch  func(step int) error
	busy   atomic.Bool
	closed bool
	owner  *owner
	id     uint64
}

var _ G.VM = (*VM)(nil)

// NewVM compiles g. It puts ops with a training mode into that mode (see [EvalMode]) and takes away the values of the
// nodes that the VM will not set. With WithUpdate it adds the gradients that it needs to g, where they are not there
// yet; they stay there, after an error and after Close too, so that the next NewVM for the same loss and parameters finds
// them; a VM that wants all values computes them, one with Outputs or WithUpdate does not take them for roots. Nothing
// else of g is changed.
//
// The values that inputs are bound to are looked at by RunAll; only their shapes and types, which are the nodes',
// must be known here. An error names the option or the node at fault.
func NewVM(g *G.ExprGraph, opts ...Option) (vm *VM, err error) {
	defer guard("NewVM", &err)
	c, err := configure(g, opts)
	if err != nil {
		return nil, err
	}
	vm = &VM{g: g, config: c, device: c.device, owner: ownerOf(g), id: owners.ids.Add(1)}
	if vm.device == nil {
		if vm.device, err = defaultDevice(); err != nil {
			return nil, err
		}
	}
	if err := vm.prepare(); err != nil {
		return nil, err
	}
	if vm.compiled, err = vm.compile(nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			vm.exec.Close()
			vm = nil
		}
	}()
	if err := vm.startUpdate(); err != nil {
		return nil, err
	}
	vm.unbind()
	if c.trace != nil {
		vm.tracer = newTracer(c.trace, vm)
	}
	vm.setWatch()
	return vm, nil
}

// prepare does to the graph what compiling it wants.
func (vm *VM) prepare() error {
	for _, n := range vm.g.AllNodes() {
		if op, ok := n.Op().(G.TrainModeOp); ok {
			if err := op.SetTraining(!vm.config.eval); err != nil {
				return fmt.Errorf("engine: the mode of %s: %w", describe(n), err)
			}
		}
	}
	u := vm.config.update
	if u == nil {
		return nil
	}
	before := nextID(vm.g)
	vm.lossIsRoot = true
	for users := vm.g.To(u.loss.ID()); users.Next(); {
		if n, ok := users.Node().(*G.Node); !ok || !isStatement(n) && !vm.owner.foreign(n) {
			vm.lossIsRoot = false
		}
	}
	var err error
	u.grads, err = autodiff.Gradients(u.loss, u.params...)
	vm.owner.adds(before, nextID(vm.g))
	if err != nil {
		return fmt.Errorf("engine: WithUpdate: %w", err)
	}
	return nil
}

// nextID is above the ids of a graph's nodes.
func nextID(g *G.ExprGraph) (next int64) {
	for _, n := range g.AllNodes() {
		next = max(next, n.ID()+1)
	}
	return next
}

// all reports whether every node has its value after a run.
func (vm *VM) all() bool { return !vm.config.named && vm.config.update == nil }

// unbind takes away the values that nodes have from elsewhere but will not get from this VM.
func (vm *VM) unbind() {
	vm.owner.last.Store(vm.id)
	if vm.all() {
		return
	}
	kept := make([]bool, len(vm.module.Nodes))
	for i := range vm.outputs {
		kept[vm.outputs[i].src] = vm.outputs[i].bind && !vm.outputs[i].late
	}
	for i, n := range vm.module.Nodes {
		if !kept[i] && !isLeaf(n) && n.Value() != nil {
			clearValue(n)
		}
	}
}

// setWatch decides whether the device reports every step.
func (vm *VM) setWatch() {
	vm.watch = nil
	if vm.tracer == nil && !vm.config.numerics {
		return
	}
	vm.watch = func(step int) error {
		if vm.tracer != nil {
			vm.tracer.step(step)
		}
		if vm.config.numerics && step == vm.lastCompute && !vm.blind {
			return vm.checkNumerics()
		}
		return nil
	}
}

// RunAll runs the whole graph once: it hands the inputs' values to the device, runs, and sets the values of the
// nodes that have one. In the steady state it allocates nothing (but with Trace, CheckNumerics or ops that only the
// host can run).
//
// On the null device, which only counts, nothing is copied and nothing is checked, and nodes get no values.
//
// It returns an error if an input has no value, or one of another shape or element type than its node's; if a Kernel
// fails; and with CheckNumerics for NaN and Inf. The VM is usable afterwards.
func (vm *VM) RunAll() (err error) {
	if err := vm.enter("RunAll"); err != nil {
		return err
	}
	defer vm.leave()
	defer guard("RunAll", &err)
	if vm.module.Stale() {
		if err := vm.recompile(); err != nil {
			return err
		}
	}
	if !vm.blind {
		if err := vm.settle(); err != nil {
			return fmt.Errorf("engine: RunAll: the run before: %w", err)
		}
		if err := vm.checkDirect(); err != nil {
			return err
		}
		if err := vm.feed(); err != nil {
			return err
		}
		if vm.losses.pending {
			if err := vm.takeLoss(); err != nil {
				return err
			}
		}
		if err := vm.collectEarly(); err != nil {
			return err
		}
	}
	if vm.tracer != nil {
		vm.tracer.begin()
	}
	err = vm.exec.Run(vm.watch)
	if err == nil && len(vm.outputs) > 0 {
		err = vm.settle()
	}
	if err != nil {
		var n *NumericsError
		if errors.As(err, &n) {
			return n
		}
		return fmt.Errorf("engine: RunAll: %w", err)
	}
	vm.runs++
	for i := range vm.counters {
		vm.counters[i].next++
	}
	if vm.update != nil {
		if err := vm.keepReport(); err != nil {
			return err
		}
	}
	if vm.tracer != nil {
		vm.tracer.end()
	}
	if vm.blind {
		return nil
	}
	if vm.owner.last.Load() != vm.id { // another VM has bound nodes since
		vm.unbind()
	}
	return vm.collect()
}

// Reset does nothing: every RunAll runs the whole graph.
func (vm *VM) Reset() {}

// Close writes the parameters to their nodes' values (see [VM.Sync]), gives the nodes copies of the values that they
// have, completes the trace and frees the device's memory. Closing again does nothing.
func (vm *VM) Close() (err error) {
	if !vm.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("engine: Close: %w", errBusy)
	}
	defer vm.leave()
	if vm.closed {
		return nil
	}
	vm.closed = true
	defer guard("Close", &err)
	err = errors.Join(vm.sync(), vm.keepValues())
	if vm.tracer != nil {
		err = errors.Join(err, vm.tracer.close())
	}
	return errors.Join(err, vm.exec.Close())
}

var (
	errBusy   = errors.New("another goroutine is using the VM; it may be used by one at a time")
	errClosed = errors.New("the VM is closed")
)

// enter begins a call that no other may meet.
func (vm *VM) enter(method string) error {
	if !vm.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("engine: %s: %w", method, errBusy)
	}
	if vm.closed {
		vm.busy.Store(false)
		return fmt.Errorf("engine: %s: %w", method, errClosed)
	}
	return nil
}

func (vm *VM) leave() { vm.busy.Store(false) }

// wait begins a call that has no error to return: it lets others end, and returns what ends it. It is not for what a
// run calls: that would wait for itself.
func (vm *VM) wait() (leave func()) {
	for !vm.busy.CompareAndSwap(false, true) {
		time.Sleep(10 * time.Microsecond)
	}
	return vm.leave
}

// guard turns a panic, of an op or of Gorgonia, into an error: none leaves the package.
func guard(method string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("engine: %s: panic: %v", method, r)
	}
}

// recompile builds the program anew from the graph as it is and moves the parameters and moments over.
func (vm *VM) recompile() error {
	var state *State
	if vm.update != nil && !vm.blind {
		if err := vm.takeLoss(); err != nil {
			return err
		}
		var err error
		if state, err = vm.snapshot(); err != nil {
			return err
		}
	}
	c, err := vm.compile(vm.module)
	if err != nil {
		return fmt.Errorf("engine: RunAll: the graph was changed and is compiled again: %w", err)
	}
	old := vm.compiled
	vm.compiled = c
	if state != nil {
		if err := vm.restoreUpdate(state); err != nil {
			vm.compiled = old
			c.exec.Close()
			return err
		}
	}
	for i := range c.params {
		c.params[i].seen, c.params[i].loaded = old.params[i].seen, old.params[i].loaded
	}
	for i := range c.counters {
		for j := range old.counters {
			if old.counters[j].node == c.counters[i].node {
				n, o := &c.counters[i], &old.counters[j]
				n.seen, n.base, n.next = o.seen, o.base, o.next
			}
		}
	}
	if vm.tracer != nil {
		vm.tracer.program(c.program)
	}
	return old.exec.Close()
}

// Value returns n's value after the last RunAll: what n.Value() is, with an error where that is none. The value of a
// parameter of WithUpdate is read from the device, and so is one of KeepOnDevice.
func (vm *VM) Value(n *G.Node) (G.Value, error) {
	if err := vm.enter("Value"); err != nil {
		return nil, err
	}
	defer vm.leave()
	if n == nil {
		return nil, errors.New("engine: Value: the node is nil")
	}
	src := vm.module.Number(n)
	switch {
	case src < 0:
		return nil, fmt.Errorf("engine: Value: %s is not a node of the VM's graph", describe(n))
	case isStatement(n):
		return nil, fmt.Errorf("engine: Value: %s is a statement and has no value", describe(n))
	case isLeaf(n):
		for i := range vm.params {
			if p := &vm.params[i]; p.node == n {
				if err := vm.syncParam(p); err != nil {
					return nil, err
				}
			}
		}
		if v := n.Value(); v != nil {
			return v, nil
		}
		return nil, fmt.Errorf("engine: Value: no value is bound to the input %s", describe(n))
	case vm.outputOf(src) == nil:
		return nil, fmt.Errorf("engine: Value: the value of %s is not kept: name it in engine.Outputs", describe(n))
	case vm.runs == 0:
		return nil, fmt.Errorf("engine: Value: %s has no value before the first RunAll", describe(n))
	}
	if o := vm.outputOf(src); o.late && o.value == nil {
		if err := vm.collectOne(o); err != nil {
			return nil, err
		}
	}
	return n.Value(), nil
}
