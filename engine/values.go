package engine

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An output is a node whose value leaves the program.
type output struct {
	slot
	node *G.Node
	src  int32
	bind bool
	// early: a view of a parameter, which the update at the end of the run changes.
	early bool
	// late: the value stays on the device until it is asked for.
	late bool
	// gathered: the value is one of those that are read together.
	gathered bool
	// single: a scalar node whose value is a tensor of shape (1).
	single bool
	value  G.Value // what the node was bound to last
}

// A read is a gorgonia.Read.
type read struct {
	node *G.Node
	out  *output // nil: the node is an input or a constant
	into *G.Value
}

// A set is a gorgonia.Set: after a run the value of one node is copied to that of an input.
type set struct {
	*slot         // the value: of an output, or loaded from leaf
	node  *G.Node // whose value it is
	leaf  bool    // node is an input or a constant
	to    *G.Node
}

// A dual is a gradient that is added to what its node's Grad gives.
type dual struct {
	*slot         // the gradient: of an output, or loaded from leaf
	node  *G.Node // whose value it is
	leaf  bool    // node is an input or a constant
	of    *G.Node
}

func (c *compiled) bindOutputs(vm *VM, p *pipeline) {
	g := c.program.Graph
	bufs := make([]plan.BufID, len(g.Nodes))
	for i := range bufs {
		bufs[i] = -1
	}
	for _, b := range c.program.Outputs {
		bufs[b.Node] = b.Buf
	}
	c.outputs = make([]output, 0, len(p.wants))
	tensordots := slices.ContainsFunc(p.module.Nodes, func(n *G.Node) bool { return opType(n) == "tensordotOp" })
	gradients := map[*byte]int{} // users of the places where gradients of inputs lie
	for i, src := range p.wants {
		buf := bufs[g.Outputs[i]]
		if buf < 0 {
			continue // no elements
		}
		n := p.module.Nodes[src]
		o := output{slot: c.slot(buf, n), node: n, src: src, bind: p.binds[i]}
		if tensordots && vectorScalar(vm.g, n) {
			o.single, o.shape = true, tensor.Shape{1}
		}
		// What the caller does to a value must not change what the next run finds.
		if root := c.root(buf); root != plan.Output && root != plan.Temp && !c.blind {
			if o.host == nil {
				o.stage()
			}
			if o.early = root == plan.Param; root == plan.Input {
				o.memory = nil // the input may be bound to other memory: the device knows
			}
		}
		if o.host == nil && isGradient(n) {
			gradients[o.address()] = 0
		}
		c.outputs = append(c.outputs, o)
	}
	if len(gradients) == 0 || c.blind {
		return
	}
	for i := range c.outputs {
		if o := &c.outputs[i]; o.host == nil {
			if users, ok := gradients[o.address()]; ok {
				gradients[o.address()] = users + 1
			}
		}
	}
	// Solvers change gradients: those that share a place with another node's value are copied.
	for i := range c.outputs {
		if o := &c.outputs[i]; o.host == nil && isGradient(o.node) && gradients[o.address()] > 1 {
			o.stage()
		}
	}
}

// root is the role of the buffer whose place this one has: its own, or that of what it is a view of.
func (c *compiled) root(buf plan.BufID) plan.Role {
	b := &c.program.Buffers[buf]
	for b.Over >= 0 && b.Role == plan.Output {
		b = &c.program.Buffers[b.Over]
	}
	return b.Role
}

// isGradient reports whether n is the gradient of an input.
func isGradient(n *G.Node) bool {
	for _, of := range n.DerivOf() {
		if isInput(of) {
			return true
		}
	}
	return false
}

// bindDirect lists the inputs whose values are not fed but taken by ops on the host.
func (c *compiled) bindDirect() {
	seen := make(map[int32]bool, len(c.module.Direct))
	for _, src := range c.module.Direct {
		if n := c.module.Nodes[src]; !seen[src] {
			seen[src] = true
			l := layout{typ: frontend.TypeOf(n.Dtype()), shape: n.Shape(), count: n.Shape().TotalSize()}
			c.direct = append(c.direct, input{slot: slot{layout: l}, node: n, src: src})
		}
	}
}

// checkDirect wants the values that ops on the host will take to be there and of their nodes' shapes and types.
func (vm *VM) checkDirect() error {
	for i := range vm.direct {
		in := &vm.direct[i]
		switch v := in.node.Value(); {
		case v == nil:
			return missing(in.node)
		case !in.describes(v):
			return in.misfit(v)
		}
	}
	return nil
}

