package frontend

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/godcem/godcem/engine/ir"
	G "gorgonia.org/gorgonia"
)

// hostOp is a kernel that runs an op's own Do.
type hostOp struct {
	op      G.Op
	name    string
	node    string  // the source node's name
	in      [][]int // the operands' shapes
	out     []int
	effects bool
}

var (
	_ ir.Kernel   = (*hostOp)(nil)
	_ ir.Effector = (*hostOp)(nil)
	_ ir.Hoster   = (*hostOp)(nil)
)

func (k *hostOp) String() string { return k.name }
func (k *hostOp) OnHost() bool   { return true }
func (k *hostOp) Effects() bool  { return k.effects }

// Run implements ir.Kernel. The op gets copies: it may keep its operands or write to them.
func (k *hostOp) Run(out any, in []any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("op %v of node %q: panic: %v", k.op, k.node, r)
		}
	}()
	vals := make([]G.Value, len(k.in)) // in may have more: see host
	for i := range vals {
		if vals[i], err = value(k.in[i], in[i]); err != nil {
			return fmt.Errorf("op %v of node %q: operand %d: %w", k.op, k.node, i, err)
		}
	}
	v, err := k.op.Do(vals...)
	if err != nil {
		return fmt.Errorf("op %v of node %q: %w", k.op, k.node, err)
	}
	if v == nil {
		return fmt.Errorf("op %v of node %q gave no value", k.op, k.node)
	}
	if s := v.Shape(); !sameShape(s, k.out) {
		return fmt.Errorf("op %v of node %q gave a value of shape %v, want %v", k.op, k.node, s, k.out)
	}
	data, err := Flat(v)
	if err == nil {
		err = copyTo(out, data)
	}
	if err != nil {
		return fmt.Errorf("op %v of node %q: %w", k.op, k.node, err)
	}
	return nil
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
		node:    nodeName(c.n),
		out:     c.shape,
		effects: effects,
	}
	in := slices.Clone(c.in)
	for _, id := range in {
		if id < 0 {
			return -1, fmt.Errorf("an operand is a statement: it has no value")
		}
		k.in = append(k.in, im.b.Shape(id))
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
