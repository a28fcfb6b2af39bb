// Package graphop carries numerical kernels into Gorgonia graphs: the part of an op that is the same for all of them.
package graphop

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Kernel is what one op adds: a name with every attribute, the loop, and its derivatives.
type Kernel interface {
	// String names the op and every attribute. Gorgonia merges nodes whose op hashes are equal, and this is what is
	// hashed.
	String() string
	// Run computes out from in. All are flat row-major slices of the element types in the op's signature.
	Run(out any, in []any)
	// Rules gives the derivative with respect to each input: nil where there is none. A Differ gives nil.
	Rules() []*Rule
}

// A Rule is one vector-Jacobian product: the gradient of an input is one kernel applied to operands of the forward
// op. SymDiff (TapeMachine, engine) and DoDiff (LispMachine) both read it, so there is one derivative to get right.
type Rule struct {
	Kernel Kernel
	Args   []Operand
}

// By is the rule that applies k to the operands.
func By(k Kernel, args ...Operand) *Rule { return &Rule{k, args} }

// An Operand of a rule: the number of an input of the forward op, or one of the three below.
type Operand int

const (
	Output   Operand = -1 // the forward op's output
	Gradient Operand = -2 // the gradient of the output
	Linked   Operand = -3 // a node the kernel holds (see Linker)
)

// A Linker is a kernel whose derivative needs a node that is not among its inputs.
type Linker interface{ Link() *G.Node }

// A Differ is a kernel that builds its derivatives itself, where they are more than one kernel each. It has no rules,
// and no derivative on the LispMachine.
type Differ interface {
	// Diff returns the gradient of every wanted input, nil for the others.
	Diff(want []bool, inputs G.Nodes, grad *G.Node) (G.Nodes, error)
}

// A Refuser is a kernel that stands for a derivative that does not exist: Apply gives its error.
type Refuser interface{ Refuse() error }

// op carries a kernel through Gorgonia. Shapes are static: they are checked when the node is made and again when it
// runs.
type op struct {
	Kernel
	in    []hm.Type
	shape []tensor.Shape
	out   tensor.Shape
	dtype tensor.Dtype
}

var (
	_ G.SDOp            = (*op)(nil)
	_ G.ADOp            = (*op)(nil)
	_ G.UsePreallocDoer = (*op)(nil)
)

// Apply adds k to the graph of its inputs as a node of the given shape and element type.
func Apply(k Kernel, dt tensor.Dtype, shape tensor.Shape, inputs ...*G.Node) (*G.Node, error) {
	if r, ok := k.(Refuser); ok {
		return nil, r.Refuse()
	}
	o := &op{Kernel: k, dtype: dt, out: shape.Clone()}
	for _, n := range inputs {
		o.in = append(o.in, n.Type())
		o.shape = append(o.shape, n.Shape().Clone())
	}
	return G.ApplyOp(o, inputs...)
}

func (o *op) Arity() int { return len(o.in) }

func (o *op) Type() hm.Type {
	var out hm.Type = o.dtype
	if len(o.out) > 0 {
		out = G.TensorType{Dims: len(o.out), Of: o.dtype}
	}
	return hm.NewFnType(append(append([]hm.Type{}, o.in...), out)...)
}

func (o *op) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	for i, d := range in {
		if s, ok := d.(tensor.Shape); ok && !s.Eq(o.shape[i]) {
			return nil, fmt.Errorf("%v: input %d has shape %v, want %v", o, i, s, o.shape[i])
		}
	}
	return o.out.Clone(), nil
}

func (o *op) ReturnsPtr() bool      { return false }
func (o *op) CallsExtern() bool     { return false }
func (o *op) OverwritesInput() int  { return -1 }
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "godcem %s %v %v", o.Kernel, o.dtype, o.out) }
func (o *op) Hashcode() uint32      { h := fnv.New32a(); o.WriteHash(h); return h.Sum32() }

// Do implements gorgonia.Op. The shape is cloned because the tensor keeps the slice and may write to it.
func (o *op) Do(in ...G.Value) (G.Value, error) {
	return o.UsePreallocDo(tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out.Clone()...)), in...)
}

// UsePreallocDo implements gorgonia.UsePreallocDoer.
func (o *op) UsePreallocDo(prealloc G.Value, in ...G.Value) (v G.Value, err error) {
	out, ok := prealloc.(*tensor.Dense)
	if !ok || out.Dtype() != o.dtype || !out.Shape().Eq(o.out) || out.RequiresIterator() {
		out = tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out.Clone()...))
	}
	if len(in) != len(o.in) {
		return nil, fmt.Errorf("%v: %d inputs, want %d", o, len(in), len(o.in))
	}
	args := make([]any, len(in))
	for i, v := range in {
		if v == nil {
			return nil, fmt.Errorf("%v: input %d has no value", o, i)
		}
		if !v.Shape().Eq(o.shape[i]) {
			return nil, fmt.Errorf("%v: input %d has shape %v, want %v", o, i, v.Shape(), o.shape[i])
		}
		if args[i], err = Flat(v); err != nil {
			return nil, fmt.Errorf("%v: input %d: %w", o, i, err)
		}
	}
	dst, err := Flat(out)
	if err != nil {
		return nil, fmt.Errorf("%v: output: %w", o, err)
	}
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("%v: %v", o, r)
		}
	}()
	o.Run(dst, args)
	return out, nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *op) DiffWRT(inputs int) []bool {
	d := make([]bool, len(o.in))
	if _, ok := o.Kernel.(Differ); ok {
		for i := range d {
			d[i] = true
		}
		return d
	}
	for i, r := range o.Rules() {
		d[i] = r != nil
	}
	return d
}

