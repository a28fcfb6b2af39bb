package autodiff

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/godcem/godcem/internal/check"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

type gradients func(out *G.Node, wrt ...*G.Node) (G.Nodes, error)

// stock is Gradients by nothing but Gorgonia's own SymDiffs.
func stock(out *G.Node, wrt ...*G.Node) (G.Nodes, error) {
	var seed *G.Node
	if out.Dtype() == tensor.Float32 {
		seed = G.NewConstant(float32(1), G.WithName("seed"))
	} else {
		seed = G.NewConstant(1.0, G.WithName("seed"))
	}
	return vjp(G.Nodes{out}, G.Nodes{seed}, wrt, nil)
}

// A machine runs a graph on the TapeMachine for given values of its inputs.
type machine struct {
	vm     G.VM
	inputs G.Nodes
	values []G.Value
	reads  []G.Value
}

// newMachine reads the values of outs.
func newMachine(g *G.ExprGraph, inputs G.Nodes, outs ...*G.Node) (m *machine, err error) {
	m = &machine{inputs: inputs, reads: make([]G.Value, len(outs))}
	for _, n := range inputs {
		m.values = append(m.values, zeroValue(n))
	}
	for i, o := range outs {
		G.Read(o, &m.reads[i])
	}
	err = guard(func() error { m.vm = G.NewTapeMachine(g); return nil })
	return m, err
}

func zeroValue(n *G.Node) G.Value {
	if n.IsScalar() {
		if n.Dtype() == tensor.Float32 {
			return G.NewF32(0)
		}
		return G.NewF64(0)
	}
	return tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(n.Shape()...))
}

// run sets the inputs from x, all of them one after the other, and returns the outputs' elements one after the other.
func (m *machine) run(x []float64) (y []float64, err error) {
	for i, v := range m.values {
		switch v := v.(type) {
		case *G.F64:
			*v, x = G.F64(x[0]), x[1:]
		case *G.F32:
			*v, x = G.F32(x[0]), x[1:]
		case *tensor.Dense:
			switch d := v.Data().(type) {
			case []float64:
				x = x[copy(d, x):]
			case []float32:
				for j := range d {
					d[j], x = float32(x[0]), x[1:]
				}
			}
		}
		if err := G.Let(m.inputs[i], v); err != nil {
			return nil, err
		}
	}
	for i := range m.reads {
		m.reads[i] = nil
	}
	m.vm.Reset()
	if err := guard(m.vm.RunAll); err != nil {
		return nil, err
	}
	for _, r := range m.reads {
		switch d := r.Data().(type) {
		case float64:
			y = append(y, d)
		case float32:
			y = append(y, float64(d))
		case []float64:
			y = append(y, d...)
		case []float32:
			y = append(y, check.Copy[float64](d)...)
		default:
			return nil, fmt.Errorf("a value of type %T", r)
		}
	}
	return y, nil
}

func size(ns ...*G.Node) (total int) {
	for _, n := range ns {
		total += n.Shape().TotalSize()
	}
	return total
}

// A stage is a case's graph up to some order of differentiation: the inputs, then the weights of each order, and the
// scalar reached. Order 0: f = <w, out>. Order k: the gradients g_i of the scalar of order k-1, and h = sum_i <v_i,
// g_i>.
type stage struct {
	g       *G.ExprGraph
	x       G.Nodes // the case's inputs
	weights G.Nodes
	scalar  *G.Node
	grads   G.Nodes
}