func (c *compiled) bindReads() {
	for _, r := range c.module.Reads {
		c.reads = append(c.reads, read{node: c.module.Nodes[r.Src], out: c.outputOf(r.Src), into: r.Into})
	}
}

// sets lists what the graph's Set statements set to what, in order.
func sets(g *G.ExprGraph) (list [][2]*G.Node) {
	for _, n := range g.AllNodes() {
		if opType(n) != "letOp" {
			continue
		}
		var ab []*G.Node
		for it := g.From(n.ID()); it != nil && it.Next(); {
			if m, ok := it.Node().(*G.Node); ok {
				ab = append(ab, m)
			}
		}
		if len(ab) == 2 && isInput(ab[0]) && !isStatement(ab[1]) {
			list = append(list, [2]*G.Node{ab[0], ab[1]})
		}
	}
	return list
}

func (c *compiled) bindSets(g *G.ExprGraph) error {
	for _, ab := range sets(g) {
		a, b := ab[0], ab[1]
		for i := range c.params {
			if c.params[i].node == a {
				return fmt.Errorf("engine: %s is a parameter of WithUpdate and of a gorgonia.Set", describe(a))
			}
		}
		s := set{node: b, to: a}
		if o := c.outputOf(c.module.Number(b)); o != nil {
			s.slot = &o.slot
		} else if s.leaf = isLeaf(b); s.leaf {
			s.slot = leafSlot(b)
		} else {
			continue // of no elements
		}
		c.sets = append(c.sets, s)
	}
	return nil
}

// leafSlot is host memory for the value of an input or a constant.
func leafSlot(n *G.Node) *slot {
	s := &slot{layout: layout{typ: frontend.TypeOf(n.Dtype()), shape: n.Shape(), count: n.Shape().TotalSize()}}
	s.stage()
	return s
}

// do copies the value.
func (s *set) do() error {
	if s.leaf && !s.load(s.copied, s.node.Value()) || !s.store(s.to.Value(), s.bytes()) {
		return fmt.Errorf("engine: the set of %s to %s: the values are not of one type and shape",
			describe(s.to), describe(s.node))
	}
	return nil
}

func (c *compiled) bindDuals(conf *config) {
	if !conf.dual {
		return
	}
	wanted := make(map[*G.Node]bool, len(conf.duals))
	for _, n := range conf.duals {
		wanted[n] = true
	}
	for i, n := range c.module.Nodes {
		for _, of := range n.DerivOf() {
			if !isInput(of) || len(wanted) > 0 && !wanted[of] {
				continue
			}
			d := dual{node: n, of: of}
			if o := c.outputOf(int32(i)); o != nil {
				d.slot = &o.slot
			} else if d.leaf = isLeaf(n); d.leaf {
				d.slot = leafSlot(n)
			} else {
				continue // of no elements
			}
			c.duals = append(c.duals, d)
		}
	}
}

// collect gives the nodes the values of the run.
func (vm *VM) collect() error {
	if err := vm.gather.read(vm.exec); err != nil {
		return fmt.Errorf("engine: the values of the run: %w", err)
	}
	for i := range vm.outputs {
		o := &vm.outputs[i]
		if !o.bind {
			continue
		}
		if o.late {
			o.forget()
			continue
		}
		if !o.early && !o.gathered {
			if err := o.fetch(vm.exec); err != nil {
				return fmt.Errorf("engine: the value of %s: %w", describe(o.node), err)
			}
		}
		if o.value == nil || o.node.Value() != o.value {
			if err := o.rebind(vm.memory(o)); err != nil {
				return err
			}
		}
	}
	for i := range vm.reads {
		if err := vm.reads[i].do(); err != nil {
			return err
		}
	}
	for i := range vm.duals {
		if err := vm.duals[i].add(); err != nil {
			return err
		}
	}
	for i := range vm.sets {
		if err := vm.sets[i].do(); err != nil {
			return err
		}
	}
	return nil
}

// collectEarly takes the values that an update at the end of the run will change.
func (vm *VM) collectEarly() error {
	if vm.update == nil {
		return nil
	}
	for i := range vm.outputs {
		o := &vm.outputs[i]
		if !o.early {
			continue
		}
		if err := o.fetch(vm.exec); err != nil {
			return fmt.Errorf("engine: the value of %s: %w", describe(o.node), err)
		}
	}
	return nil
}

// memory is the slice that an output's value lies in.
func (vm *VM) memory(o *output) any {
	if o.host != nil {
		return o.host
	}
	return vm.exec.Memory(o.buf)
}