// SymDiff implements gorgonia.SDOp.
func (o *op) SymDiff(inputs G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	return o.SymDiffFor(o.DiffWRT(len(inputs)), inputs, out, grad)
}

// SymDiffFor is SymDiff for the wanted inputs alone (autodiff.Selective): the TapeMachine computes every node there is.
func (o *op) SymDiffFor(want []bool, inputs G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	if d, ok := o.Kernel.(Differ); ok {
		return d.Diff(want, inputs, grad)
	}
	grads := make(G.Nodes, len(inputs))
	for i, r := range o.Rules() {
		if r == nil || !want[i] {
			continue
		}
		args := make(G.Nodes, len(r.Args))
		for j, a := range r.Args {
			switch a {
			case Output:
				args[j] = out
			case Gradient:
				args[j] = grad
			case Linked:
				args[j] = o.Kernel.(Linker).Link()
			default:
				args[j] = inputs[a]
			}
		}
		var err error
		if grads[i], err = Apply(r.Kernel, inputs[i].Dtype(), inputs[i].Shape(), args...); err != nil {
			return nil, fmt.Errorf("gradient of %v with respect to input %d: %w", o, i, err)
		}
	}
	return grads, nil
}

// DoDiff implements gorgonia.ADOp: it adds the gradients to those that the inputs hold.
func (o *op) DoDiff(_ G.ExecutionContext, inputs G.Nodes, out *G.Node) error {
	if _, ok := o.Kernel.(Differ); ok {
		return fmt.Errorf("%v: its derivative needs symbolic gradients (package autodiff, TapeMachine)", o)
	}
	for i, r := range o.Rules() {
		if r == nil {
			continue
		}
		args := make([]any, len(r.Args))
		for j, a := range r.Args {
			var v G.Value
			var err error
			switch a {
			case Output:
				v = out.Value()
			case Gradient:
				v, err = out.Grad()
			case Linked:
				v = o.Kernel.(Linker).Link().Value()
			default:
				v = inputs[a].Value()
			}
			if err == nil {
				args[j], err = Flat(v)
			}
			if err != nil {
				return fmt.Errorf("gradient of %v with respect to input %d: %w", o, i, err)
			}
		}
		into, err := inputs[i].Grad()
		if err != nil {
			return fmt.Errorf("gradient of %v with respect to input %d: %w", o, i, err)
		}
		if err := accumulate(into, r.Kernel, args); err != nil {
			return fmt.Errorf("gradient of %v with respect to input %d: %w", o, i, err)
		}
	}
	return nil
}

// accumulate adds what k makes of args to the gradient value into.
func accumulate(into G.Value, k Kernel, args []any) error {
	dst, ok := into.(*tensor.Dense)
	if !ok || dst.RequiresIterator() {
		return fmt.Errorf("the gradient is a %T, want a contiguous *tensor.Dense", into)
	}
	switch d := dst.Data().(type) {
	case []float32:
		addTo(d, k, args)
	case []float64:
		addTo(d, k, args)
	default:
		return fmt.Errorf("the gradient holds %v, want float32 or float64", dst.Dtype())
	}
	return nil
}

func addTo[T float32 | float64](dst []T, k Kernel, args []any) {
	tmp := make([]T, len(dst))
	k.Run(tmp, args)
	for i, v := range tmp {
		dst[i] += v
	}
}

// Flat returns the elements of v in row-major order: its own memory where that is contiguous, else a copy.
func Flat(v G.Value) (any, error) {
	switch v := v.(type) {
	case *G.F64:
		return []float64{v.Data().(float64)}, nil
	case *G.F32:
		return []float32{v.Data().(float32)}, nil
	case *G.I64:
		return []int64{v.Data().(int64)}, nil
	case *tensor.Dense:
		switch d := v.Data().(type) {
		case []float32:
			return flatten(d, v)
		case []float64:
			return flatten(d, v)
		case []int64:
			return flatten(d, v)
		case float32:
			return []float32{d}, nil
		case float64:
			return []float64{d}, nil
		case int64:
			return []int64{d}, nil
		}
		return nil, fmt.Errorf("elements of type %v, want float32, float64 or int64", v.Dtype())
	}
	return nil, fmt.Errorf("a %T, want a dense tensor", v)
}

func flatten[T any](data []T, v *tensor.Dense) (any, error) {
	if !v.RequiresIterator() {
		return data, nil
	}
	copied := make([]T, 0, v.Shape().TotalSize())
	it := v.Iterator()
	for i, err := it.Start(); err == nil; i, err = it.Next() {
		copied = append(copied, data[i])
	}
	if len(copied) != cap(copied) {
		return nil, fmt.Errorf("a view of shape %v gave %d elements", v.Shape(), len(copied))
	}
	return copied, nil
}
