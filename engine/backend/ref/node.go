package ref

import (
	"fmt"
	"math"

	"github.com/godcem/godcem/engine/ir"
	"github.com/godcem/godcem/kernels"
)

// each calls f with every multi-index of a shape in row-major order, and its number. f must not keep the index.
func each(shape []int, f func(index []int, k int)) {
	n := ir.Count(shape)
	index := make([]int, len(shape))
	for k := range n {
		f(index, k)
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
}

// number is the row-major number of a multi-index.
func number(shape, index []int) int {
	k := 0
	for d, i := range index {
		k = k*shape[d] + i
	}
	return k
}

// compute is the meaning of every kind but Input.
func (r *run) compute(id ir.ID) (*value, error) {
	n := &r.g.Nodes[id]
	in := make([]*value, len(n.In))
	for i, a := range n.In {
		in[i] = r.values[a]
	}
	switch n.Op.Class() {
	case ir.Leaf:
		return fromSlice(n.Attr.(*ir.Tensor).Data), nil
	case ir.Elementwise:
		return r.elementwise(n, in), nil
	case ir.Movement:
		return r.move(n, in), nil
	case ir.Reduction:
		return r.reduce(n, in[0]), nil
	case ir.Product:
		return r.dot(n, in[0], in[1]), nil
	case ir.Foreign:
		return r.custom(n, in)
	}
	return nil, fmt.Errorf("a kind without a meaning")
}

func (r *run) elementwise(n *ir.Node, in []*value) *value {
	out := newValue(n.Type, n.Count())
	switch n.Op {
	case ir.Normal, ir.Uniform:
		drawn(n, out, uint64(in[0].i[0]))
		return out
	case ir.Cast:
		for k := range out.len() {
			if in[0].f == nil && out.f == nil && out.t != ir.Bool {
				out.i[k] = wrap(out.t, in[0].i[k]) // no detour: all of an int64's bits count
				continue
			}
			// A cast rounds whatever the run does: its point is the other type's precision.
			out.set(k, in[0].at(k), true)
		}
		return out
	case ir.Where:
		for k := range out.len() {
			if in[0].at(k) != 0 {
				out.copyFrom(k, in[1], k)
			} else {
				out.copyFrom(k, in[2], k)
			}
		}
		return out
	}
	f := n.Op.Info().F
	var x [3]float64
	for k := range out.len() {
		for i, v := range in {
			x[i] = v.at(k)
		}
		out.set(k, f(x[0], x[1], x[2]), r.round)
	}
	return out
}

// drawn fills out with the draw's elements in the node's own type.
func drawn(n *ir.Node, out *value, number uint64) {
	draw := n.Attr.(ir.Rand)
	if n.Type == ir.F32 {
		d := make([]float32, len(out.f))
		if n.Op == ir.Normal {
			kernels.Normal(d, draw.Seed, draw.Draw, number, 0)
		} else {
			kernels.Uniform(d, draw.Seed, draw.Draw, number, 0)
		}
		for k, x := range d {
			out.f[k] = float64(x)
		}
		return
	}
	if n.Op == ir.Normal {
		kernels.Normal(out.f, draw.Seed, draw.Draw, number, 0)
	} else {
		kernels.Uniform(out.f, draw.Seed, draw.Draw, number, 0)
	}
}

func (r *run) move(n *ir.Node, in []*value) *value {
	out := newValue(n.Type, n.Count())
	if n.Op == ir.Concat {
		axis := n.Attr.(ir.Axes)[0]
		first := 0
		for i, a := range n.In {
			shape := r.g.Nodes[a].Shape
			to := make([]int, len(shape))
			each(shape, func(index []int, k int) {
				copy(to, index)
				to[axis] += first
				out.copyFrom(number(n.Shape, to), in[i], k)
			})
			first += shape[axis]
		}
		return out
	}
	x, shape := in[0], r.g.Nodes[n.In[0]].Shape
	other := make([]int, len(shape))
	switch n.Op {
	case ir.Reshape:
		for k := range out.len() {
			out.copyFrom(k, x, k)
		}
	case ir.Broadcast:
		each(n.Shape, func(index []int, k int) {
			for d := range other {
				other[d] = min(index[d], shape[d]-1)
			}
			out.copyFrom(k, x, number(shape, other))
		})
	case ir.Transpose:
		axes := n.Attr.(ir.Axes)
		each(n.Shape, func(index []int, k int) {
			for d, a := range axes {
				other[a] = index[d]
			}
			out.copyFrom(k, x, number(shape, other))
		})
	case ir.Slice:
		span := n.Attr.(ir.Span)
		each(n.Shape, func(index []int, k int) {
			for d := range other {
				other[d] = span.Start[d] + span.Step[d]*index[d]
			}
			out.copyFrom(k, x, number(shape, other))
		})
	case ir.Pad:
		span := n.Attr.(ir.Span)
		each(shape, func(index []int, k int) {
			for d := range other {
				other[d] = span.Start[d] + span.Step[d]*index[d]
			}
			out.copyFrom(number(n.Shape, other), x, k)
		})
	}
	return out
}

func (r *run) reduce(n *ir.Node, x *value) *value {
	out := newValue(n.Type, n.Count())
	sums := make([]sum, 0)
	switch n.Op {
	case ir.ReduceSum:
		sums = make([]sum, len(out.f))
	case ir.ReduceMax, ir.ReduceMin:
		worst := math.Inf(-1)
		if n.Op == ir.ReduceMin {
			worst = math.Inf(1)
		}
		for k := range out.f {
			out.f[k] = worst
		}
	case ir.ReduceProd:
		for k := range out.f {
			out.f[k] = 1
		}
	}
	reduced := make([]bool, len(r.g.Nodes[n.In[0]].Shape))
	for _, a := range n.Attr.(ir.Axes) {
		reduced[a] = true
	}
	to := make([]int, len(n.Shape))
	f := n.Op.Info().F
	each(r.g.Nodes[n.In[0]].Shape, func(index []int, k int) {
		d := 0
		for a, i := range index {
			if !reduced[a] {
				to[d] = i
				d++
			}
		}
		j := number(n.Shape, to)
		if n.Op == ir.ReduceSum {
			sums[j].add(x.f[k])
			return
		}
		out.f[j] = f(out.f[j], x.f[k], 0)
	})
	for j := range sums {
		out.f[j] = sums[j].value()
	}
	for j, v := range out.f {
		out.set(j, v, r.round)
	}
	return out
}

func (r *run) dot(n *ir.Node, a, b *value) *value {
	out := newValue(n.Type, n.Count())
	t := n.Attr.(ir.Trans)
	d := len(n.Shape)
	batch, rows, cols := ir.Count(n.Shape[:d-2]), n.Shape[d-2], n.Shape[d-1]
	inner := r.g.Nodes[n.In[0]].Shape[d-1]
	if t.A {
		inner = r.g.Nodes[n.In[0]].Shape[d-2]
	}
	for s := range batch {
		for i := range rows {
			for j := range cols {
				var acc sum
				for k := range inner {
					ka, kb := (s*rows+i)*inner+k, (s*inner+k)*cols+j
					if t.A {
						ka = (s*inner+k)*rows + i
					}
					if t.B {
						kb = (s*cols+j)*inner + k
					}
					acc.addProduct(a.f[ka], b.f[kb])
				}
				out.set((s*rows+i)*cols+j, acc.value(), r.round)
			}
		}
	}
	return out
}

// custom runs a kernel on slices of the declared types; its panic becomes an error.
func (r *run) custom(n *ir.Node, in []*value) (v *value, err error) {
	args := make([]any, len(in))
	for i, x := range in {
		args[i] = x.slice()
	}
	out := ir.MakeSlice(n.Type, n.Count())
	kernel := n.Attr.(ir.Kernel)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v panicked: %v", kernel, p)
		}
	}()
	if err := kernel.Run(out, args); err != nil {
		return nil, fmt.Errorf("%v: %w", kernel, err)
	}
	return fromSlice(out), nil
}
