package nn

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Param is a named parameter: an input node that holds a dense tensor.
type Param struct {
	Name string
	Node *G.Node
}

// Params are parameters in a fixed order, with distinct names.
type Params []Param

// newParam adds a parameter to the graph and fills it.
func newParam(g *G.ExprGraph, name string, dt tensor.Dtype, init Init, in, out int, seed uint64, shape ...int) Param {
	values := make([]float64, tensor.Shape(shape).TotalSize())
	init(values, in, out, seed, drawOf(name))
	var backing any = values
	if dt == tensor.Float32 {
		single := make([]float32, len(values))
		for i, v := range values {
			single[i] = float32(v)
		}
		backing = single
	}
	return bindParam(g, name, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing)))
}

func bindParam(g *G.ExprGraph, name string, t *tensor.Dense) Param {
	shape := t.Shape().Clone()
	n := G.NewTensor(g, t.Dtype(), len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))
	return Param{Name: name, Node: n}
}

// Nodes returns the parameters' nodes, for autodiff.Gradients or gorgonia.Grad.
func (p Params) Nodes() G.Nodes {
	nodes := make(G.Nodes, len(p))
	for i := range p {
		nodes[i] = p[i].Node
	}
	return nodes
}

// Names returns the parameters' names.
func (p Params) Names() []string {
	names := make([]string, len(p))
	for i := range p {
		names[i] = p[i].Name
	}
	return names
}

// Size returns the number of values in all parameters.
func (p Params) Size() int {
	n := 0
	for i := range p {
		n += p[i].Node.Shape().TotalSize()
	}
	return n
}

// Get returns the parameter of that name; its Node is nil if there is none.
func (p Params) Get(name string) Param {
	at := slices.IndexFunc(p, func(p Param) bool { return p.Name == name })
	if at < 0 {
		return Param{}
	}
	return p[at]
}

// Values returns the parameters' own memory, row-major: what is written there, the next run of a machine sees. So
// kernels.OptimizerStep updates parameters in place. It panics unless every parameter holds T.
func Values[T kernels.Float](p Params) [][]T {
	values := make([][]T, len(p))
	for i := range p {
		values[i] = valuesOf[T](p[i])
	}
	return values
}

func valuesOf[T kernels.Float](p Param) []T {
	values, err := Slice[T](p.Node.Value())
	if err != nil {
		panic(fmt.Sprintf("nn: Values: parameter %s: %v", p.Name, err))
	}
	return values
}

// Slice returns the elements of a value, row-major: a dense tensor's own memory, or a scalar's copy. With gorgonia.Read
// it gives gradients the form that kernels.OptimizerStep takes.
func Slice[T kernels.Float](v G.Value) ([]T, error) {
	if v == nil {
		return nil, fmt.Errorf("there is no value, want %T", *new(T))
	}
	if d, ok := v.(*tensor.Dense); ok && d.RequiresIterator() {
		v = d.Materialize().(*tensor.Dense)
	}
	switch data := v.Data().(type) {
	case []T:
		return data, nil
	case T:
		return []T{data}, nil
	default:
		return nil, fmt.Errorf("the value holds %T, want %T", data, *new(T))
	}
}

// Slices is Slice of several values.
func Slices[T kernels.Float](values []G.Value) ([][]T, error) {
	out := make([][]T, len(values))
	for i, v := range values {
		var err error
		if out[i], err = Slice[T](v); err != nil {
			return nil, fmt.Errorf("nn: Slices: value %d: %w", i, err)
		}
	}
	return out, nil
}

// Set copies values into the parameter of that name, whatever its element type.
func (p Params) Set(name string, values []float64) error {
	n := p.Get(name).Node
	if n == nil {
		return fmt.Errorf("nn: no parameter %q, want one of %q", name, p.Names())
	}
	if len(values) != n.Shape().TotalSize() {
		return fmt.Errorf("nn: parameter %s: %d values, want the %d of shape %v",
			name, len(values), n.Shape().TotalSize(), n.Shape())
	}
	switch data := n.Value().Data().(type) {
	case []float32:
		for i, v := range values {
			data[i] = float32(v)
		}
	case []float64:
		copy(data, values)
	}
	return nil
}

// Share adds the parameters to another graph. The new nodes hold the same memory: an update of the one is an update of
// the other.
//
// Machines that share parameters may run at the same time, since nets only read them (see [MatMul]), but none may run
// while something writes there: an update through [Values], Params.Set or [LoadNPZ]. Gorgonia's own Mul writes too: its
// gradient transposes the operands in place for a moment. So a graph that multiplies a parameter by Mul takes turns
// with the others.
func (p Params) Share(g *G.ExprGraph) (Params, error) {
	shared := make(Params, len(p))
	for i := range p {
		if len(g.ByName(p[i].Name)) > 0 {
			return nil, fmt.Errorf("nn: Share: the graph has a node %q already", p[i].Name)
		}
		shared[i] = bindParam(g, p[i].Name, p[i].Node.Value().(*tensor.Dense))
	}
	return shared, nil
}
