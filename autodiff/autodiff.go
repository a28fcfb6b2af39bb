package autodiff

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gradients adds the gradient of the scalar out with respect to each node of wrt to their graph, and returns the
// gradients' nodes, in order.
//
// A gradient has the shape and the element type (float32 or float64) of its node and is an ordinary node: it can be
// differentiated again. wrt may hold any nodes, inputs or not, out itself, and the same node twice; where one depends
// on another, its gradient counts the paths through that other one. A node that does not influence out gets a
// constant of zeros. Nothing is marked, so that the same graph can be differentiated any number of times, by
// gorgonia.Grad too.
//
// After a run, take a gradient's value with gorgonia.Read: the TapeMachine lets a later node reuse the memory of one
// that has consumers.
func Gradients(out *G.Node, wrt ...*G.Node) (G.Nodes, error) {
	if err := inGraph("out", out); err != nil {
		return nil, err
	}
	if !isFloat(out) {
		return nil, fmt.Errorf("autodiff: out %s is of type %v, want float32 or float64", describe(out), out.Type())
	}
	if !out.IsScalar() {
		return nil, fmt.Errorf("autodiff: out %s has shape %v, want a scalar (take gorgonia.Sum of it, or use VJP)", describe(out), out.Shape())
	}
	b := builder{g: out.Graph()}
	seed := b.fill(1, out)
	if b.err != nil {
		return nil, fmt.Errorf("autodiff: the seed of %s: %w", describe(out), b.err)
	}
	return VJP(G.Nodes{out}, G.Nodes{seed}, wrt...)
}

// VJP adds the vector-Jacobian products of outs to their graph: for each node of wrt the gradient of sum_i <seeds[i],
// outs[i]> with the seeds held fixed. seeds[i] has the shape and element type of outs[i]. The rest is as in
// [Gradients].
func VJP(outs, seeds G.Nodes, wrt ...*G.Node) (G.Nodes, error) {
	return vjp(outs, seeds, wrt, overrides)
}

// vjp is VJP with a given table of rules. Without one it does what Gorgonia's SymDiffs do by themselves (for the
// tests).
func vjp(outs, seeds, wrt G.Nodes, rules map[string]override) (G.Nodes, error) {
	seeds, err := validate(outs, seeds, wrt)
	if err != nil {
		return nil, err
	}
	s := &sweep{
		build: builder{g: outs[0].Graph()},
		rules: rules,
		index: make(map[*G.Node]int),
		wrt:   make(map[*G.Node]bool, len(wrt)),
		grads: make(map[*G.Node]*G.Node),
		floor: wrt[0].ID(),
	}
	for _, w := range wrt {
		s.wrt[w] = true
		s.floor = min(s.floor, w.ID())
	}
	if err := s.collect(outs); err != nil {
		return nil, err
	}
	s.activate()
	if rules != nil {
		s.shields = newShields(s.build.g)
	}
	for i, out := range outs {
		if err := s.add(out, seeds[i]); err != nil {
			return nil, err
		}
	}
	index := newIndex(s.build.g)
	defer index.close()
	if err := s.run(index); err != nil {
		return nil, err
	}
	grads := make(G.Nodes, len(wrt))
	for i, w := range wrt {
		if grads[i] = s.grads[w]; grads[i] != nil {
			continue
		}
		grads[i] = s.build.fill(0, w)
		if s.build.err != nil {
			return nil, fmt.Errorf("autodiff: the zero gradient of %s: %w", describe(w), s.build.err)
		}
	}
	return grads, nil
}

// A sweep is one reverse pass. Gorgonia numbers nodes in the order of their making, a node after all its inputs, so
// descending ids are a reverse topological order, and nothing older than the oldest node of wrt can lie between wrt
// and outs.
type sweep struct {
	build   builder
	rules   map[string]override
	visits  []visit         // what outs depend on, in the order of ids once collected
	index   map[*G.Node]int // place in visits
	wrt     map[*G.Node]bool
	floor   int64               // smallest id in wrt
	grads   map[*G.Node]*G.Node // sums of the contributions so far
	shields shields
}

