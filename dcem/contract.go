package dcem

import (
	"fmt"
	"slices"

	"github.com/godcem/godcem/internal/graphop"
	"github.com/godcem/godcem/kernels"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// size is the extent of a batch: b problems, n samples, d dimensions.
type size struct{ b, n, d int }

func (s size) shape(p kernels.Pattern) tensor.Shape {
	return [...]tensor.Shape{{s.b, s.d}, {s.b, s.n}, {s.b, s.n, s.d}}[p]
}

// contractOp is kernels.Contract as a node: a product of arrays, summed over the axes that the output lacks.
type contractOp[T kernels.Float] struct {
	size
	out   kernels.Pattern
	in    []kernels.Pattern
	scale float64
}

func (k contractOp[T]) String() string {
	return fmt.Sprintf("dcem.Contract{%v->%v, scale=%v, n=%d, d=%d}", k.in, k.out, k.scale, k.n, k.d)
}

func (k contractOp[T]) Run(out any, in []any) {
	operands := make([][]T, len(in))
	for i, v := range in {
		operands[i] = v.([]T)
	}
	kernels.Contract(out.([]T), k.out, operands, k.in, k.scale, k.b, k.n, k.d)
}

func (k contractOp[T]) Rules() []*graphop.Rule {
	rs := make([]*graphop.Rule, len(k.in))
	for i, p := range k.in {
		args := []graphop.Operand{graphop.Gradient}
		in := []kernels.Pattern{k.out}
		for j, q := range k.in {
			if j != i {
				args = append(args, graphop.Operand(j))
				in = append(in, q)
			}
		}
		rs[i] = graphop.By(contractOp[T]{k.size, p, in, k.scale}, args...)
	}
	return rs
}

// contract adds scale * sum prod operands to the graph.
func contract(s size, scale float64, out kernels.Pattern, in []kernels.Pattern, operands ...*G.Node) (*G.Node, error) {
	in = slices.Clone(in)
	return typed(operands[0].Dtype(),
		contractOp[float32]{s, out, in, scale}, contractOp[float64]{s, out, in, scale}, s.shape(out), operands...)
}

// typed adds the kernel of the element type dt to the graph.
func typed(dt tensor.Dtype, f32, f64 graphop.Kernel, shape tensor.Shape, inputs ...*G.Node) (*G.Node, error) {
	switch dt {
	case tensor.Float32:
		return graphop.Apply(f32, dt, shape, inputs...)
	case tensor.Float64:
		return graphop.Apply(f64, dt, shape, inputs...)
	}
	return nil, fmt.Errorf("dcem: %v: element type %v, want float32 or float64", f32, dt)
}

// Expand repeats x of shape (B, D) along a new sample axis: (B, N, D). Its gradient sums over the samples.
// It is how an objective gives every candidate of a problem the problem's own inputs.
func Expand(x *G.Node, n int) (*G.Node, error) {
	if err := wantShape("Expand", "x", x, -1, -1); err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("dcem: Expand: n = %d, want at least 1", n)
	}
	s := size{x.Shape()[0], n, x.Shape()[1]}
	return contract(s, 1, kernels.BND, []kernels.Pattern{kernels.BD}, x)
}

// wantShape checks a node's shape; -1 stands for any size.
func wantShape(fn, name string, n *G.Node, dims ...int) error {
	if n == nil {
		return fmt.Errorf("dcem: %s: %s is nil", fn, name)
	}
	if dt := n.Dtype(); dt != tensor.Float32 && dt != tensor.Float64 {
		return fmt.Errorf("dcem: %s: %s has element type %v, want float32 or float64", fn, name, dt)
	}
	ok := len(n.Shape()) == len(dims)
	for i := 0; ok && i < len(dims); i++ {
		ok = dims[i] == -1 || n.Shape()[i] == dims[i]
	}
	if !ok {
		return fmt.Errorf("dcem: %s: %s has shape %v, want %s", fn, name, n.Shape(), dimsString(dims))
	}
	return nil
}

func dimsString(dims []int) string {
	s := "("
	for i, d := range dims {
		if i > 0 {
			s += ", "
		}
		if d < 0 {
			s += "any"
		} else {
			s += fmt.Sprint(d)
		}
	}
	return s + ")"
}

// sameType checks that all nodes have the element type and the graph of the first.
func sameType(fn string, nodes ...*G.Node) error {
	for _, n := range nodes[1:] {
		if n != nil && n.Graph() != nodes[0].Graph() {
			return fmt.Errorf("dcem: %s: %v is in another graph than %v", fn, n, nodes[0])
		}
		if n != nil && n.Dtype() != nodes[0].Dtype() {
			return fmt.Errorf("dcem: %s: %v has element type %v, want %v like %v", fn, n, n.Dtype(), nodes[0].Dtype(), nodes[0])
		}
	}
	return nil
}
