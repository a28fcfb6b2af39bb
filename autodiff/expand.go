package autodiff

import (
	"fmt"
	"hash"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// expandOp repeats a tensor: element i of the result is the element of the input, read as of shape keep, whose
// coordinates are those of i, 0 where keep is 1.
type expandOp struct {
	shaped
	keep tensor.Shape
}

func newExpand(keep, to tensor.Shape, in *G.Node) *expandOp {
	return &expandOp{newShaped(to, in), keep.Clone()}
}

var (
	_ G.SDOp            = (*expandOp)(nil)
	_ G.ADOp            = (*expandOp)(nil)
	_ G.UsePreallocDoer = (*expandOp)(nil)
)

func (op *expandOp) String() string {
	return fmt.Sprintf("autodiff.Expand{%v as %v -> %v %v}", op.from, op.keep, op.to, op.dtype)
}
func (op *expandOp) WriteHash(h hash.Hash) { fmt.Fprint(h, op.String()) }
func (op *expandOp) Hashcode() uint32      { return hashOf(op) }

func (op *expandOp) Do(in ...G.Value) (G.Value, error) { return op.UsePreallocDo(nil, in...) }

// UsePreallocDo implements gorgonia.UsePreallocDoer.
func (op *expandOp) UsePreallocDo(prealloc G.Value, in ...G.Value) (G.Value, error) {
	out := op.result(prealloc)
	var err error
	if op.dtype == tensor.Float32 {
		err = expand(out.Data().([]float32), in[0], op)
	} else {
		err = expand(out.Data().([]float64), in[0], op)
	}
	return op.value(out), err
}

// SymDiff implements gorgonia.SDOp.
func (op *expandOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	var axes []int
	for a := range op.to {
		if op.keep[a] != op.to[a] {
			axes = append(axes, a)
		}
	}
	b := builder{g: out.Graph()}
	return G.Nodes{b.reshape(b.sum(grad, axes...), op.from)}, b.err
}

// DoDiff implements gorgonia.ADOp.
func (op *expandOp) DoDiff(_ G.ExecutionContext, in G.Nodes, out *G.Node) error {
	grad, err := out.Grad()
	if err != nil {
		return err
	}
	into, err := in[0].Grad()
	if err != nil {
		return err
	}
	if op.dtype == tensor.Float32 {
		return collect[float32](into, grad, op)
	}
	return collect[float64](into, grad, op)
}

// run returns the length of the last axis, and whether the input advances along it or is repeated.
func (op *expandOp) run() (n int, advances bool) {
	last := len(op.to) - 1
	return op.to[last], op.keep[last] == op.to[last]
}

// runs calls f for each run along the last axis, with the places of its first element in the result and in the input.
func (op *expandOp) runs(f func(dst, src int)) {
	last := len(op.to) - 1
	n, _ := op.run()
	strides := make([]int, last) // of the input, 0 along the axes that are repeated
	for a, size := last-1, op.keep[last]; a >= 0; a-- {
		if op.keep[a] > 1 {
			strides[a] = size
			size *= op.keep[a]
		}
	}
	coords := make([]int, last)
	src := 0
	for dst, total := 0, op.to.TotalSize(); dst < total; dst += n {
		f(dst, src)
		for a := last - 1; a >= 0; a-- {
			coords[a]++
			src += strides[a]
			if coords[a] < op.to[a] {
				break
			}
			src -= strides[a] * coords[a]
			coords[a] = 0
		}
	}
}

func expand[T float32 | float64](out []T, v G.Value, op *expandOp) error {
	in, err := elements[T](v)
	if err != nil {
		return err
	}
	n, advances := op.run()
	op.runs(func(dst, src int) {
		if advances {
			copy(out[dst:dst+n], in[src:src+n])
			return
		}
		x := in[src]
		for i := range out[dst : dst+n] {
			out[dst+i] = x
		}
	})
	return nil
}

// collect adds to each element of into the gradients of the elements that it was repeated to.
func collect[T float32 | float64](into, grad G.Value, op *expandOp) error {
	g, err := elements[T](grad)
	if err != nil {
		return err
	}
	n, advances := op.run()
	return accumulate(into, func(dst []T) {
		op.runs(func(at, src int) {
			for i, x := range g[at : at+n] {
				if advances {
					dst[src+i] += x
				} else {
					dst[src] += x
				}
			}
		})
	})
}
