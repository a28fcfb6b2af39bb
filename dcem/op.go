package dcem

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A kernel is what one op adds to the machinery of this file: a name with every attribute, the loop, and its derivatives.
type kernel interface {
	// String names the op and every attribute. Gorgonia merges nodes whose op hashes are equal, and this is what is hashed.
	String() string
	// run computes out from in. All are flat row-major slices of the element types in the op's signature.
	run(out any, in []any)
	// rules gives the derivative with respect to each input: nil where there is none.
	rules() []*rule
}

// A rule is one vector-Jacobian product: the gradient of an input is one kernel applied to operands of the forward op. SymDiff (TapeMachine,
// engine) and DoDiff (LispMachine) both read it, so there is one derivative to get right.
type rule struct {
	kernel kernel
	args   []operand
}

// An operand of a rule: the number of an input of the forward op, or one of the three below.
type operand int

const (
	output   operand = -1 // the forward op's output
	gradient operand = -2 // the gradient of the output
	linked   operand = -3 // a node the kernel holds (see linker)
)

// A linker is a kernel whose derivative needs a node that is not among its inputs.
type linker interface{ link() *G.Node }

// A twinned kernel is a gradient kernel whose own derivative comes from differentiating a plain twin of the forward op:
// its inputs are the forward op's inputs and then the incoming gradient.
type twinned interface {
	// twin builds the forward op again from ops that can be differentiated to any order; which is the input that this gradient belongs to.
	twin(in G.Nodes) (out *G.Node, which int, err error)
}

// op carries a kernel through Gorgonia. Shapes are static: they are checked when the node is made and again when it runs.
type op struct {
	kernel
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

// apply adds k to the graph of its inputs as a node of the given shape and element type.
func apply(k kernel, dt tensor.Dtype, shape tensor.Shape, inputs ...*G.Node) (*G.Node, error) {
	if u, ok := k.(unavailable); ok {
		return nil, fmt.Errorf("dcem: %v has no derivative: third derivatives of this op are not available", u.of)
	}
	o := &op{kernel: k, dtype: dt, out: shape.Clone()}
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
			return nil, fmt.Errorf("dcem: %v: input %d has shape %v, want %v", o, i, s, o.shape[i])
		}
	}
	return o.out.Clone(), nil
}

func (o *op) ReturnsPtr() bool      { return false }
func (o *op) CallsExtern() bool     { return false }
func (o *op) OverwritesInput() int  { return -1 }
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "godcem %s %v %v", o.kernel, o.dtype, o.out) }
func (o *op) Hashcode() uint32      { h := fnv.New32a(); o.WriteHash(h); return h.Sum32() }

func (o *op) Do(in ...G.Value) (G.Value, error) {
	return o.UsePreallocDo(tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out...)), in...)
}

// UsePreallocDo implements gorgonia.UsePreallocDoer.
func (o *op) UsePreallocDo(prealloc G.Value, in ...G.Value) (v G.Value, err error) {
	out, ok := prealloc.(*tensor.Dense)
	if !ok || out.Dtype() != o.dtype || !out.Shape().Eq(o.out) || out.RequiresIterator() {
		out = tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out...))
	}
	if len(in) != len(o.in) {
		return nil, fmt.Errorf("dcem: %v: %d inputs, want %d", o, len(in), len(o.in))
	}
	args := make([]any, len(in))
	for i, v := range in {
		if v == nil {
			return nil, fmt.Errorf("dcem: %v: input %d has no value", o, i)
		}
		if !v.Shape().Eq(o.shape[i]) {
			return nil, fmt.Errorf("dcem: %v: input %d has shape %v, want %v", o, i, v.Shape(), o.shape[i])
		}
		if args[i], err = flat(v); err != nil {
			return nil, fmt.Errorf("dcem: %v: input %d: %w", o, i, err)
		}
	}
	dst, err := flat(out)
	if err != nil {
		return nil, fmt.Errorf("dcem: %v: output: %w", o, err)
	}
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("dcem: %v: %v", o, r)
		}
	}()
	o.run(dst, args)
	return out, nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *op) DiffWRT(inputs int) []bool {
	d := make([]bool, len(o.in))
	if tw, ok := o.kernel.(twinned); ok && tw != nil {
		for i := range d {
			d[i] = true
		}
		return d
	}
	for i, r := range o.rules() {
		d[i] = r != nil
	}
	return d
}

// SymDiff implements gorgonia.SDOp.
func (o *op) SymDiff(inputs G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	if tw, ok := o.kernel.(twinned); ok {
		return diffTwin(tw, inputs, grad)
	}
	grads := make(G.Nodes, len(inputs))
	for i, r := range o.rules() {
		if r == nil {
			continue
		}
		args := make(G.Nodes, len(r.args))
		for j, a := range r.args {
			switch a {
			case output:
				args[j] = out
			case gradient:
				args[j] = grad
			case linked:
				args[j] = o.kernel.(linker).link()
			default:
				args[j] = inputs[a]
			}
		}
		var err error
		if grads[i], err = apply(r.kernel, inputs[i].Dtype(), inputs[i].Shape(), args...); err != nil {
			return nil, fmt.Errorf("dcem: gradient of %v with respect to input %d: %w", o, i, err)
		}
	}
	return grads, nil
}

// DoDiff implements gorgonia.ADOp: it adds the gradients to those that the inputs hold.
func (o *op) DoDiff(_ G.ExecutionContext, inputs G.Nodes, out *G.Node) error {
	if _, ok := o.kernel.(twinned); ok {
		return fmt.Errorf("dcem: %v: a second derivative needs symbolic gradients (package autodiff, TapeMachine)", o)
	}
	for i, r := range o.rules() {
		if r == nil {
			continue
		}
		args := make([]any, len(r.args))
		for j, a := range r.args {
			var v G.Value
			var err error
			switch a {
			case output:
				v = out.Value()
			case gradient:
				v, err = out.Grad()
			case linked:
				v = o.kernel.(linker).link().Value()
			default:
				v = inputs[a].Value()
			}
			if err == nil {
				args[j], err = flat(v)
			}
			if err != nil {
				return fmt.Errorf("dcem: gradient of %v with respect to input %d: %w", o, i, err)
			}
		}
		into, err := inputs[i].Grad()
		if err != nil {
			return fmt.Errorf("dcem: gradient of %v with respect to input %d: %w", o, i, err)
		}
		if err := accumulate(into, r.kernel, args); err != nil {
			return fmt.Errorf("dcem: gradient of %v with respect to input %d: %w", o, i, err)
		}
	}
	return nil
}

// accumulate adds what k makes of args to the gradient value into.
func accumulate(into G.Value, k kernel, args []any) error {
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

func addTo[T float32 | float64](dst []T, k kernel, args []any) {
	tmp := make([]T, len(dst))
	k.run(tmp, args)
	for i, v := range tmp {
		dst[i] += v
	}
}

// flat returns the elements of v in row-major order: its own memory where that is contiguous, else a copy.
func flat(v G.Value) (any, error) {
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