// A visit is what the sweep knows of one node.
type visit struct {
	node   *G.Node
	inputs G.Nodes
	follow []bool // whether the op has a derivative with respect to the input
	active bool   // wrt influences the node
	inner  bool   // wrt influences one of the inputs followed
}

// collect fills visits with everything that outs depend on through inputs that have derivatives.
func (s *sweep) collect(outs G.Nodes) error {
	stack := slices.Clone(outs)
	seen := make(map[*G.Node]bool)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[n] || n.ID() < s.floor {
			continue
		}
		seen[n] = true
		v, err := s.visit(n)
		if err != nil {
			return err
		}
		s.visits = append(s.visits, v)
		for i, in := range v.inputs {
			if v.follow[i] {
				stack = append(stack, in)
			}
		}
	}
	slices.SortFunc(s.visits, func(a, b visit) int { return int(a.node.ID() - b.node.ID()) })
	for i, v := range s.visits {
		s.index[v.node] = i
	}
	return nil
}

func (s *sweep) visit(n *G.Node) (v visit, err error) {
	v.node = n
	if n.Op() == nil {
		return v, nil
	}
	if v.inputs, err = inputsOf(s.build.g, n); err != nil {
		return v, err
	}
	v.follow = make([]bool, len(v.inputs))
	if len(v.inputs) == 0 {
		return v, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("autodiff: DiffWRT of %s panicked: %v", describe(n), r)
		}
	}()
	copy(v.follow, s.differentiable(n, len(v.inputs)))
	for i, in := range v.inputs {
		v.follow[i] = v.follow[i] && isFloat(in)
	}
	return v, nil
}

// differentiable tells which inputs of n's op to follow. Those of an op that is not an SDOp are followed to find out
// whether it matters.
func (s *sweep) differentiable(n *G.Node, inputs int) []bool {
	if r, ok := s.rules[ruleKey(n.Op())]; ok && r.follow != nil {
		return r.follow(inputs)
	}
	if op, ok := n.Op().(G.SDOp); ok {
		return op.DiffWRT(inputs)
	}
	return slices.Repeat([]bool{true}, inputs)
}

// activate marks what wrt influences, in the order of ids: inputs first.
func (s *sweep) activate() {
	for i := range s.visits {
		v := &s.visits[i]
		for j, in := range v.inputs {
			if !v.follow[j] {
				continue
			}
			if k, ok := s.index[in]; ok && s.visits[k].active {
				v.inner = true
			}
		}
		v.active = isFloat(v.node) && (v.inner || s.wrt[v.node])
	}
}

// run goes from outs to wrt. When a node's turn comes all its consumers have had theirs, so that its gradient is
// complete.
func (s *sweep) run(index *index) error {
	for i := len(s.visits) - 1; i >= 0; i-- {
		v := &s.visits[i]
		grad := s.grads[v.node]
		if !v.active || !v.inner || grad == nil {
			continue
		}
		index.extend()
		contributions, err := s.differentiate(v, grad)
		if err != nil {
			return err
		}
		for j, in := range v.inputs {
			if contributions[j] == nil {
				continue
			}
			if err := s.add(in, contributions[j]); err != nil {
				return err
			}
		}
		if !s.wrt[v.node] {
			delete(s.grads, v.node)
		}
	}
	return nil
}

// add adds one contribution to the gradient of n.
func (s *sweep) add(n, contribution *G.Node) error {
	k, ok := s.index[n]
	if !ok || !s.visits[k].active {
		return nil
	}
	if so := s.grads[n]; so != nil {
		contribution = s.build.add(so, contribution)
	}
	if s.build.err != nil {
		return fmt.Errorf("autodiff: the sum of the gradients of %s: %w", describe(n), s.build.err)
	}
	s.grads[n] = contribution
	return nil
}

