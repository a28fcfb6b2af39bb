package engine

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/frontend"
	"github.com/godcem/godcem/engine/plan"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// remote is the tensor.Engine of tensors on a device whose memory the host cannot address. They are views of a VM's
// values: the engine copies them to the host, and does nothing else.
type remote struct {
	vm   *VM
	exec backend.Executable
	from backend.Remote // exec
}

var _ tensor.Engine = (*remote)(nil)

var errRemote = errors.New("engine: a view of a VM's value on the device can only be copied to the host, by tensor.Copy")

// AllocAccessible implements tensor.Engine.
func (*remote) AllocAccessible() bool { return false }

// Alloc implements tensor.Engine: it is an error.
func (*remote) Alloc(int64) (tensor.Memory, error) { return nil, errRemote }

// Free implements tensor.Engine: the memory is the VM's.
func (*remote) Free(tensor.Memory, int64) error { return nil }

// Memset implements tensor.Engine: it is an error.
func (*remote) Memset(tensor.Memory, any) error { return errRemote }

// Memclr implements tensor.Engine. It does nothing: the memory is the VM's.
func (*remote) Memclr(tensor.Memory) {}

// Memcpy implements tensor.Engine: it copies src, which is a view, to dst, which must be memory of the host: a
// tensor.Memory does not say where it is.
func (r *remote) Memcpy(dst, src tensor.Memory) error {
	if dst.MemSize() < src.MemSize() {
		return fmt.Errorf("engine: a copy of %d bytes on the device into %d of the host", src.MemSize(), dst.MemSize())
	}
	return r.fetch(unsafe.Slice(memoryOf(dst), src.MemSize()), src)
}

// memoryOf is where memory of the host begins.
func memoryOf(m tensor.Memory) *byte {
	at := m.Uintptr()
	return *(**byte)(unsafe.Pointer(&at))
}

// Accessible implements tensor.Engine: it copies a view to new memory of the host.
func (r *remote) Accessible(m tensor.Memory) (tensor.Memory, error) {
	b := make([]byte, m.MemSize())
	if err := r.fetch(b, m); err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithBacking(b)), nil
}

// WorksWith implements tensor.Engine.
func (*remote) WorksWith(tensor.DataOrder) bool { return true }

// fetch copies a view to the host.
func (r *remote) fetch(dst []byte, view tensor.Memory) error {
	if err := r.vm.enter("copying a value from the device"); err != nil {
		return err
	}
	defer r.vm.leave()
	if r.vm.exec != r.exec {
		return errors.New("engine: the value on the device is of before the graph was compiled again")
	}
	return r.from.Fetch(dst, view.Uintptr())
}

// A DeviceTensor is a value where the device has it, without a copy. It can be bound to an input of another VM, or of the
// same one, by gorgonia.Let: on the same device it is then copied there. On a device whose memory is the host's it is
// an ordinary tensor. Of the tensor's methods only those that look at no element can be used.
//
// It is the same memory in every run, and must not be used after the VM's Close, nor after a RunAll that has compiled a
// changed graph again.
type DeviceTensor struct{ *tensor.Dense }

var _ G.Value = (*DeviceTensor)(nil)

// Host copies the value to a tensor of the host. It waits for the last RunAll.
func (t *DeviceTensor) Host() (*tensor.Dense, error) {
	h := tensor.New(tensor.Of(t.Dtype()), tensor.WithShape(t.Shape().Clone()...))
	r, ok := t.Engine().(*remote)
	if !ok {
		return h, tensor.Copy(h, t.Dense)
	}
	if err := r.fetch(h.Raw[:t.MemSize()], t.Dense); err != nil {
		return nil, err
	}
	return h, nil
}

// Data is the elements, copied to the host as [DeviceTensor.Host] does; nil if they cannot be.
func (t *DeviceTensor) Data() any {
	h, err := t.Host()
	if err != nil {
		return nil
	}
	return h.Data()
}

// Format implements fmt.Formatter: it says what the tensor is, whatever the verb, and not what it holds.
func (t *DeviceTensor) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }

// String says what the tensor is.
func (t *DeviceTensor) String() string {
	where := "the host"
	if r, ok := t.Engine().(*remote); ok {
		where = r.vm.device.Info().Name
	}
	return fmt.Sprintf("%v %v on %s", t.Dtype(), t.Shape(), where)
}

// dense is v as a tensor, wherever it lies.
func dense(v G.Value) (*tensor.Dense, bool) {
	switch d := v.(type) {
	case *tensor.Dense:
		return d, d != nil
	case *DeviceTensor:
		if d == nil {
			return nil, false
		}
		return d.Dense, d.Dense != nil
	}
	return nil, false
}