// rebind makes a new value over mem and binds the node to it. A value that was bound before is not used again:
// someone may have given it to Gorgonia's pool.
func (o *output) rebind(mem any) error {
	v := view(mem, o.shape)
	if o.single {
		setValue(o.node, v)
		o.value = v
		return nil
	}
	if err := G.UnsafeLet(o.node, v); err != nil {
		return fmt.Errorf("engine: the value of %s: %w", describe(o.node), err)
	}
	o.value = v
	return nil
}

// do copies the value to where it is read into: the value there, or a new one.
func (r *read) do() error {
	v := r.node.Value()
	if v == nil {
		return nil // of no elements
	}
	if *r.into == nil {
		c, err := G.CloneValue(v)
		if err != nil {
			return fmt.Errorf("engine: the read of %s: %w", describe(r.node), err)
		}
		*r.into = c
		return nil
	}
	if r.out != nil && r.out.store(*r.into, r.out.bytes()) {
		return nil
	}
	if _, err := G.Copy(*r.into, v); err != nil {
		return fmt.Errorf("engine: the read of %s into a %T of %v and shape %v: %w",
			describe(r.node), *r.into, (*r.into).Dtype(), (*r.into).Shape(), err)
	}
	return nil
}

// add adds the gradient to the one that its node holds, which is zero at first.
func (d *dual) add() error {
	v := d.of.Value()
	if v == nil {
		return nil
	}
	if d.leaf && !d.load(d.copied, d.node.Value()) {
		return fmt.Errorf("engine: the gradient of %s, %s, is not %v of shape %v",
			describe(d.of), describe(d.node), frontend.Dtype(d.typ), d.shape)
	}
	held, err := d.of.Grad()
	if err != nil || held == nil || held == d.node.Value() {
		if held, err = hold(d.of, v); err != nil {
			return fmt.Errorf("engine: the gradient of %s: %w", describe(d.of), err)
		}
	}
	if !d.addTo(held) {
		return fmt.Errorf("engine: the gradient of %s is a %T of %v and shape %v, want %v and shape %v",
			describe(d.of), held, held.Dtype(), held.Shape(), frontend.Dtype(d.typ), d.shape)
	}
	return nil
}

// hold makes the value v of a node one with a gradient of zeros.
func hold(n *G.Node, v G.Value) (zero G.Value, err error) {
	defer guard("BindDualValues", &err)
	c, err := G.CloneValue(v)
	if err != nil {
		return nil, err
	}
	zero = G.ZeroValue(c)
	G.WithGrad(zero)(n)
	return zero, nil
}

// addTo adds the slot's elements to those of v.
func (s *slot) addTo(v G.Value) bool {
	if b, t := scalarBytes(v); b != nil {
		if t != s.typ || s.count != 1 {
			return false
		}
		switch t {
		case ir.F32:
			*v.(*G.F32) += G.F32(elements[float32](s.bytes())[0])
		case ir.F64:
			*v.(*G.F64) += G.F64(elements[float64](s.bytes())[0])
		default:
			return false
		}
		return true
	}
	d, ok := v.(*tensor.Dense)
	if !ok || d.Dtype() != frontend.Dtype(s.typ) || !s.fits(d.Shape()) {
		return false
	}
	if !rowMajor(d) && len(d.Strides()) != len(d.Shape()) {
		return false
	}
	switch s.typ {
	case ir.F32:
		accumulate(d, d.Float32s(), elements[float32](s.bytes()))
	case ir.F64:
		accumulate(d, d.Float64s(), elements[float64](s.bytes()))
	default:
		return false
	}
	return true
}

// accumulate adds src, in row-major order, to the elements of d, which lie in data.
func accumulate[T float32 | float64](d *tensor.Dense, data, src []T) {
	if !rowMajor(d) {
		addStrided(data, src, d.Shape(), d.Strides())
		return
	}
	for i, x := range src {
		data[i] += x
	}
}

func addStrided[T float32 | float64](dst, src []T, shape, strides []int) int {
	n := 0
	for i := range shape[0] {
		if len(shape) == 1 {
			dst[i*strides[0]] += src[n]
			n++
		} else {
			n += addStrided(dst[i*strides[0]:], src[n:], shape[1:], strides[1:])
		}
	}
	return n
}

// keepValues gives the bound nodes copies of their values, which outlive the device's memory.
func (vm *VM) keepValues() error {
	for i := range vm.outputs {
		o := &vm.outputs[i]
		if !o.bind || o.host != nil || o.value == nil || o.node.Value() != o.value {
			continue
		}
		mem := ir.MakeSlice(o.typ, o.count)
		copy(bytesOf(mem), o.memory)
		if err := o.rebind(mem); err != nil {
			return err
		}
	}
	return nil
}
