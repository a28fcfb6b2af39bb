package engine

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
)

// An input is a buffer that is written before each run.
type input struct {
	slot
	node   *G.Node
	src    int32
	sliced bool           // node is a slice of an input, whose bounds change between runs
	binder backend.Binder // may read values where they are; nil: they are copied
	own    []byte         // the buffer's memory; slot.memory is what is bound, if something is
}

// A counter is an input that numbers the runs of the noise.
//
// Its effective number is what is bound to the node plus the number of runs since that was bound: seen and base are
// the value object and the number that were found last; other ones start anew.
type counter struct {
	input
	seen       G.Value
	base, next int64
	word       []int64 // one element
}

// A param is an input that lives on the device.
type param struct {
	input
	name   string  // unique among the parameters
	seen   G.Value // the value object that was written last
	loaded bool    // the device has a value
}

func (c *compiled) bindInputs(vm *VM) error {
	for _, n := range c.module.Nodes {
		if vm.all() && isInput(n) {
			c.fed = append(c.fed, n)
		}
	}
	binder, _ := c.exec.(backend.Binder)
	bound := make([]plan.BufID, len(c.module.Nodes))
	for i := range bound {
		bound[i] = -1
	}
	for _, b := range c.program.Inputs {
		n := &c.program.Graph.Nodes[b.Node]
		if n.Src < 0 || int(n.Src) >= len(c.module.Nodes) {
			return fmt.Errorf("engine: the input %s belongs to no node", c.program.Graph.Label(b.Node))
		}
		if b.Buf < 0 {
			continue
		}
		attr := n.Attr.(ir.InputAttr)
		if attr.Resident {
			bound[n.Src] = b.Buf
			continue
		}
		node := c.module.Nodes[n.Src]
		in := input{slot: c.slot(b.Buf, node), node: node, src: n.Src, sliced: !isInput(node)}
		if attr.RunNumber {
			c.counters = append(c.counters, counter{input: in, word: make([]int64, 1)})
		} else {
			in.own = in.memory
			if !c.blind {
				in.binder = binder
			}
			c.inputs = append(c.inputs, in)
		}
	}
	if vm.config.update == nil {
		return nil
	}
	names := make(map[string]int)
	for _, n := range vm.config.update.params {
		src := c.module.Number(n)
		if bound[src] < 0 {
			return fmt.Errorf("engine: the parameter %s has no elements", describe(n))
		}
		name := n.Name()
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, names[name])
		}
		c.params = append(c.params, param{input: input{slot: c.slot(bound[src], n), node: n, src: src}, name: name})
	}
	return nil
}

// feed writes the inputs.
func (vm *VM) feed() error {
	for _, n := range vm.fed {
		if n.Value() == nil {
			return missing(n)
		}
	}
	for i := range vm.inputs {
		in := &vm.inputs[i]
		v := in.node.Value()
		if in.sliced {
			var err error
			if v, err = vm.module.Value(in.src); err != nil {
				return fmt.Errorf("engine: %w", err)
			}
		}
		if err := vm.write(in, v); err != nil {
			return err
		}
	}
	for i := range vm.params {
		p := &vm.params[i]
		if p.node.Value() != p.seen || !p.loaded {
			if err := vm.writeParam(p); err != nil {
				return err
			}
		}
	}
	for i := range vm.counters {
		if err := vm.feedCounter(&vm.counters[i]); err != nil {
			return err
		}
	}
	return nil
}

// write brings a value to an input's buffer: the device reads it where it is, or it is copied.
func (vm *VM) write(in *input, v G.Value) error {
	if v == nil {
		return missing(in.node)
	}
	if done, err := vm.take(in, v); done {
		return err
	}
	if in.binder != nil {
		mem := in.inPlace(v)
		if in.binder.Bind(in.buf, mem) {
			if in.own != nil {
				in.memory = mem
			}
			return nil
		}
		in.memory = in.own
	}
	if !in.load(in.bytes(), v) {
		return in.misfit(v)
	}
	return in.flush(vm)
}

// flush brings what was written into bytes to the device.
func (in *input) flush(vm *VM) error {
	if in.host == nil {
		return nil
	}
	if err := vm.exec.Write(in.buf, in.host); err != nil {
		return fmt.Errorf("engine: the input %s: %w", describe(in.node), err)
	}
	return nil
}

func missing(n *G.Node) error {
	return fmt.Errorf("engine: no value is bound to the input %s: gorgonia.Let it before RunAll", describe(n))
}

// misfit is the error of a value that is not what the input's node is.
func (in *input) misfit(v G.Value) error {
	return fmt.Errorf("engine: the value of the input %s is a %T of %v and shape %v, want %v and shape %v",
		describe(in.node), v, v.Dtype(), v.Shape(), frontend.Dtype(in.typ), in.shape)
}

// feedCounter writes the effective run number.
func (vm *VM) feedCounter(c *counter) error {
	v := c.node.Value()
	if v == nil {
		return missing(c.node)
	}
	if !c.load(raw(c.word), v) {
		return c.misfit(v)
	}
	if n := c.word[0]; v != c.seen || n != c.base {
		c.seen, c.base, c.next = v, n, n
	}
	c.word[0] = c.next
	copy(c.bytes(), raw(c.word))
	return c.flush(vm)
}

// outputOf is the output of a source node that is bound to it, nil if there is none.
func (c *compiled) outputOf(src int32) *output {
	i, ok := slices.BinarySearchFunc(c.outputs, src, func(o output, src int32) int { return int(o.src) - int(src) })
	if !ok || !c.outputs[i].bind {
		return nil
	}
	return &c.outputs[i]
}
