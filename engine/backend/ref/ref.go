// Package ref is the meaning of the engine's representation: an interpreter of ir.Graph in plain loops, one node
// after the other. It is slow, and made to be read and believed; every other backend is tested against it.
//
// Values are float64, whatever the node's float type: Eval rounds to float32 only what is float32 by itself (inputs,
// constants, noise, kernels' operands and results, casts, parameters) and is thus the more exact answer that a
// float32 backend is compared with. EvalRounded, and the backend New, round every node to its type: the bits of one
// IEEE operation at a time (but for Cube, InvSqrt, functions without a correctly rounded result, and sums).
//
// Where the kinds' table leaves room: the maximum, minimum, sum and product of nothing are -Inf, +Inf, 0 and 1; a
// cast to Bool is x != 0, and an integer that does not fit keeps its low bits; a float that does not fit an integer
// type gives an unspecified integer; integers beyond 2^53 are carried exactly, and compared as float64.
package ref

import (
	"fmt"

	"github.com/godcem/godcem/engine/ir"
)

// Eval returns the value of every output, a flat slice of the node's element type. feed returns those of the inputs,
// likewise; nil means that there is none. What no output needs does not run, kernels with effects too. Updates are
// not done (see Machine). An error names the node.
func Eval(g *ir.Graph, feed func(ir.ID) any) ([]any, error) { return eval(g, feed, false) }

// EvalRounded is Eval with every node's value rounded to the node's type.
func EvalRounded(g *ir.Graph, feed func(ir.ID) any) ([]any, error) { return eval(g, feed, true) }

func eval(g *ir.Graph, feed func(ir.ID) any, round bool) ([]any, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	r := run{g: g, round: round, feed: feed}
	r.reset()
	return r.outputs()
}

// A run computes the nodes of a graph on demand, each once per run.
type run struct {
	g      *ir.Graph
	round  bool
	feed   func(ir.ID) any
	values []*value
	stack  []ir.ID
}

// reset forgets the values of the run before.
func (r *run) reset() {
	if r.values == nil {
		r.values = make([]*value, len(r.g.Nodes))
	}
	clear(r.values)
}

// get returns a node's value. The operands that are needed for it are computed before, those of a smaller number
// first.
func (r *run) get(id ir.ID) (*value, error) {
	r.stack = append(r.stack[:0], id)
	for len(r.stack) > 0 {
		top := r.stack[len(r.stack)-1]
		if r.values[top] != nil {
			r.stack = r.stack[:len(r.stack)-1]
			continue
		}
		ready := true
		in := r.g.Nodes[top].In
		for i := len(in) - 1; i >= 0; i-- {
			if r.values[in[i]] == nil {
				r.stack = append(r.stack, in[i])
				ready = false
			}
		}
		if !ready {
			continue
		}
		v, err := r.node(top)
		if err != nil {
			return nil, fmt.Errorf("ref: %s: %w", r.g.Label(top), err)
		}
		r.values[top] = v
	}
	return r.values[id], nil
}

func (r *run) node(id ir.ID) (*value, error) {
	n := &r.g.Nodes[id]
	if n.Op != ir.Input {
		return r.compute(id)
	}
	data := r.feed(id)
	if data == nil {
		return nil, fmt.Errorf("input %q has no value, want %v %v", n.Attr.(ir.InputAttr).Name, n.Type, n.Shape)
	}
	t, count := ir.DataType(data)
	if t != n.Type || count != n.Count() {
		return nil, fmt.Errorf("input %q is fed a %T of %d elements, want %v %v", n.Attr.(ir.InputAttr).Name, data, count,
			n.Type, n.Shape)
	}
	return fromSlice(data), nil
}

func (r *run) outputs() ([]any, error) {
	out := make([]any, len(r.g.Outputs))
	for i, id := range r.g.Outputs {
		v, err := r.get(id)
		if err != nil {
			return nil, err
		}
		out[i] = v.slice()
	}
	return out, nil
}