// wanted tells which inputs of v need a gradient.
func (s *sweep) wanted(v *visit) []bool {
	want := make([]bool, len(v.inputs))
	for j, in := range v.inputs {
		k, ok := s.index[in]
		want[j] = ok && v.follow[j] && s.visits[k].active
	}
	return want
}

// differentiate returns the contributions of v's gradient to those of its inputs, nil for an input that needs none.
func (s *sweep) differentiate(v *visit, grad *G.Node) (G.Nodes, error) {
	n := v.node
	c := call{op: n.Op(), in: v.inputs, out: n, grad: grad, want: s.wanted(v), shields: s.shields}
	var grads G.Nodes
	err := guard(func() error {
		grads = s.rule(c.op)(&s.build, c)
		err := s.build.err
		s.build.err = nil
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("autodiff: the gradient of %s: %w", describe(n), err)
	}
	if len(grads) != len(v.inputs) {
		return nil, fmt.Errorf("autodiff: the gradient of %s: %d nodes for %d inputs", describe(n), len(grads), len(v.inputs))
	}
	for j, in := range v.inputs {
		if !c.want[j] {
			grads[j] = nil
			continue
		}
		if grads[j], err = s.fit(grads[j], in); err != nil {
			return nil, fmt.Errorf("autodiff: the gradient of %s with respect to input %d: %w", describe(n), j, err)
		}
	}
	return grads, nil
}

// rule returns how to differentiate op.
func (s *sweep) rule(op G.Op) rule {
	switch r := s.rules[ruleKey(op)].rule; {
	case r != nil:
		return r
	case s.rules != nil && gorgoniasOwn(op):
		return transplant
	default:
		return symDiff
	}
}

// fit checks a contribution against the node that it is for. One that is right but for dimensions of size 1 is
// reshaped.
func (s *sweep) fit(grad, in *G.Node) (*G.Node, error) {
	switch {
	case grad == nil:
		return nil, errors.New("none was given")
	case grad.Dtype() != in.Dtype():
		return nil, fmt.Errorf("it is of type %v, want %v", grad.Dtype(), in.Dtype())
	case sameShape(grad.Shape(), in.Shape()):
		return grad, nil
	case grad.Shape().TotalSize() != in.Shape().TotalSize():
		return nil, fmt.Errorf("it has shape %v, want %v", grad.Shape(), in.Shape())
	}
	grad = s.build.reshape(grad, in.Shape())
	err := s.build.err
	s.build.err = nil
	return grad, err
}

// inputsOf returns the inputs of n in order, duplicates kept.
func inputsOf(g *G.ExprGraph, n *G.Node) (G.Nodes, error) {
	// Removing a node from a graph leaves its index pointing to the wrong nodes; From would then answer with another
	// node's inputs.
	if g.Node(n.ID()) != n {
		return nil, fmt.Errorf("autodiff: %s cannot be found by its id: a node was removed from the graph", describe(n))
	}
	it := g.From(n.ID())
	inputs := make(G.Nodes, 0, it.Len())
	for it.Next() {
		inputs = append(inputs, it.Node().(*G.Node))
	}
	return inputs, nil
}

// sameShape is equality; tensor.Shape.Eq takes (3), (3, 1) and (1, 3) for equal.
func sameShape(a, b tensor.Shape) bool { return slices.Equal(a, b) }

// isFloat reports whether n holds numbers that a derivative makes sense for.
func isFloat(n *G.Node) bool {
	var dt tensor.Dtype
	switch t := n.Type().(type) {
	case tensor.Dtype:
		dt = t
	case G.TensorType:
		dt, _ = t.Of.(tensor.Dtype)
	}
	return dt == tensor.Float32 || dt == tensor.Float64
}

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// describe names a node in messages.
func describe(n *G.Node) string {
	name := n.Name()
	if len(name) > 60 {
		name = name[:60] + "..."
	}
	return fmt.Sprintf("node %d %q", n.ID(), name)
}
