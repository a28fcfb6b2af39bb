package nn

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A kernel is what an op of this package adds to the machinery of this file.
type kernel interface {
	// String names the op and all its attributes; shapes and element type are added to it for the hash.
	String() string
	// run computes out from in: flat row-major slices, all []float32 or all []float64.
	run(out any, in []any)
	// diff returns the gradients of the inputs as nodes, vjp as new slices.
	diff(in G.Nodes, grad *G.Node) (G.Nodes, error)
	vjp(in []any, grad any) []any
}

// op carries a kernel through Gorgonia. Its shapes are static.
type op struct {
	kernel
	in    []tensor.Shape
	out   tensor.Shape
	dtype tensor.Dtype
}

var (
	_ G.SDOp            = (*op)(nil)
	_ G.ADOp            = (*op)(nil)
	_ G.UsePreallocDoer = (*op)(nil)
)

// apply adds k to the graph of its inputs, which have one element type, as a node of that shape.
func apply(k kernel, shape tensor.Shape, inputs ...*G.Node) (*G.Node, error) {
	o := &op{kernel: k, out: shape.Clone(), dtype: inputs[0].Dtype()}
	for _, n := range inputs {
		if n.Dtype() != o.dtype {
			return nil, fmt.Errorf("nn: %v: inputs of types %v and %v, want one type", k, o.dtype, n.Dtype())
		}
		o.in = append(o.in, n.Shape().Clone())
	}
	return G.ApplyOp(o, inputs...)
}

// checkTensor tells whether n is a float32 or float64 tensor.
func checkTensor(fn, name string, n *G.Node) error {
	switch {
	case n == nil:
		return fmt.Errorf("nn: %s: %s is nil", fn, name)
	case n.IsScalar():
		return fmt.Errorf("nn: %s: %s is a scalar, want a tensor", fn, name)
	case n.Dtype() != tensor.Float32 && n.Dtype() != tensor.Float64:
		return fmt.Errorf("nn: %s: %s holds %v, want float32 or float64", fn, name, n.Dtype())
	}
	return nil
}

func (o *op) Arity() int { return len(o.in) }

func (o *op) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.in)+1)
	for _, s := range append(o.in[:len(o.in):len(o.in)], o.out) {
		types = append(types, G.TensorType{Dims: len(s), Of: o.dtype})
	}
	return hm.NewFnType(types...)
}

func (o *op) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	for i, d := range in {
		if s, ok := d.(tensor.Shape); ok && !s.Eq(o.in[i]) {
			return nil, fmt.Errorf("nn: %v: input %d has shape %v, want %v", o, i, s, o.in[i])
		}
	}
	return o.out.Clone(), nil
}

func (o *op) ReturnsPtr() bool     { return false }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }
func (o *op) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "godcem %v %v %v %v", o.kernel, o.dtype, o.in, o.out)
}
func (o *op) Hashcode() uint32 { h := fnv.New32a(); o.WriteHash(h); return h.Sum32() }

func (o *op) Do(in ...G.Value) (G.Value, error) {
	return o.UsePreallocDo(tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out...)), in...)
}

// UsePreallocDo implements gorgonia.UsePreallocDoer.
func (o *op) UsePreallocDo(prealloc G.Value, in ...G.Value) (G.Value, error) {
	out, ok := prealloc.(*tensor.Dense)
	if !ok || out.Dtype() != o.dtype || !out.Shape().Eq(o.out) || out.RequiresIterator() {
		out = tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.out...))
	}
	args, err := o.args(in)
	if err != nil {
		return nil, err
	}
	o.run(out.Data(), args)
	return out, nil
}

// args returns the elements of the inputs.
func (o *op) args(in []G.Value) ([]any, error) {
	if len(in) != len(o.in) {
		return nil, fmt.Errorf("nn: %v: %d inputs, want %d", o, len(in), len(o.in))
	}
	args := make([]any, len(in))
	for i, v := range in {
		d, ok := v.(*tensor.Dense)
		if !ok || d.Dtype() != o.dtype || !d.Shape().Eq(o.in[i]) {
			return nil, fmt.Errorf("nn: %v: input %d is a %T, want a dense %v tensor of shape %v", o, i, v, o.dtype, o.in[i])
		}
		if d.RequiresIterator() { // a view: its elements do not lie in order
			d = d.Materialize().(*tensor.Dense)
		}
		args[i] = d.Data()
	}
	return args, nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *op) DiffWRT(int) []bool {
	all := make([]bool, len(o.in))
	for i := range all {
		all[i] = true
	}
	return all
}

// SymDiff implements gorgonia.SDOp.
func (o *op) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) { return o.diff(in, grad) }

// DoDiff implements gorgonia.ADOp: it adds the gradients to those that the inputs hold.
func (o *op) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	values := make([]G.Value, len(in))
	for i, n := range in {
		values[i] = n.Value()
	}
	args, err := o.args(values)
	if err != nil {
		return err
	}
	grad, err := out.Grad()
	if err != nil {
		return fmt.Errorf("nn: %v: the output's gradient: %w", o, err)
	}
	for i, d := range o.vjp(args, grad.Data()) {
		into, err := in[i].Grad()
		if err != nil {
			return fmt.Errorf("nn: %v: gradient of input %d: %w", o, i, err)
		}
		addTo(into.Data(), d)
	}
	return nil
}

func addTo(into, d any) {
	switch into := into.(type) {
	case []float32:
		for i, v := range d.([]float32) {
			into[i] += v
		}
	case []float64:
		for i, v := range d.([]float64) {
			into[i] += v
		}
	}
}
