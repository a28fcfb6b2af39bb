package frontend

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// hostOp is a kernel that runs an op's own Do.
type hostOp struct {
	op      G.Op
	name    string
	in      []operand
	out     []int
	t       ir.DType
	effects bool
	why     string // it is not compiled
}

// An operand of a hostOp.
type operand struct {
	shape []int
	t     ir.DType
	at    int     // which of the kernel's arrays it is; -1: it is none,
	input *G.Node // but what is bound to this input, which the host has already
	view  bool    // the op neither writes to it nor keeps it
}

var (
	_ ir.Kernel   = (*hostOp)(nil)
	_ ir.Effector = (*hostOp)(nil)
	_ ir.Hoster   = (*hostOp)(nil)
)

func (k *hostOp) String() string { return k.name }
func (k *hostOp) OnHost() bool   { return true }
func (k *hostOp) Effects() bool  { return k.effects }

// Why says why a kernel that an import made runs an op on the host; "" for other kernels.
func Why(k ir.Kernel) string {
	if h, ok := k.(*hostOp); ok {
		return h.why
	}
	return ""
}

// typed is how messages call an array.
func typed(t ir.DType, shape []int) string {
	if t == ir.NoType {
		return fmt.Sprintf("of no type and shape %v", tensor.Shape(shape))
	}
	return fmt.Sprintf("%v %v", dtypes[t], tensor.Shape(shape))
}

// Run implements ir.Kernel. An op that may keep its operands or write to them gets copies. Errors give the reason: the
// device adds the op and its node.
func (k *hostOp) Run(out any, in []any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	vals := make([]G.Value, len(k.in)) // in may have more: see host
	for i := range vals {
		if vals[i], err = k.in[i].value(in); err != nil {
			return fmt.Errorf("operand %d: %w", i, err)
		}
	}
	v, err := k.op.Do(vals...)
	if err != nil {
		return err
	}
	if v == nil {
		return fmt.Errorf("no value, want %s", typed(k.t, k.out))
	}
	data, err := Flat(v)
	if err != nil {
		return fmt.Errorf("the value: %w", err)
	}
	if t, _ := ir.DataType(data); t != k.t || !sameShape(v.Shape(), k.out) {
		return fmt.Errorf("the value is %s, want %s", typed(t, v.Shape()), typed(k.t, k.out))
	}
	return copyTo(out, data)
}

// value is what the op's Do gets.
func (o *operand) value(in []any) (G.Value, error) {
	if o.input == nil {
		if o.view && len(o.shape) > 0 {
			return tensor.New(tensor.WithShape(slices.Clone(o.shape)...), tensor.WithBacking(in[o.at])), nil
		}
		return value(o.shape, in[o.at])
	}
	v := o.input.Value()
	if v == nil {
		return nil, fmt.Errorf("no value is bound to the input %q of %s", nodeName(o.input), typed(o.t, o.shape))
	}
	d, ok := v.(*tensor.Dense)
	if ok && TypeOf(d.Dtype()) == o.t && slices.Equal(d.Shape(), o.shape) && !d.RequiresIterator() &&
		!d.DataOrder().IsColMajor() {
		return v, nil
	}
	data, err := Flat(v)
	if err != nil {
		return nil, fmt.Errorf("the input %q: %w", nodeName(o.input), err)
	}
	if t, _ := ir.DataType(data); t != o.t || !sameShape(v.Shape(), o.shape) {
		return nil, fmt.Errorf("the value of the input %q is %s, want %s", nodeName(o.input), typed(t, v.Shape()),
			typed(o.t, o.shape))
	}
	return value(o.shape, data)
}

// sameShape compares shapes but for sizes of 1: Gorgonia's ops drop and add those.
func sameShape(a, b []int) bool {
	one := func(d int) bool { return d == 1 }
	return slices.Equal(slices.DeleteFunc(slices.Clone(a), one), slices.DeleteFunc(slices.Clone(b), one))
}

// host appends an op as a kernel that runs on the host.
func (im *importer) host(c *call, effects bool) (ir.ID, error) {
	k := &hostOp{
		op:      c.op,
		name:    fmt.Sprintf("host %v #%d", c.op, c.src), // no two are equal: their names leave attributes out
		out:     c.shape,
		t:       c.t,
		effects: effects,
		why:     c.why,
	}
	var in []ir.ID
	kids := im.children(c.n)
	// Of other packages' ops nobody knows what they do to operands: the values of inputs are theirs to take, as on the
	// TapeMachine, if they say that they do not write; what the engine computed is not.
	r := im.rows.of(c.op)
	direct, view := r == nil && c.op.OverwritesInput() < 0, r != nil && r.reads
	for i, id := range c.in {
		if id < 0 {
			return -1, fmt.Errorf("an operand is a statement: it has no value")
		}
		o := operand{shape: im.b.Shape(id), t: im.b.Type(id), at: -1, view: view}
		// The host has the values of inputs: they need not go to the device and come back. (Those of type int64 may count
		// runs, and resident ones live on the device.)
		if n := kids[i]; n.Op() == nil && (direct || view) && !im.resident[n] && o.t != ir.Int64 {
			o.input = n
			im.m.Direct = append(im.m.Direct, im.m.Number(n))
		} else {
			o.at = len(in)
			in = append(in, id)
		}
		k.in = append(k.in, o)
	}
	// The derivative of an op with state (running statistics, the places of maxima) holds a pointer to the op and reads
	// what the op left there. It becomes a user of the op's node, so that the op has run before.
	v := reflect.ValueOf(c.op)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		if s := v.Elem(); s.Kind() == reflect.Struct && s.NumField() > 0 && s.Type().Field(0).Anonymous {
			v = s
		}
	}
	if v.Kind() == reflect.Struct && v.NumField() > 0 && v.Field(0).Kind() == reflect.Pointer {
		if id, ok := im.forward[v.Field(0).Pointer()]; ok && !slices.Contains(in, id) {
			in = append(in, id)
		}
	}
	id := im.b.Custom(k, c.t, c.shape, in...)
	if v := reflect.ValueOf(c.op); v.Kind() == reflect.Pointer {
		im.forward[v.Pointer()] = id
	}
	return id, im.b.Err()
}