// makeStage builds c up to the given order. fed puts an elementwise product between inputs and op, so that the op's
// operands are nodes that the TapeMachine may overwrite.
func makeStage(c opCase, dt tensor.Dtype, order int, fed bool, grad gradients) (*stage, error) {
	s := &stage{g: G.NewGraph()}
	input := func(name string, shape []int) *G.Node {
		return G.NewTensor(s.g, dt, len(shape), G.WithShape(shape...), G.WithName(name))
	}
	inner := func(a, b *G.Node) (*G.Node, error) {
		p, err := G.HadamardProd(a, b)
		if err != nil {
			return nil, err
		}
		return G.Sum(p)
	}
	var args G.Nodes
	for i, shape := range c.shapes {
		x := input(fmt.Sprintf("x%d", i), shape)
		s.x = append(s.x, x)
		if fed {
			b := builder{g: s.g}
			x = b.mul(x, b.constant(1, dt, tensor.ScalarShape()))
			if b.err != nil {
				return nil, b.err
			}
		}
		args = append(args, x)
	}
	out, err := c.build(args)
	if err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	w := input("w", out.Shape())
	s.weights = append(s.weights, w)
	if s.scalar, err = inner(w, out); err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	for k := 1; k <= order; k++ {
		if s.grads, err = grad(s.scalar, s.x...); err != nil {
			return nil, err
		}
		if k == order {
			break
		}
		var h *G.Node
		for i, gi := range s.grads {
			v := input(fmt.Sprintf("v%d.%d", k, i), s.x[i].Shape())
			s.weights = append(s.weights, v)
			p, err := inner(v, gi)
			if err == nil && h != nil {
				p, err = G.Add(h, p)
			}
			if err != nil {
				return nil, fmt.Errorf("order %d: <v, gradient>: %w", k, err)
			}
			h = p
		}
		s.scalar = h
	}
	return s, nil
}

// verify compares the gradients of the given order of c with finite differences of the scalar they are the gradients
// of, at two points.
func verify(c opCase, order int, fed bool, grad gradients) error {
	with, err := makeStage(c, tensor.Float64, order, fed, grad)
	if err != nil {
		return err
	}
	// The scalar is differentiated numerically in a graph of its own, in which nothing follows it.
	bare, err := bareStage(c, order, fed, grad)
	if err != nil {
		return err
	}
	inputs := append(append(G.Nodes{}, with.x...), with.weights...)
	m, err := newMachine(with.g, inputs, with.grads...)
	if err != nil {
		return err
	}
	ref, err := newMachine(bare.g, append(append(G.Nodes{}, bare.x...), bare.weights...), bare.scalar)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(uint64(order), 7))
	nx := size(with.x...)
	for point := range 2 {
		all := c.point(rng, nx, size(inputs...))
		got, err := m.run(all)
		if err != nil {
			return err
		}
		if len(got) != nx {
			return fmt.Errorf("%d elements, want %d", len(got), nx)
		}
		for range 2 {
			// A random direction shows an error in any element.
			d := make([]float64, nx)
			slope := 0.0
			for i := range d {
				d[i] = rng.NormFloat64()
				slope += d[i] * got[i]
			}
			var runErr error
			want := check.Gradient(func(step []float64) float64 {
				x := append([]float64{}, all...)
				for i := range d {
					x[i] += step[0] * d[i]
				}
				y, err := ref.run(x)
				if err != nil {
					runErr = err
					return 0
				}
				return y[0]
			}, []float64{0}, 1e-3)
			if runErr != nil {
				return runErr
			}
			if diff, _ := check.MaxDiff([]float64{slope}, want); !(diff <= tolerance) {
				return fmt.Errorf("%w: the slope along a direction at point %d is %v, want %v", errWrong, point, slope, want[0])
			}
		}
	}
	return nil
}

// errWrong: it ran, but to wrong values.
var errWrong = errors.New("wrong")

// tolerance for float64 against finite differences with step 1e-3: their own error is about 1e-11 of the fourth and
// fifth derivatives here.
const tolerance = 1e-8

// point draws values for the inputs of a stage: the case's inputs from its range, then weights.
func (c opCase) point(rng *rand.Rand, nx, total int) []float64 {
	all := make([]float64, total)
	for i := range all {
		if all[i] = rng.Float64()*2 - 1; i < nx {
			all[i] = c.lo + (c.hi-c.lo)*rng.Float64()
		}
	}
	return all
}

// bareStage builds c up to the scalar whose gradients are those of the given order, without differentiating that.
func bareStage(c opCase, order int, fed bool, grad gradients) (*stage, error) {
	stop := 0
	return makeStage(c, tensor.Float64, order, fed, func(out *G.Node, wrt ...*G.Node) (G.Nodes, error) {
		if stop++; stop == order {
			return nil, nil
		}
		return grad(out, wrt...)
	})
}
