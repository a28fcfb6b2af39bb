package dcem

import (
	"fmt"

	"github.com/godcem/godcem/engine"
	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// GraphObjective is a Gorgonia graph as a [BatchObjective]. Use [NewGraphObjective].
//
// Each call copies the candidates into the input node, runs the machine and copies the costs out. Other inputs of the
// graph keep the values that they have, so a model's parameters can be changed between solves. On a TapeMachine a panic
// inside a Gorgonia op is beyond recovery, for it runs in a goroutine of its own; the engine returns an error.
type GraphObjective[T kernels.Float] struct {
	x, costs *G.Node
	vm       G.VM
	owned    bool
	input    *tensor.Dense
	backing  []T
}

// NewGraphObjective makes an objective of the graph of costs, shape (B, N), as a function of the input node x, shape
// (B, N, D), both of element type T. vm runs that graph; nil stands for the engine, which runs the nodes that costs
// depends on alone. Call Close when done.
func NewGraphObjective[T kernels.Float](x, costs *G.Node, vm G.VM) (o *GraphObjective[T], err error) {
	const fn = "NewGraphObjective"
	if err := wantShape(fn, "x", x, -1, -1, -1); err != nil {
		return nil, err
	}
	s := x.Shape()
	if err := wantShape(fn, "costs", costs, s[0], s[1]); err != nil {
		return nil, err
	}
	dt := dtypeOf[T]()
	for _, n := range []struct {
		name string
		node *G.Node
	}{{"x", x}, {"costs", costs}} {
		if n.node.Dtype() != dt {
			return nil, fmt.Errorf("dcem: %s: %s has element type %v, want %v", fn, n.name, n.node.Dtype(), dt)
		}
	}
	if !x.IsVar() {
		return nil, fmt.Errorf("dcem: %s: x = %v is not an input node", fn, x)
	}
	if x.Graph() != costs.Graph() {
		return nil, fmt.Errorf("dcem: %s: x and costs belong to different graphs", fn)
	}
	o = &GraphObjective[T]{x: x, costs: costs, vm: vm, backing: make([]T, s.TotalSize())}
	o.input = tensor.New(tensor.WithShape(s...), tensor.WithBacking(o.backing))
	if vm == nil {
		compiled, err := engine.NewVM(costs.Graph().ExactSubgraphRoots(costs), engine.Outputs(costs))
		if err != nil {
			return nil, fmt.Errorf("dcem: %s: %w", fn, err)
		}
		o.vm, o.owned = compiled, true
	}
	return o, nil
}

func (o *GraphObjective[T]) shaped(b, n, d int) (BatchObjective[T], error) {
	if o == nil {
		return nil, fmt.Errorf("the objective is a nil *GraphObjective")
	}
	if want := (tensor.Shape{b, n, d}); !o.x.Shape().Eq(want) {
		return nil, fmt.Errorf("the objective's x has shape %v, want (Batch, Samples, Dim) = %v", o.x.Shape(), want)
	}
	return o, nil
}

// Costs runs the graph on x.
func (o *GraphObjective[T]) Costs(costs, x []T) error {
	if o.vm == nil {
		return fmt.Errorf("dcem: GraphObjective: it has been closed")
	}
	if len(x) != len(o.backing) || len(costs) != o.costs.Shape().TotalSize() {
		return fmt.Errorf("dcem: GraphObjective: %d candidates' values and %d costs, want %d and %d as in the shapes %v and %v",
			len(x), len(costs), len(o.backing), o.costs.Shape().TotalSize(), o.x.Shape(), o.costs.Shape())
	}
	copy(o.backing, x)
	if err := G.Let(o.x, o.input); err != nil {
		return fmt.Errorf("dcem: GraphObjective: %w", err)
	}
	defer o.vm.Reset()
	if err := o.vm.RunAll(); err != nil {
		return fmt.Errorf("dcem: GraphObjective: %w", err)
	}
	v, err := nodeValues[T](o.costs, "the costs")
	if err != nil {
		return fmt.Errorf("dcem: GraphObjective: %w", err)
	}
	copy(costs, v)
	return nil
}

// Close closes the machine unless it was given to NewGraphObjective. Costs fails afterwards. It may be called again.
func (o *GraphObjective[T]) Close() error {
	vm := o.vm
	o.vm = nil
	if vm == nil || !o.owned {
		return nil
	}
	return vm.Close()
}

// nodeValues are the elements of a node's value in row-major order.
func nodeValues[T kernels.Float](n *G.Node, name string) ([]T, error) {
	v := n.Value()
	if v == nil {
		return nil, fmt.Errorf("%s: no value; run the graph first, on a machine that keeps the value of this node", name)
	}
	elements, err := graphop.Flat(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	typed, ok := elements.([]T)
	if !ok || len(typed) != n.Shape().TotalSize() {
		return nil, fmt.Errorf("%s: a value of %v and shape %v, want %v and shape %v", name, v.Dtype(), v.Shape(),
			dtypeOf[T](), n.Shape())
	}
	return typed, nil
}

// dtypeOf is the tensor package's name of T.
func dtypeOf[T kernels.Float]() tensor.Dtype {
	if _, ok := any(T(0)).(float32); ok {
		return tensor.Float32
	}
	return tensor.Float64
}