// Device returns n's value where it is. n is a node with a value after a RunAll (see [Outputs], [KeepOnDevice]) or a
// parameter of WithUpdate.
func (vm *VM) Device(n *G.Node) (*DeviceTensor, error) {
	if err := vm.enter("Device"); err != nil {
		return nil, err
	}
	defer vm.leave()
	if n == nil {
		return nil, errors.New("engine: Device: the node is nil")
	}
	src := vm.module.Number(n)
	if src < 0 {
		return nil, fmt.Errorf("engine: Device: %s is not a node of the VM's graph", describe(n))
	}
	if vm.blind {
		return nil, fmt.Errorf("engine: Device: %s has no values", vm.device.Info().Name)
	}
	s, shape := (*slot)(nil), n.Shape()
	for i := range vm.params {
		if vm.params[i].node == n {
			s = &vm.params[i].slot
		}
	}
	if o := vm.outputOf(src); s == nil && o != nil {
		if vm.runs == 0 {
			return nil, fmt.Errorf("engine: Device: %s has no value before the first RunAll", describe(n))
		}
		s, shape = &o.slot, o.shape
	}
	if s == nil {
		return nil, fmt.Errorf("engine: Device: the value of %s is not kept: name it in engine.KeepOnDevice", describe(n))
	}
	r, far := vm.exec.(backend.Remote)
	if vm.near || !far {
		if s.memory == nil {
			if err := s.fetch(vm.exec); err != nil {
				return nil, fmt.Errorf("engine: Device: %s: %w", describe(n), err)
			}
		}
		mem := s.host
		if mem == nil {
			mem = vm.exec.Memory(s.buf)
		}
		return &DeviceTensor{tensor.New(tensor.WithShape(shape...), tensor.WithBacking(mem))}, nil
	}
	at := r.Address(s.buf)
	if at == 0 {
		return nil, fmt.Errorf("engine: Device: %s has no place on the device", describe(n))
	}
	return &DeviceTensor{tensor.New(tensor.Of(frontend.Dtype(s.typ)), tensor.WithShape(shape...),
		tensor.WithEngine(&remote{vm, vm.exec, r}), tensor.FromMemory(at, uintptr(s.layout.bytes())))}, nil
}

// take brings a value that is on a device to an input's buffer: over the device alone if it can. If done is false v is no
// such value, or the host must copy it.
func (vm *VM) take(in *input, v G.Value) (done bool, err error) {
	d, ok := dense(v)
	if !ok || d.IsNativelyAccessible() {
		return false, nil
	}
	r, ok := d.Engine().(*remote)
	if !ok || d.Dtype() != frontend.Dtype(in.typ) || !in.fits(d.Shape()) {
		return true, in.misfit(v)
	}
	own := r.vm == vm
	if !own {
		if err := r.vm.enter("the input of another VM"); err != nil {
			return true, err
		}
		defer r.vm.leave()
	}
	if r.vm.exec != r.exec {
		return true, fmt.Errorf("engine: the value of the input %s lies on the device where a graph was before it was "+
			"compiled again", describe(in.node))
	}
	if to, ok := vm.exec.(backend.Remote); ok {
		done, err = to.Take(in.buf, r.exec, d.Uintptr())
	}
	if !done {
		if err = r.from.Fetch(in.bytes(), d.Uintptr()); err == nil {
			return true, in.flush(vm)
		}
	}
	if err != nil {
		err = fmt.Errorf("engine: the input %s: %w", describe(in.node), err)
	}
	return true, err
}

// keep says which outputs stay on the device until they are asked for: those of KeepOnDevice and, so that no training
// step waits for the one before it, of an update's graph all that nobody has named.
func (c *compiled) keep(conf *config) {
	if c.near || c.blind || len(conf.kept) == 0 && conf.update == nil {
		return
	}
	asked := make(map[*G.Node]int) // how often a node is wanted on the host
	for _, n := range conf.outputs {
		asked[n]++
	}
	for _, n := range conf.kept {
		asked[n]--
	}
	taken := make(map[plan.BufID]bool)
	for i := range c.reads {
		if o := c.reads[i].out; o != nil {
			taken[o.buf] = true
		}
	}
	for i := range c.sets {
		taken[c.sets[i].buf] = true
	}
	for i := range c.duals {
		taken[c.duals[i].buf] = true
	}
	for i := range c.outputs {
		o := &c.outputs[i]
		wanted := conf.update == nil && !slices.Contains(conf.kept, o.node) || asked[o.node] > 0
		o.late = !wanted && !o.early && !taken[o.buf]
	}
}

// forget takes away the value of an earlier run.
func (o *output) forget() {
	if o.value != nil && o.node.Value() == o.value {
		clearValue(o.node)
	}
	o.value = nil
}

// collectOne copies a value that stayed on the device.
func (vm *VM) collectOne(o *output) error {
	if err := o.fetch(vm.exec); err != nil {
		return fmt.Errorf("engine: the value of %s: %w", describe(o.node), err)
	}
	return o.rebind(vm.memory(o))
}
